/* Walks over the graph of commits. All but the search go by a frontier: a heap
 * by (generation, time, id), greatest first. Since a commit's generation is
 * above each of its parents', whatever leads to a commit has left the heap
 * before it does: each is seen once, with everything known about it. */
#include <stdlib.h>
#include <string.h>

#include "core/model/commit.h"

/* ---- the frontier ---- */

struct seen {
	struct commit commit;
	unsigned flags;
};

struct frontier {
	const struct commit_store *store;
	struct seen **heap;
	size_t n;
	size_t cap;
};

static void seen_free(struct seen *s)
{
	if (!s)
		return;
	commit_release(&s->commit);
	free(s);
}
AUTO_DESTRUCTOR(struct seen, seen_free)

static void frontier_release(struct frontier *f)
{
	for (size_t i = 0; i < f->n; i++)
		seen_free(f->heap[i]);
	free(f->heap);
}

static bool comes_before(const struct seen *x, const struct seen *y)
{
	const struct lake_commit *a = &x->commit.public, *b = &y->commit.public;

	if (a->generation != b->generation)
		return a->generation > b->generation;
	if (a->time_ms != b->time_ms)
		return a->time_ms > b->time_ms;
	return memcmp(a->id.bytes, b->id.bytes, sizeof(a->id.bytes)) > 0;
}

static void swap(struct frontier *f, size_t i, size_t j)
{
	struct seen *s = f->heap[i];

	f->heap[i] = f->heap[j];
	f->heap[j] = s;
}

static enum status get(const struct commit_store *store, const struct lake_id *id, bool named,
		       struct commit *out, struct err *err)
{
	enum status st = store->get(store->ctx, id, out, err);
	char hex[LAKE_ID_HEX_BYTES];

	if (st != ST_NOT_FOUND || !named)
		return st;
	lake_id_hex(id, hex);
	return err_set(err, ST_DAMAGED, "commit %s is missing, and another names it", hex);
}

/* named: a commit that is there names it, so that its absence is damage. */
static enum status frontier_add(struct frontier *f, const struct lake_id *id, unsigned flags,
				bool named, struct err *err)
{
	AUTO(seen_freep) struct seen *s = NULL;
	enum status st;
	size_t i;

	/* The heap is as wide as the history is at one place: a few commits. */
	for (i = 0; i < f->n; i++)
		if (lake_id_equal(&f->heap[i]->commit.public.id, id)) {
			f->heap[i]->flags |= flags;
			return ST_OK;
		}
	s = xcalloc(1, sizeof(*s));
	s->flags = flags;
	st = get(f->store, id, named, &s->commit, err);
	if (st != ST_OK)
		return st;
	GROW(f->heap, f->n, f->cap);
	f->heap[f->n] = MOVE(s);
	for (i = f->n++; i && comes_before(f->heap[i], f->heap[(i - 1) / 2]); i = (i - 1) / 2)
		swap(f, i, (i - 1) / 2);
	return ST_OK;
}

/* The greatest, which is the caller's; NULL where none is left. */
static struct seen *frontier_take(struct frontier *f)
{
	struct seen *top;

	if (f->n == 0)
		return NULL;
	top = f->heap[0];
	f->heap[0] = f->heap[--f->n];
	for (size_t i = 0;;) {
		size_t least = i;

		for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < f->n; child++)
			if (comes_before(f->heap[child], f->heap[least]))
				least = child;
		if (least == i)
			return top;
		swap(f, i, least);
		i = least;
	}
}

static enum status frontier_add_parents(struct frontier *f, const struct seen *s, size_t n_max,
					unsigned flags, uint64_t above, struct err *err)
{
	const struct lake_commit *c = &s->commit.public;

	if (c->generation <= above)
		return ST_OK;
	for (size_t i = 0; i < c->n_parents && i < n_max; i++) {
		enum status st = frontier_add(f, &c->parents[i], flags, true, err);

		if (st != ST_OK)
			return st;
	}
	return ST_OK;
}

/* ---- search along first parents ---- */

static void replace(struct commit *to, struct commit *from)
{
	commit_release(to);
	*to = *from;
	*from = (struct commit){.depth = 0};
}

/* One step back from `at`, for which holds is true: the furthest of jump and
 * parent for which it still is. *no_longer is the least depth known to be too
 * old, plus one, so that nothing is asked twice. */
static enum status step_back(const struct commit_store *store, struct commit *at,
			     uint64_t *no_longer, bool *moved_out,
			     bool (*holds)(void *ctx, const struct lake_commit *commit), void *ctx,
			     struct err *err)
{
	uint64_t depths[2] = {at->jump_depth, at->depth - 1};
	const struct lake_id ids[2] = {at->jump, at->public.parents[0]};

