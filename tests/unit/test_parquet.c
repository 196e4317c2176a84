/* Parquet files of the writer, read back by DuckDB. (tests/servers reads them by
 * pyarrow, which shares no code with the writer.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "connector/columnar/columns.h"
#include "connector/columnar/parquet_file.h"
#include "connector/schema/json_encode.h"
#include "connector/writer/partition_writer.h"
#include "core/base/file.h"
#include "tests/lib/duck.h"
#include "tests/lib/must.h"
#include "tests/lib/parquet_world.h"
#include "tests/lib/random_avro.h"
#include "tests/lib/read_back.h"

static struct writer_settings settings_of(const struct parquet_world *w, const char *schema)
{
	return (struct writer_settings){.lake = w->lake,
					.converter = CONVERTER_AVRO_RAW,
					.format = FORMAT_PARQUET,
					.codec = CODEC_SNAPPY,
					.schema_json = schema,
					.parquet = w->engine,
					.path_prefix = "topics"};
}

static enum status append(struct partition_writer *p, int64_t offset, const void *value, size_t len,
			  struct err *err)
{
	struct record r = {.topic = "orders",
			   .offset = offset,
			   .timestamp_ms = 1000 + offset,
			   .key = "k",
			   .key_len = 1,
			   .value = value,
			   .value_len = len};
	struct poison poison = {0};

	return partition_writer_append(p, &r, &poison, err);
}

/* Finishes the writer's one file, which is w->file then. */
static void finish(struct parquet_world *w, struct partition_writer *p)
{
	AUTO(written_files_release) struct written_files files = {NULL, 0, 0};
	AUTO(buf_release) struct buf bytes = BUF_INIT;

	MUST(partition_writer_finish(p, &files, &err));
	assert_int_equal(files.n, 1);
	read_back(w->lake, &files.items[0], &bytes);
	MUST(file_replace(w->file, bytes.data, bytes.len, &err));
}

static void encode(const char *schema_json, const char *json, struct buf *out)
{
	AUTO(schema_freep) struct schema *schema = NULL;

	MUST(schema_parse(schema_json, strlen(schema_json), &schema, &err));
	MUST(json_encode_prepare(schema, &err));
	MUST(json_encode(schema, json, strlen(json), out, &err));
}

/* ---- types ---- */

#define FIELDS(...) "{\"type\":\"record\",\"name\":\"R\",\"fields\":[" __VA_ARGS__ "]}"
#define X(type) FIELDS("{\"name\":\"x\",\"type\":" type "}")
#define LOGICAL(type, logical) "{\"type\":\"" type "\",\"logicalType\":\"" logical "\"}"

