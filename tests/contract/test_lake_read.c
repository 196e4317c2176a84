/* A lake that is opened to be read alone (LAKE_READ): it writes nothing, shows what
 * an owner would show, and refuses every call that would write. What damage
 * gives it: test_lake_damage.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/lake.h"
#include "tests/lib/child.h"
#include "tests/lib/lake_state.h"
#include "tests/lib/lake_steps.h"
#include "tests/lib/must.h"
#include "tests/lib/tempdir.h"
#include "tests/lib/virtual_clock.h"

static struct lake *open_to_read(const char *dir)
{
	static const struct lake_options read = {.access = LAKE_READ, .committer = "reader"};
	struct lake *lake = NULL;

	MUST(lake_open(dir, &read, &lake, &err));
	return lake;
}

/* ---- children: owners that die ---- */

/* Commits `a`, n times with that many bytes, and dies. */
static int child_commit(const char *dir, unsigned n, size_t len)
{
	struct lake *lake = open_lake(dir);

	for (unsigned i = 1; i <= n; i++) {
		AUTO(freep) char *data = noise(len, i);

		commit_bytes(lake, "main", "a", data, len);
	}
	_exit(0);
}

static int commit_and_die(const char *dir, unsigned n, size_t len, const char *kill_at)
{
	AUTO(freep) char *times = xasprintf("%u", n);
	AUTO(freep) char *bytes = xasprintf("%zu", len);
	AUTO(freep) char *at = xasprintf("TIDEMARK_KILL_AT=%s", kill_at ? kill_at : "");
	const char *argv[] = {"commit", dir, times, bytes, NULL};
	const char *env[] = {kill_at ? at : NULL, NULL};

	return child_run(argv, env, NULL);
}

static void assert_shows(struct lake *lake, unsigned n, size_t len)
{
	AUTO(freep) char *data = noise(len, n);

	assert_content(lake, "main", "a", data, len);
}

/* ---- what is in the folder ---- */

/* Names, sizes, inodes and times of all that is in the folder, itself included. */
static void look_into(const char *dir, struct buf *out)
{
	struct dirent **list = NULL;
	int n = scandir(dir, &list, NULL, alphasort);

	assert_true(n > 0);
	for (int i = 0; i < n; i++) {
		AUTO(freep) char *path = xasprintf("%s/%s", dir, list[i]->d_name);
		const char *name = list[i]->d_name;
		struct stat st;

		assert_int_equal(lstat(path, &st), 0);
		if (strcmp(name, "..") != 0)
			buf_addf(out, "%s %" PRIu64 " %" PRIu64 " %" PRId64 ".%09ld\n", path,
				 (uint64_t)st.st_ino, (uint64_t)st.st_size, (int64_t)st.st_mtime,
				 st.st_mtim.tv_nsec);
		if (S_ISDIR(st.st_mode) && name[0] != '.')
			look_into(path, out);
		free(list[i]);
	}
	free(list);
}

/* Reads everything there is; returns whether the folder changed by it. */
static bool read_all_of(const char *dir, unsigned n, size_t len)
{
	AUTO(buf_release) struct buf before = BUF_INIT;
	AUTO(buf_release) struct buf after = BUF_INIT;
	AUTO(buf_release) struct buf seen = BUF_INIT;
	struct lake *lake;

	look_into(dir, &before);
	lake = open_to_read(dir);
	MUST(lake_state(lake, &seen, &err));
	assert_shows(lake, n, len);
	lake_close(lake);
	look_into(dir, &after);
	return strcmp(buf_str(&before), buf_str(&after)) != 0;
}

/* ---- opening ---- */

static void a_reader_changes_no_file(void **state)
{
	AUTO(tempdir_remove) char *dir = tempdir_new();
	AUTO(freep) char *data = noise(20000, 1);
	AUTO(freep) char *left = xasprintf("%s/tmp/upload-7", dir);
	struct lake *lake = open_lake(dir);

	(void)state;
	commit_bytes(lake, "main", "a", data, 20000);
	make_branch(lake, "dev");
	stage(lake, "dev", "b", "staged");
	lake_close(lake);
	MUST(file_replace(left, "x", 1, &err)); /* the next owner's to remove */
	for (int i = 0; i < 3; i++)
		assert_false(read_all_of(dir, 1, 20000));
	lake_close(open_lake(dir)); /* which makes a table of the log */
	assert_false(read_all_of(dir, 1, 20000));
}

