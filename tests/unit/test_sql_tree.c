/* What a query may be: which tables it names, and what is refused before any of
 * them is looked for. DuckDB parses; the judgement is ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "connector/columnar/sql_sandbox.h"
#include "connector/columnar/sql_session.h"
#include "core/base/file.h"
#include "tests/lib/must.h"

static enum status parse(const char *query, struct buf *names, struct err *err)
{
	struct sql_session s = {.duck = NULL};
	enum status st = sql_session_open(&s, 64u << 20, err);

	if (st == ST_OK)
		st = sql_session_parse(&s, query, err);
	for (size_t i = 0; st == ST_OK && i < s.names.n; i++) {
		AUTO(freep) char *name = sql_name_whole(&s.names.items[i]);

		buf_addf(names, "%s%s", i ? " " : "", name);
	}
	sql_session_close(&s);
	return st;
}

static void expect_names(const char *query, const char *names)
{
	AUTO(buf_release) struct buf found = BUF_INIT;

	MUST(parse(query, &found, &err));
	if (strcmp(buf_str(&found), names) != 0)
		fail_msg("%s names '%s', wanted '%s'", query, buf_str(&found), names);
}

static void test_names(void **state)
{
	(void)state;
	expect_names("SELECT 1", "");
	expect_names("SELECT * FROM orders", "orders");
	expect_names("-- a comment first\n/* and another */ FROM orders; -- and one behind",
		     "orders");
	expect_names("FROM \"main:orders\" EXCEPT FROM \"ingest-orders:orders\"",
		     "main:orders ingest-orders:orders");
	expect_names("FROM orders.v1 JOIN ORDERS.v1 USING (id)", "orders.v1");
	expect_names("FROM 'orders.parquet'", "orders.parquet"); /* as a name, no file */
	expect_names("FROM lake$commits", "lake$commits");
	expect_names("SELECT (SELECT max(a) FROM x), [y.b FOR y IN l IF y IN (FROM z)] FROM w",
		     "x z w");
	expect_names("SELECT list_transform(l, lambda v: v + (SELECT count(*) FROM x)) FROM y",
		     "x y");
	expect_names("SELECT * FROM a, LATERAL (SELECT * FROM b WHERE b.i = a.i), range(3)", "a b");
	expect_names("SELECT row_number() OVER (ORDER BY (SELECT 1 FROM p)) FROM o QUALIFY 1 < "
		     "(FROM q) LIMIT (SELECT 3 FROM r)",
		     "r p o q");
	expect_names("DESCRIBE orders", "orders");
	expect_names("SUMMARIZE SELECT a FROM orders", "orders");
	expect_names("PIVOT orders ON x IN (1, 2) USING sum(y)", "orders");
	expect_names("UNPIVOT orders ON a, b INTO NAME n VALUE v", "orders");
	expect_names("VALUES ((SELECT 1 FROM a))", "a");
	expect_names("TABLE orders", "orders");
	expect_names("FROM orders TABLESAMPLE 10%", "orders");
	expect_names("FROM json_each('[1]'), unnest([1]), generate_series(1, 2), repeat(1, 2)", "");
}

/* A name of WITH is no table where it is in sight, and one where it is not. */
static void test_with(void **state)
{
	(void)state;
	expect_names("WITH a AS (FROM x) FROM a", "x");
	expect_names("WITH a AS (FROM x), b AS (FROM A) FROM a, b", "x");
	expect_names("WITH orders AS (FROM orders) FROM orders", "orders");
	expect_names("WITH a AS (FROM b), b AS (FROM x) FROM a, b", "b x");
	expect_names("WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t, lim WHERE n "
		     "< m) FROM t",
		     "lim");
	expect_names("FROM (WITH a AS (FROM x) FROM a), a", "x a");
	expect_names("WITH a AS (SELECT 1) SELECT (WITH b AS (FROM a) FROM b) FROM main.a",
		     "main.a");
	expect_names("WITH a AS MATERIALIZED (FROM x) FROM a", "x");
}

static void expect_refused(const char *query, const char *says)
{
	AUTO(buf_release) struct buf found = BUF_INIT;

	MUST_SAY(ST_USAGE, says, parse(query, &found, &err));
}

