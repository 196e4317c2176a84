/* How long gc keeps the data of history: lake.history.retain of the connectors
 * that the lake has seen. */
#ifndef TIDEMARK_HISTORY_RETAIN_H
#define TIDEMARK_HISTORY_RETAIN_H

#include "core/lake.h"

#define RETAIN_PROPERTY "lake.history.retain"
/* Cursors and large offset maps of every checkpoint and publication: find and
 * rollback read them however old they are, and they are small. */
#define RETAIN_ALWAYS "_tidemark/"

struct retention {
	int64_t ms; /* the longest of all; 0: history is kept whole */
	char *keeper; /* where it is kept: a connector that has none; NULL: no connector */
};

void retention_release(struct retention *r);
/* ST_DAMAGED where a connector's properties cannot be read. */
MUST_CHECK enum status retention_read(struct lake *lake, struct retention *out, struct err *err);

#endif
