/* Questions in SQL to a lake: what its files give, whatever their form, at any ref;
 * what is refused; and that nothing stays behind, however a query ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <cmocka.h>

#include <dirent.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connector/columnar/sql_refs.h"
#include "connector/writer/builtin_schemas.h"
#include "core/base/file.h"
#include "tests/lib/avro_file.h"
#include "tests/lib/child.h"
#include "tests/lib/duck.h"
#include "tests/lib/lake_fixture.h"
#include "tests/lib/lake_steps.h"
#include "tests/lib/must.h"
#include "tests/lib/tempdir.h"

static struct lake_fixture fixture;
static char *temp; /* TMPDIR of the queries: nothing may stay in it */
static char *outside; /* what a query must never reach */

#define LAKE (fixture.lake)

static int open_lake_of(enum lake_way way)
{
	AUTO(freep) char *secret = NULL;
	struct err err = ERR_INIT;

	lake_fixture_open(&fixture, way, 0);
	make_branch(LAKE, "dev");
	temp = tempdir_new();
	outside = tempdir_new();
	setenv("TMPDIR", temp, 1);
	secret = xasprintf("%s/secret.csv", outside);
	return file_replace(secret, "a\n1\n", 4, &err) == ST_OK ? 0 : -1;
}

static int open_embedded(void **state)
{
	(void)state;
	return open_lake_of(LAKE_EMBEDDED);
}

static int open_socket(void **state)
{
	(void)state;
	return open_lake_of(LAKE_SOCKET);
}

static size_t count_in(const char *folder)
{
	DIR *dir = opendir(folder);
	size_t n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2;
}

static int close_lake(void **state)
{
	(void)state;
	assert_int_equal(count_in(temp), 0);
	assert_int_equal(count_in(outside), 1);
	unsetenv("TMPDIR");
	lake_fixture_close(&fixture);
	tempdir_remove(&temp);
	tempdir_remove(&outside);
	return 0;
}

/* ---- asking ---- */

static enum status take(void *ctx, const void *data, size_t len, struct err *err)
{
	(void)err;
	buf_add(ctx, data, len);
	return ST_OK;
}

static enum status run(struct sql_query q, const char *at, struct buf *out, struct err *err)
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

static enum status ask(const char *query, struct buf *out, struct err *err)
{
	return run((struct sql_query){.text = query, .format = SQL_CSV}, "dev", out, err);
}

/* The rows, without the line of names. */
static void expect(const char *query, const char *rows)
{
	AUTO(buf_release) struct buf out = BUF_INIT;
	const char *line;

	MUST(ask(query, &out, &err));
	line = strchr(buf_str(&out), '\n');
	if (!line || strcmp(line + 1, rows) != 0)
		fail_msg("%s\ngives\n%swanted\n%s", query, buf_str(&out), rows);
}

static void expect_error(const char *query, enum status st, const char *says)
{
	AUTO(buf_release) struct buf out = BUF_INIT;

	MUST_SAY(st, says, ask(query, &out, &err));
	assert_int_equal(out.len, 0);
}

static void put(const char *path, const void *data, size_t len)
{
	commit_bytes(LAKE, "dev", path, data, len);
}

static void put_text(const char *path, const char *text)
{
	put(path, text, strlen(text));
}

/* A file that DuckDB makes of a SELECT. */
static void copy(const char *select, const char *options, struct buf *out)
{
	AUTO(freep) char *file = xasprintf("%s/copy", outside);

	duck_run("COPY (%s) TO '%s' (%s)", select, file, options);
	MUST(file_read(file, 64u << 20, out, &err));
	unlink(file);
}

static void put_copy(const char *path, const char *select, const char *options)
{
	AUTO(buf_release) struct buf content = BUF_INIT;

	copy(select, options, &content);
	put(path, buf_str(&content), content.len);
}

/* With the schema's name beside it, and what its folders were made of, as the writer does
 * it. fields NULL: of no fields. */
static void put_routed(const char *path, const char *schema_name, const char *fields,
		       const void *data, size_t len)
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

static void put_named(const char *path, const char *schema_name, const void *data, size_t len)
{
	put_routed(path, schema_name, NULL, data, len);
}

/* As the writer does it: the schema's name beside the file, its text within. */
static void put_parquet(const char *path, const char *schema_name, const char *schema,
			const char *select)
{
	AUTO(buf_release) struct buf content = BUF_INIT;
	AUTO(freep)
	char *options =
		xasprintf("FORMAT parquet, KV_METADATA {'parquet.avro.schema': '%s'}", schema);

	copy(select, options, &content);
	put_named(path, schema_name, content.data, content.len);
}

/* ---- tables ---- */

#define NAMED(topic, offset, end) "topics/" topic "/partition=0/" topic "+0+000000" offset "." end

static void test_forms(void **state)
{
	(void)state;
	put_text(NAMED("one", "0000", "jsonl"), "{\"id\":1,\"s\":\"x\"}\nnull\n{\"id\":2}\n");
	expect("FROM one", "1,x\n2,\n");
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
	expect("SELECT count(*), sum(id), count(s), count(more), count(new) FROM one",
	       "5005,12527515,5003,1,1\n");
	expect("SELECT id, s, more.b[2], new FROM one WHERE id < 7 ORDER BY id",
	       "1,x,,\n2,,,\n3,y,,\n4,,2,\n5,p,,true\n6,cfcd208495d565ef66e7dff9f98764da,,\n");
	expect("SELECT max(s) = md5('4999') FROM ONE WHERE id = 5005", "true\n");
}

