/* The consumer of consumer.h by librdkafka.
 *
 * Each partition's queue is forwarded to the queue of its task before it is
 * assigned, so that its records never come out of the main queue. Tasks take
 * whole queues by callback: one lock for thousands of records
 * (rd_kafka_consume_callback_queue; rd_kafka_yield puts the rest back). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connector/kafka/client.h"
#include "connector/kafka/consumer.h"
#include "core/base/log.h"

struct rdkafka_consumer {
	struct consumer base;
	rd_kafka_t *rk;
	/* Questions go through a handle of their own: a broker answers the requests
	 * of one connection in turn, so behind a fetch that waits for records they
	 * would wait too (fetch.wait.max.ms). */
	rd_kafka_t *admin;
	rd_kafka_queue_t **queues; /* by task */
	int tasks;
	struct consumer_events events;
	char **topics;
	size_t n_topics;
	bool regex;
	bool cooperative;
	bool closing;
	/* what assign() was called with inside the rebalance callback */
	bool answered;
};

static struct rdkafka_consumer *of(struct consumer *c)
{
	return (struct rdkafka_consumer *)c;
}

/* ---- rebalances ---- */

static void from_kafka(const rd_kafka_topic_partition_list_t *from, struct partitions *to)
{
	for (int i = 0; i < from->cnt; i++)
		partitions_add(to, from->elems[i].topic, from->elems[i].partition);
}

static void unassign(struct rdkafka_consumer *c, rd_kafka_topic_partition_list_t *list)
{
	if (c->cooperative)
		rd_kafka_error_destroy(rd_kafka_incremental_unassign(c->rk, list));
	else
		rd_kafka_assign(c->rk, NULL);
}

static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code,
			 rd_kafka_topic_partition_list_t *kafka_list, void *opaque);

/* The rebalance callback's opaque is the handle's, which is client.c's; so the
 * consumer is found by its thread: poll() and close() are the coordinator's. */
static _Thread_local struct rdkafka_consumer *current;

static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code,
			 rd_kafka_topic_partition_list_t *kafka_list, void *opaque)
{
	AUTO(partitions_release) struct partitions list = PARTITIONS_INIT;
	struct rdkafka_consumer *c = current;

	(void)opaque;
	from_kafka(kafka_list, &list);
	c->cooperative = strcmp(rd_kafka_rebalance_protocol(rk), "COOPERATIVE") == 0;
	if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
		c->answered = false;
		c->events.assigned(c->events.ctx, &list);
		/* librdkafka wants an answer to every assignment, also from one that
		 * is about to stop */
		if (!c->answered && !c->cooperative)
			rd_kafka_assign(rk, NULL);
		return;
	}
	if (!c->closing) {
		if (rd_kafka_assignment_lost(rk))
			c->events.lost(c->events.ctx, &list);
		else
			c->events.revoked(c->events.ctx, &list);
	}
	unassign(c, kafka_list);
}

static enum status rdkafka_assign(struct consumer *base, const struct partitions *list,
				  struct err *err)
{
	struct rdkafka_consumer *c = of(base);
	rd_kafka_topic_partition_list_t *kafka_list =
		rd_kafka_topic_partition_list_new((int)list->n);
	rd_kafka_error_t *error;
	enum status st = ST_OK;

	for (size_t i = 0; i < list->n; i++) {
		const struct partition *p = &list->items[i];
		rd_kafka_topic_partition_t *tp =
			rd_kafka_topic_partition_list_add(kafka_list, p->topic, p->partition);
		rd_kafka_queue_t *queue =
			rd_kafka_queue_get_partition(c->rk, p->topic, p->partition);

		tp->offset = p->offset;
		if (p->leader_epoch >= 0)
			rd_kafka_topic_partition_set_leader_epoch(tp, p->leader_epoch);
		if (queue) {
			rd_kafka_queue_forward(queue, c->queues[p->task]);
			rd_kafka_queue_destroy(queue);
		}
	}
	if (c->cooperative)
		error = rd_kafka_incremental_assign(c->rk, kafka_list);
	else
		error = rd_kafka_assign(c->rk, kafka_list)
				? rd_kafka_error_new(rd_kafka_last_error(), "assign failed")
				: NULL;
	if (error)
		st = err_set(err, ST_FAILED, "cannot assign the partitions: %s",
			     rd_kafka_error_string(error));
	rd_kafka_error_destroy(error);
	rd_kafka_topic_partition_list_destroy(kafka_list);
	c->answered = true;
	return st;
}

static enum status rdkafka_subscribe(struct consumer *base, struct err *err)
{
	struct rdkafka_consumer *c = of(base);
	rd_kafka_topic_partition_list_t *topics =
		rd_kafka_topic_partition_list_new((int)c->n_topics);
	rd_kafka_resp_err_t code;

