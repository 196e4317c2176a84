/* What objects cost: gc where a tenth of them is garbage, beside SQLite doing
 * the same and plain files being deleted; many small objects written and read
 * beside few large ones and beside plain files. Writes Markdown tables.
 *
 * usage: bench_objects FOLDER OBJECTS */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/file.h"
#include "tests/lib/bench.h"

#define FILL 100000u
#define SMALL_BYTES 100
#define FILE_BYTES 20000
#define GARBAGE 10 /* one in so many */

static struct rng rng;

static struct lake *open_lake(const char *url)
{
	const struct lake_options options = {.access = LAKE_OWN, .create = true};
	struct err err = ERR_INIT;
	struct lake *lake;

	bench_check(lake_open(url, &options, &lake, &err), &err);
	return lake;
}

static void fill_bytes(void *out, size_t len)
{
	uint64_t noise[8];

	for (size_t i = 0; i < ARRAY_SIZE(noise); i++)
		noise[i] = rng_next(&rng);
	for (size_t i = 0; i < len; i += sizeof(noise)) {
		size_t n = len - i < sizeof(noise) ? len - i : sizeof(noise);

		noise[0]++;
		memcpy((char *)out + i, noise, n);
	}
}

static void put(struct lake *lake, struct lake_txn *txn, const char *path, const void *data,
		size_t len)
{
	struct lake_upload *up;
	struct err err = ERR_INIT;

	bench_check(lake_upload_open(lake, &up, &err), &err);
	bench_check(lake_upload_defer(up, &err), &err);
	bench_check(lake_upload_write(up, data, len, &err), &err);
	bench_check(lake_upload_finish(up, &err), &err);
	bench_check(lake_txn_put(txn, path, up, NULL, NULL, &err), &err);
}

/* Different objects [from, to) of len bytes each in one commit on the branch. */
static void commit_objects(struct lake *lake, const char *branch, uint32_t from, uint32_t to,
			   size_t len)
{
	AUTO(freep) char *data = xmalloc(len);
	struct lake_id head;
	struct err err = ERR_INIT;
	struct lake_txn *txn;

	bench_check(lake_resolve(lake, branch, &head, &err), &err);
	bench_check(lake_txn_begin(lake, &head, &txn, &err), &err);
	for (uint32_t i = from; i < to; i++) {
		char path[BENCH_PATH_BYTES];

		bench_path(i, path);
		fill_bytes(data, len);
		put(lake, txn, path, data, len);
	}
	bench_check(lake_txn_commit(txn, branch, &head, "bench", &head, &err), &err);
	lake_txn_free(txn);
}

static void add_objects(struct lake *lake, const char *branch, uint32_t from, uint32_t to,
			size_t len)
{
	for (uint32_t i = from; i < to; i += FILL)
		commit_objects(lake, branch, i, to - i < FILL ? to : i + FILL, len);
}

/* ---- gc ---- */

static void move_branch(struct lake *lake, const char *name, const struct lake_id *from,
			const struct lake_id *to)
{
	struct lake_move move = {.kind = LAKE_BRANCH, .name = name};
	struct err err = ERR_INIT;

	if (from)
		move.expected = *from;
	if (to)
		move.to = *to;
	bench_check(lake_refs_move(lake, &move, 1, "bench", &err), &err);
}

/* n objects, of which a tenth only a branch had that is deleted. */
static struct lake *lake_with_garbage(const char *url, uint32_t n, size_t len)
{
	uint32_t kept = n - n / GARBAGE;
	struct lake *lake = open_lake(url);
	struct lake_id head;
	struct err err = ERR_INIT;

	bench_check(lake_resolve(lake, "main", &head, &err), &err);
	move_branch(lake, "keep", NULL, &head);
	add_objects(lake, "keep", 0, kept, len);
	bench_check(lake_resolve(lake, "keep", &head, &err), &err);
	move_branch(lake, "drop", NULL, &head);
	add_objects(lake, "drop", kept, n, len);
	bench_check(lake_resolve(lake, "drop", &head, &err), &err);
	move_branch(lake, "drop", &head, NULL);
	return lake;
}

static void collect(struct lake *lake, struct lake_gc_report *out)
{
	const struct lake_gc_options options = {.grace_ms = 0};
	struct err err = ERR_INIT;

	bench_check(lake_gc(lake, &options, out, &err), &err);
}

/* SQLite's rows stand for objects; what no entry names is found and deleted in
 * one statement, as gc finds it. */
