#include "connector/writer/path_value.h"

#include <string.h>

#include "connector/schema/utf8.h"
#include "core/lake.h"

#define DIGEST_DIGITS 32

static bool stays(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '-' || c == '.';
}

static uint32_t code_point(const unsigned char *p, size_t n)
{
	uint32_t c = p[0] & (0x7fu >> n);

	for (size_t i = 1; i < n; i++)
		c = c << 6 | (p[i] & 0x3f);
	return c;
}

/* Can it be seen, and told from others? */
static bool visible(uint32_t c)
{
	static const struct {
		uint32_t from, to;
	} hidden[] = {
		{0x80, 0xa0},     {0xad, 0xad},        {0x61c, 0x61c},   {0x115f, 0x1160},
		{0x1680, 0x1680}, {0x17b4, 0x17b5},    {0x180b, 0x180f}, {0x2000, 0x206f},
		{0x2800, 0x2800}, {0x3000, 0x3000},    {0x3164, 0x3164}, {0xe000, 0xf8ff},
		{0xfdd0, 0xfdef}, {0xfe00, 0xfe0f},    {0xfeff, 0xfeff}, {0xffa0, 0xffa0},
		{0xfff0, 0xffff}, {0xe0000, 0x10ffff},
	};

	for (size_t i = 0; i < ARRAY_SIZE(hidden); i++)
		if (c >= hidden[i].from && c <= hidden[i].to)
			return false;
	return (c & 0xfffe) != 0xfffe;
}

/* Bytes at p that stay as they are; 0: the first one does not. */
static size_t plain_at(const unsigned char *p, const unsigned char *end)
{
	size_t n;

	if (*p < 0x80)
		return stays(*p);
	n = utf8_sequence(p, end);
	return n && visible(code_point(p, n)) ? n : 0;
}

static void cut(struct buf *out, size_t to)
{
	out->len = to;
	out->data[to] = '\0';
}

void path_value_add(struct buf *out, const void *text, size_t len, size_t limit)
{
	const unsigned char *p = text, *end = p + len;
	size_t from = out->len, kept = from;
	char digest[LAKE_DIGEST_BYTES];

	if (!len) {
		buf_adds(out, PATH_VALUE_NONE);
		return;
	}
	if (len == strlen(PATH_VALUE_NONE) && memcmp(text, PATH_VALUE_NONE, len) == 0) {
		buf_adds(out, "%5F"); /* it is no null */
		p++;
	}
	while (p < end && out->len - from <= limit) {
		size_t n = plain_at(p, end);

		if (out->len - from <= limit - PATH_VALUE_MIN)
			kept = out->len;
		if (n)
			buf_add(out, p, n);
		else
			buf_addf(out, "%%%02X", *p);
		p += n ? n : 1;
	}
	if (out->len - from <= limit)
		return;
	lake_digest(text, len, digest);
	cut(out, kept);
	buf_addc(out, '~');
	buf_add(out, digest, DIGEST_DIGITS);
}
