/* The walk over the members of an object, beside a shape; numbers. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "connector/writer/json_shape_impl.h"

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
	const char *quote = *p, *end = json_string_end(quote);
	struct buf name = BUF_INIT;
	size_t len;

	*p = end;
	if (!memchr(quote + 1, '\\', (size_t)(end - quote) - 2))
		return (struct slice){quote + 1, end - 1};
	json_unescape(&quote, &name);
	len = name.len;
	GROW(s->names, s->n_names, s->cap_names);
	quote = s->names[s->n_names++] = buf_detach(&name);
	return (struct slice){quote, quote + len};
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
