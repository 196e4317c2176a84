/* Reads fields out of the rows of files of records, whatever their form: the
 * one place that knows forms (rows.c). Private to connector/gates.
 *
 * A file is read once, from its beginning to its end, with the memory of a
 * block or a line. A pass and its rows belong to one thread. */
#ifndef TIDEMARK_GATES_ROWS_H
#define TIDEMARK_GATES_ROWS_H

#include <stdatomic.h>

#include "connector/schema/value.h"
#include "core/base/clock.h"
#include "core/lake.h"

/* What files are read for. All is borrowed for the pass's life. */
struct rows_settings {
	struct lake *lake;
	const struct lake_id *commit;
	const char *const *fields; /* paths of names with dots: "customer.address.zip" */
	size_t n_fields;
	struct clock *clock;
	int64_t end_us; /* of its monotonic clock: the time limit of what runs elsewhere */
	const atomic_bool *stop; /* ends that early; may be NULL */
};

/* Any number of files, one after the other. */
struct rows_pass;

struct rows_pass *rows_pass_new(const struct rows_settings *settings);
void rows_pass_free(struct rows_pass *pass);
AUTO_DESTRUCTOR(struct rows_pass, rows_pass_free)
/* Files that will be opened, in this order: Parquet files are then read many at a time
 * (ROWS_FILES_AHEAD), else one by one. forget: none any more. No rows are open. */
#define ROWS_FILES_AHEAD ((size_t)256)
void rows_pass_expect(struct rows_pass *pass, const struct lake_entry *entry);
void rows_pass_forget(struct rows_pass *pass);

struct rows;

struct row {
	bool tombstone; /* its values are absent */
	const struct value *values; /* of the fields, in their order; until the next row */
};

/* One at a time.
 * ST_POISON: the file cannot be read as what its name says, or has no fields;
 * err has its path and why. */
MUST_CHECK enum status rows_open(struct rows_pass *pass, const char *path, struct rows **out,
				 struct err *err);
/* NULL, or why the rows of this file cannot have the field: "it has no field x;
 * it has a, b". Until close. */
const char *rows_lack(const struct rows *rows, size_t field);
/* Appends the schema's text: nothing where the form, or the file, has none.
 * ST_POISON, or ST_BUSY at the time limit. */
MUST_CHECK enum status rows_schema(const struct rows *rows, struct buf *out, struct err *err);
/* ST_END after the last row; ST_POISON; ST_BUSY at the time limit. */
MUST_CHECK enum status rows_next(struct rows *rows, struct row *out, struct err *err);
void rows_close(struct rows *rows);
AUTO_DESTRUCTOR(struct rows, rows_close)

#endif
