/* What the store's benchmarks share: times, tables, and the bare disk, SQLite
 * and git beside which they measure. Whatever fails ends the program with the
 * reason. */
#ifndef TIDEMARK_TESTS_BENCH_H
#define TIDEMARK_TESTS_BENCH_H

#include <stdio.h>

#include "core/base/err.h"
#include "core/lake.h"

/* Ends the program where what has filled err failed. */
void bench_check(enum status st, const struct err *err);
void bench_die(const char *what);
/* To standard error: what is being done. */
void bench_say(const char *fmt, ...) PRINTF_LIKE(1, 2);
double bench_now_us(void);

/* ---- times ---- */

struct samples {
	double *us;
	size_t n;
	size_t cap;
};

void samples_add(struct samples *s, double us);
/* share 0.5: the median; 0.99; 1: the worst. 0 where there are none. Sorts. */
double samples_at(struct samples *s, double share);
void samples_release(struct samples *s);

/* ---- files ---- */

uint64_t bench_folder_bytes(const char *folder); /* blocks on disk */
/* Drops the folder's files from the page cache. */
void bench_forget(const char *folder);
/* Reads the folder's files, or the file, so that the page cache holds them: a
 * kernel may have dropped what nothing has read for a while. */
void bench_remember(const char *path);
/* Runs a program with its output thrown away; its us. argv ends with NULL. */
double bench_run(const char *const *argv);

/* The paths of the trees: a thousand files a partition, in byte order. */
#define BENCH_PATH_BYTES 80
#define BENCH_FILES_A_PARTITION 1000u
void bench_path(uint32_t i, char out[BENCH_PATH_BYTES]);
void bench_prefix(uint32_t partition, char out[BENCH_PATH_BYTES]);
/* n different numbers below max, ascending. */
void bench_pick(struct rng *rng, uint32_t max, uint32_t *out, unsigned n);

/* ---- the bare disk ---- */

/* What a commit's durability costs without a store: so many bytes appended to a
 * preallocated log and fdatasync(), 4 KiB written in place and fdatasync(). */
struct bare;
struct bare *bare_open(const char *folder);
double bare_commit(struct bare *b, size_t bytes);
void bare_close(struct bare *b);

/* ---- SQLite: a write-ahead log, synchronous=FULL ---- */

/* files(path primary key, blob of 32 bytes, size, content), clustered by path;
 * refs(name primary key, id). It keeps no older versions. */
struct sql;
struct sql *sql_open(const char *file);
/* Adds the files [from, to), in one transaction. */
void sql_fill(struct sql *s, uint32_t from, uint32_t to);
double sql_update(struct sql *s, const uint32_t *which, unsigned n, const void *content,
		  size_t len);
double sql_branch(struct sql *s, const char *name);
double sql_point(struct sql *s, const char *path);
/* path, blob and size of all with the prefix. */
double sql_scan(struct sql *s, const char *prefix, uint64_t *rows_out);
double sql_run(struct sql *s, const char *statement);
void sql_close(struct sql *s);

#endif
