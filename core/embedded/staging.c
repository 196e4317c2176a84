/* Staged changes of a branch: put and removed one by one, committed together.
 *
 * A staged change is a record of its own under branch and path:
 *   8 bytes  the sequence number of its write, big-endian
 *   1 byte   '+' put, followed by the entry's bytes; '-' removed
 * The number tells a commit whether what it took is still what is there. */
#include <stdlib.h>
#include <string.h>

#include "core/base/killpoint.h"
#include "core/embedded/store.h"

#define PUT '+'
#define REMOVED '-'
#define HEAD_BYTES 9 /* of a record: number and kind */

/* A commit of staged changes loses against another mover of the branch so
 * often before it gives up. */
#define COMMIT_TRIES 100

/* Writes one record, with e->moves held; entry NULL: removed. */
static void write_record(struct embedded *e, const struct buf *key, const struct buf *entry)
{
	AUTO(db_batch_freep) struct db_batch *batch = db_batch_new();
	AUTO(buf_release) struct buf value = BUF_INIT;

	buf_add_be64(&value, ++e->sequence);
	buf_addc(&value, entry ? PUT : REMOVED);
	if (entry)
		buf_addbuf(&value, entry);
	db_batch_put(batch, key, value.data, value.len);
	KILL_POINT("lake.stage.write");
	embedded_write(e, batch);
}

/* With e->moves held: may the branch's staged changes be changed? */
static enum status check_branch(struct embedded *e, const char *branch, const char *what,
				struct lake_id *head_out, struct err *err)
{
	enum status st = embedded_ref_get(&e->base, LAKE_BRANCH, branch, head_out, err);

	return st == ST_OK ? embedded_refuse_protected(e, branch, what, err) : st;
}

enum status embedded_stage_put(struct lake *lake, const char *branch, const char *path,
			       struct lake_upload *up, const char *content_type,
			       const struct lake_meta *meta, struct err *err)
{
	struct embedded *e = embedded_of(lake);
	AUTO(gate_leave) struct gate_pass pass = gate_enter(&e->gate);
	AUTO(buf_release) struct buf key = BUF_INIT;
	AUTO(buf_release) struct buf entry = BUF_INIT;
	struct lake_id head;
	enum status st = check_branch(e, branch, "staged writes", &head, err);

	if (st == ST_OK)
		st = embedded_uploads_store(e, &up, 1, err);
	if (st != ST_OK)
		return st;
	embedded_upload_entry(up, content_type, meta, &entry);
	key_staged(&key, branch, path);
	pthread_mutex_lock(&e->moves);
	st = check_branch(e, branch, "staged writes", &head, err);
	if (st == ST_OK)
		write_record(e, &key, &entry);
	pthread_mutex_unlock(&e->moves);
	return st;
}

/* Does the tree of the commit have the path? Its value is appended to out. */
static enum status lookup(struct embedded *e, const struct lake_id *commit, const char *path,
			  struct buf *out, struct err *err)
{
	struct node_store store = embedded_nodes(e);
	struct hash root;
	enum status st = embedded_tree(e, commit, &root, err);

	return st == ST_OK ? tree_lookup(&store, &root, path, out, err) : st;
}

/* With e->moves held. */
static enum status remove_locked(struct embedded *e, const char *branch, const char *path,
				 struct err *err)
{
	AUTO(db_batch_freep) struct db_batch *batch = db_batch_new();
	AUTO(buf_release) struct buf key = BUF_INIT;
	AUTO(buf_release) struct buf staged = BUF_INIT;
	AUTO(buf_release) struct buf value = BUF_INIT;
	struct lake_id head;
	bool is_put;
	enum status st = check_branch(e, branch, "staged writes", &head, err);

	if (st != ST_OK)
		return st;
	key_staged(&key, branch, path);
	st = db_get(e->db, &key, &staged, err);
	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	is_put = st == ST_OK && staged.len >= HEAD_BYTES && staged.data[HEAD_BYTES - 1] == PUT;
	if (st == ST_OK && !is_put)
		return err_set(err, ST_NOT_FOUND, "'%s' is removed on '%s' already", path, branch);
	st = lookup(e, &head, path, &value, err);
	if (st == ST_OK) {
		write_record(e, &key, NULL);
		return ST_OK;
	}
	if (st != ST_NOT_FOUND)
		return st;
	if (!is_put)
		return err_set(err, ST_NOT_FOUND, "no '%s' on branch '%s'", path, branch);
	db_batch_delete(batch, &key);
	e->sequence++;
	embedded_write(e, batch);
	return ST_OK;
}

enum status embedded_stage_remove(struct lake *lake, const char *branch, const char *path,
				  struct err *err)
{
	struct embedded *e = embedded_of(lake);
	enum status st = space_take(&e->space, 0, err);

	if (st != ST_OK)
		return st;
	pthread_mutex_lock(&e->moves);
	st = remove_locked(e, branch, path, err);
	pthread_mutex_unlock(&e->moves);
	return st;
}

/* ---- what is staged ---- */

