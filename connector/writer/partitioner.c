#include "connector/writer/partitioner.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connector/schema/avro_fields.h"
#include "connector/schema/json_fields.h"
#include "connector/writer/path_value.h"
#include "connector/writer/time_pattern.h"
#include "core/base/zone.h"

/* A path of the lake, and a folder's name on most file systems. */
#define PATH_MAX_BYTES 1023
#define NAME_MAX_BYTES 255
#define TOPIC_MAX_BYTES 249
/* Behind the topic in a file's name, at most: +partition+offset+ggeneration.jsonl.zst */
#define FILE_NAME_BYTES 53
/* 1 January of the year 1, and the end of 9999, in ms; with a day for local time. */
#define TIME_LEAST_MS (-62135596800000LL + 86400000)
#define TIME_MOST_MS (253402300799999LL - 86400000)

struct partitioner {
	char **fields; /* what is read out of values */
	size_t n_fields;
	/* by fields */
	char **names; /* safe in paths, with the `=` */
	size_t *limits; /* most bytes of a value */
	char *list; /* a,b.c; NULL: by time */
	/* by time */
	struct time_pattern *pattern; /* NULL: by fields */
	int64_t duration_ms;
	struct zone *zone;
};

struct partition_plan {
	struct avro_fields *fields;
	char **lack; /* one a field; NULL: it has it */
	size_t n;
};

struct partition_path {
	const struct partitioner *p;
	struct value *values;
	struct buf *scratch; /* one a field: text with escapes */
	struct buf folder;
	int64_t from_ms, until_ms; /* by time: in which the folder is the same */
};

/* ---- settings ---- */

/* How long a field's value may be, so that a path fits whatever the topic's name. */
static enum status share_room(struct partitioner *p, const char *prefix, struct err *err)
{
	const size_t fixed = strlen(prefix) + 2 * TOPIC_MAX_BYTES + FILE_NAME_BYTES + 3;
	size_t used = fixed + p->n_fields - 1, share;

	for (size_t i = 0; i < p->n_fields; i++)
		used += strlen(p->names[i]);
	share = used < PATH_MAX_BYTES ? (PATH_MAX_BYTES - used) / p->n_fields : 0;
	for (size_t i = 0; i < p->n_fields; i++) {
		size_t name = strlen(p->names[i]);

		p->limits[i] = name + share < NAME_MAX_BYTES ? share
			       : name < NAME_MAX_BYTES       ? NAME_MAX_BYTES - name
							     : 0;
		if (p->limits[i] < PATH_VALUE_MIN)
			return err_set(err, ST_USAGE,
				       "partition.field.name: with path.prefix and these names a "
				       "path has no room for the values (1,023 bytes in all, 255 "
				       "between two slashes); take fewer or shorter ones");
	}
	return ST_OK;
}

static enum status by_fields(struct partitioner *p, const struct partitioner_options *o,
			     struct err *err)
{
	AUTO(buf_release) struct buf list = BUF_INIT;

	p->n_fields = o->n_fields;
	p->fields = xcalloc(o->n_fields, sizeof(char *));
	p->names = xcalloc(o->n_fields, sizeof(char *));
	p->limits = xcalloc(o->n_fields, sizeof(size_t));
	for (size_t i = 0; i < o->n_fields; i++) {
		struct buf name = BUF_INIT;

		for (size_t j = 0; j < i; j++)
			if (strcmp(o->fields[i], o->fields[j]) == 0)
				return err_set(err, ST_USAGE,
					       "partition.field.name: %s is named twice",
					       o->fields[i]);
		path_value_add(&name, o->fields[i], strlen(o->fields[i]), NAME_MAX_BYTES);
		buf_addc(&name, '=');
		p->names[i] = buf_detach(&name);
		p->fields[i] = xstrdup(o->fields[i]);
		buf_addf(&list, "%s%s", i ? "," : "", o->fields[i]);
	}
	p->list = buf_detach(&list);
	return share_room(p, o->path_prefix, err);
}

