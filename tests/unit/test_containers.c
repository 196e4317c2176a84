/* Files of the writers, read back out of a lake: by Avro C where it knows the
 * codec, else block by block. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <avro.h>
#include <cmocka.h>
#include <zlib.h>
#include <zstd.h>

#include "connector/schema/schema.h"
#include "connector/writer/deadletter_writer.h"
#include "connector/writer/partition_writer.h"
#include "core/base/file.h"
#include "tests/lib/avro_file.h"
#include "tests/lib/http_stub.h"
#include "tests/lib/must.h"
#include "tests/lib/random_avro.h"
#include "tests/lib/tempdir.h"

#define ORDER                                                                                      \
	"{\"type\":\"record\",\"name\":\"Order\",\"fields\":["                                     \
	"{\"name\":\"id\",\"type\":\"long\"},"                                                     \
	"{\"name\":\"note\",\"type\":[\"null\",\"string\"],\"default\":null}]}"
#define OTHER                                                                                      \
	"{\"type\":\"record\",\"name\":\"Other\",\"fields\":["                                     \
	"{\"name\":\"text\",\"type\":\"string\"}]}"

struct world {
	char *dir;
	struct lake *lake;
	struct http_stub *stub;
	struct registry *registry;
};

static void answer(void *ctx, const struct http_stub_request *request, struct buf *reply)
{
	(void)ctx;
	if (strcmp(request->path, "/schemas/ids/1") == 0)
		http_stub_reply(reply, 200,
				"{\"schema\":\"{\\\"type\\\":\\\"record\\\",\\\"name\\\":"
				"\\\"Order\\\",\\\"fields\\\":[{\\\"name\\\":\\\"id\\\","
				"\\\"type\\\":\\\"long\\\"},{\\\"name\\\":\\\"note\\\",\\\"type\\\""
				":[\\\"null\\\",\\\"string\\\"],\\\"default\\\":null}]}\"}");
	else if (strcmp(request->path, "/schemas/ids/2") == 0)
		http_stub_reply(reply, 200,
				"{\"schema\":\"{\\\"type\\\":\\\"record\\\",\\\"name\\\":"
				"\\\"Other\\\",\\\"fields\\\":[{\\\"name\\\":\\\"text\\\","
				"\\\"type\\\":\\\"string\\\"}]}\"}");
	else if (strcmp(request->path, "/schemas/ids/3") == 0)
		http_stub_reply(reply, 503, "{}");
	else
		http_stub_reply(reply, 404, "{\"error_code\":40403,\"message\":\"no\"}");
}

static int world_open(void **state)
{
	struct world *w = xcalloc(1, sizeof(*w));
	struct lake_options options = {.create = true};
	char url[64];

	w->dir = tempdir_new();
	MUST(lake_open(w->dir, &options, &w->lake, &err));
	w->stub = http_stub_new(answer, NULL, false);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d", http_stub_port(w->stub));
	MUST(registry_open(&(struct registry_options){.urls = url}, &w->registry, &err));
	*state = w;
	return 0;
}

static int world_close(void **state)
{
	struct world *w = *state;

	registry_close(w->registry);
	http_stub_free(w->stub);
	lake_close(w->lake);
	tempdir_remove(&w->dir);
	free(w);
	return 0;
}

static struct writer_settings settings_of(const struct world *w, enum value_converter converter,
					  enum file_format format, enum file_codec codec)
{
	return (struct writer_settings){.lake = w->lake,
					.registry = w->registry,
					.converter = converter,
					.format = format,
					.codec = codec,
					.path_prefix = "topics"};
}

static struct record record_of(int64_t offset, const void *value, size_t len)
{
	return (struct record){.topic = "orders",
			       .offset = offset,
			       .timestamp_ms = 1000 + offset,
			       .value = value,
			       .value_len = len};
}

/* An Order in the registry's framing. */
static void order(struct buf *b, int64_t id, const char *note)
{
	buf_clear(b);
	buf_add(b, "\0\0\0\0\1", 5);
	buf_add_varint(b, (uint64_t)id << 1);
	buf_addc(b, note ? 2 : 0);
	if (note) {
		buf_add_varint(b, strlen(note) << 1);
		buf_adds(b, note);
	}
}

static void other(struct buf *b, const char *text)
{
	buf_clear(b);
	buf_add(b, "\0\0\0\0\2", 5);
	buf_add_varint(b, strlen(text) << 1);
	buf_adds(b, text);
}

static enum status append(struct partition_writer *w, int64_t offset, const struct buf *b,
			  struct err *err)
{
	struct record r = record_of(offset, buf_str(b), b->len);
	struct poison poison = {0};

	return partition_writer_append(w, &r, &poison, err);
}

