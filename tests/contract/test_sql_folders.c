/* Folders that partitioners made, as columns of a table in SQL, and as what spares files: of
 * conditions on folders and on fields that folders are made of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tests/lib/avro_file.h"
#include "tests/lib/child.h"
#include "tests/lib/lake_steps.h"
#include "tests/lib/must.h"
#include "tests/lib/sql_steps.h"

#define TEXT(text) text, strlen(text)
#define IN(folder, offset, end) "topics/f/" folder "/f+0+000000" offset "." end

/* What a query says with a condition on folders, and with the same one as DuckDB cannot
 * judge it before it reads: '@' becomes the condition. */
static void expect_where(const char *query, const char *condition, const char *rows)
{
	AUTO(freep) char *hidden = xasprintf("((%s) = (random() < 2))", condition);
	AUTO(freep) char *plain = fill_in(query, condition);
	AUTO(freep) char *opaque = fill_in(query, hidden);

	expect_rows(plain, rows);
	expect_rows(opaque, rows);
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
	expect_rows("SELECT a.id, b.id FROM f a JOIN f b ON a.year = b.year AND a.month < b.month "
		    "WHERE a.year = 2024",
		    "1,2\n");
	expect_rows("SELECT year, count(*) FROM f GROUP BY ALL ORDER BY ALL; -- with its end",
		    "2023,1\n2024,2\n");
	/* who names none sees none */
	expect_rows("SELECT * FROM f WHERE id = 1", "1,year=2024/month=01\n");
	expect_rows("DESCRIBE SELECT year, id FROM f", "year,BIGINT,YES,,,\nid,BIGINT,YES,,,\n");
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
	expect_rows("SELECT count(*) FROM f WHERE year < 2025", "6\n");
	expect_rows("SELECT count(*) FROM f WHERE year = 2023", "2\n");
	expect_rows("SELECT count(*) FROM f WHERE year + month > 2030 AND year < 2024", "2\n");
	expect_error("SELECT count(*) FROM f WHERE year = 2025", ST_FAILED, "2025");
	expect_error("SELECT count(id) FROM f WHERE year >= 2024", ST_FAILED, "2025");
	expect_error("SELECT count(id) FROM f", ST_FAILED, "2025");
}

/* Lines of JSON: these are read once to find their columns, but not as rows. */
#define TWICE "{\"id\":5,\"id\":6,\"more\":true}\n"

static void put_twice_packed(const char *path, const char *compression)
{
	AUTO(freep)
	char *options = xasprintf("FORMAT csv, HEADER false, QUOTE '', ESCAPE '', DELIMITER '|', "
				  "COMPRESSION %s",
				  compression);

	put_copy(path, "SELECT '{\"id\":5,\"id\":6}'", options);
}

static void test_pruning_json(void **state)
{
	(void)state;
	put_folders("jsonl");
	put_folders("avro");
	put_text(IN("year=2023/month=11", "3000", "jsonl"), "null\n{\"id\":3,\"u\":\"x\"}\n");
	put_copy(IN("year=2024/month=01", "4000", "jsonl.gz"), "SELECT 4.5 AS id, 1 AS u",
		 "FORMAT json, COMPRESSION gzip");
	put_text(IN("year=2026", "5000", "jsonl"), "null\n");
	expect_where("SELECT id, u, s, month FROM f WHERE @ ORDER BY ALL", "year < 2024",
		     "0.0,,year=2023/month=12,12\n0.0,,year=2023/month=12,12\n"
		     "3.0,x,,11\n");
	expect_where("SELECT id, u, s FROM f WHERE @ ORDER BY ALL", "year = 2024 AND month = 1",
		     "1.0,,year=2024/month=01\n1.0,,year=2024/month=01\n4.5,1,\n");
	expect_where("SELECT count(*) FROM f WHERE @", "year = 2026", "0\n");
	put_text(IN("year=2025/month=01", "6000", "jsonl"), TWICE);
	put_twice_packed(IN("year=2025/month=01", "7000", "jsonl.gz"), "gzip");
	put_twice_packed(IN("year=2025/month=01", "8000", "jsonl.zst"), "zstd");
	expect_rows("SELECT count(*), sum(id), count(more) FROM f WHERE year != 2025",
		    "8,13.5,0\n");
	expect_rows("SELECT * FROM f WHERE year < 2024 AND u IS NOT NULL", "3.0,,x,,2023\n");
	expect_rows("SELECT id, more FROM f WHERE year + month > 2030 AND year < 2024 AND s > 'z'",
		    "");
	expect_rows("SELECT year, id, more FROM f WHERE year = 1999", "");
	expect_rows("DESCRIBE SELECT id, u, more FROM f WHERE year = 1999",
		    "id,DOUBLE,YES,,,\nu,VARCHAR,YES,,,\nmore,BOOLEAN,YES,,,\n");
	expect_rows("SELECT a.id, b.id FROM f a JOIN f b ON a.year = b.year AND a.id > b.id + 3 "
		    "WHERE a.year = 2024 GROUP BY ALL",
		    "4.5,1.0\n");
	expect_error("SELECT id FROM f WHERE year = 2025", ST_FAILED, "duplicate key");
	expect_error("SELECT sum(id) FROM f WHERE year >= 2024", ST_FAILED, "duplicate key");
	expect_error("SELECT sum(id) FROM f", ST_FAILED, "duplicate key");
}

