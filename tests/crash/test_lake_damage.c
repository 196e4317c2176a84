/* Flipped bits, cut files and deleted files, in every file of a lake's folder.
 *
 * After each: what is read is the truth or an error, never anything else; and
 * `tidemark fsck` either names damage, exit code 7, or the lake's state is
 * proved to be unchanged. Nothing ends by a signal.
 *
 *   test_lake_damage              the usual number of cases
 *   test_lake_damage FROM TO      these seeds (make soak) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
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
#include "tests/lib/scale.h"
#include "tests/lib/tempdir.h"

#define FILES_MAX 64
/* Seeds from 0; under ThreadSanitizer each file suffers each harm once. */
#define SEEDS_USUAL SCALED(17, 17, N_HARMS - 1)

/* ---- the lake that is damaged ---- */

static void fill(struct lake *lake, unsigned round)
{
	AUTO(freep) char *large = noise(40000, round);
	AUTO(freep) char *small = noise(3000, 100 + round);

	for (unsigned i = 0; i < 6; i++) {
		AUTO(freep) char *path = xasprintf("data/%u/%u", round, i);

		commit_bytes(lake, "main", path, small, 500 * i + 1);
	}
	if (round < 3) {
		AUTO(freep) char *path = xasprintf("large/%u", round);

		commit_bytes(lake, "main", path, large, 40000);
	}
}

/* Made by several processes, so that there are tables; the last one dies, so
 * that there is a log. */
static int child_make(const char *dir, unsigned round)
{
	struct lake *lake = open_lake(dir);

	fill(lake, round);
	if (round == 1)
		make_branch(lake, "dev");
	if (round == 2)
		stage(lake, "dev", "staged/one", "staged");
	if (round == 3)
		_exit(0);
	lake_close(lake);
	return 0;
}

static enum status state_by(const char *dir, enum lake_access access, struct buf *out,
			    struct err *err)
{
	const struct lake_options options = {.access = access, .committer = "state"};
	AUTO(lake_closep) struct lake *lake = NULL;
	enum status st = lake_open(dir, &options, &lake, err);

	return st == ST_OK ? lake_state(lake, out, err) : st;
}

/* Who only reads finds what an owner finds, before any owner has been there. */
static int child_state(const char *dir)
{
	AUTO(buf_release) struct buf seen = BUF_INIT;
	AUTO(buf_release) struct buf text = BUF_INIT;
	struct err reading = ERR_INIT, err = ERR_INIT;
	enum status first = state_by(dir, LAKE_READ, &seen, &reading);
	enum status st = state_by(dir, LAKE_OWN, &text, &err);

	if (first != st || (st == ST_OK && strcmp(buf_str(&seen), buf_str(&text)) != 0)) {
		printf("reading alone gives %s\n%s\nand the owner %s\n%s\n", reading.text,
		       buf_str(&seen), err.text, buf_str(&text));
		fflush(stdout);
		abort();
	}
	printf("%s", st == ST_OK ? buf_str(&text) : err.text);
	return st == ST_OK ? 0 : st == ST_DAMAGED ? 7 : st == ST_USAGE ? 2 : 1;
}

/* ---- the parent ---- */

static char *top;
static char *lake_dir;
static char *files[FILES_MAX]; /* of the lake, below its folder */
static size_t n_files;
static struct buf truth;

static int run(const char *mode, const char *dir, struct buf *out)
{
	const char *argv[] = {mode, dir, NULL};

	return child_run(argv, NULL, out);
}

static int fsck(const char *dir, bool repair, struct buf *out)
{
	const char *argv[] = {"--lake", dir, "fsck", repair ? "--repair" : NULL, "--yes", NULL};

	return child_tidemark(argv, NULL, out);
}

static void list_files(const char *below)
{
	AUTO(freep) char *path = xasprintf("%s/%s", lake_dir, below);
	DIR *d = opendir(path);
	struct dirent *entry;

	assert_non_null(d);
	while ((entry = readdir(d))) {
		AUTO(freep)
		char *name = xasprintf("%s%s%s", below, below[0] ? "/" : "", entry->d_name);

		if (entry->d_name[0] == '.')
			continue;
		if (entry->d_type == DT_DIR) {
			list_files(name);
			continue;
		}
		assert_true(n_files < FILES_MAX);
		files[n_files++] = xstrdup(name);
	}
	closedir(d);
}

static void copy_file(const char *from, const char *to)
{
	AUTO(buf_release) struct buf data = BUF_INIT;
	AUTO(closep) int fd = open(to, O_WRONLY | O_CREAT | O_EXCL, 0666);

	assert_true(fd >= 0);
	MUST(file_read(from, 1u << 30, &data, &err));
	MUST(fd_write_all(fd, buf_str(&data), data.len, to, &err));
}

