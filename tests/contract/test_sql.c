/* Questions in SQL to a lake: what its files give, whatever their form, at any ref, and in
 * which forms. (Folders: test_sql_folders.c; what is refused: test_sql_refusals.c; history:
 * test_sql_history.c.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connector/writer/builtin_schemas.h"
#include "core/base/file.h"
#include "tests/lib/avro_file.h"
#include "tests/lib/child.h"
#include "tests/lib/duck.h"
#include "tests/lib/lake_steps.h"
#include "tests/lib/must.h"
#include "tests/lib/sql_steps.h"

/* ---- tables ---- */

static void test_forms(void **state)
{
	(void)state;
	put_text(NAMED("one", "0000", "jsonl"), "{\"id\":1,\"s\":\"x\"}\nnull\n{\"id\":2}\n");
	expect_rows("FROM one", "1,x\n2,\n");
	put_copy(NAMED("one", "0003", "jsonl.gz"), "SELECT 3 AS id, 'y' AS s",
		 "FORMAT json, COMPRESSION gzip");
	put_copy(NAMED("one", "0004", "jsonl.zst"),
		 "SELECT 4 AS id, {'a': 1.5, 'b': [1, 2]} AS more",
		 "FORMAT json, COMPRESSION zstd");
	put_copy(NAMED("one", "0005", "parquet"), "SELECT 5::BIGINT AS id, 'p' AS s, true AS new",
		 "FORMAT parquet");
	/* large, so a file of the lake's own */
	put_copy(NAMED("one", "0006", "parquet"),
		 "SELECT 6 + range AS id, md5(range::VARCHAR) AS s FROM range(5000)",
		 "FORMAT parquet");
	expect_rows("SELECT count(*), sum(id), count(s), count(more), count(new) FROM one",
		    "5005,12527515,5003,1,1\n");
	expect_rows("SELECT id, s, more.b[2], new FROM one WHERE id < 7 ORDER BY id",
		    "1,x,,\n2,,,\n3,y,,\n4,,2,\n5,p,,true\n6,cfcd208495d565ef66e7dff9f98764da,,\n");
	expect_rows("SELECT max(s) = md5('4999') FROM ONE WHERE id = 5005", "true\n");
}

/* What DuckDB finds in lines of JSON is what a second reading takes them for. */
static void test_json_types(void **state)
{
	(void)state;
	put_text(NAMED("one", "0000", "jsonl"),
		 "{\"a\":1,\"m\":{\"k 'q\":[1.5,null]},\"u\":18446744073709551615}\n"
		 "{\"a\":-1}\n");
	expect_rows("SELECT a, m['k ''q'][1], u FROM one ORDER BY a",
		    "-1,,\n1,1.5,18446744073709551615\n");
	put_text(NAMED("two", "0000", "jsonl"),
		 "{\"d\":\"2024-02-29\",\"t\":\"2024-02-29T12:00:00Z\"}\n{\"d\":\"2023-01-01\"}\n");
	expect_rows("SELECT max(d), max(t), typeof(max(d)) FROM two",
		    "2024-02-29,2024-02-29T12:00:00,DATE\n");
	put_text(NAMED("three", "0000", "jsonl"), "{\"x\":\"02/29/2024\",\"n\":1.25}\n");
	put_text(NAMED("three", "0001", "jsonl"), "{\"x\":7,\"n\":\"none\"}\n");
	expect_rows("SELECT x, n FROM three ORDER BY n::VARCHAR",
		    "7,\"\"\"none\"\"\"\n\"\"\"02/29/2024\"\"\",1.25\n");
}

/* ---- Avro ---- */

static void put_avro(const char *path, const char *schema, enum file_codec codec,
		     const char *const *values)
{
	AUTO(buf_release) struct buf file = BUF_INIT;

	avro_file_write(schema, codec, values, 2, &file);
	put_bytes(path, file.data, file.len);
}

