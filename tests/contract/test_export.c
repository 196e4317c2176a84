/* publish.export: the folder against what the lake holds, after random commits
 * and resets; what a reader may rely on; deaths at every kill point; what is
 * refused; and the thread that follows the target. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "connector/cli/folder_walk.h"
#include "connector/history/state.h"
#include "connector/worker/export_folder.h"
#include "connector/worker/exporter.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "tests/lib/child.h"
#include "tests/lib/lake_steps.h"
#include "tests/lib/must.h"
#include "tests/lib/tempdir.h"
#include "tests/lib/virtual_clock.h"

#define ROUNDS 100
#define KILL_ROUNDS 40

struct world {
	char *top, *lake_dir, *dir;
	struct rng rng;
	struct lake *lake;
	struct export_folder *folder;
};

static const struct export_options no_stop = {.goes_on = NULL};

static int setup(void **state)
{
	struct world *w = xcalloc(1, sizeof(*w));

	log_set_level(LOG_ERROR);
	w->top = tempdir_new();
	w->lake_dir = xasprintf("%s/lake", w->top);
	w->dir = xasprintf("%s/out/export", w->top);
	w->rng = rng_seeded(21);
	w->lake = open_lake(w->lake_dir);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	export_folder_close(w->folder);
	lake_close(w->lake);
	tempdir_remove(&w->top);
	free(w->lake_dir);
	free(w->dir);
	free(w);
	return 0;
}

static void open_folder(struct world *w)
{
	MUST(export_folder_open(w->lake, w->dir, &w->folder, &err));
}

/* ---- random commits ---- */

static void drop_under(struct world *w, struct lake_txn *txn, const struct lake_id *head,
		       const char *folder)
{
	AUTO(freep) char *prefix = xasprintf("%s/", folder);
	AUTO(lake_list_closep) struct lake_list *list = NULL;
	struct lake_entry e;

	MUST(lake_list_open(w->lake, head, prefix, &list, &err));
	while (lake_list_next(list, &e, NULL) == ST_OK) {
		MUST(lake_txn_remove(txn, e.path, &err));
		lake_entry_release(&e);
	}
}

/* A file may become a folder, and a folder a file. */
static void commit_one(struct world *w, const char *path, bool remove)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	AUTO(freep) char *parent = xstrdup(path);
	struct lake_id head = head_of(w->lake, "main"), id;
	size_t len = rng_below(&w->rng, 4) ? rng_below(&w->rng, 500) : 40000;
	AUTO(freep) char *data = noise(len + 1, rng_below(&w->rng, 20));
	char *slash;

	MUST(lake_txn_begin(w->lake, &head, &txn, &err));
	if (!remove) {
		drop_under(w, txn, &head, path);
		while ((slash = strrchr(parent, '/'))) {
			*slash = '\0';
			MUST(lake_txn_remove(txn, parent, &err));
		}
		MUST(lake_txn_put_bytes(txn, path, data, len, NULL, NULL, &err));
	} else {
		MUST(lake_txn_remove(txn, path, &err));
	}
	MUST(lake_txn_commit(txn, "main", &head, "test", &id, &err));
}

static void random_commits(struct world *w)
{
	static const char *const parts[] = {"a", "b", "topics", "x.avro", "\xc3\xbc"};

	for (int n = 1 + (int)rng_below(&w->rng, 6); n > 0; n--) {
		AUTO(buf_release) struct buf path = BUF_INIT;

		for (int depth = (int)rng_below(&w->rng, 4); depth >= 0; depth--)
			buf_addf(&path, "%s%s", parts[rng_below(&w->rng, ARRAY_SIZE(parts))],
				 depth ? "/" : "");
		commit_one(w, buf_str(&path), rng_below(&w->rng, 4) == 0);
	}
}

static void go_back(struct world *w)
{
	struct lake_move move = {.kind = LAKE_BRANCH, .name = "main"};
	AUTO(freep) char *ref = xasprintf("main~%d", 1 + (int)rng_below(&w->rng, 10));

	move.expected = head_of(w->lake, "main");
	if (lake_resolve(w->lake, ref, &move.to, NULL) == ST_OK)
		MUST(lake_refs_move(w->lake, &move, 1, "back", &err));
}

/* ---- checks ---- */

