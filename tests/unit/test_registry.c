/* The registry client and the HTTP client below it, against a server of the
 * test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "connector/schema/compiled.h"
#include "connector/schema/registry.h"
#include "core/net/http_client.h"
#include "tests/lib/http_stub.h"
#include "tests/lib/must.h"

/* Answers by path; counts what it is asked. */
struct answers {
	const struct {
		const char *path;
		int code;
		const char *body;
	} * items;
	size_t n;
	unsigned asked; /* atomic */
	char headers[2048]; /* of the last request */
	pthread_mutex_t *gate; /* taken and given back before each answer, where set */
};

static void answer(void *ctx, const struct http_stub_request *request, struct buf *reply)
{
	struct answers *a = ctx;

	__atomic_add_fetch(&a->asked, 1, __ATOMIC_RELAXED);
	snprintf(a->headers, sizeof(a->headers), "%s", request->headers);
	if (a->gate) {
		pthread_mutex_lock(a->gate);
		pthread_mutex_unlock(a->gate);
	}
	for (size_t i = 0; i < a->n; i++) {
		if (strcmp(a->items[i].path, request->path) != 0)
			continue;
		if (a->items[i].body)
			http_stub_reply(reply, a->items[i].code, a->items[i].body);
		return;
	}
	http_stub_reply(reply, 404, "{\"error_code\":40403,\"message\":\"Schema not found\"}");
}

static const struct {
	const char *path;
	int code;
	const char *body;
} plain[] = {
	{"/schemas/ids/1", 200, "{\"schema\":\"\\\"string\\\"\"}"},
	{"/schemas/ids/2", 500, "{}"},
	{"/schemas/ids/3", 200, "{\"schema\":\"{\\\"type\\\":\\\"recor\\\"}\"}"},
	{"/schemas/ids/4", 200, "<html>"},
	{"/schemas/ids/5", 200, "{\"schemaType\":\"PROTOBUF\",\"schema\":\"x\"}"},
	{"/schemas/ids/6", 200, "{\"no\":1}"},
	{"/schemas/ids/7", 401, "{}"},
	{"/schemas/ids/8", 200, NULL},
	{"/schemas/ids/9", 429, "{}"},
	{"/schemas/types", 200, "[\"AVRO\"]"},
	{"/deep/er/schemas/ids/1", 200, "{\"schema\":\"\\\"long\\\"\"}"},
};

#define ANSWERS(table)                                                                             \
	{                                                                                          \
		.items = (const void *)(table), .n = ARRAY_SIZE(table)                             \
	}

static struct registry *open_at(const struct http_stub *s, const char *userinfo, const char *path)
{
	AUTO(freep)
	char *url = xasprintf("http://%s127.0.0.1:%d%s", userinfo, http_stub_port(s), path);
	struct registry *r = NULL;

	MUST(registry_open(&(struct registry_options){.urls = url, .timeout_ms = 5000}, &r, &err));
	return r;
}

static void test_answers(void **state)
{
	struct answers a = ANSWERS(plain);
	AUTO(http_stub_freep) struct http_stub *s = http_stub_new(answer, &a, true);
	AUTO(registry_closep) struct registry *r = open_at(s, "", "/");
	const char *json = NULL, *again = NULL;
	const struct compiled_schema *c = NULL;

	(void)state;
	MUST(registry_check(r, &err));
	MUST(registry_schema(r, 1, &json, &err));
	assert_string_equal(json, "\"string\"");
	MUST(registry_schema(r, 1, &again, &err));
	assert_ptr_equal(json, again);
	assert_int_equal(a.asked, 2);
	MUST(registry_compiled(r, 1, &c, &err));
	assert_string_equal(c->name, "id:1");
	MUST_SAY(ST_NOT_FOUND, "/schemas/ids/99", registry_schema(r, 99, &json, &err));
	MUST_SAY(ST_UNREACHABLE, "500", registry_schema(r, 2, &json, &err));
	MUST_SAY(ST_UNREACHABLE, "429", registry_schema(r, 9, &json, &err));
	MUST_SAY(ST_POISON, "id:3", registry_schema(r, 3, &json, &err));
	MUST_SAY(ST_UNREACHABLE, "no JSON", registry_schema(r, 4, &json, &err));
	MUST_SAY(ST_POISON, "PROTOBUF", registry_schema(r, 5, &json, &err));
	MUST_SAY(ST_UNREACHABLE, "no schema", registry_schema(r, 6, &json, &err));
	MUST_SAY(ST_USAGE, "basic.auth", registry_schema(r, 7, &json, &err));
	MUST_BE(ST_UNREACHABLE, registry_schema(r, 8, &json, &err));
	assert_string_equal(again, "\"string\"");
}

