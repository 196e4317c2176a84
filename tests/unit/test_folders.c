/* The files of a writer whose records choose their folders, in each format, read back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "connector/columnar/parquet_file.h"
#include "connector/writer/avro_row.h"
#include "connector/writer/partition_writer.h"
#include "core/base/file.h"
#include "tests/lib/duck.h"
#include "tests/lib/must.h"
#include "tests/lib/oracle_runs.h"
#include "tests/lib/read_back.h"
#include "tests/lib/tempdir.h"

#define SALE                                                                                       \
	"{\"type\":\"record\",\"name\":\"Sale\",\"namespace\":\"com.acme\",\"fields\":["           \
	"{\"name\":\"country\",\"type\":[\"null\",\"string\"],\"default\":null},"                  \
	"{\"name\":\"n\",\"type\":\"long\"}]}"
#define NONE "__HIVE_DEFAULT_PARTITION__"

struct world {
	char *dir;
	struct lake *lake;
	struct parquet_engine *engine;
	struct partitioner *by_country, *by_hour;
};

static int world_open(void **state)
{
	static const char *const fields[] = {"country"};
	const struct partitioner_options field = {
		.path_prefix = "topics", .fields = fields, .n_fields = 1};
	const struct partitioner_options hour = {.path_prefix = "topics",
						 .path_format = "yyyy-MM-dd/HH",
						 .duration_ms = 3600000,
						 .timezone = "UTC"};
	struct world *w = xcalloc(1, sizeof(*w));
	struct lake_options options = {.create = true};

	w->dir = tempdir_new();
	MUST(lake_open(w->dir, &options, &w->lake, &err));
	MUST(parquet_engine_new(&w->engine, &err));
	MUST(partitioner_new(&field, &w->by_country, &err));
	MUST(partitioner_new(&hour, &w->by_hour, &err));
	*state = w;
	return 0;
}

static int world_close(void **state)
{
	struct world *w = *state;

	partitioner_free(w->by_country);
	partitioner_free(w->by_hour);
	parquet_engine_free(w->engine);
	lake_close(w->lake);
	tempdir_remove(&w->dir);
	free(w);
	return 0;
}

static struct writer_settings settings_of(const struct world *w, enum value_converter converter,
					  enum file_format format)
{
	return (struct writer_settings){.lake = w->lake,
					.converter = converter,
					.format = format,
					.codec = CODEC_NULL,
					.schema_json =
						converter == CONVERTER_AVRO_RAW ? SALE : NULL,
					.path_prefix = "topics",
					.parquet = w->engine,
					.partitioner = w->by_country};
}

/* country NULL: null */
static void sale(struct buf *b, const char *country, int64_t n)
{
	buf_clear(b);
	avro_row_long(b, country ? 1 : 0);
	if (country)
		avro_row_text(b, country);
	avro_row_long(b, n);
}

static enum status append(struct partition_writer *p, int64_t offset, const void *value, size_t len,
			  struct err *err)
{
	struct record r = {.topic = "sales",
			   .partition = 2,
			   .offset = offset,
			   .timestamp_ms = 1709622489045 + offset % (1 << 30) * 1000,
			   .key = "key",
			   .key_len = 3,
			   .value = value,
			   .value_len = len};

	return partition_writer_append(p, &r, NULL, err);
}

static void append_sale(struct partition_writer *p, int64_t offset, const char *country)
{
	AUTO(buf_release) struct buf b = BUF_INIT;

	sale(&b, country, offset);
	MUST(append(p, offset, b.data, b.len, &err));
}

static void file_is(const struct written_file *f, const char *path, const char *offsets)
{
	assert_string_equal(f->path, path);
	assert_string_equal(lake_meta_get(&f->meta, "tidemark.offsets"), offsets);
}