static void copy_lake(const char *to)
{
	for (size_t i = 0; i < n_files; i++) {
		AUTO(freep) char *from = xasprintf("%s/%s", lake_dir, files[i]);
		AUTO(freep) char *target = xasprintf("%s/%s", to, files[i]);
		AUTO(freep)
		char *folder = xstrndup(target, (size_t)(strrchr(target, '/') - target));

		MUST(dir_create_all(folder, &err));
		copy_file(from, target);
	}
}

static int make_lake(void **state)
{
	AUTO(freep) char *copy = NULL;

	(void)state;
	/* Nothing here is about durability, and syncs to a disk cost the most. */
	if (access("/dev/shm", W_OK) == 0)
		setenv("TIDEMARK_TEST_DIR", "/dev/shm", 0);
	top = tempdir_new();
	lake_dir = xasprintf("%s/lake", top);
	for (unsigned i = 0; i < 4; i++) {
		AUTO(freep) char *round = xasprintf("%u", i);
		const char *argv[] = {"make", lake_dir, round, NULL};

		assert_int_equal(child_run(argv, NULL, NULL), 0);
	}
	list_files("");
	copy = xasprintf("%s/truth", top);
	copy_lake(copy);
	assert_int_equal(run("state", copy, &truth), 0);
	MUST(dir_remove_all(copy, &err));
	return 0;
}

static int remove_lake(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_files; i++)
		free(files[i]);
	free(lake_dir);
	buf_release(&truth);
	tempdir_remove(&top);
	return 0;
}

/* ---- a log that is gone ---- */

#define OLD_LOG_TRIES 40

static unsigned count_logs(const char *dir)
{
	AUTO(freep) char *meta = xasprintf("%s/meta", dir);
	DIR *d = opendir(meta);
	struct dirent *entry;
	unsigned n = 0;

	assert_non_null(d);
	while ((entry = readdir(d)))
		n += strstr(entry->d_name, ".log") != NULL;
	closedir(d);
	return n;
}

/* A commit that no branch will show. */
static void prepare_only(struct lake *lake, unsigned i, char *data, size_t len)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	AUTO(freep) char *path = xasprintf("f%u", i);
	struct lake_id head = head_of(lake, "other");
	struct lake_id id;

	memcpy(data, &i, sizeof(i));
	MUST(lake_txn_begin(lake, &head, &txn, &err));
	MUST(lake_txn_put_bytes(txn, path, data, len, NULL, NULL, &err));
	MUST(lake_txn_prepare(txn, &id, &err));
}

/* Moves main; fills the metadata's buffer, so that a second log begins; moves another
 * branch. Dies before the first log has become a table, if it is in time. What
 * the second log holds makes sense without the first. */
static int child_two_logs(const char *dir)
{
	struct lake *lake = open_lake(dir);
	AUTO(freep) char *data = noise(16000, 7);

	commit_bytes(lake, "main", "y", data, 100);
	for (unsigned i = 0; count_logs(dir) < 2 && i < 2000; i++)
		prepare_only(lake, i, data, 16000);
	commit_bytes(lake, "other", "x", data, 100);
	_exit(0);
}

static int child_base(const char *dir)
{
	struct lake *lake = open_lake(dir);

	make_branch(lake, "other");
	lake_close(lake);
	lake_close(open_lake(dir)); /* which makes a table of the log */
	return 0;
}

/* The names of the logs that are not empty, oldest first. */
static size_t find_logs(const char *dir, char *out[8])
{
	AUTO(freep) char *meta = xasprintf("%s/meta", dir);
	struct dirent **list = NULL;
	int n = scandir(meta, &list, NULL, alphasort);
	size_t found = 0;

	for (int i = 0; i < n; i++) {
		AUTO(freep) char *path = xasprintf("%s/%s", meta, list[i]->d_name);
		struct stat st;

		if (found < 8 && strstr(list[i]->d_name, ".log") && stat(path, &st) == 0 &&
		    st.st_size > 0)
			out[found++] = MOVE(path);
		free(list[i]);
	}
	free(list);
	return found;
}

/* false: nothing is lost with it. What it held was in a table already, and the process
 * died before RocksDB had removed the log. */
