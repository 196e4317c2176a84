/* How a simulated connector lays out its rows: format, partitioner, metadata; values
 * that make trouble as folders; and what must come of them, by docs/partitioners.md and
 * docs/format.md and not by the writer's code. Plain numbers: may lie in shared memory. */
#ifndef TIDEMARK_TESTS_ROW_LAYOUT_H
#define TIDEMARK_TESTS_ROW_LAYOUT_H

#include "core/base/buf.h"
#include "core/base/props.h"

enum row_format {
	ROWS_BYTES,
	ROWS_JSON,
	ROWS_AVRO, /* text that has no fields, as the one column `value` */
	ROWS_TYPED, /* Avro of a schema's own */
	ROWS_PARQUET, /* JSON text, as the one column `value` */
};

enum row_folders {
	FOLDERS_DEFAULT, /* partition=<p> */
	FOLDERS_FIELD, /* k */
	FOLDERS_FIELDS, /* k, s.c */
	FOLDERS_DAY, /* of the record's time, in Berlin; also of values without fields */
	FOLDERS_HOUR,
	FOLDERS_QUARTER, /* 15 minutes of the value's field ts */
};

struct row_layout {
	uint64_t seed;
	enum row_format format;
	enum row_folders folders;
	bool metadata; /* record.metadata */
	bool small; /* memory for few open files */
	bool sorted; /* Parquet, by the column `value` */
};

/* A layout with folders. json: values are JSON; parquet: and the files Parquet. */
struct row_layout row_layout_by_seed(uint64_t seed, bool json, bool parquet);
/* schema_path: where a schema file may be put. */
void row_layout_config(const struct row_layout *l, const char *schema_path, struct props *out);

/* A record, as far as it decides its folder and row. */
struct row_record {
	const char *topic;
	int32_t partition;
	int64_t offset;
	uint64_t dice; /* a number of its own, at random */
	bool tombstone;
	const char *value; /* its JSON or bytes; of a tombstone nothing */
};

int64_t row_timestamp(const struct row_layout *l, int64_t offset);
/* NULL: the record has no key. */
const char *row_key(const struct row_layout *l, int64_t offset, size_t *len_out);

struct row_header {
	const char *name;
	const char *value; /* NULL: null */
	size_t len;
};

/* At most 2. */
size_t row_headers(const struct row_layout *l, int64_t offset, struct row_header out[2]);

/* Adds the members that folders are named after, each with a comma before it. */
void row_fields_add(const struct row_layout *l, const struct row_record *r, struct buf *out);
/* The folder, as a pattern of fnmatch(); false: there is none, the record is a dead letter. */
MUST_CHECK bool row_folder(const struct row_layout *l, const struct row_record *r, struct buf *out);
/* The row as row_lines() must give it. */
void row_text(const struct row_layout *l, const struct row_record *r, struct buf *out);

/* A file's rows, a line each. False: it is none of the layout. */
MUST_CHECK bool row_lines(const struct row_layout *l, const struct buf *file, struct buf *out);

#endif
