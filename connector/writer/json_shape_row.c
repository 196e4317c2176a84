/* JSON text as Avro bytes of a shape, and the shape as a schema. */
#include <stdlib.h>
#include <string.h>

#include "connector/writer/avro_row.h"
#include "connector/writer/json_shape_impl.h"

static bool add_value(struct json_shape *s, const struct shape_node *node,
		      const struct slice *value, struct buf *out);

static void add_text(const char *p, const char *end, struct buf *out)
{
	avro_row_bytes(out, p, (size_t)(end - p));
}

static void add_string(const char *p, const char *end, struct buf *out)
{
	AUTO(buf_release) struct buf text = BUF_INIT;

	if (!memchr(p + 1, '\\', (size_t)(end - p) - 2)) {
		add_text(p + 1, end - 1, out);
		return;
	}
	json_unescape(&p, &text);
	avro_row_bytes(out, buf_str(&text), text.len);
}

static void add_double(double d, struct buf *out)
{
	uint64_t bits;
	unsigned char bytes[8];

	memcpy(&bits, &d, sizeof(bits));
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(bits >> 8 * i);
	buf_add(out, bytes, sizeof(bytes));
}

static bool add_number(const struct shape_node *node, const struct slice *value, struct buf *out)
{
	int64_t l;
	double d;
	enum number_kind kind = json_number(value, &l, &d);

	if (node->kind == SHAPE_LONG && kind == NUMBER_LONG)
		avro_row_long(out, l);
	else if (node->kind == SHAPE_DOUBLE && kind == NUMBER_LONG && !json_is_wide(l))
		add_double((double)l, out);
	else if (node->kind == SHAPE_DOUBLE && kind == NUMBER_DOUBLE)
		add_double(d, out);
	else
		return false;
	return true;
}

static bool add_list(struct json_shape *s, const struct shape_node *node, const char *list,
		     struct buf *out)
{
	const char *p = list;
	int64_t n = 0;

	for (; json_next(&p); n++)
		p = json_skip(p);
	if (n)
		avro_row_long(out, n);
	for (p = list; json_next(&p);) {
		struct slice value = {p, json_skip(p)};

		if (!add_value(s, node->item, &value, out))
			return false;
		p = value.end;
	}
	avro_row_long(out, 0);
	return true;
}

/* The members, in the order of the fields; false: one does not fit. */
static bool add_fields(struct json_shape *s, const struct shape_node *node,
		       const struct object_walk *walk, struct buf *out)
{
	struct slice values[SHAPE_MAX_NODES];

	memset(values, 0, node->n * sizeof(*values));
	for (size_t i = walk->from; i < walk->from + walk->n; i++)
		values[s->members[i].field] = s->members[i].value;
	for (size_t i = 0; i < node->n; i++) {
		if (!values[i].p)
			buf_addc(out, 0);
		else if (!add_value(s, &node->fields[i].node, &values[i], out))
			return false;
	}
	return true;
}

static bool add_object(struct json_shape *s, const struct shape_node *node, const char *p,
		       struct buf *out)
{
	struct object_walk walk = shape_walk(s, node, p);
	bool ok = !walk.unknown && !walk.twice && add_fields(s, node, &walk, out);

	shape_walk_end(s, &walk);
	return ok;
}

/* Of a nullable type. */
static bool add_value(struct json_shape *s, const struct shape_node *node,
		      const struct slice *value, struct buf *out)
{
	const char first = *value->p;

	if (first == 'n') {
		buf_addc(out, 0);
		return true;
	}
	buf_addc(out, 2);
	switch (node->kind) {
	case SHAPE_JSON:
		add_text(value->p, value->end, out);
		return true;
	case SHAPE_BOOLEAN:
		buf_addc(out, first == 't');
		return first == 't' || first == 'f';
	case SHAPE_LONG:
	case SHAPE_DOUBLE:
		return (first == '-' || (first >= '0' && first <= '9')) &&
		       add_number(node, value, out);
	case SHAPE_TEXT:
		if (first == '"')
			add_string(value->p, value->end, out);
		return first == '"';
	case SHAPE_OBJECT:
		return first == '{' && add_object(s, node, value->p, out);
	case SHAPE_LIST:
		return first == '[' && add_list(s, node, value->p, out);
	case SHAPE_NOTHING:
		break;
	}
	return false;
}

enum shape_fit json_shape_row(struct json_shape *s, const char *text, struct buf *out)
{
	struct object_walk walk = shape_walk(s, &s->root, text);
	enum shape_fit fit = SHAPE_GROWS;

	if (shape_never(s, &s->root, &walk))
		fit = SHAPE_NEVER;
	else if (!walk.unknown && add_fields(s, &s->root, &walk, out))
		fit = SHAPE_FITS;
	shape_walk_end(s, &walk);
	return fit;
}

/* ---- the schema ---- */

