#include "tests/lib/row_layout.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/clock.h"

#define NONE "__HIVE_DEFAULT_PARTITION__"
#define X10(s) s s s s s s s s s s
#define MINUTE_MS 60000LL
#define HOUR_MS (60 * MINUTE_MS)

/* Values of a field, and what their folders are called. */
static const struct hostile {
	const char *json; /* NULL: the value has no such field */
	const char *folder; /* NULL: poison; `*` is where a long value is cut */
} hostile[] = {
	{"\"DE\"", "DE"},
	{"\"a/b=c%d\"", "a%2Fb%3Dc%25d"},
	{"null", NONE},
	{"\"\"", NONE},
	{NULL, NONE},
	{"\"" NONE "\"", "%5F_HIVE_DEFAULT_PARTITION__"},
	{"1.5", NULL},
	{"\"..\"", ".."},
	{"7", "7"},
	{"\"7\"", "7"},
	{"-9007199254740993", "-9007199254740993"},
	{"true", "true"},
	{"[1,2]", NULL},
	{"\"Z\\u00fcrich \\u6771\\u4eac\"", "Z\u00fcrich%20\u6771\u4eac"},
	{"\"\\u202egnp\\u0000\\n\"", "%E2%80%AEgnp%00%0A"},
	{"\"" X10(X10("xxx")) "\"", "xxx*~0d4e2ca9e9cbced7a7a5380eb29e1a37"},
	{"\"" X10(X10("\\u00e9/")) "\"", "\u00e9%2F*~34e2c1c39f17f85ad3f9c9c79a889c50"},
	{"\"~?*|<>:\\\"\\\\\"", "%7E%3F%2A%7C%3C%3E%3A%22%5C"},
	{"false", "false"},
	{"\"\\ud83d\\ude00\"", "\U0001f600"},
};

/* A seed's share of them: all would make hundreds of small files. */
static const struct hostile *hostile_of(const struct row_layout *l, uint64_t n)
{
	size_t share = l->format == ROWS_PARQUET ? 2 : 8;

	return &hostile[(l->seed / 3 * 5 + n % share) % ARRAY_SIZE(hostile)];
}

/* ---- settings ---- */

struct row_layout row_layout_by_seed(uint64_t seed, bool json, bool parquet)
{
	struct rng r = rng_seeded(seed ^ 0x1a707);
	struct row_layout l = {.seed = seed, .small = rng_below(&r, 3) > 0};

	l.folders = !json ? FOLDERS_DAY + rng_below(&r, 2) : FOLDERS_FIELD + rng_below(&r, 5);
	l.format = !json     ? ROWS_BYTES
		   : parquet ? ROWS_PARQUET
			     : ROWS_JSON + rng_below(&r, ROWS_PARQUET - ROWS_JSON);
	l.metadata = json && rng_below(&r, 2);
	/* Parquet: each open file takes much, and as many small ones would take minutes */
	l.small = l.small && (!parquet || l.folders >= FOLDERS_DAY);
	if (l.format == ROWS_AVRO)
		l.folders = FOLDERS_DAY + rng_below(&r, 2);
	return l;
}

#define KEY_TYPE                                                                                   \
	"[\"null\",\"string\",\"boolean\",\"long\",\"double\","                                    \
	"{\"type\":\"array\",\"items\":\"int\"}]"

static const char typed_schema[] =
	"{\"type\":\"record\",\"name\":\"Row\",\"fields\":["
	"{\"name\":\"t\",\"type\":\"int\"},{\"name\":\"g\",\"type\":\"int\"},"
	"{\"name\":\"p\",\"type\":\"int\"},{\"name\":\"o\",\"type\":\"long\"},"
	"{\"name\":\"x\",\"type\":\"string\"},{\"name\":\"crc\",\"type\":\"long\"},"
	"{\"name\":\"k\",\"type\":" KEY_TYPE ",\"default\":null},"
	"{\"name\":\"s\",\"type\":{\"type\":\"record\",\"name\":\"S\",\"fields\":["
	"{\"name\":\"c\",\"type\":" KEY_TYPE ",\"default\":null}]},\"default\":{}},"
	"{\"name\":\"ts\",\"type\":[\"null\",\"string\",\"boolean\",\"long\"],\"default\":null}]}";

static void set_folders(const struct row_layout *l, struct props *out)
{
	if (l->folders == FOLDERS_FIELD || l->folders == FOLDERS_FIELDS) {
		props_set(out, "partitioner", "field");
		props_set(out, "partition.field.name", l->folders == FOLDERS_FIELD ? "k" : "k,s.c");
		return;
	}
	props_set(out, "timezone", "Europe/Berlin");
	props_set(out, "partitioner",
		  l->folders == FOLDERS_DAY    ? "daily"
		  : l->folders == FOLDERS_HOUR ? "hourly"
					       : "time");
	if (l->folders == FOLDERS_QUARTER) {
		props_set(out, "path.format", "'at'=yyyyMMdd-HHmm");
		props_set(out, "partition.duration.ms", "900000");
		props_set(out, "timestamp.extractor", "RecordField");
		props_set(out, "timestamp.field", "ts");
	}
}

