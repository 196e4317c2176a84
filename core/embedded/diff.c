/* Differences of two commits' trees. Where much differs another thread finds
 * those of the second half of the keys meanwhile: what they cost is reading and
 * verifying nodes. What it has found waits in memory, up to a bound, until the
 * first half has been given out.
 *
 * Threads: a diff belongs to one; the second half's thread touches nothing of
 * it but struct half. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/embedded/store.h"

#define PLACES_MIN 16u /* fewer are not worth a thread */
#define FOUND_MAX_BYTES (1u << 20)

/* The second half. Differences are a byte, enum lake_change, and the path with
 * its NUL. */
struct half {
	const struct node_store *store;
	struct hash roots[2];
	char *from;
	pthread_t thread;

	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t moved;
	struct buf found;
	bool stop; /* nobody wants more */
	bool done;
	enum status st;
	struct err err;
};

struct diff {
	struct lake_diff base;
	struct gate_lease leases[2];
	struct node_store store;
	struct tree_diff *diff;
	struct half *half; /* NULL: one diff has all */
	bool in_half;
	struct buf taken; /* of half->found */
	size_t taken_at;
};

static enum lake_change change_of(const struct tree_difference *found)
{
	return !found->a ? LAKE_ADDED : !found->b ? LAKE_REMOVED : LAKE_CHANGED;
}

/* ---- the second half ---- */

/* false: nobody wants more. */
static bool half_add(struct half *h, const struct tree_difference *found)
{
	bool goes_on;

	pthread_mutex_lock(&h->lock);
	while (!h->stop && h->found.len >= FOUND_MAX_BYTES)
		pthread_cond_wait(&h->moved, &h->lock);
	goes_on = !h->stop;
	if (h->found.len == 0)
		pthread_cond_signal(&h->moved);
	buf_addc(&h->found, (char)change_of(found));
	buf_add(&h->found, found->key, strlen(found->key) + 1);
	pthread_mutex_unlock(&h->lock);
	return goes_on;
}

static void *half_run(void *arg)
{
	struct half *h = arg;
	AUTO(tree_diff_freep)
	struct tree_diff *diff = tree_diff_new(h->store, &h->roots[0], &h->roots[1], "");
	struct tree_difference found;
	struct err err = ERR_INIT;
	enum status st = tree_diff_from(diff, h->from, &err);

	while (st == ST_OK && (st = tree_diff_next(diff, &found, &err)) == ST_OK)
		if (!half_add(h, &found))
			break;
	pthread_mutex_lock(&h->lock);
	h->done = true;
	h->st = st;
	h->err = err;
	pthread_cond_signal(&h->moved);
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

static void half_free(struct half *h)
{
	pthread_mutex_destroy(&h->lock);
	pthread_cond_destroy(&h->moved);
	buf_release(&h->found);
	free(h->from);
	free(h);
}

/* Lets another thread begin with the second half, if that is worth it and there
 * is one to be had. */
static enum status split(struct diff *d, const struct hash roots[2], struct err *err)
{
	AUTO(freep) char *middle = NULL;
	struct half *h;
	enum status st = ST_OK;

	if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
		st = tree_diff_middle(&d->store, &roots[0], &roots[1], PLACES_MIN, &middle, err);
	if (st != ST_OK || !middle)
		return st;
	h = xcalloc(1, sizeof(*h));
	h->store = &d->store;
	h->roots[0] = roots[0];
	h->roots[1] = roots[1];
	h->from = xstrdup(middle);
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->moved, NULL);
	if (pthread_create(&h->thread, NULL, half_run, h) != 0) {
		half_free(h);
		return ST_OK;
	}
	tree_diff_until(d->diff, middle);
	d->half = h;
	return ST_OK;
}

/* Takes what has been found since; ST_END behind the last. */
static enum status half_take(struct diff *d, struct err *err)
{
	struct half *h = d->half;
	enum status st = ST_OK;

	buf_clear(&d->taken);
	d->taken_at = 0;
	pthread_mutex_lock(&h->lock);
	while (h->found.len == 0 && !h->done)
		pthread_cond_wait(&h->moved, &h->lock);
	if (h->found.len) {
		struct buf swap = d->taken;

		d->taken = h->found;
		h->found = swap;
		pthread_cond_signal(&h->moved);
	} else {
		st = h->st;
		if (err && st != ST_END)
			*err = h->err;
	}
	pthread_mutex_unlock(&h->lock);
	return st;
}

