/* The lake's commands, as people and scripts run them: what they print, plain
 * and as JSON, and their exit codes. All of it twice: once with nobody owning
 * the lake, once through the socket of this process, which owns it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/lake.h"
#include "tests/lib/must.h"
#include "tests/lib/tempdir.h"

struct fixture {
	char *dir; /* the commands' working folder; the lake is ./lake */
	char *program;
	struct lake *lake; /* where this process owns it */
	struct buf out;
	struct buf err;
};

/* build/<mode>/tests/contract/test_commands -> build/<mode>/tidemark */
static char *program_path(void)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	assert_true(n > 0);
	self[n] = '\0';
	for (int i = 0; i < 3; i++)
		*strrchr(self, '/') = '\0';
	return xasprintf("%s/tidemark", self);
}

/* Runs the shell's words after "tidemark"; its output is in f->out, f->err. */
static int run(struct fixture *f, const char *words)
{
	AUTO(freep) char *err_file = xasprintf("%s/stderr", f->dir);
	AUTO(freep)
	char *command = xasprintf("cd %s && tidemark() { %s \"$@\"; } && tidemark %s 2>%s", f->dir,
				  f->program, words, err_file);
	FILE *p = popen(command, "r");
	char data[4096];
	size_t n;
	int rc;

	assert_non_null(p);
	buf_clear(&f->out);
	buf_clear(&f->err);
	while ((n = fread(data, 1, sizeof(data), p)) > 0)
		buf_add(&f->out, data, n);
	rc = pclose(p);
	MUST(file_read(err_file, 1 << 20, &f->err, &err));
	assert_true(WIFEXITED(rc));
	return WEXITSTATUS(rc);
}

static void expect(struct fixture *f, int code, const char *words)
{
	int rc = run(f, words);

	if (rc != code)
		fail_msg("tidemark %s: exit code %d, wanted %d\n%s%s", words, rc, code,
			 buf_str(&f->out), buf_str(&f->err));
	/* An error is one line, and says something. */
	if (code != 0) {
		assert_true(strncmp(buf_str(&f->err), "tidemark: ", 10) == 0);
		assert_ptr_equal(strchr(f->err.data, '\n'), f->err.data + f->err.len - 1);
	}
}

#define OK(words) expect(f, 0, words)

static void out_is(struct fixture *f, const char *text)
{
	assert_string_equal(buf_str(&f->out), text);
}

static void out_has(struct fixture *f, const char *text)
{
	if (!strstr(buf_str(&f->out), text))
		fail_msg("'%s' is not in:\n%s", text, buf_str(&f->out));
}

static void err_has(struct fixture *f, const char *text)
{
	if (!strstr(buf_str(&f->err), text))
		fail_msg("'%s' is not in: %s", text, buf_str(&f->err));
}

/* The n-th line of the output as an object; to be released. */
static json_t *line(struct fixture *f, size_t n)
{
	const char *p = buf_str(&f->out);
	json_t *object;

	for (size_t i = 0; i < n && p; i++) {
		p = strchr(p, '\n');
		p = p ? p + 1 : NULL;
	}
	assert_non_null(p);
	object = json_loadb(p, strcspn(p, "\n"), 0, NULL);
	assert_true(json_is_object(object));
	return object;
}

static size_t count_lines(const struct fixture *f)
{
	size_t n = 0;

	for (size_t i = 0; i < f->out.len; i++)
		n += f->out.data[i] == '\n';
	return n;
}

static void field_is(struct fixture *f, size_t n, const char *key, const char *value)
{
	json_t *object = line(f, n);

	assert_non_null(json_string_value(json_object_get(object, key)));
	assert_string_equal(json_string_value(json_object_get(object, key)), value);
	json_decref(object);
}

static char *id_of(struct fixture *f, const char *ref)
{
	AUTO(freep) char *words = xasprintf("log %s -n 1 --json", ref);
	json_t *object;
	char *id;

	OK(words);
	object = line(f, 0);
	id = xstrdup(json_string_value(json_object_get(object, "id")));
	json_decref(object);
	return id;
}

/* ---- fixtures ---- */

