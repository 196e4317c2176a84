/* Puts records on a topic: from stdin, each behind its length (4 bytes, little-endian),
 * the n-th on partition n modulo PARTITIONS.
 *
 * usage: produce_rows BOOTSTRAP TOPIC PARTITIONS */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/base.h"

#define FLUSH_MS 60000

static long failed;

static void delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *ctx)
{
	(void)rk;
	(void)ctx;
	failed += m->err != RD_KAFKA_RESP_ERR_NO_ERROR;
}

static void die(const char *what, const char *why)
{
	fprintf(stderr, "produce_rows: %s: %s\n", what, why);
	exit(1);
}

static void set(rd_kafka_conf_t *conf, const char *key, const char *value)
{
	char reason[256];

	if (rd_kafka_conf_set(conf, key, value, reason, sizeof(reason)) != RD_KAFKA_CONF_OK)
		die(key, reason);
}

static void produce(rd_kafka_t *rk, const char *topic, int32_t partition, void *data, size_t len)
{
	rd_kafka_resp_err_t code;

	while ((code = rd_kafka_producev(
			rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
			RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_VALUE(data, len),
			RD_KAFKA_V_END)) == RD_KAFKA_RESP_ERR__QUEUE_FULL)
		rd_kafka_poll(rk, 100);
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
		die(topic, rd_kafka_err2str(code));
	rd_kafka_poll(rk, 0);
}

int main(int argc, char **argv)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	unsigned char head[4];
	char reason[256];
	long n = 0;
	rd_kafka_t *rk;

	if (argc != 4)
		die("usage", "produce_rows BOOTSTRAP TOPIC PARTITIONS");
	set(conf, "bootstrap.servers", argv[1]);
	set(conf, "enable.idempotence", "true");
	set(conf, "linger.ms", "50");
	rd_kafka_conf_set_dr_msg_cb(conf, delivered);
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
	if (!rk)
		die("rd_kafka_new", reason);
	while (fread(head, sizeof(head), 1, stdin) == 1) {
		size_t len = (size_t)head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 |
			     (size_t)head[3] << 24;
		AUTO(freep) void *data = xmalloc(len + 1);

		if (len && fread(data, len, 1, stdin) != 1)
			die("stdin", "ends within a record");
		produce(rk, argv[2], (int32_t)(n++ % atoi(argv[3])), data, len);
	}
	if (rd_kafka_flush(rk, FLUSH_MS) != RD_KAFKA_RESP_ERR_NO_ERROR || failed)
		die(argv[2], "not all records were taken");
	rd_kafka_destroy(rk);
	printf("%ld records\n", n);
	return 0;
}
