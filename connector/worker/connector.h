/* Runs one connector: sessions one after the other, the publisher beside them,
 * and the answers to commands that come through the lake's socket. */
#ifndef TIDEMARK_WORKER_CONNECTOR_H
#define TIDEMARK_WORKER_CONNECTOR_H

#include <stdatomic.h>

#include "connector/worker/config.h"
#include "connector/worker/session.h"

struct connector_options {
	const struct config *config;
	struct lake *lake; /* owned by this process */
	struct clock *clock;
	struct rng *rng;
	bool until_latest;
	bool adopt;
	bool progress; /* a line on the terminal */
	const atomic_bool *stop; /* set by a signal: last checkpoint, then return */
};

/* Returns when it is stopped, done (until_latest), or cannot go on.
 * ST_OK; ST_HELD the last publish of until_latest was held; otherwise what
 * stopped it, which is also in the lake's state and the log. */
MUST_CHECK enum status connector_run(const struct connector_options *options, struct err *err);

/* What commands ask a running connector for, through lake_call(): in and out are
 * JSON objects.
 *   "checkpoint"  {"name"} -> {"commit","records"}; ST_EMPTY nothing new
 *   "status"      {"name"} -> {"state","offsets","positions","lag","pending"}
 *   "refresh"     {"name"} -> {}: the head or the state moved; look now */

/* Refuses roots (`<path.prefix>/<topic>`) and publication branches that another
 * connector of the lake has. */
MUST_CHECK enum status connector_check_neighbours(const struct config *config, struct lake *lake,
						  struct err *err);

#endif
