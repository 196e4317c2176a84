/* A second member of a connector's group: joins, waits until it has partitions,
 * keeps them for a time, leaves. Reads nothing of worth and commits nothing.
 *
 *   group_member BOOTSTRAP GROUP TOPIC STRATEGY STAY_MS [TIMEOUT_MS [ALL]]
 *
 * ALL: waits until it has so many partitions. Prints "has N" and "left".
 * Exit 1 where none came within TIMEOUT_MS (30000). */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/clock.h"

static int assigned_now(rd_kafka_t *rk)
{
	rd_kafka_topic_partition_list_t *list;
	int n = 0;

	if (rd_kafka_assignment(rk, &list) == RD_KAFKA_RESP_ERR_NO_ERROR) {
		n = list->cnt;
		rd_kafka_topic_partition_list_destroy(list);
	}
	return n;
}

static void poll_for(rd_kafka_t *rk, int ms)
{
	rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, ms);

	if (m)
		rd_kafka_message_destroy(m);
}

static void set(rd_kafka_conf_t *conf, const char *key, const char *value)
{
	char reason[256];

	if (rd_kafka_conf_set(conf, key, value, reason, sizeof(reason)) != RD_KAFKA_CONF_OK) {
		fprintf(stderr, "group_member: %s: %s\n", key, reason);
		exit(1);
	}
}

static rd_kafka_t *join(char **argv)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
	char reason[256];
	rd_kafka_t *rk;

	set(conf, "bootstrap.servers", argv[1]);
	set(conf, "group.id", argv[2]);
	set(conf, "partition.assignment.strategy", argv[4]);
	set(conf, "enable.auto.commit", "false");
	set(conf, "session.timeout.ms", "6000");
	set(conf, "heartbeat.interval.ms", "300");
	set(conf, "auto.offset.reset", "latest");
	rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof(reason));
	if (!rk) {
		fprintf(stderr, "group_member: %s\n", reason);
		exit(1);
	}
	rd_kafka_poll_set_consumer(rk);
	rd_kafka_topic_partition_list_add(topics, argv[3], RD_KAFKA_PARTITION_UA);
	if (rd_kafka_subscribe(rk, topics))
		exit(1);
	rd_kafka_topic_partition_list_destroy(topics);
	return rk;
}

/* A cooperative member of librdkafka 2.15 that closes says nothing to the group,
 * which then waits for its session to end; one that unsubscribes first leaves. */
static void leave(rd_kafka_t *rk)
{
	struct clock *clock = clock_system();
	int64_t end_us = clock->mono_us(clock) + 2000000;

	rd_kafka_unsubscribe(rk);
	while (assigned_now(rk) > 0 && clock->mono_us(clock) < end_us)
		poll_for(rk, 10);
	poll_for(rk, 100);
	rd_kafka_consumer_close(rk);
	rd_kafka_destroy(rk);
	puts("left");
}

int main(int argc, char **argv)
{
	struct clock *clock = clock_system();
	int64_t end_us;
	int wanted = argc > 7 ? atoi(argv[7]) : 1, n;
	rd_kafka_t *rk;

	if (argc < 6) {
		fprintf(stderr, "group_member: BOOTSTRAP GROUP TOPIC STRATEGY STAY_MS\n");
		return 2;
	}
	rk = join(argv);
	end_us = clock->mono_us(clock) + (argc > 6 ? atoll(argv[6]) : 30000) * 1000;
	while ((n = assigned_now(rk)) < wanted && clock->mono_us(clock) < end_us)
		poll_for(rk, 50);
	printf("has %d\n", n);
	fflush(stdout);
	if (n >= wanted) {
		end_us = clock->mono_us(clock) + atoll(argv[5]) * 1000;
		while (clock->mono_us(clock) < end_us)
			poll_for(rk, 20);
	}
	leave(rk);
	return n >= wanted ? 0 : 1;
}
