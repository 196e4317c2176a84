/* Asks DuckDB itself, for tests. One thread a process. */
#ifndef TIDEMARK_TESTS_DUCK_H
#define TIDEMARK_TESTS_DUCK_H

#include "core/base/buf.h"

/* The one cell of the answer, which must be text. Asserts. */
void duck_ask(struct buf *out, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* A Parquet file's rows in their order, a line each: the text of its one column
 * `value`, also with `_kafka` behind it (row_lines.c); or all columns as JSON. columns_out: their
 * names, with commas. Asserts. */
void duck_lines(const struct buf *parquet, struct buf *lines_out, struct buf *columns_out);
/* Statements for what they do: COPY. Asserts. */
void duck_run(const char *fmt, ...) PRINTF_LIKE(1, 2);

#endif
