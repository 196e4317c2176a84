#include "connector/writer/inferred_rows.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "connector/writer/record_metadata.h"

struct held_row {
	int64_t offset;
	size_t len, tail_len; /* of its record's text, and of what stands behind that */
};

struct inferred_rows {
	struct parquet_settings settings;
	bool metadata;
	struct json_shape *shape;
	struct buf held; /* each record's text, then its tail */
	struct held_row *held_rows;
	size_t n, cap;
	struct compiled_schema *schema;
	struct parquet_file *file;
	struct buf bytes; /* of a row under way */
};

struct inferred_rows *inferred_rows_new(const struct parquet_settings *settings, bool metadata)
{
	struct inferred_rows *r = xcalloc(1, sizeof(*r));

	r->settings = parquet_settings_full(settings);
	r->metadata = metadata;
	r->shape = json_shape_new(metadata ? "_kafka" : NULL);
	return r;
}

static void release_held(struct inferred_rows *r)
{
	buf_release(&r->held);
	free(r->held_rows);
	r->held_rows = NULL;
	r->n = r->cap = 0;
}

void inferred_rows_free(struct inferred_rows *r)
{
	if (!r)
		return;
	release_held(r);
	json_shape_free(r->shape);
	parquet_file_free(r->file);
	compiled_schema_free(r->schema);
	buf_release(&r->bytes);
	free(r);
}

struct parquet_file *inferred_rows_file(const struct inferred_rows *r)
{
	return r->file;
}

const struct compiled_schema *inferred_rows_schema(const struct inferred_rows *r)
{
	return r->schema;
}

size_t inferred_rows_held(const struct inferred_rows *r)
{
	return r->held.len + r->n * sizeof(*r->held_rows);
}

/* ---- columns ---- */

static enum status make_schema(struct inferred_rows *r, struct err *err)
{
	AUTO(buf_release) struct buf json = BUF_INIT;
	AUTO(freep) char *text = NULL;
	enum status st = ST_OK;

	json_shape_schema(r->shape, &json);
	if (r->metadata)
		st = record_metadata_text(json.data, &text, err);
	return st == ST_OK ? compiled_schema_of_text(text ? text : json.data, &r->schema, err) : st;
}

static enum status add_row(struct inferred_rows *r, int64_t offset, const void *tail,
			   size_t tail_len, struct err *err)
{
	if (tail_len)
		buf_add(&r->bytes, tail, tail_len);
	return parquet_file_add(r->file, offset, r->bytes.data, r->bytes.len, err);
}

/* The rows that are held go into the file. */
static enum status write_held(struct inferred_rows *r, struct err *err)
{
	const char *at = r->held.data;
	enum status st = ST_OK;

	for (size_t k = 0; st == ST_OK && k < r->n; k++) {
		const struct held_row *held = &r->held_rows[k];
		enum shape_fit fit;

		buf_clear(&r->bytes);
		fit = json_shape_row(r->shape, at, &r->bytes);
		assert(fit == SHAPE_FITS);
		(void)fit;
		st = add_row(r, held->offset, at + held->len, held->tail_len, err);
		at += held->len + held->tail_len;
	}
	return st;
}

enum status inferred_rows_settle(struct inferred_rows *r, struct err *err)
{
	enum status st;

	if (r->file)
		return ST_OK;
	st = make_schema(r, err);
	if (st == ST_OK)
		st = parquet_file_new(&r->settings, r->schema->schema, r->schema->json, false,
				      &r->file, err);
	if (st == ST_OK)
		st = write_held(r, err);
	release_held(r);
	/* A row that was taken and cannot be written is a fault of ours, and no poison. */
	return st == ST_POISON ? err_wrap(err, ST_FAILED, "a row of an inferred schema") : st;
}

/* ---- rows ---- */

static enum status hold(struct inferred_rows *r, int64_t offset, const char *text, size_t len,
			const struct buf *tail, struct err *err)
{
	if (!r->n) /* at once, so that it does not move and double */
		buf_reserve(&r->held, r->settings.group_bytes);
	buf_add(&r->held, text, len);
	if (tail->len)
		buf_addbuf(&r->held, tail);
	GROW(r->held_rows, r->n, r->cap);
	r->held_rows[r->n++] = (struct held_row){offset, len, tail->len};
	return inferred_rows_held(r) >= r->settings.group_bytes ? inferred_rows_settle(r, err)
								: ST_OK;
}

enum status inferred_rows_add(struct inferred_rows *r, int64_t offset, const char *text, size_t len,
			      const struct buf *tail, enum shape_fit *fit, struct err *err)
{
	if (!r->file) {
		*fit = json_shape_add(r->shape, text) ? SHAPE_FITS : SHAPE_NEVER;
		return *fit == SHAPE_FITS ? hold(r, offset, text, len, tail, err) : ST_OK;
	}
	buf_clear(&r->bytes);
	*fit = json_shape_row(r->shape, text, &r->bytes);
	return *fit == SHAPE_FITS ? add_row(r, offset, tail->data, tail->len, err) : ST_OK;
}
