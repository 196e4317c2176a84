/* Uploads, transactions, merges and staged changes: what is the same for all
 * backends. A transaction only gathers; the backend sees it whole in
 * txn_prepare. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/lake_backend.h"

#define ROOM_MAX_BYTES (256u << 10)

/* ---- uploads ---- */

enum status lake_upload_open(struct lake *lake, struct lake_upload **out, struct err *err)
{
	return lake->ops->upload_open(lake, out, err);
}

enum status lake_upload_reserve(struct lake_upload *up, size_t min, void **data_out,
				size_t *room_out, struct err *err)
{
	assert(!up->finished && min <= ROOM_MAX_BYTES);
	if (up->cap - up->used < min || up->cap == up->used) {
		enum status st = up->lake->ops->upload_room(up, min ? min : 1, err);

		if (st != ST_OK)
			return st;
	}
	*data_out = up->data + up->used;
	*room_out = up->cap - up->used;
	return ST_OK;
}

void lake_upload_advance(struct lake_upload *up, size_t n)
{
	assert(n <= up->cap - up->used);
	up->used += n;
}

enum status lake_upload_write(struct lake_upload *up, const void *data, size_t len, struct err *err)
{
	const char *p = data;

	while (len > 0) {
		size_t room = 0;
		void *to = NULL;
		enum status st = lake_upload_reserve(up, 1, &to, &room, err);

		if (st != ST_OK)
			return st;
		if (room > len)
			room = len;
		memcpy(to, p, room);
		lake_upload_advance(up, room);
		p += room;
		len -= room;
	}
	return ST_OK;
}

uint64_t lake_upload_size(const struct lake_upload *up)
{
	return up->flushed + up->used;
}

enum status lake_upload_defer(struct lake_upload *up, struct err *err)
{
	assert(!up->finished && lake_upload_size(up) == 0);
	return up->lake->ops->upload_defer(up, err);
}

enum status lake_upload_clone(struct lake_upload *up, int fd, bool *done_out, struct err *err)
{
	assert(!up->finished && lake_upload_size(up) == 0);
	*done_out = false;
	return up->lake->ops->upload_clone ? up->lake->ops->upload_clone(up, fd, done_out, err)
					   : ST_OK;
}

enum status lake_upload_finish(struct lake_upload *up, struct err *err)
{
	enum status st = up->finished ? ST_OK : up->lake->ops->upload_finish(up, err);

	if (st == ST_OK)
		up->finished = true;
	return st;
}

void lake_upload_free(struct lake_upload *up)
{
	if (up)
		up->lake->ops->upload_free(up);
}

/* ---- transactions ---- */

static void txn_start(struct lake_txn *txn, const struct lake_id *base)
{
	txn->base = *base;
	lake_txn_parents(txn, base, 1);
	lake_meta_release(&txn->meta);
	txn->meta = (struct lake_meta)LAKE_META_INIT;
}

enum status lake_txn_begin(struct lake *lake, const struct lake_id *base, struct lake_txn **out,
			   struct err *err)
{
	struct commit c = {0};
	enum status st = lake->ops->commit_get(lake, base, &c, err);
	struct lake_txn *txn;

	if (st != ST_OK)
		return st;
	commit_release(&c);
	txn = xcalloc(1, sizeof(*txn));
	txn->lake = lake;
	txn->message = xstrdup("");
	txn_start(txn, base);
	*out = txn;
	return ST_OK;
}

enum status lake_txn_put(struct lake_txn *txn, const char *path, struct lake_upload *up,
			 const char *content_type, const struct lake_meta *meta, struct err *err)
{
	enum status st = lake_path_check(path, err);
	struct lake_put *put;

	assert(up->finished && up->lake == txn->lake);
	if (st != ST_OK)
		return st;
	GROW(txn->puts, txn->n_puts, txn->cap_puts);
	put = &txn->puts[txn->n_puts++];
	*put = (struct lake_put){.path = xstrdup(path),
				 .up = up,
				 .content_type = xstrdup(content_type ? content_type : ""),
				 .round = txn->round};
	if (meta)
		lake_meta_copy(&put->meta, meta);
	return ST_OK;
}

