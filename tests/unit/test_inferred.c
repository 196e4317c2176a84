/* Parquet files of JSON whose columns are made from the records themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "connector/columnar/parquet_file.h"
#include "connector/schema/compiled.h"
#include "connector/writer/json_line.h"
#include "connector/writer/json_shape.h"
#include "connector/writer/partition_writer.h"
#include "tests/lib/duck.h"
#include "tests/lib/must.h"
#include "tests/lib/oracle_runs.h"
#include "tests/lib/parquet_world.h"

static struct writer_settings settings_of(const struct parquet_world *w)
{
	return (struct writer_settings){.lake = w->lake,
					.converter = CONVERTER_JSON,
					.format = FORMAT_PARQUET,
					.codec = CODEC_SNAPPY,
					.parquet = w->engine,
					.infer = true,
					.path_prefix = "topics"};
}

static enum status append(struct partition_writer *p, int64_t offset, const char *json,
			  struct err *err)
{
	/* As Kafka gives it: no NUL behind. */
	size_t len = json ? strlen(json) : 0;
	AUTO(freep) char *value = json ? xmalloc(len + 1) : NULL;
	struct record r = {.topic = "events",
			   .offset = offset,
			   .timestamp_ms = 1000 + offset,
			   .key = "k",
			   .key_len = 1,
			   .value = value,
			   .value_len = len};
	struct poison poison = {0};

	if (json) {
		memcpy(value, json, len);
		value[len] = 'x';
	}
	return partition_writer_append(p, &r, &poison, err);
}

/* Its columns, "a BIGINT, b VARCHAR". */
static void columns_of(const struct parquet_world *w, struct buf *out)
{
	duck_ask(out,
		 "SELECT string_agg(column_name || ' ' || column_type, ', ') FROM (DESCRIBE SELECT "
		 "* FROM read_parquet('%s'))",
		 w->file);
}

/* ---- types ---- */

