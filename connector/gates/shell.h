/* Runs a command of somebody else's, with its output kept, a time limit and nothing
 * left behind. Any thread. */
#ifndef TIDEMARK_GATES_SHELL_H
#define TIDEMARK_GATES_SHELL_H

#include <stdatomic.h>

#include "core/base/buf.h"
#include "core/base/err.h"

struct shell_command {
	const char *command; /* for /bin/sh -c */
	/* "TIDEMARK_X=value", NULL-terminated: added to this process's environment, from
	 * which every variable that a command may be given is taken first. */
	char *const *variables;
	int64_t timeout_ms;
	const atomic_bool *stop; /* ends it early; may be NULL */
};

/* Its standard input is empty; the last 64 KiB of what it writes are put into output.
 * At the end everything that it started is killed.
 * ST_OK           exit code 0
 * ST_HELD         another: err is the last line of its output, or the exit code
 * ST_BUSY         it was still running at its time limit
 * ST_INTERRUPTED  stop */
MUST_CHECK enum status shell_run(const struct shell_command *command, struct buf *output,
				 struct err *err);

#endif
