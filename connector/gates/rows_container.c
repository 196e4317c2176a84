/* Avro object container files. */
#include <stdlib.h>
#include <string.h>

#include "connector/schema/avro_fields.h"
#include "connector/gates/rows_impl.h"
#include "connector/writer/builtin_schemas.h"
#include "connector/writer/container_reader.h"

struct container_rows {
	struct container_reader *reader;
	struct schema *schema;
	struct avro_fields *fields;
	bool tombstones; /* the file holds nothing else */
	struct buf raw; /* the block, decompressed */
	struct bytes block; /* what is left of it */
	uint64_t rows; /* left in it */
};

static void container_close(struct rows *r)
{
	struct container_rows *c = r->form_data;

	if (!c)
		return;
	avro_fields_free(c->fields);
	schema_free(c->schema);
	container_reader_free(c->reader);
	buf_release(&c->raw);
	free(c);
}

/* The reader's errors say nothing of the path. */
static enum status with_path(const struct rows *r, enum status st, struct err *err)
{
	return st == ST_POISON ? err_wrap(err, st, "%s", r->path) : st;
}

static enum status container_open(struct rows *r, struct err *err)
{
	struct container_rows *c = r->form_data = xcalloc(1, sizeof(*c));
	enum status st = with_path(r, container_reader_open(&r->source, &c->reader, err), err);
	const char *text;

	if (st != ST_OK)
		return st;
	text = container_reader_schema(c->reader);
	st = schema_parse(text, strlen(text), &c->schema, err);
	if (st != ST_OK)
		return rows_bad(r, err, "its schema cannot be read: %s",
				err ? strdupa(err->text) : "");
	c->tombstones = builtin_schema_is(BUILTIN_TOMBSTONE, c->schema);
	if (!c->tombstones)
		c->fields = avro_fields_new(c->schema, r->fields, r->n_fields, r->lack);
	return ST_OK;
}

static enum status next_block(struct rows *r, struct container_rows *c, struct err *err)
{
	enum status st = container_reader_next(c->reader, &c->raw, &c->rows, err);

	if (st != ST_OK)
		return with_path(r, st, err);
	/* of a tombstone no field is asked for */
	c->block = c->tombstones ? bytes_of(NULL, 0) : bytes_of(buf_str(&c->raw), c->raw.len);
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
					(unsigned long long)container_reader_blocks(c->reader) - 1);
		st = next_block(r, c, err);
		if (st != ST_OK)
			return st;
	}
	c->rows--;
	*tombstone = c->tombstones;
	if (c->tombstones)
		return ST_OK;
	why = avro_fields_read(c->fields, &c->block, r->values);
	return why ? rows_bad(r, err, "block %llu: %s",
			      (unsigned long long)container_reader_blocks(c->reader) - 1, why)
		   : ST_OK;
}

static enum status container_schema(const struct rows *r, struct buf *out, struct err *err)
{
	const struct container_rows *c = r->form_data;

	(void)err;
	buf_adds(out, container_reader_schema(c->reader));
	return ST_OK;
}

const struct rows_form rows_container = {
	.open = container_open,
	.next = container_next,
	.schema = container_schema,
	.close = container_close,
};
