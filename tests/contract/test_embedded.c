/* The embedded lake, beside what the suite for every backend asks of it
 * (test_lake.c): its folder, its lock, what is on disk, and what a damaged
 * disk gives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/embedded/node_cache.h"
#include "core/lake.h"
#include "tests/lib/lake_steps.h"
#include "tests/lib/must.h"
#include "tests/lib/tempdir.h"
#include "tests/lib/virtual_clock.h"

static const struct lake_options own = {.access = LAKE_OWN, .create = true, .committer = "tester"};

static char *path_in(const char *dir, const char *name)
{
	return xasprintf("%s/%s", dir, name);
}

static size_t count_files(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	size_t n = 0;

	assert_non_null(d);
	while ((entry = readdir(d))) {
		AUTO(freep) char *path = path_in(dir, entry->d_name);

		if (entry->d_name[0] == '.')
			continue;
		n += entry->d_type == DT_DIR ? count_files(path) : 1;
	}
	closedir(d);
	return n;
}

/* ---- the folder ---- */

static void creates_and_reopens(void **state)
{
	AUTO(tempdir_remove) char *dir = tempdir_new();
	AUTO(freep) char *deep = path_in(dir, "a/b/lake");
	AUTO(freep) char *format = path_in(deep, "FORMAT");
	AUTO(buf_release) struct buf text = BUF_INIT;
	struct lake_commit first = {0};
	struct lake_id before;
	struct lake_id after;
	struct lake *lake = open_lake(deep);
	bool is_protected = false;

	(void)state;
	assert_true(lake_is_owner(lake));
	before = head_of(lake, "main");
	MUST(lake_commit_read(lake, &before, &first, &err));
	assert_int_equal(first.n_parents, 0);
	assert_int_equal(first.generation, 1);
	assert_string_equal(first.committer, "tester");
	lake_commit_release(&first);
	MUST(lake_branch_protection(lake, "main", &is_protected, NULL, &err));
	assert_true(is_protected);
	lake_close(lake);
	MUST(file_read(format, 100, &text, &err));
	assert_string_equal(text.data, "tidemark lake 1\n");

	lake = open_lake(deep);
	after = head_of(lake, "main");
	assert_true(lake_id_equal(&before, &after));
	lake_close(lake);
	MUST_SAY(ST_EXISTS, "already", lake_init(deep, &own, &err));
}

static void refuses_what_is_no_lake(void **state)
{
	AUTO(tempdir_remove) char *dir = tempdir_new();
	AUTO(freep) char *missing = path_in(dir, "missing");
	AUTO(freep) char *lake_dir = path_in(dir, "lake");
	AUTO(freep) char *format = path_in(lake_dir, "FORMAT");
	struct lake_options existing = {.access = LAKE_OWN};
	struct lake *lake = NULL;

	(void)state;
	MUST_SAY(ST_NOT_FOUND, "init", lake_open(missing, &existing, &lake, &err));
	MUST_SAY(ST_USAGE, "no lake", lake_open(dir, &existing, &lake, &err));
	MUST_SAY(ST_USAGE, "s3", lake_open("s3://bucket/x", &existing, &lake, &err));
	MUST(lake_init(lake_dir, &own, &err));
	/* A folder with anything else in it is left alone. */
	MUST_SAY(ST_USAGE, "'lake'", lake_open(dir, &own, &lake, &err));
	assert_int_equal(count_files(dir), count_files(lake_dir));
	MUST(file_replace(format, "tidemark lake 2\n", 16, &err));
	MUST_SAY(ST_USAGE, "newer", lake_open(lake_dir, &own, &lake, &err));
	MUST(file_replace(format, "tidemark lake\n", 14, &err));
	MUST_BE(ST_USAGE, lake_open(lake_dir, &own, &lake, &err));
	assert_null(lake);
}

