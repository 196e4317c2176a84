/* Avro's variable-length numbers, as its bytes are walked: zigzag varints, the
 * lengths before text and bytes, the heads of blocks of an array or map (Avro
 * specification, "Binary encoding").
 *
 * Bounds: each function begins with p <= end and may read VARINT_SLACK bytes from
 * there without looking; what it returns is to be compared with end before the
 * next begins, but where it takes end itself. */
#ifndef TIDEMARK_SCHEMA_VARINT_H
#define TIDEMARK_SCHEMA_VARINT_H

#include <string.h>

#include "core/base/base.h"

#define VARINT_SLACK 16

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define VARINT_HIGH_BITS 0x8080808080808080u

static inline uint64_t load64(const unsigned char *p)
{
	uint64_t w;

	memcpy(&w, p, sizeof(w));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	w = __builtin_bswap64(w);
#endif
	return w;
}

/* Bytes of the varint at p; 11 where it is over 64 bits. */
static inline size_t varint_width(const unsigned char *p)
{
	uint64_t ends = ~load64(p) & VARINT_HIGH_BITS;

	if (likely(ends))
		return (size_t)(__builtin_ctzll(ends) >> 3) + 1;
	if (p[8] < 0x80)
		return 9;
	return p[9] <= 1 ? 10 : 11;
}

/* Decodes a varint of any width; the slack makes its bytes readable. */
static const unsigned char *varint_any(const unsigned char *p, uint64_t *out)
{
	size_t n = varint_width(p);
	uint64_t v = 0;

	if (n > 10)
		return NULL;
	for (size_t i = 0; i < n; i++)
		v |= (uint64_t)(p[i] & 0x7f) << (7 * i);
	*out = v;
	return p + n;
}

/* A length at p: sets n and moves p, both within end. */
static inline const unsigned char *length_at(const unsigned char *p, const unsigned char *end,
					     size_t *n)
{
	uint64_t v = p[0];

	if (likely(v < 0x80)) {
		p += 1;
	} else if (likely(p[1] < 0x80)) {
		v = (v & 0x7f) | (uint64_t)p[1] << 7;
		p += 2;
	} else {
		p = varint_any(p, &v);
		if (!p)
			return NULL;
	}
	if (unlikely(v & 1) || unlikely((int64_t)(v >> 1) > end - p))
		return NULL;
	*n = v >> 1;
	return p;
}

/* Reads the head of a block: *left items (0: the end). */
static const unsigned char *block_at(const unsigned char *p, const unsigned char *end,
				     uint64_t *left, const unsigned char **block_end)
{
	uint64_t v;
	size_t size;

	*block_end = NULL;
	p = varint_any(p, &v);
	if (!p || p > end)
		return NULL;
	*left = v >> 1;
	if (!(v & 1))
		return p;
	*left += 1; /* zigzag: -n is 2n - 1 */
	p = length_at(p, end, &size);
	if (!p)
		return NULL;
	*block_end = p + size;
	return p;
}

static inline int64_t unzigzag(uint64_t v)
{
	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

#endif