#define PUT_AVRO(path, schema, codec, ...)                                                         \
	put_avro(path, schema, codec, (const char *const[]){__VA_ARGS__, NULL})

#define DECIMAL "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":9,\"scale\":2}"
#define STRINGS "{\"type\":\"array\",\"items\":\"string\"}"
#define INTS "{\"type\":\"map\",\"values\":\"int\"}"
#define ALIASED "{\"name\":\"label\",\"type\":\"string\",\"aliases\":[\"name\"]}"
#define DEFAULTED "{\"name\":\"new\",\"type\":\"double\",\"default\":0}"

static void test_avro(void **state)
{
	static const char first[] = RECORD(TWO(FIELD("id", "\"long\""), FIELD("s", "\"string\"")));
	static const char types[] = RECORD(TWO(
		THREE(FIELD("t", MILLIS), FIELD("d", DECIMAL), FIELD("n", "[\"null\",\"int\"]")),
		TWO(FIELD("l", STRINGS), FIELD("m", INTS))));

	(void)state;
	PUT_AVRO(NAMED("one", "0000", "avro"), first, CODEC_NULL, "{\"id\":1,\"s\":\"a\"}",
		 "{\"id\":2,\"s\":\"longer than twelve bytes\"}", "{\"id\":3,\"s\":\"\"}");
	PUT_AVRO(NAMED("one", "0003", "avro"), first, CODEC_SNAPPY, "{\"id\":4,\"s\":\"b\"}");
	PUT_AVRO(NAMED("one", "0004", "avro"), first, CODEC_DEFLATE, "{\"id\":5,\"s\":\"c\"}");
	PUT_AVRO(NAMED("one", "0005", "avro"), first, CODEC_ZSTANDARD, "{\"id\":6,\"s\":\"d\"}");
	expect_rows("FROM one ORDER BY id",
		    "1,a\n2,longer than twelve bytes\n3,\"\"\n4,b\n5,c\n6,d\n");
	expect_rows("SELECT count(*) FROM one", "6\n");
	expect_rows("SELECT max(s), min(s) FROM one WHERE id > 1",
		    "longer than twelve bytes,\"\"\n");
	expect_rows("SELECT s FROM one WHERE id = 2", "longer than twelve bytes\n");
	/* with other forms */
	put_text(NAMED("one", "0006", "jsonl"), "{\"id\":7,\"more\":true}\n");
	expect_rows("SELECT id, s, more FROM one WHERE id > 5 ORDER BY id", "6,d,\n7,,true\n");
	/* no row of the topic's */
	PUT_AVRO(NAMED("one", "0007", "avro"), builtin_schema(BUILTIN_TOMBSTONE)->json, CODEC_NULL,
		 "{\"key\":null,\"timestamp\":null,\"headers\":[],\"partition\":0,\"offset\":7}");
	expect_rows("SELECT count(*), max(id) FROM one", "7,7\n");
	PUT_AVRO(NAMED("two", "0000", "avro"), types, CODEC_NULL,
		 "{\"t\":1500,\"d\":12.5,\"n\":null,\"l\":[\"a\",\"b\"],\"m\":{\"k\":1}}");
	expect_rows("SELECT t, d, n, l[2], m['k'], typeof(d) FROM two",
		    "1970-01-01T00:00:01.5Z,12.50,,b,1,\"DECIMAL(9,2)\"\n");
	PUT_AVRO(NAMED("three", "0000", "avro"), "\"string\"", CODEC_NULL, "\"a\"", "\"b\"");
	expect_rows("FROM three ORDER BY ALL", "a\nb\n");
	expect_rows("DESCRIBE three", "value,VARCHAR,YES,,,\n");
}

