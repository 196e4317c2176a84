/* Gates on a line of checkpoints: what they look at, what they conclude, and
 * what is kept of it. The gates that read records: test_gate_fields.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <jansson.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "tests/lib/gate_steps.h"
#include "tests/lib/http_stub.h"
#include "tests/lib/must.h"

static struct gate_world w;

#define COMMAND(text) "gates=g\ngates.g.type=command\ngates.g.command=" text "\n"
#define GATE(type) "gates=g\ngates.g.type=" type "\n"

/* ---- command ---- */

static void test_command(void **state)
{
	AUTO(gate_results_release) struct gate_results results = {0};
	struct err err = ERR_INIT;

	(void)state;
	GATE_WRITE(&w, NULL, 0, 0, "1", "2");
	gate_expect(&w, ST_OK, NULL, COMMAND("true"));
	gate_expect(&w, ST_HELD, "gate g: too bad",
		    COMMAND("echo first; echo too bad; echo; exit 1"));
	gate_expect(&w, ST_HELD, "gate g: exit code 7", COMMAND("exit 7"));
	gate_expect(&w, ST_HELD, "gate g: ended by signal 15", COMMAND("kill $$"));
	gate_expect(&w, ST_HELD, "no verdict within 50 ms",
		    COMMAND("sleep 60") "gates.g.timeout.ms=50");
	assert_int_equal(gate_judge(&w, COMMAND("echo said; printf '\\\\377\\\\000x'; exit 0"),
				    &results, &err),
			 ST_OK);
	assert_int_equal(results.n, 1);
	assert_int_equal(results.items[0].verdict, GATE_PASSED);
	assert_string_equal(results.items[0].reason, "");
	assert_string_equal(results.items[0].output, "said\n? x");
}

static void test_command_is_given(void **state)
{
	(void)state;
	GATE_WRITE(&w, NULL, 0, 0, "\"old\"");
	gate_show(&w);
	GATE_WRITE(&w, NULL, 0, 1, "\"new\"");
	GATE_WRITE(&w, NULL, 1, 0, "\"other\"");
	gate_expect(&w, ST_OK, NULL,
		    COMMAND("test $(grep -c '^added.topics/t/' $TIDEMARK_CHANGES) = 2"));
	gate_expect(&w, ST_HELD, "exit code", COMMAND("test -n \"$TIDEMARK_FILES\""));
	gate_expect(&w, ST_HELD, "gate g: \"new\" \"other\"",
		    COMMAND("cd $TIDEMARK_FILES; cat $(find . -type f | sort) | xargs -d '\\\\n' "
			    "echo; exit 1") "gates.g.files=true");
	gate_expect(&w, ST_HELD, "gate g: \"old\" \"new\" \"other\"",
		    COMMAND("cd $TIDEMARK_FILES; cat $(find . -type f | sort) | xargs -d '\\\\n' "
			    "echo; exit 1") "gates.g.files=true\ngates.g.scope=all");
	gate_expect(&w, ST_HELD, "gate g: 1 topics/t/partition=1/t+1+0000000000.jsonl",
		    COMMAND("cd $TIDEMARK_FILES; echo $(wc -l <$TIDEMARK_CHANGES) $(find * -type "
			    "f); exit 1") "gates.g.files=true\ngates.g.paths=topics/*=1/*");
	/* neither its files nor its output may be altered through the folder */
	gate_expect(&w, ST_OK, NULL,
		    COMMAND("echo spoilt > $TIDEMARK_FILES/topics/t/partition=1/"
			    "t+1+0000000000.jsonl") "gates.g.files=true");
	gate_expect(&w, ST_HELD, "other",
		    COMMAND("cat $TIDEMARK_FILES/topics/t/partition=1/*; exit 1") "gates.g.files="
										  "true");
}

static void test_stop(void **state)
{
	(void)state;
	w.stop = true;
	gate_expect(&w, ST_INTERRUPTED, NULL, COMMAND("true"));
	w.stop = false;
}

