/* Much data: many files in one commit, which are synced together, and an object
 * that is larger than the memory it may take. Calls that sync are counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <stdio.h>
#include <stdlib.h>
#include <dirent.h>
#include <linux/magic.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/lake_fixture.h"
#include "tests/lib/must.h"

static struct lake_fixture fixture;
#define LAKE (fixture.lake)

/* ---- what is synced ---- */

static struct {
	unsigned file_systems;
	unsigned blobs; /* files and folders of objects, one by one */
} synced;

static void count(int fd)
{
	char link[64], path[4096];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = '\0';
	synced.blobs += strstr(path, "/tmp/upload-") || strstr(path, "/blobs");
}

int fdatasync(int fd)
{
	count(fd);
	return (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
	count(fd);
	return (int)syscall(SYS_fsync, fd);
}

int syncfs(int fd)
{
	synced.file_systems++;
	return (int)syscall(SYS_syncfs, fd);
}

/* ---- many files ---- */

#define FILES 120

/* Every third is small enough to be no file. */
static size_t size_of(unsigned i)
{
	return i % 3 ? 20000 + i : 100 + i;
}

static struct lake_upload *upload(unsigned i, bool deferred)
{
	AUTO(freep) char *data = xmalloc(size_of(i));
	struct lake_upload *up = NULL;

	memset(data, (int)i, size_of(i));
	MUST(lake_upload_open(LAKE, &up, &err));
	if (deferred)
		MUST(lake_upload_defer(up, &err));
	MUST(lake_upload_write(up, data, size_of(i), &err));
	MUST(lake_upload_finish(up, &err));
	assert_int_equal(lake_upload_size(up), size_of(i));
	return up;
}

static size_t files_in(const char *name)
{
	AUTO(freep) char *path = xasprintf("%s/%s", fixture.folder, name);
	DIR *d = opendir(path);
	size_t n = 0;

	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static void commit_all(bool deferred, struct lake_id *id)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	struct lake_id head;

	memset(&synced, 0, sizeof(synced));
	MUST(lake_resolve(LAKE, "main", &head, &err));
	MUST(lake_txn_begin(LAKE, &head, &txn, &err));
	for (unsigned i = 0; i < FILES; i++) {
		AUTO(freep) char *path = xasprintf("%s/%u", deferred ? "d" : "s", i);

		MUST(lake_txn_put(txn, path, upload(i, deferred), NULL, NULL, &err));
	}
	MUST(lake_txn_commit(txn, "main", &head, "bulk", id, &err));
}

/* Where bulk.c defers for certain. */
static bool is_served(void)
{
	struct statfs fs;
	struct utsname u;
	int major = 0, minor = 0;

	return statfs(fixture.folder, &fs) == 0 && fs.f_type == EXT4_SUPER_MAGIC &&
	       uname(&u) == 0 && sscanf(u.release, "%d.%d", &major, &minor) == 2 &&
	       (major > 5 || (major == 5 && minor >= 8));
}

static void test_deferred(void **state)
{
	struct lake_id id;

	(void)state;
	commit_all(true, &id);
	if (lake_is_owner(LAKE) && is_served()) {
		assert_int_equal(synced.file_systems, 2); /* the data, their names */
		assert_int_equal(synced.blobs, 0);
	}
	for (unsigned i = 0; i < FILES; i++) {
		AUTO(freep) char *path = xasprintf("d/%u", i);
		AUTO(buf_release) struct buf content = BUF_INIT;

		MUST(lake_read(LAKE, &id, path, 1 << 20, &content, &err));
		assert_int_equal(content.len, size_of(i));
		for (size_t k = 0; k < content.len; k++)
			assert_int_equal((unsigned char)content.data[k], i);
	}
	assert_int_equal(files_in("tmp"), 0);
	/* Of uploads that are not deferred each is synced: so the count counts. */
	if (lake_is_owner(LAKE)) {
		commit_all(false, &id);
		assert_int_equal(synced.file_systems, 0);
		assert_true(synced.blobs > FILES / 2);
	}
}

/* Uploads that nobody takes leave nothing. */
static void test_dropped(void **state)
{
	struct lake_upload *ups[FILES];
	struct lake_id head, after;

	(void)state;
	MUST(lake_resolve(LAKE, "main", &head, &err));
	for (unsigned i = 0; i < FILES; i++)
		ups[i] = upload(i, true);
	for (unsigned i = 0; i < FILES; i++)
		lake_upload_free(ups[i]);
	assert_int_equal(files_in("tmp"), 0);
	assert_int_equal(files_in("blobs"), 0);
	MUST(lake_resolve(LAKE, "main", &after, &err));
	assert_true(lake_id_equal(&head, &after));
}

/* ---- one large object ---- */

#define LARGE_BYTES (256ull << 20)
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MEMORY_BYTES (1ull << 40) /* what is freed stays there for a while */
#else
#define MEMORY_BYTES (48ull << 20)
#endif

/* The byte at an offset; not the same in any two blocks. */
static void fill(unsigned char *data, size_t len, uint64_t offset)
{
	for (size_t i = 0; i < len; i++) {
		uint64_t at = offset + i;

		data[i] = (unsigned char)(at ^ at >> 12 ^ at >> 20);
	}
}

static uint64_t most_memory(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (uint64_t)usage.ru_maxrss << 10;
}

static void check_range(struct lake_object *object, uint64_t offset, size_t len)
{
	AUTO(freep) unsigned char *data = xmalloc(len);
	AUTO(freep) unsigned char *wanted = xmalloc(len);
	uint64_t rest = LARGE_BYTES - offset;
	size_t n = 0;

	MUST(lake_object_read(object, offset, data, len, &n, &err));
	assert_int_equal(n, rest < len ? rest : len);
	fill(wanted, n, offset);
	assert_memory_equal(data, wanted, n);
}

static void put_large(struct lake_id *id)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	struct lake_upload *up = NULL;
	struct lake_id head;

	MUST(lake_upload_open(LAKE, &up, &err));
	for (uint64_t at = 0; at < LARGE_BYTES;) {
		void *room = NULL;
		size_t len = 0;

		MUST(lake_upload_reserve(up, 1, &room, &len, &err));
		if (len > LARGE_BYTES - at)
			len = LARGE_BYTES - at;
		fill(room, len, at);
		lake_upload_advance(up, len);
		at += len;
	}
	MUST(lake_upload_finish(up, &err));
	MUST(lake_resolve(LAKE, "main", &head, &err));
	MUST(lake_txn_begin(LAKE, &head, &txn, &err));
	MUST(lake_txn_put(txn, "large", up, NULL, NULL, &err));
	MUST(lake_txn_commit(txn, "main", &head, "large", id, &err));
}

