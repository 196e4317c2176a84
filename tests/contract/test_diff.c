/* Differences of large trees, whose second half another thread finds: the same
 * as those that were made, in order, however many, and whenever the reader
 * stops. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/lake.h"
#include "tests/lib/lake_steps.h"
#include "tests/lib/must.h"
#include "tests/lib/tempdir.h"

/* Half of the differences of all of them do not fit into what may wait. */
#define FILES 60000u

static char *dir;
static struct lake *lake;
static struct lake_id base;

static char *path_of(unsigned i)
{
	return xasprintf("topics/orders/partition=%05u/orders+%010u.avro", i / 1000, i);
}

/* A commit in which every step-th file is another; less one, plus one. */
static struct lake_id change_every(unsigned step)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	AUTO(freep) char *gone = path_of(FILES / 2 + 1);
	struct lake_id id;

	MUST(lake_txn_begin(lake, &base, &txn, &err));
	for (unsigned i = 0; i < FILES; i += step) {
		AUTO(freep) char *path = path_of(i);

		MUST(lake_txn_put_bytes(txn, path, "new", 3, NULL, NULL, &err));
	}
	if (step > 1)
		MUST(lake_txn_remove(txn, gone, &err));
	MUST(lake_txn_put_bytes(txn, "topics/zeta", "new", 3, NULL, NULL, &err));
	MUST(lake_txn_prepare(txn, &id, &err));
	return id;
}

static void expect_next(struct lake_diff *diff, const char *path, enum lake_change change)
{
	struct lake_diff_entry entry;

	MUST(lake_diff_next(diff, &entry, &err));
	assert_string_equal(entry.path, path);
	assert_int_equal(entry.change, change);
	free(entry.path);
}

static void check(unsigned step, bool backwards)
{
	struct lake_id changed = change_every(step);
	const struct lake_id *from = backwards ? &changed : &base;
	struct lake_diff_entry entry;
	struct lake_diff *diff;

	MUST(lake_diff_open(lake, from, backwards ? &base : &changed, "", &diff, &err));
	for (unsigned i = 0; i < FILES; i++) {
		AUTO(freep) char *path = path_of(i);

		if (i % step == 0)
			expect_next(diff, path, LAKE_CHANGED);
		else if (i == FILES / 2 + 1)
			expect_next(diff, path, backwards ? LAKE_ADDED : LAKE_REMOVED);
	}
	expect_next(diff, "topics/zeta", backwards ? LAKE_REMOVED : LAKE_ADDED);
	for (int i = 0; i < 2; i++)
		MUST_BE(ST_END, lake_diff_next(diff, &entry, &err));
	lake_diff_close(diff);
}

static void finds_what_differs(void **state)
{
	static const unsigned steps[] = {1, 7, 500, FILES / 3, FILES};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		check(steps[i], false);
		check(steps[i], true);
	}
}

static void stops_anywhere(void **state)
{
	struct lake_id changed = change_every(1);

	(void)state;
	for (unsigned n = 0; n <= FILES; n = n * 3 + 1) {
		struct lake_diff *diff;

		MUST(lake_diff_open(lake, &base, &changed, "", &diff, &err));
		for (unsigned i = 0; i < n && i < FILES; i++) {
			AUTO(freep) char *path = path_of(i);

			expect_next(diff, path, LAKE_CHANGED);
		}
		lake_diff_close(diff);
	}
}

static uint64_t counted(const struct lake_id *a, const struct lake_id *b, const char *prefix,
			uint64_t limit)
{
	uint64_t n = 0;

	MUST(lake_diff_count(lake, a, b, prefix, limit, &n, &err));
	return n;
}

/* Whole folders and parts of some, on either side and on both. */
static void counts_what_a_reader_counts(void **state)
{
	struct rng rng = rng_seeded(3);
	uint64_t all = 0, within = 0;

	(void)state;
	for (int round = 0; round < 40; round++) {
		AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
		AUTO(freep) char *from = path_of((unsigned)rng_below(&rng, FILES));
		AUTO(freep) char *until = path_of((unsigned)rng_below(&rng, FILES));
		const char *const prefixes[] = {"", "topics/", "topics/orders/partition=0000",
						"topics/orders/partition=00030/", "no"};
		uint64_t wanted[ARRAY_SIZE(prefixes)] = {0};
		AUTO(lake_diff_closep) struct lake_diff *diff = NULL;
		AUTO(lake_diff_closep) struct lake_diff *part = NULL;
		struct lake_diff_entry e;
		struct lake_id changed;

		MUST(lake_txn_begin(lake, &base, &txn, &err));
		for (int runs = 1 + (int)rng_below(&rng, 4); runs > 0; runs--) {
			unsigned at = (unsigned)rng_below(&rng, FILES);
			unsigned n = 1 + (unsigned)rng_below(&rng, rng_below(&rng, 2) ? 8000 : 5);
			const bool gone = rng_below(&rng, 2);

			for (unsigned i = 0; i < n; i++) {
				AUTO(freep)
				char *path =
					xasprintf("topics/orders/partition=%05u/orders+%010u%s",
						  (at + i) / 1000, at + i,
						  gone       ? ".avro"
						  : runs % 2 ? ".more"
							     : ".avro");

				/* one that was put or removed before: as it is */
				if (gone)
					(void)!lake_txn_remove(txn, path, NULL);
				else
					(void)!lake_txn_put_bytes(txn, path, "x", 1, NULL, NULL,
								  NULL);
			}
		}
		if (lake_txn_prepare(txn, &changed, NULL) != ST_OK)
			continue; /* a path came twice */
		MUST(lake_diff_open(lake, &base, &changed, "", &diff, &err));
		MUST(lake_diff_open_between(lake, &base, &changed, from, until, &part, &err));
		while (lake_diff_next(diff, &e, NULL) == ST_OK) {
			for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
				wanted[i] += strncmp(e.path, prefixes[i], strlen(prefixes[i])) == 0;
			if (strcmp(e.path, from) >= 0 && strcmp(e.path, until) < 0) {
				within++;
				expect_next(part, e.path, e.change);
			}
			free(e.path);
		}
		MUST_BE(ST_END, lake_diff_next(part, &e, &err));
		for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
			uint64_t some = counted(&base, &changed, prefixes[i], 3);

			assert_int_equal(counted(&base, &changed, prefixes[i], UINT64_MAX),
					 wanted[i]);
			assert_int_equal(counted(&changed, &base, prefixes[i], UINT64_MAX),
					 wanted[i]);
			assert_true(some <= wanted[i] && (some >= 3 || some == wanted[i]));
		}
		all += wanted[0];
	}
	assert_true(all > FILES && within > 0);
}

static int make_lake(void **state)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	struct lake_id head;

	(void)state;
	dir = tempdir_new();
	lake = open_lake(dir);
	head = head_of(lake, "main");
	MUST(lake_txn_begin(lake, &head, &txn, &err));
	for (unsigned i = 0; i < FILES; i++) {
		AUTO(freep) char *path = path_of(i);

		MUST(lake_txn_put_bytes(txn, path, "old", 3, NULL, NULL, &err));
	}
	MUST(lake_txn_prepare(txn, &base, &err));
	return 0;
}

static int remove_lake(void **state)
{
	(void)state;
	lake_close(lake);
	tempdir_remove(&dir);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_what_differs),
		cmocka_unit_test(stops_anywhere),
		cmocka_unit_test(counts_what_a_reader_counts),
	};

	return cmocka_run_group_tests(tests, make_lake, remove_lake);
}