	for (size_t i = 0; i < c->n_topics; i++) {
		AUTO(freep)
		char *name = c->regex ? xasprintf("^(%s)$", c->topics[i]) : xstrdup(c->topics[i]);

		rd_kafka_topic_partition_list_add(topics, name, RD_KAFKA_PARTITION_UA);
	}
	code = rd_kafka_subscribe(c->rk, topics);
	rd_kafka_topic_partition_list_destroy(topics);
	if (code)
		return err_set(err, ST_USAGE, "cannot subscribe: %s", rd_kafka_err2str(code));
	return ST_OK;
}

/* ---- the coordinator's poll ---- */

static void main_message(struct rdkafka_consumer *c, const rd_kafka_message_t *m)
{
	enum status st = client_status(m->err);

	if (!m->err || m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
		return; /* of a queue that was not forwarded: there is none */
	if (m->err == RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED)
		st = ST_UNREACHABLE;
	c->events.error(c->events.ctx, st, rd_kafka_message_errstr(m));
}

static enum status rdkafka_poll(struct consumer *base, int timeout_ms, struct err *err)
{
	struct rdkafka_consumer *c = of(base);
	rd_kafka_message_t *m;
	char reason[256];
	rd_kafka_resp_err_t fatal;

	current = c;
	m = rd_kafka_consumer_poll(c->rk, timeout_ms);
	if (m) {
		main_message(c, m);
		rd_kafka_message_destroy(m);
	}
	fatal = rd_kafka_fatal_error(c->rk, reason, sizeof(reason));
	if (fatal)
		return err_set(
			err, client_status(fatal), "the Kafka client gave up: %s%s", reason,
			fatal == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID
				? " (another process runs as this worker.id; give each its own)"
				: "");
	return ST_OK;
}

/* ---- the tasks' side ---- */

struct consume_call {
	const struct consumer_sink *sink;
	rd_kafka_t *rk;
	size_t n;
	/* the last topic handle and its name: records come in runs */
	rd_kafka_topic_t *rkt;
	const char *topic;
};

static size_t record_headers(const struct record *r, const struct record_header **headers_out)
{
	/* freed with the next call on this thread; a record's life is shorter */
	static _Thread_local struct record_header *list;
	rd_kafka_headers_t *headers;
	size_t n;

	if (rd_kafka_message_headers(r->handle, &headers))
		return 0;
	n = rd_kafka_header_cnt(headers);
	free(list);
	list = xcalloc(n, sizeof(*list));
	for (size_t i = 0; i < n; i++)
		if (rd_kafka_header_get_all(headers, i, &list[i].name, &list[i].value,
					    &list[i].value_len))
			return i;
	*headers_out = list;
	return n;
}

static void message_error(struct consume_call *call, const rd_kafka_message_t *m)
{
	const char *topic = m->rkt ? rd_kafka_topic_name(m->rkt) : "";

	if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
		call->sink->position(call->sink->ctx, topic, m->partition, m->offset);
		return;
	}
	call->sink->error(call->sink->ctx, topic, m->partition, client_status(m->err),
			  rd_kafka_message_errstr(m));
}

static void on_message(rd_kafka_message_t *m, void *opaque)
{
	struct consume_call *call = opaque;
	struct record r;

	call->n++;
	if (__builtin_expect(m->err != 0, 0)) {
		message_error(call, m);
		return;
	}
	if (m->rkt != call->rkt) {
		call->rkt = m->rkt;
		call->topic = rd_kafka_topic_name(m->rkt);
	}
	r = (struct record){
		.topic = call->topic,
		.partition = m->partition,
		.leader_epoch = rd_kafka_message_leader_epoch(m),
		.offset = m->offset,
		.timestamp_ms = rd_kafka_message_timestamp(m, NULL),
		.key = m->key,
		.key_len = m->key_len,
		.value = m->payload,
		.value_len = m->len,
		.headers = record_headers,
		.handle = m,
	};
	if (!call->sink->record(call->sink->ctx, &r))
		rd_kafka_yield(call->rk);
}

static size_t rdkafka_consume(struct consumer *base, int task, int timeout_ms,
			      const struct consumer_sink *sink)
{
	struct rdkafka_consumer *c = of(base);
	struct consume_call call = {.sink = sink, .rk = c->rk};

	rd_kafka_consume_callback_queue(c->queues[task], timeout_ms, on_message, &call);
	return call.n;
}

static void rdkafka_wake(struct consumer *base, int task)
{
	rd_kafka_queue_yield(of(base)->queues[task]);
}

static void rdkafka_commit_offsets(struct consumer *base, const struct partitions *list)
{
	rd_kafka_topic_partition_list_t *kafka_list =
		rd_kafka_topic_partition_list_new((int)list->n);

	for (size_t i = 0; i < list->n; i++)
		rd_kafka_topic_partition_list_add(kafka_list, list->items[i].topic,
						  list->items[i].partition)
			->offset = list->items[i].offset;
	if (list->n > 0)
		rd_kafka_commit(of(base)->rk, kafka_list, 1);
	rd_kafka_topic_partition_list_destroy(kafka_list);
}

/* ---- questions ---- */

