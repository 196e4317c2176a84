/* What a running connector answers to commands that come through the lake's
 * socket (the calls are listed in connector.h).
 *
 * Threads: answers_call() runs on the socket's threads; everything else belongs to
 * the thread that runs the connector. What both touch is guarded by the lock. */
#ifndef TIDEMARK_WORKER_ANSWERS_H
#define TIDEMARK_WORKER_ANSWERS_H

#include <pthread.h>

#include "connector/worker/session.h"

struct answers {
	const char *name; /* the connector's; borrowed */
	pthread_mutex_t lock;
	pthread_cond_t cond;
	/* all below are guarded by lock */
	uint64_t asked, answered; /* checkpoints */
	enum status answer;
	struct err answer_err;
	struct lake_id answer_id;
	uint64_t answer_records;
	bool refresh;
	bool gone; /* no more answers */
	bool paused;
	struct session_status status;
	struct offsets lag;
	bool lag_known;
};

void answers_init(struct answers *a, const char *name);
void answers_release(struct answers *a);
/* For lake_serve(); ctx is the struct answers. */
enum status answers_call(void *ctx, const char *method, const char *in, struct buf *out,
			 struct err *err);

/* Does somebody wait for a checkpoint? *asked_out goes back with its outcome. */
bool answers_checkpoint_asked(struct answers *a, uint64_t *asked_out);
void answers_checkpointed(struct answers *a, uint64_t asked, enum status st, const struct err *err,
			  const struct checkpoint *head);
/* Was a look at head and state asked for since? */
bool answers_take_refresh(struct answers *a);
void answers_set_paused(struct answers *a, bool paused);
void answers_set_status(struct answers *a, struct session_status *status); /* consumed */
void answers_set_lag(struct answers *a, struct offsets *lag); /* consumed */
/* Whoever still waits is told that the connector is stopping. */
void answers_end(struct answers *a);

#endif
