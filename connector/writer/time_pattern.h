/* `path.format`: Java's date-time patterns, as far as they name no language.
 *
 *   y Y   year (of the calendar: Y is no year of weeks)      M   month, 1 to 12
 *   d     day of the month      D   day of the year
 *   H     hour, 0 to 23         m   minute     s   second    S   its fraction
 *
 * A letter that is repeated is a number with so many digits at least; yy has two.
 * Text between quotes stays; '' is a quote, which no path may hold. */
#ifndef TIDEMARK_WRITER_TIME_PATTERN_H
#define TIDEMARK_WRITER_TIME_PATTERN_H

#include "core/base/buf.h"
#include "core/base/err.h"

struct time_pattern;

/* ST_USAGE: says which letter or character is not taken, and what is. */
MUST_CHECK enum status time_pattern_parse(const char *text, struct time_pattern **out,
					  struct err *err);
void time_pattern_free(struct time_pattern *p);
AUTO_DESTRUCTOR(struct time_pattern, time_pattern_free)
/* local_ms: local time, in ms since the local epoch, of the years 1 to 9999. */
void time_pattern_add(const struct time_pattern *p, int64_t local_ms, struct buf *out);

#endif
