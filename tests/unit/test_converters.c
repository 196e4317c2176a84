/* What converters make of values: rows of Avro, lines of JSON or of anything, with each
 * codec; poison; and which settings fit together. (Avro containers: test_containers.c.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>
#include <zstd.h>

#include "core/base/clock.h"
#include "tests/lib/avro_file.h"
#include "tests/lib/must.h"
#include "tests/lib/read_back.h"
#include "tests/lib/writer_world.h"

/* ---- poison ---- */

static const struct {
	enum value_converter converter;
	enum file_format format;
	const char *value;
	size_t len;
	enum status st;
	const char *why;
} poisons[] = {
	{CONVERTER_AVRO, FORMAT_AVRO, "", 0, ST_POISON, "shorter"},
	{CONVERTER_AVRO, FORMAT_AVRO, "\0\0\0\0", 4, ST_POISON, "shorter"},
	{CONVERTER_AVRO, FORMAT_AVRO, "\1\0\0\0\1\2\0", 7, ST_POISON, "first byte"},
	{CONVERTER_AVRO, FORMAT_AVRO, "\0\xff\0\0\1\2\0", 7, ST_POISON, "negative"},
	{CONVERTER_AVRO, FORMAT_AVRO, "\0\0\0\0\1\2\0\0", 8, ST_POISON, "1 bytes follow"},
	{CONVERTER_AVRO, FORMAT_AVRO, "\0\0\0\0\1\2\2\3", 8, ST_POISON, "note: a length"},
	{CONVERTER_AVRO, FORMAT_AVRO, "\0\0\0\0\1\2\2\2\xff", 9, ST_POISON, "note: a string"},
	{CONVERTER_AVRO, FORMAT_AVRO, "\0\0\0\0\1\2\4", 7, ST_POISON, "no such branch"},
	{CONVERTER_AVRO, FORMAT_AVRO, "\0\0\0\0\11\2\0", 7, ST_NOT_FOUND, "/schemas/ids/9"},
	{CONVERTER_AVRO, FORMAT_AVRO, "\0\0\0\0\3\2\0", 7, ST_UNREACHABLE, "503"},
	{CONVERTER_AVRO_RAW, FORMAT_AVRO, "\2\0\0", 3, ST_POISON, "follow"},
	{CONVERTER_JSON, FORMAT_AVRO, "", 0, ST_POISON, "empty"},
	{CONVERTER_JSON, FORMAT_AVRO, "{\"id\":1", 7, ST_POISON, "no JSON"},
	{CONVERTER_JSON, FORMAT_AVRO, "{\"id\":\"x\"}", 10, ST_POISON, "id: text"},
	{CONVERTER_JSON, FORMAT_AVRO, "{\"id\":1,\"no\":2}", 15, ST_POISON, "no: the schema"},
	{CONVERTER_JSON, FORMAT_JSON, "", 0, ST_POISON, "empty"},
	{CONVERTER_JSON, FORMAT_JSON, "{\"id\":1}x", 9, ST_POISON, "more follows"},
	{CONVERTER_JSON, FORMAT_JSON, "\"\xff\"", 3, ST_POISON, "UTF-8"},
	{CONVERTER_STRING, FORMAT_AVRO, "\xff", 1, ST_POISON, "UTF-8"},
	{CONVERTER_STRING, FORMAT_JSON, "\xff", 1, ST_POISON, "UTF-8"},
	{CONVERTER_STRING, FORMAT_BYTES, "\xff", 1, ST_POISON, "UTF-8"},
};

static void test_poison(void **state)
{
	struct writer_world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(poisons); i++) {
		struct writer_settings s =
			settings_of(w, poisons[i].converter, poisons[i].format, CODEC_NULL);
		AUTO(partition_writer_freep) struct partition_writer *p = NULL;
		AUTO(written_files_release) struct written_files files = {NULL, 0, 0};
		AUTO(freep) void *exact = xmemdup(poisons[i].value, poisons[i].len);
		struct record r = record_of(7, exact, poisons[i].len);
		struct poison poison = {0};

		if (poisons[i].converter != CONVERTER_AVRO && poisons[i].format == FORMAT_AVRO &&
		    poisons[i].converter != CONVERTER_STRING)
			s.schema_json = ORDER;
		MUST(writer_settings_check(&s, &err));
		p = partition_writer_new(&s, "orders", 0, 0);
		MUST_SAY(poisons[i].st, poisons[i].why,
			 partition_writer_append(p, &r, &poison, &err));
		assert_string_equal(poison.stage, "VALUE_CONVERTER");
		assert_non_null(poison.class_name);
		assert_non_null(poison.component);
		assert_int_equal(partition_writer_records(p), 0);
		MUST(partition_writer_finish(p, &files, &err));
		assert_int_equal(files.n, 0);
	}
}

/* ---- forms ---- */

