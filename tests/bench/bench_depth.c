/* What grows with the history: logs, searches and merge bases behind so many
 * checkpoints, each tenth of them published, in a lake that has just been
 * opened; and the bytes that a commit takes. Beside them git, with its commit
 * graph written, over the same graph. Writes a Markdown table.
 *
 * usage: bench_depth FOLDER CHECKPOINTS */
#include <stdlib.h>
#include <string.h>

#include "core/embedded/db.h"
#include "tests/lib/bench.h"
#include "tests/lib/bench_git.h"

#define PUBLISH_EVERY 10
#define ROUNDS 21
#define LOG_LINES 20
#define FILES_MAX 1000u /* the tree stays as it is: this is about history */

struct history {
	uint32_t n; /* checkpoints */
	char *url;
	struct lake *lake;
	struct git *git;
	struct lake_id checkpoint, published, target;
	struct lake_id next; /* the publication that is to be merged */
	uint64_t commits;
	uint64_t bytes_raw, bytes_packed, bytes_git;
};

/* ---- the lake ---- */

static void open_lake(struct history *h, enum lake_access access)
{
	const struct lake_options options = {.access = access, .create = access == LAKE_OWN};
	struct err err = ERR_INIT;

	bench_check(lake_open(h->url, &options, &h->lake, &err), &err);
}

static void put_text(struct lake_txn *txn, const char *path, uint32_t n)
{
	AUTO(freep) char *text = xasprintf("{\"sequence\":%u}", n);
	struct err err = ERR_INIT;

	bench_check(lake_txn_put_bytes(txn, path, text, strlen(text), NULL, NULL, &err), &err);
}

/* The metadata of a checkpoint of four partitions. */
static void set_meta(struct lake_txn *txn, uint32_t n)
{
	AUTO(freep) char *number = xasprintf("%u", n);
	AUTO(freep)
	char *offsets = xasprintf("{\"orders\":{\"0\":%u,\"1\":%u,\"2\":%u,\"3\":%u}}", n * 100,
				  n * 101, n * 102, n * 103);
	AUTO(freep)
	char *ranges =
		xasprintf("{\"orders\":{\"0\":[%u,%u],\"1\":[%u,%u],\"2\":[%u,%u]}}", n * 100,
			  n * 100 + 100, n * 101, n * 101 + 101, n * 102, n * 102 + 102);

	lake_txn_set_meta(txn, "tidemark.connector", "bench");
	lake_txn_set_meta(txn, "tidemark.sequence", number);
	lake_txn_set_meta(txn, "tidemark.offsets", offsets);
	lake_txn_set_meta(txn, "tidemark.ranges", ranges);
	lake_txn_set_meta(txn, "tidemark.records", "404");
}

static void prepare(struct history *h, const struct lake_id *base, const struct lake_id *first,
		    uint32_t n, struct lake_id *out)
{
	const struct lake_id parents[2] = {first ? *first : *base, *base};
	char path[BENCH_PATH_BYTES];
	struct err err = ERR_INIT;
	struct lake_txn *txn;

	bench_check(lake_txn_begin(h->lake, base, &txn, &err), &err);
	put_text(txn, "_tidemark/bench.json", n);
	bench_path(n % FILES_MAX, path);
	if (first)
		lake_txn_parents(txn, parents, 2);
	else
		put_text(txn, path, n);
	set_meta(txn, n);
	bench_check(lake_txn_prepare(txn, out, &err), &err);
	lake_txn_free(txn);
	h->commits++;
}

/* X(n+1): the checkpoint's tree, parents X(n) and the checkpoint. */
static void publish(struct history *h, uint32_t n)
{
	struct lake_merge merge = {.dest = h->target, .message = "publish"};
	struct lake_conflicts conflicts;
	struct err err = ERR_INIT;

	prepare(h, &h->checkpoint, &h->published, n, &h->published);
	merge.source = h->published;
	bench_check(lake_merge_prepare(h->lake, &merge, &h->target, &conflicts, &err), &err);
	h->commits++;
}

static void fill_lake(struct history *h)
{
	struct lake_move moves[3] = {{.kind = LAKE_BRANCH, .name = "ingest"},
				     {.kind = LAKE_BRANCH, .name = "published"},
				     {.kind = LAKE_BRANCH, .name = "target"}};
	struct err err = ERR_INIT;

	open_lake(h, LAKE_OWN);
	bench_check(lake_resolve(h->lake, "main", &h->target, &err), &err);
	h->checkpoint = h->published = h->target;
	for (uint32_t i = 1; i <= h->n; i++) {
		prepare(h, &h->checkpoint, NULL, i, &h->checkpoint);
		if (i % PUBLISH_EVERY == 0 && i < h->n)
			publish(h, i);
	}
	prepare(h, &h->checkpoint, &h->published, h->n, &h->next);
	moves[0].to = h->checkpoint;
	moves[1].to = h->next;
	moves[2].to = h->target;
	bench_check(lake_refs_move(h->lake, moves, 3, "bench", &err), &err);
	lake_close(MOVE(h->lake));
}