/* The folder has the commit's files, all of them and no other, as they are. */
static size_t assert_holds(struct world *w, const char *folder, const struct lake_id *id)
{
	AUTO(folder_walk_release) struct folder_walk walk = {0};
	AUTO(lake_list_closep) struct lake_list *list = NULL;
	struct lake_entry e;
	size_t n = 0;

	MUST(folder_walk(folder, false, NULL, &walk, &err));
	MUST(lake_list_open(w->lake, id, "", &list, &err));
	for (; lake_list_next(list, &e, NULL) == ST_OK; n++) {
		AUTO(freep) char *path = xasprintf("%s/%s", folder, e.path);
		AUTO(buf_release) struct buf found = BUF_INIT;
		char digest[LAKE_DIGEST_BYTES];
		struct stat s;

		if (n >= walk.n || strcmp(walk.files[n].path, e.path) != 0)
			fail_msg("%s is missing", path);
		MUST(file_read(path, 1 << 20, &found, &err));
		lake_digest(buf_str(&found), found.len, digest);
		assert_string_equal(digest, e.checksum);
		assert_int_equal(stat(path, &s), 0);
		assert_int_equal(s.st_mode & 0222, 0);
		lake_entry_release(&e);
	}
	assert_int_equal(n, walk.n);
	return n;
}

static void assert_folder(struct world *w, const char *name, const struct lake_id *id)
{
	AUTO(freep) char *path = xasprintf("%s/%s", w->dir, name);

	(void)assert_holds(w, path, id);
}

static bool has(struct world *w, const struct lake_id *id)
{
	char hex[LAKE_ID_HEX_BYTES];
	AUTO(freep) char *path = NULL;

	lake_id_hex(id, hex);
	path = xasprintf("%s/%s", w->dir, hex);
	return file_exists(path);
}