static void write_values(const struct writer_settings *s, const char *const *values, size_t n,
			 struct lake *lake, struct buf *back, char **path)
{
	AUTO(partition_writer_freep)
	struct partition_writer *p = partition_writer_new(s, "t", 0, 0);
	AUTO(written_files_release) struct written_files files = {NULL, 0, 0};

	MUST(writer_settings_check(s, &err));
	for (size_t i = 0; i < n; i++) {
		struct record r =
			record_of((int64_t)i, values[i], values[i] ? strlen(values[i]) : 0);

		MUST(partition_writer_append(p, &r, NULL, &err));
	}
	MUST(partition_writer_finish(p, &files, &err));
	assert_int_equal(files.n, 1);
	*path = xstrdup(files.items[0].path);
	read_back(lake, &files.items[0], back);
}

static void gunzip(const struct buf *in, struct buf *out)
{
	z_stream z = {0};
	char part[4096];
	int rc = Z_OK;

	assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
	z.next_in = (unsigned char *)in->data;
	z.avail_in = (uInt)in->len;
	while (rc == Z_OK) {
		z.next_out = (unsigned char *)part;
		z.avail_out = sizeof(part);
		rc = inflate(&z, Z_NO_FLUSH);
		buf_add(out, part, sizeof(part) - z.avail_out);
	}
	assert_int_equal(rc, Z_STREAM_END);
	assert_int_equal(z.avail_in, 0);
	inflateEnd(&z);
}

static void unzstd(const struct buf *in, struct buf *out)
{
	ZSTD_DStream *z = ZSTD_createDStream();
	ZSTD_inBuffer from = {in->data, in->len, 0};
	char part[4096];
	size_t rc = 1;

	while (rc) {
		ZSTD_outBuffer to = {part, sizeof(part), 0};

		rc = ZSTD_decompressStream(z, &to, &from);
		assert_false(ZSTD_isError(rc));
		buf_add(out, part, to.pos);
	}
	assert_int_equal(from.pos, in->len);
	ZSTD_freeDStream(z);
}

static void test_json_lines(void **state)
{
	struct writer_world *w = *state;
	static const char *const values[] = {"{\"a\":1}", " [1,\r\n 2]\n", NULL, "\"\xc3\xa9\""};
	static const char lines[] = "{\"a\":1}\n[1,   2]\nnull\n\"\xc3\xa9\"\n";
	static const struct {
		enum file_codec codec;
		const char *path;
	} forms[] = {{CODEC_NULL, "topics/t/partition=0/t+0+0000000000.jsonl"},
		     {CODEC_GZIP, "topics/t/partition=0/t+0+0000000000.jsonl.gz"},
		     {CODEC_ZSTANDARD, "topics/t/partition=0/t+0+0000000000.jsonl.zst"}};

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		struct writer_settings s =
			settings_of(w, CONVERTER_JSON, FORMAT_JSON, forms[i].codec);
		AUTO(buf_release) struct buf back = BUF_INIT;
		AUTO(buf_release) struct buf again = BUF_INIT;
		AUTO(buf_release) struct buf plain = BUF_INIT;
		AUTO(freep) char *path = NULL;
		AUTO(freep) char *path_again = NULL;

		write_values(&s, values, ARRAY_SIZE(values), w->lake, &back, &path);
		write_values(&s, values, ARRAY_SIZE(values), w->lake, &again, &path_again);
		assert_string_equal(path, forms[i].path);
		assert_int_equal(back.len, again.len);
		assert_memory_equal(back.data, again.data, back.len);
		if (forms[i].codec == CODEC_GZIP)
			gunzip(&back, &plain);
		else if (forms[i].codec == CODEC_ZSTANDARD)
			unzstd(&back, &plain);
		else
			buf_addbuf(&plain, &back);
		assert_string_equal(plain.data, lines);
	}
}

/* Enough for many rounds of the codec, and lines larger than its buffer. */
static void test_many_lines(void **state)
{
	struct writer_world *w = *state;
	static const enum file_codec forms[] = {CODEC_NULL, CODEC_GZIP, CODEC_ZSTANDARD};

	for (size_t k = 0; k < ARRAY_SIZE(forms); k++) {
		struct writer_settings s = settings_of(w, CONVERTER_BYTES, FORMAT_BYTES, forms[k]);
		AUTO(partition_writer_freep)
		struct partition_writer *p = partition_writer_new(&s, "t", 0, 0);
		AUTO(written_files_release) struct written_files files = {NULL, 0, 0};
		AUTO(buf_release) struct buf expected = BUF_INIT;
		AUTO(buf_release) struct buf back = BUF_INIT;
		AUTO(buf_release) struct buf plain = BUF_INIT;
		struct rng r = rng_seeded(k);

		for (int i = 0; i < 3000; i++) {
			AUTO(buf_release) struct buf v = BUF_INIT;
			struct record rec;

			for (uint64_t n = rng_below(&r, i == 1500 ? 40000 : 40); n; n--)
				buf_addf(&v, "%llx", (unsigned long long)rng_next(&r));
			rec = record_of(i, buf_str(&v), v.len);
			MUST(partition_writer_append(p, &rec, NULL, &err));
			buf_addbuf(&expected, &v);
			buf_addc(&expected, '\n');
		}
		MUST(partition_writer_finish(p, &files, &err));
		read_back(w->lake, &files.items[0], &back);
		if (forms[k] == CODEC_GZIP)
			gunzip(&back, &plain);
		else if (forms[k] == CODEC_ZSTANDARD)
			unzstd(&back, &plain);
		else
			buf_addbuf(&plain, &back);
		assert_int_equal(plain.len, expected.len);
		assert_memory_equal(plain.data, expected.data, expected.len);
	}
}

