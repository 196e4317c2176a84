/* gc without any patience (no grace, no reflog) beside committers, mergers,
 * stagers, people who make and delete branches, and readers, all at once. Whoever
 * loses is refused cleanly and begins again; nobody ever meets damage; and at
 * the end the lake holds exactly what is reached, whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/lake.h"
#include "tests/lib/gc_model.h"
#include "tests/lib/lake_steps.h"
#include "tests/lib/must.h"
#include "tests/lib/tempdir.h"

enum { ROUNDS = 60, LARGE = 17000, CONTENTS = 40 };

struct race {
	struct lake *lake;
	atomic_int running; /* threads that write */
	atomic_uint collected;
};

struct racer {
	struct race *race;
	unsigned number;
	unsigned done;
	struct rng rng;
};

/* cmocka's checks belong to the main thread. */
static void check(enum status st, const struct err *err, const char *what)
{
	if (st == ST_OK || st == ST_CONFLICT || st == ST_NOT_FOUND || st == ST_EMPTY)
		return;
	fprintf(stderr, "%s: %s: %s\n", what, status_name(st), err->text);
	abort();
}

/* Few contents, so that what one writes another's gc is about to free. */
static enum status put_content(struct racer *r, struct lake_upload **out, struct err *err)
{
	uint64_t seed = rng_below(&r->rng, CONTENTS);
	size_t len = seed % 2 ? LARGE : 60;
	AUTO(freep) char *data = noise(len, seed);
	AUTO(lake_upload_freep) struct lake_upload *up = NULL;
	enum status st = lake_upload_open(r->race->lake, &up, err);

	if (st == ST_OK)
		st = lake_upload_write(up, data, len, err);
	if (st == ST_OK)
		st = lake_upload_finish(up, err);
	if (st == ST_OK)
		*out = MOVE(up);
	return st;
}

static void any_path(struct racer *r, char out[32])
{
	snprintf(out, 32, "d%u/%u", r->number, (unsigned)rng_below(&r->rng, 8));
}

/* Prepares, loses, rebases: until it has won. */
static void commit_to(struct racer *r, const char *branch)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	struct lake *lake = r->race->lake;
	struct err err = ERR_INIT;
	struct lake_id head, id;
	char path[32];
	enum status st = lake_ref_get(lake, LAKE_BRANCH, branch, &head, &err);

	if (st == ST_OK)
		st = lake_txn_begin(lake, &head, &txn, &err);
	any_path(r, path);
	if (st == ST_OK) {
		struct lake_upload *up = NULL;

		st = put_content(r, &up, &err);
		if (st == ST_OK)
			st = lake_txn_put(txn, path, up, NULL, NULL, &err);
	}
	while (st == ST_OK) {
		st = lake_txn_commit(txn, branch, &head, "race", &id, &err);
		check(st, &err, "commit");
		if (st == ST_OK) {
			r->done++;
			return;
		}
		st = lake_ref_get(lake, LAKE_BRANCH, branch, &head, &err);
		if (st == ST_OK)
			st = lake_txn_rebase(txn, &head, &err);
	}
	check(st, &err, "transaction");
}

static void *committer(void *arg)
{
	struct racer *r = arg;

	for (int i = 0; i < ROUNDS; i++)
		commit_to(r, "main");
	atomic_fetch_sub(&r->race->running, 1);
	return NULL;
}

static void move(struct racer *r, const char *name, const struct lake_id *from,
		 const struct lake_id *to)
{
	struct lake_move m = {.kind = LAKE_BRANCH, .name = name};
	struct err err = ERR_INIT;

	if (from)
		m.expected = *from;
	if (to)
		m.to = *to;
	check(lake_refs_move(r->race->lake, &m, 1, "race", &err), &err, "move");
}

/* A branch of its own: made, committed to, merged or not, deleted, and sometimes
 * brought back by its commit's id. */
static void *brancher(void *arg)
{
	struct racer *r = arg;
	struct lake *lake = r->race->lake;
	char name[16];

	snprintf(name, sizeof(name), "b%u", r->number);
	for (int i = 0; i < ROUNDS; i++) {
		struct lake_merge merge = {.strategy = LAKE_THEIRS};
		struct err err = ERR_INIT;
		struct lake_id head;
		enum status st = lake_ref_get(lake, LAKE_BRANCH, "main", &head, &err);

		check(st, &err, "main");
		move(r, name, NULL, &head);
		commit_to(r, name);
		check(lake_ref_get(lake, LAKE_BRANCH, name, &merge.source, &err), &err, "branch");
		merge.dest = head;
		st = rng_below(&r->rng, 2) ? lake_merge_prepare(lake, &merge, &head, NULL, &err)
					   : ST_EMPTY;
		check(st, &err, "merge");
		if (st == ST_OK)
			move(r, "main", &merge.dest, &head);
		move(r, name, &merge.source, NULL);
		if (rng_below(&r->rng, 2)) {
			move(r, name, NULL, &merge.source);
			if (lake_ref_get(lake, LAKE_BRANCH, name, &head, NULL) == ST_OK)
				move(r, name, &head, NULL);
		}
	}
	atomic_fetch_sub(&r->race->running, 1);
	return NULL;
}

