#include "connector/schema/json_encode.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connector/schema/decimal.h"
#include "core/base/clock.h"

#define MAX_DEPTH 200

struct encoder {
	struct buf *out;
	struct buf path;
	struct err *err;
	int depth;
	/* A schema's default: of a union the first branch that fits, and bytes
	 * are characters also where they are a decimal. */
	bool is_default;
	/* Values looked at, tries included: a union of like records inside
	 * itself could ask for any number. */
	size_t steps_left;
};

static enum status encode(struct encoder *e, const struct schema_node *n, const json_t *j);

static void add_long(struct encoder *e, int64_t v)
{
	buf_add_varint(e->out, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

static enum status bad(struct encoder *e, const char *what)
{
	return err_set(e->err, ST_POISON, "%s: %s", e->path.len ? buf_str(&e->path) : "value",
		       what);
}

static const char *json_name(const json_t *j)
{
	switch (json_typeof(j)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "text";
	case JSON_INTEGER:
	case JSON_REAL:
		return "a number";
	case JSON_NULL:
		return "null";
	default:
		return "a boolean";
	}
}

static enum status unfit(struct encoder *e, const struct schema_node *n, const json_t *j)
{
	return err_set(e->err, ST_POISON, "%s: %s where the schema has %s",
		       e->path.len ? buf_str(&e->path) : "value", json_name(j),
		       n->name ? n->name : schema_type_name(n->type));
}

static void path_cut(struct encoder *e, size_t len)
{
	e->path.len = len;
	if (e->path.data)
		e->path.data[len] = '\0';
}

/* ---- numbers and times ---- */

/* Text of a time to units of `unit_ns` since the epoch. */
static const char *time_units(const char *text, bool local, int64_t unit_ns, int64_t *out)
{
	char whole[64];
	const char *dot = strchr(text, '.');
	size_t head = dot ? (size_t)(dot - text) : strlen(text), digits = 0;
	int64_t ms, ns = 0;

	if (dot) {
		for (; dot[1 + digits] >= '0' && dot[1 + digits] <= '9'; digits++) {
			if (digits < 9)
				ns = ns * 10 + (dot[1 + digits] - '0');
			else if (dot[1 + digits] != '0')
				return "a time finer than nanoseconds";
		}
		for (size_t i = digits; i < 9; i++)
			ns *= 10;
	}
	if (snprintf(whole, sizeof(whole), "%.*s%s%s", (int)head, text, dot ? dot + 1 + digits : "",
		     local ? "Z" : "") >= (int)sizeof(whole) ||
	    (dot && !digits) || !time_parse(whole, &ms))
		return local ? "no time (2026-11-21T08:45:39.123)"
			     : "no time (RFC 3339: 2026-11-21T08:45:39.123Z)";
	if (ns % unit_ns)
		return "a time finer than the schema's unit";
	if (__builtin_mul_overflow(ms, 1000000 / (unit_ns < 1000000 ? unit_ns : 1000000), out) ||
	    __builtin_add_overflow(*out, ns / unit_ns, out))
		return "a time out of range";
	return NULL;
}

static enum status encode_time(struct encoder *e, const struct schema_node *n, const json_t *j)
{
	const char *text = json_string_value(j), *why;
	bool local = n->logical >= LOGICAL_LOCAL_TIMESTAMP_MILLIS;
	int64_t unit_ns = 1, v;

	switch (n->logical) {
	case LOGICAL_DATE:
		if (strlen(text) != 10 || !time_parse(text, &v))
			return bad(e, "no date (2026-11-21)");
		add_long(e, (v - (((v % 86400000) + 86400000) % 86400000)) / 86400000);
		return ST_OK;
	case LOGICAL_TIMESTAMP_MILLIS:
	case LOGICAL_LOCAL_TIMESTAMP_MILLIS:
		unit_ns = 1000000;
		break;
	case LOGICAL_TIMESTAMP_MICROS:
	case LOGICAL_LOCAL_TIMESTAMP_MICROS:
		unit_ns = 1000;
		break;
	case LOGICAL_TIMESTAMP_NANOS:
	case LOGICAL_LOCAL_TIMESTAMP_NANOS:
		break;
	default:
		return unfit(e, n, j);
	}
	why = time_units(text, local, unit_ns, &v);
	if (why)
		return bad(e, why);
	add_long(e, v);
	return ST_OK;
}

static enum status encode_integer(struct encoder *e, const struct schema_node *n, const json_t *j)
{
	json_int_t v;

	if (json_is_string(j))
		return encode_time(e, n, j);
	if (json_is_real(j)) {
		double d = json_real_value(j);

		if (d != floor(d) || fabs(d) > 9007199254740992.0)
			return bad(e, "a fraction where the schema has a whole number");
		v = (json_int_t)d;
	} else if (json_is_integer(j)) {
		v = json_integer_value(j);
	} else {
		return unfit(e, n, j);
	}
	if (n->type == SCHEMA_INT && (v < INT32_MIN || v > INT32_MAX))
		return bad(e, "the number is beyond an int's 32 bits");
	add_long(e, v);
	return ST_OK;
}

static void add_little_endian(struct encoder *e, uint64_t bits, int bytes)
{
	for (int i = 0; i < bytes; i++, bits >>= 8)
		buf_addc(e->out, (char)(bits & 0xff));
}

static bool special_number(const json_t *j, double *out)
{
	const char *s = json_string_value(j);

	if (!s)
		return false;
	if (strcmp(s, "NaN") == 0)
		*out = NAN;
	else if (strcmp(s, "Infinity") == 0)
		*out = INFINITY;
	else if (strcmp(s, "-Infinity") == 0)
		*out = -INFINITY;
	else
		return false;
	return true;
}

static enum status encode_real(struct encoder *e, const struct schema_node *n, const json_t *j)
{
	double d;
	float f;
	uint32_t bits32;
	uint64_t bits64;

	if (!special_number(j, &d)) {
		if (!json_is_number(j))
			return unfit(e, n, j);
		d = json_number_value(j);
		if (n->type == SCHEMA_FLOAT && fabs(d) > FLT_MAX)
			return bad(e, "the number is beyond a float's range");
	}
	if (n->type == SCHEMA_FLOAT) {
		f = (float)d;
		memcpy(&bits32, &f, 4);
		add_little_endian(e, bits32, 4);
	} else {
		memcpy(&bits64, &d, 8);
		add_little_endian(e, bits64, 8);
	}
	return ST_OK;
}

/* ---- bytes ---- */

/* Characters up to U+00FF to bytes; false where one is beyond. */
static bool latin_bytes(const json_t *j, struct buf *out)
{
	const unsigned char *p = (const unsigned char *)json_string_value(j);
	const unsigned char *end = p + json_string_length(j);

	while (p < end) {
		if (*p < 0x80) {
			buf_addc(out, (char)*p++);
		} else if (*p == 0xc2 || *p == 0xc3) {
			buf_addc(out, (char)((p[0] & 3) << 6 | (p[1] & 0x3f)));
			p += 2;
		} else {
			return false;
		}
	}
	return true;
}

static enum status decimal_bytes(struct encoder *e, const struct schema_node *n, const json_t *j,
				 struct buf *out)
{
	char number[40];
	const char *text = number, *why;
	AUTO(buf_release) struct buf shown = BUF_INIT;

	if (json_is_integer(j)) {
		snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(j));
	} else if (json_is_real(j)) {
		/* The shortest text that means this number is what was written. */
		for (int digits = 15; digits <= 17; digits++) {
			snprintf(number, sizeof(number), "%.*g", digits, json_real_value(j));
			if (strtod(number, NULL) == json_real_value(j))
				break;
		}
	} else if (json_is_string(j)) {
		text = json_string_value(j);
	} else {
		return unfit(e, n, j);
	}
	why = decimal_encode(text, strlen(text), n->precision, n->scale, out);
	if (!why)
		return ST_OK;
	buf_addf(&shown, "the decimal '%.40s': %s", text, why);
	return bad(e, shown.data);
}

static enum status encode_bytes(struct encoder *e, const struct schema_node *n, const json_t *j)
{
	AUTO(buf_release) struct buf bytes = BUF_INIT;
	bool decimal = n->logical == LOGICAL_DECIMAL && !e->is_default;

	if (decimal) {
		enum status st = decimal_bytes(e, n, j, &bytes);

		if (st != ST_OK)
			return st;
	} else if (!json_is_string(j)) {
		return unfit(e, n, j);
	} else if (!latin_bytes(j, &bytes)) {
		return bad(e, "bytes are text of U+0000 to U+00FF; a character is beyond");
	}
	if (n->type == SCHEMA_BYTES) {
		add_long(e, (int64_t)bytes.len);
	} else if (decimal && bytes.len <= n->size) {
		for (size_t i = bytes.len; i < n->size; i++)
			buf_addc(e->out, bytes.data[0] & 0x80 ? '\xff' : '\0');
	} else if (bytes.len != n->size) {
		return bad(e, decimal ? "the decimal needs more bytes than the fixed has"
				      : "the length is not that of the fixed");
	}
	if (bytes.len)
		buf_addbuf(e->out, &bytes);
	return ST_OK;
}

static bool uuid_ok(const char *s)
{
	for (int i = 0; i < 36; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? s[i] != '-' : !s[i] || !strchr("0123456789abcdefABCDEF", s[i]))
			return false;
	}
	return s[36] == '\0';
}

