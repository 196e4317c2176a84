/* Parquet files: DuckDB gives the columns that the fields begin with as JSON lines
 * (parquet_lines.h). A column that the file lacks is absent from all of them. */
#include <stdlib.h>
#include <string.h>

#include "connector/gates/rows_impl.h"
#include "connector/writer/builtin_schemas.h"

struct parquet_rows {
	bool tombstones; /* the file holds nothing else */
	uint64_t lines;
	struct buf *scratch; /* one a field */
};

static bool is_tombstones(const struct lake_entry *entry)
{
	const char *schema = lake_meta_get(&entry->meta, "tidemark.schema");

	return schema && strcmp(schema, builtin_schema(BUILTIN_TOMBSTONE)->name) == 0;
}

bool rows_parquet_wants(const struct lake_entry *entry)
{
	return text_ends(entry->path, ".parquet") && !is_tombstones(entry);
}

static enum status parquet_open(struct rows *r, struct err *err)
{
	struct parquet_rows *p = r->form_data = xcalloc(1, sizeof(*p));
	const struct rows_settings *s = &r->pass->settings;
	AUTO(lake_entry_release) struct lake_entry entry = {.path = NULL};
	enum status st = lake_stat(s->lake, s->commit, r->path, &entry, err);

	p->scratch = xcalloc(r->n_fields + 1, sizeof(*p->scratch));
	if (st != ST_OK)
		return st;
	p->tombstones = is_tombstones(&entry);
	if (!p->tombstones)
		parquet_lines_begin(r->pass->parquet, r->path);
	return ST_OK;
}

/* What the query said is no error of Tidemark's but of the file. */
static enum status with_path(const struct rows *r, enum status st, struct err *err)
{
	return st == ST_FAILED ? rows_bad(r, err, "%s", err ? strdupa(err->text) : "") : st;
}

static enum status parquet_next(struct rows *r, bool *tombstone, struct err *err)
{
	struct parquet_rows *p = r->form_data;
	const char *line = NULL;
	size_t len = 0;
	enum status st;

	if (p->tombstones) /* which are no rows of the topic's */
		return ST_END;
	st = parquet_lines_next(r->pass->parquet, &line, &len, err);
	if (st != ST_OK)
		return with_path(r, st, err);
	return rows_take_line(r, line, len, ++p->lines, p->scratch, tombstone, err);
}

static enum status parquet_schema(const struct rows *r, struct buf *out, struct err *err)
{
	return with_path(r, parquet_lines_schema(&r->pass->settings, r->path, out, err), err);
}

static void parquet_close(struct rows *r)
{
	struct parquet_rows *p = r->form_data;

	for (size_t i = 0; p && i < r->n_fields; i++)
		buf_release(&p->scratch[i]);
	free(p ? p->scratch : NULL);
	free(p);
}

const struct rows_form rows_parquet = {
	.open = parquet_open,
	.next = parquet_next,
	.schema = parquet_schema,
	.close = parquet_close,
};
