/* What a query may do, judged by its syntax tree: DuckDB's json_serialize_sql().
 * Private to connector/columnar.
 *
 * Everything that is not known is refused: kinds of nodes, tables that are
 * functions (but for a few that read nothing), parameters, functions that look
 * at or change the process. What is left can name tables, and compute. */
#ifndef TIDEMARK_COLUMNAR_SQL_TREE_H
#define TIDEMARK_COLUMNAR_SQL_TREE_H

#include <jansson.h>

#include "core/base/err.h"

/* A table as the query has it, but for the names of its own WITH. */
struct sql_name {
	char *schema; /* "" where it has none */
	char *table;
};

struct sql_names {
	struct sql_name *items; /* each once, whatever its case */
	size_t n, cap;
	char **columns; /* each name that a column may be meant by */
	size_t n_columns, cap_columns;
};

/* Does the query name a column so (in any case)? */
bool sql_names_column(const struct sql_names *names, const char *name);
void sql_names_release(struct sql_names *names);
/* "schema.table" or "table"; the caller's. */
char *sql_name_whole(const struct sql_name *name);

/* text: what json_serialize_sql() gave. ST_USAGE: it is no one SELECT, or refused.
 * describes_out: the statement itself is DESCRIBE or SUMMARIZE. */
MUST_CHECK enum status sql_tree_judge(const char *text, size_t len, struct sql_names *out,
				      bool *describes_out, struct err *err);

#endif
