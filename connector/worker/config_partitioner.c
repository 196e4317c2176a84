#include "connector/worker/config_partitioner.h"

#include <string.h>

#include "connector/worker/config.h"

#define DAY_FORMAT "'year'=yyyy/'month'=MM/'day'=dd"
#define HOUR_MS (3600 * 1000)

enum kind { BY_PARTITION = 1, BY_FIELD = 2, BY_TIME = 4, BY_DAY = 8, BY_HOUR = 16 };

static enum kind kind_of(const struct props *props)
{
	static const struct {
		const char *name;
		enum kind kind;
	} rows[] = {{"field", BY_FIELD}, {"time", BY_TIME}, {"daily", BY_DAY}, {"hourly", BY_HOUR}};
	const char *text = prop_text(&connector_table, props, "partitioner");

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (strcmp(rows[i].name, text) == 0)
			return rows[i].kind;
	return BY_PARTITION;
}

/* Configurations of other sinks often set what their partitioner does not use. */
static void warn_unused(const struct props *props, enum kind kind, struct buf *warnings)
{
	static const struct {
		const char *key;
		int kinds; /* that use it */
	} rows[] = {
		{"partition.field.name", BY_FIELD},
		{"path.format", BY_TIME},
		{"partition.duration.ms", BY_TIME},
		{"timestamp.extractor", BY_TIME | BY_DAY | BY_HOUR},
		{"timestamp.field", BY_TIME | BY_DAY | BY_HOUR},
		{"timezone", BY_TIME | BY_DAY | BY_HOUR},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (!(rows[i].kinds & kind) && props_get(props, rows[i].key))
			buf_addf(warnings, "%s has no effect with partitioner=%s\n", rows[i].key,
				 prop_text(&connector_table, props, "partitioner"));
}

static enum status by_field(const struct props *props, struct partitioner_options *options,
			    struct partitioner **out, struct err *err)
{
	const char *list = props_get(props, "partition.field.name");
	struct text_list fields = text_list_split(list ? list : "");
	enum status st;

	options->fields = (const char *const *)fields.items;
	options->n_fields = fields.n;
	if (fields.n)
		st = partitioner_new(options, out, err);
	else
		st = err_set(err, ST_USAGE,
			     "partition.field.name is not set: name the fields that "
			     "partitioner=field makes folders of");
	text_list_release(&fields);
	return st;
}

static enum status by_time(const struct props *props, enum kind kind,
			   struct partitioner_options *options, struct partitioner **out,
			   struct err *err)
{
	const struct prop_table *t = &connector_table;
	const char *extractor = prop_text(t, props, "timestamp.extractor");

	if (strcmp(extractor, "Wallclock") == 0)
		return err_set(
			err, ST_USAGE,
			"timestamp.extractor=Wallclock is refused: records that are read "
			"again, after a rollback or a crash, would go to other folders; take "
			"Record, or RecordField with timestamp.field");
	if (strcmp(extractor, "RecordField") == 0)
		options->timestamp_field = prop_text(t, props, "timestamp.field");
	options->timezone = prop_text(t, props, "timezone");
	options->path_format = kind == BY_DAY    ? DAY_FORMAT
			       : kind == BY_HOUR ? DAY_FORMAT "/'hour'=HH"
						 : props_get(props, "path.format");
	options->duration_ms = kind == BY_DAY    ? 24 * HOUR_MS
			       : kind == BY_HOUR ? HOUR_MS
			       : props_get(props, "partition.duration.ms")
				       ? prop_number(t, props, "partition.duration.ms")
				       : 0;
	if (!options->path_format)
		return err_set(err, ST_USAGE,
			       "path.format is not set: partitioner=time wants it, as " DAY_FORMAT);
	if (!options->duration_ms)
		return err_set(err, ST_USAGE,
			       "partition.duration.ms is not set: partitioner=time wants the time "
			       "that a folder holds, as 3600000 for an hour");
	return partitioner_new(options, out, err);
}

enum status config_partitioner(const struct props *props, struct buf *warnings,
			       struct partitioner **out, struct err *err)
{
	const enum kind kind = kind_of(props);
	struct partitioner_options options = {
		.path_prefix = prop_text(&connector_table, props, "path.prefix"),
	};

	warn_unused(props, kind, warnings);
	*out = NULL;
	if (kind == BY_PARTITION)
		return ST_OK;
	return kind == BY_FIELD ? by_field(props, &options, out, err)
				: by_time(props, kind, &options, out, err);
}
