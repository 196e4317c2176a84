/* Columns for JSON objects, found by looking at them: what each field of a run of records
 * holds, as an Avro schema; and the records as rows of it.
 *
 * null, booleans, whole numbers of 64 bits, fractions, text, objects and arrays each
 * have their type; what disagrees is JSON text. docs/parquet.md has the rules. The same
 * records in the same order make the same shape. Belongs to one thread. */
#ifndef TIDEMARK_WRITER_JSON_SHAPE_H
#define TIDEMARK_WRITER_JSON_SHAPE_H

#include "core/base/buf.h"

/* Fields, columns and items of lists that a shape has at most; of those one object
 * within; levels of objects and lists. Beyond them a value is JSON. */
#define SHAPE_MAX_NODES 300
#define SHAPE_MAX_FIELDS 100
#define SHAPE_MAX_DEPTH 16

struct json_shape;

/* reserved: a name that no field of the records themselves may have, in any case; NULL:
 * none. Borrowed. */
struct json_shape *json_shape_new(const char *reserved);
void json_shape_free(struct json_shape *s);
AUTO_DESTRUCTOR(struct json_shape, json_shape_free)

/* Each takes the text of an object that json_line_check() has let through: from its brace
 * on, which is how it ends too. */

/* Widens the shape by the object. false, and nothing is changed: its fields can be no
 * columns beside those that there are (two of one name, or of names that differ in case
 * alone; a name that is reserved, empty, longer than 255 bytes or has a NUL; too many). */
MUST_CHECK bool json_shape_add(struct json_shape *s, const char *text);

enum shape_fit {
	SHAPE_FITS,
	SHAPE_GROWS, /* it has a field or a type that the shape has not */
	SHAPE_NEVER, /* json_shape_add() would refuse it, whatever its values */
};

/* Appends the object as Avro bytes of the schema. What is appended where it does not fit
 * is no value. An object that was added fits. */
MUST_CHECK enum shape_fit json_shape_row(struct json_shape *s, const char *text, struct buf *out);
/* Appends the Avro schema: a record whose fields are nullable. A name that Avro does not
 * allow is mended, and stands as it is in "iceberg-field-name". */
void json_shape_schema(const struct json_shape *s, struct buf *out);

#endif
