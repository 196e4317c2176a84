#include "core/net/http_server.h"

#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/library.h"

#define MAX_CONNECTIONS 256
#define MAX_BODY_BYTES ((size_t)64 * 1024 * 1024)
/* Of one connection's head: several paths of 1 KiB, percent-encoded. */
#define CONNECTION_BYTES (64 * 1024)
#define STREAM_BLOCK_BYTES (256 * 1024)

/* clang-format off */
#define MHD_FUNCTIONS(X) \
	X(add_response_header) X(create_response_from_buffer) \
	X(create_response_from_buffer_with_free_callback) X(create_response_from_callback) \
	X(destroy_response) X(get_connection_info) X(lookup_connection_value) X(queue_response) \
	X(start_daemon) X(stop_daemon) X(get_version)
/* clang-format on */

static struct {
#define X(name) __typeof__(&MHD_##name) name;
	MHD_FUNCTIONS(X)
#undef X
} lib;

static void load_mhd(void)
{
	static const char *const names[] = {
#define X(name) "MHD_" #name,
		MHD_FUNCTIONS(X)
#undef X
	};

	library_load(TIDEMARK_MICROHTTPD, names, (void **)&lib, ARRAY_SIZE(names));
}

static void need_mhd(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, load_mhd);
}

const char *http_server_library_version(void)
{
	need_mhd();
	return lib.get_version();
}

struct http_server {
	struct MHD_Daemon *daemon;
	struct http_server_options options;
};

/* What a connection keeps between requests. */
struct connection {
	void *data;
};

struct reply_header {
	char *name;
	char *value;
};

struct http_exchange {
	struct http_server *server;
	struct MHD_Connection *connection;
	char *method;
	char *path;
	struct buf body;
	bool (*take)(void *ctx, const void *data, size_t len);
	void *take_ctx;
	bool took_enough;
	bool refused; /* by the frame; handle() is not called */
	void *data;
	struct reply_header *headers;
	size_t n_headers;
	size_t cap_headers;
	struct MHD_Response *response; /* until it is queued */
	unsigned code;
};

static void exchange_free(struct http_exchange *x)
{
	for (size_t i = 0; i < x->n_headers; i++) {
		free(x->headers[i].name);
		free(x->headers[i].value);
	}
	free(x->headers);
	if (x->response)
		lib.destroy_response(x->response);
	buf_release(&x->body);
	free(x->method);
	free(x->path);
	free(x);
}

/* ---- what was asked ---- */

const char *http_method(const struct http_exchange *x)
{
	return x->method;
}

const char *http_path(const struct http_exchange *x)
{
	return x->path;
}

const char *http_query(const struct http_exchange *x, const char *name)
{
	return lib.lookup_connection_value(x->connection, MHD_GET_ARGUMENT_KIND, name);
}

const char *http_header(const struct http_exchange *x, const char *name)
{
	return lib.lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
}

const struct buf *http_body(const struct http_exchange *x)
{
	return &x->body;
}

void http_body_stream(struct http_exchange *x,
		      bool (*take)(void *ctx, const void *data, size_t len), void *ctx)
{
	x->take = take;
	x->take_ctx = ctx;
}

void http_data_set(struct http_exchange *x, void *data)
{
	x->data = data;
}

void *http_data(const struct http_exchange *x)
{
	return x->data;
}

static struct connection *connection_of(const struct http_exchange *x)
{
	const union MHD_ConnectionInfo *info =
		lib.get_connection_info(x->connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info->socket_context;
}

void http_connection_set(struct http_exchange *x, void *data)
{
	connection_of(x)->data = data;
}

void *http_connection_data(const struct http_exchange *x)
{
	return connection_of(x)->data;
}

/* ---- the answer ---- */

void http_reply_header(struct http_exchange *x, const char *name, const char *value)
{
	GROW(x->headers, x->n_headers, x->cap_headers);
	x->headers[x->n_headers++] =
		(struct reply_header){.name = xstrdup(name), .value = xstrdup(value)};
}

/* libmicrohttpd gives NULL where memory has run out. */
static void reply_with(struct http_exchange *x, unsigned code, const char *content_type,
		       struct MHD_Response *response)
{
	assert(!x->response);
	if (!response)
		abort();
	x->code = code;
	x->response = response;
	if (content_type)
		lib.add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
	for (size_t i = 0; i < x->n_headers; i++)
		lib.add_response_header(response, x->headers[i].name, x->headers[i].value);
}

void http_reply(struct http_exchange *x, unsigned code, const char *content_type, const void *data,
		size_t len)
{
	/* The library copies in this mode, whatever its prototype says. */
	reply_with(x, code, content_type,
		   lib.create_response_from_buffer(len, (void *)data, MHD_RESPMEM_MUST_COPY));
}

void http_reply_buf(struct http_exchange *x, unsigned code, const char *content_type,
		    struct buf *body)
{
	size_t len = body->len;

	reply_with(x, code, content_type,
		   lib.create_response_from_buffer_with_free_callback(len, buf_detach(body), free));
}

struct stream {
	int64_t (*produce)(void *ctx, void *data, size_t len);
	void (*done)(void *ctx);
	void *ctx;
};

static ssize_t stream_read(void *ctx, uint64_t pos, char *data, size_t len)
{
	const struct stream *s = ctx;
	int64_t n = s->produce(s->ctx, data, len);

	(void)pos;
	if (n < 0)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	return n == 0 ? MHD_CONTENT_READER_END_OF_STREAM : (ssize_t)n;
}

static void stream_free(void *ctx)
{
	struct stream *s = ctx;

	if (s->done)
		s->done(s->ctx);
	free(s);
}

void http_reply_stream(struct http_exchange *x, unsigned code, const char *content_type,
		       int64_t size, int64_t (*produce)(void *ctx, void *data, size_t len),
		       void (*done)(void *ctx), void *ctx)
{
	struct stream *s = xmalloc(sizeof(*s));

	*s = (struct stream){.produce = produce, .done = done, .ctx = ctx};
	reply_with(x, code, content_type,
		   lib.create_response_from_callback(size < 0 ? MHD_SIZE_UNKNOWN : (uint64_t)size,
						     STREAM_BLOCK_BYTES, stream_read, s,
						     stream_free));
}

static enum MHD_Result send_reply(struct http_exchange *x)
{
	enum MHD_Result ok;

