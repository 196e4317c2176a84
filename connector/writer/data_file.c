#include "connector/writer/data_file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "connector/writer/path_value.h"

void file_place_release(struct file_place *place)
{
	free(place->folder);
	free(place->topic);
}

struct data_file *data_file_avro(struct lake *lake, const struct file_place *place,
				 const struct compiled_schema *schema, enum file_codec codec,
				 size_t block_bytes)
{
	struct data_file *f = xcalloc(1, sizeof(*f));

	f->place = place;
	f->schema = schema;
	f->container = container_new(lake, schema->json, codec, block_bytes);
	f->extension = "avro";
	f->content_type = "application/avro";
	f->runs = (struct offset_runs)OFFSET_RUNS_INIT;
	return f;
}

enum status data_file_parquet(const struct parquet_settings *settings,
			      const struct file_place *place, const struct compiled_schema *schema,
			      bool json, struct data_file **out, struct err *err)
{
	struct data_file *f;
	struct parquet_file *parquet;
	enum status st =
		parquet_file_new(settings, schema->schema, schema->json, json, &parquet, err);

	if (st != ST_OK)
		return err_wrap(err, st == ST_FAILED ? ST_USAGE : st, "schema %s", schema->name);
	f = xcalloc(1, sizeof(*f));
	f->place = place;
	f->schema = schema;
	f->parquet = parquet;
	f->extension = "parquet";
	f->content_type = "application/vnd.apache.parquet";
	f->runs = (struct offset_runs)OFFSET_RUNS_INIT;
	*out = f;
	return ST_OK;
}

struct data_file *data_file_inferred(const struct parquet_settings *settings,
				     const struct file_place *place, bool metadata)
{
	struct data_file *f = xcalloc(1, sizeof(*f));

	f->place = place;
	f->settings = *settings;
	f->metadata = metadata;
	f->inferred = inferred_rows_new(settings, metadata);
	f->extension = "parquet";
	f->content_type = "application/vnd.apache.parquet";
	f->runs = (struct offset_runs)OFFSET_RUNS_INIT;
	return f;
}

struct data_file *data_file_lines(struct lake *lake, const struct file_place *place, bool json,
				  enum file_codec codec)
{
	struct data_file *f = xcalloc(1, sizeof(*f));

	f->place = place;
	f->lines = line_file_new(lake, codec);
	f->runs = (struct offset_runs)OFFSET_RUNS_INIT;
	if (codec == CODEC_GZIP) {
		f->extension = json ? "jsonl.gz" : "bin.gz";
		f->content_type = "application/gzip";
	} else if (codec == CODEC_ZSTANDARD) {
		f->extension = json ? "jsonl.zst" : "bin.zst";
		f->content_type = "application/zstd";
	} else {
		f->extension = json ? "jsonl" : "bin";
		f->content_type = json ? "application/jsonl" : "application/octet-stream";
	}
	return f;
}

void data_file_free(struct data_file *f)
{
	if (!f)
		return;
	container_free(f->container);
	if (!f->inferred)
		parquet_file_free(f->parquet);
	inferred_rows_free(f->inferred);
	line_file_free(f->lines);
	offset_runs_release(&f->runs);
	free(f->path);
	free(f->below);
	free(f);
}

void data_file_defer(struct data_file *f)
{
	if (f->container)
		container_defer(f->container);
	else if (f->lines)
		line_file_defer(f->lines);
}

char *data_file_path(const struct data_file *f, int64_t first_offset)
{
	const struct file_place *p = f->place;
	char generation[16] = "";

	if (p->generation)
		snprintf(generation, sizeof(generation), "+g%u", p->generation);
	return xasprintf("%s/%s%s%s+%d+%010" PRId64 "%s.%s", p->folder, f->below ? f->below : "",
			 f->below ? "/" : "", p->topic, p->partition, first_offset, generation,
			 f->extension);
}

void data_file_begin(struct data_file *f, int64_t offset)
{
	f->path = data_file_path(f, offset);
	f->first_offset = offset;
	if (f->container)
		container_begin(f->container, f->path);
}

enum status data_file_add_columns(struct data_file *f, int64_t offset, const void *data, size_t len,
				  struct err *err)
{
	enum status st = parquet_file_add(f->parquet, offset, data, len, err);

