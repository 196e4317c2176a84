/* The walker against two others: schema_explain(), which follows the same
 * rules by another way, and Avro C's generic reader.
 *
 * Avro C must accept all that the walker accepts. The walker alone refuses, on
 * purpose: text that is not UTF-8, booleans other than 0 and 1, bytes behind
 * the value, block sizes that are not true, varints over 64 bits, ints over 5
 * bytes, and symbols that an enum does not have. schema_explain() says that it was one of these. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <avro.h>
#include <cmocka.h>

#include "connector/schema/walker.h"
#include "tests/lib/must.h"
#include "tests/lib/random_avro.h"

struct pair_of {
	struct schema *schema;
	struct walker *walker;
};

static void pair_release(struct pair_of *p)
{
	schema_free(p->schema);
	walker_free(p->walker);
}

static struct pair_of pair_new(const char *json)
{
	struct pair_of p;

	MUST(schema_parse(json, strlen(json), &p.schema, &err));
	p.walker = walker_new(p.schema);
	return p;
}

/* With exactly the slack that is promised, so that a sanitizer sees more. */
static bool walk(const struct walker *w, const void *data, size_t len)
{
	AUTO(freep) char *copy = xmalloc(len + WALKER_SLACK);

	if (len)
		memcpy(copy, data, len);
	memset(copy + len, (int)(len * 37), WALKER_SLACK);
	return walker_check(w, copy, len);
}

/* ---- Avro C ---- */

static bool avro_c_reads(avro_value_iface_t *iface, const char *data, size_t len, size_t *used)
{
	avro_reader_t reader = avro_reader_memory(data, (int64_t)len);
	avro_value_t value;
	bool ok;

	avro_generic_value_new(iface, &value);
	ok = avro_value_read(reader, &value) == 0;
	if (ok) {
		char rest;

		*used = len;
		while (*used && avro_read(reader, &rest, 1) == 0)
			--*used;
	}
	avro_value_decref(&value);
	avro_reader_free(reader);
	return ok;
}

static bool stricter_on_purpose(const char *why)
{
	static const char *const reasons[] = {
		"not UTF-8",       "neither 0 nor 1", "follow the end of the value",
		"size in bytes",   "over 64 bits",    "over 32 bits",
		"of a block goes", "no such symbol",
	};

	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
		if (strstr(why, reasons[i]))
			return true;
	return false;
}

static void compare(const struct pair_of *p, avro_value_iface_t *iface, const struct buf *b,
		    unsigned *accepted, unsigned *refused)
{
	struct err why = ERR_INIT;
	bool ours = walk(p->walker, buf_str(b), b->len), theirs;
	enum status st = schema_explain(p->schema, buf_str(b), b->len, &why);
	size_t used = 0;

	if (ours != (st == ST_OK))
		fail_msg("walker %d, explain %s", ours, why.text);
	theirs = avro_c_reads(iface, buf_str(b), b->len, &used);
	/* Avro C cannot hold items of no width. */
	if (ours && !theirs && strstr(avro_strerror(), "expand array"))
		theirs = true, used = b->len;
	if (ours && (!theirs || used != b->len))
		fail_msg("Avro C refuses: %s", avro_strerror());
	if (!ours && theirs && used == b->len && !stricter_on_purpose(why.text))
		fail_msg("only we refuse: %s", why.text);
	*(ours ? accepted : refused) += 1;
}

/* Avro C makes room for as many bytes and items as a damaged count names, and
 * reads on where we stop on purpose. */
static bool not_for_avro_c(const struct schema *s, const struct buf *b)
{
	struct err why = ERR_INIT;

	return schema_explain(s, buf_str(b), b->len, &why) != ST_OK &&
	       (strstr(why.text, "length") || strstr(why.text, "no width") ||
		stricter_on_purpose(why.text));
}

static void test_random_against_avro_c(void **state)
{
	struct rng r = rng_seeded(20261121);
	unsigned good = 0, accepted = 0, refused = 0;

	(void)state;
	for (int i = 0; i < 400; i++) {
		AUTO(buf_release) struct buf json = BUF_INIT;
		AUTO(pair_release) struct pair_of p = {NULL, NULL};
		avro_schema_t schema;
		avro_value_iface_t *iface;

		random_schema(&r, &json);
		p = pair_new(json.data);
		if (avro_schema_from_json_length(json.data, json.len, &schema) != 0)
			fail_msg("%s: %s", json.data, avro_strerror());
		iface = avro_generic_class_from_schema(schema);
		for (int k = 0; k < 30; k++) {
			AUTO(buf_release) struct buf b = BUF_INIT;
			unsigned before = refused;

			random_value_of(&r, schema_root(p.schema), &b);
			compare(&p, iface, &b, &good, &refused);
			if (before != refused)
				fail_msg("a valid value of %s is refused", json.data);
			random_damage(&r, &b);
			if (not_for_avro_c(p.schema, &b)) {
				assert_false(walk(p.walker, buf_str(&b), b.len));
				refused++;
			} else {
				compare(&p, iface, &b, &accepted, &refused);
			}
		}
		avro_value_iface_decref(iface);
		avro_schema_decref(schema);
	}
	assert_int_equal(good, 400 * 30);
	assert_true(accepted > 500 && refused > 2000);
}