/* A type of Avro, a value, and what DuckDB finds. */
static const struct {
	const char *type;
	const char *json;
	const char *duck_type;
	const char *value; /* as text; NULL: null */
} types[] = {
	{"\"null\"", "null", "INTEGER", NULL},
	{"\"boolean\"", "true", "BOOLEAN", "true"},
	{"\"int\"", "-2147483648", "INTEGER", "-2147483648"},
	{"\"long\"", "9223372036854775807", "BIGINT", "9223372036854775807"},
	{"\"float\"", "1.5", "FLOAT", "1.5"},
	{"\"double\"", "\"-Infinity\"", "DOUBLE", "-inf"},
	{"\"double\"", "-0.0", "DOUBLE", "-0.0"},
	{"\"string\"", "\"\"", "VARCHAR", ""},
	{"\"string\"", "\"twelve bytes\"", "VARCHAR", "twelve bytes"},
	{"\"string\"", "\"thirteen byte\"", "VARCHAR", "thirteen byte"},
	{"\"string\"", "\"gr\\u00fc\\u00dfe aus k\\u00f6ln\"", "VARCHAR",
	 "gr\u00fc\u00dfe aus k\u00f6ln"},
	{"\"bytes\"", "\"\\u00ff\\u0000a\"", "BLOB", "\\xFF\\x00a"},
	{"{\"type\":\"fixed\",\"name\":\"F\",\"size\":3}", "\"abc\"", "BLOB", "abc"},
	{"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"]}", "\"B\"", "VARCHAR", "B"},
	{LOGICAL("int", "date"), "\"1969-12-31\"", "DATE", "1969-12-31"},
	{LOGICAL("int", "time-millis"), "86399999", "TIME", "23:59:59.999"},
	{LOGICAL("long", "time-micros"), "1", "TIME", "00:00:00.000001"},
	{LOGICAL("long", "timestamp-millis"), "1234567890123", "TIMESTAMP WITH TIME ZONE",
	 "2009-02-13 23:31:30.123+00"},
	{LOGICAL("long", "timestamp-micros"), "-1", "TIMESTAMP WITH TIME ZONE",
	 "1969-12-31 23:59:59.999999+00"},
	{LOGICAL("long", "timestamp-nanos"), "1", "TIMESTAMP_NS", "1970-01-01 00:00:00.000000001"},
	{LOGICAL("long", "local-timestamp-millis"), "1", "TIMESTAMP", "1970-01-01 00:00:00.001"},
	{LOGICAL("long", "local-timestamp-micros"), "1", "TIMESTAMP", "1970-01-01 00:00:00.000001"},
	{LOGICAL("string", "uuid"), "\"F0000000-0000-0000-0000-00000000000a\"", "UUID",
	 "f0000000-0000-0000-0000-00000000000a"},
	{"{\"type\":\"fixed\",\"name\":\"U\",\"size\":16,\"logicalType\":\"uuid\"}",
	 "\"\\u0001aaaaaaaaaaaaaa\\u0002\"", "UUID", "01616161-6161-6161-6161-616161616102"},
	{"{\"type\":\"fixed\",\"name\":\"D\",\"size\":12,\"logicalType\":\"duration\"}",
	 "\"\\u0001\\u0000\\u0000\\u0000\\u0002\\u0000\\u0000\\u0000\\u0003\\u0000\\u0000\\u0000\"",
	 "INTERVAL", "1 month 2 days 00:00:00.003"},
	{"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":4,\"scale\":2}",
	 "\"-12.5\"", "DECIMAL(4,2)", "-12.50"},
	{"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":9,\"scale\":0}",
	 "\"999999999\"", "DECIMAL(9,0)", "999999999"},
	{"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":18,\"scale\":3}",
	 "\"-999999999999999.999\"", "DECIMAL(18,3)", "-999999999999999.999"},
	{"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":38,\"scale\":1}",
	 "\"-9999999999999999999999999999999999999.9\"", "DECIMAL(38,1)",
	 "-9999999999999999999999999999999999999.9"},
	{"{\"type\":\"fixed\",\"name\":\"DF\",\"size\":20,\"logicalType\":\"decimal\","
	 "\"precision\":20,\"scale\":2}",
	 "\"-1.25\"", "DECIMAL(20,2)", "-1.25"},
	{"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":39,\"scale\":0}", "\"97\"",
	 "BLOB", "a"},
	{"[\"null\",\"string\"]", "null", "VARCHAR", NULL},
	{"[\"string\",\"null\"]", "\"a\"", "VARCHAR", "a"},
	{"[\"long\"]", "7", "BIGINT", "7"},
	{"[\"long\",\"string\"]", "\"a\"", "STRUCT(long BIGINT, string VARCHAR)",
	 "{'long': NULL, 'string': a}"},
	{"[\"null\",\"long\",\"string\"]", "null", "STRUCT(long BIGINT, string VARCHAR)", NULL},
	{"{\"type\":\"array\",\"items\":\"int\"}", "[]", "INTEGER[]", "[]"},
	{"{\"type\":\"array\",\"items\":[\"null\",\"int\"]}", "[1,null]", "INTEGER[]", "[1, NULL]"},
	{"{\"type\":\"array\",\"items\":\"null\"}", "[null,null]", "INTEGER[]", "[NULL, NULL]"},
	{"{\"type\":\"map\",\"values\":\"long\"}", "{\"a\":1}", "MAP(VARCHAR, BIGINT)", "{a=1}"},
	{FIELDS("{\"name\":\"y\",\"type\":\"int\"}"), "{\"y\":1}", "STRUCT(y INTEGER)", "{'y': 1}"},
	{"{\"type\":\"record\",\"name\":\"N\",\"fields\":[]}", "{}", "STRUCT(_empty BOOLEAN)",
	 "{'_empty': true}"},
};

