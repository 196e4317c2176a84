/* Ids, metadata, names, paths, and the bytes of a tree's entry. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/model/entry.h"

static void test_ids(void **state)
{
	char hex[LAKE_ID_HEX_BYTES], brief[LAKE_ID_SHORT_BYTES];
	struct lake_id id, none = {{0}};

	(void)state;
	memset(hex, 'A', 64);
	hex[64] = '\0';
	assert_true(lake_id_parse(hex, &id));
	assert_int_equal(id.bytes[31], 0xaa);
	lake_id_hex(&id, hex);
	assert_int_equal(strspn(hex, "a"), 64);
	lake_id_short(&id, brief);
	assert_string_equal(brief, "aaaaaaaaaaaa");
	hex[63] = 'g';
	assert_false(lake_id_parse(hex, &id));
	hex[63] = '\0';
	assert_false(lake_id_parse(hex, &id));
	assert_false(lake_id_is_none(&id));
	assert_true(lake_id_is_none(&none));
	assert_false(lake_id_equal(&id, &none));
}

static void test_meta(void **state)
{
	AUTO(lake_meta_release) struct lake_meta m = LAKE_META_INIT;
	AUTO(lake_meta_release) struct lake_meta copy = LAKE_META_INIT;

	(void)state;
	lake_meta_copy(&copy, &m);
	lake_meta_set(&m, "b", "1");
	lake_meta_set(&m, "a", "2");
	lake_meta_set(&m, "c", "3");
	lake_meta_set(&m, "b", lake_meta_get(&m, "b"));
	lake_meta_set(&m, "b", "4");
	assert_int_equal(m.n, 3);
	assert_string_equal(m.items[0].key, "a");
	assert_string_equal(lake_meta_get(&m, "b"), "4");
	lake_meta_copy(&copy, &m);
	lake_meta_unset(&m, "b");
	lake_meta_unset(&m, "nothing");
	assert_null(lake_meta_get(&m, "b"));
	assert_int_equal(m.n, 2);
	assert_string_equal(lake_meta_get(&copy, "b"), "4");
	lake_meta_copy(&copy, &m);
	assert_int_equal(copy.n, 2);
}

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_ref_names(void **state)
{
	static const char *const good[] = {"main", "ingest-orders", "_x", "0", "a-"};
	static const char *const bad[] = {"", "-a", "a/b", "a b", "a.b", "\xc3\xa9", HEX64};
	char longest[257];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(lake_ref_name_check(LAKE_BRANCH, good[i], NULL), ST_OK);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(lake_ref_name_check(LAKE_TAG, bad[i], NULL), ST_USAGE);
	memset(longest, 'x', sizeof(longest));
	longest[255] = '\0';
	assert_int_equal(lake_ref_name_check(LAKE_TAG, longest, NULL), ST_OK);
	longest[255] = 'x';
	longest[256] = '\0';
	assert_int_equal(lake_ref_name_check(LAKE_TAG, longest, NULL), ST_USAGE);
}

static void test_paths(void **state)
{
	static const char *const good[] = {
		"a", "a/b", ".a/..b", "a b/\xe2\x82\xac", "...", "\xf0\x9f\x8c\x8a"};
	static const char *const bad[] = {"",
					  "/a",
					  "a/",
					  "a//b",
					  ".",
					  "a/./b",
					  "../a",
					  "a/..",
					  "a\nb",
					  "a\x7f",
					  "\xc2\x85",
					  "\xc0\xaf" /* overlong */,
					  "\xe0\x80\xaf",
					  "\xed\xa0\x80" /* surrogate */,
					  "\xf4\x90\x80\x80",
					  "\xff",
					  "a\xc3",
					  "a\xe2\x82"};
	char longest[1026];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(lake_path_check(good[i], NULL), ST_OK);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(lake_path_check(bad[i], NULL), ST_USAGE);
	memset(longest, 'x', sizeof(longest));
	longest[1024] = '\0';
	assert_int_equal(lake_path_check(longest, NULL), ST_OK);
	longest[1024] = 'x';
	longest[1025] = '\0';
	assert_int_equal(lake_path_check(longest, NULL), ST_USAGE);
}

static void test_entries(void **state)
{
	AUTO(entry_release)
	struct entry e = {
		.blob = {{1, 2}}, .size = 1u << 31, .content_type = xstrdup("application/avro")};
	AUTO(entry_release) struct entry back = {.size = 0};
	AUTO(buf_release) struct buf raw = BUF_INIT;
	AUTO(buf_release) struct buf again = BUF_INIT;

	(void)state;
	lake_meta_set(&e.meta, "offsets", "1000-1040,1042-1199");
	lake_meta_set(&e.meta, "a", "");
	entry_encode(&e, &raw);
	assert_int_equal(entry_decode(raw.data, raw.len, &back, NULL), ST_OK);
	assert_int_equal(back.size, e.size);
	assert_true(hash_equal(&back.blob, &e.blob));
	assert_string_equal(back.content_type, "application/avro");
	assert_string_equal(lake_meta_get(&back.meta, "offsets"), "1000-1040,1042-1199");
	entry_encode(&back, &again);
	assert_int_equal(again.len, raw.len);
	assert_memory_equal(again.data, raw.data, raw.len);
	for (size_t len = 0; len < raw.len; len++) {
		AUTO(freep) char *cut = xmemdup(raw.data, len);
		struct entry d;

		assert_int_equal(entry_decode(cut, len, &d, NULL), ST_DAMAGED);
	}
	for (size_t i = 0; i < raw.len * 8; i++) {
		AUTO(entry_release) struct entry d = {.size = 0};
		enum status st;

		raw.data[i / 8] ^= (char)(1 << i % 8);
		st = entry_decode(raw.data, raw.len, &d, NULL);
		assert_true(st == ST_OK || st == ST_DAMAGED);
		raw.data[i / 8] ^= (char)(1 << i % 8);
	}
}

static void test_hash(void **state)
{
	struct hasher *h = hasher_new();
	struct hash one, two;
	char hex[65];

	(void)state;
	hash_of("abc", 3, &one);
	hash_hex(&one, hex);
	assert_string_equal(hex,
			    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	hasher_add(h, "a", 1);
	hasher_add(h, "bc", 2);
	hasher_finish(h, &two);
	hasher_free(h);
	assert_true(hash_equal(&one, &two));
	assert_false(hash_is_zero(&one));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ids),       cmocka_unit_test(test_meta),
		cmocka_unit_test(test_ref_names), cmocka_unit_test(test_paths),
		cmocka_unit_test(test_entries),   cmocka_unit_test(test_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
