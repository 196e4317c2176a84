/* The client's uploads, transactions, merges and staged changes. */
#include <stdlib.h>
#include <string.h>

#include "core/remote/remote.h"

/* ---- uploads: gathered here, sent by the chunk, opened with the first ---- */

#define CAP_FIRST 4096

struct remote_upload {
	struct lake_upload base;
	uint64_t session;
	uint64_t handle; /* 0: nothing is at the owner */
};

static struct remote_upload *upload_of(struct lake_upload *up)
{
	return (struct remote_upload *)up;
}

enum status remote_upload_open(struct lake *lake, struct lake_upload **out, struct err *err)
{
	struct remote_upload *u = xcalloc(1, sizeof(*u));

	(void)err;
	u->base.lake = lake;
	*out = &u->base;
	return ST_OK;
}

/* lost_out: the owner does not know the session, and nothing is lost by a new
 * one. */
static enum status send_once(struct remote_upload *u, bool finish, bool *lost_out, struct err *err)
{
	struct remote *r = remote_of(u->base.lake);
	AUTO(ask_release) struct ask a;
	enum status st = ST_OK;
	bool fresh = u->handle == 0;

	*lost_out = false;
	if (fresh)
		st = remote_session(r, &u->session, err);
	if (st != ST_OK)
		return st;
	ask_init(&a, r, "upload");
	ask_u64(&a, "session", u->session);
	if (!fresh)
		ask_u64(&a, "handle", u->handle);
	else if (u->base.deferred)
		ask_u64(&a, "defer", 1);
	ask_u64(&a, "finish", finish);
	a.data = u->base.data;
	a.data_len = u->base.used;
	st = ask_post_unseen(&a, err);
	if (fresh && st == ST_UNREACHABLE && a.answer.code) {
		remote_session_lost(r, u->session);
		*lost_out = true;
	}
	if (st == ST_OK)
		st = ask_json(&a, err);
	if (st == ST_OK && !wire_get_u64(a.out, "handle", &u->handle))
		st = ask_bad_answer(err);
	return st;
}

static enum status send_data(struct remote_upload *u, bool finish, struct err *err)
{
	bool lost;
	enum status st = send_once(u, finish, &lost, err);

	if (lost)
		st = send_once(u, finish, &lost, err);
	if (st != ST_OK)
		return st;
	u->base.flushed += u->base.used;
	u->base.used = 0;
	return ST_OK;
}

enum status remote_upload_room(struct lake_upload *up, size_t min, struct err *err)
{
	size_t cap = up->cap ? up->cap : CAP_FIRST;

	if (up->used + min > WIRE_CHUNK_BYTES) {
		enum status st = send_data(upload_of(up), false, err);

		if (st != ST_OK)
			return st;
	}
	if (up->cap && cap - up->used < min && cap < WIRE_CHUNK_BYTES)
		cap *= 2;
	while (cap - up->used < min)
		cap *= 2;
	if (cap != up->cap)
		up->data = xrealloc(up->data, cap);
	up->cap = cap;
	return ST_OK;
}

/* Said to the owner with the first piece. */
enum status remote_upload_defer(struct lake_upload *up, struct err *err)
{
	(void)err;
	up->deferred = true;
	return ST_OK;
}

enum status remote_upload_finish(struct lake_upload *up, struct err *err)
{
	enum status st = send_data(upload_of(up), true, err);

	if (st != ST_OK)
		return st;
	free(up->data);
	up->data = NULL;
	up->cap = 0;
	return ST_OK;
}

void remote_upload_free(struct lake_upload *up)
{
	struct remote_upload *u = upload_of(up);

	if (u->handle)
		remote_close_handle(remote_of(up->lake), "upload", u->session, u->handle);
	free(up->data);
	free(u);
}

/* ---- transactions ---- */

static json_t *json_ids(const struct lake_id *ids, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, wire_id(&ids[i]));
	return list;
}

static json_t *json_put(const struct lake_put *put)
{
	if (!put->up)
		return json_pack("{s:o}", "path", wire_text(put->path));
	return json_pack("{s:o,s:I,s:o,s:o}", "path", wire_text(put->path), "upload",
			 (json_int_t)upload_of(put->up)->handle, "content_type",
			 wire_text(put->content_type), "meta", wire_meta(&put->meta));
}

