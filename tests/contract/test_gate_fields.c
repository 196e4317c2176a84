/* The gates that read records: each kind at its bounds, in all forms and codecs
 * of files, and what is wrong with files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connector/gates/unique_set.h"
#include "tests/lib/gate_steps.h"
#include "tests/lib/must.h"
#include "tests/lib/virtual_clock.h"

#define PATH(offset, ext) "topics/t/partition=0/t+0+000000000" offset "." ext

static struct gate_world w;

#define GATE(type) "gates=g\ngates.g.type=" type "\n"
#define FIELD(type, field) GATE(type) "gates.g.field=" field "\n"

static const char orders[] =
	"{\"type\":\"record\",\"name\":\"Order\",\"fields\":["
	"{\"name\":\"id\",\"type\":\"long\"},"
	"{\"name\":\"tags\",\"type\":{\"type\":\"array\",\"items\":\"string\"},\"default\":[]},"
	"{\"name\":\"counts\",\"type\":{\"type\":\"map\",\"values\":\"int\"},\"default\":{}},"
	"{\"name\":\"price\",\"type\":[\"null\",\"double\"],\"default\":null},"
	"{\"name\":\"weight\",\"type\":\"float\",\"default\":0},"
	"{\"name\":\"paid\",\"type\":\"boolean\",\"default\":false},"
	"{\"name\":\"sum\",\"type\":{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":"
	"9,"
	"\"scale\":2},\"default\":\"\\u0000\"},"
	"{\"name\":\"day\",\"type\":{\"type\":\"int\",\"logicalType\":\"date\"},\"default\":0},"
	"{\"name\":\"at\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-micros\"},"
	"\"default\":0},"
	"{\"name\":\"state\",\"type\":{\"type\":\"enum\",\"name\":\"State\",\"symbols\":[\"NEW\","
	"\"DONE\"]},\"default\":\"NEW\"},"
	"{\"name\":\"customer\",\"type\":[\"null\",{\"type\":\"record\",\"name\":\"Customer\","
	"\"fields\":[{\"name\":\"name\",\"type\":[\"null\",\"string\"],\"default\":null},"
	"{\"name\":\"address\",\"type\":[\"null\",{\"type\":\"record\",\"name\":\"Address\","
	"\"fields\":[{\"name\":\"zip\",\"type\":\"string\"}]}],\"default\":null}]}],"
	"\"default\":null}]}";

static const struct gate_format forms[] = {
	{FORMAT_JSON, CODEC_NULL, NULL},        {FORMAT_JSON, CODEC_GZIP, NULL},
	{FORMAT_JSON, CODEC_ZSTANDARD, NULL},   {FORMAT_AVRO, CODEC_NULL, orders},
	{FORMAT_AVRO, CODEC_SNAPPY, orders},    {FORMAT_AVRO, CODEC_DEFLATE, orders},
	{FORMAT_AVRO, CODEC_ZSTANDARD, orders},
};
static const struct gate_format *const json = &forms[0], *const avro = &forms[4];

/* ---- all forms ---- */

/* Many rows, so that there are many blocks, and one that each gate refuses. */
static void write_many(const struct gate_format *form, int64_t from, int64_t odd)
{
	enum { N = 3000 };
	char **rows = xcalloc(N, sizeof(char *));

	for (int i = 0; i < N; i++)
		rows[i] =
			i == odd ? xasprintf("{\"id\":7,\"tags\":[\"a\",\"b\"],\"customer\":null}")
			: i == 5
				? NULL
				: xasprintf("{\"id\":%d,\"tags\":[],\"counts\":{\"x\":1},\"price\":"
					    "%d.5,\"customer\":{\"name\":\"n%d\",\"address\":{"
					    "\"zip\":\"%05d\"}}}",
					    i, i, i, i);
	gate_write(&w, form, 0, from, (const char *const *)rows, N);
	for (int i = 0; i < N; i++)
		free(rows[i]);
	free(rows);
}

