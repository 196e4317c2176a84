/* JSON: the validator of lines against jansson, and JSON to Avro. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "connector/schema/decimal.h"
#include "connector/schema/json_encode.h"
#include "connector/schema/utf8.h"
#include "connector/schema/walker.h"
#include "connector/writer/json_line.h"
#include "core/base/clock.h"
#include "tests/lib/must.h"

/* ---- lines ---- */

static bool check(const void *data, size_t len, struct json_line *line, const char **why)
{
	AUTO(freep) char *exact = xmemdup(data, len); /* nothing behind it to read */
	struct json_line found = {NULL, 0, false};
	bool ok = json_line_check(exact, len, &found, NULL, why);

	if (ok && line)
		*line = (struct json_line){(const char *)data + (found.text - exact), found.len,
					   found.broken};
	return ok;
}

static const struct {
	const char *text;
	const char *why; /* NULL: accepted */
} lines[] = {
	{"{}", NULL},
	{"[]", NULL},
	{" {\"a\":[1,2,{\"b\":null}],\"c\":\"\\u00e9\\n\"} ", NULL},
	{"0", NULL},
	{"-0.5e+10", NULL},
	{"1E5", NULL},
	{"true", NULL},
	{"\"\\ud83d\\ude00\"", NULL},
	{"\"0123456789abcdef0123456789abcdef\xc3\xa9\"", NULL},
	{"12345678901234567890123", NULL},
	{"", "empty"},
	{"  \n", "only white space"},
	{"{", "no name"},
	{"[", "ends too early"},
	{"[1", "ends too early"},
	{"[1,", "ends too early"},
	{"[1,]", "no JSON value"},
	{"[1 2]", "',' or ']'"},
	{"{\"a\"}", "':'"},
	{"{\"a\":}", "no JSON value"},
	{"{\"a\":1,}", "no name"},
	{"{a:1}", "no name"},
	{"{\"a\":1]", "',' or '}'"},
	{"[1}", "',' or ']'"},
	{"01", "more follows"},
	{"1.", "point"},
	{"1e", "exponent"},
	{"-", "no JSON value"},
	{"+1", "no JSON value"},
	{".5", "no JSON value"},
	{"nul", "no JSON value"},
	{"NaN", "no JSON value"},
	{"'a'", "no JSON value"},
	{"\"abc", "within a string"},
	{"\"a\nb\"", "control"},
	{"\"\\x\"", "no such escape"},
	{"\"\\u12g4\"", "\\uXXXX"},
	{"\"\\u12", "within an escape"},
	{"\"\\ud800\"", "surrogate"},
	{"\"\\udc00\"", "surrogate"},
	{"\"\\ud800\\u0041\"", "surrogate"},
	{"\"\xff\"", "UTF-8"},
	{"\"\xc3\"", "UTF-8"},
	{"\"0123456789abcdef0\xed\xa0\x80\"", "UTF-8"},
	{"1 2", "more follows"},
	{"{} x", "more follows"},
	{"\xef\xbb\xbf{}", "no JSON value"}, /* a byte order mark */
};

static void test_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		const char *why = "";
		bool ok = check(lines[i].text, strlen(lines[i].text), NULL, &why);

		if (ok != !lines[i].why)
			fail_msg("'%s': %s", lines[i].text, ok ? "accepted" : why);
		if (!ok && !strstr(why, lines[i].why))
			fail_msg("'%s': '%s', wanted '%s'", lines[i].text, why, lines[i].why);
	}
}

static void test_depth(void **state)
{
	AUTO(buf_release) struct buf b = BUF_INIT;

	(void)state;
	for (int i = 0; i < JSON_MAX_DEPTH; i++)
		buf_adds(&b, i % 2 ? "[" : "{\"a\":");
	buf_addc(&b, '1');
	for (int i = JSON_MAX_DEPTH; i-- > 0;)
		buf_addc(&b, i % 2 ? ']' : '}');
	assert_true(check(b.data, b.len, NULL, NULL));
	b.len = 0;
	for (int i = 0; i < 1000000; i++)
		buf_addc(&b, '[');
	assert_false(check(b.data, b.len, NULL, NULL));
}