/* What was written before a schema grew is one table with what came after. */
static void test_evolution(void **state)
{
	static const char v1[] = RECORD(THREE(FIELD("id", "\"int\""), FIELD("name", "\"string\""),
					      FIELD("gone", "\"string\"")));
	static const char v2[] = RECORD(THREE(ALIASED, FIELD("id", "\"long\""), DEFAULTED));

	(void)state;
	PUT_AVRO(NAMED("one", "0000", "avro"), v1, CODEC_NULL,
		 "{\"id\":1,\"name\":\"a\",\"gone\":\"x\"}");
	PUT_AVRO(NAMED("one", "0001", "avro"), v2, CODEC_NULL,
		 "{\"id\":5000000000,\"label\":\"b\",\"new\":1.5}");
	expect_rows("FROM one ORDER BY id", "a,1,,x\nb,5000000000,1.5,\n");
	expect_rows("DESCRIBE one", "label,VARCHAR,YES,,,\nid,BIGINT,YES,,,\nnew,DOUBLE,YES,,,\n"
				    "gone,VARCHAR,YES,,,\n");
	expect_rows("SELECT id FROM one WHERE label = 'a'", "1\n");
	/* the same of Parquet, and the newer schema first: its id says that it is newer */
	put_parquet(NAMED("two", "0000", "parquet"), "id:9", v2,
		    "SELECT 'b' AS label, 5000000000 AS id, 1.5::DOUBLE AS new");
	put_parquet(NAMED("two", "0001", "parquet"), "id:8", v1,
		    "SELECT 1 AS id, 'a' AS name, 'x' AS gone");
	put_parquet(NAMED("two", "0002", "parquet"), "id:8", v1,
		    "SELECT 2 AS id, 'c' AS name, 'y' AS gone");
	expect_rows("FROM two ORDER BY id", "a,1,,x\nc,2,,y\nb,5000000000,1.5,\n");
	/* and of both forms together */
	PUT_AVRO(NAMED("two", "0003", "avro"), v1, CODEC_NULL,
		 "{\"id\":3,\"name\":\"d\",\"gone\":\"z\"}");
	expect_rows("SELECT label, id FROM two ORDER BY id", "a,1\nc,2\nd,3\nb,5000000000\n");
}

#define LIST(type) "{\"type\":\"array\",\"items\":" type "}"
#define SUB(type) "{\"type\":\"record\",\"name\":\"S\",\"fields\":[" FIELD("b", type) "]}"

/* Files of one topic that disagree on a column's type: it is JSON where no type holds all;
 * a column of nulls has no say. */
