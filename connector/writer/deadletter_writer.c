#include "connector/writer/deadletter_writer.h"

#include <stdlib.h>
#include <string.h>

#include "connector/writer/avro_row.h"
#include "connector/writer/builtin_schemas.h"
#include "connector/writer/data_file.h"

/* The codec that every Avro library has without another library. */
#define DEADLETTER_CODEC CODEC_DEFLATE

struct deadletter_writer {
	struct file_place place;
	char *connector;
	struct data_file *file;
	struct buf row;
};

struct deadletter_writer *deadletter_writer_new(struct lake *lake, const char *connector,
						const char *topic, int32_t partition,
						uint32_t generation)
{
	struct deadletter_writer *w = xcalloc(1, sizeof(*w));

	w->place.folder = xasprintf(DEADLETTER_FOLDER "%s/%s", connector, topic);
	w->place.topic = xstrdup(topic);
	w->place.partition = partition;
	w->place.generation = generation;
	w->connector = xstrdup(connector);
	w->file = data_file_avro(lake, &w->place, builtin_schema(BUILTIN_DEADLETTER),
				 DEADLETTER_CODEC, 0);
	return w;
}

void deadletter_writer_free(struct deadletter_writer *w)
{
	if (!w)
		return;
	data_file_free(w->file);
	file_place_release(&w->place);
	free(w->connector);
	buf_release(&w->row);
	free(w);
}

enum status deadletter_writer_append(struct deadletter_writer *w, const struct record *r, int task,
				     const struct poison *poison, const char *message,
				     struct err *err)
{
	struct buf *b = &w->row;

	buf_clear(b);
	avro_row_text(b, r->topic);
	avro_row_long(b, r->partition);
	avro_row_long(b, r->offset);
	avro_row_timestamp(b, r);
	avro_row_nullable_bytes(b, r->key, r->key_len);
	avro_row_nullable_bytes(b, r->value, r->value_len);
	avro_row_headers(b, r);
	avro_row_text(b, w->connector);
	avro_row_long(b, task);
	avro_row_text(b, poison && poison->stage ? poison->stage : "");
	avro_row_text(b, poison && poison->component ? poison->component : "");
	avro_row_text(b, poison && poison->class_name ? poison->class_name : "");
	avro_row_text(b, message ? message : "");
	memcpy(container_room(w->file->container, b->len), b->data, b->len);
	return data_file_add_row(w->file, r->offset, b->len, err);
}

uint64_t deadletter_writer_records(const struct deadletter_writer *w)
{
	return w->file->records;
}

enum status deadletter_writer_finish(struct deadletter_writer *w, struct written_files *out,
				     struct err *err)
{
	struct written_file file;
	enum status st;

	if (!w->file->records)
		return ST_OK;
	st = data_file_finish(w->file, &file, err);
	if (st == ST_OK)
		written_files_add(out, &file);
	return st;
}
