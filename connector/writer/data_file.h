/* One file on its way into the lake, of whatever form: its rows, and what its
 * metadata will say of them. Belongs to one thread. */
#ifndef TIDEMARK_WRITER_DATA_FILE_H
#define TIDEMARK_WRITER_DATA_FILE_H

#include "connector/columnar/parquet_file.h"
#include "connector/schema/compiled.h"
#include "connector/writer/container.h"
#include "connector/writer/inferred_rows.h"
#include "connector/writer/line_file.h"
#include "connector/writer/offset_runs.h"
#include "connector/writer/partition_writer.h"

/* Where the files of a partition go. Borrowed by its files. */
struct file_place {
	/* "topics/orders/partition=0", no slash behind; where records choose their folders,
	 * the one that those lie in */
	char *folder;
	const char *fields; /* that folders are made of: "country,kind"; NULL: not of fields */
	char *topic;
	int32_t partition;
	uint32_t generation;
};

void file_place_release(struct file_place *place);

struct data_file {
	const struct file_place *place;
	const struct compiled_schema *schema; /* NULL: none. Borrowed */
	struct container *container; /* one of the three */
	struct parquet_file *parquet; /* NULL also where inferred has not made it */
	struct inferred_rows *inferred; /* whose parquet and schema are */
	struct parquet_settings settings; /* of inferred */
	bool metadata; /* of inferred */
	struct line_file *lines;
	const char *extension; /* static: "avro", "jsonl.gz" */
	const char *content_type; /* static */
	int64_t key; /* the caller's: what it finds the file by */
	char *below; /* its folder below the place's; NULL: there */
	size_t below_len;
	char *path; /* set with the first row */
	struct offset_runs runs;
	int64_t first_offset;
	int64_t last_offset;
	uint64_t records; /* 0: there is no file */
};

struct data_file *data_file_avro(struct lake *lake, const struct file_place *place,
				 const struct compiled_schema *schema, enum file_codec codec,
				 size_t block_bytes);
/* json: values that are text are JSON. ST_USAGE: rows of the schema cannot be columns. */
MUST_CHECK enum status data_file_parquet(const struct parquet_settings *settings,
					 const struct file_place *place,
					 const struct compiled_schema *schema, bool json,
					 struct data_file **out, struct err *err);
/* Of JSON whose columns are made from it; metadata: rows have _kafka. */
struct data_file *data_file_inferred(const struct parquet_settings *settings,
				     const struct file_place *place, bool metadata);
/* Lines of JSON, or of anything. */
struct data_file *data_file_lines(struct lake *lake, const struct file_place *place, bool json,
				  enum file_codec codec);
void data_file_free(struct data_file *f);

/* Before the first row: the file's data become durable with the checkpoint, together
 * with all others of which that was said. Of Parquet its settings say it. */
void data_file_defer(struct data_file *f);

/* The path of a file that begins at first_offset; the caller frees it. */
char *data_file_path(const struct data_file *f, int64_t first_offset);
void data_file_begin(struct data_file *f, int64_t offset);

static inline void data_file_count(struct data_file *f, int64_t offset)
{
	f->last_offset = offset;
	f->records++;
	offset_runs_add(&f->runs, offset);
}

/* Makes a row of the first len bytes of container_room(f->container). */
MUST_CHECK static inline enum status data_file_add_row(struct data_file *f, int64_t offset,
						       size_t len, struct err *err)
{
	enum status st;

	if (!f->records)
		data_file_begin(f, offset);
	st = container_add(f->container, len, err);
	if (st == ST_OK)
		data_file_count(f, offset);
	return st;
}

/* Makes a row of Avro bytes in a Parquet file. ST_POISON: they are no value of the
 * schema, or columns cannot hold it. */
MUST_CHECK enum status data_file_add_columns(struct data_file *f, int64_t offset, const void *data,
					     size_t len, struct err *err);
/* Makes a row of a JSON object, and of the tail's bytes, in a file that data_file_inferred()
 * made. fit: inferred_rows_add(). */
MUST_CHECK enum status data_file_add_object(struct data_file *f, int64_t offset, const char *text,
					    size_t len, const struct buf *tail, enum shape_fit *fit,
					    struct err *err);
MUST_CHECK enum status data_file_add_line(struct data_file *f, int64_t offset, const void *data,
					  size_t len, struct err *err);
uint64_t data_file_bytes(const struct data_file *f);
/* Lets what is left be written while others are ended; finish must follow. */
MUST_CHECK enum status data_file_end(struct data_file *f, struct err *err);
/* Ends the file and describes it; there must be a record. The data_file is as
 * new afterwards. */
MUST_CHECK enum status data_file_finish(struct data_file *f, struct written_file *out,
					struct err *err);
/* Appends to files, whose memory it then is. */
void written_files_add(struct written_files *files, const struct written_file *file);

#endif