static void *stager(void *arg)
{
	struct racer *r = arg;
	struct lake *lake = r->race->lake;

	for (int i = 0; i < ROUNDS; i++) {
		struct lake_upload *up = NULL;
		struct err err = ERR_INIT;
		struct lake_id id;
		char path[32];
		enum status st = put_content(r, &up, &err);

		any_path(r, path);
		check(st, &err, "upload");
		check(lake_stage_put(lake, "dev", path, up, NULL, NULL, &err), &err, "stage");
		if (rng_below(&r->rng, 3) == 0)
			check(lake_stage_commit(lake, "dev", "m", NULL, &id, &err), &err,
			      "stage commit");
	}
	atomic_fetch_sub(&r->race->running, 1);
	return NULL;
}

/* Everything of a head: read to its end, so hashed. */
static void read_all(struct lake *lake, const struct lake_id *id)
{
	AUTO(lake_list_closep) struct lake_list *list = NULL;
	struct err err = ERR_INIT;
	enum status st = lake_list_open(lake, id, "", &list, &err);

	while (st == ST_OK) {
		AUTO(buf_release) struct buf data = BUF_INIT;
		struct lake_entry entry;

		st = lake_list_next(list, &entry, &err);
		if (st == ST_END)
			return;
		if (st != ST_OK)
			break;
		st = lake_read(lake, id, entry.path, 1 << 20, &data, &err);
		lake_entry_release(&entry);
	}
	check(st, &err, "reading");
}

static void *reader(void *arg)
{
	struct racer *r = arg;
	static const char *const names[] = {"main", "dev", "b2", "b3"};

	while (atomic_load(&r->race->running) > 0) {
		struct lake_id id;

		if (lake_ref_get(r->race->lake, LAKE_BRANCH, names[rng_below(&r->rng, 4)], &id,
				 NULL) == ST_OK)
			read_all(r->race->lake, &id);
	}
	return NULL;
}

static void *collector(void *arg)
{
	static const struct lake_gc_options strict = {.reflog_retain_ms = 0};
	struct racer *r = arg;

	while (atomic_load(&r->race->running) > 0) {
		struct lake_gc_report report;
		struct err err = ERR_INIT;
		enum status st = lake_gc(r->race->lake, &strict, &report, &err);

		if (st != ST_OK) {
			fprintf(stderr, "gc: %s: %s\n", status_name(st), err.text);
			abort();
		}
		atomic_fetch_add(&r->race->collected, report.commits.freed + report.files.freed);
	}
	return NULL;
}

static void nothing_dangles(void **state)
{
	static void *(*const roles[])(void *) = {committer, committer, brancher, brancher,
						 stager,    reader,    collector};
	static const struct lake_gc_options strict = {.reflog_retain_ms = 0};
	AUTO(tempdir_remove) char *dir = tempdir_new();
	struct race race = {.lake = open_lake(dir)};
	struct racer racers[ARRAY_SIZE(roles)];
	pthread_t threads[ARRAY_SIZE(roles)];
	struct gc_model_count count;
	struct lake_gc_report report;
	struct lake_id head;

	(void)state;
	make_branch(race.lake, "dev");
	atomic_init(&race.running, 5);
	for (unsigned i = 0; i < ARRAY_SIZE(roles); i++) {
		racers[i] = (struct racer){.race = &race, .number = i, .rng = rng_seeded(i + 1)};
		assert_int_equal(pthread_create(&threads[i], NULL, roles[i], &racers[i]), 0);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(roles); i++)
		pthread_join(threads[i], NULL);
	/* Losing is no excuse on a branch that is always there. */
	assert_int_equal(racers[0].done, ROUNDS);
	assert_int_equal(racers[1].done, ROUNDS);
	assert_true(atomic_load(&race.collected) > 20);
	head = head_of(race.lake, "main");
	read_all(race.lake, &head);
	MUST(lake_gc(race.lake, &strict, &report, &err));
	lake_close(race.lake);
	gc_model_check(dir, &strict, clock_system()->wall_ms(clock_system()), &count);
	assert_true(count.commits > 2 * ROUNDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_dangles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