#define EACH                                                                                       \
	"gates=a,b,c,d,e\n"                                                                        \
	"gates.a.type=nulls\ngates.a.field=id\n"                                                   \
	"gates.b.type=nulls\ngates.b.field=customer.address.zip\n"                                 \
	"gates.c.type=unique\ngates.c.field=id\n"                                                  \
	"gates.d.type=range\ngates.d.field=id\ngates.d.min=0\ngates.d.max=2999\n"                  \
	"gates.e.type=pattern\ngates.e.field=customer.address.zip\ngates.e.pattern=[0-9]{5}\n"

static void test_forms(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		AUTO(gate_results_release) struct gate_results results = {0};
		struct err err = ERR_INIT;
		int64_t from = 6000 * (int64_t)i;

		gate_show(&w);
		write_many(&forms[i], from, -1);
		assert_int_equal(gate_judge(&w, EACH, &results, &err), ST_OK);
		assert_non_null(strstr(results.items[0].output, "0 of 2999 rows: id is null"));
		gate_results_release(&results);
		gate_show(&w);
		write_many(&forms[i], from + 3000, 2998);
		assert_int_equal(gate_judge(&w, EACH, &results, &err), ST_HELD);
		assert_int_equal(results.items[0].verdict, GATE_PASSED);
		assert_int_equal(results.items[1].verdict, GATE_REFUSED);
		assert_int_equal(results.items[2].verdict, GATE_REFUSED);
		assert_int_equal(results.items[3].verdict, GATE_PASSED);
		assert_int_equal(results.items[4].verdict, GATE_PASSED);
		assert_non_null(strstr(results.items[1].reason, "in 1 of 2999 rows"));
		assert_non_null(strstr(results.items[2].reason, "id is there again in 1 of 2999"));
	}
}

/* ---- each kind ---- */

static void test_nulls(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		const struct gate_format *form = i ? avro : json;
		int64_t from = 4 * i;

		gate_show(&w);
		GATE_WRITE(&w, form, 0, from, "{\"id\":1,\"price\":1.5}", "{\"id\":2}",
			   "{\"id\":3,\"price\":null}", NULL);
		gate_expect(&w, ST_OK, NULL, FIELD("nulls", "id"));
		gate_expect(&w, ST_OK, NULL, FIELD("nulls", "price") "gates.g.max=2");
		gate_expect(&w, ST_OK, NULL, FIELD("nulls", "price") "gates.g.max=67%");
		gate_expect(&w, ST_HELD, "price is null in 2 of 3 rows (max=1); the first: ",
			    FIELD("nulls", "price") "gates.g.max=1");
		gate_expect(&w, ST_HELD, "(max=66%)", FIELD("nulls", "price") "gates.g.max=66%");
		gate_expect(&w, ST_HELD,
			    i ? "null at offset 5 of " PATH("4", "avro")
			      : "absent at offset 1 of " PATH("0", "jsonl"),
			    FIELD("nulls", "price"));
	}
	gate_expect(&w, ST_HELD, "in 3 of 3 rows", FIELD("nulls", "customer.name"));
	/* both files */
	gate_expect(&w, ST_HELD, "in 4 of 6 rows", FIELD("nulls", "price") "gates.g.scope=all");
	gate_expect(&w, ST_OK, NULL, FIELD("nulls", "price") "gates.g.paths=topics/t/partition=1");
}

static void test_unique(void **state)
{
	(void)state;
	GATE_WRITE(&w, json, 0, 0, "{\"id\":1}", "{\"id\":2}", "{\"id\":\"1\"}", "{\"id\":null}",
		   "{\"id\":null}", "{}");
	gate_expect(&w, ST_OK, NULL, FIELD("unique", "id"));
	gate_show(&w);
	GATE_WRITE(&w, json, 1, 0, "{\"id\":3}", "{\"id\":4}");
	GATE_WRITE(&w, json, 1, 2, "{\"id\":5}", "{\"id\":4.0}", "{\"id\":1}", "{\"id\":3e0}");
	gate_expect(&w, ST_HELD,
		    "id is there again in 2 of 6 rows (max=0); the first: offset 3 of "
		    "topics/t/partition=1/t+1+0000000002.jsonl as offset 1 of "
		    "topics/t/partition=1/t+1+0000000000.jsonl",
		    FIELD("unique", "id"));
	gate_expect(&w, ST_OK, NULL, FIELD("unique", "id") "gates.g.max=2");
	gate_expect(&w, ST_HELD, "in 3 of 12 rows", FIELD("unique", "id") "gates.g.scope=all");
}

