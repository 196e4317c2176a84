#include "connector/columnar/parquet_file.h"

#include <stdlib.h>
#include <string.h>

#include "connector/columnar/parquet_copy.h"
#include "core/base/killpoint.h"

#define GROUP_BYTES ((size_t)8 << 20)
#define GROUP_ROWS ((size_t)1 << 20)
#define BATCH_MAX_BYTES ((size_t)1 << 20)
#define ARENA_BYTES ((size_t)256 << 10)

struct parquet_file {
	struct parquet_settings settings;
	const struct duckdb_api *duck;
	struct columns *columns;
	duckdb_logical_type *types; /* borrowed from columns */
	struct column_rows *rows;
	char *schema_json;
	struct batch *open; /* being filled */
	struct copy *copy; /* NULL: not begun */
	uint64_t raw; /* bytes of rows, all */
};

/* ---- batches ---- */

/* Room for len bytes that stay where they are, and the decoder's slack. */
static unsigned char *batch_room(struct batch *b, size_t len)
{
	size_t need = len + COLUMN_ROWS_SLACK;
	struct arena *a = b->arenas;

	if (!a || a->cap - a->used < need) {
		size_t cap = need > ARENA_BYTES ? need : ARENA_BYTES;

		a = xmalloc(sizeof(*a) + cap);
		a->next = b->arenas;
		a->used = 0;
		a->cap = cap;
		memset(a->data + cap - COLUMN_ROWS_SLACK, 0, COLUMN_ROWS_SLACK);
		b->arenas = a;
	}
	return a->data + a->used;
}

static struct batch *batch_new(struct parquet_file *f)
{
	struct batch *b = xcalloc(1, sizeof(*b));

	b->chunk = f->duck->create_data_chunk(f->types, columns_count(f->columns));
	column_rows_begin(f->rows, b->chunk);
	return b;
}

/* Hands the open batch to COPY, which the first one begins. */
static enum status flush(struct parquet_file *f, struct err *err)
{
	const struct copy_plan plan = {&f->settings, f->columns, f->schema_json};
	enum status st = f->copy ? ST_OK : copy_begin(&plan, &f->copy, err);

	KILL_POINT("writer.block");
	if (st != ST_OK)
		return st;
	column_rows_end(f->rows);
	st = copy_give(f->copy, f->open, err);
	if (st == ST_OK)
		f->open = NULL;
	return st;
}

/* ---- files ---- */

static struct parquet_settings with_defaults(const struct parquet_settings *s)
{
	struct parquet_settings full = *s;

	if (!full.group_bytes)
		full.group_bytes = GROUP_BYTES;
	if (!full.group_rows)
		full.group_rows = GROUP_ROWS;
	return full;
}

/* A batch goes to COPY with so many raw bytes at the latest. */
static size_t batch_bytes(const struct parquet_settings *s)
{
	size_t share = s->group_bytes / 8;

	return share < BATCH_MAX_BYTES ? share : BATCH_MAX_BYTES;
}

enum status parquet_schema_check(const struct schema *schema, struct err *err)
{
	AUTO(columns_freep) struct columns *c = NULL;

	return columns_new(schema, false, &c, err);
}

enum status parquet_file_new(const struct parquet_settings *settings, const struct schema *schema,
			     const char *schema_json, bool json, struct parquet_file **out,
			     struct err *err)
{
	AUTO(parquet_file_freep) struct parquet_file *f = xcalloc(1, sizeof(*f));
	enum status st = columns_new(schema, json, &f->columns, err);

	if (st != ST_OK)
		return st;
	f->settings = with_defaults(settings);
	f->duck = settings->engine->duck;
	f->schema_json = xstrdup(schema_json);
	f->rows = column_rows_new(f->columns, NULL, 0);
	f->types = xcalloc(columns_count(f->columns), sizeof(*f->types));
	for (size_t i = 0; i < columns_count(f->columns); i++)
		f->types[i] = columns_type(f->columns, i);
	*out = MOVE(f);
	return ST_OK;
}

void parquet_file_free(struct parquet_file *f)
{
	if (!f)
		return;
	copy_free(f->copy);
	batch_free(f->duck, f->open);
	column_rows_free(f->rows);
	columns_free(f->columns);
	free(f->types);
	free(f->schema_json);
	free(f);
}

enum status parquet_file_add(struct parquet_file *f, const void *data, size_t len, struct err *err)
{
	const unsigned char *pos;
	unsigned char *room;
	enum status st;

	if (!f->open)
		f->open = batch_new(f);
	room = batch_room(f->open, len);
	if (len)
		memcpy(room, data, len);
	pos = room;
	st = column_rows_add(f->rows, &pos, room + len, true, err);
	if (__builtin_expect(st != ST_OK, 0))
		return st;
	f->open->arenas->used += len;
	f->open->bytes += len;
	f->raw += len;
	if (f->open->bytes >= batch_bytes(&f->settings) || column_rows_full(f->rows))
		return flush(f, err);
	return ST_OK;
}

uint64_t parquet_file_bytes(const struct parquet_file *f)
{
	return f->copy ? copy_bytes(f->copy) + (f->raw - copy_raw_bytes(f->copy)) : f->raw;
}

size_t parquet_file_memory(const struct parquet_settings *s)
{
	struct parquet_settings full = with_defaults(s);

	return (size_t)PARQUET_FILE_BYTES + PARQUET_GROUP_COPIES * full.group_bytes;
}

enum status parquet_file_end(struct parquet_file *f, struct err *err)
{
	enum status st = f->open ? flush(f, err) : ST_OK;

	if (st != ST_OK)
		return st;
	copy_end(f->copy);
	return ST_OK;
}

enum status parquet_file_finish(struct parquet_file *f, struct lake_upload **out, struct err *err)
{
	enum status st = parquet_file_end(f, err);

	if (st != ST_OK)
		return st;
	st = copy_finish(f->copy, out, err);
	copy_free(MOVE(f->copy));
	f->raw = 0;
	return st;
}
