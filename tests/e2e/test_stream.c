/* The program itself against librdkafka's mock cluster: errors of the protocol,
 * brokers that come and go, offsets that are gone, signals. After each, every
 * record is on main exactly once and in order. */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>
#include <cmocka.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "core/base/buf.h"
#include "core/base/file.h"
#include "tests/lib/must.h"
#include "tests/lib/tempdir.h"

#define TOPIC "orders"
#define PARTITIONS 2
/* Above the client's own time-out of a request that a broker never answers. */
#define WAIT_MS 120000

extern char **environ;

struct world {
	char *dir, *lake, *config, *program;
	rd_kafka_t *owner; /* of the cluster */
	rd_kafka_t *rk; /* produces */
	rd_kafka_mock_cluster_t *cluster;
	int64_t sent[PARTITIONS];
	pid_t running; /* 0: none; a test that fails leaves it to teardown */
};

static void pause_ms(int ms)
{
	nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}

/* build/<mode>/tests/e2e/test_stream -> build/<mode>/tidemark */
static char *program_path(void)
{
	char self[4096] = "";

	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	for (int i = 0; i < 3; i++)
		*strrchr(self, '/') = '\0';
	return xasprintf("%s/tidemark", self);
}

static rd_kafka_t *producer_new(const char *servers)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char reason[256];
	rd_kafka_t *rk;

	rd_kafka_conf_set(conf, "log_level", "0", NULL, 0);
	rd_kafka_conf_set(conf, "linger.ms", "1", NULL, 0);
	rd_kafka_conf_set(conf, "reconnect.backoff.max.ms", "200", NULL, 0);
	if (servers)
		rd_kafka_conf_set(conf, "bootstrap.servers", servers, NULL, 0);
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
	assert_non_null(rk);
	return rk;
}

static int setup(void **state)
{
	struct world *w = xcalloc(1, sizeof(*w));
	AUTO(freep) char *text = NULL;

	w->dir = tempdir_new();
	w->lake = xasprintf("%s/lake", w->dir);
	w->config = xasprintf("%s/orders.properties", w->dir);
	w->program = program_path();
	w->owner = producer_new(NULL);
	w->cluster = rd_kafka_mock_cluster_new(w->owner, 3);
	w->rk = producer_new(rd_kafka_mock_cluster_bootstraps(w->cluster));
	rd_kafka_mock_set_controller_id(w->cluster, 1);
	rd_kafka_mock_group_initial_rebalance_delay_ms(w->cluster, 0);
	rd_kafka_mock_topic_create(w->cluster, TOPIC, PARTITIONS, 3);
	/* the mock keeps a static member that has gone for its session time-out */
	text = xasprintf("name=orders\ntopics=" TOPIC "\nbootstrap.servers=%s\n"
			 "consumer.override.socket.timeout.ms=6000\n"
			 "value.converter=json\nformat=json\nlake.url=%s\n"
			 "checkpoint.interval.ms=100\npublish.checkpoints=1\n"
			 "consumer.override.session.timeout.ms=1000\n"
			 "consumer.override.heartbeat.interval.ms=200\n",
			 rd_kafka_mock_cluster_bootstraps(w->cluster), w->lake);
	MUST(file_replace(w->config, text, strlen(text), &err));
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	if (w->running) {
		kill(w->running, SIGKILL);
		waitpid(w->running, NULL, 0);
	}
	rd_kafka_destroy(w->rk);
	rd_kafka_mock_cluster_destroy(w->cluster);
	rd_kafka_destroy(w->owner);
	tempdir_remove(&w->dir);
	free(w->lake);
	free(w->config);
	free(w->program);
	free(w);
	return 0;
}

/* ---- Kafka's side ---- */

static void produce(struct world *w, int n)
{
	for (int i = 0; i < n; i++) {
		int p = i % PARTITIONS;
		AUTO(freep)
		char *value = xasprintf("{\"p\":%d,\"n\":%" PRId64 "}", p, w->sent[p]++);

		assert_int_equal(
			rd_kafka_producev(w->rk, RD_KAFKA_V_TOPIC(TOPIC), RD_KAFKA_V_PARTITION(p),
					  RD_KAFKA_V_VALUE(value, strlen(value)),
					  RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END),
			0);
	}
	if (rd_kafka_flush(w->rk, 30000) != 0)
		fail_msg("%d records are not acknowledged, up to %" PRId64,
			 rd_kafka_outq_len(w->rk), w->sent[0]);
}

/* ---- the program's side ---- */