/* ---- several ---- */

static void test_several(void **state)
{
	static const char text[] =
		"gates=a,b,c,d,e\n"
		"gates.a.type=command\ngates.a.command=echo fine\n"
		"gates.b.type=command\ngates.b.command=sleep 0.2; echo B; false\n"
		"gates.c.type=command\ngates.c.command=echo C; false\n"
		"gates.d.type=file_size\ngates.d.max=1GiB\n"
		"gates.e.type=file_size\ngates.e.min=1GiB\n";
	AUTO(gate_results_release) struct gate_results results = {0};
	AUTO(buf_release) struct buf json = BUF_INIT;
	struct err err = ERR_INIT;
	const char *verdict, *reason, *output;
	json_int_t ms;
	json_t *array;

	(void)state;
	GATE_WRITE(&w, NULL, 0, 0, "1");
	/* the first in order, though others were sooner */
	assert_int_equal(gate_judge(&w, text, &results, &err), ST_HELD);
	assert_string_equal(err.text, "gate b: B");
	assert_int_equal(results.n, 5);
	assert_int_equal(results.items[0].verdict, GATE_PASSED);
	assert_int_equal(results.items[2].verdict, GATE_REFUSED);
	assert_int_equal(results.items[3].verdict, GATE_PASSED);
	assert_int_equal(results.items[4].verdict, GATE_REFUSED);
	gate_results_json(&results, &json);
	array = json_loads(buf_str(&json), 0, NULL);
	assert_int_equal(json_array_size(array), 5);
	assert_int_equal(json_unpack(json_array_get(array, 1), "{s:s,s:s,s:I,s:s}", "verdict",
				     &verdict, "reason", &reason, "ms", &ms, "output", &output),
			 0);
	assert_string_equal(verdict, "refused");
	assert_string_equal(reason, "B");
	assert_string_equal(output, "B");
	assert_true(ms >= 200);
	json_decref(array);

	/* the monotone alone */
	w.steering = true;
	gate_expect(&w, ST_HELD, "gate e", text);
	gate_results_release(&results);
	(void)!gate_judge(&w, text, &results, &err);
	assert_int_equal(results.n, 2);
	w.steering = false;
}

static void test_much_output(void **state)
{
	AUTO(gate_results_release) struct gate_results results = {0};
	AUTO(buf_release) struct buf json = BUF_INIT;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(gate_judge(&w, COMMAND("seq 100000; echo the end"), &results, &err),
			 ST_OK);
	assert_true(strlen(results.items[0].output) <= 128 << 10);
	gate_results_json(&results, &json);
	assert_true(json.len < 4096);
	assert_non_null(strstr(buf_str(&json), "the end"));
}

/* ---- row_count, file_size ---- */

static void test_row_count(void **state)
{
	(void)state;
	GATE_WRITE(&w, NULL, 0, 0, "1", "2", "3");
	gate_show(&w);
	GATE_WRITE(&w, NULL, 0, 3, "1", "2");
	GATE_WRITE(&w, NULL, 1, 0, "1", "2", NULL);
	gate_expect(&w, ST_OK, NULL, GATE("row_count") "gates.g.min=5\ngates.g.max=5");
	gate_expect(&w, ST_HELD, "gate g: 5 rows are fewer than min=6",
		    GATE("row_count") "gates.g.min=6");
	gate_expect(&w, ST_HELD, "gate g: 5 rows are more than max=4",
		    GATE("row_count") "gates.g.max=4");
	gate_expect(&w, ST_OK, NULL,
		    GATE("row_count") "gates.g.scope=all\ngates.g.min=8\ngates.g.max=8");
	gate_expect(&w, ST_OK, NULL,
		    GATE("row_count") "gates.g.paths=topics/t/partition=0/\ngates.g.min=2\n"
				      "gates.g.max=2");
	gate_write_raw(&w, "topics/t/readme", 1, 3, 4, NULL, "x", 1);
	gate_expect(&w, ST_HELD, "topics/t/readme is no file of records",
		    GATE("row_count") "gates.g.min=0");
}