static void test_disagreement(void **state)
{
	(void)state;
	put_parquet(NAMED("odd", "0000", "parquet"), "sha256:1",
		    RECORD(TWO(FIELD("n", "\"long\""),
			       TWO(FIELD("x", "\"long\""), FIELD("y", "\"boolean\"")))),
		    "SELECT 1::BIGINT AS n, 5::BIGINT AS x, true AS y");
	put_parquet(NAMED("odd", "0001", "parquet"), "sha256:2",
		    RECORD(TWO(FIELD("n", "\"long\""),
			       TWO(FIELD("x", "\"double\""), FIELD("y", "[\"null\"]")))),
		    "SELECT 2::BIGINT AS n, 1.5::DOUBLE AS x, NULL::INTEGER AS y");
	expect_rows("FROM odd ORDER BY n", "1,5.0,true\n2,1.5,\n");
	put_parquet(NAMED("odd", "0002", "parquet"), "sha256:3",
		    RECORD(TWO(FIELD("n", "\"long\""), FIELD("X", "\"string\""))),
		    "SELECT 3::BIGINT AS n, 'text' AS \"X\"");
	expect_rows("SELECT n, typeof(x), x FROM odd ORDER BY n",
		    "1,VARCHAR,5\n2,VARCHAR,1.5\n3,VARCHAR,text\n");
	put_parquet(NAMED("odd", "0003", "parquet"), "sha256:4",
		    RECORD(TWO(FIELD("n", "\"long\""), FIELD("x", JSON))),
		    "SELECT 4::BIGINT AS n, '[1, \"a\"]'::JSON AS x");
	put_parquet(NAMED("odd", "0004", "parquet"), "sha256:5",
		    RECORD(TWO(FIELD("n", "\"long\""), FIELD("x", LIST("\"long\"")))),
		    "SELECT 5::BIGINT AS n, [7] AS x");
	put_parquet(NAMED("odd", "0005", "parquet"), "sha256:6",
		    RECORD(TWO(FIELD("n", "\"long\""), FIELD("x", SUB("\"long\"")))),
		    "SELECT 6::BIGINT AS n, {'b': 8} AS x");
	put_parquet(NAMED("odd", "0006", "parquet"), "sha256:7",
		    RECORD(TWO(FIELD("n", "\"long\""), FIELD("x", "[\"null\"]"))),
		    "SELECT 7::BIGINT AS n, NULL::INTEGER AS x");
	expect_rows("SELECT n, typeof(x), x->>'$' FROM odd ORDER BY n",
		    "1,JSON,5\n2,JSON,1.5\n3,JSON,text\n4,JSON,\"[1,\"\"a\"\"]\"\n5,JSON,[7]\n"
		    "6,JSON,\"{\"\"b\"\":8}\"\n7,JSON,\n");
	put_parquet(NAMED("text", "0000", "parquet"), "sha256:1", RECORD(FIELD("x", "\"string\"")),
		    "SELECT 'text' AS x");
	put_parquet(NAMED("text", "0001", "parquet"), "sha256:2", RECORD(FIELD("x", JSON)),
		    "SELECT '[1]'::JSON AS x");
	expect_rows("SELECT x->>'$' FROM text ORDER BY 1", "[1]\ntext\n");
	/* what is no record, beside a column of its name */
	put_parquet(NAMED("own", "0000", "parquet"), "sha256:1",
		    RECORD(FIELD("value", "\"string\"")), "SELECT 'text' AS value");
	put_parquet(NAMED("own", "0001", "parquet"), "sha256:2", "[\"null\",\"string\"]",
		    "SELECT '[1]'::JSON AS value");
	expect_rows("SELECT value->>'$' FROM own ORDER BY 1", "[1]\ntext\n");
}

/* Text lies in the files' blocks, which are read again and again: no operator may
 * keep what is no longer there. The same rows as JSON say what is right. */
static void test_avro_text(void **state)
{
	enum { ROWS = 60000 };
	static const char schema[] = RECORD(
		THREE(FIELD("i", "\"long\""), FIELD("s", "\"string\""), FIELD("l", STRINGS)));
	static const char *const queries[] = {
		"SELECT count(*), count(DISTINCT s), min(s), max(s), sum(length(s)) FROM @",
		"SELECT s, count(*) AS n FROM @ GROUP BY s ORDER BY n DESC, s LIMIT 20",
		"SELECT s, i FROM @ ORDER BY s DESC, i LIMIT 50",
		"SELECT md5(string_agg(s, ',' ORDER BY i)) FROM @",
		"SELECT md5(list(l ORDER BY i)::VARCHAR) FROM @",
		"SELECT a.s, b.s FROM @ a JOIN @ b ON a.i = b.i - 59000 ORDER BY a.i LIMIT 30",
		"SELECT arg_max(s, i), first(s ORDER BY i), any_value(length(s)) > 0 FROM @",
		"SELECT i, lag(s) OVER (ORDER BY i) AS x FROM @ ORDER BY i LIMIT 5000",
		"SELECT count(*) FROM (SELECT s FROM @ INTERSECT SELECT s FROM @)",
		"SELECT i, unnest(l) AS u FROM @ ORDER BY i, u LIMIT 5000",
		"SELECT * FROM @ WHERE s LIKE '%7777%' ORDER BY i",
	};
	AUTO(freep) const char **values = xcalloc(ROWS + 1, sizeof(*values));
	AUTO(buf_release) struct buf lines = BUF_INIT;
	AUTO(buf_release) struct buf file = BUF_INIT;

	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		values[i] = xasprintf("{\"i\":%zu,\"s\":\"text number %zu of them\",\"l\":[\"item "
				      "number %zu\",\"%zu\"]}",
				      i, i * 7919 % 10007, i, i);
		buf_addf(&lines, "%s\n", values[i]);
	}
	put_bytes(NAMED("plain", "0000", "jsonl"), lines.data, lines.len);
	avro_file_write(schema, CODEC_SNAPPY, values, 300, &file);
	put_bytes(NAMED("avro", "0000", "avro"), file.data, file.len);
	for (size_t i = 0; i < ARRAY_SIZE(queries); i++) {
		AUTO(freep) char *plain = fill_in(queries[i], "plain");
		AUTO(freep) char *avro = fill_in(queries[i], "avro");
		AUTO(buf_release) struct buf right = BUF_INIT;
		AUTO(buf_release) struct buf found = BUF_INIT;

		MUST(ask_csv(plain, &right, &err));
		MUST(ask_csv(avro, &found, &err));
		assert_string_equal(buf_str(&found), buf_str(&right));
	}
	for (size_t i = 0; i < ROWS; i++)
		free((char *)(uintptr_t)values[i]);
}