/* What DuckDB finds in lines of JSON is what a second reading takes them for. */
static void test_json_types(void **state)
{
	(void)state;
	put_text(NAMED("one", "0000", "jsonl"),
		 "{\"a\":1,\"m\":{\"k 'q\":[1.5,null]},\"u\":18446744073709551615}\n"
		 "{\"a\":-1}\n");
	expect("SELECT a, m['k ''q'][1], u FROM one ORDER BY a",
	       "-1,,\n1,1.5,18446744073709551615\n");
	put_text(NAMED("two", "0000", "jsonl"),
		 "{\"d\":\"2024-02-29\",\"t\":\"2024-02-29T12:00:00Z\"}\n{\"d\":\"2023-01-01\"}\n");
	expect("SELECT max(d), max(t), typeof(max(d)) FROM two",
	       "2024-02-29,2024-02-29T12:00:00,DATE\n");
	put_text(NAMED("three", "0000", "jsonl"), "{\"x\":\"02/29/2024\",\"n\":1.25}\n");
	put_text(NAMED("three", "0001", "jsonl"), "{\"x\":7,\"n\":\"none\"}\n");
	expect("SELECT x, n FROM three ORDER BY n::VARCHAR",
	       "7,\"\"\"none\"\"\"\n\"\"\"02/29/2024\"\"\",1.25\n");
}

/* ---- Avro ---- */

static void put_avro(const char *path, const char *schema, enum file_codec codec,
		     const char *const *values)
{
	AUTO(buf_release) struct buf file = BUF_INIT;

	avro_file_write(schema, codec, values, 2, &file);
	put(path, file.data, file.len);
}

#define PUT_AVRO(path, schema, codec, ...)                                                         \
	put_avro(path, schema, codec, (const char *const[]){__VA_ARGS__, NULL})

#define RECORD(fields) "{\"type\":\"record\",\"name\":\"R\",\"fields\":[" fields "]}"
#define FIELD(name, type) "{\"name\":\"" name "\",\"type\":" type "}"

#define MILLIS "{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}"
#define DECIMAL "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":9,\"scale\":2}"
#define STRINGS "{\"type\":\"array\",\"items\":\"string\"}"
#define INTS "{\"type\":\"map\",\"values\":\"int\"}"
#define ALIASED "{\"name\":\"label\",\"type\":\"string\",\"aliases\":[\"name\"]}"
#define DEFAULTED "{\"name\":\"new\",\"type\":\"double\",\"default\":0}"

#define TWO(a, b) a "," b
#define THREE(a, b, c) TWO(a, TWO(b, c))

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
	expect("FROM one ORDER BY id", "1,a\n2,longer than twelve bytes\n3,\"\"\n4,b\n5,c\n6,d\n");
	expect("SELECT count(*) FROM one", "6\n");
	expect("SELECT max(s), min(s) FROM one WHERE id > 1", "longer than twelve bytes,\"\"\n");
	expect("SELECT s FROM one WHERE id = 2", "longer than twelve bytes\n");
	/* with other forms */
	put_text(NAMED("one", "0006", "jsonl"), "{\"id\":7,\"more\":true}\n");
	expect("SELECT id, s, more FROM one WHERE id > 5 ORDER BY id", "6,d,\n7,,true\n");
	/* no row of the topic's */
	PUT_AVRO(NAMED("one", "0007", "avro"), builtin_schema(BUILTIN_TOMBSTONE)->json, CODEC_NULL,
		 "{\"key\":null,\"timestamp\":null,\"headers\":[],\"partition\":0,\"offset\":7}");
	expect("SELECT count(*), max(id) FROM one", "7,7\n");
	PUT_AVRO(NAMED("two", "0000", "avro"), types, CODEC_NULL,
		 "{\"t\":1500,\"d\":12.5,\"n\":null,\"l\":[\"a\",\"b\"],\"m\":{\"k\":1}}");
	expect("SELECT t, d, n, l[2], m['k'], typeof(d) FROM two",
	       "1970-01-01T00:00:01.5Z,12.50,,b,1,\"DECIMAL(9,2)\"\n");
	PUT_AVRO(NAMED("three", "0000", "avro"), "\"string\"", CODEC_NULL, "\"a\"", "\"b\"");
	expect("FROM three ORDER BY ALL", "a\nb\n");
	expect("DESCRIBE three", "value,VARCHAR,YES,,,\n");
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
	expect("FROM one ORDER BY id", "a,1,,x\nb,5000000000,1.5,\n");
	expect("DESCRIBE one", "label,VARCHAR,YES,,,\nid,BIGINT,YES,,,\nnew,DOUBLE,YES,,,\n"
			       "gone,VARCHAR,YES,,,\n");
	expect("SELECT id FROM one WHERE label = 'a'", "1\n");
	/* the same of Parquet, and the newer schema first: its id says that it is newer */
	put_parquet(NAMED("two", "0000", "parquet"), "id:9", v2,
		    "SELECT 'b' AS label, 5000000000 AS id, 1.5::DOUBLE AS new");
	put_parquet(NAMED("two", "0001", "parquet"), "id:8", v1,
		    "SELECT 1 AS id, 'a' AS name, 'x' AS gone");
	put_parquet(NAMED("two", "0002", "parquet"), "id:8", v1,
		    "SELECT 2 AS id, 'c' AS name, 'y' AS gone");
	expect("FROM two ORDER BY id", "a,1,,x\nc,2,,y\nb,5000000000,1.5,\n");
	/* and of both forms together */
	PUT_AVRO(NAMED("two", "0003", "avro"), v1, CODEC_NULL,
		 "{\"id\":3,\"name\":\"d\",\"gone\":\"z\"}");
	expect("SELECT label, id FROM two ORDER BY id", "a,1\nc,2\nd,3\nb,5000000000\n");
}