/* A failure is not kept: the next one asks again. */
static void test_failures_are_asked_again(void **state)
{
	struct answers a = ANSWERS(plain);
	AUTO(http_stub_freep) struct http_stub *s = http_stub_new(answer, &a, false);
	AUTO(registry_closep) struct registry *r = open_at(s, "", "");
	const char *json;

	(void)state;
	MUST_BE(ST_UNREACHABLE, registry_schema(r, 2, &json, &err));
	a.items = (const void *)(const struct {
		const char *path;
		int code;
		const char *body;
	}[]){{"/schemas/ids/2", 200, "{\"schema\":\"\\\"int\\\"\"}"}};
	a.n = 1;
	MUST(registry_schema(r, 2, &json, &err));
	assert_string_equal(json, "\"int\"");
}

static void test_path_and_credentials(void **state)
{
	struct answers a = ANSWERS(plain);
	AUTO(http_stub_freep) struct http_stub *s = http_stub_new(answer, &a, true);
	AUTO(registry_closep) struct registry *r = open_at(s, "us%65r:s%40cret@", "/deep/er/");
	const char *json;
	struct err why = ERR_INIT;

	(void)state;
	MUST(registry_schema(r, 1, &json, &err));
	assert_string_equal(json, "\"long\"");
	/* user:s@cret */
	assert_non_null(strstr(a.headers, "Authorization: Basic dXNlcjpzQGNyZXQ="));
	assert_int_equal(registry_schema(r, 7, &json, &why), ST_NOT_FOUND);
	assert_null(strstr(why.text, "cret"));
	assert_null(strstr(why.text, "%40"));
}

static void test_options_credentials(void **state)
{
	struct answers a = ANSWERS(plain);
	AUTO(http_stub_freep) struct http_stub *s = http_stub_new(answer, &a, true);
	AUTO(freep) char *url = xasprintf("http://127.0.0.1:%d", http_stub_port(s));
	struct registry_options options = {.urls = url, .user = "me", .password = "canary"};
	AUTO(registry_closep) struct registry *r = NULL;
	struct err why = ERR_INIT;
	const char *json;

	(void)state;
	MUST(registry_open(&options, &r, &err));
	MUST(registry_schema(r, 1, &json, &err));
	assert_non_null(strstr(a.headers, "Authorization: Basic bWU6Y2FuYXJ5"));
	assert_int_equal(registry_schema(r, 7, &json, &why), ST_USAGE);
	assert_null(strstr(why.text, "canary"));
}

/* The first is down, the second answers; from then on it is asked first. */
static void test_fails_over(void **state)
{
	static const struct {
		const char *path;
		int code;
		const char *body;
	} broken[] = {{"/schemas/ids/1", 503, "{}"}};
	struct answers first = ANSWERS(broken), second = ANSWERS(plain);
	AUTO(http_stub_freep) struct http_stub *a = http_stub_new(answer, &first, false);
	AUTO(http_stub_freep) struct http_stub *b = http_stub_new(answer, &second, false);
	AUTO(freep)
	char *urls = xasprintf("http://127.0.0.1:1, http://127.0.0.1:%d ,http://127.0.0.1:%d",
			       http_stub_port(a), http_stub_port(b));
	AUTO(registry_closep) struct registry *r = NULL;
	const char *json;

	(void)state;
	MUST(registry_open(&(struct registry_options){.urls = urls}, &r, &err));
	MUST(registry_schema(r, 1, &json, &err));
	assert_int_equal(first.asked, 1);
	MUST_BE(ST_NOT_FOUND, registry_schema(r, 99, &json, &err));
	assert_int_equal(first.asked, 1);
}

static void test_nobody_there(void **state)
{
	AUTO(registry_closep) struct registry *r = NULL;
	const char *json;

	(void)state;
	MUST(registry_open(&(struct registry_options){.urls = "http://me:canary@127.0.0.1:1"}, &r,
			   &err));
	MUST_SAY(ST_UNREACHABLE, "127.0.0.1:1", registry_schema(r, 1, &json, &err));
	MUST_SAY(ST_UNREACHABLE, "http://127.0.0.1:1/schemas/types", registry_check(r, &err));
}