static void test_flatten(void **state)
{
	struct json_line line;
	AUTO(buf_release) struct buf b = BUF_INIT;

	(void)state;
	assert_true(check("\n{\r\n\"a\":1}\r\n", 12, &line, NULL));
	assert_true(line.broken);
	json_line_flatten(&line, &b);
	assert_string_equal(b.data, "{  \"a\":1}");
	assert_true(check(" [1] ", 5, &line, NULL));
	assert_false(line.broken);
	assert_int_equal(line.len, 3);
}

/* Mutated JSON: both agree. jansson refuses numbers beyond its types, our
 * deeper limit aside. */
static void test_against_jansson(void **state)
{
	static const char *const seeds[] = {
		"{\"id\":17,\"n\":\"A \\u00e9\\\"x\",\"l\":[1.5,-2e3,true,null,[]],\"o\":{}}",
		"[{\"a\":\"\\ud83d\\ude00\"},\"\xe2\x82\xac\",false]",
		" \"text\" ",
		"-12.75",
	};
	static const char tokens[] = "{}[]\",:0123456789-+.eE\\utrfalsn \n\xc3\xa9";
	struct rng r = rng_seeded(3);
	unsigned accepted = 0;

	(void)state;
	for (int i = 0; i < 40000; i++) {
		AUTO(buf_release) struct buf b = BUF_INIT;
		json_error_t e;
		json_t *j;
		bool ours;

		buf_adds(&b, seeds[rng_below(&r, ARRAY_SIZE(seeds))]);
		for (uint64_t n = rng_below(&r, 3); n; n--)
			b.data[rng_below(&r, b.len)] = tokens[rng_below(&r, sizeof(tokens) - 1)];
		ours = check(b.data, b.len, NULL, NULL);
		j = json_loadb(b.data, b.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
		if (ours != (j != NULL) && json_error_code(&e) != json_error_numeric_overflow)
			fail_msg("'%s': ours %d, jansson %s", b.data, ours, e.text);
		json_decref(j);
		accepted += ours;
	}
	assert_true(accepted > 10000 && accepted < 39000);
}

static void test_string(void **state)
{
	AUTO(buf_release) struct buf b = BUF_INIT;

	(void)state;
	json_line_add_string(&b, "a\0\x1f\"\\\n/\xc3\xa9", 9);
	assert_string_equal(b.data, "\"a\\u0000\\u001f\\\"\\\\\\n/\xc3\xa9\"");
}

/* ---- JSON to Avro ---- */

#define RECORD(fields) "{\"type\":\"record\",\"name\":\"n.R\",\"fields\":[" fields "]}"
#define FIELD(name, type) "{\"name\":\"" name "\",\"type\":" type "}"
#define LOGICAL(type, logical) "{\"type\":\"" type "\",\"logicalType\":\"" logical "\"}"
#define DECIMAL "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":6,\"scale\":2}"
#define DECIMAL_FIXED                                                                              \
	"{\"type\":\"fixed\",\"name\":\"D\",\"size\":4,\"logicalType\":\"decimal\","               \
	"\"precision\":6,\"scale\":2}"
#define TWO_RECORDS                                                                                \
	"[" RECORD(FIELD("a", "\"int\"")) ",{\"type\":\"record\",\"name\":\"n.S\",\"fields\":["    \
					  "{\"name\":\"a\",\"type\":\"int\"}]}]"

static const struct {
	const char *schema;
	const char *json;
	const char *bytes; /* NULL: refused */
	size_t len;
	const char *why;
} conversions[] = {
	{"\"null\"", "null", "", 0, NULL},
	{"\"boolean\"", "true", "\1", 1, NULL},
	{"\"boolean\"", "1", NULL, 0, "a number where the schema has boolean"},
	{"\"int\"", "-1", "\1", 1, NULL},
	{"\"int\"", "3.0", "\6", 1, NULL},
	{"\"int\"", "3.5", NULL, 0, "fraction"},
	{"\"int\"", "2147483648", NULL, 0, "32 bits"},
	{"\"int\"", "-2147483648", "\xff\xff\xff\xff\x0f", 5, NULL},
	{"\"long\"", "9223372036854775807", "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, NULL},
	{"\"long\"", "9223372036854775808", NULL, 0, "no JSON"},
	{"\"long\"", "1e300", NULL, 0, "fraction"},
	{"\"long\"", "\"5\"", NULL, 0, "text where"},
	{"\"double\"", "1", "\0\0\0\0\0\0\xf0\x3f", 8, NULL},
	{"\"double\"", "\"-Infinity\"", "\0\0\0\0\0\0\xf0\xff", 8, NULL},
	{"\"float\"", "0.5", "\0\0\0\x3f", 4, NULL},
	{"\"float\"", "1e39", NULL, 0, "float's range"},
	{"\"string\"", "\"\\u00e9\\u0000\"", "\6\xc3\xa9\0", 4, NULL},
	{"\"string\"", "1", NULL, 0, "a number where"},
	{"\"bytes\"", "\"a\\u00ff\"",
	 "\4"
	 "a\xff",
	 3, NULL},
	{"\"bytes\"", "\"\\u0100\"", NULL, 0, "beyond"},
	{"{\"type\":\"fixed\",\"name\":\"F\",\"size\":2}", "\"ab\"", "ab", 2, NULL},
	{"{\"type\":\"fixed\",\"name\":\"F\",\"size\":2}", "\"abc\"", NULL, 0, "length"},
	{"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"]}", "\"B\"", "\2", 1, NULL},
	{"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"]}", "\"C\"", NULL, 0,
	 "no symbol 'C'"},
	{"{\"type\":\"array\",\"items\":\"int\"}", "[1,2]", "\4\2\4\0", 4, NULL},
	{"{\"type\":\"array\",\"items\":\"int\"}", "[]", "\0", 1, NULL},
	{"{\"type\":\"array\",\"items\":\"int\"}", "[1,\"x\"]", NULL, 0, "[1]: text"},
	{"{\"type\":\"map\",\"values\":\"int\"}", "{\"k\":1}", "\2\2k\2\0", 5, NULL},
	{"{\"type\":\"map\",\"values\":\"int\"}", "{\"k\":null}", NULL, 0, "{\"k\"}: null"},
	/* records */
	{RECORD(FIELD("a", "\"int\"") "," FIELD("b", "\"string\"")), "{\"b\":\"x\",\"a\":1}",
	 "\2\2x", 3, NULL},
	{RECORD(FIELD("a", "\"int\"")), "{}", NULL, 0, "a: the field is missing"},
	{RECORD(FIELD("a", "\"int\"")), "{\"a\":1,\"z\":2}", NULL, 0, "z: the schema has no such"},
	{RECORD(FIELD("a", RECORD(FIELD("b", "\"int\"")))), "{\"a\":{\"b\":\"x\"}}", NULL, 0,
	 "twice"},
	{RECORD("{\"name\":\"a\",\"type\":\"int\",\"default\":7}"), "{}", "\16", 1, NULL},
	{RECORD("{\"name\":\"a\",\"type\":\"int\",\"aliases\":[\"old\"]}"), "{\"old\":1}", "\2", 1,
	 NULL},
	{RECORD("{\"name\":\"a\",\"type\":\"int\",\"aliases\":[\"old\"]}"), "{\"old\":1,\"a\":2}",
	 NULL, 0, "alias"},
	{RECORD("{\"name\":\"a\",\"type\":[\"null\",\"int\"],\"default\":null}"), "{}", "\0", 1,
	 NULL},
	{RECORD("{\"name\":\"a\",\"type\":[\"int\",\"null\"],\"default\":3}"), "{}", "\0\6", 2,
	 NULL},
	{RECORD("{\"name\":\"a\",\"type\":" DECIMAL ",\"default\":\"\\u0001\\u0000\"}"), "{}",
	 "\4\1\0", 3, NULL},
	{RECORD("{\"name\":\"a\",\"type\":{\"type\":\"array\",\"items\":\"int\"},\"default\":[1]}"),
	 "{}", "\2\2\0", 3, NULL},
	{RECORD("{\"name\":\"a\",\"type\":\"int\",\"default\":\"x\"}"), "{}", NULL, 0, "default"},
	{RECORD(FIELD("a", "\"int\"")), "{\"a\":1,\"a\":2}", NULL, 0, "no JSON"},
	{RECORD(FIELD("next", "[\"null\",\"n.R\"]")), "{\"next\":{\"next\":null}}", "\2\0", 2,
	 NULL},
	/* unions */
	{"[\"null\",\"string\"]", "null", "\0", 1, NULL},
	{"[\"null\",\"string\"]", "\"x\"", "\2\2x", 3, NULL},
	{"[\"null\",\"string\"]", "{\"string\":\"x\"}", "\2\2x", 3, NULL},
	{"[\"null\",\"string\"]", "5", NULL, 0, "no branch for such"},
	{"[\"null\",\"int\"]", "5000000000", NULL, 0, "32 bits"},
	{"[\"null\",\"int\",\"long\"]", "5", "\2\12", 2, NULL},
	{"[\"null\",\"int\",\"long\"]", "5000000000", "\4\x80\xc8\xaf\xa0\x25", 6, NULL},
	{"[\"null\",\"int\",\"long\"]", "{\"long\":5}", "\4\12", 2, NULL},
	{"[\"long\",\"double\"]", "0.5", "\2\0\0\0\0\0\0\xe0\x3f", 9, NULL},
	{"[\"string\",\"bytes\"]", "\"x\"", "\0\2x", 3, NULL},
	{"[\"string\",\"bytes\"]", "{\"bytes\":\"x\"}", "\2\2x", 3, NULL},
	{"[{\"type\":\"map\",\"values\":\"string\"},\"string\"]", "{\"string\":\"x\"}", "\2\2x", 3,
	 NULL}, /* the branch's name wins */
	{"[{\"type\":\"map\",\"values\":\"string\"},\"int\"]", "{\"int\":\"x\"}", "\0\2\6int\2x\0",
	 9, NULL}, /* where that does not fit, the map */
	{TWO_RECORDS, "{\"a\":1}", NULL, 0, "several branches"},
	{TWO_RECORDS, "{\"n.S\":{\"a\":1}}", "\2\2", 2, NULL},
	{TWO_RECORDS, "{\"S\":{\"a\":1}}", "\2\2", 2, NULL},
	{TWO_RECORDS, "{\"S\":{\"b\":1}}", NULL, 0, "a: the field is missing"},
	/* logical types */
	{LOGICAL("int", "date"), "\"1970-01-02\"", "\2", 1, NULL},
	{LOGICAL("int", "date"), "\"1969-12-31\"", "\1", 1, NULL},
	{LOGICAL("int", "date"), "3", "\6", 1, NULL},
	{LOGICAL("int", "date"), "\"soon\"", NULL, 0, "no date"},
	{LOGICAL("long", "timestamp-millis"), "\"1970-01-01T00:00:01.5Z\"", "\xb8\x17", 2, NULL},
	{LOGICAL("long", "timestamp-millis"), "\"1970-01-01T01:00:01+01:00\"", "\xd0\x0f", 2, NULL},
	{LOGICAL("long", "timestamp-millis"), "\"1970-01-01T00:00:00.0001Z\"", NULL, 0, "finer"},
	{LOGICAL("long", "timestamp-micros"), "\"1970-01-01T00:00:00.000007Z\"", "\16", 1, NULL},
	{LOGICAL("long", "timestamp-nanos"), "\"1970-01-01T00:00:00.000000007Z\"", "\16", 1, NULL},
	{LOGICAL("long", "local-timestamp-micros"), "\"1970-01-01T00:00:00.000007\"", "\16", 1,
	 NULL},
	{LOGICAL("long", "time-micros"), "\"00:00\"", NULL, 0, "text where"},
	{LOGICAL("string", "uuid"), "\"0123\"", NULL, 0, "UUID"},
	{DECIMAL, "12.5", "\4\4\xe2", 3, NULL},
	{DECIMAL, "\"-12.50\"", "\4\xfb\x1e", 3, NULL},
	{DECIMAL, "0", "\2\0", 2, NULL},
	{DECIMAL, "1.28", "\4\0\x80", 3, NULL},
	{DECIMAL, "-1.30", "\4\xff\x7e", 3, NULL},
	{DECIMAL, "-1.28", "\2\x80", 2, NULL},
	{DECIMAL, "0.1", "\2\12", 2, NULL},
	{DECIMAL, "1.005", NULL, 0, "scale"},
	{DECIMAL, "12345.6", NULL, 0, "precision"},
	{DECIMAL, "\"x\"", NULL, 0, "no number"},
	{DECIMAL_FIXED, "-0.01", "\xff\xff\xff\xff", 4, NULL},
	{DECIMAL_FIXED, "2.56", "\0\0\1\0", 4, NULL},
};