/* The query with this in the place of each @. */
static char *with(const char *query, const char *table)
{
	struct buf out = BUF_INIT;

	for (; *query; query++)
		if (*query == '@')
			buf_adds(&out, table);
		else
			buf_addc(&out, *query);
	return buf_detach(&out);
}

/* ---- folders ---- */

#define TEXT(text) text, strlen(text)
#define IN(folder, offset, end) "topics/f/" folder "/f+0+000000" offset "." end

/* What a query says with a condition on folders, and with the same one as DuckDB cannot
 * judge it before it reads: '@' becomes the condition. */
static void expect_where(const char *query, const char *condition, const char *rows)
{
	AUTO(freep) char *hidden = xasprintf("((%s) = (random() < 2))", condition);
	AUTO(freep) char *plain = with(query, condition);
	AUTO(freep) char *opaque = with(query, hidden);

	expect(plain, rows);
	expect(opaque, rows);
}

static void put_folders(const char *end)
{
	static const char schema[] = RECORD(TWO(FIELD("id", "\"long\""), FIELD("s", "\"string\"")));
	static const char *const folders[] = {"year=2023/month=12", "year=2024/month=01",
					      "year=2024/month=02"};

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		AUTO(freep)
		char *path = xasprintf("topics/f/%s/f+0+000000%zu000.%s", folders[i], i, end);
		AUTO(freep) char *value = xasprintf("{\"id\":%zu,\"s\":\"%s\"}", i, folders[i]);
		AUTO(freep)
		char *row = xasprintf("SELECT %zu::BIGINT AS id, '%s' AS s", i, folders[i]);

		if (strcmp(end, "parquet") == 0) {
			put_parquet(path, "id:9", schema, row);
		} else if (strcmp(end, "avro") == 0) {
			AUTO(buf_release) struct buf file = BUF_INIT;

			avro_file_write(schema, CODEC_NULL, (const char *const[]){value, NULL}, 2,
					&file);
			put_named(path, "id:8", file.data, file.len);
		} else {
			put_text(path, value);
		}
	}
}

static void expect_folders(void)
{
	expect_where("SELECT id, year, month FROM f WHERE @ ORDER BY id", "year = 2024",
		     "1,2024,1\n2,2024,2\n");
	expect_where("SELECT count(*), max(s) FROM f WHERE @", "year < 2024 AND month = 12",
		     "1,year=2023/month=12\n");
	expect_where("SELECT count(*) FROM f WHERE @", "year IN (1, 2) OR month IS NULL", "0\n");
	expect_where("SELECT id FROM f WHERE @ ORDER BY 1",
		     "make_date(year, month, 1) >= DATE '2024-01-15'", "2\n");
	expect("SELECT a.id, b.id FROM f a JOIN f b ON a.year = b.year AND a.month < b.month "
	       "WHERE a.year = 2024",
	       "1,2\n");
	expect("SELECT year, count(*) FROM f GROUP BY ALL ORDER BY ALL; -- with its end",
	       "2023,1\n2024,2\n");
	/* who names none sees none */
	expect("SELECT * FROM f WHERE id = 1", "1,year=2024/month=01\n");
	expect("DESCRIBE SELECT year, id FROM f", "year,BIGINT,YES,,,\nid,BIGINT,YES,,,\n");
}

static void test_folders_parquet(void **state)
{
	(void)state;
	put_folders("parquet");
	expect_folders();
}

static void test_folders_avro(void **state)
{
	(void)state;
	put_folders("avro");
	expect_folders();
}

static void test_folders_json(void **state)
{
	(void)state;
	put_folders("jsonl");
	expect_folders();
}

/* Files that no plan needs are not opened: these are none. */
static void test_pruning(void **state)
{
	(void)state;
	put_folders("parquet");
	put_folders("avro");
	put_named(IN("year=2025/month=01", "5000", "parquet"), "id:9", TEXT("this is no Parquet"));
	put_named(IN("year=2025/month=01", "6000", "avro"), "id:8", TEXT("this is no Avro"));
	expect("SELECT count(*) FROM f WHERE year < 2025", "6\n");
	expect("SELECT count(*) FROM f WHERE year = 2023", "2\n");
	expect("SELECT count(*) FROM f WHERE year + month > 2030 AND year < 2024", "2\n");
	expect_error("SELECT count(*) FROM f WHERE year = 2025", ST_FAILED, "2025");
	expect_error("SELECT count(id) FROM f WHERE year >= 2024", ST_FAILED, "2025");
	expect_error("SELECT count(id) FROM f", ST_FAILED, "2025");
}

