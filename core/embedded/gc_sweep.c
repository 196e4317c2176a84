/* Sweeping the metadata: what has no mark, in the order of the keys, and what
 * the reflog keeps too long. A batch looks at what writers have registered and
 * deletes with the gate's lock held: so it is small. */
#include <stdlib.h>
#include <string.h>

#include "core/base/killpoint.h"
#include "core/embedded/gc.h"

#define BATCH 128
#define ASK_EVERY 1024 /* keys */

/* Things of one kind that have no mark. */
struct batch {
	struct gc *gc;
	char kind; /* of the key */
	const char *kill_point;
	struct lake_gc_count *count;
	size_t n;
	struct garbage {
		struct hash id;
		uint64_t bytes;
		bool expired; /* history names it */
	} items[BATCH];
};

static void add_mark(const struct gc *gc, struct db_batch *batch, const struct hash *id)
{
	AUTO(buf_release) struct buf key = BUF_INIT;
	AUTO(buf_release) struct buf value = BUF_INIT;

	atomic_store(&gc->e->any_expired, true);
	key_expired(&key, id);
	buf_add_be64(&value, (uint64_t)gc->now_ms);
	db_batch_put(batch, &key, value.data, value.len);
}

/* With the gate's lock held. */
static void delete_one(struct batch *b, struct db_batch *deletes, const struct garbage *g)
{
	struct gc *gc = b->gc;
	AUTO(buf_release) struct buf key = BUF_INIT;

	if (gate_is_fresh(&gc->e->gate, g->id.bytes)) {
		b->count->kept++;
		return;
	}
	b->count->freed++;
	b->count->freed_bytes += g->bytes;
	if (g->expired) {
		gc->report.expired++;
		gc->report.expired_bytes += g->bytes;
	}
	if (gc->options->dry_run)
		return;
	key_set(&key, b->kind, g->id.bytes, sizeof(g->id.bytes));
	db_batch_delete(deletes, &key);
	if (g->expired)
		add_mark(gc, deletes, &g->id);
	node_cache_remove(gc->e->cache, g->id.bytes);
}

static void flush(struct batch *b)
{
	AUTO(db_batch_freep) struct db_batch *deletes = db_batch_new();
	struct embedded *e = b->gc->e;
	int64_t start_us, held_us;

	if (b->n == 0)
		return;
	start_us = e->clock->mono_us(e->clock);
	pthread_mutex_lock(&e->gate.lock);
	for (size_t i = 0; i < b->n; i++)
		delete_one(b, deletes, &b->items[i]);
	if (!b->gc->options->dry_run)
		db_write(e->db, deletes);
	pthread_mutex_unlock(&e->gate.lock);
	held_us = e->clock->mono_us(e->clock) - start_us;
	if (held_us > b->gc->report.longest_wait_us)
		b->gc->report.longest_wait_us = held_us;
	b->n = 0;
	if (!b->gc->options->dry_run)
		KILL_POINT(b->kill_point);
}

static void batch_add(struct batch *b, const struct garbage *g)
{
	b->items[b->n++] = *g;
	if (b->n == BATCH)
		flush(b);
}

/* The next key of the kind; ST_END. */
static enum status next_key(struct gc *gc, struct db_iter *it, struct hash *id_out,
			    uint64_t *bytes_out, struct err *err)
{
	enum status st = db_iter_next(it, err);
	struct bytes key;

	if (st != ST_OK)
		return st;
	key = db_iter_key(it);
	if (bytes_left(&key) != 1 + sizeof(id_out->bytes))
		return err_set(err, ST_DAMAGED, "a key of the metadata of %s is no hash",
			       gc->e->root);
	memcpy(id_out->bytes, key.p + 1, sizeof(id_out->bytes));
	*bytes_out = bytes_left(&key);
	key = db_iter_value(it);
	*bytes_out += bytes_left(&key);
	return ++gc->done % ASK_EVERY == 0 ? gc_goes_on(gc, err) : ST_OK;
}

