/* The export folder (connector/worker/export_folder.h) against a power loss at any moment.
 *
 * A child commits to a lake, which loses nothing here, and exports its branch, which goes
 * back now and then; what it does to the export's folder is recorded, and after each update
 * it notes the commit that was reported. The parent plays the journal to a random place and
 * lays out what a disk could hold after a power loss there (tests/lib/disk_model.h). Then
 * `current` shows what was reported last, or the commit of the update under way, complete
 * and with nothing beside it; and so it does after each of the next updates, to commits
 * whose folders may be there still.
 *
 *   test_export_loss [RUNS [SEED]] */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "connector/cli/folder_walk.h"
#include "connector/worker/export_folder.h"
#include "core/base/file.h"
#include "tests/crash/disk_recorder.h"
#include "tests/lib/lake_steps.h"
#include "tests/lib/must.h"
#include "tests/lib/power_loss.h"
#include "tests/lib/tempdir.h"

#define UPDATES 40

struct world {
	char *top, *lake_dir, *dir; /* the export's is top/out/export: top/out is recorded */
	struct rng rng;
	struct lake *lake;
	struct export_folder *folder;
};

static struct world world_in(const char *top, uint64_t seed)
{
	return (struct world){
		.top = xstrdup(top),
		.lake_dir = xasprintf("%s/lake", top),
		.dir = xasprintf("%s/out/export", top),
		.rng = rng_seeded(seed),
	};
}

static void world_release(struct world *w)
{
	export_folder_close(w->folder);
	lake_close(w->lake);
	free(w->top);
	free(w->lake_dir);
	free(w->dir);
}

/* ---- the work ---- */

/* Some files are in the kernel's cache, some in RocksDB; folders come and go. */
static void commit_some(struct world *w)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	struct lake_id head = head_of(w->lake, "main"), id;

	MUST(lake_txn_begin(w->lake, &head, &txn, &err));
	for (int n = 1 + (int)rng_below(&w->rng, 4); n > 0; n--) {
		AUTO(freep)
		char *path = xasprintf("t%d/p%d/f%d", (int)rng_below(&w->rng, 2),
				       (int)rng_below(&w->rng, 3), n);
		size_t len = rng_below(&w->rng, 6) ? 1 + rng_below(&w->rng, 2000) : 20000;
		AUTO(freep) char *data = noise(len, rng_below(&w->rng, 50));

		if (rng_below(&w->rng, 4) == 0)
			MUST(lake_txn_remove(txn, path, &err));
		else
			MUST(lake_txn_put_bytes(txn, path, data, len, NULL, NULL, &err));
	}
	MUST(lake_txn_commit(txn, "main", &head, "work", &id, &err));
}

static void go_back(struct world *w)
{
	struct lake_move move = {.kind = LAKE_BRANCH, .name = "main"};
	AUTO(freep) char *ref = xasprintf("main~%d", 1 + (int)rng_below(&w->rng, 3));

	move.expected = head_of(w->lake, "main");
	if (lake_resolve(w->lake, ref, &move.to, NULL) == ST_OK)
		MUST(lake_refs_move(w->lake, &move, 1, "back", &err));
}

static bool stops_soon(void *ctx)
{
	struct world *w = ctx;

	return rng_below(&w->rng, 4) > 0;
}

static void note(struct disk_journal *j, const struct lake_id *id)
{
	struct disk_op op = {.kind = DISK_MARK, .len = LAKE_ID_HEX_BYTES};
	char hex[LAKE_ID_HEX_BYTES];

	lake_id_hex(id, hex);
	disk_journal_add(j, &op, hex);
}

static void update(struct world *w, struct disk_journal *j)
{
	const struct export_options stops = {.goes_on = stops_soon, .ctx = w};
	const struct export_options options = {.goes_on = NULL};
	const bool may_stop = rng_below(&w->rng, 5) == 0, blocked = rng_below(&w->rng, 4) == 0;
	AUTO(freep) char *in_the_way = xasprintf("%s/.current", w->dir);
	struct lake_id head = head_of(w->lake, "main");
	struct export_count count;
	struct err err = ERR_INIT;
	enum status st;

	/* it fails behind the new folder's name, and the next one finds a folder too many */
	if (blocked)
		assert_int_equal(mkdir(in_the_way, 0777), 0);
	st = export_folder_update(w->folder, &head, may_stop ? &stops : &options, &count, &err);
	if (blocked)
		assert_int_equal(rmdir(in_the_way), 0);
	if (st == ST_OK)
		note(j, &head);
	else if (st != ST_INTERRUPTED && !blocked)
		fail_msg("%s", err.text);
}

static void work(struct world *w, struct disk_journal *j)
{
	for (int i = 0; i < UPDATES; i++) {
		if (rng_below(&w->rng, 4) == 0)
			go_back(w);
		else
			commit_some(w);
		if (rng_below(&w->rng, 8) == 0)
			export_folder_close(MOVE(w->folder));
		if (!w->folder)
			MUST(export_folder_open(w->lake, w->dir, &w->folder, &err));
		update(w, j);
	}
	assert_false(j->full);
}

/* ---- after the loss ---- */