static void has_one_owner(void **state)
{
	AUTO(tempdir_remove) char *dir = tempdir_new();
	AUTO(freep) char *pid = xasprintf("process %ld", (long)getpid());
	AUTO(freep) char *lock = path_in(dir, "LOCK");
	struct lake *lake = open_lake(dir);
	AUTO(closep) int fd = open(lock, O_WRONLY | O_TRUNC);
	struct lake_options patient = own; /* it waits by this clock */
	struct virtual_clock clock;
	struct lake *second = NULL;

	(void)state;
	virtual_clock_init(&clock, 1700000000000);
	patient.clock = &clock.clock;
	MUST_SAY(ST_BUSY, "(unknown)", lake_open(dir, &patient, &second, &err));
	lake_close(lake);
	lake = open_lake(dir);
	MUST_SAY(ST_BUSY, pid, lake_open(dir, &patient, &second, &err));
	lake_close(lake);
	second = open_lake(dir);
	lake_close(second);
}

static void forgets_what_was_not_finished(void **state)
{
	AUTO(tempdir_remove) char *dir = tempdir_new();
	AUTO(freep) char *tmp = path_in(dir, "tmp");
	AUTO(freep) char *left = path_in(tmp, "upload-7");
	AUTO(freep) char *data = noise(100000, 1);
	struct lake *lake = open_lake(dir);
	struct lake_upload *up = NULL;

	(void)state;
	MUST(lake_upload_open(lake, &up, &err));
	MUST(lake_upload_write(up, data, 100000, &err));
	assert_int_equal(count_files(tmp), 1);
	lake_upload_free(up);
	assert_int_equal(count_files(tmp), 0);
	lake_close(lake);
	MUST(file_replace(left, "x", 1, &err));
	lake_close(open_lake(dir));
	assert_int_equal(count_files(tmp), 0);
}

/* ---- objects ---- */

/* Sizes around every step that the buffer and the small blobs' bound make. */
static void keeps_objects_of_all_sizes(void **state)
{
	static const size_t sizes[] = {0,      1,       4095,    4096,    4097,   16383,
				       16384,  16385,   32768,   65536,   65537,  524288,
				       524289, 1048576, 1048577, 3000001, 5242880};
	AUTO(tempdir_remove) char *dir = tempdir_new();
	AUTO(freep) char *blobs = path_in(dir, "blobs");
	AUTO(freep) char *data = noise(5242880, 2);
	struct lake *lake = open_lake(dir);
	size_t files = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		char path[32];

		snprintf(path, sizeof(path), "object-%zu", sizes[i]);
		commit_bytes(lake, "main", path, data, sizes[i]);
		assert_content(lake, "main", path, data, sizes[i]);
		files += sizes[i] >= 16384;
	}
	assert_int_equal(count_files(blobs), files);
	lake_close(lake);
	lake = open_lake(dir);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		char path[32];

		snprintf(path, sizeof(path), "object-%zu", sizes[i]);
		assert_content(lake, "main", path, data, sizes[i]);
	}
	lake_close(lake);
}

/* Written by random reserves, as the block writers do it. */
static void takes_data_in_place(void **state)
{
	enum { TOTAL = 3 << 20 };
	AUTO(tempdir_remove) char *dir = tempdir_new();
	AUTO(freep) char *data = noise(TOTAL, 3);
	struct lake *lake = open_lake(dir);

	(void)state;
	for (uint64_t seed = 0; seed < 20; seed++) {
		AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
		struct rng rng = rng_seeded(seed);
		struct lake_id head = head_of(lake, "main");
		struct lake_upload *up = NULL;
		struct lake_id id;
		size_t total = (size_t)rng_below(&rng, seed < 10 ? 40000 : TOTAL);
		size_t done = 0;

		MUST(lake_upload_open(lake, &up, &err));
		while (done < total) {
			size_t min = (size_t)rng_below(&rng, seed % 2 ? 300 : 262145);
			size_t room = 0;
			size_t n;
			void *to = NULL;

			MUST(lake_upload_reserve(up, min, &to, &room, &err));
			assert_true(room >= min && room > 0);
			n = (size_t)rng_below(&rng, room + 1);
			n = n < total - done ? n : total - done;
			memcpy(to, data + done, n);
			lake_upload_advance(up, n);
			done += n;
			assert_int_equal(lake_upload_size(up), done);
		}
		MUST(lake_upload_finish(up, &err));
		assert_int_equal(lake_upload_size(up), total);
		MUST(lake_txn_begin(lake, &head, &txn, &err));
		MUST(lake_txn_put(txn, "x", up, NULL, NULL, &err));
		MUST(lake_txn_commit(txn, "main", &head, "test", &id, &err));
		assert_content(lake, "main", "x", data, total);
	}
	lake_close(lake);
}

