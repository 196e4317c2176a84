/* gc by the connector itself: when it is due, what it records, and that it ends
 * when it is told to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connector/history/state.h"
#include "connector/worker/collector.h"
#include "core/base/log.h"
#include "tests/lib/lake_steps.h"
#include "tests/lib/must.h"
#include "tests/lib/tempdir.h"
#include "tests/lib/virtual_clock.h"

#define HOUR 3600000LL
#define BYTES 100000

struct world {
	char *dir;
	struct virtual_clock clock;
	struct config config;
	struct lake *lake;
};

static int setup(void **state)
{
	struct world *w = xcalloc(1, sizeof(*w));
	struct lake_options options = {.access = LAKE_OWN, .create = true};

	log_set_level(LOG_ERROR);
	w->dir = tempdir_new();
	virtual_clock_init(&w->clock, 1700000000000);
	options.clock = &w->clock.clock;
	w->config =
		(struct config){.name = "orders", .target = "main", .gc_interval_ms = 24 * HOUR};
	MUST(lake_open(w->dir, &options, &w->lake, &err));
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	lake_close(w->lake);
	tempdir_remove(&w->dir);
	free(w);
	return 0;
}

/* A branch with an object of its own, deleted again. */
static void make_garbage(struct world *w)
{
	AUTO(freep) char *data = noise(BYTES, 1);
	struct lake_move move = {.kind = LAKE_BRANCH, .name = "dev"};

	make_branch(w->lake, "dev");
	move.expected = commit_bytes(w->lake, "dev", "x", data, BYTES);
	MUST(lake_refs_move(w->lake, &move, 1, "dropped", &err));
}

static json_int_t recorded(struct world *w, const char *key)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	json_t *gc;
	json_int_t n;

	MUST(state_read(w->lake, "orders", STATE_GC, &text, &err));
	gc = json_loads(buf_str(&text), 0, NULL);
	n = json_integer_value(json_object_get(gc, key));
	json_decref(gc);
	return n;
}

static bool due(struct world *w)
{
	return collector_due(w->lake, "orders", w->config.gc_interval_ms,
			     w->clock.clock.wall_ms(&w->clock.clock));
}

static void it_is_due_once_an_interval(void **state)
{
	struct world *w = *state;

	assert_true(due(w));
	MUST(collector_run(&w->config, w->lake, &w->clock.clock, NULL, NULL, &err));
	assert_false(due(w));
	virtual_clock_advance(&w->clock, 23 * HOUR);
	assert_false(due(w));
	virtual_clock_advance(&w->clock, HOUR);
	assert_true(due(w));
	/* a time that is yet to come tells nothing */
	MUST(collector_run(&w->config, w->lake, &w->clock.clock, NULL, NULL, &err));
	w->clock.wall_ms -= HOUR;
	assert_true(due(w));
}

static void garbage_that_is_old_enough_is_freed(void **state)
{
	struct world *w = *state;

	make_garbage(w);
	MUST(collector_run(&w->config, w->lake, &w->clock.clock, NULL, NULL, &err));
	assert_true(recorded(w, "freed_bytes") < BYTES);
	/* older than the reflog keeps it; written to now and then, so that the time counts */
	for (int day = 0; day < 50; day++) {
		AUTO(freep) char *text = xasprintf("%d", day);

		virtual_clock_advance(&w->clock, 24 * HOUR);
		commit_bytes(w->lake, "main", "y", text, strlen(text));
	}
	MUST(collector_run(&w->config, w->lake, &w->clock.clock, NULL, NULL, &err));
	assert_true(recorded(w, "freed_bytes") >= BYTES);
}

static bool never(void *ctx, const struct lake_gc_progress *progress)
{
	(void)ctx;
	(void)progress;
	return false;
}

/* So that the next start does it. */
static void an_interrupted_one_is_not_recorded(void **state)
{
	struct world *w = *state;

	make_garbage(w);
	MUST_BE(ST_INTERRUPTED,
		collector_run(&w->config, w->lake, &w->clock.clock, never, NULL, &err));
	assert_true(due(w));
}

static void the_thread_collects_and_ends(void **state)
{
	struct world *w = *state;
	struct collector *c;

	w->config.gc_interval_ms = 1;
	c = collector_start(&w->config, w->lake, &w->clock.clock);
	for (int i = 0; i < 3000 && due(w); i++)
		usleep(10000);
	assert_false(due(w));
	collector_stop(c);
	w->config.gc_interval_ms = 0;
	assert_null(collector_start(&w->config, w->lake, &w->clock.clock));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(it_is_due_once_an_interval, setup, teardown),
		cmocka_unit_test_setup_teardown(garbage_that_is_old_enough_is_freed, setup,
						teardown),
		cmocka_unit_test_setup_teardown(an_interrupted_one_is_not_recorded, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_thread_collects_and_ends, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
