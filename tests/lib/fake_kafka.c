#include "tests/lib/fake_kafka_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAULT_WINDOW_MS 12000

/* A partition that a member reads. */
struct reading {
	int topic;
	int32_t partition;
	uint32_t generation; /* of the topic, when it was taken up */
	int64_t position;
	int task;
	bool failed; /* an error was given; nothing comes after it */
};

struct member {
	struct consumer base;
	struct fake_kafka *kafka;
	struct consumer_events events;
	int tasks;
	bool subscribed;
	bool evicted; /* and has not heard of it */
	int64_t polled_ms;
	struct partitions owned; /* as the member thinks */
	struct partitions target; /* as the coordinator wants */
	struct reading *reading;
	size_t n_reading, cap_reading;
};

static const struct consumer_ops fake_ops;

/* ---- the cluster's answers ---- */

static bool unreachable(const struct fake_kafka *k)
{
	int64_t now = fake_now_ms(k);
	uint64_t h = fake_hash(k, 7, (uint64_t)(now / FAULT_WINDOW_MS), 0);

	return k->o.unreachable && !k->calm && h % 4 == 0 &&
	       now % FAULT_WINDOW_MS < (int64_t)(500 + (h >> 8) % 6000);
}

static enum status no_answer(struct err *err)
{
	return err_set(err, ST_UNREACHABLE, "no broker answers");
}

static struct topic_info topic_info(const struct fake_kafka *k, int topic)
{
	return (struct topic_info){
		.name = xstrdup(k->names[topic]),
		.id = xasprintf("id-%d-%u", topic, fake_generation(k, topic)),
		.partitions = fake_partitions(k, topic),
	};
}

static struct member *of(struct consumer *c)
{
	return (struct member *)c; /* its first member */
}

static enum status fake_describe(struct consumer *c, int timeout_ms, struct cluster_info *out,
				 struct err *err)
{
	const struct fake_kafka *k = of(c)->kafka;

	if (unreachable(k)) {
		k->clock->sleep_ms(k->clock, timeout_ms / 4);
		return no_answer(err);
	}
	*out = (struct cluster_info){.cluster_id = xstrdup("cluster")};
	out->topics = xcalloc((size_t)k->o.n_topics, sizeof(*out->topics));
	for (int i = 0; i < k->o.n_topics; i++)
		out->topics[out->n_topics++] = topic_info(k, i);
	return ST_OK;
}

static enum status fake_list_offsets(struct consumer *c, enum offset_spec spec,
				     struct partitions *list, int timeout_ms, struct err *err)
{
	const struct fake_kafka *k = of(c)->kafka;

	(void)timeout_ms;
	if (unreachable(k))
		return no_answer(err);
	for (size_t i = 0; i < list->n; i++) {
		struct partition *p = &list->items[i];
		int topic = fake_topic_index(k, p->topic);

		p->status = ST_NOT_FOUND;
		if (topic < 0 || p->partition >= fake_partitions(k, topic))
			continue;
		p->status = ST_OK;
		p->offset = spec == OFFSET_EARLIEST ? fake_start(k, topic, p->partition)
						    : fake_end(k, topic, p->partition);
	}
	return ST_OK;
}

enum status fake_ask_bounds(void *ctx, const struct offsets *wanted, struct kafka_bounds *out,
			    struct err *err)
{
	const struct fake_kafka *k = ctx;

	if (unreachable(k))
		return no_answer(err);
	*out = (struct kafka_bounds){.earliest = OFFSETS_INIT};
	for (int i = 0; i < k->o.n_topics; i++) {
		AUTO(freep) char *id = xasprintf("id-%d-%u", i, fake_generation(k, i));

		topic_states_set(&out->topics, k->names[i], id, 0);
	}
	for (size_t i = 0; i < wanted->n; i++) {
		const struct offset_item *w = &wanted->items[i];
		int topic = fake_topic_index(k, w->topic);

		if (topic < 0 || w->partition >= fake_partitions(k, topic))
			continue;
		offsets_set(&out->earliest, w->topic, w->partition,
			    fake_start(k, topic, w->partition));
		offsets_set(&out->latest, w->topic, w->partition, fake_end(k, topic, w->partition));
	}
	return ST_OK;
}

