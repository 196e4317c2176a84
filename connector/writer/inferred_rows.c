#include "connector/writer/inferred_rows.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "connector/writer/record_metadata.h"

struct held_row {
	int64_t offset;
	size_t len, tail_len;
};

struct inferred_rows {
	struct parquet_settings settings;
	bool metadata;
	struct json_shape *shape;
	struct buf held; /* each record's text, then its tail */
	struct held_row *rows;
	size_t n, cap;
	struct compiled_schema *schema;
	struct parquet_file *file;
	struct buf bytes; /* of a row under way */
};

struct inferred_rows *inferred_rows_new(const struct parquet_settings *settings, bool metadata)
{
	struct inferred_rows *i = xcalloc(1, sizeof(*i));

	i->settings = parquet_settings_full(settings);
	i->metadata = metadata;
	i->shape = json_shape_new(metadata ? "_kafka" : NULL);
	return i;
}

static void release_held(struct inferred_rows *i)
{
	buf_release(&i->held);
	free(i->rows);
	i->rows = NULL;
	i->n = i->cap = 0;
}

void inferred_rows_free(struct inferred_rows *i)
{
	if (!i)
		return;
	release_held(i);
	json_shape_free(i->shape);
	parquet_file_free(i->file);
	compiled_schema_free(i->schema);
	buf_release(&i->bytes);
	free(i);
}

struct parquet_file *inferred_rows_file(const struct inferred_rows *i)
{
	return i->file;
}

const struct compiled_schema *inferred_rows_schema(const struct inferred_rows *i)
{
	return i->schema;
}

size_t inferred_rows_held(const struct inferred_rows *i)
{
	return i->held.len + i->n * sizeof(*i->rows);
}

/* ---- columns ---- */

static enum status make_schema(struct inferred_rows *i, struct err *err)
{
	AUTO(buf_release) struct buf json = BUF_INIT;
	AUTO(freep) char *text = NULL;
	enum status st = ST_OK;

	json_shape_schema(i->shape, &json);
	if (i->metadata)
		st = record_metadata_text(json.data, &text, err);
	return st == ST_OK ? compiled_schema_of_text(text ? text : json.data, &i->schema, err) : st;
}

static enum status add_row(struct inferred_rows *i, int64_t offset, const void *tail,
			   size_t tail_len, struct err *err)
{
	if (tail_len)
		buf_add(&i->bytes, tail, tail_len);
	return parquet_file_add(i->file, offset, i->bytes.data, i->bytes.len, err);
}

/* The rows that are held go into the file. */
static enum status write_held(struct inferred_rows *i, struct err *err)
{
	const char *at = i->held.data;
	enum status st = ST_OK;

	for (size_t k = 0; st == ST_OK && k < i->n; k++) {
		const struct held_row *r = &i->rows[k];
		enum shape_fit fit;

		buf_clear(&i->bytes);
		fit = json_shape_row(i->shape, at, r->len, &i->bytes);
		assert(fit == SHAPE_FITS);
		(void)fit;
		st = add_row(i, r->offset, at + r->len, r->tail_len, err);
		at += r->len + r->tail_len;
	}
	return st;
}

enum status inferred_rows_settle(struct inferred_rows *i, struct err *err)
{
	enum status st;

	if (i->file)
		return ST_OK;
	st = make_schema(i, err);
	if (st == ST_OK)
		st = parquet_file_new(&i->settings, i->schema->schema, i->schema->json, false,
				      &i->file, err);
	if (st == ST_OK)
		st = write_held(i, err);
	release_held(i);
	/* A row that was taken and cannot be written is a fault of ours, and no poison. */
	return st == ST_POISON ? err_wrap(err, ST_FAILED, "a row of an inferred schema") : st;
}

/* ---- rows ---- */

static enum status hold(struct inferred_rows *i, int64_t offset, const char *text, size_t len,
			const struct buf *tail, struct err *err)
{
	if (!i->n) /* at once, so that it does not move and double */
		buf_reserve(&i->held, i->settings.group_bytes);
	buf_add(&i->held, text, len);
	if (tail->len)
		buf_addbuf(&i->held, tail);
	GROW(i->rows, i->n, i->cap);
	i->rows[i->n++] = (struct held_row){offset, len, tail->len};
	return inferred_rows_held(i) >= i->settings.group_bytes ? inferred_rows_settle(i, err)
								: ST_OK;
}

enum status inferred_rows_add(struct inferred_rows *i, int64_t offset, const char *text, size_t len,
			      const struct buf *tail, enum shape_fit *fit, struct err *err)
{
	if (!i->file) {
		*fit = json_shape_add(i->shape, text, len) ? SHAPE_FITS : SHAPE_NEVER;
		return *fit == SHAPE_FITS ? hold(i, offset, text, len, tail, err) : ST_OK;
	}
	buf_clear(&i->bytes);
	*fit = json_shape_row(i->shape, text, len, &i->bytes);
	return *fit == SHAPE_FITS ? add_row(i, offset, tail->data, tail->len, err) : ST_OK;
}
