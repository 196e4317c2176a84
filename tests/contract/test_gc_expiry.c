/* gc of the embedded lake where history expires: what goes and what stays, what brings it back,
 * what fsck says, and a clock that is wrong. */
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
#include "tests/lib/gc_steps.h"
#include "tests/lib/lake_steps.h"
#include "tests/lib/must.h"

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
	gc_collect(&gc_retain_7);
	MUST(read_at(&old, "f", &err));
	pass_days(8);
	report = gc_collect(&gc_retain_7);
	assert_int_equal(report.expired, 2);
	assert_int_equal(report.commits.freed + report.nodes.freed, 0);
	MUST_SAY(ST_EXPIRED, "'f'", read_at(&old, "f", &err));
	MUST_SAY(ST_EXPIRED, "lake.history.retain", read_at(&old_small, "f", &err));
	MUST_SAY(ST_EXPIRED, "2023-11-22", read_at(&old, "f", &err));
	assert_int_equal(status_exit_code(ST_EXPIRED), 5);
	MUST(read_at(&tagged, "f", &err));
	MUST(read_at(&head, "f", &err));
	assert_int_equal(gc_check(&gc_retain_7).marks, 2);
	MUST_BE(ST_EXPIRED, read_at(&old, "f", &err)); /* opened again */
	/* Stored again, it is there again, and for the old commit too. */
	commit_bytes(gc_lake, "main", "copy", data, LARGE);
	MUST(read_at(&old, "f", &err));
	assert_int_equal(gc_check(&gc_retain_7).marks, 1);
	report = gc_collect(&gc_retain_7);
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
	MUST(lake_check_expired(gc_lake, &head, &old, &err));
	assert_int_equal(gc_collect(&gc_retain_7).expired, 1);
	MUST_SAY(ST_EXPIRED, "'f'", lake_check_expired(gc_lake, &head, &old, &err));
	MUST(lake_check_expired(gc_lake, &old, &head, &err));
	MUST(lake_check_expired(gc_lake, &none, &head, &err));
	MUST_SAY(ST_EXPIRED, "'f'",
		 lake_revert_prepare(gc_lake, &head,
				     &(struct lake_revert){.commits = &change, .n = 1}, &id, NULL,
				     &err));
	MUST(lake_txn_begin(gc_lake, &head, &txn, &err));
	MUST(lake_txn_graft(txn, &old, "f", &err));
	MUST_BE(ST_EXPIRED, lake_txn_prepare(txn, &id, &err));
	lake_txn_free(MOVE(txn));
	make_ref(LAKE_BRANCH, "old", &old);
	MUST_BE(ST_EXPIRED, read_at(&old, "f", &err));
	merge.source = commit_noise("old", "h", 10, 5);
	/* "f" is on both sides, and was changed on main alone: nothing is taken. */
	MUST(lake_merge_prepare(gc_lake, &merge, &id, NULL, &err));
	gc_collect(&gc_retain_7); /* of what was refused, trees are left */
	gc_check(&gc_retain_7);
}

/* What is small and always asked for stays with its commit. */
static void a_prefix_never_expires(void **state)
{
	struct lake_gc_options options = gc_retain_7;
	struct lake_id old;

	(void)state;
	commit_noise("main", "_meta/c", 100, 1);
	old = commit_noise("main", "f", 100, 2);
	commit_noise("main", "_meta/c", 100, 3);
	commit_noise("main", "f", 100, 4);
	pass_days(30);
	options.keep_prefix = "_meta/";
	assert_int_equal(gc_collect(&options).expired, 1);
	MUST(read_at(&old, "_meta/c", &err));
	MUST_BE(ST_EXPIRED, read_at(&old, "f", &err));
}

static void freed_in_the_middle(void)
{
	struct lake_id head = head_of(gc_lake, "main");

	MUST(lake_check_expired(gc_lake, &head, &gc_garbage, &err));
}

/* What was looked at while gc runs stays, though history alone names it. */
static void what_is_checked_stays(void **state)
{
	struct lake_gc_report report;

	(void)state;
	gc_garbage = commit_noise("main", "f", LARGE, 1);
	commit_noise("main", "f", LARGE, 2);
	pass_days(30);
	report = gc_collect_with(&gc_retain_7, "gc.mark.end", freed_in_the_middle);
	assert_int_equal(report.expired, 0);
	MUST(read_at(&gc_garbage, "f", &err));
	report = gc_collect(&gc_retain_7);
	assert_int_equal(report.expired, 1);
	MUST_BE(ST_EXPIRED, read_at(&gc_garbage, "f", &err));
}

static void stores_old_content(void)
{
	AUTO(freep) char *data = noise(LARGE, 1);

	commit_bytes(gc_lake, "main", "copy", data, LARGE);
}

/* Equal content is stored between the mark and the deletion of its file. */
static void stored_again_while_it_expires(void **state)
{
	(void)state;
	gc_garbage = commit_noise("main", "f", LARGE, 1);
	commit_noise("main", "f", LARGE, 2);
	pass_days(30);
	assert_int_equal(
		gc_collect_with(&gc_retain_7, "gc.sweep.expired", stores_old_content).expired, 0);
	MUST(read_at(&gc_garbage, "f", &err));
	assert_int_equal(gc_check(&gc_retain_7).marks, 0);
	everything_is_whole();
}

static void tag_it(void)
{
	make_ref(LAKE_TAG, "late", &gc_garbage);
}

