/* The partition writer: one data file a schema, found by the schema's id; the
 * last one used is remembered, so that a record of the same schema takes no
 * lock and no look-up. */
#include "connector/writer/partition_writer.h"

#include <stdlib.h>
#include <string.h>

#include "connector/schema/compiled.h"
#include "connector/schema/json_encode.h"
#include "connector/schema/utf8.h"
#include "connector/writer/avro_row.h"
#include "connector/writer/builtin_schemas.h"
#include "connector/writer/codec.h"
#include "connector/writer/data_file.h"
#include "connector/writer/json_line.h"

/* Keys of data files beside the registry's ids, which are not negative. */
#define KEY_OWN (-1) /* the only schema, or lines */
#define KEY_TOMBSTONES (-2)

/* Confluent framing: a zero byte and the schema's id, big-endian. */
#define FRAME_BYTES 5

struct partition_writer {
	const struct writer_settings *settings;
	struct file_place place;
	struct data_file **files;
	size_t n;
	size_t cap;
	struct data_file *last; /* the data file of the last record; NULL: none */
	struct compiled_schema *own_schema; /* of settings->schema_json, when first needed */
	struct buf scratch;
};

static const char *const components[] = {
	[CONVERTER_AVRO] = "io.confluent.connect.avro.AvroConverter",
	[CONVERTER_AVRO_RAW] = "io.confluent.connect.avro.AvroConverter",
	[CONVERTER_JSON] = "org.apache.kafka.connect.json.JsonConverter",
	[CONVERTER_STRING] = "org.apache.kafka.connect.storage.StringConverter",
	[CONVERTER_BYTES] = "org.apache.kafka.connect.converters.ByteArrayConverter",
};

/* ---- formats ---- */

/* Are rows of this format made of Avro's values? */
static bool of_values(enum file_format format)
{
	return format == FORMAT_AVRO || format == FORMAT_PARQUET;
}

static struct parquet_settings parquet_settings(const struct writer_settings *s)
{
	return (struct parquet_settings){
		.lake = s->lake,
		.engine = s->parquet,
		.codec = s->codec == CODEC_SNAPPY      ? "snappy"
			 : s->codec == CODEC_GZIP      ? "gzip"
			 : s->codec == CODEC_ZSTANDARD ? "zstd"
						       : "uncompressed",
		.group_bytes = s->group_bytes,
		.group_rows = s->group_rows,
	};
}

/* ---- life ---- */

struct partition_writer *partition_writer_new(const struct writer_settings *settings,
					      const char *topic, int32_t partition,
					      uint32_t generation)
{
	struct partition_writer *w = xcalloc(1, sizeof(*w));
	const char *prefix = settings->path_prefix ? settings->path_prefix : "";

	w->settings = settings;
	w->place.folder =
		xasprintf("%s%s%s/partition=%d", prefix, *prefix ? "/" : "", topic, partition);
	w->place.topic = xstrdup(topic);
	w->place.partition = partition;
	w->place.generation = generation;
	return w;
}

void partition_writer_free(struct partition_writer *w)
{
	if (!w)
		return;
	for (size_t i = 0; i < w->n; i++)
		data_file_free(w->files[i]);
	free(w->files);
	compiled_schema_free(w->own_schema);
	file_place_release(&w->place);
	buf_release(&w->scratch);
	free(w);
}

uint64_t partition_writer_records(const struct partition_writer *w)
{
	uint64_t n = 0;

	for (size_t i = 0; i < w->n; i++)
		n += w->files[i]->records;
	return n;
}

size_t partition_writer_open_files(const struct partition_writer *w)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n; i++)
		n += w->files[i]->records > 0;
	return n;
}

uint64_t partition_writer_bytes(const struct partition_writer *w)
{
	uint64_t n = 0;

	for (size_t i = 0; i < w->n; i++)
		n += data_file_bytes(w->files[i]);
	return n;
}

/* What an upload buffers at most (core/lake.h reserves 256 KiB at a time). */
#define UPLOAD_BYTES ((size_t)512 << 10)

size_t partition_writer_memory(const struct writer_settings *s)
{
	struct parquet_settings parquet = parquet_settings(s);
	size_t file = s->format == FORMAT_AVRO      ? container_memory(s->codec, s->block_bytes)
		      : s->format == FORMAT_PARQUET ? parquet_file_memory(&parquet)
						    : line_file_memory(s->codec);

	return sizeof(struct partition_writer) + sizeof(struct data_file) + file + UPLOAD_BYTES;
}

