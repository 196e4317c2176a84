/* gc of the embedded lake: what each kind of root keeps, what expires, what
 * writers may do while it runs, and random histories against a naive model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/killpoint.h"
#include "core/embedded/db.h"
#include "core/lake.h"
#include "tests/lib/gc_model.h"
#include "tests/lib/lake_steps.h"
#include "tests/lib/must.h"
#include "tests/lib/tempdir.h"
#include "tests/lib/virtual_clock.h"

#define DAY_MS (24LL * 3600 * 1000)
#define LARGE 20000

/* ---- a lake with a clock of its own ---- */

static struct virtual_clock vclock;
static char *dir;
static struct lake *lake;

static void reopen(void)
{
	const struct lake_options options = {
		.access = LAKE_OWN, .create = true, .clock = &vclock.clock, .committer = "tester"};

	lake_close(lake);
	lake = NULL;
	MUST(lake_open(dir, &options, &lake, &err));
}

static int set_up(void **state)
{
	(void)state;
	virtual_clock_init(&vclock, 1700000000000);
	dir = tempdir_new();
	reopen();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	kill_point_set_hook(NULL, NULL);
	lake_close(lake);
	lake = NULL;
	tempdir_remove(&dir);
	return 0;
}

static void pass_days(int n)
{
	virtual_clock_advance(&vclock, n * DAY_MS);
}

static int64_t now_ms(void)
{
	return vclock.clock.wall_ms(&vclock.clock);
}

static const struct lake_gc_options defaults = {.reflog_retain_ms = LAKE_GC_REFLOG_RETAIN_MS,
						.grace_ms = LAKE_GC_GRACE_MS,
						.trust_clock = true};
/* Nothing but refs, staged changes and what is in use. */
static const struct lake_gc_options strict = {.reflog_retain_ms = 0};
static const struct lake_gc_options retain_7 = {.history_retain_ms = 7 * DAY_MS,
						.reflog_retain_ms = DAY_MS,
						.grace_ms = DAY_MS,
						.trust_clock = true};

static struct lake_gc_report collect(const struct lake_gc_options *options)
{
	struct lake_gc_report report;

	MUST(lake_gc(lake, options, &report, &err));
	return report;
}

/* Closes the lake, asks the model, and opens it again. */
static struct gc_model_count check_model(const struct lake_gc_options *options)
{
	struct gc_model_count count;

	lake_close(lake);
	lake = NULL;
	gc_model_check(dir, options, now_ms(), &count);
	reopen();
	return count;
}

static struct lake_id commit_noise(const char *branch, const char *path, size_t len, uint64_t seed)
{
	AUTO(freep) char *data = noise(len, seed);

	return commit_bytes(lake, branch, path, data, len);
}

static void delete_ref(enum lake_ref_kind kind, const char *name)
{
	struct lake_move move = {.kind = kind, .name = name};

	MUST(lake_ref_get(lake, kind, name, &move.expected, &err));
	MUST(lake_refs_move(lake, &move, 1, "test", &err));
}

static void make_ref(enum lake_ref_kind kind, const char *name, const struct lake_id *to)
{
	const struct lake_move move = {.kind = kind, .name = name, .to = *to};

	MUST(lake_refs_move(lake, &move, 1, "test", &err));
}

static enum status read_at(const struct lake_id *id, const char *path, struct err *err)
{
	AUTO(buf_release) struct buf data = BUF_INIT;

	return lake_read(lake, id, path, 1 << 20, &data, err);
}

static bool there(const struct lake_id *id)
{
	struct lake_commit c = {0};
	enum status st = lake_commit_read(lake, id, &c, NULL);

	lake_commit_release(&c);
	assert_true(st == ST_OK || st == ST_NOT_FOUND);
	return st == ST_OK;
}

/* A commit of a large and a small object on a branch that is gone again. */
static struct lake_id orphan(uint64_t seed)
{
	struct lake_id id;

	make_branch(lake, "orphan");
	commit_noise("orphan", "o/large", LARGE, seed);
	id = commit_noise("orphan", "o/small", 100, seed + 1);
	delete_ref(LAKE_BRANCH, "orphan");
	return id;
}

/* ---- roots ---- */

