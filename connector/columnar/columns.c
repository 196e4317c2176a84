/* The compiler of columns: from a schema to a tree of columns and their types. */
#include "connector/columnar/columns.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "connector/columnar/columns_impl.h"

/* A column costs a vector of 2,048 elements in each chunk. */
#define MAX_NODES 20000
#define MAX_DEPTH 100
/* DuckDB's and Parquet's decimals (16 bytes) end here. */
#define MAX_PRECISION 38

struct compiler {
	const struct duckdb_api *duck;
	struct columns *out;
	bool *open; /* records by index: being compiled */
	size_t depth;
	struct err *err;
};

static enum status compile(struct compiler *k, const struct schema_node *n, struct column *c);
static enum status compile_type(struct compiler *k, const struct schema_node *n, struct column *c);

static const char *keep_name(struct columns *c, char *name)
{
	GROW(c->names, c->n_names, c->cap_names);
	return c->names[c->n_names++] = name;
}

static void column_release(const struct duckdb_api *duck, struct column *c)
{
	for (size_t i = 0; i < c->n_children; i++)
		column_release(duck, &c->children[i]);
	free(c->children);
	free(c->branches);
	free(c->path);
	if (c->type)
		duck->destroy_logical_type(&c->type);
}

void columns_free(struct columns *c)
{
	const struct duckdb_api *duck;
	struct err err = ERR_INIT;

	if (!c || duckdb_api_load(&duck, &err) != ST_OK)
		return;
	column_release(duck, &c->root);
	for (size_t i = 0; i < c->n_names; i++)
		free(c->names[i]);
	free(c->names);
	free(c);
}

static void simple(struct compiler *k, struct column *c, enum column_op op, duckdb_type type)
{
	c->op = op;
	c->type = k->duck->create_logical_type(type);
}

static struct column *add_children(struct column *c, size_t n)
{
	c->children = xcalloc(n, sizeof(*c->children));
	c->n_children = n;
	return c->children;
}

static enum status child(struct compiler *k, struct column *parent, size_t i,
			 const struct schema_node *type, const char *name, int32_t id)
{
	struct column *c = &parent->children[i];

	c->name = keep_name(k->out, xstrdup(name));
	c->path = parent->path ? xasprintf("%s.%s", parent->path, name) : xstrdup(name);
	c->id = id;
	return compile(k, type, c);
}

/* The type of a STRUCT or UNION whose children are there. */
static void struct_type(struct compiler *k, struct column *c)
{
	AUTO(freep) duckdb_logical_type *types = xcalloc(c->n_children, sizeof(*types));
	AUTO(freep) const char **names = xcalloc(c->n_children, sizeof(*names));

	for (size_t i = 0; i < c->n_children; i++) {
		types[i] = c->children[i].type;
		names[i] = c->children[i].name;
	}
	c->type = k->duck->create_struct_type(types, names, c->n_children);
}

static void no_fields(struct compiler *k, struct column *c)
{
	struct column *only = add_children(c, 1);

	only->name = "_empty";
	only->path = xstrdup("_empty");
	only->null_branch = COLUMN_NO_BRANCH;
	only->index = k->out->n++;
	simple(k, only, COLUMN_PRESENT, DUCKDB_TYPE_BOOLEAN);
}

/* The fields of a record as children of c. */
static enum status fields(struct compiler *k, const struct schema_node *n, struct column *c)
{
	enum status st = ST_OK;

	if (k->open[n->index])
		return err_set(k->err, ST_FAILED,
			       "record '%s' is inside itself, which Parquet's columns cannot be; "
			       "take format=avro or json for it",
			       n->name);
	if (!n->n_fields) {
		no_fields(k, c);
		return ST_OK;
	}
	k->open[n->index] = true;
	add_children(c, n->n_fields);
	for (size_t i = 0; st == ST_OK && i < n->n_fields; i++) {
		st = child(k, c, i, n->fields[i].type, n->fields[i].column, n->fields[i].id);
		c->has_width = c->has_width || c->children[i].has_width;
	}
	k->open[n->index] = false;
	return st;
}

static enum status record(struct compiler *k, const struct schema_node *n, struct column *c)
{
	enum status st = fields(k, n, c);

	c->op = COLUMN_STRUCT;
	if (st == ST_OK)
		struct_type(k, c);
	return st;
}

static enum status array(struct compiler *k, const struct schema_node *n, struct column *c)
{
	enum status st;

