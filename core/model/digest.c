#include "core/lake.h"
#include "core/model/hash.h"

void lake_digest(const void *data, size_t len, char out[LAKE_DIGEST_BYTES])
{
	struct hash hash;

	hash_of(data, len, &hash);
	hash_hex(&hash, out);
}
