/* Avro containers as a table function: tidemark_avro(files, schema, rows). Private to
 * connector/columnar.
 *
 * All files have that schema, to the letter. Files are read by several threads, one
 * file by one thread, a block at a time; only the columns that are asked for are
 * decoded. */
#ifndef TIDEMARK_COLUMNAR_SQL_AVRO_H
#define TIDEMARK_COLUMNAR_SQL_AVRO_H

#include "connector/columnar/duckdb_api.h"

#define SQL_AVRO_FUNCTION "tidemark_avro"

MUST_CHECK enum status sql_avro_register(duckdb_connection con, struct err *err);

#endif
