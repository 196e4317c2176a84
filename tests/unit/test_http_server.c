/* The HTTP server's frame, asked by our own client over TCP. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/net/http_client.h"
#include "core/net/http_server.h"

static struct http_server *server;
static struct http_client *client;
static char base[64];
static bool admitting;
static atomic_int begun, ended, closed;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int waiting; /* guarded by mutex */

static bool on_admit(void *ctx, int fd)
{
	(void)ctx;
	return admitting && fd >= 0;
}

static bool count_bytes(void *ctx, const void *data, size_t len)
{
	uint64_t *n = ctx;

	(void)data;
	*n += len;
	return *n < 1000000;
}

static void on_begin(void *ctx, struct http_exchange *x)
{
	(void)ctx;
	atomic_fetch_add(&begun, 1);
	if (strcmp(http_path(x), "/count") == 0) {
		http_data_set(x, xcalloc(1, sizeof(uint64_t)));
		http_body_stream(x, count_bytes, http_data(x));
	}
}

static int64_t numbers(void *ctx, void *data, size_t len)
{
	uint64_t *left = ctx;
	size_t n = len < *left ? len : *left;

	if (*left == 13)
		return -1; /* breaks off */
	memset(data, 'n', n);
	*left -= n;
	return (int64_t)n;
}

static void reply_numbers(struct http_exchange *x)
{
	uint64_t *left = xmalloc(sizeof(*left));

	*left = strtoull(http_query(x, "n"), NULL, 10);
	http_reply_stream(x, 200, "text/plain", http_query(x, "sized") ? (int64_t)*left : -1,
			  numbers, free, left);
}

/* Answers when as many requests wait as asked for: so they are served at once. */
static void reply_together(struct http_exchange *x)
{
	int wanted = atoi(http_query(x, "n"));

	pthread_mutex_lock(&mutex);
	waiting++;
	pthread_cond_broadcast(&changed);
	while (waiting < wanted)
		pthread_cond_wait(&changed, &mutex);
	pthread_mutex_unlock(&mutex);
	http_reply(x, 200, NULL, "", 0);
}

static void reply_echo(struct http_exchange *x)
{
	AUTO(buf_release) struct buf out = BUF_INIT;
	const char *header = http_header(x, "X-Test");
	const char *q = http_query(x, "q");

	buf_addf(&out, "%s %s q=%s h=%s body=%s", http_method(x), http_path(x), q ? q : "-",
		 header ? header : "-", buf_str(http_body(x)));
	http_reply_header(x, "X-Answer", "yes");
	http_reply_buf(x, 201, "text/plain", &out);
}

static void on_handle(void *ctx, struct http_exchange *x)
{
	const char *path = http_path(x);

	(void)ctx;
	if (strcmp(path, "/numbers") == 0)
		reply_numbers(x);
	else if (strcmp(path, "/together") == 0)
		reply_together(x);
	else if (strcmp(path, "/keep") == 0) {
		http_connection_set(x, &closed);
		http_reply(x, 200, NULL, "", 0);
	} else if (strcmp(path, "/count") == 0) {
		AUTO(freep) char *text = xasprintf("%llu", *(unsigned long long *)http_data(x));

		http_reply(x, 200, "text/plain", text, strlen(text));
	} else if (strcmp(path, "/nothing") != 0)
		reply_echo(x);
}

static void on_end(void *ctx, struct http_exchange *x)
{
	(void)ctx;
	free(http_data(x));
	atomic_fetch_add(&ended, 1);
}

static void on_closed(void *ctx, void *data)
{
	(void)ctx;
	pthread_mutex_lock(&mutex);
	atomic_fetch_add((atomic_int *)data, 1);
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&mutex);
}

static int start(void **state)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct http_server_options options = {
		.listen_fd = fd,
		.max_body_bytes = 1000,
		.max_connections = 8,
		.admit = on_admit,
		.begin = on_begin,
		.handle = on_handle,
		.end = on_end,
		.closed = on_closed,
	};
	struct err err;

	(void)state;
	admitting = true;
	begun = ended = closed = waiting = 0;
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	snprintf(base, sizeof(base), "http://127.0.0.1:%d", ntohs(a.sin_port));
	assert_int_equal(http_server_start(&options, &server, &err), ST_OK);
	client = http_client_new(&(struct http_client_options){.timeout_ms = 20000});
	return 0;
}

static int stop(void **state)
{
	(void)state;
	http_client_free(client);
	http_server_stop(server);
	assert_int_equal(begun >= 0 && ended >= begun, 1);
	return 0;
}

static enum status ask(const char *method, const char *path, const void *body, size_t len,
		       struct http_answer *answer)
{
	AUTO(freep) char *url = xasprintf("%s%s", base, path);
	const char *const headers[] = {"X-Test: t", NULL};
	const struct http_request request = {
		.method = method, .url = url, .headers = headers, .body = body, .body_len = len};
	struct err err;

	return http_request(client, &request, answer, &err);
}

static void test_echo(void **state)
{
	AUTO(http_answer_release) struct http_answer a = HTTP_ANSWER_INIT;

	(void)state;
	assert_int_equal(ask("POST", "/a%20b/c?q=%26%2B+x", "text", 4, &a), ST_OK);
	assert_int_equal(a.code, 201);
	assert_string_equal(buf_str(&a.body), "POST /a b/c q=&+ x h=t body=text");
	assert_int_equal(ask("GET", "/x", NULL, 0, &a), ST_OK);
	assert_string_equal(buf_str(&a.body), "GET /x q=- h=t body=");
	assert_int_equal(ask("HEAD", "/x", NULL, 0, &a), ST_OK);
	assert_int_equal(a.code, 201);
	assert_int_equal(a.body.len, 0);
	assert_int_equal(ask("GET", "/nothing", NULL, 0, &a), ST_OK);
	assert_int_equal(a.code, 500);
}