static void frees_what_nothing_names(void **state)
{
	struct lake_id id = orphan(1);
	struct lake_id head = commit_noise("main", "kept", LARGE, 3);
	struct lake_gc_report report;
	struct gc_model_count count;

	(void)state;
	report = collect(&strict);
	assert_int_equal(report.commits.freed, 2);
	assert_int_equal(report.commits.kept, 2); /* the first one, and the head */
	assert_int_equal(report.nodes.freed, 2);
	assert_int_equal(report.small.freed, 1);
	assert_int_equal(report.files.freed, 1);
	assert_int_equal(report.files.kept, 1);
	assert_true(report.files.freed_bytes >= LARGE);
	assert_int_equal(report.object_bytes, LARGE);
	assert_int_equal(report.expired, 0);
	assert_false(there(&id));
	MUST(read_at(&head, "kept", &err));
	count = check_model(&strict);
	assert_int_equal(count.commits, 2);
	assert_int_equal(count.files, 1);
	report = collect(&strict);
	assert_int_equal(report.commits.freed + report.nodes.freed + report.files.freed, 0);
}

static void the_reflog_keeps_for_its_time(void **state)
{
	struct lake_id id = orphan(1);
	struct lake_reflog log;

	(void)state;
	pass_days(29);
	collect(&defaults);
	assert_true(there(&id));
	MUST(read_at(&id, "o/large", &err));
	check_model(&defaults);
	pass_days(2);
	assert_int_equal(collect(&defaults).reflog_dropped, 4);
	assert_false(there(&id));
	check_model(&defaults);
	MUST(lake_reflog_read(lake, "orphan", 0, &log, &err));
	assert_int_equal(log.n, 0);
	lake_reflog_release(&log);
	/* The newest of a ref that is there stays, whatever its age. */
	MUST(lake_reflog_read(lake, NULL, 0, &log, &err));
	assert_int_equal(log.n, 1);
	assert_string_equal(log.items[0].name, "main");
	lake_reflog_release(&log);
}

static void grace_keeps_what_is_prepared(void **state)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	AUTO(freep) char *data = noise(LARGE, 9);
	struct lake_id head = head_of(lake, "main");
	struct lake_move move = {.kind = LAKE_BRANCH, .name = "main", .expected = head};

	(void)state;
	MUST(lake_txn_begin(lake, &head, &txn, &err));
	MUST(lake_txn_put_bytes(txn, "p", data, LARGE, NULL, NULL, &err));
	MUST(lake_txn_prepare(txn, &move.to, &err));
	lake_txn_free(MOVE(txn));
	virtual_clock_advance(&vclock, DAY_MS - 1000);
	collect(&retain_7);
	MUST(lake_refs_move(lake, &move, 1, "late", &err));
	assert_content(lake, "main", "p", data, LARGE);
	check_model(&retain_7);
}

/* What is prepared and older than that is refused, and nothing dangles. */
static void what_was_freed_is_refused(void **state)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	struct lake_id head = head_of(lake, "main");
	struct lake_move move = {.kind = LAKE_BRANCH, .name = "main", .expected = head};
	struct lake_merge merge = {.dest = head, .message = "m"};
	struct lake_list *list = NULL;
	struct lake_id id;

	(void)state;
	MUST(lake_txn_begin(lake, &head, &txn, &err));
	MUST(lake_txn_put_bytes(txn, "p", "x", 1, NULL, NULL, &err));
	MUST(lake_txn_prepare(txn, &move.to, &err));
	collect(&strict);
	MUST_BE(ST_NOT_FOUND, lake_refs_move(lake, &move, 1, "late", &err));
	merge.source = move.to;
	MUST_BE(ST_NOT_FOUND, lake_merge_prepare(lake, &merge, &id, NULL, &err));
	MUST_BE(ST_NOT_FOUND, lake_txn_rebase(txn, &move.to, &err));
	MUST_BE(ST_NOT_FOUND, lake_list_open(lake, &move.to, "", &list, &err));
	lake_txn_free(MOVE(txn));
	collect(&strict);
	check_model(&strict);
}

