/* What Kafka acknowledged (the log of tests/lib/stamp.h), to be looked up by
 * topic, generation, partition and offset. */
#ifndef TIDEMARK_TESTS_ORACLE_LOG_H
#define TIDEMARK_TESTS_ORACLE_LOG_H

#include "core/base/base.h"

struct oracle_entry {
	int64_t offset, sequence;
	uint32_t crc;
	char kind; /* A X P T */
	char seen; /* 0, or D in data, L in dead letters */
};

/* Offsets that a connector's checkpoints say were read, or lost. */
struct oracle_span {
	int64_t from, to;
	bool lost;
};

struct oracle_stream {
	char *topic;
	uint32_t generation;
	int32_t partition;
	struct oracle_entry *items; /* by offset */
	size_t n, cap;
	struct oracle_span *spans; /* by offset, disjoint */
	size_t n_spans, cap_spans;
};

struct oracle_log {
	struct oracle_stream *items;
	size_t n, cap;
};

/* Adds the file's lines; false where it cannot be read. */
MUST_CHECK bool oracle_log_load(struct oracle_log *log, const char *path);
/* Sorts; says in why_out (static) what is wrong with the log itself, or NULL. */
const char *oracle_log_finish(struct oracle_log *log);
void oracle_log_release(struct oracle_log *log);
/* The stream; made where it is not there. Valid until the next call. */
struct oracle_stream *oracle_log_stream(struct oracle_log *log, const char *topic,
					uint32_t generation, int32_t partition);
struct oracle_entry *oracle_log_find(const struct oracle_stream *stream, int64_t offset);
/* The span that holds the offset, or NULL. */
const struct oracle_span *oracle_span_find(const struct oracle_stream *stream, int64_t offset);
void oracle_span_add(struct oracle_stream *stream, int64_t from, int64_t to, bool lost);

#endif