/* A finished upload of data. */
static enum status upload_bytes(struct lake *lake, const void *data, size_t len,
				struct lake_upload **out, struct err *err)
{
	AUTO(lake_upload_freep) struct lake_upload *up = NULL;
	enum status st = lake_upload_open(lake, &up, err);

	if (st == ST_OK)
		st = lake_upload_write(up, data, len, err);
	if (st == ST_OK)
		st = lake_upload_finish(up, err);
	if (st == ST_OK)
		*out = MOVE(up);
	return st;
}

enum status lake_txn_put_bytes(struct lake_txn *txn, const char *path, const void *data, size_t len,
			       const char *content_type, const struct lake_meta *meta,
			       struct err *err)
{
	AUTO(lake_upload_freep) struct lake_upload *up = NULL;
	enum status st = upload_bytes(txn->lake, data, len, &up, err);

	if (st == ST_OK)
		st = lake_txn_put(txn, path, up, content_type, meta, err);
	if (st == ST_OK)
		(void)MOVE(up);
	return st;
}

enum status lake_txn_remove(struct lake_txn *txn, const char *path, struct err *err)
{
	enum status st = lake_path_check(path, err);

	if (st != ST_OK)
		return st;
	GROW(txn->puts, txn->n_puts, txn->cap_puts);
	txn->puts[txn->n_puts++] = (struct lake_put){
		.path = xstrdup(path), .content_type = xstrdup(""), .round = txn->round};
	return ST_OK;
}

enum status lake_txn_graft(struct lake_txn *txn, const struct lake_id *from, const char *prefix,
			   struct err *err)
{
	size_t len = strlen(prefix);
	AUTO(freep) char *path = xstrndup(prefix, len - (len > 1 && prefix[len - 1] == '/'));
	enum status st = len ? lake_path_check(path, err) : ST_OK; /* "": the whole tree */

	if (st != ST_OK)
		return st;
	GROW(txn->grafts, txn->n_grafts, txn->cap_grafts);
	txn->grafts[txn->n_grafts++] =
		(struct lake_graft){.from = *from, .prefix = xstrdup(prefix)};
	return ST_OK;
}

void lake_txn_parents(struct lake_txn *txn, const struct lake_id *parents, size_t n)
{
	struct lake_id *copy = (struct lake_id *)xmemdup(parents, n * sizeof(*parents));

	free(txn->parents);
	txn->parents = copy;
	txn->n_parents = n;
}

void lake_txn_set_meta(struct lake_txn *txn, const char *key, const char *value)
{
	lake_meta_set(&txn->meta, key, value);
}

void lake_txn_set_message(struct lake_txn *txn, const char *message)
{
	char *copy = xstrdup(message);

	free(txn->message);
	txn->message = copy;
}

enum status lake_txn_rebase(struct lake_txn *txn, const struct lake_id *base, struct err *err)
{
	struct commit c = {0};
	enum status st = txn->lake->ops->commit_get(txn->lake, base, &c, err);

	if (st != ST_OK)
		return st;
	commit_release(&c);
	txn_start(txn, base);
	txn->round++;
	return ST_OK;
}

static void put_release(struct lake_put *put)
{
	free(put->path);
	lake_upload_free(put->up);
	free(put->content_type);
	lake_meta_release(&put->meta);
}

static int by_path_and_round(const void *x, const void *y)
{
	const struct lake_put *a = x, *b = y;
	int order = strcmp(a->path, b->path);

	return order ? order : (a->round > b->round) - (a->round < b->round);
}

/* Drops what a later round has set anew. */
static void drop_replaced(struct lake_txn *txn)
{
	size_t kept = 0;

	for (size_t i = 0; i < txn->n_puts; i++) {
		const struct lake_put *next = &txn->puts[i + 1];

		if (i + 1 < txn->n_puts && strcmp(txn->puts[i].path, next->path) == 0)
			put_release(&txn->puts[i]);
		else
			txn->puts[kept++] = txn->puts[i];
	}
	txn->n_puts = kept;
}

