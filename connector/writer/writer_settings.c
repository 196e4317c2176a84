/* What converters, formats, codecs and schemas go together. */
#include "connector/columnar/parquet_file.h"
#include "connector/schema/compiled.h"
#include "connector/schema/json_encode.h"
#include "connector/writer/partition_writer.h"

static bool codec_fits(enum file_format format, enum file_codec codec)
{
	if (format == FORMAT_AVRO)
		return codec != CODEC_GZIP;
	return codec == CODEC_NULL || codec == CODEC_GZIP || codec == CODEC_ZSTANDARD ||
	       (format == FORMAT_PARQUET && codec == CODEC_SNAPPY);
}

static enum status check_schema(const struct writer_settings *s, struct err *err)
{
	AUTO(compiled_schema_freep) struct compiled_schema *c = NULL;
	enum status st = compiled_schema_new(NULL, s->schema_json, &c, err);

	if (st == ST_OK && s->converter == CONVERTER_JSON)
		st = json_encode_prepare(c->schema, err);
	if (st == ST_OK && s->format == FORMAT_PARQUET)
		st = parquet_schema_check(c->schema, err);
	return st == ST_OK ? ST_OK : err_wrap(err, ST_USAGE, "value.converter.schema.file");
}

enum status writer_settings_check(const struct writer_settings *s, struct err *err)
{
	bool avro = s->converter == CONVERTER_AVRO || s->converter == CONVERTER_AVRO_RAW;

	if (!codec_fits(s->format, s->codec))
		return err_set(err, ST_USAGE,
			       s->format == FORMAT_AVRO ? "avro.codec: Avro files take null, "
							  "snappy, deflate or zstandard"
			       : s->format == FORMAT_PARQUET
				       ? "parquet.codec: Parquet files take none, snappy, gzip or "
					 "zstandard"
				       : "json.codec: lines take none, gzip or zstandard");
	if (avro && s->format != FORMAT_AVRO && s->format != FORMAT_PARQUET)
		return err_set(err, ST_USAGE,
			       "value.converter=avro wants format=avro or parquet; for "
			       "format=bytes take value.converter=bytes");
	if (s->converter == CONVERTER_AVRO && !s->registry)
		return err_set(err, ST_USAGE,
			       "value.converter=avro wants value.converter.schema.registry.url, or "
			       "value.converter.schema.file for Avro without framing");
	if (s->converter == CONVERTER_AVRO_RAW && !s->schema_json)
		return err_set(err, ST_USAGE,
			       "value.converter=avro without a registry wants "
			       "value.converter.schema.file");
	if (s->converter == CONVERTER_JSON && s->format == FORMAT_AVRO && !s->schema_json)
		return err_set(err, ST_USAGE,
			       "value.converter=json with format=avro wants "
			       "value.converter.schema.file; without a schema take format=json");
	if (s->converter == CONVERTER_JSON && s->format == FORMAT_BYTES)
		return err_set(err, ST_USAGE,
			       "format=bytes wants value.converter=bytes or string; for "
			       "value.converter=json take format=json");
	if (s->converter == CONVERTER_BYTES && s->format == FORMAT_JSON)
		return err_set(err, ST_USAGE,
			       "value.converter=bytes wants format=bytes or avro; for format=json "
			       "take value.converter=json or string");
	return s->schema_json ? check_schema(s, err) : ST_OK;
}
