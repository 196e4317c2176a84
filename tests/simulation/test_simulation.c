/* The stream as a whole, simulated: hundreds of seeds, and a kill at every kill
 * point; tests/lib/simulation.h says what a run is.
 *
 *   test_simulation            the usual number of seeds
 *   test_simulation SEED       that run again, event by event
 *   test_simulation FROM TO    these seeds (make soak) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/scale.h"
#include "tests/lib/simulation.h"

/* Under a sanitizer fewer seeds, and each kill point is died at fewer times: still at
 * each, and still every kind of event comes, which the assertions hold it to. */
#define SEEDS SCALED(300, 100, 30)
#define SWEEP_SEED 25
#define PARQUET_SWEEP_SEED SIM_PARQUET_EVERY /* its values are JSON */
/* Folders by two fields, that make trouble: of Avro, with few open files; of Parquet. */
#define FOLDERS_SWEEP_SEED 117
#define FOLDERS_PARQUET_SWEEP_SEED 168
#define SWEEP_STEPS 260
/* Times that one point is died at, at most: the first, and others spread. */
#define SWEEP_TIMES SCALED(5, 2, 1)
#define SAME_SEEDS SCALED(5, 2, 2)

static void add(struct sim_result *sum, const struct sim_result *r)
{
	sum->lives += r->lives;
	sum->checkpoints += r->checkpoints;
	sum->publishes += r->publishes;
	sum->holds += r->holds;
	sum->rollbacks += r->rollbacks;
	sum->refused += r->refused;
	sum->undos += r->undos;
	sum->conflicts += r->conflicts;
	sum->rivals += r->rivals;
	sum->losts += r->losts;
	sum->reopened += r->reopened;
	sum->rows += r->rows;
	sum->cuts += r->cuts;
	sum->accepts += r->accepts;
	sum->prefixes += r->prefixes;
	sum->foldered += r->foldered;
	sum->replays += r->replays;
	sum->replay_kills += r->replay_kills;
}

static void print(const struct sim_result *r)
{
	printf("lives %u, checkpoints %u, rows %u, publishes %u, held %u, rollbacks %u (undo %u, "
	       "refused %u), drops %u, accepted %u, prefixes %u, conflicts %u, rivals %u, lost %u, "
	       "sessions %u, with folders %u, replays %u (killed %u)\n",
	       r->lives, r->checkpoints, r->rows, r->publishes, r->holds, r->rollbacks, r->undos,
	       r->refused, r->cuts, r->accepts, r->prefixes, r->conflicts, r->rivals, r->losts,
	       r->reopened, r->foldered, r->replays, r->replay_kills);
}

/* Returns the number of seeds that failed. */
static unsigned run_seeds(uint64_t from, uint64_t to, struct sim_result *sum)
{
	unsigned failed = 0;

	for (uint64_t seed = from; seed <= to; seed++) {
		const struct sim_options options = {.seed = seed};
		struct sim_result r;

		simulate(&options, &r);
		add(sum, &r);
		if (r.ok)
			continue;
		failed++;
		printf("seed %" PRIu64 ": %s\n  again: test_simulation %" PRIu64 "\n", seed, r.why,
		       seed);
		fflush(stdout);
	}
	return failed;
}

static void holds_for_every_seed(void **state)
{
	struct sim_result sum = {.ok = true};

	(void)state;
	assert_int_equal(run_seeds(1, SEEDS, &sum), 0);
	print(&sum);
	/* everything that is meant to happen did */
	assert_true(sum.lives > SEEDS * 3 / 2);
	assert_true(sum.checkpoints > SEEDS * 10);
	assert_true(sum.publishes > SEEDS);
	assert_true(sum.holds > 0);
	assert_true(sum.rollbacks > SEEDS);
	assert_true(sum.undos > 0);
	assert_true(sum.refused > 0);
	assert_true(sum.conflicts > SEEDS / 2);
	assert_true(sum.rivals > 0);
	assert_true(sum.losts > 0);
	assert_true(sum.cuts > SEEDS / 4);
	assert_true(sum.accepts > 0);
	assert_true(sum.prefixes > 0);
	assert_true(sum.foldered >= SEEDS / SIM_FOLDERS_EVERY);
	assert_true(sum.replays > SEEDS / 8);
	assert_true(sum.replay_kills > 0);
}

