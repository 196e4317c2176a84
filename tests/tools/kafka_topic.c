/* What tests do to topics:
 *
 *   kafka_topic BOOTSTRAP create TOPIC PARTITIONS [KEY=VALUE]...
 *   kafka_topic BOOTSTRAP delete TOPIC
 *   kafka_topic BOOTSTRAP grow TOPIC PARTITIONS      the new total
 *   kafka_topic BOOTSTRAP cut TOPIC PARTITION OFFSET removes what is before it
 *   kafka_topic BOOTSTRAP bounds TOPIC PARTITION     prints first and next offset
 *   kafka_topic BOOTSTRAP dump TOPIC PARTITION       a line a record: offset, key, headers
 *   kafka_topic BOOTSTRAP group GROUP TOPIC PARTITION [OFFSET] prints, or sets, its offset */
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/base.h"

#define TIMEOUT_MS 20000

static void die(const char *what, const char *why)
{
	fprintf(stderr, "kafka_topic: %s: %s\n", what, why);
	exit(1);
}

static void set(rd_kafka_conf_t *conf, const char *key, const char *value)
{
	char reason[256];

	if (rd_kafka_conf_set(conf, key, value, reason, sizeof(reason)) != RD_KAFKA_CONF_OK)
		die(key, reason);
}

static rd_kafka_t *open_client(const char *bootstrap, const char *group)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char reason[256];
	rd_kafka_t *rk;

	set(conf, "bootstrap.servers", bootstrap);
	set(conf, "group.id", group);
	set(conf, "enable.partition.eof", "true");
	set(conf, "enable.auto.commit", "false");
	rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof(reason));
	if (!rk)
		die("rd_kafka_new", reason);
	return rk;
}

/* Waits for the request that was sent to queue; the result is the caller's. */
static rd_kafka_event_t *answer(rd_kafka_queue_t *queue, const char *what)
{
	rd_kafka_event_t *event = rd_kafka_queue_poll(queue, TIMEOUT_MS);

	if (!event)
		die(what, "no answer");
	if (rd_kafka_event_error(event))
		die(what, rd_kafka_event_error_string(event));
	return event;
}

static void check_topics(const rd_kafka_topic_result_t **results, size_t n, const char *what)
{
	for (size_t i = 0; i < n; i++)
		if (rd_kafka_topic_result_error(results[i]))
			die(what, rd_kafka_err2str(rd_kafka_topic_result_error(results[i])));
}

static void create(rd_kafka_t *rk, rd_kafka_queue_t *queue, int n, char **args)
{
	char reason[256];
	rd_kafka_NewTopic_t *topic =
		rd_kafka_NewTopic_new(args[0], atoi(args[1]), 1, reason, sizeof(reason));
	rd_kafka_event_t *event;
	size_t count;

	if (!topic)
		die(args[0], reason);
	for (int i = 2; i < n; i++) {
		char *equal = strchr(args[i], '=');

		if (!equal)
			die(args[i], "give KEY=VALUE");
		*equal = 0;
		rd_kafka_NewTopic_set_config(topic, args[i], equal + 1);
	}
	rd_kafka_CreateTopics(rk, &topic, 1, NULL, queue);
	event = answer(queue, "create");
	check_topics(rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event),
							 &count),
		     1, "create");
	rd_kafka_event_destroy(event);
	rd_kafka_NewTopic_destroy(topic);
}

static void delete_topic(rd_kafka_t *rk, rd_kafka_queue_t *queue, char **args)
{
	rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(args[0]);
	rd_kafka_event_t *event;
	size_t count;

	rd_kafka_DeleteTopics(rk, &topic, 1, NULL, queue);
	event = answer(queue, "delete");
	check_topics(rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event),
							 &count),
		     1, "delete");
	rd_kafka_event_destroy(event);
	rd_kafka_DeleteTopic_destroy(topic);
}

static void grow(rd_kafka_t *rk, rd_kafka_queue_t *queue, char **args)
{
	char reason[256];
	rd_kafka_NewPartitions_t *more =
		rd_kafka_NewPartitions_new(args[0], (size_t)atoi(args[1]), reason, sizeof(reason));
	rd_kafka_event_t *event;
	size_t count;

	if (!more)
		die(args[0], reason);
	rd_kafka_CreatePartitions(rk, &more, 1, NULL, queue);
	event = answer(queue, "grow");
	check_topics(rd_kafka_CreatePartitions_result_topics(
			     rd_kafka_event_CreatePartitions_result(event), &count),
		     1, "grow");
	rd_kafka_event_destroy(event);
	rd_kafka_NewPartitions_destroy(more);
}