static void test_range(void **state)
{
	static const struct {
		const char *field, *value, *min, *max;
		bool ok;
	} rows[] = {
		{"id", "5", "5", "5", true},
		{"id", "5", "6", NULL, false},
		{"id", "5", NULL, "4", false},
		{"id", "9223372036854775807", "9223372036854775807", "9223372036854775807", true},
		{"id", "9223372036854775807", NULL, "9223372036854775806", false},
		{"price", "0.1", "0.1", "0.1", true},
		{"price", "0.1", "0.10000000000000002", NULL, false},
		{"weight", "0.1", "0.1", "0.1", true},
		{"weight", "0.1", NULL, "0.09", false},
		{"sum", "12.10", "12.10", "12.10", true},
		{"sum", "-12.11", "-12.11", "-12.11", true},
		{"sum", "-12.11", "-12.10", NULL, false},
		{"sum", "12.11", NULL, "12.10", false},
	};
	static const struct {
		const char *field, *value, *min, *max;
		bool ok;
	} times[] = {
		{"day", "20454", "2026-01-01", "2026-01-01T00:00:00Z", true},
		{"day", "20453", "2026-01-01", NULL, false},
		{"at", "1767225600000000", "2026-01-01", "2026-01-01", true},
		{"at", "1767225600000001", NULL, "2026-01-01T00:00:00Z", false},
		{"at", "1767225600000001", NULL, "1767225600000001", true},
	};
	int64_t at = 0;

	(void)state;
	for (int form = 0; form < 2; form++) {
		for (size_t i = 0; i < ARRAY_SIZE(rows) + (form ? ARRAY_SIZE(times) : 0); i++) {
			bool time = i >= ARRAY_SIZE(rows);
			size_t k = time ? i - ARRAY_SIZE(rows) : i;
			const char *field = time ? times[k].field : rows[k].field;
			const char *value = time ? times[k].value : rows[k].value;
			const char *min = time ? times[k].min : rows[k].min;
			const char *max = time ? times[k].max : rows[k].max;
			bool ok = time ? times[k].ok : rows[k].ok;
			AUTO(freep)
			char *row = strcmp(field, "id") == 0
					    ? xasprintf("{\"id\":%s}", value)
					    : xasprintf("{\"id\":0,\"%s\":%s}", field, value);
			AUTO(freep)
			char *gate = xasprintf("%sgates.g.field=%s\n%s%s\n%s%s\n", GATE("range"),
					       field, min ? "gates.g.min=" : "", min ? min : "",
					       max ? "gates.g.max=" : "", max ? max : "");

			gate_show(&w);
			GATE_WRITE(&w, form ? avro : json, 0, at++, row);
			gate_expect(&w, ok ? ST_OK : ST_HELD,
				    ok ? NULL
				       : "is out of range in 1 of 1 rows (max=0); the first: ",
				    gate);
		}
	}
}

