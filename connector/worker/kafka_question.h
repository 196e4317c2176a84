/* Questions that commands put to Kafka without joining a group. */
#ifndef TIDEMARK_WORKER_KAFKA_QUESTION_H
#define TIDEMARK_WORKER_KAFKA_QUESTION_H

#include "connector/history/rollback.h"
#include "connector/kafka/consumer.h"
#include "connector/worker/config.h"

/* A rollback_ask_kafka; ctx is a const struct config *. Earliest and latest
 * offsets of the wanted partitions, and the topics' ids. ST_UNREACHABLE within
 * about 15 s. A topic or partition that is gone is left out of the answer. */
MUST_CHECK enum status kafka_ask_bounds(void *ctx, const struct offsets *wanted,
					struct kafka_bounds *out, struct err *err);

#endif