/* Lines of JSON, the columns that they make, and the rows as DuckDB gives them. */
static const struct {
	const char *records, *columns, *rows;
} shapes[] = {
	{"{\"a\":1}\n{\"a\":-9223372036854775808}", "a BIGINT",
	 "{\"a\":1}\n{\"a\":-9223372036854775808}"},
	{"{\"a\":1}\n{\"a\":1.5}\n{\"a\":-2e3}", "a DOUBLE",
	 "{\"a\":1.0}\n{\"a\":1.5}\n{\"a\":-2000.0}"},
	{"{\"a\":true}\n{}\n{\"a\":null}\n{\"a\":false}", "a BOOLEAN",
	 "{\"a\":true}\n{\"a\":null}\n{\"a\":null}\n{\"a\":false}"},
	{"{\"a\":\"gr\\u00fc\\u00df\\ud83d\\ude00 \\\"\\\\\\/\\b\\f\\n\\r\\t\"}", "a VARCHAR",
	 "{\"a\":\"gr\u00fc\u00df\U0001F600 \\\"\\\\/\\b\\f\\n\\r\\t\"}"},
	{"{\"a\":null,\"b\":{\"c\":null},\"d\":[null]}",
	 "a INTEGER, b STRUCT(c INTEGER), d INTEGER[]",
	 "{\"a\":null,\"b\":{\"c\":null},\"d\":[null]}"},
	/* what disagrees is text, as it came */
	{"{\"a\":1}\n{\"a\":\"x\"}\n{\"a\":[1, {}]}\n{\"a\":null}", "a JSON",
	 "{\"a\":1}\n{\"a\":\"x\"}\n{\"a\":[1,{}]}\n{\"a\":null}"},
	{"{\"a\":[1,\"x\",null]}", "a JSON[]", "{\"a\":[1,\"x\",null]}"},
	/* a whole number that neither 64 bits nor, beside fractions, a double holds */
	{"{\"a\":9223372036854775808}\n{\"a\":1}", "a JSON",
	 "{\"a\":9223372036854775808}\n{\"a\":1}"},
	{"{\"a\":9007199254740993}\n{\"a\":1.5}", "a JSON",
	 "{\"a\":9007199254740993}\n{\"a\":1.5}"},
	{"{\"a\":1.5}\n{\"a\":9007199254740993}", "a JSON",
	 "{\"a\":1.5}\n{\"a\":9007199254740993}"},
	{"{\"a\":1.5}\n{\"a\":9007199254740992}", "a DOUBLE",
	 "{\"a\":1.5}\n{\"a\":9007199254740992.0}"},
	{"{\"a\":1e400}\n{\"a\":1.5}", "a JSON", "{\"a\":1e400}\n{\"a\":1.5}"},
	/* objects and lists */
	{"{\"a\":{\"x\":1,\"y\":{\"z\":[[1],[]]}}}\n{\"b\":2}\n{\"a\":{\"y\":{},\"w\":\"t\"}}",
	 "a STRUCT(x BIGINT, y STRUCT(z BIGINT[][]), w VARCHAR), b BIGINT",
	 "{\"a\":{\"x\":1,\"y\":{\"z\":[[1],[]]},\"w\":null},\"b\":null}\n"
	 "{\"a\":null,\"b\":2}\n{\"a\":{\"x\":null,\"y\":{\"z\":null},\"w\":\"t\"},\"b\":null}"},
	{"{\"a\":[{\"x\":1},{\"y\":\"t\"},null]}", "a STRUCT(x BIGINT, y VARCHAR)[]",
	 "{\"a\":[{\"x\":1,\"y\":null},{\"x\":null,\"y\":\"t\"},null]}"},
	{"{\"a\":{}}\n{}", "a STRUCT(_empty BOOLEAN)", "{\"a\":{\"_empty\":true}}\n{\"a\":null}"},
	{"{}\n{}", "_empty BOOLEAN", "{\"_empty\":true}\n{\"_empty\":true}"},
	/* within, names that are no columns make JSON of what holds them */
	{"{\"a\":{\"x\":1,\"x\":2}}", "a JSON", "{\"a\":{\"x\":1,\"x\":2}}"},
	{"{\"a\":{\"x\":1,\"X\":2}}", "a JSON", "{\"a\":{\"x\":1,\"X\":2}}"},
	{"{\"a\":{\"x\":1}}\n{\"a\":{\"X\":2}}", "a JSON", "{\"a\":{\"x\":1}}\n{\"a\":{\"X\":2}}"},
	{"{\"a\":{\"\":1}}", "a JSON", "{\"a\":{\"\":1}}"},
	/* names that Avro does not allow */
	{"{\"a-b\":1,\"2\":{\"c.d\":\"x\",\"gr\u00fc\u00df\":1},\"a_x2Db\":2,\"q\\\"u\\u006fte\":"
	 "3}",
	 "a-b BIGINT, 2 STRUCT(\"c.d\" VARCHAR, \"gr\u00fc\u00df\" BIGINT), a_x2Db BIGINT, q\"uote "
	 "BIGINT",
	 "{\"a-b\":1,\"2\":{\"c.d\":\"x\",\"gr\u00fc\u00df\":1},\"a_x2Db\":2,\"q\\\"uote\":3}"},
	{" { \"a\" : [ 1 , 2 ] ,\n\t\"b\" : { \"c\" : { } } } \n",
	 "a BIGINT[], b STRUCT(c STRUCT(_empty BOOLEAN))",
	 "{\"a\":[1,2],\"b\":{\"c\":{\"_empty\":true}}}"},
};

static void append_lines(struct partition_writer *p, const char *lines, int64_t offset)
{
	AUTO(freep) char *text = xstrdup(lines);

	/* The last of them is one record of several lines. */
	if (*lines == ' ') {
		MUST(append(p, offset, lines, &err));
		return;
	}
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		MUST(append(p, offset++, line, &err));
}