static void test_range_of_odd_values(void **state)
{
	(void)state;
	GATE_WRITE(&w, json, 0, 0, "{\"x\":1}", "{\"x\":\"1\"}", "{\"x\":null}", "{\"x\":true}",
		   "{\"x\":[1]}", "{\"x\":1e400}", "{\"x\":123456789012345678901234567890}");
	gate_expect(&w, ST_HELD, "x is out of range in 5 of 7 rows (max=0); the first: '1' at",
		    FIELD("range", "x") "gates.g.max=10");
	gate_show(&w);
	GATE_WRITE(&w, avro, 0, 7, "{\"id\":1,\"price\":\"NaN\"}",
		   "{\"id\":1,\"price\":\"Infinity\"}");
	gate_expect(&w, ST_HELD, "price is out of range in 1 of 2 rows (max=0); the first: nan",
		    FIELD("range", "price") "gates.g.min=0");
	gate_expect(&w, ST_HELD, "in 2 of 2", FIELD("range", "price") "gates.g.max=1");
	gate_show(&w);
	GATE_WRITE(&w, avro, 0, 9, "{\"id\":1,\"weight\":\"NaN\"}");
	gate_expect(&w, ST_HELD, "the first: nan", FIELD("range", "weight") "gates.g.min=0");
	gate_show(&w);
	GATE_WRITE(&w, json, 0, 10, "{\"x\":\"2026-01-01T00:00:00+01:00\"}",
		   "{\"x\":1767225599999}");
	gate_expect(&w, ST_OK, NULL,
		    FIELD("range", "x") "gates.g.min=2025-12-31T23:00:00Z\n"
					"gates.g.max=2025-12-31T23:59:59.999Z");
	gate_expect(&w, ST_HELD, "in 1 of 2",
		    FIELD("range", "x") "gates.g.max=2025-12-31T23:59:59Z");
}

static void test_pattern(void **state)
{
	(void)state;
	GATE_WRITE(&w, json, 0, 0, "{\"a\":{\"b\":\"ab\"}}", "{\"a\":{\"b\":\"\\u00e4\\n\"}}",
		   "{\"a\":{\"\\u0062\":\"abc\"}}", "{\"a\":{\"b\":\"xaby\"}}", "{\"a\":null}",
		   "{\"a\":{\"b\":5}}", "{\"a\":{\"b\":\"ab\\u0000\"}}");
	gate_expect(&w, ST_HELD, "a.b does not match in 4 of 7 rows (max=3); the first: '\xc3\xa4",
		    FIELD("pattern", "a.b") "gates.g.pattern=abc?\ngates.g.max=3");
	gate_expect(&w, ST_OK, NULL, FIELD("pattern", "a.b") "gates.g.pattern=abc?\ngates.g.max=4");
	/* alternatives are of the whole */
	gate_expect(&w, ST_HELD, "in 5 of 7", FIELD("pattern", "a.b") "gates.g.pattern=x|ab");
	gate_expect(&w, ST_HELD, "a.b is null in 1 of 7", FIELD("nulls", "a.b"));
	gate_show(&w);
	GATE_WRITE(&w, avro, 0, 7, "{\"id\":1,\"state\":\"DONE\"}", "{\"id\":1}");
	gate_expect(&w, ST_OK, NULL, FIELD("pattern", "state") "gates.g.pattern=NEW|DONE");
	gate_expect(&w, ST_HELD, "'NEW' at offset 8",
		    FIELD("pattern", "state") "gates.g.pattern=DONE");
	gate_expect(&w, ST_HELD, "id does not match in 2",
		    FIELD("pattern", "id") "gates.g.pattern=1");
}