static void pack(struct history *h)
{
	AUTO(freep) char *folder = xasprintf("%s/meta", h->url);
	struct db *db;
	struct err err = ERR_INIT;

	h->bytes_raw = bench_folder_bytes(folder);
	bench_check(db_open(folder, false, DB_WHOLE_LOG, &db, &err), &err);
	for (const char *kind = "bcn"; *kind; kind++) {
		AUTO(buf_release) struct buf prefix = BUF_INIT;

		buf_addc(&prefix, *kind);
		db_compact(db, &prefix, 0, 1);
	}
	db_close(db);
	h->bytes_packed = bench_folder_bytes(folder);
}

/* ---- the same in git; one file, whose content does not matter ---- */

static void git_publish(struct history *h, FILE *in, uint32_t n)
{
	git_import_commit(h->git, "published", n, n > PUBLISH_EVERY ? NULL : "refs/heads/root");
	fprintf(in, "merge refs/heads/ingest\nM 100644 :1 cursor\n");
}

static void fill_git(struct history *h, const char *folder)
{
	AUTO(freep) char *path = xasprintf("%s/git-%u", folder, h->n);
	static const char *const graph[] = {"commit-graph", "write", "--reachable", NULL};
	FILE *in;

	h->git = git_new(path);
	in = git_import_begin(h->git);
	fprintf(in, "blob\nmark :1\ndata 1\n1\n");
	git_import_commit(h->git, "root", 0, NULL);
	fputc('\n', in);
	for (uint32_t i = 1; i <= h->n; i++) {
		git_import_commit(h->git, "ingest", i, i == 1 ? "refs/heads/root" : NULL);
		fprintf(in, "M 100644 inline cursor\ndata 10\n%010u\n", i);
		if (i % PUBLISH_EVERY || i >= h->n)
			continue;
		git_publish(h, in, i);
		git_import_commit(h->git, "target", i,
				  i > PUBLISH_EVERY ? NULL : "refs/heads/root");
		fprintf(in, "merge refs/heads/published\nM 100644 :1 cursor\n");
	}
	git_publish(h, in, h->n);
	git_import_end(h->git);
	h->bytes_git = bench_folder_bytes(path);
	git_run(h->git, graph);
}

/* ---- what is measured ---- */

static void log_of(struct history *h, const struct lake_id *from)
{
	struct err err = ERR_INIT;
	struct lake_log *log;

	bench_check(lake_log_open(h->lake, from, false, &log, &err), &err);
	for (int i = 0; i < LOG_LINES; i++) {
		struct lake_commit c;

		bench_check(lake_log_next(log, &c, &err), &err);
		lake_commit_release(&c);
	}
	lake_log_close(log);
}

static double run_log(struct history *h, struct rng *rng)
{
	double start = bench_now_us();

	(void)rng;
	log_of(h, &h->target);
	return bench_now_us() - start;
}

static uint32_t sequence_of(const struct lake_commit *c)
{
	const char *text = lake_meta_get(&c->meta, "tidemark.sequence");

	return text ? (uint32_t)strtoul(text, NULL, 10) : 0;
}

static bool holds(void *ctx, const struct lake_commit *c)
{
	return sequence_of(c) >= *(const uint32_t *)ctx;
}

static double run_search(struct history *h, struct rng *rng)
{
	uint32_t wanted = 1 + (uint32_t)rng_below(rng, h->n);
	struct lake_commit c;
	struct err err = ERR_INIT;
	double start = bench_now_us(), us;

	bench_check(lake_log_search(h->lake, &h->checkpoint, holds, &wanted, &c, &err), &err);
	us = bench_now_us() - start;
	if (sequence_of(&c) != wanted)
		bench_die("a search has found another commit");
	lake_commit_release(&c);
	return us;
}

static double run_base(struct history *h, struct rng *rng)
{
	AUTO(freep) struct lake_id *bases = NULL;
	struct err err = ERR_INIT;
	size_t n;
	double start = bench_now_us(), us;

	(void)rng;
	bench_check(lake_merge_bases(h->lake, &h->target, &h->next, &bases, &n, &err), &err);
	us = bench_now_us() - start;
	if (n != 1 || !lake_id_equal(&bases[0], &h->published))
		bench_die("the base of a publication is not the one before it");
	return us;
}

/* As if none had been published since the first: all checkpoints are new. */
static double run_backlog(struct history *h, struct rng *rng)
{
	AUTO(freep) struct lake_id *bases = NULL;
	struct err err = ERR_INIT;
	struct lake_id first;
	size_t n;
	double start;

	(void)rng;
	bench_check(lake_resolve(h->lake, "main", &first, &err), &err);
	start = bench_now_us();
	bench_check(lake_merge_bases(h->lake, &first, &h->next, &bases, &n, &err), &err);
	return bench_now_us() - start;
}