static enum status encode_string(struct encoder *e, const struct schema_node *n, const json_t *j)
{
	if (!json_is_string(j))
		return unfit(e, n, j);
	if (n->logical == LOGICAL_UUID && !uuid_ok(json_string_value(j)))
		return bad(e, "the text is no UUID");
	add_long(e, (int64_t)json_string_length(j));
	buf_add(e->out, json_string_value(j), json_string_length(j));
	return ST_OK;
}

static enum status encode_enum(struct encoder *e, const struct schema_node *n, const json_t *j)
{
	const char *symbol = json_string_value(j);

	if (!symbol)
		return unfit(e, n, j);
	for (size_t i = 0; i < n->n_symbols; i++) {
		if (strcmp(n->symbols[i], symbol) == 0) {
			add_long(e, (int64_t)i);
			return ST_OK;
		}
	}
	return err_set(e->err, ST_POISON, "%s: the enum %s has no symbol '%.60s'",
		       e->path.len ? buf_str(&e->path) : "value", n->name, symbol);
}

/* ---- arrays, maps, records ---- */

static enum status encode_array(struct encoder *e, const struct schema_node *n, const json_t *j)
{
	size_t at = e->path.len, i;
	json_t *item;

	if (!json_is_array(j))
		return unfit(e, n, j);
	if (json_array_size(j))
		add_long(e, (int64_t)json_array_size(j));
	json_array_foreach(j, i, item)
	{
		enum status st;

		buf_addf(&e->path, "[%zu]", i);
		st = encode(e, n->branches[0], item);
		if (st != ST_OK)
			return st;
		path_cut(e, at);
	}
	add_long(e, 0);
	return ST_OK;
}