/* Puts the files into the lake's main and reads one back. */
static void file_back(struct lake *lake, struct written_file *f, struct buf *out)
{
	struct lake_txn *txn;
	struct lake_id head, id;

	MUST(lake_resolve(lake, "main", &head, &err));
	MUST(lake_txn_begin(lake, &head, &txn, &err));
	MUST(lake_txn_put(txn, f->path, f->upload, f->content_type, &f->meta, &err));
	f->upload = NULL;
	MUST(lake_txn_prepare(txn, &id, &err));
	MUST(lake_read(lake, &id, f->path, (size_t)1 << 30, out, &err));
	lake_txn_free(txn);
}

static const struct {
	enum file_codec codec;
	bool avro_c; /* Debian's Avro C reads it */
} codecs[] = {
	{CODEC_NULL, true}, {CODEC_SNAPPY, false}, {CODEC_DEFLATE, true}, {CODEC_ZSTANDARD, false}};

static void read_by_avro_c(const struct world *w, const struct buf *file, int64_t rows)
{
	AUTO(freep) char *path = xasprintf("%s/copy.avro", w->dir);
	avro_file_reader_t reader;
	avro_schema_t schema;
	avro_value_iface_t *iface;
	avro_value_t value, field;
	int64_t n = 0, id;

	MUST(file_replace(path, file->data, file->len, &err));
	if (avro_file_reader(path, &reader) != 0)
		fail_msg("%s", avro_strerror());
	schema = avro_file_reader_get_writer_schema(reader);
	iface = avro_generic_class_from_schema(schema);
	avro_schema_decref(schema);
	avro_generic_value_new(iface, &value);
	for (; avro_file_reader_read_value(reader, &value) == 0; n++) {
		assert_int_equal(avro_value_get_by_name(&value, "id", &field, NULL), 0);
		assert_int_equal(avro_value_get_long(&field, &id), 0);
		assert_int_equal(id, n);
		avro_value_reset(&value);
	}
	assert_int_equal(n, rows);
	avro_value_decref(&value);
	avro_value_iface_decref(iface);
	avro_file_reader_close(reader);
	unlink(path);
}

/* 5,000 orders, one of them larger than a block, one larger than what an
 * upload reserves. */
static void write_orders(const struct writer_settings *s, struct written_files *files,
			 struct buf *expected)
{
	AUTO(partition_writer_freep)
	struct partition_writer *w = partition_writer_new(s, "orders", 3, 0);
	AUTO(buf_release) struct buf b = BUF_INIT;
	AUTO(freep) char *large = xmalloc(700001);

	memset(large, 'x', 700000);
	large[700000] = '\0';
	for (int i = 0; i < 5000; i++) {
		char note[64];

		snprintf(note, sizeof(note), "note %d of %d", i * 7919 % 5000, i);
		order(&b, i, i == 2000 ? large + 660000 : i == 3000 ? large : i % 3 ? note : NULL);
		MUST(append(w, 100 + i, &b, &err));
		buf_add(expected, b.data + 5, b.len - 5);
	}
	assert_int_equal(partition_writer_records(w), 5000);
	assert_true(partition_writer_bytes(w) > 0);
	MUST(partition_writer_finish(w, files, &err));
	assert_int_equal(partition_writer_records(w), 0);
	assert_int_equal(files->n, 1);
}

static void test_codecs(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(codecs); i++) {
		struct writer_settings s =
			settings_of(w, CONVERTER_AVRO, FORMAT_AVRO, codecs[i].codec);
		AUTO(written_files_release) struct written_files files = {NULL, 0, 0};
		AUTO(written_files_release) struct written_files again = {NULL, 0, 0};
		AUTO(buf_release) struct buf rows = BUF_INIT;
		AUTO(buf_release) struct buf ignored = BUF_INIT;
		AUTO(buf_release) struct buf back = BUF_INIT;
		AUTO(buf_release) struct buf back_again = BUF_INIT;
		AUTO(avro_file_release) struct avro_file file = {.schema = BUF_INIT};

		MUST(writer_settings_check(&s, &err));
		write_orders(&s, &files, &rows);
		assert_string_equal(files.items[0].path,
				    "topics/orders/partition=3/orders+3+0000000100.avro");
		assert_string_equal(lake_meta_get(&files.items[0].meta, "tidemark.offsets"),
				    "100-5099");
		assert_string_equal(lake_meta_get(&files.items[0].meta, "tidemark.records"),
				    "5000");
		assert_string_equal(lake_meta_get(&files.items[0].meta, "tidemark.schema"), "id:1");
		file_back(w->lake, &files.items[0], &back);
		avro_file_parse(back.data, back.len, &file);
		assert_string_equal(file.schema.data, ORDER);
		assert_int_equal(file.n_rows, 5000);
		assert_true(file.n_blocks > 2);
		assert_int_equal(file.rows.len, rows.len);
		assert_memory_equal(file.rows.data, rows.data, rows.len);
		if (codecs[i].avro_c)
			read_by_avro_c(w, &back, 5000);
		/* The same records again: the same bytes. */
		write_orders(&s, &again, &ignored);
		file_back(w->lake, &again.items[0], &back_again);
		assert_int_equal(back.len, back_again.len);
		assert_memory_equal(back.data, back_again.data, back.len);
	}
}

