/* The gate that asks a command, in a folder of its own. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "connector/gates/gate_files.h"
#include "connector/gates/gate_run.h"
#include "core/base/file.h"

/* Of a command's output the end is kept. */
#define OUTPUT_KEEP_BYTES (64 << 10)

extern char **environ;

/* A folder of the gate's own: the list of changes, and the files where it asks
 * for them. */
struct workspace {
	char *dir;
	char *changes;
	char *files; /* NULL: not asked for */
};

static void workspace_remove(struct workspace *w)
{
	if (w->dir)
		(void)!dir_remove_all(w->dir, NULL);
	free(w->dir);
	free(w->changes);
	free(w->files);
}

static enum status write_changes(const struct gate_run *run, const struct workspace *w,
				 struct err *err)
{
	const struct gate_subject *s = run->subject;
	AUTO(buf_release) struct buf text = BUF_INIT;
	AUTO(closep) int fd = -1;
	enum status st = ST_OK;

	for (size_t i = 0; st == ST_OK && i < s->roots->n; i++) {
		AUTO(lake_diff_closep) struct lake_diff *diff = NULL;
		struct lake_diff_entry entry;

		st = lake_diff_open(s->lake, &s->target_head, &s->merged, s->roots->items[i], &diff,
				    err);
		while (st == ST_OK && (st = lake_diff_next(diff, &entry, err)) == ST_OK) {
			if (run->gate->paths.n == 0 || gate_wants(run->gate, entry.path))
				buf_addf(&text, "%s\t%s\n", lake_change_name(entry.change),
					 entry.path);
			free(entry.path);
		}
		if (st == ST_END)
			st = ST_OK;
	}
	if (st != ST_OK)
		return st;
	fd = open(w->changes, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_errno(err, errno, "cannot create %s", w->changes);
	return fd_write_all(fd, buf_str(&text), text.len, w->changes, err);
}

/* A copy under the folder, by the path that it has in the lake. */
static enum status copy_file(const struct gate_run *run, const char *folder, const char *path,
			     struct err *err)
{
	const struct gate_subject *s = run->subject;
	AUTO(lake_object_closep) struct lake_object *object = NULL;
	AUTO(freep) char *to = xasprintf("%s/%s", folder, path);
	AUTO(closep) int fd = -1;
	char *slash = strrchr(to, '/');
	enum status st;

	*slash = '\0';
	st = dir_create_all(to, err);
	*slash = '/';
	if (st == ST_OK)
		st = lake_object_open(s->lake, &s->merged, path, &object, err);
	if (st != ST_OK)
		return st;
	fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_errno(err, errno, "cannot create %s", to);
	return lake_object_copy(object, fd, err);
}

static enum status copy_files(const struct gate_run *run, const struct workspace *w,
			      struct err *err)
{
	AUTO(gate_files_freep)
	struct gate_files *files = gate_files_new(run->subject, run->gate->all);
	struct gate_file file;
	enum status st = dir_create_all(w->files, err);

	while (st == ST_OK && (st = gate_files_next(files, &file, err)) == ST_OK) {
		st = gate_time(run, err);
		if (st == ST_OK &&
		    (run->gate->paths.n == 0 || gate_wants(run->gate, file.entry.path)))
			st = copy_file(run, w->files, file.entry.path, err);
		gate_file_release(&file);
	}
	return st == ST_END ? ST_OK : st;
}

static enum status workspace_make(const struct gate_run *run, struct workspace *w, struct err *err)
{
	const char *top = getenv("TMPDIR");
	AUTO(freep) char *dir = xasprintf("%s/tidemark-gate-XXXXXX", top && *top ? top : "/tmp");
	enum status st;