static struct fixture *fixture_new(void)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	unsetenv("TIDEMARK_LAKE");
	f->dir = tempdir_new();
	f->program = program_path();
	OK("init");
	return f;
}

static int setup_unowned(void **state)
{
	*state = fixture_new();
	return 0;
}

static int setup_owned(void **state)
{
	struct fixture *f = fixture_new();
	AUTO(freep) char *dir = xasprintf("%s/lake", f->dir);
	const struct lake_options own = {.access = LAKE_OWN};

	MUST(lake_open(dir, &own, &f->lake, &err));
	MUST(lake_serve(f->lake, NULL, NULL, &err));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	lake_close(f->lake);
	tempdir_remove(&f->dir);
	free(f->program);
	buf_release(&f->out);
	buf_release(&f->err);
	free(f);
	return 0;
}

/* ---- tests ---- */

static void usage(void **state)
{
	struct fixture *f = *state;

	OK("--help");
	out_has(f, "commands:");
	OK("help merge");
	out_has(f, "usage: tidemark [--lake URL] [--json] merge SOURCE DEST");
	OK("merge --help");
	out_has(f, "three-way");
	expect(f, 2, "");
	expect(f, 2, "mrege a b");
	err_has(f, "did you mean 'merge'");
	expect(f, 2, "log --first-parnt");
	err_has(f, "did you mean --first-parent");
	expect(f, 2, "log -n x");
	expect(f, 2, "log -n");
	expect(f, 2, "merge main");
	err_has(f, "usage: tidemark merge");
	expect(f, 2, "init too many");
	expect(f, 2, "--nonsense log");
	OK("version");
	out_has(f, "rocksdb");
	OK("version --json");
	field_is(f, 0, "version", TIDEMARK_VERSION);
}

static void which_lake(void **state)
{
	struct fixture *f = *state;

	expect(f, 5, "--lake missing branch");
	err_has(f, "init");
	expect(f, 2, "--lake . branch");
	expect(f, 1, "init");
	err_has(f, "already");
	OK("branch --lake file:lake");
	out_has(f, "main");
	setenv("TIDEMARK_LAKE", "missing", 1);
	expect(f, 5, "branch");
	OK("--lake=lake branch");
	setenv("TIDEMARK_LAKE", "./lake/", 1);
	OK("branch");
	unsetenv("TIDEMARK_LAKE");
	OK("--lake second --json init");
	out_has(f, "/second\"");
}

static void refs(void **state)
{
	struct fixture *f = *state;
	AUTO(freep) char *first = id_of(f, "main");
	AUTO(freep) char *by_id = xasprintf("branch by-id %.8s", first);

	OK("branch dev");
	OK("branch other dev --json");
	field_is(f, 0, "name", "other");
	field_is(f, 0, "commit", first);
	OK(by_id);
	OK("tag v1 main");
	OK("tag --json");
	field_is(f, 0, "name", "v1");
	field_is(f, 0, "commit", first);
	OK("branch --json");
	assert_int_equal(count_lines(f), 4);
	field_is(f, 3, "name", "other");
	expect(f, 1, "branch dev");
	expect(f, 2, "branch bad/name");
	expect(f, 2, "branch -- -x");
	expect(f, 5, "branch new nowhere");
	expect(f, 5, "log main~1");
	expect(f, 5, "branch -d nowhere");
	expect(f, 1, "branch -d main");
	err_has(f, "protected");
	OK("branch -d other");
	OK("tag -d v1");
	OK("tag");
	out_is(f, "");
	OK("reflog other --json");
	assert_int_equal(count_lines(f), 2);
	field_is(f, 0, "from", first);
	field_is(f, 1, "to", first);
	OK("reflog -n 1");
	out_has(f, "v1");
	assert_int_equal(count_lines(f), 1);
	expect(f, 5, "reflog nowhere");
}

