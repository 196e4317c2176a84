/* The oracle's producer: stamps each record with its topic, partition, sequence
 * and CRC, and logs what Kafka acknowledged (tests/lib/stamp.h). Ends with
 * everything acknowledged, or with 1.
 *
 * A log that exists is continued: sequences go on behind it. */
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <librdkafka/rdkafka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "tests/lib/stamp.h"

#define MAX_PARTITIONS 256
#define PAD_MAX 4096
#define STEP_MS 5
#define TIMEOUT_MS 60000

static volatile sig_atomic_t stop;

static void on_signal(int signal)
{
	(void)signal;
	stop = 1;
}

/* One record on its way, and then what became of it. */
struct sent {
	int32_t partition;
	int64_t sequence, offset;
	uint32_t crc;
	char kind;
};

struct producer {
	const char *bootstrap, *topic, *log_path, *registry, *subject, *format;
	const char *configs[32];
	int n_configs;
	int partitions, generation, pad_bytes, seconds, schema_version, schema_id, schema_id_2;
	int poison_percent, tombstone_percent, transaction_records;
	int64_t records, rate, keys;
	uint64_t seed;
	bool transactions, mixed_schemas;

	rd_kafka_t *rk;
	FILE *log;
	struct rng rng;
	int64_t next[MAX_PARTITIONS];
	struct sent *open; /* acknowledged in the transaction that is open */
	size_t n_open, cap_open;
	uint64_t produced, acknowledged, aborted, failed;
	char pad[PAD_MAX + 1];
};

static void die(const char *what, const char *why)
{
	fprintf(stderr, "oracle_produce: %s: %s\n", what, why);
	exit(1);
}

static void write_log(struct producer *p, const struct sent *s, char kind)
{
	fprintf(p->log, "%c %s %d %" PRId32 " %" PRId64 " %" PRId64 " %" PRIu32 "\n", kind,
		p->topic, p->generation, s->partition, s->offset, s->sequence, s->crc);
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	struct producer *p = opaque;
	struct sent *s = m->_private;

	(void)rk;
	if (m->err) {
		/* Of a transaction: it cannot be committed any more, so the record is never
		 * visible, and its offset is not known. */
		if (!p->transactions) {
			p->failed++;
			fprintf(stderr, "oracle_produce: %s\n", rd_kafka_err2str(m->err));
		}
		free(s);
		return;
	}
	s->offset = m->offset;
	if (p->transactions) {
		GROW(p->open, p->n_open, p->cap_open);
		p->open[p->n_open++] = *s;
	} else {
		write_log(p, s, s->kind);
		p->acknowledged++;
	}
	free(s);
}

/* ---- the log that is there, and the schema ---- */

static void open_log(struct producer *p)
{
	FILE *f = fopen(p->log_path, "re");
	char topic[256], kind;
	int generation, partition;
	int64_t offset, sequence;
	uint32_t crc;

	while (f && fscanf(f, " %c %255s %d %d %" SCNd64 " %" SCNd64 " %" SCNu32, &kind, topic,
			   &generation, &partition, &offset, &sequence, &crc) == 7)
		if (strcmp(topic, p->topic) == 0 && generation == p->generation &&
		    partition < MAX_PARTITIONS && sequence >= p->next[partition])
			p->next[partition] = sequence + 1;
	if (f)
		fclose(f);
	p->log = fopen(p->log_path, "ae");
	if (!p->log)
		die(p->log_path, "cannot be opened");
}

static int register_schema(struct producer *p, const char *schema)
{
	AUTO(freep)
	char *url = xasprintf("%s/subjects/%s/versions", p->registry,
			      p->subject ? p->subject : p->topic);
	AUTO(freep) char *command = NULL;
	json_t *request = json_pack("{s:s}", "schema", schema), *answer;
	char *text = json_dumps(request, JSON_COMPACT);
	char reply[4096];
	size_t n;
	FILE *f;
	int id;

	/* curl is there: the servers' scripts need it too */
	command = xasprintf("curl -sS --max-time 30 -H 'Content-Type: application/json' "
			    "--data-binary '%s' '%s'",
			    text, url);
	f = popen(command, "re");
	n = f ? fread(reply, 1, sizeof(reply) - 1, f) : 0;
	if (f)
		pclose(f);
	answer = json_loadb(reply, n, 0, NULL);
	id = (int)json_integer_value(json_object_get(answer, "id"));
	if (id <= 0)
		die(url, "the registry does not take the schema");
	free(text);
	json_decref(request);
	json_decref(answer);
	return id;
}