static double sql_collect(const char *file, uint32_t n)
{
	AUTO(freep)
	char *fill = xasprintf(
		"CREATE TABLE objects(id BLOB PRIMARY KEY, data BLOB) WITHOUT ROWID;"
		"CREATE TABLE entries(path TEXT PRIMARY KEY, object BLOB) WITHOUT ROWID;"
		"WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c WHERE x<%u)"
		" INSERT INTO objects SELECT randomblob(32), randomblob(%d) FROM c;"
		"INSERT INTO entries SELECT printf('topics/orders/%%09d', row_number() OVER ()), id"
		" FROM objects;"
		"DELETE FROM entries WHERE abs(random()) %% %d = 0;"
		"PRAGMA wal_checkpoint(TRUNCATE)",
		n, SMALL_BYTES, GARBAGE);
	struct sql *s = sql_open(file);
	double us;

	sql_run(s, fill);
	us = sql_run(s, "DELETE FROM objects WHERE id NOT IN (SELECT object FROM entries);"
			"PRAGMA wal_checkpoint(TRUNCATE)");
	sql_close(s);
	return us;
}

static void write_file(const char *path, const void *data, size_t len, bool sync)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	struct err err = ERR_INIT;

	if (fd < 0)
		bench_die(path);
	bench_check(fd_write_all(fd, data, len, path, &err), &err);
	if (sync && fdatasync(fd) != 0)
		bench_die(path);
	close(fd);
}

/* Plain files in 256 folders, as the lake's are. */
static char *plain_path(const char *folder, uint32_t i)
{
	return xasprintf("%s/%02x/%08x", folder, i % 256, i);
}

static double write_plain(const char *folder, uint32_t n, size_t len)
{
	AUTO(freep) char *data = xmalloc(len);
	struct err err = ERR_INIT;
	double start = bench_now_us();
	int fd;

	for (uint32_t i = 0; i < n; i++) {
		AUTO(freep) char *path = plain_path(folder, i);

		if (i < 256) {
			path[strlen(folder) + 3] = '\0';
			bench_check(dir_create_all(path, &err), &err);
			path[strlen(folder) + 3] = '/';
		}
		fill_bytes(data, len);
		write_file(path, data, len, false);
	}
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || syncfs(fd) != 0)
		bench_die(folder);
	close(fd);
	return bench_now_us() - start;
}

static double delete_plain(const char *folder, uint32_t n)
{
	struct err err = ERR_INIT;
	double start = bench_now_us();

	for (uint32_t i = 0; i < n; i++) {
		AUTO(freep) char *path = plain_path(folder, i);

		if (unlink(path) != 0)
			bench_die(path);
	}
	for (uint32_t i = 0; i < 256 && i < n; i++) {
		AUTO(freep) char *path = xasprintf("%s/%02x", folder, i);

		bench_check(dir_sync(path, &err), &err);
	}
	return bench_now_us() - start;
}

static void print_gc(const char *label, uint32_t n, const struct lake_gc_report *r,
		     const struct lake_gc_count *c, const char *beside, double us)
{
	printf("| %s | %u | %.2f s | %llu | %.0f | %.1f MiB | %.1f ms | %s: %.2f s | x%.2f |\n",
	       label, n, (double)r->elapsed_ms / 1000, (unsigned long long)c->freed,
	       1000.0 * (double)c->freed / (double)(r->elapsed_ms ? r->elapsed_ms : 1),
	       (double)r->memory_bytes / 1048576, (double)r->longest_wait_us / 1000, beside,
	       us / 1e6, (double)r->elapsed_ms * 1000 / us);
}

static void measure_gc(const char *folder, uint32_t n)
{
	AUTO(freep) char *small = xasprintf("%s/gc-small", folder);
	AUTO(freep) char *large = xasprintf("%s/gc-files", folder);
	AUTO(freep) char *meta = xasprintf("%s/meta", small);
	AUTO(freep) char *file = xasprintf("%s/gc-sqlite", folder);
	AUTO(freep) char *plain = xasprintf("%s/gc-plain", folder);
	uint32_t files = n / 50;
	struct lake_gc_report report;
	struct lake *lake;
	uint64_t before;
	double us;

	printf("\n| gc, a tenth is garbage | objects | time | freed | freed a second | memory | "
	       "longest wait of a writer | beside | gc over it |\n"
	       "|---|---|---|---|---|---|---|---|---|\n");
	bench_say("gc: %u small objects", n);
	lake = lake_with_garbage(small, n, SMALL_BYTES);
	before = bench_folder_bytes(meta);
	bench_say("gc runs");
	collect(lake, &report);
	lake_close(lake);
	bench_say("SQLite does the same");
	us = sql_collect(file, n);
	print_gc("small objects, in the metadata", n, &report, &report.small,
		 "SQLite, mark and delete", us);
	printf("| the same again: nothing is garbage | %u |", n - n / GARBAGE);
	lake = open_lake(small);
	collect(lake, &report);
	lake_close(lake);
	printf(" %.2f s | %llu | - | - | - | - | - |\n", (double)report.elapsed_ms / 1000,
	       (unsigned long long)report.small.freed);
	bench_say("gc: %u files", files);
	lake = lake_with_garbage(large, files, FILE_BYTES);
	collect(lake, &report);
	lake_close(lake);
	write_plain(plain, files, FILE_BYTES);
	us = delete_plain(plain, files / GARBAGE);
	print_gc("objects that are files", files, &report, &report.files,
		 "deleting so many plain files", us);
	printf("\nMetadata of %u different objects of %d bytes, those included: %.0f bytes an "
	       "object "
	       "before gc, %.0f after.\n",
	       n, SMALL_BYTES, (double)before / n,
	       (double)bench_folder_bytes(meta) / (n - n / GARBAGE));
}