/* A writer goes on after finish as if it were new. */
static void test_second_file_is_as_from_a_new_writer(void **state)
{
	struct world *w = *state;
	struct writer_settings s = settings_of(w, CONVERTER_AVRO, FORMAT_AVRO, CODEC_SNAPPY);
	AUTO(buf_release) struct buf second = BUF_INIT;
	AUTO(buf_release) struct buf fresh = BUF_INIT;

	for (int start = 0; start < 2; start++) {
		AUTO(partition_writer_freep)
		struct partition_writer *p = partition_writer_new(&s, "orders", 0, 2);
		AUTO(written_files_release) struct written_files files = {NULL, 0, 0};
		AUTO(buf_release) struct buf b = BUF_INIT;

		for (int i = start ? 4000 : 0; i < 8000; i++) {
			order(&b, i, i % 2 ? "a note" : NULL);
			MUST(append(p, i, &b, &err));
			if (i == 3999)
				MUST(partition_writer_finish(p, &files, &err));
		}
		MUST(partition_writer_finish(p, &files, &err));
		assert_string_equal(files.items[files.n - 1].path,
				    "topics/orders/partition=0/orders+0+0000004000+g2.avro");
		file_back(w->lake, &files.items[files.n - 1], start ? &fresh : &second);
	}
	assert_int_equal(second.len, fresh.len);
	assert_memory_equal(second.data, fresh.data, fresh.len);
}

static void test_schemas_interleave(void **state)
{
	struct world *w = *state;
	struct writer_settings s = settings_of(w, CONVERTER_AVRO, FORMAT_AVRO, CODEC_SNAPPY);
	AUTO(partition_writer_freep)
	struct partition_writer *p = partition_writer_new(&s, "orders", 0, 0);
	AUTO(written_files_release) struct written_files files = {NULL, 0, 0};
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct record tombstone = record_of(5, NULL, 0);

	/* 0 other, 1-2 order, 3 other, 5 tombstone, 6 other, 8 order */
	other(&b, "x");
	MUST(append(p, 0, &b, &err));
	order(&b, 1, NULL);
	MUST(append(p, 1, &b, &err));
	MUST(append(p, 2, &b, &err));
	other(&b, "y");
	MUST(append(p, 3, &b, &err));
	tombstone.key = "k";
	tombstone.key_len = 1;
	MUST(partition_writer_append(p, &tombstone, NULL, &err));
	MUST(append(p, 6, &b, &err));
	order(&b, 8, "z");
	MUST(append(p, 8, &b, &err));
	assert_int_equal(partition_writer_open_files(p), 3);
	MUST(partition_writer_finish(p, &files, &err));
	assert_int_equal(files.n, 3);
	assert_string_equal(lake_meta_get(&files.items[0].meta, "tidemark.offsets"), "0,3,6");
	assert_string_equal(lake_meta_get(&files.items[1].meta, "tidemark.offsets"), "1-2,8");
	assert_string_equal(lake_meta_get(&files.items[2].meta, "tidemark.offsets"), "5");
	assert_string_equal(files.items[0].schema, "id:2");
	assert_string_equal(files.items[1].schema, "id:1");
	assert_int_equal(strncmp(files.items[2].schema, "sha256:", 7), 0);
	assert_int_equal(files.items[1].first_offset, 1);
	assert_int_equal(files.items[1].last_offset, 8);
	for (int i = 0; i < 3; i++) {
		AUTO(buf_release) struct buf back = BUF_INIT;
		AUTO(avro_file_release) struct avro_file file = {.schema = BUF_INIT};

		file_back(w->lake, &files.items[i], &back);
		avro_file_parse(back.data, back.len, &file);
		assert_int_equal(file.n_rows, files.items[i].records);
	}
}

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
	struct world *w = *state;

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

