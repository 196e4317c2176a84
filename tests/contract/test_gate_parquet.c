/* The gates that read records, over Parquet files: as many of them as can be are read by
 * one process, and what they find is as if each had been read alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "connector/columnar/sql.h"
#include "connector/gates/rows.h"
#include "core/base/clock.h"
#include "core/base/file.h"
#include "tests/lib/child.h"
#include "tests/lib/duck.h"
#include "tests/lib/gate_steps.h"
#include "tests/lib/must.h"
#include "tests/lib/virtual_clock.h"

static struct gate_world w;

static char *program; /* of a query */
static char script[256]; /* in its place */

#define ASK(query) "gates=g\ngates.g.type=sql\ngates.g.query=" query "\n"

/* What DuckDB makes of a SELECT: the bytes of a file. */
static void make_parquet(struct buf *out, const char *schema, const char *select)
{
	AUTO(freep) char *file = xasprintf("%s/copy", w.dir);

	duck_run("COPY (%s) TO '%s' (FORMAT parquet, KV_METADATA {'parquet.avro.schema': '%s'})",
		 select, file, schema);
	MUST(file_read(file, 16u << 20, out, &err));
	unlink(file);
}

/* As a file of the partition with n offsets from `from`. */
static void add_parquet(int partition, int64_t from, int64_t n, const struct buf *data)
{
	AUTO(freep)
	char *path = xasprintf("topics/t/partition=%d/t+%d+%010" PRId64 ".parquet", partition,
			       partition, from);
	AUTO(freep) char *offsets = xasprintf("%" PRId64 "-%" PRId64, from, from + n - 1);

	gate_write_raw(&w, path, partition, from, from + n, offsets, data->data, data->len);
}

static void write_parquet(int partition, int64_t from, int64_t n, const char *schema,
			  const char *select)
{
	AUTO(buf_release) struct buf data = BUF_INIT;

	make_parquet(&data, schema, select);
	add_parquet(partition, from, n, &data);
}

#define FIELD(type, name) "gates=g\ngates.g.type=" type "\ngates.g.field=" name "\n"
#define RECORD(fields) "{\"type\":\"record\",\"name\":\"R\",\"fields\":[" fields "]}"
#define ID "{\"name\":\"id\",\"type\":\"long\"}"
#define S "{\"name\":\"s\",\"type\":\"string\"}"

static void test_fields(void **state)
{
	(void)state;
	write_parquet(
		0, 0, 3, RECORD(ID),
		"SELECT * FROM (VALUES (1, 'a', 0.1::FLOAT, TIMESTAMPTZ '2026-01-02 03:04:05Z', "
		"{'zip': 'x1', 'n': 5}), (2, NULL, 0.5, TIMESTAMPTZ '2026-01-03 00:00:00Z', "
		"{'zip': 'y2', 'n': -7}), (2, 'c', 'nan'::FLOAT, NULL, NULL)) v(id, s, f, t, r)");
	gate_expect(&w, ST_OK, NULL, FIELD("nulls", "id"));
	gate_expect(&w, ST_HELD, "s is null in 1 of 3 rows (max=0); the first: null at offset 1 of",
		    FIELD("nulls", "s"));
	gate_expect(&w, ST_HELD, "offset 2", FIELD("unique", "id"));
	gate_expect(&w, ST_HELD, "offset 1", FIELD("range", "r.n") "gates.g.min=0\n");
	gate_expect(&w, ST_OK, NULL, FIELD("pattern", "r.zip") "gates.g.pattern=[a-z][0-9]\n");
	gate_expect(&w, ST_HELD, "offset 2", FIELD("range", "f") "gates.g.min=0.1\n");
	gate_expect(
		&w, ST_OK, NULL,
		FIELD("range", "t") "gates.g.min=2026-01-02T03:04:05Z\ngates.g.max=2026-01-03\n");
	gate_expect(&w, ST_HELD, "offset 0", FIELD("range", "t") "gates.g.min=2026-01-03\n");
	gate_expect(&w, ST_HELD, "nothing", FIELD("range", "nothing") "gates.g.min=0\n");
	gate_expect(&w, ST_HELD, "it's", FIELD("range", "it's") "gates.g.min=0\n");
	gate_expect(&w, ST_OK, NULL,
		    FIELD("range", "nothing") "gates.g.min=0\ngates.g.optional=true\n");
}

static void test_damage(void **state)
{
	(void)state;
	gate_write_raw(&w, "topics/t/partition=0/t+0+0000000000.parquet", 0, 0, 1, "0",
		       "this is no Parquet, whatever it says", 36);
	gate_expect(&w, ST_HELD, "t+0+0000000000.parquet", FIELD("nulls", "id"));
}