void row_layout_config(const struct row_layout *l, const char *schema_path, struct props *out)
{
	static const char *const converters[] = {"bytes", "json", "string", "json", "json"};
	static const char *const formats[] = {"bytes", "json", "avro", "avro", "parquet"};

	props_set(out, "value.converter", converters[l->format]);
	props_set(out, "format", formats[l->format]);
	if (l->metadata)
		props_set(out, "record.metadata", "true");
	if (l->small)
		props_set(out, "memory.max.bytes", "33554432");
	if (l->sorted)
		props_set(out, "parquet.sort.columns", "value");
	if (l->folders == FOLDERS_DEFAULT)
		return;
	props_set(out, "errors.tolerance", "all");
	set_folders(l, out);
	if (l->format == ROWS_TYPED) {
		FILE *f = fopen(schema_path, "we");

		if (!f || fputs(typed_schema, f) < 0 || fclose(f) != 0)
			abort();
		props_set(out, "value.converter.schema.file", schema_path);
	}
}

/* ---- records ---- */

int64_t row_timestamp(const struct row_layout *l, int64_t offset)
{
	/* from some hours before the clocks change in Berlin; fewer folders of Parquet */
	int64_t start = l->seed & 1 ? 1711836000000 : 1698534000000;
	int64_t step = l->format == ROWS_PARQUET ? MINUTE_MS : 7 * MINUTE_MS;

	return l->folders == FOLDERS_DEFAULT ? 1700000000000 + offset * 100
					     : start + offset * step + 999;
}

const char *row_key(const struct row_layout *l, int64_t offset, size_t *len_out)
{
	*len_out = 3;
	if (offset % 3 == 0)
		return NULL;
	return l->metadata && offset % 7 == 1 ? "\xff\0a" : "key";
}

size_t row_headers(const struct row_layout *l, int64_t offset, struct row_header out[2])
{
	if (!l->metadata || offset % 5 > 1)
		return 0;
	out[0] = (struct row_header){"h", "v\xfe", 2};
	out[1] = (struct row_header){"n", NULL, 0};
	return offset % 5 == 0 ? 1 : 2;
}

static int64_t value_time(const struct row_layout *l, const struct row_record *r)
{
	return r->dice % 16 == 3 ? -1 : row_timestamp(l, r->offset) - HOUR_MS / 4;
}

/* The time, as a value has it: NULL: the field is not there. */
static char *time_json(const struct row_layout *l, const struct row_record *r)
{
	int64_t ms = value_time(l, r);

	switch (r->dice % 16) {
	case 0:
		return NULL;
	case 1:
		return xstrdup("\"never\"");
	case 2:
		return xstrdup("true");
	case 4: {
		char text[TIME_TEXT_BYTES];

		time_format(ms, text);
		return xasprintf("\"%s\"", text);
	}
	default:
		return xasprintf("%" PRId64, ms);
	}
}

void row_fields_add(const struct row_layout *l, const struct row_record *r, struct buf *out)
{
	const struct hostile *k = hostile_of(l, r->dice), *c = hostile_of(l, r->dice >> 16);
	AUTO(freep) char *ts = NULL;

	if (l->folders == FOLDERS_DEFAULT || l->format == ROWS_BYTES)
		return;
	ts = time_json(l, r);
	if (k->json)
		buf_addf(out, ",\"k\":%s", k->json);
	if (c->json)
		buf_addf(out, ",\"s\":{\"c\":%s}", c->json);
	if (ts)
		buf_addf(out, ",\"ts\":%s", ts);
}

/* ---- folders ---- */

static bool add_value(const char *name, const struct hostile *h, bool tombstone, struct buf *out)
{
	if (!tombstone && !h->folder)
		return false;
	buf_addf(out, "%s=%s", name, tombstone ? NONE : h->folder);
	return true;
}

/* By the C library's clock of Berlin: an hour and a day begin where its fields do. */
static void add_time(const struct row_layout *l, int64_t ms, struct buf *out)
{
	static bool in_berlin;
	time_t seconds = (time_t)((ms - (ms % 1000 + 1000) % 1000) / 1000);
	struct tm at;
	char text[64];

	if (!in_berlin)
		in_berlin = setenv("TZ", "Europe/Berlin", 1) == 0;
	tzset();
	localtime_r(&seconds, &at);
	at.tm_min -= at.tm_min % 15;
	strftime(text, sizeof(text),
		 l->folders == FOLDERS_DAY    ? "year=%Y/month=%m/day=%d"
		 : l->folders == FOLDERS_HOUR ? "year=%Y/month=%m/day=%d/hour=%H"
					      : "at=%Y%m%d-%H%M",
		 &at);
	buf_adds(out, text);
}

bool row_folder(const struct row_layout *l, const struct row_record *r, struct buf *out)
{
	const struct hostile *k = hostile_of(l, r->dice), *c = hostile_of(l, r->dice >> 16);

	switch (l->folders) {
	case FOLDERS_DEFAULT:
		buf_addf(out, "partition=%d", r->partition);
		return true;
	case FOLDERS_FIELD:
		return add_value("k", k, r->tombstone, out);
	case FOLDERS_FIELDS:
		if (!add_value("k", k, r->tombstone, out))
			return false;
		buf_addc(out, '/');
		return add_value("s.c", c, r->tombstone, out);
	case FOLDERS_QUARTER:
		if (!r->tombstone && r->dice % 16 < 3)
			return false;
		if (!r->tombstone) {
			add_time(l, value_time(l, r), out);
			return true;
		}
		break;
	case FOLDERS_DAY:
	case FOLDERS_HOUR:
		break;
	}
	add_time(l, row_timestamp(l, r->offset), out);
	return true;
}
