/* Parquet files on their way into the lake, written by DuckDB's COPY.
 *
 * A row is decoded on the caller's thread, straight into column vectors. A
 * thread of the file's own runs COPY, whose rows come from a table function that
 * waits for those vectors; another carries what COPY writes, through a pipe, to
 * the upload, which hashes and stores it. So nothing lies in temporary files, and
 * what the disk refuses is the upload's error.
 *
 * Where rows are to be sorted they are held until the file ends, and decoded in their
 * order by the thread that runs COPY.
 *
 * Equal rows with equal settings give equal files. */
#ifndef TIDEMARK_COLUMNAR_PARQUET_FILE_H
#define TIDEMARK_COLUMNAR_PARQUET_FILE_H

#include "connector/schema/schema.h"
#include "connector/writer/offset_runs.h"
#include "core/lake.h"

/* Measured (docs/performance.md): what the library and its database hold in memory,
 * and an open file besides so many times its row group; one whose rows are sorted holds as
 * much as PARQUET_HELD_GROUPS more, and is full then. */
#define PARQUET_LIBRARY_BYTES ((int64_t)80 << 20)
#define PARQUET_FILE_BYTES ((int64_t)20 << 20)
#define PARQUET_GROUP_COPIES 3
#define PARQUET_HELD_GROUPS 4

/* One database for all files of a connector. Any thread. */
struct parquet_engine;

/* ST_FAILED: the library cannot be loaded. */
MUST_CHECK enum status parquet_engine_new(struct parquet_engine **out, struct err *err);
void parquet_engine_free(struct parquet_engine *engine); /* its files must be gone */
AUTO_DESTRUCTOR(struct parquet_engine, parquet_engine_free)

/* Columns that rows are sorted by; "b.c" is a field of the record b. */
struct sort_columns {
	const char *const *paths;
	size_t n; /* 0: rows stay in the order of their offsets */
};

struct parquet_settings {
	struct lake *lake;
	struct parquet_engine *engine;
	const char *codec; /* "snappy", "zstd", "gzip", "uncompressed"; static */
	/* A row group ends at either: bytes of its vectors, rows. 0: 8 MiB; 1,048,576. */
	size_t group_bytes;
	size_t group_rows;
	bool defer; /* lake_upload_defer() for its uploads */
	struct sort_columns sort; /* borrowed while files are made */
	bool infer; /* columns are made from JSON, a row group of which is held for that */
};

/* With the defaults in the place of zeros. */
struct parquet_settings parquet_settings_full(const struct parquet_settings *settings);

/* Can rows of the schema be columns, and be sorted by those (NULL: none)? ST_FAILED says
 * why not. */
MUST_CHECK enum status parquet_schema_check(const struct schema *schema,
					    const struct sort_columns *sort, struct err *err);

/* Belongs to one thread. Can be used for one file after the other. A sort column that
 * the schema has not, or that has no order, is taken for null. */
struct parquet_file;

/* schema_json goes into the file's metadata, as `parquet.avro.schema`. Keeps
 * nothing of the arguments but settings' lake and engine. */
MUST_CHECK enum status parquet_file_new(const struct parquet_settings *settings,
					const struct schema *schema, const char *schema_json,
					bool json, struct parquet_file **out, struct err *err);
/* Drops what was not finished. */
void parquet_file_free(struct parquet_file *f);
AUTO_DESTRUCTOR(struct parquet_file, parquet_file_free)
/* Appends a row of Avro bytes. Offsets ascend. ST_POISON: it is no value of the schema, or one
 * that its column cannot hold; nothing was appended. After any other error the
 * file can only be freed. */
MUST_CHECK enum status parquet_file_add(struct parquet_file *f, int64_t offset, const void *data,
					size_t len, struct err *err);
/* Does it hold as much as it may? Then it must be ended. */
bool parquet_file_full(const struct parquet_file *f);
/* What is in the lake, and the raw rows that are not yet. */
uint64_t parquet_file_bytes(const struct parquet_file *f);
/* Row groups that one file holds in memory, and what it holds at most, roughly
 * (docs/performance.md). */
size_t parquet_group_copies(const struct parquet_settings *settings);
size_t parquet_file_memory(const struct parquet_settings *settings);
/* No more rows come: lets the rest be written while others are ended. There must be
 * a row; finish must follow. */
MUST_CHECK enum status parquet_file_end(struct parquet_file *f, struct err *err);
/* Ends the file; the finished upload is the caller's. There must be a row. runs: the
 * rows' offsets as they came; as they stand in the file on success. */
MUST_CHECK enum status parquet_file_finish(struct parquet_file *f, struct offset_runs *runs,
					   struct lake_upload **out, struct err *err);

#endif
