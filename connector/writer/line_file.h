/* Files of lines: none, gzip (one member, time 0) or zstandard (one frame).
 * Equal lines give equal files. Belongs to one thread; can be used for one
 * file after the other. */
#ifndef TIDEMARK_WRITER_LINE_FILE_H
#define TIDEMARK_WRITER_LINE_FILE_H

#include "connector/writer/partition_writer.h"

struct line_file;

/* codec: CODEC_NULL, CODEC_GZIP or CODEC_ZSTANDARD. */
struct line_file *line_file_new(struct lake *lake, enum file_codec codec);
void line_file_free(struct line_file *f);
AUTO_DESTRUCTOR(struct line_file, line_file_free)
/* Before the first row: lake_upload_defer() for its uploads. */
void line_file_defer(struct line_file *f);
/* Appends data and a newline. After an error the file can only be freed. */
MUST_CHECK enum status line_file_add(struct line_file *f, const void *data, size_t len,
				     struct err *err);
uint64_t line_file_bytes(const struct line_file *f);
size_t line_file_memory(enum file_codec codec);
/* Ends the file; the finished upload is the caller's. */
MUST_CHECK enum status line_file_finish(struct line_file *f, struct lake_upload **out,
					struct err *err);

#endif
