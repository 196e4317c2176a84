/* Cuts: checkpoints that read nothing and take files out of ingest, with their rows
 * recorded as lost. Two kinds:
 *
 *   drop    the files that some checkpoints added; later ones are kept
 *   accept  what was changed on the target by hand is made so on ingest too
 *
 * Both begin a new epoch, as a rollback does, so that whatever was prepared before them
 * loses; and `rollback --undo` takes them back. */
#ifndef TIDEMARK_HISTORY_CUT_H
#define TIDEMARK_HISTORY_CUT_H

#include "connector/history/publication.h"

struct cut_plan {
	struct checkpoint head; /* of ingest, before */
	struct shown shown;
	struct checkpoint from, to; /* drop: both ends included; accept: unused */
	struct lake_id follows; /* accept: the target's commit; drop: none */
	char **remove; /* paths that go */
	size_t n_remove, cap_remove;
	char **take; /* accept: paths that are taken from the target */
	size_t n_take, cap_take;
	struct losses lost; /* the rows of the files that go or are replaced */
	uint64_t records; /* how many they are */
};
void cut_plan_release(struct cut_plan *plan);

/* Finds out what would go, and moves nothing. from, to: as target_resolve() takes
 * them. reason: recorded with what is lost; NULL: "dropped by hand". ST_EMPTY: they added nothing
 * that is still there. ST_USAGE: `to` comes before `from`, or `from` is the connector's first
 * checkpoint. */
MUST_CHECK enum status cut_plan_drop(const struct line *line, const char *from, const char *to,
				     const char *reason, struct cut_plan *out, struct err *err);
/* ST_EMPTY: nothing was changed by hand. */
MUST_CHECK enum status cut_plan_accept(const struct line *line, struct cut_plan *out,
				       struct err *err);
void cut_plan_print(const struct line *line, const struct cut_plan *plan, struct buf *out);
/* Moves ingest. ST_CONFLICT: it has moved since the plan; nothing changed. */
MUST_CHECK enum status cut_apply(const struct line *line, const struct cut_plan *plan,
				 struct lake_id *out, struct err *err);

#endif