	if (!x->response)
		http_reply(x, 500, "text/plain", "no answer\n", 10);
	ok = lib.queue_response(x->connection, x->code, x->response);
	lib.destroy_response(x->response);
	x->response = NULL;
	return ok;
}

static enum MHD_Result refuse(struct http_exchange *x, unsigned code, const char *text)
{
	x->refused = true;
	http_reply(x, code, "text/plain", text, strlen(text));
	return send_reply(x);
}

/* ---- a request's life ---- */

/* Before the body: who asks, and is the body too large? */
static enum MHD_Result on_head(struct http_exchange *x)
{
	const struct http_server_options *o = &x->server->options;
	const char *length = http_header(x, MHD_HTTP_HEADER_CONTENT_LENGTH);
	const union MHD_ConnectionInfo *info =
		lib.get_connection_info(x->connection, MHD_CONNECTION_INFO_CONNECTION_FD);

	if (o->admit && !o->admit(o->ctx, info->connect_fd))
		return refuse(x, 403, "not admitted\n");
	if (o->begin)
		o->begin(o->ctx, x);
	if (!x->take && length && strtoull(length, NULL, 10) > o->max_body_bytes)
		return refuse(x, 413, "the body is too large\n");
	return MHD_YES;
}

static enum MHD_Result on_body(struct http_exchange *x, const char *data, size_t len)
{
	if (x->take) {
		if (!x->took_enough)
			x->took_enough = !x->take(x->take_ctx, data, len);
		return MHD_YES;
	}
	/* A chunked body tells its length to nobody: cut the connection. */
	if (len > x->server->options.max_body_bytes - x->body.len)
		return MHD_NO;
	buf_add(&x->body, data, len);
	return MHD_YES;
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *upload_data,
				  size_t *upload_data_size, void **exchange)
{
	struct http_server *server = ctx;
	struct http_exchange *x = *exchange;

	(void)version;
	if (!x) {
		x = xcalloc(1, sizeof(*x));
		x->server = server;
		x->connection = connection;
		x->method = xstrdup(method);
		x->path = xstrdup(url);
		*exchange = x;
		return on_head(x);
	}
	if (*upload_data_size) {
		size_t len = *upload_data_size;

		*upload_data_size = 0;
		return x->refused ? MHD_YES : on_body(x, upload_data, len);
	}
	if (x->refused)
		return MHD_YES;
	server->options.handle(server->options.ctx, x);
	return send_reply(x);
}

static void on_completed(void *ctx, struct MHD_Connection *connection, void **exchange,
			 enum MHD_RequestTerminationCode why)
{
	const struct http_server *server = ctx;
	struct http_exchange *x = *exchange;

	(void)connection, (void)why;
	if (!x)
		return;
	if (server->options.end)
		server->options.end(server->options.ctx, x);
	exchange_free(x);
	*exchange = NULL;
}

static void on_connection(void *ctx, struct MHD_Connection *connection, void **socket_context,
			  enum MHD_ConnectionNotificationCode what)
{
	const struct http_server *server = ctx;
	struct connection *c = *socket_context;

	(void)connection;
	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		*socket_context = xcalloc(1, sizeof(*c));
		return;
	}
	if (!c)
		return;
	if (c->data && server->options.closed)
		server->options.closed(server->options.ctx, c->data);
	free(c);
	*socket_context = NULL;
}

/* The library's messages are for its developers; what matters becomes an
 * answer. */
static void on_log(void *ctx, const char *format, va_list args) PRINTF_LIKE(2, 0);
static void on_log(void *ctx, const char *format, va_list args)
{
	(void)ctx, (void)format, (void)args;
}

enum status http_server_start(const struct http_server_options *options, struct http_server **out,
			      struct err *err)
{
	struct http_server *server = xcalloc(1, sizeof(*server));
	unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD |
			 MHD_USE_POLL | MHD_USE_ITC | MHD_USE_ERROR_LOG;

	server->options = *options;
	if (!server->options.max_connections)
		server->options.max_connections = MAX_CONNECTIONS;
	if (!server->options.max_body_bytes)
		server->options.max_body_bytes = MAX_BODY_BYTES;
	need_mhd();
	errno = 0;
	server->daemon = lib.start_daemon(
		flags, 0, NULL, NULL, on_request, server, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
		MHD_OPTION_LISTEN_SOCKET, options->listen_fd, MHD_OPTION_CONNECTION_LIMIT,
		server->options.max_connections, MHD_OPTION_CONNECTION_TIMEOUT,
		server->options.idle_timeout_s, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)CONNECTION_BYTES, MHD_OPTION_NOTIFY_COMPLETED, on_completed, server,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_END);
	if (!server->daemon) {
		free(server);
		return err_errno(err, errno ? errno : EINVAL, "cannot start the HTTP server");
	}
	*out = server;
	return ST_OK;
}

void http_server_stop(struct http_server *server)
{
	if (!server)
		return;
	lib.stop_daemon(server->daemon);
	free(server);
}
