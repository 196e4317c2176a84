/* Disks that fill up, each a small one of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/killpoint.h"
#include "core/lake.h"
#include "tests/lib/lake_state.h"
#include "tests/lib/lake_steps.h"
#include "tests/lib/must.h"
#include "tests/lib/small_disk.h"
#include "tests/lib/tempdir.h"

#define MIB ((size_t)1 << 20)

static char *top; /* on the usual disk */
static char *disk; /* the small one */

static int set_up(void **state)
{
	(void)state;
	top = tempdir_new();
	disk = xasprintf("%s/disk", top);
	MUST(dir_create_all(disk, &err));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	kill_point_set_hook(NULL, NULL);
	small_disk_unmount(disk);
	free(disk);
	tempdir_remove(&top);
	return 0;
}

static void commit_noise(struct lake *lake, const char *path, size_t len, uint64_t seed)
{
	AUTO(freep) char *data = noise(len, seed);

	commit_bytes(lake, "main", path, data, len);
}

/* ---- backups ---- */

/* What is restored of the backup is the state, and has nothing wrong. */
static void expect_restored(const char *backup, const char *state)
{
	AUTO(lake_backup_report_release) struct lake_backup_report r = {.objects = 0};
	AUTO(lake_fsck_report_release) struct lake_fsck_report report = {.n = 0};
	AUTO(buf_release) struct buf found = BUF_INIT;
	AUTO(freep) char *target = xasprintf("%s/restored", top);
	const struct lake_fsck_options options = {.quick = false};
	struct lake *lake;

	MUST(dir_remove_all(target, &err));
	MUST(lake_restore(target, backup, NULL, NULL, &r, &err));
	assert_int_equal(r.damaged.total, 0);
	lake = open_lake(target);
	MUST(lake_state(lake, &found, &err));
	assert_string_equal(found.data, state);
	MUST(lake_fsck(lake, &options, &report, &err));
	assert_int_equal(report.damaged, 0);
	lake_close(lake);
}

/* The disk gets larger by steps until the second backup fits; each time before
 * that it ends with the first one whole. */
static void a_full_disk_keeps_the_backup_before(void **state)
{
	AUTO(lake_backup_report_release) struct lake_backup_report r = {.objects = 0};
	AUTO(freep) char *folder = xasprintf("%s/lake", top);
	AUTO(freep) char *backup = xasprintf("%s/backup", disk);
	AUTO(freep) char *filler = xasprintf("%s/filler", disk);
	AUTO(buf_release) struct buf first = BUF_INIT;
	AUTO(buf_release) struct buf second = BUF_INIT;
	struct lake *lake = open_lake(folder);
	size_t size = 64 * MIB;
	AUTO(freep) char *temp = xasprintf("%s/blobs/new", backup);
	AUTO(freep) char *meta = xasprintf("%s/meta-2", backup);
	const char *const half[] = {temp, meta};
	unsigned refused = 0;
	struct err why = ERR_INIT;
	enum status st;

	(void)state;
	small_disk_mount(disk, size);
	commit_noise(lake, "a", MIB, 1);
	MUST(lake_state(lake, &first, &err));
	MUST(lake_backup(lake, backup, &r, &err));
	for (unsigned i = 0; i < 40; i++) { /* metadata, too */
		AUTO(freep) char *path = xasprintf("small/%u", i);

		commit_noise(lake, path, 16000, 10 + i);
	}
	commit_noise(lake, "b", MIB, 2);
	commit_noise(lake, "c", MIB, 3);
	MUST(lake_state(lake, &second, &err));
	small_disk_fill(disk, filler, 0);
	while ((st = lake_backup(lake, backup, &r, &why)) != ST_OK) {
		if (st != ST_NO_SPACE || !strstr(why.text, "the backup before it is whole"))
			fail_msg("%s: %s", status_name(st), why.text);
		expect_restored(backup, first.data);
		assert_false(file_exists(half[0])); /* they make room */
		assert_false(file_exists(half[1]));
		size += 256 * 1024;
		refused++;
		small_disk_resize(disk, size);
	}
	assert_true(refused >= 4);
	expect_restored(backup, second.data);
	lake_close(lake);
}