/* Values as paths have them, and folders that only look so. */
static void test_folder_values(void **state)
{
	static const char *const folders[] = {
		"c=DE",
		"c=a%2Fb%3D'%22",
		"c=__HIVE_DEFAULT_PARTITION__",
		"c=%5F_HIVE_DEFAULT_PARTITION__",
		"c=NULL",
		"c=",
		"c=%00",
		"c=%FF",
		"c=%zz",
		"x/=1/c",
		"C=de",
		"c=DE/c=FR",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		AUTO(freep)
		char *path = xasprintf("topics/f/%s/f+0+00000%zu.jsonl", folders[i], 10000 + i);
		AUTO(freep)
		char *parquet =
			xasprintf("topics/f/%s/f+0+00000%zu.parquet", folders[i], 20000 + i);
		AUTO(freep) char *line = xasprintf("{\"i\":%zu}\n", i);
		AUTO(freep) char *row = xasprintf("SELECT %zu::BIGINT AS i", i);

		put_text(path, line);
		put_copy(parquet, row, "FORMAT parquet");
	}
	expect("SELECT i, c, count(*) FROM f GROUP BY ALL ORDER BY i",
	       "0,DE,2\n1,\"a/"
	       "b='\"\"\",2\n2,,2\n3,__HIVE_DEFAULT_PARTITION__,2\n4,NULL,2\n5,\"\",2\n"
	       "6,%00,2\n7,%FF,2\n8,%zz,2\n9,,2\n10,de,2\n11,DE,2\n");
	expect_where("SELECT count(*), sum(i) FROM f WHERE @", "c = 'DE'", "4,22\n");
	expect_where("SELECT count(*), sum(i) FROM f WHERE @", "c IS NULL", "4,22\n");
	expect_where("SELECT count(*), sum(i) FROM f WHERE @", "c = 'NULL' OR c > 'a'", "6,30\n");
	expect_where("SELECT count(*), sum(i) FROM f WHERE @", "c = ''", "2,10\n");
	/* the files' own column counts, whatever their folders say */
	put_copy(IN("id=7", "3000", "parquet"), "SELECT 1::BIGINT AS id", "FORMAT parquet");
	put_copy(IN("id=8", "4000", "parquet"), "SELECT 2::BIGINT AS id", "FORMAT parquet");
	expect("SELECT id FROM f WHERE id IS NOT NULL ORDER BY id", "1\n2\n");
	expect("SELECT id FROM f WHERE id = 7", "");
	expect("SELECT id, c FROM f WHERE id = 2 AND c IS NULL", "2,\n");
}

/* ---- folders of fields ---- */

/* One row, in a file that partitioner=field made; value NULL: no Avro file. The folder's
 * number is the file's offset. */
static void put_row(const char *schema_name, const char *schema, const char *fields,
		    const char *folder, const char *value)
{
	static int offset = 10000;
	AUTO(freep) char *path = xasprintf("topics/f/%s/f+0+00000%d.avro", folder, offset++);
	AUTO(buf_release) struct buf file = BUF_INIT;

	if (value)
		avro_file_write(schema, CODEC_NULL, (const char *const[]){value, NULL}, 2, &file);
	else
		buf_adds(&file, "this is no Avro");
	put_routed(path, schema_name, fields, file.data, file.len);
}

/* A file without rows, in front of the others, tells what the schema's columns are. */
static void put_no_rows(const char *schema_name, const char *schema)
{
	AUTO(buf_release) struct buf file = BUF_INIT;

	avro_file_write(schema, CODEC_NULL, (const char *const[]){NULL}, 2, &file);
	put_named(IN("a", "0000", "avro"), schema_name, file.data, file.len);
}

#define MAYBE(type) "[\"null\"," type "]"
#define DAY "{\"type\":\"int\",\"logicalType\":\"date\"}"
#define COLOUR "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"RED\",\"BLUE\"]}"
#define JSON "{\"type\":\"string\",\"logicalType\":\"json\"}"
#define C(type) RECORD(FIELD("c", type))

/* A file whose folder says that it has no row of the answer is not opened: it is none. */
static void test_field_folders(void **state)
{
	static const char schema[] = RECORD(THREE(FIELD("country", MAYBE("\"string\"")),
						  FIELD("n", "\"long\""), FIELD("id", "\"int\"")));
	AUTO(buf_release) struct buf parquet = BUF_INIT;

	(void)state;
	copy("SELECT 'DE' AS country, 2::BIGINT AS n, 30::INTEGER AS id",
	     "FORMAT parquet, KV_METADATA {'parquet.avro.schema': '" RECORD(
		     THREE(FIELD("country", MAYBE("\"string\"")), FIELD("n", "\"long\""),
			   FIELD("id", "\"int\""))) "'}",
	     &parquet);
	put_routed(IN("country=DE/n=2", "3000", "parquet"), "id:9", "country,n", parquet.data,
		   parquet.len);
	put_row("id:8", schema, "country,n", "country=DE/n=1",
		"{\"country\":\"DE\",\"n\":1,\"id\":10}");
	put_row("id:8", schema, "country,n", "country=__HIVE_DEFAULT_PARTITION__/n=-3",
		"{\"country\":null,\"n\":-3,\"id\":20}");
	put_row("id:8", schema, "country,n", "country=FR/n=7", NULL);
	put_routed(IN("country=FR/n=7", "4000", "parquet"), "id:9", "country,n",
		   TEXT("this is no Parquet"));
	expect("SELECT id, n FROM f WHERE country = 'DE' ORDER BY id", "10,1\n30,2\n");
	expect("SELECT sum(id), count(*) FROM f WHERE n < 5", "60,3\n");
	expect("SELECT id FROM f WHERE country || n = 'DE2'", "30\n");
	expect("SELECT a.id, b.id FROM f a JOIN f b ON a.country = b.country AND a.n < b.n WHERE "
	       "a.country < 'E'",
	       "10,30\n");
	expect("SELECT * FROM f WHERE country IN (SELECT 'DE') AND n = 1 AND country != 'FR'",
	       "DE,1,10\n");
	expect("SELECT id FROM f WHERE country IS NULL AND n != 7", "20\n");
	expect_error("SELECT id FROM f WHERE country = 'FR'", ST_FAILED, "FR");
	expect_error("SELECT id FROM f WHERE id < 100 AND n > 0", ST_FAILED, "FR");
	expect_error("SELECT count(country) FROM f", ST_FAILED, "FR");
}