static enum status half_next(struct diff *d, struct lake_diff_entry *out, struct err *err)
{
	enum status st = d->taken_at == d->taken.len ? half_take(d, err) : ST_OK;
	const char *p;

	if (st != ST_OK)
		return st;
	p = d->taken.data + d->taken_at;
	out->change = (enum lake_change)p[0];
	out->path = xstrdup(p + 1);
	d->taken_at += strlen(p + 1) + 2;
	return ST_OK;
}

static void half_stop(struct half *h)
{
	if (!h)
		return;
	pthread_mutex_lock(&h->lock);
	h->stop = true;
	pthread_cond_signal(&h->moved);
	pthread_mutex_unlock(&h->lock);
	pthread_join(h->thread, NULL);
	half_free(h);
}

/* ---- the whole ---- */

static enum status lease_both(struct embedded *e, struct gate_lease leases[2],
			      const struct lake_id *a, const struct lake_id *b, struct err *err)
{
	enum status st = embedded_lease(e, &leases[0], a, err);

	if (st != ST_OK)
		return st;
	st = embedded_lease(e, &leases[1], b, err);
	if (st != ST_OK)
		gate_lease_drop(&e->gate, &leases[0]);
	return st;
}

/* What is damaged may have been freed while it was read. */
static enum status freed(struct diff *d, enum status st, struct err *err)
{
	struct embedded *e = embedded_of(d->base.lake);

	if (st != ST_DAMAGED)
		return st;
	st = embedded_freed(e, &d->leases[0].commit, st, err);
	return embedded_freed(e, &d->leases[1].commit, st, err);
}

enum status embedded_diff_open(struct lake *lake, const struct lake_id *a, const struct lake_id *b,
			       const struct lake_span *span, struct lake_diff **out,
			       struct err *err)
{
	struct embedded *e = embedded_of(lake);
	struct hash roots[2];
	struct diff *d;
	enum status st = embedded_tree(e, a, &roots[0], err);

	if (st == ST_OK)
		st = embedded_tree(e, b, &roots[1], err);
	if (st != ST_OK)
		return st;
	d = xcalloc(1, sizeof(*d));
	d->base.lake = lake;
	st = lease_both(e, d->leases, a, b, err);
	if (st != ST_OK) {
		free(d);
		return st;
	}
	d->store = embedded_nodes(e);
	d->diff = tree_diff_new(&d->store, &roots[0], &roots[1], span->prefix);
	if (*span->until)
		tree_diff_until(d->diff, span->until);
	if (*span->from)
		st = freed(d, tree_diff_from(d->diff, span->from, err), err);
	else if (!*span->prefix && !*span->until)
		st = freed(d, split(d, roots, err), err);
	if (st != ST_OK) {
		embedded_diff_close(&d->base);
		return st;
	}
	*out = &d->base;
	return ST_OK;
}

/* Through a diff's leases; its second half never runs, for it is bounded by a prefix or by
 * what comes after the first key. */
enum status embedded_diff_count(struct lake *lake, const struct lake_id *a, const struct lake_id *b,
				const char *prefix, uint64_t limit, uint64_t *out, struct err *err)
{
	const struct lake_span span = {
		.prefix = prefix, .from = *prefix ? "" : "\x01", .until = ""};
	AUTO(lake_diff_closep) struct lake_diff *diff = NULL;
	enum status st = embedded_diff_open(lake, a, b, &span, &diff, err);
	struct diff *d = (struct diff *)diff;

	return st == ST_OK ? freed(d, tree_diff_count(d->diff, limit, out, err), err) : st;
}

enum status embedded_diff_next(struct lake_diff *diff, struct lake_diff_entry *out, struct err *err)
{
	struct diff *d = (struct diff *)diff;
	struct tree_difference found;
	enum status st = ST_END;

	if (!d->in_half) {
		st = tree_diff_next(d->diff, &found, err);
		d->in_half = st == ST_END && d->half;
	}
	if (d->in_half)
		return freed(d, half_next(d, out, err), err);
	if (st != ST_OK)
		return freed(d, st, err);
	out->change = change_of(&found);
	out->path = xstrdup(found.key);
	return ST_OK;
}

void embedded_diff_close(struct lake_diff *diff)
{
	struct diff *d = (struct diff *)diff;

	half_stop(d->half);
	for (int i = 0; i < 2; i++)
		gate_lease_drop(&embedded_of(diff->lake)->gate, &d->leases[i]);
	tree_diff_free(d->diff);
	buf_release(&d->taken);
	free(d);
}
