/* Any text as part of a path: of a folder that is named after a value.
 *
 * ASCII letters and digits, `_`, `-` and `.` stay, and so does what UTF-8 has
 * beyond ASCII, but for what cannot be seen (controls, blanks, marks of
 * direction, private use). Every other byte is %XX, as Hive writes it. */
#ifndef TIDEMARK_WRITER_PATH_VALUE_H
#define TIDEMARK_WRITER_PATH_VALUE_H

#include "core/base/buf.h"

/* What Hive and its kin call the folder of null and of empty text. */
#define PATH_VALUE_NONE "__HIVE_DEFAULT_PARTITION__"
/* In the metadata of a file whose folders partitioner=field made: the fields, with commas
 * between them. */
#define META_PARTITION_FIELDS "tidemark.partition.fields"
/* The least limit. */
#define PATH_VALUE_MIN 33

/* Appends at most `limit` bytes (>= PATH_VALUE_MIN) that are different for
 * different text: longer ones are cut, and end in `~` and 32 hex digits of their
 * SHA-256. Empty text is PATH_VALUE_NONE. */
void path_value_add(struct buf *out, const void *text, size_t len, size_t limit);

#endif