static void tags_and_staged_changes_keep(void **state)
{
	struct lake_id id = orphan(1);
	struct lake_changes changes;

	(void)state;
	make_ref(LAKE_TAG, "v1", &id);
	make_branch(lake, "dev");
	stage(lake, "dev", "staged", "staged bytes");
	pass_days(100);
	collect(&strict);
	assert_true(there(&id));
	MUST(read_at(&id, "o/large", &err));
	check_model(&strict);
	MUST(lake_stage_changes(lake, "dev", &changes, &err));
	assert_int_equal(changes.n, 1);
	lake_changes_release(&changes);
	MUST(lake_stage_commit(lake, "dev", "m", NULL, &id, &err));
	assert_content(lake, "dev", "staged", "staged bytes", 12);
	delete_ref(LAKE_TAG, "v1");
	delete_ref(LAKE_BRANCH, "dev");
	assert_int_equal(collect(&strict).commits.freed, 3);
	check_model(&strict);
}

/* A list, a diff: what is being read stays, and goes when it is closed. */
static void readers_keep_what_they_read(void **state)
{
	struct lake_id id = orphan(1);
	struct lake_id head = head_of(lake, "main");
	struct lake_list *list = NULL;
	struct lake_diff *diff = NULL;
	struct lake_entry entry;

	(void)state;
	MUST(lake_list_open(lake, &id, "", &list, &err));
	collect(&strict);
	MUST(lake_list_next(list, &entry, &err));
	assert_string_equal(entry.path, "o/large");
	lake_entry_release(&entry);
	MUST(read_at(&id, "o/large", &err));
	MUST(lake_diff_open(lake, &head, &id, "", &diff, &err));
	lake_list_close(list);
	collect(&strict);
	assert_true(there(&id));
	lake_diff_close(diff);
	collect(&strict);
	assert_false(there(&id));
	check_model(&strict);
}

/* ---- uploads and transactions across a gc ---- */

static void uploads_live_over_a_gc(void **state)
{
	AUTO(freep) char *data = noise(LARGE, 5);
	struct lake_id head = head_of(lake, "main"), first, id;
	struct lake_upload *ups[2] = {NULL, NULL};
	struct lake_txn *txn = NULL;

	(void)state;
	for (int i = 0; i < 2; i++) {
		size_t len = i ? 100 : LARGE;

		MUST(lake_upload_open(lake, &ups[i], &err));
		MUST(lake_upload_write(ups[i], data, len, &err));
		MUST(lake_upload_finish(ups[i], &err));
	}
	collect(&strict);
	MUST(lake_txn_begin(lake, &head, &txn, &err));
	MUST(lake_txn_put(txn, "a", ups[0], NULL, NULL, &err));
	MUST(lake_txn_put(txn, "b", ups[1], NULL, NULL, &err));
	MUST(lake_txn_prepare(txn, &first, &err));
	/* Prepared, and lost against another; its commit is freed, its objects are
	 * still the transaction's. */
	head = commit_noise("main", "other", 50, 6);
	assert_int_equal(collect(&strict).commits.freed, 1);
	assert_false(there(&first));
	MUST(lake_txn_rebase(txn, &head, &err));
	MUST(lake_txn_commit(txn, "main", &head, "again", &id, &err));
	lake_txn_free(txn);
	collect(&strict);
	assert_content(lake, "main", "a", data, LARGE);
	assert_content(lake, "main", "b", data, 100);
	check_model(&strict);
}

static void equal_content_is_kept_once_named(void **state)
{
	struct lake_id id = orphan(1);
	AUTO(freep) char *data = noise(LARGE, 1);

	(void)state;
	commit_bytes(lake, "main", "same", data, LARGE);
	collect(&strict);
	assert_false(there(&id));
	assert_content(lake, "main", "same", data, LARGE);
	check_model(&strict);
}

/* ---- writers while gc runs: from its kill points, on its own thread ---- */

static struct {
	const char *at;
	void (*act)(void);
	unsigned acted;
} hook;

static void on_point(const char *name, void *ctx)
{
	(void)ctx;
	if (strcmp(name, hook.at) != 0 || !hook.act)
		return;
	{
		void (*act)(void) = hook.act;

		hook.act = NULL;
		hook.acted++;
		act();
	}
}

static struct lake_gc_report collect_with(const struct lake_gc_options *options, const char *at,
					  void (*act)(void))
{
	struct lake_gc_report report;

	hook.at = at;
	hook.act = act;
	kill_point_set_hook(on_point, NULL);
	report = collect(options);
	kill_point_set_hook(NULL, NULL);
	if (hook.act)
		fail_msg("'%s' was not passed", at);
	return report;
}

static struct lake_id garbage;