static enum status convert(const char *schema, const char *json, struct buf *out, struct err *err)
{
	AUTO(schema_freep) struct schema *s = NULL;
	AUTO(walker_freep) struct walker *w = NULL;
	enum status st = schema_parse(schema, strlen(schema), &s, err);

	if (st == ST_OK)
		st = json_encode_prepare(s, err);
	if (st == ST_OK)
		st = json_encode(s, json, strlen(json), out, err);
	if (st != ST_OK)
		return st;
	w = walker_new(s);
	buf_reserve(out, WALKER_SLACK);
	assert_true(walker_check(w, out->data, out->len));
	return ST_OK;
}

static void test_conversions(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(conversions); i++) {
		AUTO(buf_release) struct buf out = BUF_INIT;
		struct err why = ERR_INIT;
		enum status st = convert(conversions[i].schema, conversions[i].json, &out, &why);

		if ((st == ST_OK) != (conversions[i].bytes != NULL))
			fail_msg("%s as %s: %s", conversions[i].json, conversions[i].schema,
				 st == ST_OK ? "accepted" : why.text);
		if (st != ST_OK && !strstr(why.text, conversions[i].why))
			fail_msg("%s as %s: '%s', wanted '%s'", conversions[i].json,
				 conversions[i].schema, why.text, conversions[i].why);
		if (st == ST_OK && (out.len != conversions[i].len ||
				    memcmp(buf_str(&out), conversions[i].bytes, out.len) != 0))
			fail_msg("%s as %s: other bytes, %zu of them", conversions[i].json,
				 conversions[i].schema, out.len);
	}
}

