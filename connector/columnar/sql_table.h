/* What a table is made of, as the child is told:
 *
 *   {"groups":[{"format":"parquet","key":"id:17","files":[PATH]},
 *              {"format":"avro","schema":TEXT,"key":"id:17","rows":N,"files":[PATH]},
 *              {"format":"json","compression":"gzip","files":[PATH]},
 *              {"format":"rows","columns":[["name","TYPE"]],"files":[PATH]}]}
 *
 * with local paths; "folders" of a group, where a file has some: "country=DE/day=05" for
 * each of its files, below the table's own; "claims", where a file has some: what its
 * folders say of its columns, {"country":"DE"}, or null, for each (sql_claims.h). A group is read
 * by one call of a table function; the table is all groups together, columns found by their names.
 * A group of Avro without files has columns and no rows.
 * `votes` of a group: in how many of the topic's partitions the newest file is one of its own. */
#ifndef TIDEMARK_COLUMNAR_SQL_TABLE_H
#define TIDEMARK_COLUMNAR_SQL_TABLE_H

#include "connector/columnar/sql_workspace.h"
#include "connector/schema/compiled.h"

struct sql_table;

/* name: what messages call it. Both are borrowed. */
struct sql_table *sql_table_new(struct sql_workspace *workspace, const char *name);
void sql_table_free(struct sql_table *t);
AUTO_DESTRUCTOR(struct sql_table, sql_table_free)
/* A file of the commit, which is held. Files that are no data (tombstones; names
 * that begin with `_` or `.`) are passed over. ST_FAILED: no table can be made of
 * it. */
MUST_CHECK enum status sql_table_add(struct sql_table *t, struct lake *lake,
				     const struct lake_id *commit, const struct lake_entry *entry,
				     struct err *err);
/* All files whose path begins with prefix; holds the commit. ST_NOT_FOUND: there are
 * none. */
MUST_CHECK enum status sql_table_add_folder(struct sql_table *t, struct lake *lake,
					    const struct lake_id *commit, const char *prefix,
					    struct err *err);
/* The columns of an Avro schema, ahead of those that files which are added later have
 * besides. The table has them, and no rows, where no file is added. */
void sql_table_add_columns(struct sql_table *t, const struct compiled_schema *schema);
/* A table whose rows are made here: JSON lines with these columns. types: DuckDB's,
 * of n columns. */
MUST_CHECK enum status sql_table_add_rows(struct sql_table *t, const char *const *columns,
					  const char *const *types, size_t n,
					  const struct buf *lines, struct err *err);
/* Has it no file of data? */
bool sql_table_is_empty(const struct sql_table *t);
/* The caller's. `"empty":true` added to it makes a table of those columns without
 * rows. */
json_t *sql_table_describe(const struct sql_table *t);

#endif
