/* JSON lines: as they are, of one or more gzip members, or zstandard frames. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "connector/schema/json_fields.h"
#include "connector/gates/rows_impl.h"
#include "connector/writer/json_line.h"

struct line_rows {
	struct buf text; /* decompressed: from pos on it is not yet read */
	size_t pos;
	size_t searched; /* no newline before this */
	uint64_t lines;
	bool at_end; /* of the object */
	bool inside; /* a member or frame has begun and not ended */
	z_stream gzip;
	bool gzip_open;
	ZSTD_DCtx *zstd;
	struct buf *scratch; /* one a field */
};

static void lines_close(struct rows *r)
{
	struct line_rows *l = r->form_data;

	if (!l)
		return;
	if (l->gzip_open)
		inflateEnd(&l->gzip);
	ZSTD_freeDCtx(l->zstd);
	buf_release(&l->text);
	for (size_t i = 0; i < r->n_fields; i++)
		buf_release(&l->scratch[i]);
	free(l->scratch);
	free(l);
}

static enum status lines_open(struct rows *r, struct err *err)
{
	struct line_rows *l = r->form_data = xcalloc(1, sizeof(*l));

	(void)err;
	l->scratch = xcalloc(r->n_fields + 1, sizeof(*l->scratch));
	if (r->codec == CODEC_GZIP) {
		if (inflateInit2(&l->gzip, 15 + 16) != Z_OK)
			abort();
		l->gzip_open = true;
	}
	if (r->codec == CODEC_ZSTANDARD) {
		l->zstd = ZSTD_createDCtx();
		if (!l->zstd)
			abort();
	}
	return ST_OK;
}

/* ---- more text ---- */

static enum status inflate_some(struct rows *r, struct line_rows *l, size_t left, struct err *err)
{
	int rc;

	if (!l->inside)
		inflateReset(&l->gzip);
	l->inside = true;
	l->gzip.next_in = r->source.data + r->source.pos;
	l->gzip.avail_in = (uInt)left;
	l->gzip.next_out = (unsigned char *)l->text.data + l->text.len;
	l->gzip.avail_out = (uInt)ROWS_READ_BYTES;
	rc = inflate(&l->gzip, Z_NO_FLUSH);
	if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
		return rows_bad(r, err, "its gzip is damaged behind line %llu",
				(unsigned long long)l->lines);
	l->text.len += ROWS_READ_BYTES - l->gzip.avail_out;
	r->source.pos += left - l->gzip.avail_in;
	l->inside = rc != Z_STREAM_END;
	return ST_OK;
}

static enum status zstd_some(struct rows *r, struct line_rows *l, size_t left, struct err *err)
{
	ZSTD_inBuffer in = {r->source.data + r->source.pos, left, 0};
	ZSTD_outBuffer out = {l->text.data + l->text.len, ROWS_READ_BYTES, 0};
	size_t rc = ZSTD_decompressStream(l->zstd, &out, &in);

	if (ZSTD_isError(rc))
		return rows_bad(r, err, "its zstandard is damaged behind line %llu: %s",
				(unsigned long long)l->lines, ZSTD_getErrorName(rc));
	l->text.len += out.pos;
	r->source.pos += in.pos;
	l->inside = rc != 0;
	return ST_OK;
}

/* Adds to text; at_end where there is no more. */
static enum status more(struct rows *r, struct line_rows *l, struct err *err)
{
	size_t left, before = l->text.len;
	enum status st = byte_source_need(&r->source, 1, &left, err);

	if (st != ST_OK)
		return st;
	buf_reserve(&l->text, ROWS_READ_BYTES);
	if (r->codec == CODEC_NULL) {
		if (left > ROWS_READ_BYTES)
			left = ROWS_READ_BYTES;
		buf_add(&l->text, r->source.data + r->source.pos, left);
		r->source.pos += left;
		l->at_end = left == 0;
		return ST_OK;
	}
	if (left || l->inside)
		st = r->codec == CODEC_GZIP ? inflate_some(r, l, left, err)
					    : zstd_some(r, l, left, err);
	l->text.data[l->text.len] = '\0';
	if (st != ST_OK || left || l->text.len > before)
		return st;
	if (l->inside)
		return rows_bad(r, err, "it ends too early, behind line %llu",
				(unsigned long long)l->lines);
	l->at_end = true;
	return ST_OK;
}

/* The next line without its newline; ST_END. */
static enum status next_line(struct rows *r, struct line_rows *l, const char **line, size_t *len,
			     struct err *err)
{
	const char *newline;

	while (!(newline = l->text.len > l->searched ? memchr(l->text.data + l->searched, '\n',
							      l->text.len - l->searched)
						     : NULL)) {
		enum status st;

		if (l->at_end && l->text.len == l->pos)
			return ST_END;
		if (l->at_end)
			return rows_bad(r, err, "line %llu does not end",
					(unsigned long long)l->lines + 1);
		if (l->pos) {
			memmove(l->text.data, l->text.data + l->pos, l->text.len - l->pos);
			l->text.len -= l->pos;
			l->pos = 0;
		}
		if (l->text.len > ROWS_MAX_BYTES)
			return rows_bad(r, err, "line %llu is too long",
					(unsigned long long)l->lines + 1);
		l->searched = l->text.len;
		st = more(r, l, err);
		if (st != ST_OK)
			return st;
	}
	*line = l->text.data + l->pos;
	*len = (size_t)(newline - *line);
	l->pos += *len + 1;
	l->searched = l->pos;
	l->lines++;
	return ST_OK;
}

enum status rows_take_line(struct rows *r, const char *line, size_t len, uint64_t number,
			   struct buf *scratch, bool *tombstone, struct err *err)
{
	struct json_line json;
	const char *why;
	size_t where;

	if (!json_line_check(line, len, &json, &where, &why))
		return rows_bad(r, err, "line %llu is no JSON: %s at byte %zu",
				(unsigned long long)number, why, where);
	*tombstone = json.len == 4 && memcmp(json.text, "null", 4) == 0;
	for (size_t i = 0; !*tombstone && i < r->n_fields; i++)
		r->values[i] = json_field(json.text, r->fields[i], &scratch[i]);
	return ST_OK;
}

static enum status lines_next(struct rows *r, bool *tombstone, struct err *err)
{
	struct line_rows *l = r->form_data;
	const char *line = NULL;
	size_t len = 0;
	enum status st = next_line(r, l, &line, &len, err);

	return st == ST_OK ? rows_take_line(r, line, len, l->lines, l->scratch, tombstone, err)
			   : st;
}

static enum status lines_schema(const struct rows *r, struct buf *out, struct err *err)
{
	(void)r;
	(void)out;
	(void)err;
	return ST_OK;
}

const struct rows_form rows_lines = {
	.open = lines_open,
	.next = lines_next,
	.schema = lines_schema,
	.close = lines_close,
};