struct staged {
	char *path;
	uint64_t number;
	struct buf entry; /* empty: removed */
};

enum status embedded_staged_blob(struct bytes record, bool *put_out, struct hash *blob_out,
				 uint64_t *size_out, struct err *err)
{
	const unsigned char *kind;
	uint64_t number;

	if (!bytes_be64(&record, &number) || !bytes_take(&record, 1, &kind))
		return err_set(err, ST_DAMAGED, "a staged change cannot be read");
	*put_out = *kind == PUT;
	if (!*put_out)
		return ST_OK;
	return entry_blob(record.p, bytes_left(&record), blob_out, size_out, err);
}

struct staged_list {
	struct staged *items; /* by path */
	size_t n;
	size_t cap;
};

static void staged_list_release(struct staged_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->items[i].path);
		buf_release(&l->items[i].entry);
	}
	free(l->items);
}

static enum status read_staged(struct embedded *e, const char *branch, struct staged_list *out,
			       struct err *err)
{
	AUTO(buf_release) struct buf prefix = BUF_INIT;
	AUTO(db_iter_freep) struct db_iter *it = NULL;
	enum status st;

	key_staged(&prefix, branch, "");
	it = db_iter_new(e->db, &prefix);
	while ((st = db_iter_next(it, err)) == ST_OK) {
		struct bytes key = db_iter_key(it);
		struct bytes value = db_iter_value(it);
		const unsigned char *kind;
		struct staged s = {.path = NULL};

		if (!bytes_be64(&value, &s.number) || !bytes_take(&value, 1, &kind) ||
		    (*kind == PUT) != (bytes_left(&value) > 0))
			return err_set(err, ST_DAMAGED, "a staged change of '%s' cannot be read",
				       branch);
		buf_add(&s.entry, value.p, bytes_left(&value));
		s.path = xstrndup((const char *)key.p + prefix.len, bytes_left(&key) - prefix.len);
		GROW(out->items, out->n, out->cap);
		out->items[out->n++] = s;
	}
	return st == ST_END ? ST_OK : st;
}

/* What s would change in the tree; shown_out false: nothing. */
static enum status change_of(const struct node_store *store, const struct hash *root,
			     const struct staged *s, bool *shown_out, enum lake_change *out,
			     struct err *err)
{
	AUTO(buf_release) struct buf value = BUF_INIT;
	enum status st = tree_lookup(store, root, s->path, &value, err);
	bool there = st == ST_OK;
	bool equal;

	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	equal = there && value.len == s->entry.len &&
		memcmp(buf_str(&value), buf_str(&s->entry), value.len) == 0;
	*shown_out = s->entry.len ? !equal : there;
	*out = !there ? LAKE_ADDED : s->entry.len ? LAKE_CHANGED : LAKE_REMOVED;
	return ST_OK;
}

enum status embedded_stage_changes(struct lake *lake, const char *branch, struct lake_changes *out,
				   struct err *err)
{
	struct embedded *e = embedded_of(lake);
	struct node_store store = embedded_nodes(e);
	AUTO(staged_list_release) struct staged_list staged = {.n = 0};
	struct lake_changes changes = {.items = NULL};
	size_t cap = 0;
	struct lake_id head;
	struct hash root;
	enum status st = embedded_ref_get(lake, LAKE_BRANCH, branch, &head, err);

	if (st == ST_OK)
		st = embedded_tree(e, &head, &root, err);
	if (st == ST_OK)
		st = read_staged(e, branch, &staged, err);
	for (size_t i = 0; st == ST_OK && i < staged.n; i++) {
		struct lake_diff_entry entry;
		bool shown = false;

		st = change_of(&store, &root, &staged.items[i], &shown, &entry.change, err);
		if (st != ST_OK || !shown)
			continue;
		entry.path = xstrdup(staged.items[i].path);
		GROW(changes.items, changes.n, cap);
		changes.items[changes.n++] = entry;
	}
	if (st != ST_OK) {
		lake_changes_release(&changes);
		return st;
	}
	*out = changes;
	return ST_OK;
}

/* ---- commit ---- */

/* A commit of the staged changes on top of head. ST_EMPTY. */
static enum status prepare(struct embedded *e, const struct staged_list *staged,
			   const struct lake_id *head, const char *message,
			   const struct lake_meta *meta, struct lake_id *out, struct err *err)
{
	AUTO(freep) struct tree_change *changes = xcalloc(staged->n, sizeof(*changes));
	struct new_commit c = {.parents = head, .n_parents = 1, .message = message, .meta = meta};
	struct hash before;
	enum status st = embedded_use(e, head, err);

	if (st == ST_OK)
		st = embedded_tree(e, head, &before, err);
	if (st != ST_OK)
		return st;
	for (size_t i = 0; i < staged->n; i++)
		changes[i] = (struct tree_change){
			.key = staged->items[i].path,
			.value = staged->items[i].entry.len ? staged->items[i].entry.data : NULL,
			.value_len = staged->items[i].entry.len};
	st = embedded_apply(e, &before, changes, staged->n, &c.root, err);
	if (st != ST_OK)
		return st;
	if (hash_equal(&before, &c.root))
		return err_set(err, ST_EMPTY, "what is staged is what is there");
	return embedded_commit_make(e, &c, out, err);
}

