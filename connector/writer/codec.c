#include "connector/writer/codec.h"

#include <libdeflate.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "connector/writer/snappy_block.h"

#define DEFLATE_LEVEL 6
#define ZSTD_LEVEL 3

struct workspace {
	struct libdeflate_compressor *deflate;
	ZSTD_CCtx *zstd;
};

static pthread_key_t workspace_key;

static void workspace_free(void *p)
{
	struct workspace *w = p;

	if (w->deflate)
		libdeflate_free_compressor(w->deflate);
	ZSTD_freeCCtx(w->zstd);
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
