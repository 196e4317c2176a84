/* The tables that a query names, as views. Private to connector/columnar. */
#ifndef TIDEMARK_COLUMNAR_SQL_VIEWS_H
#define TIDEMARK_COLUMNAR_SQL_VIEWS_H

#include "connector/columnar/sql_session.h"

/* tables: an array as long as s->names (sql_table.h); its groups get "parts". Where the
 * query names keys of folders the views have them as columns, and only the folders that
 * it can need (sql_folders.h); the query runs in a transaction then, so that a now() is
 * the same in both plans. */
MUST_CHECK enum status sql_views_make(struct sql_session *s, const json_t *tables, struct err *err);

#endif
