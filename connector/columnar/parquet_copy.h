/* One COPY of DuckDB's, fed with batches of rows, whose bytes go into an upload.
 * Private to parquet_file.c and parquet_copy.c. */
#ifndef TIDEMARK_COLUMNAR_PARQUET_COPY_H
#define TIDEMARK_COLUMNAR_PARQUET_COPY_H

#include "connector/columnar/columns.h"
#include "connector/columnar/parquet_file.h"

/* One being filled, one waiting, one in COPY. */
#define PARQUET_BATCHES 3

struct parquet_engine {
	const struct duckdb_api *duck;
	duckdb_database db;
};

/* Memory for the text of a batch's rows: its vectors point into it. */
struct arena {
	struct arena *next;
	size_t used, cap;
	unsigned char data[];
};

struct batch {
	struct batch *next;
	duckdb_data_chunk chunk;
	struct arena *arenas; /* the newest first */
	size_t bytes;
};

/* Room for len bytes that stay where they are, and the decoder's slack; who takes them
 * adds them to (*arenas)->used. */
unsigned char *arena_room(struct arena **arenas, size_t len);
void arenas_free(struct arena *arenas);

void batch_free(const struct duckdb_api *duck, struct batch *b);

/* Two threads run from begin to free: one in COPY, one from the pipe to the upload. */
struct copy;

/* What a COPY is made of; borrowed for its life. */
struct copy_plan {
	const struct parquet_settings *settings;
	const struct columns *columns;
	const char *schema_json;
	/* Where batches come from, on the copier's thread; NULL at their end. NULL: they are
	 * given. */
	struct batch *(*next)(void *ctx);
	void *ctx;
};

MUST_CHECK enum status copy_begin(const struct copy_plan *plan, struct copy **out, struct err *err);
/* Takes the batch, after waiting for a place; on an error, which is why the COPY
 * failed, it stays the caller's. */
MUST_CHECK enum status copy_give(struct copy *c, struct batch *b, struct err *err);
/* No more batches come. */
void copy_end(struct copy *c);
/* Waits for the end; the finished upload is the caller's. */
MUST_CHECK enum status copy_finish(struct copy *c, struct lake_upload **out, struct err *err);
/* Stops it where it is still at work. */
void copy_free(struct copy *c);
AUTO_DESTRUCTOR(struct copy, copy_free)
uint64_t copy_bytes(const struct copy *c); /* in the upload */
/* Raw bytes of the rows that COPY had when bytes came last: what is in the upload. */
uint64_t copy_raw_bytes(const struct copy *c);

#endif
