/* Parses Avro schemas: JSON by jansson, the tree by us. All memory of a schema
 * hangs on one list and goes with it. */
#include "connector/schema/schema.h"

#include <stdlib.h>
#include <string.h>

/* Deeper schemas are refused; the parser recurses. */
#define MAX_DEPTH 200

struct chunk {
	struct chunk *next;
	_Alignas(16) char data[];
};

struct schema {
	json_t *doc; /* defaults point into it */
	struct chunk *chunks;
	struct schema_node *root;
	struct schema_node **nodes;
	size_t n_nodes;
	size_t cap_nodes;
};

struct parser {
	struct schema *s;
	struct err *err;
	int depth;
	struct schema_node **named;
	size_t n_named;
	size_t cap_named;
};

static const char *const type_names[] = {
	[SCHEMA_NULL] = "null",   [SCHEMA_BOOLEAN] = "boolean", [SCHEMA_INT] = "int",
	[SCHEMA_LONG] = "long",   [SCHEMA_FLOAT] = "float",     [SCHEMA_DOUBLE] = "double",
	[SCHEMA_BYTES] = "bytes", [SCHEMA_STRING] = "string",   [SCHEMA_RECORD] = "record",
	[SCHEMA_ENUM] = "enum",   [SCHEMA_FIXED] = "fixed",     [SCHEMA_ARRAY] = "array",
	[SCHEMA_MAP] = "map",     [SCHEMA_UNION] = "union",
};

const char *schema_type_name(enum schema_type type)
{
	return type_names[type];
}

bool schema_primitive(const char *name, enum schema_type *out)
{
	for (int t = SCHEMA_NULL; t <= SCHEMA_STRING; t++) {
		if (strcmp(name, type_names[t]) == 0) {
			*out = (enum schema_type)t;
			return true;
		}
	}
	return false;
}

/* ---- memory ---- */

static void *schema_alloc(struct schema *s, size_t size)
{
	struct chunk *c = xcalloc(1, sizeof(*c) + size);

	c->next = s->chunks;
	s->chunks = c;
	return c->data;
}

static const char *keep_text(struct schema *s, const char *text)
{
	size_t n = strlen(text) + 1;

	return memcpy(schema_alloc(s, n), text, n);
}

static struct schema_node *node_new(struct parser *p, enum schema_type type)
{
	struct schema *s = p->s;
	struct schema_node *n = schema_alloc(s, sizeof(*n));

	n->type = type;
	n->index = (uint32_t)s->n_nodes;
	GROW(s->nodes, s->n_nodes, s->cap_nodes);
	s->nodes[s->n_nodes++] = n;
	return n;
}

void schema_free(struct schema *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n_nodes; i++)
		for (size_t f = 0; f < s->nodes[i]->n_fields; f++)
			free(s->nodes[i]->fields[f].default_bytes);
	for (struct chunk *c = s->chunks, *next; c; c = next) {
		next = c->next;
		free(c);
	}
	free(s->nodes);
	json_decref(s->doc);
	free(s);
}

const struct schema_node *schema_root(const struct schema *s)
{
	return s->root;
}

size_t schema_nodes(const struct schema *s)
{
	return s->n_nodes;
}

/* ---- names ---- */

static bool name_part_ok(const char *s, size_t n)
{
	if (!n || (s[0] >= '0' && s[0] <= '9'))
		return false;
	for (size_t i = 0; i < n; i++) {
		char c = s[i];

		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
		      c == '_'))
			return false;
	}
	return true;
}

static bool full_name_ok(const char *s)
{
	for (;;) {
		const char *dot = strchrnul(s, '.');

		if (!name_part_ok(s, (size_t)(dot - s)))
			return false;
		if (!*dot)
			return true;
		s = dot + 1;
	}
}

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

