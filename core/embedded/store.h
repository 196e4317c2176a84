/* The embedded lake's state, and the functions that its files share. */
#ifndef TIDEMARK_EMBEDDED_STORE_H
#define TIDEMARK_EMBEDDED_STORE_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/embedded/db.h"
#include "core/embedded/gate.h"
#include "core/embedded/keys.h"
#include "core/embedded/node_cache.h"
#include "core/embedded/sequence.h"
#include "core/embedded/space.h"
#include "core/embedded/verified.h"
#include "core/lake_backend.h"
#include "core/model/entry.h"
#include "core/model/tree.h"

#define BLOB_FOLDERS 256

/* What runs under the maintenance mutex, and how far it is; anybody reads it. */
struct maintained {
	_Atomic(const char *) what; /* NULL: nothing */
	atomic_uint_fast64_t objects, total_objects;
	atomic_uint_fast64_t bytes, total_bytes;
};

struct embedded {
	struct lake base;
	char *root;
	char *committer;
	struct clock *clock;
	int lock_fd;
	struct db *db;
	struct node_cache *cache;
	struct db_batch *_Atomic node_batch; /* empty, for the next writer of nodes; or NULL */
	struct verified *verified;
	struct space space;

	/* Makes reading refs and writing what depends on them one step. Held over
	 * the synced write: the writes of a log are one after the other anyway. */
	pthread_mutex_t moves;
	struct sequence file; /* guarded by moves */
	uint64_t sequence; /* of the last synced write; guarded by moves */

	/* A gc, check or backup: one at a time (maintenance.c). */
	pthread_mutex_t maintenance;
	struct maintained maintained;

	/* blobs/ */
	atomic_uint_fast64_t next_temp;
	atomic_bool folder_durable[BLOB_FOLDERS]; /* its name in blobs/ is on disk */
	atomic_bool sync_failed; /* what is on disk is not known any more */
	pthread_mutex_t bulk_lock;
	int bulk_fd; /* guarded by bulk_lock; -1 until something is deferred */

	/* gc */
	struct gate gate;
	atomic_bool any_expired; /* false: no `x` key is there */
	atomic_bool closing; /* long work ends with ST_INTERRUPTED */
};

static inline struct embedded *embedded_of(struct lake *lake)
{
	return (struct embedded *)lake;
}

/* ---- gc, check and backup (maintenance.c) ---- */

/* Takes the maintenance mutex; ST_BUSY names what holds it. what: a constant. */
MUST_CHECK enum status embedded_maintain_begin(struct embedded *e, const char *what,
					       struct err *err);
void embedded_maintain_end(struct embedded *e);
MUST_CHECK enum status embedded_progress(struct lake *lake, struct lake_progress *out,
					 struct err *err);
MUST_CHECK enum status embedded_backup(struct lake *lake, const char *dir,
				       struct lake_backup_report *out, struct err *err);
MUST_CHECK enum status embedded_fsck(struct lake *lake, bool quick, struct lake_fsck_report *report,
				     struct err *err);

/* The number of the last synced write, as the metadata say; 0: none. */
MUST_CHECK enum status embedded_sequence(struct db *db, uint64_t *out, struct err *err);

/* ---- trees (nodes.c) ---- */

/* For reading: it has no put. */
struct node_store embedded_nodes(struct embedded *e);
/* The bytes of a node or commit, held for the caller. kind: KEY_NODE, KEY_COMMIT. */
MUST_CHECK enum status embedded_get_cached(struct embedded *e, char kind,
					   const unsigned char id[32], struct shared **out,
					   struct err *err);
/* tree_apply() and tree_merge(); the new nodes are in the log on return. Within a
 * gate pass. */
MUST_CHECK enum status embedded_apply(struct embedded *e, const struct hash *root,
				      const struct tree_change *changes, size_t n,
				      struct hash *root_out, struct err *err);
