/* Parquet files whose rows are sorted: by DuckDB's own order, with each row's offset in
 * the file's metadata. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "connector/columnar/parquet_file.h"
#include "connector/history/find.h"
#include "connector/writer/partition_writer.h"
#include "tests/lib/duck.h"
#include "tests/lib/must.h"
#include "tests/lib/oracle_runs.h"
#include "tests/lib/parquet_world.h"
#include "tests/lib/random_avro.h"

static struct writer_settings settings_of(const struct parquet_world *w, const char *schema,
					  const char *const *paths, size_t n)
{
	return (struct writer_settings){.lake = w->lake,
					.converter = CONVERTER_AVRO_RAW,
					.format = FORMAT_PARQUET,
					.codec = CODEC_SNAPPY,
					.schema_json = schema,
					.parquet = w->engine,
					.sort = {paths, n},
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

static const char *offsets_of(const struct written_file *f)
{
	return lake_meta_get(&f->meta, "tidemark.offsets");
}

/* Rows hold their offset as n: the metadata name the same ones in the same order. */
static void check_offsets(struct parquet_world *w, const struct written_file *f)
{
	AUTO(oracle_runs_release) struct oracle_runs runs = {.n = 0};
	AUTO(buf_release) struct buf rows = BUF_INIT;
	AUTO(buf_release) struct buf wanted = BUF_INIT;

	assert_true(oracle_runs_parse(offsets_of(f), &runs));
	for (size_t i = 0; i < runs.n; i++)
		for (int64_t o = runs.items[i].from; o <= runs.items[i].to; o++)
			buf_addf(&wanted, "%s%lld", wanted.len ? "," : "", (long long)o);
	duck_ask(&rows,
		 "SELECT string_agg(n::VARCHAR, ',' ORDER BY file_row_number) FROM "
		 "read_parquet('%s', file_row_number=true)",
		 w->file);
	assert_string_equal(buf_str(&rows), buf_str(&wanted));
}

/* Rows that DuckDB would put elsewhere. */
static void check_order(const struct parquet_world *w, const char *order)
{
	AUTO(buf_release) struct buf found = BUF_INIT;

	duck_ask(&found,
		 "SELECT count(*)::VARCHAR FROM (SELECT row_number() OVER (ORDER BY "
		 "file_row_number) AS a, row_number() OVER (ORDER BY %s, n) AS b FROM "
		 "read_parquet('%s', file_row_number=true)) WHERE a != b",
		 order, w->file);
	assert_string_equal(buf_str(&found), "0");
}

/* ---- types ---- */

#define LOGICAL(type, logical) "{\"type\":\"" type "\",\"logicalType\":\"" logical "\"}"
#define DECIMAL(p)                                                                                 \
	"{\"type\":\"fixed\",\"name\":\"D\",\"size\":20,\"logicalType\":\"decimal\","              \
	"\"precision\":" #p ",\"scale\":2}"
#define SMALL(p) "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":" #p ",\"scale\":1}"

static const char *const types[] = {
	"\"boolean\"",
	"\"int\"",
	"\"long\"",
	"\"float\"",
	"\"double\"",
	"\"string\"",
	"\"bytes\"",
	"{\"type\":\"fixed\",\"name\":\"F\",\"size\":2}",
	"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"red\",\"a\",\"green\",\"Z\"]}",
	LOGICAL("int", "date"),
	LOGICAL("long", "timestamp-micros"),
	LOGICAL("long", "local-timestamp-micros"),
	"{\"type\":\"fixed\",\"name\":\"U\",\"size\":16,\"logicalType\":\"uuid\"}",
	SMALL(4),
	SMALL(9),
	SMALL(18),
	SMALL(38),
	DECIMAL(30),
	"\"null\"",
};

