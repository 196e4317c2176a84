#include "connector/gates/shell.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"

/* Of a command's output the end is kept. */
#define OUTPUT_KEEP_BYTES (64 << 10)

extern char **environ;

static bool ours(const char *variable)
{
	static const char *const names[] = {
		"LAKE=",  "REF=",       "TARGET=", "TARGET_HEAD=", "CHANGES=",
		"FILES=", "CONNECTOR=", "EVENT=",  "CHECKPOINT="};

	if (strncmp(variable, "TIDEMARK_", 9) != 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strncmp(variable + 9, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

/* The environment of this process with the variables; NULL-terminated, its texts
 * borrowed. */
static char **make_environment(char *const *variables)
{
	size_t n = 0, more = 0;
	char **list;

	while (environ[n])
		n++;
	while (variables[more])
		more++;
	list = xcalloc(n + more + 1, sizeof(*list));
	n = 0;
	for (char **e = environ; *e; e++)
		if (!ours(*e))
			list[n++] = *e;
	memcpy(list + n, variables, more * sizeof(*list));
	return list;
}

static enum status spawn(const struct shell_command *c, char **environment, int output, pid_t *pid,
			 struct err *err)
{
	char *const argv[] = {(char *)"/bin/sh", (char *)"-c", (char *)(uintptr_t)c->command, NULL};
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
 * machine's. */
static enum status read_output(const struct shell_command *c, int fd, pid_t pid, struct buf *out)
{
	struct clock *clock = clock_system();
	int64_t end_us = clock->mono_us(clock) + c->timeout_ms * 1000;

	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int64_t left_ms = (end_us - clock->mono_us(clock)) / 1000;
		ssize_t n;

		if (left_ms <= 0 || (c->stop && *c->stop)) {
			kill(-pid, SIGKILL);
			return left_ms <= 0 ? ST_BUSY : ST_INTERRUPTED;
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

static enum status outcome(enum status read, int status, struct buf *output, struct err *err)
{
	const char *line = last_line(output);

	if (read == ST_INTERRUPTED)
		return err_set(err, ST_INTERRUPTED, "stopped");
	if (read == ST_BUSY)
		return err_set(err, ST_BUSY, "it was still running at its time limit");
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return ST_OK;
	if (*line)
		return err_set(err, ST_HELD, "%s", line);
	if (WIFSIGNALED(status))
		return err_set(err, ST_HELD, "ended by signal %d", WTERMSIG(status));
	return err_set(err, ST_HELD, "exit code %d", WEXITSTATUS(status));
}

enum status shell_run(const struct shell_command *command, struct buf *output, struct err *err)
{
	char **environment = make_environment(command->variables);
	int pipes[2], status = 0;
	enum status st;
	pid_t pid = -1;

	if (pipe2(pipes, O_CLOEXEC) < 0) {
		free(environment);
		return err_errno(err, errno, "no pipe");
	}
	st = spawn(command, environment, pipes[1], &pid, err);
	free(environment);
	close(pipes[1]);
	if (st == ST_OK) {
		enum status read = read_output(command, pipes[0], pid, output);

		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		kill(-pid, SIGKILL); /* what it left in the background */
		st = outcome(read, status, output, err);
	}
	close(pipes[0]);
	return st;
}
