/* One question in SQL to files of a lake, answered by DuckDB in a process of its
 * own. docs/sql.md has what people may rely on.
 *
 * Two processes. The parent (a command, a worker's gate) has the lake open; the
 * child is a program of its own (`tidemark-sql`, sql_child.h), which never opens it:
 *
 *   parent -> child   the query, limits, the form of the answer
 *   child -> parent   the tables that the query names (or why it is refused)
 *   parent -> child   the files that each of them is made of
 *   child -> parent   the answer's bytes, through a pipe; then how it ended
 *
 * A child that crashes, is killed or runs too long is an error of the call and
 * nothing else. Nothing stays behind: what is written to disk for a query lies in
 * a folder of its own (sql_workspace.h), which the child removes where the parent
 * has died.
 *
 * Threads: from any; a call uses no other. */
#ifndef TIDEMARK_COLUMNAR_SQL_H
#define TIDEMARK_COLUMNAR_SQL_H

#include <stdatomic.h>

#include "connector/columnar/sql_workspace.h"

enum sql_format {
	SQL_TABLE, /* aligned columns, for people */
	SQL_CSV, /* RFC 4180, with a line of names */
	SQL_JSON, /* one object a line */
	SQL_PARQUET,
	/* No rows, but the text of the Avro schema that the first Parquet file of the
	 * query's one table was written with; nothing where there is none. */
	SQL_AVRO_SCHEMA,
};

/* false: no such format. */
MUST_CHECK bool sql_format_by_name(const char *name, enum sql_format *out);

#define SQL_MEMORY_BYTES ((uint64_t)1 << 30)

struct sql_query {
	const char *text;
	enum sql_format format;
	uint64_t memory_bytes; /* DuckDB's; 0: SQL_MEMORY_BYTES */
	unsigned threads; /* 0: one for each processor */
	int64_t timeout_ms; /* 0: none */
	const atomic_bool *stop; /* ends it early; may be NULL */
};

/* Finds the tables that a query names. */
struct sql_catalog {
	/* Before the first find(), while the child starts: what takes time. May be NULL. */
	enum status (*open)(void *ctx, struct err *err);
	/* *out: what sql_table.h makes of the files, the caller's. ST_NOT_FOUND says
	 * which tables there are. Called on the thread of sql_ask(). */
	enum status (*find)(void *ctx, const char *name, struct sql_workspace *workspace,
			    json_t **out, struct err *err);
	void *ctx;
};

/* Takes the answer's bytes as they come. */
struct sql_sink {
	enum status (*take)(void *ctx, const void *data, size_t len, struct err *err);
	void *ctx;
};

struct sql_answer {
	uint64_t rows;
	json_t *columns; /* [{"name","type"}]; the caller's to release */
};

void sql_answer_release(struct sql_answer *a);

/* out may be NULL.
 * ST_USAGE        the query is refused or wrong; err says why
 * ST_NOT_FOUND    it names a table that is not there
 * ST_BUSY         it was still running at its time limit
 * ST_INTERRUPTED  stop
 * ST_FAILED       it failed while it ran, or its process was ended */
MUST_CHECK enum status sql_ask(const struct sql_query *query, const struct sql_catalog *catalog,
			       const struct sql_sink *sink, struct sql_answer *out,
			       struct err *err);

/* Is the query one that may be asked, as far as its text says? ST_USAGE: no. Whatever
 * else is returned says nothing of it (DuckDB is not there). */
MUST_CHECK enum status sql_check(const char *text, struct err *err);

/* Which program is run as the child: where nothing was said tidemark-sql beside this program,
 * or in ../lib/tidemark. For tests, which lie elsewhere. The text is borrowed. */
void sql_use_program(const char *path);

#endif
