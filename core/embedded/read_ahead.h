/* A thread of the lake's that reads nodes into the cache before a change of a tree comes
 * to them: reading is half of what a commit of scattered paths costs. It starts with
 * the first change that is worth it.
 *
 * Threads: any. One change is read ahead at a time; another one goes without. */
#ifndef TIDEMARK_EMBEDDED_READ_AHEAD_H
#define TIDEMARK_EMBEDDED_READ_AHEAD_H

#include "core/model/tree.h"

struct read_ahead;
struct read_ahead *read_ahead_new(void);
/* When nothing is read ahead any more. */
void read_ahead_free(struct read_ahead *r);

/* What tree_apply() is about to be given; borrowed from begin to end. */
struct read_ahead_job {
	struct read_ahead *by; /* NULL: it is not read ahead */
	struct node_store store; /* for reading; keeps what was read */
	const struct hash *root;
	const struct tree_change *changes;
	size_t n;
	atomic_bool stop;
};

/* Begins with the second half, if that is worth it. */
void read_ahead_begin(struct read_ahead *r, struct read_ahead_job *job);
/* Waits for one read at most. */
void read_ahead_end(struct read_ahead_job *job);

#endif
