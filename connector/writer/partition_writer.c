/* The partition writer: data files, found by the schema's key and the folder that the
 * record goes to. Where a schema is a file, the last one used is remembered, so
 * that a record of the same schema takes no lock and no look-up. */
#include "connector/writer/partition_writer.h"

#include <stdlib.h>
#include <string.h>

#include "connector/writer/codec.h"
#include "connector/writer/data_file.h"
#include "connector/writer/open_files.h"
#include "connector/writer/record_metadata.h"
#include "connector/writer/row.h"

/* Confluent framing: a zero byte and the schema's id, big-endian. */
#define FRAME_BYTES 5
/* Files that are finished before the checkpoint, from which on the next ones are
 * made durable together with it, and not each by itself. */
#define MANY_FINISHED 16
/* What a finished file takes beside its path and its rows' offsets, roughly; and what
 * its upload may keep in memory until then (core/embedded/upload.c). */
#define FINISHED_BYTES 1024
#define UPLOAD_KEPT_BYTES (16 << 10)
/* Of a file's offsets before they are compressed (offset_runs.h): rows that take turns
 * have a run each. */
#define OFFSETS_MAX_BYTES ((size_t)3 << 20)

struct partition_writer {
	const struct writer_settings *settings;
	struct file_place place;
	struct open_files files;
	/* The data file of the last record; NULL: none. Where rows are the values as they
	 * came, and a schema is a file (last_serves), it serves the next record of
	 * the schema without a look at anything else. */
	struct data_file *last;
	bool last_serves;
	struct row_source rows;
	struct partition_path *path; /* NULL: the partition's own folder */
	struct written_files finished; /* before the checkpoint */
	uint64_t finished_bytes, finished_records;
	size_t finished_kept; /* in memory */
	struct buf joined, tail, scratch;
};

static const char *const components[] = {
	[CONVERTER_AVRO] = "io.confluent.connect.avro.AvroConverter",
	[CONVERTER_AVRO_RAW] = "io.confluent.connect.avro.AvroConverter",
	[CONVERTER_JSON] = "org.apache.kafka.connect.json.JsonConverter",
	[CONVERTER_STRING] = "org.apache.kafka.connect.storage.StringConverter",
	[CONVERTER_BYTES] = "org.apache.kafka.connect.converters.ByteArrayConverter",
};

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
		.sort = s->sort,
		.infer = s->infer,
	};
}

/* ---- life ---- */

struct partition_writer *partition_writer_new(const struct writer_settings *settings,
					      const char *topic, int32_t partition,
					      uint32_t generation)
{
	struct partition_writer *w = xcalloc(1, sizeof(*w));
	const char *prefix = settings->path_prefix ? settings->path_prefix : "";
	AUTO(freep) char *root = xasprintf("%s%s%s", prefix, *prefix ? "/" : "", topic);

	w->settings = settings;
	w->rows.settings = settings;
	if (settings->partitioner) {
		w->path = partition_path_new(settings->partitioner);
		w->place.folder = MOVE(root);
		w->place.fields = partitioner_fields(settings->partitioner);
	} else {
		w->place.folder = xasprintf("%s/partition=%d", root, partition);
	}
	w->place.topic = xstrdup(topic);
	w->place.partition = partition;
	w->place.generation = generation;
	w->last_serves = !settings->partitioner && !settings->metadata;
	return w;
}

void partition_writer_free(struct partition_writer *w)
{
	if (!w)
		return;
	open_files_release(&w->files);
	written_files_release(&w->finished);
	row_source_release(&w->rows);
	partition_path_free(w->path);
	file_place_release(&w->place);
	buf_release(&w->joined);
	buf_release(&w->tail);
	buf_release(&w->scratch);
	free(w);
}

uint64_t partition_writer_records(const struct partition_writer *w)
{
	uint64_t n = w->finished_records;

	for (size_t i = 0; i < w->files.n; i++)
		n += w->files.items[i]->records;
	return n;
}

