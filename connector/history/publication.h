/* Publishing: showing a target (`main`) a checkpoint.
 *
 * A checkpoint itself is never merged into a target. Showing checkpoint K makes
 * a publication X(n+1): K's tree with its cursor rewritten, parents [X(n), K],
 * and merges that. X(n) is the head of the publication branch, the last state
 * of this connector that the target really holds, and so the merge base,
 * whatever became of ingest since. X(0) is the lake's empty first commit.
 *
 * Publication branch and target move together or not at all. */
#ifndef TIDEMARK_HISTORY_PUBLICATION_H
#define TIDEMARK_HISTORY_PUBLICATION_H

#include "connector/history/checkpoint.h"

/* One connector's line into one target. Borrowed; shared by publish and
 * rollback. */
struct line {
	struct lake *lake;
	const char *connector;
	const char *branch; /* ingest */
	const char *target;
	const char *published; /* the publication branch */
	const char *path_prefix;
	struct rng *rng;
};

/* What the target was shown last: X(n). */
struct shown {
	struct lake_id id; /* X(n) */
	uint64_t sequence; /* n; 0: nothing was ever shown */
	uint64_t epoch;
	struct lake_id checkpoint; /* none: nothing */
};

/* ST_NOT_FOUND: the connector has never started. */
MUST_CHECK enum status shown_read(const struct line *line, struct shown *out, struct err *err);

/* Folders and files of a target that are this connector's: prefixes. */
struct roots {
	char **items;
	size_t n;
	size_t cap;
};

void roots_release(struct roots *r);
/* Of the topics of a checkpoint (NULL: none), added to r; always with the
 * connector's dead letters and its documents. */
void roots_add(struct roots *r, const struct line *line, const struct checkpoint *cp);
bool roots_hold(const struct roots *r, const char *path);

/* Differences between two commits inside (or outside) the roots: their number, and
 * the first path in first_out ("" none), which the caller frees. Stops counting
 * at limit. */
MUST_CHECK enum status roots_differences(struct lake *lake, const struct roots *r, bool inside,
					 const struct lake_id *a, const struct lake_id *b,
					 size_t limit, size_t *n_out, char **first_out,
					 struct err *err);

/* X(n+1) as a prepared commit: the tree of `tree` (a checkpoint, or the empty first
 * commit), cursor rewritten. checkpoint none: shows nothing. */
struct publication_content {
	struct lake_id tree;
	struct lake_id checkpoint;
	uint64_t epoch;
	const struct offsets *offsets;
	const char *message;
};
MUST_CHECK enum status publication_make(const struct line *line, const struct shown *shown,
					const struct publication_content *content,
					struct lake_id *out, struct err *err);
/* Merges X(n+1) onto dest. ST_HELD: conflicts, err names paths. */
MUST_CHECK enum status publication_merge(const struct line *line, const struct lake_id *x,
					 const struct lake_id *dest, const struct cursor *own,
					 const char *message, struct lake_id *out, struct err *err);

/* ---- publish ---- */

/* Judges the merged result before anybody sees it. ST_OK passed; ST_HELD with the
 * reason in err; anything else: the gates could not be run. */
typedef enum status (*publish_judge)(void *ctx, const struct lake_id *merged,
				     const struct lake_id *target_head, struct err *err);

struct publish_result {
	struct lake_id checkpoint; /* shown now, or that would be */
	struct lake_id merged; /* the target's new head */
	uint64_t records; /* of the checkpoint itself */
};

/* Shows the target the head of ingest. judge may be NULL. dry_run: prepares and
 * judges, moves nothing.
 * ST_EMPTY    the target shows it already.
 * ST_HELD     a gate refused, paths conflict, or the target was changed by hand.
 * ST_CONFLICT a rollback or another publish came first; nothing changed. */
MUST_CHECK enum status publish(const struct line *line, publish_judge judge, void *ctx,
			       bool dry_run, struct publish_result *out, struct err *err);

#endif
