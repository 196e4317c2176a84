/* Backups and restores that die at every kill point.
 *
 * A backup that dies leaves the backup before it, or itself, whole: what is
 * restored is one of the two states. A restore that dies leaves no lake, or
 * the whole one; and the next one, or the next backup, goes through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/lake.h"
#include "tests/lib/child.h"
#include "tests/lib/lake_state.h"
#include "tests/lib/lake_steps.h"
#include "tests/lib/must.h"
#include "tests/lib/tempdir.h"

/* ---- children ---- */

static void commit_noise(struct lake *lake, const char *path, uint64_t seed)
{
	AUTO(freep) char *data = noise(50000, seed);

	commit_bytes(lake, "main", path, data, 50000);
}

static int child_first(const char *dir)
{
	struct lake *lake = open_lake(dir);

	commit_noise(lake, "a", 1);
	commit_noise(lake, "b", 2);
	make_branch(lake, "dev");
	lake_close(lake);
	return 0;
}

/* b's object is nobody's any more then. */
static int child_second(const char *dir)
{
	const struct lake_gc_options options = {.grace_ms = 0};
	struct lake *lake = open_lake(dir);
	struct lake_gc_report report;
	struct lake_id first = head_of(lake, "main~1");
	struct lake_move moves[] = {{.kind = LAKE_BRANCH, .name = "main"},
				    {.kind = LAKE_BRANCH, .name = "dev"}};

	moves[0].expected = moves[1].expected = head_of(lake, "main");
	moves[0].to = first;
	MUST(lake_refs_move(lake, moves, 2, "second", &err));
	MUST(lake_gc(lake, &options, &report, &err));
	commit_noise(lake, "c", 3);
	lake_close(lake);
	return 0;
}

static int say(enum status st, const struct err *err)
{
	printf("%s", err->text);
	return st == ST_OK ? 0 : 10 + (int)st;
}

static int child_backup(const char *dir, const char *to)
{
	AUTO(lake_backup_report_release) struct lake_backup_report r = {.objects = 0};
	struct err err = ERR_INIT;
	struct lake *lake = open_lake(dir);
	enum status st = lake_backup(lake, to, &r, &err);

	lake_close(lake);
	return say(st, &err);
}

static int child_restore(const char *dir, const char *from)
{
	AUTO(lake_backup_report_release) struct lake_backup_report r = {.objects = 0};
	struct err err = ERR_INIT;
	enum status st = lake_restore(dir, from, NULL, NULL, &r, &err);

	return say(st, &err);
}

/* The state of a lake that is whole; create: as a worker opens it. */
static int child_state(const char *dir, const char *create)
{
	const struct lake_options options = {.access = LAKE_OWN, .create = create[0] == 'c'};
	const struct lake_fsck_options full = {.quick = false};
	AUTO(lake_fsck_report_release) struct lake_fsck_report report = {.n = 0};
	AUTO(buf_release) struct buf text = BUF_INIT;
	struct err err = ERR_INIT;
	struct lake *lake = NULL;
	enum status st = lake_open(dir, &options, &lake, &err);

	if (st == ST_OK)
		st = lake_fsck(lake, &full, &report, &err);
	if (st == ST_OK && report.damaged)
		st = err_set(&err, ST_DAMAGED, "%s", report.items[0].text);
	if (st == ST_OK)
		st = lake_state(lake, &text, &err);
	lake_close(lake);
	printf("%s", buf_str(&text));
	return say(st, &err);
}

/* ---- the parent ---- */

static struct buf states[2]; /* before and after the second step */

static int run(const char *mode, const char *a, const char *b, const char *env, struct buf *out)
{
	const char *argv[] = {mode, a, b, NULL};
	const char *envs[] = {env, NULL};

	return child_run(argv, env ? envs : NULL, out);
}

static void good(const char *mode, const char *a, const char *b, struct buf *out)
{
	AUTO(buf_release) struct buf own = BUF_INIT;
	int rc = run(mode, a, b, NULL, out ? out : &own);

	if (rc != 0)
		fail_msg("%s %s: %x: %s", mode, a, rc, buf_str(out ? out : &own));
}

struct place {
	char *dir, *lake, *backup, *restored, *trace;
};

static void place_release(struct place *p)
{
	free(p->lake);
	free(p->backup);
	free(p->restored);
	free(p->trace);
	tempdir_remove(&p->dir);
}

static struct place place_new(void)
{
	struct place p = {.dir = tempdir_new()};

	p.lake = xasprintf("%s/lake", p.dir);
	p.backup = xasprintf("%s/backup", p.dir);
	p.restored = xasprintf("%s/restored", p.dir);
	p.trace = xasprintf("%s/trace", p.dir);
	return p;
}

/* The lake at its second state, its first in the backup. */
static void prepare(const struct place *p)
{
	good("first", p->lake, "", NULL);
	good("backup", p->lake, p->backup, NULL);
	good("second", p->lake, "", NULL);
}

static int make_states(void **state)
{
	AUTO(place_release) struct place p = place_new();

	(void)state;
	good("first", p.lake, "", NULL);
	good("state", p.lake, "", &states[0]);
	good("second", p.lake, "", NULL);
	good("state", p.lake, "", &states[1]);
	assert_string_not_equal(states[0].data, states[1].data);
	return 0;
}

static int free_states(void **state)
{
	(void)state;
	buf_release(&states[0]);
	buf_release(&states[1]);
	return 0;
}

