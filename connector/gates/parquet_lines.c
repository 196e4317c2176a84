#include "connector/gates/parquet_lines.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "connector/columnar/sql.h"
#include "connector/columnar/sql_table.h"

#define WAIT_MS 50 /* how soon stop is seen */
#define READ_BYTES ((size_t)64 << 10)
#define TABLE "rows"
/* A row's first column: the number of its file in the query; of file n it is -1 - n where
 * the query gives the file's columns as other types than the file has. */
#define FILE_NAME "tidemark$file"
#define FILE_COLUMN "\"" FILE_NAME "\""
#define TYPES_COLUMN "\"tidemark$types\""
#define LINE_BEGIN "{" FILE_COLUMN ":"

/* A query, asked by a thread of its own, whose answer comes through a socket. */
struct asking {
	const struct rows_settings *settings;
	char *const *paths; /* of its files */
	size_t n;
	struct buf query;
	atomic_bool stop;
	pthread_t thread;
	bool running; /* the reader's: it has not been joined */
	int sockets[2]; /* [0] is read here, [1] written there */
	enum status st; /* its outcome, once it has been joined */
	struct err err;
	/* what came */
	struct buf text; /* from pos on it is not yet taken */
	size_t pos;
	size_t searched; /* no newline before this */
	size_t file; /* of the last line */
	bool mixed; /* its columns have other types than the file's */
	bool disordered; /* it came behind a line of a later file */
};

struct parquet_lines {
	const struct rows_settings *settings;
	char **paths; /* that are expected */
	size_t n, cap;
	size_t current; /* which of them is read */
	uint64_t given; /* rows of it */
	size_t ended; /* those before have no more rows */
	size_t most; /* files of the next query */
	struct asking *asking; /* NULL: there is none */
	size_t asked; /* its first file */
	uint64_t seen; /* rows of the current file that it gave */
};

/* ---- the question ---- */

/* Is it the name of a query's table? *out: the number of its file. */
static bool table_number(const char *name, size_t n, size_t *out)
{
	char *end;

	if (strncmp(name, TABLE, strlen(TABLE)) != 0)
		return false;
	*out = strtoul(name + strlen(TABLE), &end, 10);
	return *end == '\0' && *out < n;
}

static enum status find(void *ctx, const char *name, struct sql_workspace *workspace, json_t **out,
			struct err *err)
{
	const struct asking *a = ctx;
	struct lake *lake = a->settings->lake;
	const struct lake_id *commit = a->settings->commit;
	AUTO(sql_table_freep) struct sql_table *t = sql_table_new(workspace, name);
	AUTO(lake_entry_release) struct lake_entry entry = {.path = NULL};
	size_t i = 0;
	enum status st;

	if (!table_number(name, a->n, &i))
		return err_set(err, ST_NOT_FOUND, "no table '%s'", name);
	st = sql_workspace_hold(workspace, lake, commit, err);
	if (st == ST_OK)
		st = lake_stat(lake, commit, a->paths[i], &entry, err);
	if (st == ST_OK)
		st = sql_table_add(t, lake, commit, &entry, err);
	if (st == ST_OK)
		*out = sql_table_describe(t);
	return st;
}

/* ,'a','b': the columns that fields begin with. */
static void add_columns(const struct rows_settings *s, struct buf *sql)
{
	for (size_t i = 0; i < s->n_fields; i++) {
		buf_adds(sql, ",'");
		for (const char *p = s->fields[i]; *p && *p != '.'; p++) {
			if (*p == '\'')
				buf_addc(sql, '\'');
			buf_addc(sql, *p);
		}
		buf_addc(sql, '\'');
	}
}

/* One file: its number, its columns, and what types these have. */
static void add_file(const struct rows_settings *s, size_t i, struct buf *sql)
{
	buf_adds(sql, "SELECT typeof(row(*COLUMNS(*))) AS " TYPES_COLUMN ", * FROM "
		      "(SELECT COLUMNS(c -> c IN ('" FILE_NAME "'");
	add_columns(s, sql);
	buf_addf(sql, ")) FROM (SELECT %zu AS " FILE_COLUMN ", * FROM " TABLE "%zu))", i, i);
}

/* UNION ALL keeps the order of the files and of their rows (DuckDB's manual, "Order
 * Preservation"). */
static void add_query(const struct rows_settings *s, size_t n, struct buf *sql)
{
	buf_adds(sql,
		 "SELECT CASE WHEN " TYPES_COLUMN " = typeof(row(*COLUMNS(* EXCLUDE (" TYPES_COLUMN
		 ")))) THEN " FILE_COLUMN " ELSE -1 - " FILE_COLUMN " END AS " FILE_COLUMN ", "
		 "* EXCLUDE (" FILE_COLUMN ", " TYPES_COLUMN ") FROM (");
	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_adds(sql, " UNION ALL BY NAME ");
		add_file(s, i, sql);
	}
	buf_addc(sql, ')');
}