static void staged_changes(void **state)
{
	struct fixture *f = *state;

	OK("branch dev");
	expect(f, 1, "put main:x - </dev/null");
	err_has(f, "protected");
	expect(f, 5, "put nowhere:x - </dev/null");
	expect(f, 5, "put dev:x no-such-file");
	expect(f, 2, "put dev:a//b - </dev/null");
	expect(f, 2, "put dev - </dev/null");
	expect(f, 2, "put dev:x - --meta novalue </dev/null");
	OK("put dev:a/one - --meta k=v=w --content-type text/plain <<'END'\nhello\nEND\n");
	OK("put dev:big /bin/sh --json");
	field_is(f, 0, "path", "big");
	OK("changes dev");
	out_is(f, "A  a/one\nA  big\n");
	OK("ls dev");
	out_is(f, "");
	expect(f, 5, "cat dev:a/one");
	expect(f, 2, "commit dev");
	OK("commit dev -m 'two files' --meta job=60c3fa");
	OK("commit dev -m again");
	err_has(f, "nothing is staged");
	OK("cat dev:a/one");
	out_is(f, "hello\n");
	OK("cat dev:big | cmp - /bin/sh");
	OK("stat dev:a/one --json");
	field_is(f, 0, "path", "a/one");
	field_is(f, 0, "content_type", "text/plain");
	field_is(f, 0, "checksum",
		 "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
	OK("stat dev:a/one");
	out_has(f, "k = v=w");
	OK("rm dev:a/one");
	expect(f, 5, "rm dev:a/one");
	expect(f, 5, "rm dev:nothing");
	OK("put dev:big - </dev/null");
	OK("put dev:new - </dev/null");
	OK("changes dev --json");
	assert_int_equal(count_lines(f), 3);
	field_is(f, 0, "type", "removed");
	field_is(f, 1, "type", "changed");
	field_is(f, 2, "type", "added");
	OK("discard dev");
	OK("changes dev");
	out_is(f, "");
	OK("cat dev:a/one");
}

static void listing(void **state)
{
	struct fixture *f = *state;

	OK("branch dev");
	OK("put dev:t/orders/p0/f1 - <<'END'\n1\nEND\n");
	OK("put dev:t/orders/p1/f2 - <<'END'\n2\nEND\n");
	OK("put dev:t/orders.old - </dev/null");
	OK("put dev:top - </dev/null");
	OK("commit dev -m files");
	OK("ls dev");
	out_is(f, "           -  t/\n           0  top\n");
	OK("ls dev:t");
	out_is(f, "           0  t/orders.old\n           -  t/orders/\n");
	OK("ls dev:t/orders/");
	out_is(f, "           -  t/orders/p0/\n           -  t/orders/p1/\n");
	OK("ls dev:t/ord -r");
	out_is(f, "           0  t/orders.old\n           2  t/orders/p0/f1\n           2  "
		  "t/orders/p1/f2\n");
	OK("ls -r dev:t/orders --json");
	assert_int_equal(count_lines(f), 2);
	field_is(f, 0, "path", "t/orders/p0/f1");
	field_is(f, 0, "content_type", "");
	OK("ls dev:nothing");
	out_is(f, "");
	OK("ls dev~1");
	out_is(f, "");
	OK("put dev:ten - <<'END'\n012345678\nEND\n");
	OK("commit dev -m ten");
	OK("cat dev:ten --offset 3 --length 4");
	out_is(f, "3456");
	OK("cat dev:ten --length 2");
	out_is(f, "01");
	OK("cat dev:ten --offset 8 --length 100");
	out_is(f, "8\n");
	OK("cat dev:ten --offset 10");
	out_is(f, "");
	expect(f, 2, "cat dev:ten --offset 11");
	err_has(f, "10 bytes");
	expect(f, 2, "cat dev:ten --offset -1");
	OK("reset dev --to dev~1");
	expect(f, 5, "ls nowhere");
	expect(f, 5, "stat dev:t/orders");
	OK("export dev:t/orders out");
	OK("version; cat out/p0/f1 out/p1/f2");
	out_has(f, "1\n2\n");
	expect(f, 1, "export dev out");
	err_has(f, "not empty");
	OK("export dev all --json");
	OK("version; find all -type f | sort | tr '\\n' ' '");
	out_has(f, "all/t/orders.old all/t/orders/p0/f1 all/t/orders/p1/f2 all/top");
}

static void history(void **state)
{
	struct fixture *f = *state;
	AUTO(freep) char *first = id_of(f, "main");
	json_t *object;

	OK("branch dev");
	OK("put dev:a/x - </dev/null");
	OK("commit dev -m 'first line\nsecond' --meta tidemark.records=12 --meta "
	   "tidemark.ranges='{\"orders\":{\"0\":[1000,1200]}}'");
	OK("put dev:b/y - </dev/null");
	OK("commit dev -m second");
	OK("log dev");
	out_has(f, "  first line\n    records 12, ranges orders/0 [1000,1200)\n");
	assert_int_equal(count_lines(f), 4);
	OK("log dev --json");
	assert_int_equal(count_lines(f), 3);
	field_is(f, 0, "message", "second");
	field_is(f, 1, "message", "first line\nsecond");
	field_is(f, 2, "id", first);
	object = line(f, 1);
	assert_string_equal(
		json_string_value(json_array_get(json_object_get(object, "parents"), 0)), first);
	assert_string_equal(json_string_value(json_object_get(json_object_get(object, "metadata"),
							      "tidemark.records")),
			    "12");
	assert_non_null(strchr(json_string_value(json_object_get(object, "time")), 'Z'));
	json_decref(object);
	OK("log dev -n2 --prefix a/ --json");
	assert_int_equal(count_lines(f), 1);
	/* A merge that takes a side's state as it is only carries it on. */
	OK("branch side main");
	OK("put side:c/z - </dev/null");
	OK("commit side -m third");
	OK("merge side dev -m joined");
	OK("log dev --prefix c/ --json");
	assert_int_equal(count_lines(f), 1);
	field_is(f, 0, "message", "third");
	OK("log dev --prefix c --first-parent --json");
	assert_int_equal(count_lines(f), 1);
	field_is(f, 0, "message", "joined");
	OK("log dev --prefix '' -n 1 --json");
	field_is(f, 0, "message", "joined");
	OK("log dev --prefix nothing");
	out_is(f, "");
	OK("reset dev --to dev~1");
	OK("branch -d side");
	OK("log -n 0");
	out_is(f, "");
	OK("show dev~1");
	out_has(f, "tidemark.records = 12\n");
	out_has(f, "A  a/x\n");
	OK("show dev --json");
	field_is(f, 0, "message", "second");
	OK("diff main dev");
	out_is(f, "A  a/x\nA  b/y\n");
	OK("diff dev main --prefix b --json");
	out_is(f, "{\"type\":\"removed\",\"path\":\"b/y\"}\n");
	OK("diff dev dev");
	out_is(f, "");
}

static void merging(void **state)
{
	struct fixture *f = *state;

	OK("branch dev");
	OK("branch other");
	OK("put dev:x - <<'END'\ndev\nEND\n");
	OK("commit dev -m dev");
	OK("put other:x - <<'END'\nother\nEND\n");
	OK("commit other -m other");
	OK("merge dev main -m 'take dev'");
	OK("log -n 1 --json");
	field_is(f, 0, "message", "take dev");
	OK("merge dev main");
	err_has(f, "already holds");
	expect(f, 4, "merge other main");
	out_is(f, "conflict  x\n");
	expect(f, 4, "--json merge other main");
	out_is(f, "{\"type\":\"conflict\",\"path\":\"x\"}\n");
	OK("cat main:x");
	out_is(f, "dev\n");
	expect(f, 2, "merge other main --strategy mine");
	OK("merge other main --strategy theirs --json");
	OK("cat main:x");
	out_is(f, "other\n");
	OK("log main --first-parent --json");
	assert_int_equal(count_lines(f), 3);
	OK("log main --json");
	assert_int_equal(count_lines(f), 5);
	expect(f, 5, "merge nowhere main");
	expect(f, 5, "merge main nowhere");
	/* Both merges go, in one step; then the first alone cannot. */
	OK("revert main main main~1");
	OK("ls main");
	out_is(f, "");
	OK("revert main main");
	OK("cat main:x");
	out_is(f, "other\n");
	expect(f, 4, "revert main main~3");
	out_is(f, "conflict  x\n");
	expect(f, 2, "revert main main~4");
	expect(f, 1, "reset main --to main~1");
	err_has(f, "protected");
	OK("reset dev --to dev~1");
	OK("ls dev");
	out_is(f, "");
	expect(f, 2, "reset dev");
}

static void picking(void **state)
{
	struct fixture *f = *state;
	json_t *object;

	OK("branch dev");
	OK("put dev:x - <<'END'\n1\nEND\n");
	OK("commit dev -m 'the fix' --meta ticket=7 --meta tidemark.records=1");
	OK("put dev:y - <<'END'\n1\nEND\n");
	OK("commit dev -m more");
	OK("cherry-pick main dev~1");
	out_has(f, "picked as ");
	OK("ls main");
	out_is(f, "           2  x\n");
	OK("log -n 1 --json");
	field_is(f, 0, "message", "the fix");
	object = line(f, 0);
	assert_int_equal(json_object_size(json_object_get(object, "metadata")), 3);
	json_decref(object);
	/* Nothing to do is fine, as in merge. */
	OK("cherry-pick main dev~1");
	err_has(f, "already");
	OK("merge dev main");
	expect(f, 2, "cherry-pick dev main");
	err_has(f, "--parent");
	OK("branch old main~2");
	OK("cherry-pick old main --parent 1 --json");
	OK("ls old");
	out_is(f, "           2  y\n");
	OK("revert main main --parent 2");
	OK("put old:x - <<'END'\n2\nEND\n");
	OK("commit old -m x");
	expect(f, 4, "--json cherry-pick old dev~1");
	out_is(f, "{\"type\":\"conflict\",\"path\":\"x\"}\n");
	expect(f, 2, "cherry-pick old main~1 --parent 3");
	expect(f, 2, "cherry-pick old main --parent 0");
	expect(f, 2, "revert old main --parent first");
	expect(f, 5, "cherry-pick old nowhere");
	expect(f, 5, "cherry-pick nowhere main");
}

static void importing(void **state)
{
	struct fixture *f = *state;
	json_t *object;

	OK("branch dev");
	OK("version; mkdir -p in/sub/deep in/empty; printf one >in/a; printf two >in/sub/b; "
	   "head -c 300000 /dev/zero >in/sub/deep/large");
	OK("import in dev:x/y");
	out_has(f, "imported 3 files (300006 bytes) into dev as ");
	OK("ls dev -r");
	out_is(f, "           3  x/y/a\n           3  x/y/sub/b\n      300000  "
		  "x/y/sub/deep/large\n");
	OK("export dev:x/y out");
	OK("version; diff -r in out; rmdir in/empty; diff -r in out && echo equal");
	out_has(f, "equal\n");
	OK("log dev -n 1 --json");
	field_is(f, 0, "message", "Import in");
	/* Nothing new is no commit. */
	OK("import in dev:x/y/");
	err_has(f, "already");
	OK("log dev --json");
	assert_int_equal(count_lines(f), 2);
	/* One commit replaces what is there and leaves the rest. */
	OK("version; rm -r in/sub; printf 1 >in/a");
	OK("import in dev:x/y -m again --meta k=v --json");
	object = line(f, 0);
	assert_int_equal(json_integer_value(json_object_get(object, "files")), 1);
	assert_int_equal(json_integer_value(json_object_get(object, "bytes")), 1);
	json_decref(object);
	OK("cat dev:x/y/a");
	out_is(f, "1");
	OK("cat dev:x/y/sub/b");
	out_is(f, "two");
	OK("show dev --json");
	field_is(f, 0, "message", "again");
	OK("import in dev");
	OK("cat dev:a");
	out_is(f, "1");
}

static void importing_refused(void **state)
{
	struct fixture *f = *state;
	AUTO(freep)
	char *killed =
		xasprintf("version; %s import in dev:y & p=$!; while [ -z \"$(ls lake/tmp)\" ]; "
			  "do :; done; kill $p; wait $p; echo code $?",
			  f->program);

	OK("branch dev");
	OK("version; mkdir in; printf 1 >in/a");
	expect(f, 1, "import in main:x");
	err_has(f, "protected");
	expect(f, 5, "import in nowhere:x");
	expect(f, 5, "import absent dev:x");
	expect(f, 2, "import in dev:../x");
	OK("version; ln -s a in/link; mkfifo in/pipe");
	expect(f, 2, "import in dev:x");
	err_has(f, "--skip-special");
	OK("import in dev:x --skip-special --json");
	out_has(f, "\"skipped\":2");
	/* Names that no path may have, before anything is changed. */
	OK("version; rm in/link in/pipe; printf 1 >in/\"$(printf 'b\\001')\"");
	expect(f, 2, "import in dev:y");
	expect(f, 2, "import . dev:y");
	err_has(f, "the lake itself");
	expect(f, 2, "import lake dev:y");
	err_has(f, "the lake itself");
	OK("version; rm in/b*; mkdir none");
	OK("import none dev:y");
	err_has(f, "no files");
	OK("log dev --json");
	assert_int_equal(count_lines(f), 2);
	/* A file that does not keep still, and a signal: nothing comes of it. */
	OK("version; head -c 150000000 /dev/zero >in/big; (while [ ! -e stop ]; do echo 1 "
	   ">>in/big; "
	   "done) >&- & tidemark import in dev:y; echo \"code $?\" >code; touch stop; wait");
	OK("version; cat code");
	out_has(f, "code 1\n");
	OK(killed);
	out_has(f, "code 1\n");
	/* Also where the owner is another process, which sees its client go. */
	OK("version; while [ -n \"$(ls lake/tmp)\" ]; do :; done");
	OK("log dev --json");
	assert_int_equal(count_lines(f), 2);
}

/* Output that cannot be written is an error. */
static void full_output(void **state)
{
	struct fixture *f = *state;

	expect(f, 1, "log >/dev/full");
	expect(f, 1, "branch --json >/dev/full");
}

/* With nobody serving, a command waits for the lock's holder. */
static void frees_what_nothing_names(void **state)
{
	struct fixture *f = *state;
	json_t *report;

	OK("branch dev");
	OK("put dev:f /etc/hostname");
	OK("commit dev -m one");
	OK("branch -d dev");
	OK("gc --dry-run --reflog-retain 0 --grace 0");
	out_has(f, "would free 1 commits, 1 nodes, 1 small objects, 0 files");
	out_has(f, "no connector has lake.history.retain");
	OK("gc");
	out_has(f, "freed 0 commits");
	OK("gc --reflog-retain 0 --grace 0 --json");
	report = line(f, 0);
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(report, "commits"), "freed")),
		1);
	assert_true(json_is_null(json_object_get(report, "history_kept_by")));
	json_decref(report);
	expect(f, 2, "gc --grace soon");
	err_has(f, "takes a duration");
	OK("fsck");
}

static void owner_without_socket(void **state)
{
	struct fixture *f = *state;
	AUTO(freep) char *dir = xasprintf("%s/lake", f->dir);
	const struct lake_options own = {.access = LAKE_OWN};
	AUTO(freep)
	char *late = xasprintf("version; (flock 9; sleep 0.3) 9<%s/LOCK & sleep 0.1; %s branch",
			       dir, f->program);
	struct lake *lake = NULL;

	OK(late);
	out_has(f, "main");
	MUST(lake_open(dir, &own, &lake, &err));
	expect(f, 1, "branch");
	err_has(f, "process");
	lake_close(lake);
}

#define BOTH(test)                                                                                 \
	{#test ", nobody owns it", test, setup_unowned, teardown, NULL},                           \
	{                                                                                          \
#test ", through the socket", test, setup_owned, teardown, NULL                    \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(usage),
		BOTH(which_lake),
		BOTH(refs),
		BOTH(staged_changes),
		BOTH(listing),
		BOTH(history),
		BOTH(merging),
		BOTH(picking),
		BOTH(importing),
		BOTH(importing_refused),
		BOTH(full_output),
		BOTH(frees_what_nothing_names),
		cmocka_unit_test_setup_teardown(owner_without_socket, setup_unowned, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
