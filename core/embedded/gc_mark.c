/* Marking: what the roots reach. */
#include <stdlib.h>
#include <string.h>

#include "core/base/killpoint.h"
#include "core/embedded/gc.h"

#define ASK_EVERY 256 /* nodes or commits */

enum status gc_count_one(struct gc *gc, struct err *err)
{
	return ++gc->done % ASK_EVERY == 0 ? gc_goes_on(gc, err) : ST_OK;
}

/* ---- trees ---- */

/* Past the cache, which readers need. */
static enum status node_get(void *ctx, const struct hash *id, struct shared **out, struct err *err)
{
	struct gc *gc = ctx;
	AUTO(buf_release) struct buf key = BUF_INIT;
	enum status st = gc_count_one(gc, err);

	key_node(&key, id);
	return st == ST_OK ? db_get_shared(gc->e->db, &key, out, err) : st;
}

static void mark_object(struct gc *gc, const struct hash *blob, uint64_t size)
{
	if (mark_set_add(gc->objects, blob->bytes))
		gc->report.object_bytes += size;
}

static bool visit_shown(void *ctx, const struct hash *node)
{
	struct gc *gc = ctx;

	return mark_set_add(gc->kept, node->bytes);
}

static enum status entry_shown(void *ctx, const struct tree_entry *entry, struct err *err)
{
	struct gc *gc = ctx;
	struct hash blob;
	uint64_t size;
	enum status st = entry_blob(entry->value, entry->value_len, &blob, &size, err);

	if (st == ST_OK)
		mark_object(gc, &blob, size);
	return st;
}

static bool visit_history(void *ctx, const struct hash *node)
{
	struct gc *gc = ctx;

	return !mark_set_has(gc->kept, node->bytes) && mark_set_add(gc->history, node->bytes);
}

static enum status entry_history(void *ctx, const struct tree_entry *entry, struct err *err)
{
	struct gc *gc = ctx;
	struct hash blob;
	uint64_t size;
	enum status st = entry_blob(entry->value, entry->value_len, &blob, &size, err);

	if (st != ST_OK)
		return st;
	if (gc->keep_len && strncmp(entry->key, gc->options->keep_prefix, gc->keep_len) == 0)
		mark_object(gc, &blob, size);
	else if (!mark_set_has(gc->objects, blob.bytes))
		mark_set_add(gc->old_objects, blob.bytes);
	return ST_OK;
}

static enum status mark_tree(struct gc *gc, const struct hash *root, bool shown, struct err *err)
{
	const struct node_store store = {.ctx = gc, .get = node_get};

	return shown ? tree_walk(&store, root, visit_shown, entry_shown, gc, err)
		     : tree_walk(&store, root, visit_history, entry_history, gc, err);
}

static enum status mark_old_trees(struct gc *gc, struct err *err)
{
	enum status st = ST_OK;

	while (st == ST_OK && gc->n_old_trees)
		st = mark_tree(gc, &gc->old_trees[--gc->n_old_trees], false, err);
	return st;
}

/* ---- commits ---- */

static enum status get_commit(struct gc *gc, const struct lake_id *id, struct commit *out,
			      struct err *err)
{
	AUTO(buf_release) struct buf key = BUF_INIT;
	AUTO(buf_release) struct buf bytes = BUF_INIT;
	enum status st = gc_count_one(gc, err);

	key_commit(&key, id);
	if (st == ST_OK)
		st = db_get(gc->e->db, &key, &bytes, err);
	return st == ST_OK ? commit_decode(id, bytes.data, bytes.len, out, err) : st;
}

