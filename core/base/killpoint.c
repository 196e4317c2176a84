#include "core/base/killpoint.h"

#ifdef TIDEMARK_TEST_BUILD

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool initialised; /* guarded by lock, as all below */
static char wanted[128];
static long countdown;
static const char *trace;
static void (*hook)(const char *, void *);
static void *hook_ctx;

static void initialise(void)
{
	const char *at = getenv("TIDEMARK_KILL_AT");
	const char *colon = at ? strrchr(at, ':') : NULL;

	initialised = true;
	trace = getenv("TIDEMARK_KILL_TRACE");
	if (colon && (size_t)(colon - at) < sizeof(wanted)) {
		memcpy(wanted, at, (size_t)(colon - at));
		countdown = strtol(colon + 1, NULL, 10);
	}
}

static void append_trace(const char *name)
{
	int fd = open(trace, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	char line[160];
	int n = snprintf(line, sizeof(line), "%s\n", name);

	if (fd < 0 || write(fd, line, (size_t)n) != n)
		abort();
	close(fd);
}

void kill_point_set_hook(void (*fn)(const char *name, void *ctx), void *ctx)
{
	pthread_mutex_lock(&lock);
	hook = fn;
	hook_ctx = ctx;
	pthread_mutex_unlock(&lock);
}

void kill_point_passed(const char *name)
{
	void (*call)(const char *, void *);
	void *ctx;

	pthread_mutex_lock(&lock);
	if (!initialised)
		initialise();
	if (trace)
		append_trace(name);
	if (countdown > 0 && strcmp(name, wanted) == 0 && --countdown == 0)
		kill(getpid(), SIGKILL);
	call = hook;
	ctx = hook_ctx;
	pthread_mutex_unlock(&lock);
	if (call)
		call(name, ctx);
}

#endif