struct merge_roots {
	const struct hash *base;
	const struct hash *ours;
	const struct hash *theirs;
};
MUST_CHECK enum status embedded_tree_merge(struct embedded *e, const struct merge_roots *from,
					   enum tree_prefer prefer, struct hash *root_out,
					   struct buf *conflicts_out, struct err *err);

/* ---- commits (commits.c) ---- */

struct commit_store embedded_commits(struct embedded *e);
static inline struct hash tree_of(const struct commit *c)
{
	struct hash root;

	__builtin_memcpy(root.bytes, c->public.tree.bytes, sizeof(root.bytes));
	return root;
}
MUST_CHECK enum status embedded_commit_get(struct lake *lake, const struct lake_id *id,
					   struct commit *out, struct err *err);
/* The root of a commit's tree. */
MUST_CHECK enum status embedded_tree(struct embedded *e, const struct lake_id *commit,
				     struct hash *out, struct err *err);
MUST_CHECK enum status embedded_commit_by_prefix(struct lake *lake, const char *prefix,
						 struct lake_id *out, struct err *err);

/* A commit to be made of a tree that is stored. */
struct new_commit {
	struct hash root;
	const struct lake_id *parents;
	size_t n_parents;
	const char *message; /* NULL: "" */
	const struct lake_meta *meta; /* NULL: none */
};

/* Stores it, unsynced, with the lake's committer and time. */
MUST_CHECK enum status embedded_commit_make(struct embedded *e, const struct new_commit *from,
					    struct lake_id *out, struct err *err);
MUST_CHECK enum status embedded_txn_prepare(struct lake *lake, const struct lake_txn *txn,
					    struct lake_id *out, struct err *err);

/* A commit that an operation builds upon, or lets a ref name: it is there and
 * stays. For who has entered the gate. ST_NOT_FOUND. */
MUST_CHECK enum status embedded_use(struct embedded *e, const struct lake_id *commit,
				    struct err *err);
/* Keeps a commit that is read for longer; gate_lease_drop(). ST_NOT_FOUND. */
MUST_CHECK enum status embedded_lease(struct embedded *e, struct gate_lease *lease,
				      const struct lake_id *commit, struct err *err);
/* What a reader of the commit tells where its trees or objects gave st:
 * ST_NOT_FOUND in the place of ST_DAMAGED where gc freed the commit meanwhile. */
enum status embedded_freed(struct embedded *e, const struct lake_id *commit, enum status st,
			   struct err *err);

/* ---- gc (gc.c, expired.c) ---- */

MUST_CHECK enum status embedded_gc(struct lake *lake, const struct lake_gc_options *options,
				   struct lake_gc_report *out, struct err *err);

/* Was the object freed as history? time_out may be NULL. */
MUST_CHECK enum status embedded_is_expired(struct embedded *e, const struct hash *blob,
					   bool *expired_out, int64_t *time_out, struct err *err);
/* The object is (again) in the store. */
void embedded_not_expired(struct embedded *e, const struct hash *blob);
/* ST_EXPIRED, in words. */
enum status embedded_expired(const struct hash *blob, int64_t time_ms, struct err *err);
/* For who has entered the gate and uses the commit: what is still there of its
 * objects outlives a sweep that is under way. */
MUST_CHECK enum status embedded_keep_objects(struct embedded *e, const struct lake_id *commit,
					     struct err *err);
/* All objects that `wanted` has and `shown` has not as they are: each is
 * registered as fresh, and ST_EXPIRED where it was freed. Both are roots. */
MUST_CHECK enum status embedded_check_trees(struct embedded *e, const struct hash *shown,
					    const struct hash *wanted, struct err *err);
MUST_CHECK enum status embedded_check_expired(struct lake *lake, const struct lake_id *shown,
					      const struct lake_id *wanted, struct err *err);

/* ---- refs (refs.c) ---- */

MUST_CHECK enum status embedded_ref_get(struct lake *lake, enum lake_ref_kind kind,
					const char *name, struct lake_id *out, struct err *err);
MUST_CHECK enum status embedded_refs_list(struct lake *lake, enum lake_ref_kind kind,
					  struct lake_refs *out, struct err *err);