static void cut(rd_kafka_t *rk, rd_kafka_queue_t *queue, char **args)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_DeleteRecords_t *request;
	rd_kafka_event_t *event;

	rd_kafka_topic_partition_list_add(list, args[0], atoi(args[1]))->offset = atoll(args[2]);
	request = rd_kafka_DeleteRecords_new(list);
	rd_kafka_DeleteRecords(rk, &request, 1, NULL, queue);
	event = answer(queue, "cut");
	if (rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(event))
		    ->elems[0]
		    .err)
		die("cut", "the broker refused");
	rd_kafka_event_destroy(event);
	rd_kafka_DeleteRecords_destroy(request);
	rd_kafka_topic_partition_list_destroy(list);
}

static void bounds(rd_kafka_t *rk, char **args)
{
	int64_t low, high;
	rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(rk, args[0], atoi(args[1]),
								    &low, &high, TIMEOUT_MS);

	if (code)
		die("bounds", rd_kafka_err2str(code));
	printf("%" PRId64 " %" PRId64 "\n", low, high);
}

static void print_record(const rd_kafka_message_t *m)
{
	rd_kafka_headers_t *headers;
	const char *name;
	const void *value;
	size_t size;

	printf("%" PRId64 " %.*s", m->offset, (int)m->key_len, m->key ? (const char *)m->key : "");
	if (rd_kafka_message_headers(m, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR)
		for (size_t i = 0; !rd_kafka_header_get_all(headers, i, &name, &value, &size); i++)
			printf(" %s=%.*s", name, (int)size, value ? (const char *)value : "");
	putchar('\n');
}

static void dump(rd_kafka_t *rk, char **args)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	bool end = false;

	rd_kafka_topic_partition_list_add(list, args[0], atoi(args[1]))->offset =
		RD_KAFKA_OFFSET_BEGINNING;
	rd_kafka_assign(rk, list);
	while (!end) {
		rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, TIMEOUT_MS);

		if (!m)
			die("dump", "no answer");
		end = m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
		if (m->err && !end)
			die("dump", rd_kafka_err2str(m->err));
		if (!end)
			print_record(m);
		rd_kafka_message_destroy(m);
	}
	rd_kafka_topic_partition_list_destroy(list);
}

static void group(rd_kafka_t *rk, int n, char **args)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_resp_err_t code;

	rd_kafka_topic_partition_list_add(list, args[0], atoi(args[1]));
	if (n > 2) {
		list->elems[0].offset = atoll(args[2]);
		code = rd_kafka_commit(rk, list, 0);
	} else {
		code = rd_kafka_committed(rk, list, TIMEOUT_MS);
	}
	if (code)
		die("group", rd_kafka_err2str(code));
	printf("%" PRId64 "\n", list->elems[0].offset);
	rd_kafka_topic_partition_list_destroy(list);
}

int main(int argc, char **argv)
{
	const char *verb = argc > 3 ? argv[2] : "";
	bool of_group = strcmp(verb, "group") == 0;
	rd_kafka_t *rk;
	rd_kafka_queue_t *queue;
	char **args = argv + 3;
	int n = argc - 3;

	if (argc < 4)
		die("usage", "BOOTSTRAP create|delete|grow|cut|bounds|dump|group ...");
	rk = open_client(argv[1], of_group ? argv[3] : "kafka_topic");
	queue = rd_kafka_queue_new(rk);
	if (strcmp(verb, "create") == 0 && n >= 2)
		create(rk, queue, n, args);
	else if (strcmp(verb, "delete") == 0)
		delete_topic(rk, queue, args);
	else if (strcmp(verb, "grow") == 0 && n == 2)
		grow(rk, queue, args);
	else if (strcmp(verb, "cut") == 0 && n == 3)
		cut(rk, queue, args);
	else if (strcmp(verb, "bounds") == 0 && n == 2)
		bounds(rk, args);
	else if (strcmp(verb, "dump") == 0 && n == 2)
		dump(rk, args);
	else if (of_group && n >= 3)
		group(rk, n - 1, args + 1);
	else
		die(verb, "not known, or other arguments");
	rd_kafka_queue_destroy(queue);
	rd_kafka_destroy(rk);
	return 0;
}
