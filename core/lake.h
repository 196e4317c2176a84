/* The one door to a versioned lake: what connector/ may call.
 *
 * A lake is a repository of branches, commits and objects. This header speaks
 * in whole operations, because a lake server is a whole versioner too; a
 * backend (embedded/, remote/, later lakefs/) is a table of functions, see
 * lake_backend.h.
 *
 * Commits are made in two steps. Prepare makes a commit that can be read by
 * its id and that no branch shows. lake_refs_move() then makes it visible by
 * compare-and-swap, alone or together with other refs. Whoever prepares and
 * does not move has changed nothing that anybody sees.
 *
 * Threads: a struct lake may be used from any number of threads at once. An
 * upload, a transaction, an iterator or an open object belongs to one thread
 * at a time.
 *
 * Ownership: `T **out` and `struct x *out` are set on success only and then
 * the caller's, to be released by the function named beside it.
 *
 * Errors of every function, besides those named at it: ST_UNREACHABLE the lake
 * did not answer; ST_IO, ST_NO_SPACE local files; ST_DAMAGED stored bytes are
 * not what was stored; ST_EXPIRED an object's bytes were freed by gc, as
 * lake_gc_options.history_retain_ms says. A commit that nothing keeps may be
 * freed while it is read or built upon: ST_NOT_FOUND. */
#ifndef TIDEMARK_LAKE_H
#define TIDEMARK_LAKE_H

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/err.h"

struct lake;

/* ---- ids ---- */

/* A commit id. All zero means "none": a ref that does not exist. */
struct lake_id {
	unsigned char bytes[32];
};

#define LAKE_ID_HEX_BYTES 65
void lake_id_hex(const struct lake_id *id, char out[LAKE_ID_HEX_BYTES]);
/* The first 12 hex digits, for people. */
#define LAKE_ID_SHORT_BYTES 13
void lake_id_short(const struct lake_id *id, char out[LAKE_ID_SHORT_BYTES]);
MUST_CHECK bool lake_id_parse(const char *hex, struct lake_id *out); /* all 64 digits */
bool lake_id_equal(const struct lake_id *a, const struct lake_id *b);
bool lake_id_is_none(const struct lake_id *id);

/* SHA-256 of bytes, in hex: what an embedded lake calls the object that holds
 * them. */
#define LAKE_DIGEST_BYTES 65
void lake_digest(const void *data, size_t len, char out[LAKE_DIGEST_BYTES]);

/* ---- metadata: string to string, sorted by key, no key twice ---- */

struct lake_meta_item {
	char *key;
	char *value;
};

struct lake_meta {
	struct lake_meta_item *items;
	size_t n;
	size_t cap;
};

#define LAKE_META_INIT                                                                             \
	{                                                                                          \
		.items = NULL                                                                      \
	}

void lake_meta_release(struct lake_meta *m);
void lake_meta_set(struct lake_meta *m, const char *key, const char *value); /* copies both */
void lake_meta_unset(struct lake_meta *m, const char *key);
/* NULL where absent; valid until m changes. */
const char *lake_meta_get(const struct lake_meta *m, const char *key);
void lake_meta_copy(struct lake_meta *to, const struct lake_meta *from); /* replaces */

/* ---- open and close ---- */

enum lake_access {
	/* Owns the lake where nobody else does, else goes through the socket of
	 * the process that owns it. For commands. */
	LAKE_ANY,
	/* Must own it; ST_BUSY, naming the owner's pid, where another does.
	 * For workers. */
	LAKE_OWN,
	/* As LAKE_ANY, and every call that would write is refused (ST_FAILED), so
	 * that opening need write nothing either, and others may read at the same time.
	 * For commands that only read. */
	LAKE_READ,
};

struct lake_options {
	enum lake_access access;
	bool create; /* make the lake where its folder is absent or empty; not with LAKE_READ */
	struct clock *clock; /* NULL: clock_system() */
	const char *committer; /* NULL: the user's name, else "tidemark" */
	/* Writing stops with ST_NO_SPACE below so many free bytes, and those that
	 * packing the metadata may take (about twice their size, up to 1 GiB); what frees room
	 * stops below an eighth of it, at most 8 MiB. 0: 64 MiB. */
	uint64_t reserve_bytes;
};