static void test_types(void **state)
{
	struct parquet_world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		AUTO(freep) char *type = xstrdup(types[i].type);
		char *record = strstr(type, "\"name\":\"R\"");
		AUTO(freep) char *schema = NULL;
		AUTO(freep) char *json = xasprintf("{\"x\":%s}", types[i].json);
		AUTO(partition_writer_freep) struct partition_writer *p = NULL;
		AUTO(buf_release) struct buf row = BUF_INIT;
		AUTO(buf_release) struct buf found = BUF_INIT;
		AUTO(freep)
		char *wanted = xasprintf("%s|%s", types[i].duck_type,
					 types[i].value ? types[i].value : "(null)");
		struct writer_settings s;

		if (record)
			record[8] = 'I';
		schema = xasprintf(X("%s"), type);
		s = settings_of(w, schema);
		MUST(writer_settings_check(&s, &err));
		p = partition_writer_new(&s, "orders", 0, 0);
		encode(schema, json, &row);
		MUST(append(p, 0, buf_str(&row), row.len, &err));
		finish(w, p);
		duck_ask(&found,
			 "SELECT typeof(x) || '|' || coalesce(x::VARCHAR, '(null)') FROM "
			 "read_parquet('%s')",
			 w->file);
		assert_string_equal(buf_str(&found), wanted);
	}
}

/* ---- many rows, with refused ones between them ---- */

#define NESTED                                                                                     \
	FIELDS("{\"name\":\"id\",\"type\":\"long\"},"                                              \
	       "{\"name\":\"note\",\"type\":[\"null\",\"string\"]},"                               \
	       "{\"name\":\"who\",\"type\":[\"null\",{\"type\":\"record\",\"name\":\"Who\","       \
	       "\"fields\":[{\"name\":\"name\",\"type\":\"string\"},"                              \
	       "{\"name\":\"tags\",\"type\":{\"type\":\"array\",\"items\":\"string\"}}]}]},"       \
	       "{\"name\":\"items\",\"type\":{\"type\":\"array\",\"items\":{\"type\":\"map\","     \
	       "\"values\":[\"null\",\"long\"]}}},"                                                \
	       "{\"name\":\"price\",\"type\":{\"type\":\"bytes\",\"logicalType\":\"decimal\","     \
	       "\"precision\":5,\"scale\":2}}")

static void nested_json(int i, struct buf *out)
{
	buf_clear(out);
	buf_addf(out, "{\"id\":%d,\"note\":", i);
	buf_addf(out, i % 3 ? "\"a note that is number %d\"" : "null", i);
	if (i % 5)
		buf_addf(out, ",\"who\":{\"name\":\"w%d\",\"tags\":[%s]}", i,
			 i % 2 ? "\"one\",\"a tag over twelve bytes\"" : "");
	else
		buf_adds(out, ",\"who\":null");
	buf_adds(out, ",\"items\":[");
	for (int k = 0; k < i % 4; k++)
		buf_addf(out, "%s{\"a\":%d,\"b\":null}", k ? "," : "", i + k);
	buf_addf(out, "],\"price\":\"%d.25\"}", i % 900);
}

/* What DuckDB must find in a row, computed beside it. */
#define NESTED_OK                                                                                  \
	"note IS NOT DISTINCT FROM (CASE WHEN id %% 3 <> 0 THEN 'a note that is number ' || id "   \
	"END) AND (who IS NULL) = (id %% 5 = 0) AND (who IS NULL OR (who.name = 'w' || id AND "    \
	"who.tags = (CASE WHEN id %% 2 = 1 THEN ['one', 'a tag over twelve bytes'] ELSE [] "       \
	"END))) "                                                                                  \
	"AND len(items) = id %% 4 AND list_reduce(list_transform(items, (m, k) -> "                \
	"m['a'] = id + k - 1 AND m['b'] IS NULL AND cardinality(m) = 2), (a, b) -> a AND b, "      \
	"true) "                                                                                   \
	"AND price = id %% 900 + 0.25"

