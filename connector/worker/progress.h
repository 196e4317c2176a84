/* The one line that `run` keeps on a terminal: records, rate, lag, last
 * checkpoint, time left. Belongs to one thread. */
#ifndef TIDEMARK_WORKER_PROGRESS_H
#define TIDEMARK_WORKER_PROGRESS_H

#include "core/base/clock.h"

struct progress {
	struct clock *clock;
	int64_t shown_us;
	int64_t started_us;
	uint64_t records; /* committed since the start */
	double rate; /* records a second, smoothed */
	int64_t rate_us;
	uint64_t rate_records;
	int64_t lag; /* -1 unknown */
	int64_t checkpoint_us; /* 0: none yet */
};

void progress_start(struct progress *p, struct clock *clock);
/* Is it time to show the line again? */
bool progress_due(const struct progress *p);
/* read: records since the start, committed or not. */
void progress_show(struct progress *p, uint64_t read);
/* Wipes the line, so that a log line stands alone. Any thread. */
void progress_wipe(void);

#endif
