/* An HTTP server of a test's own: one thread, one connection at a time, a
 * handler that says what to answer, byte by byte where it wants. */
#ifndef TIDEMARK_TESTS_HTTP_STUB_H
#define TIDEMARK_TESTS_HTTP_STUB_H

#include "core/base/buf.h"

struct http_stub;

struct http_stub_request {
	const char *method;
	const char *path;
	const char *headers; /* as sent, from the second line on */
	const char *body;
	size_t body_len;
};

/* Appends the whole answer, status line included, to reply; nothing: the
 * connection is closed without one. Runs on the server's thread. */
typedef void (*http_stub_handler)(void *ctx, const struct http_stub_request *request,
				  struct buf *reply);

/* keep: connections stay open after an answer. */
struct http_stub *http_stub_new(http_stub_handler handler, void *ctx, bool keep);
void http_stub_free(struct http_stub *s);
AUTO_DESTRUCTOR(struct http_stub, http_stub_free)
int http_stub_port(const struct http_stub *s);
/* Connections so far. */
unsigned http_stub_connections(const struct http_stub *s);
/* A status line, a length, a body. */
void http_stub_reply(struct buf *reply, int code, const char *body);

#endif
