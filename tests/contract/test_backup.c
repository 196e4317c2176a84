/* lake_backup(), by the owner itself and through its socket, and lake_restore():
 * what is copied, what a second backup adds and removes, what is refused, and
 * what becomes of damaged objects. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/killpoint.h"
#include "core/lake.h"
#include "core/lake_backend.h"
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

static atomic_bool stop;
static pthread_t threads[2];
static size_t n_threads;

static void stop_threads(void)
{
	atomic_store(&stop, true);
	while (n_threads > 0)
		pthread_join(threads[--n_threads], NULL);
}

static void start_thread(void *(*run)(void *arg))
{
	atomic_store(&stop, false);
	assert_int_equal(pthread_create(&threads[n_threads], NULL, run, NULL), 0);
	n_threads++;
}

static int close_it(void **state)
{
	(void)state;
	stop_threads();
	kill_point_set_hook(NULL, NULL);
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

static void flip_at(const char *file, off_t offset)
{
	int fd = open(file, O_RDWR);
	char c;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &c, 1, offset), 1);
	c ^= 4;
	assert_int_equal(pwrite(fd, &c, 1, offset), 1);
	close(fd);
}

static void flip(const char *file)
{
	flip_at(file, 77);
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

/* Of a backup that was interrupted before its BACKUP, or whose BACKUP is damaged,
 * the objects that are whole are taken over. */
static void takes_over_what_is_whole(void **state)
{
	AUTO(lake_backup_report_release) struct lake_backup_report r = {.objects = 0};
	AUTO(freep) char *manifest = xasprintf("%s/BACKUP", dir);
	AUTO(freep) char *torn = NULL;
	AUTO(freep) char *lost = NULL;
	AUTO(buf_release) struct buf was = BUF_INIT;

	(void)state;
	commit_noise("main", "b/large", 2);
	torn = blob_file(dir, "a/large");
	lost = blob_file(fixture.folder, "b/large");
	state_of(fixture.lake, &was);
	backup(&r);
	assert_int_equal(unlink(manifest), 0);
	flip(torn);
	backup(&r);
	assert_int_equal(r.objects, 2);
	assert_int_equal(r.copied_objects, 1);
	expect_restored(was.data);
	/* Nor does a damaged BACKUP cost what the lake has lost since. */
	flip(manifest);
	assert_int_equal(unlink(lost), 0);
	backup(&r);
	assert_int_equal(r.objects, 2);
	assert_int_equal(r.damaged.total, 1);
	expect_restored(was.data);
}

/* The lake's largest table; the caller's. */
static char *largest_table(void)
{
	AUTO(freep) char *meta = xasprintf("%s/meta", fixture.folder);
	DIR *d = opendir(meta);
	char *found = NULL;
	struct dirent *entry;
	struct stat st;
	off_t most = 0;

	assert_non_null(d);
	while ((entry = readdir(d))) {
		if (!strstr(entry->d_name, ".sst") ||
		    fstatat(dirfd(d), entry->d_name, &st, 0) < 0 || st.st_size <= most)
			continue;
		most = st.st_size;
		free(found);
		found = xasprintf("%s/%s", meta, entry->d_name);
	}
	closedir(d);
	assert_true(most > 100000);
	return found;
}

static void damaged_metadata_do_not_replace_sound_ones(void **state)
{
	AUTO(lake_backup_report_release) struct lake_backup_report r = {.objects = 0};
	AUTO(freep) char *table = NULL;
	AUTO(buf_release) struct buf was = BUF_INIT;

	(void)state;
	for (int i = 0; i < 200; i++) {
		AUTO(freep) char *path = xasprintf("s/%03d", i);
		AUTO(freep) char *data = noise(1000, 500 + (uint64_t)i);

		commit_bytes(fixture.lake, "main", path, data, 1000);
	}
	state_of(fixture.lake, &was);
	backup(&r);
	table = largest_table();
	flip_at(table, 50000);
	MUST_SAY(ST_DAMAGED, "backup before it is whole", lake_backup(fixture.lake, dir, &r, &err));
	expect_restored(was.data);
	flip_at(table, 50000);
	backup(&r);
	expect_restored(was.data);
}