static void test_schema(void **state)
{
	const struct gate_format narrow = {.format = FORMAT_PARQUET, .schema = RECORD(ID)};
	const struct gate_format wide = {.format = FORMAT_PARQUET, .schema = RECORD(ID "," S)};

	(void)state;
	GATE_WRITE(&w, &narrow, 0, 0, "{\"id\":1}");
	gate_show(&w);
	GATE_WRITE(&w, &wide, 0, 1, "{\"id\":2,\"s\":\"a\"}");
	gate_expect(&w, ST_HELD, "cannot read",
		    "gates=g\ngates.g.type=schema\ngates.g.compatibility=backward\n");
	gate_expect(&w, ST_OK, NULL,
		    "gates=g\ngates.g.type=schema\ngates.g.compatibility=forward\n");
	gate_expect(&w, ST_HELD, "nothing", FIELD("nulls", "nothing"));
	gate_expect(&w, ST_OK, NULL, FIELD("nulls", "s"));
	gate_expect(&w, ST_HELD, "1 row: {\"id\":2,\"s\":\"a\"}", ASK("FROM added"));
}

/* Their file has a schema of its own; its rows are none of the topic's. */
static void test_tombstones(void **state)
{
	const struct gate_format format = {.format = FORMAT_PARQUET, .schema = RECORD(ID)};

	(void)state;
	GATE_WRITE(&w, &format, 0, 0, "{\"id\":1}", NULL, "{\"id\":2}");
	gate_expect(&w, ST_HELD, "{\"ids\":[1,2]}",
		    ASK("SELECT list(id ORDER BY id) AS ids FROM added"));
	gate_expect(&w, ST_HELD, "{\"columns\":1}",
		    ASK("SELECT count(*) AS columns FROM (DESCRIBE added)"));
	gate_expect(&w, ST_OK, NULL, FIELD("nulls", "id"));
	gate_show(&w);
	GATE_WRITE(&w, &format, 0, 3, NULL, NULL);
	gate_expect(&w, ST_OK, NULL, FIELD("nulls", "id"));
	gate_expect(&w, ST_OK, NULL, "gates=g\ngates.g.type=schema\ngates.g.compatibility=full\n");
}

/* Which JSON has no numbers for. */
static void test_no_numbers(void **state)
{
	(void)state;
	write_parquet(0, 0, 4, RECORD(ID),
		      "SELECT id, {'x': x::DOUBLE, 's': s} AS r FROM (VALUES (1, 'nan', 'NaN\"'), "
		      "(2, '-inf', 'Infinity\\'), (3, 'inf', ''), (4, '4', 'a')) v(id, x, s)");
	gate_expect(&w, ST_OK, NULL, FIELD("nulls", "r.x"));
	gate_expect(&w, ST_HELD, "in 3 of 4 rows (max=0); the first: 'nan' at offset 0",
		    FIELD("range", "r.x") "gates.g.max=4\n");
	gate_expect(&w, ST_OK, NULL,
		    FIELD("pattern", "r.s") "gates.g.pattern=(NaN\"|Infinity.)?a?\n");
}

/* ---- many files ---- */

/* The program of queries is this shell script from now on. */
static void use_script(const char *text)
{
	FILE *f;

	snprintf(script, sizeof(script), "%s/program", w.dir);
	f = fopen(script, "w");
	assert_non_null(f);
	fprintf(f, "#!/bin/sh\n%s\n", text);
	fclose(f);
	assert_int_equal(chmod(script, 0700), 0);
	sql_use_program(script);
}

#define IDS                                                                                        \
	"gates=n,u,r\n"                                                                            \
	"gates.n.type=nulls\ngates.n.field=id\n"                                                   \
	"gates.u.type=unique\ngates.u.field=id\ngates.u.max=1\n"                                   \
	"gates.r.type=range\ngates.r.field=id\ngates.r.min=0\ngates.r.max=9999\n"

