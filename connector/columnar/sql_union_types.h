/* Columns that the groups of a table have in types that DuckDB cannot widen to one: a
 * number and a record, a list and text, text and JSON. Private to sql_union.c. */
#ifndef TIDEMARK_COLUMNAR_SQL_UNION_TYPES_H
#define TIDEMARK_COLUMNAR_SQL_UNION_TYPES_H

#include "connector/schema/schema.h"

/* What is known of the columns of several schemas. Borrows them. */
struct union_columns {
	const struct schema *const *schemas;
	size_t n_schemas;
	const char **names; /* that have no type in common */
	size_t n, cap;
};

/* Compares every two of the schemas; NULL among them: not known. */
void union_columns_find(struct union_columns *u, const struct schema *const *schemas, size_t n);
void union_columns_release(struct union_columns *u);

enum union_column {
	UNION_AS_IT_IS,
	UNION_NULL, /* null in every row, and another schema knows better */
	UNION_JSON, /* to be JSON, in every schema that has it */
};

enum union_column union_columns_look(const struct union_columns *u, const struct schema *s,
				     size_t i);

/* The schema's columns: a root that is no record is the one column `value`. */
size_t union_schema_columns(const struct schema *s);
const char *union_schema_column(const struct schema *s, size_t i);

#endif
