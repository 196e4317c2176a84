/* Can data of one schema be read with another: schema resolution of the Avro
 * specification 1.11. Names of records, enums and fixed are compared without
 * their namespace, and the reader's aliases count. */
#ifndef TIDEMARK_SCHEMA_COMPATIBLE_H
#define TIDEMARK_SCHEMA_COMPATIBLE_H

#include "connector/schema/schema.h"

/* false: err (ST_FAILED) has the field's path and why not. */
MUST_CHECK bool schema_can_read(const struct schema *reader, const struct schema *writer,
				struct err *err);

#endif
