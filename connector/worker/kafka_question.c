#include "connector/worker/kafka_question.h"

#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 10000

/* The distinct topics of a map; names are borrowed, the array is the caller's. */
static const char **topics_of(const struct offsets *wanted, size_t *n_out)
{
	const char **topics = xcalloc(wanted->n, sizeof(*topics));
	size_t n = 0;

	for (size_t i = 0; i < wanted->n; i++)
		if (n == 0 || strcmp(topics[n - 1], wanted->items[i].topic) != 0)
			topics[n++] = wanted->items[i].topic;
	*n_out = n;
	return topics;
}

static enum status ask_offsets(struct consumer *c, enum offset_spec spec,
			       const struct offsets *wanted, struct offsets *out, struct err *err)
{
	AUTO(partitions_release) struct partitions list = PARTITIONS_INIT;
	enum status st;

	for (size_t i = 0; i < wanted->n; i++)
		partitions_add(&list, wanted->items[i].topic, wanted->items[i].partition);
	st = c->ops->list_offsets(c, spec, &list, TIMEOUT_MS, err);
	for (size_t i = 0; st == ST_OK && i < list.n; i++)
		if (list.items[i].status == ST_OK)
			offsets_set(out, list.items[i].topic, list.items[i].partition,
				    list.items[i].offset);
	return st;
}

static enum status ask(struct consumer *c, const struct offsets *wanted, struct kafka_bounds *out,
		       struct err *err)
{
	struct cluster_info info = {0};
	enum status st = c->ops->describe(c, TIMEOUT_MS, &info, err);

	if (st == ST_NOT_FOUND)
		return ST_OK; /* the plan finds the topic missing, and says so */
	for (size_t i = 0; st == ST_OK && i < info.n_topics; i++)
		topic_states_set(&out->topics, info.topics[i].name, info.topics[i].id, 0);
	cluster_info_release(&info);
	if (st == ST_OK)
		st = ask_offsets(c, OFFSET_EARLIEST, wanted, &out->earliest, err);
	if (st == ST_OK)
		st = ask_offsets(c, OFFSET_LATEST, wanted, &out->latest, err);
	return st;
}

enum status kafka_ask_bounds(void *ctx, const struct offsets *wanted, struct kafka_bounds *out,
			     struct err *err)
{
	const struct config *config = ctx;
	struct kafka_bounds bounds = {0};
	size_t n;
	AUTO(freep) const char **topics = topics_of(wanted, &n);
	const struct consumer_options options = {
		.client = &config->client,
		.group_id = config->group_id,
		.topics = topics,
		.n_topics = n,
		.tasks = 1,
		.queued_max_kbytes = 64,
	};
	struct consumer *c;
	enum status st = rdkafka_consumer_open(&options, &c, err);

	if (st != ST_OK)
		return st;
	st = ask(c, wanted, &bounds, err);
	c->ops->close(c);
	if (st != ST_OK) {
		kafka_bounds_release(&bounds);
		return st;
	}
	*out = bounds;
	return ST_OK;
}
