/* gc of the embedded lake: what each kind of root keeps, what writers may do while it runs, and
 * random histories against a naive model. (History that expires: test_gc_expiry.c.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/lake.h"
#include "tests/lib/gc_steps.h"
#include "tests/lib/lake_steps.h"
#include "tests/lib/must.h"

/* ---- roots ---- */

static void frees_what_nothing_names(void **state)
{
	struct lake_id id = orphan(1);
	struct lake_id head = commit_noise("main", "kept", LARGE, 3);
	struct lake_gc_report report;
	struct gc_model_count count;

	(void)state;
	report = gc_collect(&gc_strict);
	assert_int_equal(report.commits.freed, 2);
	assert_int_equal(report.commits.kept, 2); /* the first one, and the head */
	assert_int_equal(report.nodes.freed, 2);
	assert_int_equal(report.small.freed, 1);
	assert_int_equal(report.files.freed, 1);
	assert_int_equal(report.files.kept, 1);
	assert_true(report.files.freed_bytes >= LARGE);
	assert_int_equal(report.object_bytes, LARGE);
	assert_int_equal(report.expired, 0);
	assert_false(is_there(&id));
	MUST(read_at(&head, "kept", &err));
	count = gc_check(&gc_strict);
	assert_int_equal(count.commits, 2);
	assert_int_equal(count.files, 1);
	report = gc_collect(&gc_strict);
	assert_int_equal(report.commits.freed + report.nodes.freed + report.files.freed, 0);
}

static void the_reflog_keeps_for_its_time(void **state)
{
	struct lake_id id = orphan(1);
	struct lake_reflog log;

	(void)state;
	pass_days(29);
	gc_collect(&gc_defaults);
	assert_true(is_there(&id));
	MUST(read_at(&id, "o/large", &err));
	gc_check(&gc_defaults);
	pass_days(2);
	assert_int_equal(gc_collect(&gc_defaults).reflog_dropped, 4);
	assert_false(is_there(&id));
	gc_check(&gc_defaults);
	MUST(lake_reflog_read(gc_lake, "orphan", 0, &log, &err));
	assert_int_equal(log.n, 0);
	lake_reflog_release(&log);
	/* The newest of a ref that is there stays, whatever its age. */
	MUST(lake_reflog_read(gc_lake, NULL, 0, &log, &err));
	assert_int_equal(log.n, 1);
	assert_string_equal(log.items[0].name, "main");
	lake_reflog_release(&log);
}

static void grace_keeps_what_is_prepared(void **state)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	AUTO(freep) char *data = noise(LARGE, 9);
	struct lake_id head = head_of(gc_lake, "main");
	struct lake_move move = {.kind = LAKE_BRANCH, .name = "main", .expected = head};

	(void)state;
	MUST(lake_txn_begin(gc_lake, &head, &txn, &err));
	MUST(lake_txn_put_bytes(txn, "p", data, LARGE, NULL, NULL, &err));
	MUST(lake_txn_prepare(txn, &move.to, &err));
	lake_txn_free(MOVE(txn));
	virtual_clock_advance(&gc_clock, DAY_MS - 1000);
	gc_collect(&gc_retain_7);
	MUST(lake_refs_move(gc_lake, &move, 1, "late", &err));
	assert_content(gc_lake, "main", "p", data, LARGE);
	gc_check(&gc_retain_7);
}

/* What is prepared and older than that is refused, and nothing dangles. */
static void what_was_freed_is_refused(void **state)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	struct lake_id head = head_of(gc_lake, "main");
	struct lake_move move = {.kind = LAKE_BRANCH, .name = "main", .expected = head};
	struct lake_merge merge = {.dest = head, .message = "m"};
	struct lake_list *list = NULL;
	struct lake_id id;

	(void)state;
	MUST(lake_txn_begin(gc_lake, &head, &txn, &err));
	MUST(lake_txn_put_bytes(txn, "p", "x", 1, NULL, NULL, &err));
	MUST(lake_txn_prepare(txn, &move.to, &err));
	gc_collect(&gc_strict);
	MUST_BE(ST_NOT_FOUND, lake_refs_move(gc_lake, &move, 1, "late", &err));
	merge.source = move.to;
	MUST_BE(ST_NOT_FOUND, lake_merge_prepare(gc_lake, &merge, &id, NULL, &err));
	MUST_BE(ST_NOT_FOUND, lake_txn_rebase(txn, &move.to, &err));
	MUST_BE(ST_NOT_FOUND, lake_list_open(gc_lake, &move.to, "", &list, &err));
	lake_txn_free(MOVE(txn));
	gc_collect(&gc_strict);
	gc_check(&gc_strict);
}

