/* The embedded lake against kill -9 at every kill point, and against system
 * calls that fail.
 *
 * A script of operations runs in a child. Its clock is its own, so that the
 * ids of its commits are the same in every run, and the state after each step
 * is known. For each kill point and each time it is passed, a child dies there;
 * another then opens the lake, which must show the state before the step that
 * was cut, or the state after it, and must take a new commit.
 *
 * usage: test_lake_crash [STRIDE]   of RocksDB's calls that fail; 1: each of them */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/killpoint.h"
#include "core/lake.h"
#include "core/model/hash.h"
#include "tests/lib/child.h"
#include "tests/lib/gc_model.h"
#include "tests/lib/lake_state.h"
#include "tests/lib/tempdir.h"
#include "tests/lib/virtual_clock.h"

/* ---- system calls that fail ----
 *
 * TIDEMARK_FAIL_CALL=NAME:N:ERRNO makes the N-th call of that name fail, of
 * those that are about a file of the lake outside meta/; with ":meta" behind, of
 * those inside, which are RocksDB's. N 0: every second call, which is what
 * EINTR is for. ERRNO 0, for write and pwrite: the call does a part of it. */

#define FAULT_TEXT "(fault)\n" /* says that there was such a call */

static struct {
	bool initialised;
	char name[32];
	long number;
	int errnum;
	bool meta;
	long calls;
	ino_t unsynced; /* of the file whose sync failed */
} fault;

static void fault_initialise(void)
{
	const char *env = getenv("TIDEMARK_FAIL_CALL");

	fault.initialised = true;
	fault.calls = 0;
	if (!env)
		return;
	sscanf(env, "%31[a-z]:%ld:%d", fault.name, &fault.number, &fault.errnum);
	fault.meta = strstr(env, ":meta") != NULL;
}

static bool is_meta(const char *path)
{
	return strstr(path, "/meta") != NULL;
}

/* Is this the call that is to fail? errno is set then. */
static bool fails(const char *name, const char *path)
{
	if (!fault.initialised)
		fault_initialise();
	if (strcmp(name, fault.name) != 0 || !strstr(path, "tidemark-test") ||
	    is_meta(path) != fault.meta)
		return false;
	fault.calls++;
	if (fault.number ? fault.calls != fault.number : fault.calls % 2)
		return false;
	if (fault.number)
		(void)!syscall(SYS_write, STDOUT_FILENO, FAULT_TEXT, strlen(FAULT_TEXT));
	errno = fault.errnum;
	return true;
}

static bool fails_fd(const char *name, int fd)
{
	int errnum = errno; /* calls that succeed leave it alone */
	char link[64];
	char path[4096];
	bool failed = false;
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n >= 0) {
		path[n] = '\0';
		failed = fails(name, path);
	}
	if (!failed)
		errno = errnum;
	return failed;
}

/* Is only a part of it to be done? */
static bool cut_short(size_t *len)
{
	if (errno != 0)
		return false;
	*len = *len > 1 ? *len / 2 : *len;
	return true;
}

ssize_t write(int fd, const void *data, size_t len)
{
	if (fails_fd("write", fd) && !cut_short(&len))
		return -1;
	return syscall(SYS_write, fd, data, len);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
	if (fails_fd("pwrite", fd) && !cut_short(&len))
		return -1;
	return syscall(SYS_pwrite64, fd, data, len, offset);
}