static void test_statements(void **state)
{
	static const char *const others[] = {
		"COPY (SELECT 1) TO '/tmp/x.csv'",
		"COPY orders FROM '/etc/passwd'",
		"EXPORT DATABASE '/tmp/x'",
		"IMPORT DATABASE '/tmp/x'",
		"ATTACH '/tmp/x.db'",
		"ATTACH ':memory:' AS m",
		"DETACH x",
		"USE x",
		"EXPLAIN SELECT 1",
		"EXPLAIN ANALYZE COPY (SELECT 1) TO '/tmp/x.csv'",
		"CALL enable_logging()",
		"CALL pragma_version()",
		"SET memory_limit='100GB'",
		"SET VARIABLE x = 1",
		"SET search_path='x'",
		"RESET memory_limit",
		"PRAGMA enable_profiling",
		"PRAGMA database_list",
		"INSTALL httpfs",
		"LOAD httpfs",
		"CREATE TABLE t AS SELECT 1",
		"CREATE TEMP VIEW v AS SELECT 1",
		"CREATE MACRO m() AS TABLE FROM read_csv('/etc/passwd')",
		"CREATE SECRET (TYPE s3)",
		"CREATE SEQUENCE s",
		"INSERT INTO t VALUES (1)",
		"UPDATE t SET a = 1",
		"DELETE FROM t",
		"DROP TABLE t",
		"ALTER TABLE t ADD COLUMN a INT",
		"MERGE INTO t USING u ON (t.a = u.a) WHEN MATCHED THEN DELETE",
		"VACUUM",
		"CHECKPOINT",
		"BEGIN",
		"PREPARE p AS SELECT 1",
		"EXECUTE p",
		"COMMENT ON TABLE t IS 'x'",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		expect_refused(others[i], "only one SELECT");
	expect_refused("SELECT 1; SELECT 2", "only one SELECT");
	expect_refused("SELECT 1; COPY (SELECT 1) TO '/tmp/x'", "only one SELECT");
	expect_refused("PIVOT orders ON x USING sum(y)", "PIVOT needs its values");
	expect_refused("", "the query is empty");
	expect_refused(" -- nothing\n;", "the query is empty");
	expect_refused("SELECT FROM FROM", "syntax error");
	expect_refused("WITH x AS (INSERT INTO t VALUES (1) RETURNING a) FROM x", "");
	expect_refused("SELECT $1", "parameter");
	expect_refused("SELECT ?", "parameter");
	expect_refused("SHOW TABLES", "SHOW shows nothing");
	expect_refused("SHOW ALL TABLES", "SHOW shows nothing");
	expect_refused("SHOW DATABASES", "SHOW shows nothing");
	expect_refused("FROM (SHOW TABLES)", "SHOW shows nothing");
	expect_refused("FROM orders AT (VERSION => 3)", "REF:orders");
	expect_refused("FROM a.b.c", "double quotes");
}

static void test_functions(void **state)
{
	/* wherever a table may stand */
	static const char *const places[] = {
		"FROM %s",
		"SELECT (SELECT count(*) FROM %s)",
		"SELECT 1 WHERE EXISTS (FROM %s)",
		"SELECT 1 WHERE 1 IN (SELECT 1 FROM %s)",
		"WITH x AS (FROM %s) SELECT 1",
		"WITH x AS MATERIALIZED (FROM %s) FROM x",
		"SELECT 1 UNION ALL (SELECT 1 FROM %s)",
		"FROM range(1), LATERAL (FROM %s)",
		"FROM range(1) JOIN %s ON true",
		"SELECT 1 ORDER BY (SELECT 1 FROM %s)",
		"SELECT 1 LIMIT (SELECT 1 FROM %s)",
		"SELECT [x FOR x IN [1] IF x IN (SELECT 1 FROM %s)]",
		"SELECT list_transform([1], lambda x: (SELECT 1 FROM %s))",
		"SELECT CASE WHEN true THEN (SELECT 1 FROM %s) END",
		"SELECT sum(1) FILTER ((SELECT true FROM %s))",
		"SELECT sum(1) OVER (PARTITION BY (SELECT 1 FROM %s))",
		"FROM (PIVOT (FROM %s) ON a IN (1) USING sum(b))",
		"FROM (VALUES ((SELECT 1 FROM %s)))",
		"DESCRIBE SELECT * FROM %s",
		"SUMMARIZE FROM %s",
		"SELECT COLUMNS(c -> c IN (SELECT 'a' FROM %s)) FROM range(1)",
		"SELECT * REPLACE ((SELECT 1 FROM %s) AS range) FROM range(1)",
		"FROM range((SELECT 1 FROM %s))",
		"SELECT 1 GROUP BY GROUPING SETS (((SELECT 1 FROM %s)))",
		"SELECT count(*) HAVING (SELECT true FROM %s)",
		"SELECT array_agg(1 ORDER BY (SELECT 1 FROM %s))",
		"SELECT 1::INTEGER + (SELECT 1 FROM %s) BETWEEN 1 AND 2",
	};
	static const char *const functions[] = {
		"read_csv('/etc/passwd')",
		"read_csv_auto('/etc/passwd')",
		"main.read_text('/etc/passwd')",
		"READ_BLOB('/etc/passwd')",
		"\"read_text\"('/etc/passwd')",
		"read_json('/tmp/x')",
		"read_json_objects('/tmp/x')",
		"read_ndjson('/tmp/x')",
		"read_parquet('/tmp/x')",
		"parquet_scan('https://example.com/x')",
		"parquet_metadata('/tmp/x')",
		"read_duckdb('/tmp/x')",
		"sniff_csv('/etc/passwd')",
		"glob('/*')",
		"query('FROM read_csv(''/etc/passwd'')')",
		"query_table('x')",
		"query_table(['x', 'y'])",
		"histogram('x', 'y')",
		"enable_logging(storage='file', storage_path='/tmp/x')",
		"enable_profiling(save_location='/tmp/x')",
		"disable_logging()",
		"truncate_duckdb_logs()",
		"duckdb_logs()",
		"duckdb_settings()",
		"duckdb_secrets()",
		"duckdb_extensions()",
		"duckdb_temporary_files()",
		"pragma_version()",
		"pragma_show('x')",
		"checkpoint()",
		"force_checkpoint()",
		"arrow_scan(1, 2, 3)",
		"seq_scan('x')",
		"json_execute_serialized_sql('{}')",
		"which_secret('x', 's3')",
		"test_all_types()",
		"nothing_like_that(1)",
		"tidemark_avro(['/etc/passwd'], '{}')",
	};
	AUTO(buf_release) struct buf query = BUF_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		for (size_t j = 0; j < ARRAY_SIZE(functions); j++) {
			const char *hole = strstr(places[i], "%s");

			if (i > 0 && j % 7 != i % 7 && j > 1)
				continue; /* each everywhere would take a minute */
			buf_clear(&query);
			buf_add(&query, places[i], (size_t)(hole - places[i]));
			buf_adds(&query, functions[j]);
			buf_adds(&query, hole + 2);
			expect_refused(buf_str(&query), "in the place of a table");
		}
	expect_refused("SELECT json_serialize_plan('FROM x')", "json_serialize_plan() is not");
	expect_refused("SELECT JSON_SERIALIZE_PLAN('FROM x')", "is not allowed");
	expect_refused("SELECT main.json_serialize_plan('FROM x')", "is not allowed");
	expect_refused("SELECT ('FROM x').json_serialize_plan()", "is not allowed");
	expect_refused("SELECT [v.json_serialize_plan() FOR v IN ['FROM x']]", "is not allowed");
	expect_refused("SELECT getenv('HOME')", "is not allowed");
	expect_refused("SELECT current_setting('temp_directory')", "is not allowed");
	expect_refused("SELECT write_log('x')", "is not allowed");
	expect_refused("FROM range(getvariable('x'))", "is not allowed");
}

/* What stands behind the judgement: where it let something through, DuckDB opens no
 * file and changes no setting. */
static void test_locks(void **state)
{
	static const char *const statements[] = {
		"COPY (SELECT 1) TO '/tmp/tidemark-escape.csv'",
		"EXPLAIN ANALYZE COPY (SELECT 1) TO '/tmp/tidemark-escape.csv'",
		"ATTACH '/tmp/tidemark-escape.db'",
		"EXPORT DATABASE '/tmp/tidemark-escape'",
		"IMPORT DATABASE '/etc'",
		"FROM read_csv('/etc/passwd')",
		"FROM read_text('/proc/self/environ')",
		"FROM '/etc/passwd'",
		"FROM glob('/etc/*')",
		"FROM sniff_csv('/etc/passwd')",
		"FROM read_blob('/etc/../etc/passwd')",
		"FROM read_csv('https://example.com/x.csv')",
		"FROM read_csv('s3://bucket/x.csv')",
		"INSTALL httpfs",
		"LOAD httpfs",
		"LOAD '/tmp/x.duckdb_extension'",
		"SET enable_external_access=true",
		"SET allowed_paths=['/etc/passwd']",
		"SET temp_directory='/tmp'",
		"SET memory_limit='100GB'",
		"RESET memory_limit",
		"PRAGMA memory_limit='100GB'",
		"SET lock_configuration=false",
		"SELECT getenv('HOME')",
		"FROM query('FROM read_text(''/etc/passwd'')')",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(statements); i++) {
		struct sql_session s = {.duck = NULL};
		struct err why = ERR_INIT;
		json_t *none = json_array();

		MUST(sql_session_open(&s, 64u << 20, &err));
		MUST(sql_session_lock(&s, 1, none, NULL, &err));
		if (sql_session_run(&s, statements[i], &why) == ST_OK)
			fail_msg("%s: done", statements[i]);
		sql_session_close(&s);
		json_decref(none);
	}
	assert_false(file_exists("/tmp/tidemark-escape"));
	assert_false(file_exists("/tmp/tidemark-escape.csv"));
}

static enum status try_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd >= 0)
		close(fd);
	return fd >= 0 ? ST_OK : errno == EACCES ? ST_PROTECTED : ST_IO;
}