static void test_refused_rows_leave_nothing(void **state)
{
	struct parquet_world *w = *state;
	struct writer_settings s = settings_of(w, NESTED);
	AUTO(partition_writer_freep)
	struct partition_writer *p = partition_writer_new(&s, "orders", 0, 0);
	AUTO(buf_release) struct buf json = BUF_INIT;
	AUTO(buf_release) struct buf found = BUF_INIT;
	int rows = 0;

	for (int i = 0; i < 20000; i++) {
		AUTO(buf_release) struct buf row = BUF_INIT;

		nested_json(i, &json);
		encode(NESTED, json.data, &row);
		if (i % 7 == 0) { /* cut off in the price, behind all lists */
			MUST_BE(ST_POISON, append(p, i, row.data, row.len - 1, &err));
		} else if (i % 11 == 0) {
			buf_addc(&row, 'x');
			MUST_SAY(ST_POISON, "1 bytes follow",
				 append(p, i, row.data, row.len, &err));
		} else {
			MUST(append(p, i, row.data, row.len, &err));
			rows++;
		}
	}
	assert_int_equal(partition_writer_records(p), rows);
	assert_true(partition_writer_bytes(p) > 0);
	finish(w, p);
	duck_ask(&found,
		 "SELECT count(*) || ' ' || count(*) FILTER (" NESTED_OK
		 ") || ' ' || bool_and(id %% 7 <> 0 AND id %% 11 <> 0) FROM read_parquet('%s')",
		 w->file);
	{
		AUTO(freep) char *wanted = xasprintf("%d %d true", rows, rows);

		assert_string_equal(buf_str(&found), wanted);
	}
	/* In the order of the offsets. */
	duck_ask(
		&found,
		"SELECT bool_and(id > before)::VARCHAR FROM (SELECT id, lag(id, 1, -1) OVER (ORDER "
		"BY file_row_number) AS before FROM read_parquet('%s', file_row_number=true))",
		w->file);
	assert_string_equal(buf_str(&found), "true");
}

/* ---- values that Avro allows and columns cannot hold ---- */

static const struct {
	const char *type;
	const char *bytes;
	size_t len;
	const char *why;
} misfits[] = {
	{"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":3}", "\4\3\xe8", 3,
	 "x: a decimal"},
	{"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":3}", "\4\xfc\x18", 3,
	 "x: a decimal"},
	/* -2^128: the sixteen bytes that count are zero */
	{"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":3}",
	 "\42\xff\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 18, "x: a decimal"},
	{LOGICAL("int", "time-millis"), "\1", 1, "x: a time of day"},
	{LOGICAL("long", "timestamp-millis"), "\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 10,
	 "x: a timestamp"},
	{LOGICAL("string", "uuid"), "\2a", 2, "x: the string is no UUID"},
	{"{\"type\":\"fixed\",\"name\":\"D\",\"size\":12,\"logicalType\":\"duration\"}",
	 "\0\0\0\x80\0\0\0\0\0\0\0\0", 12, "x: a duration"},
	{"\"string\"", "\2\xff", 2, "x: a string is not UTF-8"},
	{"\"boolean\"", "\2", 1, "x: a boolean"},
	{"{\"type\":\"array\",\"items\":\"null\"}", "\x80\x80\x80\x80\x20\0", 6, "x: "},
};

static void test_misfits_are_refused(void **state)
{
	struct parquet_world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(misfits); i++) {
		AUTO(freep) char *schema = xasprintf(X("%s"), misfits[i].type);
		struct writer_settings s = settings_of(w, schema);
		AUTO(partition_writer_freep)
		struct partition_writer *p = partition_writer_new(&s, "orders", 0, 0);

		MUST_SAY(ST_POISON, misfits[i].why,
			 append(p, 0, misfits[i].bytes, misfits[i].len, &err));
		assert_int_equal(partition_writer_records(p), 0);
	}
}