/* ---- many small, few large ---- */

struct shape {
	const char *label;
	uint32_t n;
	size_t len;
	double write_us, write_plain_us;
	double read_us[2], plain_us[2]; /* warm, cold */
};

static uint64_t read_lake(const char *url, const struct shape *s)
{
	AUTO(buf_release) struct buf out = BUF_INIT;
	struct lake *lake = open_lake(url);
	struct err err = ERR_INIT;
	struct lake_id head;
	uint64_t bytes = 0;

	bench_check(lake_resolve(lake, "data", &head, &err), &err);
	for (uint32_t i = 0; i < s->n; i++) {
		char path[BENCH_PATH_BYTES];

		bench_path(i, path);
		buf_clear(&out);
		bench_check(lake_read(lake, &head, path, s->len, &out, &err), &err);
		bytes += out.len;
	}
	lake_close(lake);
	return bytes;
}

static uint64_t read_plain(const char *folder, const struct shape *s)
{
	AUTO(buf_release) struct buf out = BUF_INIT;
	struct err err = ERR_INIT;
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < s->n; i++) {
		AUTO(freep) char *path = plain_path(folder, i);

		buf_clear(&out);
		bench_check(file_read(path, s->len + 1, &out, &err), &err);
		bytes += out.len;
	}
	return bytes;
}

static void measure_shape(const char *folder, struct shape *s)
{
	AUTO(freep) char *url = xasprintf("%s/read-%u-%zu", folder, s->n, s->len);
	AUTO(freep) char *plain = xasprintf("%s-plain", url);
	struct lake *lake = open_lake(url);
	struct err err = ERR_INIT;
	struct lake_id head;
	double start;

	bench_say("%s", s->label);
	bench_check(lake_resolve(lake, "main", &head, &err), &err);
	move_branch(lake, "data", NULL, &head);
	start = bench_now_us();
	add_objects(lake, "data", 0, s->n, s->len);
	s->write_us = bench_now_us() - start;
	lake_close(lake);
	s->write_plain_us = write_plain(plain, s->n, s->len);
	for (int cold = 0; cold < 2; cold++) {
		if (cold)
			bench_forget(url);
		start = bench_now_us();
		if (read_lake(url, s) != (uint64_t)s->n * s->len)
			bench_die("not all was read");
		s->read_us[cold] = bench_now_us() - start;
		if (cold)
			bench_forget(plain);
		start = bench_now_us();
		if (read_plain(plain, s) != (uint64_t)s->n * s->len)
			bench_die("not all was read");
		s->plain_us[cold] = bench_now_us() - start;
	}
}

static void print_shape(const struct shape *s)
{
	double n = (double)s->n;

	printf("| %u of %zu bytes | %.1f / %.1f | x%.2f | %.1f / %.1f | x%.2f | %.1f / %.1f | "
	       "x%.2f "
	       "|\n",
	       s->n, s->len, s->write_us / n, s->write_plain_us / n,
	       s->write_us / s->write_plain_us, s->read_us[0] / n, s->plain_us[0] / n,
	       s->read_us[0] / s->plain_us[0], s->read_us[1] / n, s->plain_us[1] / n,
	       s->read_us[1] / s->plain_us[1]);
}

static void measure_shapes(const char *folder, uint32_t n)
{
	struct shape shapes[] = {
		{.label = "small objects", .n = n / 10, .len = 2000},
		{.label = "small files", .n = n / 100, .len = FILE_BYTES},
		{.label = "large files", .n = 100, .len = (size_t)n * 2},
	};

	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++)
		measure_shape(folder, &shapes[i]);
	printf("\n| objects of the same bytes in all; us an object: Tidemark / plain files | "
	       "written, "
	       "durable at the end | | read | | read, page cache dropped | |\n"
	       "|---|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++)
		print_shape(&shapes[i]);
}

int main(int argc, char **argv)
{
	unsigned long n = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;

	if (n < 100000 || n > 100000000) {
		fprintf(stderr, "usage: bench_objects FOLDER OBJECTS      (100,000 or more)\n");
		return 2;
	}
	rng = rng_seeded(1);
	measure_gc(argv[1], (uint32_t)n);
	measure_shapes(argv[1], (uint32_t)n);
	bench_say("done");
	return 0;
}