/* url: a path or "file:PATH". Errors: ST_NOT_FOUND no such folder; ST_USAGE
 * the folder is no lake, its format is newer than this program, or the URL's
 * scheme is not known; ST_BUSY. */
MUST_CHECK enum status lake_open(const char *url, const struct lake_options *options,
				 struct lake **out, struct err *err);
/* NULL is fine. Uploads, transactions and iterators must be gone. */
void lake_close(struct lake *lake);
AUTO_DESTRUCTOR(struct lake, lake_close)

/* Makes a new lake with an empty first commit on `main`. ST_EXISTS where url
 * holds a lake; ST_USAGE where it holds something else. */
MUST_CHECK enum status lake_init(const char *url, const struct lake_options *options,
				 struct err *err);
const char *lake_url(const struct lake *lake); /* as a child process may use it; lake's life */
bool lake_is_owner(const struct lake *lake);

/* ---- the owner's socket ---- */

/* Answers a call that names `method`. in is JSON text; the reply, JSON text,
 * is appended to out. Runs on a thread of the server's. */
typedef enum status (*lake_call_handler)(void *ctx, const char *method, const char *in,
					 struct buf *out, struct err *err);
/* Lets other processes use this lake through the socket in its folder, until
 * lake_close(). handler may be NULL; it can be set again, also to NULL: when
 * that returns, no call of the old one runs. Nothing happens where this
 * process is not the owner, or only reads. */
MUST_CHECK enum status lake_serve(struct lake *lake, lake_call_handler handler, void *ctx,
				  struct err *err);
/* Calls the handler of the process that owns the lake. ST_NOT_FOUND where
 * no handler is there: this process is itself the owner, or the owner is no
 * worker. Other errors are the handler's own. */
MUST_CHECK enum status lake_call(struct lake *lake, const char *method, const char *in,
				 struct buf *out, struct err *err);

/* ---- refs ---- */

enum lake_ref_kind { LAKE_BRANCH, LAKE_TAG };

/* A branch's or tag's name: letters, digits, `_`, `-`, not first `-`, 1 to 255
 * characters, not 64 hex digits. ST_USAGE with the remedy. */
MUST_CHECK enum status lake_ref_name_check(enum lake_ref_kind kind, const char *name,
					   struct err *err);
/* A path in the lake: 1 to 1,024 bytes of UTF-8, no empty, "." or ".." part, no
 * leading or trailing slash, no control character. ST_USAGE. */
MUST_CHECK enum status lake_path_check(const char *path, struct err *err);

/* ref: branch, tag, commit id (unique prefix of 6 or more digits), REF~N, REF^N,
 * chained. ST_NOT_FOUND; ST_USAGE where a prefix is not unique. */
MUST_CHECK enum status lake_resolve(struct lake *lake, const char *ref, struct lake_id *out,
				    struct err *err);
/* The head of exactly this branch or tag; ST_NOT_FOUND. */
MUST_CHECK enum status lake_ref_get(struct lake *lake, enum lake_ref_kind kind, const char *name,
				    struct lake_id *out, struct err *err);

struct lake_ref {
	char *name;
	struct lake_id id;
};

struct lake_refs {
	struct lake_ref *items; /* by name, byte order */
	size_t n;
};

MUST_CHECK enum status lake_refs_list(struct lake *lake, enum lake_ref_kind kind,
				      struct lake_refs *out, struct err *err);
void lake_refs_release(struct lake_refs *refs);

struct lake_move {
	enum lake_ref_kind kind;
	const char *name;
	struct lake_id expected; /* none: must not exist */
	struct lake_id to; /* none: is deleted */
};

/* Moves all refs or none, durably, each only if it is where expected says; one
 * reflog entry each. A move to where the ref is only makes sure that it is
 * there. Commits named by `to` become durable with it.
 * ST_CONFLICT names the ref that had moved; nothing changed.
 * ST_UNKNOWN the outcome is not known: resolve before trying again. */
MUST_CHECK enum status lake_refs_move(struct lake *lake, const struct lake_move *moves, size_t n,
				      const char *reason, struct err *err);

