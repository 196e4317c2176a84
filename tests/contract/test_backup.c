/* lake_backup(), by the owner itself and through its socket, and lake_restore():
 * what is copied, what a second backup adds and removes, what is refused, and
 * what becomes of damaged objects. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/lake.h"
#include "tests/lib/lake_fixture.h"
#include "tests/lib/lake_state.h"
#include "tests/lib/lake_steps.h"
#include "tests/lib/must.h"

#define LARGE_BYTES 100000

static struct lake_fixture fixture;
static char *dir; /* the backup's */
static char *target; /* the restored lake's */

static void commit_noise(const char *branch, const char *path, uint64_t seed)
{
	AUTO(freep) char *data = noise(LARGE_BYTES, seed);

	commit_bytes(fixture.lake, branch, path, data, LARGE_BYTES);
}

static int open_way(void **state, enum lake_way way)
{
	*state = &fixture;
	lake_fixture_open(&fixture, way, 0);
	dir = xasprintf("%s/backup", fixture.top);
	target = xasprintf("%s/restored", fixture.top);
	commit_noise("main", "a/large", 1);
	commit_bytes(fixture.lake, "main", "a/small", "small", 5);
	make_branch(fixture.lake, "dev");
	stage(fixture.lake, "dev", "c/staged", "staged");
	return 0;
}

static int open_embedded(void **state)
{
	return open_way(state, LAKE_EMBEDDED);
}

static int open_socket(void **state)
{
	return open_way(state, LAKE_SOCKET);
}

static int close_it(void **state)
{
	(void)state;
	lake_fixture_close(&fixture);
	free(dir);
	free(target);
	return 0;
}

static void backup(struct lake_backup_report *r)
{
	lake_backup_report_release(r);
	MUST(lake_backup(fixture.lake, dir, r, &err));
}

static void restore(struct lake_backup_report *r)
{
	lake_backup_report_release(r);
	MUST(dir_remove_all(target, &err));
	MUST(lake_restore(target, dir, NULL, NULL, r, &err));
}

static void state_of(struct lake *lake, struct buf *out)
{
	buf_clear(out);
	MUST(lake_state(lake, out, &err));
}

/* The restored lake shows what was, and has nothing wrong. */
static void expect_restored(const char *state)
{
	AUTO(lake_backup_report_release) struct lake_backup_report r = {.objects = 0};
	AUTO(lake_fsck_report_release) struct lake_fsck_report report = {.n = 0};
	AUTO(buf_release) struct buf found = BUF_INIT;
	const struct lake_fsck_options options = {.quick = false};
	struct lake *lake;

	restore(&r);
	lake = open_lake(target);
	state_of(lake, &found);
	assert_string_equal(found.data, state);
	MUST(lake_fsck(lake, &options, &report, &err));
	assert_int_equal(report.n, 0);
	lake_close(lake);
}

static void brings_everything_back(void **state)
{
	AUTO(lake_backup_report_release) struct lake_backup_report r = {.objects = 0};
	AUTO(buf_release) struct buf was = BUF_INIT;

	(void)state;
	state_of(fixture.lake, &was);
	backup(&r);
	assert_int_equal(r.objects, 1);
	assert_int_equal(r.copied_bytes, LARGE_BYTES);
	commit_noise("main", "later", 2);
	expect_restored(was.data);
}

static void copies_only_what_is_new(void **state)
{
	AUTO(lake_backup_report_release) struct lake_backup_report r = {.objects = 0};
	AUTO(buf_release) struct buf was = BUF_INIT;

	(void)state;
	backup(&r);
	backup(&r);
	assert_int_equal(r.copied_objects, 0);
	assert_true(r.copied_metadata_bytes < r.metadata_bytes);
	commit_noise("main", "b/large", 2);
	backup(&r);
	assert_int_equal(r.objects, 2);
	assert_int_equal(r.copied_objects, 1);
	state_of(fixture.lake, &was);
	expect_restored(was.data);
}