/* Two rows a file, all different but the last, which is the first again. */
static void test_many(void **state)
{
	enum { N = ROWS_FILES_AHEAD + 20 };
	AUTO(gate_results_release) struct gate_results results = {0};
	AUTO(buf_release) struct buf started = BUF_INIT;
	AUTO(freep) char *count = xasprintf("%s/count", w.dir);
	AUTO(freep) char *counting = xasprintf("echo >>%s; exec %s", count, program);

	(void)state;
	for (int i = 0; i < N; i++) {
		AUTO(freep)
		char *rows = xasprintf("SELECT unnest([%d, %d])::BIGINT AS id", 2 * i,
				       i == N - 1 ? 0 : 2 * i + 1);

		write_parquet(0, 2 * i, 2, RECORD(ID), rows);
	}
	use_script(counting);
	MUST(gate_judge(&w, IDS, &results, &err));
	sql_use_program(program);
	assert_non_null(strstr(results.items[0].output, "0 of 552 rows: id is null"));
	assert_non_null(strstr(results.items[1].output, "1 of 552 rows: id is there again"));
	assert_non_null(strstr(results.items[2].output, "0 of 552 rows"));
	MUST(file_read(count, 100, &started, &err));
	assert_int_equal(started.len, 2);
	gate_expect(&w, ST_HELD, "the first: offset 551 of topics/t/partition=0/t+0+0000000550",
		    FIELD("unique", "id"));
	gate_expect(&w, ST_HELD, "the first: 542 at offset 542 of",
		    FIELD("range", "id") "gates.g.max=541\n");
}

