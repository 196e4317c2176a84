/* A session: one consumer, its tasks, and the checkpoints that they fill, from
 * one reading of the head to the next. Whatever takes a connector away from the
 * line that it continues (a rollback's new epoch, a lost race, an error that
 * may pass) ends the session; the next one reads the head and goes on there.
 *
 * The coordinator's thread opens, steps and closes a session. Nothing blocks
 * for longer than a commit. Tasks run on threads of their own, or, where
 * `threads` is false, inside session_step (the simulation). */
#ifndef TIDEMARK_WORKER_SESSION_H
#define TIDEMARK_WORKER_SESSION_H

#include <stdatomic.h>

#include "connector/history/ingest.h"
#include "connector/history/publication.h"
#include "connector/kafka/consumer.h"
#include "connector/worker/config.h"
#include "connector/worker/memory.h"

struct session;

typedef enum status (*consumer_opener)(void *ctx, const struct consumer_options *options,
				       struct consumer **out, struct err *err);

struct session_options {
	const struct config *config;
	struct lake *lake;
	struct clock *clock;
	struct rng *rng;
	struct registry *registry; /* NULL: none */
	const struct lake_meta *commit_meta;
	consumer_opener open_consumer;
	void *open_ctx;
	bool threads;
	bool until_latest;
	bool adopt;
	/* Set by a signal: waiting for Kafka ends with ST_INTERRUPTED. NULL: never. */
	const atomic_bool *stop;
	/* Called after each checkpoint. */
	void (*checkpointed)(void *ctx, const struct checkpoint *head, const struct batch *batch);
	void *ctx;
};

enum session_end {
	SESSION_GOES_ON,
	SESSION_DONE, /* until_latest: everything is committed */
	SESSION_AGAIN, /* open the next one: the head moved, or a fault that may pass */
	SESSION_FAILED, /* stop, and say why */
};

/* Reads or makes the head, checks cluster and topics, subscribes.
 * Errors: as config, lake and Kafka give them; nothing was changed unless the
 * first checkpoint was made. */
MUST_CHECK enum status session_open(const struct session_options *options, struct session **out,
				    struct err *err);
/* One round of up to timeout_ms. For SESSION_AGAIN and SESSION_FAILED st_out and
 * err say why. */
enum session_end session_step(struct session *s, int timeout_ms, enum status *st_out,
			      struct err *err);
/* Commits what was read, now. ST_EMPTY: nothing was. Any other failure drops the
 * batch, and the next step ends the session. err must not be NULL. */
MUST_CHECK enum status session_checkpoint(struct session *s, struct err *err);
/* Ends it. With commit a last checkpoint is tried; its failure is returned.
 * s is freed in any case. */
MUST_CHECK enum status session_close(struct session *s, bool commit, struct err *err);

/* The head may have moved, the state may have changed: look at the next step. */
void session_refresh(struct session *s);
void session_pause(struct session *s, bool paused);

/* When the first record came (monotonic); 0: none yet. */
int64_t session_first_record_us(struct session *s);

struct session_status {
	struct partitions positions;
	struct checkpoint head;
	uint64_t pending_records; /* read, not yet committed */
	int64_t stalled_ms; /* waiting for the registry for so long */
	size_t assigned;
};
void session_status_release(struct session_status *status);
void session_status(struct session *s, struct session_status *out);
/* Offsets still to read, over all assigned partitions; -1 unknown. Asks Kafka. */
MUST_CHECK enum status session_lag(struct session *s, struct partitions *latest_out,
				   struct err *err);

#endif