static struct db_iter *iterate(struct gc *gc, char kind)
{
	AUTO(buf_release) struct buf prefix = BUF_INIT;

	buf_addc(&prefix, kind);
	return db_iter_new(gc->e->db, &prefix);
}

/* ---- commits ---- */

struct old_commit {
	uint64_t generation;
	struct garbage garbage;
};

struct old_commits {
	struct old_commit *items;
	size_t n;
	size_t cap;
};

static void old_commits_release(struct old_commits *list)
{
	free(list->items);
}

static int newest_first(const void *x, const void *y)
{
	const struct old_commit *a = x, *b = y;

	return (a->generation < b->generation) - (a->generation > b->generation);
}

static enum status find_commits(struct gc *gc, struct old_commits *out, struct err *err)
{
	AUTO(db_iter_freep) struct db_iter *it = iterate(gc, 'c');
	struct old_commit found = {.generation = 0};
	enum status st;

	while ((st = next_key(gc, it, &found.garbage.id, &found.garbage.bytes, err)) == ST_OK) {
		AUTO(commit_release) struct commit c = {0};
		struct bytes value = db_iter_value(it);
		struct lake_id id;

		if (mark_set_has(gc->kept, found.garbage.id.bytes)) {
			gc->report.commits.kept++;
			continue;
		}
		memcpy(id.bytes, found.garbage.id.bytes, sizeof(id.bytes));
		st = commit_decode(&id, value.p, bytes_left(&value), &c, err);
		if (st != ST_OK)
			return st;
		found.generation = c.public.generation;
		GROW(out->items, out->n, out->cap);
		out->items[out->n++] = found;
	}
	return st == ST_END ? ST_OK : st;
}

/* Children before their parents: a commit that a crash leaves is whole. */
static enum status sweep_commits(struct gc *gc, struct err *err)
{
	AUTO(old_commits_release) struct old_commits list = {.n = 0};
	struct batch batch = {.gc = gc,
			      .kind = 'c',
			      .kill_point = "gc.sweep.commits",
			      .count = &gc->report.commits};
	enum status st;

	gc_step(gc, "commits");
	st = find_commits(gc, &list, err);
	if (st != ST_OK)
		return st;
	if (list.n)
		qsort(list.items, list.n, sizeof(*list.items), newest_first);
	for (size_t i = 0; i < list.n; i++)
		batch_add(&batch, &list.items[i].garbage);
	flush(&batch);
	return ST_OK;
}

/* ---- nodes and small objects ---- */

static enum status sweep_nodes(struct gc *gc, struct err *err)
{
	AUTO(db_iter_freep) struct db_iter *it = iterate(gc, 'n');
	struct batch batch = {
		.gc = gc, .kind = 'n', .kill_point = "gc.sweep.nodes", .count = &gc->report.nodes};
	struct garbage g = {.expired = false};
	enum status st;

	gc_step(gc, "nodes");
	while ((st = next_key(gc, it, &g.id, &g.bytes, err)) == ST_OK) {
		if (mark_set_has(gc->kept, g.id.bytes) || mark_set_has(gc->history, g.id.bytes))
			gc->report.nodes.kept++;
		else
			batch_add(&batch, &g);
	}
	if (st == ST_END)
		flush(&batch);
	return st == ST_END ? ST_OK : st;
}

static enum status sweep_small(struct gc *gc, struct err *err)
{
	AUTO(db_iter_freep) struct db_iter *it = iterate(gc, 'b');
	struct batch batch = {
		.gc = gc, .kind = 'b', .kill_point = "gc.sweep.small", .count = &gc->report.small};
	struct garbage g;
	enum status st;

	gc_step(gc, "objects");
	while ((st = next_key(gc, it, &g.id, &g.bytes, err)) == ST_OK) {
		g.expired = mark_set_has(gc->old_objects, g.id.bytes);
		if (mark_set_has(gc->objects, g.id.bytes))
			gc->report.small.kept++;
		else
			batch_add(&batch, &g);
	}
	if (st == ST_END)
		flush(&batch);
	return st == ST_END ? ST_OK : st;
}

