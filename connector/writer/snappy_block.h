/* A compressor for snappy's block format (github.com/google/snappy,
 * format_description.txt) for the small blocks of a container, faster there
 * than the library's: see snappy_block.c. What it writes, every snappy reads. */
#ifndef TIDEMARK_WRITER_SNAPPY_BLOCK_H
#define TIDEMARK_WRITER_SNAPPY_BLOCK_H

#include "core/base/base.h"

/* The most bytes that len bytes become, and what is written behind them. */
size_t snappy_block_bound(size_t len);
/* out has snappy_block_bound(len) bytes. Returns what belongs to the block.
 * len is below 4 GiB. */
size_t snappy_block_compress(const void *data, size_t len, void *out);

#endif
