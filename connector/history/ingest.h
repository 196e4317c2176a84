/* Makes records and Kafka offsets durable in one commit on the ingest branch.
 * The head's offsets are the only authority on progress; those in Kafka are a
 * copy for lag monitors.
 *
 * One struct ingest belongs to one thread. It keeps the head that it last saw;
 * whoever commits names that head, and if it has moved nothing changes (I5). */
#ifndef TIDEMARK_HISTORY_INGEST_H
#define TIDEMARK_HISTORY_INGEST_H

#include "connector/history/checkpoint.h"
#include "connector/writer/partition_writer.h"

struct ingest_options {
	struct lake *lake;
	const char *connector;
	const char *branch;
	const char *target;
	const char *published; /* the publication branch */
	const struct lake_meta *extra; /* commit.metadata.*, by the rest of the key; or NULL */
	const char *message; /* commit.message; NULL: one that says what came */
	struct rng *rng;
};

struct ingest {
	struct ingest_options options; /* borrowed */
	struct checkpoint head;
};

/* Which schemas the files of a batch have: each pair once. */
struct schema_use {
	char *topic, *schema;
};

struct schema_uses {
	struct schema_use *items;
	size_t n;
	size_t cap;
};

void schema_uses_add(struct schema_uses *uses, const char *topic, const char *schema);

/* What was read since the last checkpoint. */
struct batch {
	char id[BATCH_ID_BYTES];
	struct ranges ranges; /* positions that moved; disjoint partitions */
	struct written_files files; /* data and dead letters, finished */
	struct schema_uses schemas;
	uint64_t records; /* rows of data */
	uint64_t bytes; /* of the files */
	uint64_t deadletters;
	int64_t timestamp_least, timestamp_greatest; /* -1 none */
};

#define BATCH_INIT                                                                                 \
	{                                                                                          \
		.timestamp_least = -1, .timestamp_greatest = -1                                    \
	}

void batch_release(struct batch *b);

/* Reads the head. ST_NOT_FOUND: the branch does not exist, so this connector has
 * never started. ST_USAGE: the branch holds something else, or another
 * connector. */
MUST_CHECK enum status ingest_open(struct ingest *in, const struct ingest_options *options,
				   struct err *err);
void ingest_close(struct ingest *in);
/* Reads the head anew where it has moved. */
MUST_CHECK enum status ingest_refresh(struct ingest *in, struct err *err);

/* The first commit: an empty checkpoint with the resolved start of every
 * partition, on a new ingest branch, and a new publication branch at the lake's
 * empty first commit; the branches are protected. start: offsets, topics and
 * cluster are taken. ST_CONFLICT: somebody else started it; open it. An unknown
 * outcome is looked for, and tried again where it did not happen (I7). */
MUST_CHECK enum status ingest_start(struct ingest *in, const struct ingest_options *options,
				    const struct checkpoint *start, struct err *err);

/* Commits a batch on top of the head. On a head that moved: if the epoch, the
 * topics' ids and this batch's own partitions still stand where the batch
 * started from, it goes on top of that head under the same id; else ST_CONFLICT,
 * nothing changed, and the batch must be dropped. An unknown outcome is never
 * guessed: the batch's id is looked for (I7). ST_FAILED: a range does not begin
 * at the head's offset (a bug; nothing is changed). */
MUST_CHECK enum status ingest_commit(struct ingest *in, struct batch *batch, struct err *err);

/* A checkpoint without records that moves positions by a policy or adds
 * partitions: fields of `to` replace the head's offsets and topics, losses say
 * why. ST_CONFLICT: the head has moved, or an outcome that was unknown and was looked
 * for (I7) did not happen; refresh and decide again. */
MUST_CHECK enum status ingest_adjust(struct ingest *in, const struct checkpoint *to,
				     const struct losses *losses, const char *message,
				     struct err *err);

/* The lake's empty first commit, from which every line starts. */
MUST_CHECK enum status lake_first_commit(struct lake *lake, const char *target, struct lake_id *out,
					 struct err *err);

#endif