static void test_types(void **state)
{
	struct parquet_world *w = *state;
	struct writer_settings s = settings_of(w);

	MUST(writer_settings_check(&s, &err));
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		AUTO(partition_writer_freep)
		struct partition_writer *p = partition_writer_new(&s, "events", 0, 0);
		AUTO(written_files_release) struct written_files files = {NULL, 0, 0};
		AUTO(buf_release) struct buf bytes = BUF_INIT;
		AUTO(buf_release) struct buf found = BUF_INIT;

		append_lines(p, shapes[i].records, 0);
		MUST(partition_writer_finish(p, &files, &err));
		assert_int_equal(files.n, 1);
		parquet_world_read_back(w, &files.items[0], &bytes);
		columns_of(w, &found);
		assert_string_equal(buf_str(&found), shapes[i].columns);
		duck_ask(&found,
			 "SELECT string_agg(to_json(t)::VARCHAR, chr(10) ORDER BY file_row_number) "
			 "FROM (SELECT file_row_number, t FROM (SELECT * EXCLUDE (file_row_number) "
			 "FROM read_parquet('%s', file_row_number=true)) t POSITIONAL JOIN (SELECT "
			 "file_row_number FROM read_parquet('%s', file_row_number=true)))",
			 w->file, w->file);
		assert_string_equal(buf_str(&found), shapes[i].rows);
	}
}

/* ---- what is no row of columns ---- */

static void test_values(void **state)
{
	static const char *const records[] = {
		"{\"a\":1}",         "[1, 2]",           "null",     "\"text\"",
		"{\"a\":1,\"a\":2}", "{\"A\":3}",        "{\"\":1}", "{\"b\":1,\"B\":2}",
		"{\"a\":2}",         "{\"n\\u0000\":1}", "7",
	};
	struct parquet_world *w = *state;
	struct writer_settings s = settings_of(w);
	AUTO(partition_writer_freep)
	struct partition_writer *p = partition_writer_new(&s, "events", 0, 0);
	AUTO(written_files_release) struct written_files files = {NULL, 0, 0};
	AUTO(buf_release) struct buf bytes = BUF_INIT;
	AUTO(buf_release) struct buf found = BUF_INIT;
	struct err why = ERR_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(records); i++)
		MUST(append(p, (int64_t)i, records[i], &err));
	assert_int_equal(append(p, 20, "{\"a\":}", &why), ST_POISON);
	assert_int_equal(append(p, 21, "", &why), ST_POISON);
	MUST(append(p, 22, NULL, &err));
	assert_int_equal(partition_writer_records(p), ARRAY_SIZE(records) + 1);
	MUST(partition_writer_finish(p, &files, &err));
	assert_int_equal(files.n, 3);
	assert_string_equal(lake_meta_get(&files.items[0].meta, "tidemark.offsets"), "0,8");
	assert_string_equal(lake_meta_get(&files.items[1].meta, "tidemark.offsets"), "1-7,9-10");
	assert_string_equal(lake_meta_get(&files.items[2].meta, "tidemark.offsets"), "22");
	parquet_world_read_back(w, &files.items[1], &bytes);
	columns_of(w, &found);
	assert_string_equal(buf_str(&found), "value JSON");
	duck_ask(&found,
		 "SELECT string_agg(value, '|' ORDER BY file_row_number) FROM "
		 "read_parquet('%s', file_row_number=true)",
		 w->file);
	assert_string_equal(buf_str(&found),
			    "[1, 2]|null|\"text\"|{\"a\":1,\"a\":2}|{\"A\":3}|{\"\":1}|"
			    "{\"b\":1,\"B\":2}|{\"n\\u0000\":1}|7");
}