static void a_full_disk_makes_no_half_lake(void **state)
{
	AUTO(lake_backup_report_release) struct lake_backup_report r = {.objects = 0};
	const struct lake_options any = {.access = LAKE_ANY};
	AUTO(freep) char *folder = xasprintf("%s/lake", top);
	AUTO(freep) char *backup = xasprintf("%s/backup", top);
	AUTO(freep) char *target = xasprintf("%s/again", disk);
	AUTO(buf_release) struct buf was = BUF_INIT;
	AUTO(buf_release) struct buf found = BUF_INIT;
	struct lake *lake = open_lake(folder);

	(void)state;
	commit_noise(lake, "a", MIB, 1);
	MUST(lake_state(lake, &was, &err));
	MUST(lake_backup(lake, backup, &r, &err));
	lake_close(lake);
	small_disk_mount(disk, MIB / 2);
	MUST_SAY(ST_NO_SPACE, "make room", lake_restore(target, backup, NULL, NULL, &r, &err));
	MUST_SAY(ST_USAGE, "restore was interrupted", lake_open(target, &any, &lake, &err));
	small_disk_resize(disk, 128 * MIB);
	MUST(lake_restore(target, backup, NULL, NULL, &r, &err));
	lake = open_lake(target);
	MUST(lake_state(lake, &found, &err));
	assert_string_equal(found.data, was.data);
	lake_close(lake);
}

/* ---- a lake's own disk ---- */

/* What writers may not take, without metadata worth mentioning (core/lake.h). */
#define RESERVE (64 * MIB)

/* On a clock that leaps, so that the disk is asked each time. */
static int64_t leap(struct clock *c)
{
	static int64_t now_us;

	(void)c;
	return now_us += 1000000;
}

static int64_t wall(struct clock *c)
{
	(void)c;
	return clock_system()->wall_ms(clock_system());
}

static enum status open_leaping(const char *folder, struct lake **out, struct err *err)
{
	static struct clock clock = {.wall_ms = wall, .mono_us = leap};
	const struct lake_options options = {
		.access = LAKE_OWN, .create = true, .clock = &clock, .committer = "tester"};

	return lake_open(folder, &options, out, err);
}

static struct lake *open_here(const char *folder)
{
	struct lake *lake = NULL;

	MUST(open_leaping(folder, &lake, &err));
	return lake;
}

static const struct lake_gc_options collect = {.grace_ms = 0};

static void expect_sound(struct lake *lake)
{
	AUTO(lake_fsck_report_release) struct lake_fsck_report report = {.n = 0};
	const struct lake_fsck_options options = {.quick = false};

	MUST(lake_fsck(lake, &options, &report, &err));
	assert_int_equal(report.damaged, 0);
}

static void expect_state(struct lake *lake, const struct buf *wanted)
{
	AUTO(buf_release) struct buf found = BUF_INIT;

	MUST(lake_state(lake, &found, &err));
	assert_string_equal(found.data, wanted->data);
}

static enum status try_put(struct lake *lake, size_t len, struct err *err)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	AUTO(freep) char *data = noise(len, 99);
	struct lake_id head = head_of(lake, "main"), id;
	enum status st = lake_txn_begin(lake, &head, &txn, err);

	if (st == ST_OK)
		st = lake_txn_put_bytes(txn, "new", data, len, NULL, NULL, err);
	return st == ST_OK ? lake_txn_commit(txn, "main", &head, "test", &id, err) : st;
}

static enum status try_move(struct lake *lake, enum lake_ref_kind kind, const char *name,
			    struct err *err)
{
	struct lake_move move = {.kind = kind, .name = name, .to = head_of(lake, "main")};

	return lake_refs_move(lake, &move, 1, "test", err);
}

static enum status try_merge(struct lake *lake, struct err *err)
{
	AUTO(lake_conflicts_release) struct lake_conflicts conflicts = {.n = 0};
	const struct lake_merge merge = {.source = head_of(lake, "dev"),
					 .dest = head_of(lake, "main")};
	struct lake_id id;

	return lake_merge_prepare(lake, &merge, &id, &conflicts, err);
}

static enum status delete_branch(struct lake *lake, const char *name, struct err *err)
{
	struct lake_move move = {
		.kind = LAKE_BRANCH, .name = name, .expected = head_of(lake, name)};

	return lake_refs_move(lake, &move, 1, "delete", err);
}

