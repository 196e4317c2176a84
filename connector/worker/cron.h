/* A cron line: minute, hour, day of month, month, day of week, in a time zone.
 *
 * Fields: `*`, numbers, names (JAN-DEC, SUN-SAT, of any case; 7 is Sunday too),
 * ranges, lists, steps behind `*` or a range; or one of @hourly, @daily,
 * @midnight, @weekly, @monthly, @yearly, @annually. As in crontab(5): where
 * neither day of month nor day of week begins with `*`, either is enough.
 *
 * Where clocks change: a time of day that is left out runs once, at the moment
 * after the gap; one that comes twice runs once, when it first comes. A line
 * whose hour is every hour names no time of day: it runs in both hours, and so
 * is never silent for longer than it says. */
#ifndef TIDEMARK_WORKER_CRON_H
#define TIDEMARK_WORKER_CRON_H

#include "core/base/zone.h"

struct cron;

/* ST_USAGE names the field and the remedy; a line that can never run
 * (30 February) is an error too. zone is consumed in any case. */
MUST_CHECK enum status cron_parse(const char *line, struct zone *zone, struct cron **out,
				  struct err *err);
void cron_free(struct cron *cron);

#define CRON_NEVER INT64_MAX
/* The first time strictly after after_ms, both in ms since the epoch; CRON_NEVER
 * where none is within 50 years. */
int64_t cron_next(const struct cron *cron, int64_t after_ms);

#endif
