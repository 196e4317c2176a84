#include "connector/columnar/parquet_file.h"

#include <stdlib.h>
#include <string.h>

#include "connector/columnar/column_keys.h"
#include "connector/columnar/parquet_copy.h"
#include "connector/columnar/parquet_sorter.h"
#include "core/base/killpoint.h"

#define GROUP_BYTES ((size_t)8 << 20)
#define GROUP_ROWS ((size_t)1 << 20)
#define BATCH_MAX_BYTES ((size_t)1 << 20)
/* Of a sorted file: so that its offsets are no more than 4 MiB (offset_runs.h). */
#define HELD_ROWS ((size_t)1 << 20)

struct parquet_file {
	struct parquet_settings settings;
	const struct duckdb_api *duck;
	struct columns *columns;
	duckdb_logical_type *types; /* borrowed from columns */
	struct column_rows *rows;
	char *schema_json;
	struct sorter *sorter; /* NULL: rows are written as they come */
	struct batch *open; /* being filled */
	struct copy *copy; /* NULL: not begun */
	uint64_t raw; /* bytes of rows, all */
};

/* ---- batches ---- */

static struct batch *batch_new(struct parquet_file *f)
{
	struct batch *b = xcalloc(1, sizeof(*b));

	b->chunk = f->duck->create_data_chunk(f->types, columns_count(f->columns));
	column_rows_begin(f->rows, b->chunk);
	return b;
}

static enum status begin_copy(struct parquet_file *f, struct err *err)
{
	const struct copy_plan plan = {.settings = &f->settings,
				       .columns = f->columns,
				       .schema_json = f->schema_json,
				       .next = f->sorter ? sorter_next : NULL,
				       .ctx = f->sorter};

	return f->copy ? ST_OK : copy_begin(&plan, &f->copy, err);
}

/* Hands the open batch to COPY, which the first one begins. */
static enum status flush(struct parquet_file *f, struct err *err)
{
	enum status st = begin_copy(f, err);

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

struct parquet_settings parquet_settings_full(const struct parquet_settings *s)
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

enum status parquet_schema_check(const struct schema *schema, const struct sort_columns *sort,
				 struct err *err)
{
	AUTO(columns_freep) struct columns *c = NULL;
	enum status st = columns_new(schema, false, &c, err);

	if (st != ST_OK || !sort || !sort->n)
		return st;
	st = column_keys_check(c, sort->paths, sort->n, err);
	return st == ST_OK ? ST_OK : err_wrap(err, st, "parquet.sort.columns");
}

static struct sorter *sorter_of(const struct parquet_file *f)
{
	const struct sort_columns *sort = &f->settings.sort;
	AUTO(column_keys_freep) struct column_keys *keys = NULL;

	if (!sort->n)
		return NULL;
	keys = column_keys_new(f->columns, sort->paths, sort->n);
	/* Equal keys leave the rows in their order. */
	return column_keys_are_equal(keys)
		       ? NULL
		       : sorter_new(f->columns, MOVE(keys), batch_bytes(&f->settings));
}

enum status parquet_file_new(const struct parquet_settings *settings, const struct schema *schema,
			     const char *schema_json, bool json, struct parquet_file **out,
			     struct err *err)
{
	AUTO(parquet_file_freep) struct parquet_file *f = xcalloc(1, sizeof(*f));
	enum status st = columns_new(schema, json, &f->columns, err);

	if (st != ST_OK)
		return st;
	f->settings = parquet_settings_full(settings);
	f->duck = settings->engine->duck;
	f->schema_json = xstrdup(schema_json);
	f->rows = column_rows_new(f->columns, NULL, 0);
	f->types = xcalloc(columns_count(f->columns), sizeof(*f->types));
	for (size_t i = 0; i < columns_count(f->columns); i++)
		f->types[i] = columns_type(f->columns, i);
	f->sorter = sorter_of(f);
	*out = MOVE(f);
	return ST_OK;
}

void parquet_file_free(struct parquet_file *f)
{
	if (!f)
		return;
	copy_free(f->copy);
	batch_free(f->duck, f->open);
	sorter_free(f->sorter);
	column_rows_free(f->rows);
	columns_free(f->columns);
	free(f->types);
	free(f->schema_json);
	free(f);
}

enum status parquet_file_add(struct parquet_file *f, int64_t offset, const void *data, size_t len,
			     struct err *err)
{
	const unsigned char *pos;
	unsigned char *room;
	enum status st;

	if (f->sorter) {
		st = sorter_add(f->sorter, offset, data, len, err);
		f->raw += st == ST_OK ? len : 0;
		return st;
	}
	if (!f->open)
		f->open = batch_new(f);
	room = arena_room(&f->open->arenas, len);
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

bool parquet_file_full(const struct parquet_file *f)
{
	return f->sorter &&
	       (sorter_bytes(f->sorter) >= PARQUET_HELD_GROUPS * f->settings.group_bytes ||
		sorter_rows(f->sorter) >= HELD_ROWS);
}

uint64_t parquet_file_bytes(const struct parquet_file *f)
{
	return f->copy ? copy_bytes(f->copy) + (f->raw - copy_raw_bytes(f->copy)) : f->raw;
}

size_t parquet_group_copies(const struct parquet_settings *s)
{
	return PARQUET_GROUP_COPIES + (s->sort.n ? PARQUET_HELD_GROUPS : 0) + (s->infer ? 1 : 0);
}

size_t parquet_file_memory(const struct parquet_settings *s)
{
	struct parquet_settings full = parquet_settings_full(s);

	return (size_t)PARQUET_FILE_BYTES + parquet_group_copies(s) * full.group_bytes;
}

enum status parquet_file_end(struct parquet_file *f, struct err *err)
{
	enum status st = f->sorter ? begin_copy(f, err) : f->open ? flush(f, err) : ST_OK;

	if (st != ST_OK)
		return st;
	copy_end(f->copy);
	return ST_OK;
}

enum status parquet_file_finish(struct parquet_file *f, struct offset_runs *runs,
				struct lake_upload **out, struct err *err)
{
	enum status st = parquet_file_end(f, err);

	if (st != ST_OK)
		return st;
	st = copy_finish(f->copy, out, err);
	copy_free(MOVE(f->copy));
	f->raw = 0;
	if (!f->sorter)
		return st;
	offset_runs_clear(runs);
	for (size_t i = 0; st == ST_OK && i < sorter_rows(f->sorter); i++)
		offset_runs_add(runs, sorter_offset(f->sorter, i));
	sorter_clear(f->sorter);
	return st;
}