/* ---- the group ---- */

static int count_partitions(const struct fake_kafka *k)
{
	int n = 0;

	for (int i = 0; i < k->o.n_topics; i++)
		n += fake_partitions(k, i);
	return n;
}

void fake_kafka_rebalance(struct fake_kafka *k)
{
	struct member *in[MEMBERS_MAX];
	size_t n = 0;

	for (size_t i = 0; i < k->n_members; i++) {
		partitions_release(&k->members[i]->target);
		if (k->members[i]->subscribed && !k->members[i]->evicted)
			in[n++] = k->members[i];
	}
	k->known_partitions = count_partitions(k);
	for (int t = 0; n > 0 && t < k->o.n_topics; t++)
		for (int p = 0; p < fake_partitions(k, t); p++)
			partitions_add(&in[rng_below(&k->rng, n)]->target, k->names[t], p);
	if (k->o.cooperative)
		return;
	/* eager: everybody gives all back first */
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < in[i]->owned.n; j++)
			in[i]->owned.items[j].task = 1; /* to be revoked */
}

static bool owned_by_other(const struct fake_kafka *k, const struct member *m,
			   const struct partition *p)
{
	for (size_t i = 0; i < k->n_members; i++)
		if (k->members[i] != m && !k->members[i]->evicted &&
		    partitions_find(&k->members[i]->owned, p->topic, p->partition))
			return true;
	return false;
}

static void stop_reading(struct member *m, const struct partitions *list)
{
	size_t kept = 0;

	for (size_t i = 0; i < m->n_reading; i++)
		if (!partitions_find(list, m->kafka->names[m->reading[i].topic],
				     m->reading[i].partition))
			m->reading[kept++] = m->reading[i];
	m->n_reading = kept;
}

static void disown(struct member *m, const struct partitions *list)
{
	size_t kept = 0;

	for (size_t i = 0; i < m->owned.n; i++) {
		struct partition *p = &m->owned.items[i];

		if (partitions_find(list, p->topic, p->partition))
			free(p->topic);
		else
			m->owned.items[kept++] = *p;
	}
	m->owned.n = kept;
	stop_reading(m, list);
}

/* Members that do not poll are thought dead. */
static void watch_sessions(struct fake_kafka *k, const struct member *polling)
{
	for (size_t i = 0; i < k->n_members; i++) {
		struct member *m = k->members[i];

		if (m != polling && m->subscribed && !m->evicted &&
		    fake_now_ms(k) - m->polled_ms > FAKE_SESSION_TIMEOUT_MS) {
			m->evicted = true;
			fake_kafka_rebalance(k);
		}
	}
}

static void tell_lost(struct member *m)
{
	struct partitions all = m->owned;

	m->owned = (struct partitions)PARTITIONS_INIT;
	m->evicted = false;
	if (all.n > 0)
		m->events.lost(m->events.ctx, &all);
	m->n_reading = 0;
	partitions_release(&all);
	fake_kafka_rebalance(m->kafka);
}

static void take_back(struct member *m)
{
	AUTO(partitions_release) struct partitions list = PARTITIONS_INIT;

	for (size_t i = 0; i < m->owned.n; i++) {
		const struct partition *p = &m->owned.items[i];

		if (p->task || !partitions_find(&m->target, p->topic, p->partition))
			partitions_add(&list, p->topic, p->partition);
	}
	if (list.n == 0)
		return;
	m->events.revoked(m->events.ctx, &list);
	disown(m, &list);
}

static void give(struct member *m)
{
	AUTO(partitions_release) struct partitions list = PARTITIONS_INIT;
	bool all = true;

	for (size_t i = 0; i < m->target.n; i++) {
		const struct partition *p = &m->target.items[i];

		if (partitions_find(&m->owned, p->topic, p->partition))
			continue;
		if (owned_by_other(m->kafka, m, p))
			all = false;
		else
			partitions_add(&list, p->topic, p->partition);
	}
	if (list.n == 0 || (!m->kafka->o.cooperative && !all))
		return;
	for (size_t i = 0; i < list.n; i++)
		partitions_add(&m->owned, list.items[i].topic, list.items[i].partition);
	m->events.assigned(m->events.ctx, &list);
}

