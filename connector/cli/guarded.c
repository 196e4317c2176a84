#include "connector/cli/guarded.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/file.h"

#define LAST_BYTES 2000

/* How a child says how it ended. */
struct ending {
	enum status st;
	struct err err;
};

void guarded_release(struct guarded *g)
{
	buf_release(&g->last);
}

static _Noreturn void be_child(enum status (*work)(void *ctx, struct err *err), void *ctx, int fd)
{
	struct ending end = {.err = ERR_INIT};

	end.st = work(ctx, &end.err);
	if (fflush(stdout) != 0 && end.st == ST_OK)
		end.st = err_errno(&end.err, errno, "cannot write the output");
	if (fd_write_all(fd, &end, sizeof(end), "the result", NULL) != ST_OK)
		_exit(127);
	_exit(0);
}

/* Keeps the end, and of lines that overwrite themselves nothing. */
static void keep(struct buf *last, const char *data, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (data[i] == '\r')
			while (last->len && last->data[last->len - 1] != '\n')
				last->len--;
		else
			buf_addc(last, data[i]);
	}
	if (last->len > 2 * LAST_BYTES) {
		memmove(last->data, last->data + last->len - LAST_BYTES, LAST_BYTES);
		last->len = LAST_BYTES;
	}
	if (last->data)
		last->data[last->len] = '\0';
}

static void pass_on(int fd, struct buf *last)
{
	char data[4096];
	ssize_t n;

	while ((n = read(fd, data, sizeof(data))) != 0) {
		if (n < 0 && errno != EINTR)
			return;
		if (n <= 0)
			continue;
		keep(last, data, (size_t)n);
		if (fd_write_all(STDERR_FILENO, data, (size_t)n, "stderr", NULL) != ST_OK)
			continue; /* nobody reads it; the result still counts */
	}
}

static enum status read_end(int fd, pid_t pid, struct guarded *out, struct err *err)
{
	struct ending end;
	size_t done = 0;
	int status = 0;
	ssize_t n;

	while (done < sizeof(end) && (n = read(fd, (char *)&end + done, sizeof(end) - done)) != 0)
		if (n > 0)
			done += (size_t)n;
		else if (errno != EINTR)
			break;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (done == sizeof(end)) {
		if (err)
			*err = end.err;
		return end.st;
	}
	out->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	if (out->signal)
		return err_set(err, ST_DAMAGED, "ended by signal %d (%s)", out->signal,
			       strsignal(out->signal));
	return err_set(err, ST_DAMAGED, "ended by itself, with exit code %d", WEXITSTATUS(status));
}

enum status guarded_run(enum status (*work)(void *ctx, struct err *err), void *ctx,
			struct guarded *out, struct err *err)
{
	int errors[2] = {-1, -1}, result[2] = {-1, -1};
	enum status st;
	pid_t pid;

	fflush(NULL);
	if (pipe2(errors, O_CLOEXEC) < 0 || pipe2(result, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		st = err_errno(err, errno, "cannot start a process");
		for (int i = 0; i < 2; i++) {
			closep(&errors[i]);
			closep(&result[i]);
		}
		return st;
	}
	if (pid == 0) {
		close(errors[0]);
		close(result[0]);
		dup2(errors[1], STDERR_FILENO);
		be_child(work, ctx, result[1]);
	}
	close(errors[1]);
	close(result[1]);
	pass_on(errors[0], &out->last);
	st = read_end(result[0], pid, out, err);
	close(errors[0]);
	close(result[0]);
	return st;
}
