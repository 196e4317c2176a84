#include "connector/writer/codec.h"

#include <libdeflate.h>
#include <pthread.h>
#include <snappy-c.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "connector/writer/snappy_block.h"

#define DEFLATE_LEVEL 6
#define ZSTD_LEVEL 3

struct workspace {
	struct libdeflate_compressor *deflate;
	ZSTD_CCtx *zstd;
	struct libdeflate_decompressor *inflate;
	ZSTD_DCtx *unzstd;
};

static pthread_key_t workspace_key;

static void workspace_free(void *p)
{
	struct workspace *w = p;

	if (w->deflate)
		libdeflate_free_compressor(w->deflate);
	ZSTD_freeCCtx(w->zstd);
	if (w->inflate)
		libdeflate_free_decompressor(w->inflate);
	ZSTD_freeDCtx(w->unzstd);
	free(w);
}

static void workspace_key_create(void)
{
	if (pthread_key_create(&workspace_key, workspace_free) != 0)
		abort();
}

static struct workspace *workspace_get(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct workspace *w;

	pthread_once(&once, workspace_key_create);
	w = pthread_getspecific(workspace_key);
	if (!w) {
		w = xcalloc(1, sizeof(*w));
		if (pthread_setspecific(workspace_key, w) != 0)
			abort();
	}
	return w;
}

const char *codec_avro_name(enum file_codec codec)
{
	switch (codec) {
	case CODEC_NULL:
		return "null";
	case CODEC_SNAPPY:
		return "snappy";
	case CODEC_DEFLATE:
		return "deflate";
	case CODEC_ZSTANDARD:
		return "zstandard";
	case CODEC_GZIP:
		break;
	}
	return NULL;
}

size_t codec_memory(enum file_codec codec)
{
	return codec == CODEC_DEFLATE     ? (size_t)512 << 10
	       : codec == CODEC_ZSTANDARD ? (size_t)1300 << 10
	       : codec == CODEC_GZIP      ? (size_t)300 << 10
					  : (size_t)64 << 10;
}

/* What every deflate stream can fall back to: stored blocks, 5 bytes each. */
static size_t deflate_bound(size_t len)
{
	return libdeflate_deflate_compress_bound(NULL, len);
}

size_t codec_bound(enum file_codec codec, size_t len)
{
	switch (codec) {
	case CODEC_SNAPPY:
		return snappy_block_bound(len) + 4;
	case CODEC_DEFLATE:
		return deflate_bound(len);
	case CODEC_ZSTANDARD:
		return ZSTD_compressBound(len);
	case CODEC_NULL:
	case CODEC_GZIP:
		break;
	}
	return len;
}

static size_t compress_snappy(const void *raw, size_t len, unsigned char *out)
{
	uint32_t crc = libdeflate_crc32(0, raw, len);
	size_t n = snappy_block_compress(raw, len, out);

	out[n] = (unsigned char)(crc >> 24);
	out[n + 1] = (unsigned char)(crc >> 16);
	out[n + 2] = (unsigned char)(crc >> 8);
	out[n + 3] = (unsigned char)crc;
	return n + 4;
}

static size_t compress_deflate(const void *raw, size_t len, void *out)
{
	struct workspace *w = workspace_get();
	size_t n;

	if (!w->deflate)
		w->deflate = libdeflate_alloc_compressor(DEFLATE_LEVEL);
	if (!w->deflate)
		abort();
	n = libdeflate_deflate_compress(w->deflate, raw, len, out, deflate_bound(len));
	if (!n)
		abort();
	return n;
}

static size_t compress_zstd(const void *raw, size_t len, void *out)
{
	struct workspace *w = workspace_get();
	size_t n;

	if (!w->zstd)
		w->zstd = ZSTD_createCCtx();
	if (!w->zstd)
		abort();
	n = ZSTD_compressCCtx(w->zstd, out, ZSTD_compressBound(len), raw, len, ZSTD_LEVEL);
	if (ZSTD_isError(n))
		abort();
	return n;
}

