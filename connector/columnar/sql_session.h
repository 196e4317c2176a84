/* A database of DuckDB's for one query. Private to connector/columnar. */
#ifndef TIDEMARK_COLUMNAR_SQL_SESSION_H
#define TIDEMARK_COLUMNAR_SQL_SESSION_H

#include <jansson.h>

#include "connector/columnar/duckdb_api.h"
#include "connector/columnar/sql_tree.h"

/* The schema of what is not the query's own. */
#define SQL_SCHEMA "\"tidemark$query\""

struct sql_session {
	const struct duckdb_api *duck;
	duckdb_database db;
	duckdb_connection con;
	const char *query; /* borrowed */
	duckdb_extracted_statements statements;
	duckdb_prepared_statement prepared;
	struct sql_names names; /* of the tables that it mentions */
	bool describes;
	struct buf result; /* what stands behind FROM for the query's own rows */
	struct sql_folders **folders; /* of each table; NULL: none is named (sql_views.c) */
	size_t n_columns; /* of the result: c0, c1, .. */
};

/* With this thread alone. */
MUST_CHECK enum status sql_session_open(struct sql_session *s, uint64_t memory_bytes,
					struct err *err);
void sql_session_close(struct sql_session *s);
/* What reading tables needs, before the first of them. */
MUST_CHECK enum status sql_session_prepare_tables(struct sql_session *s, struct err *err);
/* Parses the query and judges it: fills names. Borrows it. */
MUST_CHECK enum status sql_session_parse(struct sql_session *s, const char *query, struct err *err);
/* From here on it has so many threads (0: one for each processor); nothing but the tables'
 * files can be opened, and `also` (NULL: nothing else); no setting can be changed. */
MUST_CHECK enum status sql_session_lock(struct sql_session *s, unsigned threads,
					const json_t *tables, const char *also, struct err *err);
/* Binds the query to what its tables are now. */
MUST_CHECK enum status sql_session_bind(struct sql_session *s, struct err *err);
/* And for good. */
MUST_CHECK enum status sql_session_prepare(struct sql_session *s, struct err *err);
/* Fills result, for a statement around the query. */
MUST_CHECK enum status sql_session_result(struct sql_session *s, struct err *err);

/* One statement of our own. */
MUST_CHECK enum status sql_session_run(struct sql_session *s, const char *sql, struct err *err);
/* And the one text that it gives. */
MUST_CHECK enum status sql_session_text(struct sql_session *s, const char *sql, struct buf *out,
					struct err *err);
/* DuckDB's message as one of ours: its first paragraph. */
enum status sql_session_error(enum status st, const char *message, struct err *err);

#endif