static void test_strings_and_bytes(void **state)
{
	struct writer_world *w = *state;
	static const char *const values[] = {"a\"b\n", "", NULL};
	struct writer_settings s = settings_of(w, CONVERTER_STRING, FORMAT_JSON, CODEC_NULL);
	AUTO(buf_release) struct buf lines = BUF_INIT;
	AUTO(freep) char *path = NULL;

	write_values(&s, values, 3, w->lake, &lines, &path);
	assert_string_equal(lines.data, "\"a\\\"b\\n\"\n\"\"\nnull\n");
	for (int bytes = 0; bytes < 2; bytes++) {
		struct writer_settings a = settings_of(
			w, bytes ? CONVERTER_BYTES : CONVERTER_STRING, FORMAT_AVRO, CODEC_NULL);
		AUTO(buf_release) struct buf back = BUF_INIT;
		AUTO(freep) char *avro_path = NULL;
		AUTO(avro_file_release) struct avro_file file = {.schema = BUF_INIT};

		write_values(&a, values, 3, w->lake, &back, &avro_path);
		avro_file_parse(back.data, back.len, &file);
		assert_string_equal(file.schema.data,
				    bytes ? "[\"null\",\"bytes\"]" : "[\"null\",\"string\"]");
		assert_int_equal(file.n_rows, 3);
		assert_int_equal(file.rows.len, 9);
		assert_memory_equal(file.rows.data, "\2\10a\"b\n\2\0\0", 9);
	}
}

static void test_json_to_avro(void **state)
{
	struct writer_world *w = *state;
	static const char *const values[] = {"{\"id\":3}", "{\"note\":\"x\",\"id\":4}"};
	struct writer_settings s = settings_of(w, CONVERTER_JSON, FORMAT_AVRO, CODEC_DEFLATE);
	AUTO(buf_release) struct buf back = BUF_INIT;
	AUTO(freep) char *path = NULL;
	AUTO(avro_file_release) struct avro_file file = {.schema = BUF_INIT};

	s.schema_json = ORDER;
	write_values(&s, values, 2, w->lake, &back, &path);
	avro_file_parse(back.data, back.len, &file);
	assert_int_equal(file.rows.len, 6);
	assert_memory_equal(file.rows.data, "\6\0\10\2\2x", 6);
}

static void test_settings(void **state)
{
	struct writer_world *w = *state;
	struct writer_settings s = settings_of(w, CONVERTER_JSON, FORMAT_AVRO, CODEC_SNAPPY);

	MUST_SAY(ST_USAGE, "value.converter.schema.file", writer_settings_check(&s, &err));
	s.schema_json = "{\"type\":\"record\"}";
	MUST_SAY(ST_USAGE, "value.converter.schema.file", writer_settings_check(&s, &err));
	s.schema_json = ORDER;
	MUST(writer_settings_check(&s, &err));
	s.codec = CODEC_GZIP;
	MUST_SAY(ST_USAGE, "avro.codec", writer_settings_check(&s, &err));
	s.format = FORMAT_JSON;
	MUST(writer_settings_check(&s, &err));
	s.codec = CODEC_SNAPPY;
	MUST_SAY(ST_USAGE, "json.codec", writer_settings_check(&s, &err));
	s = settings_of(w, CONVERTER_AVRO, FORMAT_JSON, CODEC_NULL);
	MUST_SAY(ST_USAGE, "format=avro", writer_settings_check(&s, &err));
	s = settings_of(w, CONVERTER_AVRO, FORMAT_AVRO, CODEC_NULL);
	s.registry = NULL;
	MUST_SAY(ST_USAGE, "registry.url", writer_settings_check(&s, &err));
	assert_true(partition_writer_memory(&s) > 100000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_poison),       cmocka_unit_test(test_json_lines),
		cmocka_unit_test(test_many_lines),   cmocka_unit_test(test_strings_and_bytes),
		cmocka_unit_test(test_json_to_avro), cmocka_unit_test(test_settings),
	};

	return cmocka_run_group_tests(tests, writer_world_open, writer_world_close);
}