static void prepare_schema(struct producer *p)
{
	if (strcmp(p->format, "avro") != 0 || p->schema_id)
		return;
	if (!p->registry)
		die("--format avro", "give --registry, or --schema-id");
	p->schema_id = register_schema(p, p->schema_version == 2 ? STAMP_SCHEMA_2 : STAMP_SCHEMA);
	if (p->mixed_schemas)
		p->schema_id_2 = register_schema(p, STAMP_SCHEMA_2);
}

/* ---- records ---- */

static void make_value(struct producer *p, const struct sent *s, struct buf *out)
{
	int version = p->schema_version, id = p->schema_id;

	buf_clear(out);
	if (s->kind == 'P') {
		buf_adds(out, STAMP_POISON);
		stamp_to_json(p->topic, s->partition, s->sequence, p->pad, out);
		return;
	}
	if (strcmp(p->format, "avro") != 0) {
		stamp_to_json(p->topic, s->partition, s->sequence, p->pad, out);
		return;
	}
	if (p->schema_id_2 && rng_below(&p->rng, 2)) {
		version = 2;
		id = p->schema_id_2;
	}
	buf_addc(out, 0);
	buf_add_be32(out, (uint32_t)id);
	stamp_to_avro(p->topic, s->partition, s->sequence, p->pad, version, out);
}

static void fill_pad(struct producer *p)
{
	size_t n = (size_t)p->pad_bytes;

	for (size_t i = 0; i < n; i++)
		p->pad[i] = (char)('a' + rng_below(&p->rng, 26));
	p->pad[n] = 0;
}

static char pick_kind(struct producer *p)
{
	int roll = (int)rng_below(&p->rng, 100);

	if (roll < p->poison_percent)
		return 'P';
	return roll < p->poison_percent + p->tombstone_percent ? 'T' : 'A';
}

/* false: the transaction has failed, as it does where an abort before it overtook its
 * records, and takes none any more. */
static bool produce_one(struct producer *p, struct buf *value)
{
	struct sent *s = xcalloc(1, sizeof(*s));
	char key[32];
	void *bytes;
	size_t len;
	rd_kafka_resp_err_t code;

	s->partition = (int32_t)rng_below(&p->rng, (uint64_t)p->partitions);
	s->kind = pick_kind(p);
	s->sequence = p->next[s->partition]++;
	fill_pad(p);
	s->crc = stamp_crc(p->topic, s->partition, s->sequence, p->pad);
	make_value(p, s, value);
	snprintf(key, sizeof(key), "%" PRId64, p->keys ? s->sequence % p->keys : s->sequence);
	bytes = s->kind == 'T' ? NULL : value->data;
	len = s->kind == 'T' ? 0 : value->len;
	do {
		code = rd_kafka_producev(
			p->rk, RD_KAFKA_V_TOPIC(p->topic), RD_KAFKA_V_PARTITION(s->partition),
			RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(key, strlen(key)),
			RD_KAFKA_V_VALUE(bytes, len), RD_KAFKA_V_OPAQUE(s), RD_KAFKA_V_END);
		if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL)
			rd_kafka_poll(p->rk, 10);
	} while (code == RD_KAFKA_RESP_ERR__QUEUE_FULL);
	if (code == RD_KAFKA_RESP_ERR__STATE && p->transactions) {
		free(s);
		return false;
	}
	if (code)
		die("produce", rd_kafka_err2str(code));
	p->produced++;
	return true;
}

/* ---- the client ---- */

static void check(const char *what, rd_kafka_error_t *error)
{
	if (!error)
		return;
	die(what, rd_kafka_error_string(error));
}

static void set(rd_kafka_conf_t *conf, const char *key, const char *value)
{
	char reason[256];

	if (rd_kafka_conf_set(conf, key, value, reason, sizeof(reason)) != RD_KAFKA_CONF_OK)
		die(key, reason);
}

