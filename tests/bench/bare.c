/* The plain consumer that everything is measured against: librdkafka's batch
 * queue, one memcpy of each value, no group, glibc's malloc (the Makefile links
 * no other).
 *
 * usage: bare BOOTSTRAP TOPIC PARTITIONS COUNT
 * prints: {"records","seconds","cpu_seconds","bytes"} from the first record */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define BATCH 10000

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double cpu(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv)
{
	static char sink[4 << 20];
	static rd_kafka_message_t *batch[BATCH];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_topic_t *topic;
	rd_kafka_queue_t *queue;
	long long wanted, records = 0, bytes = 0;
	double start = 0;
	size_t used = 0;
	rd_kafka_t *rk;

	if (argc < 5) {
		fprintf(stderr, "usage: bare BOOTSTRAP TOPIC PARTITIONS COUNT\n");
		return 2;
	}
	wanted = atoll(argv[4]);
	rd_kafka_conf_set(conf, "bootstrap.servers", argv[1], NULL, 0);
	rd_kafka_conf_set(conf, "fetch.queue.backoff.ms", "10", NULL, 0);
	rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, NULL, 0);
	queue = rd_kafka_queue_new(rk);
	topic = rd_kafka_topic_new(rk, argv[2], NULL);
	for (int p = 0; p < atoi(argv[3]); p++)
		rd_kafka_consume_start_queue(topic, p, RD_KAFKA_OFFSET_BEGINNING, queue);
	while (records < wanted) {
		ssize_t n = rd_kafka_consume_batch_queue(queue, 5, batch, BATCH);

		if (n > 0 && records == 0)
			start = now();
		for (ssize_t i = 0; i < n; i++) {
			if (!batch[i]->err) {
				if (used + batch[i]->len > sizeof(sink))
					used = 0;
				memcpy(sink + used, batch[i]->payload, batch[i]->len);
				used += batch[i]->len;
				bytes += (long long)batch[i]->len;
				records++;
			}
			rd_kafka_message_destroy(batch[i]);
		}
	}
	printf("{\"records\":%lld,\"seconds\":%.4f,\"cpu_seconds\":%.4f,\"bytes\":%lld}\n", records,
	       now() - start, cpu(), bytes);
	fflush(stdout);
	_Exit(0);
}