size_t partition_writer_open_files(const struct partition_writer *w)
{
	size_t n = 0;

	for (size_t i = 0; i < w->files.n; i++)
		n += w->files.items[i]->records > 0;
	return n;
}

size_t partition_writer_waiting(const struct partition_writer *w)
{
	size_t n = w->finished_kept;

	for (size_t i = 0; i < w->files.n; i++)
		n += w->files.items[i]->runs.bytes.cap;
	return n;
}

uint64_t partition_writer_bytes(const struct partition_writer *w)
{
	uint64_t n = w->finished_bytes;

	for (size_t i = 0; i < w->files.n; i++)
		n += data_file_bytes(w->files.items[i]);
	return n;
}

/* What an upload buffers at most (core/lake.h reserves 256 KiB at a time). */
#define UPLOAD_BYTES ((size_t)512 << 10)

size_t partition_writer_group_copies(const struct writer_settings *s)
{
	struct parquet_settings parquet = parquet_settings(s);

	return parquet_group_copies(&parquet);
}

size_t partition_writer_memory(const struct writer_settings *s)
{
	struct parquet_settings parquet = parquet_settings(s);
	size_t file = s->format == FORMAT_AVRO      ? container_memory(s->codec, s->block_bytes)
		      : s->format == FORMAT_PARQUET ? parquet_file_memory(&parquet)
						    : line_file_memory(s->codec);

	return sizeof(struct partition_writer) + sizeof(struct data_file) + file + UPLOAD_BYTES;
}

/* ---- data files ---- */

static enum status open_file(struct partition_writer *w, const struct row_schema *schema,
			     struct data_file **out, struct err *err)
{
	const struct writer_settings *s = w->settings;
	struct parquet_settings parquet = parquet_settings(s);
	const bool defer = w->finished.n >= MANY_FINISHED;
	enum status st = ST_OK;

	parquet.defer = defer;
	if (schema->key == KEY_INFERRED)
		*out = data_file_inferred(&parquet, &w->place, s->metadata);
	else if (!schema->row)
		*out = data_file_lines(s->lake, &w->place, s->format == FORMAT_JSON, s->codec);
	else if (s->format == FORMAT_PARQUET)
		st = data_file_parquet(&parquet, &w->place, schema->row,
				       s->converter == CONVERTER_JSON && schema->key == KEY_OWN,
				       out, err);
	else
		*out = data_file_avro(s->lake, &w->place, schema->row, s->codec, s->block_bytes);
	if (st == ST_OK && defer)
		data_file_defer(*out);
	return st;
}

static enum status finish_into(struct written_files *out, struct data_file *f, struct err *err)
{
	struct written_file file;
	enum status st = data_file_finish(f, &file, err);

	if (st == ST_OK)
		written_files_add(out, &file);
	return st;
}

/* Finishes the file before the checkpoint, for which its upload waits. */
static enum status finish_early(struct partition_writer *w, struct data_file *f, struct err *err)
{
	if (f->records) {
		enum status st = finish_into(&w->finished, f, err);
		const struct written_file *file;
		uint64_t size;

		if (st != ST_OK)
			return st;
		file = &w->finished.items[w->finished.n - 1];
		size = lake_upload_size(file->upload);
		w->finished_records += file->records;
		w->finished_bytes += size;
		w->finished_kept += FINISHED_BYTES + strlen(file->path) +
				    strlen(lake_meta_get(&file->meta, "tidemark.offsets")) +
				    (size < UPLOAD_KEPT_BYTES ? size : 0);
	}
	if (w->last == f)
		w->last = NULL;
	open_files_drop(&w->files, f);
	return ST_OK;
}

static enum status find_file(struct partition_writer *w, const struct row_schema *schema,
			     const char *below, size_t len, struct data_file **out, struct err *err)
{
	struct data_file *f = open_files_find(&w->files, schema->key, below, len);
	enum status st = ST_OK;

	if (!f) {
		while (st == ST_OK && w->settings->open_files && w->path &&
		       w->files.n >= w->settings->open_files)
			st = finish_early(w, open_files_oldest(&w->files), err);
		if (st == ST_OK)
			st = open_file(w, schema, &f, err);
		if (st != ST_OK)
			return st;
		open_files_add(&w->files, f, schema->key, below, len);
	}
	*out = f;
	return ST_OK;
}

