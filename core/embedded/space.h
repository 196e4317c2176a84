/* The reserve of free disk: writing stops before the volume is full, because
 * the metadata's log must never meet a full disk. statvfs is asked once a
 * second, and sooner where what was written since might have used it up.
 * From any thread. */
#ifndef TIDEMARK_EMBEDDED_SPACE_H
#define TIDEMARK_EMBEDDED_SPACE_H

#include <pthread.h>

#include "core/base/clock.h"
#include "core/base/err.h"

struct space {
	char *path;
	struct clock *clock;
	uint64_t reserve_bytes;
	pthread_mutex_t lock; /* guards all below */
	int64_t asked_us;
	uint64_t free_bytes; /* when asked, less what was taken since */
	bool asked;
};

void space_init(struct space *s, const char *path, uint64_t reserve_bytes, struct clock *clock);
void space_release(struct space *s);
/* May so many bytes be written? ST_NO_SPACE below the reserve. */
MUST_CHECK enum status space_take(struct space *s, uint64_t bytes, struct err *err);
/* Free bytes above the reserve, asked now. */
MUST_CHECK enum status space_free(struct space *s, uint64_t *out, struct err *err);

#endif
