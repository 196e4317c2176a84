/* Bytes that several hold at once and nobody changes. Whoever holds one gives it
 * back; the last frees it.
 *
 * Threads: any. */
#ifndef TIDEMARK_BASE_SHARED_H
#define TIDEMARK_BASE_SHARED_H

#include <stdatomic.h>

#include "core/base/base.h"

struct shared {
	atomic_uint holders;
	/* Somebody has compared the bytes with the hash that names them. */
	atomic_bool verified;
	size_t len;
	unsigned char data[];
};

/* Held once and not verified: bytes to be filled before another sees them, or a
 * copy of data. */
struct shared *shared_alloc(size_t len);
struct shared *shared_new(const void *data, size_t len);
struct shared *shared_hold(struct shared *s);
void shared_drop(struct shared *s); /* NULL is fine */
AUTO_DESTRUCTOR(struct shared, shared_drop)

#endif
