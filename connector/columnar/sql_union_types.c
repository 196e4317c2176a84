#include "connector/columnar/sql_union_types.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_DEPTH 100

enum family { FAMILY_NULL, FAMILY_VALUE, FAMILY_TEXT, FAMILY_JSON, FAMILY_NESTED };

void union_columns_release(struct union_columns *u)
{
	free(u->names);
	*u = (struct union_columns){.n = 0};
}

static bool has_no_type(const struct union_columns *u, const char *name)
{
	for (size_t i = 0; i < u->n; i++)
		if (strcasecmp(u->names[i], name) == 0)
			return true;
	return false;
}

/* ---- a schema's columns ---- */

size_t union_schema_columns(const struct schema *s)
{
	const struct schema_node *root = schema_root(s);

	return root->type == SCHEMA_RECORD ? root->n_fields : 1;
}

const char *union_schema_column(const struct schema *s, size_t i)
{
	const struct schema_node *root = schema_root(s);

	return root->type == SCHEMA_RECORD ? root->fields[i].column : "value";
}

/* Without the null beside it. */
static const struct schema_node *bare(const struct schema_node *n)
{
	if (n->type == SCHEMA_UNION && n->n_branches == 1)
		return n->branches[0];
	if (n->type == SCHEMA_UNION && n->n_branches == 2 && n->branches[0]->type == SCHEMA_NULL)
		return n->branches[1];
	if (n->type == SCHEMA_UNION && n->n_branches == 2 && n->branches[1]->type == SCHEMA_NULL)
		return n->branches[0];
	return n;
}

static const struct schema_node *type_of(const struct schema *s, size_t i)
{
	const struct schema_node *root = schema_root(s);

	return bare(root->type == SCHEMA_RECORD ? root->fields[i].type : root);
}

/* ---- what goes together ---- */

static enum family family_of(const struct schema_node *n)
{
	switch (n->type) {
	case SCHEMA_NULL:
		return FAMILY_NULL;
	case SCHEMA_ENUM:
		return FAMILY_TEXT;
	case SCHEMA_STRING:
		return n->logical == LOGICAL_JSON   ? FAMILY_JSON
		       : n->logical == LOGICAL_UUID ? FAMILY_VALUE
						    : FAMILY_TEXT;
	case SCHEMA_RECORD:
	case SCHEMA_ARRAY:
	case SCHEMA_MAP:
	case SCHEMA_UNION:
		return FAMILY_NESTED;
	default:
		return FAMILY_VALUE;
	}
}

static bool widen(const struct schema_node *a, const struct schema_node *b, size_t depth);

/* Fields of one name. */
static bool fields_widen(const struct schema_node *a, const struct schema_node *b, size_t depth)
{
	for (size_t i = 0; i < a->n_fields; i++)
		for (size_t j = 0; j < b->n_fields; j++)
			if (strcasecmp(a->fields[i].column, b->fields[j].column) == 0 &&
			    !widen(a->fields[i].type, b->fields[j].type, depth + 1))
				return false;
	return true;
}

/* Are values of both at home in one type? DuckDB says of VARCHAR and JSON that they are,
 * and then takes the text for JSON. */
static bool widen(const struct schema_node *a, const struct schema_node *b, size_t depth)
{
	enum family x, y;

	a = bare(a);
	b = bare(b);
	x = family_of(a);
	y = family_of(b);
	if (x == FAMILY_NULL || y == FAMILY_NULL || depth == MAX_DEPTH)
		return true;
	if (x != FAMILY_NESTED && y != FAMILY_NESTED)
		return (x == FAMILY_JSON) == (y == FAMILY_JSON) || x == FAMILY_VALUE ||
		       y == FAMILY_VALUE;
	if (a->type == SCHEMA_UNION || b->type == SCHEMA_UNION)
		return true; /* a struct of its branches: left to DuckDB */
	if (a->type != b->type)
		return false;
	if (a->type == SCHEMA_RECORD)
		return fields_widen(a, b, depth);
	return widen(a->branches[0], b->branches[0], depth + 1); /* items */
}

/* A root that is text may be JSON, which its schema does not say. */
static bool is_text_root(const struct schema *s)
{
	return schema_root(s)->type != SCHEMA_RECORD && family_of(type_of(s, 0)) == FAMILY_TEXT;
}

/* Where b has the column; most often it stands at the same place. b's number: nowhere. */
static size_t find_column(const struct schema *b, const char *name, size_t expected)
{
	const size_t n = union_schema_columns(b);

	for (size_t k = 0; k < n; k++) {
		size_t at = (expected + k) % n;

		if (strcasecmp(union_schema_column(b, at), name) == 0)
			return at;
	}
	return n;
}

static void compare(struct union_columns *u, const struct schema *a, const struct schema *b)
{
	const bool texts = is_text_root(a) == is_text_root(b);

	for (size_t i = 0; i < union_schema_columns(a); i++) {
		const char *name = union_schema_column(a, i);
		size_t at = find_column(b, name, i);

		if (at == union_schema_columns(b) || has_no_type(u, name) ||
		    (texts && widen(type_of(a, i), type_of(b, at), 0)))
			continue;
		GROW(u->names, u->n, u->cap);
		u->names[u->n++] = name;
	}
}

void union_columns_find(struct union_columns *u, const struct schema *const *schemas, size_t n)
{
	u->schemas = schemas;
	u->n_schemas = n;
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; schemas[i] && j < i; j++)
			if (schemas[j])
				compare(u, schemas[i], schemas[j]);
}

/* Does a schema have such a column with values? */
static bool has_values(const struct union_columns *u, const char *name)
{
	for (size_t k = 0; k < u->n_schemas; k++)
		for (size_t i = 0; u->schemas[k] && i < union_schema_columns(u->schemas[k]); i++)
			if (strcasecmp(union_schema_column(u->schemas[k], i), name) == 0 &&
			    type_of(u->schemas[k], i)->type != SCHEMA_NULL)
				return true;
	return false;
}

enum union_column union_columns_look(const struct union_columns *u, const struct schema *s,
				     size_t i)
{
	const char *name = union_schema_column(s, i);

	if (type_of(s, i)->type == SCHEMA_NULL)
		return has_values(u, name) ? UNION_NULL : UNION_AS_IT_IS;
	return has_no_type(u, name) ? UNION_JSON : UNION_AS_IT_IS;
}