static void store_equal(void)
{
	AUTO(freep) char *data = noise(LARGE, 1);
	AUTO(freep) char *small = noise(100, 2);

	commit_bytes(lake, "main", "again/large", data, LARGE);
	commit_bytes(lake, "main", "again/small", small, 100);
}

static void bring_back(void)
{
	make_ref(LAKE_BRANCH, "back", &garbage);
}

static void bring_back_is_refused(void)
{
	const struct lake_move move = {.kind = LAKE_BRANCH, .name = "back", .to = garbage};
	struct lake_list *list = NULL;
	struct lake_txn *txn = NULL;
	struct lake_id id;

	MUST_SAY(ST_NOT_FOUND, "freed by gc", lake_refs_move(lake, &move, 1, "t", &err));
	MUST_BE(ST_NOT_FOUND, lake_list_open(lake, &garbage, "", &list, &err));
	/* It may be read yet; nothing can be built upon it. */
	if (lake_txn_begin(lake, &garbage, &txn, NULL) == ST_OK) {
		MUST(lake_txn_put_bytes(txn, "x", "x", 1, NULL, NULL, &err));
		MUST_BE(ST_NOT_FOUND, lake_txn_prepare(txn, &id, &err));
		lake_txn_free(txn);
	}
}

static void build_on_garbage(void)
{
	struct lake_txn *txn = NULL;
	struct lake_move move = {.kind = LAKE_BRANCH, .name = "built"};

	MUST(lake_txn_begin(lake, &garbage, &txn, &err));
	MUST(lake_txn_put_bytes(txn, "x", "x", 1, NULL, NULL, &err));
	MUST(lake_txn_prepare(txn, &move.to, &err));
	MUST(lake_refs_move(lake, &move, 1, "t", &err));
	lake_txn_free(txn);
}

static void commit_staged(void)
{
	struct lake_id id;

	MUST(lake_stage_commit(lake, "dev", "m", NULL, &id, &err));
}

static void everything_is_whole(void)
{
	static const char *const names[] = {"main", "back", "built", "dev"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct lake_list *list = NULL;
		struct lake_entry entry;
		struct lake_id head;

		if (lake_resolve(lake, names[i], &head, NULL) != ST_OK)
			continue;
		MUST(lake_list_open(lake, &head, "", &list, &err));
		while (lake_list_next(list, &entry, NULL) == ST_OK) {
			MUST(read_at(&head, entry.path, &err));
			lake_entry_release(&entry);
		}
		lake_list_close(list);
	}
}

static void writers_and_marking(void **state)
{
	static const char *const points[] = {"gc.mark.begin", "gc.mark.roots"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
		static void (*const acts[])(void) = {store_equal, bring_back, build_on_garbage,
						     commit_staged};

		for (size_t j = 0; j < ARRAY_SIZE(acts); j++) {
			tear_down(state);
			set_up(state);
			garbage = orphan(1);
			make_branch(lake, "dev");
			stage(lake, "dev", "s", "staged");
			collect_with(&strict, points[i], acts[j]);
			everything_is_whole();
			assert_int_equal(there(&garbage), j == 1 || j == 2);
			collect(&strict);
			check_model(&strict);
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
			tear_down(state);
			set_up(state);
			garbage = orphan(1);
			make_branch(lake, "dev");
			stage(lake, "dev", "s", "staged");
			collect_with(&strict, points[i], acts[j]);
			assert_false(there(&garbage));
			everything_is_whole();
			collect(&strict);
			check_model(&strict);
			everything_is_whole();
		}
	}
}

static void second_gc(void)
{
	struct lake_gc_report report;

	MUST_SAY(ST_BUSY, "gc of", lake_gc(lake, &strict, &report, &err));
}

static void one_at_a_time(void **state)
{
	(void)state;
	collect_with(&strict, "gc.mark.roots", second_gc);
	collect(&strict);
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
		struct lake_gc_options options = strict;
		struct lake_gc_report report;

		orphan(10 * i);
		options.progress = stop_at;
		options.ctx = (void *)steps_[i];
		if (i == 0)
			for (int n = 0; n < 300; n++) /* it is asked now and then */
				commit_noise("main", "m", 10, (uint64_t)n);
		MUST_BE(ST_INTERRUPTED, lake_gc(lake, &options, &report, &err));
		everything_is_whole();
		collect(&strict);
		check_model(&strict);
	}
}

