/* record.metadata: `_kafka` {topic, partition, offset, timestamp, key, headers}
 * in each row (schemas/kafka.avsc).
 *
 * Avro values: their schema gets one more field at its end, so a row is the
 * value's bytes, as they came, and those of the field. A value that is no record
 * becomes {value, _kafka}. JSON: one more member; what is no object becomes
 * {"value": ..., "_kafka": ...}. Key and header values that are not UTF-8 are
 * there as `key_base64` and `value_base64`. */
#ifndef TIDEMARK_WRITER_RECORD_METADATA_H
#define TIDEMARK_WRITER_RECORD_METADATA_H

#include "connector/kafka/record.h"
#include "connector/schema/compiled.h"

/* The schema of rows whose values have this one. A name "id:17" becomes
 * "id:17+_kafka", any other is the fingerprint. ST_FAILED: it has a field `_kafka`. */
MUST_CHECK enum status record_metadata_schema(const struct compiled_schema *value,
					      struct compiled_schema **out, struct err *err);
/* The same of text to text; the caller frees it. ST_FAILED: it is no schema, too. */
MUST_CHECK enum status record_metadata_text(const char *schema_json, char **out, struct err *err);
/* Appends the field's Avro bytes. */
void record_metadata_add(struct buf *b, const struct record *r);
/* Appends the line of a JSON value, which json_line_check() has let through. ST_POISON:
 * it is an object with a member `_kafka`. scratch: memory that is used again. */
MUST_CHECK enum status record_metadata_line(struct buf *b, const char *text, size_t len,
					    const struct record *r, struct buf *scratch,
					    struct err *err);

#endif