static void tags_and_staged_changes_keep(void **state)
{
	struct lake_id id = orphan(1);
	struct lake_changes changes;

	(void)state;
	make_ref(LAKE_TAG, "v1", &id);
	make_branch(gc_lake, "dev");
	stage(gc_lake, "dev", "staged", "staged bytes");
	pass_days(100);
	gc_collect(&gc_strict);
	assert_true(is_there(&id));
	MUST(read_at(&id, "o/large", &err));
	gc_check(&gc_strict);
	MUST(lake_stage_changes(gc_lake, "dev", &changes, &err));
	assert_int_equal(changes.n, 1);
	lake_changes_release(&changes);
	MUST(lake_stage_commit(gc_lake, "dev", "m", NULL, &id, &err));
	assert_content(gc_lake, "dev", "staged", "staged bytes", 12);
	delete_ref(LAKE_TAG, "v1");
	delete_ref(LAKE_BRANCH, "dev");
	assert_int_equal(gc_collect(&gc_strict).commits.freed, 3);
	gc_check(&gc_strict);
}

/* A list, a diff: what is being read stays, and goes when it is closed. */
static void readers_keep_what_they_read(void **state)
{
	struct lake_id id = orphan(1);
	struct lake_id head = head_of(gc_lake, "main");
	struct lake_list *list = NULL;
	struct lake_diff *diff = NULL;
	struct lake_entry entry;

	(void)state;
	MUST(lake_list_open(gc_lake, &id, "", &list, &err));
	gc_collect(&gc_strict);
	MUST(lake_list_next(list, &entry, &err));
	assert_string_equal(entry.path, "o/large");
	lake_entry_release(&entry);
	MUST(read_at(&id, "o/large", &err));
	MUST(lake_diff_open(gc_lake, &head, &id, "", &diff, &err));
	lake_list_close(list);
	gc_collect(&gc_strict);
	assert_true(is_there(&id));
	lake_diff_close(diff);
	gc_collect(&gc_strict);
	assert_false(is_there(&id));
	gc_check(&gc_strict);
}

/* ---- uploads and transactions across a gc ---- */

static void uploads_live_over_a_gc(void **state)
{
	AUTO(freep) char *data = noise(LARGE, 5);
	struct lake_id head = head_of(gc_lake, "main"), first, id;
	struct lake_upload *ups[2] = {NULL, NULL};
	struct lake_txn *txn = NULL;

	(void)state;
	for (int i = 0; i < 2; i++) {
		size_t len = i ? 100 : LARGE;

		MUST(lake_upload_open(gc_lake, &ups[i], &err));
		MUST(lake_upload_write(ups[i], data, len, &err));
		MUST(lake_upload_finish(ups[i], &err));
	}
	gc_collect(&gc_strict);
	MUST(lake_txn_begin(gc_lake, &head, &txn, &err));
	MUST(lake_txn_put(txn, "a", ups[0], NULL, NULL, &err));
	MUST(lake_txn_put(txn, "b", ups[1], NULL, NULL, &err));
	MUST(lake_txn_prepare(txn, &first, &err));
	/* Prepared, and lost against another; its commit is freed, its objects are
	 * still the transaction's. */
	head = commit_noise("main", "other", 50, 6);
	assert_int_equal(gc_collect(&gc_strict).commits.freed, 1);
	assert_false(is_there(&first));
	MUST(lake_txn_rebase(txn, &head, &err));
	MUST(lake_txn_commit(txn, "main", &head, "again", &id, &err));
	lake_txn_free(txn);
	gc_collect(&gc_strict);
	assert_content(gc_lake, "main", "a", data, LARGE);
	assert_content(gc_lake, "main", "b", data, 100);
	gc_check(&gc_strict);
}

static void equal_content_is_kept_once_named(void **state)
{
	struct lake_id id = orphan(1);
	AUTO(freep) char *data = noise(LARGE, 1);

	(void)state;
	commit_bytes(gc_lake, "main", "same", data, LARGE);
	gc_collect(&gc_strict);
	assert_false(is_there(&id));
	assert_content(gc_lake, "main", "same", data, LARGE);
	gc_check(&gc_strict);
}

/* ---- writers while gc runs: from its kill points, on its own thread ---- */

static void store_equal(void)
{
	AUTO(freep) char *data = noise(LARGE, 1);
	AUTO(freep) char *small = noise(100, 2);

	commit_bytes(gc_lake, "main", "again/large", data, LARGE);
	commit_bytes(gc_lake, "main", "again/small", small, 100);
}