/* And behind that the system. In a process of its own, which stays so. */
static void test_sandbox(void **state)
{
	struct landlock_ruleset_attr rules = {.handled_access_fs = LANDLOCK_ACCESS_FS_READ_FILE};
	int has = (int)syscall(SYS_landlock_create_ruleset, &rules, sizeof(rules), 0);
	char mine[] = "/tmp/tidemark-sandbox-XXXXXX";
	int result = 0, low = mkstemp(mine), fd = fcntl(low, F_DUPFD_CLOEXEC, 9);
	pid_t pid;

	(void)state;
	pid = fork();
	if (pid == 0) {
		json_t *tables = json_pack("[{s:[{s:[s]}]}]", "groups", "files", mine);
		bool good;

		signal(SIGXFSZ, SIG_IGN);
		sql_sandbox_begin();
		sql_sandbox_files(tables);
		good = try_open(mine, O_RDONLY) == ST_OK && fcntl(fd, F_GETFD) < 0;
		if (has >= 0)
			good = good && try_open("/etc/passwd", O_RDONLY) == ST_PROTECTED &&
			       try_open(mine, O_RDWR) == ST_PROTECTED &&
			       try_open("/tmp/tidemark-escape", O_WRONLY | O_CREAT) == ST_PROTECTED;
		_exit(good ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &result, 0), pid);
	assert_int_equal(result, 0);
	pid = fork();
	if (pid == 0) {
		int out;

		signal(SIGXFSZ, SIG_IGN);
		sql_sandbox_begin();
		out = open(mine, O_WRONLY);
		_exit(write(out, "x", 1) < 0 && errno == EFBIG ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &result, 0), pid);
	assert_int_equal(result, 0);
	unlink(mine);
	close(low);
	close(fd);
}

