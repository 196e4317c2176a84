/* Base64 (RFC 4648, section 4), with its padding. */
#ifndef TIDEMARK_WRITER_BASE64_H
#define TIDEMARK_WRITER_BASE64_H

#include "core/base/buf.h"

void base64_add(struct buf *out, const void *data, size_t len);
/* Appends the bytes of a text; false where it is none, and out may have some of them. */
MUST_CHECK bool base64_decode(const char *text, size_t len, struct buf *out);

#endif
