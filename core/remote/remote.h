/* The client's connections and requests. Within core/remote/ only. */
#ifndef TIDEMARK_REMOTE_REMOTE_H
#define TIDEMARK_REMOTE_REMOTE_H

#include "core/net/http_client.h"
#include "core/remote/wire.h"

#define REMOTE_CLIENTS 8

struct remote {
	struct lake base;
	int dir_fd; /* -1, or what socket_path needs */
	char *socket_path;
	char *committer; /* percent-encoded */
	pthread_mutex_t mutex;
	struct http_client *idle[REMOTE_CLIENTS]; /* guarded by mutex, with all below */
	size_t n_idle;
	/* Its one connection is the session's life; no other request uses it. */
	struct http_client *anchor;
	uint64_t session; /* 0: none yet */
};

static inline struct remote *remote_of(struct lake *lake)
{
	return (struct remote *)lake;
}

/* One request under way: its URL first, then the sending. */
struct ask {
	struct remote *remote;
	struct buf url;
	struct http_answer answer;
	json_t *in; /* the body of a POST, to be set by the caller; NULL: none */
	json_t *out; /* the answer, where it is JSON */
	const void *data; /* in place of `in` */
	size_t data_len;
	bool no_timeout;
};

void ask_init(struct ask *a, struct remote *r, const char *operation);
void ask_release(struct ask *a);
void ask_text(struct ask *a, const char *name, const char *value);
void ask_id(struct ask *a, const char *name, const struct lake_id *id);
void ask_u64(struct ask *a, const char *name, uint64_t value);
/* Sends it and reads the answer. Fails with the owner's own status and text.
 * get: reads. post: ST_UNKNOWN where no answer came. post_unseen: that is
 * ST_UNREACHABLE. */
MUST_CHECK enum status ask_get(struct ask *a, struct err *err);
MUST_CHECK enum status ask_post(struct ask *a, struct err *err);
MUST_CHECK enum status ask_post_unseen(struct ask *a, struct err *err);
/* Parses the answer of an operation that answers in JSON into a->out. */
MUST_CHECK enum status ask_json(struct ask *a, struct err *err);
/* The member "id" of the answer. */
MUST_CHECK enum status ask_answer_id(struct ask *a, struct lake_id *out, struct err *err);
enum status ask_bad_answer(struct err *err);

/* The session, which is begun where there is none. */
MUST_CHECK enum status remote_session(struct remote *r, uint64_t *out, struct err *err);
/* The owner did not know it: the next caller gets a new one. */
void remote_session_lost(struct remote *r, uint64_t session);
/* Closes a handle; what goes wrong is not told: it ends with the session. */
void remote_close_handle(struct remote *r, const char *kind, uint64_t session, uint64_t handle);

/* The members of the table, by file. */
enum status remote_ref_get(struct lake *lake, enum lake_ref_kind kind, const char *name,
			   struct lake_id *out, struct err *err);
enum status remote_commit_by_prefix(struct lake *lake, const char *prefix, struct lake_id *out,
				    struct err *err);
enum status remote_refs_list(struct lake *lake, enum lake_ref_kind kind, struct lake_refs *out,
			     struct err *err);
enum status remote_refs_move(struct lake *lake, const struct lake_move *moves, size_t n,
			     const char *reason, struct err *err);
enum status remote_reflog_read(struct lake *lake, const char *name, size_t limit,
			       struct lake_reflog *out, struct err *err);
enum status remote_branch_protect(struct lake *lake, const char *branch, const char *by,
				  struct err *err);
enum status remote_branch_protection(struct lake *lake, const char *branch, bool *protected_out,
				     char **by_out, struct err *err);

enum status remote_commit_get(struct lake *lake, const struct lake_id *id, struct commit *out,
			      struct err *err);
enum status remote_stat(struct lake *lake, const struct lake_id *commit, const char *path,
			struct lake_entry *out, struct err *err);
enum status remote_list_open(struct lake *lake, const struct lake_id *commit, const char *prefix,
			     struct lake_list **out, struct err *err);
enum status remote_list_next(struct lake_list *list, struct lake_entry *out, struct err *err);
enum status remote_list_seek(struct lake_list *list, const char *key, struct err *err);
void remote_list_close(struct lake_list *list);
enum status remote_object_open(struct lake *lake, const struct lake_id *commit, const char *path,
			       struct lake_object **out, struct err *err);
enum status remote_object_read(struct lake_object *object, uint64_t offset, void *data, size_t len,
			       size_t *n_out, struct err *err);
void remote_object_close(struct lake_object *object);
enum status remote_diff_open(struct lake *lake, const struct lake_id *a, const struct lake_id *b,
			     const struct lake_span *span, struct lake_diff **out, struct err *err);
enum status remote_diff_count(struct lake *lake, const struct lake_id *a, const struct lake_id *b,
			      const char *prefix, uint64_t limit, uint64_t *out, struct err *err);
enum status remote_diff_next(struct lake_diff *diff, struct lake_diff_entry *out, struct err *err);
void remote_diff_close(struct lake_diff *diff);
enum status remote_fsck(struct lake *lake, bool quick, struct lake_fsck_report *report,
			struct err *err);
enum status remote_backup(struct lake *lake, const char *dir, struct lake_backup_report *out,
			  struct err *err);
enum status remote_progress(struct lake *lake, struct lake_progress *out, struct err *err);
enum status remote_free_bytes(struct lake *lake, uint64_t *out, struct err *err);

enum status remote_gc(struct lake *lake, const struct lake_gc_options *options,
		      struct lake_gc_report *out, struct err *err);
enum status remote_check_expired(struct lake *lake, const struct lake_id *shown,
				 const struct lake_id *wanted, struct err *err);

enum status remote_upload_open(struct lake *lake, struct lake_upload **out, struct err *err);
enum status remote_upload_room(struct lake_upload *up, size_t min, struct err *err);
enum status remote_upload_defer(struct lake_upload *up, struct err *err);
enum status remote_upload_finish(struct lake_upload *up, struct err *err);
void remote_upload_free(struct lake_upload *up);
enum status remote_txn_prepare(struct lake *lake, const struct lake_txn *txn, struct lake_id *out,
			       struct err *err);
enum status remote_merge_prepare(struct lake *lake, const struct lake_merge *merge,
				 struct lake_id *out, struct lake_conflicts *conflicts_out,
				 struct err *err);
enum status remote_revert_prepare(struct lake *lake, const struct lake_id *head,
				  const struct lake_revert *revert, struct lake_id *out,
				  struct lake_conflicts *conflicts_out, struct err *err);
enum status remote_cherry_pick_prepare(struct lake *lake, const struct lake_id *head,
				       const struct lake_id *commit, unsigned parent,
				       struct lake_id *out, struct lake_conflicts *conflicts_out,
				       struct err *err);
enum status remote_stage_put(struct lake *lake, const char *branch, const char *path,
			     struct lake_upload *up, const char *content_type,
			     const struct lake_meta *meta, struct err *err);
enum status remote_stage_remove(struct lake *lake, const char *branch, const char *path,
				struct err *err);
enum status remote_stage_changes(struct lake *lake, const char *branch, struct lake_changes *out,
				 struct err *err);
enum status remote_stage_commit(struct lake *lake, const char *branch, const char *message,
				const struct lake_meta *meta, struct lake_id *out, struct err *err);
enum status remote_stage_discard(struct lake *lake, const char *branch, struct err *err);

#endif