	if (__builtin_expect(st != ST_OK, 0))
		return st;
	if (!f->records)
		data_file_begin(f, offset);
	data_file_count(f, offset);
	return ST_OK;
}

/* Takes up the file and the schema, where they have been made. */
static void look_at_inferred(struct data_file *f)
{
	f->parquet = inferred_rows_file(f->inferred);
	f->schema = inferred_rows_schema(f->inferred);
}

enum status data_file_add_object(struct data_file *f, int64_t offset, const char *text, size_t len,
				 const struct buf *tail, enum shape_fit *fit, struct err *err)
{
	enum status st = inferred_rows_add(f->inferred, offset, text, len, tail, fit, err);

	look_at_inferred(f);
	if (st != ST_OK || *fit != SHAPE_FITS)
		return st;
	if (!f->records)
		data_file_begin(f, offset);
	data_file_count(f, offset);
	return ST_OK;
}

/* The columns of the next file are made anew. */
static void begin_inferred_anew(struct data_file *f)
{
	inferred_rows_free(f->inferred);
	f->inferred = inferred_rows_new(&f->settings, f->metadata);
	look_at_inferred(f);
}

enum status data_file_add_line(struct data_file *f, int64_t offset, const void *data, size_t len,
			       struct err *err)
{
	enum status st;

	if (!f->records)
		data_file_begin(f, offset);
	st = line_file_add(f->lines, data, len, err);
	if (st == ST_OK)
		data_file_count(f, offset);
	return st;
}

uint64_t data_file_bytes(const struct data_file *f)
{
	return f->container  ? container_bytes(f->container)
	       : f->parquet  ? parquet_file_bytes(f->parquet)
	       : f->inferred ? inferred_rows_held(f->inferred)
			     : line_file_bytes(f->lines);
}

enum status data_file_end(struct data_file *f, struct err *err)
{
	if (f->inferred) {
		enum status st = inferred_rows_settle(f->inferred, err);

		look_at_inferred(f);
		if (st != ST_OK)
			return st;
	}
	return f->parquet ? parquet_file_end(f->parquet, err) : ST_OK;
}

static enum status finish_upload(struct data_file *f, struct lake_upload **out, struct err *err)
{
	enum status st = data_file_end(f, err);

	if (st != ST_OK)
		return st;
	return f->container ? container_finish(f->container, out, err)
	       : f->parquet ? parquet_file_finish(f->parquet, &f->runs, out, err)
			    : line_file_finish(f->lines, out, err);
}

enum status data_file_finish(struct data_file *f, struct written_file *out, struct err *err)
{
	struct written_file file = {.content_type = f->content_type, .meta = LAKE_META_INIT};
	AUTO(buf_release) struct buf offsets = BUF_INIT;
	char records[24];
	enum status st = finish_upload(f, &file.upload, err);

	if (st != ST_OK)
		return err_wrap(err, st, "file '%s'", f->path);
	snprintf(records, sizeof(records), "%" PRIu64, f->records);
	offset_runs_text(&f->runs, &offsets);
	lake_meta_set(&file.meta, "tidemark.offsets", buf_str(&offsets));
	lake_meta_set(&file.meta, "tidemark.records", records);
	if (f->place->fields)
		lake_meta_set(&file.meta, META_PARTITION_FIELDS, f->place->fields);
	if (f->schema) {
		lake_meta_set(&file.meta, "tidemark.schema", f->schema->name);
		file.schema = xstrdup(f->schema->name);
	}
	file.path = MOVE(f->path);
	file.first_offset = f->first_offset;
	file.last_offset = f->last_offset;
	file.records = f->records;
	offset_runs_clear(&f->runs);
	f->records = 0;
	if (f->inferred)
		begin_inferred_anew(f);
	*out = file;
	return ST_OK;
}

void written_files_add(struct written_files *files, const struct written_file *file)
{
	GROW(files->items, files->n, files->cap);
	files->items[files->n++] = *file;
}

void written_files_release(struct written_files *files)
{
	for (size_t i = 0; i < files->n; i++) {
		struct written_file *f = &files->items[i];

		free(f->path);
		free(f->schema);
		lake_upload_free(f->upload);
		lake_meta_release(&f->meta);
	}
	free(files->items);
	*files = (struct written_files){.items = NULL};
}
