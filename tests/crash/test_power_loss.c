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
#include <unistd.h>

#include "core/base/file.h"
#include "core/lake.h"
#include "tests/crash/disk_recorder.h"
#include "tests/lib/lake_state.h"
#include "tests/lib/power_loss.h"
#include "tests/lib/tempdir.h"
#include "tests/lib/virtual_clock.h"

#define STEPS 60
#define STATE_HASHES (STEPS + 2)

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
	return st == ST_OK && !journal->full ? 0 : 1;
}

/* ---- after the loss ---- */

/* What the first command after it sees that only reads. ST_USAGE: no lake yet. */
static enum status look_first(const char *dir, char digest[static LAKE_DIGEST_BYTES],
			      struct err *err)
{
	static const struct lake_options read = {.access = LAKE_READ};
	AUTO(buf_release) struct buf text = BUF_INIT;
	AUTO(lake_closep) struct lake *lake = NULL;
	enum status st = lake_open(dir, &read, &lake, err);

	if (st == ST_OK)
		st = lake_state(lake, &text, err);
	if (st == ST_OK)
		lake_digest(buf_str(&text), text.len, digest);
	return st;
}

/* In a child: opens the lake and says what it shows, to who only reads and then to
 * an owner; proves that it takes a commit. */
static int look(const char *dir, char digest[static LAKE_DIGEST_BYTES])
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	struct work w = {.dir = dir, .rng = rng_seeded(99), .err = ERR_INIT, .step = 1000};
	char first[LAKE_DIGEST_BYTES];
	enum status read = look_first(dir, first, &w.err);
	enum status st = read == ST_USAGE ? ST_OK : read;

	if (st == ST_OK)
		st = lake_open(dir, &options, &w.lake, &w.err);
	if (st == ST_OK)
		st = lake_state(w.lake, &text, &w.err);
	if (st == ST_OK) {
		lake_digest(buf_str(&text), text.len, digest);
		if (read == ST_OK && strcmp(first, digest) != 0)
			st = err_set(&w.err, ST_DAMAGED, "who only reads saw another state");
	}
	if (st == ST_OK) {
		st = commit_files(&w, 2, 20000);
	}
	if (st != ST_OK)
		fprintf(stderr, "after the loss: %s: %s\n", status_name(st), w.err.text);
	lake_close(w.lake);
	return st == ST_OK ? 0 : 1;
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

static int try_loss(const char *folder, const struct disk_journal *j, const struct disk_loss *loss)
{
	AUTO(tempdir_remove) char *dir = tempdir_new();
	AUTO(freep) char *lake = xasprintf("%s/lake", dir);
	struct look_call call = {.dir = lake, .shared = disk_journal_new()};
	const struct power_loss_notes notes = power_loss_notes(j, loss->cut);
	const struct disk_op *shown;
	struct err err = ERR_INIT;
	size_t at = 0;
	int rc;

	(void)folder;
	assert_int_equal(mkdir(lake, 0777), 0);
	assert_int_equal(disk_after_loss(j, loss, lake, &err), ST_OK);
	rc = power_loss_child(call_look, &call);
	shown = disk_journal_next(call.shared, &at);
	if (rc == 0 && (!notes.before || strcmp(shown->data, notes.before) != 0) &&
	    (!notes.after || strcmp(shown->data, notes.after) != 0)) {
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

static struct disk_journal *record(const char *folder, uint64_t seed)
{
	AUTO(freep) char *lake = xasprintf("%s/lake", folder);
	struct work_call call = {.dir = lake, .seed = seed, .journal = disk_journal_new()};

	assert_int_equal(mkdir(lake, 0777), 0);
	assert_int_equal(power_loss_child(call_work, &call), 0);
	return call.journal;
}

int main(int argc, char **argv)
{
	static const struct power_loss lakes = {.record = record, .try_loss = try_loss};

	return power_loss_main(&lakes, argc, argv);
}