static void stores_equal_content_once(void **state)
{
	AUTO(tempdir_remove) char *dir = tempdir_new();
	AUTO(freep) char *blobs = path_in(dir, "blobs");
	AUTO(freep) char *tmp = path_in(dir, "tmp");
	AUTO(freep) char *data = noise(50000, 4);
	struct lake *lake = open_lake(dir);

	(void)state;
	commit_bytes(lake, "main", "a", data, 50000);
	commit_bytes(lake, "main", "b", data, 50000);
	assert_int_equal(count_files(blobs), 1);
	assert_int_equal(count_files(tmp), 0);
	assert_content(lake, "main", "a", data, 50000);
	lake_close(lake);
}

static void copies_objects_to_files(void **state)
{
	AUTO(tempdir_remove) char *dir = tempdir_new();
	AUTO(tempdir_remove) char *out = tempdir_new();
	AUTO(freep) char *target = path_in(out, "copy");
	AUTO(freep) char *data = noise(200000, 5);
	static const size_t sizes[] = {0, 100, 200000};
	struct lake *lake = open_lake(dir);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		AUTO(lake_object_closep) struct lake_object *object = NULL;
		AUTO(buf_release) struct buf found = BUF_INIT;
		AUTO(closep) int fd = open(target, O_RDWR | O_CREAT | O_TRUNC, 0666);
		struct lake_id id = commit_bytes(lake, "main", "x", data, sizes[i]);
		int pipes[2];

		MUST(lake_object_open(lake, &id, "x", &object, &err));
		assert_int_equal(lake_object_size(object), sizes[i]);
		MUST(lake_object_copy(object, fd, &err));
		MUST(file_read(target, 1 << 20, &found, &err));
		assert_int_equal(found.len, sizes[i]);
		assert_memory_equal(buf_str(&found), data, sizes[i]);
		if (sizes[i] < 60000) { /* what a pipe holds */
			assert_int_equal(pipe(pipes), 0);
			MUST(lake_object_copy(object, pipes[1], &err));
			close(pipes[0]);
			close(pipes[1]);
		}
	}
	lake_close(lake);
}

static char *only_blob(const char *dir)
{
	AUTO(freep) char *cmd = xasprintf("find %s/blobs -type f", dir);
	FILE *p = popen(cmd, "r");
	char line[4096] = "";

	assert_non_null(p);
	assert_non_null(fgets(line, sizeof(line), p));
	pclose(p);
	line[strcspn(line, "\n")] = '\0';
	return xstrdup(line);
}

static void finds_damaged_objects(void **state)
{
	AUTO(tempdir_remove) char *dir = tempdir_new();
	AUTO(freep) char *data = noise(50000, 6);
	AUTO(freep) char *blob = NULL;
	AUTO(buf_release) struct buf found = BUF_INIT;
	struct lake *lake = open_lake(dir);
	struct lake_id id = commit_bytes(lake, "main", "a/b", data, 50000);

	(void)state;
	blob = only_blob(dir);
	data[30000] ^= 1;
	MUST(file_replace(blob, data, 50000, &err));
	MUST_SAY(ST_DAMAGED, "does not hold", lake_read(lake, &id, "a/b", 100000, &found, &err));
	MUST(file_replace(blob, data, 49999, &err));
	MUST_SAY(ST_DAMAGED, "a/b", lake_read(lake, &id, "a/b", 100000, &found, &err));
	assert_int_equal(unlink(blob), 0);
	MUST_SAY(ST_DAMAGED, "missing", lake_read(lake, &id, "a/b", 100000, &found, &err));
	/* Storing it again mends it. */
	data[30000] ^= 1;
	commit_bytes(lake, "main", "c", data, 50000);
	assert_content(lake, "main", "a/b", data, 50000);
	lake_close(lake);
}

/* ---- room ---- */

