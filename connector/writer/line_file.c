#include "connector/writer/line_file.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "core/base/killpoint.h"

/* Lines are collected before they are compressed. */
#define RAW_BYTES ((size_t)64 << 10)
/* What is asked of the upload at a time for compressed bytes. */
#define ROOM_BYTES ((size_t)16 << 10)
#define GZIP_LEVEL 6
#define ZSTD_LEVEL 3
/* A 256 KiB window: an eighth of the memory for a few per cent of size. */
#define ZSTD_WINDOW_LOG 18

struct line_file {
	struct lake *lake;
	enum file_codec codec;
	unsigned char *raw; /* NULL where nothing is compressed */
	size_t raw_len;
	z_stream gzip;
	bool gzip_open;
	ZSTD_CCtx *zstd;
	bool defer;
	struct lake_upload *upload; /* NULL until the first line */
};

struct line_file *line_file_new(struct lake *lake, enum file_codec codec)
{
	struct line_file *f = xcalloc(1, sizeof(*f));

	f->lake = lake;
	f->codec = codec;
	if (codec != CODEC_NULL)
		f->raw = xmalloc(RAW_BYTES);
	return f;
}

void line_file_defer(struct line_file *f)
{
	f->defer = true;
}

void line_file_free(struct line_file *f)
{
	if (!f)
		return;
	if (f->gzip_open)
		deflateEnd(&f->gzip);
	ZSTD_freeCCtx(f->zstd);
	lake_upload_free(f->upload);
	free(f->raw);
	free(f);
}

static void open_gzip(struct line_file *f)
{
	static gz_header header = {.os = 255}; /* no time, name or system */

	memset(&f->gzip, 0, sizeof(f->gzip));
	if (deflateInit2(&f->gzip, GZIP_LEVEL, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		abort();
	f->gzip_open = true;
	if (deflateSetHeader(&f->gzip, &header) != Z_OK)
		abort();
}

static void open_zstd(struct line_file *f)
{
	if (!f->zstd)
		f->zstd = ZSTD_createCCtx();
	if (!f->zstd)
		abort();
	ZSTD_CCtx_reset(f->zstd, ZSTD_reset_session_and_parameters);
	ZSTD_CCtx_setParameter(f->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL);
	ZSTD_CCtx_setParameter(f->zstd, ZSTD_c_windowLog, ZSTD_WINDOW_LOG);
	ZSTD_CCtx_setParameter(f->zstd, ZSTD_c_checksumFlag, 1);
}

static enum status open_file(struct line_file *f, struct err *err)
{
	enum status st = lake_upload_open(f->lake, &f->upload, err);

	if (st == ST_OK && f->defer)
		st = lake_upload_defer(f->upload, err);
	if (st != ST_OK)
		return st;
	KILL_POINT("writer.file.opened");
	if (f->codec == CODEC_GZIP)
		open_gzip(f);
	else if (f->codec == CODEC_ZSTANDARD)
		open_zstd(f);
	return ST_OK;
}

/* One step of the codec into the upload's room; *done where it wants no more. */
static size_t step(struct line_file *f, bool end, ZSTD_inBuffer *in, void *out, size_t room,
		   bool *done)
{
	ZSTD_outBuffer to = {.dst = out, .size = room};
	size_t rc;

	if (f->codec == CODEC_ZSTANDARD) {
		rc = ZSTD_compressStream2(f->zstd, &to, in, end ? ZSTD_e_end : ZSTD_e_continue);
		if (ZSTD_isError(rc))
			abort();
		*done = end ? rc == 0 : in->pos == in->size;
		return to.pos;
	}
	f->gzip.next_in = (unsigned char *)(uintptr_t)in->src + in->pos;
	f->gzip.avail_in = (uInt)(in->size - in->pos);
	f->gzip.next_out = out;
	f->gzip.avail_out = (uInt)room;
	if (deflate(&f->gzip, end ? Z_FINISH : Z_NO_FLUSH) == Z_STREAM_ERROR)
		abort();
	in->pos = in->size - f->gzip.avail_in;
	/* Room left over: nothing is pending. */
	*done = f->gzip.avail_out > 0 && !f->gzip.avail_in;
	return room - f->gzip.avail_out;
}

static enum status compress_all(struct line_file *f, const void *data, size_t len, bool end,
				struct err *err)
{
	ZSTD_inBuffer in = {.src = data, .size = len};
	bool done = false;

	KILL_POINT("writer.block");
	while (!done) {
		size_t room;
		void *out;
		enum status st = lake_upload_reserve(f->upload, ROOM_BYTES, &out, &room, err);

		if (st != ST_OK)
			return st;
		if (room > 1u << 30)
			room = 1u << 30;
		lake_upload_advance(f->upload, step(f, end, &in, out, room, &done));
	}
	return ST_OK;
}

static enum status add_bytes(struct line_file *f, const unsigned char *data, size_t len,
			     struct err *err)
{
	while (len) {
		size_t n = RAW_BYTES - f->raw_len;

		if (n > len)
			n = len;
		memcpy(f->raw + f->raw_len, data, n);
		f->raw_len += n;
		data += n;
		len -= n;
		if (f->raw_len == RAW_BYTES) {
			enum status st = compress_all(f, f->raw, f->raw_len, false, err);

			if (st != ST_OK)
				return st;
			f->raw_len = 0;
		}
	}
	return ST_OK;
}

/* Up to here a line goes straight into the upload's room. */
#define LINE_ROOM_MAX ((size_t)128 << 10)

enum status line_file_add(struct line_file *f, const void *data, size_t len, struct err *err)
{
	enum status st = f->upload ? ST_OK : open_file(f, err);
	unsigned char *out;
	void *room;
	size_t size;

	if (st != ST_OK)
		return st;
	if (f->codec != CODEC_NULL) {
		st = add_bytes(f, data, len, err);
		return st == ST_OK ? add_bytes(f, (const unsigned char *)"\n", 1, err) : st;
	}
	if (len > LINE_ROOM_MAX) {
		st = lake_upload_write(f->upload, data, len, err);
		return st == ST_OK ? lake_upload_write(f->upload, "\n", 1, err) : st;
	}
	st = lake_upload_reserve(f->upload, len + 1, &room, &size, err);
	if (st != ST_OK)
		return st;
	out = room;
	if (len)
		memcpy(out, data, len);
	out[len] = '\n';
	lake_upload_advance(f->upload, len + 1);
	return ST_OK;
}

uint64_t line_file_bytes(const struct line_file *f)
{
	return (f->upload ? lake_upload_size(f->upload) : 0) + f->raw_len;
}

size_t line_file_memory(enum file_codec codec)
{
	return sizeof(struct line_file) + (codec == CODEC_NULL ? 0 : RAW_BYTES) +
	       (codec == CODEC_GZIP        ? (size_t)300 << 10
		: codec == CODEC_ZSTANDARD ? (size_t)2 << 20
					   : 0);
}

enum status line_file_finish(struct line_file *f, struct lake_upload **out, struct err *err)
{
	enum status st = ST_OK;

	if (f->codec != CODEC_NULL)
		st = compress_all(f, f->raw, f->raw_len, true, err);
	if (st == ST_OK) {
		KILL_POINT("writer.finish");
		st = lake_upload_finish(f->upload, err);
	}
	if (st != ST_OK)
		return st;
	f->raw_len = 0;
	if (f->gzip_open)
		deflateEnd(&f->gzip);
	f->gzip_open = false;
	*out = MOVE(f->upload);
	return ST_OK;
}
