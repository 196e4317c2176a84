/* OpenSSL's one-shot functions look the algorithm up at every call, which
 * costs more than hashing a path does; these older ones do not. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "core/model/hash.h"

#include <openssl/sha.h>
#include <stdlib.h>

#include "core/base/base.h"

struct hasher {
	SHA256_CTX ctx;
};

void hash_of(const void *data, size_t len, struct hash *out)
{
	SHA256_CTX ctx;

	SHA256_Init(&ctx);
	SHA256_Update(&ctx, data, len);
	SHA256_Final(out->bytes, &ctx);
}

bool hash_is_zero(const struct hash *h)
{
	unsigned char any = 0;

	for (size_t i = 0; i < sizeof(h->bytes); i++)
		any |= h->bytes[i];
	return any == 0;
}

void hash_hex(const struct hash *h, char out[65])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < sizeof(h->bytes); i++) {
		out[2 * i] = digits[h->bytes[i] >> 4];
		out[2 * i + 1] = digits[h->bytes[i] & 15];
	}
	out[64] = '\0';
}

struct hasher *hasher_new(void)
{
	struct hasher *h = xmalloc(sizeof(*h));

	SHA256_Init(&h->ctx);
	return h;
}

void hasher_add(struct hasher *h, const void *data, size_t len)
{
	SHA256_Update(&h->ctx, data, len);
}

void hasher_finish(struct hasher *h, struct hash *out)
{
	SHA256_Final(out->bytes, &h->ctx);
}

void hasher_free(struct hasher *h)
{
	free(h);
}
