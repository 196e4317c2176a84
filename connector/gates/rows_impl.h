/* What the forms of files have in common. Private to rows.c and the forms. */
#ifndef TIDEMARK_GATES_ROWS_IMPL_H
#define TIDEMARK_GATES_ROWS_IMPL_H

#include "connector/gates/parquet_lines.h"
#include "connector/writer/byte_source.h"
#include "connector/writer/partition_writer.h"

/* The most that one line may take. */
#define ROWS_MAX_BYTES ((size_t)1 << 30)
#define ROWS_READ_BYTES BYTE_SOURCE_READ_BYTES

struct rows_pass {
	struct rows_settings settings;
	struct parquet_lines *parquet;
};

struct rows {
	const struct rows_form *form;
	struct rows_pass *pass;
	struct lake_object *object;
	struct byte_source source; /* of the object */
	enum file_codec codec; /* of lines */
	const char *path;
	const char *const *fields; /* the pass's */
	size_t n_fields;
	struct value *values;
	char **lack; /* one a field; NULL: it has it */
	void *form_data;
};

struct rows_form {
	enum status (*open)(struct rows *rows, struct err *err);
	enum status (*next)(struct rows *rows, bool *tombstone, struct err *err);
	enum status (*schema)(const struct rows *rows, struct buf *out, struct err *err);
	void (*close)(struct rows *rows);
};

extern const struct rows_form rows_container;
extern const struct rows_form rows_lines;
extern const struct rows_form rows_parquet;

/* Has a file rows that rows_parquet reads? */
bool rows_parquet_wants(const struct lake_entry *entry);

/* Sets the values to the fields of a line, of which err says the number. scratch: one a
 * field. */
enum status rows_take_line(struct rows *rows, const char *line, size_t len, uint64_t number,
			   struct buf *scratch, bool *tombstone, struct err *err);

/* ST_POISON: "<path>: " and why. */
enum status rows_bad(const struct rows *rows, struct err *err, const char *fmt, ...)
	PRINTF_LIKE(3, 4);

#endif