static void test_order_of_each_type(void **state)
{
	static const char *const paths[] = {"b.c"};
	struct parquet_world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		const bool null = strcmp(types[i], "\"null\"") == 0;
		AUTO(freep)
		char *json = xasprintf(
			"{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"n\",\"type\":"
			"\"long\"},{\"name\":\"b\",\"type\":[\"null\",{\"type\":\"record\","
			"\"name\":"
			"\"B\",\"fields\":[{\"name\":\"c\",\"type\":%s%s%s}]}]}]}",
			null ? "" : "[\"null\",", types[i], null ? "" : "]");
		struct writer_settings s = settings_of(w, json, paths, 1);
		AUTO(schema_freep) struct schema *schema = NULL;
		AUTO(partition_writer_freep) struct partition_writer *p = NULL;
		AUTO(written_files_release) struct written_files files = {NULL, 0, 0};
		AUTO(buf_release) struct buf bytes = BUF_INIT;
		struct rng rng = rng_seeded(i);
		uint64_t rows = 0;

		MUST(schema_parse(json, strlen(json), &schema, &err));
		MUST(writer_settings_check(&s, &err));
		p = partition_writer_new(&s, "orders", 0, 0);
		for (int n = 0; n < 5000; n++) {
			AUTO(buf_release) struct buf value = BUF_INIT;
			struct err err = ERR_INIT;

			buf_add_varint(&value, (uint64_t)n << 1);
			random_value_of(&rng, schema_root(schema)->fields[1].type, &value);
			rows += append(p, n, value.data, value.len, &err) == ST_OK;
		}
		assert_true(rows > 1000);
		MUST(partition_writer_finish(p, &files, &err));
		assert_int_equal(files.n, 1);
		assert_int_equal(files.items[0].records, rows);
		parquet_world_read_back(w, &files.items[0], &bytes);
		check_order(w, "b.c ASC NULLS LAST");
		check_offsets(w, &files.items[0]);
	}
}

/* {n, s, b: {c}} */
#define ROW                                                                                        \
	"{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"n\",\"type\":\"long\"},"      \
	"{\"name\":\"s\",\"type\":\"string\"},{\"name\":\"b\",\"type\":{\"type\":\"record\","      \
	"\"name\":\"B\",\"fields\":[{\"name\":\"c\",\"type\":[\"null\",\"long\"]}]}},"             \
	"{\"name\":\"l\",\"type\":{\"type\":\"array\",\"items\":\"long\"}}]}"

static void row(struct buf *b, int64_t n, const char *s, size_t len, int64_t c)
{
	buf_clear(b);
	buf_add_varint(b, (uint64_t)n << 1);
	buf_add_varint(b, len << 1);
	buf_add(b, s, len);
	buf_add_varint(b, c < 0 ? 0 : 2);
	if (c >= 0)
		buf_add_varint(b, (uint64_t)c << 1);
	buf_addc(b, 0);
}

static void write_rows(struct partition_writer *p, int64_t from, int64_t to)
{
	AUTO(buf_release) struct buf b = BUF_INIT;

	for (int64_t n = from; n < to; n++) {
		struct rng rng = rng_seeded((uint64_t)n);
		char text[64];
		/* ends and bytes that are zero are told apart; texts share their beginnings */
		int len = snprintf(text, sizeof(text), "%0*d", (int)rng_below(&rng, 30),
				   (int)rng_below(&rng, 3));

		if (rng_below(&rng, 4) == 0)
			text[rng_below(&rng, (uint64_t)len)] = '\0';
		row(&b, n, text, (size_t)len, (int64_t)rng_below(&rng, 20) - 4);
		MUST(append(p, n, b.data, b.len, &err));
	}
}

/* By several columns; row groups are apart from each other, and find names the row. */
static void test_several_columns(void **state)
{
	static const char *const paths[] = {"b.c", "s"};
	struct parquet_world *w = *state;
	struct writer_settings s = settings_of(w, ROW, paths, 2);
	AUTO(partition_writer_freep) struct partition_writer *p = NULL;
	AUTO(written_files_release) struct written_files files = {NULL, 0, 0};
	AUTO(buf_release) struct buf bytes = BUF_INIT;
	AUTO(buf_release) struct buf found = BUF_INIT;

	s.group_rows = 2048;
	MUST(writer_settings_check(&s, &err));
	p = partition_writer_new(&s, "orders", 0, 0);
	write_rows(p, 100, 20100);
	MUST(partition_writer_finish(p, &files, &err));
	assert_int_equal(files.n, 1);
	assert_string_equal(files.items[0].path,
			    "topics/orders/partition=0/orders+0+0000000100.parquet");
	assert_int_equal(files.items[0].first_offset, 100);
	assert_int_equal(files.items[0].last_offset, 20099);
	parquet_world_read_back(w, &files.items[0], &bytes);
	check_order(w, "b.c NULLS LAST, s NULLS LAST");
	check_offsets(w, &files.items[0]);
	duck_ask(&found,
		 "SELECT (count(*) >= 9 AND bool_and(low >= before)) ::VARCHAR FROM (SELECT "
		 "stats_min_value::BIGINT AS low, lag(stats_max_value::BIGINT, 1, low) OVER (ORDER "
		 "BY row_group_id) AS before FROM parquet_metadata('%s') WHERE path_in_schema = "
		 "'b, c')",
		 w->file);
	assert_string_equal(buf_str(&found), "true");
	for (int64_t n = 100; n < 20100; n += 997) {
		AUTO(buf_release) struct buf at = BUF_INIT;
		uint64_t number;

		assert_true(offset_runs_find(offsets_of(&files.items[0]), n, &number));
		duck_ask(&at,
			 "SELECT n::VARCHAR FROM read_parquet('%s', file_row_number=true) WHERE "
			 "file_row_number = %lld",
			 w->file, (long long)number);
		assert_int_equal(strtoll(buf_str(&at), NULL, 10), n);
	}
}

