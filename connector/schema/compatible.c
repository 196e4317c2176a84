#include "connector/schema/compatible.h"

#include <stdlib.h>
#include <string.h>

struct comparison {
	/* Pairs that are under way or done: for each of the reader's nodes a row of
	 * the writer's. A schema that holds itself is met again: it is then
	 * compatible as far as the rest is. */
	bool *seen;
	size_t width;
	size_t *trail; /* what was set in seen, in order */
	size_t n, cap;
	struct buf path;
	struct err *err;
};

static bool can_read(struct comparison *c, const struct schema_node *r,
		     const struct schema_node *w);

static bool no(struct comparison *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
static bool no(struct comparison *c, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	err_setv(c->err, ST_FAILED, fmt, args);
	va_end(args);
	if (c->path.len)
		err_wrap(c->err, ST_FAILED, "%s", buf_str(&c->path) + 1);
	return false;
}

static bool within(struct comparison *c, const char *name, const struct schema_node *r,
		   const struct schema_node *w)
{
	size_t before = c->path.len;
	bool ok;

	buf_addf(&c->path, ".%s", name);
	ok = can_read(c, r, w);
	c->path.len = before;
	if (c->path.data)
		c->path.data[before] = '\0';
	return ok;
}

static const char *last_part(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot ? dot + 1 : name;
}

static bool same_name(const struct schema_node *r, const struct schema_node *w)
{
	if (strcmp(last_part(r->name), last_part(w->name)) == 0)
		return true;
	for (size_t i = 0; i < r->n_aliases; i++)
		if (strcmp(last_part(r->aliases[i]), last_part(w->name)) == 0)
			return true;
	return false;
}

static bool promoted(enum schema_type from, enum schema_type to)
{
	if (from == to)
		return true;
	switch (from) {
	case SCHEMA_INT:
		return to == SCHEMA_LONG || to == SCHEMA_FLOAT || to == SCHEMA_DOUBLE;
	case SCHEMA_LONG:
		return to == SCHEMA_FLOAT || to == SCHEMA_DOUBLE;
	case SCHEMA_FLOAT:
		return to == SCHEMA_DOUBLE;
	case SCHEMA_STRING:
		return to == SCHEMA_BYTES;
	case SCHEMA_BYTES:
		return to == SCHEMA_STRING;
	default:
		return false;
	}
}

/* ---- by type ---- */

static const struct schema_field *field_of(const struct schema_node *w, const char *name)
{
	for (size_t i = 0; i < w->n_fields; i++)
		if (strcmp(w->fields[i].name, name) == 0)
			return &w->fields[i];
	return NULL;
}

static bool can_read_record(struct comparison *c, const struct schema_node *r,
			    const struct schema_node *w)
{
	for (size_t i = 0; i < r->n_fields; i++) {
		const struct schema_field *f = &r->fields[i];
		const struct schema_field *from = field_of(w, f->name);

		for (size_t k = 0; !from && k < f->n_aliases; k++)
			from = field_of(w, f->aliases[k]);
		if (!from && !f->default_json)
			return no(c, "field %s is not in the writer's schema and has no default",
				  f->name);
		if (from && !within(c, f->name, f->type, from->type))
			return false;
	}
	return true;
}

static bool can_read_enum(struct comparison *c, const struct schema_node *r,
			  const struct schema_node *w)
{
	for (size_t i = 0; !r->default_symbol && i < w->n_symbols; i++) {
		bool found = false;

		for (size_t k = 0; k < r->n_symbols; k++)
			found = found || strcmp(w->symbols[i], r->symbols[k]) == 0;
		if (!found)
			return no(c, "enum %s does not have %s", r->name, w->symbols[i]);
	}
	return true;
}

static bool can_read_named(struct comparison *c, const struct schema_node *r,
			   const struct schema_node *w)
{
	if (!same_name(r, w))
		return no(c, "%s %s is read as %s", schema_type_name(w->type), w->name, r->name);
	if (r->type == SCHEMA_RECORD)
		return can_read_record(c, r, w);
	if (r->type == SCHEMA_ENUM)
		return can_read_enum(c, r, w);
	return r->size == w->size ||
	       no(c, "fixed %s has %zu bytes and is read with %zu", r->name, w->size, r->size);
}

/* One branch that can is enough; err is that of the first branch of this type. */
static bool some_branch(struct comparison *c, const struct schema_node *r,
			const struct schema_node *w)
{
	struct err *err = c->err;
	struct err first = ERR_INIT;
	bool ok = false;

	for (size_t i = 0; !ok && i < r->n_branches; i++) {
		struct err one = ERR_INIT;

		c->err = &one;
		ok = can_read(c, r->branches[i], w);
		if (!ok && first.code == ST_OK && r->branches[i]->type == w->type)
			first = one;
	}
	c->err = err;
	if (ok)
		return true;
	if (first.code == ST_OK)
		return no(c, "no branch of the union takes %s",
			  w->name ? w->name : schema_type_name(w->type));
	err_set(c->err, ST_FAILED, "%s", first.text);
	return false;
}

static bool decimals_differ(const struct schema_node *r, const struct schema_node *w)
{
	return r->logical == LOGICAL_DECIMAL && w->logical == LOGICAL_DECIMAL &&
	       (r->precision != w->precision || r->scale != w->scale);
}

static bool compare(struct comparison *c, const struct schema_node *r, const struct schema_node *w)
{
	if (w->type == SCHEMA_UNION) {
		for (size_t i = 0; i < w->n_branches; i++)
			if (!can_read(c, r, w->branches[i]))
				return false;
		return true;
	}
	if (r->type == SCHEMA_UNION)
		return some_branch(c, r, w);
	if (!promoted(w->type, r->type))
		return no(c, "%s cannot be read as %s", schema_type_name(w->type),
			  schema_type_name(r->type));
	if (decimals_differ(r, w))
		return no(c, "decimal(%d, %d) is read as decimal(%d, %d)", w->precision, w->scale,
			  r->precision, r->scale);
	if (r->type >= SCHEMA_RECORD && r->type <= SCHEMA_FIXED)
		return can_read_named(c, r, w);
	if (r->type == SCHEMA_ARRAY || r->type == SCHEMA_MAP)
		return within(c, r->type == SCHEMA_ARRAY ? "items" : "values", r->branches[0],
			      w->branches[0]);
	return true;
}

static bool can_read(struct comparison *c, const struct schema_node *r, const struct schema_node *w)
{
	size_t pair = r->index * c->width + w->index, mark = c->n;

	if (c->seen[pair])
		return true;
	c->seen[pair] = true;
	GROW(c->trail, c->n, c->cap);
	c->trail[c->n++] = pair;
	if (compare(c, r, w))
		return true;
	/* what was found since may rest on this pair */
	while (c->n > mark)
		c->seen[c->trail[--c->n]] = false;
	return false;
}

bool schema_can_read(const struct schema *reader, const struct schema *writer, struct err *err)
{
	struct err unused = ERR_INIT;
	struct comparison c = {
		.seen = xcalloc(schema_nodes(reader) * schema_nodes(writer) + 1, sizeof(bool)),
		.width = schema_nodes(writer),
		.err = err ? err : &unused,
	};
	bool ok = can_read(&c, schema_root(reader), schema_root(writer));

	free(c.seen);
	free(c.trail);
	buf_release(&c.path);
	return ok;
}
