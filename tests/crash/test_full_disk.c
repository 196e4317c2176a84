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

#define ON_SMALL_DISK(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_SMALL_DISK(a_full_disk_keeps_the_backup_before),
		ON_SMALL_DISK(a_full_disk_makes_no_half_lake),
	};

	if (!small_disk_allowed())
		return 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