static void a_reader_sees_what_a_killed_owner_committed(void **state)
{
	AUTO(tempdir_remove) char *dir = tempdir_new();

	(void)state;
	assert_int_equal(commit_and_die(dir, 5, 300, NULL), 0);
	for (int i = 0; i < 2; i++)
		assert_false(read_all_of(dir, 5, 300));
}

/* It may be in the log and not yet on disk; what is shown does not go away. */
static void what_nobody_acknowledged_is_made_durable_before_it_is_shown(void **state)
{
	static const char *const places[] = {"lake.batch.after:4", "lake.sequence.write:4"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		AUTO(tempdir_remove) char *dir = tempdir_new();
		int rc = commit_and_die(dir, 5, 300, places[i]);

		assert_true(WIFSIGNALED(rc));
		assert_true(read_all_of(dir, 3, 300)); /* the first write made the lake */
		assert_false(read_all_of(dir, 3, 300));
	}
}

static void a_long_log_becomes_a_table_once(void **state)
{
	AUTO(tempdir_remove) char *dir = tempdir_new();

	(void)state;
	assert_int_equal(commit_and_die(dir, 30, 15000, NULL), 0);
	assert_true(read_all_of(dir, 30, 15000));
	assert_false(read_all_of(dir, 30, 15000));
}

static void a_reader_makes_no_lake(void **state)
{
	static const struct lake_options read = {.access = LAKE_READ};
	AUTO(tempdir_remove) char *dir = tempdir_new();
	AUTO(freep) char *missing = xasprintf("%s/missing", dir);
	struct lake *lake = NULL;

	(void)state;
	MUST_SAY(ST_NOT_FOUND, "init", lake_open(missing, &read, &lake, &err));
	assert_false(file_exists(missing));
	MUST_SAY(ST_USAGE, "no lake", lake_open(dir, &read, &lake, &err));
	assert_null(lake);
}

/* ---- who may not write ---- */

/* As a user that may not; 0: read, 1: an owner would be refused, as it must. */
static int child_read_only(const char *dir, unsigned n, size_t len)
{
	const struct lake_options own = {.access = LAKE_OWN};
	struct lake *lake = NULL;

	if (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0)
		_exit(2);
	MUST_SAY(ST_IO, "LOCK", lake_open(dir, &own, &lake, &err));
	assert_false(read_all_of(dir, n, len));
	_exit(0); /* a leak checker has lost its rights too */
}

static int read_without_rights(const char *dir, unsigned n, size_t len)
{
	AUTO(freep) char *forbid = xasprintf("chmod -R a+rX,a-w '%s'", dir);
	AUTO(freep) char *permit = xasprintf("chmod -R u+w '%s'", dir);
	AUTO(freep) char *times = xasprintf("%u", n);
	AUTO(freep) char *bytes = xasprintf("%zu", len);
	const char *argv[] = {"read-only", dir, times, bytes, NULL};
	int rc;

	assert_int_equal(system(forbid), 0);
	rc = child_run(argv, NULL, NULL);
	assert_int_equal(system(permit), 0);
	return rc;
}

static void a_reader_needs_no_right_to_write(void **state)
{
	AUTO(tempdir_remove) char *dir = tempdir_new();

	(void)state;
	assert_int_equal(commit_and_die(dir, 5, 300, NULL), 0);
	assert_int_equal(read_without_rights(dir, 5, 300), 0);
	assert_int_equal(commit_and_die(dir, 30, 15000, NULL), 0);
	assert_int_equal(read_without_rights(dir, 30, 15000), 0); /* the long log too */
}

static void without_that_right_nothing_is_shown_that_may_go_away(void **state)
{
	AUTO(tempdir_remove) char *dir = tempdir_new();
	int rc = commit_and_die(dir, 5, 300, "lake.sequence.write:4");

	(void)state;
	assert_true(WIFSIGNALED(rc));
	assert_int_not_equal(read_without_rights(dir, 3, 300), 0);
	assert_true(read_all_of(dir, 3, 300));
	assert_int_equal(read_without_rights(dir, 3, 300), 0);
}

/* ---- beside others ---- */

static void no_owner_comes_while_it_is_read(void **state)
{
	AUTO(tempdir_remove) char *dir = tempdir_new();
	struct virtual_clock clock;
	const struct lake_options own = {.access = LAKE_OWN, .clock = &clock.clock};
	struct lake *lake = open_lake(dir);
	struct lake *second = NULL;

	(void)state;
	lake_close(lake);
	virtual_clock_init(&clock, 1700000000000);
	lake = open_to_read(dir);
	MUST(lake_serve(lake, NULL, NULL, &err)); /* does nothing */
	MUST_SAY(ST_BUSY, "being read", lake_open(dir, &own, &second, &err));
	lake_close(lake);
	MUST(lake_open(dir, &own, &second, &err));
	lake_close(second);
}