MUST_CHECK enum status embedded_refs_move(struct lake *lake, const struct lake_move *moves,
					  size_t n, const char *reason, struct err *err);
MUST_CHECK enum status embedded_branch_protect(struct lake *lake, const char *branch,
					       const char *by, struct err *err);
MUST_CHECK enum status embedded_branch_protection(struct lake *lake, const char *branch,
						  bool *protected_out, char **by_out,
						  struct err *err);
/* ST_PROTECTED, naming the connector, where the branch is protected; what: the
 * thing refused, in words. */
MUST_CHECK enum status embedded_refuse_protected(struct embedded *e, const char *branch,
						 const char *what, struct err *err);

/* With e->moves held: adds the moves and their reflog entries to the batch
 * where all are as expected, else ST_CONFLICT. Uses a sequence number each. */
MUST_CHECK enum status embedded_moves_add(struct embedded *e, struct db_batch *batch,
					  const struct lake_move *moves, size_t n,
					  const char *reason, struct err *err);
/* With e->moves held, and e->sequence counted up by what is in the batch:
 * writes the batch synced, with that number, and then SEQUENCE. */
void embedded_write(struct embedded *e, struct db_batch *batch);

/* ---- reflog (reflog.c) ---- */

MUST_CHECK enum status embedded_reflog_decode(uint64_t sequence, struct bytes in,
					      struct lake_reflog_entry *out, struct err *err);
void embedded_reflog_add(struct db_batch *batch, const struct lake_reflog_entry *entry);
void embedded_reflog_remove(struct db_batch *batch, const char *name, uint64_t sequence);
/* Newest first; each() borrows the entry, and its first status but ST_OK ends it
 * and is returned. */
MUST_CHECK enum status embedded_reflog_each(
	struct embedded *e,
	enum status (*each)(void *ctx, const struct lake_reflog_entry *entry, struct err *err),
	void *ctx, struct err *err);
MUST_CHECK enum status embedded_reflog_read(struct lake *lake, const char *name, size_t limit,
					    struct lake_reflog *out, struct err *err);

/* ---- uploads (upload.c) ---- */

MUST_CHECK enum status embedded_upload_open(struct lake *lake, struct lake_upload **out,
					    struct err *err);
MUST_CHECK enum status embedded_upload_room(struct lake_upload *up, size_t min, struct err *err);
MUST_CHECK enum status embedded_upload_defer(struct lake_upload *up, struct err *err);
MUST_CHECK enum status embedded_upload_clone(struct lake_upload *up, int from, bool *done_out,
					     struct err *err);
MUST_CHECK enum status embedded_upload_finish(struct lake_upload *up, struct err *err);
void embedded_upload_free(struct lake_upload *up);
/* Gives the finished uploads their names in the store (NULL ones are passed
 * over): files are durable under them on return, small ones are in the log. */
MUST_CHECK enum status embedded_uploads_store(struct embedded *e, struct lake_upload *const *ups,
					      size_t n, struct err *err);
/* After a sync that failed. */
enum status embedded_sync_failed(const struct embedded *e, struct err *err);

/* Before the first byte that is to become durable by embedded_bulk_sync();
 * *served_out false: kernel or file system cannot. */
MUST_CHECK enum status embedded_bulk_begin(struct embedded *e, bool *served_out, struct err *err);
/* Lets the writing of a large file begin. */
MUST_CHECK enum status embedded_bulk_start(int fd, uint64_t size, const char *name,
					   struct err *err);
/* All that was written to the lake's file system is durable. */
MUST_CHECK enum status embedded_bulk_sync(struct embedded *e, struct err *err);

/* The entry of a finished upload, encoded. */
void embedded_upload_entry(const struct lake_upload *up, const char *content_type,
			   const struct lake_meta *meta, struct buf *out);

/* Objects of so many bytes and more are files. */
#define BLOB_FILE_BYTES 16384

/* A lake keeps this random number for its life (key `i`). */
#define LAKE_IDENTITY_BYTES 16
MUST_CHECK enum status embedded_identity(struct embedded *e, unsigned char out[LAKE_IDENTITY_BYTES],
					 struct err *err);