static void test_fields_name_folders(void **state)
{
	struct world *w = *state;
	struct writer_settings s = settings_of(w, CONVERTER_AVRO_RAW, FORMAT_AVRO);
	AUTO(partition_writer_freep)
	struct partition_writer *p = partition_writer_new(&s, "sales", 2, 1);
	AUTO(written_files_release) struct written_files files = {NULL, 0, 0};
	struct err why = ERR_INIT;

	MUST(writer_settings_check(&s, &err));
	append_sale(p, 0, "DE");
	append_sale(p, 1, "A/T");
	append_sale(p, 2, NULL);
	append_sale(p, 3, "DE");
	append_sale(p, 4, "DE");
	MUST(append(p, 5, NULL, 0, &err)); /* a tombstone: in the folder of null, and a schema of
					     its own */
	append_sale(p, 6, "A/T");
	assert_int_equal(append(p, 7, "\4", 1, &why), ST_POISON);
	assert_int_equal(partition_writer_open_files(p), 4);
	assert_int_equal(partition_writer_records(p), 7);
	MUST(partition_writer_finish(p, &files, &err));
	assert_int_equal(files.n, 4);
	file_is(&files.items[0], "topics/sales/country=DE/sales+2+0000000000+g1.avro", "0,3-4");
	file_is(&files.items[1], "topics/sales/country=A%2FT/sales+2+0000000001+g1.avro", "1,6");
	file_is(&files.items[2], "topics/sales/country=" NONE "/sales+2+0000000002+g1.avro", "2");
	file_is(&files.items[3], "topics/sales/country=" NONE "/sales+2+0000000005+g1.avro", "5");
	for (size_t i = 0; i < files.n; i++)
		assert_string_equal(
			lake_meta_get(&files.items[i].meta, "tidemark.partition.fields"),
			"country");
	assert_int_equal(partition_writer_open_files(p), 0);
}

static void test_times_name_folders(void **state)
{
	struct world *w = *state;
	struct writer_settings s = settings_of(w, CONVERTER_STRING, FORMAT_BYTES);
	AUTO(partition_writer_freep) struct partition_writer *p = NULL;
	AUTO(written_files_release) struct written_files files = {NULL, 0, 0};

	s.partitioner = w->by_hour;
	MUST(writer_settings_check(&s, &err));
	p = partition_writer_new(&s, "sales", 2, 0);
	MUST(append(p, 0, "a", 1, &err));
	MUST(append(p, 3600, "b", 1, &err));
	MUST(append(p, 3601, NULL, 0, &err));
	MUST(append(p, 90000, "c", 1, &err));
	MUST(partition_writer_finish(p, &files, &err));
	assert_int_equal(files.n, 3);
	file_is(&files.items[0], "topics/sales/2024-03-05/07/sales+2+0000000000.bin", "0");
	file_is(&files.items[1], "topics/sales/2024-03-05/08/sales+2+0000003600.bin", "3600-3601");
	file_is(&files.items[2], "topics/sales/2024-03-06/08/sales+2+0000090000.bin", "90000");
	assert_null(lake_meta_get(&files.items[2].meta, "tidemark.partition.fields"));
}

/* At the limit the file whose last row is the oldest is finished. */
static void test_oldest_is_finished_first(void **state)
{
	struct world *w = *state;
	struct writer_settings s = settings_of(w, CONVERTER_AVRO_RAW, FORMAT_AVRO);
	AUTO(partition_writer_freep) struct partition_writer *p = NULL;
	AUTO(written_files_release) struct written_files files = {NULL, 0, 0};
	static const char *const order[] = {"A", "B", "C", "A", "D", "B", "A", "C"};

	s.open_files = 3;
	p = partition_writer_new(&s, "sales", 2, 0);
	for (int i = 0; i < 8; i++) {
		append_sale(p, i, order[i]);
		assert_in_range(partition_writer_open_files(p), 1, 3);
	}
	/* D ended B (last row 1, A's is 3); B ended C (2); C ended D (4). */
	assert_in_range(partition_writer_waiting(p), 3000, 20000);
	assert_int_equal(partition_writer_records(p), 8);
	MUST(partition_writer_finish(p, &files, &err));
	assert_int_equal(files.n, 6);
	file_is(&files.items[0], "topics/sales/country=A/sales+2+0000000000.avro", "0,3,6");
	file_is(&files.items[1], "topics/sales/country=B/sales+2+0000000001.avro", "1");
	file_is(&files.items[2], "topics/sales/country=C/sales+2+0000000002.avro", "2");
	file_is(&files.items[3], "topics/sales/country=D/sales+2+0000000004.avro", "4");
	file_is(&files.items[4], "topics/sales/country=B/sales+2+0000000005.avro", "5");
	file_is(&files.items[5], "topics/sales/country=C/sales+2+0000000007.avro", "7");
	assert_int_equal(partition_writer_waiting(p), 0);
	assert_int_equal(partition_writer_bytes(p), 0);
}

