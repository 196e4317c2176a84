/* The groups of a table (sql_table.h) as one SELECT: UNION ALL BY NAME. Private to
 * connector/columnar.
 *
 * The newest schema is the one that can read the most of the others; of those the one
 * with the greatest id in the registry, then the one that most partitions ended with.
 * Its columns come first, and a column that another schema has under one of its aliases
 * bears its name. */
#ifndef TIDEMARK_COLUMNAR_SQL_UNION_H
#define TIDEMARK_COLUMNAR_SQL_UNION_H

#include "connector/columnar/sql_session.h"

/* Sets "kinds" of the groups that have "claims": {"country":"text"}, what the fields' values
 * are (sql_claim_kind()), null where claims of them say nothing of a column. Sets "type" of groups
 * of JSON lines: what all lines are together, as text, with which any of the files are read alike;
 * null where reading takes more than that (times, whose form is in the data).
 * Appends it: nothing where every group has "parts" (sql_folders.h) and none is left. Reads the
 * Avro schemas that Parquet files hold by s. */
MUST_CHECK enum status sql_union_add(struct sql_session *s, const json_t *groups, struct buf *out,
				     struct err *err);

/* The Avro schema that the Parquet files of a group were written with; nothing where
 * they hold none. Appends it. */
MUST_CHECK enum status sql_union_schema(struct sql_session *s, const json_t *group, struct buf *out,
					struct err *err);

#endif
