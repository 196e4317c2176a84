/* Where records go: folders of fields and of times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "connector/schema/utf8.h"
#include "connector/writer/avro_row.h"
#include "connector/writer/partitioner.h"
#include "connector/writer/path_value.h"
#include "connector/writer/time_pattern.h"
#include "core/base/clock.h"
#include "core/lake.h"
#include "tests/lib/must.h"

/* ---- text in paths ---- */

static void safe_is(const char *text, size_t len, const char *expected)
{
	AUTO(buf_release) struct buf out = BUF_INIT;

	path_value_add(&out, text, len, 200);
	assert_string_equal(buf_str(&out), expected);
}

static void test_hostile_text(void **state)
{
	static const struct {
		const char *text, *expected;
	} rows[] = {
		{"plain-Text_1.5", "plain-Text_1.5"},
		{"", "__HIVE_DEFAULT_PARTITION__"},
		{"__HIVE_DEFAULT_PARTITION__", "%5F_HIVE_DEFAULT_PARTITION__"},
		{"a/b", "a%2Fb"},
		{"..", ".."},
		{"../../etc", "..%2F..%2Fetc"},
		{"a=b", "a%3Db"},
		{"50%", "50%25"},
		{"%2F", "%252F"},
		{":*?\"<>|\\", "%3A%2A%3F%22%3C%3E%7C%5C"},
		{"a b+c~d", "a%20b%2Bc%7Ed"},
		{"\n\t\x7f", "%0A%09%7F"},
		{"Z\xc3\xbcrich \xe6\x9d\xb1\xe4\xba\xac",
		 "Z\xc3\xbcrich%20\xe6\x9d\xb1\xe4\xba\xac"},
		{"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
		{"\xff\xfe", "%FF%FE"}, /* no UTF-8 */
		{"\xc3", "%C3"}, /* cut */
		{"\xc0\xaf", "%C0%AF"}, /* an overlong slash */
		{"\xed\xa0\x80", "%ED%A0%80"}, /* half a pair */
		{"\xc2\x85", "%C2%85"}, /* a control of Unicode */
		{"a\xe2\x80\xae"
		 "b",
		 "a%E2%80%AEb"}, /* text from right to left */
		{"\xef\xbb\xbf"
		 "x",
		 "%EF%BB%BFx"}, /* a byte order mark */
		{"\xe3\x80\x80", "%E3%80%80"}, /* a wide blank */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		safe_is(rows[i].text, strlen(rows[i].text), rows[i].expected);
	safe_is("a\0b", 3, "a%00b");
}

/* Whatever it is, it is one name, not too long, and different text is different. */
static void test_long_text(void **state)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	AUTO(buf_release) struct buf a = BUF_INIT;
	AUTO(buf_release) struct buf b = BUF_INIT;
	struct rng r = rng_seeded(11);

	(void)state;
	for (int round = 0; round < 3000; round++) {
		size_t n = 1 + rng_below(&r, 300), limit = PATH_VALUE_MIN + rng_below(&r, 180);

		buf_clear(&text);
		for (size_t i = 0; i < n; i++)
			buf_addc(&text, (char)(rng_below(&r, 3) ? 'a' + rng_below(&r, 26)
								: rng_below(&r, 256)));
		buf_clear(&a);
		buf_clear(&b);
		path_value_add(&a, text.data, text.len, limit);
		assert_in_range(a.len, 1, limit);
		assert_true(utf8_check((unsigned char *)a.data, a.len));
		assert_null(strchr(a.data, '/'));
		assert_int_equal(strlen(a.data), a.len);
		text.data[n - 1] ^= 1; /* where a cut would lose it */
		path_value_add(&b, text.data, text.len, limit);
		assert_string_not_equal(a.data, b.data);
	}
	/* As long as may be stays whole; one more is cut. */
	buf_clear(&text);
	for (int i = 0; i < 101; i++)
		buf_addc(&text, 'x');
	buf_clear(&a);
	path_value_add(&a, text.data, 100, 100);
	assert_int_equal(a.len, 100);
	assert_null(strchr(a.data, '~'));
	buf_clear(&a);
	path_value_add(&a, text.data, 101, 100);
	assert_int_equal(a.len, 100);
	assert_ptr_equal(strchr(a.data, '~'), a.data + 67);
}

/* ---- patterns ---- */

static void test_patterns(void **state)
{
	/* 2024-03-05T07:08:09.045 */
	const int64_t ms = 1709622489045;
	static const struct {
		const char *pattern, *expected;
	} rows[] = {
		{"'year'=YYYY/'month'=MM/'day'=dd/'hour'=HH", "year=2024/month=03/day=05/hour=07"},
		{"yyyy-MM-dd", "2024-03-05"},
		{"y.M.d H,m,s", NULL},
		{"y.M.d/H,m,s", "2024.3.5/7,8,9"},
		{"yy/MM/dd/HHmmss", "24/03/05/070809"},
		{"yyyyyy", "002024"},
		{"DDD", "065"},
		{"'at-'ss.SSS", "at-09.045"},
		{"S/SS", "0/04"},
	};
	static const struct {
		const char *pattern, *why;
	} refused[] = {
		{"yyyy/ww", "letter w is not taken"},
		{"EEE", "letter E is not taken"},
		{"hh", "letter h is not taken"},
		{"yyyy-MM-dd'T'HH:mm", "character 0x3a (:)"},
		{"MMM", "a month's name"},
		{"'year=yyyy", "a quote is not closed"},
		{"''yyyy", "character 0x27"},
		{"yyyy%MM", "character 0x25"},
		{"yyyy\n", "character 0x0a"},
		{"/yyyy", "begins or ends with '/'"},
		{"yyyy/", "begins or ends with '/'"},
		{"yyyy//MM", "an empty part"},
		{"yyyy/../MM", "a part '..'"},
		{"", "a path is empty"},
		{"SSSS", "3 at most"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO(time_pattern_freep) struct time_pattern *p = NULL;
		AUTO(buf_release) struct buf out = BUF_INIT;

		if (!rows[i].expected) {
			MUST_SAY(ST_USAGE, "character 0x20",
				 time_pattern_parse(rows[i].pattern, &p, &err));
			continue;
		}
		MUST(time_pattern_parse(rows[i].pattern, &p, &err));
		time_pattern_add(p, ms, &out);
		assert_string_equal(buf_str(&out), rows[i].expected);
	}
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		struct time_pattern *p = NULL;

		MUST_SAY(ST_USAGE, refused[i].why,
			 time_pattern_parse(refused[i].pattern, &p, &err));
	}
}

/* ---- time ---- */

static struct partitioner *by_time(const char *format, int64_t duration_ms, const char *zone,
				   const char *field)
{
	const struct partitioner_options options = {.path_prefix = "topics",
						    .path_format = format,
						    .duration_ms = duration_ms,
						    .timezone = zone,
						    .timestamp_field = field};
	struct partitioner *p = NULL;

	MUST(partitioner_new(&options, &p, &err));
	return p;
}

static void folder_is(struct partition_path *path, const struct record *r,
		      const struct partition_value *v, const char *expected)
{
	const struct buf *folder;

	MUST(partition_path_of(path, r, v, &folder, &err));
	assert_string_equal(buf_str(folder), expected);
}

static void time_is(struct partition_path *path, int64_t ms, const char *expected)
{
	/* A time before 1970 comes from a field. */
	AUTO(freep) char *json = xasprintf("{\"at\":%lld}", (long long)ms);
	const struct record r = {.topic = "t"};
	const struct partition_value v = {.data = json, .len = strlen(json)};

	folder_is(path, &r, &v, expected);
}

/* What Python's zoneinfo says, with a local time that the clocks leave out read by the
 * offset before it (fold=0), as Joda's convertLocalToUTC does. */
static void test_times_and_zones(void **state)
{
	static const struct {
		int64_t ms;
		const char *zone;
		int64_t duration_ms;
		const char *expected;
	} rows[] = {
		{1711846799999, "Europe/Berlin", 3600000, "2024-03-31-01.00.00"},
		{1711846800000, "Europe/Berlin", 3600000, "2024-03-31-03.00.00"},
		{1711850399000, "Europe/Berlin", 7200000, "2024-03-31-03.00.00"},
		{1711847400000, "Europe/Berlin", 7200000, "2024-03-31-03.00.00"},
		{1729989000000, "Europe/Berlin", 3600000, "2024-10-27-02.00.00"},
		{1729992600000, "Europe/Berlin", 3600000, "2024-10-27-02.00.00"},
		{1729992600000, "Europe/Berlin", 14400000, "2024-10-27-00.00.00"},
		{1710055800000, "America/New_York", 7200000, "2024-03-10-03.00.00"},
		{1710053999000, "America/New_York", 7200000, "2024-03-10-00.00.00"},
		{1730611800000, "America/New_York", 3600000, "2024-11-03-01.00.00"},
		{1730615400000, "America/New_York", 3600000, "2024-11-03-01.00.00"},
		{1541302200000, "America/Sao_Paulo", 86400000, "2018-11-04-01.00.00"},
		{1541298600000, "America/Sao_Paulo", 86400000, "2018-11-03-00.00.00"},
		{1712416200000, "Australia/Lord_Howe", 3600000, "2024-04-07-01.00.00"},
		{1728142800000, "Australia/Lord_Howe", 3600000, "2024-10-06-02.30.00"},
		{1728142800000, "Australia/Lord_Howe", 7200000, "2024-10-06-02.30.00"},
		{1325241000000, "Pacific/Apia", 86400000, "2011-12-31-00.00.00"},
		{-1800000, "UTC", 3600000, "1969-12-31-23.00.00"},
		{-310476600000, "Asia/Kolkata", 86400000, "1960-02-29-00.00.00"},
		{4086592496000, "Europe/Berlin", 900000, "2099-07-01-14.30.00"},
		{4078430400000, "Europe/Berlin", 7200000, "2099-03-29-03.00.00"},
		{951868799999, "America/St_Johns", 3600000, "2000-02-29-20.00.00"},
		{1248943238213, "America/St_Johns", 604800000, "2009-07-30-00.00.00"},
		{3664000871840, "UTC", 10800000, "2086-02-08-09.00.00"},
		{-7188883315, "America/St_Johns", 10800000, "1969-10-09-15.00.00"},
		{1168393462016, "Pacific/Auckland", 86400000, "2007-01-10-00.00.00"},
		{-887259983015, "Asia/Kolkata", 10800000, "1941-11-20-00.00.00"},
		{598928201757, "Pacific/Auckland", 900000, "1988-12-24-13.45.00"},
		{220079656520, "America/Santiago", 900000, "1976-12-22-02.00.00"},
		{-986547127944, "UTC", 900000, "1938-09-27-15.00.00"},
		{897403137195, "America/New_York", 900000, "1998-06-09-10.30.00"},
		{1758611560285, "Asia/Kolkata", 86400000, "2025-09-23-00.00.00"},
		{802278787745, "America/New_York", 604800000, "1995-06-01-00.00.00"},
		{1625870950231, "UTC", 3600000, "2021-07-09-22.00.00"},
		{457775924113, "America/New_York", 3600000, "1984-07-04-03.00.00"},
		{1916562566912, "Australia/Lord_Howe", 86400000, "2030-09-25-00.00.00"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO(partitioner_freep)
		struct partitioner *p =
			by_time("yyyy-MM-dd-HH.mm.ss", rows[i].duration_ms, rows[i].zone, "at");
		struct partition_path *path = partition_path_new(p);

		time_is(path, rows[i].ms, rows[i].expected);
		partition_path_free(path);
	}
}

/* One that remembers its last folder says what one says that remembers nothing. */
static void test_times_in_any_order(void **state)
{
	static const char *const zones[] = {"UTC", "Europe/Berlin", "Australia/Lord_Howe"};
	struct rng r = rng_seeded(3);

	(void)state;
	for (size_t z = 0; z < ARRAY_SIZE(zones); z++) {
		AUTO(partitioner_freep)
		struct partitioner *p = by_time("yyyy-MM-dd-HH.mm", 45 * 60000, zones[z], NULL);
		struct partition_path *path = partition_path_new(p);
		for (int i = 0; i < 5000; i++) {
			/* around a change of clocks, in Europe, or on Lord Howe */
			const int64_t change = rng_below(&r, 2) ? 1711846800000 : 1728142200000;
			const struct record record = {
				.topic = "t",
				.timestamp_ms =
					change + (int64_t)rng_below(&r, 14400000) - 7200000};
			const struct partition_value none = {.data = NULL};
			struct partition_path *fresh = partition_path_new(p);
			const struct buf *expected;

			MUST(partition_path_of(fresh, &record, &none, &expected, &err));
			folder_is(path, &record, &none, buf_str(expected));
			partition_path_free(fresh);
		}
		partition_path_free(path);
	}
}

static void time_fails(struct partition_path *path, const char *json, const char *why)
{
	const struct record r = {.topic = "t", .timestamp_ms = 1000};
	const struct partition_value v = {.data = json, .len = strlen(json)};
	const struct buf *folder;

	MUST_SAY(ST_POISON, why, partition_path_of(path, &r, &v, &folder, &err));
}

static void test_time_of_a_field(void **state)
{
	AUTO(partitioner_freep)
	struct partitioner *p = by_time("yyyy/MM/dd", 86400000, "UTC", "a.at");
	struct partition_path *path = partition_path_new(p);
	const struct record r = {.topic = "t", .timestamp_ms = 1711846800000};
	static const char text[] = "{\"a\":{\"at\":\"2021-05-06T23:59:59+00:00\"}}";
	const struct partition_value v = {.data = text, .len = strlen(text)};
	const struct partition_value none = {.data = NULL};
	const struct record timeless = {.topic = "t", .timestamp_ms = -1};
	const struct buf *folder;

	(void)state;
	folder_is(path, &r, &v, "2021/05/06");
	folder_is(path, &r, &none, "2024/03/31"); /* a tombstone: its own time */
	MUST_SAY(ST_POISON, "no timestamp",
		 partition_path_of(path, &timeless, &none, &folder, &err));
	time_fails(path, "{\"a\":{}}", "timestamp.field=a.at: the value has no time there");
	time_fails(path, "{\"a\":{\"at\":null}}", "no time there");
	time_fails(path, "{\"a\":{\"at\":\"yesterday\"}}", "that is no time");
	time_fails(path, "{\"a\":{\"at\":[]}}", "that is no time");
	time_fails(path, "{\"a\":{\"at\":253402400000000}}", "not within the years 1 to 9999");
	time_fails(path, "{\"a\":{\"at\":-62135600000000}}", "not within the years 1 to 9999");
	partition_path_free(path);
}

/* ---- fields ---- */

static struct partitioner *by_fields(const char *const *fields, size_t n)
{
	const struct partitioner_options options = {
		.path_prefix = "topics", .fields = fields, .n_fields = n};
	struct partitioner *p = NULL;

	MUST(partitioner_new(&options, &p, &err));
	return p;
}

#define WIDE                                                                                       \
	"{\"type\":\"record\",\"name\":\"Wide\",\"fields\":["                                      \
	"{\"name\":\"s\",\"type\":\"string\"},"                                                    \
	"{\"name\":\"i\",\"type\":\"int\"},"                                                       \
	"{\"name\":\"b\",\"type\":\"boolean\"},"                                                   \
	"{\"name\":\"d\",\"type\":{\"type\":\"int\",\"logicalType\":\"date\"}},"                   \
	"{\"name\":\"e\",\"type\":{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"ONE\",\"TWO\"]" \
	"}},"                                                                                      \
	"{\"name\":\"u\",\"type\":[\"null\",\"int\",\"string\"]},"                                 \
	"{\"name\":\"r\",\"type\":{\"type\":\"record\",\"name\":\"R\",\"fields\":["                \
	"{\"name\":\"x\",\"type\":\"long\"}]}},"                                                   \
	"{\"name\":\"f\",\"type\":\"float\"},"                                                     \
	"{\"name\":\"g\",\"type\":\"double\"},"                                                    \
	"{\"name\":\"y\",\"type\":\"bytes\"},"                                                     \
	"{\"name\":\"z\",\"type\":{\"type\":\"fixed\",\"name\":\"F\",\"size\":2}},"                \
	"{\"name\":\"a\",\"type\":{\"type\":\"array\",\"items\":\"int\"}},"                        \
	"{\"name\":\"m\",\"type\":{\"type\":\"map\",\"values\":\"int\"}}]}"

/* u: -1 null, 0 the int 7, 1 the text "7/8" */
static void wide_value(struct buf *b, int64_t day, int u)
{
	buf_clear(b);
	avro_row_text(b, "a/b");
	avro_row_long(b, -5);
	buf_addc(b, 1);
	avro_row_long(b, day);
	avro_row_long(b, 1);
	avro_row_long(b, u + 1);
	if (u == 0)
		avro_row_long(b, 7);
	if (u == 1)
		avro_row_text(b, "7/8");
	avro_row_long(b, 1LL << 40);
	buf_add(b, "\0\0\0\0", 4);
	buf_add(b, "\0\0\0\0\0\0\0\0", 8);
	avro_row_bytes(b, "yy", 2);
	buf_add(b, "zz", 2);
	avro_row_long(b, 0);
	avro_row_long(b, 0);
}

/* fields: NULL-terminated */
static void avro_are(const char *const *fields, const struct buf *value, enum status st,
		     const char *expected)
{
	AUTO(schema_freep) struct schema *schema = NULL;
	AUTO(partitioner_freep) struct partitioner *p = NULL;
	const struct record r = {.topic = "t"};
	struct partition_value v = {.data = value->data, .len = value->len};
	struct partition_path *path;
	struct partition_plan *plan;
	const struct buf *folder;
	size_t n = 0;

	while (fields[n])
		n++;
	p = by_fields(fields, n);
	path = partition_path_new(p);
	MUST(schema_parse(WIDE, strlen(WIDE), &schema, &err));
	v.plan = plan = partition_plan_new(p, schema);
	if (st == ST_OK)
		folder_is(path, &r, &v, expected);
	else
		MUST_SAY(st, expected, partition_path_of(path, &r, &v, &folder, &err));
	partition_plan_free(plan);
	partition_path_free(path);
}

static void avro_is(const char *field, const struct buf *value, enum status st,
		    const char *expected)
{
	avro_are((const char *const[]){field, NULL}, value, st, expected);
}

static void test_avro_fields(void **state)
{
	AUTO(buf_release) struct buf v = BUF_INIT;
	AUTO(buf_release) struct buf cut = BUF_INIT;

	(void)state;
	wide_value(&v, 19787, -1);
	avro_is("s", &v, ST_OK, "s=a%2Fb");
	avro_is("i", &v, ST_OK, "i=-5");
	avro_is("b", &v, ST_OK, "b=true");
	avro_is("d", &v, ST_OK, "d=2024-03-05");
	avro_is("e", &v, ST_OK, "e=TWO");
	avro_is("u", &v, ST_OK, "u=__HIVE_DEFAULT_PARTITION__");
	avro_is("r.x", &v, ST_OK, "r.x=1099511627776");
	avro_is("f", &v, ST_POISON, "partition.field.name=f: a float or double names no folder");
	avro_is("g", &v, ST_POISON, "a float or double");
	avro_is("y", &v, ST_POISON, "bytes, fixed and decimals");
	avro_is("z", &v, ST_POISON, "bytes, fixed and decimals");
	avro_is("a", &v, ST_POISON, "a record, array or map");
	avro_is("m", &v, ST_POISON, "a record, array or map");
	avro_is("r", &v, ST_POISON, "a record, array or map");
	avro_is("q", &v, ST_POISON,
		"partition.field.name=q: it has no field q; it has s, i, b, d, e, u, r, f, g, y, "
		"z, a, "
		"m");
	avro_is("s.x", &v, ST_POISON, "it has no field x");
	buf_add(&cut, v.data, 2);
	avro_is("s", &cut, ST_POISON, "is not one of its schema");
	wide_value(&v, -1, 0);
	avro_is("u", &v, ST_OK, "u=7");
	avro_is("d", &v, ST_OK, "d=1969-12-31");
	wide_value(&v, 0, 1);
	avro_is("u", &v, ST_OK, "u=7%2F8");
	/* Those that are read after a null in a union of several. */
	wide_value(&v, 0, -1);
	avro_are((const char *const[]){"r.x", "u", "s", NULL}, &v, ST_OK,
		 "r.x=1099511627776/u=__HIVE_DEFAULT_PARTITION__/s=a%2Fb");
}

/* What a value lacks is not what the one before had. */
static void test_nothing_stays_of_the_value_before(void **state)
{
	static const char text[] = "{\"type\":\"record\",\"name\":\"O\",\"fields\":[{\"name\":"
				   "\"r\",\"type\":[\"null\","
				   "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":"
				   "\"x\",\"type\":\"int\"}]}]}]}";
	static const char *const fields[] = {"r.x"};
	AUTO(schema_freep) struct schema *schema = NULL;
	AUTO(partitioner_freep) struct partitioner *p = by_fields(fields, 1);
	struct partition_path *path = partition_path_new(p);
	const struct record r = {.topic = "t"};
	struct partition_plan *plan;

	(void)state;
	MUST(schema_parse(text, strlen(text), &schema, &err));
	plan = partition_plan_new(p, schema);
	folder_is(path, &r, &(struct partition_value){"\2\6", 2, plan}, "r.x=3");
	folder_is(path, &r, &(struct partition_value){"\0", 1, plan},
		  "r.x=__HIVE_DEFAULT_PARTITION__");
	partition_plan_free(plan);
	partition_path_free(path);
}

static void json_is(const char *json, enum status st, const char *expected)
{
	static const char *const fields[] = {"a", "b.c"};
	AUTO(partitioner_freep) struct partitioner *p = by_fields(fields, 2);
	struct partition_path *path = partition_path_new(p);
	const struct record r = {.topic = "t"};
	const struct partition_value v = {.data = json, .len = json ? strlen(json) : 0};
	const struct buf *folder;

	if (st == ST_OK)
		folder_is(path, &r, &v, expected);
	else
		MUST_SAY(st, expected, partition_path_of(path, &r, &v, &folder, &err));
	partition_path_free(path);
}

#define NONE "__HIVE_DEFAULT_PARTITION__"

static void test_json_fields(void **state)
{
	(void)state;
	json_is("{\"a\":\"x\",\"b\":{\"c\":12}}", ST_OK, "a=x/b.c=12");
	json_is("{\"a\":true,\"b\":{\"c\":\"\\u002f\\n\"}}", ST_OK, "a=true/b.c=%2F%0A");
	json_is("{\"a\":-0,\"b\":{\"c\":123456789012345678901234567890}}", ST_OK,
		"a=0/b.c=123456789012345678901234567890");
	json_is("{\"a\":null}", ST_OK, "a=" NONE "/b.c=" NONE);
	json_is("{\"a\":\"\",\"b\":7}", ST_OK, "a=" NONE "/b.c=" NONE);
	json_is("[1]", ST_OK, "a=" NONE "/b.c=" NONE);
	json_is(NULL, ST_OK, "a=" NONE "/b.c=" NONE); /* a tombstone */
	json_is("{\"a\":1.5}", ST_POISON, "partition.field.name=a: a number with a fraction");
	json_is("{\"a\":1e3}", ST_POISON, "a number with a fraction");
	json_is("{\"a\":{}}", ST_POISON, "a record, array or map");
	json_is("{\"a\":1,\"b\":{\"c\":[]}}", ST_POISON, "partition.field.name=b.c: a record");
}

/* Whatever the values, a file's path is one that the lake takes. */
static void test_paths_fit(void **state)
{
	static const char *const fields[] = {"first", "second", "third", "fourth"};
	AUTO(partitioner_freep) struct partitioner *p = by_fields(fields, 4);
	struct partition_path *path = partition_path_new(p);
	AUTO(buf_release) struct buf json = BUF_INIT;
	const struct record r = {.topic = "t"};
	const struct buf *folder;
	char topic[250];

	(void)state;
	memset(topic, 't', 249);
	topic[249] = '\0';
	buf_addc(&json, '{');
	for (size_t i = 0; i < 4; i++) {
		buf_addf(&json, "%s\"%s\":\"", i ? "," : "", fields[i]);
		for (int k = 0; k < 5000; k++)
			buf_adds(&json, k % 3 ? "/" : "\xe6\x9d\xb1");
		buf_addc(&json, '"');
	}
	buf_addc(&json, '}');
	{
		const struct partition_value v = {.data = json.data, .len = json.len};
		AUTO(freep) char *full = NULL;

		MUST(partition_path_of(path, &r, &v, &folder, &err));
		full = xasprintf("topics/%s/%s/%s+2147483647+9223372036854775807+g4294967295."
				 "jsonl.zst",
				 topic, folder->data, topic);
		MUST(lake_path_check(full, &err));
		assert_in_range(strlen(full), 900, 1023);
	}
	partition_path_free(path);
}

static void test_settings_refused(void **state)
{
	static const char *const twice[] = {"a", "b", "a"};
	char name[260], prefix[400];
	const char *names[] = {name};
	struct partitioner_options o = {.path_prefix = "topics", .fields = twice, .n_fields = 3};
	struct partitioner *p = NULL;

	(void)state;
	MUST_SAY(ST_USAGE, "partition.field.name: a is named twice", partitioner_new(&o, &p, &err));
	memset(name, 'n', 230);
	name[230] = '\0';
	o.fields = names;
	o.n_fields = 1;
	MUST_SAY(ST_USAGE, "no room for the values", partitioner_new(&o, &p, &err));
	memset(prefix, 'p', 399);
	prefix[399] = '\0';
	o.path_prefix = prefix;
	o.fields = twice;
	o.n_fields = 2;
	MUST_SAY(ST_USAGE, "no room for the values", partitioner_new(&o, &p, &err));
	o = (struct partitioner_options){.path_prefix = "topics",
					 .path_format = "yyyy/ww",
					 .duration_ms = 1,
					 .timezone = "UTC"};
	MUST_SAY(ST_USAGE, "path.format=yyyy/ww: letter w", partitioner_new(&o, &p, &err));
	o.path_format = "yyyy";
	o.timezone = "Europe/Atlantis";
	MUST_SAY(ST_USAGE, "timezone=Europe/Atlantis", partitioner_new(&o, &p, &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hostile_text),
		cmocka_unit_test(test_long_text),
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_times_and_zones),
		cmocka_unit_test(test_times_in_any_order),
		cmocka_unit_test(test_time_of_a_field),
		cmocka_unit_test(test_avro_fields),
		cmocka_unit_test(test_nothing_stays_of_the_value_before),
		cmocka_unit_test(test_json_fields),
		cmocka_unit_test(test_paths_fit),
		cmocka_unit_test(test_settings_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
