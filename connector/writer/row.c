#include "connector/writer/row.h"

#include <stdlib.h>
#include <string.h>

#include "connector/schema/json_encode.h"
#include "connector/schema/utf8.h"
#include "connector/writer/avro_row.h"
#include "connector/writer/builtin_schemas.h"
#include "connector/writer/json_line.h"
#include "connector/writer/record_metadata.h"

bool rows_of_values(enum file_format format)
{
	return format == FORMAT_AVRO || format == FORMAT_PARQUET;
}

bool rows_of_one_column(const struct writer_settings *s)
{
	return s->converter == CONVERTER_STRING || s->converter == CONVERTER_BYTES ||
	       (s->converter == CONVERTER_JSON && !s->schema_json);
}

/* ---- schemas ---- */

static void row_schema_free(struct row_schema *s)
{
	if (!s)
		return;
	partition_plan_free(s->plan);
	compiled_schema_free(s->own_value);
	compiled_schema_free(s->own_row);
	free(s);
}

static void row_schema_freep(struct row_schema **s)
{
	row_schema_free(*s);
}

void row_source_release(struct row_source *s)
{
	for (size_t i = 0; i < s->n; i++)
		row_schema_free(s->schemas[i]);
	free(s->schemas);
	buf_release(&s->scratch);
}

static struct row_schema *find(const struct row_source *s, int64_t key)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->schemas[i]->key == key)
			return s->schemas[i];
	return NULL;
}

/* Adds the schema of values; own is consumed in any case. value NULL: lines. */
static enum status add(struct row_source *s, int64_t key, const struct compiled_schema *value,
		       struct compiled_schema *own, struct row_schema **out, struct err *err)
{
	AUTO(row_schema_freep) struct row_schema *schema = xcalloc(1, sizeof(*schema));
	const struct writer_settings *set = s->settings;
	enum status st = ST_OK;

	schema->key = key;
	schema->value = schema->row = value;
	schema->own_value = own;
	if (value && set->metadata && key != KEY_TOMBSTONES) {
		st = record_metadata_schema(value, &schema->own_row, err);
		schema->row = schema->own_row;
	}
	if (st != ST_OK)
		return err_wrap(err, key == KEY_OWN ? ST_USAGE : ST_POISON, "record.metadata=true");
	if (value && set->partitioner && partitioner_reads_values(set->partitioner) &&
	    key != KEY_TOMBSTONES && !rows_of_one_column(set))
		schema->plan = partition_plan_new(set->partitioner, value->schema);
	GROW(s->schemas, s->n, s->cap);
	*out = s->schemas[s->n++] = MOVE(schema);
	return ST_OK;
}

enum status row_of_id(struct row_source *s, int32_t id, struct row *row, struct err *err)
{
	const struct compiled_schema *value;
	enum status st = ST_OK;

	if (!s->last || s->last->key != id)
		s->last = find(s, id);
	if (!s->last) {
		st = registry_compiled(s->settings->registry, id, &value, err);
		if (st == ST_OK)
			st = add(s, id, value, NULL, &s->last, err);
	}
	row->schema = s->last;
	return st;
}

static enum status file_schema(struct row_source *s, struct row_schema **out, struct err *err)
{
	AUTO(compiled_schema_freep) struct compiled_schema *c = NULL;
	const struct compiled_schema *value;
	enum status st = compiled_schema_new(NULL, s->settings->schema_json, &c, err);

	value = c;
	if (st == ST_OK && s->settings->converter == CONVERTER_JSON)
		st = json_encode_prepare(c->schema, err);
	if (st == ST_OK)
		st = add(s, KEY_OWN, value, MOVE(c), out, err);
	return st == ST_OK ? ST_OK : err_wrap(err, ST_USAGE, "value.converter.schema.file");
}

/* The schema where there is only one. */
static enum status own_schema(struct row_source *s, const struct row_schema **out, struct err *err)
{
	const struct writer_settings *set = s->settings;
	struct row_schema *schema = find(s, KEY_OWN);
	enum status st = ST_OK;

	*out = schema;
	if (schema)
		return ST_OK;
	if (!rows_of_values(set->format))
		st = add(s, KEY_OWN, NULL, NULL, &schema, err);
	else if (rows_of_one_column(set))
		st = add(s, KEY_OWN,
			 builtin_schema(set->converter == CONVERTER_BYTES ? BUILTIN_BYTES
									  : BUILTIN_STRING),
			 NULL, &schema, err);
	else
		st = file_schema(s, &schema, err);
	*out = schema;
	return st;
}

