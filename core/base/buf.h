/* A growable byte buffer. data is NULL until something is added, and from
 * then on always has a NUL behind its last byte, so that it is a string where
 * its content is text. A buf belongs to one thread. */
#ifndef TIDEMARK_BASE_BUF_H
#define TIDEMARK_BASE_BUF_H

#include "core/base/base.h"

struct buf {
	char *data;
	size_t len;
	size_t cap;
};

#define BUF_INIT                                                                                   \
	{                                                                                          \
		.data = NULL                                                                       \
	}

void buf_release(struct buf *b);
void buf_clear(struct buf *b); /* keeps the memory */
void buf_reserve(struct buf *b, size_t extra); /* room for extra bytes and a NUL */
void buf_add(struct buf *b, const void *data, size_t len);
void buf_adds(struct buf *b, const char *s);
void buf_addc(struct buf *b, char c);
void buf_addf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_addbuf(struct buf *b, const struct buf *other);
/* Lower-case hexadecimal of len bytes. */
void buf_add_hex(struct buf *b, const void *data, size_t len);
/* Unsigned LEB128, and fixed-width big-endian integers. */
void buf_add_varint(struct buf *b, uint64_t v);
void buf_add_be32(struct buf *b, uint32_t v);
void buf_add_be64(struct buf *b, uint64_t v);
/* The text, "" where nothing was added; valid until b changes. */
const char *buf_str(const struct buf *b);
/* Gives the memory to the caller (never NULL) and empties b. */
char *buf_detach(struct buf *b);

/* Reading side: a cursor over borrowed bytes. Each returns false, and moves
 * nothing, where the bytes end too early (or a varint is over 64 bits). */
struct bytes {
	const unsigned char *p;
	const unsigned char *end;
};

struct bytes bytes_of(const void *data, size_t len);
static inline size_t bytes_left(const struct bytes *in)
{
	return (size_t)(in->end - in->p);
}
MUST_CHECK bool bytes_varint_long(struct bytes *in, uint64_t *out);
MUST_CHECK static inline bool bytes_varint(struct bytes *in, uint64_t *out)
{
	if (in->p == in->end || *in->p >= 0x80)
		return bytes_varint_long(in, out);
	*out = *in->p++;
	return true;
}
MUST_CHECK bool bytes_be32(struct bytes *in, uint32_t *out);
MUST_CHECK bool bytes_be64(struct bytes *in, uint64_t *out);
MUST_CHECK static inline bool bytes_take(struct bytes *in, size_t len, const unsigned char **out)
{
	if (bytes_left(in) < len)
		return false;
	*out = in->p;
	in->p += len;
	return true;
}

#endif