/* Also where the first of them found a log that had to be made a table of. */
static void several_read_at_once(void **state)
{
	AUTO(tempdir_remove) char *dir = tempdir_new();
	struct lake *first, *second;

	(void)state;
	assert_int_equal(commit_and_die(dir, 30, 15000, NULL), 0);
	first = open_to_read(dir);
	second = open_to_read(dir);
	assert_shows(first, 30, 15000);
	lake_close(first);
	assert_shows(second, 30, 15000);
	first = open_to_read(dir);
	lake_close(second);
	assert_shows(first, 30, 15000);
	lake_close(first);
}

static enum status answer(void *ctx, const char *method, const char *in, struct buf *out,
			  struct err *err)
{
	(void)ctx, (void)in, (void)err;
	buf_addf(out, "{\"method\":\"%s\"}", method);
	return ST_OK;
}

static void readers_go_through_the_owner(void **state)
{
	AUTO(tempdir_remove) char *dir = tempdir_new();
	struct lake *owner = open_lake(dir);
	AUTO(buf_release) struct buf out = BUF_INIT;

	(void)state;
	MUST(lake_serve(owner, answer, NULL, &err));
	for (unsigned i = 1; i <= 2; i++) {
		AUTO(freep) char *data = noise(300, i);
		struct lake *lake;

		commit_bytes(owner, "main", "a", data, 300);
		lake = open_to_read(dir);
		assert_false(lake_is_owner(lake));
		assert_shows(lake, i, 300);
		MUST(lake_call(lake, "status", "{}", &out, &err));
		lake_close(lake);
	}
	lake_close(owner);
}

/* ---- refusals ---- */

#define REFUSED(call) MUST_SAY(ST_FAILED, "for reading alone", call)

static void assert_refuses_commits(struct lake *lake, const struct lake_id *head)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	const struct lake_merge merge = {.source = *head, .dest = *head};
	const struct lake_revert revert = {.commits = head, .n = 1};
	struct lake_conflicts conflicts = {.paths = NULL};
	struct lake_id id;

	MUST(lake_txn_begin(lake, head, &txn, &err));
	REFUSED(lake_txn_put_bytes(txn, "x", "x", 1, NULL, NULL, &err));
	MUST(lake_txn_remove(txn, "a", &err));
	REFUSED(lake_txn_prepare(txn, &id, &err));
	REFUSED(lake_txn_commit(txn, "main", head, "test", &id, &err));
	REFUSED(lake_merge_prepare(lake, &merge, &id, &conflicts, &err));
	REFUSED(lake_revert_prepare(lake, head, &revert, &id, &conflicts, &err));
	REFUSED(lake_cherry_pick_prepare(lake, head, head, 0, &id, &conflicts, &err));
}

static void assert_refuses_writes(struct lake *lake)
{
	const struct lake_id head = head_of(lake, "main");
	const struct lake_move move = {.kind = LAKE_TAG, .name = "t", .to = head};
	const struct lake_gc_options gc = {.grace_ms = 0};
	struct lake_gc_report freed;
	struct lake_backup_report backup = {.objects = 0};
	struct lake_upload *up = NULL;
	struct lake_id id;

	REFUSED(lake_refs_move(lake, &move, 1, "test", &err));
	REFUSED(lake_branch_protect(lake, "dev", "", &err));
	REFUSED(lake_branch_reset(lake, "dev", &head, &err));
	REFUSED(lake_upload_open(lake, &up, &err));
	REFUSED(lake_stage_remove(lake, "dev", "a", &err));
	REFUSED(lake_stage_commit(lake, "dev", "test", NULL, &id, &err));
	REFUSED(lake_stage_discard(lake, "dev", &err));
	REFUSED(lake_gc(lake, &gc, &freed, &err));
	REFUSED(lake_backup(lake, "/nowhere/at/all", &backup, &err));
	assert_refuses_commits(lake, &head);
}

static void assert_checks(struct lake *lake)
{
	AUTO(lake_fsck_report_release) struct lake_fsck_report report = {.n = 0};
	const struct lake_fsck_options options = {.quick = false};

	MUST(lake_fsck(lake, &options, &report, &err));
	assert_int_equal(report.damaged, 0);
}

