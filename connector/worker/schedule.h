/* What is due when: after so many checkpoints, after an interval, at a cron
 * line's times; whichever comes first. No threads and no clock of its own: it is
 * told the time, and whoever waits asks again after schedule_wait_ms().
 *
 * Clocks step. Ahead over several times of the cron line: they are run once.
 * Back: a time that was run is not run again, and one that was not is run when
 * the clock comes to it, so that a clock that was years ahead for a moment
 * silences nothing. The interval is measured by the monotonic clock.
 *
 * A schedule belongs to one thread, or to one lock. */
#ifndef TIDEMARK_WORKER_SCHEDULE_H
#define TIDEMARK_WORKER_SCHEDULE_H

#include "connector/worker/cron.h"

struct schedule_rule {
	int64_t checkpoints, interval_ms; /* 0: unset */
	const struct cron *cron; /* NULL: unset */
};

#define SCHEDULE_DONE 8

struct schedule {
	struct schedule_rule rule;
	uint64_t checkpoints; /* since the last time that it was due */
	int64_t since_us; /* likewise, for the interval */
	int64_t looked_ms, next_ms; /* the cron line's first time after looked_ms */
	/* Times of the cron line that were run: from first to last each. */
	struct {
		int64_t first, last;
	} done[SCHEDULE_DONE + 1]; /* one more while one is added */
	size_t n_done;
};

/* The times of the cron line in the day before count as run: a clock that is set
 * back a little after a restart repeats nothing. */
void schedule_init(struct schedule *s, const struct schedule_rule *rule, int64_t wall_ms,
		   int64_t mono_us);
bool schedule_is_empty(const struct schedule_rule *rule);
void schedule_checkpointed(struct schedule *s);
/* Is it due? Then that counts as run. Cheap where it is not. */
MUST_CHECK bool schedule_take(struct schedule *s, int64_t wall_ms, int64_t mono_us);
/* Ask again after so long at the latest; -1: after the next checkpoint. */
int64_t schedule_wait_ms(const struct schedule *s, int64_t wall_ms, int64_t mono_us);

#endif
