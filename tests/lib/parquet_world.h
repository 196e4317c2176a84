/* A lake and DuckDB's engine for the tests of Parquet files: cmocka's set-up and tear-down
 * of a group, whose state is a struct parquet_world. */
#ifndef TIDEMARK_TESTS_PARQUET_WORLD_H
#define TIDEMARK_TESTS_PARQUET_WORLD_H

#include "connector/columnar/parquet_file.h"
#include "connector/writer/partition_writer.h"

struct parquet_world {
	char *dir;
	char *file; /* where a test puts the last file that was written or read back */
	struct lake *lake;
	struct parquet_engine *engine;
};

int parquet_world_open(void **state);
int parquet_world_close(void **state);
/* read_back(); w->file holds the bytes too. */
void parquet_world_read_back(struct parquet_world *w, struct written_file *f, struct buf *out);

#endif