/* What a sync that failed was about may be gone, whatever a later one says. */
static int sync_fails(int fd)
{
	int errnum = errno;
	struct stat st;

	if (errnum != EINTR && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		fault.unsynced = st.st_ino;
	errno = errnum;
	return -1;
}

int fdatasync(int fd)
{
	return fails_fd("fdatasync", fd) ? sync_fails(fd) : (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
	return fails_fd("fsync", fd) ? sync_fails(fd) : (int)syscall(SYS_fsync, fd);
}

int syncfs(int fd)
{
	return fails_fd("syncfs", fd) ? -1 : (int)syscall(SYS_syncfs, fd);
}

int rename(const char *from, const char *to)
{
	struct stat st;

	if (fault.unsynced && stat(from, &st) == 0 && st.st_ino == fault.unsynced &&
	    strstr(to, "/blobs/")) {
		static const char text[] = "what could not be synced is named\n";

		(void)!syscall(SYS_write, STDOUT_FILENO, text, sizeof(text) - 1);
		abort();
	}
	return fails("rename", from) ? -1 : (int)syscall(SYS_rename, from, to);
}

/* Its inode may be another file's next. */
int unlink(const char *path)
{
	struct stat st;

	if (fault.unsynced && lstat(path, &st) == 0 && st.st_ino == fault.unsynced)
		fault.unsynced = 0;
	return (int)syscall(SYS_unlink, path);
}

int mkdir(const char *path, mode_t mode)
{
	return fails("mkdir", path) ? -1 : (int)syscall(SYS_mkdir, path, mode);
}

int open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list args;

	va_start(args, flags);
	if (flags & (O_CREAT | O_TMPFILE))
		mode = va_arg(args, mode_t);
	va_end(args);
	return fails("open", path) ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

/* ---- the script ---- */

static const struct lake_options options = {
	.access = LAKE_OWN, .create = true, .clock = &clock_ticks, .committer = "script"};

/* Steps return a status; the child stops at the first that fails. */
struct script {
	const char *dir;
	struct lake *lake;
	struct err err;
};

static void fill(char *data, size_t len, unsigned seed)
{
	struct rng rng = rng_seeded(seed);

	for (size_t i = 0; i < len; i++)
		data[i] = (char)rng_next(&rng);
}

static enum status upload_as(struct script *s, bool deferred, size_t len, unsigned seed,
			     struct lake_upload **out)
{
	AUTO(freep) char *data = xmalloc(len + 1);
	AUTO(lake_upload_freep) struct lake_upload *up = NULL;
	enum status st = lake_upload_open(s->lake, &up, &s->err);

	fill(data, len, seed);
	if (st == ST_OK && deferred)
		st = lake_upload_defer(up, &s->err);
	if (st == ST_OK)
		st = lake_upload_write(up, data, len, &s->err);
	if (st == ST_OK)
		st = lake_upload_finish(up, &s->err);
	if (st == ST_OK)
		*out = MOVE(up);
	return st;
}

static enum status upload(struct script *s, size_t len, unsigned seed, struct lake_upload **out)
{
	return upload_as(s, false, len, seed, out);
}

static enum status put(struct script *s, struct lake_txn *txn, const char *path, size_t len,
		       unsigned seed)
{
	AUTO(lake_upload_freep) struct lake_upload *up = NULL;
	enum status st = upload(s, len, seed, &up);

	if (st == ST_OK)
		st = lake_txn_put(txn, path, up, "x/y", NULL, &s->err);
	if (st == ST_OK)
		(void)MOVE(up);
	return st;
}

static enum status step_open(struct script *s)
{
	return lake_open(s->dir, &options, &s->lake, &s->err);
}

static enum status step_commit(struct script *s)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	struct lake_id head;
	struct lake_id id;
	enum status st = lake_resolve(s->lake, "main", &head, &s->err);

	if (st == ST_OK)
		st = lake_txn_begin(s->lake, &head, &txn, &s->err);
	if (st == ST_OK)
		st = put(s, txn, "data/small", 100, 1);
	if (st == ST_OK)
		st = put(s, txn, "data/large", 700000, 2);
	if (st == ST_OK)
		st = put(s, txn, "data/middle", 20000, 3);
	if (st != ST_OK)
		return st;
	lake_txn_set_meta(txn, "tidemark.offsets", "{\"t\":{\"0\":3}}");
	return lake_txn_commit(txn, "main", &head, "script", &id, &s->err);
}

/* Many files in one commit, as import does it. */
static enum status step_import(struct script *s)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	static const size_t sizes[] = {50, 20000, 30000};
	struct lake_id head;
	struct lake_id id;
	enum status st = lake_resolve(s->lake, "main", &head, &s->err);

	if (st == ST_OK)
		st = lake_txn_begin(s->lake, &head, &txn, &s->err);
	for (size_t i = 0; st == ST_OK && i < ARRAY_SIZE(sizes); i++) {
		AUTO(freep) char *path = xasprintf("import/%zu", i);
		struct lake_upload *up = NULL;

		st = upload_as(s, true, sizes[i], 100 + (unsigned)i, &up);
		if (st == ST_OK)
			st = lake_txn_put(txn, path, up, NULL, NULL, &s->err);
	}
	return st == ST_OK ? lake_txn_commit(txn, "main", &head, "import", &id, &s->err) : st;
}

