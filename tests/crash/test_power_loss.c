/* The embedded lake against a power loss at any moment.
 *
 * A child works on a lake, and every call by which it changes a file, RocksDB's
 * among them, is written to a journal that the parent shares; after each step it
 * notes there what the lake then shows. The parent plays the journal to a random
 * place and lays out what a disk could hold after a power loss there
 * (tests/lib/disk_model.h). The lake must then open, show what it showed after
 * the last step that was acknowledged or after the one under way, hold no torn
 * blob, and take a new commit.
 *
 *   test_power_loss [RUNS [SEED]] */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/log.h"
#include "core/lake.h"
#include "tests/crash/disk_recorder.h"
#include "tests/lib/lake_state.h"
#include "tests/lib/scale.h"
#include "tests/lib/tempdir.h"
#include "tests/lib/virtual_clock.h"

#define STEPS 60
#define STATE_HASHES (STEPS + 2)

/* Under a sanitizer fewer losses, of as many works: all that a work does is cut. */
#define WORKS 3
#define RUNS_PER_WORK SCALED(100, 50, 20)

static unsigned long runs = WORKS * RUNS_PER_WORK;
static uint64_t first_seed = 1;

/* ---- the work ---- */

static const struct lake_options options = {
	.access = LAKE_OWN, .create = true, .clock = &clock_ticks, .committer = "work"};

struct work {
	const char *dir;
	struct lake *lake;
	struct disk_journal *journal;
	struct rng rng;
	int step;
	struct err err;
};

static enum status upload(struct work *w, size_t len, struct lake_upload **out)
{
	AUTO(lake_upload_freep) struct lake_upload *up = NULL;
	AUTO(freep) char *data = xmalloc(len + 1);
	enum status st = lake_upload_open(w->lake, &up, &w->err);

	for (size_t i = 0; i < len; i++)
		data[i] = (char)rng_next(&w->rng);
	if (st == ST_OK)
		st = lake_upload_write(up, data, len, &w->err);
	if (st == ST_OK)
		st = lake_upload_finish(up, &w->err);
	if (st == ST_OK)
		*out = MOVE(up);
	return st;
}

static enum status commit_files(struct work *w, int n, size_t len)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	struct lake_id head, id;
	enum status st = lake_resolve(w->lake, "main", &head, &w->err);

	if (st == ST_OK)
		st = lake_txn_begin(w->lake, &head, &txn, &w->err);
	for (int i = 0; st == ST_OK && i < n; i++) {
		AUTO(freep) char *path = xasprintf("d%d/f%d-%d", w->step % 7, w->step, i);
		AUTO(lake_upload_freep) struct lake_upload *up = NULL;

		st = upload(w, len, &up);
		if (st == ST_OK)
			st = lake_txn_put(txn, path, up, NULL, NULL, &w->err);
		if (st == ST_OK)
			(void)MOVE(up);
	}
	return st == ST_OK ? lake_txn_commit(txn, "main", &head, "work", &id, &w->err) : st;
}

static enum status move_refs(struct work *w)
{
	AUTO(freep) char *name = xasprintf("b%d", w->step);
	AUTO(freep) char *tag = xasprintf("t%d", w->step);
	struct lake_move moves[] = {{.kind = LAKE_BRANCH, .name = name},
				    {.kind = LAKE_TAG, .name = tag}};
	enum status st = lake_resolve(w->lake, "main", &moves[0].to, &w->err);

	moves[1].to = moves[0].to;
	return st == ST_OK ? lake_refs_move(w->lake, moves, 2, "work", &w->err) : st;
}

static enum status stage_one(struct work *w, size_t len)
{
	AUTO(freep) char *path = xasprintf("staged/%d", w->step);
	AUTO(lake_upload_freep) struct lake_upload *up = NULL;
	enum status st = upload(w, len, &up);

	if (st == ST_OK)
		st = lake_stage_put(w->lake, "dev", path, up, NULL, NULL, &w->err);
	if (st == ST_OK)
		(void)MOVE(up);
	return st;
}

static enum status commit_staged(struct work *w)
{
	struct lake_id id;
	enum status st = lake_stage_commit(w->lake, "dev", "staged", NULL, &id, &w->err);

	return st == ST_EMPTY ? ST_OK : st;
}

static enum status merge_dev(struct work *w)
{
	struct lake_merge merge = {.message = "merge", .allow_empty = true};
	struct lake_move move = {.kind = LAKE_BRANCH, .name = "main"};
	enum status st = lake_resolve(w->lake, "dev", &merge.source, &w->err);

