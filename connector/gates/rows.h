/* Reads fields out of the rows of a file of records, whatever its form: the
 * one place that knows forms (rows.c). Private to connector/gates.
 *
 * A file is read once, from its beginning to its end, with the memory of a
 * block or a line. Belongs to one thread. */
#ifndef TIDEMARK_GATES_ROWS_H
#define TIDEMARK_GATES_ROWS_H

#include "connector/schema/value.h"
#include "core/lake.h"

struct rows;

struct row {
	bool tombstone; /* its values are absent */
	const struct value *values; /* of the fields, in their order; until the next row */
};

/* fields: paths of names with dots between them ("customer.address.zip"); kept
 * until close.
 * ST_POISON: the file cannot be read as what its name says, or has no fields;
 * err has its path and why. */
MUST_CHECK enum status rows_open(struct lake *lake, const struct lake_id *commit, const char *path,
				 const char *const *fields, size_t n_fields, struct rows **out,
				 struct err *err);
/* NULL, or why the rows of this file cannot have the field: "it has no field x;
 * it has a, b". Until close. */
const char *rows_lack(const struct rows *rows, size_t field);
/* The schema's text; NULL where the form has none. Until close. */
const char *rows_schema(const struct rows *rows);
/* ST_END after the last row; ST_POISON. */
MUST_CHECK enum status rows_next(struct rows *rows, struct row *out, struct err *err);
void rows_close(struct rows *rows);
AUTO_DESTRUCTOR(struct rows, rows_close)

#endif
