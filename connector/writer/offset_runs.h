/* The offsets of a file's rows, in the order of the rows, as runs with both ends
 * included: the metadata `tidemark.offsets`. Two texts say it:
 *
 *   1000-1040,1042,1044-1199     up to OFFSET_RUNS_PLAIN bytes of it
 *   zstd:KLUv/SAE...             beyond: base64 of a zstd frame of varints
 *
 * Varints are unsigned LEB128. A run of one offset is zigzag(from - to'), to' being the
 * end of the run before (-1 before the first), which is never 0; a longer one is 0,
 * zigzag(from - to'), its offsets less 2. */
#ifndef TIDEMARK_WRITER_OFFSET_RUNS_H
#define TIDEMARK_WRITER_OFFSET_RUNS_H

#include "core/base/buf.h"

#define OFFSET_RUNS_PLAIN ((size_t)1024)

struct offset_runs {
	struct buf bytes; /* the varints of the runs before the open one */
	int64_t last; /* where those end; -1: there are none */
	int64_t from; /* the open run; from > to: none */
	int64_t to;
};

#define OFFSET_RUNS_INIT                                                                           \
	{                                                                                          \
		.bytes = BUF_INIT, .last = -1, .from = 0, .to = -1                                 \
	}

void offset_runs_begin(struct offset_runs *r, int64_t offset); /* another run */

/* The next row's. No offset may come twice. */
static inline void offset_runs_add(struct offset_runs *r, int64_t offset)
{
	if (__builtin_expect(r->from <= r->to && offset == r->to + 1, 1))
		r->to = offset;
	else
		offset_runs_begin(r, offset);
}

/* Appends the text of all. */
void offset_runs_text(struct offset_runs *r, struct buf *out);
void offset_runs_clear(struct offset_runs *r); /* keeps the memory */
void offset_runs_release(struct offset_runs *r);

/* ---- reading ---- */

struct offset_reader {
	const char *text; /* the plain one, borrowed; NULL: varints */
	struct buf bytes;
	size_t pos;
	int64_t last;
	bool bad;
};

/* The text is borrowed; NULL is one that cannot be read. Release it in any case. */
void offset_reader_open(struct offset_reader *r, const char *text);
/* false at the end, or where the text cannot be read: r->bad says so. */
MUST_CHECK bool offset_reader_next(struct offset_reader *r, int64_t *from, int64_t *to);
void offset_reader_release(struct offset_reader *r);

#endif