/* An id that readers find a field by, as Iceberg writes them; 0: none. */
static int32_t id_of(const json_t *object, const char *key)
{
	json_int_t id = json_integer_value(json_object_get(object, key));

	return id > 0 && id <= INT32_MAX ? (int32_t)id : 0;
}

/* The full name of a definition in a namespace ("" none). */
static enum status name_of(struct parser *p, const json_t *j, const char *ns, const char **out)
{
	const char *name = text_of(j, "name");
	const char *own = text_of(j, "namespace");
	AUTO(buf_release) struct buf full = BUF_INIT;

	if (!name)
		return err_set(p->err, ST_FAILED, "a %s has no name", text_of(j, "type"));
	if (!strchr(name, '.') && (own ? *own : *ns))
		buf_addf(&full, "%s.", own ? own : ns);
	buf_adds(&full, name);
	if (!full_name_ok(full.data))
		return err_set(p->err, ST_FAILED, "'%s' is no name that Avro allows", full.data);
	*out = keep_text(p->s, full.data);
	return ST_OK;
}

/* The namespace that a full name opens for what is inside. */
static const char *namespace_of(struct parser *p, const char *full)
{
	const char *dot = strrchr(full, '.');
	char *ns;

	if (!dot)
		return "";
	ns = schema_alloc(p->s, (size_t)(dot - full) + 1);
	memcpy(ns, full, (size_t)(dot - full));
	return ns;
}

static struct schema_node *find_named(struct parser *p, const char *full)
{
	for (size_t i = 0; i < p->n_named; i++)
		if (strcmp(p->named[i]->name, full) == 0)
			return p->named[i];
	return NULL;
}

/* Before the body is parsed, so that it may name itself. */
static enum status define(struct parser *p, struct schema_node *n)
{
	enum schema_type primitive;

	if (schema_primitive(n->name, &primitive))
		return err_set(p->err, ST_FAILED, "'%s' is the name of a primitive type", n->name);
	if (find_named(p, n->name))
		return err_set(p->err, ST_FAILED, "'%s' is defined twice", n->name);
	GROW(p->named, p->n_named, p->cap_named);
	p->named[p->n_named++] = n;
	return ST_OK;
}

static enum status resolve(struct parser *p, const char *name, const char *ns,
			   const struct schema_node **out)
{
	AUTO(buf_release) struct buf full = BUF_INIT;
	struct schema_node *found;
	enum schema_type primitive;

	if (schema_primitive(name, &primitive)) {
		*out = node_new(p, primitive);
		return ST_OK;
	}
	if (!strchr(name, '.') && *ns)
		buf_addf(&full, "%s.", ns);
	buf_adds(&full, name);
	found = find_named(p, full.data);
	/* What older writers produced: a bare name for one without namespace. */
	if (!found)
		found = find_named(p, name);
	if (!found)
		return err_set(p->err, ST_FAILED, "the type '%s' is not defined", full.data);
	*out = found;
	return ST_OK;
}

/* ---- logical types ---- */

static const struct {
	const char *name;
	enum schema_logical logical;
	enum schema_type type;
} logical_types[] = {
	{"decimal", LOGICAL_DECIMAL, SCHEMA_BYTES},
	{"decimal", LOGICAL_DECIMAL, SCHEMA_FIXED},
	{"uuid", LOGICAL_UUID, SCHEMA_STRING},
	{"uuid", LOGICAL_UUID, SCHEMA_FIXED},
	{"date", LOGICAL_DATE, SCHEMA_INT},
	{"time-millis", LOGICAL_TIME_MILLIS, SCHEMA_INT},
	{"time-micros", LOGICAL_TIME_MICROS, SCHEMA_LONG},
	{"timestamp-millis", LOGICAL_TIMESTAMP_MILLIS, SCHEMA_LONG},
	{"timestamp-micros", LOGICAL_TIMESTAMP_MICROS, SCHEMA_LONG},
	{"timestamp-nanos", LOGICAL_TIMESTAMP_NANOS, SCHEMA_LONG},
	{"local-timestamp-millis", LOGICAL_LOCAL_TIMESTAMP_MILLIS, SCHEMA_LONG},
	{"local-timestamp-micros", LOGICAL_LOCAL_TIMESTAMP_MICROS, SCHEMA_LONG},
	{"local-timestamp-nanos", LOGICAL_LOCAL_TIMESTAMP_NANOS, SCHEMA_LONG},
	{"duration", LOGICAL_DURATION, SCHEMA_FIXED},
	{"json", LOGICAL_JSON, SCHEMA_STRING},
};