/* With e->moves held: what was taken, and has not been staged anew since, is
 * no longer staged. ST_CONFLICT where something taken was taken back since (a
 * put that was removed again leaves no record): the commit must not have it. */
static enum status clear_taken(struct embedded *e, struct db_batch *batch, const char *branch,
			       const struct staged_list *taken, struct err *err)
{
	AUTO(buf_release) struct buf key = BUF_INIT;
	AUTO(buf_release) struct buf value = BUF_INIT;

	for (size_t i = 0; i < taken->n; i++) {
		struct bytes now;
		uint64_t number;
		enum status st;

		buf_clear(&value);
		key_staged(&key, branch, taken->items[i].path);
		st = db_get(e->db, &key, &value, err);
		if (st == ST_NOT_FOUND)
			return err_set(err, ST_CONFLICT, "'%s' is no longer staged",
				       taken->items[i].path);
		if (st != ST_OK)
			return st;
		now = bytes_of(value.data, value.len);
		if (bytes_be64(&now, &number) && number == taken->items[i].number)
			db_batch_delete(batch, &key);
	}
	return ST_OK;
}

static enum status move_and_clear(struct embedded *e, const struct lake_move *move,
				  const struct staged_list *taken, struct err *err)
{
	AUTO(db_batch_freep) struct db_batch *batch = db_batch_new();
	enum status st;

	pthread_mutex_lock(&e->moves);
	st = embedded_refuse_protected(e, move->name, "a commit of staged changes", err);
	if (st == ST_OK)
		st = clear_taken(e, batch, move->name, taken, err);
	if (st == ST_OK)
		st = embedded_moves_add(e, batch, move, 1, "commit", err);
	if (st == ST_OK)
		embedded_write(e, batch);
	pthread_mutex_unlock(&e->moves);
	return st;
}

enum status embedded_stage_commit(struct lake *lake, const char *branch, const char *message,
				  const struct lake_meta *meta, struct lake_id *out,
				  struct err *err)
{
	struct embedded *e = embedded_of(lake);
	AUTO(gate_leave) struct gate_pass pass = gate_enter(&e->gate);
	struct lake_move move = {.kind = LAKE_BRANCH, .name = branch};
	enum status st = space_take(&e->space, 0, err);

	for (int i = 0; st == ST_OK && i < COMMIT_TRIES; i++) {
		AUTO(staged_list_release) struct staged_list staged = {.n = 0};

		st = check_branch(e, branch, "a commit of staged changes", &move.expected, err);
		if (st == ST_OK)
			st = read_staged(e, branch, &staged, err);
		if (st == ST_OK && staged.n == 0)
			st = err_set(err, ST_EMPTY, "nothing is staged on branch '%s'", branch);
		if (st == ST_OK)
			st = prepare(e, &staged, &move.expected, message, meta, &move.to, err);
		if (st != ST_OK)
			return st;
		st = move_and_clear(e, &move, &staged, err);
		if (st == ST_OK) {
			*out = move.to;
			return ST_OK;
		}
		if (st == ST_CONFLICT)
			st = ST_OK; /* somebody was faster: again, on what is there now */
	}
	return st != ST_OK
		       ? st
		       : err_set(err, ST_CONFLICT,
				 "branch '%s' moves faster than staged changes can be committed",
				 branch);
}

/* ---- discard ---- */

enum status embedded_stage_drop(struct embedded *e, struct db_batch *batch, const char *branch,
				struct err *err)
{
	AUTO(buf_release) struct buf prefix = BUF_INIT;
	AUTO(buf_release) struct buf key = BUF_INIT;
	AUTO(db_iter_freep) struct db_iter *it = NULL;
	enum status st;

	key_staged(&prefix, branch, "");
	it = db_iter_new(e->db, &prefix);
	while ((st = db_iter_next(it, err)) == ST_OK) {
		struct bytes k = db_iter_key(it);

		buf_clear(&key);
		buf_add(&key, k.p, bytes_left(&k));
		db_batch_delete(batch, &key);
	}
	return st == ST_END ? ST_OK : st;
}

enum status embedded_stage_discard(struct lake *lake, const char *branch, struct err *err)
{
	struct embedded *e = embedded_of(lake);
	AUTO(db_batch_freep) struct db_batch *batch = db_batch_new();
	struct lake_id head;
	enum status st = space_above_floor(&e->space, err);

	if (st != ST_OK)
		return st;
	pthread_mutex_lock(&e->moves);
	st = embedded_ref_get(lake, LAKE_BRANCH, branch, &head, err);
	if (st == ST_OK)
		st = embedded_stage_drop(e, batch, branch, err);
	if (st == ST_OK) {
		e->sequence++;
		embedded_write(e, batch);
	}
	pthread_mutex_unlock(&e->moves);
	return st;
}
