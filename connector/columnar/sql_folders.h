/* Folders that a partitioner made (`country=DE/day=05`), as columns of a table, and
 * which of them a query can need. Private to connector/columnar.
 *
 * A folder is what files have in common: values of keys, and claims on columns
 * (sql_claims.h), which may differ where paths do not. A key is a column of a query that names it,
 * unless the files have a column of that name: BIGINT where all its values are whole numbers of at
 * most 18 digits, else VARCHAR; NULL where a path lacks it or says __HIVE_DEFAULT_PARTITION__.
 *
 * Which folders are needed DuckDB's optimizer says: the query is first bound to a table
 * in which each folder is a table function of its own (SQL_FOLDER_FUNCTION), whose rows
 * nothing is known of, beside the folder's values as constants, and claims in the place of columns.
 * A folder that its plan has no more holds no row of the answer, whatever is in its files. */
#ifndef TIDEMARK_COLUMNAR_SQL_FOLDERS_H
#define TIDEMARK_COLUMNAR_SQL_FOLDERS_H

#include <jansson.h>
#include <stdatomic.h>

#include "connector/columnar/duckdb_api.h"
#include "connector/columnar/sql_tree.h"

#define SQL_FOLDER_FUNCTION "tidemark_folder"

struct sql_folder {
	/* one for each key; NULL where it has none, or of a column claims nothing */
	char **values; /* of a column: a constant in SQL */
	atomic_size_t plans; /* that hold it */
};

struct sql_folder_key {
	char *name;
	bool is_number;
	bool is_column; /* of the files */
	size_t column;
};

struct sql_folders {
	struct sql_folder_key *keys;
	size_t n_keys, cap_keys;
	struct sql_folder *items; /* different values, each once */
	size_t n, cap;
	size_t **of; /* [group][file]: its folder */
	size_t n_groups;
	/* of the table, for the function's */
	char **columns;
	duckdb_logical_type *types;
	size_t n_columns;
};

/* NULL: the query names none. groups: the table's (sql_table.h). */
struct sql_folders *sql_folders_find(const json_t *groups, const struct sql_names *names);
void sql_folders_free(struct sql_folders *f);
/* The table's own columns, of SELECT * FROM it, prepared; groups with "kinds" (sql_union.h).
 * Finds the folders. false: they are no use, as the files have all columns and nothing is
 * claimed of them. */
bool sql_folders_columns(struct sql_folders *f, const struct duckdb_api *duck,
			 duckdb_prepared_statement all, const json_t *groups);
/* ",2024::BIGINT AS year,.."; folder NULL: NULL of the keys' types. */
void sql_folders_add_values(const struct sql_folders *f, const struct sql_folder *folder,
			    struct buf *out);
/* A SELECT of all folders as table functions. table: its index in *sets (below). */
void sql_folders_add_functions(const struct sql_folders *f, size_t table, struct buf *out);
/* Sets each group's "parts", [{"files":[PATH],"values":TEXT}]: of the folders that a plan
 * holds. Of JSON without the text of a "type" (sql_union.h) they are of all folders; JSON that gets
 * no column of folders has none, and else "files" becomes what is in the parts, each path once. */
void sql_folders_split(const struct sql_folders *f, json_t *groups);

/* sets: where the function finds the table's folders; borrowed for con's life. */
MUST_CHECK enum status sql_folders_register(duckdb_connection con, struct sql_folders ***sets,
					    struct err *err);

#endif
