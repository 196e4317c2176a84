/* Parquet files on their way into the lake, written by DuckDB's COPY.
 *
 * A row is decoded on the caller's thread, straight into column vectors. A
 * thread of the file's own runs COPY, whose rows come from a table function that
 * waits for those vectors; another carries what COPY writes, through a pipe, to
 * the upload, which hashes and stores it. So nothing lies in temporary files, and
 * what the disk refuses is the upload's error.
 *
 * Equal rows with equal settings give equal files. */
#ifndef TIDEMARK_COLUMNAR_PARQUET_FILE_H
#define TIDEMARK_COLUMNAR_PARQUET_FILE_H

#include "connector/schema/schema.h"
#include "core/lake.h"

/* Measured (docs/performance.md): what the library and its database hold in memory,
 * and an open file besides so many times its row group. */
#define PARQUET_LIBRARY_BYTES ((int64_t)80 << 20)
#define PARQUET_FILE_BYTES ((int64_t)20 << 20)
#define PARQUET_GROUP_COPIES 3

/* One database for all files of a connector. Any thread. */
struct parquet_engine;

/* ST_FAILED: the library cannot be loaded. */
MUST_CHECK enum status parquet_engine_new(struct parquet_engine **out, struct err *err);
void parquet_engine_free(struct parquet_engine *engine); /* its files must be gone */
AUTO_DESTRUCTOR(struct parquet_engine, parquet_engine_free)

struct parquet_settings {
	struct lake *lake;
	struct parquet_engine *engine;
	const char *codec; /* "snappy", "zstd", "gzip", "uncompressed"; static */
	/* A row group ends at either: bytes of its vectors, rows. 0: 8 MiB; 1,048,576. */
	size_t group_bytes;
	size_t group_rows;
	bool defer; /* lake_upload_defer() for its uploads */
};

/* Can rows of the schema be columns? ST_FAILED says why not. json: columns_new(). */
MUST_CHECK enum status parquet_schema_check(const struct schema *schema, struct err *err);

/* Belongs to one thread. Can be used for one file after the other. */
struct parquet_file;

/* schema_json goes into the file's metadata, as `parquet.avro.schema`. Keeps
 * nothing of the arguments but settings' lake and engine. */
MUST_CHECK enum status parquet_file_new(const struct parquet_settings *settings,
					const struct schema *schema, const char *schema_json,
					bool json, struct parquet_file **out, struct err *err);
/* Drops what was not finished. */
void parquet_file_free(struct parquet_file *f);
AUTO_DESTRUCTOR(struct parquet_file, parquet_file_free)
/* Appends a row of Avro bytes. ST_POISON: it is no value of the schema, or one
 * that its column cannot hold; nothing was appended. After any other error the
 * file can only be freed. */
MUST_CHECK enum status parquet_file_add(struct parquet_file *f, const void *data, size_t len,
					struct err *err);
/* What is in the lake, and the raw rows that are not yet. */
uint64_t parquet_file_bytes(const struct parquet_file *f);
/* What one file holds in memory at most, roughly (docs/performance.md). */
size_t parquet_file_memory(const struct parquet_settings *settings);
/* No more rows come: lets the rest be written while others are ended. There must be
 * a row; finish must follow. */
MUST_CHECK enum status parquet_file_end(struct parquet_file *f, struct err *err);
/* Ends the file; the finished upload is the caller's. There must be a row. */
MUST_CHECK enum status parquet_file_finish(struct parquet_file *f, struct lake_upload **out,
					   struct err *err);

#endif