static void tag_in_a_lease(void)
{
	struct lake_list *list = NULL;

	MUST(lake_list_open(gc_lake, &gc_garbage, "", &list, &err));
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
		gc_tear_down(state);
		gc_set_up(state);
		commit_noise("main", "d/large", LARGE, 1);
		gc_garbage = commit_noise("main", "d/small", 100, 2);
		commit_noise("main", "d/large", LARGE, 3);
		commit_noise("main", "d/small", 100, 4);
		pass_days(30);
		assert_int_equal(gc_collect_with(&gc_retain_7, points[i % 2], acts[i / 2]).expired,
				 0);
		MUST(read_at(&gc_garbage, "d/large", &err));
		MUST(read_at(&gc_garbage, "d/small", &err));
		everything_is_whole();
		/* And so it stays. */
		assert_int_equal(gc_collect(&gc_retain_7).expired, 0);
		everything_is_whole();
		gc_check(&gc_retain_7);
	}
}

/* The first finding about data that were freed as history. */
static void check_freed(bool damage, const char *text)
{
	const struct lake_fsck_options options = {.quick = true};
	struct lake_fsck_report report = {.n = 0};

	MUST(lake_fsck(gc_lake, &options, &report, &err));
	assert_int_equal(report.n, 1);
	assert_int_equal(report.items[0].damage, damage);
	assert_non_null(strstr(report.items[0].text, text));
	lake_fsck_report_release(&report);
}

/* As a gc would that took what a head shows. */
static void expire_by_hand(const struct lake_id *id, const char *path)
{
	AUTO(lake_entry_release) struct lake_entry entry = {.path = NULL};
	AUTO(freep) char *meta = xasprintf("%s/meta", gc_dir);
	AUTO(buf_release) struct buf key = BUF_INIT;
	AUTO(buf_release) struct buf time = BUF_INIT;
	AUTO(freep) char *file = NULL;
	struct db *db = NULL;
	struct lake_id blob;

	MUST(lake_stat(gc_lake, id, path, &entry, &err));
	assert_true(lake_id_parse(entry.checksum, &blob));
	file = xasprintf("%s/blobs/%.2s/%s", gc_dir, entry.checksum, entry.checksum);
	lake_close(gc_lake);
	MUST(db_open(meta, false, DB_WHOLE_LOG, &db, &err));
	buf_addc(&key, 'x');
	buf_add(&key, blob.bytes, sizeof(blob.bytes));
	buf_add_be64(&time, (uint64_t)gc_now_ms());
	db_put(db, &key, time.data, time.len);
	db_close(db);
	assert_int_equal(unlink(file), 0);
	gc_lake = NULL;
	gc_reopen();
}

/* Who names an old commit sees what is left of it, and fsck says so; a head that
 * was there before its data went is damage. */
static void fsck_tells_old_heads_from_new_ones(void **state)
{
	struct lake_id old = commit_noise("main", "f", LARGE, 1), head;

	(void)state;
	head = commit_noise("main", "f", LARGE, 2);
	pass_days(30);
	assert_int_equal(gc_collect(&gc_retain_7).expired, 1);
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
	commit_bytes(gc_lake, "main", "copy", ctx, LARGE);
}

/* A reader has not found what expired; then it is stored again: no damage. */
static void stored_again_while_it_is_opened(void **state)
{
	AUTO(freep) char *data = noise(LARGE, 1);
	struct lake_id old = commit_noise("main", "f", LARGE, 1);

	(void)state;
	commit_noise("main", "f", LARGE, 2);
	pass_days(30);
	assert_int_equal(gc_collect(&gc_retain_7).expired, 1);
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
		struct lake_id id = commit_noise("main", "f", 100, (uint64_t)gc_now_ms());

		if (i == 0)
			first = id;
		pass_days(1);
	}
	return first;
}

static void a_clock_that_jumps_ages_little(void **state)
{
	struct lake_gc_options careful = gc_retain_7;
	struct lake_id first = daily_commits(3), prepared = orphan(77);
	struct lake_gc_report report;

	(void)state;
	careful.trust_clock = false;
	careful.reflog_retain_ms = 7 * DAY_MS;
	pass_days(1000);
	report = gc_collect(&careful);
	assert_int_equal(report.expired + report.commits.freed + report.reflog_dropped, 0);
	assert_true(report.uncounted_ms > 0);
	/* Nor when the lake goes on in the time that is wrong, */
	daily_commits(1);
	report = gc_collect(&careful);
	assert_int_equal(report.expired + report.commits.freed + report.reflog_dropped, 0);
	/* or when the clock is set right again. */
	gc_clock.wall_ms -= 1001 * DAY_MS;
	daily_commits(1);
	report = gc_collect(&careful);
	assert_int_equal(report.expired + report.commits.freed + report.reflog_dropped, 0);
	MUST(read_at(&first, "f", &err));
	assert_true(is_there(&prepared));
	/* Whoever knows better says so. */
	gc_clock.wall_ms += 1001 * DAY_MS;
	assert_int_equal(gc_collect(&gc_retain_7).expired, 3);
	assert_false(is_there(&prepared));
	gc_check(&gc_retain_7);
}

/* Where the lake is written to, the guard changes nothing. */
static void a_clock_that_goes_on_ages_as_it_says(void **state)
{
	struct lake_gc_options careful = gc_retain_7;
	struct lake_id first = daily_commits(12);
	struct lake_gc_report report;

	(void)state;
	careful.trust_clock = false;
	report = gc_collect(&careful);
	assert_int_equal(report.expired, 5);
	assert_int_equal(report.uncounted_ms, 0);
	MUST_BE(ST_EXPIRED, read_at(&first, "f", &err));
	gc_check(&careful);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
