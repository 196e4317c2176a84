/* What is due when: random walks of a clock that steps, against a list of all
 * times that were run; the interval and the number of checkpoints beside it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>

#include "connector/worker/schedule.h"
#include "core/base/clock.h"
#include "tests/lib/must.h"

#define START_MS 1790000000000LL
#define MINUTE 60000LL
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

AUTO_DESTRUCTOR(struct cron, cron_free)

static struct cron *line(const char *text)
{
	struct cron *cron = NULL;
	struct zone *zone = NULL;

	MUST(zone_open("Europe/Berlin", &zone, &err));
	MUST(cron_parse(text, zone, &cron, &err));
	return cron;
}

/* ---- a clock that steps ---- */

struct walk {
	struct schedule s;
	int64_t wall_ms, looked_ms, start_ms;
	int64_t *run;
	size_t n_run, cap;
};

/* Slow: one time after the other. 0: none in (after, until]. */
static int64_t newest(const struct cron *cron, int64_t after, int64_t until)
{
	int64_t found = 0;

	for (int64_t t = cron_next(cron, after); t <= until; t = cron_next(cron, t))
		found = t;
	return found;
}

static bool was_run(const struct walk *w, int64_t due)
{
	if (w->start_ms - DAY <= due && due <= w->start_ms)
		return true;
	for (size_t i = 0; i < w->n_run; i++)
		if (w->run[i] == due)
			return true;
	return false;
}

static void look(struct walk *w)
{
	int64_t due = newest(w->s.rule.cron, w->looked_ms, w->wall_ms);
	bool wanted = due && !was_run(w, due);

	assert_int_equal(schedule_take(&w->s, w->wall_ms, 0), wanted);
	w->looked_ms = w->wall_ms;
	if (wanted) {
		GROW(w->run, w->n_run, w->cap);
		w->run[w->n_run++] = due;
	}
	assert_false(schedule_take(&w->s, w->wall_ms, 0));
}

static void test_steps(void **state)
{
	static const char *const lines[] = {"*/7 * * * *", "0 * * * *", "30 2 * * *",
					    "0 0,6 * * MON", "15,45 1-5 * * *"};
	struct rng rng = rng_seeded(11);
	size_t runs = 0;

	(void)state;
	for (int round = 0; round < 400; round++) {
		AUTO(cron_freep) struct cron *cron = line(lines[(size_t)round % ARRAY_SIZE(lines)]);
		const struct schedule_rule rule = {.cron = cron};
		struct walk w = {.run = NULL};
		int steps = 0;

		w.start_ms = w.wall_ms = w.looked_ms =
			START_MS + (int64_t)rng_below(&rng, 400 * DAY);
		schedule_init(&w.s, &rule, w.wall_ms, 0);
		for (int i = 0; i < 300; i++) {
			int64_t step = (int64_t)rng_below(&rng, 3 * DAY);

			/* no more than the schedule keeps apart */
			if (steps < SCHEDULE_DONE - 1 && rng_below(&rng, 40) == 0) {
				w.wall_ms += rng_below(&rng, 2) ? step : -step;
				steps++;
			} else {
				int64_t wait = schedule_wait_ms(&w.s, w.wall_ms, 0);

				assert_in_range(wait, 0, 1000);
				/* nothing is due before next_ms: to it, or a little behind */
				w.wall_ms = w.s.next_ms + (int64_t)rng_below(&rng, 2) * 900;
			}
			look(&w);
		}
		runs += w.n_run;
		free(w.run);
	}
	assert_true(runs > 10000);
}

/* Many steps: rather is a time left out than run twice. */
static void test_many_steps(void **state)
{
	AUTO(cron_freep) struct cron *cron = line("0 * * * *");
	const struct schedule_rule rule = {.cron = cron};
	struct rng rng = rng_seeded(13);
	struct walk w = {.wall_ms = START_MS, .looked_ms = START_MS, .start_ms = START_MS};

	(void)state;
	schedule_init(&w.s, &rule, START_MS, 0);
	for (int i = 0; i < 20000; i++) {
		int64_t due;

		w.wall_ms = START_MS + (int64_t)rng_below(&rng, 4000) * HOUR / 2 + 5;
		due = newest(cron, w.looked_ms, w.wall_ms);
		if (schedule_take(&w.s, w.wall_ms, 0)) {
			assert_false(was_run(&w, due));
			GROW(w.run, w.n_run, w.cap);
			w.run[w.n_run++] = due;
		}
		w.looked_ms = w.wall_ms;
	}
	assert_true(w.n_run > 8);
	free(w.run);
}