static size_t count_entries(const char *dir)
{
	DIR *d = opendir(dir);
	size_t n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static size_t diff_size(struct world *w, const struct lake_id *a, const struct lake_id *b)
{
	AUTO(lake_diff_closep) struct lake_diff *diff = NULL;
	struct lake_diff_entry e;
	size_t n = 0;

	MUST(lake_diff_open(w->lake, a, b, "", &diff, &err));
	for (; lake_diff_next(diff, &e, NULL) == ST_OK; n++)
		free(e.path);
	return n;
}

static void test_random(void **state)
{
	struct world *w = *state;
	struct lake_id shown[4] = {0}; /* now, before, before that, ... */
	size_t by_diff = 0, linked = 0;

	open_folder(w);
	for (int round = 0; round < ROUNDS; round++) {
		struct export_count count;
		struct lake_id head;

		if (rng_below(&w->rng, 6) == 0)
			go_back(w);
		else
			random_commits(w);
		if (rng_below(&w->rng, 20) == 0) { /* a restart */
			export_folder_close(MOVE(w->folder));
			open_folder(w);
		}
		head = head_of(w->lake, "main");
		MUST(export_folder_update(w->folder, &head, &no_stop, &count, &err));
		if (!lake_id_equal(&head, &shown[0])) {
			bool was_there = lake_id_equal(&head, &shown[1]);

			memmove(&shown[1], &shown[0], 3 * sizeof(shown[0]));
			shown[0] = head;
			if (!was_there && round > 10 && !lake_id_is_none(&shown[3])) {
				size_t most = diff_size(w, &shown[3], &head);

				/* unless a step back left no spare folder */
				by_diff += count.copied + count.linked + count.removed <= most;
			}
		}
		linked += count.linked;
		assert_folder(w, "current", &head);
		/* who resolved `current` before it moved reads on */
		if (!lake_id_is_none(&shown[1])) {
			char hex[LAKE_ID_HEX_BYTES];

			lake_id_hex(&shown[1], hex);
			assert_folder(w, hex, &shown[1]);
		}
		/* the mark, current, two folders, a spare one */
		assert_in_range(count_entries(w->dir), 2, 5);
	}
	assert_true(linked > ROUNDS);
	assert_true(by_diff > ROUNDS / 2);
}

/* Nothing done to exported files reaches the lake. */
static void test_apart_from_the_lake(void **state)
{
	struct world *w = *state;
	const struct lake_fsck_options full = {.quick = false};
	AUTO(lake_fsck_report_release) struct lake_fsck_report report = {.n = 0};
	AUTO(folder_walk_release) struct folder_walk walk = {0};
	AUTO(freep) char *current = xasprintf("%s/current", w->dir);
	struct export_count count;
	struct lake_id head;

	open_folder(w);
	for (int i = 0; i < 30; i++)
		random_commits(w);
	head = head_of(w->lake, "main");
	MUST(export_folder_update(w->folder, &head, &no_stop, &count, &err));
	MUST(folder_walk(current, false, NULL, &walk, &err));
	assert_true(walk.n > 5);
	for (size_t i = 0; i < walk.n; i++) {
		AUTO(freep) char *path = xasprintf("%s/%s", current, walk.files[i].path);
		FILE *f;

		assert_int_equal(chmod(path, 0644), 0);
		f = fopen(path, "w");
		assert_non_null(f);
		fputs("changed", f);
		fclose(f);
	}
	MUST(lake_fsck(w->lake, &full, &report, &err));
	assert_int_equal(report.damaged, 0);
}

static bool never(void *ctx)
{
	(void)ctx;
	return false;
}

static void test_stopped(void **state)
{
	struct world *w = *state;
	const struct export_options stop = {.goes_on = never};
	AUTO(freep) char *next = xasprintf("%s/.next", w->dir);
	struct export_count count;
	struct lake_id before, head;

	open_folder(w);
	commit_one(w, "first", false);
	before = head_of(w->lake, "main");
	MUST(export_folder_update(w->folder, &before, &no_stop, &count, &err));
	commit_one(w, "second", false);
	head = head_of(w->lake, "main");
	MUST_BE(ST_INTERRUPTED, export_folder_update(w->folder, &head, &stop, &count, &err));
	assert_folder(w, "current", &before);
	assert_false(file_exists(next));
	assert_false(has(w, &head));
}

static void test_refused(void **state)
{
	struct world *w = *state;
	AUTO(freep) char *foreign = xasprintf("%s/foreign", w->top);
	AUTO(freep) char *file = xasprintf("%s/foreign/mine", w->top);
	struct export_folder *other = NULL;

	MUST(dir_create_all(foreign, &err));
	MUST(file_replace(file, "x", 1, &err));
	MUST_SAY(ST_EXISTS, "holds mine", export_folder_open(w->lake, foreign, &other, &err));
	assert_int_equal(count_entries(foreign), 1);
	open_folder(w);
	MUST_SAY(ST_BUSY, "another connector", export_folder_open(w->lake, w->dir, &other, &err));
	assert_null(other);
}

/* A folder that another lake was exported to: nothing of it stays in `current`. */
static void test_another_lake(void **state)
{
	struct world *w = *state;
	AUTO(freep) char *dir = xasprintf("%s/lake2", w->top);
	struct export_count count;
	struct lake_id head;

	open_folder(w);
	for (int i = 0; i < 4; i++) {
		random_commits(w);
		head = head_of(w->lake, "main");
		MUST(export_folder_update(w->folder, &head, &no_stop, &count, &err));
	}
	export_folder_close(MOVE(w->folder));
	lake_close(w->lake);
	w->lake = open_lake(dir);
	open_folder(w);
	for (int i = 0; i < 4; i++) {
		random_commits(w);
		head = head_of(w->lake, "main");
		MUST(export_folder_update(w->folder, &head, &no_stop, &count, &err));
		assert_folder(w, "current", &head);
	}
}

/* ---- deaths ---- */

static int child_update(const char *lake_dir, const char *dir)
{
	struct world w = {.lake = open_lake(lake_dir), .dir = (char *)dir};
	struct lake_id head = head_of(w.lake, "main");
	struct export_count count;

	open_folder(&w);
	MUST(export_folder_update(w.folder, &head, &no_stop, &count, &err));
	export_folder_close(w.folder);
	lake_close(w.lake);
	return 0;
}

static void test_deaths(void **state)
{
	static const char *const points[] = {"export_file", "export_built", "export_named",
					     "export_linked", "export_switched"};
	struct world *w = *state;
	struct lake_id before = {{0}};
	int died[ARRAY_SIZE(points)] = {0};

	for (int round = 0; round < KILL_ROUNDS; round++) {
		size_t point = (size_t)round % ARRAY_SIZE(points);
		AUTO(freep)
		char *env = xasprintf("TIDEMARK_KILL_AT=%s:%d", points[point],
				      point ? 1 : 1 + (int)rng_below(&w->rng, 5));
		const char *argv[] = {"update", w->lake_dir, w->dir, NULL};
		const char *envs[] = {env, NULL};
		struct export_count count;
		struct lake_id head, shown;
		int rc;

		if (round % 7 == 6)
			go_back(w);
		else
			random_commits(w);
		head = head_of(w->lake, "main");
		lake_close(MOVE(w->lake));
		rc = child_run(argv, envs, NULL);
		died[point] += WIFSIGNALED(rc) && WTERMSIG(rc) == SIGKILL;
		w->lake = open_lake(w->lake_dir);
		open_folder(w);
		shown = export_folder_shown(w->folder);
		if (lake_id_is_none(&before) && lake_id_is_none(&shown))
			assert_int_equal(round, 0);
		else
			assert_true(lake_id_equal(&shown, &before) || lake_id_equal(&shown, &head));
		if (!lake_id_is_none(&shown))
			assert_folder(w, "current", &shown);
		/* now and then the next update comes for another commit */
		if (round % 3 == 0)
			random_commits(w);
		else if (round % 3 == 1)
			go_back(w);
		head = head_of(w->lake, "main");
		MUST(export_folder_update(w->folder, &head, &no_stop, &count, &err));
		assert_folder(w, "current", &head);
		assert_in_range(count_entries(w->dir), 2, 5);
		before = head;
		export_folder_close(MOVE(w->folder));
	}
	for (size_t i = 0; i < ARRAY_SIZE(points); i++)
		if (died[i] < 5)
			fail_msg("%s killed only %d times", points[i], died[i]);
}

/* ---- the thread ---- */

/* Waits for the thread; the test fails after a minute. */
static void await(struct world *w, bool (*done)(struct world *w))
{
	const struct timespec pause = {.tv_nsec = 2000000};

	for (int i = 0; i < 30000 && !done(w); i++)
		nanosleep(&pause, NULL);
	assert_true(done(w));
}

static bool in_step(struct world *w)
{
	AUTO(freep) char *path = xasprintf("%s/current", w->dir);
	struct lake_id head = head_of(w->lake, "main");
	char target[LAKE_ID_HEX_BYTES], hex[LAKE_ID_HEX_BYTES];
	ssize_t n = readlink(path, target, sizeof(target) - 1);

	target[n < 0 ? 0 : n] = '\0';
	lake_id_hex(&head, hex);
	return strcmp(target, hex) == 0;
}

static bool failure_recorded(struct world *w)
{
	AUTO(buf_release) struct buf text = BUF_INIT;

	return state_read(w->lake, "orders", STATE_EXPORT, &text, NULL) == ST_OK &&
	       strstr(buf_str(&text), "File name too long");
}

static bool no_failure_recorded(struct world *w)
{
	AUTO(buf_release) struct buf text = BUF_INIT;

	return state_read(w->lake, "orders", STATE_EXPORT, &text, NULL) == ST_NOT_FOUND;
}

static void test_thread(void **state)
{
	struct world *w = *state;
	struct config config = {.name = "orders", .target = "main", .export_dir = w->dir};
	struct virtual_clock clock;
	struct exporter *e = NULL, *second = NULL;
	struct lake_id before;
	char longest[300];

	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	virtual_clock_init(&clock, 1700000000000);
	random_commits(w);
	{
		AUTO(freep) char *inside = xasprintf("%s/not/yet/there", lake_url(w->lake) + 5);

		config.export_dir = inside;
		MUST_SAY(ST_USAGE, "inside the lake's folder",
			 exporter_start(&config, w->lake, &clock.clock, NULL, &e, &err));
		config.export_dir = w->dir;
	}
	MUST(exporter_start(&config, w->lake, &clock.clock, NULL, &e, &err));
	await(w, in_step);
	MUST_SAY(ST_USAGE, "publish.export=",
		 exporter_start(&config, w->lake, &clock.clock, NULL, &second, &err));
	random_commits(w);
	go_back(w);
	await(w, in_step);

	/* a name that no file system takes; `current` stays, and then catches up */
	before = head_of(w->lake, "main");
	commit_one(w, longest, false);
	await(w, failure_recorded);
	assert_folder(w, "current", &before);
	commit_one(w, longest, true);
	commit_one(w, "good", false);
	virtual_clock_advance(&clock, 60000);
	await(w, in_step);
	await(w, no_failure_recorded);

	/* the last one, which nobody has waited for */
	exporter_stop(e, false);
	commit_one(w, "late", false);
	MUST(exporter_start(&config, w->lake, &clock.clock, NULL, &e, &err));
	exporter_stop(e, true);
	assert_true(in_step(w));
	config.export_dir = NULL;
	MUST(exporter_start(&config, w->lake, &clock.clock, NULL, &e, &err));
	assert_null(e);
	exporter_stop(e, true);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_random, setup, teardown),
		cmocka_unit_test_setup_teardown(test_apart_from_the_lake, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stopped, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_another_lake, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deaths, setup, teardown),
		cmocka_unit_test_setup_teardown(test_thread, setup, teardown),
	};

	if (argc == 4 && strcmp(argv[1], "update") == 0)
		return child_update(argv[2], argv[3]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