/* The most decimal digits that a signed number of n bytes always holds. */
static int64_t digits_of_bytes(size_t n)
{
	return (int64_t)((double)(8 * n - 1) * 0.30102999566398120);
}

static bool decimal_ok(struct schema_node *n, const json_t *j)
{
	const json_t *precision = json_object_get(j, "precision");
	const json_t *scale = json_object_get(j, "scale");
	json_int_t p = json_integer_value(precision), s = json_integer_value(scale);

	if (!json_is_integer(precision) || (scale && !json_is_integer(scale)) || p < 1 ||
	    p > 1000000 || s < 0 || s > p)
		return false;
	if (n->type == SCHEMA_FIXED && (!n->size || p > digits_of_bytes(n->size)))
		return false;
	n->precision = (int)p;
	n->scale = (int)s;
	return true;
}

static void set_logical(struct schema_node *n, const json_t *j)
{
	const char *name = text_of(j, "logicalType");

	for (size_t i = 0; name && i < ARRAY_SIZE(logical_types); i++) {
		enum schema_logical logical = logical_types[i].logical;

		if (strcmp(logical_types[i].name, name) != 0 || logical_types[i].type != n->type)
			continue;
		if ((logical == LOGICAL_DECIMAL && !decimal_ok(n, j)) ||
		    (logical == LOGICAL_UUID && n->type == SCHEMA_FIXED && n->size != 16) ||
		    (logical == LOGICAL_DURATION && n->size != 12))
			return;
		n->logical = logical;
		return;
	}
}

/* ---- types ---- */

static enum status parse_type(struct parser *p, const json_t *j, const char *ns,
			      const struct schema_node **out);

/* false: one is no text, and is left out. */
static bool read_aliases(struct parser *p, const json_t *j, const char ***out, size_t *n_out)
{
	const json_t *aliases = json_object_get(j, "aliases");
	size_t n = json_array_size(aliases);

	if (n)
		*out = schema_alloc(p->s, n * sizeof(**out));
	for (size_t i = 0; i < n; i++) {
		const char *alias = json_string_value(json_array_get(aliases, i));

		if (alias)
			(*out)[(*n_out)++] = keep_text(p->s, alias);
	}
	return *n_out == n;
}

static enum status parse_field(struct parser *p, struct schema_node *record, const json_t *j,
			       const char *ns)
{
	struct schema_field *f = &record->fields[record->n_fields];
	const char *name = text_of(j, "name");
	const json_t *type = json_object_get(j, "type");
	enum status st;

	if (!name || !name_part_ok(name, strlen(name)))
		return err_set(p->err, ST_FAILED, "a field of '%s' has no valid name",
			       record->name);
	if (!type)
		return err_set(p->err, ST_FAILED, "field '%s' of '%s' has no type", name,
			       record->name);
	for (size_t i = 0; i < record->n_fields; i++)
		if (strcmp(record->fields[i].name, name) == 0)
			return err_set(p->err, ST_FAILED, "'%s' has two fields '%s'", record->name,
				       name);
	f->name = keep_text(p->s, name);
	f->column = text_of(j, "iceberg-field-name")
			    ? keep_text(p->s, text_of(j, "iceberg-field-name"))
			    : f->name;
	f->default_json = json_object_get(j, "default");
	f->id = id_of(j, "field-id");
	if (!read_aliases(p, j, &f->aliases, &f->n_aliases))
		return err_set(p->err, ST_FAILED, "an alias of field '%s' is no text", name);
	st = parse_type(p, type, ns, &f->type);
	if (st != ST_OK)
		return st;
	record->n_fields++;
	return ST_OK;
}