/* All uploads of a transaction are of one session, or one is gone. */
static enum status puts_session(const struct lake_txn *txn, uint64_t *out, struct err *err)
{
	uint64_t session = 0;

	for (size_t i = 0; i < txn->n_puts; i++) {
		if (!txn->puts[i].up)
			continue;
		if (session && upload_of(txn->puts[i].up)->session != session)
			return err_set(err, ST_UNREACHABLE,
				       "the lake's owner was replaced in the middle of a "
				       "transaction; begin it again");
		session = upload_of(txn->puts[i].up)->session;
	}
	*out = session;
	return ST_OK;
}

enum status remote_txn_prepare(struct lake *lake, const struct lake_txn *txn, struct lake_id *out,
			       struct err *err)
{
	AUTO(ask_release) struct ask a;
	json_t *puts, *grafts;
	uint64_t session = 0;
	enum status st = puts_session(txn, &session, err);

	if (st != ST_OK)
		return st;
	puts = json_array();
	grafts = json_array();
	for (size_t i = 0; i < txn->n_puts; i++)
		json_array_append_new(puts, json_put(&txn->puts[i]));
	for (size_t i = 0; i < txn->n_grafts; i++)
		json_array_append_new(grafts,
				      json_pack("{s:o,s:o}", "from", wire_id(&txn->grafts[i].from),
						"prefix", wire_text(txn->grafts[i].prefix)));
	ask_init(&a, remote_of(lake), "txn");
	a.in = json_pack("{s:I,s:o,s:o,s:o,s:o,s:o,s:o}", "session", (json_int_t)session, "base",
			 wire_id(&txn->base), "parents", json_ids(txn->parents, txn->n_parents),
			 "message", wire_text(txn->message), "meta", wire_meta(&txn->meta), "puts",
			 puts, "grafts", grafts);
	st = ask_post_unseen(&a, err);
	return st == ST_OK ? ask_answer_id(&a, out, err) : st;
}

/* ---- merge, revert and cherry-pick ---- */

static void read_conflicts(const struct ask *a, struct lake_conflicts *out)
{
	const json_t *list = json_object_get(a->out, "conflicts");
	size_t n = json_array_size(list);

	*out = (struct lake_conflicts){.paths = n ? xcalloc(n, sizeof(char *)) : NULL};
	for (size_t i = 0; i < n; i++) {
		/* wire_get_text() reads members, so the path is made one. */
		AUTO(json_freep) json_t *one = json_pack("{s:O}", "path", json_array_get(list, i));

		if (wire_get_text(one, "path", &out->paths[out->n]))
			out->n++;
	}
}

static enum status prepare(struct ask *a, struct lake_id *out, struct lake_conflicts *conflicts_out,
			   struct err *err)
{
	enum status st = ask_post_unseen(a, err);

	if (st == ST_CONFLICT && conflicts_out)
		read_conflicts(a, conflicts_out);
	return st == ST_OK ? ask_answer_id(a, out, err) : st;
}

enum status remote_merge_prepare(struct lake *lake, const struct lake_merge *merge,
				 struct lake_id *out, struct lake_conflicts *conflicts_out,
				 struct err *err)
{
	AUTO(ask_release) struct ask a;

	ask_init(&a, remote_of(lake), "merge");
	a.in = json_pack("{s:o,s:o,s:i,s:b}", "source", wire_id(&merge->source), "dest",
			 wire_id(&merge->dest), "strategy", (int)merge->strategy, "allow_empty",
			 merge->allow_empty);
	if (merge->message)
		json_object_set_new(a.in, "message", wire_text(merge->message));
	if (merge->meta)
		json_object_set_new(a.in, "meta", wire_meta(merge->meta));
	return prepare(&a, out, conflicts_out, err);
}

enum status remote_revert_prepare(struct lake *lake, const struct lake_id *head,
				  const struct lake_revert *revert, struct lake_id *out,
				  struct lake_conflicts *conflicts_out, struct err *err)
{
	AUTO(ask_release) struct ask a;

