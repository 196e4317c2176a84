/* Copies of dead letters in a Kafka topic: the original key, value, headers and
 * timestamp, at least once, identified by topic, partition and offset in their
 * headers. Thread-safe. */
#ifndef TIDEMARK_KAFKA_DEADLETTER_TOPIC_H
#define TIDEMARK_KAFKA_DEADLETTER_TOPIC_H

#include "connector/kafka/record.h"
#include "core/base/err.h"
#include "core/base/props.h"

struct deadletter_topic;

struct deadletter_topic_options {
	const struct props *client; /* librdkafka producer properties */
	const char *topic;
	int replication_factor; /* where the topic must be made */
	const char *connector;
	bool context_headers; /* all of Connect's, not the first three alone */
};

/* Makes the topic where it is missing. ST_USAGE, ST_UNREACHABLE. */
MUST_CHECK enum status deadletter_topic_open(const struct deadletter_topic_options *options,
					     struct deadletter_topic **out, struct err *err);
void deadletter_topic_close(struct deadletter_topic *d);
/* Queues one copy; waits where the queue is full. */
MUST_CHECK enum status deadletter_topic_send(struct deadletter_topic *d, const struct record *r,
					     int task, const char *stage, const char *class_name,
					     const char *message, struct err *err);
/* Returns when all copies are acknowledged. ST_UNREACHABLE: some are not, within
 * timeout_ms or at all; the checkpoint must not be committed. */
MUST_CHECK enum status deadletter_topic_flush(struct deadletter_topic *d, int timeout_ms,
					      struct err *err);

#endif
