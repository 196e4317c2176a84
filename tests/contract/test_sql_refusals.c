/* What a question in SQL cannot do, and that nothing stays behind, however a query ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/file.h"
#include "tests/lib/child.h"
#include "tests/lib/must.h"
#include "tests/lib/sql_steps.h"

/* ---- escapes ---- */

/* The judgement of trees is tested by itself (test_sql_tree.c); here that nothing
 * comes of it, and that paths and patterns in the place of tables are names. */
static void test_escapes(void **state)
{
	static const char *const formats[] = {
		"COPY (SELECT 1) TO '%s/x.csv'",
		"EXPLAIN ANALYZE COPY (SELECT 1) TO '%s/x.csv'",
		"ATTACH '%s/x.db'",
		"EXPORT DATABASE '%s/x'",
		"IMPORT DATABASE '%s'",
		"SELECT 1; COPY (SELECT 1) TO '%s/x.csv'",
		"FROM read_csv('%s/secret.csv')",
		"FROM (SELECT (SELECT a FROM read_csv('%s/secret.csv')))",
		"FROM '%s/secret.csv'",
		"FROM \"%s/secret.csv\"",
		"FROM '%s/*'",
		"FROM \"file://%s/secret.csv\"",
		"SELECT * FROM \"/proc/self/fd/3\", '%s/secret.csv'",
		"SELECT content FROM read_text('%s/secret.csv')",
		"SELECT * FROM glob('%s/*')",
		"SELECT * FROM enable_logging(storage='file', storage_path='%s/log')",
		"SELECT * FROM enable_profiling(save_location='%s/profile')",
		"FROM query('FROM read_csv(''%s/secret.csv'')')",
		"SELECT json_serialize_plan('FROM read_csv(''%s/secret.csv'')')",
		"WITH x AS (FROM sniff_csv('%s/secret.csv')) FROM x",
		"INSTALL '%s/x.duckdb_extension'",
		"LOAD '%s/x.duckdb_extension'",
		"SET extension_directory='%s'",
		"PRAGMA database_list --%s",
		"FROM 'https://example.com%s.parquet'",
		"FROM 's3://bucket%s/x.parquet'",
		"FROM sql_auto_complete('%s')",
	};

	(void)state;
	put_text(NAMED("one", "0000", "jsonl"), "{\"id\":1}\n");
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		AUTO(buf_release) struct buf out = BUF_INIT;
		AUTO(buf_release) struct buf query = BUF_INIT;
		struct err err = ERR_INIT;
		const char *hole = strstr(formats[i], "%s");
		enum status st;

		buf_add(&query, formats[i], (size_t)(hole - formats[i]));
		buf_adds(&query, sql_world.outside);
		buf_adds(&query, hole + 2);
		st = ask_csv(buf_str(&query), &out, &err);
		if ((st != ST_USAGE && st != ST_NOT_FOUND) || out.len)
			fail_msg("%s: %s: %s%s", buf_str(&query), status_name(st), err.text,
				 buf_str(&out));
		assert_int_equal(count_entries(sql_world.outside), 1);
	}
	expect_rows("FROM one", "1\n");
}

/* ---- ends ---- */

#define ENDLESS                                                                                    \
	"SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE (a.range * b.range) % 7 = " \
	"3"

static atomic_bool stop;

static void *stop_soon(void *ctx)
{
	(void)ctx;
	usleep(300000);
	stop = true;
	return NULL;
}

static void test_ends(void **state)
{
	AUTO(buf_release) struct buf out = BUF_INIT;
	pthread_t thread;

	(void)state;
	put_text(NAMED("one", "0000", "jsonl"), "{\"id\":1}\n");
	MUST_SAY(ST_BUSY, "time limit, 300 ms",
		 run_query((struct sql_query){.text = ENDLESS, .timeout_ms = 300}, "dev", &out,
			   &err));
	stop = false;
	pthread_create(&thread, NULL, stop_soon, NULL);
	MUST_SAY(ST_INTERRUPTED, "stopped",
		 run_query((struct sql_query){.text = ENDLESS " AND (SELECT id FROM one) = 1",
					      .stop = &stop},
			   "dev", &out, &err));
	pthread_join(thread, NULL);
	MUST_SAY(ST_FAILED, "--memory",
		 run_query((struct sql_query){.text = "SELECT array_agg(md5(range::VARCHAR)) FROM "
						      "range(3000000)",
					      .memory_bytes = 32u << 20},
			   "dev", &out, &err));
	MUST_SAY(ST_FAILED, "Could not convert",
		 run_query(
			 (struct sql_query){.text = "SELECT ('x' || range)::INTEGER FROM range(3)"},
			 "dev", &out, &err));
	setenv("TIDEMARK_KILL_AT", "sql.run:1", 1);
	MUST_SAY(ST_FAILED, "process was killed",
		 run_query((struct sql_query){.text = "FROM one"}, "dev", &out, &err));
	unsetenv("TIDEMARK_KILL_AT");
	sql_use_program("/nowhere/at/all");
	MUST_SAY(ST_NOT_FOUND, "cannot start /nowhere/at/all",
		 run_query((struct sql_query){.text = "FROM one"}, "dev", &out, &err));
	sql_use_program("/bin/false");
	MUST_SAY(ST_FAILED, "exit code 1",
		 run_query((struct sql_query){.text = "FROM one"}, "dev", &out, &err));
}

/* What a killed process left goes with the next query; what another still uses
 * stays. */
static void test_leftovers(void **state)
{
	AUTO(freep) char *left = xasprintf("%s/tidemark-sql-aaaaaa/x", sql_world.temp);
	AUTO(sql_workspace_closep) struct sql_workspace *other = NULL;
	AUTO(buf_release) struct buf out = BUF_INIT;

	(void)state;
	MUST(dir_create_all(left, &err));
	MUST(sql_workspace_open(&other, &err));
	assert_int_equal(count_entries(sql_world.temp), 1);
	assert_true(file_exists(sql_workspace_folder(other)));
	MUST(ask_csv("SELECT 1", &out, &err));
	assert_true(file_exists(sql_workspace_folder(other)));
}

/* A file that is no such file: the error names it as the lake does. */
static void test_damage(void **state)
{
	(void)state;
	put_text(NAMED("one", "0000", "parquet"), "this is no Parquet, whatever its name says");
	expect_error("FROM one", ST_FAILED, NAMED("one", "0000", "parquet"));
	put_text(NAMED("two", "0000", "jsonl"), "{\"a\":1}\n{\"a\":\n");
	expect_error("FROM two", ST_FAILED, NAMED("two", "0000", "jsonl"));
}

int main(void)
{
	AUTO(freep) char *program = child_program_path("tidemark-sql");
	const struct CMUnitTest remote[] = {SQL_TEST_REMOTE(test_damage)};
	const struct CMUnitTest embedded[] = {
		SQL_TEST(test_damage),
		SQL_TEST(test_escapes),
		SQL_TEST(test_leftovers),
		SQL_TEST(test_ends),
	};
	int failed;

	sql_use_program(program);
	/* The socket's first: its owners are forked before RocksDB has threads. */
	failed = cmocka_run_group_tests_name("through the socket", remote, NULL, NULL);
	return failed + cmocka_run_group_tests_name("embedded", embedded, NULL, NULL);
}
