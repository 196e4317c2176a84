/* SHA-256 of a whole text. */
#ifndef TIDEMARK_SCHEMA_SHA256_H
#define TIDEMARK_SCHEMA_SHA256_H

#include <stddef.h>

#define SHA256_BYTES 32

void sha256_of(const void *data, size_t len, unsigned char out[SHA256_BYTES]);

#endif
