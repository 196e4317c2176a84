#include "tests/lib/bench.h"

#include <fcntl.h>
#include <ftw.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOG_BYTES (64 << 20)
#define SLOT_BYTES 4096

void bench_die(const char *what)
{
	fprintf(stderr, "bench: %s\n", what);
	exit(1);
}

void bench_check(enum status st, const struct err *err)
{
	if (st != ST_OK)
		bench_die(err->text);
}

double bench_now_us(void)
{
	return (double)clock_system()->mono_us(clock_system());
}

void bench_say(const char *fmt, ...)
{
	static double begun;
	double now = bench_now_us();
	va_list args;

	if (begun == 0)
		begun = now;
	fprintf(stderr, "[%6.1f s] ", (now - begun) / 1e6);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
}

/* ---- times ---- */

void samples_add(struct samples *s, double us)
{
	GROW(s->us, s->n, s->cap);
	s->us[s->n++] = us;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double samples_at(struct samples *s, double share)
{
	size_t i = (size_t)(share * (double)s->n);

	if (s->n == 0)
		return 0;
	qsort(s->us, s->n, sizeof(*s->us), by_value);
	return s->us[i < s->n ? i : s->n - 1];
}

void samples_release(struct samples *s)
{
	free(s->us);
	*s = (struct samples){.us = NULL};
}

/* ---- files ---- */

static uint64_t bytes_seen;

static int add_bytes(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)path;
	(void)type;
	(void)at;
	bytes_seen += (uint64_t)st->st_blocks * 512;
	return 0;
}

uint64_t bench_folder_bytes(const char *folder)
{
	bytes_seen = 0;
	if (nftw(folder, add_bytes, 16, FTW_PHYS) != 0)
		bench_die("cannot look through a folder");
	return bytes_seen;
}

static int forget(const char *path, const struct stat *st, int type, struct FTW *at)
{
	int fd = type == FTW_F ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	(void)st;
	(void)at;
	if (fd >= 0) {
		(void)fdatasync(fd); /* only what is clean can be dropped */
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		close(fd);
	}
	return 0;
}

void bench_forget(const char *folder)
{
	if (nftw(folder, forget, 16, FTW_PHYS) != 0)
		bench_die("cannot look through a folder");
}

static int remember(const char *path, const struct stat *st, int type, struct FTW *at)
{
	static char data[1 << 20];
	int fd = type == FTW_F ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	(void)st;
	(void)at;
	if (fd >= 0) {
		while (read(fd, data, sizeof(data)) > 0)
			;
		close(fd);
	}
	return 0;
}

void bench_remember(const char *path)
{
	if (nftw(path, remember, 16, FTW_PHYS) != 0)
		bench_die("cannot look through a folder");
}

double bench_run(const char *const *argv)
{
	posix_spawn_file_actions_t actions;
	double start = bench_now_us();
	pid_t pid;
	int status;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	if (posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)argv, environ) != 0 ||
	    waitpid(pid, &status, 0) != pid || status != 0)
		bench_die(argv[0]);
	posix_spawn_file_actions_destroy(&actions);
	return bench_now_us() - start;
}

void bench_prefix(uint32_t partition, char out[BENCH_PATH_BYTES])
{
	snprintf(out, BENCH_PATH_BYTES, "topics/orders/partition=%05u/", partition);
}

void bench_path(uint32_t i, char out[BENCH_PATH_BYTES])
{
	uint32_t partition = i / BENCH_FILES_A_PARTITION, file = i % BENCH_FILES_A_PARTITION;

	snprintf(out, BENCH_PATH_BYTES, "topics/orders/partition=%05u/orders+%05u+%010u.avro",
		 partition, partition, file * 1000);
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

void bench_pick(struct rng *rng, uint32_t max, uint32_t *out, unsigned n)
{
	unsigned have = 0;

	if (n > max)
		bench_die("a tree with fewer paths than are to be changed");
	while (have < n) {
		unsigned kept = 0;

		while (have < n)
			out[have++] = (uint32_t)rng_below(rng, max);
		qsort(out, n, sizeof(*out), by_number);
		for (unsigned i = 0; i < n; i++)
			if (i == 0 || out[i] != out[i - 1])
				out[kept++] = out[i];
		have = kept;
	}
}

/* ---- the bare disk ---- */

struct bare {
	int log;
	int slot;
	size_t at;
	char *zeros;
};

static int open_in(const char *folder, const char *name)
{
	AUTO(freep) char *path = xasprintf("%s/%s", folder, name);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);

	if (fd < 0)
		bench_die(path);
	return fd;
}

struct bare *bare_open(const char *folder)
{
	struct bare *b = xcalloc(1, sizeof(*b));

	b->log = open_in(folder, "bare-log");
	b->slot = open_in(folder, "bare-slot");
	b->zeros = xcalloc(1, LOG_BYTES);
	b->at = LOG_BYTES;
	if (pwrite(b->slot, b->zeros, SLOT_BYTES, 0) != SLOT_BYTES || fsync(b->slot) != 0)
		bench_die("bare-slot");
	return b;
}

static void new_log(struct bare *b)
{
	b->at = 0;
	if (ftruncate(b->log, 0) != 0 ||
	    fallocate(b->log, FALLOC_FL_KEEP_SIZE, 0, LOG_BYTES) != 0 || fsync(b->log) != 0)
		bench_die("bare-log");
}

double bare_commit(struct bare *b, size_t bytes)
{
	double start;

	bytes = bytes < LOG_BYTES ? bytes : LOG_BYTES;
	if (b->at + bytes > LOG_BYTES)
		new_log(b);
	start = bench_now_us();
	if (pwrite(b->log, b->zeros, bytes, (off_t)b->at) != (ssize_t)bytes ||
	    fdatasync(b->log) != 0 || pwrite(b->slot, b->zeros, SLOT_BYTES, 0) != SLOT_BYTES ||
	    fdatasync(b->slot) != 0)
		bench_die("bare-log");
	b->at += bytes;
	return bench_now_us() - start;
}

void bare_close(struct bare *b)
{
	close(b->log);
	close(b->slot);
	free(b->zeros);
	free(b);
}
