/* What is old enough for gc, against a sum over every pause. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "core/base/clock.h"
#include "core/embedded/gc_age.h"

/* How long before now, where no pause counts for more than a quarter. */
static int64_t naive_age(const struct gc_times *t, int64_t time, int64_t now, int64_t retain)
{
	int64_t age = 0, max = (retain + 3) / 4;

	for (size_t i = 0; i < t->n; i++) {
		int64_t from = t->items[i];
		int64_t to = i + 1 < t->n && t->items[i + 1] < now ? t->items[i + 1] : now;

		if (from < time || from >= now)
			continue;
		age += to - from < max ? to - from : max;
	}
	return age;
}

static void agrees_with_the_sum(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 3000; seed++) {
		AUTO(gc_times_release) struct gc_times t = {.n = 0};
		struct rng r = rng_seeded(seed);
		int64_t now = 1000000, retain = 1 + (int64_t)rng_below(&r, 3000), from;
		uint64_t n = rng_below(&r, 60), spread = 1 + rng_below(&r, 10000);

		for (uint64_t i = 0; i < n; i++)
			gc_times_add(&t, now + 500 - (int64_t)rng_below(&r, spread));
		gc_times_sort(&t);
		from = gc_aged_before(&t, now, retain);
		for (size_t i = 0; i < t.n; i++)
			assert_int_equal(t.items[i] >= from,
					 naive_age(&t, t.items[i], now, retain) <= retain);
	}
}

/* As the clock says, where writes are close together. */
static void counts_in_full_what_is_dense(void **state)
{
	AUTO(gc_times_release) struct gc_times t = {.n = 0};

	(void)state;
	for (int64_t time = 0; time <= 10000; time += 25)
		gc_times_add(&t, time);
	gc_times_sort(&t);
	for (int64_t now = 10000; now <= 10025; now++)
		assert_int_equal(gc_aged_before(&t, now, 100), now - 100);
	assert_int_equal(gc_aged_before(&t, 1000000000, 100), 10000 - 75);
	assert_int_equal(gc_aged_before(&(struct gc_times){.n = 0}, 7, 100), INT64_MIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_the_sum),
		cmocka_unit_test(counts_in_full_what_is_dense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