/* ---- data files ---- */

static struct data_file *find_file(struct partition_writer *w, int64_t key)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->files[i]->key == key)
			return w->files[i];
	return NULL;
}

static struct data_file *add_file(struct partition_writer *w, int64_t key, struct data_file *f)
{
	f->key = key;
	GROW(w->files, w->n, w->cap);
	return w->files[w->n++] = f;
}

/* A file of rows of the schema. */
static enum status schema_file(struct partition_writer *w, int64_t key,
			       const struct compiled_schema *schema, struct data_file **out,
			       struct err *err)
{
	const struct writer_settings *s = w->settings;
	struct parquet_settings parquet = parquet_settings(s);
	struct data_file *f;
	enum status st = ST_OK;

	if (s->format == FORMAT_PARQUET)
		st = data_file_parquet(&parquet, &w->place, schema,
				       s->converter == CONVERTER_JSON && key == KEY_OWN, &f, err);
	else
		f = data_file_avro(s->lake, &w->place, schema, s->codec, s->block_bytes);
	if (st == ST_OK)
		*out = add_file(w, key, f);
	return st;
}

static enum status file_of_id(struct partition_writer *w, int32_t id, struct data_file **out,
			      struct err *err)
{
	const struct compiled_schema *schema;
	enum status st;

	*out = find_file(w, id);
	if (*out)
		return ST_OK;
	st = registry_compiled(w->settings->registry, id, &schema, err);
	return st == ST_OK ? schema_file(w, id, schema, out, err) : st;
}

static enum status open_own_schema(struct partition_writer *w, struct err *err)
{
	AUTO(compiled_schema_freep) struct compiled_schema *c = NULL;
	enum status st = compiled_schema_new(NULL, w->settings->schema_json, &c, err);

	if (st == ST_OK && w->settings->converter == CONVERTER_JSON)
		st = json_encode_prepare(c->schema, err);
	if (st != ST_OK)
		return err_wrap(err, ST_USAGE, "value.converter.schema.file");
	w->own_schema = MOVE(c);
	return ST_OK;
}

/* Are rows of the one column `value`, of text or bytes? */
static bool of_one_column(const struct writer_settings *s)
{
	return s->converter == CONVERTER_STRING || s->converter == CONVERTER_BYTES ||
	       (s->converter == CONVERTER_JSON && !s->schema_json);
}

/* The data file where there is only one. */
static enum status own_file(struct partition_writer *w, struct data_file **out, struct err *err)
{
	const struct writer_settings *s = w->settings;
	enum status st = ST_OK;

	if (w->last) {
		*out = w->last;
		return ST_OK;
	}
	if (!of_values(s->format)) {
		*out = add_file(
			w, KEY_OWN,
			data_file_lines(s->lake, &w->place, s->format == FORMAT_JSON, s->codec));
	} else if (of_one_column(s)) {
		st = schema_file(w, KEY_OWN,
				 builtin_schema(s->converter == CONVERTER_BYTES ? BUILTIN_BYTES
										: BUILTIN_STRING),
				 out, err);
	} else {
		st = open_own_schema(w, err);
		if (st == ST_OK)
			st = schema_file(w, KEY_OWN, w->own_schema, out, err);
	}
	if (st == ST_OK)
		w->last = *out;
	return st;
}

/* ---- records ---- */

/* Makes a row of what is in scratch. */
static enum status add_scratch(struct partition_writer *w, struct data_file *f, int64_t offset,
			       struct err *err)
{
	if (f->parquet)
		return data_file_add_columns(f, offset, w->scratch.data, w->scratch.len, err);
	memcpy(container_room(f->container, w->scratch.len), buf_str(&w->scratch), w->scratch.len);
	return data_file_add_row(f, offset, w->scratch.len, err);
}

/* other: why it is refused where it is a value of the schema all the same; NULL: what
 * err says. */
static enum status refuse_value(const struct data_file *f, const void *data, size_t len,
				const char *other, struct err *err)
{
	struct err why = ERR_INIT;
	enum status st = schema_explain(f->schema->schema, data, len, &why);

	if (st != ST_OK)
		*err = why;
	else if (other)
		err_set(err, ST_POISON, "%s", other);
	else
		return ST_POISON; /* a value that columns cannot hold */
	return err_wrap(err, ST_POISON, "the value is not exactly one of schema %s",
			f->schema->name);
}

static enum status check_and_add(struct data_file *f, int64_t offset, const void *data, size_t len,
				 struct err *err)
{
	enum status st;
	void *room;