static enum status step_branches(struct script *s)
{
	struct lake_move moves[] = {
		{.kind = LAKE_BRANCH, .name = "dev"},
		{.kind = LAKE_TAG, .name = "v1"},
	};
	enum status st = lake_resolve(s->lake, "main", &moves[0].to, &s->err);

	moves[1].to = moves[0].to;
	return st == ST_OK ? lake_refs_move(s->lake, moves, 2, "script", &s->err) : st;
}

static enum status stage(struct script *s, const char *path, size_t len, unsigned seed)
{
	AUTO(lake_upload_freep) struct lake_upload *up = NULL;
	enum status st = upload(s, len, seed, &up);

	if (st == ST_OK)
		st = lake_stage_put(s->lake, "dev", path, up, NULL, NULL, &s->err);
	if (st == ST_OK)
		(void)MOVE(up);
	return st;
}

static enum status step_stage_small(struct script *s)
{
	return stage(s, "staged/small", 10, 4);
}

static enum status step_stage_large(struct script *s)
{
	return stage(s, "staged/large", 100000, 5);
}

static enum status step_stage_equal(struct script *s)
{
	return stage(s, "staged/equal", 100000, 5);
}

static enum status step_stage_remove(struct script *s)
{
	return lake_stage_remove(s->lake, "dev", "data/middle", &s->err);
}

static enum status step_stage_commit(struct script *s)
{
	struct lake_id id;

	return lake_stage_commit(s->lake, "dev", "staged", NULL, &id, &s->err);
}

/* A publish: two branches move as one. */
static enum status step_merge(struct script *s)
{
	struct lake_merge merge = {.message = "merge"};
	struct lake_move moves[] = {
		{.kind = LAKE_BRANCH, .name = "main"},
		{.kind = LAKE_BRANCH, .name = "published"},
	};
	enum status st = lake_resolve(s->lake, "dev", &merge.source, &s->err);

	if (st == ST_OK)
		st = lake_resolve(s->lake, "main", &merge.dest, &s->err);
	if (st == ST_OK)
		st = lake_merge_prepare(s->lake, &merge, &moves[0].to, NULL, &s->err);
	moves[0].expected = merge.dest;
	moves[1].to = moves[0].to;
	return st == ST_OK ? lake_refs_move(s->lake, moves, 2, "publish", &s->err) : st;
}

static enum status step_protect(struct script *s)
{
	return lake_branch_protect(s->lake, "published", "orders", &s->err);
}

static enum status step_revert(struct script *s)
{
	struct lake_move move = {.kind = LAKE_BRANCH, .name = "main"};
	const struct lake_revert revert = {.commits = &move.expected, .n = 1, .message = "revert"};
	enum status st = lake_resolve(s->lake, "main", &move.expected, &s->err);

	if (st == ST_OK)
		st = lake_revert_prepare(s->lake, &move.expected, &revert, &move.to, NULL, &s->err);
	return st == ST_OK ? lake_refs_move(s->lake, &move, 1, "revert", &s->err) : st;
}

static enum status step_stage_again(struct script *s)
{
	return stage(s, "staged/again", 50, 6);
}