	*moved_out = false;
	for (size_t i = 0; i < 2; i++) {
		AUTO(commit_release) struct commit c = {.depth = 0};
		enum status st;

		if (depths[i] < *no_longer)
			continue;
		st = get(store, &ids[i], true, &c, err);
		if (st != ST_OK)
			return st;
		if (c.depth != depths[i])
			return err_set(err, ST_DAMAGED, "a commit's skip pointer is wrong");
		if (holds(ctx, &c.public)) {
			replace(at, &c);
			*moved_out = true;
			return ST_OK;
		}
		*no_longer = depths[i] + 1;
	}
	return ST_OK;
}

enum status history_search(const struct commit_store *store, const struct lake_id *from,
			   bool (*holds)(void *ctx, const struct lake_commit *commit), void *ctx,
			   struct commit *out, struct err *err)
{
	AUTO(commit_release) struct commit at = {.depth = 0};
	uint64_t no_longer = 0;
	bool moved = true;
	enum status st = get(store, from, false, &at, err);

	if (st != ST_OK)
		return st;
	if (!holds(ctx, &at.public))
		return err_set(err, ST_NOT_FOUND, "no commit on this line is so");
	while (moved && at.depth) {
		st = step_back(store, &at, &no_longer, &moved, holds, ctx, err);
		if (st != ST_OK)
			return st;
	}
	*out = at;
	at = (struct commit){.depth = 0};
	return ST_OK;
}

/* ---- ancestors ---- */

static bool generation_reaches(void *ctx, const struct lake_commit *commit)
{
	return commit->generation >= *(const uint64_t *)ctx;
}

/* Is it on the line of first parents of `of`? O(log n). */
static enum status on_line(const struct commit_store *store, const struct commit *ancestor,
			   const struct lake_id *of, bool *out, struct err *err)
{
	AUTO(commit_release) struct commit line = {.depth = 0};
	uint64_t generation = ancestor->public.generation;
	enum status st = history_search(store, of, generation_reaches, &generation, &line, err);

	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	*out = st == ST_OK && lake_id_equal(&line.public.id, &ancestor->public.id);
	return ST_OK;
}

/* On the line of first parents in O(log n); else the graph down to the
 * ancestor's generation. */
enum status history_is_ancestor(const struct commit_store *store, const struct lake_id *ancestor,
				const struct lake_id *of, bool *out, struct err *err)
{
	AUTO(commit_release) struct commit a = {.depth = 0};
	AUTO(frontier_release) struct frontier f = {.store = store};
	bool found = false;
	enum status st = get(store, ancestor, false, &a, err);

	if (st == ST_OK)
		st = on_line(store, &a, of, &found, err);
	if (st == ST_OK && found) {
		*out = true;
		return ST_OK;
	}
	if (st == ST_OK)
		st = frontier_add(&f, of, 0, false, err);
	while (st == ST_OK) {
		AUTO(seen_freep) struct seen *s = frontier_take(&f);

		if (!s || s->commit.public.generation < a.public.generation) {
			*out = false;
			return ST_OK;
		}
		if (lake_id_equal(&s->commit.public.id, ancestor)) {
			*out = true;
			return ST_OK;
		}
		st = frontier_add_parents(&f, s, SIZE_MAX, 0, a.public.generation, err);
	}
	return st;
}

struct base {
	struct lake_id id;
	int64_t time_ms;
};

#define NEAR_GENERATIONS 64

/* Where one of the two heads in the frontier lies on the other's line of first
 * parents it is the only best common ancestor, found without the commits
 * between. Not asked of heads that are near: there walking costs less. */
static enum status base_on_line(const struct frontier *f, struct base *out, bool *found,
				struct err *err)
{
	const struct commit *old, *new;
	enum status st;

	*found = false;
	if (f->n != 2)
		return ST_OK;
	new = &f->heap[0]->commit;
	old = &f->heap[1]->commit;
	if (new->public.generation - old->public.generation < NEAR_GENERATIONS)
		return ST_OK;
	st = on_line(f->store, old, &new->public.id, found, err);
	*out = (struct base){old->public.id, old->public.time_ms};
	return st;
}

#define OF_A 1u
#define OF_B 2u

/* The first commit to leave the heap that both reach: any other common ancestor
 * has a lesser generation, time or id, so none is a descendant of it. */
enum status history_merge_base(const struct commit_store *store, const struct lake_id *a,
			       const struct lake_id *b, struct lake_id *out, struct err *err)
{
	AUTO(frontier_release) struct frontier f = {.store = store};
	struct base near;
	bool found = false;
	enum status st = frontier_add(&f, a, OF_A, false, err);

	if (st == ST_OK)
		st = frontier_add(&f, b, OF_B, false, err);
	if (st == ST_OK)
		st = base_on_line(&f, &near, &found, err);
	if (st == ST_OK && found) {
		*out = near.id;
		return ST_OK;
	}
	while (st == ST_OK) {
		AUTO(seen_freep) struct seen *s = frontier_take(&f);

		if (!s || s->flags == (OF_A | OF_B)) {
			*out = s ? s->commit.public.id : (struct lake_id){.bytes = {0}};
			return ST_OK;
		}
		st = frontier_add_parents(&f, s, SIZE_MAX, s->flags, 0, err);
	}
	return st;
}