/* ---- the reflog ---- */

struct reflog_sweep {
	struct gc *gc;
	struct lake_refs refs[2]; /* by kind */
	bool *seen[2]; /* has a newer entry of that ref been kept? */
	struct db_batch *deletes;
	size_t n;
};

static int by_name(const void *name, const void *ref)
{
	return strcmp(name, ((const struct lake_ref *)ref)->name);
}

static void write_deletes(struct reflog_sweep *s)
{
	if (s->n == 0)
		return;
	if (!s->gc->options->dry_run)
		db_write(s->gc->e->db, s->deletes);
	s->n = 0;
	KILL_POINT("gc.sweep.reflog");
}

static enum status sweep_entry(void *ctx, const struct lake_reflog_entry *entry, struct err *err)
{
	struct reflog_sweep *s = ctx;
	const struct lake_refs *refs = &s->refs[entry->kind];
	const struct lake_ref *ref =
		refs->n ? bsearch(entry->name, refs->items, refs->n, sizeof(*refs->items), by_name)
			: NULL;
	bool *seen = ref ? &s->seen[entry->kind][ref - refs->items] : NULL;
	bool newest = seen && !*seen;

	if (seen)
		*seen = true;
	if (++s->gc->done % ASK_EVERY == 0) {
		enum status st = gc_goes_on(s->gc, err);

		if (st != ST_OK)
			return st;
	}
	if (newest || entry->sequence > s->gc->reflog_from || !gc_reflog_old(s->gc, entry))
		return ST_OK;
	s->gc->report.reflog_dropped++;
	embedded_reflog_remove(s->deletes, entry->name, entry->sequence);
	if (++s->n == BATCH)
		write_deletes(s);
	return ST_OK;
}

/* The entry of a ref that is made while this runs is young. */
static enum status sweep_reflog(struct gc *gc, struct err *err)
{
	struct reflog_sweep s = {.gc = gc, .deletes = db_batch_new()};
	struct lake *lake = &gc->e->base;
	enum status st = embedded_refs_list(lake, LAKE_BRANCH, &s.refs[LAKE_BRANCH], err);

	if (st == ST_OK)
		st = embedded_refs_list(lake, LAKE_TAG, &s.refs[LAKE_TAG], err);
	for (int i = 0; i < 2; i++)
		s.seen[i] = xcalloc(s.refs[i].n + 1, sizeof(bool));
	if (st == ST_OK)
		st = embedded_reflog_each(gc->e, sweep_entry, &s, err);
	if (st == ST_OK)
		write_deletes(&s);
	for (int i = 0; i < 2; i++) {
		lake_refs_release(&s.refs[i]);
		free(s.seen[i]);
	}
	db_batch_free(s.deletes);
	return st;
}

/* ---- marks of expired objects ---- */

/* Those that no commit names any more. */
static enum status sweep_marks(struct gc *gc, struct err *err)
{
	AUTO(db_iter_freep) struct db_iter *it = iterate(gc, 'x');
	AUTO(buf_release) struct buf key = BUF_INIT;
	struct hash id;
	uint64_t bytes;
	enum status st;

	while ((st = next_key(gc, it, &id, &bytes, err)) == ST_OK) {
		if (gc->options->dry_run || mark_set_has(gc->objects, id.bytes) ||
		    mark_set_has(gc->old_objects, id.bytes))
			continue;
		key_expired(&key, &id);
		db_delete(gc->e->db, &key);
	}
	return st == ST_END ? ST_OK : st;
}

enum status gc_sweep(struct gc *gc, struct err *err)
{
	enum status st = sweep_commits(gc, err);

	if (st == ST_OK)
		st = sweep_reflog(gc, err);
	if (st == ST_OK)
		st = sweep_nodes(gc, err);
	if (st == ST_OK)
		st = sweep_marks(gc, err);
	return st == ST_OK ? sweep_small(gc, err) : st;
}
