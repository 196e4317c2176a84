#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/power_loss.h"
#include "core/base/log.h"
#include "tests/lib/scale.h"
#include "tests/lib/tempdir.h"

/* Under a sanitizer fewer losses, of as many works: all that a work does is cut. */
#define WORKS 3
#define RUNS_PER_WORK SCALED(100, 50, 20)

static unsigned long runs = WORKS * RUNS_PER_WORK;
static uint64_t first_seed = 1;

int power_loss_child(int (*run)(void *ctx), void *ctx)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		log_set_level(LOG_ERROR);
		status = run(ctx);
		fflush(stderr);
		_exit(status);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

struct power_loss_notes power_loss_notes(const struct disk_journal *j, size_t cut)
{
	struct power_loss_notes notes = {.ops = 0};
	const struct disk_op *op;
	size_t at = 0;

	for (; (op = disk_journal_next(j, &at)); notes.ops++) {
		if (op->kind != DISK_MARK)
			continue;
		if (notes.ops < cut)
			notes.before = op->data;
		else if (!notes.after)
			notes.after = op->data;
	}
	return notes;
}

static void test_power_loss(void **state)
{
	const struct power_loss *p = *state;

	for (unsigned long done = 0; done < runs; done += RUNS_PER_WORK) {
		AUTO(tempdir_remove) char *folder = tempdir_new();
		uint64_t seed = first_seed + done / RUNS_PER_WORK;
		struct disk_journal *j = p->record(folder, seed);
		struct rng rng = rng_seeded(seed);
		size_t ops = power_loss_notes(j, 0).ops;

		for (unsigned long i = 0; i < RUNS_PER_WORK && done + i < runs; i++) {
			struct disk_loss loss = {.cut = rng_below(&rng, ops + 1),
						 .seed = rng_next(&rng)};

			if (p->try_loss(folder, j, &loss) != 0)
				fail_msg("work %llu, run %lu: power lost at operation %zu of %zu",
					 (unsigned long long)seed, i, loss.cut, ops);
		}
		disk_journal_free(j);
	}
}

/* The test can fail: on a disk that says it has synced and has not, acknowledged
 * writes are gone, and that is seen. */
static void test_lying_disk(void **state)
{
	const struct power_loss *p = *state;
	AUTO(tempdir_remove) char *folder = tempdir_new();
	struct disk_journal *j = p->record(folder, first_seed);
	size_t ops = power_loss_notes(j, 0).ops;
	int seen = 0;

	assert_non_null(freopen("/dev/null", "w", stderr));
	for (uint64_t i = 0; i < 10; i++) {
		struct disk_loss loss = {.cut = ops / 2 + i, .seed = i, .lies = true};

		seen += p->try_loss(folder, j, &loss) != 0;
	}
	disk_journal_free(j);
	assert_true(seen >= 5);
}

int power_loss_main(const struct power_loss *p, int argc, char **argv)
{
	void *state = (void *)(uintptr_t)p;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(test_power_loss, state),
		cmocka_unit_test_prestate(test_lying_disk, state),
	};

	if (argc > 1)
		runs = strtoul(argv[1], NULL, 10);
	if (argc > 2)
		first_seed = strtoull(argv[2], NULL, 10);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
