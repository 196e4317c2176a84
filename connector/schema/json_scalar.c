#include "connector/schema/json_scalar.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connector/schema/decimal.h"
#include "core/base/clock.h"

void encoder_add_long(struct encoder *e, int64_t v)
{
	buf_add_varint(e->out, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

/* Of a longer path the end is shown. */
#define PATH_SHOWN 300

static const char *path_shown(const struct encoder *e)
{
	const char *path = e->path.len ? e->path.data : "value";

	return e->path.len > PATH_SHOWN ? path + e->path.len - PATH_SHOWN : path;
}

enum status encoder_bad(struct encoder *e, const char *what)
{
	return err_set(e->err, ST_POISON, "%s: %s", path_shown(e), what);
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

enum status encoder_unfit(struct encoder *e, const struct schema_node *n, const json_t *j)
{
	return err_set(e->err, ST_POISON, "%s: %s where the schema has %s", path_shown(e),
		       json_name(j), n->name ? n->name : schema_type_name(n->type));
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
			return encoder_bad(e, "no date (2026-11-21)");
		encoder_add_long(e, (v - (((v % 86400000) + 86400000) % 86400000)) / 86400000);
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
		return encoder_unfit(e, n, j);
	}
	why = time_units(text, local, unit_ns, &v);
	if (why)
		return encoder_bad(e, why);
	encoder_add_long(e, v);
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
			return encoder_bad(e, "a fraction where the schema has a whole number");
		v = (json_int_t)d;
	} else if (json_is_integer(j)) {
		v = json_integer_value(j);
	} else {
		return encoder_unfit(e, n, j);
	}
	if (n->type == SCHEMA_INT && (v < INT32_MIN || v > INT32_MAX))
		return encoder_bad(e, "the number is beyond an int's 32 bits");
	encoder_add_long(e, v);
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
			return encoder_unfit(e, n, j);
		d = json_number_value(j);
		if (n->type == SCHEMA_FLOAT && fabs(d) > FLT_MAX)
			return encoder_bad(e, "the number is beyond a float's range");
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
		return encoder_unfit(e, n, j);
	}
	why = decimal_encode(text, strlen(text), n->precision, n->scale, out);
	if (!why)
		return ST_OK;
	buf_addf(&shown, "the decimal '%.40s': %s", text, why);
	return encoder_bad(e, shown.data);
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
		return encoder_unfit(e, n, j);
	} else if (!latin_bytes(j, &bytes)) {
		return encoder_bad(e, "bytes are text of U+0000 to U+00FF; a character is beyond");
	}
	if (n->type == SCHEMA_BYTES) {
		encoder_add_long(e, (int64_t)bytes.len);
	} else if (decimal && bytes.len <= n->size) {
		for (size_t i = bytes.len; i < n->size; i++)
			buf_addc(e->out, bytes.data[0] & 0x80 ? '\xff' : '\0');
	} else if (bytes.len != n->size) {
		return encoder_bad(e, decimal ? "the decimal needs more bytes than the fixed has"
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
		return encoder_unfit(e, n, j);
	if (n->logical == LOGICAL_UUID && !uuid_ok(json_string_value(j)))
		return encoder_bad(e, "the text is no UUID");
	encoder_add_long(e, (int64_t)json_string_length(j));
	buf_add(e->out, json_string_value(j), json_string_length(j));
	return ST_OK;
}

static enum status encode_enum(struct encoder *e, const struct schema_node *n, const json_t *j)
{
	const char *symbol = json_string_value(j);

	if (!symbol)
		return encoder_unfit(e, n, j);
	for (size_t i = 0; i < n->n_symbols; i++) {
		if (strcmp(n->symbols[i], symbol) == 0) {
			encoder_add_long(e, (int64_t)i);
			return ST_OK;
		}
	}
	return err_set(e->err, ST_POISON, "%s: the enum %s has no symbol '%.60s'", path_shown(e),
		       n->name, symbol);
}

enum status encode_scalar(struct encoder *e, const struct schema_node *n, const json_t *j)
{
	switch (n->type) {
	case SCHEMA_NULL:
		return json_is_null(j) ? ST_OK : encoder_unfit(e, n, j);
	case SCHEMA_BOOLEAN:
		if (!json_is_boolean(j))
			return encoder_unfit(e, n, j);
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
	default:
		return encode_enum(e, n, j);
	}
}
