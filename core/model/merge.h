/* A three-way merge under way. Not for use outside tree_merge*.c. */
#ifndef TIDEMARK_MODEL_MERGE_H
#define TIDEMARK_MODEL_MERGE_H

#include "core/model/changes.h"

/* Changes to ours; the texts hold key, NUL, value. */
struct pending {
	size_t at;
	size_t value_len;
	bool remove;
};

struct merge {
	const struct node_store *store;
	const struct hash *base;
	const struct hash *ours;
	const struct hash *theirs;
	enum tree_prefer prefer;

	struct buf texts;
	struct pending *pending;
	size_t n_pending;
	size_t cap_pending;
	/* Whole subtrees of theirs that are put into ours. */
	struct changes inner[TREE_LEVELS];

	struct buf conflict_texts; /* NUL-terminated each */
	size_t n_conflicts;
	bool clashed; /* a file of one side met a folder of the other */

	struct tree_iter *in_ours; /* for clashes; NULL until needed */
	struct buf last; /* the path that was looked at before */
	bool clashes[TREE_KEY_MAX]; /* by the place of each '/' in it */
};

/* For a path of which theirs differs from base. ours_has: ours, which does not
 * differ from base there, has it. */
MUST_CHECK enum status merge_take_theirs(struct merge *m, const struct tree_difference *theirs,
					 bool ours_has, struct err *err);
/* For a path of which both differ from base. */
MUST_CHECK enum status merge_both_differ(struct merge *m, const struct tree_difference *ours,
					 const struct tree_difference *theirs, struct err *err);

/* Finds what the merge changes in ours, conflicts included, where that can be
 * done subtree by subtree (tree_merge_nodes.c); *done_out false where it must be
 * done path by path: then what is in m does not count. */
MUST_CHECK enum status merge_nodes(struct merge *m, bool *done_out, struct err *err);

#endif
