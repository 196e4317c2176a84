/* JSON scalars to Avro: the part of json_encode.c that does not recurse. For
 * it alone. */
#ifndef TIDEMARK_SCHEMA_JSON_SCALAR_H
#define TIDEMARK_SCHEMA_JSON_SCALAR_H

#include "connector/schema/schema.h"

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

void encoder_add_long(struct encoder *e, int64_t v);
/* ST_POISON: "<path>: <what>". */
enum status encoder_bad(struct encoder *e, const char *what);
/* ST_POISON: such a JSON value is not for such a type. */
enum status encoder_unfit(struct encoder *e, const struct schema_node *n, const json_t *j);
/* n is no array, map, record or union. */
MUST_CHECK enum status encode_scalar(struct encoder *e, const struct schema_node *n,
				     const json_t *j);

#endif