static enum status by_time(struct partitioner *p, const struct partitioner_options *o,
			   struct err *err)
{
	AUTO(buf_release) struct buf sample = BUF_INIT;
	size_t room = PATH_MAX_BYTES - 2 * TOPIC_MAX_BYTES - FILE_NAME_BYTES - 3;

	if (time_pattern_parse(o->path_format, &p->pattern, err) != ST_OK)
		return err_wrap(err, ST_USAGE, "path.format=%s", o->path_format);
	time_pattern_add(p->pattern, TIME_MOST_MS, &sample);
	if (sample.len + strlen(o->path_prefix) > room)
		return err_set(err, ST_USAGE,
			       "path.format=%s: with path.prefix a path is too long (1,023 bytes "
			       "in all); make one of them shorter",
			       o->path_format);
	if (zone_open(o->timezone, &p->zone, err) != ST_OK)
		return err_wrap(err, ST_USAGE, "timezone=%s", o->timezone);
	p->duration_ms = o->duration_ms;
	if (!o->timestamp_field)
		return ST_OK;
	p->n_fields = 1;
	p->fields = xcalloc(1, sizeof(char *));
	p->fields[0] = xstrdup(o->timestamp_field);
	return ST_OK;
}

enum status partitioner_new(const struct partitioner_options *o, struct partitioner **out,
			    struct err *err)
{
	AUTO(partitioner_freep) struct partitioner *p = xcalloc(1, sizeof(*p));
	enum status st = o->n_fields ? by_fields(p, o, err) : by_time(p, o, err);

	if (st == ST_OK)
		*out = MOVE(p);
	return st;
}

void partitioner_free(struct partitioner *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n_fields; i++) {
		free(p->fields[i]);
		if (p->names)
			free(p->names[i]);
	}
	free(p->fields);
	free(p->names);
	free(p->limits);
	free(p->list);
	time_pattern_free(p->pattern);
	zone_free(p->zone);
	free(p);
}

bool partitioner_reads_values(const struct partitioner *p)
{
	return p->n_fields > 0;
}

const char *partitioner_fields(const struct partitioner *p)
{
	return p->list;
}

static const char *key_of(const struct partitioner *p)
{
	return p->pattern ? "timestamp.field" : "partition.field.name";
}

enum status partitioner_check_schema(const struct partitioner *p, const struct schema *schema,
				     struct err *err)
{
	for (size_t i = 0; i < p->n_fields; i++) {
		AUTO(freep) char *lack = avro_field_lack(schema, p->fields[i]);

		if (lack)
			return err_set(err, ST_USAGE, "%s=%s: %s", key_of(p), p->fields[i], lack);
	}
	return ST_OK;
}

/* ---- plans ---- */

struct partition_plan *partition_plan_new(const struct partitioner *p, const struct schema *schema)
{
	struct partition_plan *plan = xcalloc(1, sizeof(*plan));

	plan->n = p->n_fields;
	plan->lack = xcalloc(p->n_fields + 1, sizeof(char *));
	plan->fields =
		avro_fields_new(schema, (const char *const *)p->fields, p->n_fields, plan->lack);
	return plan;
}

void partition_plan_free(struct partition_plan *plan)
{
	if (!plan)
		return;
	for (size_t i = 0; i < plan->n; i++)
		free(plan->lack[i]);
	free(plan->lack);
	avro_fields_free(plan->fields);
	free(plan);
}

/* ---- values ---- */

static enum status bad(const struct partitioner *p, size_t i, const char *why, struct err *err)
{
	return err_set(err, ST_POISON, "%s=%s: %s", key_of(p), p->fields[i], why);
}

static enum status read_values(struct partition_path *path, const struct partition_value *v,
			       struct err *err)
{
	const struct partitioner *p = path->p;
	struct bytes in = bytes_of(v->data, v->len);
	const char *why;