static void dry_run_frees_nothing(void **state)
{
	struct lake_gc_options dry = retain_7;
	struct lake_gc_report said, done;
	struct lake_id old = commit_noise("main", "f", LARGE, 1);

	(void)state;
	commit_noise("main", "f", LARGE, 2);
	commit_noise("main", "g", 100, 3);
	orphan(4);
	pass_days(30);
	dry.dry_run = true;
	said = collect(&dry);
	MUST(read_at(&old, "f", &err));
	reopen();
	MUST(read_at(&old, "f", &err));
	done = collect(&retain_7);
	MUST_BE(ST_EXPIRED, read_at(&old, "f", &err));
	assert_true(done.expired == 1 && done.files.freed == 2 && done.commits.freed == 2);
	said.elapsed_ms = done.elapsed_ms;
	said.longest_wait_us = done.longest_wait_us;
	assert_memory_equal(&said, &done, sizeof(said));
	check_model(&retain_7);
}

/* ---- history that expires ---- */

static void history_expires(void **state)
{
	struct lake_id old = commit_noise("main", "f", LARGE, 1);
	struct lake_id old_small, tagged, head;
	AUTO(freep) char *data = noise(LARGE, 1);
	struct lake_gc_report report;

	(void)state;
	old_small = commit_noise("main", "f", 100, 2);
	tagged = commit_noise("main", "f", LARGE, 3);
	make_ref(LAKE_TAG, "v1", &tagged);
	head = commit_noise("main", "f", LARGE, 4);
	collect(&retain_7);
	MUST(read_at(&old, "f", &err));
	pass_days(8);
	report = collect(&retain_7);
	assert_int_equal(report.expired, 2);
	assert_int_equal(report.commits.freed + report.nodes.freed, 0);
	MUST_SAY(ST_EXPIRED, "'f'", read_at(&old, "f", &err));
	MUST_SAY(ST_EXPIRED, "lake.history.retain", read_at(&old_small, "f", &err));
	MUST_SAY(ST_EXPIRED, "2023-11-22", read_at(&old, "f", &err));
	assert_int_equal(status_exit_code(ST_EXPIRED), 5);
	MUST(read_at(&tagged, "f", &err));
	MUST(read_at(&head, "f", &err));
	assert_int_equal(check_model(&retain_7).marks, 2);
	MUST_BE(ST_EXPIRED, read_at(&old, "f", &err)); /* opened again */
	/* Stored again, it is there again, and for the old commit too. */
	commit_bytes(lake, "main", "copy", data, LARGE);
	MUST(read_at(&old, "f", &err));
	assert_int_equal(check_model(&retain_7).marks, 1);
	report = collect(&retain_7);
	assert_int_equal(report.expired, 0);
	MUST(read_at(&old, "f", &err));
}

/* A commit may not take over what has expired; a branch may show it. */
static void nothing_brings_expired_objects_back(void **state)
{
	struct lake_id old = commit_noise("main", "f", LARGE, 1);
	struct lake_id change = commit_noise("main", "f", LARGE, 2);
	struct lake_id head = commit_noise("main", "g", 10, 3), id, none = {{0}};
	struct lake_merge merge = {.dest = head, .strategy = LAKE_THEIRS};
	struct lake_txn *txn = NULL;

	(void)state;
	pass_days(30);
	MUST(lake_check_expired(lake, &head, &old, &err));
	assert_int_equal(collect(&retain_7).expired, 1);
	MUST_SAY(ST_EXPIRED, "'f'", lake_check_expired(lake, &head, &old, &err));
	MUST(lake_check_expired(lake, &old, &head, &err));
	MUST(lake_check_expired(lake, &none, &head, &err));
	MUST_SAY(ST_EXPIRED, "'f'",
		 lake_revert_prepare(lake, &head, &(struct lake_revert){.commits = &change, .n = 1},
				     &id, NULL, &err));
	MUST(lake_txn_begin(lake, &head, &txn, &err));
	MUST(lake_txn_graft(txn, &old, "f", &err));
	MUST_BE(ST_EXPIRED, lake_txn_prepare(txn, &id, &err));
	lake_txn_free(MOVE(txn));
	make_ref(LAKE_BRANCH, "old", &old);
	MUST_BE(ST_EXPIRED, read_at(&old, "f", &err));
	merge.source = commit_noise("old", "h", 10, 5);
	/* "f" is on both sides, and was changed on main alone: nothing is taken. */
	MUST(lake_merge_prepare(lake, &merge, &id, NULL, &err));
	collect(&retain_7); /* of what was refused, trees are left */
	check_model(&retain_7);
}