/* A file that was begun for an object which it could not take has no rows, and is none. */
static void test_nothing_taken(void **state)
{
	struct writer_settings s = settings_of(*state);
	AUTO(partition_writer_freep)
	struct partition_writer *p = partition_writer_new(&s, "events", 0, 0);
	AUTO(written_files_release) struct written_files files = {NULL, 0, 0};

	MUST(append(p, 3, "{\"a\":1,\"a\":2}", &err));
	MUST(partition_writer_finish(p, &files, &err));
	assert_int_equal(files.n, 1);
	assert_string_equal(lake_meta_get(&files.items[0].meta, "tidemark.offsets"), "3");
	MUST(append(p, 4, "{\"a\":1,\"a\":2}", &err));
	MUST(append(p, 5, "{\"a\":1}", &err));
	written_files_release(&files);
	files = (struct written_files){NULL, 0, 0};
	MUST(partition_writer_finish(p, &files, &err));
	assert_int_equal(files.n, 2);
}

/* A value's bounds: wide and deep objects. */
static void test_bounds(void **state)
{
	struct parquet_world *w = *state;
	struct writer_settings s = settings_of(w);
	AUTO(partition_writer_freep)
	struct partition_writer *p = partition_writer_new(&s, "events", 0, 0);
	AUTO(written_files_release) struct written_files files = {NULL, 0, 0};
	AUTO(buf_release) struct buf json = BUF_INIT;
	AUTO(buf_release) struct buf bytes = BUF_INIT;
	AUTO(buf_release) struct buf found = BUF_INIT;

	for (int i = 0; i < 60; i++) { /* a map from 120 names */
		buf_clear(&json);
		buf_addf(&json, "{\"counts\":{\"k%d\":1,\"l%d\":2},\"deep\":", i, i);
		for (int d = 0; d < 40; d++)
			buf_adds(&json, "[{\"d\":");
		buf_adds(&json, "1");
		for (int d = 0; d < 40; d++)
			buf_adds(&json, "}]");
		buf_addc(&json, '}');
		MUST(append(p, i, buf_str(&json), &err));
	}
	buf_clear(&json); /* more columns than a file may have */
	for (int i = 0; i < 400; i++)
		buf_addf(&json, "%s\"c%d\":%d", i ? "," : "{", i, i);
	buf_addc(&json, '}');
	MUST(append(p, 60, buf_str(&json), &err));
	MUST(append(p, 61, "{\"counts\":{}}", &err));
	MUST(partition_writer_finish(p, &files, &err));
	assert_int_equal(files.n, 2);
	assert_string_equal(lake_meta_get(&files.items[0].meta, "tidemark.offsets"), "0-59,61");
	assert_string_equal(lake_meta_get(&files.items[1].meta, "tidemark.offsets"), "60");
	parquet_world_read_back(w, &files.items[0], &bytes);
	duck_ask(&found,
		 "SELECT typeof(counts) || ' ' || (typeof(deep) LIKE '%%(d JSON[])[])[])[])[])[])"
		 "[])[]') || ' ' || (counts->>'k0') FROM read_parquet('%s') WHERE counts->>'k0' = "
		 "'1'",
		 w->file);
	assert_string_equal(buf_str(&found), "JSON true 1");
}

/* The longest names that a shape takes, mended, at all its levels, are a schema still. */
static void test_long_names(void **state)
{
	static const char *const characters[] = {"-", "\xf4\x80\x80\x80"};
	struct parquet_world *w = *state;
	struct writer_settings s = settings_of(w);

	for (size_t k = 0; k < ARRAY_SIZE(characters); k++) {
		AUTO(partition_writer_freep)
		struct partition_writer *p = partition_writer_new(&s, "events", 0, 0);
		AUTO(written_files_release) struct written_files files = {NULL, 0, 0};
		AUTO(buf_release) struct buf json = BUF_INIT;
		AUTO(buf_release) struct buf name = BUF_INIT;
		AUTO(buf_release) struct buf bytes = BUF_INIT;
		AUTO(buf_release) struct buf found = BUF_INIT;

		while (name.len + strlen(characters[k]) <= 255)
			buf_adds(&name, characters[k]);
		for (int d = 0; d < SHAPE_MAX_DEPTH; d++)
			buf_addf(&json, "{\"%s\":", name.data);
		buf_adds(&json, "\"a\\u0000b\"");
		for (int d = 0; d < SHAPE_MAX_DEPTH; d++)
			buf_addc(&json, '}');
		MUST(append(p, 0, json.data, &err));
		MUST(partition_writer_finish(p, &files, &err));
		assert_int_equal(files.n, 1);
		parquet_world_read_back(w, &files.items[0], &bytes);
		duck_ask(&found, "SELECT to_json(t)::VARCHAR FROM read_parquet('%s') t", w->file);
		assert_string_equal(buf_str(&found), buf_str(&json));
	}
}

