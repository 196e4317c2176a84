/* What the forms of files have in common. Private to rows.c and the forms. */
#ifndef TIDEMARK_GATES_ROWS_IMPL_H
#define TIDEMARK_GATES_ROWS_IMPL_H

#include "connector/gates/rows.h"
#include "connector/writer/partition_writer.h"

/* What is read at a time at least, and the most that one block or line may take. */
#define ROWS_READ_BYTES ((size_t)256 << 10)
#define ROWS_MAX_BYTES ((size_t)1 << 30)

/* An object from its beginning on. */
struct source {
	struct lake_object *object;
	uint64_t offset; /* what comes after the bytes in data */
	unsigned char *data;
	size_t pos, len, cap;
};

/* Makes n bytes readable at data + pos, or all up to the end of the object:
 * *left_out says how many there are. */
MUST_CHECK enum status source_need(struct source *s, size_t n, size_t *left_out, struct err *err);

struct rows {
	const struct rows_form *form;
	struct source source;
	enum file_codec codec; /* of lines */
	const char *path;
	const char *const *fields;
	size_t n_fields;
	struct value *values;
	char **lack; /* one a field; NULL: it has it */
	void *form_data;
};

struct rows_form {
	enum status (*open)(struct rows *rows, struct err *err);
	enum status (*next)(struct rows *rows, bool *tombstone, struct err *err);
	const char *(*schema)(const struct rows *rows);
	void (*close)(struct rows *rows);
};

extern const struct rows_form rows_container;
extern const struct rows_form rows_lines;

/* ST_POISON: "<path>: " and why. */
enum status rows_bad(const struct rows *rows, struct err *err, const char *fmt, ...)
	PRINTF_LIKE(3, 4);

#endif
