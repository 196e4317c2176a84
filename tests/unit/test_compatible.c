/* Schema resolution, rule by rule: what the specification lets be read, and what
 * not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "connector/schema/compatible.h"
#include "tests/lib/must.h"
#include "tests/lib/random_avro.h"

#define REC(fields) "{\"type\":\"record\",\"name\":\"R\",\"fields\":[" fields "]}"
#define F(name, type) "{\"name\":\"" name "\",\"type\":" type "}"
#define FD(name, type, def) "{\"name\":\"" name "\",\"type\":" type ",\"default\":" def "}"
#define ENUM(symbols) "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[" symbols "]}"
#define FIXED(name, n) "{\"type\":\"fixed\",\"name\":\"" name "\",\"size\":" n "}"
#define DEC(p, s)                                                                                  \
	"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":" p ",\"scale\":" s "}"
#define LIST(item) "{\"type\":\"array\",\"items\":" item "}"
#define MAP(item) "{\"type\":\"map\",\"values\":" item "}"
#define NODE(more)                                                                                 \
	"{\"type\":\"record\",\"name\":\"N\",\"fields\":[" more                                    \
	"{\"name\":\"next\",\"type\":[\"null\",\"N\"]}]}"

static const struct {
	const char *reader, *writer, *why; /* NULL: it can */
} rows[] = {
	{"\"int\"", "\"int\"", NULL},
	{"\"long\"", "\"int\"", NULL},
	{"\"float\"", "\"int\"", NULL},
	{"\"double\"", "\"int\"", NULL},
	{"\"float\"", "\"long\"", NULL},
	{"\"double\"", "\"long\"", NULL},
	{"\"double\"", "\"float\"", NULL},
	{"\"bytes\"", "\"string\"", NULL},
	{"\"string\"", "\"bytes\"", NULL},
	{"\"int\"", "\"long\"", "long cannot be read as int"},
	{"\"long\"", "\"float\"", "float cannot be read as long"},
	{"\"float\"", "\"double\"", "double cannot be read as float"},
	{"\"boolean\"", "\"int\"", "int cannot be read as boolean"},
	{"\"string\"", "\"int\"", "int cannot be read as string"},
	{"\"null\"", "\"int\"", "int cannot be read as null"},
	/* records */
	{REC(F("a", "\"int\"")), REC(F("a", "\"int\"") "," F("b", "\"int\"")), NULL},
	{REC(F("b", "\"int\"") "," F("a", "\"int\"")), REC(F("a", "\"int\"") "," F("b", "\"int\"")),
	 NULL},
	{REC(F("a", "\"int\"") "," FD("b", "\"int\"", "1")), REC(F("a", "\"int\"")), NULL},
	{REC(F("a", "\"int\"") "," FD("b", "[\"null\",\"int\"]", "null")), REC(F("a", "\"int\"")),
	 NULL},
	{REC(F("a", "\"int\"") "," F("b", "\"int\"")), REC(F("a", "\"int\"")),
	 "field b is not in the writer's schema and has no default"},
	{REC(F("a", "\"int\"")), REC(F("a", "\"long\"")), "a: long cannot be read as int"},
	{REC("{\"name\":\"a\",\"type\":\"int\",\"aliases\":[\"old\"]}"), REC(F("old", "\"int\"")),
	 NULL},
	{"{\"type\":\"record\",\"name\":\"x.R\",\"fields\":[]}", REC(""), NULL},
	{"{\"type\":\"record\",\"name\":\"S\",\"fields\":[]}", REC(""), "record R is read as S"},
	{"{\"type\":\"record\",\"name\":\"S\",\"aliases\":[\"y.R\"],\"fields\":[]}", REC(""), NULL},
	/* enums, fixed */
	{ENUM("\"A\",\"B\""), ENUM("\"B\""), NULL},
	{ENUM("\"A\""), ENUM("\"A\",\"B\""), "enum E does not have B"},
	{"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"],\"default\":\"A\"}",
	 ENUM("\"A\",\"B\""), NULL},
	{FIXED("X", "4"), FIXED("X", "4"), NULL},
	{FIXED("X", "4"), FIXED("X", "5"), "fixed X has 5 bytes and is read with 4"},
	{FIXED("X", "4"), FIXED("Y", "4"), "fixed Y is read as X"},
	{DEC("9", "2"), DEC("9", "2"), NULL},
	{DEC("9", "3"), DEC("9", "2"), "decimal(9, 2) is read as decimal(9, 3)"},
	{DEC("8", "2"), DEC("9", "2"), "decimal(9, 2) is read as decimal(8, 2)"},
	{"\"bytes\"", DEC("9", "2"), NULL},
	/* what holds others */
	{LIST("\"long\""), LIST("\"int\""), NULL},
	{LIST("\"int\""), LIST("\"long\""), "items: long cannot be read as int"},
	{MAP("\"long\""), MAP("\"int\""), NULL},
	{MAP("\"int\""), MAP("\"long\""), "values: long cannot be read as int"},
	{LIST("\"int\""), MAP("\"int\""), "map cannot be read as array"},
	/* unions */
	{"[\"null\",\"int\"]", "\"int\"", NULL},
	{"[\"null\",\"long\"]", "\"int\"", NULL},
	{"[\"null\",\"int\"]", "\"long\"", "no branch of the union takes long"},
	{"\"int\"", "[\"null\",\"int\"]", "null cannot be read as int"},
	{"\"long\"", "[\"int\",\"long\"]", NULL},
	{"[\"null\",\"string\"]", "[\"string\",\"null\"]", NULL},
	{"[\"null\",\"string\"]", "[\"null\",\"string\",\"int\"]",
	 "no branch of the union takes int"},
	{"[\"null\"," REC(F("a", "\"int\"")) "]", "[\"null\"," REC(F("a", "\"long\"")) "]",
	 "a: long cannot be read as int"},
	/* schemas that hold themselves */
	{NODE(""), NODE(F("v", "\"int\"") ","), NULL},
	{NODE(FD("v", "\"int\"", "0") ","), NODE(""), NULL},
	{NODE(F("v", "\"int\"") ","), NODE(""), "field v is not in the writer's schema"},
	{NODE(F("v", "\"int\"") ","), NODE(F("v", "\"long\"") ","),
	 "v: long cannot be read as int"},
};