/* ---- files ---- */

static void event(struct buf *b, int64_t n)
{
	struct rng rng = rng_seeded((uint64_t)n);

	buf_clear(b);
	buf_addf(b, "{\"n\":%d,\"kind\":\"k%d\",\"at\":{\"x\":%d.5,\"tags\":[\"a\",\"b%d\"]}",
		 (int)n, (int)rng_below(&rng, 5), (int)rng_below(&rng, 100), (int)n);
	if (n % 1500 == 1499) /* now and then something new */
		buf_addf(b, ",\"extra%d\":%d", (int)n, (int)n);
	if (n >= 4000 && n < 4010)
		buf_adds(b, ",\"mixed\":\"text\"");
	if (n >= 4010)
		buf_adds(b, ",\"mixed\":1");
	buf_addc(b, '}');
}

static void write_events(struct partition_writer *p, int64_t from, int64_t to)
{
	AUTO(buf_release) struct buf b = BUF_INIT;

	for (int64_t n = from; n < to; n++) {
		event(&b, n);
		MUST(append(p, n, b.data, &err));
	}
}

static void write_all(struct parquet_world *w, const struct writer_settings *s, bool used_before,
		      struct buf *out, size_t *n_out)
{
	AUTO(partition_writer_freep)
	struct partition_writer *p = partition_writer_new(s, "events", 0, 0);
	AUTO(written_files_release) struct written_files files = {NULL, 0, 0};
	AUTO(buf_release) struct buf bytes = BUF_INIT;
	uint64_t rows = 0;

	if (used_before) {
		AUTO(written_files_release) struct written_files others = {NULL, 0, 0};

		write_events(p, 0, 1000);
		MUST(partition_writer_finish(p, &others, &err));
	}
	write_events(p, 1000, 9000);
	MUST(partition_writer_finish(p, &files, &err));
	*n_out = files.n;
	for (size_t i = 0; i < files.n; i++) {
		AUTO(oracle_runs_release) struct oracle_runs runs = {.n = 0};
		AUTO(buf_release) struct buf found = BUF_INIT;
		AUTO(buf_release) struct buf wanted = BUF_INIT;
		const char *offsets = lake_meta_get(&files.items[i].meta, "tidemark.offsets");

		parquet_world_read_back(w, &files.items[i], &bytes);
		assert_true(oracle_runs_parse(offsets, &runs));
		for (size_t k = 0; k < runs.n; k++)
			for (int64_t o = runs.items[k].from; o <= runs.items[k].to; o++)
				buf_addf(&wanted, "%lld %lld\n", (long long)o, (long long)o);
		duck_ask(&found,
			 "SELECT string_agg(n || ' ' || replace(\"at\".tags[2], 'b', '') || "
			 "chr(10), '' "
			 "ORDER BY file_row_number) FROM read_parquet('%s', file_row_number=true)",
			 w->file);
		assert_string_equal(buf_str(&found), buf_str(&wanted));
		rows += files.items[i].records;
		buf_addf(out, "%s %s %s\n", files.items[i].path, offsets, files.items[i].schema);
		buf_addbuf(out, &bytes);
	}
	assert_int_equal(rows, 8000);
}

