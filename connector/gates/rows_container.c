/* Avro object container files (Avro specification, "Object Container Files"),
 * of any writer: metadata in several blocks, codecs null, snappy, deflate,
 * zstandard. */
#include <stdlib.h>
#include <string.h>

#include "connector/schema/avro_fields.h"
#include "connector/gates/rows_impl.h"
#include "connector/writer/builtin_schemas.h"
#include "connector/writer/codec.h"

#define SYNC_BYTES 16
#define HEAD_MAX_BYTES ((size_t)16 << 20)

struct container_rows {
	char *schema_text;
	struct schema *schema;
	struct avro_fields *fields;
	enum file_codec codec;
	bool tombstones; /* the file holds nothing else */
	unsigned char sync[SYNC_BYTES];
	struct buf raw; /* the block, decompressed */
	struct bytes block; /* what is left of it */
	uint64_t rows; /* left in it */
	uint64_t blocks;
};

static void container_close(struct rows *r)
{
	struct container_rows *c = r->form_data;

	if (!c)
		return;
	avro_fields_free(c->fields);
	schema_free(c->schema);
	buf_release(&c->raw);
	free(c->schema_text);
	free(c);
}

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
static bool take_head(struct bytes *in, struct head *h, struct container_rows *c)
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
	memcpy(c->sync, p, SYNC_BYTES);
	return true;
}

static enum status read_head(struct rows *r, struct container_rows *c, struct head *h,
			     struct err *err)
{
	size_t want = 4096, left;
	struct bytes in;
	enum status st;

	for (;;) {
		st = source_need(&r->source, want, &left, err);
		if (st != ST_OK)
			return st;
		in = bytes_of(r->source.data + r->source.pos, left);
		if (take_head(&in, h, c))
			break;
		if (left < want || want > HEAD_MAX_BYTES)
			return rows_bad(r, err, "it is no Avro container");
		want = 2 * left;
	}
	r->source.pos += left - bytes_left(&in);
	return ST_OK;
}

static bool is_tombstone(const struct schema *schema)
{
	const struct schema_node *ours = schema_root(builtin_schema(BUILTIN_TOMBSTONE)->schema);
	const struct schema_node *root = schema_root(schema);

	return root->name && strcmp(root->name, ours->name) == 0;
}

static enum status container_open(struct rows *r, struct err *err)
{
	struct container_rows *c = r->form_data = xcalloc(1, sizeof(*c));
	AUTO(head_release) struct head h = {0};
	enum status st = read_head(r, c, &h, err);

	if (st != ST_OK)
		return st;
	if (!h.schema)
		return rows_bad(r, err, "its head has no schema");
	for (c->codec = CODEC_NULL; h.codec && c->codec <= CODEC_ZSTANDARD; c->codec++)
		if (strcmp(h.codec, codec_avro_name(c->codec)) == 0)
			break;
	if (c->codec > CODEC_ZSTANDARD)
		return rows_bad(r, err, "codec %s cannot be read", h.codec);
	c->schema_text = MOVE(h.schema);
	st = schema_parse(c->schema_text, strlen(c->schema_text), &c->schema, err);
	if (st != ST_OK)
		return rows_bad(r, err, "its schema cannot be read: %s",
				err ? strdupa(err->text) : "");
	c->tombstones = is_tombstone(c->schema);
	if (!c->tombstones)
		c->fields = avro_fields_new(c->schema, r->fields, r->n_fields, r->lack);
	return ST_OK;
}

/* ---- blocks ---- */

static enum status read_block(struct rows *r, struct container_rows *c, struct err *err)
{
	int64_t rows = 0, size = 0;
	const unsigned char *data;
	struct bytes in;
	const char *why;
	size_t left;
	enum status st = source_need(&r->source, 20, &left, err);

	if (st != ST_OK || left == 0)
		return st == ST_OK ? ST_END : st;
	in = bytes_of(r->source.data + r->source.pos, left);
	if (!take_long(&in, &rows) || !take_long(&in, &size) || rows < 0 || size < 0 ||
	    (uint64_t)size > ROWS_MAX_BYTES)
		return rows_bad(r, err, "block %llu has no valid head",
				(unsigned long long)c->blocks);
	r->source.pos += left - bytes_left(&in);
	st = source_need(&r->source, (size_t)size + SYNC_BYTES, &left, err);
	if (st != ST_OK)
		return st;
	if (left < (size_t)size + SYNC_BYTES)
		return rows_bad(r, err, "it ends inside block %llu", (unsigned long long)c->blocks);
	data = r->source.data + r->source.pos;
	if (memcmp(data + size, c->sync, SYNC_BYTES) != 0)
		return rows_bad(r, err, "no sync marker behind block %llu",
				(unsigned long long)c->blocks);
	buf_clear(&c->raw);
	why = codec_decompress(c->codec, data, (size_t)size, ROWS_MAX_BYTES, &c->raw);
	if (why)
		return rows_bad(r, err, "block %llu: %s", (unsigned long long)c->blocks, why);
	r->source.pos += (size_t)size + SYNC_BYTES;
	c->block = bytes_of(buf_str(&c->raw), c->raw.len);
	c->rows = (uint64_t)rows;
	c->blocks++;
	return ST_OK;
}

static enum status container_next(struct rows *r, bool *tombstone, struct err *err)
{
	struct container_rows *c = r->form_data;
	const char *why;

	while (c->rows == 0) {
		enum status st;

		if (bytes_left(&c->block))
			return rows_bad(r, err, "block %llu has bytes behind its rows",
					(unsigned long long)c->blocks - 1);
		st = read_block(r, c, err);
		if (st != ST_OK)
			return st;
		if (c->tombstones)
			c->block = bytes_of(NULL, 0); /* none of its fields is asked for */
	}
	c->rows--;
	*tombstone = c->tombstones;
	if (c->tombstones)
		return ST_OK;
	why = avro_fields_read(c->fields, &c->block, r->values);
	return why ? rows_bad(r, err, "block %llu: %s", (unsigned long long)c->blocks - 1, why)
		   : ST_OK;
}

static const char *container_schema(const struct rows *r)
{
	const struct container_rows *c = r->form_data;

	return c->schema_text;
}

const struct rows_form rows_container = {
	.open = container_open,
	.next = container_next,
	.schema = container_schema,
	.close = container_close,
};