enum status gc_each_commit(struct gc *gc,
			   enum status (*each)(struct gc *gc, const struct commit *c, void *ctx,
					       struct err *err),
			   void *ctx, struct err *err)
{
	AUTO(buf_release) struct buf prefix = BUF_INIT;
	AUTO(db_iter_freep) struct db_iter *it = NULL;
	enum status st;

	buf_addc(&prefix, 'c');
	it = db_iter_new(gc->e->db, &prefix);
	while ((st = db_iter_next(it, err)) == ST_OK) {
		AUTO(commit_release) struct commit c = {0};
		struct bytes key = db_iter_key(it);
		struct bytes value = db_iter_value(it);
		struct lake_id id;

		if (bytes_left(&key) != 1 + sizeof(id.bytes))
			return err_set(err, ST_DAMAGED, "a commit's key in %s is no id",
				       gc->e->root);
		memcpy(id.bytes, key.p + 1, sizeof(id.bytes));
		st = commit_decode(&id, value.p, bytes_left(&value), &c, err);
		if (st == ST_OK)
			st = gc_count_one(gc, err);
		if (st == ST_OK)
			st = each(gc, &c, ctx, err);
		if (st != ST_OK)
			return st;
	}
	return st == ST_END ? ST_OK : st;
}

static void push(struct gc *gc, const struct lake_id *id)
{
	if (mark_set_has(gc->kept, id->bytes))
		return;
	GROW(gc->stack, gc->n_stack, gc->cap_stack);
	gc->stack[gc->n_stack++] = *id;
}

/* The commit's tree and its parents. shown: whatever its age. */
static enum status mark_commit(struct gc *gc, const struct commit *c, bool shown, struct err *err)
{
	struct hash root = tree_of(c);
	enum status st = ST_OK;

	if (shown || c->public.time_ms >= gc->shown_from_ms) {
		st = mark_tree(gc, &root, true, err);
	} else {
		GROW(gc->old_trees, gc->n_old_trees, gc->cap_old_trees);
		gc->old_trees[gc->n_old_trees++] = root;
	}
	if (!mark_set_add(gc->kept, c->public.id.bytes))
		return st;
	for (size_t i = 0; i < c->public.n_parents; i++)
		push(gc, &c->public.parents[i]);
	return st;
}

static enum status mark_stack(struct gc *gc, struct err *err)
{
	enum status st = ST_OK;

	while (st == ST_OK && gc->n_stack) {
		AUTO(commit_release) struct commit c = {0};
		struct lake_id id = gc->stack[--gc->n_stack];
		char hex[LAKE_ID_HEX_BYTES];

		if (mark_set_has(gc->kept, id.bytes))
			continue;
		st = get_commit(gc, &id, &c, err);
		lake_id_hex(&id, hex);
		if (st == ST_NOT_FOUND)
			return err_set(err, ST_DAMAGED,
				       "commit %s is missing in %s; `tidemark fsck` says more", hex,
				       gc->e->root);
		if (st == ST_OK)
			st = mark_commit(gc, &c, false, err);
	}
	return st;
}

/* missing_ok: something may have named it that keeps nothing. */
static enum status mark_root(struct gc *gc, const struct lake_id *id, bool missing_ok,
			     struct err *err)
{
	AUTO(commit_release) struct commit c = {0};
	enum status st;

	if (lake_id_is_none(id))
		return ST_OK;
	st = get_commit(gc, id, &c, err);
	if (st == ST_NOT_FOUND && missing_ok)
		return ST_OK;
	if (st == ST_NOT_FOUND) {
		char hex[LAKE_ID_HEX_BYTES];

		lake_id_hex(id, hex);
		return err_set(err, ST_DAMAGED,
			       "commit %s, which a ref names, is missing in %s; `tidemark fsck` "
			       "says more",
			       hex, gc->e->root);
	}
	if (st == ST_OK)
		st = mark_commit(gc, &c, true, err);
	return st == ST_OK ? mark_stack(gc, err) : st;
}

/* ---- roots ---- */

static enum status mark_refs(struct gc *gc, enum lake_ref_kind kind, struct err *err)
{
	AUTO(lake_refs_release) struct lake_refs refs = {.items = NULL};
	enum status st = embedded_refs_list(&gc->e->base, kind, &refs, err);