/* What is small and always asked for stays with its commit. */
static void a_prefix_never_expires(void **state)
{
	struct lake_gc_options options = retain_7;
	struct lake_id old;

	(void)state;
	commit_noise("main", "_meta/c", 100, 1);
	old = commit_noise("main", "f", 100, 2);
	commit_noise("main", "_meta/c", 100, 3);
	commit_noise("main", "f", 100, 4);
	pass_days(30);
	options.keep_prefix = "_meta/";
	assert_int_equal(collect(&options).expired, 1);
	MUST(read_at(&old, "_meta/c", &err));
	MUST_BE(ST_EXPIRED, read_at(&old, "f", &err));
}

static void freed_in_the_middle(void)
{
	struct lake_id head = head_of(lake, "main");

	MUST(lake_check_expired(lake, &head, &garbage, &err));
}

/* What was looked at while gc runs stays, though history alone names it. */
static void what_is_checked_stays(void **state)
{
	struct lake_gc_report report;

	(void)state;
	garbage = commit_noise("main", "f", LARGE, 1);
	commit_noise("main", "f", LARGE, 2);
	pass_days(30);
	report = collect_with(&retain_7, "gc.mark.end", freed_in_the_middle);
	assert_int_equal(report.expired, 0);
	MUST(read_at(&garbage, "f", &err));
	report = collect(&retain_7);
	assert_int_equal(report.expired, 1);
	MUST_BE(ST_EXPIRED, read_at(&garbage, "f", &err));
}

static void stores_old_content(void)
{
	AUTO(freep) char *data = noise(LARGE, 1);

	commit_bytes(lake, "main", "copy", data, LARGE);
}

/* Equal content is stored between the mark and the deletion of its file. */
static void stored_again_while_it_expires(void **state)
{
	(void)state;
	garbage = commit_noise("main", "f", LARGE, 1);
	commit_noise("main", "f", LARGE, 2);
	pass_days(30);
	assert_int_equal(collect_with(&retain_7, "gc.sweep.expired", stores_old_content).expired,
			 0);
	MUST(read_at(&garbage, "f", &err));
	assert_int_equal(check_model(&retain_7).marks, 0);
	everything_is_whole();
}

static void tag_it(void)
{
	make_ref(LAKE_TAG, "late", &garbage);
}

static void tag_in_a_lease(void)
{
	struct lake_list *list = NULL;

	MUST(lake_list_open(lake, &garbage, "", &list, &err));
	tag_it();
	lake_list_close(list);
}

/* History that something takes hold of while it is about to expire keeps all its
 * data: a tag, a branch, a commit on top of it. */
static void what_is_used_again_stays(void **state)
{
	static void (*const acts[])(void) = {tag_it, bring_back, build_on_garbage, tag_in_a_lease};
	static const char *const points[] = {"gc.mark.begin", "gc.mark.end"};

	for (size_t i = 0; i < ARRAY_SIZE(acts) * ARRAY_SIZE(points); i++) {
		tear_down(state);
		set_up(state);
		commit_noise("main", "d/large", LARGE, 1);
		garbage = commit_noise("main", "d/small", 100, 2);
		commit_noise("main", "d/large", LARGE, 3);
		commit_noise("main", "d/small", 100, 4);
		pass_days(30);
		assert_int_equal(collect_with(&retain_7, points[i % 2], acts[i / 2]).expired, 0);
		MUST(read_at(&garbage, "d/large", &err));
		MUST(read_at(&garbage, "d/small", &err));
		everything_is_whole();
		/* And so it stays. */
		assert_int_equal(collect(&retain_7).expired, 0);
		everything_is_whole();
		check_model(&retain_7);
	}
}

/* The first finding about data that were freed as history. */
static void check_freed(bool damage, const char *text)
{
	const struct lake_fsck_options options = {.quick = true};
	struct lake_fsck_report report = {.n = 0};

	MUST(lake_fsck(lake, &options, &report, &err));
	assert_int_equal(report.n, 1);
	assert_int_equal(report.items[0].damage, damage);
	assert_non_null(strstr(report.items[0].text, text));
	lake_fsck_report_release(&report);
}