static void test_freshness(void **state)
{
	struct virtual_clock clock;

	(void)state;
	virtual_clock_init(&clock, 1767225600000 + 5000); /* 2026-01-01 and 5 s */
	w.clock = &clock.clock;
	GATE_WRITE(&w, json, 0, 0, "{\"at\":\"2026-01-01T00:00:00Z\"}",
		   "{\"at\":\"2025-01-01T00:00:00Z\"}", "{\"at\":null}");
	gate_expect(&w, ST_OK, NULL, FIELD("freshness", "at") "gates.g.max.age.ms=5000");
	gate_expect(&w, ST_HELD,
		    "the newest is 2026-01-01T00:00:00.000Z, 5000 ms ago (max.age.ms=4999)",
		    FIELD("freshness", "at") "gates.g.max.age.ms=4999");
	/* record n is stamped 1000 n */
	gate_expect(&w, ST_HELD, "the newest is 1970-01-01T00:00:02.000Z",
		    GATE("freshness") "gates.g.max.age.ms=5000");
	virtual_clock_init(&clock, 7000);
	gate_expect(&w, ST_OK, NULL, GATE("freshness") "gates.g.max.age.ms=5000");
	gate_expect(&w, ST_HELD, "5000 ms ago", GATE("freshness") "gates.g.max.age.ms=4999");
	gate_show(&w);
	GATE_WRITE(&w, json, 0, 3, "{\"at\":null}");
	gate_expect(&w, ST_HELD, "no row has a time in at",
		    FIELD("freshness", "at") "gates.g.max.age.ms=5000");
	GATE_WRITE(&w, json, 0, 4, "{\"at\":\"soon\"}");
	gate_expect(&w, ST_HELD, "at is no time in 1 of 2 rows; the first: 'soon' at offset 4",
		    FIELD("freshness", "at") "gates.g.max.age.ms=5000");
	gate_show(&w);
	GATE_WRITE(&w, avro, 0, 5, "{\"id\":1,\"at\":2000000}");
	gate_expect(&w, ST_OK, NULL, FIELD("freshness", "at") "gates.g.max.age.ms=5000");
	gate_expect(&w, ST_HELD, "5000 ms ago", FIELD("freshness", "at") "gates.g.max.age.ms=4999");
}

/* ---- fields that are missing, files that are damaged ---- */

static void test_missing(void **state)
{
	(void)state;
	GATE_WRITE(&w, json, 0, 0, "{\"x\":1}", "{\"y\":1}");
	gate_expect(&w, ST_OK, NULL, FIELD("range", "x") "gates.g.min=1");
	gate_expect(&w, ST_HELD, "no row has the field z", FIELD("range", "z") "gates.g.min=1");
	gate_expect(&w, ST_OK, NULL, FIELD("range", "z") "gates.g.min=1\ngates.g.optional=true");
	gate_expect(&w, ST_HELD, "z is null in 2 of 2 rows", FIELD("nulls", "z"));
	gate_show(&w);
	GATE_WRITE(&w, avro, 0, 2, "{\"id\":1}");
	gate_expect(&w, ST_HELD,
		    PATH("2", "avro") ": it has no field prize; it has id, tags, counts, price",
		    FIELD("range", "prize") "gates.g.min=1");
	gate_expect(&w, ST_OK, NULL,
		    FIELD("range", "prize") "gates.g.min=1\ngates.g.optional=true");
	gate_expect(&w, ST_HELD, "it has no field zap; it has zip",
		    FIELD("nulls", "customer.address.zap"));
	gate_expect(&w, ST_HELD, "it has no field x: that lies in array, not in a record",
		    FIELD("nulls", "tags.x"));
	/* nothing to judge */
	gate_show(&w);
	GATE_WRITE(&w, avro, 0, 3, NULL);
	gate_expect(&w, ST_OK, NULL, FIELD("range", "prize") "gates.g.min=1");
	gate_expect(&w, ST_OK, NULL, FIELD("nulls", "price"));
	/* dead letters are looked at where they are named */
	gate_write_raw(&w, "_deadletters/c/t/t+1+0000000000.jsonl", 1, 0, 1, "0", "{\"x\":1}\n", 8);
	gate_expect(&w, ST_OK, NULL, FIELD("nulls", "y"));
	gate_expect(&w, ST_HELD, "1 of 1", FIELD("nulls", "y") "gates.g.paths=_deadletters/c/");
}

static void test_no_fields(void **state)
{
	static const struct gate_format bytes = {FORMAT_BYTES, CODEC_NULL, NULL};

	(void)state;
	GATE_WRITE(&w, &bytes, 0, 0, "x");
	gate_expect(&w, ST_HELD, PATH("0", "bin") ": records of format=bytes have no fields",
		    FIELD("nulls", "x"));
	gate_expect(&w, ST_OK, NULL, GATE("row_count") "gates.g.min=1");
	gate_show(&w);
	gate_write_raw(&w, "topics/t/notes.txt", 0, 1, 2, NULL, "x", 1);
	gate_expect(&w, ST_HELD, "topics/t/notes.txt: it is no file of records",
		    FIELD("nulls", "x"));
}