static void test_time_out(void **state)
{
	pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
	struct answers a = ANSWERS(plain);
	AUTO(http_stub_freep) struct http_stub *s = NULL;
	AUTO(registry_closep) struct registry *r = NULL;
	AUTO(freep) char *url = NULL;
	const char *json;

	(void)state;
	a.gate = &gate;
	s = http_stub_new(answer, &a, false);
	url = xasprintf("http://127.0.0.1:%d", http_stub_port(s));
	MUST(registry_open(&(struct registry_options){.urls = url, .timeout_ms = 100}, &r, &err));
	pthread_mutex_lock(&gate);
	MUST_BE(ST_UNREACHABLE, registry_schema(r, 1, &json, &err));
	pthread_mutex_unlock(&gate);
}

static void test_urls(void **state)
{
	static const char *const bad[] = {"",           "registry:8081", "ftp://x",
					  "http://",    "http:///p",     "http://a@",
					  "http://x?y", "http://x,zzz"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct registry *r = NULL;
		struct err err = ERR_INIT;

		if (registry_open(&(struct registry_options){.urls = bad[i]}, &r, &err) !=
			    ST_USAGE ||
		    !strstr(err.text, "value.converter.schema.registry.url"))
			fail_msg("'%s': %s", bad[i], err.text);
	}
}

/* ---- one fetch an id ---- */

struct asker {
	struct registry *r;
	const char *json;
	enum status st;
};

static void *ask(void *arg)
{
	struct asker *a = arg;

	a->st = registry_schema(a->r, 1, &a->json, NULL);
	return NULL;
}

static void test_one_fetch_for_many(void **state)
{
	pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
	struct answers a = ANSWERS(plain);
	AUTO(http_stub_freep) struct http_stub *s = NULL;
	AUTO(registry_closep) struct registry *r = NULL;
	struct asker askers[8];
	pthread_t threads[8];

	(void)state;
	a.gate = &gate;
	s = http_stub_new(answer, &a, false);
	r = open_at(s, "", "");
	pthread_mutex_lock(&gate);
	for (int i = 0; i < 8; i++) {
		askers[i] = (struct asker){.r = r};
		assert_int_equal(pthread_create(&threads[i], NULL, ask, &askers[i]), 0);
	}
	pthread_mutex_unlock(&gate);
	for (int i = 0; i < 8; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(askers[i].st, ST_OK);
		assert_ptr_equal(askers[i].json, askers[0].json);
	}
	assert_int_equal(a.asked, 1);
}

/* ---- references ---- */

static const struct {
	const char *path;
	int code;
	const char *body;
} referring[] = {
	{"/schemas/ids/1", 200,
	 "{\"schema\":\"{\\\"type\\\":\\\"record\\\",\\\"name\\\":\\\"Order\\\",\\\"namespace\\\":"
	 "\\\"shop\\\",\\\"fields\\\":[{\\\"name\\\":\\\"a\\\",\\\"type\\\":\\\"crm.Address\\\"},"
	 "{\\\"name\\\":\\\"b\\\",\\\"type\\\":[\\\"null\\\",\\\"crm.Address\\\"]},"
	 "{\\\"name\\\":\\\"c\\\",\\\"type\\\":\\\"crm.Country\\\"}]}\","
	 "\"references\":[{\"name\":\"crm.Address\",\"subject\":\"crm/address\",\"version\":3}]}"},
	{"/subjects/crm%2Faddress/versions/3", 200,
	 "{\"schema\":\"{\\\"type\\\":\\\"record\\\",\\\"name\\\":\\\"crm.Address\\\","
	 "\\\"fields\\\""
	 ":[{\\\"name\\\":\\\"country\\\",\\\"type\\\":\\\"Country\\\"}]}\","
	 "\"references\":[{\"name\":\"crm.Country\",\"subject\":\"country\",\"version\":1}]}"},
	{"/subjects/country/versions/1", 200,
	 "{\"schema\":\"{\\\"type\\\":\\\"enum\\\",\\\"name\\\":\\\"Country\\\",\\\"namespace\\\":"
	 "\\\"crm\\\",\\\"symbols\\\":[\\\"DE\\\",\\\"FR\\\"]}\"}"},
	{"/schemas/ids/2", 200,
	 "{\"schema\":\"\\\"gone.Type\\\"\",\"references\":[{\"name\":\"gone.Type\",\"subject\":"
	 "\"gone\",\"version\":1}]}"},
};