/* Two like records inside themselves: 2^depth ways to read a value. */
static void test_too_many_ways(void **state)
{
	static const char schema[] =
		"[\"null\",{\"type\":\"record\",\"name\":\"A\",\"fields\":[{\"name\":\"x\",\"type\""
		":[\"null\",\"A\",{\"type\":\"record\",\"name\":\"B\",\"fields\":[{\"name\":\"x\","
		"\"type\":[\"null\",\"A\",\"B\"]}]}]}]}]";
	AUTO(buf_release) struct buf json = BUF_INIT;
	AUTO(buf_release) struct buf out = BUF_INIT;

	(void)state;
	for (int i = 0; i < 90; i++)
		buf_adds(&json, "{\"x\":");
	buf_adds(&json, "null");
	for (int i = 0; i < 90; i++)
		buf_addc(&json, '}');
	MUST_SAY(ST_POISON, "too many ways", convert(schema, json.data, &out, &err));
	assert_int_equal(out.len, 0);
}

static void test_canonical(void **state)
{
	static const char json[] =
		" {\"doc\":\"d\", "
		"\"fields\":[{\"type\":{\"type\":\"int\"},\"name\":\"a\",\"doc\":1},"
		"{\"name\":\"f\",\"type\":{\"size\":4,\"type\":\"fixed\",\"name\":\"F\"}},"
		"{\"name\":\"g\",\"type\":\"F\"}],\"name\":\"R\",\"namespace\":\"x.y\","
		"\"type\":\"record\",\"aliases\":[\"Q\"]}";
	AUTO(schema_freep) struct schema *s = NULL;
	AUTO(buf_release) struct buf out = BUF_INIT;
	AUTO(buf_release) struct buf print = BUF_INIT;

	(void)state;
	MUST(schema_parse(json, strlen(json), &s, &err));
	schema_canonical(s, &out);
	assert_string_equal(
		out.data,
		"{\"name\":\"x.y.R\",\"type\":\"record\",\"fields\":[{\"name\":\"a\",\"type\":"
		"\"int\"},{\"name\":\"f\",\"type\":{\"name\":\"x.y.F\",\"type\":\"fixed\","
		"\"size\":4}},{\"name\":\"g\",\"type\":\"x.y.F\"}]}");
	schema_free(MOVE(s));
	/* printf '"int"' | sha256sum */
	MUST(schema_parse("\"int\"", 5, &s, &err));
	schema_fingerprint(s, &print);
	assert_string_equal(
		print.data,
		"sha256:3f2b87a9fe7cc9b13835598c3981cd45e3e355309e5090aa0933d7becb6fba45");
}

