/* Private to task.c (the record path) and task_mail.c (what the coordinator sends
 * and gets). */
#ifndef TIDEMARK_WORKER_TASK_IMPL_H
#define TIDEMARK_WORKER_TASK_IMPL_H

#include <pthread.h>

#include "connector/worker/task.h"

/* One partition of the task. Owned by the task's thread. */
struct task_partition {
	char *topic;
	int32_t partition;
	uint32_t generation;
	int32_t leader_epoch; /* of the last record */
	int64_t start; /* where the batch begins */
	_Atomic int64_t next; /* next to read; the coordinator reads it */
	int64_t until;
	size_t open_files, waiting; /* as counted in the task's */
	uint64_t bytes; /* that partition_writer_bytes() said last */
	struct partition_writer *writer;
	struct deadletter_writer *deadletters;
};

enum letter_kind { LETTER_ADD, LETTER_CUT, LETTER_DROP, LETTER_STOP };

struct letter {
	struct letter *next;
	enum letter_kind kind;
	uint64_t number; /* CUT */
	struct task_partition *partition; /* ADD */
	struct partitions list; /* DROP */
};

/* A record that waits for the registry: the consumer's copy is gone by then. */
struct stalled {
	bool waiting;
	struct record record;
	struct record_header *headers;
	size_t n_headers;
	int64_t since_us, retry_us, delay_ms;
};

struct task {
	struct task_shared *shared;
	int index;

	/* the task thread's own */
	struct task_partition **partitions; /* changes are made under lock */
	size_t n, cap;
	struct task_partition *last; /* records come in runs */
	const char *last_topic; /* the consumer's own pointer */
	int64_t timestamp_least, timestamp_greatest;
	uint64_t records, deadletters;
	uint64_t countdown; /* records until bytes are summed again */
	size_t open_files, waiting; /* of all partitions */
	struct stalled stalled;

	atomic_bool attention; /* the mailbox is not empty */
	atomic_bool failed;
	_Atomic int64_t stalled_since_us;

	pthread_mutex_t lock;
	struct letter *first, **last_letter; /* guarded by lock, as all below */
	struct cut *cuts, **last_cut;
	uint64_t posted, done; /* letters */
	enum status failure;
	struct err failure_err;
	void (*notify)(void *ctx);
	void *notify_ctx;
};

/* Does what the mailbox says; false: stop. The task's thread. */
MUST_CHECK bool task_read_mail(struct task *t);
void task_notify(struct task *t);
struct task_partition *task_find(struct task *t, const char *topic, int32_t partition);
void task_stalled_release(struct stalled *s);

#endif
