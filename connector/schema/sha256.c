/* OpenSSL's one-shot functions look the algorithm up at every call, and read its
 * configuration at the first, which costs more than hashing what is short; these older
 * ones do not. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "connector/schema/sha256.h"

#include <openssl/sha.h>

void sha256_of(const void *data, size_t len, unsigned char out[SHA256_BYTES])
{
	SHA256_CTX ctx;

	SHA256_Init(&ctx);
	SHA256_Update(&ctx, data, len);
	SHA256_Final(out, &ctx);
}
