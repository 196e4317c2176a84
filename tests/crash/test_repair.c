/* `tidemark fsck --repair`: what it keeps, what it says it drops, and dying in the
 * middle of it. (test_lake_damage.c repairs what random damage does.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/embedded/db.h"
#include "core/embedded/keys.h"
#include "core/lake.h"
#include "tests/lib/child.h"
#include "tests/lib/lake_state.h"
#include "tests/lib/lake_steps.h"
#include "tests/lib/must.h"
#include "tests/lib/tempdir.h"

#define COMMITS 24
/* Of an object: so that the log has many of its blocks, of 32 KiB; what is damaged in one
 * makes RocksDB pass over the rest of it. */
#define BYTES 12000
#define STATE_MAX (1u << 20)

/* ---- in children ---- */

/* A commit after the other, each lake's state in a file of states/; then dies, so
 * that all of it is in the log. */
static int child_make(const char *dir, const char *states)
{
	struct lake *lake = open_lake(dir);

	MUST(dir_create_all(states, &err));
	for (unsigned i = 0; i < COMMITS; i++) {
		AUTO(buf_release) struct buf text = BUF_INIT;
		AUTO(freep) char *path = xasprintf("%s/%u", states, i);
		AUTO(freep) char *data = noise(BYTES, i);

		MUST(lake_state(lake, &text, &err));
		MUST(file_replace(path, buf_str(&text), text.len, &err));
		if (i == COMMITS / 2)
			make_branch(lake, "dev");
		else
			commit_bytes(lake, "main", "a/path", data, BYTES);
	}
	_exit(0);
}

static int child_state(const char *dir)
{
	static const struct lake_options options = {.access = LAKE_OWN, .committer = "state"};
	AUTO(buf_release) struct buf text = BUF_INIT;
	struct lake *lake = NULL;

	MUST(lake_open(dir, &options, &lake, &err));
	MUST(lake_state(lake, &text, &err));
	lake_close(lake);
	printf("%s", buf_str(&text));
	return 0;
}

/* Takes a key out of the metadata: main's ref, or the commit that it is at. */
static int child_lose(const char *dir, const char *what)
{
	AUTO(freep) char *meta = xasprintf("%s/meta", dir);
	AUTO(buf_release) struct buf key = BUF_INIT;
	AUTO(buf_release) struct buf value = BUF_INIT;
	struct lake_id head;
	struct db *db = NULL;

	MUST(db_open(meta, false, DB_WHOLE_LOG, &db, &err));
	key_ref(&key, LAKE_BRANCH, "main");
	MUST(db_get(db, &key, &value, &err));
	memcpy(head.bytes, value.data, sizeof(head.bytes));
	if (strcmp(what, "commit") == 0)
		key_commit(&key, &head);
	db_delete(db, &key);
	db_sync(db);
	db_close(db);
	return 0;
}

/* ---- the parent ---- */

static char *top;
static char *made; /* the lake that is copied */
static char *states;
static char *lake_dir; /* the copy */

static int make_lake(void **state)
{
	const char *argv[] = {"make", NULL, NULL, NULL};

	(void)state;
	top = tempdir_new();
	made = xasprintf("%s/made", top);
	states = xasprintf("%s/states", top);
	lake_dir = xasprintf("%s/lake", top);
	argv[1] = made;
	argv[2] = states;
	assert_int_equal(child_run(argv, NULL, NULL), 0);
	return 0;
}

static int remove_lake(void **state)
{
	(void)state;
	free(made);
	free(states);
	free(lake_dir);
	tempdir_remove(&top);
	return 0;
}

static int tidemark(const char *option, const char *kill_at, struct buf *out)
{
	AUTO(freep) char *env = xasprintf("TIDEMARK_KILL_AT=%s", kill_at ? kill_at : "");
	const char *set[] = {env, NULL};
	const char *argv[] = {"--lake", lake_dir, "fsck", option, option ? "--yes" : NULL, NULL};

	return child_tidemark(argv, kill_at ? set : NULL, out);
}

static void read_state(struct buf *out)
{
	const char *argv[] = {"state", lake_dir, NULL};

	if (child_run(argv, NULL, out) != 0)
		fail_msg("the lake does not open: %s", buf_str(out));
}

/* Which of the recorded states is it? */
static unsigned state_number(const struct buf *text)
{
	for (unsigned i = 0; i < COMMITS; i++) {
		AUTO(freep) char *path = xasprintf("%s/%u", states, i);
		AUTO(buf_release) struct buf was = BUF_INIT;

		MUST(file_read(path, STATE_MAX, &was, &err));
		if (strcmp(buf_str(&was), buf_str(text)) == 0)
			return i;
	}
	fail_msg("a state that the lake never had: %s", buf_str(text));
	return 0;
}