/* Times and so ids differ from lake to lake: states are compared without them. */
static void strip(struct buf *text)
{
	size_t to = 0;

	for (size_t i = 0; i < text->len;) {
		size_t digits = strspn(text->data + i, "0123456789abcdef");

		if (digits < 40) {
			digits = digits ? digits : 1;
			memmove(text->data + to, text->data + i, digits);
			to += digits;
		}
		i += digits;
	}
	text->len = to;
	text->data[to] = '\0';
}

static int which_state(const char *lake)
{
	AUTO(buf_release) struct buf found = BUF_INIT;

	good("state", lake, "", &found);
	strip(&found);
	for (int i = 0; i < 2; i++) {
		AUTO(buf_release) struct buf known = BUF_INIT;

		buf_addbuf(&known, &states[i]);
		strip(&known);
		if (strcmp(known.data, found.data) == 0)
			return i;
	}
	fail_msg("neither state: %s", found.data);
	return -1;
}

/* Calls each() for each kill point that the mode passes, and each time. */
static void sweep(const char *mode, const char *prefix,
		  void (*each)(const char *env, const char *mode), unsigned at_least)
{
	AUTO(place_release) struct place p = place_new();
	AUTO(freep) char *env = xasprintf("TIDEMARK_KILL_TRACE=%s", p.trace);
	AUTO(buf_release) struct buf trace = BUF_INIT;
	char *seen[256], *save = NULL;
	unsigned n = 0;

	prepare(&p);
	assert_int_equal(
		run(mode, strcmp(mode, "backup") == 0 ? p.lake : p.restored, p.backup, env, NULL),
		0);
	MUST(file_read(p.trace, 1 << 20, &trace, &err));
	for (char *name = strtok_r(trace.data, "\n", &save); name;
	     name = strtok_r(NULL, "\n", &save)) {
		AUTO(freep) char *kill = NULL;
		unsigned times = 1;

		if (strncmp(name, prefix, strlen(prefix)) != 0)
			continue;
		for (unsigned i = 0; i < n; i++)
			times += strcmp(seen[i], name) == 0;
		assert_true(n < ARRAY_SIZE(seen));
		seen[n++] = name;
		kill = xasprintf("TIDEMARK_KILL_AT=%s:%u", name, times);
		each(kill, mode);
	}
	printf("%u kills\n", n);
	assert_true(n >= at_least);
}

static void killed(int rc, const char *env)
{
	if (!WIFSIGNALED(rc) || WTERMSIG(rc) != SIGKILL)
		fail_msg("%s: was not killed (%x)", env, rc);
}

static void kill_backup(const char *env, const char *mode)
{
	AUTO(place_release) struct place p = place_new();
	AUTO(freep) char *again = xasprintf("%s/again", p.dir);

	prepare(&p);
	killed(run(mode, p.lake, p.backup, env, NULL), env);
	good("restore", p.restored, p.backup, NULL);
	which_state(p.restored); /* one of them */
	good("backup", p.lake, p.backup, NULL);
	good("restore", again, p.backup, NULL);
	if (which_state(again) != 1)
		fail_msg("%s: the next backup is not what the lake is", env);
}

static void kill_first_backup(const char *env, const char *mode)
{
	AUTO(place_release) struct place p = place_new();

	good("first", p.lake, "", NULL);
	if (!WIFSIGNALED(run(mode, p.lake, p.backup, env, NULL)))
		return; /* what only a second backup passes */
	good("backup", p.lake, p.backup, NULL);
	good("restore", p.restored, p.backup, NULL);
	assert_int_equal(which_state(p.restored), 0);
}

static void kill_restore(const char *env, const char *mode)
{
	AUTO(place_release) struct place p = place_new();
	AUTO(buf_release) struct buf out = BUF_INIT;
	int rc;

	prepare(&p);
	killed(run(mode, p.restored, p.backup, env, NULL), env);
	rc = run("state", p.restored, "create", NULL, &out);
	if (rc == 0) { /* all was there */
		assert_int_equal(which_state(p.restored), 0);
		return;
	}
	if (!strstr(buf_str(&out), "restore was interrupted"))
		fail_msg("%s: a worker would go on with it: %s", env, buf_str(&out));
	good("restore", p.restored, p.backup, NULL);
	assert_int_equal(which_state(p.restored), 0);
}

static void survives_a_kill_in_every_backup(void **state)
{
	(void)state;
	sweep("backup", "backup.", kill_backup, 8);
	sweep("backup", "backup.", kill_first_backup, 8);
}

static void survives_a_kill_in_every_restore(void **state)
{
	(void)state;
	sweep("restore", "restore.", kill_restore, 6);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(survives_a_kill_in_every_backup),
		cmocka_unit_test(survives_a_kill_in_every_restore),
	};

	if (argc == 4 && strcmp(argv[1], "first") == 0)
		return child_first(argv[2]);
	if (argc == 4 && strcmp(argv[1], "second") == 0)
		return child_second(argv[2]);
	if (argc == 4 && strcmp(argv[1], "backup") == 0)
		return child_backup(argv[2], argv[3]);
	if (argc == 4 && strcmp(argv[1], "restore") == 0)
		return child_restore(argv[2], argv[3]);
	if (argc == 4 && strcmp(argv[1], "state") == 0)
		return child_state(argv[2], argv[3]);
	return cmocka_run_group_tests(tests, make_states, free_states);
}
