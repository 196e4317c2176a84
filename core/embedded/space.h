/* The reserve of free disk: writing stops before the volume is full, because
 * the metadata's log must never meet a full disk.
 *
 * What is kept: the reserve, and what RocksDB may need to pack tables, up to
 * SPACE_PACK_BYTES: it writes new ones before it removes the old ones, and
 * allocates a tenth more, and a whole table before it writes to it. What tables
 * that are being written have allocated counts as free. statvfs is asked ten times
 * a second, and sooner where what was written since might have used it up.
 *
 * What gives room back (gc, deletions) goes on down to the floor. From any
 * thread. */
#ifndef TIDEMARK_EMBEDDED_SPACE_H
#define TIDEMARK_EMBEDDED_SPACE_H

#include <pthread.h>

#include "core/base/clock.h"
#include "core/base/err.h"

#define SPACE_PACK_BYTES ((uint64_t)1 << 30)
#define SPACE_TABLE_BYTES ((uint64_t)64 << 20) /* RocksDB's default */
/* Two of RocksDB's write buffers. */
#define SPACE_FLOOR_BYTES ((uint64_t)8 << 20)

struct space {
	char *path;
	struct clock *clock;
	pthread_mutex_t lock; /* guards all below */
	uint64_t (*tables)(void *ctx);
	void *ctx;
	uint64_t reserve_bytes;
	int64_t asked_us;
	uint64_t free_bytes; /* when asked, less what was taken since */
	uint64_t kept_bytes; /* of these, when asked */
	bool asked;
};

/* tables(ctx): bytes of the tables that are in use. */
void space_init(struct space *s, const char *path, uint64_t reserve_bytes, struct clock *clock,
		uint64_t (*tables)(void *ctx), void *ctx);
void space_release(struct space *s);
/* May so many bytes be written? ST_NO_SPACE below what is kept. What goes into
 * the metadata is written twice, to the log and to a table. */
MUST_CHECK enum status space_take(struct space *s, uint64_t bytes, struct err *err);
/* May what gives room back go on? ST_NO_SPACE below the floor. */
MUST_CHECK enum status space_above_floor(struct space *s, struct err *err);
/* From now on all may write down to the floor. */
void space_open_reserve(struct space *s);
/* Free bytes above what is kept, asked now. */
MUST_CHECK enum status space_free(struct space *s, uint64_t *out, struct err *err);
/* Free bytes above the reserve, asked now: RocksDB may pack in them. */
MUST_CHECK enum status space_to_pack(struct space *s, uint64_t *out, struct err *err);

#endif
