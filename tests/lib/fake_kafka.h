/* Kafka for simulations: stands behind the same table of functions as
 * librdkafka (connector/kafka/consumer.h).
 *
 * The logs are a function of the seed and the time alone: what stands at an
 * offset, where a log begins and ends now, whether the brokers answer. So a
 * fake that is built anew after a crash, with the same seed and clock, is the
 * same Kafka, and a checker can ask it what each offset holds. Only the group
 * (who owns which partition) lives in memory, as it does not outlive its
 * members in Kafka either.
 *
 * One thread. A member that does not poll for SESSION_TIMEOUT is thought dead:
 * its partitions go to others, and it hears of that at its next poll. Until
 * then it reads on, as a real one does. */
#ifndef TIDEMARK_TESTS_FAKE_KAFKA_H
#define TIDEMARK_TESTS_FAKE_KAFKA_H

#include "connector/history/rollback.h"
#include "connector/kafka/consumer.h"
#include "core/base/clock.h"
#include "tests/lib/row_layout.h"

#define FAKE_TOPICS_MAX 3
#define FAKE_SESSION_TIMEOUT_MS 10000

/* What kind of Kafka. Plain numbers: may lie in shared memory. */
struct fake_kafka_options {
	uint64_t seed;
	int n_topics; /* named "t0", "t1", ... */
	struct row_layout layout; /* of what is made of it: values are JSON, or lines of bytes */
	bool poison; /* some are no JSON, where they must be */
	bool transactions; /* markers and aborted records */
	bool compaction; /* gaps */
	bool retention; /* the start of a log moves */
	bool grows; /* a partition is added to each topic */
	bool recreated; /* the last topic is deleted and made anew */
	bool cooperative; /* rebalancing */
	bool unreachable; /* now and then no broker answers */
};

struct fake_kafka;
struct fake_kafka *fake_kafka_new(const struct fake_kafka_options *options, struct clock *clock);
void fake_kafka_free(struct fake_kafka *k);
/* From now on everything answers, and the group is at rest. */
void fake_kafka_calm(struct fake_kafka *k);
/* The coordinator gives the partitions out anew. */
void fake_kafka_rebalance(struct fake_kafka *k);

/* A consumer_opener; ctx is a struct fake_kafka *. */
enum status fake_consumer_open(void *ctx, const struct consumer_options *options,
			       struct consumer **out, struct err *err);
/* A rollback_ask_kafka; ctx likewise. */
enum status fake_ask_bounds(void *ctx, const struct offsets *wanted, struct kafka_bounds *out,
			    struct err *err);

/* ---- for checkers ---- */

enum fake_entry {
	FAKE_RECORD,
	FAKE_TOMBSTONE,
	FAKE_POISON,
	FAKE_HIDDEN, /* a marker, an aborted record, or nothing */
};

uint32_t fake_generation(const struct fake_kafka *k, int topic); /* now */
int fake_partitions(const struct fake_kafka *k, int topic); /* now */
int64_t fake_start(const struct fake_kafka *k, int topic, int partition);
int64_t fake_end(const struct fake_kafka *k, int topic, int partition);
enum fake_entry fake_entry(const struct fake_kafka *k, int topic, uint32_t generation,
			   int partition, int64_t offset);
/* A record's value; or, of a tombstone, nothing. */
void fake_value(const struct fake_kafka *k, int topic, uint32_t generation, int partition,
		int64_t offset, struct buf *out);
/* What must become of an entry that is visible: its row (tests/lib/row_layout.h), and its
 * folder, as a pattern. False: it is a dead letter. */
MUST_CHECK bool fake_row(const struct fake_kafka *k, int topic, uint32_t generation, int partition,
			 int64_t offset, struct buf *row_out, struct buf *folder_out);
int fake_topic_index(const struct fake_kafka *k, const char *name); /* -1 */

#endif