static void test_schema_errors(void **state)
{
	static const struct {
		const char *json;
		const char *why;
	} cases[] = {
		{"{", "no JSON"},
		{"\"no.Such\"", "'no.Such' is not defined"},
		{"5", "neither"},
		{"{\"type\":\"record\",\"name\":\"R\"}", "no fields"},
		{"{\"type\":\"record\",\"fields\":[]}", "no name"},
		{"{\"type\":\"record\",\"name\":\"a-b\",\"fields\":[]}", "'a-b' is no name"},
		{"{\"type\":\"fixed\",\"name\":\"F\",\"size\":-1}", "size"},
		{"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"A\"]}", "twice"},
		{"[\"int\",\"int\"]", "twice"},
		{"[\"int\",[\"null\"]]", "inside a union"},
		{"{\"type\":\"array\"}", "'items'"},
		{RECORD(FIELD("a", "\"int\"") "," FIELD("a", "\"int\"")), "two fields 'a'"},
		{"[" RECORD("") "," RECORD("") "]", "defined twice"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct schema *s = NULL;

		MUST_SAY(ST_FAILED, cases[i].why,
			 schema_parse(cases[i].json, strlen(cases[i].json), &s, &err));
	}
}

/* ---- text that is no UTF-8 ---- */

#define MARK "\xef\xbf\xbd"

static void test_utf8_json(void **state)
{
	static const struct {
		const char *text, *json;
	} rows[] = {
		{"", ""},
		{"orders", "orders"},
		{"\xc3\xa9\xe6\x9d\xb1\xf0\x9f\x98\x80", "\xc3\xa9\xe6\x9d\xb1\xf0\x9f\x98\x80"},
		{"J\xf6rg", "J" MARK "rg"},
		{"\xc3\xa9\xff", "\xc3\xa9" MARK}, /* what is good stays beside what is not */
		{"\xe6\x9d", MARK MARK}, /* cut off: each byte */
		{"\xc0\xaf", MARK MARK}, /* too long a form */
		{"\xed\xa0\x80!", MARK MARK MARK "!"}, /* half a pair */
		{"\xf4\x90\x80\x80", MARK MARK MARK MARK}, /* beyond U+10FFFF */
	};
	json_t *json = utf8_json(NULL);

	(void)state;
	assert_true(json_is_null(json));
	json_decref(json);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		json = utf8_json(rows[i].text);
		assert_non_null(json);
		assert_string_equal(json_string_value(json), rows[i].json);
		json_decref(json);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),         cmocka_unit_test(test_depth),
		cmocka_unit_test(test_flatten),       cmocka_unit_test(test_against_jansson),
		cmocka_unit_test(test_string),        cmocka_unit_test(test_conversions),
		cmocka_unit_test(test_too_many_ways), cmocka_unit_test(test_canonical),
		cmocka_unit_test(test_schema_errors), cmocka_unit_test(test_utf8_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