static enum status step_delete(struct script *s)
{
	struct lake_move move = {.kind = LAKE_BRANCH, .name = "dev"};
	enum status st = lake_resolve(s->lake, "dev", &move.expected, &s->err);

	return st == ST_OK ? lake_refs_move(s->lake, &move, 1, "deleted", &s->err) : st;
}

/* One large object on a branch, and a small one. */
static enum status commit_two(struct script *s, const char *branch, const char *path, unsigned seed)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	AUTO(freep) char *small = xasprintf("%s.small", path);
	struct lake_id head, id;
	enum status st = lake_resolve(s->lake, branch, &head, &s->err);

	if (st == ST_OK)
		st = lake_txn_begin(s->lake, &head, &txn, &s->err);
	if (st == ST_OK)
		st = put(s, txn, path, 30000, seed);
	if (st == ST_OK)
		st = put(s, txn, small, 30, seed + 1);
	return st == ST_OK ? lake_txn_commit(txn, branch, &head, "two", &id, &s->err) : st;
}

static enum status move_orphan(struct script *s, const char *from, const char *to)
{
	struct lake_move move = {.kind = LAKE_BRANCH, .name = "orphan"};
	enum status st = from ? lake_resolve(s->lake, from, &move.expected, &s->err) : ST_OK;

	if (st == ST_OK && to)
		st = lake_resolve(s->lake, to, &move.to, &s->err);
	return st == ST_OK ? lake_refs_move(s->lake, &move, 1, "orphan", &s->err) : st;
}

static enum status step_orphan(struct script *s)
{
	return move_orphan(s, NULL, "main");
}

static enum status step_orphan_commit(struct script *s)
{
	return commit_two(s, "orphan", "o", 20);
}

static enum status step_orphan_gone(struct script *s)
{
	return move_orphan(s, "orphan", NULL);
}

static enum status step_history(struct script *s)
{
	return commit_two(s, "main", "h", 30);
}

static enum status step_history_over(struct script *s)
{
	return commit_two(s, "main", "h", 40);
}

/* Frees what the orphan held, and what h was. */
static const struct lake_gc_options gc_options = {.history_retain_ms = 1};

static enum status step_gc(struct script *s)
{
	struct lake_gc_report report;
	enum status st = lake_gc(s->lake, &gc_options, &report, &s->err);

	if (st == ST_OK && (report.expired < 2 || report.commits.freed < 1))
		return err_set(&s->err, ST_FAILED, "gc freed too little");
	return st;
}

static enum status (*const steps[])(struct script *s) = {
	step_open,         step_commit,      step_import,       step_branches,
	step_stage_small,  step_stage_large, step_stage_equal,  step_stage_remove,
	step_stage_commit, step_merge,       step_protect,      step_revert,
	step_stage_again,  step_delete,      step_orphan,       step_orphan_commit,
	step_orphan_gone,  step_history,     step_history_over, step_gc,
};

/* ---- children ---- */

static int write_progress(const char *file, size_t step)
{
	int fd = (int)syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_TRUNC, 0666);
	char text[32];
	int n = snprintf(text, sizeof(text), "%zu", step);
	bool ok = fd >= 0 && syscall(SYS_write, fd, text, n) == n;

	if (fd >= 0)
		close(fd);
	return ok ? 0 : 1;
}

/* Runs the steps below `until`; writes the number of the running one to
 * PROGRESS, so that the parent knows where a killed child was. Exit code 42: a
 * step failed. */
static int child_script(const char *dir, const char *progress, size_t until)
{
	struct script s = {.dir = dir, .err = ERR_INIT};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < until; i++) {
		rc = write_progress(progress, i);
		if (rc == 0 && steps[i](&s) != ST_OK) {
			printf("%s\n", s.err.text);
			rc = 42;
		}
		if (rc == 42 && i > 0 && getenv("TIDEMARK_AGAIN") && steps[i](&s) == ST_OK) {
			puts("again: done");
			rc = 0;
		}
	}
	lake_close(s.lake);
	return rc;
}