static void what_would_write_is_refused(void **state)
{
	AUTO(tempdir_remove) char *dir = tempdir_new();
	AUTO(buf_release) struct buf before = BUF_INIT;
	AUTO(buf_release) struct buf after = BUF_INIT;
	struct lake *lake = open_lake(dir);

	(void)state;
	commit_bytes(lake, "main", "a", "1", 1);
	make_branch(lake, "dev");
	stage(lake, "dev", "b", "staged");
	MUST(lake_serve(lake, NULL, NULL, &err));
	MUST(lake_state(lake, &before, &err));
	for (int owned = 0; owned < 2; owned++) {
		struct lake *reader;

		if (owned)
			lake_close(MOVE(lake));
		reader = open_to_read(dir);
		assert_int_equal(lake_is_owner(reader), owned);
		assert_refuses_writes(reader);
		assert_checks(reader);
		buf_release(&after);
		MUST(lake_state(reader, &after, &err));
		assert_string_equal(buf_str(&after), buf_str(&before));
		lake_close(reader);
	}
}

/* ---- the commands ---- */

static const struct reading_command {
	const char *words[4]; /* behind --lake DIR */
	int exit_code;
} reading_commands[] = {
	{{"log"}, 0},
	{{"show", "main"}, 0},
	{{"diff", "main~1", "main"}, 0},
	{{"ls", "main:"}, 0},
	{{"cat", "main:a"}, 0},
	{{"stat", "main:a"}, 0},
	{{"changes", "dev"}, 0},
	{{"reflog"}, 0},
	{{"branch"}, 0},
	{{"tag"}, 0},
	{{"status"}, 0},
	{{"sql", "SELECT count(*) FROM \"lake$commits\""}, 0},
	{{"find", "topic:0:0"}, 5}, /* no connector has been here */
	{{"checkpoint", "none"}, 5},
};

static void commands_that_read_change_no_file(void **state)
{
	AUTO(tempdir_remove) char *dir = tempdir_new();
	struct lake *lake = open_lake(dir);

	(void)state;
	commit_bytes(lake, "main", "a", "1", 1);
	make_branch(lake, "dev");
	stage(lake, "dev", "b", "staged");
	lake_close(lake);
	for (size_t i = 0; i < ARRAY_SIZE(reading_commands); i++) {
		const struct reading_command *c = &reading_commands[i];
		const char *argv[] = {"--lake", dir, c->words[0], c->words[1], c->words[2], NULL};
		AUTO(buf_release) struct buf before = BUF_INIT;
		AUTO(buf_release) struct buf after = BUF_INIT;
		AUTO(buf_release) struct buf said = BUF_INIT;
		int rc;

		look_into(dir, &before);
		rc = child_tidemark(argv, NULL, &said);
		look_into(dir, &after);
		if (!WIFEXITED(rc) || WEXITSTATUS(rc) != c->exit_code)
			fail_msg("%s ends with %x: %s", c->words[0], rc, buf_str(&said));
		if (strcmp(buf_str(&before), buf_str(&after)) != 0)
			fail_msg("%s changed the lake's folder:\n%s\n%s", c->words[0],
				 buf_str(&before), buf_str(&after));
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reader_changes_no_file),
		cmocka_unit_test(a_reader_sees_what_a_killed_owner_committed),
		cmocka_unit_test(what_nobody_acknowledged_is_made_durable_before_it_is_shown),
		cmocka_unit_test(a_long_log_becomes_a_table_once),
		cmocka_unit_test(a_reader_makes_no_lake),
		cmocka_unit_test(a_reader_needs_no_right_to_write),
		cmocka_unit_test(without_that_right_nothing_is_shown_that_may_go_away),
		cmocka_unit_test(no_owner_comes_while_it_is_read),
		cmocka_unit_test(several_read_at_once),
		cmocka_unit_test(readers_go_through_the_owner),
		cmocka_unit_test(what_would_write_is_refused),
		cmocka_unit_test(commands_that_read_change_no_file),
	};

	if (argc == 5 && strcmp(argv[1], "read-only") == 0)
		return child_read_only(argv[2], (unsigned)atoi(argv[3]),
				       strtoul(argv[4], NULL, 10));
	if (argc == 5 && strcmp(argv[1], "commit") == 0)
		return child_commit(argv[2], (unsigned)atoi(argv[3]), strtoul(argv[4], NULL, 10));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
