/* What converters, formats, codecs and schemas go together. */
#include "connector/columnar/parquet_file.h"
#include "connector/schema/compiled.h"
#include "connector/schema/json_encode.h"
#include "connector/writer/builtin_schemas.h"
#include "connector/writer/partition_writer.h"
#include "connector/writer/record_metadata.h"
#include "connector/writer/row.h"

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
	AUTO(compiled_schema_freep) struct compiled_schema *row = NULL;
	enum status st = compiled_schema_new(NULL, s->schema_json, &c, err);

	if (st == ST_OK && s->converter == CONVERTER_JSON)
		st = json_encode_prepare(c->schema, err);
	if (st == ST_OK && s->metadata && rows_of_values(s->format))
		st = record_metadata_schema(c, &row, err);
	if (st == ST_OK && s->format == FORMAT_PARQUET)
		st = parquet_schema_check(row ? row->schema : c->schema, &s->sort, err);
	if (st == ST_OK && s->partitioner && rows_of_values(s->format))
		st = partitioner_check_schema(s->partitioner, c->schema, err);
	return st == ST_OK ? ST_OK : err_wrap(err, ST_USAGE, "value.converter.schema.file");
}

/* Rows of the one column `value`, and perhaps _kafka, sorted. */
static enum status check_one_column(const struct writer_settings *s, struct err *err)
{
	const struct compiled_schema *value =
		builtin_schema(s->converter == CONVERTER_BYTES ? BUILTIN_BYTES : BUILTIN_STRING);
	AUTO(compiled_schema_freep) struct compiled_schema *row = NULL;
	struct err why = ERR_INIT;
	enum status st = s->metadata ? record_metadata_schema(value, &row, &why) : ST_OK;

	if (st == ST_OK)
		st = parquet_schema_check(row ? row->schema : value->schema, &s->sort, &why);
	if (st == ST_OK)
		return ST_OK;
	return err_set(err, ST_USAGE, "%s%s", why.text,
		       s->converter == CONVERTER_JSON
			       ? "; fields are columns with value.converter.schema.file or "
				 "parquet.json.infer=true"
			       : "");
}

static void join_columns(const struct sort_columns *sort, struct buf *out)
{
	for (size_t i = 0; i < sort->n; i++)
		buf_addf(out, "%s%s", i ? "," : "", sort->paths[i]);
}

enum status writer_options_check(const struct writer_settings *s, struct err *err)
{
	AUTO(buf_release) struct buf columns = BUF_INIT;

	join_columns(&s->sort, &columns);
	if (s->sort.n && s->format != FORMAT_PARQUET)
		return err_set(err, ST_USAGE,
			       "parquet.sort.columns=%s: only Parquet files are sorted; take "
			       "format=parquet, or remove this",
			       buf_str(&columns));
	if (!s->infer)
		return ST_OK;
	if (s->format != FORMAT_PARQUET)
		return err_set(err, ST_USAGE,
			       "parquet.json.infer=true: only Parquet files have columns; take "
			       "format=parquet, or remove this");
	if (s->converter != CONVERTER_JSON)
		return err_set(err, ST_USAGE,
			       "parquet.json.infer=true: only JSON has columns to be inferred; "
			       "take value.converter=json, or remove this");
	if (s->schema_json)
		return err_set(err, ST_USAGE,
			       "parquet.json.infer=true: value.converter.schema.file says what the "
			       "columns are; remove one of the two");
	return ST_OK;
}

/* Is there room for `_kafka`, and are there fields where a partitioner looks? */
static enum status check_extras(const struct writer_settings *s, struct err *err)
{
	if (s->metadata && s->format == FORMAT_BYTES)
		return err_set(err, ST_USAGE,
			       "record.metadata=true: format=bytes has no place for it; take "
			       "format=json, avro or parquet");
	if (s->partitioner && partitioner_reads_values(s->partitioner) &&
	    (s->converter == CONVERTER_STRING || s->converter == CONVERTER_BYTES))
		return err_set(err, ST_USAGE,
			       "partitioner: values of value.converter=%s have no fields; take "
			       "value.converter=json or avro, or partitioner=time with "
			       "timestamp.extractor=Record",
			       s->converter == CONVERTER_STRING ? "string" : "bytes");
	return ST_OK;
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
	if (check_extras(s, err) != ST_OK || writer_options_check(s, err) != ST_OK)
		return ST_USAGE;
	if (s->sort.n && rows_of_one_column(s) && !s->infer)
		return check_one_column(s, err);
	return s->schema_json ? check_schema(s, err) : ST_OK;
}