	ask_init(&a, remote_of(lake), "revert");
	a.in = json_pack("{s:o,s:o,s:I}", "head", wire_id(head), "commits",
			 json_ids(revert->commits, revert->n), "parent",
			 (json_int_t)revert->parent);
	if (revert->message)
		json_object_set_new(a.in, "message", wire_text(revert->message));
	return prepare(&a, out, conflicts_out, err);
}

enum status remote_cherry_pick_prepare(struct lake *lake, const struct lake_id *head,
				       const struct lake_id *commit, unsigned parent,
				       struct lake_id *out, struct lake_conflicts *conflicts_out,
				       struct err *err)
{
	AUTO(ask_release) struct ask a;

	ask_init(&a, remote_of(lake), "cherry-pick");
	a.in = json_pack("{s:o,s:o,s:I}", "head", wire_id(head), "commit", wire_id(commit),
			 "parent", (json_int_t)parent);
	return prepare(&a, out, conflicts_out, err);
}

/* ---- staged changes ---- */

enum status remote_stage_put(struct lake *lake, const char *branch, const char *path,
			     struct lake_upload *up, const char *content_type,
			     const struct lake_meta *meta, struct err *err)
{
	struct remote_upload *u = upload_of(up);
	AUTO(ask_release) struct ask a;
	enum status st;

	ask_init(&a, remote_of(lake), "stage-put");
	a.in = json_pack("{s:I,s:I,s:o,s:o,s:o,s:o}", "session", (json_int_t)u->session, "upload",
			 (json_int_t)u->handle, "branch", wire_text(branch), "path",
			 wire_text(path), "content_type", wire_text(content_type), "meta",
			 wire_meta(meta));
	st = ask_post(&a, err);
	if (st == ST_OK)
		u->handle = 0; /* the owner has consumed it */
	return st;
}

enum status remote_stage_remove(struct lake *lake, const char *branch, const char *path,
				struct err *err)
{
	AUTO(ask_release) struct ask a;

	ask_init(&a, remote_of(lake), "stage-remove");
	a.in = json_pack("{s:o,s:o}", "branch", wire_text(branch), "path", wire_text(path));
	return ask_post(&a, err);
}

enum status remote_stage_changes(struct lake *lake, const char *branch, struct lake_changes *out,
				 struct err *err)
{
	AUTO(lake_changes_release) struct lake_changes changes = {.n = 0};
	AUTO(ask_release) struct ask a;
	const json_t *list;
	enum status st;

	ask_init(&a, remote_of(lake), "staged");
	ask_text(&a, "branch", branch);
	st = ask_get(&a, err);
	if (st == ST_OK)
		st = ask_json(&a, err);
	if (st != ST_OK)
		return st;
	list = json_object_get(a.out, "entries");
	changes.items = xcalloc(json_array_size(list), sizeof(*changes.items));
	for (; changes.n < json_array_size(list); changes.n++)
		if (!wire_get_diff_entry(json_array_get(list, changes.n),
					 &changes.items[changes.n]))
			return ask_bad_answer(err);
	*out = changes;
	changes = (struct lake_changes){.n = 0};
	return ST_OK;
}

enum status remote_stage_commit(struct lake *lake, const char *branch, const char *message,
				const struct lake_meta *meta, struct lake_id *out, struct err *err)
{
	AUTO(ask_release) struct ask a;
	enum status st;

	ask_init(&a, remote_of(lake), "stage-commit");
	a.in = json_pack("{s:o,s:o,s:o}", "branch", wire_text(branch), "message",
			 wire_text(message), "meta", wire_meta(meta));
	st = ask_post(&a, err);
	return st == ST_OK ? ask_answer_id(&a, out, err) : st;
}

enum status remote_stage_discard(struct lake *lake, const char *branch, struct err *err)
{
	AUTO(ask_release) struct ask a;

	ask_init(&a, remote_of(lake), "stage-discard");
	a.in = json_pack("{s:o}", "branch", wire_text(branch));
	return ask_post(&a, err);
}
