/* gc that a connector runs beside its work, every lake.gc.interval.ms. */
#ifndef TIDEMARK_WORKER_COLLECTOR_H
#define TIDEMARK_WORKER_COLLECTOR_H

#include "connector/worker/config.h"

struct collector;

/* A thread; NULL where the interval is 0. The time of the last gc is kept in the
 * lake, so that a restart neither repeats nor forgets it. It waits a minute before the first, so
 * that a short run does not collect. Borrows all three. */
struct collector *collector_start(const struct config *config, struct lake *lake,
				  struct clock *clock);
/* Ends the thread, in the middle of a gc too: what that has freed is freed. */
void collector_stop(struct collector *c);

/* Is a gc due, and not before `now`, by what the lake says of the last? */
bool collector_due(struct lake *lake, const char *connector, int64_t interval_ms, int64_t now_ms);
/* Runs gc and records what it came to. goes_on as lake_gc_options.progress.
 * ST_BUSY: another gc, fsck or backup runs, nothing is recorded. */
MUST_CHECK enum status collector_run(const struct config *config, struct lake *lake,
				     struct clock *clock,
				     bool (*goes_on)(void *ctx, const struct lake_gc_progress *p),
				     void *ctx, struct err *err);

#endif