static void test_row_count_change(void **state)
{
	static const uint64_t odd[] = {4, 100, 3}, even[] = {3, 100, 5, 1};

	(void)state;
	GATE_WRITE(&w, NULL, 0, 0, "1", "2", "3", "4", "5", "6");
	gate_expect(&w, ST_OK, NULL, GATE("row_count") "gates.g.max.change=0");
	memcpy(w.history, odd, sizeof(odd));
	w.n_history = 3;
	gate_expect(&w, ST_OK, NULL, GATE("row_count") "gates.g.max.change=0.5");
	gate_expect(&w, ST_OK, NULL, GATE("row_count") "gates.g.max.change=50%");
	gate_expect(&w, ST_HELD, "gate g: 6 rows, where the median of the last 3 publishes is 4",
		    GATE("row_count") "gates.g.max.change=0.49");
	memcpy(w.history, even, sizeof(even));
	w.n_history = 4;
	gate_expect(&w, ST_HELD, "publishes is 4:", GATE("row_count") "gates.g.max.change=0.4");
	gate_expect(&w, ST_HELD, "last 1 publishes is 3:",
		    GATE("row_count") "gates.g.max.change=0.5\ngates.g.max.change.publishes=1");
	w.history[0] = 60; /* too few as well as too many */
	gate_expect(&w, ST_HELD, "is 60:",
		    GATE("row_count") "gates.g.max.change=0.5\ngates.g.max.change.publishes=1");
	w.n_history = 0;
}

static void test_file_size(void **state)
{
	(void)state;
	GATE_WRITE(&w, NULL, 0, 0, "1"); /* 2 bytes */
	gate_show(&w);
	GATE_WRITE(&w, NULL, 0, 1, "100"); /* 4 */
	GATE_WRITE(&w, NULL, 0, 2, "10000"); /* 6 */
	gate_expect(&w, ST_OK, NULL, GATE("file_size") "gates.g.min=4\ngates.g.max=6");
	gate_expect(&w, ST_HELD,
		    "gate g: topics/t/partition=0/t+0+0000000001.jsonl has 4 bytes, fewer than "
		    "min=5",
		    GATE("file_size") "gates.g.min=5");
	gate_expect(&w, ST_HELD, "t+0+0000000002.jsonl has 6 bytes, more than max=5",
		    GATE("file_size") "gates.g.max=5");
	gate_expect(&w, ST_HELD, "t+0+0000000000.jsonl has 2 bytes",
		    GATE("file_size") "gates.g.min=4\ngates.g.scope=all");
}

/* ---- offsets ---- */

static void test_offsets(void **state)
{
	(void)state;
	GATE_WRITE(&w, NULL, 0, 0, "1", "-", "3"); /* not looked at once it is shown */
	gate_show(&w);
	GATE_WRITE(&w, NULL, 0, 3, "4", "5");
	GATE_WRITE(&w, NULL, 1, 0, "1");
	gate_expect(&w, ST_OK, NULL, GATE("offsets"));
	gate_expect(&w, ST_HELD, "1 offsets are in no file, the first is t:0:1",
		    GATE("offsets") "gates.g.scope=all");
	gate_expect(&w, ST_OK, NULL, GATE("offsets") "gates.g.scope=all\ngates.g.max.missing=1");
	GATE_WRITE(&w, NULL, 1, 1, "2", "-");
	GATE_WRITE(&w, NULL, 1, 3, "-", "5");
	gate_expect(&w, ST_HELD, "2 offsets are in no file, the first is t:1:2", GATE("offsets"));
	gate_expect(&w, ST_HELD, "max.missing=1", GATE("offsets") "gates.g.max.missing=1");
	gate_expect(&w, ST_OK, NULL, GATE("offsets") "gates.g.max.missing=2");
	gate_expect(&w, ST_OK, NULL, GATE("offsets") "gates.g.paths=topics/t/partition=0/");
	gate_expect(&w, ST_HELD, "t:1:2", GATE("offsets") "gates.g.paths=topics/t/partition=1/");
	gate_show(&w);
	GATE_WRITE(&w, NULL, 0, 5, "6", "-"); /* behind the last row */
	gate_expect(&w, ST_HELD, "1 offsets are in no file, the first is t:0:6", GATE("offsets"));
}

