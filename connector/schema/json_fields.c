#include "connector/schema/json_fields.h"

#include <stdlib.h>
#include <string.h>

/* All functions take text that is known to be JSON, so they check nothing. */

static const char *skip_blank(const char *p)
{
	while (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')
		p++;
	return p;
}

/* p at the quote; behind the closing one. */
static const char *skip_string(const char *p)
{
	for (p++; *p != '"'; p++)
		if (*p == '\\')
			p++;
	return p + 1;
}

static const char *skip_value(const char *p, const char *end)
{
	size_t depth = 0;

	do {
		if (*p == '"') {
			p = skip_string(p);
			continue;
		}
		if (*p == '{' || *p == '[')
			depth++;
		else if (*p == '}' || *p == ']')
			depth--;
		else if (depth == 0) { /* a number, or a word */
			while (p < end && !strchr(" \t\r\n,]}", *p))
				p++;
			return p;
		}
		p++;
	} while (depth);
	return p;
}

/* ---- text ---- */

static uint32_t hex4(const char *p)
{
	char digits[5] = {p[0], p[1], p[2], p[3], '\0'};

	return (uint32_t)strtoul(digits, NULL, 16);
}

static void add_utf8(struct buf *out, uint32_t c)
{
	if (c < 0x80) {
		buf_addc(out, (char)c);
		return;
	}
	if (c < 0x800) {
		buf_addc(out, (char)(0xc0 | c >> 6));
	} else if (c < 0x10000) {
		buf_addc(out, (char)(0xe0 | c >> 12));
		buf_addc(out, (char)(0x80 | (c >> 6 & 0x3f)));
	} else {
		buf_addc(out, (char)(0xf0 | c >> 18));
		buf_addc(out, (char)(0x80 | (c >> 12 & 0x3f)));
		buf_addc(out, (char)(0x80 | (c >> 6 & 0x3f)));
	}
	buf_addc(out, (char)(0x80 | (c & 0x3f)));
}

static void unescape(const char *p, const char *end, struct buf *out)
{
	static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";

	while (p < end) {
		const char *known;
		uint32_t c;

		if (*p != '\\') {
			buf_addc(out, *p++);
			continue;
		}
		p++;
		if (*p != 'u') {
			known = strchr(from, *p);
			buf_addc(out, known ? to[known - from] : *p);
			p++;
			continue;
		}
		c = hex4(p + 1);
		p += 5;
		if (c >= 0xd800 && c < 0xdc00) { /* the other half follows */
			c = 0x10000 + ((c - 0xd800) << 10) + (hex4(p + 2) - 0xdc00);
			p += 6;
		}
		add_utf8(out, c);
	}
}

static bool same_text(const char *p, const char *end, const char *name, size_t len)
{
	AUTO(buf_release) struct buf plain = BUF_INIT;

	if (!memchr(p, '\\', (size_t)(end - p)))
		return (size_t)(end - p) == len && memcmp(p, name, len) == 0;
	unescape(p, end, &plain);
	return plain.len == len && memcmp(plain.data, name, len) == 0;
}

/* ---- values ---- */

/* The last member of that name of the object at p, or NULL. */
static const char *find_member(const char *p, const char *end, const char *name, size_t len)
{
	const char *found = NULL;

	p = skip_blank(p + 1);
	while (*p != '}') {
		const char *key = p + 1, *key_end;

		p = skip_string(p);
		key_end = p - 1;
		p = skip_blank(skip_blank(p) + 1); /* the colon */
		if (same_text(key, key_end, name, len))
			found = p;
		p = skip_blank(skip_value(p, end));
		if (*p == ',')
			p = skip_blank(p + 1);
	}
	return found;
}

static struct value value_at(const char *p, const char *end, struct buf *scratch)
{
	struct value v = {.data = p, .len = (size_t)(skip_value(p, end) - p)};

	switch (*p) {
	case 'n':
		v.kind = VALUE_NULL;
		break;
	case 't':
	case 'f':
		v.kind = VALUE_BOOLEAN;
		v.number = *p == 't';
		v.len = 0;
		break;
	case '"':
		v.kind = VALUE_TEXT;
		v.data++;
		v.len -= 2;
		if (memchr(v.data, '\\', v.len)) {
			buf_clear(scratch);
			unescape(v.data, v.data + v.len, scratch);
			v.data = buf_str(scratch);
			v.len = scratch->len;
		}
		break;
	case '{':
	case '[':
		v.kind = VALUE_OTHER;
		break;
	default:
		v.kind = VALUE_NUMBER;
	}
	return v;
}

struct value json_field(const char *text, size_t len, const char *path, struct buf *scratch)
{
	const char *p = skip_blank(text), *end = text + len;

	for (;;) {
		size_t n = strcspn(path, ".");

		if (*p != '{')
			return (struct value){.kind = VALUE_ABSENT};
		p = find_member(p, end, path, n);
		if (!p)
			return (struct value){.kind = VALUE_ABSENT};
		if (!path[n])
			return value_at(p, end, scratch);
		path += n + 1;
	}
}