/* A protected branch refuses staged writes, commit of staged changes, and
 * reset; merge, revert, cherry-pick and transactions go through. `main` is
 * protected from the start. by: the connector that writes or publishes to the
 * branch ("" none), named in refusals. Protecting again replaces `by`. */
MUST_CHECK enum status lake_branch_protect(struct lake *lake, const char *branch, const char *by,
					   struct err *err);
/* Is it, and by which connector? by_out may be NULL; the caller frees it. */
MUST_CHECK enum status lake_branch_protection(struct lake *lake, const char *branch,
					      bool *protected_out, char **by_out, struct err *err);

/* For people's commands: refused (ST_PROTECTED) on a protected branch, with
 * `rollback` as the remedy where a connector stands behind it. */
MUST_CHECK enum status lake_branch_reset(struct lake *lake, const char *branch,
					 const struct lake_id *to, struct err *err);

struct lake_reflog_entry {
	uint64_t sequence;
	enum lake_ref_kind kind;
	char *name;
	struct lake_id from;
	struct lake_id to;
	int64_t time_ms;
	char *committer;
	char *reason;
};

struct lake_reflog {
	struct lake_reflog_entry *items; /* newest first */
	size_t n;
};

/* name NULL: all refs. limit 0: all. */
MUST_CHECK enum status lake_reflog_read(struct lake *lake, const char *name, size_t limit,
					struct lake_reflog *out, struct err *err);
void lake_reflog_entry_clear(struct lake_reflog_entry *entry);
void lake_reflog_release(struct lake_reflog *log);

/* ---- commits ---- */

struct lake_commit {
	struct lake_id id;
	struct lake_id tree; /* equal content, equal tree */
	struct lake_id *parents;
	size_t n_parents;
	uint64_t generation; /* 1 + the greatest of its parents'; the first has 1 */
	int64_t time_ms; /* later than each parent's */
	char *message;
	char *committer;
	struct lake_meta meta;
};

MUST_CHECK enum status lake_commit_read(struct lake *lake, const struct lake_id *id,
					struct lake_commit *out, struct err *err);
void lake_commit_release(struct lake_commit *commit);

struct lake_log;
/* Newest first (by generation, then time); a commit comes before its parents,
 * each once. Reads no more commits than are shown, and their parents. */
MUST_CHECK enum status lake_log_open(struct lake *lake, const struct lake_id *from,
				     bool first_parent, struct lake_log **out, struct err *err);
/* ST_END after the last; out is released by the caller after each success. */
MUST_CHECK enum status lake_log_next(struct lake_log *log, struct lake_commit *out,
				     struct err *err);
void lake_log_close(struct lake_log *log);
AUTO_DESTRUCTOR(struct lake_log, lake_log_close)

/* The oldest commit on the line of first parents of `from` for which holds()
 * is true, in O(log n) commit reads. holds must be monotone along that line:
 * once false, false for all older ones. ST_NOT_FOUND where it is false at
 * `from` itself. holds runs on the caller's thread. */
MUST_CHECK enum status lake_log_search(struct lake *lake, const struct lake_id *from,
				       bool (*holds)(void *ctx, const struct lake_commit *commit),
				       void *ctx, struct lake_commit *out, struct err *err);

/* Is `ancestor` an ancestor of `of`, or it itself? */
MUST_CHECK enum status lake_is_ancestor(struct lake *lake, const struct lake_id *ancestor,
					const struct lake_id *of, bool *out, struct err *err);
/* The best common ancestor; none (all zero) where there is none. Histories that
 * crossed have several: then the one with the greatest generation, time, id. */
MUST_CHECK enum status lake_merge_base(struct lake *lake, const struct lake_id *a,
				       const struct lake_id *b, struct lake_id *out,
				       struct err *err);
/* All of them, oldest first; *out is the caller's to free. */
MUST_CHECK enum status lake_merge_bases(struct lake *lake, const struct lake_id *a,
					const struct lake_id *b, struct lake_id **out,
					size_t *n_out, struct err *err);

/* ---- reading objects ---- */

struct lake_entry {
	char *path;
	uint64_t size;
	char *checksum; /* hex: SHA-256 in the embedded lake */
	char *content_type;
	struct lake_meta meta;
};

void lake_entry_release(struct lake_entry *entry);

