#include "connector/gates/post.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "core/net/http_client.h"

#define SIGNATURE "X-Tidemark-Signature"
#define ANSWER_MAX_BYTES ((size_t)1 << 20)
#define ANSWER_SHOWN_BYTES 300

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

enum status post_event(const struct post *post, struct buf *output, struct err *err)
{
	int64_t ms = post->timeout_ms;
	AUTO(http_client_freep)
	struct http_client *client = http_client_new(&(struct http_client_options){
		.timeout_ms = ms,
		.connect_timeout_ms = ms < 10000 ? ms : 10000,
		.max_body_bytes = ANSWER_MAX_BYTES,
		.stop = post->stop,
	});
	AUTO(http_answer_release) struct http_answer answer = HTTP_ANSWER_INIT;
	AUTO(buf_release) struct buf signature = BUF_INIT;
	AUTO(buf_release) struct buf line = BUF_INIT;
	const char *headers[3] = {"Content-Type: application/json"};
	const struct http_request request = {
		.method = "POST",
		.url = post->url,
		.headers = headers,
		.body = post->body,
		.body_len = strlen(post->body),
	};
	enum status st;
	long code;

	if (post->secret) {
		sign(post->secret, post->body, &signature);
		headers[1] = buf_str(&signature);
	}
	st = http_request(client, &request, &answer, err);
	if (st != ST_OK)
		return st == ST_USAGE || st == ST_INTERRUPTED ? st : ST_UNREACHABLE;
	code = answer.code;
	first_line(&answer.body, &line);
	buf_addf(output, "%ld%s\n", code, buf_str(&line));
	if (code >= 200 && code < 300)
		return ST_OK;
	if (code >= 500 || code == 408 || code == 429)
		return err_set(err, ST_UNREACHABLE, "it answered %ld%s", code, buf_str(&line));
	if (code >= 400)
		return err_set(err, ST_HELD, "it answered %ld%s", code, buf_str(&line));
	return err_set(err, ST_FAILED, "it answered %ld; give the URL that it leads to", code);
}