static enum status fake_poll(struct consumer *c, int timeout_ms, struct err *err)
{
	struct member *m = of(c);
	struct fake_kafka *k = m->kafka;

	(void)timeout_ms;
	(void)err;
	if (!m->subscribed)
		return ST_OK;
	m->polled_ms = fake_now_ms(k);
	watch_sessions(k, m);
	if (k->known_partitions != count_partitions(k))
		fake_kafka_rebalance(k);
	if (m->evicted) {
		tell_lost(m);
		return ST_OK;
	}
	if (unreachable(k)) { /* no heartbeat, no news */
		m->events.error(m->events.ctx, ST_UNREACHABLE, "no broker answers");
		return ST_OK;
	}
	take_back(m);
	if (k->calm || rng_below(&k->rng, 3) > 0)
		give(m);
	return ST_OK;
}

static enum status fake_assign(struct consumer *c, const struct partitions *list, struct err *err)
{
	struct member *m = of(c);

	stop_reading(m, list);
	for (size_t i = 0; i < list->n; i++) {
		const struct partition *p = &list->items[i];
		int topic = fake_topic_index(m->kafka, p->topic);

		if (topic < 0 || p->offset < 0 || p->task < 0 || p->task >= m->tasks)
			return err_set(err, ST_FAILED, "assign: %s:%d at %" PRId64 " for task %d",
				       p->topic, p->partition, p->offset, p->task);
		GROW(m->reading, m->n_reading, m->cap_reading);
		m->reading[m->n_reading++] = (struct reading){
			.topic = topic,
			.partition = p->partition,
			.generation = fake_generation(m->kafka, topic),
			.position = p->offset,
			.task = p->task,
		};
	}
	return ST_OK;
}

/* ---- reading ---- */

static size_t hand_over_headers(const struct record *r, const struct record_header **out)
{
	static struct record_header headers[2];
	const struct fake_kafka *k = r->handle;
	struct row_header from[2];
	size_t n = row_headers(&k->o.layout, r->offset, from);

	for (size_t i = 0; i < n; i++)
		headers[i] = (struct record_header){from[i].name, from[i].value, from[i].len};
	*out = headers;
	return n;
}

/* Hands over one visible record; false: the sink wants no more. */
static bool hand_over(const struct fake_kafka *k, struct reading *r, uint32_t generation,
		      const struct consumer_sink *sink)
{
	AUTO(buf_release) struct buf value = BUF_INIT;
	int64_t offset = r->position;
	enum fake_entry entry = fake_entry(k, r->topic, generation, r->partition, offset);
	struct record record = {
		.topic = k->names[r->topic],
		.partition = r->partition,
		.leader_epoch = (int32_t)(offset / 50),
		.offset = offset,
		.timestamp_ms = row_timestamp(&k->o.layout, offset),
		.headers = hand_over_headers,
		.handle = (void *)(uintptr_t)k,
	};

	record.key = row_key(&k->o.layout, offset, &record.key_len);
	fake_value(k, r->topic, generation, r->partition, offset, &value);
	if (entry != FAKE_TOMBSTONE) {
		record.value = buf_str(&value);
		record.value_len = value.len;
	}
	r->position++;
	return sink->record(sink->ctx, &record);
}

static void report(struct reading *r, const struct fake_kafka *k, enum status st, const char *text,
		   const struct consumer_sink *sink)
{
	r->failed = true;
	sink->error(sink->ctx, k->names[r->topic], r->partition, st, text);
}