/* ST_NOT_FOUND where the commit has no such path. */
MUST_CHECK enum status lake_stat(struct lake *lake, const struct lake_id *commit, const char *path,
				 struct lake_entry *out, struct err *err);

struct lake_hold;
/* Keeps the commit and its objects from being collected until the release,
 * whatever else names them. ST_NOT_FOUND where gc is freeing it. */
MUST_CHECK enum status lake_hold(struct lake *lake, const struct lake_id *commit,
				 struct lake_hold **out, struct err *err);
void lake_hold_release(struct lake_hold *hold);
AUTO_DESTRUCTOR(struct lake_hold, lake_hold_release)

struct lake_list;
/* Entries whose path begins with prefix ("" all), in byte order. */
MUST_CHECK enum status lake_list_open(struct lake *lake, const struct lake_id *commit,
				      const char *prefix, struct lake_list **out, struct err *err);
MUST_CHECK enum status lake_list_next(struct lake_list *list, struct lake_entry *out,
				      struct err *err);
/* Goes on at the first path >= key (forward only), in O(log n). */
MUST_CHECK enum status lake_list_seek(struct lake_list *list, const char *key, struct err *err);
void lake_list_close(struct lake_list *list);
AUTO_DESTRUCTOR(struct lake_list, lake_list_close)

struct lake_object;
MUST_CHECK enum status lake_object_open(struct lake *lake, const struct lake_id *commit,
					const char *path, struct lake_object **out,
					struct err *err);
uint64_t lake_object_size(const struct lake_object *object);
/* Fills data with up to len bytes from offset; *n_out < len only at the end. */
MUST_CHECK enum status lake_object_read(struct lake_object *object, uint64_t offset, void *data,
					size_t len, size_t *n_out, struct err *err);
/* The absolute path of a local file that holds the object's bytes and nothing
 * else, for reading; NULL where there is none (a small object). The file is there
 * as long as the commit is held (lake_hold()); the text as long as the object is
 * open. Whoever reads the file has bytes that nobody has compared with their
 * checksum. */
const char *lake_object_path(const struct lake_object *object);
/* Writes the whole object to a file, by reflink or in the kernel where it can. */
MUST_CHECK enum status lake_object_copy(struct lake_object *object, int fd, struct err *err);
void lake_object_close(struct lake_object *object);
AUTO_DESTRUCTOR(struct lake_object, lake_object_close)

/* Appends the whole object; ST_FAILED where it is larger than max. */
MUST_CHECK enum status lake_read(struct lake *lake, const struct lake_id *commit, const char *path,
				 size_t max, struct buf *out, struct err *err);

/* ---- uploads: data on its way into the lake ---- */

struct lake_upload;
/* A new object's data. Nothing is visible until a transaction or staged write
 * takes it and is committed; without that, free drops it. */
MUST_CHECK enum status lake_upload_open(struct lake *lake, struct lake_upload **out,
					struct err *err);
/* Room to write into: at least min bytes (min <= 256 KiB); *room_out may be more. */
MUST_CHECK enum status lake_upload_reserve(struct lake_upload *up, size_t min, void **data_out,
					   size_t *room_out, struct err *err);
/* The first n bytes of the room now belong to the object. */
void lake_upload_advance(struct lake_upload *up, size_t n);
MUST_CHECK enum status lake_upload_write(struct lake_upload *up, const void *data, size_t len,
					 struct err *err);
uint64_t lake_upload_size(const struct lake_upload *up);
/* Before anything is written: its data need not be durable when it is finished,
 * but when a transaction with it is prepared, together with all others of which
 * that was said. For many objects in one commit: two syncs for all of them. */
MUST_CHECK enum status lake_upload_defer(struct lake_upload *up, struct err *err);
/* Takes all bytes that a file has at one moment in place of writing them, where
 * the file system can share them (reflinks); *done_out false: it cannot, and the
 * object is still empty. Of deferred uploads only. */
MUST_CHECK enum status lake_upload_clone(struct lake_upload *up, int fd, bool *done_out,
					 struct err *err);
/* Writes what is buffered and makes the data durable (its name in the store
 * becomes so with the commit). Nothing may be written after it. */
MUST_CHECK enum status lake_upload_finish(struct lake_upload *up, struct err *err);
void lake_upload_free(struct lake_upload *up);
AUTO_DESTRUCTOR(struct lake_upload, lake_upload_free)