static void stops_above_a_full_disk(void **state)
{
	AUTO(tempdir_remove) char *dir = tempdir_new();
	struct lake_options greedy = own;
	struct lake *lake = open_lake(dir);
	struct lake_id head = head_of(lake, "main");
	AUTO(freep) char *data = noise(100000, 7);
	struct lake_upload *up = NULL;
	struct lake_txn *txn = NULL;
	struct lake_id id;
	uint64_t room = 1;

	(void)state;
	commit_bytes(lake, "main", "before", data, 100000);
	MUST(lake_free_bytes(lake, &room, &err));
	assert_true(room > 0);
	lake_close(lake);
	greedy.reserve_bytes = UINT64_MAX / 2;
	MUST(lake_open(dir, &greedy, &lake, &err));
	MUST(lake_free_bytes(lake, &room, &err));
	assert_int_equal(room, 0);
	head = head_of(lake, "main");
	assert_content(lake, "main", "before", data, 100000);
	MUST(lake_upload_open(lake, &up, &err));
	MUST_SAY(ST_NO_SPACE, "reserve", lake_upload_write(up, data, 100000, &err));
	lake_upload_free(up);
	MUST(lake_txn_begin(lake, &head, &txn, &err));
	MUST_BE(ST_NO_SPACE, lake_txn_put_bytes(txn, "x", data, 10, NULL, NULL, &err));
	MUST_BE(ST_NO_SPACE, lake_txn_prepare(txn, &id, &err));
	lake_txn_free(txn);
	lake_close(lake);
}

/* ---- the log and its outside witness ---- */

static void finds_a_log_that_went_back(void **state)
{
	AUTO(tempdir_remove) char *dir = tempdir_new();
	AUTO(freep) char *lake_dir = path_in(dir, "lake");
	AUTO(freep) char *meta = path_in(lake_dir, "meta");
	AUTO(freep) char *saved = path_in(dir, "saved");
	AUTO(freep) char *sequence = path_in(lake_dir, "SEQUENCE");
	struct lake *lake = open_lake(lake_dir);

	(void)state;
	commit_bytes(lake, "main", "a", "1", 1);
	lake_close(lake);
	folder_copy(meta, saved);
	lake = open_lake(lake_dir);
	commit_bytes(lake, "main", "a", "2", 1);
	lake_close(lake);
	folder_copy(saved, meta); /* a whole and consistent log, only too old */
	lake = NULL;
	MUST_SAY(ST_DAMAGED, "fsck", lake_open(lake_dir, &own, &lake, &err));
	assert_int_equal(unlink(sequence), 0);
	MUST_SAY(ST_DAMAGED, "SEQUENCE is missing", lake_open(lake_dir, &own, &lake, &err));
	assert_null(lake);
}

/* The witness may lag, with either slot torn. */
static void bears_a_torn_or_old_sequence(void **state)
{
	AUTO(tempdir_remove) char *dir = tempdir_new();
	AUTO(freep) char *sequence = path_in(dir, "SEQUENCE");
	AUTO(buf_release) struct buf old = BUF_INIT;
	struct lake *lake = open_lake(dir);

	(void)state;
	MUST(file_read(sequence, 8192, &old, &err));
	for (int i = 0; i < 5; i++)
		commit_bytes(lake, "main", "a", &i, sizeof(i));
	lake_close(lake);
	MUST(file_replace(sequence, old.data, old.len, &err));
	lake_close(open_lake(dir));
	for (size_t slot = 0; slot < 2; slot++) {
		AUTO(buf_release) struct buf torn = BUF_INIT;

		lake = open_lake(dir);
		commit_bytes(lake, "main", "b", &slot, sizeof(slot));
		lake_close(lake);
		MUST(file_read(sequence, 8192, &torn, &err));
		memset(torn.data + slot * 4096, 0, 20);
		MUST(file_replace(sequence, torn.data, torn.len, &err));
		lake_close(open_lake(dir));
		MUST(file_replace(sequence, torn.data, torn.len, &err));
	}
	memset(old.data, 0, old.len);
	MUST(file_replace(sequence, old.data, old.len, &err));
	MUST_SAY(ST_DAMAGED, "slots", lake_open(dir, &own, &lake, &err));
}