	for (size_t i = 0; i < p->n_fields; i++) {
		path->values[i] = (struct value){.kind = VALUE_ABSENT};
		if (!v->plan)
			path->values[i] = json_field(v->data, p->fields[i], &path->scratch[i]);
		else if (v->plan->lack[i])
			return bad(p, i, v->plan->lack[i], err);
	}
	if (!v->plan)
		return ST_OK;
	why = avro_fields_peek(v->plan->fields, &in, path->values);
	return why ? err_set(err, ST_POISON, "the value is not one of its schema: %s", why) : ST_OK;
}

/* Days since the epoch. */
static void add_date(struct buf *out, int64_t days)
{
	/* Howard Hinnant's civil_from_days: years begin in March. */
	int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097, doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
	int64_t month = mp < 10 ? mp + 3 : mp - 9;

	buf_addf(out, "%04" PRId64 "-%02" PRId64 "-%02" PRId64,
		 yoe + era * 400 + (month <= 2 ? 1 : 0), month, doy - (153 * mp + 2) / 5 + 1);
}

static bool is_whole(const struct value *v)
{
	for (size_t i = 0; i < v->len; i++)
		if ((v->data[i] < '0' || v->data[i] > '9') && v->data[i] != '-')
			return false;
	return true;
}

static enum status add_value(struct partition_path *path, size_t i, struct err *err)
{
	const struct value *v = &path->values[i];
	struct buf *out = &path->folder;

	switch (v->kind) {
	case VALUE_ABSENT:
	case VALUE_NULL:
		buf_adds(out, PATH_VALUE_NONE);
		return ST_OK;
	case VALUE_BOOLEAN:
		buf_adds(out, v->number ? "true" : "false");
		return ST_OK;
	case VALUE_LONG:
		if (v->type && v->type->logical == LOGICAL_DATE)
			add_date(out, v->number);
		else
			buf_addf(out, "%" PRId64, v->number);
		return ST_OK;
	case VALUE_TEXT:
		path_value_add(out, v->data, v->len, path->p->limits[i]);
		return ST_OK;
	case VALUE_NUMBER:
		if (!is_whole(v))
			return bad(path->p, i, "a number with a fraction names no folder", err);
		if (v->len == 2 && memcmp(v->data, "-0", 2) == 0)
			buf_addc(out, '0');
		else
			path_value_add(out, v->data, v->len, path->p->limits[i]);
		return ST_OK;
	case VALUE_FLOAT:
	case VALUE_DOUBLE:
		return bad(path->p, i, "a float or double names no folder", err);
	case VALUE_BYTES:
		return bad(path->p, i, "bytes, fixed and decimals name no folder", err);
	case VALUE_OTHER:
		return bad(path->p, i, "a record, array or map names no folder", err);
	}
	return ST_OK;
}

static enum status field_folder(struct partition_path *path, const struct partition_value *v,
				struct err *err)
{
	const struct partitioner *p = path->p;
	enum status st = ST_OK;

	if (v->data)
		st = read_values(path, v, err);
	buf_clear(&path->folder);
	for (size_t i = 0; st == ST_OK && i < p->n_fields; i++) {
		if (i)
			buf_addc(&path->folder, '/');
		buf_adds(&path->folder, p->names[i]);
		if (v->data)
			st = add_value(path, i, err);
		else
			buf_adds(&path->folder, PATH_VALUE_NONE);
	}
	return st;
}

/* ---- time ---- */

