/* A connector's line in a lake of its own, for benchmarks of history: topic "orders",
 * checkpoints of a hundred records a partition. Whatever fails ends the program with the
 * reason (bench.h). */
#ifndef TIDEMARK_TESTS_BENCH_LINE_H
#define TIDEMARK_TESTS_BENCH_LINE_H

#include "connector/history/ingest.h"
#include "connector/history/publish.h"
#include "connector/history/rollback.h"
#include "tests/lib/bench.h"

struct bench_line {
	struct lake *lake;
	struct ingest ingest;
	struct line line;
	struct rng rng;
	int partitions;
	struct ingest_options options; /* the ingest's */
};

/* The lake is folder/name. It must not move: the line looks into it. */
void bench_line_open(struct bench_line *b, const char *folder, const char *name, int partitions);
void bench_line_close(struct bench_line *b);

/* Commits one file of these bytes for each partition; its us. content NULL: noise, which
 * differs from file to file. */
double bench_line_checkpoint(struct bench_line *b, const void *content, size_t len);
/* Publishes the newest checkpoint; its us. */
double bench_line_publish(struct bench_line *b);

/* What a rollback asks Kafka: every offset is there. */
enum status bench_line_bounds(void *ctx, const struct offsets *wanted, struct kafka_bounds *out,
			      struct err *err);

struct bench_rollback {
	double plan_us, apply_us;
};

/* A rollback of the line as it stands, after which it goes on. */
struct bench_rollback bench_line_rollback(struct bench_line *b,
					  const struct rollback_request *request);

#endif
