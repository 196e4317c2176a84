/* Rows that say where they came from (record.metadata): in each format, read back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "connector/schema/avro_fields.h"
#include "connector/schema/compiled.h"
#include "connector/writer/avro_row.h"
#include "connector/writer/record_metadata.h"
#include "core/base/file.h"
#include "tests/lib/avro_file.h"
#include "tests/lib/duck.h"
#include "tests/lib/must.h"
#include "tests/lib/parquet_world.h"
#include "tests/lib/read_back.h"

#define SALE                                                                                       \
	"{\"type\":\"record\",\"name\":\"Sale\",\"namespace\":\"com.acme\",\"fields\":["           \
	"{\"name\":\"country\",\"type\":[\"null\",\"string\"],\"default\":null},"                  \
	"{\"name\":\"n\",\"type\":\"long\"}]}"

static struct writer_settings settings_of(const struct parquet_world *w,
					  enum value_converter converter, enum file_format format)
{
	return (struct writer_settings){.lake = w->lake,
					.converter = converter,
					.format = format,
					.codec = CODEC_NULL,
					.schema_json =
						converter == CONVERTER_AVRO_RAW ? SALE : NULL,
					.path_prefix = "topics",
					.parquet = w->engine,
					.metadata = true};
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

static size_t two_headers(const struct record *r, const struct record_header **out)
{
	static const struct record_header headers[] = {{"trace", "abc", 3},
						       {"raw", "\xff\x00\x01\x02", 4}};

	(void)r;
	*out = headers;
	return 2;
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
			   .value_len = len,
			   .headers = two_headers};

	return partition_writer_append(p, &r, NULL, err);
}

/* One value as a file; its bytes in out. */
static void one_file(const struct parquet_world *w, const struct writer_settings *s,
		     const void *value, size_t len, struct buf *out)
{
	AUTO(partition_writer_freep)
	struct partition_writer *p = partition_writer_new(s, "sales", 2, 0);
	AUTO(written_files_release) struct written_files files = {NULL, 0, 0};

	MUST(writer_settings_check(s, &err));
	MUST(append(p, 41, value, len, &err));
	MUST(partition_writer_finish(p, &files, &err));
	assert_int_equal(files.n, 1);
	read_back(w->lake, &files.items[0], out);
}

/* The field of the only row, as people read it. */
static void field_is(const struct avro_file *file, const char *field, const char *expected)
{
	AUTO(compiled_schema_freep) struct compiled_schema *schema = NULL;
	AUTO(buf_release) struct buf text = BUF_INIT;
	AUTO(avro_fields_freep) struct avro_fields *fields = NULL;
	struct bytes in = bytes_of(file->rows.data, file->rows.len);
	struct value value = {.kind = VALUE_ABSENT};
	char *lack = NULL;

	MUST(compiled_schema_new(NULL, file->schema.data, &schema, &err));
	/* It is one value of the schema, to its last byte. */
	MUST(schema_explain(schema->schema, file->rows.data, file->rows.len, &err));
	fields = avro_fields_new(schema->schema, &field, 1, &lack);
	assert_null(lack);
	assert_null(avro_fields_read(fields, &in, &value));
	value_show(&value, &text);
	assert_string_equal(buf_str(&text), expected);
}

static void test_metadata_in_avro(void **state)
{
	struct parquet_world *w = *state;
	struct writer_settings s = settings_of(w, CONVERTER_AVRO_RAW, FORMAT_AVRO);
	AUTO(avro_file_release) struct avro_file file = {.schema = BUF_INIT};
	AUTO(buf_release) struct buf b = BUF_INIT;
	AUTO(buf_release) struct buf back = BUF_INIT;

	sale(&b, "DE", 7);
	one_file(w, &s, b.data, b.len, &back);
	avro_file_parse(back.data, back.len, &file);
	assert_memory_equal(file.rows.data, b.data, b.len); /* as it came */
	field_is(&file, "country", "'DE'");
	field_is(&file, "_kafka.topic", "'sales'");
	field_is(&file, "_kafka.partition", "2");
	field_is(&file, "_kafka.offset", "41");
	field_is(&file, "_kafka.timestamp", "1709622530045");
	field_is(&file, "_kafka.key", "bytes 6b6579");
	field_is(&file, "_kafka.headers", "a record, array or map");
}

