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
/* Of the connector's documents alone. */
void roots_add_documents(struct roots *r, const struct line *line);
bool roots_hold(const struct roots *r, const char *path);

/* How many differences there are under the roots, or at least `limit` of them. */
MUST_CHECK enum status roots_differences(struct lake *lake, const struct roots *r,
					 const struct lake_id *a, const struct lake_id *b,
					 uint64_t limit, uint64_t *n_out, struct err *err);
/* The first path in which they differ outside the roots, however much differs under them;
 * the caller's; NULL: none. */
MUST_CHECK enum status roots_first_outside(struct lake *lake, const struct roots *r,
					   const struct lake_id *a, const struct lake_id *b,
					   char **first_out, struct err *err);

/* X(n+1) as a prepared commit: the tree of `tree` (a checkpoint, or the empty first
 * commit), cursor rewritten. checkpoint none: shows nothing. */
struct publication_content {
	struct lake_id tree;
	struct lake_id checkpoint;
	uint64_t epoch;
	const struct offsets *offsets;
	const char *message;
	int64_t records; /* rows that this publish shows anew; -1: it is no publish */
};
MUST_CHECK enum status publication_make(const struct line *line, const struct shown *shown,
					const struct publication_content *content,
					struct lake_id *out, struct err *err);
/* Merges X(n+1) onto dest. ST_HELD: conflicts, err names paths. extra: more of the
 * commit's metadata, or NULL. */
MUST_CHECK enum status publication_merge(const struct line *line, const struct lake_id *x,
					 const struct lake_id *dest, const struct cursor *own,
					 const char *message, const struct lake_meta *extra,
					 struct lake_id *out, struct err *err);

/* META_ROLLBACKS of a publication. */
uint64_t publication_rollbacks(const struct lake_commit *x);

/* The newest publication that showed the checkpoint, in O(log n) commit reads for each
 * rollback since; its sequence. ST_NOT_FOUND. */
MUST_CHECK enum status publication_find(const struct line *line, const struct lake_id *shown,
					const struct lake_id *checkpoint, struct lake_id *out,
					uint64_t *sequence_out, struct err *err);

/* The rows that the last publishes showed, newest first, `most` of them at most;
 * rollbacks are passed over. */
MUST_CHECK enum status publication_rows(const struct line *line, const struct lake_id *shown,
					size_t most, uint64_t *rows_out, size_t *n_out,
					struct err *err);

/* The same for a dest that has, under the roots, nothing but what was shown: all there
 * becomes X's. A merge comes to the same tree, and looks for its base as far back as X's
 * checkpoint is. */
MUST_CHECK enum status publication_join(const struct line *line, const struct roots *roots,
					const struct lake_id *x, const struct lake_id *dest,
					const struct cursor *own, const char *message,
					struct lake_id *out, struct err *err);

/* After a move with an unknown outcome: is X on the publication branch, whatever came on top
 * of it since? ST_OK; ST_CONFLICT: it is not, so nothing has moved. */
MUST_CHECK enum status publication_look(const struct line *line, const struct lake_id *x,
					struct err *err);

/* The target's commit that brought publication `sequence` of this connector, or, where a
 * reset has taken that off the line, the next one after it; in O(log n). target: its
 * head. ST_NOT_FOUND: the target holds only older ones. */
MUST_CHECK enum status publication_on_target(const struct line *line, const struct lake_id *target,
					     uint64_t sequence, struct lake_commit *out,
					     struct err *err);

/* Somebody may have changed this connector's paths on the target by hand: where
 * those under roots differ from the publication `shown`, dest becomes a commit on it
 * that puts them back. */
MUST_CHECK enum status publication_restore(const struct line *line, const struct roots *roots,
					   const struct lake_id *shown, struct lake_id *dest,
					   struct err *err);

#endif