	if (st == ST_OK)
		st = lake_resolve(w->lake, "main", &merge.dest, &w->err);
	if (st == ST_OK)
		st = lake_merge_prepare(w->lake, &merge, &move.to, NULL, &w->err);
	move.expected = merge.dest;
	return st == ST_OK ? lake_refs_move(w->lake, &move, 1, "merge", &w->err) : st;
}

static enum status open_again(struct work *w)
{
	lake_close(MOVE(w->lake));
	return lake_open(w->dir, &options, &w->lake, &w->err);
}

static enum status step(struct work *w)
{
	struct lake_move dev = {.kind = LAKE_BRANCH, .name = "dev"};

	if (w->step == 0)
		return lake_open(w->dir, &options, &w->lake, &w->err);
	if (w->step == 1) {
		enum status st = lake_resolve(w->lake, "main", &dev.to, &w->err);

		return st == ST_OK ? lake_refs_move(w->lake, &dev, 1, "work", &w->err) : st;
	}
	if (w->step % 13 == 5) /* fills RocksDB's buffer: tables, a new log */
		return commit_files(w, 150, 12000);
	switch (rng_below(&w->rng, 9)) {
	case 0:
	case 1:
		return commit_files(w, 1 + (int)rng_below(&w->rng, 4), 30000);
	case 2:
	case 3:
		return commit_files(w, 1 + (int)rng_below(&w->rng, 10), 300);
	case 4:
		return move_refs(w);
	case 5:
		return stage_one(w, rng_below(&w->rng, 2) ? 50 : 40000);
	case 6:
		return commit_staged(w);
	case 7:
		return merge_dev(w);
	default:
		return open_again(w);
	}
}

/* A step changes what is shown by one synced write, or not at all. */
static enum status note_state(struct work *w)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	struct disk_op op = {.kind = DISK_MARK, .len = LAKE_DIGEST_BYTES};
	char digest[LAKE_DIGEST_BYTES];
	enum status st = lake_state(w->lake, &text, &w->err);

	if (st != ST_OK)
		return st;
	lake_digest(buf_str(&text), text.len, digest);
	disk_journal_add(w->journal, &op, digest);
	return ST_OK;
}

/* In the child; the exit code. */
static int work(const char *dir, uint64_t seed, struct disk_journal *journal)
{
	struct work w = {.dir = dir, .journal = journal, .rng = rng_seeded(seed), .err = ERR_INIT};
	enum status st = ST_OK;

	disk_record(dir, journal);
	for (w.step = 0; st == ST_OK && w.step < STEPS; w.step++) {
		st = step(&w);
		if (st == ST_OK)
			st = note_state(&w);
	}
	if (st != ST_OK || journal->full)
		fprintf(stderr, "step %d: %s%s\n", w.step, w.err.text,
			journal->full ? " the journal is full" : "");
	fflush(NULL);
	return st == ST_OK && !journal->full ? 0 : 1;
}

/* ---- after the loss ---- */

/* In a child: opens the lake and says what it shows; proves that it takes a
 * commit. */
static int look(const char *dir, char digest[static LAKE_DIGEST_BYTES])
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	struct work w = {.dir = dir, .rng = rng_seeded(99), .err = ERR_INIT, .step = 1000};
	enum status st = lake_open(dir, &options, &w.lake, &w.err);

	if (st == ST_OK)
		st = lake_state(w.lake, &text, &w.err);
	if (st == ST_OK) {
		lake_digest(buf_str(&text), text.len, digest);
		st = commit_files(&w, 2, 20000);
	}
	if (st != ST_OK)
		fprintf(stderr, "after the loss: %s: %s\n", status_name(st), w.err.text);
	lake_close(w.lake);
	fflush(NULL);
	return st == ST_OK ? 0 : 1;
}

struct shared {
	char digest[LAKE_DIGEST_BYTES];
};

/* Runs in a child; RocksDB's threads never see a fork. */
static int in_child(int (*run)(void *ctx), void *ctx)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		log_set_level(LOG_ERROR);
		_exit(run(ctx));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

struct work_call {
	const char *dir;
	uint64_t seed;
	struct disk_journal *journal;
};

static int call_work(void *ctx)
{
	const struct work_call *c = ctx;

	return work(c->dir, c->seed, c->journal);
}

struct look_call {
	const char *dir;
	struct disk_journal *shared; /* its first entry: the digest */
};

