/* The HTTP server's frame (libmicrohttpd): takes requests from a listening
 * socket, a thread for each connection, and hands them out whole or by pieces.
 *
 * Threads: handle() and the other callbacks run on the connections' threads,
 * so several at once, for one connection one after the other. An exchange
 * belongs to the callback that it was given to.
 *
 * Each request: begin() when its head is there, then, where the body is wanted
 * by pieces, the pieces, then handle(), which answers, then end(). A request
 * that is refused by the frame (a body over the limit: 413; not admitted: 403)
 * or whose connection breaks reaches end() without handle(). */
#ifndef TIDEMARK_NET_HTTP_SERVER_H
#define TIDEMARK_NET_HTTP_SERVER_H

#include "core/base/buf.h"
#include "core/base/err.h"

const char *http_server_library_version(void); /* libmicrohttpd's */

struct http_server;
struct http_exchange;

struct http_server_options {
	int listen_fd; /* listening; the server's from a successful start on */
	unsigned max_connections; /* 0: 256; one more is closed at once */
	size_t max_body_bytes; /* of a body that is gathered; 0: 64 MiB */
	unsigned idle_timeout_s; /* 0: a silent connection stays open */
	/* May the peer of this socket make requests? NULL: any. */
	bool (*admit)(void *ctx, int fd);
	void (*begin)(void *ctx, struct http_exchange *x); /* NULL: nothing to do */
	void (*handle)(void *ctx, struct http_exchange *x);
	void (*end)(void *ctx, struct http_exchange *x); /* NULL: nothing to do */
	/* A connection is gone that http_connection_set() left something with. */
	void (*closed)(void *ctx, void *connection_data);
	void *ctx;
};

MUST_CHECK enum status http_server_start(const struct http_server_options *options,
					 struct http_server **out, struct err *err);
/* Closes the socket and all connections; when it returns no callback runs. */
void http_server_stop(struct http_server *server);
AUTO_DESTRUCTOR(struct http_server, http_server_stop)

/* ---- what was asked; borrowed until the exchange ends ---- */

const char *http_method(const struct http_exchange *x);
const char *http_path(const struct http_exchange *x); /* percent-decoded, no query */
/* A parameter of the query, decoded; NULL where absent. */
const char *http_query(const struct http_exchange *x, const char *name);
const char *http_header(const struct http_exchange *x, const char *name);
/* The gathered body: in handle() only. */
const struct buf *http_body(const struct http_exchange *x);
/* The body will come by pieces, in begin(): take returns false to have no more;
 * handle() is called then too. Such a body has no limit. */
void http_body_stream(struct http_exchange *x,
		      bool (*take)(void *ctx, const void *data, size_t len), void *ctx);

/* Anything of the caller's, kept with the exchange, or with its connection. */
void http_data_set(struct http_exchange *x, void *data);
void *http_data(const struct http_exchange *x);
void http_connection_set(struct http_exchange *x, void *data);
void *http_connection_data(const struct http_exchange *x);

/* ---- the answer: once, in handle() ---- */

/* A header of the answer; before the answer itself. */
void http_reply_header(struct http_exchange *x, const char *name, const char *value);
/* Copies data. content_type may be NULL. */
void http_reply(struct http_exchange *x, unsigned code, const char *content_type, const void *data,
		size_t len);
/* Takes body's memory and empties it. */
void http_reply_buf(struct http_exchange *x, unsigned code, const char *content_type,
		    struct buf *body);
/* produce fills up to len bytes and returns how many, 0 at the end, -1 to
 * break the connection off; it may block. size -1: not known. done, which may
 * be NULL, is called once, also where nothing was produced. */
void http_reply_stream(struct http_exchange *x, unsigned code, const char *content_type,
		       int64_t size, int64_t (*produce)(void *ctx, void *data, size_t len),
		       void (*done)(void *ctx), void *ctx);

#endif
