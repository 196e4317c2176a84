/* A map from (topic, partition) to a number: next offsets, or leader epochs.
 * Sorted by topic, then partition. */
#ifndef TIDEMARK_HISTORY_OFFSETS_H
#define TIDEMARK_HISTORY_OFFSETS_H

#include "core/base/buf.h"
#include "core/base/err.h"

struct offset_item {
	char *topic;
	int32_t partition;
	int64_t value;
};

struct offsets {
	struct offset_item *items;
	size_t n;
	size_t cap;
};

#define OFFSETS_INIT                                                                               \
	{                                                                                          \
		.items = NULL                                                                      \
	}

void offsets_release(struct offsets *o);
void offsets_copy(struct offsets *to, const struct offsets *from); /* replaces */
void offsets_set(struct offsets *o, const char *topic, int32_t partition, int64_t value);
/* -1 where the map has no such partition. */
int64_t offsets_get(const struct offsets *o, const char *topic, int32_t partition);
void offsets_remove_topic(struct offsets *o, const char *topic);
bool offsets_equal(const struct offsets *a, const struct offsets *b);

/* {"orders":{"0":1200,"1":998}} */
void offsets_to_json(const struct offsets *o, struct buf *out);
/* ST_DAMAGED where the text is no such map. */
MUST_CHECK enum status offsets_from_json(const char *text, struct offsets *out, struct err *err);

/* Half-open ranges of offsets: {"orders":{"0":[1000,1200]}}. */
struct range {
	char *topic;
	int32_t partition;
	int32_t leader_epoch; /* of the last record; -1 unknown */
	int64_t from, to;
};

struct ranges {
	struct range *items;
	size_t n;
	size_t cap;
};

void ranges_release(struct ranges *r);
struct range *ranges_add(struct ranges *r, const char *topic, int32_t partition, int64_t from,
			 int64_t to);
const struct range *ranges_find(const struct ranges *r, const char *topic, int32_t partition);
void ranges_to_json(const struct ranges *r, struct buf *out);
MUST_CHECK enum status ranges_from_json(const char *text, struct ranges *out, struct err *err);

/* Ranges that were left out, each with the policy that allowed it and why. */
struct loss {
	char *topic;
	int32_t partition;
	int64_t from, to; /* to -1: not known (the topic is gone) */
	char *policy, *reason;
};

struct losses {
	struct loss *items;
	size_t n;
	size_t cap;
};

void losses_release(struct losses *l);
void losses_add(struct losses *l, const char *topic, int32_t partition, int64_t from, int64_t to,
		const char *policy, const char *reason);
/* [{"topic":"orders","partition":0,"range":[5,9],"policy":"...","reason":"..."}] */
void losses_to_json(const struct losses *l, struct buf *out);
MUST_CHECK enum status losses_from_json(const char *text, struct losses *out, struct err *err);

#endif
