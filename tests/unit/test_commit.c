/* Commits as bytes. (Walks over them: test_commit_walks.c.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/clock.h"
#include "core/model/commit.h"

static struct commit sample(void)
{
	struct commit c = {
		.public = {.tree = {{1, 2, 3}},
			   .generation = 300,
			   .time_ms = 1795251939123,
			   .n_parents = 2,
			   .message = xstrdup("checkpoint"),
			   .committer = xstrdup("tidemark")},
		.depth = 200,
		.jump = {{9}},
		.jump_depth = 127,
	};

	c.public.parents = xcalloc(2, sizeof(struct lake_id));
	memset(&c.public.parents[0], 4, 32);
	memset(&c.public.parents[1], 5, 32);
	lake_meta_set(&c.public.meta, "tidemark.offsets", "{\"orders\":{\"0\":1200}}");
	lake_meta_set(&c.public.meta, "a", "");
	return c;
}

static void id_of(const struct buf *raw, struct lake_id *id)
{
	struct hash h;

	hash_of(buf_str(raw), raw->len, &h);
	memcpy(id->bytes, h.bytes, sizeof(id->bytes));
}

static void test_round_trip(void **state)
{
	AUTO(commit_release) struct commit c = sample();
	AUTO(commit_release) struct commit d = {.depth = 0};
	AUTO(buf_release) struct buf raw = BUF_INIT;
	AUTO(buf_release) struct buf again = BUF_INIT;
	struct lake_id id;

	(void)state;
	commit_encode(&c, &raw);
	id_of(&raw, &id);
	assert_int_equal(commit_decode(&id, raw.data, raw.len, &d, NULL), ST_OK);
	assert_true(lake_id_equal(&d.public.id, &id));
	assert_true(lake_id_equal(&d.public.parents[1], &c.public.parents[1]));
	assert_int_equal(d.public.time_ms, c.public.time_ms);
	assert_int_equal(d.public.generation, 300);
	assert_int_equal(d.depth, 200);
	assert_int_equal(d.jump_depth, 127);
	assert_string_equal(d.public.message, "checkpoint");
	assert_string_equal(lake_meta_get(&d.public.meta, "a"), "");
	assert_string_equal(lake_meta_get(&d.public.meta, "tidemark.offsets"),
			    "{\"orders\":{\"0\":1200}}");
	commit_encode(&d, &again);
	assert_int_equal(again.len, raw.len);
	assert_memory_equal(again.data, raw.data, raw.len);
}

static void test_damaged_bytes(void **state)
{
	AUTO(commit_release) struct commit c = sample();
	AUTO(buf_release) struct buf raw = BUF_INIT;
	struct rng r = rng_seeded(1);
	struct lake_id id;

	(void)state;
	commit_encode(&c, &raw);
	id_of(&raw, &id);
	for (size_t i = 0; i < raw.len; i++) {
		AUTO(commit_release) struct commit d = {.depth = 0};
		struct lake_id wrong;
		char old = raw.data[i];
		enum status st;

		raw.data[i] ^= (char)(1 + rng_below(&r, 255));
		assert_int_equal(commit_decode(&id, raw.data, raw.len, &d, NULL), ST_DAMAGED);
		/* Under the hash of what it is now: decoded or refused, no crash. */
		id_of(&raw, &wrong);
		st = commit_decode(&wrong, raw.data, raw.len, &d, NULL);
		assert_true(st == ST_OK || st == ST_DAMAGED);
		raw.data[i] = old;
	}
	for (size_t len = 0; len < raw.len; len++) {
		AUTO(buf_release) struct buf cut = BUF_INIT;
		struct commit d;

		buf_add(&cut, raw.data, len);
		id_of(&cut, &id);
		assert_int_equal(commit_decode(&id, buf_str(&cut), len, &d, NULL), ST_DAMAGED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_damaged_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
