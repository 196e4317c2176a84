/* Rows of Parquet files as JSON lines: read by DuckDB in a process of its own
 * (connector/columnar/sql.h), which reads as many of the files as it can.
 * Private to connector/gates.
 *
 * One query asks for up to ROWS_FILES_AHEAD files, one after the other. A
 * query that fails is asked again, from the row where it was, for half of the
 * files that are left, so that an error is in the end that of one file; so is
 * one whose files have columns of other types, which a query would give as the
 * types that hold all of them.
 *
 * Belongs to one thread. It uses another, which ends with the query. */
#ifndef TIDEMARK_GATES_PARQUET_LINES_H
#define TIDEMARK_GATES_PARQUET_LINES_H

#include "connector/gates/rows.h"

struct parquet_lines;

/* settings: kept until the free. */
struct parquet_lines *parquet_lines_new(const struct rows_settings *settings);
void parquet_lines_free(struct parquet_lines *l);
AUTO_DESTRUCTOR(struct parquet_lines, parquet_lines_free)

/* Files that will be read, in this order; forget: none any more. */
void parquet_lines_expect(struct parquet_lines *l, const char *path);
void parquet_lines_forget(struct parquet_lines *l);

/* The rows of this file come next: one of those that are expected, behind the last
 * that was begun; any other is read alone. */
void parquet_lines_begin(struct parquet_lines *l, const char *path);
/* A row of the file that was begun: an object with those columns of the settings'
 * fields that the file has, without its newline; until the next call.
 * ST_END       after the last
 * ST_FAILED    the file cannot be read, or the process was ended; err says why
 * ST_BUSY      the time limit
 * else what the lake said of the file. */
MUST_CHECK enum status parquet_lines_next(struct parquet_lines *l, const char **line, size_t *len,
					  struct err *err);

/* Appends the Avro schema that a file was written with; nothing where it has none. Errors as
 * above. */
MUST_CHECK enum status parquet_lines_schema(const struct rows_settings *settings, const char *path,
					    struct buf *out, struct err *err);

#endif
