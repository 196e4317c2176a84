#include "connector/schema/json_encode.h"

#include <stdlib.h>
#include <string.h>

#include "connector/schema/json_scalar.h"

#define MAX_DEPTH 200

static enum status encode(struct encoder *e, const struct schema_node *n, const json_t *j);

static void path_cut(struct encoder *e, size_t len)
{
	e->path.len = len;
	if (e->path.data)
		e->path.data[len] = '\0';
}

/* ---- arrays, maps, records ---- */

static enum status encode_array(struct encoder *e, const struct schema_node *n, const json_t *j)
{
	size_t at = e->path.len, i;
	json_t *item;

	if (!json_is_array(j))
		return encoder_unfit(e, n, j);
	if (json_array_size(j))
		encoder_add_long(e, (int64_t)json_array_size(j));
	json_array_foreach(j, i, item)
	{
		enum status st;

		buf_addf(&e->path, "[%zu]", i);
		st = encode(e, n->branches[0], item);
		if (st != ST_OK)
			return st;
		path_cut(e, at);
	}
	encoder_add_long(e, 0);
	return ST_OK;
}

static enum status encode_map(struct encoder *e, const struct schema_node *n, const json_t *j)
{
	size_t at = e->path.len;
	const char *key;
	json_t *item;

	if (!json_is_object(j))
		return encoder_unfit(e, n, j);
	if (json_object_size(j))
		encoder_add_long(e, (int64_t)json_object_size(j));
	json_object_foreach((json_t *)(uintptr_t)j, key, item)
	{
		enum status st;

		encoder_add_long(e, (int64_t)strlen(key));
		buf_adds(e->out, key);
		buf_addf(&e->path, "{\"%.64s\"}", key);
		st = encode(e, n->branches[0], item);
		if (st != ST_OK)
			return st;
		path_cut(e, at);
	}
	encoder_add_long(e, 0);
	return ST_OK;
}

static const json_t *find_member(const struct schema_field *f, const json_t *j)
{
	const json_t *v = json_object_get(j, f->name);

	for (size_t i = 0; !v && i < f->n_aliases; i++)
		v = json_object_get(j, f->aliases[i]);
	return v;
}

static bool is_field(const struct schema_node *n, const char *key)
{
	for (size_t i = 0; i < n->n_fields; i++) {
		if (strcmp(n->fields[i].name, key) == 0)
			return true;
		for (size_t a = 0; a < n->fields[i].n_aliases; a++)
			if (strcmp(n->fields[i].aliases[a], key) == 0)
				return true;
	}
	return false;
}

static enum status report_unknown(struct encoder *e, const struct schema_node *n, const json_t *j)
{
	const char *key, *unknown = NULL;
	json_t *v;

	json_object_foreach((json_t *)(uintptr_t)j, key, v)
	{
		if (!unknown && !is_field(n, key))
			unknown = key;
	}
	return err_set(e->err, ST_POISON, "%s%s%.200s: %s", buf_str(&e->path),
		       e->path.len ? "." : "", unknown ? unknown : "?",
		       unknown ? "the schema has no such field"
			       : "a field is there by its name and an alias");
}

static enum status encode_field(struct encoder *e, const struct schema_field *f, const json_t *j)
{
	if (j)
		return encode(e, f->type, j);
	if (f->default_bytes) {
		buf_add(e->out, f->default_bytes, f->default_len);
		return ST_OK;
	}
	/* Only while defaults are made. */
	if (f->default_json)
		return encode(e, f->type, f->default_json);
	return encoder_bad(e, "the field is missing and has no default");
}

static enum status encode_record(struct encoder *e, const struct schema_node *n, const json_t *j)
{
	size_t at = e->path.len, found = 0;

	if (!json_is_object(j))
		return encoder_unfit(e, n, j);
	for (size_t i = 0; i < n->n_fields; i++) {
		const json_t *v = find_member(&n->fields[i], j);
		enum status st;

		found += v != NULL;
		buf_addf(&e->path, "%s%s", at ? "." : "", n->fields[i].name);
		st = encode_field(e, &n->fields[i], v);
		if (st != ST_OK)
			return st;
		path_cut(e, at);
	}
	return found == json_object_size(j) ? ST_OK : report_unknown(e, n, j);
}

/* ---- unions ---- */

