#include "tests/lib/child.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

char *child_program_path(const char *name)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	self[n > 0 ? n : 0] = '\0';
	for (int i = 0; i < 3; i++)
		*strrchr(self, '/') = '\0';
	return xasprintf("%s/%s", self, name);
}

static _Noreturn void become(const char *program, const char *const *argv, const char *const *env,
			     int out_fd)
{
	char *args[16] = {(char *)program};

	for (size_t i = 0; argv[i] && i + 2 < ARRAY_SIZE(args); i++)
		args[i + 1] = (char *)argv[i];
	for (size_t i = 0; env && env[i]; i++)
		putenv((char *)env[i]);
	dup2(out_fd, STDOUT_FILENO);
	dup2(out_fd, STDERR_FILENO);
	execv(program, args);
	perror("exec");
	_exit(127);
}

static int run(const char *program, const char *const *argv, const char *const *env,
	       struct buf *out)
{
	int pipes[2];
	int result = -1;
	pid_t pid;
	char data[4096];
	ssize_t n;

	fflush(NULL);
	if (pipe(pipes) < 0)
		abort();
	pid = fork();
	if (pid < 0)
		abort();
	if (pid == 0) {
		close(pipes[0]);
		become(program, argv, env, pipes[1]);
	}
	close(pipes[1]);
	while ((n = read(pipes[0], data, sizeof(data))) != 0) {
		if (n < 0 && errno != EINTR)
			abort();
		if (n > 0 && out)
			buf_add(out, data, (size_t)n);
	}
	close(pipes[0]);
	while (waitpid(pid, &result, 0) < 0 && errno == EINTR)
		;
	return result;
}

int child_run(const char *const *argv, const char *const *env, struct buf *out)
{
	return run("/proc/self/exe", argv, env, out);
}

int child_tidemark(const char *const *argv, const char *const *env, struct buf *out)
{
	AUTO(freep) char *program = child_program_path("tidemark");

	return run(program, argv, env, out);
}