/* What a value lacks is not taken from what comes behind it. */
static void test_metadata_does_not_mend_values(void **state)
{
	struct parquet_world *w = *state;
	static const enum file_format formats[] = {FORMAT_AVRO, FORMAT_PARQUET};
	AUTO(buf_release) struct buf b = BUF_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct writer_settings s = settings_of(w, CONVERTER_AVRO_RAW, formats[i]);
		AUTO(partition_writer_freep) struct partition_writer *p = NULL;
		AUTO(written_files_release) struct written_files files = {NULL, 0, 0};

		p = partition_writer_new(&s, "sales", 2, 0);
		sale(&b, "DE", 7);
		MUST_SAY(ST_POISON, "is not exactly one of schema",
			 append(p, 0, b.data, b.len - 1, &err));
		MUST_SAY(ST_POISON, "is not exactly one of schema",
			 append(p, 0, b.data, b.len + 1, &err));
		MUST(append(p, 1, b.data, b.len, &err));
		MUST(partition_writer_finish(p, &files, &err));
		assert_int_equal(files.items[0].records, 1);
	}
}

static void test_metadata_of_values_that_are_no_records(void **state)
{
	struct parquet_world *w = *state;
	struct writer_settings s = settings_of(w, CONVERTER_AVRO_RAW, FORMAT_AVRO);
	AUTO(avro_file_release) struct avro_file file = {.schema = BUF_INIT};
	AUTO(avro_file_release) struct avro_file text = {.schema = BUF_INIT};
	AUTO(buf_release) struct buf back = BUF_INIT;

	s.schema_json = "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"ONE\",\"TWO\"]}";
	one_file(w, &s, "\2", 1, &back);
	avro_file_parse(back.data, back.len, &file);
	field_is(&file, "value", "'TWO'");
	field_is(&file, "_kafka.offset", "41");
	s = settings_of(w, CONVERTER_STRING, FORMAT_AVRO);
	one_file(w, &s, "some text", 9, &back);
	avro_file_parse(back.data, back.len, &text);
	field_is(&text, "value", "'some text'");
	field_is(&text, "_kafka.offset", "41");
}

static void test_metadata_in_parquet(void **state)
{
	struct parquet_world *w = *state;
	struct writer_settings s = settings_of(w, CONVERTER_AVRO_RAW, FORMAT_PARQUET);
	AUTO(buf_release) struct buf b = BUF_INIT;
	AUTO(buf_release) struct buf back = BUF_INIT;
	AUTO(buf_release) struct buf found = BUF_INIT;
	AUTO(freep) char *path = xasprintf("%s/back.parquet", w->dir);

	sale(&b, "DE", 7);
	one_file(w, &s, b.data, b.len, &back);
	MUST(file_replace(path, back.data, back.len, &err));
	duck_ask(&found,
		 "SELECT country || n || _kafka.topic || _kafka.partition || ' ' || _kafka.offset "
		 "|| "
		 "' ' || epoch_ms(_kafka.timestamp) || ' ' || decode(_kafka.key) || ' ' || "
		 "_kafka.headers[1].name || decode(_kafka.headers[1].value) || "
		 "hex(_kafka.headers[2].value) FROM read_parquet('%s')",
		 path);
	assert_string_equal(buf_str(&found), "DE7sales2 41 1709622530045 key traceabcFF000102");
	/* JSON without a schema: text beside it */
	s.converter = CONVERTER_JSON;
	s.schema_json = NULL;
	one_file(w, &s, "{\"a\":1}", 7, &back);
	MUST(file_replace(path, back.data, back.len, &err));
	duck_ask(&found, "SELECT value || _kafka.offset FROM read_parquet('%s')", path);
	assert_string_equal(buf_str(&found), "{\"a\":1}41");
}

#define KAFKA(offset)                                                                              \
	"\"_kafka\":{\"topic\":\"sales\",\"partition\":2,\"offset\":" offset                       \
	",\"timestamp\":1709622530045,\"key\":\"key\",\"headers\":[{\"name\":\"trace\",\"value\":" \
	"\"abc\"},{\"name\":\"raw\",\"value_base64\":\"/wABAg==\"}]}}\n"

static void line_is(struct parquet_world *w, enum value_converter converter, const char *value,
		    const char *expected)
{
	struct writer_settings s = settings_of(w, converter, FORMAT_JSON);
	AUTO(buf_release) struct buf back = BUF_INIT;

	one_file(w, &s, value, value ? strlen(value) : 0, &back);
	assert_string_equal(buf_str(&back), expected);
}