/* How well a branch fits a plain value: 1 best, 0 not at all. */
static int rank(const struct schema_node *n, const json_t *j)
{
	static const char text_rank[] = {
		[SCHEMA_STRING] = 1, [SCHEMA_ENUM] = 2,  [SCHEMA_INT] = 3,
		[SCHEMA_LONG] = 3,   [SCHEMA_BYTES] = 4, [SCHEMA_FIXED] = 5,
		[SCHEMA_DOUBLE] = 6, [SCHEMA_FLOAT] = 7, [SCHEMA_UNION] = 0,
	};
	bool decimal = n->logical == LOGICAL_DECIMAL;

	switch (json_typeof(j)) {
	case JSON_NULL:
		return n->type == SCHEMA_NULL;
	case JSON_TRUE:
	case JSON_FALSE:
		return n->type == SCHEMA_BOOLEAN;
	case JSON_INTEGER:
		return n->type == SCHEMA_INT      ? 1
		       : n->type == SCHEMA_LONG   ? 2
		       : decimal                  ? 3
		       : n->type == SCHEMA_FLOAT  ? 5
		       : n->type == SCHEMA_DOUBLE ? 4
						  : 0;
	case JSON_REAL:
		return decimal ? 1 : n->type == SCHEMA_DOUBLE ? 2 : n->type == SCHEMA_FLOAT ? 3 : 0;
	case JSON_STRING:
		return text_rank[n->type];
	case JSON_ARRAY:
		return n->type == SCHEMA_ARRAY;
	case JSON_OBJECT:
		return n->type == SCHEMA_RECORD || n->type == SCHEMA_MAP;
	}
	return 0;
}

#define WORST_RANK 7

static enum status encode_branch(struct encoder *e, const struct schema_node *n, size_t i,
				 const json_t *j)
{
	size_t mark = e->out->len, at = e->path.len;
	enum status st;

	encoder_add_long(e, (int64_t)i);
	st = encode(e, n->branches[i], j);
	if (st != ST_OK) {
		e->out->len = mark;
		path_cut(e, at);
	}
	return st;
}

static bool branch_named(const struct schema_node *b, const char *key)
{
	const char *dot = b->name ? strrchr(b->name, '.') : NULL;

	if (!b->name)
		return strcmp(schema_type_name(b->type), key) == 0;
	return strcmp(b->name, key) == 0 || (dot && strcmp(dot + 1, key) == 0);
}

/* {"branch": value}: the branch, or n_branches where j is none or not clear. */
static size_t tagged_branch(const struct schema_node *n, const json_t *j, const json_t **value)
{
	void *it = json_object_iter((json_t *)(uintptr_t)j);
	size_t found = n->n_branches;

	if (json_object_size(j) != 1 || !it)
		return found;
	*value = json_object_iter_value(it);
	for (size_t i = 0; i < n->n_branches; i++) {
		if (!branch_named(n->branches[i], json_object_iter_key(it)))
			continue;
		if (found < n->n_branches)
			return n->n_branches;
		found = i;
	}
	return found;
}

static enum status encode_plain(struct encoder *e, const struct schema_node *n, const json_t *j)
{
	size_t tried = 0;

	for (int want = 1; want <= WORST_RANK; want++) {
		size_t fits = 0, end = 0;

		for (size_t i = 0; i < n->n_branches; i++) {
			if (rank(n->branches[i], j) != want)
				continue;
			tried++;
			if (encode_branch(e, n, i, j) != ST_OK)
				continue;
			if (fits++)
				e->out->len = end;
			else
				end = e->out->len;
		}
		if (fits == 1)
			return ST_OK;
		if (fits)
			return encoder_bad(
				e, "the value fits several branches of the union; name one: "
				   "{\"branch\": value}");
	}
	if (tried == 1)
		return ST_POISON; /* its own reason is in err */
	return encoder_bad(e, tried ? "the value fits no branch of the union"
				    : "the union has no branch for such a value");
}

static enum status encode_default_union(struct encoder *e, const struct schema_node *n,
					const json_t *j)
{
	for (size_t i = 0; i < n->n_branches; i++)
		if (encode_branch(e, n, i, j) == ST_OK)
			return ST_OK;
	return encoder_bad(e, "the default fits no branch of the union");
}