/* Of each type that a path shows exactly; column c of one file, and of one that is none. */
static void test_field_types(void **state)
{
	static const struct {
		const char *schema, *folder, *value, *other;
		const char *finds, *row, *opens;
	} cases[] = {
		{C("\"boolean\""), "c=true", "{\"c\":true}", "c=false", "c", "true", "NOT c"},
		{C(DAY), "c=2024-02-29", "{\"c\":19782}", "c=2024-03-01", "c < DATE '2024-03-01'",
		 "2024-02-29", "c > DATE '2024-02-29'"},
		{C(COLOUR), "c=BLUE", "{\"c\":\"BLUE\"}", "c=RED", "c = 'BLUE'", "BLUE",
		 "c != 'BLUE'"},
		{C("\"int\""), "c=-12", "{\"c\":-12}", "c=7", "c < 0", "-12", "abs(c) = 7"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO(freep) char *name = xasprintf("id:%zu", i);
		AUTO(freep) char *finds = xasprintf("SELECT c FROM f WHERE %s", cases[i].finds);
		AUTO(freep) char *opens = xasprintf("SELECT c FROM f WHERE %s", cases[i].opens);
		AUTO(freep) char *row = xasprintf("%s\n", cases[i].row);
		struct lake_id before = head_of(LAKE, "dev");

		put_no_rows(name, cases[i].schema);
		put_row(name, cases[i].schema, "c", cases[i].folder, cases[i].value);
		put_row(name, cases[i].schema, "c", cases[i].other, NULL);
		expect(finds, row);
		expect_error(opens, ST_FAILED, cases[i].other);
		MUST(lake_branch_reset(LAKE, "dev", &before, &err));
	}
}

/* The values that paths cannot show, or show alike. */
static void test_field_values(void **state)
{
	static const char schema[] = C(MAYBE("\"string\""));
	static const char cut[] = "c=xxxxxxxxx~0123456789abcdef0123456789abcdef";
	static const char *const rows[][2] = {
		{"c=DE", "\"DE\""},
		{"c=a%2Fb%3D'%22", "\"a/b='\\\"\""},
		{"c=__HIVE_DEFAULT_PARTITION__", "null"},
		{"c=__HIVE_DEFAULT_PARTITION__", "\"\""},
		{"c=%5F_HIVE_DEFAULT_PARTITION__", "\"__HIVE_DEFAULT_PARTITION__\""},
		{"c=NULL", "\"NULL\""},
		{cut, "\"xxxxxxxxxxyyyyyyyyyy\""},
		{"c=%7E", "\"~\""},
		{"c=1", "\"1\""},
		{"c=01", "\"01\""},
		{"c=\xc3\xa4", "\"\xc3\xa4\""},
	};
	static const char query[] = "SELECT c, c IS NULL FROM f WHERE @ ORDER BY ALL";

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO(freep) char *value = xasprintf("{\"c\":%s}", rows[i][1]);

		put_row("id:8", schema, "c", rows[i][0], value);
	}
	expect_where(query, "c = 'a/b=''\"'", "\"a/b='\"\"\",false\n");
	expect_where(query, "c IS NULL", ",true\n");
	expect_where(query, "c = ''", "\"\",false\n");
	expect_where(query, "c LIKE '\\_\\_HIVE%' ESCAPE '\\'",
		     "__HIVE_DEFAULT_PARTITION__,false\n");
	expect_where(query, "c = 'NULL' OR c = '~'", "NULL,false\n~,false\n");
	expect_where(query, "c LIKE '%y'", "xxxxxxxxxxyyyyyyyyyy,false\n");
	expect_where(query, "length(c) = 1", "1,false\n~,false\n\xc3\xa4,false\n");
	expect_where(query, "c::VARCHAR = '1'", "1,false\n");
	/* the number beside the text */
	put_row("id:9", C("\"long\""), "c", "c=1", "{\"c\":1}");
	put_row("id:9", C("\"long\""), "c", "c=2", NULL);
	expect("SELECT c FROM f WHERE c = '1'", "1\n1\n");
	expect("SELECT typeof(c), c FROM f WHERE c <= '01'", "VARCHAR,01\nVARCHAR,\"\"\n");
	expect_error("SELECT c FROM f WHERE c = '2'", ST_FAILED, "c=2");
	/* lines of JSON are read, whatever is claimed of them */
	put_routed(IN("c=2", "5000", "jsonl"), "", "c", TEXT("{\"c\":\"2\",\"x\":true}\n"));
	expect("SELECT x FROM f WHERE c = '2' AND c < '02'", "");
	expect("SELECT c FROM f WHERE c = 'DE' AND x IS NULL", "DE\n");
}

/* Values that a cast to the table's type writes in another way than the path. */
static void test_field_casts(void **state)
{
	(void)state;
	put_row("id:1", C("\"string\""), "c", "c=text", "{\"c\":\"text\"}");
	put_row("id:2", C(MILLIS), "c", "c=1500", "{\"c\":1500}");
	put_row("id:3", C("\"double\""), "c", "c=7", "{\"c\":7}");
	put_row("id:4", C(DAY), "c", "c=2024-02-29", "{\"c\":19782}");
	put_row("id:5", C("\"boolean\""), "c", "c=true", "{\"c\":true}");
	expect_where("SELECT c FROM f WHERE @", "c LIKE '1970%'", "1970-01-01 00:00:01.5+00\n");
	expect_where("SELECT c FROM f WHERE @", "c = '7.0'", "7.0\n");
	expect_where("SELECT c FROM f WHERE @", "c = '2024-02-29' OR c = '1500'", "2024-02-29\n");
	expect_where("SELECT c FROM f WHERE @", "c = 'true'", "true\n");
	expect_where("SELECT c FROM f WHERE @", "c = 'text'", "text\n");
}