static void test_names(void **state)
{
	struct lake_move main_too = {.kind = LAKE_BRANCH, .name = "main"};

	(void)state;
	put_text(NAMED("one", "0000", "jsonl"), "{\"id\":1}\n");
	main_too.expected = head_of(LAKE, "main");
	main_too.to = head_of(LAKE, "dev");
	MUST(lake_refs_move(LAKE, &main_too, 1, "test", &err));
	put_text(NAMED("one", "0001", "jsonl"), "{\"id\":2}\n");
	put_text(NAMED("Two", "0000", "jsonl"), "{\"id\":3}\n");
	put_text(NAMED("_own", "0000", "jsonl"), "{\"id\":8}\n");
	put_text("topics/v1.events/partition=0/v1.events+0+0000000000.jsonl", "{\"id\":4}\n");
	put_text("reference/cities.jsonl", "{\"id\":5}\n");
	put_text("reference/more/a.jsonl", "{\"id\":6}\n");
	put_text("reference/more/_SUCCESS", "");
	put_text("topics/raw/partition=0/raw+0+0000000000.bin", "x\n");
	put_text("topics/odd/partition=0/notes.txt", "x\n");
	put_text("_tidemark/flights.json", "{}");
	put_text("_deadletters/flights/one/x.jsonl", "{}\n");

	expect_rows("FROM one ORDER BY id", "1\n2\n");
	expect_rows("FROM \"main:one\"", "1\n");
	expect_rows("FROM one EXCEPT FROM \"main:one\"", "2\n");
	expect_rows("SELECT a.id, b.id FROM \"dev~1:two\" a, \"dev:one\" b ORDER BY ALL",
		    "3,1\n3,2\n");
	expect_rows("FROM _own", "8\n");
	expect_rows("FROM v1.events", "4\n");
	expect_rows("FROM \"v1.events\"", "4\n");
	expect_rows("FROM \"reference/cities.jsonl\"", "5\n");
	expect_rows("FROM \"main~0:topics/one\"", "1\n");
	expect_rows("FROM \"reference/more/\"", "6\n");
	expect_rows("WITH one AS (FROM one) SELECT count(*) FROM one", "2\n");
	expect_rows("FROM one AS two WHERE two.id = 2", "2\n");

	expect_error("FROM three", ST_NOT_FOUND, "it has Two, _own, odd, one, raw, v1.events");
	expect_error("FROM onne", ST_NOT_FOUND, "did you mean 'one'");
	expect_error("FROM \"main:two\"", ST_NOT_FOUND, "no table 'two' at main; it has one");
	expect_error("FROM \"nothing:one\"", ST_NOT_FOUND, "nothing");
	expect_error("FROM \":one\"", ST_USAGE, "REF:TABLE");
	expect_error("FROM \"main:\"", ST_USAGE, "REF:TABLE");
	expect_error("FROM \"reference/none\"", ST_NOT_FOUND, "no such folder or file");
	expect_error("FROM raw", ST_USAGE, "format=bytes");
	expect_error("FROM odd", ST_USAGE, "notes.txt");
	expect_error("FROM \"_tidemark/flights.json\"", ST_USAGE, "is no data");
	expect_error("FROM \"_deadletters/flights\"", ST_USAGE, "is no data; lake$deadletters");
	expect_error("FROM _tidemark", ST_NOT_FOUND, "no table '_tidemark'");
	expect_error("FROM information_schema.tables", ST_NOT_FOUND, "no table");
	expect_error("FROM duckdb_settings", ST_NOT_FOUND, "no table");
	expect_error("FROM sqlite_master", ST_NOT_FOUND, "no table");
	expect_error("SELECT nothing FROM one", ST_USAGE, "nothing");
	expect_error("SELECT 1 +", ST_USAGE, "syntax error");
	put_text("topics/ONE/partition=0/ONE+0+0000000000.jsonl", "{\"id\":7}\n");
	expect_rows("FROM ONE", "7\n");
	expect_error("FROM One", ST_USAGE, "may be 'topics/ONE' or 'topics/one'");
}

