/* A schema with all that is needed to write with it, made once and shared. It
 * does not change. */
#ifndef TIDEMARK_SCHEMA_COMPILED_H
#define TIDEMARK_SCHEMA_COMPILED_H

#include "connector/schema/schema.h"
#include "connector/schema/walker.h"

struct compiled_schema {
	char *name; /* "id:17", or "sha256:<hex>" of the parsing canonical form */
	char *json; /* as it goes into the head of a container */
	struct schema *schema;
	struct walker *walker;
};

/* name NULL: the fingerprint. ST_FAILED: no Avro schema. */
MUST_CHECK enum status compiled_schema_new(const char *name, const char *json,
					   struct compiled_schema **out, struct err *err);
/* Its name is "sha256:<hex>" of the text itself, which tells schemas apart whose canonical
 * form is the same. */
MUST_CHECK enum status compiled_schema_of_text(const char *json, struct compiled_schema **out,
					       struct err *err);
void compiled_schema_free(struct compiled_schema *c);
AUTO_DESTRUCTOR(struct compiled_schema, compiled_schema_free)

#endif
