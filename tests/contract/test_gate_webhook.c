/* Gates that ask elsewhere: what they send, and what they make of each answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <jansson.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/gate_steps.h"
#include "tests/lib/http_stub.h"

static struct gate_world w;

#define GATE(type) "gates=g\ngates.g.type=" type "\n"

/* Answers with the codes in turn, the last for ever; keeps what came. */
struct receiver {
	int codes[4];
	size_t n;
	size_t asked;
	struct buf body, headers;
};

static void receive(void *ctx, const struct http_stub_request *request, struct buf *reply)
{
	struct receiver *r = ctx;
	int code = r->codes[r->asked < r->n ? r->asked : r->n - 1];

	r->asked++;
	buf_clear(&r->body);
	buf_clear(&r->headers);
	buf_add(&r->body, request->body, request->body_len);
	buf_addf(&r->headers, "%s %s\n%s", request->method, request->path, request->headers);
	if (code)
		http_stub_reply(reply, code, code == 200 ? "fine" : "\n  row 7 is odd\nmore\n");
}

static void ask_webhook(struct receiver *r, enum status wanted, const char *reason,
			const char *more)
{
	AUTO(http_stub_freep) struct http_stub *stub = http_stub_new(receive, r, false);
	AUTO(freep)
	char *text = xasprintf(GATE("webhook") "gates.g.url=http://127.0.0.1:%d/check?x=1\n%s",
			       http_stub_port(stub), more);

	r->asked = 0;
	gate_expect(&w, wanted, reason, text);
}

static void receiver_release(struct receiver *r)
{
	buf_release(&r->body);
	buf_release(&r->headers);
}

static void test_webhook(void **state)
{
	AUTO(receiver_release) struct receiver r = {.codes = {200}, .n = 1};
	char merged[LAKE_ID_HEX_BYTES];
	const char *type, *source, *branch, *hook, *message, *connector;
	json_t *event;

	(void)state;
	GATE_WRITE(&w, NULL, 0, 0, "1");
	ask_webhook(&r, ST_OK, NULL, "");
	assert_int_equal(r.asked, 1);
	assert_non_null(strstr(buf_str(&r.headers), "POST /check?x=1\n"));
	assert_non_null(strstr(buf_str(&r.headers), "Content-Type: application/json"));
	assert_null(strstr(buf_str(&r.headers), "X-Tidemark-Signature"));
	event = json_loadb(r.body.data, r.body.len, 0, NULL);
	assert_int_equal(json_unpack(event, "{s:s,s:s,s:s,s:s,s:s,s:{s:s}}", "event_type", &type,
				     "source_ref", &source, "branch_id", &branch, "hook_id", &hook,
				     "commit_message", &message, "commit_metadata",
				     "tidemark.connector", &connector),
			 0);
	lake_id_hex(&w.h.ingest.head.id, merged);
	assert_string_equal(type, "pre-merge");
	assert_string_equal(source, merged);
	assert_string_equal(branch, w.h.target);
	assert_string_equal(hook, "g");
	assert_string_equal(connector, "c");
	json_decref(event);
}

static void test_webhook_answers(void **state)
{
	static const struct {
		struct receiver r;
		enum status st;
		const char *say;
		size_t asked;
	} rows[] = {
		{{.codes = {204}, .n = 1}, ST_OK, NULL, 1},
		{{.codes = {400}, .n = 1}, ST_HELD, "gate g: it answered 400: row 7 is odd", 1},
		{{.codes = {499}, .n = 1}, ST_HELD, "it answered 499", 1},
		{{.codes = {301}, .n = 1},
		 ST_FAILED,
		 "gate g could not be run: it answered 301",
		 1},
		{{.codes = {503, 0, 429, 200}, .n = 4}, ST_OK, NULL, 4},
		{{.codes = {500, 422}, .n = 2}, ST_HELD, "it answered 422", 2},
	};

	(void)state;
	GATE_WRITE(&w, NULL, 0, 0, "1");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO(receiver_release) struct receiver r = rows[i].r;

		ask_webhook(&r, rows[i].st, rows[i].say, "");
		assert_int_equal(r.asked, rows[i].asked);
	}
}