/* ---- cases ---- */

static const struct {
	const char *schema;
	const char *bytes;
	size_t len;
	const char *why; /* NULL: accepted */
} cases[] = {
	{"\"null\"", "", 0, NULL},
	{"\"null\"", "\0", 1, "follow the end"},
	{"\"boolean\"", "\1", 1, NULL},
	{"\"boolean\"", "\2", 1, "neither 0 nor 1"},
	{"\"boolean\"", "", 0, "too early"},
	{"\"int\"", "\xff\xff\xff\xff\x0f", 5, NULL},
	{"\"int\"", "\xff\xff\xff\xff\x1f", 5, "32 bits"},
	{"\"int\"", "\x80\x80\x80\x80\x80\x00", 6, "32 bits"},
	{"\"int\"", "\x80", 1, "end within"},
	{"\"long\"", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, NULL},
	{"\"long\"", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10, "64 bits"},
	{"\"long\"", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00", 11, "64 bits"},
	{"\"long\"", "\xff\xff\xff\xff\xff\xff\xff\xff\x01", 9, NULL},
	{"\"float\"", "1234", 4, NULL},
	{"\"float\"", "123", 3, "too early"},
	{"\"double\"", "12345678", 8, NULL},
	{"\"bytes\"", "\4\xff\xfe", 3, NULL},
	{"\"bytes\"", "\3\xff\xfe", 3, "negative"},
	{"\"bytes\"", "\6ab", 3, "beyond"},
	{"\"bytes\"", "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, "beyond"},
	{"\"string\"", "\4\xc3\xa9", 3, NULL},
	{"\"string\"", "\4\xc3\x28", 3, "UTF-8"},
	{"\"string\"", "\2\xc3\xa9", 3, "UTF-8"},
	{"\"string\"", "\6\xed\xa0\x80", 4, "UTF-8"}, /* a surrogate */
	{"\"string\"", "\4\xc0\x80", 3, "UTF-8"}, /* overlong */
	{"\"string\"",
	 "\x26"
	 "0123456789abcdef01\xff",
	 20, "UTF-8"},
	{"\"string\"", "\x82\x00q", 3, NULL}, /* a length longer than need be */
	{"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"]}", "\2", 1, NULL},
	{"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"]}", "\4", 1, "no such symbol"},
	{"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"]}", "\1", 1, "no such symbol"},
	{"{\"type\":\"fixed\",\"name\":\"F\",\"size\":3}", "abc", 3, NULL},
	{"{\"type\":\"fixed\",\"name\":\"F\",\"size\":3}", "ab", 2, "too early"},
	{"[\"null\",\"string\"]", "\0", 1, NULL},
	{"[\"null\",\"string\"]", "\2\2a", 3, NULL},
	{"[\"null\",\"string\"]", "\4\2a", 3, "no such branch"},
	{"[\"null\",\"string\"]", "\1\2a", 3, "no such branch"},
	{"[\"string\",\"null\"]", "\2", 1, NULL},
	{"[\"null\",\"long\"]", "\2\2", 2, NULL},
	{"[\"null\",\"long\"]", "\2", 1, "end within"},
	{"[\"long\",\"null\"]", "\2\2", 2, "follow the end"},
	{"[\"null\",\"int\",\"string\"]", "\4\2a", 3, NULL},
	{"[\"null\",\"int\",\"string\"]", "\6\2a", 3, "no such branch"},
	{"[\"null\",\"int\",\"string\"]", "\x84\0\2a", 4, NULL}, /* an index longer than need be */
	{"{\"type\":\"array\",\"items\":\"int\"}", "\0", 1, NULL},
	{"{\"type\":\"array\",\"items\":\"int\"}", "\4\2\4\0", 4, NULL},
	{"{\"type\":\"array\",\"items\":\"int\"}", "\4\2\4", 3, "end within"},
	{"{\"type\":\"array\",\"items\":\"int\"}", "\3\4\2\4\0", 5, NULL}, /* -2, 2 bytes */
	{"{\"type\":\"array\",\"items\":\"int\"}", "\3\2\2\4\0", 5, "size in bytes"},
	{"{\"type\":\"array\",\"items\":\"int\"}", "\3\x20\2\4\0", 5, "size of a block"},
	{"{\"type\":\"array\",\"items\":\"int\"}",
	 "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\4\2\4\0", 14, "end within"},
	{"{\"type\":\"array\",\"items\":\"null\"}", "\4\0", 2, NULL},
	{"{\"type\":\"array\",\"items\":\"null\"}", "\x80\x80\x80\x01\0", 5, NULL}, /* 1,048,576 */
	{"{\"type\":\"array\",\"items\":\"null\"}", "\x82\x80\x80\x01\0", 5, "no width"},
	{"{\"type\":\"array\",\"items\":\"null\"}", "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\0",
	 11, "no width"},
	{"{\"type\":\"array\",\"items\":\"null\"}", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\0\0",
	 12, "no width"},
	{"{\"type\":\"map\",\"values\":\"int\"}", "\2\2k\4\0", 5, NULL},
	{"{\"type\":\"map\",\"values\":\"int\"}", "\2\2\xff\4\0", 5, "UTF-8"},
};

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO(pair_release) struct pair_of p = pair_new(cases[i].schema);
		struct err why = ERR_INIT;
		bool ok = walk(p.walker, cases[i].bytes, cases[i].len);
		enum status st = schema_explain(p.schema, cases[i].bytes, cases[i].len, &why);

		if (ok != !cases[i].why || (st == ST_OK) != ok)
			fail_msg("case %zu, %s: walker %d, explain '%s'", i, cases[i].schema, ok,
				 why.text);
		if (cases[i].why && !strstr(why.text, cases[i].why))
			fail_msg("case %zu, %s: '%s', wanted '%s'", i, cases[i].schema, why.text,
				 cases[i].why);
	}
}