/* ---- values ---- */

enum status row_json(const struct record *r, struct json_line *out, struct err *err)
{
	const char *why;
	size_t where;

	if (json_line_check(r->value, r->value_len, out, &where, &why))
		return ST_OK;
	return err_set(err, ST_POISON, "the value is no JSON: %s, at byte %zu", why, where);
}

static enum status make_line(struct row_source *s, const struct record *r, struct row *row,
			     struct err *err)
{
	const struct writer_settings *set = s->settings;
	struct json_line line = {.text = NULL};
	enum status st = ST_OK;

	if (set->format == FORMAT_BYTES) {
		row->value = r->value;
		row->len = r->value_len;
		return ST_OK;
	}
	if (!r->value) {
		line = (struct json_line){.text = "null", .len = 4};
	} else if (set->converter == CONVERTER_JSON) {
		st = row_json(r, &line, err);
		if (st == ST_OK && line.broken)
			json_line_flatten(&line, &s->scratch);
	} else {
		json_line_add_string(&s->scratch, r->value, r->value_len);
	}
	if (s->scratch.len)
		line = (struct json_line){.text = s->scratch.data, .len = s->scratch.len};
	row->value = line.text;
	row->len = line.len;
	row->json = r->value && set->converter == CONVERTER_JSON;
	return st;
}

/* A row of ["null", "string"|"bytes"]. */
static enum status make_nullable(const struct writer_settings *set, const struct record *r,
				 struct row *row, struct err *err)
{
	uint64_t len = (uint64_t)r->value_len << 1;
	unsigned char *p = row->head;
	struct json_line json;

	if (r->value && set->converter == CONVERTER_JSON) {
		enum status st = row_json(r, &json, err);

		if (st != ST_OK)
			return st;
	}
	*p++ = r->value ? 2 : 0;
	if (r->value) {
		for (; len >= 0x80; len >>= 7)
			*p++ = (unsigned char)(len | 0x80);
		*p++ = (unsigned char)len;
	}
	row->head_len = (size_t)(p - row->head);
	row->value = r->value;
	row->len = r->value_len;
	row->checked = true;
	row->json = r->value && set->converter == CONVERTER_JSON;
	return ST_OK;
}

enum status row_of_record(struct row_source *s, const struct record *r, struct row *row,
			  struct err *err)
{
	const struct writer_settings *set = s->settings;
	enum status st = own_schema(s, &row->schema, err);

	if (st != ST_OK)
		return st;
	buf_clear(&s->scratch);
	if (set->converter == CONVERTER_JSON && r->value && !r->value_len)
		return err_set(err, ST_POISON, "the value is empty, which is no JSON");
	if (set->converter == CONVERTER_STRING && r->value && !utf8_check(r->value, r->value_len))
		return err_set(err, ST_POISON, "the value is not UTF-8");
	if (!rows_of_values(set->format))
		return make_line(s, r, row, err);
	if (rows_of_one_column(set))
		return make_nullable(set, r, row, err);
	row->value = r->value;
	row->len = r->value_len;
	if (set->converter == CONVERTER_AVRO_RAW)
		return ST_OK;
	st = json_encode(row->schema->value->schema, r->value, r->value_len, &s->scratch, err);
	row->value = s->scratch.data;
	row->len = s->scratch.len;
	row->checked = true;
	return st;
}

enum status row_of_tombstone(struct row_source *s, const struct record *r, struct row *row,
			     struct err *err)
{
	struct row_schema *schema = find(s, KEY_TOMBSTONES);
	enum status st = ST_OK;

	if (!schema)
		st = add(s, KEY_TOMBSTONES, builtin_schema(BUILTIN_TOMBSTONE), NULL, &schema, err);
	if (st != ST_OK)
		return st;
	buf_clear(&s->scratch);
	avro_row_nullable_bytes(&s->scratch, r->key, r->key_len);
	avro_row_timestamp(&s->scratch, r);
	avro_row_headers(&s->scratch, r);
	avro_row_long(&s->scratch, r->partition);
	avro_row_long(&s->scratch, r->offset);
	row->schema = schema;
	row->value = s->scratch.data;
	row->len = s->scratch.len;
	row->checked = true;
	return ST_OK;
}
