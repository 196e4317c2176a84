/* What a backend of the lake supplies: one member for each primitive operation
 * of lake.h. Everything else (names and paths, the grammar of refs, the log,
 * searches, merge bases, gathering a transaction) is composed of these in
 * lake.c, once for all backends.
 *
 * Where a member says nothing else, the contract, the errors and the ownership
 * are those of the function in lake.h that bears its name. lake.c has already
 * checked names and paths, and that outputs are not NULL.
 *
 * A backend's structs begin with the structs below (`struct embedded { struct
 * lake base; ... }`), so that lake.c can reach the table. lake.c fills their
 * fields where it says so, the backend the others.
 *
 * Threads: as in lake.h: a struct lake from any thread, everything else from
 * one at a time. */
#ifndef TIDEMARK_LAKE_BACKEND_H
#define TIDEMARK_LAKE_BACKEND_H

#include <pthread.h>

#include "core/lake.h"
#include "core/model/commit.h"

struct lake_ops;
struct remote_server;

struct lake {
	const struct lake_ops *ops;
	char *url; /* "file:" and the absolute folder; by lake.c, as all below */
	char *folder;
	char *committer;
	struct clock *clock;
	pthread_mutex_t serve_mutex;
	struct remote_server *server; /* guarded by serve_mutex */
	struct lake_ops *reading; /* of a lake that is only read: ops points there; else NULL */
};

/* An object on its way. Writers fill [used, cap) of data; upload_room makes
 * room when it is full. By the backend: all fields; lake.c only advances used
 * and sets finished. */
struct lake_upload {
	struct lake *lake;
	unsigned char *data;
	size_t used;
	size_t cap;
	uint64_t flushed; /* bytes that have left data; the size is flushed + used */
	bool finished;
	bool deferred; /* by upload_defer */
};

/* A path to be put, or removed where up is NULL. The upload is finished and
 * lives as long as the transaction: it is also the lease that keeps its blob
 * from being collected. */
struct lake_put {
	char *path;
	struct lake_upload *up;
	char *content_type; /* "" where unknown */
	struct lake_meta meta;
	unsigned round; /* rebases before it; by lake.c */
};

struct lake_graft {
	struct lake_id from;
	char *prefix;
};

/* Gathered by lake.c alone; a backend reads it in txn_prepare. */
struct lake_txn {
	struct lake *lake;
	struct lake_id base;
	struct lake_id *parents;
	size_t n_parents;
	struct lake_meta meta;
	char *message; /* "" where none was set */
	struct lake_put *puts; /* sorted by path, no path twice, in txn_prepare */
	size_t n_puts;
	size_t cap_puts;
	unsigned round; /* rebases so far */
	struct lake_graft *grafts; /* in the order they were asked for */
	size_t n_grafts;
	size_t cap_grafts;
};

struct lake_list {
	struct lake *lake;
};

struct lake_diff {
	struct lake *lake;
};

struct lake_object {
	struct lake *lake;
	uint64_t size; /* by the backend */
	const char *path; /* by the backend: of a file with its bytes; NULL: none */
};

/* Which paths of a difference; "": no such bound. A prefix stands alone. */
struct lake_span {
	const char *prefix;
	const char *from, *until;
};

struct lake_ops {
	const char *name;
	/* Does this process own the lake's folder (and can it serve it)? */
	bool owner;
	/* Releases everything of the backend and the struct itself; lake.c has
	 * stopped the server and releases the fields of struct lake that are its
	 * own before. */
	void (*close)(struct lake *lake);
	/* As lake_call(); NULL: there is no handler elsewhere. */
	enum status (*call)(struct lake *lake, const char *method, const char *in, struct buf *out,
			    struct err *err);

	/* refs */
	enum status (*ref_get)(struct lake *lake, enum lake_ref_kind kind, const char *name,
			       struct lake_id *out, struct err *err);
	/* The commit whose hex digits begin with prefix (6 to 64 of them, lower
	 * case). ST_NOT_FOUND; ST_USAGE where there are several. */
	enum status (*commit_by_prefix)(struct lake *lake, const char *prefix, struct lake_id *out,
					struct err *err);
	enum status (*refs_list)(struct lake *lake, enum lake_ref_kind kind, struct lake_refs *out,
				 struct err *err);
	enum status (*refs_move)(struct lake *lake, const struct lake_move *moves, size_t n,
				 const char *reason, struct err *err);
	enum status (*reflog_read)(struct lake *lake, const char *name, size_t limit,
				   struct lake_reflog *out, struct err *err);
	enum status (*branch_protect)(struct lake *lake, const char *branch, const char *by,
				      struct err *err);
	/* Both outputs may be NULL. */
	enum status (*branch_protection)(struct lake *lake, const char *branch, bool *protected_out,
					 char **by_out, struct err *err);

	/* commits: with the skip pointers, from which lake.c makes log, search,
	 * is_ancestor and merge_base. ST_NOT_FOUND. */
	enum status (*commit_get)(struct lake *lake, const struct lake_id *id, struct commit *out,
				  struct err *err);