/* The largest log. */
static char *find_log(off_t *size_out)
{
	AUTO(freep) char *meta = xasprintf("%s/meta", lake_dir);
	DIR *dir = opendir(meta);
	struct dirent *entry;
	char *found = NULL;

	*size_out = 0;
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		AUTO(freep) char *path = xasprintf("%s/%s", meta, entry->d_name);
		struct stat st;

		if (strstr(entry->d_name, ".log") && stat(path, &st) == 0 &&
		    st.st_size > *size_out) {
			free(found);
			found = MOVE(path);
			*size_out = st.st_size;
		}
	}
	closedir(dir);
	assert_non_null(found);
	return found;
}

static void flip(const char *path, off_t at)
{
	AUTO(closep) int fd = open(path, O_RDWR);
	char c;

	assert_int_equal(pread(fd, &c, 1, at), 1);
	c = (char)(c ^ 16);
	assert_int_equal(pwrite(fd, &c, 1, at), 1);
}

/* How many lines of the text begin so? */
static unsigned lines(const struct buf *text, const char *begin)
{
	unsigned n = 0;

	for (const char *p = buf_str(text); p && *p; p = strchr(p, '\n'), p = p ? p + 1 : p)
		n += strncmp(p, begin, strlen(begin)) == 0;
	return n;
}

static void make_fresh(void)
{
	folder_copy(made, lake_dir);
}

static unsigned count_aside(void)
{
	DIR *dir = opendir(lake_dir);
	struct dirent *entry;
	unsigned n = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		n += strncmp(entry->d_name, "damaged-", 8) == 0;
	closedir(dir);
	return n;
}

static void expect_clean(void)
{
	AUTO(buf_release) struct buf said = BUF_INIT;

	if (tidemark(NULL, NULL, &said) != 0)
		fail_msg("damaged after its repair: %s", buf_str(&said));
}

/* A bit in the middle of the log: the lake does not open; a repair keeps the
 * state before it, whole, and names the moves behind it that it can read. */
static void damage_in_the_log_costs_what_it_says(void **state)
{
	unsigned dropped_most = 0;

	(void)state;
	for (unsigned i = 1; i < 10; i++) {
		AUTO(buf_release) struct buf said = BUF_INIT;
		AUTO(buf_release) struct buf seen = BUF_INIT;
		AUTO(freep) char *log = NULL;
		AUTO(freep) char *total = NULL;
		unsigned n, named;
		off_t size;

		make_fresh();
		log = find_log(&size);
		flip(log, size * i / 10);
		assert_int_equal(WEXITSTATUS(tidemark(NULL, NULL, &said)), 7);
		buf_clear(&said);
		if (tidemark("--repair", NULL, &said) != 0)
			fail_msg("fsck --repair: %s", buf_str(&said));
		read_state(&seen);
		n = state_number(&seen);
		named = lines(&said, "drops: branch ");
		/* Move n + 1 leads to state n: the first made the lake. Those in the log's
		 * damaged block may be lost from sight. */
		total = xasprintf("drops: %u ref moves behind it, the last of them %u;",
				  COMMITS - n, COMMITS + 1);
		if (n + named > COMMITS || n + named + 5 < COMMITS ||
		    !strstr(buf_str(&said), total))
			fail_msg("state %u, and %u moves are named: %s", n, named, buf_str(&said));
		dropped_most = named > dropped_most ? named : dropped_most;
		assert_int_equal(count_aside(), 1);
		expect_clean();
	}
	assert_true(dropped_most >= COMMITS / 2);
}

/* Nobody said yes. */
static void without_consent_nothing_changes(void **state)
{
	AUTO(buf_release) struct buf said = BUF_INIT;
	AUTO(freep) char *other = xasprintf("%s/other", top);
	const char *argv[] = {"--lake", lake_dir, "fsck", "--repair", NULL};
	AUTO(freep) char *log = NULL;
	AUTO(freep) char *same = NULL;
	off_t size;

	(void)state;
	make_fresh();
	log = find_log(&size);
	flip(log, size / 2);
	folder_copy(lake_dir, other);
	assert_int_equal(WEXITSTATUS(child_tidemark(argv, NULL, &said)), 1);
	assert_non_null(strstr(buf_str(&said), "nothing was changed"));
	same = xasprintf("diff -r -x LOCK %s %s", other, lake_dir);
	assert_int_equal(system(same), 0);
}

/* SEQUENCE and FORMAT are made anew, and nothing is lost. */
static void files_beside_the_log_are_made_anew(void **state)
{
	static const char *const names[] = {"SEQUENCE", "FORMAT"};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(names); i++) {
		AUTO(buf_release) struct buf before = BUF_INIT;
		AUTO(buf_release) struct buf after = BUF_INIT;
		AUTO(buf_release) struct buf said = BUF_INIT;
		AUTO(freep) char *path = xasprintf("%s/%s", lake_dir, names[i / 2]);

		make_fresh();
		read_state(&before);
		if (i % 2 == 0)
			assert_int_equal(unlink(path), 0);
		else
			MUST(file_replace(path, "garbage", 7, &err));
		if (tidemark("--repair", NULL, &said) != 0)
			fail_msg("%s: %s", names[i / 2], buf_str(&said));
		expect_clean();
		read_state(&after);
		assert_string_equal(buf_str(&before), buf_str(&after));
		assert_int_equal(count_aside(), i % 2); /* what was there */
	}
}

