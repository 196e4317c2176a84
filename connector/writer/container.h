/* Writes Avro object container files (Avro specification, "Object Container
 * Files"): magic "Obj" 1, a map of metadata (avro.codec, avro.schema), a sync
 * marker; then blocks: rows, size in bytes, the compressed rows, the marker.
 *
 * The marker is the first 16 bytes of the SHA-256 of the file's path, and a
 * block ends with the row that brings it to block_bytes raw bytes, so equal
 * rows at an equal path give equal files.
 *
 * A container belongs to one thread. It can be used for one file after the
 * other; the first block that is full opens the upload. */
#ifndef TIDEMARK_WRITER_CONTAINER_H
#define TIDEMARK_WRITER_CONTAINER_H

#include "connector/writer/partition_writer.h"

/* What block_bytes 0 means: within the processor's nearest caches; 16 KiB would
 * be 3 % faster with snappy and 4 % larger (snappy_block.c). */
#define CONTAINER_BLOCK_BYTES ((size_t)32 << 10)
/* Readable bytes behind the room for a row (as a walker wants them). */
#define CONTAINER_SLACK 16

struct container;

/* Keeps schema_json: borrowed for the container's life. */
struct container *container_new(struct lake *lake, const char *schema_json, enum file_codec codec,
				size_t block_bytes);
void container_free(struct container *c);
AUTO_DESTRUCTOR(struct container, container_free)
/* Before the first row: lake_upload_defer() for its uploads. */
void container_defer(struct container *c);
/* Before the first row of each file. */
void container_begin(struct container *c, const char *path);
/* Where the next row may be put together: len bytes, and CONTAINER_SLACK that
 * may be read; valid until the next call. Nothing is added by it. */
void *container_room(struct container *c, size_t len);
/* The first len bytes of the room are a row now. After an error the container
 * can only be freed. */
MUST_CHECK enum status container_add(struct container *c, size_t len, struct err *err);
/* Bytes in the lake and in the open block. */
uint64_t container_bytes(const struct container *c);
size_t container_memory(enum file_codec codec, size_t block_bytes);
/* Ends the file; the finished upload is the caller's. There must be a row. */
MUST_CHECK enum status container_finish(struct container *c, struct lake_upload **out,
					struct err *err);

#endif