	/* reading */
	enum status (*stat)(struct lake *lake, const struct lake_id *commit, const char *path,
			    struct lake_entry *out, struct err *err);
	enum status (*list_open)(struct lake *lake, const struct lake_id *commit,
				 const char *prefix, struct lake_list **out, struct err *err);
	enum status (*list_next)(struct lake_list *list, struct lake_entry *out, struct err *err);
	enum status (*list_seek)(struct lake_list *list, const char *key, struct err *err);
	void (*list_close)(struct lake_list *list);
	enum status (*object_open)(struct lake *lake, const struct lake_id *commit,
				   const char *path, struct lake_object **out, struct err *err);
	enum status (*object_read)(struct lake_object *object, uint64_t offset, void *data,
				   size_t len, size_t *n_out, struct err *err);
	/* NULL: by object_read. */
	enum status (*object_copy)(struct lake_object *object, int fd, struct err *err);
	void (*object_close)(struct lake_object *object);

	/* uploads */
	enum status (*upload_open)(struct lake *lake, struct lake_upload **out, struct err *err);
	/* Makes cap - used >= min (min <= 256 KiB), by growing data or by sending
	 * its bytes on. */
	enum status (*upload_room)(struct lake_upload *up, size_t min, struct err *err);
	enum status (*upload_defer)(struct lake_upload *up, struct err *err);
	/* NULL: it never can. */
	enum status (*upload_clone)(struct lake_upload *up, int fd, bool *done_out,
				    struct err *err);
	enum status (*upload_finish)(struct lake_upload *up, struct err *err);
	void (*upload_free)(struct lake_upload *up);

	/* Makes the commit that txn describes. May be called again for the same
	 * txn after a rebase (its uploads then are already stored). */
	enum status (*txn_prepare)(struct lake *lake, const struct lake_txn *txn,
				   struct lake_id *out, struct err *err);

	/* diff, merge, revert */
	enum status (*diff_open)(struct lake *lake, const struct lake_id *a,
				 const struct lake_id *b, const struct lake_span *span,
				 struct lake_diff **out, struct err *err);
	enum status (*diff_count)(struct lake *lake, const struct lake_id *a,
				  const struct lake_id *b, const char *prefix, uint64_t limit,
				  uint64_t *out, struct err *err);
	enum status (*diff_next)(struct lake_diff *diff, struct lake_diff_entry *out,
				 struct err *err);
	void (*diff_close)(struct lake_diff *diff);
	enum status (*merge_prepare)(struct lake *lake, const struct lake_merge *merge,
				     struct lake_id *out, struct lake_conflicts *conflicts_out,
				     struct err *err);
	enum status (*revert_prepare)(struct lake *lake, const struct lake_id *head,
				      const struct lake_revert *revert, struct lake_id *out,
				      struct lake_conflicts *conflicts_out, struct err *err);
	enum status (*cherry_pick_prepare)(struct lake *lake, const struct lake_id *head,
					   const struct lake_id *commit, unsigned parent,
					   struct lake_id *out,
					   struct lake_conflicts *conflicts_out, struct err *err);

	/* staged changes; the backend looks at the protection; lake.c frees up
	 * where stage_put succeeds. content_type, meta, message are not NULL. */
	enum status (*stage_put)(struct lake *lake, const char *branch, const char *path,
				 struct lake_upload *up, const char *content_type,
				 const struct lake_meta *meta, struct err *err);
	enum status (*stage_remove)(struct lake *lake, const char *branch, const char *path,
				    struct err *err);
	enum status (*stage_changes)(struct lake *lake, const char *branch,
				     struct lake_changes *out, struct err *err);
	enum status (*stage_commit)(struct lake *lake, const char *branch, const char *message,
				    const struct lake_meta *meta, struct lake_id *out,
				    struct err *err);
	enum status (*stage_discard)(struct lake *lake, const char *branch, struct err *err);

	enum status (*gc)(struct lake *lake, const struct lake_gc_options *options,
			  struct lake_gc_report *out, struct err *err);
	enum status (*check_expired)(struct lake *lake, const struct lake_id *shown,
				     const struct lake_id *wanted, struct err *err);
	/* Work that may take hours ends soon, also for a request through the socket;
	 * lake_close() calls it first. NULL: there is none here. */
	void (*interrupt)(struct lake *lake);

	void (*open_reserve)(struct lake *lake); /* NULL: there is none */
	enum status (*free_bytes)(struct lake *lake, uint64_t *out, struct err *err);

	/* Without the visitor: lake.c calls it. */
	enum status (*fsck)(struct lake *lake, bool quick, struct lake_fsck_report *report,
			    struct err *err);
	enum status (*backup)(struct lake *lake, const char *dir, struct lake_backup_report *out,
			      struct err *err);
	enum status (*progress)(struct lake *lake, struct lake_progress *out, struct err *err);
};

/* Gives a lake that a backend has opened a table of its own, in which the members
 * that write refuse (lake_reading.c); lake_close() frees it. */
void lake_refuse_writes(struct lake *lake);

/* In whose name this thread makes commits and moves refs: the lake's own
 * committer, unless one was set for the thread (the socket's server does, for
 * the time of a request). The text is borrowed. */
void lake_committer_set(const char *committer); /* NULL: the lake's own */
const char *lake_committer(const char *own);

#endif