/* The file that the row goes to. */
static enum status file_of(struct partition_writer *w, const struct record *r,
			   const struct row *row, struct data_file **out, struct err *err)
{
	const struct row_schema *schema = row->schema;
	struct data_file *f = w->last;
	enum status st;

	if (w->path) {
		const struct partition_value value = {.data = schema->plan || row->json ? row->value
											: NULL,
						      .len = row->len,
						      .plan = schema->plan};
		const struct buf *below;

		st = partition_path_of(w->path, r, &value, &below, err);
		if (st != ST_OK)
			return st;
		if (!f || f->key != schema->key || f->below_len != below->len ||
		    memcmp(f->below, below->data, below->len) != 0)
			st = find_file(w, schema, below->data, below->len, &f, err);
	} else {
		st = f && f->key == schema->key ? ST_OK : find_file(w, schema, NULL, 0, &f, err);
	}
	if (st != ST_OK)
		return st;
	w->last = *out = f;
	return ST_OK;
}

/* ---- rows ---- */

/* other: why it is refused where it is a value of the schema all the same; NULL: what
 * err says. */
static enum status refuse_value(const struct compiled_schema *schema, const void *data, size_t len,
				const char *other, struct err *err)
{
	struct err why = ERR_INIT;
	enum status st = schema_explain(schema->schema, data, len, &why);

	if (st != ST_OK)
		*err = why;
	else if (other)
		err_set(err, ST_POISON, "%s", other);
	else
		return ST_POISON; /* a value that columns cannot hold */
	return err_wrap(err, ST_POISON, "the value is not exactly one of schema %s", schema->name);
}

#define TOO_DEEP "the value is nested too deep"

static enum status check_and_add(struct data_file *f, int64_t offset, const void *data, size_t len,
				 struct err *err)
{
	enum status st;
	void *room;

	if (f->parquet) {
		st = data_file_add_columns(f, offset, data, len, err);
		return st == ST_POISON ? refuse_value(f->schema, data, len, NULL, err) : st;
	}
	/* Checked where it will lie: the copy warms the cache and has slack. */
	room = container_room(f->container, len);
	if (len)
		memcpy(room, data, len);
	if (__builtin_expect(!walker_check(f->schema->walker, room, len), 0))
		return refuse_value(f->schema, data, len, TOO_DEEP, err);
	return data_file_add_row(f, offset, len, err);
}

/* Puts head, value and tail together at `at`, WALKER_SLACK bytes longer than they are.
 * ST_POISON: the value is none of the schema. */
static enum status join_row(const struct partition_writer *w, const struct row *row,
			    unsigned char *at, struct err *err)
{
	const struct compiled_schema *schema = row->schema->value;

	memcpy(at, row->head, row->head_len);
	at += row->head_len;
	if (row->len)
		memcpy(at, row->value, row->len);
	/* By itself: what follows must not make up for what it lacks. */
	if (!row->checked && !walker_check(schema->walker, at, row->len))
		return refuse_value(schema, row->value, row->len, TOO_DEEP, err);
	if (w->tail.len)
		memcpy(at + row->len, w->tail.data, w->tail.len);
	return ST_OK;
}

static enum status add_line(struct partition_writer *w, struct data_file *f, const struct record *r,
			    const struct row *row, struct err *err)
{
	enum status st;

	if (!w->settings->metadata)
		return data_file_add_line(f, r->offset, row->value, row->len, err);
	buf_clear(&w->joined);
	st = record_metadata_line(&w->joined, row->value, row->len, r, &w->scratch, err);
	return st == ST_OK ? data_file_add_line(f, r->offset, w->joined.data, w->joined.len, err)
			   : st;
}