static int64_t next_offset(void)
{
	return offsets_get(&w.h.ingest.head.offsets, "t", 0);
}

static char *path_at(int64_t offset, const char *ext)
{
	return xasprintf("topics/t/partition=0/t+0+%010" PRId64 ".%s", offset, ext);
}

/* A file of two rows with these bytes: refused, with its path, or passed. */
static bool damaged_is_refused(const char *ext, const struct buf *data)
{
	AUTO(gate_results_release) struct gate_results results = {0};
	int64_t at = next_offset();
	AUTO(freep) char *path = path_at(at, ext);
	AUTO(freep) char *runs = xasprintf("%" PRId64 "-%" PRId64, at, at + 1);
	struct err err = ERR_INIT;
	enum status st;

	gate_show(&w);
	gate_write_raw(&w, path, 0, at, at + 2, runs, buf_str(data), data->len);
	st = gate_judge(&w, FIELD("nulls", "id"), &results, &err);
	if (st != ST_OK && (st != ST_HELD || !strstr(err.text, path)))
		fail_msg("%s: %s %s", path, status_name(st), err.text);
	return st == ST_HELD;
}

/* Every file that is cut is refused (but JSON lines behind a whole line, and
 * containers behind their head), and no damage does worse. */
static void test_damaged(void **state)
{
	static const char *const exts[] = {"jsonl", "jsonl.gz", "jsonl.zst", "avro",
					   "avro",  "avro",     "avro"};
	struct rng rng = rng_seeded(1);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		AUTO(buf_release) struct buf data = BUF_INIT;
		AUTO(freep) char *path = path_at(next_offset(), exts[i]);
		size_t refused = 0, whole;

		GATE_WRITE(&w, &forms[i], 0, next_offset(), "{\"id\":1,\"price\":2.5}",
			   "{\"id\":2}");
		MUST(lake_read(w.lake, &w.h.ingest.head.id, path, 1 << 20, &data, &err));
		whole = data.len;
		for (int k = 0; k < 20; k++) {
			AUTO(buf_release) struct buf copy = BUF_INIT;

			buf_add(&copy, data.data, 1 + rng_below(&rng, whole - 1));
			refused += damaged_is_refused(exts[i], &copy);
		}
		assert_true(refused >= 18);
		for (int k = 0; k < 40; k++) {
			size_t at = rng_below(&rng, whole);

			data.data[at] ^= (char)(1 << rng_below(&rng, 8));
			refused += damaged_is_refused(exts[i], &data);
		}
		assert_true(refused >= 40);
	}
}

