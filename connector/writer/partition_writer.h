/* Turns the records of one topic partition into files of the lake: validate,
 * convert where the format asks for it, append. One writer holds what one
 * partition reads between two checkpoints: one open file a schema and folder.
 *
 * A writer belongs to one thread. Nothing is visible before the files that
 * partition_writer_finish() returns are put into a transaction.
 *
 * A partitioner may name any number of folders. Where as many files are open as
 * settings allow, a record that needs another one first finishes the file whose
 * last row is the oldest; a later record of that folder begins a new one. So does
 * one behind a file whose rows' offsets have become too many runs, and behind one whose
 * rows are sorted, where as many are held as may be.
 *
 * Determinism: equal settings and equal records with equal offsets give
 * byte-identical files, at equal paths. */
#ifndef TIDEMARK_WRITER_PARTITION_WRITER_H
#define TIDEMARK_WRITER_PARTITION_WRITER_H

#include "connector/columnar/parquet_file.h"
#include "connector/kafka/record.h"
#include "connector/schema/registry.h"
#include "connector/writer/partitioner.h"
#include "core/lake.h"

enum value_converter {
	CONVERTER_AVRO, /* Confluent framing, schema by registry id */
	CONVERTER_AVRO_RAW, /* Avro without framing, read with schema_file */
	CONVERTER_JSON,
	CONVERTER_STRING, /* UTF-8 text */
	CONVERTER_BYTES,
};

enum file_format { FORMAT_AVRO, FORMAT_PARQUET, FORMAT_JSON, FORMAT_BYTES };

enum file_codec { CODEC_NULL, CODEC_SNAPPY, CODEC_DEFLATE, CODEC_ZSTANDARD, CODEC_GZIP };

/* One for a connector; outlives its writers; shared by all its threads. */
struct writer_settings {
	struct lake *lake;
	struct registry *registry; /* NULL unless CONVERTER_AVRO */
	enum value_converter converter;
	enum file_format format;
	enum file_codec codec;
	const char *schema_json; /* content of value.converter.schema.file, or NULL */
	const char *path_prefix; /* "topics" */
	size_t block_bytes; /* raw bytes of an Avro block; 0: the default, 32 KiB */
	struct parquet_engine *parquet; /* NULL unless FORMAT_PARQUET */
	size_t group_bytes; /* of a Parquet row group (parquet_file.h); 0: the default */
	size_t group_rows;
	struct sort_columns sort; /* of Parquet files */
	/* Columns of Parquet files are made from their records' JSON; what cannot be one is
	 * a row of the one column `value`. */
	bool infer;
	const struct partitioner *partitioner; /* NULL: a folder for each Kafka partition */
	bool metadata; /* rows have `_kafka` (record_metadata.h) */
	/* With a partitioner: files that a writer has open at most; 0: any number. */
	size_t open_files;
};

/* What is wrong whatever schemas the records have; writer_settings_check() sees to it,
 * too. ST_USAGE names property, value and remedy. */
MUST_CHECK enum status writer_options_check(const struct writer_settings *settings,
					    struct err *err);
/* Checks that converter, format, codec and schema fit together, before any
 * record is read. ST_USAGE names the properties (value.converter, format,
 * avro.codec / json.codec, value.converter.schema.file) and what would fit. */
MUST_CHECK enum status writer_settings_check(const struct writer_settings *settings,
					     struct err *err);

/* A finished file. */
struct written_file {
	char *path; /* <prefix>/<topic>/<folder>/<topic>+<p>+<first>.<ext> */
	struct lake_upload *upload; /* finished */
	const char *content_type; /* static */
	/* tidemark.offsets: runs of the rows' offsets (offset_runs.h); tidemark.records;
	 * tidemark.schema: "id:17" or "sha256:<hex>" of the parsing canonical form; absent for
	 * none; META_PARTITION_FIELDS (path_value.h). */
	struct lake_meta meta;
	int64_t first_offset;
	int64_t last_offset;
	uint64_t records;
	char *schema; /* as in meta, or NULL */
};

struct written_files {
	struct written_file *items;
	size_t n;
	size_t cap;
};

void written_files_release(struct written_files *files);

struct partition_writer;
/* generation: 0, or n after the topic was created anew for the n-th time (its
 * files then end in "+g<n>"). */
struct partition_writer *partition_writer_new(const struct writer_settings *settings,
					      const char *topic, int32_t partition,
					      uint32_t generation);
/* Drops what was not finished. */
void partition_writer_free(struct partition_writer *w);
AUTO_DESTRUCTOR(struct partition_writer, partition_writer_free)

/* Where a poison record failed, in Kafka Connect's words. */
struct poison {
	const char *stage; /* "VALUE_CONVERTER", ... static */
	const char *class_name; /* exception class, static:
				   "org.apache.kafka.connect.errors.DataException" */
	const char *component; /* class of what failed, static; NULL: not told */
};

/* Appends one record; offsets must ascend.
 * ST_POISON       the value cannot be converted; nothing was appended; poison_out
 *                 and err say why. The writer goes on with the next record.
 * ST_NOT_FOUND    the registry does not know the schema's id; nothing appended.
 * ST_UNREACHABLE  the registry does not answer; nothing appended; try again.
 * A null value (tombstone) is a row too: the line `null` in JSON lines; in Avro
 * null where the schema is ["null", "bytes"|"string"] (converters bytes and
 * string), else a row of a file of its own with the schema
 * schemas/tombstone.avsc, which keeps the key; in format bytes an empty line.
 * An empty value is an empty row for bytes and string, poison for the rest. */
MUST_CHECK enum status partition_writer_append(struct partition_writer *w, const struct record *r,
					       struct poison *poison_out, struct err *err);
uint64_t partition_writer_records(const struct partition_writer *w);
/* Files that are open now: one a schema and folder, so that interleaved ones do not
 * give tiny files. The caller checkpoints where this goes past a limit. */
size_t partition_writer_open_files(const struct partition_writer *w);
/* Memory that grows until finish, beside that of open files: files that wait for it
 * because others had to be opened, and the rows' offsets. Likewise. */
size_t partition_writer_waiting(const struct partition_writer *w);
/* Bytes that finish would put into the lake by now, roughly: for the limit
 * checkpoint.bytes. */
uint64_t partition_writer_bytes(const struct partition_writer *w);
/* Row groups that an open Parquet file holds in memory, at most. */
size_t partition_writer_group_copies(const struct writer_settings *settings);
/* Memory that an open writer of these settings holds at most, for the plan of
 * memory.max.bytes. */
size_t partition_writer_memory(const struct writer_settings *settings);
/* Lets what is left be written, by threads of the files' own where they have them,
 * while other writers are ended. Finish must follow. */
MUST_CHECK enum status partition_writer_end(struct partition_writer *w, struct err *err);
/* Ends the open file and appends all files since the last finish to out, data
 * durable. The writer is empty afterwards and may go on. */
MUST_CHECK enum status partition_writer_finish(struct partition_writer *w,
					       struct written_files *out, struct err *err);

#endif
