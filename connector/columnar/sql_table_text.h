/* Rows as a table for people: columns aligned, numbers to the right. Private to
 * connector/columnar.
 *
 * The first rows decide how wide the columns are; they are kept until there are so
 * many. A long cell is cut, and ends with `…`. */
#ifndef TIDEMARK_COLUMNAR_SQL_TABLE_TEXT_H
#define TIDEMARK_COLUMNAR_SQL_TABLE_TEXT_H

#include "core/base/buf.h"

struct sql_table_text;

struct sql_table_text *sql_table_text_new(size_t n_columns);
void sql_table_text_free(struct sql_table_text *t);
/* Before the first cell, once for each column. */
void sql_table_text_column(struct sql_table_text *t, const char *name, bool number);
/* text NULL: NULL. */
void sql_table_text_cell(struct sql_table_text *t, const char *text, size_t len);
void sql_table_text_end_row(struct sql_table_text *t, struct buf *out);
/* With the number of rows. */
void sql_table_text_end(struct sql_table_text *t, struct buf *out);

#endif