/* As a gc would that took what a head shows. */
static void expire_by_hand(const struct lake_id *id, const char *path)
{
	AUTO(lake_entry_release) struct lake_entry entry = {.path = NULL};
	AUTO(freep) char *meta = xasprintf("%s/meta", dir);
	AUTO(buf_release) struct buf key = BUF_INIT;
	AUTO(buf_release) struct buf time = BUF_INIT;
	AUTO(freep) char *file = NULL;
	struct db *db = NULL;
	struct lake_id blob;

	MUST(lake_stat(lake, id, path, &entry, &err));
	assert_true(lake_id_parse(entry.checksum, &blob));
	file = xasprintf("%s/blobs/%.2s/%s", dir, entry.checksum, entry.checksum);
	lake_close(lake);
	MUST(db_open(meta, false, DB_WHOLE_LOG, &db, &err));
	buf_addc(&key, 'x');
	buf_add(&key, blob.bytes, sizeof(blob.bytes));
	buf_add_be64(&time, (uint64_t)now_ms());
	db_put(db, &key, time.data, time.len);
	db_close(db);
	assert_int_equal(unlink(file), 0);
	lake = NULL;
	reopen();
}

/* Who names an old commit sees what is left of it, and fsck says so; a head that
 * was there before its data went is damage. */
static void fsck_tells_old_heads_from_new_ones(void **state)
{
	struct lake_id old = commit_noise("main", "f", LARGE, 1), head;

	(void)state;
	head = commit_noise("main", "f", LARGE, 2);
	pass_days(30);
	assert_int_equal(collect(&retain_7).expired, 1);
	make_ref(LAKE_TAG, "late", &old);
	check_freed(false, "'late' shows it at f");
	delete_ref(LAKE_TAG, "late");
	pass_days(1);
	expire_by_hand(&head, "f");
	make_ref(LAKE_TAG, "a", &head);
	check_freed(true, "'main' still shows it at f");
}

static void stored_while_it_was_opened(const char *name, void *ctx)
{
	if (strcmp(name, "lake.object.absent") != 0)
		return;
	kill_point_set_hook(NULL, NULL);
	commit_bytes(lake, "main", "copy", ctx, LARGE);
}

/* A reader has not found what expired; then it is stored again: no damage. */
static void stored_again_while_it_is_opened(void **state)
{
	AUTO(freep) char *data = noise(LARGE, 1);
	struct lake_id old = commit_noise("main", "f", LARGE, 1);

	(void)state;
	commit_noise("main", "f", LARGE, 2);
	pass_days(30);
	assert_int_equal(collect(&retain_7).expired, 1);
	MUST_BE(ST_EXPIRED, read_at(&old, "f", &err));
	kill_point_set_hook(stored_while_it_was_opened, data);
	MUST(read_at(&old, "f", &err));
}

/* ---- a clock that is wrong ---- */

/* Commits every day for n days; the first is out. */
static struct lake_id daily_commits(int n)
{
	struct lake_id first = {{0}};

	for (int i = 0; i < n; i++) {
		struct lake_id id = commit_noise("main", "f", 100, (uint64_t)now_ms());

		if (i == 0)
			first = id;
		pass_days(1);
	}
	return first;
}

static void a_clock_that_jumps_ages_little(void **state)
{
	struct lake_gc_options careful = retain_7;
	struct lake_id first = daily_commits(3), prepared = orphan(77);
	struct lake_gc_report report;

	(void)state;
	careful.trust_clock = false;
	careful.reflog_retain_ms = 7 * DAY_MS;
	pass_days(1000);
	report = collect(&careful);
	assert_int_equal(report.expired + report.commits.freed + report.reflog_dropped, 0);
	assert_true(report.uncounted_ms > 0);
	/* Nor when the lake goes on in the time that is wrong, */
	daily_commits(1);
	report = collect(&careful);
	assert_int_equal(report.expired + report.commits.freed + report.reflog_dropped, 0);
	/* or when the clock is set right again. */
	vclock.wall_ms -= 1001 * DAY_MS;
	daily_commits(1);
	report = collect(&careful);
	assert_int_equal(report.expired + report.commits.freed + report.reflog_dropped, 0);
	MUST(read_at(&first, "f", &err));
	assert_true(there(&prepared));
	/* Whoever knows better says so. */
	vclock.wall_ms += 1001 * DAY_MS;
	assert_int_equal(collect(&retain_7).expired, 3);
	assert_false(there(&prepared));
	check_model(&retain_7);
}