static enum status parse_record(struct parser *p, struct schema_node *n, const json_t *j)
{
	const json_t *fields = json_object_get(j, "fields");
	const char *ns = namespace_of(p, n->name);
	size_t count = json_array_size(fields);
	enum status st = define(p, n);

	if (st != ST_OK)
		return st;
	if (!json_is_array(fields))
		return err_set(p->err, ST_FAILED, "record '%s' has no fields", n->name);
	n->fields = schema_alloc(p->s, count * sizeof(*n->fields));
	for (size_t i = 0; i < count; i++) {
		st = parse_field(p, n, json_array_get(fields, i), ns);
		if (st != ST_OK)
			return st;
	}
	return ST_OK;
}

static enum status parse_enum(struct parser *p, struct schema_node *n, const json_t *j)
{
	const json_t *symbols = json_object_get(j, "symbols");
	const char *fallback = text_of(j, "default");
	size_t count = json_array_size(symbols);
	enum status st = define(p, n);

	if (st != ST_OK)
		return st;
	if (!json_is_array(symbols))
		return err_set(p->err, ST_FAILED, "enum '%s' has no symbols", n->name);
	n->symbols = schema_alloc(p->s, count * sizeof(*n->symbols));
	for (size_t i = 0; i < count; i++) {
		const char *symbol = json_string_value(json_array_get(symbols, i));

		if (!symbol || !name_part_ok(symbol, strlen(symbol)))
			return err_set(p->err, ST_FAILED, "a symbol of enum '%s' is no name",
				       n->name);
		for (size_t k = 0; k < i; k++)
			if (strcmp(n->symbols[k], symbol) == 0)
				return err_set(p->err, ST_FAILED, "enum '%s' has '%s' twice",
					       n->name, symbol);
		n->symbols[n->n_symbols++] = keep_text(p->s, symbol);
		if (fallback && strcmp(fallback, symbol) == 0)
			n->default_symbol = n->symbols[i];
	}
	return ST_OK;
}

static enum status parse_fixed(struct parser *p, struct schema_node *n, const json_t *j)
{
	const json_t *size = json_object_get(j, "size");
	enum status st = define(p, n);

	if (st != ST_OK)
		return st;
	if (!json_is_integer(size) || json_integer_value(size) < 0 ||
	    json_integer_value(size) > INT32_MAX)
		return err_set(p->err, ST_FAILED, "fixed '%s' has no valid size", n->name);
	n->size = (size_t)json_integer_value(size);
	set_logical(n, j);
	return ST_OK;
}

static enum status parse_named(struct parser *p, enum schema_type type, const json_t *j,
			       const char *ns, const struct schema_node **out)
{
	struct schema_node *n = node_new(p, type);
	enum status st = name_of(p, j, ns, &n->name);

	if (st != ST_OK)
		return st;
	*out = n;
	/* what is no text is no reason to refuse: nothing is written by aliases */
	(void)read_aliases(p, j, &n->aliases, &n->n_aliases);
	if (type == SCHEMA_RECORD)
		return parse_record(p, n, j);
	return type == SCHEMA_ENUM ? parse_enum(p, n, j) : parse_fixed(p, n, j);
}

static enum status parse_item(struct parser *p, enum schema_type type, const json_t *j,
			      const char *ns, const struct schema_node **out)
{
	const char *key = type == SCHEMA_ARRAY ? "items" : "values";
	const json_t *item = json_object_get(j, key);
	struct schema_node *n = node_new(p, type);

	if (!item)
		return err_set(p->err, ST_FAILED, "an %s without '%s'", type_names[type], key);
	n->branches = schema_alloc(p->s, sizeof(*n->branches));
	n->n_branches = 1;
	n->item_id = id_of(j, type == SCHEMA_ARRAY ? "element-id" : "value-id");
	n->key_id = id_of(j, "key-id");
	*out = n;
	return parse_type(p, item, ns, &n->branches[0]);
}