/* What is in one file changes nothing of another's values. */
static void test_different_columns(void **state)
{
	static const char *const files[] = {
		"SELECT 9007199254740993 AS x, {'a': 1} AS r, 1 AS id",
		"SELECT 9007199254740993 AS x, {'a': 1} AS r, 1 AS id",
		"SELECT 0.5::DOUBLE AS x, {'a': 'b'} AS r, 1 AS id",
		"SELECT '7' AS x, {'b': 1} AS r, 1 AS id",
		"SELECT 1 AS id",
		"SELECT 1 AS id, [1] AS r, NULL::INTEGER AS x",
		"SELECT {'a': NULL::INTEGER} AS r, 9007199254740993 AS x",
		"SELECT DATE '2026-01-02' AS x, 1 AS id WHERE false",
		"SELECT 9007199254740993 AS x, {'a': 1} AS r, 1 AS id",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		write_parquet(0, (int64_t)i, 1, RECORD(ID), files[i]);
	gate_expect(&w, ST_HELD, "in 1 of 8 rows (max=0); the first: '7' at offset 3",
		    FIELD("range", "x") "gates.g.max=9007199254740993\n");
	gate_expect(&w, ST_HELD, "in 2 of 8 rows", FIELD("range", "x") "gates.g.min=1\n");
	gate_expect(&w, ST_HELD, "in 2 of 8 rows (max=0); the first: absent at offset 4",
		    FIELD("nulls", "x"));
	gate_expect(&w, ST_HELD, "in 4 of 8 rows (max=0); the first: absent at offset 3",
		    FIELD("nulls", "r.a"));
	gate_expect(&w, ST_HELD, "in 1 of 8 rows (max=0); the first: 'b' at offset 2",
		    FIELD("range", "r.a") "gates.g.max=1\n");
}

#define TWO(field)                                                                                 \
	"gates=sound,all\ngates.sound.paths=topics/t/partition=0/,topics/t/*/t+1+00000[012]*\n"    \
	"gates.sound.type=unique\ngates.sound.field=" field "\n"                                   \
	"gates.all.type=nulls\ngates.all.field=" field "\n"

/* Twenty files a partition; of one in the second the rows cannot be read, which is found when
 * rows of those before it have been given. */
static void test_one_damaged(void **state)
{
	AUTO(gate_results_release) struct gate_results results = {0};
	struct err err = ERR_INIT;

	(void)state;
	for (int i = 0; i < 40; i++) {
		AUTO(buf_release) struct buf data = BUF_INIT;
		AUTO(freep)
		char *rows = xasprintf("SELECT range::BIGINT AS id FROM range(%d,%d)", 3000 * i,
				       3000 * (i + 1));

		make_parquet(&data, RECORD(ID), rows);
		if (i == 30)
			memset(data.data + 4, 0xff, 16); /* a page's header */
		add_parquet(i / 20, 3000 * (i % 20), 3000, &data);
	}
	assert_int_equal(gate_judge(&w, TWO("id"), &results, &err), ST_HELD);
	assert_non_null(strstr(err.text, "gate all: topics/t/partition=1/t+1+0000030000.parquet"));
	assert_int_equal(results.items[0].verdict, GATE_PASSED);
	assert_non_null(strstr(results.items[0].output, "0 of 90000 rows"));
	/* and where it is no Parquet at all */
	gate_show(&w);
	gate_write_raw(&w, "topics/t/partition=1/t+1+0000060000.parquet", 1, 60000, 60001, NULL,
		       "PAR1 this is none PAR1", 22);
	write_parquet(0, 60000, 1, RECORD(ID), "SELECT 1 AS id");
	gate_results_release(&results);
	assert_int_equal(gate_judge(&w, TWO("id"), &results, &err), ST_HELD);
	assert_non_null(strstr(err.text, "gate all: topics/t/partition=1/t+1+0000060000.parquet"));
	assert_int_equal(results.items[0].verdict, GATE_PASSED);
}

/* ---- the process ---- */

static void *stop_soon(void *ctx)
{
	(void)ctx;
	usleep(300 * 1000);
	w.stop = true;
	return NULL;
}

static void test_ends(void **state)
{
	const struct gate_format narrow = {.format = FORMAT_PARQUET, .schema = RECORD(ID)};
	const struct gate_format wide = {.format = FORMAT_PARQUET, .schema = RECORD(ID "," S)};
	int64_t began;
	pthread_t thread;

	(void)state;
	GATE_WRITE(&w, &narrow, 0, 0, "{\"id\":1}");
	gate_show(&w);
	GATE_WRITE(&w, &wide, 0, 1, "{\"id\":1,\"s\":\"a\"}");
	GATE_WRITE(&w, &wide, 0, 2, "{\"id\":2,\"s\":\"a\"}");
	/* each one, whatever it is asked for */
	setenv("TIDEMARK_KILL_AT", "sql.run:1", 1);
	gate_expect(&w, ST_HELD, "t+0+0000000001.parquet: the query's process was killed",
		    FIELD("nulls", "id"));
	gate_expect(&w, ST_HELD, ".parquet: the query's process was killed",
		    "gates=g\ngates.g.type=schema\n");
	unsetenv("TIDEMARK_KILL_AT");
	use_script("exec sleep 60");
	began = clock_system()->mono_us(clock_system());
	assert_int_equal(pthread_create(&thread, NULL, stop_soon, NULL), 0);
	gate_expect(&w, ST_INTERRUPTED, "gate g: ", FIELD("nulls", "id"));
	pthread_join(thread, NULL);
	assert_true(clock_system()->mono_us(clock_system()) - began < 20 * 1000000);
	sql_use_program(program);
}

/* The query counts its time for itself, and is at the limit where the gates' clock is not:
 * here that one stands still. */
static void test_limit(void **state)
{
	static const char *const reasons[] = {"no verdict within 200 ms",
					      "no verdict within 300 ms"};
	const struct gate_format narrow = {.format = FORMAT_PARQUET, .schema = RECORD(ID)};
	const struct gate_format wide = {.format = FORMAT_PARQUET, .schema = RECORD(ID "," S)};
	AUTO(gate_results_release) struct gate_results results = {0};
	struct err err = ERR_INIT;
	struct virtual_clock clock;

	(void)state;
	GATE_WRITE(&w, &narrow, 0, 0, "{\"id\":1}");
	gate_show(&w);
	GATE_WRITE(&w, &wide, 0, 1, "{\"id\":1,\"s\":\"a\"}");
	virtual_clock_init(&clock, 0);
	w.clock = &clock.clock;
	use_script("exec sleep 60");
	/* of one query for both */
	assert_int_equal(gate_judge(&w,
				    "gates=g,h\ngates.g.type=nulls\ngates.g.field=id\n"
				    "gates.g.timeout.ms=200\ngates.h.type=unique\n"
				    "gates.h.field=id\ngates.h.timeout.ms=300\n",
				    &results, &err),
			 ST_HELD);
	assert_int_equal(results.n, ARRAY_SIZE(reasons));
	for (size_t i = 0; i < results.n; i++) {
		assert_int_equal(results.items[i].verdict, GATE_REFUSED);
		assert_string_equal(results.items[i].reason, reasons[i]);
	}
	gate_expect(&w, ST_HELD, "gate g: no verdict within 300 ms",
		    "gates=g\ngates.g.type=schema\ngates.g.timeout.ms=300\n");
	sql_use_program(program);
	gate_expect(&w, ST_HELD, "gate g: no verdict within 300 ms",
		    ASK("SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE (a.range * "
			"b.range) % 7 = 3") "gates.g.timeout.ms=300\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		GATE_TEST(test_fields, &w),
		GATE_TEST(test_damage, &w),
		GATE_TEST(test_schema, &w),
		GATE_TEST(test_no_numbers, &w),
		GATE_TEST(test_tombstones, &w),
		GATE_TEST(test_many, &w),
		GATE_TEST(test_different_columns, &w),
		GATE_TEST(test_one_damaged, &w),
		GATE_TEST(test_ends, &w),
		GATE_TEST(test_limit, &w),
	};

	program = child_program_path("tidemark-sql");
	sql_use_program(program);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
