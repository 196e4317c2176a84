/* Reads Avro container files for tests, by the specification and not by the
 * writer's code. */
#ifndef TIDEMARK_TESTS_AVRO_FILE_H
#define TIDEMARK_TESTS_AVRO_FILE_H

#include "connector/writer/codec.h"
#include "core/base/buf.h"

struct avro_file {
	struct buf schema;
	struct buf codec;
	struct buf rows; /* all blocks' raw bytes */
	uint64_t n_rows;
	uint64_t n_blocks;
	size_t largest_block; /* raw */
};

void avro_file_release(struct avro_file *f);
/* Fails the test where the file is not as it should be. */
void avro_file_parse(const void *data, size_t len, struct avro_file *out);

/* A container of values given as JSON (json_encode.h), NULL behind the last; so many
 * rows a block. Its sync marker is sixteen 's'. */
void avro_file_write(const char *schema, enum file_codec codec, const char *const *values,
		     size_t rows_per_block, struct buf *out);

#endif