static enum status add_row(struct partition_writer *w, struct data_file *f, const struct record *r,
			   const struct row *row, struct err *err)
{
	const bool tail = row->schema->row != row->schema->value;
	size_t len;
	enum status st;

	if (f->lines)
		return add_line(w, f, r, row, err);
	if (!tail && !row->head_len && !row->checked)
		return check_and_add(f, r->offset, row->value, row->len, err);
	buf_clear(&w->tail);
	if (tail)
		record_metadata_add(&w->tail, r);
	len = row->head_len + row->len + w->tail.len;
	if (f->container) {
		st = join_row(w, row, container_room(f->container, len), err);
		return st == ST_OK ? data_file_add_row(f, r->offset, len, err) : st;
	}
	buf_clear(&w->joined);
	buf_reserve(&w->joined, len + WALKER_SLACK);
	st = join_row(w, row, (unsigned char *)w->joined.data, err);
	return st == ST_OK ? data_file_add_columns(f, r->offset, w->joined.data, len, err) : st;
}

/* ---- records ---- */

/* May no row be added any more? */
static bool is_full(const struct partition_writer *w, const struct data_file *f)
{
	return (w->path && f->runs.bytes.len >= OFFSETS_MAX_BYTES) ||
	       (f->parquet && parquet_file_full(f->parquet));
}

static enum status append_row(struct partition_writer *w, const struct record *r,
			      const struct row *row, struct err *err)
{
	struct data_file *f;
	enum status st = file_of(w, r, row, &f, err);

	if (st == ST_OK)
		st = add_row(w, f, r, row, err);
	return st == ST_OK && is_full(w, f) ? finish_early(w, f, err) : st;
}

/* To the last record's file, whose schema the value has. */
static enum status append_again(struct partition_writer *w, int64_t offset, const void *data,
				size_t len, struct err *err)
{
	struct data_file *f = w->last;
	enum status st = check_and_add(f, offset, data, len, err);

	return __builtin_expect(st == ST_OK && is_full(w, f), 0) ? finish_early(w, f, err) : st;
}

static enum status append_framed(struct partition_writer *w, const struct record *r,
				 struct err *err)
{
	const unsigned char *v = r->value;
	struct data_file *f = w->last;
	struct row row = {.value = v + FRAME_BYTES, .len = r->value_len - FRAME_BYTES};
	enum status st;
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
	if (__builtin_expect(f && f->key == id && w->last_serves, 1))
		return append_again(w, r->offset, row.value, row.len, err);
	if (id < 0)
		return err_set(err, ST_POISON, "the value's schema id is negative");
	st = row_of_id(&w->rows, id, &row, err);
	return st == ST_OK ? append_row(w, r, &row, err) : st;
}

static enum status append_own(struct partition_writer *w, const struct record *r, struct err *err)
{
	struct row row = {.head_len = 0};
	enum status st = row_of_record(&w->rows, r, &row, err);

	return st == ST_OK ? append_row(w, r, &row, err) : st;
}

static const struct row_schema inferred = {.key = KEY_INFERRED};

/* An object of columns that are made from it and its neighbours. *fit SHAPE_NEVER: it can
 * be none, and nothing was appended. */
static enum status append_object(struct partition_writer *w, const struct record *r,
				 const struct json_line *line, enum shape_fit *fit, struct err *err)
{
	const struct row row = {
		.schema = &inferred, .value = line->text, .len = line->len, .json = true};
	struct data_file *f;
	enum status st = file_of(w, r, &row, &f, err);

	buf_clear(&w->tail);
	if (w->settings->metadata)
		record_metadata_add(&w->tail, r);
	if (st == ST_OK)
		st = data_file_add_object(f, r->offset, line->text, line->len, &w->tail, fit, err);
	if (st == ST_OK && *fit == SHAPE_GROWS) {
		/* Of a file that has no rows yet it is one, or never. */
		st = finish_early(w, f, err);
		if (st == ST_OK)
			st = file_of(w, r, &row, &f, err);
		if (st == ST_OK)
			st = data_file_add_object(f, r->offset, line->text, line->len, &w->tail,
						  fit, err);
	}
	return st == ST_OK && *fit == SHAPE_FITS && is_full(w, f) ? finish_early(w, f, err) : st;
}