static void test_metadata_in_lines(void **state)
{
	struct parquet_world *w = *state;
	struct writer_settings s = settings_of(w, CONVERTER_JSON, FORMAT_JSON);
	AUTO(partition_writer_freep) struct partition_writer *p = NULL;

	line_is(w, CONVERTER_JSON, " {\"a\":1} ", "{\"a\":1," KAFKA("41"));
	line_is(w, CONVERTER_JSON, "{\n}", "{ " KAFKA("41"));
	line_is(w, CONVERTER_JSON, "{\"a\":\n[1]\n}", "{\"a\": [1] ," KAFKA("41"));
	line_is(w, CONVERTER_JSON, "[1,2]", "{\"value\":[1,2]," KAFKA("41"));
	line_is(w, CONVERTER_JSON, NULL, "{\"value\":null," KAFKA("41"));
	line_is(w, CONVERTER_STRING, "a\"b", "{\"value\":\"a\\\"b\"," KAFKA("41"));
	p = partition_writer_new(&s, "sales", 2, 0);
	MUST_SAY(ST_POISON, "a member _kafka already",
		 append(p, 0, "{\"_k\\u0061fka\":1}", 17, &err));
	MUST(append(p, 1, "{\"a\":{\"_kafka\":1}}", 18, &err));
}

/* Key, timestamp and headers may be missing. */
static void test_metadata_of_bare_records(void **state)
{
	struct parquet_world *w = *state;
	struct writer_settings s = settings_of(w, CONVERTER_JSON, FORMAT_JSON);
	const struct record r = {.topic = "t",
				 .partition = 0,
				 .offset = 5,
				 .timestamp_ms = -1,
				 .value = "1",
				 .value_len = 1};
	AUTO(partition_writer_freep) struct partition_writer *p = NULL;
	AUTO(written_files_release) struct written_files files = {NULL, 0, 0};
	AUTO(buf_release) struct buf back = BUF_INIT;

	p = partition_writer_new(&s, "t", 0, 0);
	MUST(partition_writer_append(p, &r, NULL, &err));
	MUST(partition_writer_finish(p, &files, &err));
	read_back(w->lake, &files.items[0], &back);
	assert_string_equal(buf_str(&back),
			    "{\"value\":1,\"_kafka\":{\"topic\":\"t\",\"partition\":0,\"offset\":5,"
			    "\"timestamp\":null,\"key\":null,\"headers\":[]}}\n");
}

/* Files from before the setting was switched on have the field's default. */
static void test_metadata_has_a_default(void **state)
{
	AUTO(freep) char *text = NULL;
	AUTO(compiled_schema_freep) struct compiled_schema *value = NULL;
	AUTO(compiled_schema_freep) struct compiled_schema *row = NULL;
	const struct schema_node *root;

	(void)state;
	MUST(record_metadata_text(SALE, &text, &err));
	assert_non_null(strstr(text, "{\"name\":\"_kafka\",\"type\":[\"null\",{"));
	MUST(compiled_schema_new("id:17", SALE, &value, &err));
	MUST(record_metadata_schema(value, &row, &err));
	assert_string_equal(row->name, "id:17+_kafka");
	root = schema_root(row->schema);
	assert_int_equal(root->n_fields, 3);
	assert_true(json_is_null(root->fields[2].default_json));
	/* A record within {"type": ...}. */
	free(text);
	text = NULL;
	MUST(record_metadata_text("{\"type\":" SALE "}", &text, &err));
	assert_non_null(strstr(text, "\"name\":\"_kafka\""));
}

static void test_metadata_refused(void **state)
{
	struct parquet_world *w = *state;
	struct writer_settings s = settings_of(w, CONVERTER_BYTES, FORMAT_BYTES);

	MUST_SAY(ST_USAGE, "record.metadata=true: format=bytes", writer_settings_check(&s, &err));
	s = settings_of(w, CONVERTER_AVRO_RAW, FORMAT_AVRO);
	s.schema_json = "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"_kafka\","
			"\"type\":\"int\"}]}";
	MUST_SAY(ST_USAGE, "has a field _kafka already", writer_settings_check(&s, &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_metadata_in_avro),
		cmocka_unit_test(test_metadata_does_not_mend_values),
		cmocka_unit_test(test_metadata_of_values_that_are_no_records),
		cmocka_unit_test(test_metadata_in_parquet),
		cmocka_unit_test(test_metadata_in_lines),
		cmocka_unit_test(test_metadata_of_bare_records),
		cmocka_unit_test(test_metadata_has_a_default),
		cmocka_unit_test(test_metadata_refused),
	};

	return cmocka_run_group_tests(tests, parquet_world_open, parquet_world_close);
}
