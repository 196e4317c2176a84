/* The embedded lake's staged changes and branches where several threads are at
 * them: nothing acknowledged is lost, nothing taken back is committed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "core/base/killpoint.h"
#include "core/lake.h"
#include "tests/lib/lake_steps.h"
#include "tests/lib/must.h"
#include "tests/lib/tempdir.h"

static void keeps_staged_changes_over_a_restart(void **state)
{
	AUTO(tempdir_remove) char *dir = tempdir_new();
	AUTO(freep) char *large = noise(40000, 8);
	struct lake *lake = open_lake(dir);
	struct lake_upload *up = NULL;
	struct lake_changes changes;
	struct lake_id id;

	(void)state;
	make_branch(lake, "dev");
	stage(lake, "dev", "small", "text");
	MUST(lake_upload_open(lake, &up, &err));
	MUST(lake_upload_write(up, large, 40000, &err));
	MUST(lake_upload_finish(up, &err));
	MUST(lake_stage_put(lake, "dev", "large", up, NULL, NULL, &err));
	lake_close(lake);
	lake = open_lake(dir);
	MUST(lake_stage_changes(lake, "dev", &changes, &err));
	assert_int_equal(changes.n, 2);
	assert_string_equal(changes.items[0].path, "large");
	assert_int_equal(changes.items[1].change, LAKE_ADDED);
	lake_changes_release(&changes);
	MUST(lake_stage_commit(lake, "dev", "m", NULL, &id, &err));
	assert_content(lake, "dev", "large", large, 40000);
	assert_content(lake, "dev", "small", "text", 4);
	MUST_BE(ST_EMPTY, lake_stage_commit(lake, "dev", "m", NULL, &id, &err));
	/* A deleted branch takes its staged changes and protection with it. */
	stage(lake, "dev", "again", "x");
	MUST(lake_branch_protect(lake, "dev", "orders", &err));
	{
		struct lake_move gone = {.kind = LAKE_BRANCH, .name = "dev", .expected = id};

		MUST(lake_refs_move(lake, &gone, 1, "test", &err));
	}
	make_branch(lake, "dev");
	MUST(lake_stage_changes(lake, "dev", &changes, &err));
	assert_int_equal(changes.n, 0);
	lake_changes_release(&changes);
	stage(lake, "dev", "unprotected", "x");
	lake_close(lake);
}

struct stager {
	struct lake *lake;
	int first;
	atomic_int *running;
};

enum { STAGED_EACH = 60 };

static void *stage_many(void *arg)
{
	struct stager *s = arg;

	for (int i = 0; i < STAGED_EACH; i++) {
		char path[32];
		char text[32];

		snprintf(path, sizeof(path), "p/%04d", s->first + i);
		stage(s->lake, "dev", path, path);
		/* And one path again and again: a commit must not take the
		 * newer for the older. */
		snprintf(path, sizeof(path), "latest/%d", s->first);
		snprintf(text, sizeof(text), "%d", i);
		stage(s->lake, "dev", path, text);
	}
	atomic_fetch_sub(s->running, 1);
	return NULL;
}

/* Commits run against puts: each put is in exactly one commit, none is lost. */
static void loses_no_staged_change_to_a_commit(void **state)
{
	AUTO(tempdir_remove) char *dir = tempdir_new();
	struct lake *lake = open_lake(dir);
	atomic_int running = 2;
	struct stager stagers[2] = {{lake, 0, &running}, {lake, 1000, &running}};
	pthread_t threads[2];
	struct lake_id id;
	unsigned found = 0;
	struct err why = ERR_INIT;
	struct lake_list *list = NULL;
	enum status st = ST_OK;

	(void)state;
	make_branch(lake, "dev");
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, stage_many, &stagers[i]), 0);
	while (atomic_load(&running) > 0) {
		st = lake_stage_commit(lake, "dev", "m", NULL, &id, &why);
		assert_true(st == ST_OK || st == ST_EMPTY);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	st = lake_stage_commit(lake, "dev", "m", NULL, &id, &why);
	assert_true(st == ST_OK || st == ST_EMPTY);
	id = head_of(lake, "dev");
	MUST(lake_list_open(lake, &id, "p/", &list, &err));
	for (;;) {
		struct lake_entry entry;

		st = lake_list_next(list, &entry, &why);
		if (st != ST_OK)
			break;
		found++;
		lake_entry_release(&entry);
	}
	assert_int_equal(st, ST_END);
	assert_int_equal(found, 2 * STAGED_EACH);
	assert_content(lake, "dev", "latest/0", "59", 2);
	assert_content(lake, "dev", "latest/1000", "59", 2);
	lake_list_close(list);
	lake_close(lake);
}

