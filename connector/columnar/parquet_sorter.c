#include "connector/columnar/parquet_sorter.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* What a row takes beside its bytes and its key: what it is found by, and as much while
 * it is sorted. */
#define ROW_BYTES (2 * sizeof(struct held))

struct held {
	uint64_t begin; /* the key's first bytes */
	const unsigned char *key, *row;
	uint32_t key_len, row_len;
	int64_t offset;
};

struct sorter {
	const struct duckdb_api *duck;
	const struct columns *columns;
	duckdb_logical_type *types; /* borrowed from columns */
	struct column_keys *keys;
	size_t batch_bytes;
	struct column_rows *rows;
	duckdb_data_chunk tried; /* rows are decoded into it to see that they can be */
	struct buf key; /* of the row under way */
	struct arena *arenas;
	struct held *held;
	size_t n, cap, bytes;
	size_t next; /* of the rows that batches have */
	bool sorted;
};

struct sorter *sorter_new(const struct columns *c, struct column_keys *keys, size_t batch_bytes)
{
	struct sorter *s = xcalloc(1, sizeof(*s));
	struct err err = ERR_INIT;

	if (duckdb_api_load(&s->duck, &err) != ST_OK)
		abort(); /* who has columns has the library */
	s->columns = c;
	s->keys = keys;
	s->batch_bytes = batch_bytes;
	s->rows = column_rows_new(c, NULL, 0);
	s->types = xcalloc(columns_count(c), sizeof(*s->types));
	for (size_t i = 0; i < columns_count(c); i++)
		s->types[i] = columns_type(c, i);
	return s;
}

static void forget_tried(struct sorter *s)
{
	if (s->tried)
		s->duck->destroy_data_chunk(&s->tried);
	s->tried = NULL;
}

void sorter_clear(struct sorter *s)
{
	forget_tried(s);
	arenas_free(s->arenas);
	free(s->held);
	s->arenas = NULL;
	s->held = NULL;
	s->n = s->cap = s->bytes = s->next = 0;
	s->sorted = false;
}

void sorter_free(struct sorter *s)
{
	if (!s)
		return;
	sorter_clear(s);
	column_rows_free(s->rows);
	column_keys_free(s->keys);
	buf_release(&s->key);
	free(s->types);
	free(s);
}

size_t sorter_bytes(const struct sorter *s)
{
	return s->bytes;
}

size_t sorter_rows(const struct sorter *s)
{
	return s->n;
}

/* ---- rows come ---- */

static duckdb_data_chunk new_chunk(struct sorter *s)
{
	duckdb_data_chunk chunk = s->duck->create_data_chunk(s->types, columns_count(s->columns));

	column_rows_begin(s->rows, chunk);
	return chunk;
}

/* Decodes the row, and makes its key. */
static enum status try_row(struct sorter *s, const unsigned char *row, size_t len, struct err *err)
{
	const unsigned char *pos = row;
	enum status st;

	if (!s->tried) {
		s->tried = new_chunk(s);
	} else if (column_rows_full(s->rows)) {
		s->duck->data_chunk_reset(s->tried);
		column_rows_begin(s->rows, s->tried);
	}
	st = column_rows_add(s->rows, &pos, row + len, true, err);
	if (st != ST_OK)
		return st;
	buf_clear(&s->key);
	column_keys_add(s->keys, s->rows, column_rows_count(s->rows) - 1, &s->key);
	return ST_OK;
}

static uint64_t first_bytes(const struct buf *key)
{
	uint64_t v = 0;

	for (size_t i = 0; i < sizeof(v); i++)
		v = v << 8 | (i < key->len ? (unsigned char)key->data[i] : 0);
	return v;
}

enum status sorter_add(struct sorter *s, int64_t offset, const void *data, size_t len,
		       struct err *err)
{
	unsigned char *row = arena_room(&s->arenas, len), *key;
	enum status st;

	if (len)
		memcpy(row, data, len);
	st = try_row(s, row, len, err);
	if (st != ST_OK)
		return st;
	s->arenas->used += len;
	key = arena_room(&s->arenas, s->key.len);
	memcpy(key, s->key.data, s->key.len);
	s->arenas->used += s->key.len;
	s->bytes += s->key.len + len + ROW_BYTES;
	GROW(s->held, s->n, s->cap);
	s->held[s->n++] = (struct held){.begin = first_bytes(&s->key),
					.key = key,
					.row = row,
					.key_len = (uint32_t)s->key.len,
					.row_len = (uint32_t)len,
					.offset = offset};
	return ST_OK;
}

/* ---- rows go ---- */

static int compare(const void *x, const void *y)
{
	const struct held *a = x, *b = y;
	const size_t n = a->key_len < b->key_len ? a->key_len : b->key_len;
	int order = (a->begin > b->begin) - (a->begin < b->begin);

	/* No key begins with another, so keys of different lengths differ in these. */
	if (order == 0 && n > sizeof(a->begin))
		order = memcmp(a->key, b->key, n);
	return order ? order : (a->offset > b->offset) - (a->offset < b->offset);
}

static void begin(struct sorter *s)
{
	forget_tried(s);
	qsort(s->held, s->n, sizeof(*s->held), compare);
	s->sorted = true;
}

struct batch *sorter_next(void *ctx)
{
	struct sorter *s = ctx;
	struct batch *b;

	if (!s->sorted)
		begin(s);
	if (s->next == s->n)
		return NULL;
	b = xcalloc(1, sizeof(*b));
	b->chunk = new_chunk(s);
	do {
		const struct held *h = &s->held[s->next++];
		const unsigned char *pos = h->row;
		struct err err = ERR_INIT;
		enum status st = column_rows_add(s->rows, &pos, pos + h->row_len, true, &err);

		assert(st == ST_OK); /* it was decoded before */
		(void)st;
		b->bytes += h->row_len;
	} while (s->next < s->n && b->bytes < s->batch_bytes && !column_rows_full(s->rows));
	column_rows_end(s->rows);
	return b;
}

int64_t sorter_offset(const struct sorter *s, size_t row)
{
	assert(s->sorted);
	return s->held[row].offset;
}