/* Files in the folders of another partitioner: a partition counts as a whole where one of
 * its files is among the paths. */
static void test_offsets_in_folders(void **state)
{
	(void)state;
	gate_write_raw(&w, "topics/t/country=DE/t+0+0000000000.jsonl", 0, 0, 3, "0,2", "x", 1);
	gate_expect(&w, ST_HELD, "1 offsets are in no file, the first is t:0:1", GATE("offsets"));
	gate_expect(&w, ST_HELD, "t:0:1", GATE("offsets") "gates.g.paths=topics/t/country=DE/");
	gate_expect(&w, ST_HELD, "t:0:1", GATE("offsets") "gates.g.paths=topics/t/");
	gate_expect(&w, ST_OK, NULL, GATE("offsets") "gates.g.paths=topics/t/country=AT/");
	gate_show(&w);
	gate_write_raw(&w, "topics/t/country=AT/t+0+0000000003.jsonl", 0, 3, 6, "3,5", "x", 1);
	gate_write_raw(&w, "topics/t/country=DE/t+1+0000000000.jsonl", 1, 0, 1, "0", "x", 1);
	gate_expect(&w, ST_HELD, "t:0:4", GATE("offsets") "gates.g.paths=topics/t/country=AT/");
	gate_expect(&w, ST_OK, NULL, GATE("offsets") "gates.g.paths=topics/t/country=DE/");
}

static void test_offsets_wrong(void **state)
{
	(void)state;
	GATE_WRITE(&w, NULL, 0, 0, "1", "2");
	gate_show(&w);
	gate_write_raw(&w, "topics/t/partition=0/t+0+0000000002.jsonl", 0, 2, 4, "2-4", "x", 1);
	gate_expect(&w, ST_HELD, "t:0:4 is added, and the checkpoints to be shown read from 2 to 4",
		    GATE("offsets"));
	gate_write_raw(&w, "topics/t/partition=0/t+0+0000000004.jsonl", 0, 4, 6, "4-5", "x", 1);
	gate_expect(&w, ST_HELD, "t:0:4 is there twice", GATE("offsets"));
	gate_show(&w);
	gate_write_raw(&w, "topics/t/partition=0/t+0+0000000006.jsonl", 0, 6, 8, "7,6,7", "x", 1);
	gate_expect(&w, ST_HELD, "an offset twice", GATE("offsets"));
	gate_show(&w);
	gate_write_raw(&w, "topics/t/partition=0/t+0+0000000008.jsonl", 0, 8, 9, "8-", "x", 1);
	gate_expect(&w, ST_HELD, "cannot be read", GATE("offsets"));
}

/* What a policy left out is not missing; the rest is. */
static void test_offsets_lost(void **state)
{
	AUTO(checkpoint_release) struct checkpoint to = {.sequence = 0};
	AUTO(losses_release) struct losses lost = {.n = 0};

	(void)state;
	GATE_WRITE(&w, NULL, 0, 0, "1", "2");
	checkpoint_copy(&to, &w.h.ingest.head);
	offsets_set(&to.offsets, "t", 0, 10);
	losses_add(&lost, "t", 0, 2, 5, "skip-to", "test");
	losses_add(&lost, "t", 0, 6, 10, "skip-to", "test");
	MUST(ingest_adjust(&w.h.ingest, &to, &lost, "skip", &err));
	GATE_WRITE(&w, NULL, 0, 10, "1");
	gate_expect(&w, ST_HELD, "1 offsets are in no file, the first is t:0:5", GATE("offsets"));
	gate_expect(&w, ST_OK, NULL, GATE("offsets") "gates.g.max.missing=1");
}