/* ---- transactions: a new commit out of an old one ---- */

struct lake_txn;
/* Starts from the tree of base. The commit's parents are [base] unless
 * lake_txn_parents() says otherwise. */
MUST_CHECK enum status lake_txn_begin(struct lake *lake, const struct lake_id *base,
				      struct lake_txn **out, struct err *err);
/* Adds or replaces path. up must be finished and is consumed on success.
 * content_type and meta may be NULL. A path may be set (put or removed) once
 * for each base: after a rebase what is set anew replaces what was set before. */
MUST_CHECK enum status lake_txn_put(struct lake_txn *txn, const char *path, struct lake_upload *up,
				    const char *content_type, const struct lake_meta *meta,
				    struct err *err);
MUST_CHECK enum status lake_txn_put_bytes(struct lake_txn *txn, const char *path, const void *data,
					  size_t len, const char *content_type,
					  const struct lake_meta *meta, struct err *err);
/* Removing what is not there is fine. */
MUST_CHECK enum status lake_txn_remove(struct lake_txn *txn, const char *path, struct err *err);
/* Everything under prefix (a folder "a/b/" or one path) becomes what `from`
 * has there; nothing where it has nothing. Puts and removes of this
 * transaction win over grafts, in whatever order. Copies no data. */
MUST_CHECK enum status lake_txn_graft(struct lake_txn *txn, const struct lake_id *from,
				      const char *prefix, struct err *err);
void lake_txn_parents(struct lake_txn *txn, const struct lake_id *parents, size_t n);
void lake_txn_set_meta(struct lake_txn *txn, const char *key, const char *value);
void lake_txn_set_message(struct lake_txn *txn, const char *message);
/* Starts again from another base, with the same puts, removes and grafts; the
 * metadata is emptied, the parents are [base]. */
MUST_CHECK enum status lake_txn_rebase(struct lake_txn *txn, const struct lake_id *base,
				       struct err *err);
/* Makes the commit, readable by its id and shown by no ref; objects are
 * durable when it returns. May be followed by rebase and prepare again. */
MUST_CHECK enum status lake_txn_prepare(struct lake_txn *txn, struct lake_id *out, struct err *err);
/* Prepare, then move `branch` from expected to it. ST_CONFLICT: the branch is
 * elsewhere, nothing changed, the transaction may be rebased. ST_UNKNOWN. */
MUST_CHECK enum status lake_txn_commit(struct lake_txn *txn, const char *branch,
				       const struct lake_id *expected, const char *reason,
				       struct lake_id *out, struct err *err);
void lake_txn_free(struct lake_txn *txn);
AUTO_DESTRUCTOR(struct lake_txn, lake_txn_free)

/* ---- diff, merge, revert ---- */

enum lake_change { LAKE_ADDED, LAKE_REMOVED, LAKE_CHANGED };
const char *lake_change_name(enum lake_change change); /* "added", ... */

struct lake_diff_entry {
	enum lake_change change;
	char *path;
};

struct lake_diff;
/* What b has that a has not, under prefix, in byte order of the paths. Costs
 * by the differences, not by the trees. */
MUST_CHECK enum status lake_diff_open(struct lake *lake, const struct lake_id *a,
				      const struct lake_id *b, const char *prefix,
				      struct lake_diff **out, struct err *err);
/* Paths >= from alone, and < until where that is not NULL. */
MUST_CHECK enum status lake_diff_open_between(struct lake *lake, const struct lake_id *a,
					      const struct lake_id *b, const char *from,
					      const char *until, struct lake_diff **out,
					      struct err *err);
/* How many differences there are under prefix, or at least `limit` of them. What only
 * one of them has is counted by subtrees, unread. */
MUST_CHECK enum status lake_diff_count(struct lake *lake, const struct lake_id *a,
				       const struct lake_id *b, const char *prefix, uint64_t limit,
				       uint64_t *out, struct err *err);
/* out->path is the caller's to free. */
MUST_CHECK enum status lake_diff_next(struct lake_diff *diff, struct lake_diff_entry *out,
				      struct err *err);
void lake_diff_close(struct lake_diff *diff);
AUTO_DESTRUCTOR(struct lake_diff, lake_diff_close)

