/* What the oracle's producer writes into each record, so that whoever reads it
 * knows where it belongs and that it is whole; and the log of what Kafka
 * acknowledged, one line a record:
 *
 *   KIND TOPIC GENERATION PARTITION OFFSET SEQUENCE CRC
 *
 * KIND: A acknowledged, X aborted with its transaction, P poison (cannot be
 * converted; must become a dead letter), T tombstone. GENERATION counts how
 * often the topic was created anew. Sequences of a partition ascend with its
 * offsets; aborted ones leave gaps. */
#ifndef TIDEMARK_TESTS_STAMP_H
#define TIDEMARK_TESTS_STAMP_H

#include "core/base/buf.h"

/* Two versions, so that two schemas can be mixed in one topic. */
#define STAMP_FIELDS                                                                               \
	"{\"name\":\"topic\",\"type\":\"string\"},{\"name\":\"partition\",\"type\":\"int\"},"      \
	"{\"name\":\"sequence\",\"type\":\"long\"},{\"name\":\"pad\",\"type\":\"string\"},"        \
	"{\"name\":\"crc\",\"type\":\"long\"}"
#define STAMP_HEAD                                                                                 \
	"{\"type\":\"record\",\"name\":\"Stamp\",\"namespace\":\"io.tidemark.test\",\"fields\":["
#define STAMP_SCHEMA STAMP_HEAD STAMP_FIELDS "]}"
#define STAMP_SCHEMA_2                                                                             \
	STAMP_HEAD STAMP_FIELDS ",{\"name\":\"note\",\"type\":\"string\",\"default\":\"\"}]}"
#define STAMP_POISON "poison " /* before the JSON of a value that nothing can read */

struct stamp {
	char topic[256];
	int32_t partition;
	int64_t sequence;
	uint32_t crc; /* as the record says */
	bool whole; /* and so it is by its content */
};

uint32_t stamp_crc(const char *topic, int32_t partition, int64_t sequence, const char *pad);
void stamp_to_json(const char *topic, int32_t partition, int64_t sequence, const char *pad,
		   struct buf *out);
/* version 1 or 2; no framing. */
void stamp_to_avro(const char *topic, int32_t partition, int64_t sequence, const char *pad,
		   int version, struct buf *out);
MUST_CHECK bool stamp_from_json(const void *text, size_t len, struct stamp *out);
/* Takes one row. */
MUST_CHECK bool stamp_from_avro(struct bytes *in, int version, struct stamp *out);

/* Avro's long, and its string or bytes (borrowed from in). */
MUST_CHECK bool avro_take_long(struct bytes *in, int64_t *out);
MUST_CHECK bool avro_take_text(struct bytes *in, const char **out, size_t *len_out);
/* The index of a union's branch, then bytes where it is 1; NULL where 0. */
MUST_CHECK bool avro_take_nullable(struct bytes *in, const char **out, size_t *len_out);

#endif