/* Rows that take turns have a run of offsets each: so many end a file, too. */
static void test_long_offsets_end_a_file(void **state)
{
	struct world *w = *state;
	struct writer_settings s = settings_of(w, CONVERTER_AVRO_RAW, FORMAT_AVRO);
	AUTO(partition_writer_freep)
	struct partition_writer *p = partition_writer_new(&s, "sales", 2, 0);
	AUTO(written_files_release) struct written_files files = {NULL, 0, 0};
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct rng rng = rng_seeded(1);
	const int64_t rows = 1000000;
	uint64_t records = 0;
	int64_t offset = 0;

	for (int64_t i = 0; i < rows; i++) {
		offset += 1 + (int64_t)rng_below(&rng, (uint64_t)1 << 60 >> (i % 2 ? 16 : 50));
		sale(&b, i % 2 ? "A" : "B", i);
		MUST(append(p, offset, b.data, b.len, &err));
	}
	assert_true(partition_writer_waiting(p) > 5 * (size_t)rows);
	MUST(partition_writer_finish(p, &files, &err));
	assert_int_equal(files.n, 4);
	for (size_t i = 0; i < files.n; i++) {
		AUTO(oracle_runs_release) struct oracle_runs runs = {.n = 0};
		const char *text = lake_meta_get(&files.items[i].meta, "tidemark.offsets");

		assert_true(oracle_runs_parse(text, &runs));
		assert_true(strlen(text) <= ((size_t)4 << 20) + 4096);
		assert_int_equal(runs.n, files.items[i].records);
		assert_int_equal(runs.least, files.items[i].first_offset);
		records += files.items[i].records;
	}
	assert_int_equal(records, rows);
}

/* Everything that a run of records gives: paths, offsets, bytes. */
static void write_many(const struct world *w, enum file_format format, bool used_before,
		       struct buf *out)
{
	struct writer_settings s =
		settings_of(w, format == FORMAT_JSON ? CONVERTER_JSON : CONVERTER_AVRO_RAW, format);
	AUTO(partition_writer_freep) struct partition_writer *p = NULL;
	AUTO(written_files_release) struct written_files files = {NULL, 0, 0};
	AUTO(buf_release) struct buf b = BUF_INIT;
	AUTO(buf_release) struct buf back = BUF_INIT;
	int64_t from = used_before ? 0 : 100;
	uint64_t rows = 0;

	s.open_files = 5;
	p = partition_writer_new(&s, "sales", 2, 0);
	for (int64_t i = from; i < 600; i++) {
		struct rng one = rng_seeded((uint64_t)i);
		char country[8];

		if (i == 100) {
			MUST(partition_writer_finish(p, &files, &err));
			written_files_release(&files);
			files = (struct written_files){NULL, 0, 0};
		}
		snprintf(country, sizeof(country), "c%d", (int)rng_below(&one, 60));
		if (format == FORMAT_JSON) {
			buf_clear(&b);
			buf_addf(&b, "{\"country\":\"%s\",\"n\":%d}", country, (int)i);
		} else {
			sale(&b, country, i);
		}
		MUST(append(p, i, b.data, b.len, &err));
	}
	MUST(partition_writer_finish(p, &files, &err));
	assert_true(files.n > 100);
	for (size_t i = 0; i < files.n; i++) {
		rows += files.items[i].records;
		buf_addf(out, "%s %s\n", files.items[i].path,
			 lake_meta_get(&files.items[i].meta, "tidemark.offsets"));
		read_back(w->lake, &files.items[i], &back);
		buf_addbuf(out, &back);
	}
	assert_int_equal(rows, 500);
}

