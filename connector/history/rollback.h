/* Rollback: data and consumer go back together to any checkpoint.
 *
 * It goes to a pair: ingest to T, the target to P', the newest checkpoint in
 * T's history all of whose files the target shows now. Ingest gets a new commit
 * R (T's tree and offsets, the epoch + 1); the publication branch gets X(n+1)
 * with the tree of P'; the target gets that merged. All three move at once or
 * not at all. A rollback never adds a record to a target; only the undoing of
 * one does, for what was shown before. */
#ifndef TIDEMARK_HISTORY_ROLLBACK_H
#define TIDEMARK_HISTORY_ROLLBACK_H

#include "connector/history/target.h"

enum rollback_mode { ROLLBACK_REVERT, ROLLBACK_RESET };

/* Kafka's side, asked before anything moves. For each partition in `list`
 * (offset: where reading would start) fills the earliest and latest offset that
 * Kafka has, and the topics' ids. */
struct kafka_bounds {
	struct offsets earliest, latest;
	struct topic_states topics; /* generation unused */
};
void kafka_bounds_release(struct kafka_bounds *b);
typedef enum status (*rollback_ask_kafka)(void *ctx, const struct offsets *wanted,
					  struct kafka_bounds *out, struct err *err);

struct rollback_request {
	const char *const *to; /* one or more; the oldest wins; none with undo */
	size_t n_to;
	bool undo;
	enum rollback_mode mode;
	bool target_only; /* ingest and Kafka are left alone; not with undo or skips */
	const struct position *skip; /* --skip-to */
	size_t n_skip;
	const char *reason; /* recorded with what is skipped; NULL: "skipped by a rollback" */
	rollback_ask_kafka ask;
	void *ask_ctx;
};

struct rollback_plan {
	struct checkpoint head; /* of ingest, before */
	struct checkpoint to; /* T */
	struct shown shown; /* X(n), before */
	struct lake_id show; /* P'; none: nothing will be shown */
	struct offsets show_offsets;
	struct lake_id target_head; /* before */
	struct lake_id reset_to; /* mode reset: the target's commit; none: as revert */
	struct lake_id reset_shows; /* the publication that reset_to holds */
	bool target_was_changed; /* by hand: it is put back first */
	bool target_only;
	enum rollback_mode mode; /* the one that will be used */
	char *mode_note; /* why it is not the one asked for; "" */
	struct offsets offsets; /* of R */
	struct ranges skipped;
	struct losses losses;
	struct ranges replay; /* what is read again: [offset of R, offset of head) */
	uint64_t files_on_ingest, files_on_target; /* that change; where more, 100,000 at least */
	char *message;
	/* Open for as long as the plan lives: so gc keeps T and P'. */
	struct lake_diff *lease;
};

void rollback_plan_release(struct rollback_plan *plan);

/* Finds out everything and moves nothing.
 * ST_LOST   Kafka no longer has what would be replayed, or a topic was created
 *           anew; err says what could be done instead.
 * ST_USAGE  a reset would drop commits that are not this connector's; nothing to
 *           undo; a target that is no checkpoint.
 * ST_EXPIRED gc has freed data that would be shown again (lake.history.retain);
 *           names the first of them.
 * ST_UNREACHABLE Kafka does not answer. */
MUST_CHECK enum status rollback_plan_make(const struct line *line,
					  const struct rollback_request *request,
					  struct rollback_plan *out, struct err *err);
void rollback_plan_print(const struct line *line, const struct rollback_plan *plan,
			 struct buf *out);

struct rollback_result {
	struct lake_id ingest; /* R; with target_only the head */
	struct lake_id target; /* the target's new head */
	uint64_t epoch;
};

/* ST_CONFLICT: ingest, publication or target moved since the plan; nothing
 * changed; plan again. */
MUST_CHECK enum status rollback_apply(const struct line *line, const struct rollback_plan *plan,
				      struct rollback_result *out, struct err *err);

#endif
