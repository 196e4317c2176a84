/* The quickstart's Kafka: librdkafka's mock cluster, listening while this runs,
 * and the producers of flights: one for each of two partitions.
 *
 * usage: quickstart FLIGHTS.json
 *
 * Prints "listening HOST:PORT". Then each line of the standard input is a
 * command, and is answered by one line, the next offsets:
 *   good FROM TO   sends the flights [FROM, TO) of the file, one record each
 *   bad FROM TO    the same, but partition 0's producer is a broken version:
 *                  the delay is text, the distance negative
 *   again FROM TO  sends partition 0's flights of the range, and those alone
 * Ends with its input. */
#include <inttypes.h>
#include <jansson.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/buf.h"

#define TOPIC "flights"
#define PARTITIONS 2
#define FLUSH_MS 10000

enum story { GOOD, BAD, AGAIN };

struct kafka {
	rd_kafka_t *producer;
	rd_kafka_mock_cluster_t *cluster;
	int64_t next[PARTITIONS]; /* as acknowledged */
	size_t failed;
};

static void die(const char *what, const char *reason)
{
	fprintf(stderr, "quickstart: %s: %s\n", what, reason);
	exit(1);
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	struct kafka *k = opaque;

	(void)rk;
	if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR)
		k->failed++;
	else if (m->offset >= k->next[m->partition])
		k->next[m->partition] = m->offset + 1;
}

static rd_kafka_t *producer_new(const char *servers, struct kafka *k)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char reason[512] = "";
	rd_kafka_t *rk;

	rd_kafka_conf_set_opaque(conf, k);
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	rd_kafka_conf_set(conf, "linger.ms", "5", NULL, 0);
	rd_kafka_conf_set(conf, "log_level", "3", NULL, 0);
	if (servers)
		rd_kafka_conf_set(conf, "bootstrap.servers", servers, NULL, 0);
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
	if (!rk)
		die("the Kafka client", reason);
	return rk;
}

/* The flight as one line of JSON. */
static char *value_of(const json_t *flight, bool bad)
{
	json_t *copy = json_deep_copy(flight);
	char *text, delay[32];

	if (bad) {
		snprintf(delay, sizeof(delay), "%" JSON_INTEGER_FORMAT " min",
			 json_integer_value(json_object_get(copy, "delay")));
		json_object_set_new(copy, "delay", json_string(delay));
		json_object_set_new(
			copy, "distance",
			json_integer(-json_integer_value(json_object_get(copy, "distance"))));
	}
	text = json_dumps(copy, JSON_COMPACT | JSON_PRESERVE_ORDER);
	json_decref(copy);
	return text;
}

/* A flight's key is the airport that it leaves. */
static int32_t partition_of(const char *airport)
{
	unsigned sum = 0;

	while (*airport)
		sum += (unsigned char)*airport++;
	return (int32_t)(sum % PARTITIONS);
}

static void send_one(struct kafka *k, const json_t *flight, enum story story)
{
	const char *key = json_string_value(json_object_get(flight, "origin"));
	int32_t partition = partition_of(key);
	char *value;
	rd_kafka_resp_err_t code;

	if (story == AGAIN && partition != 0)
		return;
	value = value_of(flight, story == BAD && partition == 0);
	code = rd_kafka_producev(k->producer, RD_KAFKA_V_TOPIC(TOPIC),
				 RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_KEY(key, strlen(key)),
				 RD_KAFKA_V_VALUE(value, strlen(value)),
				 RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);

	free(value);
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
		die("a record cannot be sent", rd_kafka_err2str(code));
}

static void send_range(struct kafka *k, const json_t *flights, size_t from, size_t to,
		       enum story story)
{
	for (size_t i = from; i < to && i < json_array_size(flights); i++)
		send_one(k, json_array_get(flights, i), story);
	if (rd_kafka_flush(k->producer, FLUSH_MS) != RD_KAFKA_RESP_ERR_NO_ERROR || k->failed)
		die("the broker", "has not acknowledged every record");
}

static void print_offsets(const struct kafka *k)
{
	printf("{\"" TOPIC "\":{");
	for (int p = 0; p < PARTITIONS; p++)
		printf("%s\"%d\":%" PRId64, p ? "," : "", p, k->next[p]);
	printf("}}\n");
	fflush(stdout);
}

static void serve(struct kafka *k, const json_t *flights)
{
	static const char *const words[] = {[GOOD] = "good", [BAD] = "bad", [AGAIN] = "again"};
	char line[256], what[8];
	size_t from, to, story;

	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "%7s %zu %zu", what, &from, &to) != 3)
			die("no such command", line);
		for (story = 0; story < ARRAY_SIZE(words) && strcmp(words[story], what) != 0;)
			story++;
		if (story == ARRAY_SIZE(words))
			die("no such command", line);
		send_range(k, flights, from, to, (enum story)story);
		print_offsets(k);
	}
}

int main(int argc, char **argv)
{
	struct kafka k = {.failed = 0};
	rd_kafka_t *owner;
	json_error_t e;
	json_t *flights;

	if (argc != 2)
		die("usage", "quickstart FLIGHTS.json");
	flights = json_load_file(argv[1], 0, &e);
	if (!flights)
		die(argv[1], e.text);
	owner = producer_new(NULL, &k);
	k.cluster = rd_kafka_mock_cluster_new(owner, 1);
	if (!k.cluster)
		die("the mock cluster", "does not start");
	/* admin requests go to the controller, which it leaves unset */
	rd_kafka_mock_set_controller_id(k.cluster, 1);
	rd_kafka_mock_group_initial_rebalance_delay_ms(k.cluster, 0);
	rd_kafka_mock_topic_create(k.cluster, TOPIC, PARTITIONS, 1);
	k.producer = producer_new(rd_kafka_mock_cluster_bootstraps(k.cluster), &k);
	printf("listening %s\n", rd_kafka_mock_cluster_bootstraps(k.cluster));
	fflush(stdout);
	serve(&k, flights);
	rd_kafka_destroy(k.producer);
	rd_kafka_mock_cluster_destroy(k.cluster);
	rd_kafka_destroy(owner);
	json_decref(flights);
	return 0;
}