/* Every file under blobs/ must hold what its name says. */
static int check_blobs(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	int rc = 0;

	while (d && rc == 0 && (entry = readdir(d))) {
		AUTO(freep) char *path = xasprintf("%s/%s", dir, entry->d_name);
		AUTO(buf_release) struct buf data = BUF_INIT;
		struct hash sum;
		char hex[65];

		if (entry->d_name[0] == '.')
			continue;
		if (entry->d_type == DT_DIR) {
			rc = check_blobs(path);
			continue;
		}
		if (file_read(path, 1u << 30, &data, NULL) != ST_OK)
			rc = 1;
		hash_of(buf_str(&data), data.len, &sum);
		hash_hex(&sum, hex);
		if (rc == 0 && strcmp(hex, entry->d_name) != 0) {
			printf("torn blob %s\n", path);
			rc = 1;
		}
	}
	if (d)
		closedir(d);
	return rc;
}

/* Prints the lake's state, then proves that it takes a commit. */
static int child_state(const char *dir, bool writes)
{
	AUTO(freep) char *blobs = xasprintf("%s/blobs", dir);
	AUTO(freep) char *tmp = xasprintf("%s/tmp", dir);
	AUTO(buf_release) struct buf text = BUF_INIT;
	struct script s = {.dir = dir, .err = ERR_INIT};
	enum status st = step_open(&s);
	int rc = check_blobs(blobs);

	if (st == ST_OK)
		st = lake_state(s.lake, &text, &s.err);
	if (st == ST_OK && rmdir(tmp) != 0) /* empty, so this deletes it */
		st = err_set(&s.err, ST_FAILED, "tmp/ is not empty");
	if (mkdir(tmp, 0777) < 0 && errno != EEXIST)
		st = ST_IO;
	printf("%s", buf_str(&text));
	if (st == ST_OK && writes)
		st = step_commit(&s);
	if (st != ST_OK)
		printf("after the crash: %s\n", s.err.text);
	lake_close(s.lake);
	return st == ST_OK ? rc : 43;
}

/* ---- the parent ---- */

static int run_script(const char *dir, const char *progress, size_t until, const char *env,
		      struct buf *out)
{
	AUTO(freep) char *n = xasprintf("%zu", until);
	const char *argv[] = {"script", dir, progress, n, NULL};
	const char *envs[] = {env, NULL};

	return child_run(argv, env ? envs : NULL, out);
}

static void get_state(const char *dir, bool writes, struct buf *out)
{
	const char *argv[] = {writes ? "state+" : "state", dir, NULL};
	int rc = child_run(argv, NULL, out);

	if (!WIFEXITED(rc) || WEXITSTATUS(rc) != 0)
		fail_msg("the lake does not open as it should (%x): %s", rc, buf_str(out));
}

/* states[i]: after the steps below i + 1. */
static struct buf states[ARRAY_SIZE(steps)];

static int make_states(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		AUTO(tempdir_remove) char *dir = tempdir_new();
		AUTO(freep) char *lake = xasprintf("%s/lake", dir);
		AUTO(freep) char *progress = xasprintf("%s/progress", dir);
		AUTO(buf_release) struct buf out = BUF_INIT;
		int rc = run_script(lake, progress, i + 1, NULL, &out);

		if (rc != 0)
			fail_msg("step %zu: %x: %s", i, rc, buf_str(&out));
		get_state(lake, false, &states[i]);
		if (i > 0)
			assert_string_not_equal(states[i].data, states[i - 1].data);
	}
	return 0;
}

static int free_states(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		buf_release(&states[i]);
	return 0;
}

static size_t read_progress(const char *file)
{
	AUTO(buf_release) struct buf text = BUF_INIT;

	if (file_read(file, 100, &text, NULL) != ST_OK)
		return 0;
	return (size_t)atol(buf_str(&text));
}

/* The lake must be where it was before the step that was cut, or after it. A
 * lake that was cut while it was made is made by whoever opens it. */