/* ---- the cache ---- */

static void put_in_cache(struct node_cache *cache, const unsigned char id[32], enum node_use use,
			 const void *data, size_t len)
{
	AUTO(shared_dropp) struct shared *bytes = shared_new(data, len);

	node_cache_put(cache, id, use, bytes);
}

static void cache_is_bounded(void **state)
{
	AUTO(shared_dropp) struct shared *held = NULL;
	struct node_cache *cache = node_cache_new(64 << 10);
	unsigned char id[32] = {0};
	char data[1000];
	unsigned kept = 0;

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		memset(data, (int)i, sizeof(data));
		memcpy(id, &i, sizeof(i));
		put_in_cache(cache, id, i % 2 ? NODE_LEAF : NODE_UPPER, data, sizeof(data));
		put_in_cache(cache, id, NODE_LEAF, "other", 5); /* what is there stays */
		shared_drop(held);
		held = node_cache_get(cache, id);
		assert_non_null(held);
		assert_int_equal(held->len, sizeof(data));
		assert_memory_equal(held->data, data, sizeof(data));
	}
	for (unsigned i = 0; i < 1000; i++) {
		AUTO(shared_dropp) struct shared *found = NULL;

		memcpy(id, &i, sizeof(i));
		found = node_cache_get(cache, id);
		kept += found != NULL;
	}
	assert_true(kept > 30 && kept < 64);
	node_cache_free(cache);
	assert_memory_equal(held->data, data, sizeof(data)); /* outlives the cache */
}

static unsigned put_and_count(struct node_cache *cache, enum node_use use, unsigned from,
			      unsigned to)
{
	const char data[1000] = {0};
	unsigned char id[32] = {0};
	unsigned kept = 0;

	for (unsigned i = from; i < to; i++) {
		memcpy(id, &i, sizeof(i));
		put_in_cache(cache, id, use, data, sizeof(data));
	}
	for (unsigned i = 0; i < to; i++) {
		AUTO(shared_dropp) struct shared *found = NULL;

		memcpy(id, &i, sizeof(i));
		found = node_cache_get(cache, id);
		kept += found && i < 400;
	}
	return kept;
}

/* 400 nodes of a kilobyte in a cache for a thousand. */
static void leaves_do_not_push_out_what_is_above_them(void **state)
{
	struct node_cache *cache = node_cache_new(1100 << 10);

	(void)state;
	assert_int_equal(put_and_count(cache, NODE_UPPER, 0, 400), 400);
	assert_int_equal(put_and_count(cache, NODE_LEAF, 1000, 9000), 400);
	assert_int_equal(put_and_count(cache, NODE_UPPER, 10000, 20000), 0);
	node_cache_free(cache);
}

static void leaves_may_have_what_nobody_else_wants(void **state)
{
	struct node_cache *cache = node_cache_new(1100 << 10);

	(void)state;
	assert_int_equal(put_and_count(cache, NODE_LEAF, 0, 400), 400);
	/* Room for a few hundred is kept for them. */
	assert_in_range(put_and_count(cache, NODE_UPPER, 1000, 9000), 150, 350);
	assert_int_equal(put_and_count(cache, NODE_LEAF, 20000, 30000), 0);
	node_cache_free(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(creates_and_reopens),
		cmocka_unit_test(refuses_what_is_no_lake),
		cmocka_unit_test(has_one_owner),
		cmocka_unit_test(forgets_what_was_not_finished),
		cmocka_unit_test(keeps_objects_of_all_sizes),
		cmocka_unit_test(takes_data_in_place),
		cmocka_unit_test(stores_equal_content_once),
		cmocka_unit_test(copies_objects_to_files),
		cmocka_unit_test(finds_damaged_objects),
		cmocka_unit_test(stops_above_a_full_disk),
		cmocka_unit_test(finds_a_log_that_went_back),
		cmocka_unit_test(bears_a_torn_or_old_sequence),
		cmocka_unit_test(cache_is_bounded),
		cmocka_unit_test(leaves_do_not_push_out_what_is_above_them),
		cmocka_unit_test(leaves_may_have_what_nobody_else_wants),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
