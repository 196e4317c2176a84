/* Time zones by name, read from the system's database (TZif files, RFC 8536):
 * libc knows one zone a process. A zone never changes and may be shared. */
#ifndef TIDEMARK_BASE_ZONE_H
#define TIDEMARK_BASE_ZONE_H

#include "core/base/err.h"

struct zone;

/* name: as in the database ("Europe/Berlin"). "UTC" needs none. ST_USAGE: no such
 * zone, or no database, with the remedy. */
MUST_CHECK enum status zone_open(const char *name, struct zone **out, struct err *err);
/* The same of a file's bytes. ST_DAMAGED where they are no TZif. */
MUST_CHECK enum status zone_parse(const void *data, size_t len, struct zone **out, struct err *err);
void zone_free(struct zone *zone);
AUTO_DESTRUCTOR(struct zone, zone_free)

/* A time in which local time is UTC + offset throughout; in seconds. */
struct zone_span {
	int64_t from, until; /* [from, until) in UTC since the epoch */
	int64_t offset; /* east is positive */
};

struct zone_span zone_span_at(const struct zone *zone, int64_t utc_s);

#endif