static void test_limits(void **state)
{
	AUTO(http_answer_release) struct http_answer a = HTTP_ANSWER_INIT;
	AUTO(freep) char *body = xcalloc(1, 5000000);

	(void)state;
	assert_int_equal(ask("POST", "/x", body, 1000, &a), ST_OK);
	assert_int_equal(a.code, 201);
	assert_int_equal(ask("POST", "/x", body, 1001, &a), ST_OK);
	assert_int_equal(a.code, 413);
	assert_int_equal(ask("POST", "/x", body, 5000000, &a), ST_OK);
	assert_int_equal(a.code, 413);
	assert_int_equal(ask("POST", "/count", body, 900000, &a), ST_OK);
	assert_string_equal(buf_str(&a.body), "900000");
	/* Enough after a million: the rest is read and dropped. */
	assert_int_equal(ask("POST", "/count", body, 5000000, &a), ST_OK);
	assert_int_equal(a.code, 200);
	assert_in_range(atoi(buf_str(&a.body)), 1000000, 2000000);
	admitting = false;
	assert_int_equal(ask("GET", "/x", NULL, 0, &a), ST_OK);
	assert_int_equal(a.code, 403);
}

static void test_streams(void **state)
{
	AUTO(http_answer_release) struct http_answer a = HTTP_ANSWER_INIT;

	(void)state;
	assert_int_equal(ask("GET", "/numbers?n=3000000", NULL, 0, &a), ST_OK);
	assert_int_equal(a.body.len, 3000000);
	assert_int_equal(ask("GET", "/numbers?n=3000000&sized=1", NULL, 0, &a), ST_OK);
	assert_int_equal(a.body.len, 3000000);
	assert_int_equal(ask("GET", "/numbers?n=0", NULL, 0, &a), ST_OK);
	assert_int_equal(a.body.len, 0);
	assert_int_equal(ask("GET", "/numbers?n=13", NULL, 0, &a), ST_UNREACHABLE);
}

static void *ask_together(void *ctx)
{
	AUTO(http_answer_release) struct http_answer a = HTTP_ANSWER_INIT;
	AUTO(http_client_freep)
	struct http_client *own = http_client_new(&(struct http_client_options){0});
	AUTO(freep) char *url = xasprintf("%s/together?n=6", base);
	const struct http_request request = {.method = "GET", .url = url};
	struct err err;
	enum status st = http_request(own, &request, &a, &err);

	*(bool *)ctx = st == ST_OK && a.code == 200;
	return NULL;
}

static void test_at_once(void **state)
{
	pthread_t threads[6];
	bool ok[6];

	(void)state;
	for (int i = 0; i < 6; i++)
		pthread_create(&threads[i], NULL, ask_together, &ok[i]);
	for (int i = 0; i < 6; i++) {
		pthread_join(threads[i], NULL);
		assert_true(ok[i]);
	}
}

static void test_connection_ends(void **state)
{
	AUTO(http_answer_release) struct http_answer a = HTTP_ANSWER_INIT;

	(void)state;
	assert_int_equal(ask("GET", "/keep", NULL, 0, &a), ST_OK);
	assert_int_equal(ask("GET", "/x", NULL, 0, &a), ST_OK);
	assert_int_equal(closed, 0);
	http_client_free(client);
	client = NULL;
	pthread_mutex_lock(&mutex);
	while (!closed)
		pthread_cond_wait(&changed, &mutex);
	pthread_mutex_unlock(&mutex);
	assert_int_equal(closed, 1);
}

/* One connection more than the server takes is closed at once, and there is
 * room again when another ends. */
static void test_connections_beyond_the_limit(void **state)
{
	AUTO(http_answer_release) struct http_answer a = HTTP_ANSWER_INIT;
	struct http_client *clients[9];
	AUTO(freep) char *url = xasprintf("%s/x", base);
	const struct http_request request = {.method = "GET", .url = url};
	struct err err;

	(void)state;
	for (int i = 0; i < 9; i++) {
		clients[i] = http_client_new(&(struct http_client_options){.timeout_ms = 20000});
		assert_int_equal(http_request(clients[i], &request, &a, &err),
				 i < 8 ? ST_OK : ST_UNREACHABLE);
	}
	http_client_free(clients[0]);
	http_client_free(clients[8]);
	/* The server learns of the end when its thread runs. */
	while (http_request(client, &request, &a, &err) != ST_OK)
		sched_yield();
	for (int i = 1; i < 8; i++)
		http_client_free(clients[i]);
}

/* A server that stops does not wait for connections that are silent. */
static void test_stop_with_open_connection(void **state)
{
	AUTO(http_answer_release) struct http_answer a = HTTP_ANSWER_INIT;

	(void)state;
	assert_int_equal(ask("GET", "/keep", NULL, 0, &a), ST_OK);
	http_server_stop(server);
	server = NULL;
	assert_int_equal(closed, 1);
	assert_int_equal(ask("GET", "/x", NULL, 0, &a), ST_UNREACHABLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_echo, start, stop),
		cmocka_unit_test_setup_teardown(test_limits, start, stop),
		cmocka_unit_test_setup_teardown(test_streams, start, stop),
		cmocka_unit_test_setup_teardown(test_at_once, start, stop),
		cmocka_unit_test_setup_teardown(test_connection_ends, start, stop),
		cmocka_unit_test_setup_teardown(test_connections_beyond_the_limit, start, stop),
		cmocka_unit_test_setup_teardown(test_stop_with_open_connection, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