/* The items of a row that is taken back are gone from its lists too. */
static void test_items_are_taken_back(void **state)
{
	static const char json[] = X("{\"type\":\"array\",\"items\":\"string\"}");
	/* two items; two, of which the second ends early */
	static const unsigned char rows[2][24] = {"\4\2a\2b\0", "\4\2a\6b"};
	static const size_t lengths[] = {6, 5};
	AUTO(schema_freep) struct schema *schema = NULL;
	AUTO(columns_freep) struct columns *columns = NULL;
	AUTO(column_rows_freep) struct column_rows *r = NULL;
	const struct duckdb_api *duck;
	duckdb_logical_type type;
	duckdb_data_chunk chunk;

	(void)state;
	MUST(duckdb_api_load(&duck, &err));
	MUST(schema_parse(json, strlen(json), &schema, &err));
	MUST(columns_new(schema, false, &columns, &err));
	r = column_rows_new(columns, NULL, 0);
	type = columns_type(columns, 0);
	chunk = duck->create_data_chunk(&type, 1);
	column_rows_begin(r, chunk);
	for (int i = 0; i < 5; i++) {
		const unsigned char *pos = rows[i % 2];

		MUST_BE(i % 2 ? ST_POISON : ST_OK,
			column_rows_add(r, &pos, pos + lengths[i % 2], true, &err));
	}
	column_rows_end(r);
	assert_int_equal(duck->data_chunk_get_size(chunk), 3);
	assert_int_equal(duck->list_vector_get_size(duck->data_chunk_get_vector(chunk, 0)), 6);
	duck->destroy_data_chunk(&chunk);
}

/* What COPY meets at the ends of ranges must be no error of COPY. */
static void test_extremes_go_through(void **state)
{
	static const char *const logical[] = {
		"timestamp-micros",       "timestamp-nanos",       "local-timestamp-millis",
		"local-timestamp-micros", "local-timestamp-nanos",
	};
	static const char least[] = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\1";
	static const char greatest[] = "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\1";
	struct parquet_world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(logical); i++) {
		AUTO(freep)
		char *schema =
			xasprintf(X("{\"type\":\"long\",\"logicalType\":\"%s\"}"), logical[i]);
		struct writer_settings s = settings_of(w, schema);
		AUTO(partition_writer_freep)
		struct partition_writer *p = partition_writer_new(&s, "orders", 0, 0);
		AUTO(buf_release) struct buf found = BUF_INIT;

		MUST(append(p, 0, least, 10, &err));
		MUST(append(p, 1, greatest, 10, &err));
		finish(w, p);
		duck_ask(&found, "SELECT count(*)::VARCHAR FROM read_parquet('%s')", w->file);
		assert_string_equal(buf_str(&found), "2");
	}
	{
		static const char schema[] = X("{\"type\":\"int\",\"logicalType\":\"date\"}");
		struct writer_settings s = settings_of(w, schema);
		AUTO(partition_writer_freep)
		struct partition_writer *p = partition_writer_new(&s, "orders", 0, 0);

		MUST(append(p, 0, "\xff\xff\xff\xff\x0f", 5, &err));
		MUST(append(p, 1, "\xfe\xff\xff\xff\x0f", 5, &err));
		finish(w, p);
	}
}

/* ---- schemas ---- */

static const struct {
	const char *schema;
	const char *why;
} refused_schemas[] = {
	{FIELDS("{\"name\":\"next\",\"type\":[\"null\",\"R\"]}"), "record 'R' is inside itself"},
	{FIELDS("{\"name\":\"a\",\"type\":\"int\"},{\"name\":\"A\",\"type\":\"int\"}"),
	 "'a' and 'A' differ in case"},
};

static void test_refused_schemas(void **state)
{
	struct parquet_world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(refused_schemas); i++) {
		struct writer_settings s = settings_of(w, refused_schemas[i].schema);

		MUST_SAY(ST_USAGE, refused_schemas[i].why, writer_settings_check(&s, &err));
	}
}