static void forgets_what_gc_freed(void **state)
{
	AUTO(lake_backup_report_release) struct lake_backup_report r = {.objects = 0};
	struct lake_gc_options options = {.grace_ms = 0};
	struct lake_gc_report gc;
	struct lake_move move = {.kind = LAKE_BRANCH, .name = "dev"};

	(void)state;
	commit_noise("dev", "b/large", 2);
	backup(&r);
	assert_int_equal(r.objects, 2);
	move.expected = head_of(fixture.lake, "dev");
	MUST(lake_refs_move(fixture.lake, &move, 1, "delete", &err));
	MUST(lake_gc(fixture.lake, &options, &gc, &err));
	backup(&r);
	assert_int_equal(r.objects, 1);
	assert_int_equal(r.removed_objects, 1);
	assert_int_equal(r.damaged.total, 0);
}

static char *blob_file(const char *folder, const char *path)
{
	AUTO(lake_entry_release) struct lake_entry e = {.path = NULL};
	struct lake_id id = head_of(fixture.lake, "main");

	MUST(lake_stat(fixture.lake, &id, path, &e, &err));
	return xasprintf("%s/blobs/%.2s/%s", folder, e.checksum, e.checksum);
}

static void flip(const char *file)
{
	int fd = open(file, O_RDWR);
	char c;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &c, 1, 77), 1);
	c ^= 4;
	assert_int_equal(pwrite(fd, &c, 1, 77), 1);
	close(fd);
}

static void keeps_what_the_lake_has_lost(void **state)
{
	AUTO(lake_backup_report_release) struct lake_backup_report r = {.objects = 0};
	AUTO(freep) char *file = blob_file(fixture.folder, "a/large");
	AUTO(buf_release) struct buf was = BUF_INIT;

	(void)state;
	state_of(fixture.lake, &was);
	backup(&r);
	assert_int_equal(unlink(file), 0);
	backup(&r);
	assert_int_equal(r.damaged.total, 1);
	assert_string_equal(r.damaged.items[0], strrchr(file, '/') + 1);
	expect_restored(was.data);
}

static void takes_no_damaged_object(void **state)
{
	AUTO(lake_backup_report_release) struct lake_backup_report r = {.objects = 0};
	AUTO(freep) char *file = blob_file(fixture.folder, "a/large");

	(void)state;
	flip(file);
	backup(&r);
	assert_int_equal(r.damaged.total, 1);
	assert_int_equal(r.objects, 0);
	flip(file); /* well again */
	backup(&r);
	assert_int_equal(r.damaged.total, 0);
	assert_int_equal(r.copied_objects, 1);
}

static void names_what_is_damaged_in_the_backup(void **state)
{
	AUTO(lake_backup_report_release) struct lake_backup_report r = {.objects = 0};
	AUTO(freep) char *file = blob_file(dir, "a/large");
	AUTO(freep) char *current = xasprintf("%s/meta-1/CURRENT", dir);
	AUTO(freep) char *manifest = xasprintf("%s/BACKUP", dir);

	(void)state;
	backup(&r);
	flip(file);
	restore(&r);
	assert_int_equal(r.damaged.total, 1);
	assert_int_equal(r.objects, 0);
	MUST(dir_remove_all(target, &err));
	MUST(file_replace(current, "MANIFEST-000001\n", 16, &err));
	MUST_SAY(ST_DAMAGED, "CURRENT", lake_restore(target, dir, NULL, NULL, &r, &err));
	flip(manifest);
	MUST_SAY(ST_DAMAGED, "BACKUP", lake_restore(target, dir, NULL, NULL, &r, &err));
	/* Then everything is copied anew. */
	backup(&r);
	assert_int_equal(r.copied_objects, 1);
	restore(&r);
	assert_int_equal(r.damaged.total, 0);
}