static enum status append_inferred(struct partition_writer *w, const struct record *r,
				   struct err *err)
{
	enum shape_fit fit = SHAPE_NEVER;
	struct json_line line;
	enum status st = row_json(r, &line, err);

	if (st == ST_OK && line.text[0] == '{')
		st = append_object(w, r, &line, &fit, err);
	return st == ST_OK && fit == SHAPE_NEVER ? append_own(w, r, err) : st;
}

static enum status append_tombstone(struct partition_writer *w, const struct record *r,
				    struct err *err)
{
	struct row row = {.head_len = 0};
	enum status st = row_of_tombstone(&w->rows, r, &row, err);

	return st == ST_OK ? append_row(w, r, &row, err) : st;
}

static bool has_tombstone_rows(const struct writer_settings *s)
{
	return rows_of_values(s->format) && (s->infer || !rows_of_one_column(s));
}

enum status partition_writer_append(struct partition_writer *w, const struct record *r,
				    struct poison *poison_out, struct err *err)
{
	const enum value_converter converter = w->settings->converter;
	enum status st;

	if (__builtin_expect(!r->value, 0) && has_tombstone_rows(w->settings))
		st = append_tombstone(w, r, err);
	else if (converter == CONVERTER_AVRO)
		st = append_framed(w, r, err);
	else if (w->settings->infer)
		st = append_inferred(w, r, err);
	else if (converter == CONVERTER_AVRO_RAW && w->last_serves && w->last &&
		 w->last->key == KEY_OWN)
		st = append_again(w, r->offset, r->value, r->value_len, err);
	else
		st = append_own(w, r, err);
	if (__builtin_expect(st != ST_OK, 0) && poison_out)
		*poison_out = (struct poison){
			.stage = "VALUE_CONVERTER",
			.class_name = "org.apache.kafka.connect.errors.DataException",
			.component = components[converter]};
	return st;
}

/* ---- finish ---- */

static int by_first_offset(const void *a, const void *b)
{
	const struct written_file *x = a, *y = b;

	return x->first_offset < y->first_offset ? -1 : x->first_offset > y->first_offset;
}

enum status partition_writer_end(struct partition_writer *w, struct err *err)
{
	enum status st = ST_OK;

	for (size_t i = 0; st == ST_OK && i < w->files.n; i++)
		if (w->files.items[i]->records)
			st = data_file_end(w->files.items[i], err);
	return st;
}

/* Finishes the open files. What this checkpoint used is kept for the next, but for
 * files of folders: a schema that no longer comes is let go. */
static enum status finish_open(struct partition_writer *w, struct written_files *out,
			       struct err *err)
{
	for (size_t i = w->files.n; i-- > 0;) {
		struct data_file *f = w->files.items[i];
		const bool used = f->records > 0;
		enum status st = used ? finish_into(out, f, err) : ST_OK;

		if (st != ST_OK)
			return st;
		if (used && !w->path)
			continue;
		if (w->last == f)
			w->last = NULL;
		open_files_drop(&w->files, f);
	}
	return ST_OK;
}

enum status partition_writer_finish(struct partition_writer *w, struct written_files *out,
				    struct err *err)
{
	AUTO(written_files_release) struct written_files files = w->finished;
	enum status st;

	w->finished = (struct written_files){.items = NULL};
	w->finished_bytes = w->finished_records = 0;
	w->finished_kept = 0;
	st = partition_writer_end(w, err);
	if (st == ST_OK)
		st = finish_open(w, &files, err);
	if (st != ST_OK)
		return st;
	if (files.n)
		qsort(files.items, files.n, sizeof(*files.items), by_first_offset);
	for (size_t i = 0; i < files.n; i++)
		written_files_add(out, &files.items[i]);
	files.n = 0;
	return ST_OK;
}