static struct schema *parsed(const char *text)
{
	struct schema *s = NULL;

	MUST(schema_parse(text, strlen(text), &s, &err));
	return s;
}

static void test_rules(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO(schema_freep) struct schema *reader = parsed(rows[i].reader);
		AUTO(schema_freep) struct schema *writer = parsed(rows[i].writer);
		struct err err = ERR_INIT;
		bool can = schema_can_read(reader, writer, &err);

		if (can != !rows[i].why || (!can && !strstr(err.text, rows[i].why)))
			fail_msg("%s reads %s: %d %s, wanted %s", rows[i].reader, rows[i].writer,
				 can, can ? "" : err.text, rows[i].why ? rows[i].why : "yes");
		assert_int_equal(schema_can_read(reader, writer, NULL), can);
	}
}

/* A pair that is assumed while it is under way, and fails, is not believed when it
 * is met again: `first` fails by A's v, and is read by C; `second` leads to A
 * by B, which was found to be fine while A was under way. */
#define TOP(v, more)                                                                               \
	"{\"type\":\"record\",\"name\":\"Top\",\"fields\":["                                       \
	"{\"name\":\"first\",\"type\":[\"null\",{\"type\":\"record\",\"name\":\"A\",\"fields\":["  \
	"{\"name\":\"b\",\"type\":{\"type\":\"record\",\"name\":\"B\",\"fields\":["                \
	"{\"name\":\"a\",\"type\":[\"null\",\"A\"]}]}},"                                           \
	"{\"name\":\"v\",\"type\":\"" v "\"}]}" more "]},"                                         \
	"{\"name\":\"second\",\"type\":\"B\"}]}"

static void test_assumption_is_taken_back(void **state)
{
	AUTO(schema_freep)
	struct schema *reader = parsed(TOP("int", ",{\"type\":\"record\",\"name\":\"C\","
						  "\"aliases\":[\"A\"],\"fields\":[]}"));
	AUTO(schema_freep) struct schema *writer = parsed(TOP("long", ""));
	struct err err = ERR_INIT;

	(void)state;
	assert_false(schema_can_read(reader, writer, &err));
	assert_non_null(strstr(err.text, "second.a.v: long cannot be read as int"));
}

/* Of itself every schema can be read. */
static void test_random(void **state)
{
	struct rng rng = rng_seeded(11);

	(void)state;
	for (int i = 0; i < 500; i++) {
		AUTO(buf_release) struct buf text = BUF_INIT;
		AUTO(schema_freep) struct schema *a = NULL;
		AUTO(schema_freep) struct schema *b = NULL;
		struct err err = ERR_INIT;

		random_schema(&rng, &text);
		a = parsed(buf_str(&text));
		b = parsed(buf_str(&text));
		if (!schema_can_read(a, b, &err))
			fail_msg("%s: %s", buf_str(&text), err.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_assumption_is_taken_back),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