size_t codec_compress(enum file_codec codec, const void *raw, size_t len, void *out)
{
	switch (codec) {
	case CODEC_SNAPPY:
		return compress_snappy(raw, len, out);
	case CODEC_DEFLATE:
		return compress_deflate(raw, len, out);
	case CODEC_ZSTANDARD:
		return compress_zstd(raw, len, out);
	case CODEC_NULL:
	case CODEC_GZIP:
		break;
	}
	memcpy(out, raw, len);
	return len;
}

/* ---- the way back ---- */

static const char *decompress_snappy(const unsigned char *data, size_t len, size_t max,
				     struct buf *out)
{
	size_t n = 0;
	uint32_t crc;

	if (len < 4 || snappy_uncompressed_length((const char *)data, len - 4, &n) != SNAPPY_OK ||
	    n > max)
		return "it is no snappy";
	buf_reserve(out, n);
	if (snappy_uncompress((const char *)data, len - 4, out->data + out->len, &n) != SNAPPY_OK)
		return "it is no snappy";
	crc = libdeflate_crc32(0, out->data + out->len, n);
	data += len - 4;
	if (crc !=
	    ((uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 | data[3]))
		return "its checksum is another";
	out->len += n;
	return NULL;
}

static const char *decompress_deflate(const void *data, size_t len, size_t max, struct buf *out)
{
	struct workspace *w = workspace_get();
	size_t room = 8 * len + 1024, n = 0;
	enum libdeflate_result rc;

	if (!w->inflate)
		w->inflate = libdeflate_alloc_decompressor();
	if (!w->inflate)
		abort();
	do {
		room = room > max ? max : room;
		buf_reserve(out, room);
		rc = libdeflate_deflate_decompress(w->inflate, data, len, out->data + out->len,
						   room, &n);
		room *= 2;
	} while (rc == LIBDEFLATE_INSUFFICIENT_SPACE && room < 2 * max);
	if (rc != LIBDEFLATE_SUCCESS)
		return "it is no deflate";
	out->len += n;
	return NULL;
}

static const char *decompress_zstd(const void *data, size_t len, size_t max, struct buf *out)
{
	struct workspace *w = workspace_get();
	ZSTD_inBuffer in = {data, len, 0};
	size_t rc = 1, from = out->len;

	if (!w->unzstd)
		w->unzstd = ZSTD_createDCtx();
	if (!w->unzstd)
		abort();
	ZSTD_DCtx_reset(w->unzstd, ZSTD_reset_session_only);
	while (rc != 0 || in.pos < in.size) {
		ZSTD_outBuffer to = {0};
		size_t before = in.pos;

		buf_reserve(out, ZSTD_DStreamOutSize());
		to.dst = out->data + out->len;
		to.size = ZSTD_DStreamOutSize();
		rc = ZSTD_decompressStream(w->unzstd, &to, &in);
		if (ZSTD_isError(rc) || (to.pos == 0 && in.pos == before))
			return "it is no zstandard";
		out->len += to.pos;
		if (out->len - from > max)
			return "it is too large";
	}
	return NULL;
}

const char *codec_decompress(enum file_codec codec, const void *data, size_t len, size_t max,
			     struct buf *out)
{
	const char *why = NULL;

	switch (codec) {
	case CODEC_SNAPPY:
		why = decompress_snappy(data, len, max, out);
		break;
	case CODEC_DEFLATE:
		why = decompress_deflate(data, len, max, out);
		break;
	case CODEC_ZSTANDARD:
		why = decompress_zstd(data, len, max, out);
		break;
	case CODEC_NULL:
	case CODEC_GZIP:
		buf_add(out, data, len);
		break;
	}
	buf_reserve(out, 1);
	out->data[out->len] = '\0';
	return why;
}
