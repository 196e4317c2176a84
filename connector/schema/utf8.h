/* Is it UTF-8 (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF)?
 * Most text is ASCII and short, so that is what is fast. */
#ifndef TIDEMARK_SCHEMA_UTF8_H
#define TIDEMARK_SCHEMA_UTF8_H

#include <jansson.h>

#include "core/base/buf.h"

#ifdef __SSE2__
#include <emmintrin.h>
#else
#include <string.h>
#endif

/* Readable bytes that text_is_utf8() wants behind the text's end. */
#define UTF8_SLACK 16

bool utf8_check(const unsigned char *p, size_t n);
/* Appends text as UTF-8 whatever it is: each byte that is none becomes U+FFFD. */
void utf8_mend(const char *text, struct buf *out);
/* The same as a JSON string, never NULL; JSON's null of NULL. JSON has no other text. */
json_t *utf8_json(const char *text);

/* The length (1 to 4) of the code point at p, 0 where there is none before end. */
static inline size_t utf8_sequence(const unsigned char *p, const unsigned char *end)
{
	size_t left = (size_t)(end - p);

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xe0)
		return p[0] >= 0xc2 && left >= 2 && (p[1] & 0xc0) == 0x80 ? 2 : 0;
	if (p[0] < 0xf0) {
		if (left < 3 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80)
			return 0;
		return (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ? 0 : 3;
	}
	if (p[0] > 0xf4 || left < 4 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80 ||
	    (p[3] & 0xc0) != 0x80)
		return 0;
	return (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f) ? 0 : 4;
}

/* utf8_check() for text with UTF8_SLACK readable bytes behind it. */
static inline bool text_is_utf8(const unsigned char *p, size_t n)
{
#ifdef __SSE2__
	while (n > 16) {
		if (_mm_movemask_epi8(_mm_loadu_si128((const __m128i *)p)))
			return utf8_check(p, n);
		p += 16;
		n -= 16;
	}
	if (_mm_movemask_epi8(_mm_loadu_si128((const __m128i *)p)) & ((1 << n) - 1))
		return utf8_check(p, n);
	return true;
#else
	uint64_t w;

	while (n >= 8) {
		memcpy(&w, p, 8);
		if (w & 0x8080808080808080u)
			return utf8_check(p, n);
		p += 8;
		n -= 8;
	}
	for (size_t i = 0; i < n; i++)
		if (p[i] & 0x80)
			return utf8_check(p, n);
	return true;
#endif
}

#endif