/* All that writes says why it does not, and changes nothing. */
static void expect_no_writing(struct lake *lake)
{
	AUTO(buf_release) struct buf was = BUF_INIT;
	AUTO(lake_backup_report_release) struct lake_backup_report r = {.objects = 0};
	AUTO(freep) char *backup = xasprintf("%s/backup", top);

	MUST(lake_state(lake, &was, &err));
	MUST_SAY(ST_NO_SPACE, "in reserve", try_put(lake, 10, &err));
	MUST_SAY(ST_NO_SPACE, "tidemark gc", try_put(lake, MIB, &err));
	MUST_SAY(ST_NO_SPACE, "in reserve", try_move(lake, LAKE_TAG, "tag", &err));
	MUST_SAY(ST_NO_SPACE, "in reserve", try_move(lake, LAKE_BRANCH, "branch", &err));
	MUST_SAY(ST_NO_SPACE, "in reserve", try_merge(lake, &err));
	MUST_SAY(ST_NO_SPACE, "in reserve", lake_branch_protect(lake, "dev", "x", &err));
	MUST_SAY(ST_NO_SPACE, "in reserve", lake_stage_remove(lake, "dev", "a", &err));
	MUST_SAY(ST_NO_SPACE, "in reserve", lake_backup(lake, backup, &r, &err));
	expect_state(lake, &was);
}

static void writing_stops_and_goes_on(void **state)
{
	AUTO(freep) char *folder = xasprintf("%s/lake", disk);
	AUTO(freep) char *filler = xasprintf("%s/filler", disk);
	AUTO(freep) char *garbage = noise(8 * MIB, 5);
	AUTO(buf_release) struct buf was = BUF_INIT;
	struct lake_gc_report gc;
	struct lake *lake;
	uint64_t room = 1, before;

	(void)state;
	small_disk_mount(disk, RESERVE + 32 * MIB);
	lake = open_here(folder);
	commit_noise(lake, "a", MIB, 1);
	make_branch(lake, "dev");
	make_branch(lake, "old");
	commit_bytes(lake, "old", "garbage", garbage, 8 * MIB);
	stage(lake, "dev", "staged", "bytes");
	commit_bytes(lake, "dev", "b", "b", 1);
	small_disk_fill(disk, filler, RESERVE - MIB);
	MUST(lake_free_bytes(lake, &room, &err));
	assert_int_equal(room, 0);
	expect_no_writing(lake);
	expect_sound(lake);
	/* A command that opens the lake now reads, too. */
	MUST(lake_state(lake, &was, &err));
	lake_close(lake);
	lake = open_here(folder);
	expect_state(lake, &was);
	expect_no_writing(lake);
	/* What gives room back goes on, and so does writing then, by the same handle. */
	MUST(lake_stage_discard(lake, "dev", &err));
	MUST(delete_branch(lake, "old", &err));
	before = small_disk_free(disk);
	MUST(lake_gc(lake, &collect, &gc, &err));
	assert_int_equal(gc.files.freed, 1);
	assert_true(small_disk_free(disk) > before + 7 * MIB);
	MUST(try_put(lake, 10, &err));
	MUST(try_put(lake, MIB, &err));
	expect_sound(lake);
	lake_close(lake);
}

/* Others may fill the disk to its last byte. */
static void a_disk_without_a_byte_damages_nothing(void **state)
{
	AUTO(freep) char *folder = xasprintf("%s/lake", disk);
	AUTO(freep) char *filler = xasprintf("%s/filler", disk);
	AUTO(buf_release) struct buf was = BUF_INIT;
	struct err why = ERR_INIT;
	struct lake_gc_report gc;
	struct lake *lake;
	enum status st;

	(void)state;
	small_disk_mount(disk, RESERVE + 32 * MIB);
	lake = open_here(folder);
	commit_noise(lake, "a", MIB, 1);
	make_branch(lake, "dev");
	MUST(lake_state(lake, &was, &err));
	small_disk_fill(disk, filler, 0);
	expect_no_writing(lake);
	MUST_SAY(ST_NO_SPACE, "make room", delete_branch(lake, "dev", &err));
	MUST_SAY(ST_NO_SPACE, "make room", lake_stage_discard(lake, "dev", &err));
	MUST_SAY(ST_NO_SPACE, "make room", lake_gc(lake, &collect, &gc, &err));
	lake_open_reserve(lake); /* nor is a stop recorded */
	MUST_BE(ST_NO_SPACE, try_put(lake, 10, &err));
	expect_state(lake, &was);
	expect_sound(lake);
	lake_close(lake);
	/* RocksDB writes where it opens. */
	st = open_leaping(folder, &lake, &why);
	if (st == ST_OK)
		lake_close(lake);
	else if (st != ST_NO_SPACE)
		fail_msg("%s: %s", status_name(st), why.text);
	assert_int_equal(unlink(filler), 0);
	lake = open_here(folder);
	expect_state(lake, &was);
	expect_sound(lake);
	MUST(try_put(lake, MIB, &err));
	lake_close(lake);
}