static void test_wrong_clock(void **state)
{
	AUTO(cron_freep) struct cron *cron = line("0 * * * *");
	const struct schedule_rule rule = {.cron = cron};
	const int64_t wrong = START_MS + 10 * 365 * DAY;
	int64_t hour = START_MS - START_MS % HOUR;
	struct schedule s;
	int runs = 0;

	(void)state;
	/* ten years ahead for an hour, and back: every later hour runs */
	schedule_init(&s, &rule, hour + 1, 0);
	assert_true(schedule_take(&s, wrong, 0));
	for (int i = 1; i <= 5; i++)
		runs += schedule_take(&s, hour + i * HOUR, 0);
	assert_int_equal(runs, 4); /* the first look finds the clock set back */
	/* started with the wrong clock */
	schedule_init(&s, &rule, wrong, 0);
	assert_false(schedule_take(&s, hour + 1, 0));
	assert_true(schedule_take(&s, hour + HOUR, 0));
}

static void test_interval_and_checkpoints(void **state)
{
	const struct schedule_rule rule = {.checkpoints = 3, .interval_ms = 5000};
	const struct schedule_rule count = {.checkpoints = 2};
	struct schedule s;

	(void)state;
	schedule_init(&s, &rule, 0, 0);
	assert_int_equal(schedule_wait_ms(&s, 0, 1000), 4999);
	assert_false(schedule_take(&s, 0, 4999999));
	assert_int_equal(schedule_wait_ms(&s, 0, 4999999), 1);
	assert_true(schedule_take(&s, 0, 5000000));
	schedule_checkpointed(&s);
	schedule_checkpointed(&s);
	assert_false(schedule_take(&s, 0, 6000000));
	schedule_checkpointed(&s);
	assert_true(schedule_take(&s, 0, 7000000));
	/* the interval begins anew */
	assert_false(schedule_take(&s, 0, 11999999));
	assert_true(schedule_take(&s, 0, 12000000));
	/* far too late is not due twice */
	assert_true(schedule_take(&s, 0, 1000000000));
	assert_false(schedule_take(&s, 0, 1000000000));

	schedule_init(&s, &count, 0, 0);
	assert_int_equal(schedule_wait_ms(&s, 0, 0), -1);
	schedule_checkpointed(&s);
	assert_false(schedule_take(&s, 0, 0));
	schedule_checkpointed(&s);
	assert_true(schedule_take(&s, 0, 0));
}

static void test_together(void **state)
{
	AUTO(cron_freep) struct cron *cron = line("*/10 * * * *");
	const struct schedule_rule rule = {.checkpoints = 1, .cron = cron};
	int64_t ten = START_MS - START_MS % (10 * MINUTE);
	struct schedule s;

	(void)state;
	assert_true(schedule_is_empty(&(struct schedule_rule){.interval_ms = 0}));
	assert_false(schedule_is_empty(&rule));
	schedule_init(&s, &rule, ten + 1, 0);
	assert_int_equal(schedule_wait_ms(&s, ten + 10 * MINUTE - 400, 0), 400);
	assert_int_equal(schedule_wait_ms(&s, ten + 10 * MINUTE + 400, 0), 0);
	/* both at once are one */
	schedule_checkpointed(&s);
	assert_true(schedule_take(&s, ten + 10 * MINUTE, 0));
	assert_false(schedule_take(&s, ten + 10 * MINUTE, 0));
	schedule_checkpointed(&s);
	assert_true(schedule_take(&s, ten + 11 * MINUTE, 0));
	assert_true(schedule_take(&s, ten + 20 * MINUTE, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steps),       cmocka_unit_test(test_many_steps),
		cmocka_unit_test(test_wrong_clock), cmocka_unit_test(test_interval_and_checkpoints),
		cmocka_unit_test(test_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