static bool expect_found_gone(const char *dir, const char *log)
{
	AUTO(buf_release) struct buf said = BUF_INIT;
	AUTO(buf_release) struct buf seen = BUF_INIT;
	int rc;

	assert_int_equal(unlink(log), 0);
	rc = run("state", dir, &seen);
	if (rc == 0 && strstr(buf_str(&seen), "\n    y ") && strstr(buf_str(&seen), "\n    x "))
		return false;
	if (!WIFEXITED(rc) || WEXITSTATUS(rc) != 7)
		fail_msg("%s is gone, and the lake opens (%x)", log, rc);
	rc = fsck(dir, false, &said);
	if (!WIFEXITED(rc) || WEXITSTATUS(rc) != 7)
		fail_msg("%s is gone, and fsck says %s", log, buf_str(&said));
	return true;
}

/* Writes are synced in every log, so that losing any of them loses some. */
static void a_deleted_log_is_found(void **state)
{
	unsigned old_ones = 0;

	(void)state;
	for (unsigned i = 0; i < OLD_LOG_TRIES && old_ones < 3; i++) {
		AUTO(tempdir_remove) char *dir = tempdir_new();
		AUTO(freep) char *lake = xasprintf("%s/lake", dir);
		char *logs[8] = {NULL};
		size_t n;

		assert_int_equal(run("base", lake, NULL), 0);
		assert_int_equal(run("two-logs", lake, NULL), 0);
		n = find_logs(lake, logs);
		assert_true(n > 0);
		if (n > 1)
			old_ones += expect_found_gone(lake, logs[0]);
		else if (i == 0)
			assert_true(expect_found_gone(lake, logs[0]));
		for (size_t j = 0; j < n; j++)
			free(logs[j]);
	}
	printf("%u times the older of two logs\n", old_ones);
}

/* ---- damage ---- */

enum harm { HARM_FLIP, HARM_CUT, HARM_ZERO_END, HARM_DELETE, N_HARMS };

struct damage {
	const char *file;
	enum harm harm;
	uint64_t at;
	unsigned bit;
};

static void damage_text(const struct damage *d, char out[300])
{
	static const char *const names[] = {"bit flipped", "cut", "end zeroed", "deleted"};

	snprintf(out, 300, "%s: %s at %llu", d->file, names[d->harm], (unsigned long long)d->at);
}

static void apply(const struct damage *d, const char *dir)
{
	AUTO(freep) char *path = xasprintf("%s/%s", dir, d->file);
	AUTO(closep) int fd = open(path, O_RDWR);
	static const char zeros[512];
	struct stat st;
	char c;

	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	switch (d->harm) {
	case HARM_FLIP:
		assert_int_equal(pread(fd, &c, 1, (off_t)d->at), 1);
		c = (char)(c ^ (1 << d->bit));
		assert_int_equal(pwrite(fd, &c, 1, (off_t)d->at), 1);
		break;
	case HARM_CUT:
		assert_int_equal(ftruncate(fd, (off_t)d->at), 0);
		break;
	case HARM_ZERO_END:
		assert_true(pwrite(fd, zeros, (size_t)(st.st_size - (off_t)d->at), (off_t)d->at) >=
			    0);
		break;
	default:
		assert_int_equal(unlink(path), 0);
	}
}

/* Bytes that nothing depends on. */
static bool means_nothing(const char *file)
{
	return strncmp(file, "meta/LOG", 8) == 0 || strncmp(file, "meta/OPTIONS", 12) == 0 ||
	       strcmp(file, "meta/IDENTITY") == 0 || strcmp(file, "meta/LOCK") == 0 ||
	       strcmp(file, "LOCK") == 0;
}

static int exit_of(int rc, const char *what, const char *who, const struct buf *out)
{
	if (!WIFEXITED(rc))
		fail_msg("%s: %s ended by signal %d: %s", what, who, WTERMSIG(rc), buf_str(out));
	return WEXITSTATUS(rc);
}

/* A repair that says so has made the lake whole, and where no metadata were
 * damaged has lost nothing. */
static void repair_damage(const struct damage *d, const char *what, const char *dir)
{
	AUTO(buf_release) struct buf said = BUF_INIT;
	AUTO(buf_release) struct buf seen = BUF_INIT;
	int rc = exit_of(fsck(dir, true, &said), what, "fsck --repair", &said);

	if (rc == 2 && strstr(buf_str(&said), "newer tidemark"))
		return; /* so says a flipped bit in FORMAT */
	if (rc != 0 && rc != 7)
		fail_msg("%s: fsck --repair ends with %d: %s", what, rc, buf_str(&said));
	if (rc != 0)
		return;
	if (exit_of(fsck(dir, false, &said), what, "fsck", &said) != 0)
		fail_msg("%s: damaged after its repair: %s", what, buf_str(&said));
	if (exit_of(run("state", dir, &seen), what, "reading", &seen) != 0)
		fail_msg("%s: unreadable after its repair: %s", what, buf_str(&seen));
	if (strncmp(d->file, "meta/", 5) != 0 && strcmp(buf_str(&seen), truth.data) != 0)
		fail_msg("%s: the repair lost something: %s\n%s", what, buf_str(&said),
			 buf_str(&seen));
}