/* Without files of other forms: nothing may be left. */
static void test_pruning_json_alone(void **state)
{
	(void)state;
	put_folders("jsonl");
	/* a name that is a column too says nothing of it */
	put_text(IN("id=7/year=2023", "8000", "jsonl"), "{\"id\":8}\n");
	expect_where("SELECT id FROM f WHERE @ ORDER BY id", "id = 8 AND year = 2023", "8\n");
	expect_where("SELECT id FROM f WHERE @", "id = 7", "");
	put_text(IN("year=2025/month=01", "6000", "jsonl"), TWICE);
	put_twice_packed(IN("year=2025/month=01", "7000", "jsonl.zst"), "zstd");
	expect_rows("SELECT id FROM f WHERE year = 2023 ORDER BY 1", "0\n8\n");
	expect_rows("SELECT id FROM f WHERE year < 2023", "");
	expect_error("SELECT id FROM f WHERE year > 2024", ST_FAILED, "duplicate key");
}

/* Objects of the same bytes are one file, which stands in several folders, and twice in one. */
static void test_same_bytes(void **state)
{
	AUTO(buf_release) struct buf lines = BUF_INIT;

	(void)state;
	for (size_t i = 0; i < 2000; i++)
		buf_addf(&lines, "{\"id\":%zu,\"day\":\"29-02-2024\"}\n", i);
	put_bytes(IN("year=2023", "0000", "jsonl"), lines.data, lines.len);
	put_bytes(IN("year=2024", "2000", "jsonl"), lines.data, lines.len);
	put_bytes(IN("year=2024", "4000", "jsonl"), lines.data, lines.len);
	expect_rows("SELECT year, count(*), count(DISTINCT id) FROM f GROUP BY ALL ORDER BY 1",
		    "2023,2000,2000\n2024,4000,2000\n");
	expect_rows("SELECT count(*) FROM f WHERE year = 2023", "2000\n");
	expect_rows("SELECT count(*) FROM f", "6000\n");
}