static void test_webhook_out_of_reach(void **state)
{
	AUTO(receiver_release) struct receiver r = {.codes = {500}, .n = 1};

	(void)state;
	GATE_WRITE(&w, NULL, 0, 0, "1");
	ask_webhook(&r, ST_UNREACHABLE, "gate g could not be run: no verdict within 600 ms (",
		    "gates.g.timeout.ms=600");
	assert_true(r.asked >= 2);
	gate_expect(&w, ST_UNREACHABLE, "gate g could not be run: no verdict within 200 ms",
		    GATE("webhook") "gates.g.url=http://u:pw@127.0.0.1:1/\ngates.g.timeout.ms=200");
	/* a refusal counts for more than what could not be run */
	gate_expect(&w, ST_HELD, "gate h: exit code 1",
		    "gates=g,h\ngates.g.type=webhook\ngates.g.url=http://127.0.0.1:1/\n"
		    "gates.g.timeout.ms=200\ngates.h.type=command\ngates.h.command=false\n");
}

/* RFC 2104, by its definition. */
static void hmac_hex(const char *key, const struct buf *text, char out[LAKE_DIGEST_BYTES])
{
	AUTO(buf_release) struct buf inner = BUF_INIT;
	AUTO(buf_release) struct buf outer = BUF_INIT;

	for (size_t i = 0; i < 64; i++) {
		char k = i < strlen(key) ? key[i] : 0;

		buf_addc(&inner, (char)(k ^ 0x36));
		buf_addc(&outer, (char)(k ^ 0x5c));
	}
	buf_addbuf(&inner, text);
	lake_digest(inner.data, inner.len, out);
	for (size_t i = 0; i < 32; i++) {
		char pair[3] = {out[2 * i], out[2 * i + 1], '\0'};

		buf_addc(&outer, (char)strtoul(pair, NULL, 16));
	}
	lake_digest(outer.data, outer.len, out);
}

static void test_webhook_signature(void **state)
{
	AUTO(receiver_release) struct receiver r = {.codes = {200}, .n = 1};
	AUTO(buf_release) struct buf known = BUF_INIT;
	char hex[LAKE_DIGEST_BYTES];
	AUTO(freep) char *wanted = NULL;

	(void)state;
	/* RFC 4231, test case 2 */
	buf_adds(&known, "what do ya want for nothing?");
	hmac_hex("Jefe", &known, hex);
	assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c7"
				 "5a003f089d2739839dec58b964ec3843");
	GATE_WRITE(&w, NULL, 0, 0, "1");
	ask_webhook(&r, ST_OK, NULL, "gates.g.secret=Jefe");
	hmac_hex("Jefe", &r.body, hex);
	wanted = xasprintf("X-Tidemark-Signature: sha256=%s\r\n", hex);
	assert_non_null(strstr(buf_str(&r.headers), wanted));
}

/* A receiver that does not answer holds nobody up who wants to stop. */
static void receive_and_stop(void *ctx, const struct http_stub_request *request, struct buf *reply)
{
	(void)request;
	(void)reply;
	w.stop = true;
	sem_wait(ctx);
}

static void test_webhook_stop(void **state)
{
	struct http_stub *stub;
	AUTO(freep) char *text = NULL;
	sem_t judged;

	(void)state;
	GATE_WRITE(&w, NULL, 0, 0, "1");
	sem_init(&judged, 0, 0);
	stub = http_stub_new(receive_and_stop, &judged, false);
	text = xasprintf(GATE("webhook") "gates.g.url=http://127.0.0.1:%d/\n",
			 http_stub_port(stub));
	gate_expect(&w, ST_INTERRUPTED, "gate g: stopped", text);
	sem_post(&judged);
	http_stub_free(stub);
	sem_destroy(&judged);
	w.stop = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		GATE_TEST(test_webhook, &w),
		GATE_TEST(test_webhook_answers, &w),
		GATE_TEST(test_webhook_out_of_reach, &w),
		GATE_TEST(test_webhook_signature, &w),
		GATE_TEST(test_webhook_stop, &w),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