static void check_state(const char *dir, const char *progress, const char *what)
{
	AUTO(buf_release) struct buf found = BUF_INIT;
	size_t step = read_progress(progress);

	get_state(dir, true, &found);
	if (strcmp(buf_str(&found), states[step].data) != 0 &&
	    (step == 0 || strcmp(buf_str(&found), states[step - 1].data) != 0))
		fail_msg("%s, step %zu: between before and after:\n%s\n--- before\n%s--- after\n%s",
			 what, step, buf_str(&found), step ? states[step - 1].data : "",
			 states[step].data);
}

/* gc after a crash keeps and frees what it would have. */
static void check_gc(const char *dir)
{
	struct script s = {.dir = dir, .err = ERR_INIT};
	struct lake_gc_report report;
	struct gc_model_count count;

	assert_int_equal(step_open(&s), ST_OK);
	assert_int_equal(lake_gc(s.lake, &gc_options, &report, &s.err), ST_OK);
	lake_close(s.lake);
	gc_model_check(dir, &gc_options, clock_ticks.wall_ms(&clock_ticks), &count);
}

/* The kill points that a whole run passes, in order, with repeats. */
static void list_points(struct buf *out)
{
	AUTO(tempdir_remove) char *dir = tempdir_new();
	AUTO(freep) char *lake = xasprintf("%s/lake", dir);
	AUTO(freep) char *progress = xasprintf("%s/progress", dir);
	AUTO(freep) char *trace = xasprintf("%s/trace", dir);
	AUTO(freep) char *env = xasprintf("TIDEMARK_KILL_TRACE=%s", trace);

	assert_int_equal(run_script(lake, progress, ARRAY_SIZE(steps), env, NULL), 0);
	assert_int_equal(file_read(trace, 1 << 20, out, NULL), ST_OK);
}

static void passes_every_step_of_gc(const char *trace)
{
	static const char *const points[] = {
		"gc.mark.begin",   "gc.mark.roots",   "gc.mark.end",    "gc.sweep.commits",
		"gc.sweep.reflog", "gc.sweep.nodes",  "gc.sweep.small", "gc.sweep.expired",
		"gc.sweep.rename", "gc.sweep.unlink", "gc.end",
	};

	for (size_t i = 0; i < ARRAY_SIZE(points); i++)
		if (!strstr(trace, points[i]))
			fail_msg("%s is not passed", points[i]);
}

static void survives_a_kill_at_every_point(void **state)
{
	AUTO(buf_release) struct buf trace = BUF_INIT;
	char *seen[512];
	size_t n_seen = 0;
	char *save = NULL;

	(void)state;
	list_points(&trace);
	passes_every_step_of_gc(buf_str(&trace));
	for (char *name = strtok_r(trace.data, "\n", &save); name;
	     name = strtok_r(NULL, "\n", &save)) {
		AUTO(tempdir_remove) char *dir = tempdir_new();
		AUTO(freep) char *lake = xasprintf("%s/lake", dir);
		AUTO(freep) char *progress = xasprintf("%s/progress", dir);
		AUTO(freep) char *env = NULL;
		unsigned times = 1;
		int rc;

		for (size_t i = 0; i < n_seen; i++)
			times += strcmp(seen[i], name) == 0;
		assert_true(n_seen < ARRAY_SIZE(seen));
		seen[n_seen++] = name;
		env = xasprintf("TIDEMARK_KILL_AT=%s:%u", name, times);
		rc = run_script(lake, progress, ARRAY_SIZE(steps), env, NULL);
		if (!WIFSIGNALED(rc) || WTERMSIG(rc) != SIGKILL)
			fail_msg("%s: was not killed (%x)", env, rc);
		check_state(lake, progress, env);
		check_gc(lake);
	}
	assert_true(n_seen > 120);
}

static const char *const calls[] = {"write",  "pwrite", "fdatasync", "fsync",
				    "syncfs", "rename", "mkdir",     "open"};