static void the_cause_of_a_stop_goes_into_the_reserve(void **state)
{
	AUTO(freep) char *folder = xasprintf("%s/lake", disk);
	AUTO(freep) char *filler = xasprintf("%s/filler", disk);
	struct lake *lake;

	(void)state;
	small_disk_mount(disk, RESERVE + 32 * MIB);
	lake = open_here(folder);
	small_disk_fill(disk, filler, RESERVE / 2);
	MUST_BE(ST_NO_SPACE, try_put(lake, 10, &err));
	lake_open_reserve(lake);
	MUST(try_put(lake, 10, &err));
	lake_close(lake);
	lake = open_here(folder);
	MUST_BE(ST_NO_SPACE, try_put(lake, 20, &err));
	lake_close(lake);
}

/* ---- metadata alone fill it ---- */

static uint64_t least_free;

static void look(const char *name, void *ctx)
{
	uint64_t now = small_disk_free(disk);

	(void)name;
	(void)ctx;
	least_free = now < least_free ? now : least_free;
}

/* So many small objects in one commit. */
static enum status commit_many(struct lake *lake, unsigned n, size_t len, uint64_t seed,
			       struct err *err)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	struct rng rng = rng_seeded(seed);
	struct lake_id head = head_of(lake, "main"), id;
	enum status st = lake_txn_begin(lake, &head, &txn, err);

	for (unsigned i = 0; st == ST_OK && i < n; i++) {
		AUTO(freep) char *path = xasprintf("%016llx", (unsigned long long)rng_next(&rng));
		uint64_t data[128];

		for (size_t k = 0; k < ARRAY_SIZE(data); k++)
			data[k] = rng_next(&rng);
		st = lake_txn_put_bytes(txn, path, data, len, NULL, NULL, err);
	}
	return st == ST_OK ? lake_txn_commit(txn, "main", &head, "test", &id, err) : st;
}

/* RocksDB packs tables while they grow, and never finds the disk full. */
static void metadata_stop_before_the_disk_is_full(unsigned n, size_t len)
{
	AUTO(freep) char *folder = xasprintf("%s/lake", disk);
	AUTO(buf_release) struct buf was = BUF_INIT;
	struct err why = ERR_INIT;
	struct lake *lake;
	uint64_t i = 0;
	enum status st;

	assert_true(len <= 1024);
	small_disk_mount(disk, 240 * MIB);
	lake = open_lake(folder);
	least_free = UINT64_MAX;
	kill_point_set_hook(look, NULL);
	while ((st = commit_many(lake, n, len, i++, &why)) == ST_OK)
		;
	kill_point_set_hook(NULL, NULL);
	if (st != ST_NO_SPACE || !strstr(why.text, "in reserve"))
		fail_msg("%s: %s", status_name(st), why.text);
	printf("%u commits; least free: %u MiB\n", (unsigned)i, (unsigned)(least_free / MIB));
	assert_true(i > 1);
	assert_true(least_free > RESERVE);
	MUST(lake_state(lake, &was, &err));
	expect_sound(lake);
	lake_close(lake);
	lake = open_lake(folder);
	expect_state(lake, &was);
	lake_close(lake);
}

static void many_small_objects(void **state)
{
	(void)state;
	metadata_stop_before_the_disk_is_full(1000, 1000);
}

/* Nodes are most of it, and one commit writes many. */
static void large_commits(void **state)
{
	(void)state;
	metadata_stop_before_the_disk_is_full(30000, 10);
}

#define ON_SMALL_DISK(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_SMALL_DISK(a_full_disk_keeps_the_backup_before),
		ON_SMALL_DISK(a_full_disk_makes_no_half_lake),
		ON_SMALL_DISK(writing_stops_and_goes_on),
		ON_SMALL_DISK(a_disk_without_a_byte_damages_nothing),
		ON_SMALL_DISK(the_cause_of_a_stop_goes_into_the_reserve),
		ON_SMALL_DISK(many_small_objects),
		ON_SMALL_DISK(large_commits),
	};

	if (!small_disk_allowed())
		return 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