static void open_producer(struct producer *p)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	AUTO(freep) char *id = xasprintf("oracle-%s-%" PRIu64, p->topic, p->seed);
	char reason[256];

	set(conf, "bootstrap.servers", p->bootstrap);
	set(conf, "enable.idempotence", "true");
	set(conf, "linger.ms", "5");
	set(conf, "compression.type", "lz4");
	set(conf, "message.timeout.ms", "60000");
	if (p->transactions)
		set(conf, "transactional.id", id);
	for (int i = 0; i < p->n_configs; i++) {
		AUTO(freep) char *key = xstrdup(p->configs[i]);
		char *equal = strchr(key, '=');

		if (!equal)
			die(key, "give KEY=VALUE");
		*equal = 0;
		set(conf, key, equal + 1);
	}
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	rd_kafka_conf_set_opaque(conf, p);
	p->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
	if (!p->rk)
		die("rd_kafka_new", reason);
	if (p->transactions)
		check("init of transactions", rd_kafka_init_transactions(p->rk, TIMEOUT_MS));
}

/* ---- transactions ---- */

/* An abort that overtakes the transaction's first records on their way is fatal
 * to the client: the broker knows no such transaction. A new client of the same
 * id fences whatever is left of it. */
static void abort_transaction(struct producer *p)
{
	rd_kafka_error_t *error = rd_kafka_abort_transaction(p->rk, TIMEOUT_MS);

	if (error) {
		if (!rd_kafka_error_is_fatal(error))
			check("abort of a transaction", error);
		rd_kafka_error_destroy(error);
		rd_kafka_destroy(p->rk);
		open_producer(p);
	}
}

/* false: it was aborted. A transaction whose records the client has lost its count of,
 * after an abort that overtook others, can only be aborted. */
static bool commit_transaction(struct producer *p)
{
	for (;;) {
		rd_kafka_error_t *error = rd_kafka_commit_transaction(p->rk, TIMEOUT_MS);
		bool abort = error && rd_kafka_error_txn_requires_abort(error);

		if (!error)
			return true;
		if (!abort && !rd_kafka_error_is_retriable(error))
			check("commit of a transaction", error);
		rd_kafka_error_destroy(error);
		if (abort) {
			abort_transaction(p);
			return false;
		}
	}
}

static void end_transaction(struct producer *p)
{
	bool commit = rng_below(&p->rng, 2);

	/* most aborts come after the broker has the records */
	if (commit || rng_below(&p->rng, 4))
		(void)rd_kafka_flush(p->rk, TIMEOUT_MS);
	if (commit)
		commit = commit_transaction(p);
	else
		abort_transaction(p);
	for (size_t i = 0; i < p->n_open; i++)
		write_log(p, &p->open[i], commit ? p->open[i].kind : 'X');
	*(commit ? &p->acknowledged : &p->aborted) += p->n_open;
	p->n_open = 0;
}

/* ---- the run ---- */

/* How many records are due by now; without a rate all. */
static int64_t due(const struct producer *p, int64_t elapsed_us)
{
	int64_t n = p->rate ? elapsed_us * p->rate / 1000000 : INT64_MAX;

	return p->records && n > p->records ? p->records : n;
}

static void run(struct producer *p)
{
	AUTO(buf_release) struct buf value = BUF_INIT;
	struct clock *clock = clock_system();
	int64_t start_us = clock->mono_us(clock);
	int64_t in_transaction = 0;

	while (!stop) {
		int64_t elapsed_us = clock->mono_us(clock) - start_us;
		bool sent;

		if (p->seconds && elapsed_us >= p->seconds * 1000000LL)
			break;
		if (p->records && (int64_t)p->produced >= p->records)
			break;
		if ((int64_t)p->produced >= due(p, elapsed_us)) {
			rd_kafka_poll(p->rk, STEP_MS);
			fflush(p->log);
			continue;
		}
		if (p->transactions && in_transaction == 0)
			check("begin of a transaction", rd_kafka_begin_transaction(p->rk));
		sent = produce_one(p, &value);
		if (p->produced % 64 == 0)
			rd_kafka_poll(p->rk, 0);
		if (p->transactions && (++in_transaction == p->transaction_records || !sent)) {
			end_transaction(p);
			in_transaction = 0;
		}
	}
	if (in_transaction)
		end_transaction(p);
	(void)rd_kafka_flush(p->rk, TIMEOUT_MS);
}

