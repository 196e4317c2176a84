/* Bytes from the beginning of something on, with those in memory that are looked
 * at: what reads files of records reads them so, in the lake or by their paths. */
#ifndef TIDEMARK_WRITER_BYTE_SOURCE_H
#define TIDEMARK_WRITER_BYTE_SOURCE_H

#include "core/base/err.h"

struct byte_source {
	/* Up to len bytes from offset; *n_out < len only at the end. */
	enum status (*read)(void *ctx, uint64_t offset, void *data, size_t len, size_t *n_out,
			    struct err *err);
	void *ctx;
	size_t step; /* so much is read at a time at least; 0: BYTE_SOURCE_READ_BYTES */
	uint64_t offset; /* what comes after the bytes in data */
	unsigned char *data;
	size_t pos, len, cap;
};

#define BYTE_SOURCE_READ_BYTES ((size_t)256 << 10)

/* Makes n bytes readable at data + pos, or all up to the end: *left_out says how many
 * there are. */
MUST_CHECK enum status byte_source_need(struct byte_source *s, size_t n, size_t *left_out,
					struct err *err);
void byte_source_release(struct byte_source *s); /* the memory */

#endif