/* A record that does not fit ends the file once its columns are settled; what is read
 * again gives the same files; sorted ones too. */
static void test_files(void **state)
{
	static const char *const paths[] = {"kind", "at.x", "nowhere"};

	for (int sorted = 0; sorted < 2; sorted++) {
		struct writer_settings s = settings_of(*state);
		AUTO(buf_release) struct buf a = BUF_INIT;
		AUTO(buf_release) struct buf b = BUF_INIT;
		size_t files, again;

		s.group_bytes = 64 << 10;
		if (sorted)
			s.sort = (struct sort_columns){paths, ARRAY_SIZE(paths)};
		MUST(writer_settings_check(&s, &err));
		write_all(*state, &s, false, &a, &files);
		write_all(*state, &s, true, &b, &again);
		assert_in_range(files, 5, 12);
		assert_int_equal(files, again);
		assert_int_equal(a.len, b.len);
		assert_memory_equal(a.data, b.data, a.len);
	}
}

static void test_metadata(void **state)
{
	struct parquet_world *w = *state;
	struct writer_settings s = settings_of(w);
	AUTO(partition_writer_freep) struct partition_writer *p = NULL;
	AUTO(written_files_release) struct written_files files = {NULL, 0, 0};
	AUTO(buf_release) struct buf bytes = BUF_INIT;
	AUTO(buf_release) struct buf found = BUF_INIT;

	s.metadata = true;
	MUST(writer_settings_check(&s, &err));
	p = partition_writer_new(&s, "events", 0, 0);
	MUST(append(p, 5, "{\"a\":1,\"b\":[{}]}", &err));
	MUST(append(p, 6, "{\"a\":\"x\"}", &err));
	MUST(append(p, 7, "{\"_Kafka\":1}", &err));
	MUST(partition_writer_finish(p, &files, &err));
	assert_int_equal(files.n, 2);
	parquet_world_read_back(w, &files.items[0], &bytes);
	duck_ask(&found,
		 "SELECT string_agg(typeof(a) || ' ' || a || ' ' || _kafka.offset || ' ' || "
		 "_kafka.key::VARCHAR, '|' ORDER BY _kafka.offset) FROM read_parquet('%s')",
		 w->file);
	assert_string_equal(buf_str(&found), "JSON 1 5 k|JSON \"x\" 6 k");
	parquet_world_read_back(w, &files.items[1], &bytes);
	duck_ask(&found, "SELECT value || ' ' || _kafka.offset FROM read_parquet('%s')", w->file);
	assert_string_equal(buf_str(&found), "{\"_Kafka\":1} 7");
}

/* Dropped at any moment, it leaves nothing. */
static void test_dropped(void **state)
{
	struct writer_settings s = settings_of(*state);

	s.group_bytes = 64 << 10;
	for (int n = 1; n < 3000; n *= 4) {
		struct partition_writer *p = partition_writer_new(&s, "events", 0, 0);

		write_events(p, 0, n);
		if (n % 3 == 1)
			MUST(partition_writer_end(p, &err));
		partition_writer_free(p);
	}
}

static void refused(struct writer_settings s, const char *why)
{
	struct err err = ERR_INIT;

	assert_int_equal(writer_settings_check(&s, &err), ST_USAGE);
	if (!strstr(err.text, why))
		fail_msg("'%s' does not say '%s'", err.text, why);
}

static void test_settings(void **state)
{
	struct writer_settings s = settings_of(*state);

	s.format = FORMAT_JSON;
	s.codec = CODEC_NULL;
	refused(s, "parquet.json.infer=true: only Parquet files have columns");
	s = settings_of(*state);
	s.converter = CONVERTER_STRING;
	refused(s, "parquet.json.infer=true: only JSON has columns to be inferred");
	s = settings_of(*state);
	s.schema_json = "\"long\"";
	refused(s, "parquet.json.infer=true: value.converter.schema.file says");
}

