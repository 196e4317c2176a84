/* Fills a topic with orders in Confluent framing, lz4 batches.
 *
 * usage: load BOOTSTRAP TOPIC PARTITIONS COUNT small|large SCHEMA_ID [RATE]
 *
 * RATE: records a second, steadily, each with the wall clock in its timestamp
 * (for the latency benchmark); without it as fast as the broker takes them. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/orders.h"

static rd_kafka_t *open_producer(const char *bootstrap)
{
	static const char *const settings[][2] = {
		{"compression.type", "lz4"},
		{"linger.ms", "20"},
		{"batch.size", "262144"},
		{"batch.num.messages", "20000"},
		{"queue.buffering.max.messages", "500000"},
		{"queue.buffering.max.kbytes", "262144"},
		{"acks", "1"},
	};
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char reason[256];
	rd_kafka_t *rk;

	rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, NULL, 0);
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
		rd_kafka_conf_set(conf, settings[i][0], settings[i][1], NULL, 0);
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
	if (!rk) {
		fprintf(stderr, "load: %s\n", reason);
		exit(1);
	}
	return rk;
}

static void create_topic(rd_kafka_t *rk, const char *name, int partitions)
{
	rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, partitions, 1, NULL, 0);
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
	rd_kafka_event_t *event;

	rd_kafka_CreateTopics(rk, &topic, 1, NULL, queue);
	event = rd_kafka_queue_poll(queue, 30000);
	if (!event || rd_kafka_event_error(event)) {
		fprintf(stderr, "load: the topic cannot be created\n");
		exit(1);
	}
	rd_kafka_event_destroy(event);
	rd_kafka_queue_destroy(queue);
	rd_kafka_NewTopic_destroy(topic);
}

/* Waits until the n-th record of the steady stream is due. */
static void pace(int64_t start_us, int64_t n, int64_t rate, rd_kafka_t *rk)
{
	struct clock *clock = clock_system();

	while (clock->mono_us(clock) - start_us < n * 1000000 / rate)
		rd_kafka_poll(rk, 1);
}

int main(int argc, char **argv)
{
	struct buf value = BUF_INIT;
	struct rng rng = rng_seeded(7);
	struct clock *clock = clock_system();
	int64_t start_us = clock->mono_us(clock), rate = argc > 7 ? atoll(argv[7]) : 0;
	int64_t count;
	rd_kafka_topic_t *topic;
	rd_kafka_t *rk;
	uint32_t id;

	if (argc < 7) {
		fprintf(stderr, "usage: load BOOTSTRAP TOPIC PARTITIONS COUNT small|large "
				"SCHEMA_ID [RATE]\n");
		return 2;
	}
	count = atoll(argv[4]);
	id = (uint32_t)atoi(argv[6]);
	rk = open_producer(argv[1]);
	create_topic(rk, argv[2], atoi(argv[3]));
	topic = rd_kafka_topic_new(rk, argv[2], NULL);
	for (int64_t i = 0; i < count; i++) {
		int32_t partition = (int32_t)(i % atoi(argv[3]));

		buf_clear(&value);
		buf_addc(&value, 0);
		buf_add_be32(&value, id);
		order_add(&rng, &value, i, strcmp(argv[5], "large") == 0);
		if (rate && i % 50 == 0)
			pace(start_us, i, rate, rk);
		while (rd_kafka_produce(topic, partition, RD_KAFKA_MSG_F_COPY, value.data,
					value.len, NULL, 0, NULL))
			rd_kafka_poll(rk, 10);
		if (i % 1000 == 0)
			rd_kafka_poll(rk, 0);
	}
	if (rd_kafka_flush(rk, 120000)) {
		fprintf(stderr, "load: not everything was taken\n");
		return 1;
	}
	rd_kafka_topic_destroy(topic);
	rd_kafka_destroy(rk);
	buf_release(&value);
	return 0;
}
