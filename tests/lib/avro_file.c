#include "tests/lib/avro_file.h"

#include <libdeflate.h>
#include <snappy-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "connector/schema/json_encode.h"

/* More than any block of a test. */
#define RAW_MAX ((size_t)64 << 20)

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                 \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

void avro_file_release(struct avro_file *f)
{
	buf_release(&f->schema);
	buf_release(&f->codec);
	buf_release(&f->rows);
}

static uint64_t take_count(struct bytes *in)
{
	uint64_t v = 0;

	CHECK(bytes_varint(in, &v) && !(v & 1));
	return v >> 1;
}

static const unsigned char *take(struct bytes *in, size_t n)
{
	const unsigned char *p = NULL;

	CHECK(bytes_take(in, n, &p));
	return p;
}

static void take_header(struct bytes *in, struct avro_file *f)
{
	CHECK(memcmp(take(in, 4), "Obj\1", 4) == 0);
	for (uint64_t n = take_count(in); n; n = take_count(in)) {
		while (n--) {
			size_t key_len = take_count(in);
			const unsigned char *key = take(in, key_len);
			size_t len = take_count(in);
			struct buf *to = key_len == 10 && !memcmp(key, "avro.codec", 10) ? &f->codec
					 : key_len == 11 && !memcmp(key, "avro.schema", 11)
						 ? &f->schema
						 : NULL;

			CHECK(to);
			buf_add(to, take(in, len), len);
		}
	}
}

static size_t inflate_block(const char *codec, const unsigned char *data, size_t len, char *raw)
{
	size_t n = RAW_MAX;

	if (strcmp(codec, "null") == 0) {
		memcpy(raw, data, len);
		return len;
	}
	if (strcmp(codec, "snappy") == 0) {
		uint32_t crc;

		CHECK(len > 4);
		CHECK(snappy_uncompress((const char *)data, len - 4, raw, &n) == SNAPPY_OK);
		crc = (uint32_t)crc32(0, (unsigned char *)raw, (uInt)n);
		CHECK(data[len - 4] == crc >> 24 && data[len - 3] == (crc >> 16 & 0xff) &&
		      data[len - 2] == (crc >> 8 & 0xff) && data[len - 1] == (crc & 0xff));
		return n;
	}
	if (strcmp(codec, "deflate") == 0) {
		struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();

		CHECK(libdeflate_deflate_decompress(d, data, len, raw, RAW_MAX, &n) == 0);
		libdeflate_free_decompressor(d);
		return n;
	}
	CHECK(strcmp(codec, "zstandard") == 0);
	n = ZSTD_decompress(raw, RAW_MAX, data, len);
	CHECK(!ZSTD_isError(n));
	return n;
}

void avro_file_parse(const void *data, size_t len, struct avro_file *f)
{
	struct bytes in = bytes_of(data, len);
	AUTO(freep) char *raw = xmalloc(RAW_MAX);
	const unsigned char *sync;

	*f = (struct avro_file){.schema = BUF_INIT};
	take_header(&in, f);
	sync = take(&in, 16);
	while (bytes_left(&in)) {
		uint64_t rows = take_count(&in);
		size_t size = take_count(&in);
		const unsigned char *block = take(&in, size);
		size_t n = inflate_block(buf_str(&f->codec), block, size, raw);

		CHECK(rows > 0);
		CHECK(memcmp(take(&in, 16), sync, 16) == 0);
		buf_add(&f->rows, raw, n);
		f->n_rows += rows;
		f->n_blocks++;
		if (n > f->largest_block)
			f->largest_block = n;
	}
}

/* ---- writing ---- */

static void add_long(struct buf *out, int64_t v)
{
	buf_add_varint(out, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

static void add_text(struct buf *out, const char *text)
{
	add_long(out, (int64_t)strlen(text));
	buf_adds(out, text);
}

static void add_block(struct buf *out, enum file_codec codec, size_t rows, const struct buf *raw)
{
	AUTO(freep) void *packed = xmalloc(codec_bound(codec, raw->len));
	size_t len = codec_compress(codec, buf_str(raw), raw->len, packed);

	add_long(out, (int64_t)rows);
	add_long(out, (int64_t)len);
	buf_add(out, packed, len);
	buf_adds(out, "ssssssssssssssss");
}

void avro_file_write(const char *schema_text, enum file_codec codec, const char *const *values,
		     size_t rows_per_block, struct buf *out)
{
	AUTO(schema_freep) struct schema *schema = NULL;
	AUTO(buf_release) struct buf raw = BUF_INIT;
	size_t rows = 0;

	CHECK(schema_parse(schema_text, strlen(schema_text), &schema, NULL) == ST_OK);
	CHECK(json_encode_prepare(schema, NULL) == ST_OK);
	buf_add(out, "Obj\1", 4);
	add_long(out, 2);
	add_text(out, "avro.schema");
	add_text(out, schema_text);
	add_text(out, "avro.codec");
	add_text(out, codec_avro_name(codec));
	add_long(out, 0);
	buf_adds(out, "ssssssssssssssss");
	for (; *values; values++) {
		CHECK(json_encode(schema, *values, strlen(*values), &raw, NULL) == ST_OK);
		if (++rows == rows_per_block || !values[1]) {
			add_block(out, codec, rows, &raw);
			buf_clear(&raw);
			rows = 0;
		}
	}
}
