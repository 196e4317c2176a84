/* Is a run of bytes exactly one JSON value (RFC 8259, UTF-8), so that it may be
 * a line of a file? Nothing is built, nothing allocated.
 *
 * Stricter than the grammar: escapes that are half of a surrogate pair are
 * refused, since many readers refuse the whole line, and so is nesting deeper
 * than JSON_MAX_DEPTH. Duplicate names and numbers of any size pass. */
#ifndef TIDEMARK_WRITER_JSON_LINE_H
#define TIDEMARK_WRITER_JSON_LINE_H

#include "core/base/buf.h"

#define JSON_MAX_DEPTH 512

struct json_line {
	const char *text; /* without the white space around it */
	size_t len;
	/* There are newlines between its tokens: json_line_flatten(). */
	bool broken;
};

/* where_out (where not NULL) is the offset of what is wrong, why_out a static
 * text; both are set on false only. */
MUST_CHECK bool json_line_check(const void *data, size_t len, struct json_line *out,
				size_t *where_out, const char **why_out);
/* Appends the line with blanks in place of newlines. */
void json_line_flatten(const struct json_line *line, struct buf *out);
/* Appends UTF-8 text as a JSON string. */
void json_line_add_string(struct buf *out, const char *s, size_t len);

#endif