	c->op = COLUMN_LIST;
	add_children(c, 1);
	st = child(k, c, 0, n->branches[0], "element", n->item_id);
	if (st == ST_OK)
		c->type = k->duck->create_list_type(c->children[0].type);
	return st;
}

static void text(struct compiler *k, struct column *c)
{
	simple(k, c, COLUMN_TEXT, DUCKDB_TYPE_VARCHAR);
}

static enum status map(struct compiler *k, const struct schema_node *n, struct column *c)
{
	struct column *key = add_children(c, 2);
	enum status st;

	c->op = COLUMN_MAP;
	key->name = "key";
	key->path = xasprintf("%s.key", c->path);
	key->id = n->key_id;
	key->null_branch = COLUMN_NO_BRANCH;
	key->has_width = true;
	key->index = k->out->n++;
	text(k, key);
	st = child(k, c, 1, n->branches[0], "value", n->item_id);
	if (st == ST_OK)
		c->type = k->duck->create_map_type(c->children[0].type, c->children[1].type);
	return st;
}

/* ---- unions ---- */

/* A branch's name as Avro's JSON encoding has it, a named type's without its
 * namespace where that is unambiguous. */
static const char *branch_name(const struct schema_node *n, size_t branch)
{
	const struct schema_node *b = n->branches[branch];
	const char *dot = b->name ? strrchr(b->name, '.') : NULL;

	if (!b->name)
		return schema_type_name(b->type);
	for (size_t i = 0; dot && i < n->n_branches; i++) {
		const char *other = n->branches[i]->name ? n->branches[i]->name
							 : schema_type_name(n->branches[i]->type);
		const char *last = strrchr(other, '.');

		if (i != branch && strcasecmp(last ? last + 1 : other, dot + 1) == 0)
			return b->name;
	}
	return dot ? dot + 1 : b->name;
}

/* Of a general union: a struct with one nullable field a branch. */
static enum status branches(struct compiler *k, const struct schema_node *n, struct column *c)
{
	enum status st = ST_OK;
	size_t at = 0;

	c->op = COLUMN_UNION;
	c->branches = xcalloc(n->n_branches, sizeof(*c->branches));
	c->n_branches = n->n_branches;
	add_children(c, n->n_branches);
	c->n_children = 0;
	for (size_t i = 0; st == ST_OK && i < n->n_branches; i++) {
		c->branches[i] = COLUMN_NO_BRANCH;
		if (n->branches[i]->type == SCHEMA_NULL)
			continue;
		c->branches[i] = (int)at;
		c->n_children = at + 1;
		st = child(k, c, at++, n->branches[i], branch_name(n, i), 0);
	}
	if (!n->n_branches) /* it has no value */
		no_fields(k, c);
	if (st == ST_OK)
		struct_type(k, c);
	return st;
}

static enum status union_of(struct compiler *k, const struct schema_node *n, struct column *c)
{
	enum status st;

	if (n->n_branches == 2 &&
	    (n->branches[0]->type == SCHEMA_NULL || n->branches[1]->type == SCHEMA_NULL)) {
		c->null_branch = n->branches[0]->type == SCHEMA_NULL ? 0 : 1;
		st = compile_type(k, n->branches[1 - c->null_branch], c);
	} else if (n->n_branches == 1) {
		c->single = true;
		st = compile_type(k, n->branches[0], c);
	} else {
		st = branches(k, n, c);
	}
	c->has_width = true;
	return st;
}

/* ---- single values ---- */

static void decimal(struct compiler *k, const struct schema_node *n, struct column *c)
{
	bool fixed = n->type == SCHEMA_FIXED;

	if (n->precision > MAX_PRECISION) { /* its digits as they are */
		simple(k, c, fixed ? COLUMN_FIXED : COLUMN_BYTES, DUCKDB_TYPE_BLOB);
		return;
	}
	c->op = fixed ? COLUMN_DECIMAL_FIXED : COLUMN_DECIMAL_BYTES;
	c->precision = n->precision;
	c->width = n->precision <= 4 ? 2 : n->precision <= 9 ? 4 : n->precision <= 18 ? 8 : 16;
	c->type = k->duck->create_decimal_type((uint8_t)n->precision, (uint8_t)n->scale);
}