/* ---- files ---- */

static void write_all(struct parquet_world *w, bool used_before, struct buf *out, size_t *files_out)
{
	static const char *const paths[] = {"s"};
	struct writer_settings s = settings_of(w, ROW, paths, 1);
	AUTO(partition_writer_freep) struct partition_writer *p = NULL;
	AUTO(written_files_release) struct written_files files = {NULL, 0, 0};
	AUTO(buf_release) struct buf bytes = BUF_INIT;
	int64_t next = 1000;

	s.group_bytes = 64 << 10;
	p = partition_writer_new(&s, "orders", 0, 0);
	if (used_before) {
		AUTO(written_files_release) struct written_files others = {NULL, 0, 0};

		write_rows(p, 0, 1000);
		MUST(partition_writer_finish(p, &others, &err));
	}
	write_rows(p, 1000, 11000);
	MUST(partition_writer_finish(p, &files, &err));
	*files_out = files.n;
	for (size_t i = 0; i < files.n; i++) {
		assert_int_equal(files.items[i].first_offset, next);
		next = files.items[i].last_offset + 1;
		assert_int_equal(files.items[i].records, next - files.items[i].first_offset);
		parquet_world_read_back(w, &files.items[i], &bytes);
		check_order(w, "s");
		check_offsets(w, &files.items[i]);
		buf_addf(out, "%s %s\n", files.items[i].path, offsets_of(&files.items[i]));
		buf_addbuf(out, &bytes);
	}
	assert_int_equal(next, 11000);
}

/* A file ends where as many rows are held as may be; what is read again gives the same. */
static void test_full_files(void **state)
{
	AUTO(buf_release) struct buf a = BUF_INIT;
	AUTO(buf_release) struct buf b = BUF_INIT;
	size_t files, again;

	write_all(*state, false, &a, &files);
	write_all(*state, true, &b, &again);
	assert_in_range(files, 4, 12);
	assert_int_equal(files, again);
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.data, b.data, a.len);
}

/* Rows that are refused, and tombstones, whose schema lacks the column. */
static void test_others(void **state)
{
	static const char *const paths[] = {"b.c"};
	struct parquet_world *w = *state;
	struct writer_settings s = settings_of(w, ROW, paths, 1);
	AUTO(partition_writer_freep)
	struct partition_writer *p = partition_writer_new(&s, "orders", 0, 0);
	AUTO(written_files_release) struct written_files files = {NULL, 0, 0};
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct err why = ERR_INIT;

	for (int64_t n = 0; n < 30; n++) {
		if (n % 3 == 0) {
			assert_int_equal(append(p, n, "\2", 1, &why), ST_POISON);
		} else if (n % 3 == 1) {
			MUST(append(p, n, NULL, 0, &err));
		} else {
			row(&b, n, "x", 1, 30 - n);
			MUST(append(p, n, b.data, b.len, &err));
		}
	}
	MUST(partition_writer_finish(p, &files, &err));
	assert_int_equal(files.n, 2);
	assert_string_equal(offsets_of(&files.items[0]), "1,4,7,10,13,16,19,22,25,28");
	assert_string_equal(offsets_of(&files.items[1]), "29,26,23,20,17,14,11,8,5,2");
}

/* Dropped at any moment, it leaves nothing. */
static void test_dropped(void **state)
{
	static const char *const paths[] = {"s"};
	struct parquet_world *w = *state;
	struct writer_settings s = settings_of(w, ROW, paths, 1);

	for (int i = 0; i < 6; i++) {
		struct partition_writer *p = partition_writer_new(&s, "orders", 0, 0);

		write_rows(p, 0, 5000);
		if (i % 2)
			MUST(partition_writer_end(p, &err));
		partition_writer_free(p);
	}
}