/* Poison among records leaves no trace in the file. */
static void test_poison_leaves_nothing(void **state)
{
	struct world *w = *state;
	struct writer_settings s = settings_of(w, CONVERTER_AVRO, FORMAT_AVRO, CODEC_SNAPPY);
	AUTO(buf_release) struct buf clean = BUF_INIT;
	AUTO(buf_release) struct buf mixed = BUF_INIT;

	for (int bad = 0; bad < 2; bad++) {
		AUTO(partition_writer_freep)
		struct partition_writer *p = partition_writer_new(&s, "orders", 0, 0);
		AUTO(written_files_release) struct written_files files = {NULL, 0, 0};
		AUTO(buf_release) struct buf b = BUF_INIT;

		for (int i = 0; i < 6000; i++) {
			if (bad && i % 3 == 2) {
				order(&b, i, "\xff\xff");
				MUST_BE(ST_POISON, append(p, i, &b, &err));
			} else if (i % 3 != 2) {
				order(&b, i, "fine");
				MUST(append(p, i, &b, &err));
			}
		}
		MUST(partition_writer_finish(p, &files, &err));
		file_back(w->lake, &files.items[0], bad ? &mixed : &clean);
	}
	assert_int_equal(clean.len, mixed.len);
	assert_memory_equal(clean.data, mixed.data, clean.len);
}

/* ---- other forms ---- */

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
	file_back(lake, &files.items[0], back);
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
	struct world *w = *state;
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
	struct world *w = *state;
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
		file_back(w->lake, &files.items[0], &back);
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
	struct world *w = *state;
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
	struct world *w = *state;
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
	struct world *w = *state;
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

/* ---- dead letters ---- */

static size_t two_headers(const struct record *r, const struct record_header **out)
{
	static const struct record_header headers[] = {{"h", "v", 1}, {"n\xff", NULL, 0}};

	(void)r;
	*out = headers;
	return 2;
}

static void text_field(avro_value_t *row, const char *name, char **out)
{
	avro_value_t field;
	const char *text = NULL;
	size_t size = 0;

	assert_int_equal(avro_value_get_by_name(row, name, &field, NULL), 0);
	assert_int_equal(avro_value_get_string(&field, &text, &size), 0);
	*out = xstrndup(text, size);
}

static void test_deadletters(void **state)
{
	struct world *w = *state;
	AUTO(deadletter_writer_freep)
	struct deadletter_writer *d = deadletter_writer_new(w->lake, "sales", "orders", 4, 0);
	AUTO(written_files_release) struct written_files files = {NULL, 0, 0};
	AUTO(buf_release) struct buf back = BUF_INIT;
	AUTO(freep) char *path = xasprintf("%s/dead.avro", w->dir);
	AUTO(freep) char *message = NULL;
	AUTO(freep) char *stage = NULL;
	struct poison poison = {.stage = "VALUE_CONVERTER", .class_name = "DataException"};
	struct record r = record_of(9, "\xff", 1);
	avro_file_reader_t reader;
	avro_schema_t schema;
	avro_value_iface_t *iface;
	avro_value_t row, headers;
	size_t n = 0;

	MUST(deadletter_writer_finish(d, &files, &err));
	assert_int_equal(files.n, 0);
	r.partition = 4;
	r.headers = two_headers;
	MUST(deadletter_writer_append(d, &r, 2, &poison, "it is \xff broken", &err));
	assert_int_equal(deadletter_writer_records(d), 1);
	MUST(deadletter_writer_finish(d, &files, &err));
	assert_string_equal(files.items[0].path,
			    "_deadletters/sales/orders/orders+4+0000000009.avro");
	file_back(w->lake, &files.items[0], &back);
	MUST(file_replace(path, back.data, back.len, &err));
	assert_int_equal(avro_file_reader(path, &reader), 0);
	schema = avro_file_reader_get_writer_schema(reader);
	iface = avro_generic_class_from_schema(schema);
	avro_schema_decref(schema);
	avro_generic_value_new(iface, &row);
	assert_int_equal(avro_file_reader_read_value(reader, &row), 0);
	text_field(&row, "exception_message", &message);
	assert_string_equal(message, "it is \xef\xbf\xbd broken");
	text_field(&row, "stage", &stage);
	assert_string_equal(stage, "VALUE_CONVERTER");
	assert_int_equal(avro_value_get_by_name(&row, "headers", &headers, NULL), 0);
	assert_int_equal(avro_value_get_size(&headers, &n), 0);
	assert_int_equal(n, 2);
	avro_value_decref(&row);
	avro_value_iface_decref(iface);
	avro_file_reader_close(reader);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_codecs),
		cmocka_unit_test(test_second_file_is_as_from_a_new_writer),
		cmocka_unit_test(test_schemas_interleave),
		cmocka_unit_test(test_poison),
		cmocka_unit_test(test_poison_leaves_nothing),
		cmocka_unit_test(test_json_lines),
		cmocka_unit_test(test_many_lines),
		cmocka_unit_test(test_strings_and_bytes),
		cmocka_unit_test(test_json_to_avro),
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_deadletters),
	};

	return cmocka_run_group_tests(tests, world_open, world_close);
}