/* Returns whether fsck found it. */
static bool check_damage(const struct damage *d)
{
	AUTO(freep) char *read = xasprintf("%s/read", top);
	AUTO(freep) char *check = xasprintf("%s/check", top);
	AUTO(buf_release) struct buf seen = BUF_INIT;
	AUTO(buf_release) struct buf said = BUF_INIT;
	char what[300];
	int reads, finds;
	bool newer;

	damage_text(d, what);
	copy_lake(read);
	copy_lake(check);
	apply(d, read);
	apply(d, check);
	reads = exit_of(run("state", read, &seen), what, "reading", &seen);
	finds = exit_of(fsck(check, false, &said), what, "fsck", &said);
	newer = finds == 2 && strstr(buf_str(&said), "newer tidemark"); /* a bit in FORMAT */
	if (reads == 0 && strcmp(buf_str(&seen), truth.data) != 0)
		fail_msg("%s: other things are read than were written:\n%s\n--- truth\n%s", what,
			 buf_str(&seen), truth.data);
	if (finds != 0 && finds != 7 && !newer)
		fail_msg("%s: fsck ends with %d: %s", what, finds, buf_str(&said));
	if (finds == 0 && reads != 0)
		fail_msg("%s: fsck says nothing, and reading says %s", what, buf_str(&seen));
	if (finds == 7 && !strstr(buf_str(&said), "damaged: "))
		fail_msg("%s: fsck names nothing: %s", what, buf_str(&said));
	if (finds == 7 && means_nothing(d->file))
		fail_msg("%s: should mean nothing: %s", what, buf_str(&said));
	if (finds == 7)
		repair_damage(d, what, check);
	MUST(dir_remove_all(read, &err));
	MUST(dir_remove_all(check, &err));
	return finds != 0;
}

static off_t size_of(const char *file)
{
	AUTO(freep) char *path = xasprintf("%s/%s", lake_dir, file);
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

static void run_seed(uint64_t seed, unsigned *cases, unsigned *found)
{
	struct rng rng = rng_seeded(seed);

	for (size_t i = 0; i < n_files; i++) {
		uint64_t size = (uint64_t)size_of(files[i]);
		struct damage d = {.file = files[i], .harm = seed % N_HARMS};

		if (size == 0 || (d.harm == HARM_DELETE && seed >= N_HARMS))
			d.harm = HARM_FLIP; /* there is one way to delete a file */
		if (size == 0)
			continue;
		d.at = rng_below(&rng, size);
		d.bit = (unsigned)rng_below(&rng, 8);
		if (d.harm == HARM_ZERO_END)
			d.at = size - 1 - rng_below(&rng, size < 512 ? size : 512);
		*found += check_damage(&d);
		++*cases;
	}
}

static void run_seeds(uint64_t from, uint64_t to)
{
	unsigned cases = 0, found = 0;

	for (uint64_t seed = from; seed <= to; seed++)
		run_seed(seed, &cases, &found);
	printf("%u cases in %zu files, %u found by fsck, the others changed nothing\n", cases,
	       n_files, found);
	assert_true(found > cases / 4);
}

static uint64_t first_seed = 0, last_seed = SEEDS_USUAL;

static void damage_is_found_and_never_read(void **state)
{
	(void)state;
	run_seeds(first_seed, last_seed);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(damage_is_found_and_never_read),
		cmocka_unit_test(a_deleted_log_is_found),
	};

	if (argc == 4 && strcmp(argv[1], "make") == 0)
		return child_make(argv[2], (unsigned)atoi(argv[3]));
	if (argc == 3 && strcmp(argv[1], "state") == 0)
		return child_state(argv[2]);
	if (argc == 3 && strcmp(argv[1], "base") == 0)
		return child_base(argv[2]);
	if (argc == 3 && strcmp(argv[1], "two-logs") == 0)
		return child_two_logs(argv[2]);
	if (argc == 3) {
		first_seed = strtoull(argv[1], NULL, 10);
		last_seed = strtoull(argv[2], NULL, 10);
	}
	return cmocka_run_group_tests(tests, make_lake, remove_lake);
}
