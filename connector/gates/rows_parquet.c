/* Parquet files: read by DuckDB in a process of its own, which gives the columns that
 * the fields begin with as JSON lines; from there on they are lines. A column that the
 * file lacks is absent from all of them. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "connector/columnar/sql.h"
#include "connector/columnar/sql_table.h"
#include "connector/gates/rows_impl.h"
#include "connector/writer/builtin_schemas.h"

#define TIME_LIMIT_MS (10 * 60 * 1000)

/* The thread of a query, whose answer comes through a socket. */
struct asking {
	struct rows *rows;
	pthread_t thread;
	bool running; /* this thread's: it has not been joined */
	int sockets[2]; /* [0] is read here, [1] written there */
	atomic_bool stop;
	bool tombstones; /* the file holds nothing else */
	bool begun;
	struct buf query;
	struct buf schema; /* that the file holds; asked for when it is wanted */
	bool has_schema; /* it was asked for */
	enum status st; /* its outcome, once it has been joined */
	struct err err;
};

/* Every file is the one table that its query names. */
static enum status find(void *ctx, const char *name, struct sql_workspace *workspace, json_t **out,
			struct err *err)
{
	const struct rows *r = ctx;
	AUTO(sql_table_freep) struct sql_table *t = sql_table_new(workspace, name);
	AUTO(lake_entry_release) struct lake_entry entry = {.path = NULL};
	enum status st = sql_workspace_hold(workspace, r->lake, &r->commit, err);

	if (st == ST_OK)
		st = lake_stat(r->lake, &r->commit, r->path, &entry, err);
	if (st == ST_OK)
		st = sql_table_add(t, r->lake, &r->commit, &entry, err);
	if (st == ST_OK)
		*out = sql_table_describe(t);
	return st;
}

static enum status take(void *ctx, const void *data, size_t len, struct err *err)
{
	const struct asking *a = ctx;
	const char *p = data;

	while (len) {
		ssize_t n = send(a->sockets[1], p, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(err, ST_INTERRUPTED, "nobody reads the rows");
		p += n;
		len -= (size_t)n;
	}
	return ST_OK;
}

static enum status ask_for(struct asking *a, enum sql_format format, const struct sql_sink *sink)
{
	const struct sql_catalog catalog = {.find = find, .ctx = a->rows};
	const struct sql_query query = {
		.text = buf_str(&a->query),
		.format = format,
		.threads = 1, /* several gates and files at a time */
		.timeout_ms = TIME_LIMIT_MS,
		.stop = &a->stop,
	};

	return sql_ask(&query, &catalog, sink, NULL, &a->err);
}

static void *ask(void *ctx)
{
	struct asking *a = ctx;
	const struct sql_sink sink = {take, a};

	a->st = ask_for(a, SQL_JSON, &sink);
	shutdown(a->sockets[1], SHUT_WR);
	return NULL;
}

static void join(struct asking *a)
{
	if (a->running)
		pthread_join(a->thread, NULL);
	a->running = false;
}

/* The end of the lines is the end of the rows where the query ended well. */
static enum status read_lines(void *ctx, uint64_t offset, void *data, size_t len, size_t *n_out,
			      struct err *err)
{
	struct asking *a = ctx;
	ssize_t n;

	(void)offset;
	do
		n = recv(a->sockets[0], data, len, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_errno(err, errno, "no rows of %s", a->rows->path);
	*n_out = (size_t)n;
	if (n > 0)
		return ST_OK;
	join(a);
	if (a->st == ST_FAILED)
		return rows_bad(a->rows, err, "%s", a->err.text);
	return a->st == ST_OK ? ST_OK : err_set(err, a->st, "%s", a->err.text);
}

/* The columns that fields begin with, and one more: a list must not be empty. */
static void add_query(const struct rows *r, struct buf *sql)
{
	buf_adds(sql, "SELECT COLUMNS(c -> c IN ('tidemark$row'");
	for (size_t i = 0; i < r->n_fields; i++) {
		buf_adds(sql, ",'");
		for (const char *p = r->fields[i]; *p && *p != '.'; p++) {
			if (*p == '\'')
				buf_addc(sql, '\'');
			buf_addc(sql, *p);
		}
		buf_addc(sql, '\'');
	}
	buf_adds(sql, ")) FROM (SELECT 1 AS \"tidemark$row\", * FROM rows)");
}

static enum status parquet_open(struct rows *r, struct err *err)
{
	struct asking *a = r->asking = xcalloc(1, sizeof(*a));
	AUTO(lake_entry_release) struct lake_entry entry = {.path = NULL};
	const char *schema;
	enum status st;

	a->rows = r;
	a->sockets[0] = a->sockets[1] = -1;
	add_query(r, &a->query);
	r->source = (struct byte_source){.read = read_lines, .ctx = a};
	st = lake_stat(r->lake, &r->commit, r->path, &entry, err);
	if (st != ST_OK)
		return st;
	schema = lake_meta_get(&entry.meta, "tidemark.schema");
	a->tombstones = schema && strcmp(schema, builtin_schema(BUILTIN_TOMBSTONE)->name) == 0;
	return rows_lines.open(r, err);
}

static enum status begin(struct asking *a, struct err *err)
{
	int rc;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, a->sockets) < 0)
		return err_errno(err, errno, "no socket for rows");
	rc = pthread_create(&a->thread, NULL, ask, a);
	if (rc)
		return err_errno(err, rc, "no thread for rows");
	a->running = a->begun = true;
	return ST_OK;
}

static void parquet_close(struct rows *r)
{
	struct asking *a = r->asking;

	rows_lines.close(r);
	if (!a)
		return;
	a->stop = true;
	if (a->sockets[0] >= 0)
		shutdown(a->sockets[0], SHUT_RD);
	join(a);
	closep(&a->sockets[0]);
	closep(&a->sockets[1]);
	buf_release(&a->query);
	buf_release(&a->schema);
	free(a);
}

static enum status parquet_next(struct rows *r, bool *tombstone, struct err *err)
{
	struct asking *a = r->asking;
	enum status st = ST_OK;

	if (a->tombstones) /* which are no rows of the topic's */
		return ST_END;
	if (!a->begun)
		st = begin(a, err);
	return st == ST_OK ? rows_lines.next(r, tombstone, err) : st;
}

static enum status take_schema(void *ctx, const void *data, size_t len, struct err *err)
{
	(void)err;
	buf_add(ctx, data, len);
	return ST_OK;
}

static const char *parquet_schema(const struct rows *r)
{
	struct asking *a = r->asking;
	const struct sql_sink sink = {take_schema, &a->schema};

	if (!a->has_schema && ask_for(a, SQL_AVRO_SCHEMA, &sink) != ST_OK)
		buf_clear(&a->schema);
	a->has_schema = true;
	return a->schema.len ? buf_str(&a->schema) : NULL;
}

const struct rows_form rows_parquet = {
	.open = parquet_open,
	.next = parquet_next,
	.schema = parquet_schema,
	.close = parquet_close,
};