/* What the other blocks of a damaged table hold stays: most often the refs, and an
 * object is lost. */
static void a_damaged_table_costs_its_block(void **state)
{
	AUTO(freep) char *meta = xasprintf("%s/meta", lake_dir);
	const char *reflog[] = {"--lake", lake_dir, "reflog", NULL};
	unsigned opened = 0;

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		AUTO(buf_release) struct buf said = BUF_INIT;
		AUTO(buf_release) struct buf seen = BUF_INIT;
		struct dirent **list = NULL;
		struct stat st;
		int n, rc;

		make_fresh();
		read_state(&seen); /* which makes a table of the log */
		n = scandir(meta, &list, NULL, alphasort);
		for (int j = 0; j < n; j++) {
			AUTO(freep) char *path = xasprintf("%s/%s", meta, list[j]->d_name);

			if (strstr(path, ".sst") && stat(path, &st) == 0)
				flip(path, st.st_size * (off_t)i / 20);
			free(list[j]);
		}
		free(list);
		rc = tidemark("--repair", NULL, &said);
		if (!WIFEXITED(rc) || (WEXITSTATUS(rc) != 0 && WEXITSTATUS(rc) != 7))
			fail_msg("%u: %s", i, buf_str(&said));
		if (WEXITSTATUS(rc) == 0)
			expect_clean();
		buf_clear(&said);
		if (child_tidemark(reflog, NULL, &said) == 0 && lines(&said, "") > COMMITS)
			opened++;
	}
	assert_true(opened > 10);
}

/* A ref that is lost comes back from the reflog; one whose commit is lost goes to the
 * newest that is left. */
static void refs_come_back_from_the_reflog(void **state)
{
	static const char *const lost[] = {"ref", "commit"};
	AUTO(buf_release) struct buf whole = BUF_INIT;

	(void)state;
	make_fresh();
	read_state(&whole);
	for (size_t i = 0; i < ARRAY_SIZE(lost); i++) {
		const char *argv[] = {"lose", lake_dir, lost[i], NULL};
		AUTO(freep) char *current = xasprintf("%s/meta/CURRENT", lake_dir);
		AUTO(buf_release) struct buf said = BUF_INIT;
		AUTO(buf_release) struct buf seen = BUF_INIT;

		make_fresh();
		assert_int_equal(child_run(argv, NULL, &said), 0);
		assert_int_equal(unlink(current), 0); /* so that it must be put together anew */
		buf_clear(&said);
		if (tidemark("--repair", NULL, &said) != 0)
			fail_msg("%s: %s", lost[i], buf_str(&said));
		assert_int_equal(lines(&said, "puts: branch main "), 1);
		expect_clean();
		read_state(&seen);
		if (i == 0)
			assert_string_equal(buf_str(&seen), buf_str(&whole));
		else
			assert_int_equal(state_number(&seen), COMMITS - 1);
	}
}

/* Killed at each of its steps: a second repair ends what the first began, in the same state. */
static void dying_in_the_middle_is_made_good(void **state)
{
	static const char *const points[] = {"aside", "meta", "sequence", "format", "sync"};
	AUTO(buf_release) struct buf wanted = BUF_INIT;

	(void)state;
	for (size_t i = 0; i <= ARRAY_SIZE(points); i++) {
		AUTO(freep)
		char *at = i ? xasprintf("lake.repair.%s:1", points[i - 1]) : NULL;
		AUTO(buf_release) struct buf said = BUF_INIT;
		AUTO(buf_release) struct buf seen = BUF_INIT;
		AUTO(freep) char *log = NULL;
		off_t size;

		make_fresh();
		log = find_log(&size);
		flip(log, size / 2);
		if (i) {
			assert_int_equal(WEXITSTATUS(tidemark("--repair", at, &said)), 7);
			assert_non_null(strstr(buf_str(&said), "signal 9"));
		}
		if (tidemark("--repair", NULL, &said) != 0)
			fail_msg("%s: %s", at ? at : "", buf_str(&said));
		expect_clean();
		read_state(i ? &seen : &wanted);
		if (i)
			assert_string_equal(buf_str(&seen), buf_str(&wanted));
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(damage_in_the_log_costs_what_it_says),
		cmocka_unit_test(without_consent_nothing_changes),
		cmocka_unit_test(files_beside_the_log_are_made_anew),
		cmocka_unit_test(a_damaged_table_costs_its_block),
		cmocka_unit_test(refs_come_back_from_the_reflog),
		cmocka_unit_test(dying_in_the_middle_is_made_good),
	};

	if (argc == 4 && strcmp(argv[1], "make") == 0)
		return child_make(argv[2], argv[3]);
	if (argc == 4 && strcmp(argv[1], "lose") == 0)
		return child_lose(argv[2], argv[3]);
	if (argc == 3 && strcmp(argv[1], "state") == 0)
		return child_state(argv[2]);
	return cmocka_run_group_tests(tests, make_lake, remove_lake);
}
