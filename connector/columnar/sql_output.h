/* The result of a query, written to a descriptor in one of the forms. Private to
 * connector/columnar. */
#ifndef TIDEMARK_COLUMNAR_SQL_OUTPUT_H
#define TIDEMARK_COLUMNAR_SQL_OUTPUT_H

#include "connector/columnar/sql.h"
#include "connector/columnar/sql_session.h"

/* The path by which DuckDB opens SQL_DATA_FD, for Parquet. */
#define SQL_DATA_PATH "/proc/self/fd/4"

/* Runs the query, which has been prepared. ST_END: nobody reads any more. */
MUST_CHECK enum status sql_output_write(struct sql_session *s, enum sql_format format, int fd,
					uint64_t *rows_out, struct err *err);

#endif
