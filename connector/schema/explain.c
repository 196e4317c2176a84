/* The walker's rules once more, slowly: by recursion over the schema, with the
 * path of the field at hand, for the message of a poison record. */
#include <string.h>

#include "connector/schema/schema.h"
#include "connector/schema/utf8.h"
#include "connector/schema/walker.h"

struct explainer {
	struct bytes in;
	struct buf path;
	int depth;
	uint64_t empty; /* items of no width so far */
	struct err *err;
};

/* Of a longer path the end is shown. */
#define PATH_SHOWN 300

static enum status bad(struct explainer *x, const char *what)
{
	const char *path = x->path.len ? buf_str(&x->path) : "value";
	bool cut = x->path.len > PATH_SHOWN;

	return err_set(x->err, ST_POISON, "%s%s: %s", cut ? "..." : "",
		       cut ? path + x->path.len - PATH_SHOWN : path, what);
}

static void path_cut(struct explainer *x, size_t len)
{
	x->path.len = len;
	if (x->path.data)
		x->path.data[len] = '\0';
}

static enum status read_long(struct explainer *x, int64_t *out)
{
	uint64_t v;

	if (!bytes_varint(&x->in, &v))
		return bad(x, bytes_left(&x->in) >= 10 ? "a number is over 64 bits"
						       : "the bytes end within a number");
	*out = (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
	return ST_OK;
}

static enum status read_int(struct explainer *x)
{
	const unsigned char *from = x->in.p;
	int64_t v = 0;
	enum status st = read_long(x, &v);

	if (st == ST_OK && (v < INT32_MIN || v > INT32_MAX || x->in.p - from > 5))
		return bad(x, "an int is over 32 bits");
	return st;
}

static enum status read_bytes(struct explainer *x, const unsigned char **data, size_t *len)
{
	int64_t n = 0;
	enum status st = read_long(x, &n);

	if (st != ST_OK)
		return st;
	if (n < 0)
		return bad(x, "a length is negative");
	if ((uint64_t)n > bytes_left(&x->in))
		return bad(x, "a length goes beyond the end of the bytes");
	*len = (size_t)n;
	return bytes_take(&x->in, (size_t)n, data) ? ST_OK : ST_FAILED;
}

static enum status read_string(struct explainer *x, const unsigned char **data, size_t *len)
{
	enum status st = read_bytes(x, data, len);

	if (st == ST_OK && !utf8_check(*data, *len))
		return bad(x, "a string is not UTF-8");
	return st;
}

static enum status explain(struct explainer *x, const struct schema_node *n);

static enum status explain_item(struct explainer *x, const struct schema_node *n, uint64_t index)
{
	size_t at = x->path.len, len = 0;
	const unsigned char *key = NULL;
	enum status st = ST_OK;

	if (n->type == SCHEMA_MAP) {
		st = read_string(x, &key, &len);
		if (st != ST_OK)
			return st;
		buf_addf(&x->path, "{\"%.*s\"}", len > 64 ? 64 : (int)len, (const char *)key);
	} else {
		buf_addf(&x->path, "[%llu]", (unsigned long long)index);
	}
	st = explain(x, n->branches[0]);
	if (st == ST_OK)
		path_cut(x, at);
	return st;
}

static enum status explain_block(struct explainer *x, const struct schema_node *n, uint64_t left,
				 uint64_t *index)
{
	for (; left; left--) {
		const unsigned char *before = x->in.p;
		enum status st = explain_item(x, n, (*index)++);

		if (st != ST_OK)
			return st;
		if (x->in.p != before)
			continue;
		/* Of no width, so all others are the same. */
		if (left > WALKER_MAX_EMPTY - x->empty)
			return bad(x, "too many items of no width");
		x->empty += left;
		return ST_OK;
	}
	return ST_OK;
}

static enum status explain_items(struct explainer *x, const struct schema_node *n)
{
	uint64_t index = 0;

