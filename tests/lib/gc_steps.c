#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tests/lib/gc_steps.h"
#include "core/base/killpoint.h"
#include "tests/lib/lake_steps.h"
#include "tests/lib/must.h"
#include "tests/lib/tempdir.h"

struct virtual_clock gc_clock;
char *gc_dir;
struct lake *gc_lake;

void gc_reopen(void)
{
	const struct lake_options options = {.access = LAKE_OWN,
					     .create = true,
					     .clock = &gc_clock.clock,
					     .committer = "tester"};

	lake_close(gc_lake);
	gc_lake = NULL;
	MUST(lake_open(gc_dir, &options, &gc_lake, &err));
}

int gc_set_up(void **state)
{
	(void)state;
	virtual_clock_init(&gc_clock, 1700000000000);
	gc_dir = tempdir_new();
	gc_reopen();
	return 0;
}

int gc_tear_down(void **state)
{
	(void)state;
	kill_point_set_hook(NULL, NULL);
	lake_close(gc_lake);
	gc_lake = NULL;
	tempdir_remove(&gc_dir);
	return 0;
}

void pass_days(int n)
{
	virtual_clock_advance(&gc_clock, n * DAY_MS);
}

int64_t gc_now_ms(void)
{
	return gc_clock.clock.wall_ms(&gc_clock.clock);
}

const struct lake_gc_options gc_defaults = {.reflog_retain_ms = LAKE_GC_REFLOG_RETAIN_MS,
					    .grace_ms = LAKE_GC_GRACE_MS,
					    .trust_clock = true};
const struct lake_gc_options gc_strict = {.reflog_retain_ms = 0};
const struct lake_gc_options gc_retain_7 = {.history_retain_ms = 7 * DAY_MS,
					    .reflog_retain_ms = DAY_MS,
					    .grace_ms = DAY_MS,
					    .trust_clock = true};

struct lake_gc_report gc_collect(const struct lake_gc_options *options)
{
	struct lake_gc_report report;

	MUST(lake_gc(gc_lake, options, &report, &err));
	return report;
}

struct gc_model_count gc_check(const struct lake_gc_options *options)
{
	struct gc_model_count count;

	lake_close(gc_lake);
	gc_lake = NULL;
	gc_model_check(gc_dir, options, gc_now_ms(), &count);
	gc_reopen();
	return count;
}

struct lake_id commit_noise(const char *branch, const char *path, size_t len, uint64_t seed)
{
	AUTO(freep) char *data = noise(len, seed);

	return commit_bytes(gc_lake, branch, path, data, len);
}

void delete_ref(enum lake_ref_kind kind, const char *name)
{
	struct lake_move move = {.kind = kind, .name = name};

	MUST(lake_ref_get(gc_lake, kind, name, &move.expected, &err));
	MUST(lake_refs_move(gc_lake, &move, 1, "test", &err));
}

void make_ref(enum lake_ref_kind kind, const char *name, const struct lake_id *to)
{
	const struct lake_move move = {.kind = kind, .name = name, .to = *to};

	MUST(lake_refs_move(gc_lake, &move, 1, "test", &err));
}

enum status read_at(const struct lake_id *id, const char *path, struct err *err)
{
	AUTO(buf_release) struct buf data = BUF_INIT;

	return lake_read(gc_lake, id, path, 1 << 20, &data, err);
}

bool is_there(const struct lake_id *id)
{
	struct lake_commit c = {0};
	enum status st = lake_commit_read(gc_lake, id, &c, NULL);

	lake_commit_release(&c);
	assert_true(st == ST_OK || st == ST_NOT_FOUND);
	return st == ST_OK;
}

struct lake_id orphan(uint64_t seed)
{
	struct lake_id id;

	make_branch(gc_lake, "orphan");
	commit_noise("orphan", "o/large", LARGE, seed);
	id = commit_noise("orphan", "o/small", 100, seed + 1);
	delete_ref(LAKE_BRANCH, "orphan");
	return id;
}

static struct {
	const char *at;
	void (*act)(void); /* NULL: it is done */
} hook;

static void on_point(const char *name, void *ctx)
{
	void (*act)(void) = hook.act;

	(void)ctx;
	if (!act || strcmp(name, hook.at) != 0)
		return;
	hook.act = NULL;
	act();
}

struct lake_gc_report gc_collect_with(const struct lake_gc_options *options, const char *at,
				      void (*act)(void))
{
	struct lake_gc_report report;

	hook.at = at;
	hook.act = act;
	kill_point_set_hook(on_point, NULL);
	report = gc_collect(options);
	kill_point_set_hook(NULL, NULL);
	if (hook.act)
		fail_msg("'%s' was not passed", at);
	return report;
}

/* ---- what is no longer named ---- */

struct lake_id gc_garbage;

void bring_back(void)
{
	make_ref(LAKE_BRANCH, "back", &gc_garbage);
}

void build_on_garbage(void)
{
	struct lake_txn *txn = NULL;
	struct lake_move move = {.kind = LAKE_BRANCH, .name = "built"};

	MUST(lake_txn_begin(gc_lake, &gc_garbage, &txn, &err));
	MUST(lake_txn_put_bytes(txn, "x", "x", 1, NULL, NULL, &err));
	MUST(lake_txn_prepare(txn, &move.to, &err));
	MUST(lake_refs_move(gc_lake, &move, 1, "t", &err));
	lake_txn_free(txn);
}

void everything_is_whole(void)
{
	static const char *const names[] = {"main", "back", "built", "dev"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct lake_list *list = NULL;
		struct lake_entry entry;
		struct lake_id head;

		if (lake_resolve(gc_lake, names[i], &head, NULL) != ST_OK)
			continue;
		MUST(lake_list_open(gc_lake, &head, "", &list, &err));
		while (lake_list_next(list, &entry, NULL) == ST_OK) {
			MUST(read_at(&head, entry.path, &err));
			lake_entry_release(&entry);
		}
		lake_list_close(list);
	}
}
