/* What every librdkafka handle of ours shares: making its configuration and
 * translating its errors. librdkafka is named only in this folder. */
#ifndef TIDEMARK_KAFKA_CLIENT_H
#define TIDEMARK_KAFKA_CLIENT_H

#include <librdkafka/rdkafka.h>

#include "connector/kafka/consumer.h"
#include "core/base/err.h"
#include "core/base/props.h"

/* A new configuration with these properties; the caller destroys it or gives it
 * to rd_kafka_new. ST_USAGE names the property that librdkafka refuses. */
MUST_CHECK enum status client_conf(const struct props *client, rd_kafka_conf_t **out,
				   struct err *err);
MUST_CHECK enum status client_conf_set(rd_kafka_conf_t *conf, const char *key, const char *value,
				       struct err *err);
/* conf is consumed in any case. */
MUST_CHECK enum status client_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, rd_kafka_t **out,
				  struct err *err);
/* Is the error one of reaching, of the user's settings, or of the topic? */
enum status client_status(rd_kafka_resp_err_t code);
/* cluster id and the named topics, by DescribeTopics. */
MUST_CHECK enum status client_describe(rd_kafka_t *rk, const char *const *topics, size_t n,
				       int timeout_ms, struct cluster_info *out, struct err *err);
/* Names of all topics that match the regular expression (POSIX extended,
 * anchored as Kafka Connect does: the whole name). The caller frees each. */
MUST_CHECK enum status client_match_topics(rd_kafka_t *rk, const char *regex, int timeout_ms,
					   char ***names_out, size_t *n_out, struct err *err);
MUST_CHECK enum status client_list_offsets(rd_kafka_t *rk, enum offset_spec spec,
					   struct partitions *list, int timeout_ms,
					   struct err *err);
/* The last error that the client itself logged (brokers down, authentication);
 * "" where none. Copied into out. Cleared by a success. */
void client_last_error(rd_kafka_t *rk, char *out, size_t size);

#endif