/* What a form keeps to find damage is looked at. */
static void test_marks(void **state)
{
	static const struct {
		size_t from_end;
		const char *say;
	} rows[] = {{1, "block 0: no sync marker is behind it"},
		    {17, "block 0: its checksum is another"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO(buf_release) struct buf data = BUF_INIT;
		AUTO(freep) char *path = path_at(next_offset(), "avro"), *bad = NULL;

		GATE_WRITE(&w, avro, 0, next_offset(), "{\"id\":1}");
		MUST(lake_read(w.lake, &w.h.ingest.head.id, path, 1 << 20, &data, &err));
		data.data[data.len - rows[i].from_end] ^= 1;
		gate_show(&w);
		bad = path_at(next_offset(), "avro");
		gate_write_raw(&w, bad, 0, next_offset(), next_offset() + 1, "0", data.data,
			       data.len);
		gate_expect(&w, ST_HELD, rows[i].say, FIELD("nulls", "id"));
	}
}

/* Gates of both scopes share a pass, and each sees its own. */
static void test_scopes(void **state)
{
	static const char text[] = "gates=all,added\ngates.all.scope=all\n"
				   "gates.all.type=nulls\ngates.all.field=id\n"
				   "gates.added.type=nulls\ngates.added.field=id\n";
	AUTO(gate_results_release) struct gate_results results = {0};
	struct err err = ERR_INIT;

	(void)state;
	GATE_WRITE(&w, json, 0, 0, "{}");
	GATE_WRITE(&w, json, 1, 0, "{}");
	gate_show(&w);
	GATE_WRITE(&w, json, 0, 1, "{\"id\":1}");
	assert_int_equal(gate_judge(&w, text, &results, &err), ST_HELD);
	assert_non_null(strstr(err.text, "gate all: id is null in 2 of 3 rows"));
	assert_int_equal(results.items[1].verdict, GATE_PASSED);
	assert_non_null(strstr(results.items[1].output, "0 of 1 rows"));
}

/* ---- the set ---- */

static void test_unique_set(void **state)
{
	struct rng rng = rng_seeded(4);

	(void)state;
	for (size_t limit = 1; limit <= 4096; limit *= 8) {
		AUTO(unique_set_freep) struct unique_set *set = unique_set_new(limit);
		struct unique_result r;
		uint64_t seen[1500] = {0}, again = 0, first = 0, second = 0;

		for (uint64_t row = 1; row <= 1000; row++) {
			uint64_t v = rng_below(&rng, ARRAY_SIZE(seen));
			struct unique_item item = {.file = row / 100, .row = row};

			memcpy(item.digest, &v, sizeof(v));
			if (seen[v] && again++ == 0) {
				first = seen[v];
				second = row;
			}
			if (!seen[v])
				seen[v] = row;
			MUST(unique_set_add(set, &item, &err));
		}
		MUST(unique_set_finish(set, &r, &err));
		assert_int_equal(r.again, again);
		assert_int_equal(r.first.row, first);
		assert_int_equal(r.second.row, second);
	}
}

/* ---- configuration ---- */

static void test_bad_configuration(void **state)
{
	static const struct {
		const char *text, *say;
	} rows[] = {
		{GATE("nulls"), "gates.g.field is not set: name a field"},
		{FIELD("nulls", "a..b"), "gates.g.field=a..b: name a field"},
		{FIELD("nulls", "id") "gates.g.max=1.5", "gates.g.max=1.5: give a number of rows"},
		{FIELD("nulls", "id") "gates.g.optional=true",
		 "gates.g.optional: no such property"},
		{FIELD("nulls", "ids"),
		 "gates.g.field=ids: look at the schema file: it has no field "
		 "ids; it has id, tags"},
		{FIELD("range", "id"), "gates.g.min and .max are not set"},
		{FIELD("range", "id") "gates.g.min=low",
		 "gates.g.min=low: give a number, or a time"},
		{FIELD("range", "id") "gates.g.min=1\ngates.g.max=2026-01-01",
		 "gates.g.min=1: max is of another kind"},
		{FIELD("range", "id") "gates.g.min=2\ngates.g.max=1", "gates.g.min=2: it is above"},
		{FIELD("pattern", "id"), "gates.g.pattern is not set"},
		{FIELD("pattern", "id") "gates.g.pattern=(", "gates.g.pattern=(: give a POSIX"},
		{FIELD("freshness", "id"), "gates.g.max.age.ms is not set"},
		{GATE("freshness") "gates.g.max.age.ms=5\ngates.g.paths=topics/t/",
		 "gates.g.paths=topics/t/: timestamps are known of whole checkpoints"},
	};

	(void)state;
	w.schema = orders;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		gate_expect(&w, ST_USAGE, rows[i].say, rows[i].text);
}

int main(void)
{
#define T(f) GATE_TEST(f, &w)
	const struct CMUnitTest tests[] = {
		T(test_forms),
		T(test_nulls),
		T(test_unique),
		T(test_range),
		T(test_range_of_odd_values),
		T(test_pattern),
		T(test_freshness),
		T(test_missing),
		T(test_no_fields),
		T(test_damaged),
		T(test_marks),
		T(test_scopes),
		cmocka_unit_test(test_unique_set),
		T(test_bad_configuration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