	if (f->parquet) {
		st = data_file_add_columns(f, offset, data, len, err);
		return st == ST_POISON ? refuse_value(f, data, len, NULL, err) : st;
	}
	/* Checked where it will lie: the copy warms the cache and has slack. */
	room = container_room(f->container, len);
	if (len)
		memcpy(room, data, len);
	if (__builtin_expect(!walker_check(f->schema->walker, room, len), 0))
		return refuse_value(f, data, len, "the value is nested too deep", err);
	return data_file_add_row(f, offset, len, err);
}

static enum status append_avro(struct partition_writer *w, const struct record *r, struct err *err)
{
	const unsigned char *v = r->value;
	struct data_file *f = w->last;
	int32_t id;

	if (r->value_len < FRAME_BYTES || v[0] != 0)
		return err_set(
			err, ST_POISON,
			r->value_len < FRAME_BYTES
				? "the value is shorter than the 5 bytes of a schema "
				  "registry's framing"
				: "the value's first byte is not the 0 of a schema registry's "
				  "framing");
	id = (int32_t)((uint32_t)v[1] << 24 | (uint32_t)v[2] << 16 | (uint32_t)v[3] << 8 | v[4]);
	if (__builtin_expect(!f || f->key != id, 0)) {
		enum status st;

		if (id < 0)
			return err_set(err, ST_POISON, "the value's schema id is negative");
		st = file_of_id(w, id, &f, err);
		if (st != ST_OK)
			return st;
		w->last = f;
	}
	return check_and_add(f, r->offset, v + FRAME_BYTES, r->value_len - FRAME_BYTES, err);
}

static enum status append_json_line(struct data_file *f, struct buf *scratch,
				    const struct record *r, struct err *err)
{
	struct json_line line;
	const char *why;
	size_t where;

	if (!json_line_check(r->value, r->value_len, &line, &where, &why))
		return err_set(err, ST_POISON, "the value is no JSON: %s, at byte %zu", why, where);
	if (line.broken) {
		json_line_flatten(&line, scratch);
		return data_file_add_line(f, r->offset, scratch->data, scratch->len, err);
	}
	return data_file_add_line(f, r->offset, line.text, line.len, err);
}

static enum status append_line(struct partition_writer *w, struct data_file *f,
			       const struct record *r, struct err *err)
{
	if (w->settings->format == FORMAT_BYTES)
		return data_file_add_line(f, r->offset, r->value, r->value_len, err);
	if (!r->value)
		return data_file_add_line(f, r->offset, "null", 4, err);
	if (w->settings->converter == CONVERTER_JSON)
		return append_json_line(f, &w->scratch, r, err);
	json_line_add_string(&w->scratch, r->value, r->value_len);
	return data_file_add_line(f, r->offset, w->scratch.data, w->scratch.len, err);
}

/* A row of ["null", "string"|"bytes"]. */
static enum status append_nullable(struct partition_writer *w, struct data_file *f,
				   const struct record *r, struct err *err)
{
	size_t room = r->value_len + 11; /* a branch, a length */
	unsigned char *row, *p;
	uint64_t len = (uint64_t)r->value_len << 1;

	if (f->container) {
		row = container_room(f->container, room);
	} else {
		buf_reserve(&w->scratch, room);
		row = (unsigned char *)w->scratch.data;
	}
	p = row;
	*p++ = r->value ? 2 : 0;
	if (r->value) {
		for (; len >= 0x80; len >>= 7)
			*p++ = (unsigned char)(len | 0x80);
		*p++ = (unsigned char)len;
		if (r->value_len)
			memcpy(p, r->value, r->value_len);
		p += r->value_len;
	}
	if (f->container)
		return data_file_add_row(f, r->offset, (size_t)(p - row), err);
	return data_file_add_columns(f, r->offset, row, (size_t)(p - row), err);
}

/* JSON without a schema as a row of one column. */
static enum status append_json_text(struct partition_writer *w, struct data_file *f,
				    const struct record *r, struct err *err)
{
	struct json_line line;
	const char *why;
	size_t where;

	if (r->value && !json_line_check(r->value, r->value_len, &line, &where, &why))
		return err_set(err, ST_POISON, "the value is no JSON: %s, at byte %zu", why, where);
	return append_nullable(w, f, r, err);
}

static enum status append_own(struct partition_writer *w, const struct record *r, struct err *err)
{
	const struct writer_settings *s = w->settings;
	struct data_file *f;
	enum status st = own_file(w, &f, err);