static enum status encode_map(struct encoder *e, const struct schema_node *n, const json_t *j)
{
	size_t at = e->path.len;
	const char *key;
	json_t *item;

	if (!json_is_object(j))
		return unfit(e, n, j);
	if (json_object_size(j))
		add_long(e, (int64_t)json_object_size(j));
	json_object_foreach((json_t *)(uintptr_t)j, key, item)
	{
		enum status st;

		add_long(e, (int64_t)strlen(key));
		buf_adds(e->out, key);
		buf_addf(&e->path, "{\"%.64s\"}", key);
		st = encode(e, n->branches[0], item);
		if (st != ST_OK)
			return st;
		path_cut(e, at);
	}
	add_long(e, 0);
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
	return bad(e, "the field is missing and has no default");
}

static enum status encode_record(struct encoder *e, const struct schema_node *n, const json_t *j)
{
	size_t at = e->path.len, found = 0;

	if (!json_is_object(j))
		return unfit(e, n, j);
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

	add_long(e, (int64_t)i);
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
			return bad(e, "the value fits several branches of the union; name one: "
				      "{\"branch\": value}");
	}
	if (tried == 1)
		return ST_POISON; /* its own reason is in err */
	return bad(e, tried ? "the value fits no branch of the union"
			    : "the union has no branch for such a value");
}

static enum status encode_default_union(struct encoder *e, const struct schema_node *n,
					const json_t *j)
{
	for (size_t i = 0; i < n->n_branches; i++)
		if (encode_branch(e, n, i, j) == ST_OK)
			return ST_OK;
	return bad(e, "the default fits no branch of the union");
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
	case SCHEMA_NULL:
		return json_is_null(j) ? ST_OK : unfit(e, n, j);
	case SCHEMA_BOOLEAN:
		if (!json_is_boolean(j))
			return unfit(e, n, j);
		buf_addc(e->out, json_is_true(j) ? 1 : 0);
		return ST_OK;
	case SCHEMA_INT:
	case SCHEMA_LONG:
		return encode_integer(e, n, j);
	case SCHEMA_FLOAT:
	case SCHEMA_DOUBLE:
		return encode_real(e, n, j);
	case SCHEMA_BYTES:
	case SCHEMA_FIXED:
		return encode_bytes(e, n, j);
	case SCHEMA_STRING:
		return encode_string(e, n, j);
	case SCHEMA_RECORD:
		return encode_record(e, n, j);
	case SCHEMA_ENUM:
		return encode_enum(e, n, j);
	case SCHEMA_ARRAY:
		return encode_array(e, n, j);
	case SCHEMA_MAP:
		return encode_map(e, n, j);
	case SCHEMA_UNION:
		return encode_union(e, n, j);
	}
	return unfit(e, n, j);
}

static enum status encode(struct encoder *e, const struct schema_node *n, const json_t *j)
{
	enum status st;

	if (e->depth == MAX_DEPTH || !e->steps_left)
		return bad(e, e->steps_left ? "the value is nested too deep"
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