static int64_t time_left_ms(const struct rows_settings *s)
{
	int64_t left_us = s->end_us - s->clock->mono_us(s->clock);

	return left_us > 0 ? left_us / 1000 + 1 : 1;
}

/* ---- the thread that asks ---- */

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

static void *ask(void *ctx)
{
	struct asking *a = ctx;
	const struct sql_catalog catalog = {.find = find, .ctx = a};
	const struct sql_sink sink = {take, a};
	const struct sql_query query = {
		.text = buf_str(&a->query),
		.format = SQL_JSON,
		.threads = 1, /* several gates at a time; and rows come in their order */
		.timeout_ms = time_left_ms(a->settings),
		.stop = &a->stop,
	};

	a->st = sql_ask(&query, &catalog, &sink, NULL, &a->err);
	shutdown(a->sockets[1], SHUT_WR);
	return NULL;
}

static void join(struct asking *a)
{
	if (a->running)
		pthread_join(a->thread, NULL);
	a->running = false;
}

static void asking_free(struct asking *a)
{
	if (!a)
		return;
	a->stop = true;
	if (a->sockets[0] >= 0)
		shutdown(a->sockets[0], SHUT_RD);
	join(a);
	closep(&a->sockets[0]);
	closep(&a->sockets[1]);
	buf_release(&a->query);
	buf_release(&a->text);
	free(a);
}
AUTO_DESTRUCTOR(struct asking, asking_free)

/* paths: kept until the free. */
static enum status asking_begin(const struct rows_settings *settings, char *const *paths, size_t n,
				struct asking **out, struct err *err)
{
	AUTO(asking_freep) struct asking *a = xcalloc(1, sizeof(*a));
	int rc;

	a->settings = settings;
	a->paths = paths;
	a->n = n;
	a->sockets[0] = a->sockets[1] = -1;
	add_query(settings, n, &a->query);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, a->sockets) < 0)
		return err_errno(err, errno, "no socket for rows");
	rc = pthread_create(&a->thread, NULL, ask, a);
	if (rc)
		return err_errno(err, rc, "no thread for rows");
	a->running = true;
	*out = MOVE(a);
	return ST_OK;
}

/* ---- the answer ---- */

/* More text; ST_END behind the last of a query that ended well. */
static enum status receive(struct asking *a, struct err *err)
{
	struct pollfd p = {.fd = a->sockets[0], .events = POLLIN};
	const atomic_bool *stop = a->settings->stop;
	ssize_t n;

	while (poll(&p, 1, WAIT_MS) <= 0)
		if (stop && *stop)
			a->stop = true; /* which ends the query, and that the text */
	buf_reserve(&a->text, READ_BYTES);
	n = recv(a->sockets[0], a->text.data + a->text.len, READ_BYTES, 0);
	if (n < 0)
		return errno == EINTR ? ST_OK : err_errno(err, errno, "rows");
	a->text.len += (size_t)n;
	if (n > 0)
		return ST_OK;
	join(a);
	return a->st == ST_OK ? ST_END : err_set(err, a->st, "%s", a->err.text);
}

/* Sets file and mixed. */
static enum status look_at_file(struct asking *a, const char *line, struct err *err)
{
	long long number = -1;

	if (strncmp(line, LINE_BEGIN, strlen(LINE_BEGIN)) == 0)
		number = strtoll(line + strlen(LINE_BEGIN), NULL, 10);
	a->mixed = number < 0;
	if (a->mixed)
		number = -1 - number;
	a->disordered = (size_t)number < a->file || (size_t)number >= a->n;
	if (a->disordered)
		return err_set(err, ST_FAILED, "rows do not come in the order of their files");
	a->file = (size_t)number;
	return ST_OK;
}

/* The next line, which is not yet taken. */
static enum status peek(struct asking *a, const char **line, size_t *len, struct err *err)
{
	const char *newline;

	while (!(newline = a->text.len > a->searched ? memchr(a->text.data + a->searched, '\n',
							      a->text.len - a->searched)
						     : NULL)) {
		enum status st;

		if (a->pos) {
			memmove(a->text.data, a->text.data + a->pos, a->text.len - a->pos);
			a->text.len -= a->pos;
			a->pos = 0;
		}
		a->searched = a->text.len;
		st = receive(a, err);
		if (st != ST_OK)
			return st;
	}
	a->searched = (size_t)(newline - a->text.data);
	*line = a->text.data + a->pos;
	*len = a->searched - a->pos;
	return look_at_file(a, *line, err);
}

