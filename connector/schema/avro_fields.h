/* Finds fields in Avro values by their schema. */
#ifndef TIDEMARK_SCHEMA_AVRO_FIELDS_H
#define TIDEMARK_SCHEMA_AVRO_FIELDS_H

#include "connector/schema/value.h"

struct avro_fields;

/* For values of the schema, which must outlive it. lack: for each field what
 * avro_field_lack() says; the caller's. */
struct avro_fields *avro_fields_new(const struct schema *schema, const char *const *fields,
				    size_t n, char **lack);
void avro_fields_free(struct avro_fields *f);
AUTO_DESTRUCTOR(struct avro_fields, avro_fields_free)
/* Reads one value off `in`: values[i] is set where it has field i. Returns NULL,
 * or a static text that says why the bytes are no such value. */
const char *avro_fields_read(const struct avro_fields *f, struct bytes *in, struct value *values);
/* The same, but reads no further than to the last of the fields: what lies behind is
 * not looked at, and `in` is left somewhere. At least one field; the values are
 * VALUE_ABSENT before. */
const char *avro_fields_peek(const struct avro_fields *f, struct bytes *in, struct value *values);

/* NULL where values of the schema can have the field; else why not, the
 * caller's to free: "it has no field x; it has a, b". */
char *avro_field_lack(const struct schema *schema, const char *field);

#endif