static void bring_back_is_refused(void)
{
	const struct lake_move move = {.kind = LAKE_BRANCH, .name = "back", .to = gc_garbage};
	struct lake_list *list = NULL;
	struct lake_txn *txn = NULL;
	struct lake_id id;

	MUST_SAY(ST_NOT_FOUND, "freed by gc", lake_refs_move(gc_lake, &move, 1, "t", &err));
	MUST_BE(ST_NOT_FOUND, lake_list_open(gc_lake, &gc_garbage, "", &list, &err));
	/* It may be read yet; nothing can be built upon it. */
	if (lake_txn_begin(gc_lake, &gc_garbage, &txn, NULL) == ST_OK) {
		MUST(lake_txn_put_bytes(txn, "x", "x", 1, NULL, NULL, &err));
		MUST_BE(ST_NOT_FOUND, lake_txn_prepare(txn, &id, &err));
		lake_txn_free(txn);
	}
}

static void commit_staged(void)
{
	struct lake_id id;

	MUST(lake_stage_commit(gc_lake, "dev", "m", NULL, &id, &err));
}

/* A lake with garbage, and something staged. */
static void begin_anew(void **state)
{
	gc_tear_down(state);
	gc_set_up(state);
	gc_garbage = orphan(1);
	make_branch(gc_lake, "dev");
	stage(gc_lake, "dev", "s", "staged");
}

static void writers_and_marking(void **state)
{
	static const char *const points[] = {"gc.mark.begin", "gc.mark.roots"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
		static void (*const acts[])(void) = {store_equal, bring_back, build_on_garbage,
						     commit_staged};

		for (size_t j = 0; j < ARRAY_SIZE(acts); j++) {
			begin_anew(state);
			gc_collect_with(&gc_strict, points[i], acts[j]);
			everything_is_whole();
			assert_int_equal(is_there(&gc_garbage), j == 1 || j == 2);
			gc_collect(&gc_strict);
			gc_check(&gc_strict);
			everything_is_whole();
		}
	}
}

static void writers_and_sweeping(void **state)
{
	static const char *const points[] = {"gc.mark.end", "gc.sweep.commits", "gc.sweep.nodes",
					     "gc.sweep.small", "gc.sweep.unlink"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
		static void (*const acts[])(void) = {store_equal, bring_back_is_refused,
						     commit_staged};

		for (size_t j = 0; j < ARRAY_SIZE(acts); j++) {
			/* What is gone is not "being freed" any more. */
			if (j == 1 && i > 0)
				continue;
			begin_anew(state);
			gc_collect_with(&gc_strict, points[i], acts[j]);
			assert_false(is_there(&gc_garbage));
			everything_is_whole();
			gc_collect(&gc_strict);
			gc_check(&gc_strict);
			everything_is_whole();
		}
	}
}

static void second_gc(void)
{
	struct lake_gc_report report;

	MUST_SAY(ST_BUSY, "gc of", lake_gc(gc_lake, &gc_strict, &report, &err));
}

static void one_at_a_time(void **state)
{
	(void)state;
	gc_collect_with(&gc_strict, "gc.mark.roots", second_gc);
	gc_collect(&gc_strict);
}

static bool stop_at(void *ctx, const struct lake_gc_progress *progress)
{
	return strcmp(progress->step, ctx) != 0;
}

static void ends_when_it_is_told(void **state)
{
	static const char *const steps_[] = {"mark", "files"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(steps_); i++) {
		struct lake_gc_options options = gc_strict;
		struct lake_gc_report report;

		orphan(10 * i);
		options.progress = stop_at;
		options.ctx = (void *)steps_[i];
		if (i == 0)
			for (int n = 0; n < 300; n++) /* it is asked now and then */
				commit_noise("main", "m", 10, (uint64_t)n);
		MUST_BE(ST_INTERRUPTED, lake_gc(gc_lake, &options, &report, &err));
		everything_is_whole();
		gc_collect(&gc_strict);
		gc_check(&gc_strict);
	}
}

static void dry_run_frees_nothing(void **state)
{
	struct lake_gc_options dry = gc_retain_7;
	struct lake_gc_report said, done;
	struct lake_id old = commit_noise("main", "f", LARGE, 1);

	(void)state;
	commit_noise("main", "f", LARGE, 2);
	commit_noise("main", "g", 100, 3);
	orphan(4);
	pass_days(30);
	dry.dry_run = true;
	said = gc_collect(&dry);
	MUST(read_at(&old, "f", &err));
	gc_reopen();
	MUST(read_at(&old, "f", &err));
	done = gc_collect(&gc_retain_7);
	MUST_BE(ST_EXPIRED, read_at(&old, "f", &err));
	assert_true(done.expired == 1 && done.files.freed == 2 && done.commits.freed == 2);
	said.elapsed_ms = done.elapsed_ms;
	said.longest_wait_us = done.longest_wait_us;
	assert_memory_equal(&said, &done, sizeof(said));
	gc_check(&gc_retain_7);
}