/* Kills at all points of the run whose name begins so. Returns how many. */
static unsigned sweep(uint64_t seed, const char *prefix, struct sim_result *whole)
{
	struct sim_options options = {.seed = seed, .steps = SWEEP_STEPS, .quiet_kills = true};
	unsigned kills = 0;

	simulate(&options, whole);
	if (!whole->ok)
		fail_msg("without a kill: %s", whole->why);
	for (unsigned i = 0; i < whole->n_points; i++) {
		const struct sim_point *p = &whole->points[i];
		unsigned times = p->passed < SWEEP_TIMES ? p->passed : SWEEP_TIMES;

		for (unsigned t = 0; t < times && strncmp(p->name, prefix, strlen(prefix)) == 0;
		     t++) {
			struct sim_result r;

			options.kill_name = p->name;
			options.kill_nth = 1 + t * (p->passed - 1) / (times > 1 ? times - 1 : 1);
			simulate(&options, &r);
			if (!r.ok || !r.killed)
				fail_msg("%s:%u: %s", p->name, options.kill_nth,
					 r.ok ? "was not killed" : r.why);
			if (r.replayed != whole->replayed)
				fail_msg("%s:%u: a replay made other files than without a kill",
					 p->name, options.kill_nth);
			kills++;
		}
	}
	printf("%u kills at %u points\n", kills, whole->n_points);
	return kills;
}

static void survives_a_kill_at_every_point(void **state)
{
	struct sim_result whole;

	(void)state;
	(void)sweep(SWEEP_SEED, "", &whole);
	assert_true(whole.n_points > 15);
	assert_true(whole.rollbacks > 0 && whole.publishes > 1);
	assert_true(whole.cuts > 0 && whole.accepts > 0 && whole.prefixes > 0);
}

static void survives_kills_with_parquet_files_open(void **state)
{
	struct sim_result whole;

	(void)state;
	assert_true(sweep(PARQUET_SWEEP_SEED, "writer.", &whole) >= 3 * SWEEP_TIMES);
}

static void survives_kills_with_folders_and_replays_alike(void **state)
{
	struct sim_result whole;

	(void)state;
	assert_true(sweep(FOLDERS_SWEEP_SEED, "writer.", &whole) >= 3 * SWEEP_TIMES);
	assert_true(whole.foldered && whole.replayed);
	assert_true(sweep(FOLDERS_SWEEP_SEED, "checkpoint.", &whole) >= SWEEP_TIMES);
	assert_true(sweep(FOLDERS_PARQUET_SWEEP_SEED, "writer.", &whole) >= 3 * SWEEP_TIMES);
	assert_true(whole.foldered && whole.replayed);
}

static void the_same_seed_is_the_same_run(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= SAME_SEEDS; seed++) {
		const struct sim_options options = {.seed = seed};
		struct sim_result a, b;

		simulate(&options, &a);
		simulate(&options, &b);
		/* checkpoints' ids are among the events */
		assert_int_equal(a.trace, b.trace);
		assert_int_equal(a.checkpoints, b.checkpoints);
	}
}

static int run_one(uint64_t seed)
{
	const struct sim_options options = {.seed = seed, .verbose = true};
	struct sim_result r;

	setvbuf(stdout, NULL, _IOLBF, 0);
	simulate(&options, &r);
	print(&r);
	printf("seed %" PRIu64 ", trace %016" PRIx64 ": %s\n", seed, r.trace,
	       r.ok ? "holds" : r.why);
	return !r.ok;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_seed_is_the_same_run),
		cmocka_unit_test(holds_for_every_seed),
		cmocka_unit_test(survives_a_kill_at_every_point),
		cmocka_unit_test(survives_kills_with_parquet_files_open),
		cmocka_unit_test(survives_kills_with_folders_and_replays_alike),
	};

	if (argc == 2)
		return run_one(strtoull(argv[1], NULL, 10));
	if (argc == 3) {
		struct sim_result sum = {.ok = true};
		unsigned failed =
			run_seeds(strtoull(argv[1], NULL, 10), strtoull(argv[2], NULL, 10), &sum);

		print(&sum);
		return failed > 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
