/* Keys that order rows by some of their columns: bytes that compare (memcmp) as the rows
 * do, ascending, nulls last. docs/parquet.md has the order of each type. */
#ifndef TIDEMARK_COLUMNAR_COLUMN_KEYS_H
#define TIDEMARK_COLUMNAR_COLUMN_KEYS_H

#include "connector/columnar/columns.h"

/* Does not change; borrows columns. */
struct column_keys;

/* paths: columns, and with dots fields of records in them ("a", "b.c"). Those that
 * there are not, and those that have no order (lists, maps, records, durations), are
 * null in every row. */
struct column_keys *column_keys_new(const struct columns *c, const char *const *paths, size_t n);
void column_keys_free(struct column_keys *k);
AUTO_DESTRUCTOR(struct column_keys, column_keys_free)
/* Is every key the same? */
bool column_keys_are_equal(const struct column_keys *k);
/* ST_FAILED: a path is no column, or one without an order; err has it, and what there
 * is. */
MUST_CHECK enum status column_keys_check(const struct columns *c, const char *const *paths,
					 size_t n, struct err *err);
/* Appends the key of a row of the open chunk, all of whose columns rows has. No key begins
 * with another. */
void column_keys_add(const struct column_keys *k, const struct column_rows *rows, size_t row,
		     struct buf *out);

#endif