struct writing {
	struct buf *out;
	char **records; /* the names that there are */
	size_t n, cap;
};

static void add_type(struct writing *w, const struct shape_node *node, const char *name);
static void add_nullable(struct writing *w, const struct shape_node *node, const char *name);

/* The code point at *p, which moves behind it; valid UTF-8. */
static unsigned code_point(const unsigned char **p)
{
	unsigned c = *(*p)++;
	unsigned more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;

	c &= 0xffu >> (more ? more + 2 : 0);
	while (more--)
		c = c << 6 | (*(*p)++ & 0x3f);
	return c;
}

/* A name that Avro allows, as Iceberg mends it: _x and the hexadecimal number of what
 * is no ASCII letter, digit or underscore; an underscore before a digit. */
static void mend(const char *name, struct buf *out)
{
	const unsigned char *p = (const unsigned char *)name;

	if (*p >= '0' && *p <= '9')
		buf_addc(out, '_');
	while (*p) {
		unsigned c = code_point(&p);

		if (c == '_' || (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z'))
			buf_addc(out, (char)c);
		else
			buf_addf(out, "_x%X", c);
	}
}

static bool is_taken(char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

/* Appends a number to the name where others have it already. */
static void make_unique(char *const *names, size_t n, struct buf *name)
{
	const size_t len = name->len;

	for (unsigned i = 2; is_taken(names, n, buf_str(name)); i++) {
		name->len = len;
		buf_addf(name, "_%u", i);
	}
}

static void add_quoted(struct buf *out, const char *text)
{
	buf_addc(out, '"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			buf_addf(out, "\\%c", *text);
		else if ((unsigned char)*text < 0x20)
			buf_addf(out, "\\u%04x", (unsigned char)*text);
		else
			buf_addc(out, *text);
	}
	buf_addc(out, '"');
}

static void add_record(struct writing *w, const struct shape_node *node, const char *name)
{
	AUTO(buf_release) struct buf own = BUF_INIT;
	char **fields = xcalloc(node->n + 1, sizeof(*fields));

	buf_adds(&own, name);
	make_unique(w->records, w->n, &own);
	GROW(w->records, w->n, w->cap);
	w->records[w->n++] = xstrdup(own.data);
	buf_addf(w->out, "{\"type\":\"record\",\"name\":\"%s\",\"fields\":[", own.data);
	for (size_t i = 0; i < node->n; i++) {
		const char *field = node->fields[i].name;
		struct buf mended = BUF_INIT;
		AUTO(freep) char *below = NULL;

		mend(field, &mended);
		make_unique(fields, i, &mended);
		fields[i] = buf_detach(&mended);
		below = xasprintf("%s_%s", name, fields[i]);
		buf_addf(w->out, "%s{\"name\":\"%s\",", i ? "," : "", fields[i]);
		if (strcmp(fields[i], field) != 0) {
			buf_adds(w->out, "\"iceberg-field-name\":");
			add_quoted(w->out, field);
			buf_addc(w->out, ',');
		}
		buf_adds(w->out, "\"type\":");
		add_nullable(w, &node->fields[i].node, below);
		buf_adds(w->out, ",\"default\":null}");
	}
	buf_adds(w->out, "]}");
	for (size_t i = 0; i < node->n; i++)
		free(fields[i]);
	free(fields);
}

/* A union also of null alone, so that each item of a list has a byte. */
static void add_nullable(struct writing *w, const struct shape_node *node, const char *name)
{
	buf_adds(w->out, node->kind == SHAPE_NOTHING ? "[\"null\"" : "[\"null\",");
	add_type(w, node, name);
	buf_addc(w->out, ']');
}

static void add_type(struct writing *w, const struct shape_node *node, const char *name)
{
	switch (node->kind) {
	case SHAPE_NOTHING:
		break;
	case SHAPE_BOOLEAN:
		buf_adds(w->out, "\"boolean\"");
		break;
	case SHAPE_LONG:
		buf_adds(w->out, "\"long\"");
		break;
	case SHAPE_DOUBLE:
		buf_adds(w->out, "\"double\"");
		break;
	case SHAPE_TEXT:
		buf_adds(w->out, "\"string\"");
		break;
	case SHAPE_JSON:
		buf_adds(w->out, "{\"type\":\"string\",\"logicalType\":\"json\"}");
		break;
	case SHAPE_OBJECT:
		add_record(w, node, name);
		break;
	case SHAPE_LIST:
		buf_adds(w->out, "{\"type\":\"array\",\"items\":");
		add_nullable(w, node->item, name);
		buf_addc(w->out, '}');
		break;
	}
}

void json_shape_schema(const struct json_shape *s, struct buf *out)
{
	struct writing w = {.out = out};

	add_record(&w, &s->root, "Row");
	for (size_t i = 0; i < w.n; i++)
		free(w.records[i]);
	free(w.records);
}
