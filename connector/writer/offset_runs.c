#include "connector/writer/offset_runs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "connector/writer/avro_row.h"
#include "connector/writer/base64.h"
#include "connector/writer/codec.h"

#define COMPACT "zstd:"
/* No file has more of them (partition_writer.c ends it before). */
#define MAX_VARINT_BYTES ((size_t)64 << 20)

/* ---- writing ---- */

static void close_run(struct offset_runs *r)
{
	if (r->from > r->to)
		return;
	if (r->to > r->from)
		buf_addc(&r->bytes, 0);
	avro_row_long(&r->bytes, (int64_t)((uint64_t)r->from - (uint64_t)r->last));
	if (r->to > r->from)
		buf_add_varint(&r->bytes, (uint64_t)(r->to - r->from - 1));
	r->last = r->to;
	r->from = 0;
	r->to = -1;
}

void offset_runs_begin(struct offset_runs *r, int64_t offset)
{
	close_run(r);
	r->from = r->to = offset;
}

static bool next_of_bytes(struct bytes *in, int64_t *last, int64_t *from, int64_t *to)
{
	uint64_t v, more = 0;
	bool many;

	if (!bytes_varint(in, &v))
		return false;
	many = v == 0;
	if (many && (!bytes_varint(in, &v) || !bytes_varint(in, &more)))
		return false;
	*from = (int64_t)((uint64_t)*last + (v >> 1 ^ -(v & 1)));
	if (*from < 0 || v == 0 || more >= (uint64_t)(INT64_MAX - *from))
		return false;
	*to = many ? *from + (int64_t)more + 1 : *from;
	*last = *to;
	return true;
}

/* Appends the plain text; false where it would be too long, and out is as it was. */
static bool add_plain(const struct buf *bytes, struct buf *out)
{
	struct bytes in = bytes_of(bytes->data, bytes->len);
	size_t mark = out->len;
	int64_t last = -1, from, to;

	while (bytes_left(&in) && next_of_bytes(&in, &last, &from, &to)) {
		buf_addf(out, to > from ? "%s%" PRId64 "-%" PRId64 : "%s%" PRId64,
			 out->len > mark ? "," : "", from, to);
		if (out->len - mark <= OFFSET_RUNS_PLAIN)
			continue;
		out->len = mark;
		out->data[mark] = '\0';
		return false;
	}
	return true;
}

static void add_compact(const struct buf *bytes, struct buf *out)
{
	AUTO(freep) void *frame = xmalloc(codec_bound(CODEC_ZSTANDARD, bytes->len));
	size_t len = codec_compress(CODEC_ZSTANDARD, bytes->data, bytes->len, frame);

	buf_adds(out, COMPACT);
	base64_add(out, frame, len);
}

void offset_runs_text(struct offset_runs *r, struct buf *out)
{
	close_run(r);
	if (!add_plain(&r->bytes, out))
		add_compact(&r->bytes, out);
}

void offset_runs_clear(struct offset_runs *r)
{
	buf_clear(&r->bytes);
	r->last = -1;
	r->from = 0;
	r->to = -1;
}

void offset_runs_release(struct offset_runs *r)
{
	buf_release(&r->bytes);
	offset_runs_clear(r);
}

/* ---- reading ---- */

void offset_reader_open(struct offset_reader *r, const char *text)
{
	AUTO(buf_release) struct buf frame = BUF_INIT;
	const size_t mark = strlen(COMPACT);

	*r = (struct offset_reader){.text = text, .last = -1, .bad = !text || !*text};
	if (r->bad || strncmp(text, COMPACT, mark) != 0)
		return;
	r->text = NULL;
	r->bad = !base64_decode(text + mark, strlen(text + mark), &frame) ||
		 codec_decompress(CODEC_ZSTANDARD, frame.data, frame.len, MAX_VARINT_BYTES,
				  &r->bytes) ||
		 r->bytes.len == 0;
}

/* An offset, in digits alone; *text moves behind it. */
static bool number(const char **text, int64_t *out)
{
	char *end;

	if (**text < '0' || **text > '9')
		return false;
	errno = 0;
	*out = strtoll(*text, &end, 10);
	*text = end;
	return errno == 0;
}

static bool next_of_text(const char **text, int64_t *from, int64_t *to)
{
	if (!number(text, from))
		return false;
	*to = *from;
	if (**text == '-') {
		++*text;
		if (!number(text, to) || *to < *from)
			return false;
	}
	if (**text == ',')
		return *++*text != '\0';
	return **text == '\0';
}

bool offset_reader_next(struct offset_reader *r, int64_t *from, int64_t *to)
{
	struct bytes in;

	if (r->bad || (r->text ? !*r->text : r->pos == r->bytes.len))
		return false;
	if (r->text) {
		r->bad = !next_of_text(&r->text, from, to);
		return !r->bad;
	}
	in = bytes_of(r->bytes.data + r->pos, r->bytes.len - r->pos);
	r->bad = !next_of_bytes(&in, &r->last, from, to);
	r->pos = r->bytes.len - bytes_left(&in);
	return !r->bad;
}

void offset_reader_release(struct offset_reader *r)
{
	buf_release(&r->bytes);
}
