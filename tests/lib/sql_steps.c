#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/sql_steps.h"
#include "core/base/file.h"
#include "tests/lib/duck.h"
#include "tests/lib/lake_steps.h"
#include "tests/lib/must.h"
#include "tests/lib/tempdir.h"

struct sql_world sql_world;

static int world_open(enum lake_way way)
{
	AUTO(freep) char *secret = NULL;
	struct err err = ERR_INIT;

	lake_fixture_open(&sql_world.fixture, way, 0);
	make_branch(LAKE, "dev");
	sql_world.temp = tempdir_new();
	sql_world.outside = tempdir_new();
	setenv("TMPDIR", sql_world.temp, 1);
	secret = xasprintf("%s/secret.csv", sql_world.outside);
	return file_replace(secret, "a\n1\n", 4, &err) == ST_OK ? 0 : -1;
}

int sql_world_embedded(void **state)
{
	(void)state;
	return world_open(LAKE_EMBEDDED);
}

int sql_world_socket(void **state)
{
	(void)state;
	return world_open(LAKE_SOCKET);
}

size_t count_entries(const char *folder)
{
	DIR *dir = opendir(folder);
	size_t n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2;
}

int sql_world_close(void **state)
{
	(void)state;
	assert_int_equal(count_entries(sql_world.temp), 0);
	assert_int_equal(count_entries(sql_world.outside), 1);
	unsetenv("TMPDIR");
	lake_fixture_close(&sql_world.fixture);
	tempdir_remove(&sql_world.temp);
	tempdir_remove(&sql_world.outside);
	return 0;
}

/* ---- asking ---- */

static enum status take(void *ctx, const void *data, size_t len, struct err *err)
{
	(void)err;
	buf_add(ctx, data, len);
	return ST_OK;
}

enum status run_query(struct sql_query q, const char *at, struct buf *out, struct err *err)
{
	AUTO(sql_refs_closep) struct sql_refs *refs = NULL;
	const struct sql_sink sink = {take, out};
	struct sql_catalog catalog;
	enum status st = sql_refs_open(LAKE, at, &refs, err);

	if (st != ST_OK)
		return st;
	catalog = sql_refs_catalog(refs);
	return sql_ask(&q, &catalog, &sink, NULL, err);
}

enum status ask_csv(const char *query, struct buf *out, struct err *err)
{
	return run_query((struct sql_query){.text = query, .format = SQL_CSV}, "dev", out, err);
}

void expect_rows(const char *query, const char *rows)
{
	AUTO(buf_release) struct buf out = BUF_INIT;
	const char *line;

	MUST(ask_csv(query, &out, &err));
	line = strchr(buf_str(&out), '\n');
	if (!line || strcmp(line + 1, rows) != 0)
		fail_msg("%s\ngives\n%swanted\n%s", query, buf_str(&out), rows);
}

void expect_error(const char *query, enum status st, const char *says)
{
	AUTO(buf_release) struct buf out = BUF_INIT;

	MUST_SAY(st, says, ask_csv(query, &out, &err));
	assert_int_equal(out.len, 0);
}

char *fill_in(const char *query, const char *text)
{
	struct buf out = BUF_INIT;

	for (; *query; query++)
		if (*query == '@')
			buf_adds(&out, text);
		else
			buf_addc(&out, *query);
	return buf_detach(&out);
}

/* ---- files ---- */

void put_bytes(const char *path, const void *data, size_t len)
{
	commit_bytes(LAKE, "dev", path, data, len);
}

void put_text(const char *path, const char *text)
{
	put_bytes(path, text, strlen(text));
}

void copy_select(const char *select, const char *options, struct buf *out)
{
	AUTO(freep) char *file = xasprintf("%s/copy", sql_world.outside);

	duck_run("COPY (%s) TO '%s' (%s)", select, file, options);
	MUST(file_read(file, 64u << 20, out, &err));
	unlink(file);
}

void put_copy(const char *path, const char *select, const char *options)
{
	AUTO(buf_release) struct buf content = BUF_INIT;

	copy_select(select, options, &content);
	put_bytes(path, buf_str(&content), content.len);
}

void put_routed(const char *path, const char *schema_name, const char *fields, const void *data,
		size_t len)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	AUTO(lake_meta_release) struct lake_meta meta = LAKE_META_INIT;
	struct lake_id head = head_of(LAKE, "dev"), id;

	lake_meta_set(&meta, "tidemark.schema", schema_name);
	if (fields)
		lake_meta_set(&meta, "tidemark.partition.fields", fields);
	MUST(lake_txn_begin(LAKE, &head, &txn, &err));
	MUST(lake_txn_put_bytes(txn, path, data, len, NULL, &meta, &err));
	MUST(lake_txn_commit(txn, "dev", &head, "put", &id, &err));
}

void put_named(const char *path, const char *schema_name, const void *data, size_t len)
{
	put_routed(path, schema_name, NULL, data, len);
}

void put_parquet(const char *path, const char *schema_name, const char *schema, const char *select)
{
	AUTO(buf_release) struct buf content = BUF_INIT;
	AUTO(freep)
	char *options =
		xasprintf("FORMAT parquet, KV_METADATA {'parquet.avro.schema': '%s'}", schema);

	copy_select(select, options, &content);
	put_named(path, schema_name, content.data, content.len);
}