/* What another thread does in the middle of a commit of staged changes: after
 * it has read them, before it moves the branch. */
struct interloper {
	struct lake *lake;
	void (*act)(struct lake *lake);
};

static void interlope(const char *name, void *ctx)
{
	struct interloper *i = ctx;

	if (!i->act || strcmp(name, "lake.commit.put") != 0)
		return;
	{
		void (*act)(struct lake * lake) = i->act;

		i->act = NULL;
		act(i->lake);
	}
}

static void takes_x_back(struct lake *lake)
{
	MUST(lake_stage_remove(lake, "dev", "x", &err));
}

static void stages_x_anew(struct lake *lake)
{
	stage(lake, "dev", "x", "newer");
}

static void moves_the_branch(struct lake *lake)
{
	commit_bytes(lake, "dev", "other", "moved", 5);
}

static enum status commit_against(struct lake *lake, void (*act)(struct lake *lake))
{
	struct interloper i = {.lake = lake, .act = act};
	struct err why = ERR_INIT;
	struct lake_id id;
	enum status st;

	stage(lake, "dev", "x", "older");
	kill_point_set_hook(interlope, &i);
	st = lake_stage_commit(lake, "dev", "m", NULL, &id, &why);
	kill_point_set_hook(NULL, NULL);
	assert_null(i.act);
	return st;
}

static void commits_exactly_what_is_staged(void **state)
{
	AUTO(tempdir_remove) char *dir = tempdir_new();
	AUTO(lake_changes_release) struct lake_changes changes = {.items = NULL};
	struct lake *lake = open_lake(dir);
	struct lake_entry entry;
	struct lake_id head;

	(void)state;
	make_branch(lake, "dev");
	assert_int_equal(commit_against(lake, takes_x_back), ST_EMPTY);
	head = head_of(lake, "dev");
	MUST_BE(ST_NOT_FOUND, lake_stat(lake, &head, "x", &entry, &err));
	assert_int_equal(commit_against(lake, stages_x_anew), ST_OK);
	assert_content(lake, "dev", "x", "older", 5);
	MUST(lake_stage_changes(lake, "dev", &changes, &err));
	assert_int_equal(changes.n, 1);
	MUST(lake_stage_commit(lake, "dev", "m", NULL, &head, &err));
	assert_content(lake, "dev", "x", "newer", 5);
	assert_int_equal(commit_against(lake, moves_the_branch), ST_OK);
	assert_content(lake, "dev", "x", "older", 5);
	assert_content(lake, "dev", "other", "moved", 5);
	lake_close(lake);
}

/* ---- concurrency of moves ---- */

struct mover {
	struct lake *lake;
	int won;
};

static void *move_many(void *arg)
{
	struct mover *m = arg;

	for (int done = 0; done < 40;) {
		AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
		struct lake_id head = head_of(m->lake, "main");
		struct err why = ERR_INIT;
		struct lake_id id;
		char path[32];
		enum status st;

		snprintf(path, sizeof(path), "%p-%d", (void *)m, done);
		MUST(lake_txn_begin(m->lake, &head, &txn, &err));
		MUST(lake_txn_put_bytes(txn, path, path, strlen(path), NULL, NULL, &err));
		st = lake_txn_commit(txn, "main", &head, "race", &id, &why);
		assert_true(st == ST_OK || st == ST_CONFLICT);
		if (st == ST_OK) {
			m->won++;
			done++;
		}
	}
	return NULL;
}

static void loses_no_commit_to_a_race(void **state)
{
	AUTO(tempdir_remove) char *dir = tempdir_new();
	struct lake *lake = open_lake(dir);
	struct mover movers[3] = {{lake, 0}, {lake, 0}, {lake, 0}};
	pthread_t threads[3];
	struct lake_commit head = {0};
	struct lake_reflog log;
	struct lake_id id;

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, move_many, &movers[i]), 0);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	id = head_of(lake, "main");
	MUST(lake_commit_read(lake, &id, &head, &err));
	assert_int_equal(head.generation, 1 + 3 * 40);
	lake_commit_release(&head);
	MUST(lake_reflog_read(lake, "main", 0, &log, &err));
	assert_int_equal(log.n, 1 + 3 * 40);
	lake_reflog_release(&log);
	lake_close(lake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_staged_changes_over_a_restart),
		cmocka_unit_test(loses_no_staged_change_to_a_commit),
		cmocka_unit_test(commits_exactly_what_is_staged),
		cmocka_unit_test(loses_no_commit_to_a_race),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