static void enumeration(struct compiler *k, const struct schema_node *n, struct column *c)
{
	c->op = COLUMN_ENUM;
	c->n_symbols = n->n_symbols;
	if (!n->n_symbols) { /* it has no value */
		c->type = k->duck->create_logical_type(DUCKDB_TYPE_VARCHAR);
		return;
	}
	c->type = k->duck->create_enum_type((const char **)n->symbols, n->n_symbols);
	switch (k->duck->enum_internal_type(c->type)) {
	case DUCKDB_TYPE_UTINYINT:
		c->width = 1;
		break;
	case DUCKDB_TYPE_USMALLINT:
		c->width = 2;
		break;
	default:
		c->width = 4;
	}
}

static void plain_long(struct compiler *k, const struct schema_node *n, struct column *c)
{
	switch (n->logical) {
	case LOGICAL_TIME_MICROS:
		simple(k, c, COLUMN_TIME_MICROS, DUCKDB_TYPE_TIME);
		break;
	case LOGICAL_TIMESTAMP_MILLIS:
		simple(k, c, COLUMN_TIMES_1000, DUCKDB_TYPE_TIMESTAMP_TZ);
		break;
	case LOGICAL_TIMESTAMP_MICROS:
		simple(k, c, COLUMN_LONG, DUCKDB_TYPE_TIMESTAMP_TZ);
		break;
	case LOGICAL_LOCAL_TIMESTAMP_MILLIS:
		simple(k, c, COLUMN_LONG, DUCKDB_TYPE_TIMESTAMP_MS);
		break;
	case LOGICAL_LOCAL_TIMESTAMP_MICROS:
		simple(k, c, COLUMN_LONG, DUCKDB_TYPE_TIMESTAMP);
		break;
	case LOGICAL_TIMESTAMP_NANOS:
	case LOGICAL_LOCAL_TIMESTAMP_NANOS:
		simple(k, c, COLUMN_LONG, DUCKDB_TYPE_TIMESTAMP_NS);
		break;
	default:
		simple(k, c, COLUMN_LONG, DUCKDB_TYPE_BIGINT);
	}
}

static void plain_int(struct compiler *k, const struct schema_node *n, struct column *c)
{
	if (n->logical == LOGICAL_TIME_MILLIS)
		simple(k, c, COLUMN_TIME_MILLIS, DUCKDB_TYPE_TIME);
	else if (n->logical == LOGICAL_DATE)
		simple(k, c, COLUMN_INT, DUCKDB_TYPE_DATE);
	else
		simple(k, c, COLUMN_INT, DUCKDB_TYPE_INTEGER);
}

static void fixed(struct compiler *k, const struct schema_node *n, struct column *c)
{
	c->size = n->size;
	c->has_width = n->size > 0;
	if (n->logical == LOGICAL_DECIMAL)
		decimal(k, n, c);
	else if (n->logical == LOGICAL_UUID)
		simple(k, c, COLUMN_UUID_FIXED, DUCKDB_TYPE_UUID);
	else if (n->logical == LOGICAL_DURATION)
		simple(k, c, COLUMN_DURATION, DUCKDB_TYPE_INTERVAL);
	else
		simple(k, c, COLUMN_FIXED, DUCKDB_TYPE_BLOB);
}

static enum status compile_type(struct compiler *k, const struct schema_node *n, struct column *c)
{
	c->has_width = true;
	switch (n->type) {
	case SCHEMA_NULL:
		c->has_width = false;
		simple(k, c, COLUMN_NULL, DUCKDB_TYPE_INTEGER);
		return ST_OK;
	case SCHEMA_BOOLEAN:
		simple(k, c, COLUMN_BOOLEAN, DUCKDB_TYPE_BOOLEAN);
		return ST_OK;
	case SCHEMA_INT:
		plain_int(k, n, c);
		return ST_OK;
	case SCHEMA_LONG:
		plain_long(k, n, c);
		return ST_OK;
	case SCHEMA_FLOAT:
		simple(k, c, COLUMN_FLOAT, DUCKDB_TYPE_FLOAT);
		return ST_OK;
	case SCHEMA_DOUBLE:
		simple(k, c, COLUMN_DOUBLE, DUCKDB_TYPE_DOUBLE);
		return ST_OK;
	case SCHEMA_BYTES:
		if (n->logical == LOGICAL_DECIMAL)
			decimal(k, n, c);
		else
			simple(k, c, COLUMN_BYTES, DUCKDB_TYPE_BLOB);
		return ST_OK;
	case SCHEMA_STRING:
		if (n->logical == LOGICAL_UUID)
			simple(k, c, COLUMN_UUID_TEXT, DUCKDB_TYPE_UUID);
		else
			text(k, c);
		if (n->logical == LOGICAL_JSON)
			k->duck->logical_type_set_alias(c->type, "JSON");
		return ST_OK;
	case SCHEMA_ENUM:
		enumeration(k, n, c);
		return ST_OK;
	case SCHEMA_FIXED:
		fixed(k, n, c);
		return ST_OK;
	case SCHEMA_RECORD:
		c->has_width = false;
		return record(k, n, c);
	case SCHEMA_ARRAY:
		return array(k, n, c);
	case SCHEMA_MAP:
		return map(k, n, c);
	case SCHEMA_UNION:
		break;
	}
	return union_of(k, n, c);
}

