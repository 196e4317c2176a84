/* Which records a file of the stream holds: its name says where it begins, its
 * metadata `tidemark.offsets` which offsets its rows have (docs/format.md). */
#ifndef TIDEMARK_HISTORY_FILE_ROWS_H
#define TIDEMARK_HISTORY_FILE_ROWS_H

#include "connector/writer/file_name.h"

/* Calls add for each run of offsets, both ends included, ascending, whatever order the
 * rows stand in; its first reason ends it. NULL and the number of rows, or what is wrong
 * with the text. */
MUST_CHECK const char *file_runs_read(const char *text, const struct file_name *name,
				      uint64_t *rows,
				      const char *(*add)(void *ctx, const struct file_name *name,
							 int64_t from, int64_t to),
				      void *ctx);

#endif
