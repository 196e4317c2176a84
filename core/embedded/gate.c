#include "core/embedded/gate.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

#define ASK_EVERY_MS 50

void gate_init(struct gate *g)
{
	*g = (struct gate){.side = 0};
	atomic_init(&g->phase, GATE_OPEN);
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->left, NULL);
}

void gate_release(struct gate *g)
{
	assert(!g->fresh);
	pthread_cond_destroy(&g->left);
	pthread_mutex_destroy(&g->lock);
}

/* ---- writers ---- */

struct gate_pass gate_enter(struct gate *g)
{
	struct gate_pass pass = {.gate = g};

	pthread_mutex_lock(&g->lock);
	pass.side = g->side;
	g->inside[pass.side]++;
	pthread_mutex_unlock(&g->lock);
	return pass;
}

void gate_leave(struct gate_pass *pass)
{
	struct gate *g = pass->gate;

	pthread_mutex_lock(&g->lock);
	assert(g->inside[pass->side] > 0);
	if (--g->inside[pass->side] == 0)
		pthread_cond_broadcast(&g->left);
	pthread_mutex_unlock(&g->lock);
}

void gate_fresh(struct gate *g, const unsigned char hash[32])
{
	if (!gate_epoch(g))
		return;
	pthread_mutex_lock(&g->lock);
	if (g->fresh)
		mark_set_add(g->fresh, hash);
	pthread_mutex_unlock(&g->lock);
}

static bool use_locked(struct gate *g, const struct lake_id *commit)
{
	switch (atomic_load(&g->phase)) {
	case GATE_MARK:
		/* Also what is fresh: it may name objects that were staged before
		 * the epoch. */
		if (mark_set_add(g->asked, commit->bytes)) {
			GROW(g->roots, g->n_roots, g->cap_roots);
			g->roots[g->n_roots++] = *commit;
		}
		return true;
	case GATE_SWEEP:
		return mark_set_has(g->kept, commit->bytes) ||
		       mark_set_has(g->fresh, commit->bytes);
	default:
		return true;
	}
}

bool gate_use(struct gate *g, const struct lake_id *commit)
{
	bool ok;

	if (!gate_epoch(g))
		return true;
	pthread_mutex_lock(&g->lock);
	ok = use_locked(g, commit);
	pthread_mutex_unlock(&g->lock);
	return ok;
}

bool gate_node_kept(struct gate *g, const struct hash *node)
{
	bool kept;

	pthread_mutex_lock(&g->lock);
	kept = !g->kept || mark_set_has(g->kept, node->bytes);
	pthread_mutex_unlock(&g->lock);
	return kept;
}

bool gate_commit_kept(struct gate *g, const struct lake_id *commit, const struct hash *tree)
{
	bool kept;

	pthread_mutex_lock(&g->lock);
	kept = !g->kept || mark_set_has(g->kept, tree->bytes) ||
	       mark_set_has(g->fresh, commit->bytes);
	pthread_mutex_unlock(&g->lock);
	return kept;
}

void gate_upload_keep(struct gate *g, struct gate_upload *u, const struct hash *hash)
{
	pthread_mutex_lock(&g->lock);
	if (!u->listed) {
		*u = (struct gate_upload){.next = g->uploads, .hash = *hash, .listed = true};
		if (g->uploads)
			g->uploads->prev = u;
		g->uploads = u;
	}
	if (g->fresh)
		mark_set_add(g->fresh, hash->bytes);
	pthread_mutex_unlock(&g->lock);
}

void gate_upload_drop(struct gate *g, struct gate_upload *u)
{
	if (!u->listed)
		return;
	pthread_mutex_lock(&g->lock);
	*(u->prev ? &u->prev->next : &g->uploads) = u->next;
	if (u->next)
		u->next->prev = u->prev;
	u->listed = false;
	pthread_mutex_unlock(&g->lock);
}

bool gate_lease_take(struct gate *g, struct gate_lease *l, const struct lake_id *commit)
{
	bool ok;

	pthread_mutex_lock(&g->lock);
	ok = use_locked(g, commit);
	if (ok) {
		*l = (struct gate_lease){.next = g->leases, .commit = *commit};
		if (g->leases)
			g->leases->prev = l;
		g->leases = l;
	}
	pthread_mutex_unlock(&g->lock);
	return ok;
}

void gate_lease_drop(struct gate *g, struct gate_lease *l)
{
	pthread_mutex_lock(&g->lock);
	*(l->prev ? &l->prev->next : &g->leases) = l->next;
	if (l->next)
		l->next->prev = l->prev;
	pthread_mutex_unlock(&g->lock);
}

/* ---- gc ---- */

void gate_epoch_begin(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	assert(!g->fresh);
	g->fresh = mark_set_new(MARK_EXACT, 0);
	g->asked = mark_set_new(MARK_EXACT, 0);
	for (const struct gate_upload *u = g->uploads; u; u = u->next)
		mark_set_add(g->fresh, u->hash.bytes);
	atomic_store(&g->phase, GATE_MARK);
	for (const struct gate_lease *l = g->leases; l; l = l->next)
		(void)use_locked(g, &l->commit);
	pthread_mutex_unlock(&g->lock);
}

/* With the lock held: until nobody is inside on that side. */
static bool wait_side(struct gate *g, unsigned side, bool (*goes_on)(void *ctx), void *ctx)
{
	while (g->inside[side]) {
		struct timespec until;
		bool more;

		pthread_mutex_unlock(&g->lock);
		more = goes_on(ctx);
		pthread_mutex_lock(&g->lock);
		if (!more)
			return false;
		deadline_after(ASK_EVERY_MS, &until);
		if (g->inside[side])
			pthread_cond_timedwait(&g->left, &g->lock, &until);
	}
	return true;
}

/* The other side may still count some from before a wait that was given up. */
bool gate_wait(struct gate *g, bool (*goes_on)(void *ctx), void *ctx)
{
	unsigned side;
	bool ok;

	pthread_mutex_lock(&g->lock);
	ok = wait_side(g, !g->side, goes_on, ctx);
	side = g->side;
	if (ok) {
		g->side = !side;
		ok = wait_side(g, side, goes_on, ctx);
	}
	pthread_mutex_unlock(&g->lock);
	return ok;
}

bool gate_root(struct gate *g, struct lake_id *out)
{
	bool found;

	pthread_mutex_lock(&g->lock);
	found = g->n_roots > 0;
	if (found)
		*out = g->roots[--g->n_roots];
	pthread_mutex_unlock(&g->lock);
	return found;
}

bool gate_sweep_begin(struct gate *g, const struct mark_set *kept)
{
	bool done;

	pthread_mutex_lock(&g->lock);
	done = g->n_roots == 0;
	if (done) {
		g->kept = kept;
		atomic_store(&g->phase, GATE_SWEEP);
	}
	pthread_mutex_unlock(&g->lock);
	return done;
}

bool gate_is_fresh(const struct gate *g, const unsigned char hash[32])
{
	return mark_set_has(g->fresh, hash);
}

void gate_epoch_end(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	atomic_store(&g->phase, GATE_OPEN);
	mark_set_free(MOVE(g->fresh));
	mark_set_free(MOVE(g->asked));
	free(g->roots);
	g->roots = NULL;
	g->n_roots = g->cap_roots = 0;
	g->kept = NULL;
	pthread_mutex_unlock(&g->lock);
}
