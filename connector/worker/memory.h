/* How memory.max.bytes is split: the fetch queues, the writers' buffers, the
 * lake's caches. Logged at the start. */
#ifndef TIDEMARK_WORKER_MEMORY_H
#define TIDEMARK_WORKER_MEMORY_H

#include "core/base/base.h"

struct memory_plan {
	int64_t total;
	int64_t base; /* program, lake's caches, librdkafka's own */
	int64_t queues; /* fetched, not yet written */
	int64_t writers; /* open files */
	int32_t queue_kbytes; /* of one partition's queue */
	size_t files_per_task; /* open files of one task, past which it checkpoints */
	int64_t needed; /* with all of them open; may be over total */
	/* Open files of one partition's writer, past which it finishes the oldest: so that
	 * those of a task's partitions stay within three quarters of the task's. */
	size_t files_per_writer;
	size_t waiting_per_task; /* partition_writer_waiting(), past which it checkpoints */
};

/* library: bytes that a library takes before anything is written, 0 or
 * PARQUET_LIBRARY_BYTES. */

/* Files that a partition should have room for where records choose their folders. */
#define MEMORY_FOLDERS 4

/* Bytes of a Parquet row group, so that so many files can be open, each with so many
 * copies of it: at most 8 MiB, at least 1 MiB. */
size_t memory_row_group(int64_t total, int64_t library, size_t files, size_t copies);

/* writer_bytes: what one open file holds at most. */
struct memory_plan memory_plan_make(int64_t total, int64_t library, size_t partitions, int tasks,
				    size_t writer_bytes);

#endif
