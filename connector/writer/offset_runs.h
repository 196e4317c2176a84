/* The offsets of a file's rows as runs, both ends included:
 * "1000-1040,1042,1044-1199". */
#ifndef TIDEMARK_WRITER_OFFSET_RUNS_H
#define TIDEMARK_WRITER_OFFSET_RUNS_H

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "core/base/buf.h"

struct offset_runs {
	struct buf text; /* the runs before the open one */
	int64_t from; /* the open run; from > to: none */
	int64_t to;
};

#define OFFSET_RUNS_INIT                                                                           \
	{                                                                                          \
		.text = BUF_INIT, .from = 0, .to = -1                                              \
	}

/* Where rows take turns in their folders nearly every row is a run: so no printf. */
static inline void offset_runs_add_number(struct buf *text, int64_t n)
{
	char digits[20];
	size_t i = sizeof(digits);

	do {
		digits[--i] = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	buf_add(text, digits + i, sizeof(digits) - i);
}

static inline void offset_runs_close(struct offset_runs *r)
{
	if (r->from > r->to)
		return;
	if (r->text.len)
		buf_addc(&r->text, ',');
	offset_runs_add_number(&r->text, r->from);
	if (r->to > r->from) {
		buf_addc(&r->text, '-');
		offset_runs_add_number(&r->text, r->to);
	}
	r->from = 0;
	r->to = -1;
}

/* Offsets ascend. */
static inline void offset_runs_add(struct offset_runs *r, int64_t offset)
{
	if (r->from <= r->to && offset == r->to + 1) {
		r->to = offset;
		return;
	}
	assert(offset > r->to || r->from > r->to);
	offset_runs_close(r);
	r->from = r->to = offset;
}

/* The text of all; valid until the next call. */
static inline const char *offset_runs_text(struct offset_runs *r)
{
	offset_runs_close(r);
	return buf_str(&r->text);
}

static inline void offset_runs_release(struct offset_runs *r)
{
	buf_release(&r->text);
	r->from = 0;
	r->to = -1;
}

/* Reading: the next run of a text; *text moves on. false at the end, where *text
 * is at its NUL, and where the text is none, where it is not. */
MUST_CHECK static inline bool offset_runs_next(const char **text, int64_t *from, int64_t *to)
{
	char *end;

	if (**text < '0' || **text > '9')
		return false;
	*from = *to = strtoll(*text, &end, 10);
	if (*end == '-')
		*to = strtoll(end + 1, &end, 10);
	if ((*end && (*end != ',' || !end[1])) || *to < *from)
		return false;
	*text = *end ? end + 1 : end;
	return true;
}

#endif