static enum status time_of(struct partition_path *path, const struct record *r,
			   const struct partition_value *v, int64_t *out, struct err *err)
{
	const struct value *value = path->values;
	enum status st = ST_OK;
	int64_t us;

	if (!path->p->n_fields || !v->data) {
		*out = r->timestamp_ms;
		return r->timestamp_ms >= 0
			       ? ST_OK
			       : err_set(err, ST_POISON,
					 "the record has no timestamp, so partitioner=time has no "
					 "folder for it");
	}
	st = read_values(path, v, err);
	if (st != ST_OK)
		return st;
	if (value->kind == VALUE_ABSENT || value->kind == VALUE_NULL)
		return bad(path->p, 0, "the value has no time there", err);
	if (!value_time(value, &us))
		return bad(path->p, 0,
			   "that is no time; a timestamp, a date, milliseconds since the epoch, "
			   "or text in RFC 3339 is",
			   err);
	*out = us / 1000 - (us % 1000 < 0);
	return ST_OK;
}

static int64_t floor_to(int64_t n, int64_t step)
{
	int64_t rest = n % step;

	return n - (rest < 0 ? rest + step : rest);
}

static struct zone_span span_at(const struct zone *zone, int64_t ms)
{
	return zone_span_at(zone, floor_to(ms, 1000) / 1000);
}

static int64_t offset_at(const struct zone *zone, int64_t ms)
{
	return span_at(zone, ms).offset * 1000;
}

/* What a clock shows at a local time that a change of clocks may have left out: an
 * hour later then. Confluent's partitioner rounds in local time, goes to UTC by
 * Joda's convertLocalToUTC(local, false), and back for the folder's name; this is
 * the same. */
static int64_t shown_at(const struct zone *zone, int64_t local)
{
	int64_t guess = offset_at(zone, local), offset = offset_at(zone, local - guess);

	if (guess != offset && guess < 0 &&
	    span_at(zone, local - guess).until != span_at(zone, local - offset).until)
		offset = guess;
	return local - offset + offset_at(zone, local - offset);
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t ms_of(int64_t seconds)
{
	return seconds == INT64_MIN || seconds == INT64_MAX ? seconds : seconds * 1000;
}

static enum status time_folder(struct partition_path *path, const struct record *r,
			       const struct partition_value *v, struct err *err)
{
	const struct partitioner *p = path->p;
	int64_t ms = 0, offset, local, until;
	struct zone_span span;
	enum status st = time_of(path, r, v, &ms, err);

	if (st != ST_OK || (ms >= path->from_ms && ms < path->until_ms))
		return st;
	if (ms < TIME_LEAST_MS || ms > TIME_MOST_MS)
		return err_set(err, ST_POISON,
			       "partitioner=time: %" PRId64
			       " ms since the epoch is not within the years 1 to 9999",
			       ms);
	span = span_at(p->zone, ms);
	offset = span.offset * 1000;
	local = floor_to(ms + offset, p->duration_ms);
	path->from_ms = later(ms_of(span.from), local - offset);
	until = local + p->duration_ms - offset;
	path->until_ms = until < ms_of(span.until) ? until : ms_of(span.until);
	buf_clear(&path->folder);
	time_pattern_add(p->pattern, shown_at(p->zone, local), &path->folder);
	return ST_OK;
}

/* ---- life ---- */

struct partition_path *partition_path_new(const struct partitioner *p)
{
	struct partition_path *path = xcalloc(1, sizeof(*path));

	path->p = p;
	path->values = xcalloc(p->n_fields + 1, sizeof(*path->values));
	path->scratch = xcalloc(p->n_fields + 1, sizeof(*path->scratch));
	return path;
}

void partition_path_free(struct partition_path *path)
{
	if (!path)
		return;
	for (size_t i = 0; i < path->p->n_fields; i++)
		buf_release(&path->scratch[i]);
	free(path->scratch);
	free(path->values);
	buf_release(&path->folder);
	free(path);
}

enum status partition_path_of(struct partition_path *path, const struct record *r,
			      const struct partition_value *v, const struct buf **folder_out,
			      struct err *err)
{
	enum status st =
		path->p->pattern ? time_folder(path, r, v, err) : field_folder(path, v, err);

	*folder_out = &path->folder;
	return st;
}