static void leaves_a_later_version_alone(void **state)
{
	AUTO(lake_backup_report_release) struct lake_backup_report r = {.objects = 0};
	AUTO(freep) char *manifest = xasprintf("%s/BACKUP", dir);
	AUTO(buf_release) struct buf found = BUF_INIT;
	static const char later[] = "tidemark backup 2\nthings to come\n";

	(void)state;
	backup(&r);
	MUST(file_replace(manifest, later, strlen(later), &err));
	MUST_SAY(ST_USAGE, "newer tidemark", lake_backup(fixture.lake, dir, &r, &err));
	MUST_SAY(ST_USAGE, "newer tidemark", lake_restore(target, dir, NULL, NULL, &r, &err));
	MUST(file_read(manifest, 4096, &found, &err));
	assert_string_equal(found.data, later);
	assert_false(file_exists(target));
}

/* Who writes a backup is alone with it. */
static void is_locked_while_in_use(void **state)
{
	AUTO(lake_backup_report_release) struct lake_backup_report r = {.objects = 0};
	AUTO(freep) char *lock = xasprintf("%s/LOCK", dir);
	int fd;

	(void)state;
	backup(&r);
	fd = open(lock, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	MUST_SAY(ST_BUSY, "in use", lake_backup(fixture.lake, dir, &r, &err));
	MUST_SAY(ST_BUSY, "in use by a backup", lake_restore(target, dir, NULL, NULL, &r, &err));
	assert_int_equal(flock(fd, LOCK_SH), 0);
	MUST_SAY(ST_BUSY, "in use", lake_backup(fixture.lake, dir, &r, &err));
	restore(&r); /* two may read */
	close(fd);
	backup(&r);
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

/* ---- stopped ---- */

static void stop_at_object(const char *name, void *ctx)
{
	(void)ctx;
	if (strcmp(name, "backup.blob") == 0)
		fixture.lake->ops->interrupt(fixture.lake);
}

static void ends_when_its_owner_stops(void **state)
{
	AUTO(lake_backup_report_release) struct lake_backup_report r = {.objects = 0};
	AUTO(buf_release) struct buf was = BUF_INIT;
	AUTO(freep) char *folder = xstrdup(fixture.folder);

	(void)state;
	state_of(fixture.lake, &was);
	backup(&r);
	commit_noise("main", "b", 2);
	commit_noise("main", "c", 3);
	kill_point_set_hook(stop_at_object, NULL);
	MUST_SAY(ST_INTERRUPTED, "was stopped", lake_backup(fixture.lake, dir, &r, &err));
	kill_point_set_hook(NULL, NULL);
	expect_restored(was.data);
	lake_close(fixture.lake);
	fixture.lake = open_lake(folder);
	backup(&r);
	assert_int_equal(r.objects, 3);
	assert_int_equal(r.copied_objects, 1); /* of the two, one was there */
}

static unsigned refused;

/* What frees or checks is told what runs. */
static void try_others(const char *name, void *ctx)
{
	AUTO(lake_fsck_report_release) struct lake_fsck_report report = {.n = 0};
	const struct lake_fsck_options check = {.quick = true};
	const struct lake_gc_options collect = {.grace_ms = 0};
	struct lake_gc_report gc;

	(void)ctx;
	if (strncmp(name, "backup.", 7) != 0)
		return;
	MUST_SAY(ST_BUSY, "backup of", lake_gc(fixture.lake, &collect, &gc, &err));
	MUST_SAY(ST_BUSY, "backup of", lake_fsck(fixture.lake, &check, &report, &err));
	refused++;
}

static bool try_backup(void *ctx, const struct lake_gc_progress *progress)
{
	AUTO(lake_backup_report_release) struct lake_backup_report r = {.objects = 0};

	(void)ctx;
	(void)progress;
	MUST_SAY(ST_BUSY, "gc of", lake_backup(fixture.lake, dir, &r, &err));
	refused++;
	return true;
}

static void nothing_is_freed_or_checked_meanwhile(void **state)
{
	AUTO(lake_backup_report_release) struct lake_backup_report r = {.objects = 0};
	const struct lake_gc_options collect = {.grace_ms = 0, .progress = try_backup};
	struct lake_gc_report gc;

	(void)state;
	refused = 0;
	kill_point_set_hook(try_others, NULL);
	backup(&r);
	kill_point_set_hook(NULL, NULL);
	assert_true(refused > 4);
	refused = 0;
	MUST(lake_gc(fixture.lake, &collect, &gc, &err));
	assert_true(refused > 0);
	assert_true(file_exists(dir));
}

/* ---- beside a writer and gc ---- */

static atomic_uint written, collected;

/* One commit on dev; gc without grace may take away what it was made of. */
static void try_commit(const char *path, const char *data)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	struct err err = ERR_INIT;
	struct lake_id head, id;
	enum status st = lake_resolve(fixture.lake, "dev", &head, &err);

	if (st == ST_OK)
		st = lake_txn_begin(fixture.lake, &head, &txn, &err);
	if (st == ST_OK)
		st = lake_txn_put_bytes(txn, path, data, LARGE_BYTES, NULL, NULL, &err);
	if (st == ST_OK)
		st = lake_txn_commit(txn, "dev", &head, "test", &id, &err);
	if (st == ST_OK)
		atomic_fetch_add(&written, 1);
	else if (st != ST_NOT_FOUND)
		fail_msg("%s: %s", status_name(st), err.text);
}

/* Every eighth time all of dev becomes garbage. */
static void *write_on(void *arg)
{
	const struct lake_id start = head_of(fixture.lake, "main");

	(void)arg;
	for (unsigned i = 0; !atomic_load(&stop); i++) {
		AUTO(freep) char *path = xasprintf("w/%u", i);
		AUTO(freep) char *data = noise(LARGE_BYTES, 1000 + i);
		struct lake_move back = {.kind = LAKE_BRANCH, .name = "dev", .to = start};

		try_commit(path, data);
		if (i % 8 < 7)
			continue;
		back.expected = head_of(fixture.lake, "dev");
		MUST(lake_refs_move(fixture.lake, &back, 1, "back", &err));
	}
	return NULL;
}

static void *collect_on(void *arg)
{
	const struct lake_gc_options options = {.grace_ms = 0};
	struct lake_gc_report gc;
	struct err err = ERR_INIT;

	(void)arg;
	while (!atomic_load(&stop)) {
		enum status st = lake_gc(fixture.lake, &options, &gc, &err);

		if (st == ST_OK)
			atomic_fetch_add(&collected, (unsigned)gc.files.freed);
		else if (st != ST_BUSY)
			fail_msg("%s: %s", status_name(st), err.text);
	}
	return NULL;
}

static void patiently(struct lake_backup_report *r)
{
	struct err err = ERR_INIT;
	enum status st;

	lake_backup_report_release(r);
	while ((st = lake_backup(fixture.lake, dir, r, &err)) == ST_BUSY)
		;
	if (st != ST_OK)
		fail_msg("%s: %s", status_name(st), err.text);
}

static void every_backup_beside_a_writer_and_gc_is_whole(void **state)
{
	AUTO(lake_backup_report_release) struct lake_backup_report r = {.objects = 0};
	const struct lake_fsck_options options = {.quick = false};
	uint64_t start;

	(void)state;
	atomic_store(&written, 0);
	atomic_store(&collected, 0);
	backup(&r);
	start = r.sequence;
	start_thread(write_on);
	start_thread(collect_on);
	for (int i = 0; i < 5 || atomic_load(&written) < 20 || atomic_load(&collected) < 1; i++) {
		AUTO(lake_fsck_report_release) struct lake_fsck_report report = {.n = 0};
		AUTO(lake_reflog_release) struct lake_reflog log = {.n = 0};
		struct lake *lake;

		patiently(&r);
		assert_int_equal(r.damaged.total, 0);
		restore(&r);
		assert_int_equal(r.damaged.total, 0);
		lake = open_lake(target);
		MUST(lake_reflog_read(lake, NULL, 1, &log, &err));
		/* Between two moves; nothing but moves is written since the start. */
		assert_int_equal(r.sequence,
				 log.items[0].sequence > start ? log.items[0].sequence : start);
		MUST(lake_fsck(lake, &options, &report, &err));
		assert_int_equal(report.damaged, 0);
		lake_close(lake);
	}
	stop_threads();
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
		BOTH_WAYS(takes_over_what_is_whole),
		BOTH_WAYS(damaged_metadata_do_not_replace_sound_ones),
		BOTH_WAYS(leaves_a_later_version_alone),
		BOTH_WAYS(is_locked_while_in_use),
		BOTH_WAYS(refuses_other_folders),
		BOTH_WAYS(an_older_copy_does_not_replace_a_later_one),
		cmocka_unit_test_setup_teardown(ends_when_its_owner_stops, open_embedded, close_it),
		cmocka_unit_test_setup_teardown(nothing_is_freed_or_checked_meanwhile,
						open_embedded, close_it),
		BOTH_WAYS(every_backup_beside_a_writer_and_gc_is_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
