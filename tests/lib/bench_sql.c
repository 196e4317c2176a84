#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/bench.h"

struct sql {
	sqlite3 *db;
	sqlite3_stmt *insert;
	sqlite3_stmt *update;
	sqlite3_stmt *branch;
	sqlite3_stmt *point;
	sqlite3_stmt *scan;
};

static const char *const tables =
	"PRAGMA page_size=4096; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
	"PRAGMA cache_size=-32768;"
	"CREATE TABLE IF NOT EXISTS files(path TEXT PRIMARY KEY, blob BLOB, size INTEGER,"
	" content BLOB) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS refs(name TEXT PRIMARY KEY, id BLOB) WITHOUT ROWID;";

static void must(const struct sql *s, int code)
{
	if (code != SQLITE_OK && code != SQLITE_DONE && code != SQLITE_ROW)
		bench_die(sqlite3_errmsg(s->db));
}

static sqlite3_stmt *prepare(struct sql *s, const char *text)
{
	sqlite3_stmt *statement;

	must(s, sqlite3_prepare_v2(s->db, text, -1, &statement, NULL));
	return statement;
}

static void run(struct sql *s, const char *text)
{
	must(s, sqlite3_exec(s->db, text, NULL, NULL, NULL));
}

struct sql *sql_open(const char *file)
{
	struct sql *s = xcalloc(1, sizeof(*s));

	must(s, sqlite3_open(file, &s->db));
	run(s, tables);
	s->insert = prepare(s, "INSERT INTO files VALUES(?, ?, ?, NULL)");
	s->update = prepare(s, "UPDATE files SET blob=?2, size=?3, content=?4 WHERE path=?1");
	s->branch = prepare(s, "INSERT INTO refs VALUES(?, ?)");
	s->point = prepare(s, "SELECT blob, size FROM files WHERE path=?");
	s->scan = prepare(s, "SELECT path, blob, size FROM files WHERE path >= ?1 AND path < ?2");
	return s;
}

static void bind_file(sqlite3_stmt *q, const char *path, const void *blob, size_t size)
{
	sqlite3_bind_text(q, 1, path, -1, SQLITE_STATIC);
	sqlite3_bind_blob(q, 2, blob, 32, SQLITE_STATIC);
	sqlite3_bind_int64(q, 3, (sqlite3_int64)size);
}

static void step(struct sql *s, sqlite3_stmt *q)
{
	must(s, sqlite3_step(q));
	sqlite3_reset(q);
}

void sql_fill(struct sql *s, uint32_t from, uint32_t to)
{
	static const unsigned char blob[32] = {1};
	char path[BENCH_PATH_BYTES];

	run(s, "BEGIN");
	for (uint32_t i = from; i < to; i++) {
		bench_path(i, path);
		bind_file(s->insert, path, blob, 100);
		step(s, s->insert);
	}
	run(s, "COMMIT");
}

double sql_update(struct sql *s, const uint32_t *which, unsigned n, const void *content, size_t len)
{
	double start = bench_now_us();
	unsigned char blob[32] = {0};

	run(s, "BEGIN");
	for (unsigned i = 0; i < n; i++) {
		char path[BENCH_PATH_BYTES];

		bench_path(which[i], path);
		memcpy(blob, content, len < 32 ? len : 32);
		memcpy(blob + 16, &which[i], sizeof(which[i]));
		bind_file(s->update, path, blob, len);
		sqlite3_bind_blob(s->update, 4, content, (int)len, SQLITE_STATIC);
		step(s, s->update);
	}
	run(s, "COMMIT");
	return bench_now_us() - start;
}

double sql_branch(struct sql *s, const char *name)
{
	static const unsigned char id[32] = {1};
	double start = bench_now_us();

	sqlite3_bind_text(s->branch, 1, name, -1, SQLITE_STATIC);
	sqlite3_bind_blob(s->branch, 2, id, 32, SQLITE_STATIC);
	step(s, s->branch);
	return bench_now_us() - start;
}

double sql_point(struct sql *s, const char *path)
{
	double start = bench_now_us();

	sqlite3_bind_text(s->point, 1, path, -1, SQLITE_STATIC);
	if (sqlite3_step(s->point) != SQLITE_ROW || sqlite3_column_bytes(s->point, 0) != 32)
		bench_die("SQLite has lost a row");
	sqlite3_reset(s->point);
	return bench_now_us() - start;
}

double sql_scan(struct sql *s, const char *prefix, uint64_t *rows_out)
{
	double start = bench_now_us();
	AUTO(freep) char *end = xasprintf("%s\x7f", prefix);
	uint64_t rows = 0, bytes = 0;

	sqlite3_bind_text(s->scan, 1, prefix, -1, SQLITE_STATIC);
	sqlite3_bind_text(s->scan, 2, end, -1, SQLITE_STATIC);
	while (sqlite3_step(s->scan) == SQLITE_ROW) {
		bytes += strlen((const char *)sqlite3_column_text(s->scan, 0));
		bytes += *(const unsigned char *)sqlite3_column_blob(s->scan, 1);
		bytes += (uint64_t)sqlite3_column_int64(s->scan, 2);
		rows++;
	}
	sqlite3_reset(s->scan);
	if (bytes == 0)
		bench_die("SQLite has no such rows");
	*rows_out = rows;
	return bench_now_us() - start;
}

double sql_run(struct sql *s, const char *statement)
{
	double start = bench_now_us();

	run(s, statement);
	return bench_now_us() - start;
}

void sql_close(struct sql *s)
{
	sqlite3_finalize(s->insert);
	sqlite3_finalize(s->update);
	sqlite3_finalize(s->branch);
	sqlite3_finalize(s->point);
	sqlite3_finalize(s->scan);
	sqlite3_close(s->db);
	free(s);
}