static double git_log(struct history *h, struct rng *rng)
{
	static const char *const args[] = {"log", "-20", "target", NULL};

	(void)rng;
	return git_run(h->git, args);
}

/* The newest before a time: also a property that only falls along the line. */
static double git_search(struct history *h, struct rng *rng)
{
	AUTO(freep)
	char *before = xasprintf("--before=@%u", 1 + (uint32_t)rng_below(rng, h->n));
	const char *const args[] = {"rev-list", "-1", "--first-parent", before, "ingest", NULL};

	return git_run(h->git, args);
}

static double git_base(struct history *h, struct rng *rng)
{
	static const char *const args[] = {"merge-base", "--all", "target", "published", NULL};

	(void)rng;
	return git_run(h->git, args);
}

static double git_backlog(struct history *h, struct rng *rng)
{
	static const char *const args[] = {"merge-base", "--all", "root", "published", NULL};

	(void)rng;
	return git_run(h->git, args);
}

static double git_nothing(struct history *h, struct rng *rng)
{
	static const char *const args[] = {"rev-parse", "--git-dir", NULL};

	(void)rng;
	return git_run(h->git, args);
}

typedef double (*action)(struct history *h, struct rng *rng);

static const struct {
	const char *label;
	enum lake_access access; /* as the command has it */
	action lake;
	action git;
} rows[] = {
	{"`log -n 20` of the target", LAKE_READ, run_log, git_log},
	{"the oldest checkpoint for which something holds (`find`)", LAKE_READ, run_search,
	 git_search},
	{"the base of the next publication", LAKE_ANY, run_base, git_base},
	{"the base of a first publication of all checkpoints", LAKE_ANY, run_backlog, git_backlog},
	{"nothing: opening the lake to read, a process of git", LAKE_READ, NULL, git_nothing},
	{"nothing: opening the lake to write, a process of git", LAKE_ANY, NULL, git_nothing},
};

struct result {
	struct samples warm, cold, git;
};

static void measure(struct history *h, struct rng *rng, size_t row, struct result *r, bool cold)
{
	double start;

	if (cold)
		bench_forget(h->url);
	else
		bench_remember(h->url);
	start = bench_now_us();
	open_lake(h, rows[row].access);
	samples_add(cold ? &r->cold : &r->warm,
		    rows[row].lake ? rows[row].lake(h, rng) : bench_now_us() - start);
	lake_close(MOVE(h->lake));
}

static void measure_all(struct history *h, struct result *results)
{
	struct rng rng = rng_seeded(1);

	for (size_t row = 0; row < ARRAY_SIZE(rows); row++) {
		int rounds = rows[row].lake == run_backlog ? 3 : ROUNDS;

		for (int i = 0; i < rounds; i++) {
			measure(h, &rng, row, &results[row], false);
			measure(h, &rng, row, &results[row], true);
			samples_add(&results[row].git, rows[row].git(h, &rng));
		}
	}
}

static void cell(struct samples *s)
{
	printf(" %.2f / %.2f |", samples_at(s, 0.5) / 1000, samples_at(s, 1) / 1000);
}

static void add_history(struct history *h, const char *folder, uint32_t n)
{
	*h = (struct history){.n = n, .url = xasprintf("%s/depth-%u", folder, n)};
	bench_say("a lake of %u checkpoints", n);
	fill_lake(h);
	pack(h);
	bench_say("git with %u checkpoints", n);
	fill_git(h, folder);
}

int main(int argc, char **argv)
{
	unsigned long max = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	struct history small, large;
	struct result few[ARRAY_SIZE(rows)] = {0}, many[ARRAY_SIZE(rows)] = {0};

	if (max < 1000 || max > 10000000) {
		fprintf(stderr, "usage: bench_depth FOLDER CHECKPOINTS\n");
		return 2;
	}
	add_history(&small, argv[1], 1000);
	add_history(&large, argv[1], (uint32_t)max);
	bench_say("logs, searches, bases");
	measure_all(&small, few);
	measure_all(&large, many);
	printf("\n| ms, p50 / worst, the lake just opened | 1000 checkpoints | %lu | and the page "
	       "cache dropped | git at %lu |\n|---|---|---|---|---|\n",
	       max, max);
	for (size_t row = 0; row < ARRAY_SIZE(rows); row++) {
		printf("| %s |", rows[row].label);
		cell(&few[row].warm);
		cell(&many[row].warm);
		cell(&many[row].cold);
		cell(&many[row].git);
		putchar('\n');
	}
	printf("\nMetadata on disk for each of %llu commits, with the tree's nodes that it "
	       "rewrote: %.0f bytes as written, %.0f compacted; git %.0f.\n",
	       (unsigned long long)large.commits, (double)large.bytes_raw / (double)large.commits,
	       (double)large.bytes_packed / (double)large.commits,
	       (double)large.bytes_git / (double)large.commits);
	bench_say("done");
	git_free(small.git);
	git_free(large.git);
	return 0;
}
