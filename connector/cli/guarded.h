/* Work in a child process: a damaged RocksDB may end the process that opens it,
 * and the command goes on to say so. Only before this process has threads. */
#ifndef TIDEMARK_CLI_GUARDED_H
#define TIDEMARK_CLI_GUARDED_H

#include "core/base/buf.h"
#include "core/base/err.h"

struct guarded {
	int signal; /* that ended the child; 0: none */
	struct buf last; /* the end of what it wrote to stderr, without progress lines */
};

void guarded_release(struct guarded *g);
/* Runs work in a child; its status and error are returned. What it prints goes
 * where this process's output goes. Where the child is ended by a signal (or
 * ends without saying how): ST_DAMAGED, and out says by which. */
MUST_CHECK enum status guarded_run(enum status (*work)(void *ctx, struct err *err), void *ctx,
				   struct guarded *out, struct err *err);

#endif
