/* A data or dead-letter file of the lake, row by row, by the formats'
 * specifications and not by the writer's code. */
#ifndef TIDEMARK_TESTS_ORACLE_FILE_H
#define TIDEMARK_TESTS_ORACLE_FILE_H

#include "core/base/buf.h"
#include "tests/lib/stamp.h"

enum oracle_row_kind { ROW_STAMP, ROW_TOMBSTONE, ROW_POISON };

struct oracle_row {
	enum oracle_row_kind kind;
	struct stamp stamp; /* of stamps, and of poison */
	int64_t offset; /* -1: the row does not say */
};

struct oracle_file {
	struct buf rows; /* uncompressed */
	struct bytes rest;
	uint64_t n_rows;
	int form; /* internal */
};

/* "topics/t/partition=0/t+0+0000000000+g1.avro" and its kin. */
struct oracle_path {
	char topic[256];
	int32_t partition;
	int64_t first;
	uint32_t generation;
};

MUST_CHECK bool oracle_path_parse(const char *path, struct oracle_path *out);

/* why_out: static text of what is wrong. */
MUST_CHECK bool oracle_file_open(const char *path, const struct buf *content,
				 struct oracle_file *out, const char **why_out);
void oracle_file_release(struct oracle_file *f);
/* The next row; there must be one. */
MUST_CHECK bool oracle_file_next(struct oracle_file *f, struct oracle_row *out,
				 const char **why_out);

#endif