/* What no partitioner made, or as it cannot be compared, is opened. */
static void test_field_lies(void **state)
{
	static const struct {
		const char *schema, *fields, *folder;
	} cases[] = {
		{C("\"string\""), NULL, "c=FR"},
		{C("\"string\""), "d", "c=FR"},
		{C("\"string\""), "d,c", "c=FR"},
		{C("\"string\""), "c", "c=FR/x"},
		{C("\"string\""), "c", "c=FR/d=1"},
		{C("\"string\""), "C", "C=FR"},
		{C("\"string\""), "c", "c="},
		{C("\"string\""), "c", "c=%FF"},
		{C("\"string\""), "c", "c=%zz"},
		{C("\"string\""), "c", "c=%00"},
		{C(JSON), "c", "c=FR"},
		{C("{\"type\":\"string\",\"logicalType\":\"uuid\"}"), "c", "c=FR"},
		{C("\"double\""), "c", "c=1"},
		{C(MILLIS), "c", "c=1"},
		{C("\"long\""), "c", "c=01"},
		{C("\"long\""), "c", "c=-0"},
		{C("\"long\""), "c", "c=1234567890123456789"},
		{C("\"int\""), "c", "c=1234567890"},
		{C("\"boolean\""), "c", "c=1"},
		{C(DAY), "c", "c=2023-02-29"},
		{C(DAY), "c", "c=12024-01-01"},
		{C(COLOUR), "c", "c=GREEN"},
		{C("[\"null\",\"string\",\"long\"]"), "c", "c=FR"},
		{RECORD("{\"name\":\"a\",\"type\":\"string\",\"iceberg-field-name\":\"c\"}"), "c",
		 "c=FR"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO(freep) char *name = xasprintf("id:%zu", i);
		struct lake_id before = head_of(LAKE, "dev");

		put_no_rows(name, cases[i].schema);
		put_row(name, cases[i].schema, cases[i].fields, cases[i].folder, NULL);
		expect_error("SELECT c FROM f WHERE length(c::VARCHAR) = 50", ST_FAILED,
			     cases[i].folder);
		MUST(lake_branch_reset(LAKE, "dev", &before, &err));
	}
	/* a row that is not where its folder says */
	put_row("id:1", C("\"string\""), NULL, "c=FR", "{\"c\":\"DE\"}");
	put_row("id:1", C("\"string\""), "c", "c=FR", "{\"c\":\"FR\"}");
	expect_where("SELECT c FROM f WHERE @", "c = 'DE'", "DE\n");
	/* a field that was renamed */
	put_row("id:2", RECORD("{\"name\":\"b\",\"type\":\"string\",\"aliases\":[\"c\"]}"), "b",
		"b=DE", "{\"b\":\"DE\"}");
	expect("SELECT b FROM f WHERE b = 'FR'", "FR\n");
	put_row("id:3", RECORD(TWO(FIELD("b", "\"string\""), FIELD("c", "\"string\""))), "c", "c=y",
		"{\"b\":\"x\",\"c\":\"y\"}");
	expect_where("SELECT b FROM f WHERE @ ORDER BY b", "c IS NULL", "DE\nDE\nFR\n");
	expect_where("SELECT b FROM f WHERE @", "c = 'y'", "x\n");
	put_row("id:1", C("\"string\""), "c", "c=ZZ", NULL);
	expect_error("SELECT b FROM f WHERE b = 'DE'", ST_FAILED, "ZZ");
	expect_error("SELECT b, c FROM f WHERE b = 'DE'", ST_FAILED, "ZZ");
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
	expect("FROM odd ORDER BY n", "1,5.0,true\n2,1.5,\n");
	put_parquet(NAMED("odd", "0002", "parquet"), "sha256:3",
		    RECORD(TWO(FIELD("n", "\"long\""), FIELD("X", "\"string\""))),
		    "SELECT 3::BIGINT AS n, 'text' AS \"X\"");
	expect("SELECT n, typeof(x), x FROM odd ORDER BY n",
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
	expect("SELECT n, typeof(x), x->>'$' FROM odd ORDER BY n",
	       "1,JSON,5\n2,JSON,1.5\n3,JSON,text\n4,JSON,\"[1,\"\"a\"\"]\"\n5,JSON,[7]\n"
	       "6,JSON,\"{\"\"b\"\":8}\"\n7,JSON,\n");
	put_parquet(NAMED("text", "0000", "parquet"), "sha256:1", RECORD(FIELD("x", "\"string\"")),
		    "SELECT 'text' AS x");
	put_parquet(NAMED("text", "0001", "parquet"), "sha256:2", RECORD(FIELD("x", JSON)),
		    "SELECT '[1]'::JSON AS x");
	expect("SELECT x->>'$' FROM text ORDER BY 1", "[1]\ntext\n");
	/* what is no record, beside a column of its name */
	put_parquet(NAMED("own", "0000", "parquet"), "sha256:1",
		    RECORD(FIELD("value", "\"string\"")), "SELECT 'text' AS value");
	put_parquet(NAMED("own", "0001", "parquet"), "sha256:2", "[\"null\",\"string\"]",
		    "SELECT '[1]'::JSON AS value");
	expect("SELECT value->>'$' FROM own ORDER BY 1", "[1]\ntext\n");
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
	put(NAMED("plain", "0000", "jsonl"), lines.data, lines.len);
	avro_file_write(schema, CODEC_SNAPPY, values, 300, &file);
	put(NAMED("avro", "0000", "avro"), file.data, file.len);
	for (size_t i = 0; i < ARRAY_SIZE(queries); i++) {
		AUTO(freep) char *plain = with(queries[i], "plain");
		AUTO(freep) char *avro = with(queries[i], "avro");
		AUTO(buf_release) struct buf right = BUF_INIT;
		AUTO(buf_release) struct buf found = BUF_INIT;

		MUST(ask(plain, &right, &err));
		MUST(ask(avro, &found, &err));
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
	put_text("topics/v1.events/partition=0/v1.events+0+0000000000.jsonl", "{\"id\":4}\n");
	put_text("reference/cities.jsonl", "{\"id\":5}\n");
	put_text("reference/more/a.jsonl", "{\"id\":6}\n");
	put_text("reference/more/_SUCCESS", "");
	put_text("topics/raw/partition=0/raw+0+0000000000.bin", "x\n");
	put_text("topics/odd/partition=0/notes.txt", "x\n");
	put_text("_tidemark/flights.json", "{}");
	put_text("_deadletters/flights/one/x.jsonl", "{}\n");

	expect("FROM one ORDER BY id", "1\n2\n");
	expect("FROM \"main:one\"", "1\n");
	expect("FROM one EXCEPT FROM \"main:one\"", "2\n");
	expect("SELECT a.id, b.id FROM \"dev~1:two\" a, \"dev:one\" b ORDER BY ALL", "3,1\n3,2\n");
	expect("FROM v1.events", "4\n");
	expect("FROM \"v1.events\"", "4\n");
	expect("FROM \"reference/cities.jsonl\"", "5\n");
	expect("FROM \"main~0:topics/one\"", "1\n");
	expect("FROM \"reference/more/\"", "6\n");
	expect("WITH one AS (FROM one) SELECT count(*) FROM one", "2\n");
	expect("FROM one AS two WHERE two.id = 2", "2\n");

	expect_error("FROM three", ST_NOT_FOUND, "it has Two, odd, one, raw, v1.events");
	expect_error("FROM onne", ST_NOT_FOUND, "did you mean 'one'");
	expect_error("FROM \"main:two\"", ST_NOT_FOUND, "no table 'two' at main; it has one");
	expect_error("FROM \"nothing:one\"", ST_NOT_FOUND, "nothing");
	expect_error("FROM \":one\"", ST_USAGE, "REF:TABLE");
	expect_error("FROM \"main:\"", ST_USAGE, "REF:TABLE");
	expect_error("FROM \"reference/none\"", ST_NOT_FOUND, "no such folder or file");
	expect_error("FROM raw", ST_USAGE, "format=bytes");
	expect_error("FROM odd", ST_USAGE, "notes.txt");
	expect_error("FROM \"_tidemark/flights.json\"", ST_USAGE, "is no data");
	expect_error("FROM \"_deadletters/flights\"", ST_USAGE, "is no data");
	expect_error("FROM _tidemark", ST_NOT_FOUND, "no table '_tidemark'");
	expect_error("FROM information_schema.tables", ST_NOT_FOUND, "no table");
	expect_error("FROM duckdb_settings", ST_NOT_FOUND, "no table");
	expect_error("FROM sqlite_master", ST_NOT_FOUND, "no table");
	expect_error("SELECT nothing FROM one", ST_USAGE, "nothing");
	expect_error("SELECT 1 +", ST_USAGE, "syntax error");
	put_text("topics/ONE/partition=0/ONE+0+0000000000.jsonl", "{\"id\":7}\n");
	expect("FROM ONE", "7\n");
	expect_error("FROM One", ST_USAGE, "may be 'topics/ONE' or 'topics/one'");
}

/* ---- history ---- */

static void test_history(void **state)
{
	struct lake_id main_head = head_of(LAKE, "main"), dev;
	char hex[LAKE_ID_HEX_BYTES];
	AUTO(freep) char *ids = NULL;

	(void)state;
	put_text(NAMED("one", "0000", "jsonl"), "{\"id\":1}\n");
	put_text("_tidemark/c.json", "{}");
	dev = head_of(LAKE, "dev~1");
	lake_id_hex(&main_head, hex);
	ids = xasprintf("%s,", hex);
	expect("SELECT count(*), count(DISTINCT id), max(generation) FROM lake$commits", "3,3,3\n");
	expect("SELECT c.id = p.id FROM lake$commits c, \"main:lake$commits\" p WHERE "
	       "len(c.parents) = 0",
	       "true\n");
	lake_id_hex(&dev, hex);
	free(ids);
	ids = xasprintf("%s,%s\n", hex, "true");
	expect("SELECT parents[1], time > TIMESTAMPTZ '2020-01-01' FROM LAKE$COMMITS ORDER BY "
	       "generation DESC LIMIT 1",
	       ids);
	expect("SELECT path, size, topic, partition, first_offset, records FROM lake$files",
	       NAMED("one", "0000", "jsonl") ",9,one,0,0,\n");
	expect("SELECT count(*) FROM lake$checkpoints, lake$offsets, lake$publishes", "0\n");
	expect_error("FROM lake$nothing", ST_NOT_FOUND, "there are lake$commits, lake$checkpoints");
}

/* ---- forms of the answer ---- */

static void expect_form(enum sql_format format, const char *query, const char *text)
{
	AUTO(buf_release) struct buf out = BUF_INIT;

	MUST(run((struct sql_query){.text = query, .format = format}, "dev", &out, &err));
	assert_string_equal(buf_str(&out), text);
}

static void test_output(void **state)
{
	AUTO(buf_release) struct buf out = BUF_INIT;
	AUTO(buf_release) struct buf cell = BUF_INIT;
	AUTO(freep) char *file = xasprintf("%s/answer", temp);

	(void)state;
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
		    "SELECT TIMESTAMPTZ '2026-01-02 03:04:05.678+01' AS t, TIMESTAMP '2026-01-02 "
		    "03:04:05' AS u, DATE '2026-01-02' AS d",
		    "{\"t\":\"2026-01-02T02:04:05.678Z\",\"u\":\"2026-01-02T03:04:05\","
		    "\"d\":\"2026-01-02\"}\n");
	expect_form(SQL_TABLE,
		    "SELECT * FROM (VALUES ('a', 1), ('bc\t', -12), (NULL, NULL)) v(name, n)",
		    "name     n\n----  ----\na        1\nbc?    -12\nNULL  NULL\n(3 rows)\n");
	MUST(run(
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
	MUST(ask("SELECT range, repeat('x', 100) FROM range(100000)", &out, &err));
	assert_true(out.len > 10000000);
}

/* ---- what it cannot do ---- */

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
		buf_adds(&query, outside);
		buf_adds(&query, hole + 2);
		st = ask(buf_str(&query), &out, &err);
		if ((st != ST_USAGE && st != ST_NOT_FOUND) || out.len)
			fail_msg("%s: %s: %s%s", buf_str(&query), status_name(st), err.text,
				 buf_str(&out));
		assert_int_equal(count_in(outside), 1);
	}
	expect("FROM one", "1\n");
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
		 run((struct sql_query){.text = ENDLESS, .timeout_ms = 300}, "dev", &out, &err));
	stop = false;
	pthread_create(&thread, NULL, stop_soon, NULL);
	MUST_SAY(ST_INTERRUPTED, "stopped",
		 run((struct sql_query){.text = ENDLESS " AND (SELECT id FROM one) = 1",
					.stop = &stop},
		     "dev", &out, &err));
	pthread_join(thread, NULL);
	MUST_SAY(ST_FAILED, "--memory",
		 run((struct sql_query){.text = "SELECT array_agg(md5(range::VARCHAR)) FROM "
						"range(3000000)",
					.memory_bytes = 32u << 20},
		     "dev", &out, &err));
	MUST_SAY(ST_FAILED, "Could not convert",
		 run((struct sql_query){.text = "SELECT ('x' || range)::INTEGER FROM range(3)"},
		     "dev", &out, &err));
	setenv("TIDEMARK_KILL_AT", "sql.run:1", 1);
	MUST_SAY(ST_FAILED, "process was killed",
		 run((struct sql_query){.text = "FROM one"}, "dev", &out, &err));
	unsetenv("TIDEMARK_KILL_AT");
	sql_use_program("/nowhere/at/all");
	MUST_SAY(ST_NOT_FOUND, "cannot start /nowhere/at/all",
		 run((struct sql_query){.text = "FROM one"}, "dev", &out, &err));
	sql_use_program("/bin/false");
	MUST_SAY(ST_FAILED, "exit code 1",
		 run((struct sql_query){.text = "FROM one"}, "dev", &out, &err));
}

/* What a killed process left goes with the next query; what another still uses
 * stays. */
static void test_leftovers(void **state)
{
	AUTO(freep) char *left = xasprintf("%s/tidemark-sql-aaaaaa/x", temp);
	AUTO(sql_workspace_closep) struct sql_workspace *other = NULL;
	AUTO(buf_release) struct buf out = BUF_INIT;

	(void)state;
	MUST(dir_create_all(left, &err));
	MUST(sql_workspace_open(&other, &err));
	assert_int_equal(count_in(temp), 1);
	assert_true(file_exists(sql_workspace_folder(other)));
	MUST(ask("SELECT 1", &out, &err));
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

#define SUITE(open)                                                                                \
	{                                                                                          \
		cmocka_unit_test_setup_teardown(test_forms, open, close_lake),                     \
			cmocka_unit_test_setup_teardown(test_names, open, close_lake),             \
			cmocka_unit_test_setup_teardown(test_damage, open, close_lake),            \
			cmocka_unit_test_setup_teardown(test_avro, open, close_lake),              \
			cmocka_unit_test_setup_teardown(test_history, open, close_lake),           \
	}

int main(void)
{
	AUTO(freep) char *program = child_program_path("tidemark-sql");
	const struct CMUnitTest remote[] = SUITE(open_socket);
	const struct CMUnitTest embedded[] = SUITE(open_embedded);
	const struct CMUnitTest rest[] = {
		cmocka_unit_test_setup_teardown(test_evolution, open_embedded, close_lake),
		cmocka_unit_test_setup_teardown(test_json_types, open_embedded, close_lake),
		cmocka_unit_test_setup_teardown(test_folders_parquet, open_embedded, close_lake),
		cmocka_unit_test_setup_teardown(test_folders_avro, open_embedded, close_lake),
		cmocka_unit_test_setup_teardown(test_folders_json, open_embedded, close_lake),
		cmocka_unit_test_setup_teardown(test_pruning, open_embedded, close_lake),
		cmocka_unit_test_setup_teardown(test_folder_values, open_embedded, close_lake),
		cmocka_unit_test_setup_teardown(test_field_folders, open_embedded, close_lake),
		cmocka_unit_test_setup_teardown(test_field_types, open_embedded, close_lake),
		cmocka_unit_test_setup_teardown(test_field_values, open_embedded, close_lake),
		cmocka_unit_test_setup_teardown(test_field_casts, open_embedded, close_lake),
		cmocka_unit_test_setup_teardown(test_field_lies, open_embedded, close_lake),
		cmocka_unit_test_setup_teardown(test_disagreement, open_embedded, close_lake),
		cmocka_unit_test_setup_teardown(test_avro_text, open_embedded, close_lake),
		cmocka_unit_test_setup_teardown(test_output, open_embedded, close_lake),
		cmocka_unit_test_setup_teardown(test_escapes, open_embedded, close_lake),
		cmocka_unit_test_setup_teardown(test_leftovers, open_embedded, close_lake),
		cmocka_unit_test_setup_teardown(test_ends, open_embedded, close_lake),
	};
	int failed;

	sql_use_program(program);
	/* The socket's first: its owners are forked before RocksDB has threads. */
	failed = cmocka_run_group_tests_name("through the socket", remote, NULL, NULL);
	failed += cmocka_run_group_tests_name("embedded", embedded, NULL, NULL);
	return failed + cmocka_run_group_tests_name("answers and ends", rest, NULL, NULL);
}