/* The form of a time is found in all lines: they are read, whatever a plan needs. */
static void test_pruning_json_times(void **state)
{
	static const char *const times[] = {
		"\"29-02-2024\"",
		"\"2024-02-29 12:00:00\"",
		"[\"12:00:00\"]",
		"{\"a\":[{\"b\":\"2024-02-29T12:00:00Z\"}]}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		AUTO(freep)
		char *line = xasprintf("{\"id\":1,\"x\":%s}\n", times[i]);
		AUTO(freep)
		char *twice = xasprintf("{\"id\":2,\"id\":2,\"x\":%s}\n", times[i]);
		struct lake_id before = head_of(LAKE, "dev");

		put_text(IN("year=2024", "0000", "jsonl"), line);
		expect_where("SELECT id FROM f WHERE @ AND x IS NOT NULL", "year = 2024", "1\n");
		put_text(IN("year=2025", "1000", "jsonl"), twice);
		expect_error("SELECT id FROM f WHERE year = 2024", ST_FAILED, "duplicate key");
		MUST(lake_branch_reset(LAKE, "dev", &before, &err));
	}
	/* named like times, and none */
	put_text(IN("year=2024", "0000", "jsonl"), "{\"UPDATED\":1,\"a\":[{\"TIME\":2}]}\n");
	put_text(IN("year=2025", "1000", "jsonl"), "{\"UPDATED\":1,\"UPDATED\":2}\n");
	expect_rows("SELECT UPDATED, a[1].TIME FROM f WHERE year = 2024", "1,2\n");
	expect_error("SELECT UPDATED FROM f WHERE year = 2025", ST_FAILED, "duplicate key");
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
	expect_rows("SELECT i, c, count(*) FROM f GROUP BY ALL ORDER BY i",
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
	expect_rows("SELECT id FROM f WHERE id IS NOT NULL ORDER BY id", "1\n2\n");
	expect_rows("SELECT id FROM f WHERE id = 7", "");
	expect_rows("SELECT id, c FROM f WHERE id = 2 AND c IS NULL", "2,\n");
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
#define C(type) RECORD(FIELD("c", type))

/* A file whose folder says that it has no row of the answer is not opened: it is none. */
static void test_field_folders(void **state)
{
	static const char schema[] = RECORD(THREE(FIELD("country", MAYBE("\"string\"")),
						  FIELD("n", "\"long\""), FIELD("id", "\"int\"")));
	AUTO(buf_release) struct buf parquet = BUF_INIT;

	(void)state;
	copy_select("SELECT 'DE' AS country, 2::BIGINT AS n, 30::INTEGER AS id",
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
	expect_rows("SELECT id, n FROM f WHERE country = 'DE' ORDER BY id", "10,1\n30,2\n");
	expect_rows("SELECT sum(id), count(*) FROM f WHERE n < 5", "60,3\n");
	expect_rows("SELECT id FROM f WHERE country || n = 'DE2'", "30\n");
	expect_rows(
		"SELECT a.id, b.id FROM f a JOIN f b ON a.country = b.country AND a.n < b.n WHERE "
		"a.country < 'E'",
		"10,30\n");
	expect_rows("SELECT * FROM f WHERE country IN (SELECT 'DE') AND n = 1 AND country != 'FR'",
		    "DE,1,10\n");
	expect_rows("SELECT id FROM f WHERE country IS NULL AND n != 7", "20\n");
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
		expect_rows(finds, row);
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
	expect_rows("SELECT c FROM f WHERE c = '1'", "1\n1\n");
	expect_rows("SELECT typeof(c), c FROM f WHERE c <= '01'", "VARCHAR,01\nVARCHAR,\"\"\n");
	expect_error("SELECT c FROM f WHERE c = '2'", ST_FAILED, "c=2");
	/* lines of JSON are read, whatever is claimed of them */
	put_routed(IN("c=2", "5000", "jsonl"), "", "c", TEXT("{\"c\":\"2\",\"x\":true}\n"));
	expect_rows("SELECT x FROM f WHERE c = '2' AND c < '02'", "");
	expect_rows("SELECT c FROM f WHERE c = 'DE' AND x IS NULL", "DE\n");
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
	expect_rows("SELECT b FROM f WHERE b = 'FR'", "FR\n");
	put_row("id:3", RECORD(TWO(FIELD("b", "\"string\""), FIELD("c", "\"string\""))), "c", "c=y",
		"{\"b\":\"x\",\"c\":\"y\"}");
	expect_where("SELECT b FROM f WHERE @ ORDER BY b", "c IS NULL", "DE\nDE\nFR\n");
	expect_where("SELECT b FROM f WHERE @", "c = 'y'", "x\n");
	put_row("id:1", C("\"string\""), "c", "c=ZZ", NULL);
	expect_error("SELECT b FROM f WHERE b = 'DE'", ST_FAILED, "ZZ");
	expect_error("SELECT b, c FROM f WHERE b = 'DE'", ST_FAILED, "ZZ");
}

int main(void)
{
	AUTO(freep) char *program = child_program_path("tidemark-sql");
	const struct CMUnitTest tests[] = {
		SQL_TEST(test_folders_parquet),    SQL_TEST(test_folders_avro),
		SQL_TEST(test_folders_json),       SQL_TEST(test_pruning),
		SQL_TEST(test_pruning_json),       SQL_TEST(test_pruning_json_alone),
		SQL_TEST(test_pruning_json_times), SQL_TEST(test_same_bytes),
		SQL_TEST(test_folder_values),      SQL_TEST(test_field_folders),
		SQL_TEST(test_field_types),        SQL_TEST(test_field_values),
		SQL_TEST(test_field_casts),        SQL_TEST(test_field_lies),
	};

	sql_use_program(program);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
