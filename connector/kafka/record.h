/* One Kafka record as the consumer hands it over. Everything is borrowed: it
 * lives until the consumer's callback returns. */
#ifndef TIDEMARK_KAFKA_RECORD_H
#define TIDEMARK_KAFKA_RECORD_H

#include "core/base/base.h"

struct record_header {
	const char *name;
	const void *value; /* NULL: null */
	size_t value_len;
};

struct record {
	const char *topic;
	int32_t partition;
	int32_t leader_epoch; /* -1 unknown */
	int64_t offset;
	int64_t timestamp_ms; /* -1 none */
	const void *key; /* NULL: null; key_len 0 with key set: empty */
	size_t key_len;
	const void *value; /* NULL: tombstone */
	size_t value_len;
	/* Fills *headers_out (valid as long as the record) and returns their
	 * number; NULL: no headers. Called only where headers are needed. */
	size_t (*headers)(const struct record *r, const struct record_header **headers_out);
	void *handle; /* the consumer's */
};

#endif