enum status lake_txn_prepare(struct lake_txn *txn, struct lake_id *out, struct err *err)
{
	if (txn->n_puts)
		qsort(txn->puts, txn->n_puts, sizeof(*txn->puts), by_path_and_round);
	for (size_t i = 1; i < txn->n_puts; i++)
		if (by_path_and_round(&txn->puts[i - 1], &txn->puts[i]) == 0)
			return err_set(err, ST_USAGE, "'%s' is set twice in one transaction",
				       txn->puts[i].path);
	drop_replaced(txn);
	return txn->lake->ops->txn_prepare(txn->lake, txn, out, err);
}

enum status lake_txn_commit(struct lake_txn *txn, const char *branch,
			    const struct lake_id *expected, const char *reason, struct lake_id *out,
			    struct err *err)
{
	struct lake_move move = {.kind = LAKE_BRANCH, .name = branch, .expected = *expected};
	enum status st = lake_txn_prepare(txn, &move.to, err);

	if (st == ST_OK)
		st = lake_refs_move(txn->lake, &move, 1, reason, err);
	if (st == ST_OK)
		*out = move.to;
	return st;
}

void lake_txn_free(struct lake_txn *txn)
{
	if (!txn)
		return;
	for (size_t i = 0; i < txn->n_puts; i++)
		put_release(&txn->puts[i]);
	for (size_t i = 0; i < txn->n_grafts; i++)
		free(txn->grafts[i].prefix);
	free(txn->puts);
	free(txn->grafts);
	free(txn->parents);
	free(txn->message);
	lake_meta_release(&txn->meta);
	free(txn);
}

/* ---- merge, revert and cherry-pick ---- */

enum status lake_merge_prepare(struct lake *lake, const struct lake_merge *merge,
			       struct lake_id *out, struct lake_conflicts *conflicts_out,
			       struct err *err)
{
	return lake->ops->merge_prepare(lake, merge, out, conflicts_out, err);
}

enum status lake_revert_prepare(struct lake *lake, const struct lake_id *head,
				const struct lake_revert *revert, struct lake_id *out,
				struct lake_conflicts *conflicts_out, struct err *err)
{
	return lake->ops->revert_prepare(lake, head, revert, out, conflicts_out, err);
}

enum status lake_cherry_pick_prepare(struct lake *lake, const struct lake_id *head,
				     const struct lake_id *commit, unsigned parent,
				     struct lake_id *out, struct lake_conflicts *conflicts_out,
				     struct err *err)
{
	return lake->ops->cherry_pick_prepare(lake, head, commit, parent, out, conflicts_out, err);
}

/* ---- staged changes ---- */

enum status lake_stage_put(struct lake *lake, const char *branch, const char *path,
			   struct lake_upload *up, const char *content_type,
			   const struct lake_meta *meta, struct err *err)
{
	static const struct lake_meta none = LAKE_META_INIT;
	enum status st = lake_path_check(path, err);

	assert(up->finished && up->lake == lake);
	if (st == ST_OK)
		st = lake->ops->stage_put(lake, branch, path, up, content_type ? content_type : "",
					  meta ? meta : &none, err);
	if (st == ST_OK)
		lake_upload_free(up);
	return st;
}

enum status lake_stage_remove(struct lake *lake, const char *branch, const char *path,
			      struct err *err)
{
	enum status st = lake_path_check(path, err);

	return st != ST_OK ? st : lake->ops->stage_remove(lake, branch, path, err);
}

enum status lake_stage_changes(struct lake *lake, const char *branch, struct lake_changes *out,
			       struct err *err)
{
	return lake->ops->stage_changes(lake, branch, out, err);
}

enum status lake_stage_commit(struct lake *lake, const char *branch, const char *message,
			      const struct lake_meta *meta, struct lake_id *out, struct err *err)
{
	static const struct lake_meta none = LAKE_META_INIT;

	return lake->ops->stage_commit(lake, branch, message ? message : "", meta ? meta : &none,
				       out, err);
}

enum status lake_stage_discard(struct lake *lake, const char *branch, struct err *err)
{
	return lake->ops->stage_discard(lake, branch, err);
}