#define STALE 4u /* an ancestor of a base that was found */

/* Is anything left from which side's flag may still reach a new base? */
static bool reaches_on(const struct frontier *f, unsigned side)
{
	for (size_t i = 0; i < f->n; i++)
		if ((f->heap[i]->flags & (side | STALE)) == side)
			return true;
	return false;
}

static int older_first(const void *x, const void *y)
{
	const struct base *a = x, *b = y;

	if (a->time_ms != b->time_ms)
		return a->time_ms < b->time_ms ? -1 : 1;
	return memcmp(a->id.bytes, b->id.bytes, sizeof(a->id.bytes));
}

static void give_bases(struct base *bases, size_t n, struct lake_id **out, size_t *n_out)
{
	*out = xcalloc(n, sizeof(**out));
	*n_out = n;
	if (n)
		qsort(bases, n, sizeof(*bases), older_first);
	for (size_t i = 0; i < n; i++)
		(*out)[i] = bases[i].id;
}

/* As above, but it goes on: what lies behind a base is stale, and nothing new
 * can be found once one side has only stale commits left. */
enum status history_merge_bases(const struct commit_store *store, const struct lake_id *as,
				size_t n_as, const struct lake_id *b, struct lake_id **out,
				size_t *n_out, struct err *err)
{
	AUTO(frontier_release) struct frontier f = {.store = store};
	AUTO(freep) struct base *bases = NULL;
	size_t n = 0, cap = 0;
	struct base near;
	bool found = false;
	enum status st = frontier_add(&f, b, OF_B, false, err);

	for (size_t i = 0; st == ST_OK && i < n_as; i++)
		st = frontier_add(&f, &as[i], OF_A, false, err);
	if (st == ST_OK && n_as == 1)
		st = base_on_line(&f, &near, &found, err);
	if (st == ST_OK && found) {
		give_bases(&near, 1, out, n_out);
		return ST_OK;
	}
	while (st == ST_OK && reaches_on(&f, OF_A) && reaches_on(&f, OF_B)) {
		AUTO(seen_freep) struct seen *s = frontier_take(&f);

		if (s->flags == (OF_A | OF_B)) {
			GROW(bases, n, cap);
			bases[n++] = (struct base){s->commit.public.id, s->commit.public.time_ms};
			s->flags |= STALE;
		}
		st = frontier_add_parents(&f, s, SIZE_MAX, s->flags, 0, err);
	}
	if (st == ST_OK)
		give_bases(bases, n, out, n_out);
	return st;
}

/* ---- log ---- */

struct history_log {
	struct commit_store store;
	struct frontier frontier;
	struct lake_id from;
	bool first_parent;
	bool begun;
	struct seen *shown; /* its parents are read when more is asked for */
};

struct history_log *history_log_new(const struct commit_store *store, const struct lake_id *from,
				    bool first_parent)
{
	struct history_log *log = xcalloc(1, sizeof(*log));

	log->store = *store;
	log->frontier.store = &log->store;
	log->from = *from;
	log->first_parent = first_parent;
	return log;
}

void history_log_free(struct history_log *log)
{
	if (!log)
		return;
	frontier_release(&log->frontier);
	seen_free(log->shown);
	free(log);
}

/* What is shown goes to the caller, but for what its parents are found by. */
static void give(struct seen *s, struct commit *out)
{
	const struct lake_commit *p = &s->commit.public;
	struct lake_commit rest = {
		.parents = p->n_parents
				   ? (void *)xmemdup(p->parents, p->n_parents * sizeof(*p->parents))
				   : NULL,
		.n_parents = p->n_parents,
		.generation = p->generation,
	};

	*out = s->commit;
	s->commit.public = rest;
}

enum status history_log_next(struct history_log *log, struct commit *out, struct err *err)
{
	enum status st = ST_OK;

	if (!log->begun)
		st = frontier_add(&log->frontier, &log->from, 0, false, err);
	else if (log->shown)
		st = frontier_add_parents(&log->frontier, log->shown,
					  log->first_parent ? 1 : SIZE_MAX, 0, 0, err);
	if (st != ST_OK)
		return st;
	log->begun = true;
	seen_free(log->shown);
	log->shown = frontier_take(&log->frontier);
	if (!log->shown)
		return ST_END;
	give(log->shown, out);
	return ST_OK;
}