/* ---- any JSON ---- */

static void random_json(struct rng *r, size_t depth, struct buf *out)
{
	static const char *const scalars[] = {
		"null",
		"true",
		"false",
		"0",
		"-0",
		"17",
		"9007199254740993",
		"-9223372036854775808",
		"9223372036854775808",
		"1.5",
		"-1e3",
		"1e999",
		"1E-999",
		"\"\"",
		"\"a\\u0000b\"",
		"\"\\ud83d\\ude00\"",
		"\"}]{[,:\\\"\"",
		"\"text\"",
		"null",
		"5",
	};
	static const char *const names[] = {"a", "b", "c", "A", "d-e", "", "f\\n", "\\u0061", "g"};
	uint64_t what = rng_below(r, depth < 5 ? 6 : 3);

	if (depth > 0 && what < 3) {
		buf_adds(out, scalars[rng_below(r, ARRAY_SIZE(scalars))]);
	} else if (depth > 0 && what == 3) {
		buf_addc(out, '[');
		for (uint64_t n = rng_below(r, 4); n; n--) {
			random_json(r, depth + 1, out);
			buf_adds(out, n > 1 ? " , " : "");
		}
		buf_addc(out, ']');
	} else {
		buf_adds(out, "{ ");
		for (uint64_t n = rng_below(r, 5); n; n--) {
			/* the odd ones now and then */
			uint64_t name = rng_below(r, rng_below(r, 8) ? 3 : ARRAY_SIZE(names));

			buf_addf(out, "\"%s\" :\n", names[name]);
			random_json(r, depth + 1, out);
			buf_adds(out, n > 1 ? "," : "");
		}
		buf_addc(out, '}');
	}
}

/* What was added fits, in whatever order; what fits a shape leaves it as it is; the schema
 * is one of Avro, and the bytes are values of it. */
static void test_any_json(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 3000; seed++) {
		struct rng r = rng_seeded(seed);
		AUTO(json_shape_freep) struct json_shape *shape = json_shape_new("_kafka");
		AUTO(compiled_schema_freep) struct compiled_schema *schema = NULL;
		AUTO(buf_release) struct buf before = BUF_INIT;
		AUTO(buf_release) struct buf after = BUF_INIT;
		char *records[20];
		bool added[20];

		for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
			struct buf text = BUF_INIT;
			struct json_line line;

			random_json(&r, 0, &text);
			records[i] = buf_detach(&text);
			assert_true(
				json_line_check(records[i], strlen(records[i]), &line, NULL, NULL));
			added[i] = json_shape_add(shape, records[i]);
		}
		json_shape_schema(shape, &before);
		MUST(compiled_schema_of_text(before.data, &schema, &err));
		for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
			AUTO(buf_release) struct buf row = BUF_INIT;
			enum shape_fit fit = json_shape_row(shape, records[i], &row);

			if (added[i] && fit != SHAPE_FITS)
				fail_msg("seed %d: %s", (int)seed, records[i]);
			if (fit == SHAPE_FITS) {
				MUST(schema_explain(schema->schema, row.data, row.len, &err));
				assert_true(json_shape_add(shape, records[i]));
			} else if (fit == SHAPE_NEVER) {
				assert_false(json_shape_add(shape, records[i]));
			}
			free(records[i]);
		}
		json_shape_schema(shape, &after);
		assert_string_equal(before.data, after.data);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_types),         cmocka_unit_test(test_values),
		cmocka_unit_test(test_nothing_taken), cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_long_names),    cmocka_unit_test(test_files),
		cmocka_unit_test(test_metadata),      cmocka_unit_test(test_dropped),
		cmocka_unit_test(test_settings),      cmocka_unit_test(test_any_json),
	};

	return cmocka_run_group_tests(tests, parquet_world_open, parquet_world_close);
}