/* ---- reading (read.c) ---- */

char *embedded_blob_path(const struct embedded *e, const struct hash *blob);
MUST_CHECK enum status embedded_stat(struct lake *lake, const struct lake_id *commit,
				     const char *path, struct lake_entry *out, struct err *err);
MUST_CHECK enum status embedded_list_open(struct lake *lake, const struct lake_id *commit,
					  const char *prefix, struct lake_list **out,
					  struct err *err);
MUST_CHECK enum status embedded_list_next(struct lake_list *list, struct lake_entry *out,
					  struct err *err);
MUST_CHECK enum status embedded_list_seek(struct lake_list *list, const char *key, struct err *err);
void embedded_list_close(struct lake_list *list);

/* ---- differences (diff.c) ---- */

MUST_CHECK enum status embedded_diff_open(struct lake *lake, const struct lake_id *a,
					  const struct lake_id *b, const struct lake_span *span,
					  struct lake_diff **out, struct err *err);
MUST_CHECK enum status embedded_diff_count(struct lake *lake, const struct lake_id *a,
					   const struct lake_id *b, const char *prefix,
					   uint64_t limit, uint64_t *out, struct err *err);
MUST_CHECK enum status embedded_diff_next(struct lake_diff *diff, struct lake_diff_entry *out,
					  struct err *err);
void embedded_diff_close(struct lake_diff *diff);

/* ---- objects (object.c) ---- */

MUST_CHECK enum status embedded_object_open(struct lake *lake, const struct lake_id *commit,
					    const char *path, struct lake_object **out,
					    struct err *err);
MUST_CHECK enum status embedded_object_read(struct lake_object *object, uint64_t offset, void *data,
					    size_t len, size_t *n_out, struct err *err);
MUST_CHECK enum status embedded_object_copy(struct lake_object *object, int fd, struct err *err);
void embedded_object_close(struct lake_object *object);

/* ---- merge (merge.c) ---- */

MUST_CHECK enum status embedded_merge_prepare(struct lake *lake, const struct lake_merge *merge,
					      struct lake_id *out,
					      struct lake_conflicts *conflicts_out,
					      struct err *err);
MUST_CHECK enum status embedded_revert_prepare(struct lake *lake, const struct lake_id *head,
					       const struct lake_revert *revert,
					       struct lake_id *out,
					       struct lake_conflicts *conflicts_out,
					       struct err *err);
MUST_CHECK enum status embedded_cherry_pick_prepare(struct lake *lake, const struct lake_id *head,
						    const struct lake_id *commit, unsigned parent,
						    struct lake_id *out,
						    struct lake_conflicts *conflicts_out,
						    struct err *err);

/* ---- staged changes (staging.c) ---- */

MUST_CHECK enum status embedded_stage_put(struct lake *lake, const char *branch, const char *path,
					  struct lake_upload *up, const char *content_type,
					  const struct lake_meta *meta, struct err *err);
MUST_CHECK enum status embedded_stage_remove(struct lake *lake, const char *branch,
					     const char *path, struct err *err);
MUST_CHECK enum status embedded_stage_changes(struct lake *lake, const char *branch,
					      struct lake_changes *out, struct err *err);
MUST_CHECK enum status embedded_stage_commit(struct lake *lake, const char *branch,
					     const char *message, const struct lake_meta *meta,
					     struct lake_id *out, struct err *err);
MUST_CHECK enum status embedded_stage_discard(struct lake *lake, const char *branch,
					      struct err *err);
/* The object of a staged change's record; false: it is a removal. */
MUST_CHECK enum status embedded_staged_blob(struct bytes record, bool *put_out,
					    struct hash *blob_out, uint64_t *size_out,
					    struct err *err);
/* With e->moves held: drops all staged changes of a branch that is deleted. */
MUST_CHECK enum status embedded_stage_drop(struct embedded *e, struct db_batch *batch,
					   const char *branch, struct err *err);

#endif
