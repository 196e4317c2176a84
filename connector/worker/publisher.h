/* Publishing with everything around it: the configured gates, and the hold that
 * is recorded in the lake where one refuses. */
#ifndef TIDEMARK_WORKER_PUBLISHER_H
#define TIDEMARK_WORKER_PUBLISHER_H

#include <stdatomic.h>

#include "connector/history/publish.h"
#include "connector/worker/config.h"

/* The connector's line in a lake; borrows from config. */
struct line config_line(const struct config *config, struct lake *lake, struct rng *rng);

struct publisher {
	const struct config *config;
	struct lake *lake;
	struct clock *clock;
	struct rng *rng;
	const atomic_bool *stop; /* ends a gate early; may be NULL */
};

struct publisher_options {
	bool dry_run;
	const char *force; /* a reason: no gate holds; NULL */
};

/* publish() with the gates of the configuration, and the prefix where it says so.
 * ST_HELD is recorded (state.h) unless dry_run; ST_OK and ST_EMPTY remove the
 * record. Errors as publish(); out is to be released, whatever is returned. */
MUST_CHECK enum status publisher_run(const struct publisher *p,
				     const struct publisher_options *options,
				     struct publish_result *out, struct err *err);

/* Stops scheduled publishes, with a hold that `status` shows, until somebody publishes
 * by hand or rolls back whole (`rollback --target-only`). */
MUST_CHECK enum status publisher_pause(const struct publisher *p, const char *reason,
				       struct err *err);
bool publisher_is_paused(const struct publisher *p);

/* A thread that publishes when the configuration says so. */
struct publisher_thread;
struct publisher_thread *publisher_start(const struct publisher *p);
/* A checkpoint was made. */
void publisher_checkpointed(struct publisher_thread *t);
/* Ends the thread. publish_rest: publishes what is not shown yet first, where
 * the configuration has a schedule; returns that publish's outcome. */
enum status publisher_finish(struct publisher_thread *t, bool publish_rest, struct err *err);

#endif
