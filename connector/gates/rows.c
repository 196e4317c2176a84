#include "connector/gates/rows.h"

#include <stdlib.h>
#include <string.h>

#include "connector/gates/rows_impl.h"

static const struct {
	const char *end;
	const struct rows_form *form; /* NULL: it has no fields */
	enum file_codec codec;
} forms[] = {
	{".avro", &rows_container, CODEC_NULL}, /* its head names the codec */
	{".parquet", &rows_parquet, CODEC_NULL},
	{".jsonl", &rows_lines, CODEC_NULL},
	{".jsonl.gz", &rows_lines, CODEC_GZIP},
	{".jsonl.zst", &rows_lines, CODEC_ZSTANDARD},
	{".bin", NULL, CODEC_NULL},
	{".bin.gz", NULL, CODEC_NULL},
	{".bin.zst", NULL, CODEC_NULL},
};

enum status rows_bad(const struct rows *rows, struct err *err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	err_setv(err, ST_POISON, fmt, args);
	va_end(args);
	return err_wrap(err, ST_POISON, "%s", rows->path);
}

static enum status read_object(void *ctx, uint64_t offset, void *data, size_t len, size_t *n_out,
			       struct err *err)
{
	return lake_object_read(ctx, offset, data, len, n_out, err);
}

static enum status open_form(struct rows *r, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		if (!text_ends(r->path, forms[i].end))
			continue;
		if (!forms[i].form)
			return rows_bad(r, err, "records of format=bytes have no fields");
		r->codec = forms[i].codec;
		r->form = forms[i].form;
		return r->form->open(r, err);
	}
	return rows_bad(r, err, "it is no file of records");
}

struct rows_pass *rows_pass_new(const struct rows_settings *settings)
{
	struct rows_pass *p = xcalloc(1, sizeof(*p));

	p->settings = *settings;
	p->parquet = parquet_lines_new(&p->settings);
	return p;
}

void rows_pass_free(struct rows_pass *p)
{
	if (!p)
		return;
	parquet_lines_free(p->parquet);
	free(p);
}

void rows_pass_expect(struct rows_pass *p, const struct lake_entry *entry)
{
	if (rows_parquet_wants(entry))
		parquet_lines_expect(p->parquet, entry->path);
}

void rows_pass_forget(struct rows_pass *p)
{
	parquet_lines_forget(p->parquet);
}

enum status rows_open(struct rows_pass *pass, const char *path, struct rows **out, struct err *err)
{
	const struct rows_settings *s = &pass->settings;
	AUTO(rows_closep) struct rows *r = xcalloc(1, sizeof(*r));
	enum status st;

	r->pass = pass;
	r->path = path;
	r->fields = s->fields;
	r->n_fields = s->n_fields;
	r->values = xcalloc(s->n_fields + 1, sizeof(*r->values));
	r->lack = xcalloc(s->n_fields + 1, sizeof(*r->lack));
	st = lake_object_open(s->lake, s->commit, path, &r->object, err);
	r->source = (struct byte_source){.read = read_object, .ctx = r->object};
	if (st == ST_OK)
		st = open_form(r, err);
	if (st == ST_OK)
		*out = MOVE(r);
	return st;
}

const char *rows_lack(const struct rows *r, size_t field)
{
	return r->lack[field];
}

enum status rows_schema(const struct rows *r, struct buf *out, struct err *err)
{
	return r->form->schema(r, out, err);
}

enum status rows_next(struct rows *r, struct row *out, struct err *err)
{
	bool tombstone = false;
	enum status st;

	for (size_t i = 0; i < r->n_fields; i++)
		r->values[i] = (struct value){.kind = VALUE_ABSENT};
	st = r->form->next(r, &tombstone, err);
	if (st == ST_OK)
		*out = (struct row){.tombstone = tombstone, .values = r->values};
	return st;
}

void rows_close(struct rows *r)
{
	if (!r)
		return;
	if (r->form)
		r->form->close(r);
	for (size_t i = 0; r->lack && i < r->n_fields; i++)
		free(r->lack[i]);
	lake_object_close(r->object);
	byte_source_release(&r->source);
	free(r->lack);
	free(r->values);
	free(r);
}