/* Where the lake is written to, the guard changes nothing. */
static void a_clock_that_goes_on_ages_as_it_says(void **state)
{
	struct lake_gc_options careful = retain_7;
	struct lake_id first = daily_commits(12);
	struct lake_gc_report report;

	(void)state;
	careful.trust_clock = false;
	report = collect(&careful);
	assert_int_equal(report.expired, 5);
	assert_int_equal(report.uncounted_ms, 0);
	MUST_BE(ST_EXPIRED, read_at(&first, "f", &err));
	check_model(&careful);
}

/* ---- random histories against the model ---- */

enum { WORLD_STEPS = 60, WORLD_SEEDS = 25 };

static void random_step(struct rng *r)
{
	static const char *const branches[] = {"main", "a", "b"};
	const char *branch = branches[rng_below(r, 3)];
	char path[16], tag[16];
	struct lake_id head = head_of(lake, "main"), id;

	snprintf(path, sizeof(path), "d%u/%u", (unsigned)rng_below(r, 3),
		 (unsigned)rng_below(r, 6));
	snprintf(tag, sizeof(tag), "t%u", (unsigned)rng_below(r, 3));
	if (lake_ref_get(lake, LAKE_BRANCH, branch, &id, NULL) != ST_OK)
		make_ref(LAKE_BRANCH, branch, &head);
	switch (rng_below(r, 9)) {
	case 0:
		if (lake_ref_get(lake, LAKE_TAG, tag, &id, NULL) == ST_OK) {
			delete_ref(LAKE_TAG, tag);
		} else {
			id = head_of(lake, branch);
			make_ref(LAKE_TAG, tag, &id);
		}
		break;
	case 1:
		if (strcmp(branch, "main") != 0)
			delete_ref(LAKE_BRANCH, branch);
		break;
	case 2:
		if (strcmp(branch, "main") != 0)
			stage(lake, branch, path, path);
		break;
	case 3:
		if (strcmp(branch, "main") != 0)
			(void)!lake_stage_commit(lake, branch, "m", NULL, &id, NULL);
		break;
	case 4: {
		struct lake_merge merge = {.strategy = LAKE_OURS};
		struct lake_move move = {.kind = LAKE_BRANCH, .name = "main", .expected = head};

		merge.source = head_of(lake, branch);
		merge.dest = head;
		if (lake_merge_prepare(lake, &merge, &move.to, NULL, NULL) == ST_OK)
			MUST(lake_refs_move(lake, &move, 1, "merge", &err));
		break;
	}
	case 5:
		if (rng_below(r, 2))
			(void)!lake_revert_prepare(lake, &head,
						   &(struct lake_revert){.commits = &head, .n = 1},
						   &id, NULL, NULL);
		else if (strcmp(branch, "main") != 0)
			(void)!lake_branch_reset(lake, branch, &head, NULL);
		break;
	default:
		commit_noise(branch, path, rng_below(r, 2) ? LARGE : 50, rng_below(r, 30));
	}
	virtual_clock_advance(&vclock, (int64_t)rng_below(r, DAY_MS));
}

static void random_histories(void **state)
{
	for (uint64_t seed = 1; seed <= WORLD_SEEDS; seed++) {
		struct rng r = rng_seeded(seed);

		tear_down(state);
		set_up(state);
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
			collect(&options);
			check_model(&options);
		}
	}
}

int main(void)
{
#define GC_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
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
		GC_TEST(history_expires),
		GC_TEST(nothing_brings_expired_objects_back),
		GC_TEST(a_prefix_never_expires),
		GC_TEST(what_is_checked_stays),
		GC_TEST(stored_again_while_it_expires),
		GC_TEST(what_is_used_again_stays),
		GC_TEST(fsck_tells_old_heads_from_new_ones),
		GC_TEST(stored_again_while_it_is_opened),
		GC_TEST(a_clock_that_jumps_ages_little),
		GC_TEST(a_clock_that_goes_on_ages_as_it_says),
		GC_TEST(random_histories),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