	for (;;) {
		int64_t count = 0, size = -1;
		const unsigned char *from;
		enum status st = read_long(x, &count);

		if (st == ST_OK && count < 0)
			st = read_long(x, &size);
		if (st != ST_OK)
			return st;
		if (!count)
			return ST_OK;
		if (count < 0 && (size < 0 || (uint64_t)size > bytes_left(&x->in)))
			return bad(x, "the size of a block goes beyond the end of the bytes");
		from = x->in.p;
		st = explain_block(x, n, count < 0 ? 0 - (uint64_t)count : (uint64_t)count, &index);
		if (st != ST_OK)
			return st;
		if (size >= 0 && x->in.p - from != size)
			return bad(x, "a block's size in bytes is not that of its items");
	}
}

static enum status explain_index(struct explainer *x, size_t limit, const char *what, size_t *out)
{
	int64_t v = 0;
	enum status st = read_long(x, &v);

	if (st != ST_OK)
		return st;
	if (v < 0 || (uint64_t)v >= limit)
		return bad(x, what);
	*out = (size_t)v;
	return ST_OK;
}

static enum status explain_record(struct explainer *x, const struct schema_node *n)
{
	size_t at = x->path.len;

	for (size_t i = 0; i < n->n_fields; i++) {
		enum status st;

		buf_addf(&x->path, "%s%s", at ? "." : "", n->fields[i].name);
		st = explain(x, n->fields[i].type);
		if (st != ST_OK)
			return st;
		path_cut(x, at);
	}
	return ST_OK;
}

static enum status explain_scalar(struct explainer *x, const struct schema_node *n)
{
	const unsigned char *data = NULL;
	size_t len = n->type == SCHEMA_BOOLEAN  ? 1
		     : n->type == SCHEMA_FLOAT  ? 4
		     : n->type == SCHEMA_DOUBLE ? 8
						: n->size;
	int64_t v = 0;

	switch (n->type) {
	case SCHEMA_NULL:
		return ST_OK;
	case SCHEMA_INT:
		return read_int(x);
	case SCHEMA_LONG:
		return read_long(x, &v);
	case SCHEMA_BYTES:
		return read_bytes(x, &data, &len);
	case SCHEMA_STRING:
		return read_string(x, &data, &len);
	case SCHEMA_ENUM:
		return explain_index(x, n->n_symbols, "the enum has no such symbol", &len);
	default:
		if (!bytes_take(&x->in, len, &data))
			return bad(x, "the bytes end too early");
		if (n->type == SCHEMA_BOOLEAN && *data > 1)
			return bad(x, "a boolean is neither 0 nor 1");
		return ST_OK;
	}
}

static enum status explain(struct explainer *x, const struct schema_node *n)
{
	enum status st;
	size_t branch = 0;

	/* Somewhat deeper than the walker goes, which counts arrays and calls
	 * and no records; beyond it the walker has refused. */
	if (x->depth > 8 * WALKER_MAX_DEPTH)
		return bad(x, "the value is nested too deep");
	x->depth++;
	switch (n->type) {
	case SCHEMA_RECORD:
		st = explain_record(x, n);
		break;
	case SCHEMA_ARRAY:
	case SCHEMA_MAP:
		st = explain_items(x, n);
		break;
	case SCHEMA_UNION:
		st = explain_index(x, n->n_branches, "the union has no such branch", &branch);
		if (st == ST_OK)
			st = explain(x, n->branches[branch]);
		break;
	default:
		st = explain_scalar(x, n);
	}
	x->depth--;
	return st;
}

static void explainer_release(struct explainer *x)
{
	buf_release(&x->path);
}

enum status schema_explain(const struct schema *s, const void *data, size_t len, struct err *err)
{
	AUTO(explainer_release)
	struct explainer x = {.in = bytes_of(data, len), .path = BUF_INIT, .err = err};
	enum status st = explain(&x, schema_root(s));

	if (st != ST_OK)
		return st;
	if (bytes_left(&x.in))
		return err_set(err, ST_POISON, "value: %zu bytes follow the end of the value",
			       bytes_left(&x.in));
	return ST_OK;
}