static void refuses_other_folders(void **state)
{
	AUTO(lake_backup_report_release) struct lake_backup_report r = {.objects = 0};
	AUTO(freep) char *inside = xasprintf("%s/some/where", fixture.folder);
	AUTO(freep) char *other = xasprintf("%s/other", fixture.top);
	struct lake *lake;

	(void)state;
	MUST_SAY(ST_USAGE, "inside", lake_backup(fixture.lake, inside, &r, &err));
	assert_false(file_exists(inside));
	MUST_SAY(ST_USAGE, "not empty", lake_backup(fixture.lake, fixture.top, &r, &err));
	MUST_SAY(ST_USAGE, "absolute", lake_backup(fixture.lake, "here", &r, &err));
	MUST_SAY(ST_NOT_FOUND, "BACKUP", lake_restore(target, dir, NULL, NULL, &r, &err));
	lake = open_lake(other);
	MUST(lake_backup(lake, dir, &r, &err));
	lake_close(lake);
	MUST_SAY(ST_USAGE, "another lake", lake_backup(fixture.lake, dir, &r, &err));
	MUST_SAY(ST_EXISTS, "is a lake", lake_restore(other, dir, NULL, NULL, &r, &err));
	MUST_SAY(ST_USAGE, "not empty", lake_restore(fixture.top, dir, NULL, NULL, &r, &err));
}

/* A restored lake goes on in the same backup; the state that it left behind does
 * not replace a later one. */
static void an_older_copy_does_not_replace_a_later_one(void **state)
{
	AUTO(lake_backup_report_release) struct lake_backup_report r = {.objects = 0};
	struct lake *lake;

	(void)state;
	backup(&r);
	restore(&r);
	lake = open_lake(target);
	commit_bytes(lake, "main", "new", "x", 1);
	lake_backup_report_release(&r);
	MUST(lake_backup(lake, dir, &r, &err));
	lake_close(lake);
	MUST_SAY(ST_CONFLICT, "older copy", lake_backup(fixture.lake, dir, &r, &err));
}

/* ---- beside a writer ---- */

static atomic_bool stop;

static void *write_on(void *arg)
{
	unsigned i = 0;

	(void)arg;
	while (!atomic_load(&stop)) {
		AUTO(freep) char *path = xasprintf("w/%u", i);

		commit_noise("dev", path, 1000 + i++);
	}
	return NULL;
}

static void every_backup_beside_a_writer_is_whole(void **state)
{
	AUTO(lake_backup_report_release) struct lake_backup_report r = {.objects = 0};
	const struct lake_fsck_options options = {.quick = false};
	pthread_t writer;
	uint64_t last = 0;

	(void)state;
	atomic_store(&stop, false);
	assert_int_equal(pthread_create(&writer, NULL, write_on, NULL), 0);
	for (int i = 0; i < 5; i++) {
		AUTO(lake_fsck_report_release) struct lake_fsck_report report = {.n = 0};
		AUTO(lake_fsck_report_release) struct lake_fsck_report own = {.n = 0};
		struct lake *lake;

		backup(&r);
		assert_true(r.sequence >= last);
		last = r.sequence;
		restore(&r);
		assert_int_equal(r.damaged.total, 0);
		lake = open_lake(target);
		MUST(lake_fsck(lake, &options, &report, &err));
		assert_int_equal(report.damaged, 0);
		lake_close(lake);
		/* Nor does a check beside the writer find anything. */
		MUST(lake_fsck(fixture.lake, &options, &own, &err));
		assert_int_equal(own.damaged, 0);
	}
	atomic_store(&stop, true);
	pthread_join(writer, NULL);
}

#define BOTH_WAYS(test)                                                                            \
	{#test, test, open_embedded, close_it, NULL},                                              \
	{                                                                                          \
#test " by socket", test, open_socket, close_it, NULL                              \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_WAYS(brings_everything_back),
		BOTH_WAYS(copies_only_what_is_new),
		BOTH_WAYS(forgets_what_gc_freed),
		BOTH_WAYS(keeps_what_the_lake_has_lost),
		BOTH_WAYS(takes_no_damaged_object),
		BOTH_WAYS(names_what_is_damaged_in_the_backup),
		BOTH_WAYS(refuses_other_folders),
		BOTH_WAYS(an_older_copy_does_not_replace_a_later_one),
		BOTH_WAYS(every_backup_beside_a_writer_is_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