/* What is read again gives the same files, whatever the writer did before. */
static void test_equal_records_make_equal_files(void **state)
{
	static const enum file_format formats[] = {FORMAT_AVRO, FORMAT_JSON};

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		AUTO(buf_release) struct buf a = BUF_INIT;
		AUTO(buf_release) struct buf b = BUF_INIT;

		write_many(*state, formats[i], true, &a);
		write_many(*state, formats[i], false, &b);
		assert_int_equal(a.len, b.len);
		assert_memory_equal(a.data, b.data, a.len);
	}
}

static void test_parquet_folders(void **state)
{
	struct world *w = *state;
	struct writer_settings s = settings_of(w, CONVERTER_AVRO_RAW, FORMAT_PARQUET);
	AUTO(partition_writer_freep) struct partition_writer *p = NULL;
	AUTO(written_files_release) struct written_files files = {NULL, 0, 0};
	AUTO(buf_release) struct buf found = BUF_INIT;
	AUTO(buf_release) struct buf back = BUF_INIT;
	AUTO(freep) char *path = xasprintf("%s/back.parquet", w->dir);

	s.open_files = 2;
	p = partition_writer_new(&s, "sales", 2, 0);
	for (int i = 0; i < 9; i++)
		append_sale(p, i, i % 3 == 0 ? "A" : i % 3 == 1 ? "B" : "C");
	MUST(partition_writer_finish(p, &files, &err));
	assert_int_equal(files.n, 9);
	file_is(&files.items[4], "topics/sales/country=B/sales+2+0000000004.parquet", "4");
	read_back(w->lake, &files.items[4], &back);
	MUST(file_replace(path, back.data, back.len, &err));
	duck_ask(&found, "SELECT country || n FROM read_parquet('%s')", path);
	assert_string_equal(buf_str(&found), "B4");
}

/* JSON without a schema, which Parquet keeps as text, has fields too. */
static void test_json_text_in_columns(void **state)
{
	struct world *w = *state;
	struct writer_settings s = settings_of(w, CONVERTER_JSON, FORMAT_PARQUET);
	AUTO(partition_writer_freep)
	struct partition_writer *p = partition_writer_new(&s, "sales", 2, 0);
	AUTO(written_files_release) struct written_files files = {NULL, 0, 0};

	MUST(append(p, 0, " {\"country\":\"DE\"}", 17, &err));
	MUST(append(p, 1, NULL, 0, &err));
	MUST(partition_writer_finish(p, &files, &err));
	assert_int_equal(files.n, 2);
	file_is(&files.items[0], "topics/sales/country=DE/sales+2+0000000000.parquet", "0");
	file_is(&files.items[1], "topics/sales/country=" NONE "/sales+2+0000000001.parquet", "1");
}

static void test_refused_settings(void **state)
{
	struct world *w = *state;
	struct writer_settings s = settings_of(w, CONVERTER_STRING, FORMAT_JSON);

	MUST_SAY(ST_USAGE, "have no fields", writer_settings_check(&s, &err));
	s = settings_of(w, CONVERTER_AVRO_RAW, FORMAT_AVRO);
	s.schema_json = "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":"
			"\"int\"}]}";
	MUST_SAY(ST_USAGE, "partition.field.name=country: it has no field country; it has a",
		 writer_settings_check(&s, &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields_name_folders),
		cmocka_unit_test(test_times_name_folders),
		cmocka_unit_test(test_oldest_is_finished_first),
		cmocka_unit_test(test_long_offsets_end_a_file),
		cmocka_unit_test(test_equal_records_make_equal_files),
		cmocka_unit_test(test_parquet_folders),
		cmocka_unit_test(test_json_text_in_columns),
		cmocka_unit_test(test_refused_settings),
	};

	return cmocka_run_group_tests(tests, world_open, world_close);
}
