/* One run of gc: what its files share. Within core/embedded/ only. gate.h says
 * how it gets along with writers.
 *
 * Marking walks all commits that are reached from the roots. A commit is shown
 * where a ref names it or where it is young enough; the rest is history. The
 * objects of a shown commit's tree are kept; those that history alone names
 * expire, where that is asked for. Commits and nodes are kept either way.
 *
 * Sweeping goes through the keys and files in their order and deletes what has
 * no mark: commits (children before their parents), then nodes, small objects,
 * and, after a sync of all that, files. A crash between any two steps leaves
 * garbage for the next run, and nothing that lacks what it names. */
#ifndef TIDEMARK_EMBEDDED_GC_H
#define TIDEMARK_EMBEDDED_GC_H

#include "core/embedded/gc_age.h"
#include "core/embedded/mark_set.h"
#include "core/embedded/store.h"

struct gc {
	struct embedded *e;
	const struct lake_gc_options *options;
	struct lake_gc_report report;
	size_t keep_len; /* of options->keep_prefix */
	int64_t now_ms;
	/* What is from then on is not old enough; INT64_MIN: all is not. */
	int64_t shown_from_ms; /* commits: shown */
	int64_t young_from_ms; /* commits: kept whatever names them; INT64_MAX: none */
	int64_t logged_from_ms; /* entries of the reflog; INT64_MAX: none */
	/* The first entry of the reflog that keeps something: what comes behind it
	 * stays, so that each ref's entries follow from one another. */
	uint64_t reflog_from;

	struct mark_set *kept; /* commits, and nodes of shown trees */
	struct mark_set *history; /* nodes of other trees */
	struct mark_set *objects; /* of shown trees */
	struct mark_set *old_objects; /* that history names */

	struct lake_id *stack; /* commits to be marked */
	size_t n_stack;
	size_t cap_stack;
	struct hash *old_trees; /* roots of trees to be marked as history */
	size_t n_old_trees;
	size_t cap_old_trees;

	const char *step;
	uint64_t done; /* in the step */
	uint64_t done_before; /* in the steps before it */
};

/* Every so often; ST_INTERRUPTED. */
MUST_CHECK enum status gc_goes_on(struct gc *gc, struct err *err);
/* One more node or commit. */
MUST_CHECK enum status gc_count_one(struct gc *gc, struct err *err);
void gc_step(struct gc *gc, const char *step);

/* Every commit that is stored, whatever names it; each() borrows it. */
MUST_CHECK enum status gc_each_commit(struct gc *gc,
				      enum status (*each)(struct gc *gc, const struct commit *c,
							  void *ctx, struct err *err),
				      void *ctx, struct err *err);
/* Begins the epoch and marks; when it returns, the gate sweeps (in a dry run it
 * still marks). */
MUST_CHECK enum status gc_mark(struct gc *gc, struct err *err);
/* Is the entry of the reflog too old to keep anything? */
bool gc_reflog_old(const struct gc *gc, const struct lake_reflog_entry *entry);

MUST_CHECK enum status gc_sweep(struct gc *gc, struct err *err);
/* After it: files, and what is in tmp/ for good. */
MUST_CHECK enum status gc_sweep_files(struct gc *gc, struct err *err);

#endif
