#include "connector/writer/record_metadata.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "connector/schema/json_fields.h"
#include "connector/schema/utf8.h"
#include "connector/writer/avro_row.h"
#include "connector/writer/base64.h"
#include "connector/writer/builtin_schemas.h"
#include "connector/writer/json_line.h"

#define FIELD "_kafka"

/* ---- schemas ---- */

/* {"name": "_kafka", "type": ["null", ...], "default": null}: with the default, rows
 * from before the setting was switched on can be read as rows from after it. */
static json_t *field(void)
{
	return json_pack("{s:s, s:[s, o], s:n}", "name", FIELD, "type", "null",
			 json_loads(builtin_schema(BUILTIN_KAFKA)->json, 0, NULL), "default");
}

/* A record's own array of fields, whatever {"type": ...} is around it. */
static json_t *fields_of(json_t *root)
{
	json_t *type = json_object_get(root, "type");

	while (json_is_object(type)) {
		root = type;
		type = json_object_get(root, "type");
	}
	return json_object_get(root, "fields");
}

enum status record_metadata_schema(const struct compiled_schema *value,
				   struct compiled_schema **out, struct err *err)
{
	AUTO(json_decrefp)
	json_t *root = json_loads(value->json, JSON_DECODE_ANY, NULL);
	const struct schema_node *node = schema_root(value->schema);
	AUTO(freep) char *text = NULL;
	AUTO(freep) char *name = NULL;

	if (node->type != SCHEMA_RECORD) {
		/* No namespace: it would become that of the names within. */
		root = json_pack("{s:s, s:s, s:[{s:s, s:o}, o]}", "type", "record", "name",
				 "TidemarkRow", "fields", "name", "value", "type", MOVE(root),
				 field());
	} else {
		for (size_t i = 0; i < node->n_fields; i++)
			if (strcmp(node->fields[i].name, FIELD) == 0)
				return err_set(err, ST_FAILED,
					       "schema %s has a field " FIELD
					       " already; set it to false, or rename the field",
					       value->name);
		json_array_append_new(fields_of(root), field());
	}
	text = json_dumps(root, JSON_COMPACT);
	if (strncmp(value->name, "id:", 3) == 0)
		name = xasprintf("%s+" FIELD, value->name);
	if (!text || compiled_schema_new(name, text, out, err) != ST_OK)
		return err_wrap(err, ST_FAILED, "schema %s with the field " FIELD, value->name);
	return ST_OK;
}

enum status record_metadata_text(const char *schema_json, char **out, struct err *err)
{
	AUTO(compiled_schema_freep) struct compiled_schema *value = NULL;
	AUTO(compiled_schema_freep) struct compiled_schema *row = NULL;
	enum status st = compiled_schema_new(NULL, schema_json, &value, err);

	if (st == ST_OK)
		st = record_metadata_schema(value, &row, err);
	if (st == ST_OK)
		*out = xstrdup(row->json);
	return st;
}

/* ---- rows ---- */

void record_metadata_add(struct buf *b, const struct record *r)
{
	avro_row_long(b, 1); /* the branch that is not null */
	avro_row_text(b, r->topic);
	avro_row_long(b, r->partition);
	avro_row_long(b, r->offset);
	avro_row_timestamp(b, r);
	avro_row_nullable_bytes(b, r->key, r->key_len);
	avro_row_headers(b, r);
}

/* "key":"text", "key_base64":"AAE=" or "key":null */
static void add_bytes(struct buf *b, const char *name, const void *data, size_t len)
{
	if (!data) {
		buf_addf(b, "\"%s\":null", name);
	} else if (utf8_check(data, len)) {
		buf_addf(b, "\"%s\":", name);
		json_line_add_string(b, data, len);
	} else {
		buf_addf(b, "\"%s_base64\":\"", name);
		base64_add(b, data, len);
		buf_addc(b, '"');
	}
}

static void add_name(struct buf *b, const char *name)
{
	AUTO(buf_release) struct buf mended = BUF_INIT;

	utf8_mend(name, &mended);
	json_line_add_string(b, buf_str(&mended), mended.len);
}

static void add_member(struct buf *b, const struct record *r)
{
	const struct record_header *headers = NULL;
	size_t n = r->headers ? r->headers(r, &headers) : 0;

	buf_adds(b, "\"" FIELD "\":{\"topic\":");
	json_line_add_string(b, r->topic, strlen(r->topic));
	buf_addf(b,
		 ",\"partition\":%" PRId32 ",\"offset\":%" PRId64 ",\"timestamp\":", r->partition,
		 r->offset);
	if (r->timestamp_ms >= 0)
		buf_addf(b, "%" PRId64 ",", r->timestamp_ms);
	else
		buf_adds(b, "null,");
	add_bytes(b, "key", r->key, r->key_len);
	buf_adds(b, ",\"headers\":[");
	for (size_t i = 0; i < n; i++) {
		buf_adds(b, i ? ",{\"name\":" : "{\"name\":");
		add_name(b, headers[i].name);
		buf_addc(b, ',');
		add_bytes(b, "value", headers[i].value, headers[i].value_len);
		buf_addc(b, '}');
	}
	buf_adds(b, "]}");
}

/* Is there nothing between the braces? */
static bool is_empty_object(const char *text, size_t len)
{
	for (size_t i = 1; i + 1 < len; i++)
		if (!strchr(" \t\r\n", text[i]))
			return false;
	return true;
}

enum status record_metadata_line(struct buf *b, const char *text, size_t len,
				 const struct record *r, struct buf *scratch, struct err *err)
{
	if (text[0] != '{') {
		buf_adds(b, "{\"value\":");
		buf_add(b, text, len);
		buf_addc(b, ',');
	} else {
		if (json_field(text, FIELD, scratch).kind != VALUE_ABSENT)
			return err_set(err, ST_POISON,
				       "the value has a member " FIELD
				       " already, which record.metadata=true would add");
		buf_add(b, text, len - 1);
		if (!is_empty_object(text, len))
			buf_addc(b, ',');
	}
	add_member(b, r);
	buf_addc(b, '}');
	return ST_OK;
}