/* Reads up to `most` records; returns the callbacks made. */
static size_t read_partition(struct fake_kafka *k, struct reading *r, size_t most,
			     const struct consumer_sink *sink, bool *go_on)
{
	uint32_t generation = fake_generation(k, r->topic);
	int64_t end = fake_end(k, r->topic, r->partition);
	size_t n = 0;

	/* A topic made anew: some clients notice, others read what stands at their
	 * offset now. */
	if (generation != r->generation && fake_hash(k, 8, (uint64_t)r->partition, 0) % 2) {
		report(r, k, ST_NOT_FOUND, "the topic is gone", sink);
		return 1;
	}
	if (r->position < fake_start(k, r->topic, r->partition) || r->position > end) {
		report(r, k, ST_LOST, "offset out of range", sink);
		return 1;
	}
	while (*go_on && n < most && r->position < end) {
		if (fake_entry(k, r->topic, generation, r->partition, r->position) == FAKE_HIDDEN) {
			r->position++;
			if (r->position == end) {
				sink->position(sink->ctx, k->names[r->topic], r->partition, end);
				n++;
			}
			continue;
		}
		*go_on = hand_over(k, r, generation, sink);
		n++;
	}
	return n;
}

static size_t fake_consume(struct consumer *c, int task, int timeout_ms,
			   const struct consumer_sink *sink)
{
	struct member *m = of(c);
	struct fake_kafka *k = m->kafka;
	bool go_on = true;
	size_t n = 0;

	(void)timeout_ms;
	if (unreachable(k))
		return 0;
	for (size_t i = 0; go_on && i < m->n_reading; i++) {
		struct reading *r = &m->reading[i];

		if (r->task != task || r->failed || (!k->calm && rng_below(&k->rng, 3) == 0))
			continue;
		n += read_partition(k, r, 1 + rng_below(&k->rng, 12), sink, &go_on);
	}
	return n;
}

static void fake_wake(struct consumer *c, int task)
{
	(void)c;
	(void)task;
}

static void fake_commit_offsets(struct consumer *c, const struct partitions *list)
{
	(void)c;
	(void)list; /* nobody ever reads them */
}

/* ---- open and close ---- */

static enum status fake_subscribe(struct consumer *c, struct err *err)
{
	struct member *m = of(c);

	(void)err;
	m->subscribed = true;
	m->polled_ms = fake_now_ms(m->kafka);
	fake_kafka_rebalance(m->kafka);
	return ST_OK;
}

static void member_free(struct member *m)
{
	partitions_release(&m->owned);
	partitions_release(&m->target);
	free(m->reading);
	free(m);
}

static void fake_close(struct consumer *c)
{
	struct member *m = of(c);
	struct fake_kafka *k = m->kafka;
	size_t kept = 0;

	for (size_t i = 0; i < k->n_members; i++)
		if (k->members[i] != m)
			k->members[kept++] = k->members[i];
	k->n_members = kept;
	if (m->subscribed)
		fake_kafka_rebalance(k);
	member_free(m);
}

static const struct consumer_ops fake_ops = {
	.poll = fake_poll,
	.assign = fake_assign,
	.consume = fake_consume,
	.wake = fake_wake,
	.commit_offsets = fake_commit_offsets,
	.describe = fake_describe,
	.list_offsets = fake_list_offsets,
	.subscribe = fake_subscribe,
	.close = fake_close,
};

enum status fake_consumer_open(void *ctx, const struct consumer_options *options,
			       struct consumer **out, struct err *err)
{
	struct fake_kafka *k = ctx;
	struct member *m;

	if (k->n_members == MEMBERS_MAX)
		return err_set(err, ST_FAILED, "too many members");
	m = xcalloc(1, sizeof(*m));
	m->base.ops = &fake_ops;
	m->kafka = k;
	m->events = options->events;
	m->tasks = options->tasks;
	k->members[k->n_members++] = m;
	*out = &m->base;
	return ST_OK;
}

struct fake_kafka *fake_kafka_new(const struct fake_kafka_options *options, struct clock *clock)
{
	struct fake_kafka *k = xcalloc(1, sizeof(*k));

	k->o = *options;
	k->clock = clock;
	/* the time: another life of the group than the one before a crash */
	k->rng = rng_seeded(options->seed ^ (uint64_t)fake_now_ms(k) << 20);
	for (int i = 0; i < k->o.n_topics; i++)
		snprintf(k->names[i], sizeof(k->names[i]), "t%d", i);
	return k;
}

void fake_kafka_free(struct fake_kafka *k)
{
	while (k && k->n_members > 0)
		member_free(k->members[--k->n_members]);
	free(k);
}

void fake_kafka_calm(struct fake_kafka *k)
{
	k->calm = true;
}