/* Deep nesting is refused or parsed, and no stack overflows. */
static void test_depth(void **state)
{
	AUTO(buf_release) struct buf query = BUF_INIT;
	AUTO(buf_release) struct buf names = BUF_INIT;
	struct err err = ERR_INIT;

	(void)state;
	for (int depth = 100; depth <= 100000; depth *= 10) {
		enum status st;

		buf_clear(&query);
		buf_adds(&query, "SELECT ");
		for (int i = 0; i < depth; i++)
			buf_addc(&query, '(');
		buf_adds(&query, "SELECT 1");
		for (int i = 0; i < depth; i++)
			buf_addc(&query, ')');
		st = parse(buf_str(&query), &names, &err);
		assert_true(st == ST_OK || st == ST_USAGE);
		buf_clear(&query);
		buf_adds(&query, "SELECT 1");
		for (int i = 0; i < depth; i++)
			buf_adds(&query, "+1");
		st = parse(buf_str(&query), &names, &err);
		assert_true(st == ST_OK || st == ST_USAGE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),      cmocka_unit_test(test_with),
		cmocka_unit_test(test_statements), cmocka_unit_test(test_functions),
		cmocka_unit_test(test_locks),      cmocka_unit_test(test_sandbox),
		cmocka_unit_test(test_depth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