static int call_look(void *ctx)
{
	const struct look_call *c = ctx;
	struct disk_op op = {.kind = DISK_MARK, .len = LAKE_DIGEST_BYTES};
	char digest[LAKE_DIGEST_BYTES] = "";
	int rc = look(c->dir, digest);

	disk_journal_add(c->shared, &op, digest);
	return rc;
}

/* The states that may be shown after a loss at cut: that of the last note before
 * it, and of the next. */
struct marks {
	const char *before; /* NULL: not one step was acknowledged */
	const char *after; /* NULL: the work was done */
	size_t ops; /* in all */
};

static struct marks find_marks(const struct disk_journal *j, size_t cut)
{
	struct marks m = {.ops = 0};
	const struct disk_op *op;
	size_t at = 0;

	for (; (op = disk_journal_next(j, &at)); m.ops++) {
		if (op->kind != DISK_MARK)
			continue;
		if (m.ops < cut)
			m.before = op->data;
		else if (!m.after)
			m.after = op->data;
	}
	return m;
}

/* 0: as it should be; 1: it is not; the reason goes to stderr. */
static int try_loss(const struct disk_journal *j, const struct disk_loss *loss)
{
	AUTO(tempdir_remove) char *dir = tempdir_new();
	AUTO(freep) char *lake = xasprintf("%s/lake", dir);
	struct look_call call = {.dir = lake, .shared = disk_journal_new()};
	struct marks m = find_marks(j, loss->cut);
	const struct disk_op *shown;
	struct err err = ERR_INIT;
	size_t at = 0;
	int rc;

	assert_int_equal(mkdir(lake, 0777), 0);
	assert_int_equal(disk_after_loss(j, loss, lake, &err), ST_OK);
	rc = in_child(call_look, &call);
	shown = disk_journal_next(call.shared, &at);
	if (rc == 0 && (!m.before || strcmp(shown->data, m.before) != 0) &&
	    (!m.after || strcmp(shown->data, m.after) != 0)) {
		fprintf(stderr, "it shows neither the state before nor the one after\n");
		rc = 1;
	}
	if (rc && !loss->lies && getenv("TIDEMARK_TEST_KEEP")) {
		fprintf(stderr, "kept: %s\n", dir);
		free(MOVE(dir));
	}
	disk_journal_free(call.shared);
	return rc;
}

static struct disk_journal *record(const char *dir, uint64_t seed)
{
	AUTO(freep) char *lake = xasprintf("%s/lake", dir);
	struct work_call call = {.dir = lake, .seed = seed, .journal = disk_journal_new()};

	assert_int_equal(mkdir(lake, 0777), 0);
	assert_int_equal(in_child(call_work, &call), 0);
	return call.journal;
}

static void test_power_loss(void **state)
{
	(void)state;
	for (unsigned long done = 0; done < runs; done += RUNS_PER_WORK) {
		AUTO(tempdir_remove) char *dir = tempdir_new();
		uint64_t seed = first_seed + done / RUNS_PER_WORK;
		struct disk_journal *j = record(dir, seed);
		struct rng rng = rng_seeded(seed);
		size_t ops = find_marks(j, 0).ops;

		for (unsigned long i = 0; i < RUNS_PER_WORK && done + i < runs; i++) {
			struct disk_loss loss = {.cut = rng_below(&rng, ops + 1),
						 .seed = rng_next(&rng)};

			if (try_loss(j, &loss) != 0)
				fail_msg("work %llu, run %lu: power lost at operation %zu of %zu",
					 (unsigned long long)seed, i, loss.cut, ops);
		}
		disk_journal_free(j);
	}
}

/* The test can fail: on a disk that says it has synced and has not, acknowledged
 * writes are gone, and that is seen. */
static void test_lying_disk(void **state)
{
	AUTO(tempdir_remove) char *dir = tempdir_new();
	struct disk_journal *j = record(dir, first_seed);
	size_t ops = find_marks(j, 0).ops;
	int seen = 0;

	(void)state;
	assert_non_null(freopen("/dev/null", "w", stderr));
	for (uint64_t i = 0; i < 10; i++) {
		struct disk_loss loss = {.cut = ops / 2 + i, .seed = i, .lies = true};

		seen += try_loss(j, &loss) != 0;
	}
	disk_journal_free(j);
	assert_true(seen >= 5);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_power_loss),
		cmocka_unit_test(test_lying_disk),
	};

	if (argc > 1)
		runs = strtoul(argv[1], NULL, 10);
	if (argc > 2)
		first_seed = strtoull(argv[2], NULL, 10);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