static enum status parse_union(struct parser *p, const json_t *j, const char *ns,
			       const struct schema_node **out)
{
	struct schema_node *n = node_new(p, SCHEMA_UNION);
	size_t count = json_array_size(j);

	n->branches = schema_alloc(p->s, count * sizeof(*n->branches));
	for (size_t i = 0; i < count; i++) {
		enum status st = parse_type(p, json_array_get(j, i), ns, &n->branches[i]);
		const struct schema_node *b = n->branches[i];

		if (st != ST_OK)
			return st;
		if (b->type == SCHEMA_UNION)
			return err_set(p->err, ST_FAILED, "a union directly inside a union");
		for (size_t k = 0; k < i; k++)
			if (n->branches[k]->type == b->type && (!b->name || n->branches[k] == b))
				return err_set(p->err, ST_FAILED, "a union has '%s' twice",
					       b->name ? b->name : type_names[b->type]);
		n->n_branches++;
	}
	*out = n;
	return ST_OK;
}

static enum status parse_object(struct parser *p, const json_t *j, const char *ns,
				const struct schema_node **out)
{
	const json_t *type = json_object_get(j, "type");
	const char *name = json_string_value(type);
	enum schema_type primitive;

	if (!type)
		return err_set(p->err, ST_FAILED, "a schema object has no 'type'");
	if (!name)
		return parse_type(p, type, ns, out);
	if (schema_primitive(name, &primitive)) {
		struct schema_node *n = node_new(p, primitive);

		set_logical(n, j);
		*out = n;
		return ST_OK;
	}
	if (strcmp(name, "error") == 0)
		return parse_named(p, SCHEMA_RECORD, j, ns, out);
	for (int t = SCHEMA_RECORD; t <= SCHEMA_FIXED; t++)
		if (strcmp(name, type_names[t]) == 0)
			return parse_named(p, (enum schema_type)t, j, ns, out);
	for (int t = SCHEMA_ARRAY; t <= SCHEMA_MAP; t++)
		if (strcmp(name, type_names[t]) == 0)
			return parse_item(p, (enum schema_type)t, j, ns, out);
	return resolve(p, name, ns, out);
}

static enum status parse_type(struct parser *p, const json_t *j, const char *ns,
			      const struct schema_node **out)
{
	enum status st;

	if (++p->depth > MAX_DEPTH)
		return err_set(p->err, ST_FAILED, "the schema is nested over %d deep", MAX_DEPTH);
	if (json_is_string(j))
		st = resolve(p, json_string_value(j), ns, out);
	else if (json_is_array(j))
		st = parse_union(p, j, ns, out);
	else if (json_is_object(j))
		st = parse_object(p, j, ns, out);
	else
		st = err_set(p->err, ST_FAILED, "a type is neither text, object nor array");
	p->depth--;
	return st;
}

enum status schema_parse(const char *json, size_t len, struct schema **out, struct err *err)
{
	AUTO(schema_freep) struct schema *s = xcalloc(1, sizeof(*s));
	struct parser p = {.s = s, .err = err};
	const struct schema_node *root = NULL;
	json_error_t e;
	enum status st;

	s->doc = json_loadb(json, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
	if (!s->doc)
		return err_set(err, ST_FAILED, "the schema is no JSON: %s, line %d", e.text,
			       e.line);
	st = parse_type(&p, s->doc, "", &root);
	free(p.named);
	if (st != ST_OK)
		return st;
	s->root = (struct schema_node *)(uintptr_t)root;
	*out = MOVE(s);
	return ST_OK;
}