static void start(struct world *w, const char *const argv[])
{
	AUTO(freep) char *log = xasprintf("%s/out", w->dir);
	posix_spawn_file_actions_t actions;
	pid_t pid;

	setenv("TIDEMARK_LAKE", w->lake, 1);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	posix_spawn_file_actions_adddup2(&actions, 1, 2);
	/* else the mock's connections stay open in the child */
	posix_spawn_file_actions_addclosefrom_np(&actions, 3);
	assert_int_equal(
		posix_spawn(&pid, w->program, &actions, NULL, (char *const *)argv, environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	w->running = pid;
}

static int ended(struct world *w)
{
	int status;

	assert_int_equal(waitpid(w->running, &status, 0), w->running);
	w->running = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static char *output(struct world *w)
{
	AUTO(freep) char *log = xasprintf("%s/out", w->dir);
	struct buf text = BUF_INIT;

	MUST(file_read(log, 16 << 20, &text, &err));
	return buf_detach(&text);
}

/* Runs it to its end; the exit code must be `code`. Up to four more words. */
static char *run(struct world *w, int code, ...)
{
	const char *argv[8] = {w->program};
	int n = 1, got;
	const char *word;
	char *text;
	va_list args;

	va_start(args, code);
	while (n < 7 && (word = va_arg(args, const char *)))
		argv[n++] = word;
	va_end(args);
	start(w, argv);
	got = ended(w);
	text = output(w);
	if (got != code)
		fail_msg("%s: exit code %d, not %d: %s", argv[1], got, code, text);
	return text;
}

static void start_stream(struct world *w)
{
	const char *argv[] = {w->program, "run", w->config, NULL};

	start(w, argv);
}

static void run_to_the_end(struct world *w)
{
	free(run(w, 0, "run", w->config, "--until-latest", NULL));
}

/* Every row of partition p on main, in the order of the files' first offsets:
 * `from`, and on to the last one sent. */
static void check_partition(struct world *w, int p, int64_t from)
{
	AUTO(freep) char *prefix = xasprintf("main:topics/" TOPIC "/partition=%d", p);
	AUTO(freep) char *list = run(w, 0, "ls", "-r", prefix, NULL);
	int64_t next = from;

	for (char *line = strtok(list, "\n"); line; line = strtok(NULL, "\n")) {
		AUTO(freep) char *ref = xasprintf("main:%s", strstr(line, "topics/"));
		AUTO(freep) char *rows = run(w, 0, "cat", ref, NULL);
		int partition, used;
		int64_t n;

		for (const char *at = rows; *at; at += used) {
			assert_int_equal(sscanf(at, "{\"p\":%d,\"n\":%" SCNd64 "}\n%n", &partition,
						&n, &used),
					 2);
			assert_int_equal(partition, p);
			assert_int_equal(n, next);
			next++;
		}
	}
	assert_int_equal(next, w->sent[p]);
}

static void check(struct world *w)
{
	for (int p = 0; p < PARTITIONS; p++)
		check_partition(w, p, 0);
}

/* Waits until the running connector has shown main all that was sent. */
static void wait_shown(struct world *w)
{
	AUTO(freep)
	char *offsets =
		xasprintf("\"offsets\":{\"" TOPIC "\":{\"0\":%" PRId64 ",\"1\":%" PRId64 "}}",
			  w->sent[0], w->sent[1]);
	AUTO(freep)
	char *command = xasprintf("TIDEMARK_LAKE=%s %s --json status orders 2>/dev/null", w->lake,
				  w->program);
	char text[4096] = "";

	for (int waited = 0; waited < WAIT_MS; waited += 50) {
		FILE *f = popen(command, "r");
		size_t n = fread(text, 1, sizeof(text) - 1, f);
		char *head, *published;

		text[n] = '\0';
		pclose(f);
		head = strstr(text, "\"head\":\"");
		published = strstr(text, "\"published\":\"");
		if (strstr(text, offsets) && head && published &&
		    strncmp(head + 8, published + 13, 64) == 0)
			return;
		pause_ms(50);
	}
	fail_msg("main does not show %s: %s", offsets, text);
}

static void stop(struct world *w)
{
	kill(w->running, SIGTERM);
	assert_int_equal(ended(w), 0);
}

/* ---- tests ---- */

static void test_until_latest(void **state)
{
	struct world *w = *state;

	produce(w, 2000);
	run_to_the_end(w);
	check(w);
	produce(w, 10);
	run_to_the_end(w);
	check(w);
	run_to_the_end(w); /* nothing new */
	check(w);
}

/* Fetch 1, ListOffsets 2, Metadata 3, OffsetCommit 8, FindCoordinator 10,
 * JoinGroup 11, Heartbeat 12, SyncGroup 14. */
static void test_protocol_errors(void **state)
{
	static const struct {
		int16_t api;
		rd_kafka_resp_err_t code;
	} faults[] = {
		{1, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION},
		{1, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT},
		{1, RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH},
		{1, RD_KAFKA_RESP_ERR__TRANSPORT},
		{2, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION},
		{3, RD_KAFKA_RESP_ERR__TRANSPORT},
		{8, RD_KAFKA_RESP_ERR_NOT_COORDINATOR_FOR_GROUP},
		{8, RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID},
		{8, RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS},
		{10, RD_KAFKA_RESP_ERR_GROUP_COORDINATOR_NOT_AVAILABLE},
		{11, RD_KAFKA_RESP_ERR_GROUP_LOAD_IN_PROGRESS},
		{11, RD_KAFKA_RESP_ERR_NOT_COORDINATOR_FOR_GROUP},
		{12, RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS},
		{14, RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS},
	};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		produce(w, 100);
		rd_kafka_mock_push_request_errors(w->cluster, faults[i].api, 2, faults[i].code,
						  faults[i].code);
		run_to_the_end(w);
		check(w);
		rd_kafka_mock_clear_request_errors(w->cluster, faults[i].api);
	}
}

/* Longer than a broker is away, so that the group does not take the partitions. */
static void keep_session(struct world *w)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	char *at;

	MUST(file_read(w->config, 1 << 16, &text, &err));
	at = strstr(text.data, "session.timeout.ms=1000");
	assert_non_null(at);
	memcpy(at, "session.timeout.ms=9000", strlen("session.timeout.ms=9000"));
	MUST(file_replace(w->config, text.data, text.len, &err));
}

static void test_brokers_come_and_go(void **state)
{
	struct world *w = *state;

	keep_session(w);
	produce(w, 100);
	start_stream(w);
	wait_shown(w);
	for (int broker = 1; broker <= 3; broker++) {
		rd_kafka_mock_broker_set_down(w->cluster, broker);
		pause_ms(300);
		rd_kafka_mock_broker_set_up(w->cluster, broker);
		produce(w, 100);
		for (int p = 0; p < PARTITIONS; p++)
			rd_kafka_mock_partition_set_leader(w->cluster, TOPIC, p, broker % 3 + 1);
		rd_kafka_mock_coordinator_set(w->cluster, "group", "connect-orders",
					      broker % 3 + 1);
		produce(w, 100);
		wait_shown(w);
	}
	stop(w);
	check(w);
}

static void test_offsets_that_are_gone(void **state)
{
	struct world *w = *state;
	AUTO(freep) char *text = NULL;
	AUTO(freep) char *log = NULL;
	AUTO(freep) char *lost = NULL;
	int64_t had;

	produce(w, 100);
	run_to_the_end(w);
	had = w->sent[0];
	produce(w, 100);
	assert_int_equal(rd_kafka_mock_partition_delete_records(w->cluster, TOPIC, 0, had + 20), 0);
	text = run(w, 1, "run", w->config, "--until-latest", NULL);
	if (!strstr(text, "on.offset.out.of.range"))
		fail_msg("it does not name the property: %s", text);
	free(run(w, 0, "run", w->config, "--until-latest", "--set",
		 "on.offset.out.of.range=earliest", NULL));
	log = run(w, 0, "--json", "log", "ingest-orders", NULL);
	lost = xasprintf("\\\"range\\\":[%" PRId64 ",%" PRId64 "]", had, had + 20);
	if (!strstr(log, lost))
		fail_msg("the loss of %s is not recorded: %s", lost, log);
}

static void test_sigterm(void **state)
{
	struct world *w = *state;

	srand(7);
	for (int i = 0; i < 6; i++) {
		start_stream(w);
		pause_ms(100 + rand() % 400);
		produce(w, 300);
		pause_ms(rand() % 100);
		stop(w);
	}
	run_to_the_end(w);
	check(w);
}

static void test_missing_topic(void **state)
{
	struct world *w = *state;
	AUTO(freep) char *text = run(w, 5, "run", w->config, "--set", "topics=ordrs", NULL);

	if (!strstr(text, "ordrs"))
		fail_msg("it does not name the topic: %s", text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* usage: test_stream [PATTERN of tests] */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_until_latest),
		TEST(test_protocol_errors),
		TEST(test_brokers_come_and_go),
		TEST(test_offsets_that_are_gone),
		TEST(test_sigterm),
		TEST(test_missing_topic),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