static enum status encode_union(struct encoder *e, const struct schema_node *n, const json_t *j)
{
	const json_t *value = NULL;
	size_t tag = tagged_branch(n, j, &value), mark = e->out->len;
	struct err why = ERR_INIT, *err = e->err;
	enum status st;

	if (e->is_default)
		return encode_default_union(e, n, j);
	if (tag == n->n_branches)
		return encode_plain(e, n, j);
	e->err = &why;
	st = encode_branch(e, n, tag, value);
	if (st != ST_OK) {
		/* A record or map may have one member of such a name too. */
		struct err plain = ERR_INIT;

		e->err = &plain;
		st = encode_plain(e, n, j);
		if (st != ST_OK)
			e->out->len = mark;
	}
	e->err = err;
	return st == ST_OK ? ST_OK : err_set(err, why.code, "%s", why.text);
}

static enum status encode_any(struct encoder *e, const struct schema_node *n, const json_t *j)
{
	switch (n->type) {
	case SCHEMA_RECORD:
		return encode_record(e, n, j);
	case SCHEMA_ARRAY:
		return encode_array(e, n, j);
	case SCHEMA_MAP:
		return encode_map(e, n, j);
	case SCHEMA_UNION:
		return encode_union(e, n, j);
	default:
		return encode_scalar(e, n, j);
	}
}

static enum status encode(struct encoder *e, const struct schema_node *n, const json_t *j)
{
	enum status st;

	if (e->depth == MAX_DEPTH || !e->steps_left)
		return encoder_bad(e, e->steps_left
					      ? "the value is nested too deep"
					      : "the unions leave too many ways to read the value");
	e->steps_left--;
	e->depth++;
	st = encode_any(e, n, j);
	e->depth--;
	return st;
}

static void encoder_release(struct encoder *e)
{
	buf_release(&e->path);
}

enum status json_encode(const struct schema *s, const char *json, size_t len, struct buf *out,
			struct err *err)
{
	AUTO(encoder_release)
	struct encoder e = {.out = out, .err = err, .steps_left = 10000 + 100 * len};
	AUTO(json_decrefp) json_t *j = NULL;
	size_t mark = out->len;
	json_error_t why;
	enum status st;

	j = json_loadb(json, len, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &why);
	if (!j)
		return err_set(err, ST_POISON, "the value is no JSON: %s, at byte %d", why.text,
			       why.position);
	st = encode(&e, schema_root(s), j);
	if (!e.steps_left)
		st = err_set(err, ST_POISON,
			     "value: the unions leave too many ways to read it; name the branches: "
			     "{\"branch\": value}");
	if (st != ST_OK)
		out->len = mark;
	return st;
}

/* ---- defaults ---- */

static enum status prepare_field(const char *record, struct schema_field *f, struct err *err)
{
	AUTO(buf_release) struct buf bytes = BUF_INIT;
	AUTO(encoder_release)
	struct encoder e = {.out = &bytes, .err = err, .is_default = true, .steps_left = 100000};
	enum status st;

	if (!f->default_json || f->default_bytes)
		return ST_OK;
	st = encode(&e, f->type, f->default_json);
	if (!e.steps_left)
		st = err_set(err, ST_FAILED, "too many ways to read it");
	if (st != ST_OK)
		return err_wrap(err, ST_FAILED, "the default of field '%s' of '%s'", f->name,
				record);
	f->default_len = bytes.len;
	f->default_bytes = bytes.data ? buf_detach(&bytes) : xstrdup("");
	return ST_OK;
}

static enum status prepare(const struct schema_node *n, bool *seen, struct err *err)
{
	enum status st = ST_OK;

	if (seen[n->index])
		return ST_OK;
	seen[n->index] = true;
	for (size_t i = 0; i < n->n_branches && st == ST_OK; i++)
		st = prepare(n->branches[i], seen, err);
	for (size_t i = 0; i < n->n_fields && st == ST_OK; i++) {
		st = prepare(n->fields[i].type, seen, err);
		if (st == ST_OK)
			st = prepare_field(n->name, &n->fields[i], err);
	}
	return st;
}

enum status json_encode_prepare(struct schema *s, struct err *err)
{
	AUTO(freep) bool *seen = xcalloc(schema_nodes(s), sizeof(*seen));

	return prepare(schema_root(s), seen, err);
}