enum { OPT_CONFIG = 256 };

static void options(struct producer *p, int argc, char **argv)
{
	static const struct option known[] = {
		{"bootstrap", required_argument, NULL, 'b'},
		{"topic", required_argument, NULL, 't'},
		{"log", required_argument, NULL, 'l'},
		{"partitions", required_argument, NULL, 'p'},
		{"generation", required_argument, NULL, 'g'},
		{"records", required_argument, NULL, 'n'},
		{"seconds", required_argument, NULL, 's'},
		{"rate", required_argument, NULL, 'r'},
		{"keys", required_argument, NULL, 'k'},
		{"format", required_argument, NULL, 'f'},
		{"registry", required_argument, NULL, 'R'},
		{"subject", required_argument, NULL, 'S'},
		{"schema-id", required_argument, NULL, 'i'},
		{"schema-version", required_argument, NULL, 'v'},
		{"mixed-schemas", no_argument, NULL, 'm'},
		{"pad", required_argument, NULL, 'd'},
		{"poison", required_argument, NULL, 'P'},
		{"tombstones", required_argument, NULL, 'T'},
		{"transactions", required_argument, NULL, 'x'},
		{"seed", required_argument, NULL, 'e'},
		{"config", required_argument, NULL, OPT_CONFIG},
		{NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) >= 0) {
		switch (c) {
		case 'b':
			p->bootstrap = optarg;
			break;
		case 't':
			p->topic = optarg;
			break;
		case 'l':
			p->log_path = optarg;
			break;
		case 'p':
			p->partitions = atoi(optarg);
			break;
		case 'g':
			p->generation = atoi(optarg);
			break;
		case 'n':
			p->records = atoll(optarg);
			break;
		case 's':
			p->seconds = atoi(optarg);
			break;
		case 'r':
			p->rate = atoll(optarg);
			break;
		case 'k':
			p->keys = atoll(optarg);
			break;
		case 'f':
			p->format = optarg;
			break;
		case 'R':
			p->registry = optarg;
			break;
		case 'S':
			p->subject = optarg;
			break;
		case 'i':
			p->schema_id = atoi(optarg);
			break;
		case 'v':
			p->schema_version = atoi(optarg);
			break;
		case 'm':
			p->mixed_schemas = true;
			break;
		case 'd':
			p->pad_bytes = atoi(optarg);
			break;
		case 'P':
			p->poison_percent = atoi(optarg);
			break;
		case 'T':
			p->tombstone_percent = atoi(optarg);
			break;
		case 'x':
			p->transactions = true;
			p->transaction_records = atoi(optarg);
			break;
		case 'e':
			p->seed = strtoull(optarg, NULL, 10);
			break;
		case OPT_CONFIG:
			if (p->n_configs < (int)ARRAY_SIZE(p->configs))
				p->configs[p->n_configs++] = optarg;
			break;
		default:
			exit(2);
		}
	}
	if (!p->bootstrap || !p->topic || !p->log_path || !(p->records || p->seconds) ||
	    p->partitions < 1 || p->partitions > MAX_PARTITIONS || p->pad_bytes > PAD_MAX)
		die("usage",
		    "--bootstrap H:P --topic T --log FILE --partitions N (--records N | "
		    "--seconds S) [--rate R] [--format json|avro] [--registry URL | --schema-id N] "
		    "[--transactions RECORDS] [--poison PERCENT] [--tombstones PERCENT] ...");
}

int main(int argc, char **argv)
{
	struct producer p = {
		.partitions = 1, .pad_bytes = 40, .schema_version = 1, .format = "json", .seed = 1};

	options(&p, argc, argv);
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	p.rng = rng_seeded(p.seed);
	open_log(&p);
	prepare_schema(&p);
	open_producer(&p);
	run(&p);
	if (rd_kafka_outq_len(p.rk) > 0 || p.failed)
		die("end", "not everything was acknowledged");
	rd_kafka_destroy(p.rk);
	fclose(p.log);
	free(p.open);
	printf("produced=%" PRIu64 " acknowledged=%" PRIu64 " aborted=%" PRIu64 "\n", p.produced,
	       p.acknowledged, p.aborted);
	return 0;
}