/* Has the folder the commit's files, and no other? */
static bool holds(struct world *w, const char *folder, const struct lake_id *id)
{
	AUTO(folder_walk_release) struct folder_walk walk = {0};
	AUTO(lake_list_closep) struct lake_list *list = NULL;
	struct lake_entry e;
	bool same = true;
	size_t n = 0;

	if (folder_walk(folder, false, NULL, &walk, NULL) != ST_OK)
		return false;
	MUST(lake_list_open(w->lake, id, "", &list, &err));
	for (; lake_list_next(list, &e, NULL) == ST_OK; n++) {
		AUTO(freep) char *path = xasprintf("%s/%s", folder, e.path);
		AUTO(buf_release) struct buf found = BUF_INIT;
		char digest[LAKE_DIGEST_BYTES] = "";

		if (same && n < walk.n && strcmp(walk.files[n].path, e.path) == 0 &&
		    file_read(path, 1 << 20, &found, NULL) == ST_OK)
			lake_digest(buf_str(&found), found.len, digest);
		same = same && strcmp(digest, e.checksum) == 0;
		lake_entry_release(&e);
	}
	return same && n == walk.n;
}

static bool shows(struct world *w, const struct lake_id *id)
{
	AUTO(freep) char *current = xasprintf("%s/current", w->dir);
	struct lake_id shown = export_folder_shown(w->folder);

	return lake_id_equal(&shown, id) && holds(w, current, id);
}

/* NULL: it is as it should be. before: what was reported last; after: the next report. */
static const char *look(struct world *w, const char *before, const char *after)
{
	AUTO(freep) char *current = xasprintf("%s/current", w->dir);
	AUTO(freep) char *in_the_way = xasprintf("%s/.current", w->dir);
	struct lake_id shown;
	char hex[LAKE_ID_HEX_BYTES];

	(void)!rmdir(in_the_way); /* ours, see update() */
	if (export_folder_open(w->lake, w->dir, &w->folder, NULL) != ST_OK)
		return "the folder does not open";
	shown = export_folder_shown(w->folder);
	lake_id_hex(&shown, hex);
	if (lake_id_is_none(&shown))
		return before ? "what was reported is gone" : NULL;
	if (!holds(w, current, &shown))
		return "what is shown is not complete";
	if ((before && strcmp(hex, before) == 0) || (after && strcmp(hex, after) == 0))
		return NULL;
	return "another commit is shown than the last one reported, or the next";
}

/* A commit whose folder there is, or one of the branch's. */
static struct lake_id some_commit(struct world *w)
{
	AUTO(freep) char *ref = xasprintf("main~%d", (int)rng_below(&w->rng, 3));
	struct lake_id id = head_of(w->lake, "main"), named;
	DIR *d = rng_below(&w->rng, 3) ? opendir(w->dir) : NULL;
	struct dirent *e;
	uint64_t n = 0;

	(void)!lake_resolve(w->lake, ref, &id, NULL);
	while (d && (e = readdir(d)))
		if (lake_id_parse(e->d_name, &named) && rng_below(&w->rng, ++n) == 0)
			id = named;
	if (d)
		closedir(d);
	return id;
}

/* Folders that are there already must be what they are called. */
static const char *go_on(struct world *w)
{
	const struct export_options options = {.goes_on = NULL};

	for (int i = 0; i < 5; i++) {
		struct lake_id id = some_commit(w);
		struct export_count count;

		if (export_folder_update(w->folder, &id, &options, &count, NULL) != ST_OK)
			return "the next update fails";
		if (!shows(w, &id))
			return "after the next update something else is shown";
	}
	return NULL;
}

/* ---- processes ---- */

struct work_call {
	struct world *world;
	struct disk_journal *journal;
};

static int call_work(void *ctx)
{
	struct work_call *c = ctx;
	AUTO(freep) char *root = xasprintf("%s/out", c->world->top);

	c->world->lake = open_lake(c->world->lake_dir);
	disk_record(root, c->journal);
	work(c->world, c->journal);
	world_release(c->world);
	return 0;
}

struct look_call {
	struct world *world;
	struct power_loss_notes notes;
};

static int call_look(void *ctx)
{
	struct look_call *c = ctx;
	const char *why;

	c->world->lake = open_lake(c->world->lake_dir);
	why = look(c->world, c->notes.before, c->notes.after);
	if (!why)
		why = go_on(c->world);
	if (why)
		fprintf(stderr, "after the loss: %s\n", why);
	world_release(c->world);
	return why != NULL;
}

static int try_loss(const char *folder, const struct disk_journal *j, const struct disk_loss *loss)
{
	AUTO(tempdir_remove) char *top = tempdir_new();
	AUTO(freep) char *out = xasprintf("%s/out", top);
	AUTO(world_release) struct world w = world_in(top, loss->seed);
	struct look_call call = {.world = &w, .notes = power_loss_notes(j, loss->cut)};

	free(w.lake_dir);
	w.lake_dir = xasprintf("%s/lake", folder); /* which has lost nothing */
	assert_int_equal(mkdir(out, 0777), 0);
	MUST(disk_after_loss(j, loss, out, &err));
	return power_loss_child(call_look, &call);
}

static struct disk_journal *record(const char *folder, uint64_t seed)
{
	AUTO(freep) char *out = xasprintf("%s/out", folder);
	AUTO(world_release) struct world w = world_in(folder, seed);
	struct work_call call = {.world = &w, .journal = disk_journal_new()};

	assert_int_equal(mkdir(out, 0777), 0);
	assert_int_equal(power_loss_child(call_work, &call), 0);
	return call.journal;
}

int main(int argc, char **argv)
{
	static const struct power_loss exports = {.record = record, .try_loss = try_loss};

	return power_loss_main(&exports, argc, argv);
}