static enum status rdkafka_describe(struct consumer *base, int timeout_ms, struct cluster_info *out,
				    struct err *err)
{
	struct rdkafka_consumer *c = of(base);
	char **names = NULL;
	size_t n = 0;
	enum status st;

	if (!c->regex)
		return client_describe(c->admin, (const char *const *)c->topics, c->n_topics,
				       timeout_ms, out, err);
	st = client_match_topics(c->admin, c->topics[0], timeout_ms, &names, &n, err);
	if (st == ST_OK)
		st = client_describe(c->admin, (const char *const *)names, n, timeout_ms, out, err);
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
	return st;
}

static enum status rdkafka_list_offsets(struct consumer *base, enum offset_spec spec,
					struct partitions *list, int timeout_ms, struct err *err)
{
	return client_list_offsets(of(base)->admin, spec, list, timeout_ms, err);
}

/* ---- open and close ---- */

static void destroy(rd_kafka_t *rk)
{
	void *state = rk ? rd_kafka_opaque(rk) : NULL;

	if (rk)
		rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	free(state);
}

static void release(struct rdkafka_consumer *c)
{
	for (int i = 0; c->queues && i < c->tasks; i++)
		if (c->queues[i])
			rd_kafka_queue_destroy(c->queues[i]);
	destroy(c->rk);
	destroy(c->admin);
	for (size_t i = 0; i < c->n_topics; i++)
		free(c->topics[i]);
	free(c->topics);
	free(c->queues);
	free(c);
}

static void rdkafka_close(struct consumer *base)
{
	struct rdkafka_consumer *c = of(base);

	current = c;
	c->closing = true;
	/* A static member does not leave the group by this; see session.timeout.ms. */
	rd_kafka_consumer_close(c->rk);
	release(c);
}

static const struct consumer_ops rdkafka_ops = {
	.poll = rdkafka_poll,
	.assign = rdkafka_assign,
	.consume = rdkafka_consume,
	.wake = rdkafka_wake,
	.commit_offsets = rdkafka_commit_offsets,
	.describe = rdkafka_describe,
	.list_offsets = rdkafka_list_offsets,
	.subscribe = rdkafka_subscribe,
	.close = rdkafka_close,
};

/* What the promise rests on; the connector's configuration refuses these keys. */
static enum status promise_conf(const struct consumer_options *o, rd_kafka_conf_t *conf,
				struct err *err)
{
	char kbytes[32];
	const struct {
		const char *key, *value;
	} rows[] = {
		{"group.id", o->group_id},
		{"enable.auto.commit", "false"},
		{"enable.auto.offset.store", "false"},
		{"enable.partition.eof", "true"},
		{"auto.offset.reset", "error"},
		{"isolation.level", "read_committed"},
		{"check.crcs", "true"},
		{"allow.auto.create.topics", "false"},
		{"queued.max.messages.kbytes", kbytes},
	};
	enum status st = ST_OK;

	snprintf(kbytes, sizeof(kbytes), "%d", o->queued_max_kbytes);
	for (size_t i = 0; i < ARRAY_SIZE(rows) && st == ST_OK; i++)
		st = client_conf_set(conf, rows[i].key, rows[i].value, err);
	if (st == ST_OK && o->instance_id)
		st = client_conf_set(conf, "group.instance.id", o->instance_id, err);
	rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
	return st;
}

enum status rdkafka_property_check(const char *key, const char *value, struct err *err)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	enum status st = client_conf_set(conf, key, value, err);

	rd_kafka_conf_destroy(conf);
	return st;
}

enum status rdkafka_consumer_open(const struct consumer_options *o, struct consumer **out,
				  struct err *err)
{
	struct rdkafka_consumer *c;
	rd_kafka_conf_t *conf;
	enum status st = client_conf(o->client, &conf, err);

	if (st != ST_OK)
		return st;
	st = promise_conf(o, conf, err);
	if (st != ST_OK) {
		rd_kafka_conf_destroy(conf);
		return st;
	}
	c = xcalloc(1, sizeof(*c));
	c->base.ops = &rdkafka_ops;
	c->events = o->events;
	c->regex = o->regex;
	c->tasks = o->tasks;
	st = client_new(RD_KAFKA_CONSUMER, conf, &c->rk, err);
	if (st == ST_OK)
		st = client_conf(o->client, &conf, err);
	if (st == ST_OK)
		st = client_new(RD_KAFKA_PRODUCER, conf, &c->admin, err);
	if (st != ST_OK) {
		release(c);
		return st;
	}
	rd_kafka_poll_set_consumer(c->rk);
	c->queues = xcalloc((size_t)o->tasks, sizeof(*c->queues));
	for (int i = 0; i < o->tasks; i++)
		c->queues[i] = rd_kafka_queue_new(c->rk);
	c->topics = xcalloc(o->n_topics, sizeof(*c->topics));
	for (; c->n_topics < o->n_topics; c->n_topics++)
		c->topics[c->n_topics] = xstrdup(o->topics[c->n_topics]);
	*out = &c->base;
	return ST_OK;
}
