/* Where writers and gc meet. Nothing here waits for a writer but gc, and a
 * writer waits for gc for the time of one batch of deletions at most.
 *
 * An operation that writes nodes, commits, objects or refs enters the gate and
 * leaves it at its end. gc begins an epoch, and then waits until all that had
 * entered before have left: so whatever is half done has been entered since,
 * and does as follows.
 *
 * - What is written is registered as fresh before it is written. gc deletes
 *   nothing that is fresh; it looks and deletes with the gate's lock held.
 * - A commit that is built upon, or that a ref is to name, is used. While gc
 *   marks, it becomes a root. While gc sweeps, it must be marked or fresh; any
 *   other is being freed, and the operation is refused.
 *
 * - Of a used commit that is marked as history, the objects may be about to be
 *   freed: they are registered as fresh one by one (what is left of them), and
 *   then the commit itself, which says that they are.
 *
 * - A commit that is made while gc marks is a root as well: whoever made it may
 *   have entered before the epoch, and have written its trees then.
 *
 * By induction nothing dangles: what is fresh was built of what was used, and
 * all below that is marked or fresh.
 *
 * An upload whose object has its name is listed until it is freed: a commit
 * that names it may be prepared, and prepared again, at any time until then.
 * An epoch begins with all listed ones fresh. A lease keeps a commit that is
 * being read.
 *
 * Threads: from any. */
#ifndef TIDEMARK_EMBEDDED_GATE_H
#define TIDEMARK_EMBEDDED_GATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/embedded/mark_set.h"
#include "core/lake.h"
#include "core/model/hash.h"

enum gate_phase { GATE_OPEN, GATE_MARK, GATE_SWEEP };

/* Of an upload; embedded in it. All zero: not listed. */
struct gate_upload {
	struct gate_upload *next;
	struct gate_upload *prev;
	struct hash hash;
	bool listed;
};

struct gate_lease {
	struct gate_lease *next;
	struct gate_lease *prev;
	struct lake_id commit;
};

struct gate {
	atomic_int phase; /* changed with the lock held */
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t left;
	unsigned side; /* which of `inside` counts who enters now */
	size_t inside[2];
	struct gate_upload *uploads;
	struct gate_lease *leases;
	struct mark_set *fresh; /* NULL without an epoch, with all below */
	struct mark_set *asked; /* what roots[] ever held */
	struct lake_id *roots; /* used commits that are not marked yet */
	size_t n_roots;
	size_t cap_roots;
	const struct mark_set *kept; /* GATE_SWEEP: marked commits, and the nodes of
				      * shown trees; gc's own */
};

void gate_init(struct gate *g);
void gate_release(struct gate *g);

/* ---- for writers ---- */

struct gate_pass {
	struct gate *gate;
	unsigned side;
};

/* AUTO(gate_leave) struct gate_pass pass = gate_enter(&e->gate); Entering
 * within is fine. */
struct gate_pass gate_enter(struct gate *g);
void gate_leave(struct gate_pass *pass);

/* Is an epoch under way? For an operation that has entered, false stays true
 * enough: gc will wait for it. */
static inline bool gate_epoch(struct gate *g)
{
	return atomic_load(&g->phase) != GATE_OPEN;
}

/* Before the write of what the hash names; nothing outside an epoch. */
void gate_fresh(struct gate *g, const unsigned char hash[32]);
/* False: gc is freeing the commit. */
MUST_CHECK bool gate_use(struct gate *g, const struct lake_id *commit);

/* Is every object of the tree's node, or of the commit with that tree, kept by
 * the sweep that is under way? True where none is. The objects of what history
 * alone names are not. */
bool gate_node_kept(struct gate *g, const struct hash *node);
bool gate_commit_kept(struct gate *g, const struct lake_id *commit, const struct hash *tree);

/* Registers an object that an upload is about to name in the store, or has
 * named: as fresh, and as listed until gate_upload_drop(). */
void gate_upload_keep(struct gate *g, struct gate_upload *u, const struct hash *hash);
void gate_upload_drop(struct gate *g, struct gate_upload *u);

/* False: gc is freeing the commit; the lease is not taken. */
MUST_CHECK bool gate_lease_take(struct gate *g, struct gate_lease *l, const struct lake_id *commit);
void gate_lease_drop(struct gate *g, struct gate_lease *l);

/* ---- for gc ---- */

/* From here on what is written is fresh and what is used is a root; leases
 * held now are roots. */
void gate_epoch_begin(struct gate *g);
/* Waits until all that entered before this call have left. False: goes_on(),
 * asked some times a second, said no. */
MUST_CHECK bool gate_wait(struct gate *g, bool (*goes_on)(void *ctx), void *ctx);
/* Takes one of the roots that were added; false: there is none now. */
MUST_CHECK bool gate_root(struct gate *g, struct lake_id *out);
/* Ends marking where no root is left; kept stays as it is until the epoch's
 * end. */
MUST_CHECK bool gate_sweep_begin(struct gate *g, const struct mark_set *kept);
/* With the lock held. */
bool gate_is_fresh(const struct gate *g, const unsigned char hash[32]);
void gate_epoch_end(struct gate *g);

#endif
