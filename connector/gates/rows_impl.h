/* What the forms of files have in common. Private to rows.c and the forms. */
#ifndef TIDEMARK_GATES_ROWS_IMPL_H
#define TIDEMARK_GATES_ROWS_IMPL_H

#include "connector/gates/rows.h"
#include "connector/writer/byte_source.h"
#include "connector/writer/partition_writer.h"

/* The most that one line may take. */
#define ROWS_MAX_BYTES ((size_t)1 << 30)
#define ROWS_READ_BYTES BYTE_SOURCE_READ_BYTES

struct rows {
	const struct rows_form *form;
	struct lake *lake;
	struct lake_id commit;
	struct lake_object *object;
	struct byte_source source; /* of the object */
	enum file_codec codec; /* of lines */
	const char *path;
	const char *const *fields;
	size_t n_fields;
	struct value *values;
	char **lack; /* one a field; NULL: it has it */
	void *form_data;
	void *asking; /* Parquet: who reads it */
};

struct rows_form {
	enum status (*open)(struct rows *rows, struct err *err);
	enum status (*next)(struct rows *rows, bool *tombstone, struct err *err);
	const char *(*schema)(const struct rows *rows);
	void (*close)(struct rows *rows);
};

extern const struct rows_form rows_container;
extern const struct rows_form rows_lines;
extern const struct rows_form rows_parquet;

/* ST_POISON: "<path>: " and why. */
enum status rows_bad(const struct rows *rows, struct err *err, const char *fmt, ...)
	PRINTF_LIKE(3, 4);

#endif