static void test_path_in_the_reason(void **state)
{
	AUTO(pair_release)
	struct pair_of p = pair_new("{\"type\":\"record\",\"name\":\"Order\",\"fields\":["
				    "{\"name\":\"id\",\"type\":\"long\"},"
				    "{\"name\":\"items\",\"type\":{\"type\":\"array\",\"items\":"
				    "{\"type\":\"record\",\"name\":\"Item\",\"fields\":["
				    "{\"name\":\"sku\",\"type\":\"string\"}]}}}]}");

	(void)state;
	MUST_SAY(ST_POISON, "items[1].sku: a string is not UTF-8",
		 schema_explain(p.schema, "\2\4\2a\2\xff\0", 7, &err));
}

/* A list as deep as the bytes say. */
static void test_depth(void **state)
{
	AUTO(pair_release)
	struct pair_of p = pair_new("{\"type\":\"record\",\"name\":\"L\",\"fields\":["
				    "{\"name\":\"next\",\"type\":[\"null\",\"L\"]}]}");
	AUTO(buf_release) struct buf b = BUF_INIT;

	(void)state;
	for (int depth = 0; depth < 1000000; depth++)
		buf_addc(&b, 2);
	buf_addc(&b, 0);
	assert_false(walk(p.walker, b.data, b.len));
	assert_true(walk(p.walker, b.data + b.len - 100, 100));
	MUST_SAY(ST_POISON, "too deep", schema_explain(p.schema, b.data, b.len, &err));
}

/* A record directly inside itself has no value, and must not hang anybody. */
static void test_endless_record(void **state)
{
	AUTO(pair_release)
	struct pair_of p = pair_new("{\"type\":\"record\",\"name\":\"R\",\"fields\":["
				    "{\"name\":\"r\",\"type\":\"R\"}]}");

	(void)state;
	assert_false(walk(p.walker, "", 0));
	MUST_SAY(ST_POISON, "too deep", schema_explain(p.schema, "", 0, &err));
}

/* Each record holds the one before it twice: 2^40 fields in all. */
static void test_schema_that_doubles(void **state)
{
	AUTO(buf_release) struct buf json = BUF_INIT;
	AUTO(pair_release) struct pair_of p = {NULL, NULL};

	(void)state;
	buf_adds(&json, "[{\"type\":\"record\",\"name\":\"r0\",\"fields\":["
			"{\"name\":\"n\",\"type\":\"null\"}]}");
	buf_adds(&json, ",{\"type\":\"record\",\"name\":\"s0\",\"fields\":["
			"{\"name\":\"n\",\"type\":\"int\"}]}");
	for (int i = 1; i <= 40; i++)
		for (int k = 0; k < 2; k++)
			buf_addf(&json,
				 ",{\"type\":\"record\",\"name\":\"%c%d\",\"fields\":["
				 "{\"name\":\"a\",\"type\":\"%c%d\"},"
				 "{\"name\":\"b\",\"type\":\"%c%d\"}]}",
				 k ? 's' : 'r', i, k ? 's' : 'r', i - 1, k ? 's' : 'r', i - 1);
	buf_addc(&json, ']');
	p = pair_new(json.data);
	/* branch 80 is r40, of no width; 10 is r5; 11 is s5, of 32 ints */
	assert_true(walk(p.walker, "\xa0\x01", 2));
	assert_false(walk(p.walker, "\xa0\x01\0", 3));
	assert_true(walk(p.walker, "\x00", 1));
	assert_true(walk(p.walker, "\x14", 1));
	assert_true(walk(p.walker,
			 "\x16"
			 "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
			 33));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_path_in_the_reason),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_endless_record),
		cmocka_unit_test(test_schema_that_doubles),
		cmocka_unit_test(test_random_against_avro_c),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
