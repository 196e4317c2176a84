#include "connector/writer/container.h"

#include <stdlib.h>
#include <string.h>

#include "connector/schema/sha256.h"
#include "connector/schema/sha256.h"
#include "connector/writer/codec.h"
#include "core/base/killpoint.h"

/* What lake_upload_reserve() gives at once; larger blocks take a detour. */
#define RESERVE_MAX ((size_t)256 << 10)
#define SYNC_BYTES 16
/* Two varints in front of a block. */
#define BLOCK_HEAD_MAX 20

struct container {
	struct lake *lake;
	const char *schema_json;
	enum file_codec codec;
	size_t block_bytes;
	unsigned char *raw; /* the open block */
	size_t raw_len;
	size_t raw_cap;
	uint64_t rows; /* of the open block */
	bool defer;
	struct lake_upload *upload; /* NULL until the first block ends */
	unsigned char sync[SYNC_BYTES];
	size_t size_width; /* of the last block's size as a varint: a guess */
};

struct container *container_new(struct lake *lake, const char *schema_json, enum file_codec codec,
				size_t block_bytes)
{
	struct container *c = xcalloc(1, sizeof(*c));

	c->lake = lake;
	c->schema_json = schema_json;
	c->codec = codec;
	c->block_bytes = block_bytes ? block_bytes : CONTAINER_BLOCK_BYTES;
	c->size_width = 3;
	return c;
}

void container_defer(struct container *c)
{
	c->defer = true;
}

void container_free(struct container *c)
{
	if (!c)
		return;
	lake_upload_free(c->upload);
	free(c->raw);
	free(c);
}

void container_begin(struct container *c, const char *path)
{
	unsigned char digest[SHA256_BYTES];

	sha256_of(path, strlen(path), digest);
	memcpy(c->sync, digest, SYNC_BYTES);
}

/* Room for block_bytes and a row that begins just before its end. */
static void grow(struct container *c, size_t len)
{
	size_t cap = c->block_bytes + (c->block_bytes >> 2);
	size_t need = c->raw_len + len;

	if (cap < need)
		cap = need + (need >> 2);
	c->raw = xrealloc(c->raw, cap + CONTAINER_SLACK);
	memset(c->raw + cap, 0, CONTAINER_SLACK);
	c->raw_cap = cap;
}

void *container_room(struct container *c, size_t len)
{
	if (__builtin_expect(len > c->raw_cap - c->raw_len, 0) || !c->raw)
		grow(c, len);
	return c->raw + c->raw_len;
}

/* zigzag of a number that is not negative */
static size_t put_long(unsigned char *out, uint64_t n)
{
	size_t i = 0;

	for (n <<= 1; n >= 0x80; n >>= 7)
		out[i++] = (unsigned char)(n | 0x80);
	out[i++] = (unsigned char)n;
	return i;
}

static void add_text(struct buf *b, const char *s, size_t n)
{
	unsigned char head[10];

	buf_add(b, head, put_long(head, n));
	buf_add(b, s, n);
}

static enum status open_file(struct container *c, struct err *err)
{
	AUTO(buf_release) struct buf head = BUF_INIT;
	const char *codec = codec_avro_name(c->codec);
	enum status st;

	buf_add(&head, "Obj\1", 4);
	buf_addc(&head, 4); /* two entries in the map */
	add_text(&head, "avro.codec", 10);
	add_text(&head, codec, strlen(codec));
	add_text(&head, "avro.schema", 11);
	add_text(&head, c->schema_json, strlen(c->schema_json));
	buf_addc(&head, 0);
	buf_add(&head, c->sync, SYNC_BYTES);
	st = lake_upload_open(c->lake, &c->upload, err);
	if (st == ST_OK && c->defer)
		st = lake_upload_defer(c->upload, err);
	if (st != ST_OK)
		return st;
	KILL_POINT("writer.file.opened");
	return lake_upload_write(c->upload, head.data, head.len, err);
}

/* Puts the whole block at out and returns its length. */
static size_t block_into(struct container *c, unsigned char *out)
{
	unsigned char size[10];
	size_t head = put_long(out, c->rows), width = c->size_width, n, real;

	/* The size is known when its bytes are there: the room for it is
	 * guessed, and a wrong guess costs a move within the cache. */
	if (c->codec == CODEC_NULL)
		width = put_long(size, c->raw_len);
	n = codec_compress(c->codec, c->raw, c->raw_len, out + head + width);
	real = put_long(size, n);
	if (real != width)
		memmove(out + head + real, out + head + width, n);
	memcpy(out + head, size, real);
	c->size_width = real;
	memcpy(out + head + real + n, c->sync, SYNC_BYTES);
	return head + real + n + SYNC_BYTES;
}

static enum status close_block(struct container *c, struct err *err)
{
	size_t most = codec_bound(c->codec, c->raw_len) + BLOCK_HEAD_MAX + SYNC_BYTES, room;
	enum status st = ST_OK;
	void *out;

	if (!c->upload)
		st = open_file(c, err);
	if (st != ST_OK)
		return st;
	KILL_POINT("writer.block");
	if (most <= RESERVE_MAX) {
		st = lake_upload_reserve(c->upload, most, &out, &room, err);
		if (st != ST_OK)
			return st;
		lake_upload_advance(c->upload, block_into(c, out));
	} else {
		AUTO(freep) void *block = xmalloc(most);

		st = lake_upload_write(c->upload, block, block_into(c, block), err);
		if (st != ST_OK)
			return st;
	}
	c->raw_len = 0;
	c->rows = 0;
	if (c->raw_cap > 4 * c->block_bytes) { /* one row was huge */
		free(c->raw);
		c->raw = NULL;
		c->raw_cap = 0;
	}
	return ST_OK;
}

enum status container_add(struct container *c, size_t len, struct err *err)
{
	c->raw_len += len;
	c->rows++;
	if (__builtin_expect(c->raw_len < c->block_bytes, 1))
		return ST_OK;
	return close_block(c, err);
}

uint64_t container_bytes(const struct container *c)
{
	return (c->upload ? lake_upload_size(c->upload) : 0) + c->raw_len;
}

size_t container_memory(enum file_codec codec, size_t block_bytes)
{
	size_t block = block_bytes ? block_bytes : CONTAINER_BLOCK_BYTES;

	return sizeof(struct container) + block + (block >> 2) + codec_bound(codec, block);
}

enum status container_finish(struct container *c, struct lake_upload **out, struct err *err)
{
	enum status st = ST_OK;

	/* A row of no bytes makes a block too. */
	if (c->rows)
		st = close_block(c, err);
	if (st == ST_OK) {
		KILL_POINT("writer.finish");
		st = lake_upload_finish(c->upload, err);
	}
	if (st != ST_OK)
		return st;
	*out = MOVE(c->upload);
	c->size_width = 3;
	return ST_OK;
}