/* c is zero but for name, path and id. */
static enum status compile(struct compiler *k, const struct schema_node *n, struct column *c)
{
	enum status st;

	c->null_branch = COLUMN_NO_BRANCH;
	c->index = k->out->n++;
	if (k->out->n > MAX_NODES || k->depth == MAX_DEPTH)
		return err_set(k->err, ST_FAILED,
			       "the schema has %s; take format=avro or json for it",
			       k->depth == MAX_DEPTH ? "more than 100 levels"
						     : "more than 20,000 columns and fields");
	k->depth++;
	st = compile_type(k, n, c);
	k->depth--;
	return st;
}

/* ---- the whole ---- */

static enum status check_names(const struct columns *c, struct err *err)
{
	const struct column *all = c->root.children;

	for (size_t i = 0; i < c->root.n_children; i++)
		for (size_t j = 0; j < i; j++)
			if (strcasecmp(all[i].name, all[j].name) == 0)
				return err_set(
					err, ST_FAILED,
					"the fields '%s' and '%s' differ in case alone, which "
					"columns may not; rename one, or take format=avro",
					all[j].name, all[i].name);
	return ST_OK;
}

static enum status compile_root(struct compiler *k, const struct schema_node *root, bool json)
{
	struct column *r = &k->out->root;
	enum status st;

	r->op = COLUMN_STRUCT;
	r->null_branch = COLUMN_NO_BRANCH;
	if (root->type == SCHEMA_RECORD) {
		k->out->record = true;
		return fields(k, root, r);
	}
	add_children(r, 1);
	st = child(k, r, 0, root, "value", 0);
	if (st == ST_OK && json && r->children[0].op == COLUMN_TEXT)
		k->duck->logical_type_set_alias(r->children[0].type, "JSON");
	return st;
}

enum status columns_new(const struct schema *schema, bool json, struct columns **out,
			struct err *err)
{
	AUTO(columns_freep) struct columns *c = NULL;
	AUTO(freep) bool *open = xcalloc(schema_nodes(schema), sizeof(*open));
	struct compiler k = {.open = open, .err = err};
	enum status st = duckdb_api_load(&k.duck, err);

	if (st != ST_OK)
		return st;
	k.out = c = xcalloc(1, sizeof(*c));
	st = compile_root(&k, schema_root(schema), json);
	if (st == ST_OK)
		st = check_names(c, err);
	if (st != ST_OK)
		return st;
	*out = MOVE(c);
	return ST_OK;
}

size_t columns_count(const struct columns *c)
{
	return c->root.n_children;
}

const char *columns_name(const struct columns *c, size_t i)
{
	return c->root.children[i].name;
}

duckdb_logical_type columns_type(const struct columns *c, size_t i)
{
	return c->root.children[i].type;
}

/* ---- field ids ---- */

static bool has_ids(const struct column *c)
{
	bool any = c->id > 0;

	for (size_t i = 0; !any && i < c->n_children; i++)
		any = has_ids(&c->children[i]);
	return any;
}

static void add_ids(const struct column *c, struct buf *out)
{
	const char *between = "";

	if (c->id && !c->n_children) {
		buf_addf(out, "%d", c->id);
		return;
	}
	buf_addc(out, '{');
	if (c->id) {
		buf_addf(out, "__duckdb_field_id: %d", c->id);
		between = ", ";
	}
	for (size_t i = 0; i < c->n_children; i++) {
		if (!has_ids(&c->children[i]))
			continue;
		buf_addf(out, "%s'%s': ", between, c->children[i].name);
		add_ids(&c->children[i], out);
		between = ", ";
	}
	buf_addc(out, '}');
}

void columns_field_ids(const struct columns *c, struct buf *out)
{
	if (has_ids(&c->root))
		add_ids(&c->root, out);
}
