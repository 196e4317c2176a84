/* SHA-256 (OpenSSL's libcrypto, which uses the processor's instructions). */
#ifndef TIDEMARK_MODEL_HASH_H
#define TIDEMARK_MODEL_HASH_H

#include "core/base/base.h"

struct hash {
	unsigned char bytes[32];
};

void hash_of(const void *data, size_t len, struct hash *out);
static inline bool hash_equal(const struct hash *a, const struct hash *b)
{
	return __builtin_memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}
bool hash_is_zero(const struct hash *h);
void hash_hex(const struct hash *h, char out[65]);

/* Streaming. */
struct hasher;
struct hasher *hasher_new(void);
void hasher_add(struct hasher *h, const void *data, size_t len);
void hasher_finish(struct hasher *h, struct hash *out); /* then only free */
void hasher_free(struct hasher *h);

#endif
