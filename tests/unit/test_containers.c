/* Avro containers of the writers, read back out of a lake: by Avro C where it knows the
 * codec, else block by block. (What converters make of values: test_converters.c.) */
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

#include "connector/writer/deadletter_writer.h"
#include "core/base/file.h"
#include "tests/lib/avro_file.h"
#include "tests/lib/must.h"
#include "tests/lib/read_back.h"
#include "tests/lib/writer_world.h"

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

static const struct {
	enum file_codec codec;
	bool avro_c; /* Debian's Avro C reads it */
} codecs[] = {
	{CODEC_NULL, true}, {CODEC_SNAPPY, false}, {CODEC_DEFLATE, true}, {CODEC_ZSTANDARD, false}};

static void read_by_avro_c(const struct writer_world *w, const struct buf *file, int64_t rows)
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
	struct writer_world *w = *state;

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
		read_back(w->lake, &files.items[0], &back);
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
		read_back(w->lake, &again.items[0], &back_again);
		assert_int_equal(back.len, back_again.len);
		assert_memory_equal(back.data, back_again.data, back.len);
	}
}

/* A writer goes on after finish as if it were new. */
static void test_second_file_is_as_from_a_new_writer(void **state)
{
	struct writer_world *w = *state;
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
		read_back(w->lake, &files.items[files.n - 1], start ? &fresh : &second);
	}
	assert_int_equal(second.len, fresh.len);
	assert_memory_equal(second.data, fresh.data, fresh.len);
}

static void test_schemas_interleave(void **state)
{
	struct writer_world *w = *state;
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

		read_back(w->lake, &files.items[i], &back);
		avro_file_parse(back.data, back.len, &file);
		assert_int_equal(file.n_rows, files.items[i].records);
	}
}

/* Poison among records leaves no trace in the file. */
static void test_poison_leaves_nothing(void **state)
{
	struct writer_world *w = *state;
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
		read_back(w->lake, &files.items[0], bad ? &mixed : &clean);
	}
	assert_int_equal(clean.len, mixed.len);
	assert_memory_equal(clean.data, mixed.data, clean.len);
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
	struct writer_world *w = *state;
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
	read_back(w->lake, &files.items[0], &back);
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
		cmocka_unit_test(test_poison_leaves_nothing),
		cmocka_unit_test(test_deadletters),
	};

	return cmocka_run_group_tests(tests, writer_world_open, writer_world_close);
}