static void test_references(void **state)
{
	struct answers a = ANSWERS(referring);
	AUTO(http_stub_freep) struct http_stub *s = http_stub_new(answer, &a, true);
	AUTO(registry_closep) struct registry *r = open_at(s, "", "");
	const struct compiled_schema *c = NULL;
	AUTO(schema_freep) struct schema *alone = NULL;
	AUTO(buf_release) struct buf canonical = BUF_INIT;
	const char *json = NULL;

	(void)state;
	MUST(registry_compiled(r, 1, &c, &err));
	schema_canonical(c->schema, &canonical);
	assert_string_equal(
		canonical.data,
		"{\"name\":\"shop.Order\",\"type\":\"record\",\"fields\":[{\"name\":\"a\",\"type\":"
		"{\"name\":\"crm.Address\",\"type\":\"record\",\"fields\":[{\"name\":\"country\","
		"\"type\":{\"name\":\"crm.Country\",\"type\":\"enum\",\"symbols\":[\"DE\",\"FR\"]}}"
		"]}},{\"name\":\"b\",\"type\":[\"null\",\"crm.Address\"]},"
		"{\"name\":\"c\",\"type\":\"crm.Country\"}]}");
	/* The text stands alone. */
	MUST(registry_schema(r, 1, &json, &err));
	MUST(schema_parse(json, strlen(json), &alone, &err));
	assert_int_equal(a.asked, 3);
	MUST_SAY(ST_NOT_FOUND, "reference", registry_schema(r, 2, &json, &err));
}

/* ---- the HTTP client ---- */

