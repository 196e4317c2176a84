#include "connector/worker/memory.h"

#include "connector/columnar/parquet_file.h"

#define MIB (1LL << 20)

/* Measured (docs/performance.md): the program with an idle lake and client holds
 * about 24 MiB; a queue that is taken whole counts twice, once in the client and
 * once in the task; a partition's queue beyond 4 MiB brings no speed. */
#define BASE_BYTES (24 * MIB)
#define QUEUE_MAX_KBYTES 4096
#define QUEUE_MIN_KBYTES 16
#define GROUP_MAX_BYTES (8 * MIB)
#define GROUP_MIN_BYTES MIB
#define REST_MIN_BYTES (16 * MIB)
/* Each may take a file descriptor, and with Parquet two threads. */
#define WRITER_FILES_MAX 128

/* What is left for queues and writers; something, however little is granted. */
static int64_t rest_of(int64_t total, int64_t library)
{
	int64_t rest = total - BASE_BYTES - library;

	return rest > REST_MIN_BYTES ? rest : REST_MIN_BYTES;
}

/* Where a library writes the files, it takes more of their memory than queues do. */
static int64_t queues_of(int64_t rest, int64_t library)
{
	return library ? rest / 4 : rest / 2;
}

size_t memory_row_group(int64_t total, int64_t library, size_t files, size_t copies)
{
	int64_t rest = rest_of(total, library);
	int64_t share = (rest - queues_of(rest, library)) / (int64_t)(files ? files : 1);
	int64_t group = (share - PARQUET_FILE_BYTES) / (int64_t)copies;

	return (size_t)(group > GROUP_MAX_BYTES   ? GROUP_MAX_BYTES
			: group < GROUP_MIN_BYTES ? GROUP_MIN_BYTES
						  : group);
}

/* A task whose open files are over its limit checkpoints. With one file a partition
 * that must not be each record's lot: then memory goes over the total. */
static size_t files_of_task(const struct memory_plan *plan, int64_t library, size_t partitions,
			    int tasks, size_t writer_bytes)
{
	size_t files = (size_t)(plan->writers / (int64_t)writer_bytes / tasks);
	size_t least = library ? (partitions + (size_t)tasks - 1) / (size_t)tasks : 1;

	if (least < 1)
		least = 1;
	return files < least ? least : files;
}

struct memory_plan memory_plan_make(int64_t total, int64_t library, size_t partitions, int tasks,
				    size_t writer_bytes)
{
	struct memory_plan plan = {.total = total};
	const size_t share = (partitions + (size_t)tasks - 1) / (size_t)tasks;
	int64_t rest = rest_of(total, library);
	int64_t kbytes;

	plan.base = BASE_BYTES + library;
	plan.queues = queues_of(rest, library);
	plan.writers = rest - plan.queues;
	kbytes = plan.queues / 3 / 1024 / (int64_t)(partitions ? partitions : 1);
	plan.queue_kbytes = kbytes > QUEUE_MAX_KBYTES   ? QUEUE_MAX_KBYTES
			    : kbytes < QUEUE_MIN_KBYTES ? QUEUE_MIN_KBYTES
							: (int32_t)kbytes;
	plan.files_per_task = files_of_task(&plan, library, partitions, tasks, writer_bytes);
	plan.waiting_per_task = (size_t)(plan.writers / 4 / tasks);
	plan.files_per_writer =
		(plan.files_per_task - plan.files_per_task / 4) / (share ? share : 1);
	if (plan.files_per_writer > WRITER_FILES_MAX)
		plan.files_per_writer = WRITER_FILES_MAX;
	if (plan.files_per_writer < 1)
		plan.files_per_writer = 1;
	plan.needed = plan.base + plan.queues +
		      (int64_t)(plan.files_per_task * (size_t)tasks * writer_bytes);
	return plan;
}