/* ---- webhook ---- */

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

/* ---- schema ---- */

#define REC(fields) "{\"type\":\"record\",\"name\":\"R\",\"fields\":[" fields "]}"
#define F_A "{\"name\":\"a\",\"type\":\"int\"}"
#define F_A_LONG "{\"name\":\"a\",\"type\":\"long\"}"
#define F_B ",{\"name\":\"b\",\"type\":\"int\"}"
#define F_B_DEFAULT ",{\"name\":\"b\",\"type\":\"int\",\"default\":0}"

static const struct gate_format v_a = {FORMAT_AVRO, CODEC_NULL, REC(F_A)};
static const struct gate_format v_long = {FORMAT_AVRO, CODEC_NULL, REC(F_A_LONG)};
static const struct gate_format v_b = {FORMAT_AVRO, CODEC_NULL, REC(F_A F_B)};
static const struct gate_format v_b_default = {FORMAT_AVRO, CODEC_NULL, REC(F_A F_B_DEFAULT)};

static int64_t next_offset(void)
{
	return offsets_get(&w.h.ingest.head.offsets, "t", 0);
}

static const char *value_of(const struct gate_format *format)
{
	return strstr(format->schema, "\"b\"") ? "{\"a\":1,\"b\":1}" : "{\"a\":1}";
}