	if (!mkdtemp(dir))
		return err_errno(err, errno, "cannot create %s", dir);
	w->dir = MOVE(dir);
	w->changes = xasprintf("%s/changes", w->dir);
	w->files = run->gate->files ? xasprintf("%s/files", w->dir) : NULL;
	st = write_changes(run, w, err);
	return st == ST_OK && w->files ? copy_files(run, w, err) : st;
}

static bool ours(const char *variable)
{
	static const char *const names[] = {
		"TIDEMARK_LAKE=", "TIDEMARK_REF=", "TIDEMARK_TARGET_HEAD=", "TIDEMARK_CHANGES=",
		"TIDEMARK_FILES="};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strncmp(variable, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

/* The environment of this process with the gate's variables; NULL-terminated. */
static char **make_environment(const struct gate_subject *s, const struct workspace *w)
{
	char merged[LAKE_ID_HEX_BYTES], target[LAKE_ID_HEX_BYTES];
	size_t n = 0;
	char **list;

	while (environ[n])
		n++;
	list = xcalloc(n + 6, sizeof(*list));
	n = 0;
	for (char **e = environ; *e; e++)
		if (!ours(*e))
			list[n++] = xstrdup(*e);
	lake_id_hex(&s->merged, merged);
	lake_id_hex(&s->target_head, target);
	list[n++] = xasprintf("TIDEMARK_LAKE=%s", lake_url(s->lake));
	list[n++] = xasprintf("TIDEMARK_REF=%s", merged);
	list[n++] = xasprintf("TIDEMARK_TARGET_HEAD=%s", target);
	list[n++] = xasprintf("TIDEMARK_CHANGES=%s", w->changes);
	if (w->files)
		list[n] = xasprintf("TIDEMARK_FILES=%s", w->files);
	return list;
}

static void free_environment(char **list)
{
	for (char **e = list; *e; e++)
		free(*e);
	free(list);
}

static enum status spawn(const struct gate_run *run, char **environment, int output, pid_t *pid,
			 struct err *err)
{
	char *const argv[] = {(char *)"/bin/sh", (char *)"-c", run->gate->command, NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t none;
	int rc;

	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, output, 1);
	posix_spawn_file_actions_adddup2(&files, output, 2);
	posix_spawnattr_init(&attributes);
	sigemptyset(&none);
	posix_spawnattr_setsigmask(&attributes, &none);
	/* a group of its own, so that a time limit ends its children too */
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
	rc = posix_spawn(pid, "/bin/sh", &files, &attributes, argv, environment);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&files);
	return rc ? err_errno(err, rc, "cannot start /bin/sh") : ST_OK;
}

/* Reads output until its end, the time limit, or stop. The child's time is the
 * machine's, whatever clock the gates are given. */
static enum status read_output(const struct gate_run *run, int fd, pid_t pid, struct buf *out)
{
	struct clock *clock = clock_system();
	int64_t end_us = clock->mono_us(clock) + run->gate->timeout_ms * 1000;
	const volatile bool *stop = run->subject->stop;

	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int64_t left_ms = (end_us - clock->mono_us(clock)) / 1000;
		ssize_t n;

		if (left_ms <= 0 || (stop && *stop)) {
			kill(-pid, SIGKILL);
			return left_ms <= 0 ? ST_HELD : ST_INTERRUPTED;
		}
		if (poll(&p, 1, left_ms < 100 ? (int)left_ms : 100) <= 0)
			continue;
		buf_reserve(out, 4096);
		out->data[out->len] = '\0';
		n = read(fd, out->data + out->len, 4096);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return ST_OK;
		out->len += (size_t)n;
		if (out->len > 2 * OUTPUT_KEEP_BYTES) {
			memmove(out->data, out->data + out->len - OUTPUT_KEEP_BYTES,
				OUTPUT_KEEP_BYTES);
			out->len = OUTPUT_KEEP_BYTES;
		}
		out->data[out->len] = '\0';
	}
}

/* The last line that is not blank; output loses what is behind it. */
static const char *last_line(struct buf *output)
{
	char *line;

	while (output->len && (unsigned char)output->data[output->len - 1] <= ' ')
		output->data[--output->len] = '\0';
	line = output->len ? strrchr(output->data, '\n') : NULL;
	return line ? line + 1 : buf_str(output);
}

static enum status verdict(struct gate_run *run, enum status read, int status, struct err *err)
{
	const char *line = last_line(&run->output);

	if (read == ST_INTERRUPTED)
		return err_set(err, ST_INTERRUPTED, "stopped");
	if (read == ST_HELD)
		return err_set(err, ST_HELD, "no verdict within %" PRId64 " ms",
			       run->gate->timeout_ms);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return ST_OK;
	if (*line)
		return err_set(err, ST_HELD, "%s", line);
	if (WIFSIGNALED(status))
		return err_set(err, ST_HELD, "ended by signal %d", WTERMSIG(status));
	return err_set(err, ST_HELD, "exit code %d", WEXITSTATUS(status));
}

static enum status run_in(struct gate_run *run, const struct workspace *w, struct err *err)
{
	char **environment = make_environment(run->subject, w);
	int pipes[2], status = 0;
	enum status st;
	pid_t pid = -1;

	if (pipe2(pipes, O_CLOEXEC) < 0) {
		free_environment(environment);
		return err_errno(err, errno, "no pipe");
	}
	st = spawn(run, environment, pipes[1], &pid, err);
	free_environment(environment);
	close(pipes[1]);
	if (st == ST_OK) {
		enum status read = read_output(run, pipes[0], pid, &run->output);

		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		kill(-pid, SIGKILL); /* what it left in the background */
		st = verdict(run, read, status, err);
	}
	close(pipes[0]);
	return st;
}

enum status gate_run_command(struct gate_run *run, struct err *err)
{
	AUTO(workspace_remove) struct workspace w = {.dir = NULL};
	enum status st = workspace_make(run, &w, err);

	return st == ST_OK ? run_in(run, &w, err) : st;
}
