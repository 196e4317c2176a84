/* A task: writes some of a connector's partitions.
 *
 * Threads: one thread steps a task (a simulation steps all of them on one). The
 * coordinator talks to it through a mailbox: add, cut, drop, stop. A cut makes
 * the task finish its files and hand over what it has read since the last one;
 * it then goes on with the next batch.
 *
 * The hot path takes no lock and allocates nothing for a record: the mailbox and
 * the limits are looked at through relaxed atomics. */
#ifndef TIDEMARK_WORKER_TASK_H
#define TIDEMARK_WORKER_TASK_H

#include <stdatomic.h>

#include "connector/history/ingest.h"
#include "connector/kafka/consumer.h"
#include "connector/kafka/deadletter_topic.h"
#include "connector/worker/config.h"
#include "connector/writer/deadletter_writer.h"

/* What all tasks of a session share; outlives them. */
struct task_shared {
	const struct config *config;
	struct lake *lake;
	struct consumer *consumer;
	struct clock *clock;
	struct writer_settings writer;
	struct deadletter_topic *deadletter_topic; /* NULL: none */
	int64_t limit_records; /* of a batch, all tasks together; 0: none */
	int64_t limit_bytes;
	size_t limit_files; /* open files of one task */
	size_t limit_waiting; /* partition_writer_waiting() of a task, likewise */
	atomic_llong records; /* of the batch that is being filled, all tasks */
	atomic_llong bytes;
	atomic_bool moved; /* a position moved */
	atomic_bool full; /* a task is at its limit of open files: cut */
	atomic_bool paused;
	_Atomic int64_t first_record_us; /* 0: none yet */
};

/* What a task hands over at a cut. */
struct cut {
	struct cut *next;
	uint64_t number;
	struct batch batch;
	enum status st; /* ST_OK, or why there is none */
	struct err err;
};

void cut_free(struct cut *cut);

struct task;
struct task *task_new(struct task_shared *shared, int index);
/* The thread that stepped it must be gone. */
void task_free(struct task *task);

/* One round: mailbox, then up to timeout_ms of reading. Returns false after stop. */
MUST_CHECK bool task_step(struct task *task, int timeout_ms);

/* ---- the coordinator's side; any thread ---- */

/* Takes a partition up at offset. until: records from there on are left; -1: none. */
void task_add(struct task *task, const char *topic, int32_t partition, uint32_t generation,
	      int64_t offset, int64_t until);
/* Hand over what was read, as cut `number`. */
void task_cut(struct task *task, uint64_t number);
/* Forget these partitions, and what was read of them since the last cut. */
void task_drop(struct task *task, const struct partitions *list);
void task_stop(struct task *task);
/* Has it done everything that it was told so far? */
bool task_is_idle(struct task *task);
/* The oldest cut that is done, or NULL; the caller frees it. */
struct cut *task_take_cut(struct task *task);
/* Has it failed? Then err says why; it reads no more. */
MUST_CHECK bool task_failed(struct task *task, enum status *st, struct err *err);
/* Have all its partitions reached their `until`? */
bool task_done(struct task *task);
/* The connector waits on it for cuts; called by the task after each event. */
void task_set_notify(struct task *task, void (*notify)(void *ctx), void *ctx);
/* Positions by partition, for status: added to out. */
void task_positions(struct task *task, struct partitions *out);
/* Waiting for the registry since (monotonic us); 0: not. */
int64_t task_stalled_since_us(struct task *task);

#endif