/* Any schema and any of its values: all rows come back, or the schema is refused. */
static void test_random_schemas(void **state)
{
	struct parquet_world *w = *state;
	int written = 0;

	for (uint64_t seed = 1; seed <= 150; seed++) {
		struct rng r = rng_seeded(seed);
		AUTO(buf_release) struct buf json = BUF_INIT;
		AUTO(buf_release) struct buf found = BUF_INIT;
		AUTO(schema_freep) struct schema *schema = NULL;
		AUTO(parquet_file_freep) struct parquet_file *f = NULL;
		AUTO(partition_writer_freep) struct partition_writer *p = NULL;
		struct writer_settings s;
		struct err why = ERR_INIT;
		uint64_t rows = 0;

		random_schema(&r, &json);
		MUST(schema_parse(json.data, json.len, &schema, &err));
		s = settings_of(w, json.data);
		if (parquet_schema_check(schema, NULL, &why) != ST_OK)
			continue;
		p = partition_writer_new(&s, "orders", 0, 0);
		for (int i = 0; i < 300; i++) {
			AUTO(buf_release) struct buf value = BUF_INIT;
			enum status st;

			random_value_of(&r, schema_root(schema), &value);
			if (i % 3 == 0)
				random_damage(&r, &value);
			st = append(p, i, buf_str(&value), value.len, &why);
			if (st != ST_OK && st != ST_POISON)
				fail_msg("seed %d: %s", (int)seed, why.text);
			rows += st == ST_OK;
		}
		assert_int_equal(partition_writer_records(p), rows);
		if (!rows)
			continue;
		finish(w, p);
		duck_ask(&found,
			 "SELECT count(*) || '' FROM (SELECT DISTINCT * FROM (SELECT *, "
			 "file_row_number AS n_ FROM read_parquet('%s', file_row_number=true)))",
			 w->file);
		assert_int_equal(strtoull(buf_str(&found), NULL, 10), rows);
		written++;
	}
	assert_true(written > 50);
}

/* ---- the file as a whole ---- */

static void write_numbers(struct parquet_world *w, struct partition_writer *p, int from, int to)
{
	for (int i = from; i < to; i++) {
		AUTO(buf_release) struct buf row = BUF_INIT;

		buf_add_varint(&row, (uint64_t)i << 1);
		MUST(append(p, i, row.data, row.len, &err));
	}
	finish(w, p);
}

static void test_equal_rows_make_equal_files(void **state)
{
	struct parquet_world *w = *state;
	struct writer_settings s = settings_of(w, X("\"long\""));
	AUTO(partition_writer_freep)
	struct partition_writer *p = partition_writer_new(&s, "orders", 0, 0);
	AUTO(partition_writer_freep)
	struct partition_writer *fresh = partition_writer_new(&s, "orders", 0, 0);
	AUTO(buf_release) struct buf a = BUF_INIT;
	AUTO(buf_release) struct buf b = BUF_INIT;

	write_numbers(w, p, 0, 100);
	write_numbers(w, p, 100, 300000);
	MUST(file_read(w->file, 1 << 30, &a, &err));
	write_numbers(w, fresh, 100, 300000);
	MUST(file_read(w->file, 1 << 30, &b, &err));
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.data, b.data, a.len);
}

static void test_row_groups_and_metadata(void **state)
{
	struct parquet_world *w = *state;
	static const char schema[] =
		FIELDS("{\"name\":\"x\",\"type\":\"long\",\"field-id\":5,\"doc\":\"it's\"}");
	struct writer_settings s = settings_of(w, schema);
	AUTO(partition_writer_freep) struct partition_writer *p = NULL;
	AUTO(buf_release) struct buf found = BUF_INIT;

	s.group_rows = 10000;
	s.codec = CODEC_ZSTANDARD;
	p = partition_writer_new(&s, "orders", 0, 0);
	write_numbers(w, p, 0, 50000);
	duck_ask(&found,
		 "SELECT count(*) || ' ' || any_value(compression) || ' ' || "
		 "bool_and(row_group_num_rows <= 12288) || ' ' || min(stats_min_value::BIGINT) || "
		 "' ' "
		 "|| max(stats_max_value::BIGINT) FROM parquet_metadata('%s')",
		 w->file);
	assert_string_equal(buf_str(&found), "5 ZSTD true 0 49999");
	duck_ask(&found, "SELECT field_id::VARCHAR FROM parquet_schema('%s') WHERE name = 'x'",
		 w->file);
	assert_string_equal(buf_str(&found), "5");
	duck_ask(&found,
		 "SELECT decode(value) FROM parquet_kv_metadata('%s') WHERE decode(key) = "
		 "'parquet.avro.schema'",
		 w->file);
	assert_string_equal(buf_str(&found), schema);
}

