/* Private to session*.c. */
#ifndef TIDEMARK_WORKER_SESSION_IMPL_H
#define TIDEMARK_WORKER_SESSION_IMPL_H

#include <pthread.h>

#include "connector/worker/schedule.h"
#include "connector/worker/session.h"
#include "connector/worker/task.h"

/* A checkpoint that moves positions alone is made no more often. */
#define POSITIONS_EVERY_MS 60000
#define DESCRIBE_TIMEOUT_MS 5000
/* At the start a broker that does not answer is given up after this; with the
 * request that is then on its way it stays under the minute that is promised. */
#define START_TIMEOUT_MS 50000

struct session {
	struct session_options options;
	const struct config *config;
	struct consumer *consumer;
	struct ingest ingest;
	struct ingest_options ingest_options;
	struct task_shared shared;
	struct task **tasks;
	pthread_t *threads;
	int n_tasks;
	size_t *load; /* partitions, by task */
	bool threads_run;
	struct memory_plan memory;
	struct cluster_info cluster;
	struct offsets until; /* until_latest */
	struct partitions assigned; /* offset: where the batch begins; task */
	uint64_t epoch; /* of the head that the session started from */
	bool ever_assigned;
	bool answered; /* by the group, if only with no partitions */
	int64_t subscribed_us, said_waiting_us; /* until it has answered */

	/* tasks tell the coordinator that something happened */
	pthread_mutex_t lock;
	pthread_cond_t cond;
	uint64_t events; /* guarded by lock */

	uint64_t cuts; /* number of the last one */
	int64_t last_checkpoint_us, last_positions_us, last_look_us;
	struct schedule schedule; /* checkpoint.schedule */
	bool look_now;
	enum session_end end; /* set by callbacks */
	enum status end_status;
	struct err end_err;
	bool dropped; /* a batch was cut and not committed: the session ends */
	bool closing;
};

/* Ends the session at the end of this step; the first reason stays. */
void session_end_with(struct session *s, enum session_end end, enum status st,
		      const struct err *err);
/* Waits until done() is true, stepping the tasks where they have no threads. */
void session_wait(struct session *s, bool (*done)(struct session *s));
bool session_tasks_idle(struct session *s);
/* ST_CONFLICT where the head that was read moved under what this session holds. */
MUST_CHECK enum status session_check_head(struct session *s, struct err *err);

/* session_connect.c: plans the memory and opens the consumer. */
MUST_CHECK enum status session_connect(struct session *s, struct err *err);

/* session_start.c: the head, or the first checkpoint; cluster and topics. */
MUST_CHECK enum status session_describe(struct session *s, int64_t timeout_ms, struct err *err);
MUST_CHECK enum status session_find_start(struct session *s, struct err *err);
MUST_CHECK enum status session_check_topics(struct session *s, struct err *err);
/* Are the topics' ids still what the head records? Asked before a commit. */
MUST_CHECK enum status session_verify_topics(struct session *s, struct err *err);

/* session_assign.c: the group's side. */
extern const struct consumer_events session_events;
/* Says so while the group has not answered the subscription, and at last ends the
 * session, so that the next one joins anew. */
void session_watch_group(struct session *s);

#endif
