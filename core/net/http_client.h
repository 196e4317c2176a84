/* An HTTP/1.1 client (libcurl): one request, one answer, both in memory or
 * streamed by a callback. A client keeps its connections and belongs to one
 * thread at a time. No redirects, no cookies, no proxies. Credentials appear
 * in no error text. */
#ifndef TIDEMARK_NET_HTTP_CLIENT_H
#define TIDEMARK_NET_HTTP_CLIENT_H

#include <stdatomic.h>

#include "core/base/buf.h"
#include "core/base/err.h"

struct http_client;

struct http_client_options {
	const char *unix_socket; /* NULL: TCP */
	const char *user; /* basic authentication; NULL: none */
	const char *password;
	int64_t connect_timeout_ms; /* 0: 10,000 */
	int64_t timeout_ms; /* a whole request; 0: 30,000; -1: none */
	size_t max_body_bytes; /* of an answer in memory; 0: 64 MiB */
	const atomic_bool *stop; /* where it becomes true, requests end; NULL: never */
};

struct http_request {
	const char *method;
	const char *url;
	const char *const *headers; /* "Name: value", NULL-terminated; or NULL */
	const void *body; /* borrowed for the call */
	size_t body_len;
	/* Streams: where set, in place of body / of the answer's buffer. read
	 * returns bytes filled, 0 at the end, -1 to abort. write gets each piece
	 * of a 2xx answer and returns false to abort. */
	int64_t (*read)(void *ctx, void *data, size_t len);
	bool (*write)(void *ctx, const void *data, size_t len);
	void *stream_ctx;
};

struct http_answer {
	long code;
	struct buf body;
};

#define HTTP_ANSWER_INIT                                                                           \
	{                                                                                          \
		.body = BUF_INIT                                                                   \
	}

/* Copies the options but stop, which is borrowed. */
struct http_client *http_client_new(const struct http_client_options *options);
void http_client_free(struct http_client *client);
AUTO_DESTRUCTOR(struct http_client, http_client_free)

/* Any HTTP answer is ST_OK; answer->code says which. ST_UNREACHABLE where no
 * answer came: refused, timed out, cut off (err says which, and whether the
 * request may have reached the server: then ST_UNKNOWN in place of it where
 * the method is not GET or HEAD). ST_USAGE: no such URL. ST_INTERRUPTED: stop;
 * the request may have reached the server. */
MUST_CHECK enum status http_request(struct http_client *client, const struct http_request *request,
				    struct http_answer *answer, struct err *err);
void http_answer_release(struct http_answer *answer);
/* Appends s with every byte but A-Za-z0-9-._~ percent-encoded. */
void http_add_escaped(struct buf *out, const char *s);

#endif