/* ---- forms of the answer ---- */

static void expect_form(enum sql_format format, const char *query, const char *text)
{
	AUTO(buf_release) struct buf out = BUF_INIT;

	MUST(run_query((struct sql_query){.text = query, .format = format}, "dev", &out, &err));
	assert_string_equal(buf_str(&out), text);
}

/* Whole numbers and texts are written as they are; beside any other column they are
 * cast. */
static void expect_plain(void)
{
#define WHOLE                                                                                      \
	"SELECT (-128)::TINYINT AS a, (-32768)::SMALLINT AS b, (-2147483648)::INTEGER AS c, "      \
	"(-9223372036854775808)::BIGINT AS d, 255::UTINYINT AS e, 65535::USMALLINT AS f, "         \
	"4294967295::UINTEGER AS g, 18446744073709551615::UBIGINT AS h"
#define WHOLE_TEXT                                                                                 \
	"-128,-32768,-2147483648,-9223372036854775808,255,65535,4294967295,18446744073709551615"
	static const char json[] =
		"{\"a\":-128,\"b\":-32768,\"c\":-2147483648,\"d\":-9223372036854775808,\"e\":255,"
		"\"f\":65535,\"g\":4294967295,\"h\":18446744073709551615}\n";

	expect_rows(WHOLE
		    ", 'more than twelve bytes' AS s UNION ALL SELECT NULL, NULL, NULL, NULL, "
		    "NULL, NULL, NULL, NULL, NULL",
		    WHOLE_TEXT ",more than twelve bytes\n,,,,,,,,\n");
	expect_rows(WHOLE ", true AS s", WHOLE_TEXT ",true\n");
	expect_form(SQL_JSON, WHOLE, json);
	expect_rows("SELECT 7 AS a; -- ;", "7\n");
	expect_rows("SELECT 7.5 AS a; -- ;", "7.5\n");
	expect_rows("SELECT '{\"q\":\n 1}'::JSON AS a", "\"{\"\"q\"\":\n 1}\"\n");
#undef WHOLE
#undef WHOLE_TEXT
}

