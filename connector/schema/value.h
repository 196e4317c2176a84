/* A field's value, whatever the form of its file. */
#ifndef TIDEMARK_SCHEMA_VALUE_H
#define TIDEMARK_SCHEMA_VALUE_H

#include "connector/schema/schema.h"

enum value_kind {
	VALUE_ABSENT, /* the row has no such field (JSON), or is none itself above it */
	VALUE_NULL,
	VALUE_BOOLEAN, /* number */
	VALUE_LONG, /* number */
	VALUE_FLOAT, /* real */
	VALUE_DOUBLE, /* real */
	VALUE_TEXT, /* data: UTF-8; also an enum's symbol */
	VALUE_BYTES, /* data; also fixed, and decimals of both */
	VALUE_NUMBER, /* data: a number as JSON has it */
	VALUE_OTHER, /* data: a record, array or map, as its file has it */
};

struct value {
	enum value_kind kind;
	int64_t number;
	double real;
	const char *data; /* no NUL behind; as long as the row */
	size_t len;
	const struct schema_node *type; /* NULL: JSON */
};

/* "a number", "text", ... */
const char *value_kind_name(enum value_kind kind);

/* A bound of `range`: a number, or a time in RFC 3339. */
struct bound {
	bool set;
	bool is_time;
	int64_t us; /* since the epoch */
	/* One number at the precision of each kind of value, so that a bound of 0.1
	 * is the double 0.1 where the field is a double. */
	long double exact;
	double as_double;
	float as_float;
};

/* false: text is neither. */
MUST_CHECK bool bound_parse(const char *text, struct bound *out);
/* value < bound, = or >: -1, 0, 1 in *out. false: they cannot be compared (text
 * against a number, NaN). */
MUST_CHECK bool value_compare(const struct value *v, const struct bound *b, int *out);

/* Microseconds since the epoch: of a timestamp or date, text in RFC 3339, or a
 * plain number, which is milliseconds. false: it is no time. */
MUST_CHECK bool value_time(const struct value *v, int64_t *us_out);

/* The same 16 bytes for equal values, also of different types (1 and 1.0), and
 * for no others (long ones: SHA-256). scratch: memory that is used again. */
void value_digest(const struct value *v, struct buf *scratch, unsigned char out[16]);

/* For people: at most about 60 bytes. */
void value_show(const struct value *v, struct buf *out);

#endif