static void test_schema(void **state)
{
	static const struct {
		const struct gate_format *held, *added;
		bool backward, forward;
	} rows[] = {
		{&v_a, &v_a, true, true},     {&v_a, &v_long, true, false},
		{&v_long, &v_a, false, true}, {&v_a, &v_b, false, true},
		{&v_b, &v_a, true, false},    {&v_a, &v_b_default, true, true},
		{&v_long, &v_b, false, true}, {&v_b_default, &v_long, true, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		gate_world_close(&w);
		gate_world_open(&w, 2);
		GATE_WRITE(&w, rows[i].held, 0, 0, value_of(rows[i].held));
		gate_show(&w);
		GATE_WRITE(&w, rows[i].added, 0, next_offset(), value_of(rows[i].added));
		gate_expect(&w, rows[i].backward ? ST_OK : ST_HELD, NULL,
			    GATE("schema") "gates.g.compatibility=backward");
		gate_expect(&w, rows[i].forward ? ST_OK : ST_HELD, NULL,
			    GATE("schema") "gates.g.compatibility=forward");
		gate_expect(&w, rows[i].backward && rows[i].forward ? ST_OK : ST_HELD, NULL,
			    GATE("schema") "gates.g.compatibility=full");
		gate_expect(&w, ST_OK, NULL, GATE("schema") "gates.g.compatibility=none");
	}
}

static void test_schema_of_many(void **state)
{
	(void)state;
	/* the first publish has nothing to be compared with, but its own */
	GATE_WRITE(&w, &v_a, 0, 0, "{\"a\":1}", NULL);
	gate_expect(&w, ST_OK, NULL, GATE("schema") "gates.g.compatibility=full");
	GATE_WRITE(&w, &v_long, 1, 0, "{\"a\":1}");
	gate_expect(&w, ST_OK, NULL, GATE("schema") "gates.g.compatibility=backward");
	gate_expect(&w, ST_HELD, "topic t: sha256:", GATE("schema") "gates.g.compatibility=full");
	gate_show(&w);
	/* what the target holds already is no news, whatever else it holds */
	GATE_WRITE(&w, &v_a, 0, 2, "{\"a\":1}");
	gate_expect(&w, ST_OK, NULL, GATE("schema") "gates.g.compatibility=full");
	/* a new one is compared with all */
	GATE_WRITE(&w, &v_b_default, 0, 3, "{\"a\":1}");
	gate_expect(&w, ST_HELD, "a: long cannot be read as int",
		    GATE("schema") "gates.g.compatibility=backward");
	gate_expect(&w, ST_OK, NULL,
		    GATE("schema") "gates.g.compatibility=backward\n"
				   "gates.g.paths=topics/t/partition=0/");
}

/* ---- configuration ---- */

static void test_bad_configuration(void **state)
{
	static const struct {
		const char *text, *say;
	} rows[] = {
		{"gates=g", "gates.g.type is not set: give one of row_count"},
		{"gates=g\ngates.g.type=magic", "gates.g.type=magic: give one of row_count"},
		{"gates=g,g\ngates.g.type=offsets", "g is named twice"},
		{"gates=a.b\ngates.a.b.type=offsets", "a.b has a dot"},
		{"gates.h.type=offsets", "gates.h.type: gates does not name this gate"},
		{GATE("command"), "gates.g.command is not set"},
		{GATE("offsets") "gates.g.command=true",
		 "gates.g.command: no such property of a gate of type offsets; it takes type, "
		 "timeout.ms, paths, scope, monotone, max.missing"},
		{GATE("offsets") "gates.g.timeout.ms=0", "gates.g.timeout.ms=0"},
		{GATE("offsets") "gates.g.scope=some",
		 "gates.g.scope=some: give one of added, all"},
		{GATE("offsets") "gates.g.monotone=yes", "gates.g.monotone=yes"},
		{GATE("offsets") "gates.g.max.missing=-1", "gates.g.max.missing=-1"},
		{GATE("offsets") "gates.g.paths=other/", "other/ is no path of this connector"},
		{GATE("row_count"), "gates.g.min, .max and .max.change are not set"},
		{GATE("row_count") "gates.g.min=few", "gates.g.min=few: give a number of rows"},
		{GATE("row_count") "gates.g.min=5MiB", "gates.g.min=5MiB: give a number of rows"},
		{GATE("row_count") "gates.g.min=2\ngates.g.max=1",
		 "gates.g.min=2: it is above max"},
		{GATE("row_count") "gates.g.max.change=much",
		 "gates.g.max.change=much: give a share"},
		{GATE("row_count") "gates.g.max.change=1\ngates.g.scope=all",
		 "remove paths and scope"},
		{GATE("webhook"), "gates.g.url is not set: give http://"},
		{GATE("webhook") "gates.g.url=ftp://x/", "gates.g.url=ftp://x/: give http://"},
		{GATE("webhook") "gates.g.url=http://x/\ngates.g.secret=",
		 "gates.g.secret is empty"},
		{GATE("schema") "gates.g.compatibility=most",
		 "give one of backward, forward, full"},
		{GATE("schema") "gates.g.scope=all", "gates.g.scope: no such property of a gate"},
		{GATE("file_size"), "gates.g.min and .max are not set"},
		{GATE("file_size") "gates.g.min=5MB", "gates.g.min=5MB: give bytes"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		gate_expect(&w, ST_USAGE, rows[i].say, rows[i].text);
}

int main(void)
{
#define T(f) GATE_TEST(f, &w)
	const struct CMUnitTest tests[] = {
		T(test_command),
		T(test_command_is_given),
		T(test_stop),
		T(test_several),
		T(test_much_output),
		T(test_row_count),
		T(test_row_count_change),
		T(test_file_size),
		T(test_offsets),
		T(test_offsets_in_folders),
		T(test_offsets_wrong),
		T(test_offsets_lost),
		T(test_webhook),
		T(test_webhook_answers),
		T(test_webhook_out_of_reach),
		T(test_webhook_signature),
		T(test_webhook_stop),
		T(test_schema),
		T(test_schema_of_many),
		T(test_bad_configuration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
