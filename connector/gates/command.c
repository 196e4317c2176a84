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

#include "connector/gates/gates.h"
#include "core/base/file.h"

/* Of a command's output the end is kept. */
#define OUTPUT_KEEP_BYTES (64 << 10)

extern char **environ;

/* The changed paths in a temporary file; the caller unlinks and frees it. */
static enum status write_changes(const struct gate_run *run, char **path_out, struct err *err)
{
	AUTO(lake_diff_closep) struct lake_diff *diff = NULL;
	AUTO(buf_release) struct buf text = BUF_INIT;
	AUTO(freep) char *path = NULL;
	const char *dir = getenv("TMPDIR");
	struct lake_diff_entry entry;
	AUTO(closep) int fd = -1;
	enum status st = lake_diff_open(run->lake, &run->target_head, &run->merged, "", &diff, err);

	while (st == ST_OK && (st = lake_diff_next(diff, &entry, err)) == ST_OK) {
		buf_addf(&text, "%s\t%s\n", lake_change_name(entry.change), entry.path);
		free(entry.path);
	}
	if (st != ST_END)
		return st;
	path = xasprintf("%s/tidemark-changes-XXXXXX", dir && *dir ? dir : "/tmp");
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, errno, "cannot create %s", path);
	st = fd_write_all(fd, buf_str(&text), text.len, path, err);
	*path_out = MOVE(path);
	return st;
}

static bool ours(const char *variable)
{
	static const char *const names[] = {
		"TIDEMARK_LAKE=", "TIDEMARK_REF=", "TIDEMARK_TARGET_HEAD=", "TIDEMARK_CHANGES="};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strncmp(variable, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

/* The environment of this process with the gate's variables; NULL-terminated. */
static char **make_environment(const struct gate_run *run, const char *changes)
{
	char merged[LAKE_ID_HEX_BYTES], target[LAKE_ID_HEX_BYTES];
	size_t n = 0;
	char **list;

	while (environ[n])
		n++;
	list = xcalloc(n + 5, sizeof(*list));
	n = 0;
	for (char **e = environ; *e; e++)
		if (!ours(*e))
			list[n++] = xstrdup(*e);
	lake_id_hex(&run->merged, merged);
	lake_id_hex(&run->target_head, target);
	list[n++] = xasprintf("TIDEMARK_LAKE=%s", lake_url(run->lake));
	list[n++] = xasprintf("TIDEMARK_REF=%s", merged);
	list[n++] = xasprintf("TIDEMARK_TARGET_HEAD=%s", target);
	list[n] = xasprintf("TIDEMARK_CHANGES=%s", changes);
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
	char *const argv[] = {(char *)"/bin/sh", (char *)"-c", (char *)run->command, NULL};
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
	return rc ? err_errno(err, rc, "gate %s: cannot start /bin/sh", run->name) : ST_OK;
}

/* Reads output until its end, the time limit, or stop. */
static enum status read_output(const struct gate_run *run, int fd, pid_t pid, struct buf *out)
{
	struct clock *clock = clock_system();
	int64_t end_us = clock->mono_us(clock) + run->timeout_ms * 1000;

	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int64_t left_ms = (end_us - clock->mono_us(clock)) / 1000;
		ssize_t n;

		if (left_ms <= 0 || (run->stop && *run->stop)) {
			kill(-pid, SIGKILL);
			return left_ms <= 0 ? ST_HELD : ST_INTERRUPTED;
		}
		if (poll(&p, 1, left_ms < 100 ? (int)left_ms : 100) <= 0)
			continue;
		buf_reserve(out, 4096);
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

/* The last line that is not blank; output is changed. */
static const char *last_line(struct buf *output)
{
	char *line;

	while (output->len && (unsigned char)output->data[output->len - 1] <= ' ')
		output->data[--output->len] = '\0';
	line = output->len ? strrchr(output->data, '\n') : NULL;
	return line ? line + 1 : buf_str(output);
}

static enum status verdict(const struct gate_run *run, enum status read, int status,
			   struct buf *output, struct err *err)
{
	const char *line = last_line(output);

	if (read == ST_INTERRUPTED)
		return err_set(err, ST_INTERRUPTED, "gate %s: stopped", run->name);
	if (read == ST_HELD)
		return err_set(err, ST_HELD, "gate %s: no verdict within %" PRId64 " ms", run->name,
			       run->timeout_ms);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return ST_OK;
	if (*line)
		return err_set(err, ST_HELD, "gate %s: %s", run->name, line);
	if (WIFSIGNALED(status))
		return err_set(err, ST_HELD, "gate %s: ended by signal %d", run->name,
			       WTERMSIG(status));
	return err_set(err, ST_HELD, "gate %s: exit code %d", run->name, WEXITSTATUS(status));
}

static enum status run_with(const struct gate_run *run, const char *changes, struct err *err)
{
	AUTO(buf_release) struct buf output = BUF_INIT;
	char **environment = make_environment(run, changes);
	int pipes[2], status = 0;
	enum status st;
	pid_t pid = -1;

	if (pipe2(pipes, O_CLOEXEC) < 0) {
		free_environment(environment);
		return err_errno(err, errno, "gate %s: no pipe", run->name);
	}
	st = spawn(run, environment, pipes[1], &pid, err);
	free_environment(environment);
	close(pipes[1]);
	if (st == ST_OK) {
		enum status read = read_output(run, pipes[0], pid, &output);

		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		kill(-pid, SIGKILL); /* what it left in the background */
		st = verdict(run, read, status, &output, err);
	}
	close(pipes[0]);
	return st;
}

enum status gate_run_command(const struct gate_run *run, struct err *err)
{
	AUTO(freep) char *changes = NULL;
	enum status st = write_changes(run, &changes, err);

	if (st == ST_OK)
		st = run_with(run, changes, err);
	if (changes)
		unlink(changes);
	return st;
}
