#include "connector/kafka/deadletter_topic.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connector/kafka/client.h"

#define ADMIN_TIMEOUT_MS 10000

struct deadletter_topic {
	rd_kafka_t *rk;
	char *topic;
	char *connector;
	bool context_headers;
	atomic_int failed; /* the first delivery error, or 0 */
};

/* librdkafka gives a delivery report the message's opaque. */
static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	struct deadletter_topic *d = m->_private;

	(void)rk;
	(void)opaque;
	if (m->err)
		d->failed = m->err;
}

static enum status create_topic(struct deadletter_topic *d, int replication_factor, struct err *err)
{
	char reason[256];
	rd_kafka_NewTopic_t *topic =
		rd_kafka_NewTopic_new(d->topic, 1, replication_factor, reason, sizeof(reason));
	rd_kafka_queue_t *queue = rd_kafka_queue_new(d->rk);
	rd_kafka_event_t *event;
	enum status st = ST_OK;
	size_t n = 0;

	if (!topic) {
		rd_kafka_queue_destroy(queue);
		return err_set(err, ST_USAGE, "errors.deadletterqueue.topic.name=%s: %s", d->topic,
			       reason);
	}
	rd_kafka_CreateTopics(d->rk, &topic, 1, NULL, queue);
	event = rd_kafka_queue_poll(queue, ADMIN_TIMEOUT_MS);
	if (!event || rd_kafka_event_error(event)) {
		st = err_set(err, ST_UNREACHABLE, "cannot create the topic %s: %s", d->topic,
			     event ? rd_kafka_event_error_string(event) : "no answer");
	} else {
		const rd_kafka_topic_result_t **results = rd_kafka_CreateTopics_result_topics(
			rd_kafka_event_CreateTopics_result(event), &n);
		rd_kafka_resp_err_t code = n ? rd_kafka_topic_result_error(results[0]) : 0;

		if (code && code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
			st = err_set(err, ST_USAGE,
				     "cannot create the topic %s: %s; create it, or set "
				     "errors.deadletterqueue.topic.replication.factor",
				     d->topic, rd_kafka_topic_result_error_string(results[0]));
	}
	if (event)
		rd_kafka_event_destroy(event);
	rd_kafka_queue_destroy(queue);
	rd_kafka_NewTopic_destroy(topic);
	return st;
}

static enum status ensure_topic(struct deadletter_topic *d, int replication_factor, struct err *err)
{
	struct cluster_info info = {0};
	const char *name = d->topic;
	enum status st = client_describe(d->rk, &name, 1, ADMIN_TIMEOUT_MS, &info, err);

	cluster_info_release(&info);
	return st == ST_NOT_FOUND ? create_topic(d, replication_factor, err) : st;
}

enum status deadletter_topic_open(const struct deadletter_topic_options *options,
				  struct deadletter_topic **out, struct err *err)
{
	struct deadletter_topic *d;
	rd_kafka_conf_t *conf;
	enum status st = client_conf(options->client, &conf, err);

	if (st != ST_OK)
		return st;
	st = client_conf_set(conf, "enable.idempotence", "true", err);
	if (st != ST_OK) {
		rd_kafka_conf_destroy(conf);
		return st;
	}
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	d = xcalloc(1, sizeof(*d));
	d->topic = xstrdup(options->topic);
	d->connector = xstrdup(options->connector);
	d->context_headers = options->context_headers;
	st = client_new(RD_KAFKA_PRODUCER, conf, &d->rk, err);
	if (st == ST_OK)
		st = ensure_topic(d, options->replication_factor, err);
	if (st != ST_OK) {
		deadletter_topic_close(d);
		return st;
	}
	*out = d;
	return ST_OK;
}

void deadletter_topic_close(struct deadletter_topic *d)
{
	void *state;

	if (!d)
		return;
	if (d->rk) {
		state = rd_kafka_opaque(d->rk);
		rd_kafka_purge(d->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
		rd_kafka_flush(d->rk, 100);
		rd_kafka_destroy(d->rk);
		free(state);
	}
	free(d->topic);
	free(d->connector);
	free(d);
}

static void add_text(rd_kafka_headers_t *headers, const char *name, const char *value)
{
	rd_kafka_header_add(headers, name, -1, value, (ssize_t)strlen(value));
}

/* The record's own headers, then Kafka Connect's, in its order. */
static rd_kafka_headers_t *make_headers(const struct deadletter_topic *d, const struct record *r,
					int task, const char *stage, const char *class_name,
					const char *message)
{
	const struct record_header *own = NULL;
	size_t n = r->headers ? r->headers(r, &own) : 0;
	rd_kafka_headers_t *headers = rd_kafka_headers_new(n + 10);
	char number[24];

	for (size_t i = 0; i < n; i++)
		rd_kafka_header_add(headers, own[i].name, -1, own[i].value,
				    (ssize_t)own[i].value_len);
	add_text(headers, "__connect.errors.topic", r->topic);
	snprintf(number, sizeof(number), "%d", r->partition);
	add_text(headers, "__connect.errors.partition", number);
	snprintf(number, sizeof(number), "%" PRId64, r->offset);
	add_text(headers, "__connect.errors.offset", number);
	if (!d->context_headers)
		return headers;
	add_text(headers, "__connect.errors.connector.name", d->connector);
	snprintf(number, sizeof(number), "%d", task);
	add_text(headers, "__connect.errors.task.id", number);
	add_text(headers, "__connect.errors.stage", stage);
	add_text(headers, "__connect.errors.class.name", "tidemark");
	add_text(headers, "__connect.errors.exception.class.name", class_name);
	add_text(headers, "__connect.errors.exception.message", message);
	add_text(headers, "__connect.errors.exception.stacktrace", message);
	return headers;
}

enum status deadletter_topic_send(struct deadletter_topic *d, const struct record *r, int task,
				  const char *stage, const char *class_name, const char *message,
				  struct err *err)
{
	rd_kafka_headers_t *headers = make_headers(d, r, task, stage, class_name, message);
	rd_kafka_resp_err_t code;

	/* a full queue empties by polling: reports are served there */
	do {
		rd_kafka_poll(d->rk, 0);
		/* a timestamp of 0 means "now" to librdkafka, which is what none means */
		code = rd_kafka_producev(
			d->rk, RD_KAFKA_V_TOPIC(d->topic),
			RD_KAFKA_V_KEY((void *)(uintptr_t)r->key, r->key_len),
			RD_KAFKA_V_VALUE((void *)(uintptr_t)r->value, r->value_len),
			RD_KAFKA_V_TIMESTAMP(r->timestamp_ms < 0 ? 0 : r->timestamp_ms),
			RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(d),
			RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
	} while (code == RD_KAFKA_RESP_ERR__QUEUE_FULL && rd_kafka_poll(d->rk, 100) >= 0);
	if (code) {
		rd_kafka_headers_destroy(headers);
		return err_set(err, ST_UNREACHABLE, "cannot send a dead letter to %s: %s", d->topic,
			       rd_kafka_err2str(code));
	}
	return ST_OK;
}

enum status deadletter_topic_flush(struct deadletter_topic *d, int timeout_ms, struct err *err)
{
	rd_kafka_resp_err_t code = rd_kafka_flush(d->rk, timeout_ms);
	int failed = d->failed;

	if (!code && !failed)
		return ST_OK;
	return err_set(err, ST_UNREACHABLE, "dead letters are not acknowledged by %s: %s", d->topic,
		       rd_kafka_err2str(failed ? (rd_kafka_resp_err_t)failed : code));
}
