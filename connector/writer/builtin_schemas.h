/* The schemas that the program writes with on its own account. The texts of
 * the first three are schemas/tombstone.avsc, schemas/deadletter.avsc and
 * schemas/kafka.avsc. */
#ifndef TIDEMARK_WRITER_BUILTIN_SCHEMAS_H
#define TIDEMARK_WRITER_BUILTIN_SCHEMAS_H

#include "connector/schema/compiled.h"

enum builtin_schema {
	BUILTIN_TOMBSTONE,
	BUILTIN_DEADLETTER,
	BUILTIN_KAFKA, /* record.metadata */
	BUILTIN_STRING, /* ["null", "string"] */
	BUILTIN_BYTES, /* ["null", "bytes"] */
	BUILTIN_SCHEMAS,
};

/* Made once, for the life of the process; from any thread. */
const struct compiled_schema *builtin_schema(enum builtin_schema which);

/* Is it this schema's, by the name of its record? */
bool builtin_schema_is(enum builtin_schema which, const struct schema *schema);

#endif
