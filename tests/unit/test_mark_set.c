/* gc's set of hashes, against what was put in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "core/base/clock.h"
#include "core/embedded/mark_set.h"

static void hash_of_number(uint64_t n, unsigned char out[32])
{
	struct rng r = rng_seeded(n * 2654435761u + 1);

	for (size_t i = 0; i < 4; i++) {
		uint64_t word = rng_next(&r);

		memcpy(out + 8 * i, &word, sizeof(word));
	}
}

static void holds_what_was_put_in(void **state)
{
	static const enum mark_width widths[] = {MARK_SHORT, MARK_EXACT};
	const uint64_t n = 200000;

	(void)state;
	for (size_t w = 0; w < ARRAY_SIZE(widths); w++) {
		AUTO(mark_set_freep) struct mark_set *set = mark_set_new(widths[w], 7);
		unsigned char h[32];

		for (uint64_t i = 0; i < n; i++) {
			hash_of_number(i, h);
			assert_false(mark_set_has(set, h));
			assert_true(mark_set_add(set, h));
			assert_false(mark_set_add(set, h));
		}
		for (uint64_t i = 0; i < 2 * n; i++) {
			hash_of_number(i, h);
			assert_int_equal(mark_set_has(set, h), i < n);
		}
		assert_int_equal(mark_set_count(set), n);
		/* The documented memory. */
		assert_true(mark_set_bytes(set) / n <= (w ? 30 : 15));
		assert_true(mark_set_bytes(set) / n >= (w ? 18 : 9));
	}
}

/* Hashes that are equal in what decides their place, or are zero there. */
static void tells_near_ones_apart(void **state)
{
	AUTO(mark_set_freep) struct mark_set *exact = mark_set_new(MARK_EXACT, 0);
	AUTO(mark_set_freep) struct mark_set *one = mark_set_new(MARK_SHORT, 1);
	unsigned char h[32] = {0};

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		h[8] = (unsigned char)i; /* the second word alone */
		assert_true(mark_set_add(exact, h));
		assert_true(mark_set_add(one, h));
	}
	h[8] = 201;
	assert_false(mark_set_has(exact, h));
	assert_false(mark_set_has(one, h));
	/* The last byte counts too where the sum is salted. */
	memset(h, 0, sizeof(h));
	h[31] = 1;
	assert_false(mark_set_has(one, h));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(holds_what_was_put_in),
		cmocka_unit_test(tells_near_ones_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
