/* Reads Avro object container files (Avro specification, "Object Container Files")
 * of any writer: metadata in several blocks, codecs null, snappy, deflate,
 * zstandard. A block at a time; what the rows are is the caller's business.
 * Belongs to one thread. */
#ifndef TIDEMARK_WRITER_CONTAINER_READER_H
#define TIDEMARK_WRITER_CONTAINER_READER_H

#include "connector/writer/byte_source.h"
#include "core/base/buf.h"

/* The most that one block may take. */
#define CONTAINER_BLOCK_MAX_BYTES ((size_t)1 << 30)
/* Readable bytes behind a block's raw bytes; what is there does not matter. */
#define CONTAINER_READER_SLACK 16

struct container_reader;

/* Reads the head. The source is borrowed, and moved on. ST_POISON: it is no container
 * that can be read; err says why. */
MUST_CHECK enum status container_reader_open(struct byte_source *source,
					     struct container_reader **out, struct err *err);
void container_reader_free(struct container_reader *r);
AUTO_DESTRUCTOR(struct container_reader, container_reader_free)
const char *container_reader_schema(const struct container_reader *r); /* its life */
/* The next block's rows, as raw bytes in the place of what raw holds. ST_END after the
 * last; ST_POISON names the block. */
MUST_CHECK enum status container_reader_next(struct container_reader *r, struct buf *raw,
					     uint64_t *rows_out, struct err *err);
/* How many were read: the last one's number, from 1. */
uint64_t container_reader_blocks(const struct container_reader *r);

#endif