static void test_large(void **state)
{
	AUTO(lake_object_closep) struct lake_object *object = NULL;
	struct rng rng = rng_seeded(1);
	uint64_t before = most_memory();
	struct lake_id id;

	(void)state;
	put_large(&id);
	MUST(lake_object_open(LAKE, &id, "large", &object, &err));
	assert_int_equal(lake_object_size(object), LARGE_BYTES);
	for (uint64_t at = 0; at < LARGE_BYTES; at += 1 << 20) /* all, with its checksum */
		check_range(object, at, 1 << 20);
	for (int i = 0; i < 200; i++)
		check_range(object, rng_below(&rng, LARGE_BYTES), rng_below(&rng, 100000));
	check_range(object, LARGE_BYTES - 5, 100);
	check_range(object, LARGE_BYTES, 100);
	assert_in_range(most_memory() - before, 0, MEMORY_BYTES);
}

/* ---- the suite ---- */

static int open_embedded(void **state)
{
	(void)state;
	lake_fixture_open(&fixture, LAKE_EMBEDDED, 0);
	return 0;
}

static int open_socket(void **state)
{
	(void)state;
	lake_fixture_open(&fixture, LAKE_SOCKET, 0);
	return 0;
}

static int close_lake(void **state)
{
	(void)state;
	lake_fixture_close(&fixture);
	return 0;
}

#define TEST(test, open) cmocka_unit_test_setup_teardown(test, open, close_lake)
#define SUITE(open)                                                                                \
	{                                                                                          \
		TEST(test_large, open), TEST(test_deferred, open), TEST(test_dropped, open),       \
	}

int main(void)
{
	const struct CMUnitTest embedded[] = SUITE(open_embedded);
	const struct CMUnitTest remote[] = SUITE(open_socket);
	/* The socket's first: its owners are forked before RocksDB has threads. */
	int failed = cmocka_run_group_tests_name("through the socket", remote, NULL, NULL);

	return failed + cmocka_run_group_tests_name("embedded", embedded, NULL, NULL);
}