/* One run with the fault in env. Done, it has left the last state; else the step
 * reports it, or the process ends with its reason (RocksDB aborts with one), and
 * what is there is before or after. */
enum outcome { NO_SUCH_CALL, WENT_ON, STOPPED };

static enum outcome run_with_fault(const char *env, bool rocksdb)
{
	AUTO(tempdir_remove) char *dir = tempdir_new();
	AUTO(freep) char *lake = xasprintf("%s/lake", dir);
	AUTO(freep) char *progress = xasprintf("%s/progress", dir);
	AUTO(buf_release) struct buf out = BUF_INIT;
	AUTO(buf_release) struct buf found = BUF_INIT;
	int rc = run_script(lake, progress, ARRAY_SIZE(steps), env, &out);
	bool says_why = WIFEXITED(rc) && (WEXITSTATUS(rc) == 42 || WEXITSTATUS(rc) == 1);

	if (rc == 0) {
		get_state(lake, false, &found);
		assert_string_equal(buf_str(&found), states[ARRAY_SIZE(steps) - 1].data);
		return out.len ? WENT_ON : NO_SUCH_CALL;
	}
	if (rocksdb && WIFSIGNALED(rc) && WTERMSIG(rc) == SIGABRT)
		says_why = true;
	if (!says_why || out.len < strlen(FAULT_TEXT) + 10)
		fail_msg("%s: %x: %s", env, rc, buf_str(&out));
	check_state(lake, progress, env);
	return STOPPED;
}

static bool says(int errnum, const char *call)
{
	bool opens = strcmp(call, "open") == 0;

	/* Nothing but an open runs out of descriptors, and it runs out of no disk. */
	return (errnum == EMFILE || errnum == ENFILE) ? opens : !opens || errnum == EIO;
}

/* Every call fails once, with each reason that it may have. */
static void survives_a_failure_of_every_call(void **state)
{
	static const int errnums[] = {EIO, ENOSPC, EMFILE, ENFILE};
	unsigned failed = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(calls) * ARRAY_SIZE(errnums); i++) {
		const char *call = calls[i / ARRAY_SIZE(errnums)];
		int errnum = errnums[i % ARRAY_SIZE(errnums)];

		for (unsigned n = 1; says(errnum, call); n++) {
			AUTO(freep)
			char *env = xasprintf("TIDEMARK_FAIL_CALL=%s:%u:%d", call, n, errnum);

			enum outcome is = run_with_fault(env, false);

			if (is == NO_SUCH_CALL)
				break;
			failed += is == STOPPED;
		}
	}
	assert_true(failed > 100);
}

/* RocksDB's own calls, some of them: those from `first` on, by `stride`. What it
 * goes on without (its log of what it does) it may. */
static unsigned rocksdb_stride = 9;

static void survives_failures_inside_rocksdb(void **state)
{
	static const int errnums[] = {EIO, ENOSPC, EMFILE};
	unsigned failed = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(calls) * ARRAY_SIZE(errnums); i++) {
		const char *call = calls[i / ARRAY_SIZE(errnums)];
		int errnum = errnums[i % ARRAY_SIZE(errnums)];

		for (unsigned n = 1 + (unsigned)i % rocksdb_stride; says(errnum, call);
		     n += rocksdb_stride) {
			AUTO(freep)
			char *env = xasprintf("TIDEMARK_FAIL_CALL=%s:%u:%d:meta", call, n, errnum);
			enum outcome is = run_with_fault(env, true);

			if (is == NO_SUCH_CALL)
				break;
			failed += is == STOPPED;
		}
	}
	assert_true(failed > 20);
}

