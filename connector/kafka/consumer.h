/* The stream's source: a group consumer behind a table of functions, so that a
 * simulation can stand where librdkafka stands (rdkafka_consumer.c; the fake is
 * in tests/lib).
 *
 * Two kinds of threads. The coordinator opens, polls, assigns, describes and
 * closes. Task t (0 <= t < tasks) consumes the partitions that were assigned
 * to it, each task on one thread. Callbacks run on the thread that called.
 *
 * Nothing is ever fetched from an offset that was not given to assign(): the
 * offsets in Kafka are written (commit_offsets) and never read. */
#ifndef TIDEMARK_KAFKA_CONSUMER_H
#define TIDEMARK_KAFKA_CONSUMER_H

#include "connector/kafka/record.h"
#include "core/base/err.h"
#include "core/base/props.h"

/* One partition in a list. offset: next to read, or -1 unknown. */
struct partition {
	char *topic;
	int32_t partition;
	int32_t leader_epoch; /* of the record before offset; -1 unknown */
	int64_t offset;
	int task; /* of assign(): who consumes it */
	enum status status; /* of list_offsets(): ST_OK, or why there is no offset */
};

struct partitions {
	struct partition *items;
	size_t n;
	size_t cap;
};

#define PARTITIONS_INIT                                                                            \
	{                                                                                          \
		.items = NULL                                                                      \
	}

void partitions_release(struct partitions *list);
/* Copies topic; the new item's offset and leader epoch are -1. */
struct partition *partitions_add(struct partitions *list, const char *topic, int32_t partition);
/* By topic and partition, or NULL; O(n). */
struct partition *partitions_find(const struct partitions *list, const char *topic,
				  int32_t partition);

struct topic_info {
	char *name;
	char *id; /* Kafka's topic id, base64; "" where the broker has none */
	int32_t partitions;
};

struct cluster_info {
	char *cluster_id; /* "" where unknown */
	struct topic_info *topics;
	size_t n_topics;
};

void cluster_info_release(struct cluster_info *info);

/* Which offset list_offsets() asks for. Latest is the last stable offset: the
 * end of what a reader of committed records can see. */
enum offset_spec { OFFSET_EARLIEST, OFFSET_LATEST };

/* Called from poll(), on the coordinator's thread. */
struct consumer_events {
	void *ctx;
	/* The group gave us these (topic, partition set). Must call assign(). */
	void (*assigned)(void *ctx, const struct partitions *list);
	/* The group wants these back: what was read may still be committed. After
	 * the call they are gone. */
	void (*revoked)(void *ctx, const struct partitions *list);
	/* These are gone already: what was read must be dropped. */
	void (*lost)(void *ctx, const struct partitions *list);
	/* Something that concerns the whole consumer. ST_UNREACHABLE: no broker
	 * answers (it goes on trying); anything else is final. */
	void (*error)(void *ctx, enum status st, const char *text);
};

/* Called from consume(), on the task's thread. */
struct consumer_sink {
	void *ctx;
	/* Returns false to get no more records from this call of consume();
	 * the record itself has been taken. */
	bool (*record)(void *ctx, const struct record *r);
	/* The reader's position has reached offset, and nothing visible lies between
	 * the record before and it. */
	void (*position)(void *ctx, const char *topic, int32_t partition, int64_t offset);
	/* The partition cannot be read on. ST_LOST: its next offset is out of range,
	 * or the log was truncated; ST_NOT_FOUND: topic or partition is gone. */
	void (*error)(void *ctx, const char *topic, int32_t partition, enum status st,
		      const char *text);
};

struct consumer;

struct consumer_ops {
	MUST_CHECK enum status (*poll)(struct consumer *c, int timeout_ms, struct err *err);
	MUST_CHECK enum status (*assign)(struct consumer *c, const struct partitions *list,
					 struct err *err);
	/* Waits up to timeout_ms for the first record. Returns how many callbacks
	 * were made. */
	size_t (*consume)(struct consumer *c, int task, int timeout_ms,
			  const struct consumer_sink *sink);
	/* Makes the task's consume(), now or the next, return early. Any thread. */
	void (*wake)(struct consumer *c, int task);
	/* Sends the copy for lag monitors, in the background; failures are logged. */
	void (*commit_offsets)(struct consumer *c, const struct partitions *list);
	/* The topics that the subscription names now. ST_NOT_FOUND names a topic
	 * that does not exist; ST_UNREACHABLE within timeout_ms. */
	MUST_CHECK enum status (*describe)(struct consumer *c, int timeout_ms,
					   struct cluster_info *out, struct err *err);
	/* Fills offset (and status) of each partition in the list. */
	MUST_CHECK enum status (*list_offsets)(struct consumer *c, enum offset_spec spec,
					       struct partitions *list, int timeout_ms,
					       struct err *err);
	/* Joins the group; assigned() comes later. */
	MUST_CHECK enum status (*subscribe)(struct consumer *c, struct err *err);
	/* All task threads must be out of consume(). A static member stays a member
	 * of its group until its session times out. */
	void (*close)(struct consumer *c);
};

struct consumer {
	const struct consumer_ops *ops;
};

struct consumer_options {
	const struct props *client; /* librdkafka properties */
	const char *group_id;
	const char *instance_id; /* static member; NULL: dynamic */
	const char *const *topics; /* one name each, or one regular expression */
	size_t n_topics;
	bool regex;
	int tasks;
	int32_t queued_max_kbytes; /* of one partition's queue */
	struct consumer_events events;
};

/* Does librdkafka take this property with this value? ST_USAGE says why not. */
MUST_CHECK enum status rdkafka_property_check(const char *key, const char *value, struct err *err);

/* ST_USAGE names a client property that librdkafka does not take. */
MUST_CHECK enum status rdkafka_consumer_open(const struct consumer_options *options,
					     struct consumer **out, struct err *err);

#endif
