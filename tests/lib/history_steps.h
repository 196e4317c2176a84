/* A connector's line in a lake without Kafka: batches of one file each, whose
 * rows are made up of their offsets. Each function fails the test that calls it
 * where the lake does not do its part. */
#ifndef TIDEMARK_TESTS_HISTORY_STEPS_H
#define TIDEMARK_TESTS_HISTORY_STEPS_H

#include "connector/history/ingest.h"
#include "connector/history/rollback.h"

struct history {
	struct lake *lake;
	struct rng rng;
	char *name, *branch, *published, *target;
	struct line line;
	struct ingest_options options;
	struct ingest ingest;
	size_t file_bytes; /* of each file, filled up with dots; 0: as it comes */
};

/* Makes the target and starts the connector: topic "t", partitions from 0. */
void history_start(struct history *h, struct lake *lake, const char *name, int partitions);
void history_release(struct history *h);
/* The second writer's view of the same line. */
void history_join(struct ingest *in, const struct history *h);

/* "topics/t/partition=P/t+P+FROM" */
char *history_path(int partition, int64_t from);
/* What the file of [from, to) holds; the caller's. */
char *history_text(const struct history *h, int partition, int64_t from, int64_t to);
/* A batch of [from, to) of one partition, its rows stamped at 1000 * offset. */
void history_batch(struct history *h, struct batch *b, int partition, int64_t from, int64_t to);
/* Commits one; in must continue there. */
void history_commit(struct history *h, struct ingest *in, int partition, int64_t from, int64_t to);

/* Kafka has everything from 0 to a million. */
enum status history_ask(void *ctx, const struct offsets *wanted, struct kafka_bounds *out,
			struct err *err);

#endif