/* A signal that comes in the middle, or a call that does a part, is no error. */
static void goes_on_after_a_signal(void **state)
{
	static const char *const faults[] = {"write:0:%d",     "pwrite:0:%d",     "fdatasync:0:%d",
					     "fsync:0:%d",     "syncfs:0:%d",     "write:0:0",
					     "pwrite:0:0",     "write:0:%d:meta", "write:0:0:meta",
					     "pwrite:0:0:meta"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		AUTO(freep) char *fault_text = xasprintf("TIDEMARK_FAIL_CALL=%s", faults[i]);
		char *number = strstr(fault_text, "%d");
		AUTO(freep) char *env = NULL;

		if (number)
			*number = '\0';
		env = number ? xasprintf("%s%d%s", fault_text, EINTR, number + 2)
			     : xstrdup(fault_text);
		if (run_with_fault(env, false) == STOPPED)
			fail_msg("%s: stopped", env);
	}
}

/* After a sync that failed, what it was about may be gone from the disk though
 * the next one says that all is well. So in the same process a step that is taken
 * again writes everything anew, or is refused. */
static void never_takes_a_failed_sync_for_done(void **state)
{
	static const char *const syncs[] = {"fdatasync", "fsync", "syncfs"};
	unsigned refused = 0, done = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(syncs); i++) {
		for (unsigned n = 1;; n++) {
			AUTO(tempdir_remove) char *dir = tempdir_new();
			AUTO(freep) char *lake = xasprintf("%s/lake", dir);
			AUTO(freep) char *progress = xasprintf("%s/progress", dir);
			AUTO(buf_release) struct buf out = BUF_INIT;
			AUTO(freep)
			char *env = xasprintf("TIDEMARK_FAIL_CALL=%s:%u:%d", syncs[i], n, EIO);
			bool again;
			int rc;

			setenv("TIDEMARK_AGAIN", "1", 1);
			rc = run_script(lake, progress, ARRAY_SIZE(steps), env, &out);
			unsetenv("TIDEMARK_AGAIN");
			if (rc == 0 && out.len == 0)
				break;
			again = strstr(buf_str(&out), "again: done") != NULL;
			if (!WIFEXITED(rc) ||
			    (again && (strstr(buf_str(&out), "/blobs") || i == 2)))
				fail_msg("%s: %x: %s", env, rc, buf_str(&out));
			check_state(lake, progress, env);
			done += again;
			refused += !again;
		}
	}
	assert_true(done > 3 && refused > 10);
}

/* A file system that refuses O_DIRECT says EINVAL to the first such write. */
static void goes_on_without_direct_writes(void **state)
{
	unsigned went_on = 0;

	(void)state;
	for (unsigned n = 1; n <= 3; n++) {
		AUTO(tempdir_remove) char *dir = tempdir_new();
		AUTO(freep) char *lake = xasprintf("%s/lake", dir);
		AUTO(freep) char *progress = xasprintf("%s/progress", dir);
		AUTO(freep) char *env = xasprintf("TIDEMARK_FAIL_CALL=write:%u:%d", n + 1, EINVAL);
		AUTO(buf_release) struct buf out = BUF_INIT;
		AUTO(buf_release) struct buf found = BUF_INIT;
		int rc = run_script(lake, progress, 2, env, &out);

		/* Some of the writes are not O_DIRECT: those must fail. */
		if (rc != 0) {
			check_state(lake, progress, env);
			continue;
		}
		get_state(lake, false, &found);
		assert_string_equal(buf_str(&found), states[1].data);
		went_on++;
	}
	assert_true(went_on > 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(survives_a_kill_at_every_point),
		cmocka_unit_test(survives_a_failure_of_every_call),
		cmocka_unit_test(survives_failures_inside_rocksdb),
		cmocka_unit_test(goes_on_after_a_signal),
		cmocka_unit_test(never_takes_a_failed_sync_for_done),
		cmocka_unit_test(goes_on_without_direct_writes),
	};

	if (argc == 5 && strcmp(argv[1], "script") == 0)
		return child_script(argv[2], argv[3], (size_t)atol(argv[4]));
	if (argc == 3 && strncmp(argv[1], "state", 5) == 0)
		return child_state(argv[2], argv[1][5] == '+');
	if (argc == 2)
		rocksdb_stride = (unsigned)strtoul(argv[1], NULL, 10);
	return cmocka_run_group_tests(tests, make_states, free_states);
}
