#include "connector/schema/json_text.h"

#include <string.h>

const char *json_blank(const char *p)
{
	while (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')
		p++;
	return p;
}

const char *json_string_end(const char *p)
{
	for (p++; *p != '"'; p++)
		if (*p == '\\')
			p++;
	return p + 1;
}

/* A number or a name; behind it comes something else, if only the object's brace. */
static const char *skip_token(const char *p)
{
	while ((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') || *p == '-' || *p == '+' ||
	       *p == '.' || *p == 'E')
		p++;
	return p;
}

const char *json_skip(const char *p)
{
	size_t depth = 0;

	for (;;) {
		if (*p == '"') {
			p = json_string_end(p);
		} else if (*p == '{' || *p == '[') {
			depth++;
			p++;
		} else if (*p == '}' || *p == ']') {
			depth--;
			p++;
		} else {
			p = skip_token(p);
		}
		if (!depth)
			return p;
		while (*p == ',' || *p == ':' || *p == ' ' || *p == '\n' || *p == '\r' ||
		       *p == '\t')
			p++;
	}
}

static unsigned hex4(const char *p)
{
	unsigned v = 0;

	for (int i = 0; i < 4; i++)
		v = v << 4 | (unsigned)hex_digit(p[i]);
	return v;
}

static void add_utf8(struct buf *out, unsigned c)
{
	if (c < 0x80) {
		buf_addc(out, (char)c);
		return;
	}
	if (c < 0x800) {
		buf_addc(out, (char)(0xc0 | c >> 6));
	} else {
		if (c < 0x10000) {
			buf_addc(out, (char)(0xe0 | c >> 12));
		} else {
			buf_addc(out, (char)(0xf0 | c >> 18));
			buf_addc(out, (char)(0x80 | (c >> 12 & 0x3f)));
		}
		buf_addc(out, (char)(0x80 | (c >> 6 & 0x3f)));
	}
	buf_addc(out, (char)(0x80 | (c & 0x3f)));
}

/* p is behind the backslash; behind the escape. */
static const char *unescape_one(const char *p, struct buf *out)
{
	static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
	const char *at = strchr(from, *p);
	unsigned c;

	if (*p != 'u') {
		buf_addc(out, at ? to[at - from] : *p);
		return p + 1;
	}
	c = hex4(p + 1);
	p += 5;
	if (c >= 0xd800 && c < 0xdc00) {
		c = 0x10000 + ((c - 0xd800) << 10) + (hex4(p + 2) - 0xdc00);
		p += 6;
	}
	add_utf8(out, c);
	return p;
}

void json_unescape(const char **pos, struct buf *out)
{
	const char *p = *pos + 1;

	while (*p != '"') {
		const char *from = p;

		while (*p != '"' && *p != '\\')
			p++;
		buf_add(out, from, (size_t)(p - from));
		if (*p == '\\')
			p = unescape_one(p + 1, out);
	}
	*pos = p + 1;
}