	for (size_t i = 0; st == ST_OK && i < refs.n; i++)
		st = mark_root(gc, &refs.items[i].id, false, err);
	return st;
}

bool gc_reflog_old(const struct gc *gc, const struct lake_reflog_entry *entry)
{
	return entry->time_ms < gc->logged_from_ms;
}

/* Where an entry leads to may be gone: by a run with less patience. */
static enum status mark_entry(void *ctx, const struct lake_reflog_entry *entry, struct err *err)
{
	struct gc *gc = ctx;
	enum status st;

	if (gc_reflog_old(gc, entry))
		return ST_OK;
	if (entry->sequence < gc->reflog_from)
		gc->reflog_from = entry->sequence;
	st = mark_root(gc, &entry->from, true, err);
	return st == ST_OK ? mark_root(gc, &entry->to, true, err) : st;
}

static enum status mark_if_young(struct gc *gc, const struct commit *c, void *ctx, struct err *err)
{
	(void)ctx;
	if (c->public.time_ms >= gc->young_from_ms)
		push(gc, &c->public.id);
	return mark_stack(gc, err);
}

static enum status mark_young(struct gc *gc, struct err *err)
{
	return gc->young_from_ms == INT64_MAX ? ST_OK
					      : gc_each_commit(gc, mark_if_young, NULL, err);
}

/* Of the staged changes as they were when the epoch began: those that came
 * since are fresh. */
static enum status mark_staged(struct gc *gc, struct db_iter *it, struct err *err)
{
	enum status st;

	while ((st = db_iter_next(it, err)) == ST_OK) {
		struct hash blob;
		uint64_t size = 0;
		bool put = false;

		st = embedded_staged_blob(db_iter_value(it), &put, &blob, &size, err);
		if (st != ST_OK)
			return st;
		if (put)
			mark_object(gc, &blob, size);
	}
	return st == ST_END ? ST_OK : st;
}

static enum status mark_roots(struct gc *gc, struct db_iter *staged, struct err *err)
{
	enum status st = mark_staged(gc, staged, err);

	if (st == ST_OK)
		st = mark_refs(gc, LAKE_BRANCH, err);
	if (st == ST_OK)
		st = mark_refs(gc, LAKE_TAG, err);
	if (st == ST_OK)
		st = embedded_reflog_each(gc->e, mark_entry, gc, err);
	return st == ST_OK ? mark_young(gc, err) : st;
}

/* What writers and readers have begun to use since. */
static enum status mark_used(struct gc *gc, struct err *err)
{
	enum status st = ST_OK;
	struct lake_id id;

	while (st == ST_OK && gate_root(&gc->e->gate, &id))
		st = mark_root(gc, &id, true, err);
	return st;
}

static bool wait_more(void *ctx)
{
	return gc_goes_on(ctx, NULL) == ST_OK;
}

enum status gc_mark(struct gc *gc, struct err *err)
{
	struct embedded *e = gc->e;
	AUTO(buf_release) struct buf prefix = BUF_INIT;
	AUTO(db_iter_freep) struct db_iter *staged = NULL;
	enum status st;

	buf_addc(&prefix, 's');
	pthread_mutex_lock(&e->moves); /* so that no staged change falls in between */
	gate_epoch_begin(&e->gate);
	staged = db_iter_new(e->db, &prefix);
	pthread_mutex_unlock(&e->moves);
	KILL_POINT("gc.mark.begin");
	if (!gate_wait(&e->gate, wait_more, gc))
		return gc_goes_on(gc, err);
	st = mark_roots(gc, staged, err);
	KILL_POINT("gc.mark.roots");
	do {
		if (st == ST_OK)
			st = mark_used(gc, err);
		if (st == ST_OK)
			st = mark_old_trees(gc, err);
		if (st != ST_OK || gc->options->dry_run)
			break;
	} while (!gate_sweep_begin(&e->gate, gc->kept));
	KILL_POINT("gc.mark.end");
	return st;
}
