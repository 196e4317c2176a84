/* The tables of the metadata: what a flipped bit does to them, and when they are
 * compacted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/embedded/db.h"
#include "core/model/hash.h"
#include "tests/lib/must.h"
#include "tests/lib/tempdir.h"

#define KEYS 6000u
#define FLIPS_IN_DATA 30u
#define FLIPS_BEHIND 130u
#define BEHIND_BYTES 14000 /* filter, indexes and properties are within these */

static void key_of(unsigned i, struct buf *key, struct hash *value)
{
	unsigned twice[2] = {i, i};

	hash_of(&i, sizeof(i), value);
	buf_clear(key);
	buf_addc(key, 'n');
	buf_add(key, value->bytes, sizeof(value->bytes));
	hash_of(twice, sizeof(twice), value);
}

static void fill(const char *path)
{
	AUTO(db_closep) struct db *db = NULL;
	AUTO(db_batch_freep) struct db_batch *batch = db_batch_new();
	AUTO(buf_release) struct buf key = BUF_INIT;
	AUTO(buf_release) struct buf all = BUF_INIT;

	MUST(db_open(path, true, DB_WHOLE_LOG, &db, &err));
	for (unsigned i = 0; i < KEYS; i++) {
		struct hash value;

		key_of(i, &key, &value);
		db_batch_put(batch, &key, value.bytes, sizeof(value.bytes));
	}
	db_write_synced(db, batch);
	buf_addc(&all, 'n');
	db_compact(db, &all, 0, 1);
}

static char *table_of(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	char *found = NULL;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		if (strstr(entry->d_name, ".sst")) {
			assert_null(found);
			found = xasprintf("%s/%s", path, entry->d_name);
		}
	closedir(dir);
	assert_non_null(found);
	return found;
}

static void flip(const char *file, off_t at)
{
	AUTO(closep) int fd = open(file, O_RDWR);
	char c;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &c, 1, at), 1);
	c ^= 4;
	assert_int_equal(pwrite(fd, &c, 1, at), 1);
}

static void note(void *ctx, const char *file, const char *why)
{
	(void)file;
	(void)why;
	*(bool *)ctx = true;
}

/* Does a check as fsck makes it find anything? */
static bool found_by_scan(struct db *db, const char *path)
{
	AUTO(db_iter_freep) struct db_iter *it = db_scan_new(db);
	bool found = false;
	enum status st;

	while ((st = db_iter_next(it, NULL)) == ST_OK)
		;
	db_check_tables(db, path, note, &found);
	return found || st != ST_END;
}

/* Reads all; returns how many could not be read. */
static unsigned read_all(struct db *db, off_t at)
{
	AUTO(buf_release) struct buf key = BUF_INIT;
	AUTO(buf_release) struct buf got = BUF_INIT;
	unsigned damaged = 0;

	for (unsigned i = 0; i < KEYS; i++) {
		struct hash value;
		enum status st;

		key_of(i, &key, &value);
		buf_clear(&got);
		st = db_get(db, &key, &got, NULL);
		damaged += st == ST_DAMAGED;
		if (st != ST_DAMAGED && (st != ST_OK || got.len != sizeof(value.bytes) ||
					 memcmp(got.data, value.bytes, sizeof(value.bytes)) != 0))
			fail_msg("a flip at %lld: key %u: status %d", (long long)at, i, (int)st);
	}
	return damaged;
}

/* One flipped bit anywhere in a table: every key is read as it was, or reading says
 * that there is damage. No key that is there is said not to be there: RocksDB takes a
 * filter that it cannot read for one that holds everything. */
