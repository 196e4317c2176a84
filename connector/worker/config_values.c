#include "connector/worker/config_values.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"

#define SCHEMA_MAX_BYTES (1 << 20)

static enum file_codec codec(const struct config *c)
{
	static const struct {
		const char *name;
		enum file_codec codec;
	} rows[] = {
		{"null", CODEC_NULL},           {"none", CODEC_NULL},
		{"snappy", CODEC_SNAPPY},       {"deflate", CODEC_DEFLATE},
		{"zstandard", CODEC_ZSTANDARD}, {"gzip", CODEC_GZIP},
	};
	static const char *const keys[] = {[FORMAT_AVRO] = "avro.codec",
					   [FORMAT_PARQUET] = "parquet.codec",
					   [FORMAT_JSON] = "json.codec"};
	const char *text = c->format == FORMAT_BYTES
				   ? "none"
				   : prop_text(&connector_table, &c->props, keys[c->format]);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (strcmp(rows[i].name, text) == 0)
			return rows[i].codec;
	return CODEC_NULL;
}

static enum status registry(struct config *c, struct err *err)
{
	const char *info = props_get(&c->props, "value.converter.basic.auth.user.info");
	const char *source = prop_text(&connector_table, &c->props,
				       "value.converter.basic.auth.credentials.source");
	const char *colon = info ? strchr(info, ':') : NULL;

	c->registry_urls = props_get(&c->props, "value.converter.schema.registry.url");
	if (strcmp(source, "USER_INFO") != 0)
		return ST_OK;
	if (!colon)
		return err_set(
			err, ST_USAGE,
			"value.converter.basic.auth.user.info is not set; give user:password");
	c->registry_user = xstrndup(info, (size_t)(colon - info));
	c->registry_password = xstrdup(colon + 1);
	return ST_OK;
}

struct writer_settings config_writer(const struct config *c)
{
	return (struct writer_settings){
		.converter = c->converter,
		.format = c->format,
		.codec = c->codec,
		.schema_json = c->schema_text,
		.path_prefix = c->path_prefix,
		.group_bytes = (size_t)c->row_group_bytes,
		.group_rows = (size_t)c->row_group_rows,
		.sort = {(const char *const *)c->sort_columns.items, c->sort_columns.n},
		.infer = c->json_infer,
		.partitioner = c->partitioner,
		.metadata = c->record_metadata,
	};
}

enum status config_values(struct config *c, struct err *err)
{
	struct writer_settings settings;
	const char *converter = props_get(&c->props, "value.converter");
	const char *format = prop_text(&connector_table, &c->props, "format");
	const char *file = props_get(&c->props, "value.converter.schema.file");
	enum status st = registry(c, err);

	if (st != ST_OK)
		return st;
	if (file) {
		AUTO(buf_release) struct buf text = BUF_INIT;

		st = file_read(file, SCHEMA_MAX_BYTES, &text, err);
		if (st != ST_OK)
			return err_wrap(err, ST_USAGE, "value.converter.schema.file=%s", file);
		c->schema_text = buf_detach(&text);
	}
	c->converter = strcmp(converter, "json") == 0     ? CONVERTER_JSON
		       : strcmp(converter, "string") == 0 ? CONVERTER_STRING
		       : strcmp(converter, "bytes") == 0  ? CONVERTER_BYTES
							  : CONVERTER_AVRO;
	if (c->converter == CONVERTER_AVRO && !c->registry_urls) {
		if (!c->schema_text)
			return err_set(
				err, ST_USAGE,
				"value.converter=avro: set value.converter.schema.registry.url, or "
				"value.converter.schema.file for Avro without framing");
		c->converter = CONVERTER_AVRO_RAW;
	}
	c->format = strcmp(format, "json") == 0      ? FORMAT_JSON
		    : strcmp(format, "bytes") == 0   ? FORMAT_BYTES
		    : strcmp(format, "parquet") == 0 ? FORMAT_PARQUET
						     : FORMAT_AVRO;
	c->codec = codec(c);
	c->record_metadata = prop_flag(&connector_table, &c->props, "record.metadata");
	if (props_get(&c->props, "parquet.sort.columns"))
		c->sort_columns = text_list_split(props_get(&c->props, "parquet.sort.columns"));
	c->json_infer = prop_flag(&connector_table, &c->props, "parquet.json.infer");
	settings = config_writer(c);
	if (c->converter == CONVERTER_AVRO &&
	    (c->format == FORMAT_AVRO || c->format == FORMAT_PARQUET))
		return writer_options_check(&settings, err); /* the registry knows the schemas */
	return writer_settings_check(&settings, err);
}
