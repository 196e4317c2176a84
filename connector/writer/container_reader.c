#include "connector/writer/container_reader.h"

#include <stdlib.h>
#include <string.h>

#include "connector/writer/codec.h"

#define SYNC_BYTES 16
#define HEAD_MAX_BYTES ((size_t)16 << 20)

struct container_reader {
	struct byte_source *source;
	char *schema;
	enum file_codec codec;
	unsigned char sync[SYNC_BYTES];
	uint64_t blocks;
};

/* ---- the head ---- */

static bool take_long(struct bytes *in, int64_t *out)
{
	uint64_t raw;

	if (!bytes_varint(in, &raw))
		return false;
	*out = (int64_t)(raw >> 1) ^ -(int64_t)(raw & 1);
	return true;
}

static bool take_text(struct bytes *in, const char **text, size_t *len)
{
	const unsigned char *p;
	int64_t n;

	if (!take_long(in, &n) || n < 0 || (uint64_t)n > bytes_left(in) ||
	    !bytes_take(in, (size_t)n, &p))
		return false;
	*text = (const char *)p;
	*len = (size_t)n;
	return true;
}

struct head {
	char *schema;
	char *codec;
};

static void head_release(struct head *h)
{
	free(h->schema);
	free(h->codec);
}

static bool take_pair(struct bytes *in, struct head *h)
{
	const char *key, *value;
	size_t key_len, len;
	char **to;

	if (!take_text(in, &key, &key_len) || !take_text(in, &value, &len))
		return false;
	to = key_len == 11 && memcmp(key, "avro.schema", 11) == 0  ? &h->schema
	     : key_len == 10 && memcmp(key, "avro.codec", 10) == 0 ? &h->codec
								   : NULL;
	if (to) {
		free(*to);
		*to = xstrndup(value, len);
	}
	return true;
}

/* false: it ends too early, or is none. */
static bool take_head(struct bytes *in, struct head *h, struct container_reader *r)
{
	const unsigned char *p;
	int64_t n, size;

	if (!bytes_take(in, 4, &p) || memcmp(p, "Obj\1", 4) != 0)
		return false;
	for (;;) {
		if (!take_long(in, &n) || n == INT64_MIN)
			return false;
		if (n == 0)
			break;
		if (n < 0 && !take_long(in, &size))
			return false;
		for (n = n < 0 ? -n : n; n > 0; n--)
			if (!take_pair(in, h))
				return false;
	}
	if (!bytes_take(in, SYNC_BYTES, &p))
		return false;
	memcpy(r->sync, p, SYNC_BYTES);
	return true;
}

static enum status read_head(struct container_reader *r, struct head *h, struct err *err)
{
	struct byte_source *s = r->source;
	size_t want = 4096, left;
	struct bytes in;

	for (;;) {
		enum status st = byte_source_need(s, want, &left, err);

		if (st != ST_OK)
			return st;
		in = bytes_of(s->data + s->pos, left);
		if (take_head(&in, h, r))
			break;
		if (left < want || want > HEAD_MAX_BYTES)
			return err_set(err, ST_POISON, "it is no Avro container");
		want = 2 * left;
	}
	s->pos += left - bytes_left(&in);
	return ST_OK;
}

enum status container_reader_open(struct byte_source *source, struct container_reader **out,
				  struct err *err)
{
	AUTO(container_reader_freep) struct container_reader *r = xcalloc(1, sizeof(*r));
	AUTO(head_release) struct head h = {0};
	enum status st;

	r->source = source;
	st = read_head(r, &h, err);
	if (st != ST_OK)
		return st;
	if (!h.schema)
		return err_set(err, ST_POISON, "its head has no schema");
	for (r->codec = CODEC_NULL; h.codec && r->codec <= CODEC_ZSTANDARD; r->codec++)
		if (strcmp(h.codec, codec_avro_name(r->codec)) == 0)
			break;
	if (r->codec > CODEC_ZSTANDARD)
		return err_set(err, ST_POISON, "codec %s cannot be read", h.codec);
	r->schema = MOVE(h.schema);
	*out = MOVE(r);
	return ST_OK;
}

void container_reader_free(struct container_reader *r)
{
	if (!r)
		return;
	free(r->schema);
	free(r);
}

const char *container_reader_schema(const struct container_reader *r)
{
	return r->schema;
}

uint64_t container_reader_blocks(const struct container_reader *r)
{
	return r->blocks;
}

/* ---- blocks ---- */

static enum status bad(const struct container_reader *r, const char *why, struct err *err)
{
	return err_set(err, ST_POISON, "block %llu: %s", (unsigned long long)r->blocks, why);
}

enum status container_reader_next(struct container_reader *r, struct buf *raw, uint64_t *rows_out,
				  struct err *err)
{
	struct byte_source *s = r->source;
	int64_t rows = 0, size = 0;
	const unsigned char *data;
	struct bytes in;
	const char *why;
	size_t left;
	enum status st = byte_source_need(s, 20, &left, err);

	if (st != ST_OK || left == 0)
		return st == ST_OK ? ST_END : st;
	in = bytes_of(s->data + s->pos, left);
	if (!take_long(&in, &rows) || !take_long(&in, &size) || rows < 0 || size < 0 ||
	    (uint64_t)size > CONTAINER_BLOCK_MAX_BYTES)
		return bad(r, "it has no valid head", err);
	s->pos += left - bytes_left(&in);
	st = byte_source_need(s, (size_t)size + SYNC_BYTES, &left, err);
	if (st != ST_OK)
		return st;
	if (left < (size_t)size + SYNC_BYTES)
		return bad(r, "the file ends inside it", err);
	data = s->data + s->pos;
	if (memcmp(data + size, r->sync, SYNC_BYTES) != 0)
		return bad(r, "no sync marker is behind it", err);
	buf_clear(raw);
	why = codec_decompress(r->codec, data, (size_t)size, CONTAINER_BLOCK_MAX_BYTES, raw);
	if (why)
		return bad(r, why, err);
	buf_reserve(raw, CONTAINER_READER_SLACK);
	s->pos += (size_t)size + SYNC_BYTES;
	r->blocks++;
	*rows_out = (uint64_t)rows;
	return ST_OK;
}
