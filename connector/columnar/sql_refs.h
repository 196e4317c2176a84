/* The tables of a lake at a ref: what `tidemark sql` finds them by.
 *
 *   orders            the topic at the query's own ref
 *   main:orders       at another; a ref is what lake_resolve() takes
 *   reference/cities  any folder, or one file, by its path
 *   lake$commits      history (sql_history.h)
 *
 * Names are matched exactly, else without case where one topic alone is meant. */
#ifndef TIDEMARK_COLUMNAR_SQL_REFS_H
#define TIDEMARK_COLUMNAR_SQL_REFS_H

#include "connector/columnar/sql.h"

struct sql_refs;

/* at: the ref of names that have none; borrowed, as the lake is. ST_NOT_FOUND. */
MUST_CHECK enum status sql_refs_open(struct lake *lake, const char *at, struct sql_refs **out,
				     struct err *err);
void sql_refs_close(struct sql_refs *r);
AUTO_DESTRUCTOR(struct sql_refs, sql_refs_close)
struct sql_catalog sql_refs_catalog(struct sql_refs *r);

#endif
