/* What the path of a file of records says (docs/format.md):
 * <anything>/<topic>+<partition>+<first offset>[+g<generation>].<ext> */
#ifndef TIDEMARK_WRITER_FILE_NAME_H
#define TIDEMARK_WRITER_FILE_NAME_H

#include "core/base/base.h"

struct file_name {
	char topic[256];
	int32_t partition;
	int64_t first_offset;
	uint32_t generation;
};

/* false: it is no such name. */
MUST_CHECK bool file_name_parse(const char *path, struct file_name *out);

#endif