static void test_output(void **state)
{
	AUTO(buf_release) struct buf out = BUF_INIT;
	AUTO(buf_release) struct buf cell = BUF_INIT;
	AUTO(freep) char *file = xasprintf("%s/answer", sql_world.temp);

	(void)state;
	expect_plain();
	expect_form(SQL_CSV,
		    "SELECT 1 AS a, 'x' AS \"b,c\", NULL AS d, '' AS e, 'a\"b' AS f, 'l\n' g",
		    "a,\"b,c\",d,e,f,g\n1,x,,\"\",\"a\"\"b\",\"l\n\"\n");
	expect_form(SQL_CSV, "SELECT 1 AS a, 2 AS a FROM range(0)", "a,a\n");
	expect_form(
		SQL_JSON,
		"SELECT 1 AS a, 'q\"\\\n' AS b, NULL AS \"x\"\"y\", 'nan'::DOUBLE AS c, 1e300 AS "
		"d, "
		"[1, NULL] AS e, {'k': 'v'} AS f, 12345678901234567890.10::DECIMAL(30, 2) AS g, "
		"'{\"q\":\n 1}'::JSON AS h, 0.1::FLOAT AS i, true AS j",
		"{\"a\":1,\"b\":\"q\\\"\\\\\\n\",\"x\\\"y\":null,\"c\":\"nan\",\"d\":1e+300,"
		"\"e\":[1,null],\"f\":{\"k\":\"v\"},\"g\":12345678901234567890.10,"
		"\"h\":{\"q\":1},\"i\":0.1,\"j\":true}\n");
	expect_form(SQL_JSON,
		    "SELECT {'x': 'nan'::DOUBLE, 'NaN\\\"': 'Infinity \\\"NaN'} AS r, "
		    "['inf'::FLOAT, -1, '-inf'] AS l",
		    "{\"r\":{\"x\":\"nan\",\"NaN\\\\\\\"\":\"Infinity \\\\\\\"NaN\"},"
		    "\"l\":[\"inf\",-1.0,\"-inf\"]}\n");
	expect_form(SQL_JSON,
		    "SELECT TIMESTAMPTZ '2026-01-02 03:04:05.678+01' AS t, TIMESTAMP '2026-01-02 "
		    "03:04:05' AS u, DATE '2026-01-02' AS d",
		    "{\"t\":\"2026-01-02T02:04:05.678Z\",\"u\":\"2026-01-02T03:04:05\","
		    "\"d\":\"2026-01-02\"}\n");
	expect_form(SQL_TABLE,
		    "SELECT * FROM (VALUES ('a', 1), ('bc\t', -12), (NULL, NULL)) v(name, n)",
		    "name     n\n----  ----\na        1\nbc?    -12\nNULL  NULL\n(3 rows)\n");
	MUST(run_query(
		(struct sql_query){.text = "SELECT range AS a, 'x' AS \"b\"\"c\" FROM range(70000)",
				   .format = SQL_PARQUET},
		"dev", &out, &err));
	MUST(file_replace(file, buf_str(&out), out.len, &err));
	duck_ask(&cell,
		 "SELECT concat(count(*), ' ', sum(a), ' ', max(\"b\"\"c\")) FROM "
		 "read_parquet('%s')",
		 file);
	assert_string_equal(buf_str(&cell), "70000 2449965000 x");
	unlink(file);
	buf_clear(&out);
	MUST(ask_csv("SELECT range, repeat('x', 100) FROM range(100000)", &out, &err));
	assert_true(out.len > 10000000);
}

#define SUITE(test)                                                                                \
	{                                                                                          \
		test(test_forms), test(test_names), test(test_avro)                                \
	}

int main(void)
{
	AUTO(freep) char *program = child_program_path("tidemark-sql");
	const struct CMUnitTest remote[] = SUITE(SQL_TEST_REMOTE);
	const struct CMUnitTest embedded[] = SUITE(SQL_TEST);
	const struct CMUnitTest rest[] = {
		SQL_TEST(test_evolution), SQL_TEST(test_json_types), SQL_TEST(test_disagreement),
		SQL_TEST(test_avro_text), SQL_TEST(test_output),
	};
	int failed;

	sql_use_program(program);
	/* The socket's first: its owners are forked before RocksDB has threads. */
	failed = cmocka_run_group_tests_name("through the socket", remote, NULL, NULL);
	failed += cmocka_run_group_tests_name("embedded", embedded, NULL, NULL);
	return failed + cmocka_run_group_tests_name("answers", rest, NULL, NULL);
}
