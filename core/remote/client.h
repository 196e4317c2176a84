/* A backend of the lake that asks the process which owns it, through the socket
 * in the lake's folder (wire.h has the protocol).
 *
 * Where the answer to a change does not come, the outcome is ST_UNKNOWN for
 * what moves refs or staged changes, and ST_UNREACHABLE for what nobody can
 * see anyway (uploads, prepared commits). */
#ifndef TIDEMARK_REMOTE_CLIENT_H
#define TIDEMARK_REMOTE_CLIENT_H

#include "core/lake_backend.h"

/* ST_UNREACHABLE where no socket answers; ST_USAGE where its owner is of
 * another version. options: clock and committer are filled in. lake.c fills
 * its part of struct lake after this returns. */
MUST_CHECK enum status remote_open(const char *folder, const struct lake_options *options,
				   struct lake **out, struct err *err);

#endif