static void a_flipped_bit_hides_no_key(void **state)
{
	AUTO(tempdir_remove) char *dir = tempdir_new();
	AUTO(freep) char *path = xasprintf("%s/db", dir);
	AUTO(freep) char *table = NULL;
	struct rng r = rng_seeded(1);
	unsigned unseen = 0, refused = 0, damaged = 0;
	struct stat st;

	(void)state;
	fill(path);
	table = table_of(path);
	assert_int_equal(stat(table, &st), 0);
	assert_true(st.st_size > 2 * BEHIND_BYTES);
	for (unsigned i = 0; i < FLIPS_IN_DATA + FLIPS_BEHIND; i++) {
		AUTO(db_closep) struct db *db = NULL;
		off_t at = i < FLIPS_IN_DATA ? (off_t)rng_below(&r, (uint64_t)st.st_size)
					     : st.st_size - 1 - (off_t)rng_below(&r, BEHIND_BYTES);
		unsigned missed;

		flip(table, at);
		if (db_open_to_read(path, DB_WHOLE_LOG, &db, NULL) != ST_OK) {
			refused++;
		} else {
			missed = read_all(db, at);
			damaged += missed > 0;
			if (!found_by_scan(db, path)) {
				unseen++;
				if (missed)
					fail_msg("a flip at %lld is not found", (long long)at);
			}
		}
		flip(table, at);
	}
	printf("of %u flips %u refuse to open, %u lose keys; %u change nothing\n",
	       FLIPS_IN_DATA + FLIPS_BEHIND, refused, damaged, unseen);
	assert_true(damaged > 0);
	assert_true(unseen > 30); /* in the filter, most of them */
}

/* Keys of the whole range: two tables of such overlap. */
static void write_some(struct db *db)
{
	AUTO(db_batch_freep) struct db_batch *batch = db_batch_new();
	AUTO(buf_release) struct buf key = BUF_INIT;
	struct hash value;

	for (unsigned i = 0; i < 50; i++) {
		key_of(i, &key, &value);
		db_batch_put(batch, &key, value.bytes, sizeof(value.bytes));
	}
	db_write_synced(db, batch);
}

/* Each open flushes what the one before has left in its log. */
static void open_and_write(const char *path)
{
	AUTO(db_closep) struct db *db = NULL;

	MUST(db_open(path, true, DB_WHOLE_LOG, &db, &err));
	write_some(db);
}

static unsigned tables_in(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	unsigned n = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		n += strstr(entry->d_name, ".sst") != NULL;
	closedir(dir);
	return n;
}

/* Waits, for at most so long, until there are fewer tables. */
static unsigned tables_after(const char *path, unsigned before, int64_t wait_ms)
{
	struct clock *clock = clock_system();
	unsigned n = tables_in(path);

	for (int64_t ms = 0; ms < wait_ms && n >= before; ms += 10) {
		clock->sleep_ms(clock, 10);
		n = tables_in(path);
	}
	return n;
}

static void a_writer_compacts_a_reader_does_not(void **state)
{
	AUTO(tempdir_remove) char *dir = tempdir_new();
	AUTO(freep) char *path = xasprintf("%s/db", dir);
	struct db *db;

	(void)state;
	for (int i = 0; i < 4; i++)
		open_and_write(path);
	MUST(db_open(path, false, DB_WHOLE_LOG, &db, &err));
	assert_int_equal(tables_after(path, 4, 100), 4);
	write_some(db);
	assert_in_range(tables_after(path, 4, 20000), 1, 3);
	db_close(db);
}

/* Each read asks all of them. */
static void many_tables_are_compacted_for_a_reader(void **state)
{
	AUTO(tempdir_remove) char *dir = tempdir_new();
	AUTO(freep) char *path = xasprintf("%s/db", dir);
	struct db *db;

	(void)state;
	for (int i = 0; i < 13; i++) {
		MUST(db_open(path, true, DB_WHOLE_LOG, &db, &err));
		for (unsigned k = 0; k < 50; k++) {
			AUTO(buf_release) struct buf key = BUF_INIT;
			struct hash value;

			key_of(k, &key, &value);
			db_put(db, &key, value.bytes, sizeof(value.bytes));
		}
		db_sync(db);
		db_close(db);
	}
	MUST(db_open(path, false, DB_WHOLE_LOG, &db, &err));
	assert_in_range(tables_after(path, 13, 20000), 1, 12);
	db_close(db);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_flipped_bit_hides_no_key),
		cmocka_unit_test(a_writer_compacts_a_reader_does_not),
		cmocka_unit_test(many_tables_are_compacted_for_a_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