/* ---- settings ---- */

static void refused(struct writer_settings s, const char *why)
{
	struct err err = ERR_INIT;

	assert_int_equal(writer_settings_check(&s, &err), ST_USAGE);
	if (!strstr(err.text, why))
		fail_msg("'%s' does not say '%s'", err.text, why);
}

/* Of many columns an error names the first, and says that there are more only where there are. */
static void test_named_columns(void **state)
{
	static const char *const absent[] = {"none"};

	for (int more = 0; more < 2; more++) {
		AUTO(freep) char *name = xcalloc(1, 206);
		AUTO(freep) char *schema = NULL;
		AUTO(freep) char *wanted = NULL;
		struct writer_settings s;
		struct err err = ERR_INIT;

		memset(name, 'c', 205);
		schema = xasprintf("{\"type\":\"record\",\"name\":\"R\",\"fields\":["
				   "{\"name\":\"%s\",\"type\":\"long\"}%s]}",
				   name, more ? ",{\"name\":\"d\",\"type\":\"long\"}" : "");
		wanted = xasprintf("there are %s%s", name, more ? ", ..." : "");
		s = settings_of(*state, schema, absent, 1);
		assert_int_equal(writer_settings_check(&s, &err), ST_USAGE);
		assert_non_null(strstr(err.text, wanted));
		assert_int_equal(strstr(err.text, "...") != NULL, more);
	}
}

static void test_settings(void **state)
{
	static const char *const absent[] = {"s", "b.d"}, *const list[] = {"l"},
				 *const record[] = {"b"}, *const value[] = {"value"},
				 *const offset[] = {"_kafka.offset"}, *const field[] = {"s"};
	struct parquet_world *w = *state;
	struct writer_settings s = settings_of(w, ROW, absent, 2);

	refused(s, "parquet.sort.columns: there is no column 'b.d'; there are n, s, b, l");
	refused(settings_of(w, ROW, list, 1), "the column 'l' holds lists");
	refused(settings_of(w, ROW, record, 1), "the column 'b' holds lists, maps, records");
	refused(settings_of(w, ROW, offset, 1), "there is no column '_kafka.offset'");
	s = settings_of(w, ROW, offset, 1);
	s.metadata = true;
	MUST(writer_settings_check(&s, &err));
	s = settings_of(w, NULL, field, 1);
	s.converter = CONVERTER_STRING;
	refused(s, "parquet.sort.columns: there is no column 's'; there are value");
	s.converter = CONVERTER_JSON;
	refused(s, "there are value; fields are columns with value.converter.schema.file");
	s.converter = CONVERTER_STRING;
	s.sort.paths = value;
	MUST(writer_settings_check(&s, &err));
	s = settings_of(w, ROW, field, 1);
	s.format = FORMAT_AVRO;
	refused(s, "parquet.sort.columns=s: only Parquet files are sorted; take format=parquet");
	/* Of a registry's schemas: any path may be in one of them. */
	s = settings_of(w, NULL, absent, 2);
	s.converter = CONVERTER_AVRO;
	MUST(writer_options_check(&s, &err));
}

/* A schema that lacks one of the columns is sorted by the others; one that has none is
 * not sorted. */
static void test_lacking_columns(void **state)
{
	static const char *const some[] = {"nowhere", "b.c"}, *const none[] = {"nowhere", "l"};
	struct parquet_world *w = *state;

	for (int i = 0; i < 2; i++) {
		struct writer_settings s = settings_of(w, ROW, i ? none : some, 2);
		AUTO(partition_writer_freep)
		struct partition_writer *p = partition_writer_new(&s, "orders", 0, 0);
		AUTO(written_files_release) struct written_files files = {NULL, 0, 0};
		AUTO(buf_release) struct buf bytes = BUF_INIT;

		write_rows(p, 0, 500);
		MUST(partition_writer_finish(p, &files, &err));
		assert_int_equal(files.n, 1);
		if (i)
			assert_string_equal(offsets_of(&files.items[0]), "0-499");
		parquet_world_read_back(w, &files.items[0], &bytes);
		check_order(w, i ? "n" : "b.c NULLS LAST");
		check_offsets(w, &files.items[0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_of_each_type),
		cmocka_unit_test(test_several_columns),
		cmocka_unit_test(test_full_files),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_dropped),
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_named_columns),
		cmocka_unit_test(test_lacking_columns),
	};

	return cmocka_run_group_tests(tests, parquet_world_open, parquet_world_close);
}