/* ---- converters ---- */

static void one_column(struct parquet_world *w, enum value_converter converter, const char *value,
		       const char *wanted)
{
	struct writer_settings s = settings_of(w, NULL);
	AUTO(partition_writer_freep) struct partition_writer *p = NULL;
	AUTO(buf_release) struct buf found = BUF_INIT;

	s.converter = converter;
	MUST(writer_settings_check(&s, &err));
	p = partition_writer_new(&s, "orders", 0, 0);
	MUST(append(p, 0, value, strlen(value), &err));
	MUST(append(p, 1, NULL, 0, &err));
	finish(w, p);
	duck_ask(&found,
		 "SELECT typeof(any_value(value)) || '|' || any_value(value)::VARCHAR || '|' || "
		 "count(*) FROM read_parquet('%s')",
		 w->file);
	assert_string_equal(buf_str(&found), wanted);
}

static void test_one_column(void **state)
{
	one_column(*state, CONVERTER_STRING, "a text of some length",
		   "VARCHAR|a text of some length|2");
	one_column(*state, CONVERTER_BYTES, "\xff", "BLOB|\\xFF|2");
	one_column(*state, CONVERTER_JSON, "{\"a\": [1, 2]}", "JSON|{\"a\": [1, 2]}|2");
}

static void test_tombstones_have_a_file_of_their_own(void **state)
{
	struct parquet_world *w = *state;
	struct writer_settings s = settings_of(w, X("\"long\""));
	AUTO(partition_writer_freep)
	struct partition_writer *p = partition_writer_new(&s, "orders", 0, 0);
	AUTO(written_files_release) struct written_files files = {NULL, 0, 0};

	MUST(append(p, 0, "\2", 1, &err));
	MUST(append(p, 1, NULL, 0, &err));
	MUST(append(p, 2, "\2", 1, &err));
	MUST(partition_writer_finish(p, &files, &err));
	assert_int_equal(files.n, 2);
	assert_string_equal(files.items[0].path,
			    "topics/orders/partition=0/orders+0+0000000000.parquet");
	assert_string_equal(lake_meta_get(&files.items[1].meta, "tidemark.offsets"), "1");
	assert_string_equal(files.items[0].content_type, "application/vnd.apache.parquet");
}

/* Dropped at any moment, it leaves neither threads nor anything in the lake. */
static void test_dropped_in_the_middle(void **state)
{
	struct parquet_world *w = *state;
	struct writer_settings s = settings_of(w, X("\"long\""));

	for (int rows = 1; rows < 200000; rows *= 3) {
		struct partition_writer *p = partition_writer_new(&s, "orders", 0, 0);

		for (int i = 0; i < rows; i++)
			MUST(append(p, i, "\2", 1, &err));
		partition_writer_free(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_refused_rows_leave_nothing),
		cmocka_unit_test(test_misfits_are_refused),
		cmocka_unit_test(test_items_are_taken_back),
		cmocka_unit_test(test_extremes_go_through),
		cmocka_unit_test(test_refused_schemas),
		cmocka_unit_test(test_random_schemas),
		cmocka_unit_test(test_equal_rows_make_equal_files),
		cmocka_unit_test(test_row_groups_and_metadata),
		cmocka_unit_test(test_one_column),
		cmocka_unit_test(test_tombstones_have_a_file_of_their_own),
		cmocka_unit_test(test_dropped_in_the_middle),
	};

	return cmocka_run_group_tests(tests, parquet_world_open, parquet_world_close);
}