/* ---- random histories against the model ---- */

enum { WORLD_STEPS = 60, WORLD_SEEDS = 25 };

static void random_step(struct rng *r)
{
	static const char *const branches[] = {"main", "a", "b"};
	const char *branch = branches[rng_below(r, 3)];
	char path[16], tag[16];
	struct lake_id head = head_of(gc_lake, "main"), id;

	snprintf(path, sizeof(path), "d%u/%u", (unsigned)rng_below(r, 3),
		 (unsigned)rng_below(r, 6));
	snprintf(tag, sizeof(tag), "t%u", (unsigned)rng_below(r, 3));
	if (lake_ref_get(gc_lake, LAKE_BRANCH, branch, &id, NULL) != ST_OK)
		make_ref(LAKE_BRANCH, branch, &head);
	switch (rng_below(r, 9)) {
	case 0:
		if (lake_ref_get(gc_lake, LAKE_TAG, tag, &id, NULL) == ST_OK) {
			delete_ref(LAKE_TAG, tag);
		} else {
			id = head_of(gc_lake, branch);
			make_ref(LAKE_TAG, tag, &id);
		}
		break;
	case 1:
		if (strcmp(branch, "main") != 0)
			delete_ref(LAKE_BRANCH, branch);
		break;
	case 2:
		if (strcmp(branch, "main") != 0)
			stage(gc_lake, branch, path, path);
		break;
	case 3:
		if (strcmp(branch, "main") != 0)
			(void)!lake_stage_commit(gc_lake, branch, "m", NULL, &id, NULL);
		break;
	case 4: {
		struct lake_merge merge = {.strategy = LAKE_OURS};
		struct lake_move move = {.kind = LAKE_BRANCH, .name = "main", .expected = head};

		merge.source = head_of(gc_lake, branch);
		merge.dest = head;
		if (lake_merge_prepare(gc_lake, &merge, &move.to, NULL, NULL) == ST_OK)
			MUST(lake_refs_move(gc_lake, &move, 1, "merge", &err));
		break;
	}
	case 5:
		if (rng_below(r, 2))
			(void)!lake_revert_prepare(gc_lake, &head,
						   &(struct lake_revert){.commits = &head, .n = 1},
						   &id, NULL, NULL);
		else if (strcmp(branch, "main") != 0)
			(void)!lake_branch_reset(gc_lake, branch, &head, NULL);
		break;
	default:
		commit_noise(branch, path, rng_below(r, 2) ? LARGE : 50, rng_below(r, 30));
	}
	virtual_clock_advance(&gc_clock, (int64_t)rng_below(r, DAY_MS));
}

static void random_histories(void **state)
{
	for (uint64_t seed = 1; seed <= WORLD_SEEDS; seed++) {
		struct rng r = rng_seeded(seed);

		gc_tear_down(state);
		gc_set_up(state);
		for (int i = 0; i < WORLD_STEPS; i++) {
			const struct lake_gc_options options = {
				.history_retain_ms = (int64_t)rng_below(&r, 3) * 5 * DAY_MS,
				.reflog_retain_ms = (int64_t)rng_below(&r, 3) * 4 * DAY_MS,
				.grace_ms = (int64_t)rng_below(&r, 3) * DAY_MS / 2,
				.trust_clock = true,
			};

			random_step(&r);
			if (rng_below(&r, 15))
				continue;
			gc_collect(&options);
			gc_check(&options);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		GC_TEST(frees_what_nothing_names),
		GC_TEST(the_reflog_keeps_for_its_time),
		GC_TEST(grace_keeps_what_is_prepared),
		GC_TEST(what_was_freed_is_refused),
		GC_TEST(tags_and_staged_changes_keep),
		GC_TEST(readers_keep_what_they_read),
		GC_TEST(uploads_live_over_a_gc),
		GC_TEST(equal_content_is_kept_once_named),
		GC_TEST(writers_and_marking),
		GC_TEST(writers_and_sweeping),
		GC_TEST(one_at_a_time),
		GC_TEST(ends_when_it_is_told),
		GC_TEST(dry_run_frees_nothing),
		GC_TEST(random_histories),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