static void echo(void *ctx, const struct http_stub_request *request, struct buf *reply)
{
	AUTO(buf_release) struct buf body = BUF_INIT;
	int round = __atomic_add_fetch((int *)ctx, 1, __ATOMIC_RELAXED);
	if (strcmp(request->path, "/close") == 0)
		return;
	if (strcmp(request->path, "/cut") == 0) {
		buf_adds(reply, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc");
		return;
	}
	if (strcmp(request->path, "/once") == 0 && round > 1)
		return;
	buf_addf(&body, "%s %s [%.*s]", request->method, request->path, (int)request->body_len,
		 request->body);
	http_stub_reply(reply, strcmp(request->path, "/418") == 0 ? 418 : 200, buf_str(&body));
}

static enum status http(struct http_client *c, int port, const char *method, const char *path,
			const char *body, struct http_answer *answer_out, struct err *err)
{
	AUTO(freep) char *url = xasprintf("http://me:canary@127.0.0.1:%d%s", port, path);
	struct http_request request = {
		.method = method, .url = url, .body = body, .body_len = body ? strlen(body) : 0};

	return http_request(c, &request, answer_out, err);
}

static void test_http_methods(void **state)
{
	int rounds = 0;
	AUTO(http_stub_freep) struct http_stub *s = http_stub_new(echo, &rounds, true);
	AUTO(http_client_freep)
	struct http_client *c = http_client_new(&(struct http_client_options){.timeout_ms = 5000});
	AUTO(http_answer_release) struct http_answer a = HTTP_ANSWER_INIT;
	int port = http_stub_port(s);

	(void)state;
	MUST(http(c, port, "GET", "/a%2Fb/../c", NULL, &a, &err));
	assert_string_equal(a.body.data, "GET /a%2Fb/../c []");
	MUST(http(c, port, "POST", "/p", "body", &a, &err));
	assert_string_equal(a.body.data, "POST /p [body]");
	MUST(http(c, port, "PUT", "/p", NULL, &a, &err));
	assert_string_equal(a.body.data, "PUT /p []");
	MUST(http(c, port, "DELETE", "/d", NULL, &a, &err));
	assert_string_equal(a.body.data, "DELETE /d []");
	MUST(http(c, port, "GET", "/418", NULL, &a, &err));
	assert_int_equal(a.code, 418);
	assert_int_equal(http_stub_connections(s), 1);
}

static void test_http_unknown_outcome(void **state)
{
	int rounds = 0;
	AUTO(http_stub_freep) struct http_stub *s = http_stub_new(echo, &rounds, false);
	AUTO(http_client_freep)
	struct http_client *c = http_client_new(&(struct http_client_options){.timeout_ms = 5000});
	AUTO(http_answer_release) struct http_answer a = HTTP_ANSWER_INIT;
	struct err why = ERR_INIT;
	int port = http_stub_port(s);

	(void)state;
	assert_int_equal(http(c, port, "GET", "/close", NULL, &a, &why), ST_UNREACHABLE);
	assert_null(strstr(why.text, "canary"));
	assert_int_equal(http(c, port, "POST", "/close", "x", &a, &why), ST_UNKNOWN);
	assert_non_null(strstr(why.text, "may have been carried out"));
	MUST_BE(ST_UNKNOWN, http(c, port, "POST", "/cut", "x", &a, &err));
	MUST_BE(ST_UNREACHABLE, http(c, 1, "POST", "/", "x", &a, &err));
	MUST_BE(ST_USAGE,
		http_request(c, &(struct http_request){.method = "GET", .url = "file:///"}, &a,
			     &err));
}

/* The kept connection dies under the second request: it is not sent again. */
static void test_http_sends_changes_once(void **state)
{
	int rounds = 0;
	AUTO(http_stub_freep) struct http_stub *s = http_stub_new(echo, &rounds, true);
	AUTO(http_client_freep)
	struct http_client *c = http_client_new(&(struct http_client_options){.timeout_ms = 5000});
	AUTO(http_answer_release) struct http_answer a = HTTP_ANSWER_INIT;
	int port = http_stub_port(s);

	(void)state;
	MUST(http(c, port, "POST", "/once", NULL, &a, &err));
	MUST_BE(ST_UNKNOWN, http(c, port, "POST", "/once", NULL, &a, &err));
	assert_int_equal(__atomic_load_n(&rounds, __ATOMIC_RELAXED), 2);
}

static bool take_piece(void *ctx, const void *data, size_t len)
{
	buf_add(ctx, data, len);
	return true;
}

static int64_t give_piece(void *ctx, void *data, size_t len)
{
	const char **left = ctx;
	size_t n = strlen(*left) < len ? strlen(*left) : len;

	n = n > 3 ? 3 : n;
	memcpy(data, *left, n);
	*left += n;
	return (int64_t)n;
}

static void test_http_streams(void **state)
{
	int rounds = 0;
	AUTO(http_stub_freep) struct http_stub *s = http_stub_new(echo, &rounds, true);
	AUTO(http_client_freep)
	struct http_client *c = http_client_new(
		&(struct http_client_options){.timeout_ms = 5000, .max_body_bytes = 10});
	AUTO(http_answer_release) struct http_answer a = HTTP_ANSWER_INIT;
	AUTO(buf_release) struct buf got = BUF_INIT;
	AUTO(freep) char *url = xasprintf("http://127.0.0.1:%d/stream", http_stub_port(s));
	const char *left = "pieces of three";
	struct http_request out = {
		.method = "GET", .url = url, .write = take_piece, .stream_ctx = &got};
	struct http_request in = {
		.method = "PUT", .url = url, .read = give_piece, .stream_ctx = &left};

	(void)state;
	MUST(http_request(c, &out, &a, &err));
	assert_string_equal(got.data, "GET /stream []");
	MUST_SAY(ST_UNKNOWN, "over 10 bytes", http_request(c, &in, &a, &err));
	assert_string_equal(left, "");
	MUST_SAY(ST_FAILED, "over 10 bytes",
		 http(c, http_stub_port(s), "GET", "/long", NULL, &a, &err));
}

static void test_http_escaped(void **state)
{
	AUTO(buf_release) struct buf b = BUF_INIT;

	(void)state;
	http_add_escaped(&b, "a/b c-._~\xc3\xa9");
	assert_string_equal(b.data, "a%2Fb%20c-._~%C3%A9");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_failures_are_asked_again),
		cmocka_unit_test(test_path_and_credentials),
		cmocka_unit_test(test_options_credentials),
		cmocka_unit_test(test_fails_over),
		cmocka_unit_test(test_nobody_there),
		cmocka_unit_test(test_time_out),
		cmocka_unit_test(test_urls),
		cmocka_unit_test(test_one_fetch_for_many),
		cmocka_unit_test(test_references),
		cmocka_unit_test(test_http_methods),
		cmocka_unit_test(test_http_unknown_outcome),
		cmocka_unit_test(test_http_sends_changes_once),
		cmocka_unit_test(test_http_streams),
		cmocka_unit_test(test_http_escaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
