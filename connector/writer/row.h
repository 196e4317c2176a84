/* From a record's value to what a row is made of: by its converter, with the schema
 * that it has. Private to the partition writer. Belongs to one thread. */
#ifndef TIDEMARK_WRITER_ROW_H
#define TIDEMARK_WRITER_ROW_H

#include "connector/schema/compiled.h"
#include "connector/writer/json_line.h"
#include "connector/writer/partition_writer.h"
#include "connector/writer/partitioner.h"

/* Keys of schemas beside the registry's ids, which are not negative. */
#define KEY_OWN (-1) /* the only schema, or lines */
#define KEY_TOMBSTONES (-2)
#define KEY_INFERRED (-3) /* each file has its own */

/* One schema of a writer's records, and what is derived from it. */
struct row_schema {
	int64_t key;
	const struct compiled_schema *value; /* NULL: lines */
	const struct compiled_schema *row; /* of the file; not value's where rows have _kafka */
	struct compiled_schema *own_value, *own_row; /* NULL where they are another's */
	struct partition_plan *plan; /* NULL: nothing is looked up in values */
};

struct row {
	const struct row_schema *schema;
	/* A null row of one column: a branch. Else its branch and length, which the
	 * value follows. */
	unsigned char head[12];
	size_t head_len;
	const void *value; /* Avro bytes, or a line; the record's, or as long as the source */
	size_t len;
	bool checked; /* the value is known to be one of the schema */
	bool json; /* the value is JSON text, and fields may be looked up in it */
};

struct row_source {
	const struct writer_settings *settings;
	struct row_schema **schemas;
	size_t n, cap;
	struct row_schema *last; /* of the registry's */
	struct buf scratch;
};

void row_source_release(struct row_source *s);

/* Are rows of this format made of Avro's values? */
bool rows_of_values(enum file_format format);
/* Are rows of the one column `value`, of text or bytes? */
bool rows_of_one_column(const struct writer_settings *settings);

/* Each returns what partition_writer_append() does, and fills row on success.
 * Of Avro in the registry's framing the id is the caller's to find. */
MUST_CHECK enum status row_of_id(struct row_source *s, int32_t id, struct row *row,
				 struct err *err);
MUST_CHECK enum status row_of_record(struct row_source *s, const struct record *r, struct row *row,
				     struct err *err);
/* The record's value as JSON, without the blanks around it; it lies in the value.
 * ST_POISON: it is none. */
MUST_CHECK enum status row_json(const struct record *r, struct json_line *out, struct err *err);
/* A row of a tombstone's own schema. */
MUST_CHECK enum status row_of_tombstone(struct row_source *s, const struct record *r,
					struct row *row, struct err *err);

#endif
