/* What grows with the tree: branches, commits, differences, merges, lists and
 * look-ups in trees of 10 to MAX objects, and the bytes that they take. All
 * trees are there at once and take turns, beside SQLite, git and the bare disk.
 * Writes Markdown tables.
 *
 * usage: bench_tree FOLDER MAX      (on the disk that matters; MAX 1000 or more) */
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/embedded/db.h"
#include "tests/lib/bench.h"
#include "tests/lib/bench_git.h"

#define FILL 100000u
#define BRANCHES 300
#define DIFFERENCES 1000u
#define MERGES 11
#define MERGES_GIT 3 /* its imports of the sides take long */
#define POINTS 20000
#define LISTS 5
#define TREES_MAX 8
#define FAR 100000u /* trees from here on have differences and merges */

/* ---- what this thread wrote and synced ---- */

static _Thread_local struct {
	uint64_t bytes;
	unsigned syncs;
} own;

int fdatasync(int fd)
{
	own.syncs++;
	return (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
	own.syncs++;
	return (int)syscall(SYS_fsync, fd);
}

ssize_t write(int fd, const void *data, size_t len)
{
	own.bytes += len;
	return syscall(SYS_write, fd, data, len);
}

static double cpu_us(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* ---- the trees ---- */

enum kind { ONE, TEN, SCATTERED, ADJACENT, WIDE, KINDS };
static const struct {
	const char *label;
	unsigned paths;
	unsigned rounds;
	bool adjacent;
} kinds[KINDS] = {
	[ONE] = {"commit, 1 path", 1, 400, false},
	[TEN] = {"commit, 10 paths", 10, 400, false},
	[SCATTERED] = {"commit, 1,000 paths, scattered", 1000, 40, false},
	[ADJACENT] = {"commit, 1,000 paths, adjacent", 1000, 40, true},
	[WIDE] = {"commit, 10,000 paths, scattered", 10000, 5, false},
};

struct beside {
	struct samples lake;
	struct samples cpu; /* the lake's, of the thread that asks; a diff's of all threads */
	struct samples sql;
	struct samples bare;
	struct samples git;
};

struct tree {
	uint32_t n;
	char *url;
	char *sql_file;
	char *git_folder;
	struct lake *lake;
	struct lake_id head;
	struct sql *sql;
	struct git *git;
	struct beside branch;
	struct beside commits[KINDS];
	struct samples bytes[KINDS];
	unsigned syncs; /* of the last commit */
	struct beside diff;
	struct beside merge;
	struct beside point;
	struct beside list; /* us an entry */
	uint64_t bytes_raw, bytes_packed, bytes_sql, bytes_git;
};

struct bench {
	const char *folder;
	struct tree trees[TREES_MAX];
	size_t n;
	struct bare *bare;
	struct rng rng;
	struct samples git_nothing;
};

static void open_lake(struct tree *t)
{
	const struct lake_options options = {.access = LAKE_OWN, .create = true};
	struct err err = ERR_INIT;

	bench_check(lake_open(t->url, &options, &t->lake, &err), &err);
}

static void reopen(struct tree *t)
{
	lake_close(t->lake);
	open_lake(t);
}

/* A prepared commit on top of the head; all files hold the same 100 bytes. */
static void fill_part(struct tree *t, uint32_t from, uint32_t to)
{
	static const char shared[100] = "shared";
	struct err err = ERR_INIT;
	struct lake_txn *txn;

	bench_check(lake_txn_begin(t->lake, &t->head, &txn, &err), &err);
	for (uint32_t i = from; i < to; i++) {
		char path[BENCH_PATH_BYTES];

		bench_path(i, path);
		bench_check(lake_txn_put_bytes(txn, path, shared, sizeof(shared), NULL, NULL, &err),
			    &err);
	}
	bench_check(lake_txn_prepare(txn, &t->head, &err), &err);
	lake_txn_free(txn);
}

static void pack(struct tree *t)
{
	AUTO(freep) char *folder = xasprintf("%s/meta", t->url);
	struct db *db;
	struct err err = ERR_INIT;

	lake_close(MOVE(t->lake));
	t->bytes_raw = bench_folder_bytes(folder);
	bench_check(db_open(folder, false, DB_WHOLE_LOG, &db, &err), &err);
	for (const char *kind = "bcn"; *kind; kind++) {
		AUTO(buf_release) struct buf prefix = BUF_INIT;

		buf_addc(&prefix, *kind);
		db_compact(db, &prefix, 0, 1);
	}
	db_close(db);
	t->bytes_packed = bench_folder_bytes(folder);
	open_lake(t);
}

static void fill_lake(struct tree *t)
{
	struct lake_move move = {.kind = LAKE_BRANCH, .name = "bench"};
	struct err err = ERR_INIT;

	open_lake(t);
	bench_check(lake_resolve(t->lake, "main", &t->head, &err), &err);
	for (uint32_t i = 0; i < t->n; i += FILL)
		fill_part(t, i, t->n - i < FILL ? t->n : i + FILL);
	move.to = t->head;
	bench_check(lake_refs_move(t->lake, &move, 1, "bench", &err), &err);
	pack(t);
}

static void fill_sql(struct tree *t)
{
	t->sql = sql_open(t->sql_file);
	for (uint32_t i = 0; i < t->n; i += FILL)
		sql_fill(t->sql, i, t->n - i < FILL ? t->n : i + FILL);
	sql_run(t->sql, "PRAGMA wal_checkpoint(TRUNCATE)");
	t->bytes_sql = bench_folder_bytes(t->sql_file);
}

static void fill_git(struct tree *t, const char *folder)
{
	uint32_t partitions = t->n / BENCH_FILES_A_PARTITION;
	FILE *in;

	t->git_folder = xasprintf("%s/git-%u", folder, t->n);
	t->git = git_new(t->git_folder);
	in = git_trees_begin(t->git);
	for (uint32_t i = 0; i < t->n; i++) {
		char file[BENCH_PATH_BYTES];

		bench_path(i, file);
		git_tree_file(in, strrchr(file, '/') + 1);
		if (i % BENCH_FILES_A_PARTITION == BENCH_FILES_A_PARTITION - 1)
			fputc('\n', in);
	}
	git_trees_end(t->git, "base", "topics/orders/partition", partitions);
	t->bytes_git = bench_folder_bytes(t->git_folder);
}

static void add_tree(struct bench *b, uint32_t n)
{
	struct tree *t = &b->trees[b->n++];

	*t = (struct tree){.n = n};
	t->url = xasprintf("%s/lake-%u", b->folder, n);
	t->sql_file = xasprintf("%s/sqlite-%u", b->folder, n);
	bench_say("a lake of %u objects", n);
	fill_lake(t);
	bench_say("SQLite with %u rows", n);
	fill_sql(t);
	if (n < FAR)
		return;
	bench_say("git with %u files", n);
	fill_git(t, b->folder);
}

/* ---- branches ---- */

static void branch_once(struct bench *b, struct tree *t, int i)
{
	AUTO(freep) char *name = xasprintf("try-%d", i);
	const struct lake_move move = {LAKE_BRANCH, name, {{0}}, t->head};
	struct err err = ERR_INIT;
	uint64_t before = own.bytes;
	double start = bench_now_us();

	bench_check(lake_refs_move(t->lake, &move, 1, "bench", &err), &err);
	samples_add(&t->branch.lake, bench_now_us() - start);
	samples_add(&t->branch.bare, bare_commit(b->bare, own.bytes - before));
	samples_add(&t->branch.sql, sql_branch(t->sql, name));
}

static void measure_branches(struct bench *b)
{
	bench_say("branches");
	for (int i = 0; i < BRANCHES; i++)
		for (size_t k = 0; k < b->n; k++)
			branch_once(b, &b->trees[k], i);
}

/* What follows finds the files of all trees in the page cache. */
static void remember_all(struct bench *b)
{
	for (size_t k = 0; k < b->n; k++) {
		bench_remember(b->trees[k].url);
		bench_remember(b->trees[k].sql_file);
	}
}

/* ---- commits ---- */

/* step: 1, or 2 to leave every other path alone. */
static void pick(struct bench *b, const struct tree *t, bool adjacent, uint32_t step,
		 uint32_t offset, uint32_t *out, unsigned n)
{
	if (!adjacent) {
		bench_pick(&b->rng, t->n / step, out, n);
	} else {
		uint32_t from = (uint32_t)rng_below(&b->rng, t->n - n + 1);

		for (unsigned i = 0; i < n; i++)
			out[i] = from + i;
	}
	for (unsigned i = 0; i < n; i++)
		out[i] = out[i] * step + offset;
}

static void put_all(struct bench *b, struct lake_txn *txn, const uint32_t *which, unsigned n)
{
	struct err err = ERR_INIT;

	for (unsigned i = 0; i < n; i++) {
		char path[BENCH_PATH_BYTES];
		uint64_t content[2] = {rng_next(&b->rng), rng_next(&b->rng)};

		bench_path(which[i], path);
		bench_check(
			lake_txn_put_bytes(txn, path, content, sizeof(content), NULL, NULL, &err),
			&err);
	}
}

static void commit_once(struct bench *b, struct tree *t, enum kind kind)
{
	unsigned n = kinds[kind].paths;
	AUTO(freep) uint32_t *which = xcalloc(n, sizeof(*which));
	uint64_t content[2] = {rng_next(&b->rng), rng_next(&b->rng)};
	struct err err = ERR_INIT;
	struct lake_txn *txn;
	uint64_t bytes = own.bytes;
	unsigned syncs = own.syncs;
	double start, cpu;

	pick(b, t, kinds[kind].adjacent, 1, 0, which, n);
	start = bench_now_us();
	cpu = cpu_us(CLOCK_THREAD_CPUTIME_ID);
	bench_check(lake_txn_begin(t->lake, &t->head, &txn, &err), &err);
	put_all(b, txn, which, n);
	bench_check(lake_txn_commit(txn, "bench", &t->head, "bench", &t->head, &err), &err);
	lake_txn_free(txn);
	samples_add(&t->commits[kind].lake, bench_now_us() - start);
	samples_add(&t->commits[kind].cpu, cpu_us(CLOCK_THREAD_CPUTIME_ID) - cpu);
	t->syncs = own.syncs - syncs;
	bytes = own.bytes - bytes;
	samples_add(&t->bytes[kind], (double)bytes);
	samples_add(&t->commits[kind].bare, bare_commit(b->bare, bytes));
	samples_add(&t->commits[kind].sql, sql_update(t->sql, which, n, content, sizeof(content)));
}

static void measure_commits(struct bench *b)
{
	for (enum kind kind = 0; kind < KINDS; kind++) {
		bench_say("%s", kinds[kind].label);
		remember_all(b);
		for (unsigned i = 0; i < kinds[kind].rounds; i++)
			for (size_t k = 0; k < b->n; k++)
				if (b->trees[k].n >= kinds[kind].paths)
					commit_once(b, &b->trees[k], kind);
	}
}

/* ---- differences and merges ---- */

static void side(struct bench *b, struct tree *t, uint32_t offset, struct lake_id *out)
{
	uint32_t which[DIFFERENCES];
	struct err err = ERR_INIT;
	struct lake_txn *txn;

	pick(b, t, false, 2, offset, which, DIFFERENCES);
	bench_check(lake_txn_begin(t->lake, &t->head, &txn, &err), &err);
	put_all(b, txn, which, DIFFERENCES);
	bench_check(lake_txn_prepare(txn, out, &err), &err);
	lake_txn_free(txn);
}

static void git_side(struct bench *b, struct tree *t, FILE *in, const char *branch, uint32_t offset)
{
	uint32_t which[DIFFERENCES];

	pick(b, t, false, 2, offset, which, DIFFERENCES);
	git_import_commit(t->git, branch, 2, "refs/heads/base^0");
	for (unsigned i = 0; i < DIFFERENCES; i++) {
		char path[BENCH_PATH_BYTES];

		bench_path(which[i], path);
		fprintf(in, "M 100644 inline %s\ndata 16\n%016llx\n", path,
			(unsigned long long)rng_next(&b->rng));
	}
}

static void diff_lake(struct tree *t, const struct lake_id *theirs)
{
	struct lake_diff_entry entry;
	struct err err = ERR_INIT;
	struct lake_diff *diff;
	unsigned n = 0;
	double start = bench_now_us(), cpu = cpu_us(CLOCK_PROCESS_CPUTIME_ID);
	enum status st;

	bench_check(lake_diff_open(t->lake, &t->head, theirs, "", &diff, &err), &err);
	while ((st = lake_diff_next(diff, &entry, &err)) == ST_OK) {
		free(entry.path);
		n++;
	}
	lake_diff_close(diff);
	samples_add(&t->diff.lake, bench_now_us() - start);
	samples_add(&t->diff.cpu, cpu_us(CLOCK_PROCESS_CPUTIME_ID) - cpu);
	if (st != ST_END || n != DIFFERENCES)
		bench_die("a diff has not found what there is");
}

/* The merge's commit becomes durable, as a branch. */
static void merge_lake(struct tree *t, const struct lake_id *ours, const struct lake_id *theirs,
		       int i)
{
	AUTO(freep) char *name = xasprintf("merged-%d", i);
	const struct lake_merge merge = {.source = *theirs, .dest = *ours};
	struct lake_move move = {.kind = LAKE_BRANCH, .name = name};
	struct lake_conflicts conflicts;
	struct err err = ERR_INIT;
	double start = bench_now_us(), cpu = cpu_us(CLOCK_THREAD_CPUTIME_ID);

	bench_check(lake_merge_prepare(t->lake, &merge, &move.to, &conflicts, &err), &err);
	bench_check(lake_refs_move(t->lake, &move, 1, "bench", &err), &err);
	samples_add(&t->merge.lake, bench_now_us() - start);
	samples_add(&t->merge.cpu, cpu_us(CLOCK_THREAD_CPUTIME_ID) - cpu);
}

/* The lake is opened anew before each, so that nothing is in its memory; the page
 * cache holds its files, and git's. */
static void merge_once(struct bench *b, struct tree *t, int i)
{
	static const char *const diff[] = {"diff-tree", "-r",     "--name-only",
					   "base",      "theirs", NULL};
	static const char *const merge[] = {"merge-tree", "--write-tree", "ours", "theirs", NULL};
	static const char *const nothing[] = {"rev-parse", "--git-dir", NULL};
	struct lake_id ours, theirs;
	FILE *in;

	side(b, t, 0, &ours);
	side(b, t, 1, &theirs);
	bench_remember(t->url);
	reopen(t);
	diff_lake(t, &theirs);
	bench_remember(t->url);
	reopen(t);
	merge_lake(t, &ours, &theirs, i);
	if (i >= MERGES_GIT)
		return;
	in = git_import_begin(t->git);
	git_side(b, t, in, "ours", 0);
	git_side(b, t, in, "theirs", 1);
	git_import_end(t->git);
	bench_remember(t->git_folder);
	samples_add(&t->diff.git, git_run(t->git, diff));
	samples_add(&t->merge.git, git_run(t->git, merge));
	samples_add(&b->git_nothing, git_run(t->git, nothing));
}

static void measure_merges(struct bench *b)
{
	bench_say("differences and merges");
	for (int i = 0; i < MERGES; i++)
		for (size_t k = 0; k < b->n; k++)
			if (b->trees[k].git)
				merge_once(b, &b->trees[k], i);
}

/* ---- look-ups and lists ---- */

static void look_up(struct bench *b, struct tree *t, bool counts)
{
	char path[BENCH_PATH_BYTES];
	struct lake_entry entry;
	struct err err = ERR_INIT;
	double start, us, cpu;

	bench_path((uint32_t)rng_below(&b->rng, t->n), path);
	cpu = cpu_us(CLOCK_THREAD_CPUTIME_ID);
	start = bench_now_us();
	bench_check(lake_stat(t->lake, &t->head, path, &entry, &err), &err);
	us = bench_now_us() - start;
	cpu = cpu_us(CLOCK_THREAD_CPUTIME_ID) - cpu;
	lake_entry_release(&entry);
	if (counts) {
		samples_add(&t->point.lake, us);
		samples_add(&t->point.cpu, cpu);
	}
	us = sql_point(t->sql, path);
	if (counts)
		samples_add(&t->point.sql, us);
}

static void list_once(struct tree *t)
{
	static const char prefix[] = "topics/orders/partition=00";
	struct lake_entry entry;
	struct err err = ERR_INIT;
	struct lake_list *list;
	uint64_t n = 0, rows;
	double start = bench_now_us(), us, cpu = cpu_us(CLOCK_THREAD_CPUTIME_ID);
	enum status st;

	bench_check(lake_list_open(t->lake, &t->head, prefix, &list, &err), &err);
	while ((st = lake_list_next(list, &entry, &err)) == ST_OK) {
		lake_entry_release(&entry);
		n++;
	}
	lake_list_close(list);
	samples_add(&t->list.lake, (bench_now_us() - start) / (double)n);
	samples_add(&t->list.cpu, (cpu_us(CLOCK_THREAD_CPUTIME_ID) - cpu) / (double)n);
	us = sql_scan(t->sql, prefix, &rows);
	samples_add(&t->list.sql, us / (double)rows);
	if (st != ST_END || rows != n)
		bench_die("a list has not found what there is");
}

static void measure_reads(struct bench *b)
{
	bench_say("look-ups and lists");
	remember_all(b);
	for (int i = 0; i < 2 * POINTS; i++)
		for (size_t k = 0; k < b->n; k++)
			look_up(b, &b->trees[k], i >= POINTS);
	for (int i = 0; i < LISTS; i++)
		for (size_t k = 0; k < b->n; k++)
			list_once(&b->trees[k]);
}

/* ---- the tables ---- */

static void print_head(const struct bench *b, const char *first)
{
	printf("\n| %s |", first);
	for (size_t k = 0; k < b->n; k++)
		printf(" %u |", b->trees[k].n);
	printf(" growth from 1,000 |\n|---|");
	for (size_t k = 0; k <= b->n; k++)
		printf("---|");
	putchar('\n');
}

static const struct samples *at(const struct tree *t, size_t offset)
{
	return (const struct samples *)((const char *)t + offset);
}

/* One row: p50 / p99 of the samples at that offset of each tree, in ms or us. */
static void print_row(const struct bench *b, const char *label, const char *who, size_t offset,
		      double unit_us)
{
	double first = 0, last = 0;

	printf("| %s, %s |", label, who);
	for (size_t k = 0; k < b->n; k++) {
		struct samples s = *at(&b->trees[k], offset);
		double p50 = samples_at(&s, 0.5);

		if (s.n == 0) {
			printf(" - |");
			continue;
		}
		if (b->trees[k].n >= 1000 && first == 0)
			first = p50;
		last = p50;
		printf(" %.2f / %.2f |", p50 / unit_us, samples_at(&s, 0.99) / unit_us);
	}
	if (first == 0 || first == last)
		printf(" - |\n");
	else
		printf(" x%.2f |\n", last / first);
}

static void print_beside(const struct bench *b, const char *label, size_t offset, double unit_us)
{
	const struct tree *t = &b->trees[b->n - 1];

	print_row(b, label, "Tidemark", offset + offsetof(struct beside, lake), unit_us);
	if (at(t, offset + offsetof(struct beside, cpu))->n)
		print_row(b, label, "Tidemark's processor time",
			  offset + offsetof(struct beside, cpu), unit_us);
	if (at(t, offset + offsetof(struct beside, bare))->n)
		print_row(b, label, "its bytes and syncs bare",
			  offset + offsetof(struct beside, bare), unit_us);
	if (at(t, offset + offsetof(struct beside, sql))->n)
		print_row(b, label, "SQLite", offset + offsetof(struct beside, sql), unit_us);
	if (at(t, offset + offsetof(struct beside, git))->n)
		print_row(b, label, "git", offset + offsetof(struct beside, git), unit_us);
}

/* The median of a commit over the median of what its syncs cost bare. */
static void print_ratios(const struct bench *b)
{
	for (enum kind kind = 0; kind < KINDS; kind++) {
		printf("| %s, over bare |", kinds[kind].label);
		for (size_t k = 0; k < b->n; k++) {
			struct beside s = b->trees[k].commits[kind];

			if (s.lake.n == 0)
				printf(" - |");
			else
				printf(" x%.2f |",
				       samples_at(&s.lake, 0.5) / samples_at(&s.bare, 0.5));
		}
		printf(" - |\n");
	}
}

static void print_bytes(const struct bench *b)
{
	print_head(b, "bytes");
	for (enum kind kind = 0; kind < KINDS; kind++) {
		printf("| written to the log by a %s |", kinds[kind].label);
		for (size_t k = 0; k < b->n; k++) {
			struct samples s = b->trees[k].bytes[kind];

			printf(s.n ? " %.0f |" : " - |", samples_at(&s, 0.5));
		}
		printf(" - |\n");
	}
#define BYTES(label, field)                                                                        \
	printf("| on disk for each object, " label " |");                                          \
	for (size_t k = 0; k < b->n; k++)                                                          \
		printf(b->trees[k].field ? " %.1f |" : " - |",                                     \
		       (double)b->trees[k].field / b->trees[k].n);                                 \
	printf(" - |\n");
	BYTES("as filled", bytes_raw)
	BYTES("compacted", bytes_packed)
	BYTES("SQLite", bytes_sql)
	BYTES("git", bytes_git)
#undef BYTES
}

static void print_all(struct bench *b)
{
	print_head(b, "ms, p50 / p99; trees of so many objects");
	print_beside(b, "branch", offsetof(struct tree, branch), 1000);
	for (enum kind kind = 0; kind < KINDS; kind++)
		print_beside(b, kinds[kind].label,
			     offsetof(struct tree, commits) + kind * sizeof(struct beside), 1000);
	print_ratios(b);
	if (b->trees[b->n - 1].git) {
		print_beside(b, "diff, 1,000 differences", offsetof(struct tree, diff), 1000);
		print_beside(b, "merge, 1,000 differences a side", offsetof(struct tree, merge),
			     1000);
	}
	print_head(b, "us, p50 / p99");
	print_beside(b, "look-up of a path", offsetof(struct tree, point), 1);
	print_beside(b, "list, an entry", offsetof(struct tree, list), 1);
	print_bytes(b);
	printf("\nSyncs of a commit: %u. A process of git that does nothing: %.2f ms.\n",
	       b->trees[0].syncs, samples_at(&b->git_nothing, 0.5) / 1000);
}

static void close_tree(struct tree *t)
{
	lake_close(t->lake);
	sql_close(t->sql);
	if (t->git)
		git_free(t->git);
	free(t->url);
	free(t->sql_file);
	free(t->git_folder);
}

int main(int argc, char **argv)
{
	struct bench b = {.rng = rng_seeded(1)};
	unsigned long max = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;

	if (max < 1000 || max > 100000000) {
		fprintf(stderr, "usage: bench_tree FOLDER MAX\n");
		return 2;
	}
	b.folder = argv[1];
	b.bare = bare_open(b.folder);
	for (uint32_t n = 10; n < max; n *= 100)
		add_tree(&b, n);
	add_tree(&b, (uint32_t)max);
	measure_branches(&b);
	measure_commits(&b);
	measure_merges(&b);
	measure_reads(&b);
	print_all(&b);
	bench_say("done");
	for (size_t k = 0; k < b.n; k++)
		close_tree(&b.trees[k]);
	bare_close(b.bare);
	return 0;
}
