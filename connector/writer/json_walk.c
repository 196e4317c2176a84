/* The walk over JSON text that json_line_check() has let through: nothing is checked
 * again. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "connector/writer/json_shape_impl.h"

const char *json_blank(const char *p)
{
	while (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')
		p++;
	return p;
}

static const char *skip_string(const char *p)
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
			p = skip_string(p);
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

bool json_next(const char **p)
{
	*p = json_blank(*p);
	if (**p == '{' || **p == '[' || **p == ',')
		*p = json_blank(*p + 1);
	return **p != '}' && **p != ']';
}

static bool whole_number(const struct slice *text, int64_t *out)
{
	const char *p = text->p;
	const bool minus = *p == '-';
	int64_t v = 0;

	for (p += minus; p < text->end; p++) {
		int64_t digit = minus ? -(*p - '0') : *p - '0';

		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, digit, &v))
			return false;
	}
	*out = v;
	return true;
}

enum number_kind json_number(const struct slice *text, int64_t *l, double *d)
{
	const size_t len = (size_t)(text->end - text->p);
	AUTO(freep) char *copy = NULL; /* with an end */

	if (!memchr(text->p, '.', len) && !memchr(text->p, 'e', len) && !memchr(text->p, 'E', len))
		return whole_number(text, l) ? NUMBER_LONG : NUMBER_NEITHER;
	copy = xstrndup(text->p, len);
	errno = 0;
	/* Too large, or too small to be told from zero. */
	*d = strtod(copy, NULL);
	return errno ? NUMBER_NEITHER : NUMBER_DOUBLE;
}

/* ---- objects ---- */

static size_t find_field(const struct shape_node *node, const struct slice *name, size_t expected)
{
	const size_t len = (size_t)(name->end - name->p);

	/* Most often members come in the order of the fields. */
	for (size_t i = 0; i < node->n; i++) {
		size_t at = expected + i < node->n ? expected + i : expected + i - node->n;
		const struct shape_field *f = &node->fields[at];

		if (f->len == len && memcmp(f->name, name->p, len) == 0)
			return at;
	}
	return SIZE_MAX;
}

/* The name at the quote, without its escapes; lives as long as the walk. */
static struct slice name_at(struct json_shape *s, const char **p)
{
	const char *quote = *p, *end = skip_string(quote);
	AUTO(buf_release) struct buf name = BUF_INIT;
	size_t len;

	*p = end;
	if (!memchr(quote + 1, '\\', (size_t)(end - quote) - 2))
		return (struct slice){quote + 1, end - 1};
	json_unescape(&quote, &name);
	len = name.len;
	GROW(s->names, s->n_names, s->cap_names);
	s->names[s->n_names] = buf_detach(&name);
	return (struct slice){s->names[s->n_names++], s->names[s->n_names - 1] + len};
}

struct object_walk shape_walk(struct json_shape *s, const struct shape_node *node, const char *p)
{
	struct object_walk walk = {.from = s->n_members};
	uint64_t seen[SHAPE_MAX_NODES / 64 + 1] = {0};
	size_t expected = 0;

	while (json_next(&p)) {
		struct member m = {.name = name_at(s, &p)};

		p = json_blank(json_blank(p) + 1); /* the colon */
		m.value.p = p;
		m.value.end = p = json_skip(p);
		m.field = find_field(node, &m.name, expected);
		if (m.field == SIZE_MAX) {
			walk.unknown++;
		} else {
			uint64_t bit = (uint64_t)1 << m.field % 64;

			walk.twice = walk.twice || (seen[m.field / 64] & bit);
			seen[m.field / 64] |= bit;
			expected = m.field + 1 < node->n ? m.field + 1 : 0;
		}
		GROW(s->members, s->n_members, s->cap_members);
		s->members[s->n_members++] = m;
		walk.n++;
	}
	return walk;
}

void shape_walk_end(struct json_shape *s, const struct object_walk *walk)
{
	s->n_members = walk->from;
	while (walk->from == 0 && s->n_names)
		free(s->names[--s->n_names]);
}
