#include "connector/worker/memory.h"

#define MIB (1LL << 20)

/* Measured (docs/performance.md): the program with an idle lake and client holds
 * about 24 MiB; a queue that is taken whole counts twice, once in the client and
 * once in the task; a partition's queue beyond 4 MiB brings no speed. */
#define BASE_BYTES (24 * MIB)
#define QUEUE_MAX_KBYTES 4096
#define QUEUE_MIN_KBYTES 16
#define GROUP_MAX_BYTES (8 * MIB)
#define GROUP_MIN_BYTES (MIB / 4)

size_t memory_row_group(int64_t total, size_t partitions)
{
	int64_t share = (total - BASE_BYTES) / 2 / 4 / (int64_t)(partitions ? partitions : 1);

	return (size_t)(share > GROUP_MAX_BYTES   ? GROUP_MAX_BYTES
			: share < GROUP_MIN_BYTES ? GROUP_MIN_BYTES
						  : share);
}

struct memory_plan memory_plan_make(int64_t total, size_t partitions, int tasks,
				    size_t writer_bytes)
{
	struct memory_plan plan = {.total = total};
	int64_t rest = total - BASE_BYTES;
	int64_t kbytes;

	plan.base = BASE_BYTES;
	plan.queues = rest / 2;
	plan.writers = rest - plan.queues;
	kbytes = plan.queues / 3 / 1024 / (int64_t)(partitions ? partitions : 1);
	plan.queue_kbytes = kbytes > QUEUE_MAX_KBYTES   ? QUEUE_MAX_KBYTES
			    : kbytes < QUEUE_MIN_KBYTES ? QUEUE_MIN_KBYTES
							: (int32_t)kbytes;
	plan.files_per_task = (size_t)(plan.writers / (int64_t)writer_bytes / tasks);
	if (plan.files_per_task < 1)
		plan.files_per_task = 1;
	return plan;
}