static void advance(struct asking *a)
{
	a->pos = ++a->searched;
}

/* ---- files ---- */

struct parquet_lines *parquet_lines_new(const struct rows_settings *settings)
{
	struct parquet_lines *l = xcalloc(1, sizeof(*l));

	l->settings = settings;
	l->most = ROWS_FILES_AHEAD;
	return l;
}

void parquet_lines_forget(struct parquet_lines *l)
{
	asking_free(MOVE(l->asking));
	for (size_t i = 0; i < l->n; i++)
		free(l->paths[i]);
	l->n = l->current = l->ended = 0;
}

void parquet_lines_free(struct parquet_lines *l)
{
	if (!l)
		return;
	parquet_lines_forget(l);
	free(l->paths);
	free(l);
}

void parquet_lines_expect(struct parquet_lines *l, const char *path)
{
	asking_free(MOVE(l->asking)); /* it reads the list */
	GROW(l->paths, l->n, l->cap);
	l->paths[l->n++] = xstrdup(path);
}

void parquet_lines_begin(struct parquet_lines *l, const char *path)
{
	size_t i = l->current;

	while (i < l->n && strcmp(l->paths[i], path) != 0)
		i++;
	if (i == l->n) {
		parquet_lines_forget(l);
		parquet_lines_expect(l, path);
		i = 0;
	}
	l->current = i;
	l->given = l->seen = 0;
}

/* A query for the current file and those behind it. */
static enum status begin(struct parquet_lines *l, struct err *err)
{
	size_t left = l->n - l->current;

	l->asked = l->current;
	l->seen = 0;
	return asking_begin(l->settings, l->paths + l->current, left < l->most ? left : l->most,
			    &l->asking, err);
}

/* A row of the current file that was not given yet. */
static enum status next_row(struct parquet_lines *l, const char **line, size_t *len,
			    struct err *err)
{
	struct asking *a = l->asking;

	for (;;) {
		size_t file;
		enum status st = peek(a, line, len, err);

		if (st != ST_OK)
			return st;
		file = l->asked + a->file;
		if (file > l->current) {
			l->ended = file;
			return ST_END;
		}
		if (file == l->current && a->mixed)
			return err_set(err, ST_FAILED, "its columns have other types");
		advance(a);
		if (file == l->current && l->seen++ == l->given) {
			l->given++;
			return ST_OK;
		}
	}
}

/* The query gave all its rows, or failed; false: what it failed with is final. */
static bool end_query(struct parquet_lines *l, enum status st)
{
	const struct asking *a = l->asking;
	size_t behind = l->asked + a->n;
	bool final = a->n == 1 || a->disordered || st == ST_BUSY || st == ST_INTERRUPTED;

	asking_free(MOVE(l->asking));
	if (st == ST_END) {
		l->ended = behind;
		l->most = l->most < ROWS_FILES_AHEAD / 2 ? l->most * 2 : ROWS_FILES_AHEAD;
		return true;
	}
	l->most = (behind - l->current + 1) / 2;
	return !final;
}

enum status parquet_lines_next(struct parquet_lines *l, const char **line, size_t *len,
			       struct err *err)
{
	while (l->current >= l->ended) {
		enum status st = ST_OK;

		if (l->asking && l->current >= l->asked + l->asking->n)
			asking_free(MOVE(l->asking));
		if (!l->asking)
			st = begin(l, err);
		if (st != ST_OK)
			return st;
		st = next_row(l, line, len, err);
		if (st == ST_OK)
			return ST_OK;
		if (l->current >= l->ended && !end_query(l, st))
			return st;
	}
	return ST_END;
}

/* ---- schemas ---- */

static enum status take_schema(void *ctx, const void *data, size_t len, struct err *err)
{
	(void)err;
	buf_add(ctx, data, len);
	return ST_OK;
}

enum status parquet_lines_schema(const struct rows_settings *settings, const char *path,
				 struct buf *out, struct err *err)
{
	char *paths[] = {(char *)(uintptr_t)path};
	struct asking a = {.settings = settings, .paths = paths, .n = 1};
	const struct sql_catalog catalog = {.find = find, .ctx = &a};
	const struct sql_sink sink = {take_schema, out};
	const struct sql_query query = {
		.text = "FROM " TABLE "0",
		.format = SQL_AVRO_SCHEMA,
		.threads = 1,
		.timeout_ms = time_left_ms(settings),
		.stop = settings->stop,
	};

	return sql_ask(&query, &catalog, &sink, NULL, err);
}