	if (st != ST_OK)
		return st;
	buf_clear(&w->scratch);
	if (s->converter == CONVERTER_JSON && r->value && !r->value_len)
		return err_set(err, ST_POISON, "the value is empty, which is no JSON");
	if (s->converter == CONVERTER_STRING && r->value && !utf8_check(r->value, r->value_len))
		return err_set(err, ST_POISON, "the value is not UTF-8");
	if (!of_values(s->format))
		return append_line(w, f, r, err);
	if (s->converter == CONVERTER_AVRO_RAW)
		return check_and_add(f, r->offset, r->value, r->value_len, err);
	if (of_one_column(s))
		return s->converter == CONVERTER_JSON ? append_json_text(w, f, r, err)
						      : append_nullable(w, f, r, err);
	st = json_encode(w->own_schema->schema, r->value, r->value_len, &w->scratch, err);
	return st == ST_OK ? add_scratch(w, f, r->offset, err) : st;
}

static enum status append_tombstone(struct partition_writer *w, const struct record *r,
				    struct err *err)
{
	struct data_file *f = find_file(w, KEY_TOMBSTONES);
	enum status st = ST_OK;

	if (!f)
		st = schema_file(w, KEY_TOMBSTONES, builtin_schema(BUILTIN_TOMBSTONE), &f, err);
	if (st != ST_OK)
		return st;
	buf_clear(&w->scratch);
	avro_row_nullable_bytes(&w->scratch, r->key, r->key_len);
	avro_row_timestamp(&w->scratch, r);
	avro_row_headers(&w->scratch, r);
	avro_row_long(&w->scratch, r->partition);
	avro_row_long(&w->scratch, r->offset);
	return add_scratch(w, f, r->offset, err);
}

static bool has_tombstone_rows(const struct writer_settings *s)
{
	return of_values(s->format) && !of_one_column(s);
}

enum status partition_writer_append(struct partition_writer *w, const struct record *r,
				    struct poison *poison_out, struct err *err)
{
	enum status st;

	if (__builtin_expect(!r->value, 0) && has_tombstone_rows(w->settings))
		st = append_tombstone(w, r, err);
	else if (w->settings->converter == CONVERTER_AVRO)
		st = append_avro(w, r, err);
	else
		st = append_own(w, r, err);
	if (__builtin_expect(st != ST_OK, 0) && poison_out)
		*poison_out = (struct poison){
			.stage = "VALUE_CONVERTER",
			.class_name = "org.apache.kafka.connect.errors.DataException",
			.component = components[w->settings->converter]};
	return st;
}

/* ---- finish ---- */

static int by_first_offset(const void *a, const void *b)
{
	const struct written_file *x = a, *y = b;

	return x->first_offset < y->first_offset ? -1 : x->first_offset > y->first_offset;
}

/* Keeps what the last checkpoint used, for the next; a schema that no longer
 * comes is let go. */
static void drop_unused(struct partition_writer *w, const bool *used)
{
	size_t kept = 0;

	for (size_t i = 0; i < w->n; i++) {
		if (used[i]) {
			w->files[kept++] = w->files[i];
			continue;
		}
		if (w->last == w->files[i])
			w->last = NULL;
		data_file_free(w->files[i]);
	}
	w->n = kept;
}

enum status partition_writer_end(struct partition_writer *w, struct err *err)
{
	enum status st = ST_OK;

	for (size_t i = 0; st == ST_OK && i < w->n; i++)
		if (w->files[i]->records)
			st = data_file_end(w->files[i], err);
	return st;
}

enum status partition_writer_finish(struct partition_writer *w, struct written_files *out,
				    struct err *err)
{
	AUTO(written_files_release) struct written_files files = {.items = NULL};
	AUTO(freep) bool *used = xcalloc(w->n + 1, sizeof(*used));
	enum status st = partition_writer_end(w, err);

	if (st != ST_OK)
		return st;
	for (size_t i = 0; i < w->n; i++) {
		struct written_file file;

		if (!w->files[i]->records)
			continue;
		used[i] = true;
		st = data_file_finish(w->files[i], &file, err);
		if (st != ST_OK)
			return st;
		written_files_add(&files, &file);
	}
	drop_unused(w, used);
	if (files.n)
		qsort(files.items, files.n, sizeof(*files.items), by_first_offset);
	for (size_t i = 0; i < files.n; i++)
		written_files_add(out, &files.items[i]);
	files.n = 0;
	return ST_OK;
}