enum lake_strategy { LAKE_NO_STRATEGY, LAKE_OURS, LAKE_THEIRS }; /* theirs: the source wins */

/* Paths that cannot be merged; a directory and a file of one name are one. */
struct lake_conflicts {
	char **paths;
	size_t n;
};

void lake_conflicts_release(struct lake_conflicts *conflicts);

struct lake_merge {
	struct lake_id source;
	struct lake_id dest;
	enum lake_strategy strategy;
	const char *message; /* NULL: none */
	const struct lake_meta *meta; /* NULL: none */
	/* Makes a commit also where source holds nothing that dest has not. */
	bool allow_empty;
};

/* Merges three-way into a prepared commit with parents [dest, source]. Several
 * best common ancestors are merged first, into a base that nobody sees; paths
 * on which they disagree conflict, unless dest and source have the same there.
 * ST_CONFLICT: conflicts_out lists the paths (released by the caller).
 * ST_EMPTY: source is an ancestor of dest and allow_empty is not set. */
MUST_CHECK enum status lake_merge_prepare(struct lake *lake, const struct lake_merge *merge,
					  struct lake_id *out, struct lake_conflicts *conflicts_out,
					  struct err *err);

struct lake_revert {
	const struct lake_id *commits;
	size_t n;
	/* What they changed is what they differ in from this parent, counted from
	 * 1; 0: from the first. */
	unsigned parent;
	const char *message; /* NULL: none */
};

/* A prepared commit on top of head that undoes each of the commits, in the
 * order given. ST_CONFLICT as in a merge; ST_EMPTY where nothing would change;
 * ST_USAGE for a commit without parents, or without that one. */
MUST_CHECK enum status lake_revert_prepare(struct lake *lake, const struct lake_id *head,
					   const struct lake_revert *revert, struct lake_id *out,
					   struct lake_conflicts *conflicts_out, struct err *err);

/* A prepared commit on top of head that changes what `commit` changed against
 * its parent, with its message and metadata: but for keys that begin with
 * `tidemark.` (it is no checkpoint), and with `cherry-pick-origin`, the id, and
 * `cherry-pick-committer`. parent: counted from 1; 0: the only one; a merge's
 * must be named, or ST_USAGE. A commit without parents is picked whole.
 * ST_CONFLICT as in a merge; ST_EMPTY where head has all of it. */
MUST_CHECK enum status lake_cherry_pick_prepare(struct lake *lake, const struct lake_id *head,
						const struct lake_id *commit, unsigned parent,
						struct lake_id *out,
						struct lake_conflicts *conflicts_out,
						struct err *err);

/* ---- staged changes of a branch ---- */

/* ST_PROTECTED on a protected branch; up is finished, consumed on success. */
MUST_CHECK enum status lake_stage_put(struct lake *lake, const char *branch, const char *path,
				      struct lake_upload *up, const char *content_type,
				      const struct lake_meta *meta, struct err *err);
/* ST_NOT_FOUND where neither head nor staged changes have the path. */
MUST_CHECK enum status lake_stage_remove(struct lake *lake, const char *branch, const char *path,
					 struct err *err);

struct lake_changes {
	struct lake_diff_entry *items; /* by path */
	size_t n;
};

/* What commit would change. */
MUST_CHECK enum status lake_stage_changes(struct lake *lake, const char *branch,
					  struct lake_changes *out, struct err *err);
void lake_changes_release(struct lake_changes *changes);
/* ST_EMPTY where nothing is staged. */
MUST_CHECK enum status lake_stage_commit(struct lake *lake, const char *branch, const char *message,
					 const struct lake_meta *meta, struct lake_id *out,
					 struct err *err);
MUST_CHECK enum status lake_stage_discard(struct lake *lake, const char *branch, struct err *err);

/* ---- room ---- */

/* Lets this handle write into the reserve, for an owner that is about to stop and
 * says why. */
void lake_open_reserve(struct lake *lake);
/* Free bytes of the volume that new objects go to, above the reserve. */
MUST_CHECK enum status lake_free_bytes(struct lake *lake, uint64_t *out, struct err *err);

#include "core/lake_upkeep.h" /* checking, and freeing what nothing needs */

#endif
