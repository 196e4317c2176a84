/* JSON text to Avro bytes, by a schema.
 *
 * Unions: {"branch": value} as Avro's own JSON encoding has it (a named type by
 * its full name or its last part), or the plain value where one branch fits
 * best: an integer goes to int, long, float, double in this order as it fits, a
 * fraction to double, float; text to string, then an enum that has the symbol,
 * then bytes; an object to the one record or map that takes it. What fits two
 * alike is refused.
 *
 * bytes and fixed: text whose characters U+0000 to U+00FF are the bytes, as in
 * Avro's JSON encoding. Logical types: decimal as a number or text of one
 * ("12.50"; more digits than the scale are refused, not rounded); date,
 * timestamp-millis and -micros also as RFC 3339 text. float and double also as
 * "NaN", "Infinity", "-Infinity". Record fields are found by name, then alias; a
 * missing one takes its default; one that the record does not have is an
 * error. */
#ifndef TIDEMARK_SCHEMA_JSON_ENCODE_H
#define TIDEMARK_SCHEMA_JSON_ENCODE_H

#include "connector/schema/schema.h"

/* Before the first use of a schema, by one thread: turns its defaults into
 * bytes. ST_FAILED names a field whose default does not fit its type. */
MUST_CHECK enum status json_encode_prepare(struct schema *s, struct err *err);
/* Appends the bytes of one value. ST_POISON names the field's path and why;
 * out is as it was. */
MUST_CHECK enum status json_encode(const struct schema *s, const char *json, size_t len,
				   struct buf *out, struct err *err);

#endif
