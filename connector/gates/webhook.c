/* The gate that asks a server: POST with the body of lakeFS's pre-merge event,
 * so that a receiver made for that takes this too. */
#include <inttypes.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "connector/gates/gate_run.h"
#include "core/net/http_client.h"

#define SIGNATURE "X-Tidemark-Signature"
#define ANSWER_MAX_BYTES ((size_t)1 << 20)
#define ANSWER_SHOWN_BYTES 300
/* Pauses between tries. */
#define FIRST_PAUSE_MS 100
#define LAST_PAUSE_MS 5000

static char *event_body(const struct gate_run *run, const struct lake_commit *commit)
{
	const struct gate_subject *s = run->subject;
	json_t *metadata = json_object();
	char time[TIME_TEXT_BYTES], merged[LAKE_ID_HEX_BYTES], head[LAKE_ID_HEX_BYTES], *text;
	json_t *event;

	for (size_t i = 0; i < commit->meta.n; i++)
		json_object_set_new(metadata, commit->meta.items[i].key,
				    json_string(commit->meta.items[i].value));
	time_format(s->clock->wall_ms(s->clock), time);
	lake_id_hex(&s->merged, merged);
	lake_id_hex(&s->target_head, head);
	event = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:o}", "event_id",
			  merged, "event_type", "pre-merge", "event_time", time, "action_name",
			  s->connector, "hook_id", run->gate->name, "repository_id",
			  lake_url(s->lake), "branch_id", s->target, "source_ref", merged,
			  "commit_id", merged, "target_head", head, "commit_message",
			  commit->message, "committer", commit->committer, "commit_metadata",
			  metadata);
	text = json_dumps(event, JSON_COMPACT);
	json_decref(event);
	return text;
}

/* "X-Tidemark-Signature: sha256=<hex>" */
static void sign(const char *secret, const char *body, struct buf *out)
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	if (!HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)body,
		  strlen(body), mac, &n))
		abort();
	buf_adds(out, SIGNATURE ": sha256=");
	buf_add_hex(out, mac, n);
}

/* The answer's first line, for people. */
static void first_line(const struct buf *answer, struct buf *out)
{
	const char *text = buf_str(answer);
	size_t n;

	text += strspn(text, " \t\r\n");
	n = strcspn(text, "\r\n");
	if (n)
		buf_adds(out, ": ");
	buf_add(out, text, n < ANSWER_SHOWN_BYTES ? n : ANSWER_SHOWN_BYTES);
}

/* One try. ST_UNREACHABLE: try again. */
static enum status ask(struct gate_run *run, const char *body, const char *const *headers,
		       int64_t left_ms, struct err *err)
{
	AUTO(http_client_freep)
	struct http_client *client = http_client_new(&(struct http_client_options){
		.timeout_ms = left_ms,
		.connect_timeout_ms = left_ms < 10000 ? left_ms : 10000,
		.max_body_bytes = ANSWER_MAX_BYTES,
		.stop = run->subject->stop,
	});
	AUTO(http_answer_release) struct http_answer answer = HTTP_ANSWER_INIT;
	AUTO(buf_release) struct buf line = BUF_INIT;
	const struct http_request request = {
		.method = "POST",
		.url = run->gate->url,
		.headers = headers,
		.body = body,
		.body_len = strlen(body),
	};
	enum status st = http_request(client, &request, &answer, err);
	long code = answer.code;

	/* it asks: to ask again changes nothing */
	if (st != ST_OK)
		return st == ST_USAGE ? st : ST_UNREACHABLE;
	first_line(&answer.body, &line);
	buf_addf(&run->output, "%ld%s\n", code, buf_str(&line));
	if (code >= 200 && code < 300)
		return ST_OK;
	if (code >= 500 || code == 408 || code == 429)
		return err_set(err, ST_UNREACHABLE, "it answered %ld%s", code, buf_str(&line));
	if (code >= 400)
		return err_set(err, ST_HELD, "it answered %ld%s", code, buf_str(&line));
	return err_set(err, ST_FAILED, "it answered %ld; give the URL that it leads to", code);
}

/* false: no time is left, or the process stops. */
static bool pause_before(const struct gate_run *run, int64_t pause_ms)
{
	struct clock *clock = run->subject->clock;

	while (pause_ms > 0 && gate_time(run, NULL) == ST_OK) {
		int64_t part = pause_ms < 50 ? pause_ms : 50;

		clock->sleep_ms(clock, part);
		pause_ms -= part;
	}
	return gate_time(run, NULL) == ST_OK;
}

static enum status ask_until(struct gate_run *run, const char *body, const char *const *headers,
			     struct err *err)
{
	struct clock *clock = run->subject->clock;
	int64_t pause_ms = FIRST_PAUSE_MS;

	for (unsigned tries = 1;; tries++) {
		int64_t left_ms = (run->end_us - clock->mono_us(clock)) / 1000;
		enum status st = ask(run, body, headers, left_ms > 1 ? left_ms : 1, err);

		if (st != ST_UNREACHABLE)
			return st;
		if (!pause_before(run, pause_ms)) {
			st = gate_time(run, NULL);
			if (st == ST_INTERRUPTED)
				return err_set(err, st, "stopped");
			return err_wrap(err, ST_UNREACHABLE,
					"no verdict within %" PRId64 " ms (%u tries)",
					run->gate->timeout_ms, tries);
		}
		pause_ms = 2 * pause_ms < LAST_PAUSE_MS ? 2 * pause_ms : LAST_PAUSE_MS;
	}
}

enum status gate_run_webhook(struct gate_run *run, struct err *err)
{
	AUTO(lake_commit_release) struct lake_commit commit = {.n_parents = 0};
	AUTO(buf_release) struct buf signature = BUF_INIT;
	AUTO(freep) char *body = NULL;
	const char *headers[3] = {"Content-Type: application/json"};
	enum status st = lake_commit_read(run->subject->lake, &run->subject->merged, &commit, err);

	if (st != ST_OK)
		return st;
	body = event_body(run, &commit);
	if (run->gate->secret) {
		sign(run->gate->secret, body, &signature);
		headers[1] = buf_str(&signature);
	}
	return ask_until(run, body, headers, err);
}
