/* The HTTP client on libcurl's easy interface. One handle a client, reset for
 * each request, so that its connections stay.
 *
 * curl sends a request again by itself where a kept connection dies before the
 * first byte of the answer. For a request that changes something that would
 * hide an unknown outcome, so the second sending is stopped (before_send) and
 * told to the caller. */
#include "core/net/http_client.h"

#include <stdatomic.h>
#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct http_client {
	CURL *curl;
	char *unix_socket;
	char *user;
	char *password;
	long connect_timeout_ms;
	long timeout_ms; /* 0: none */
	size_t max_body_bytes;
	const atomic_bool *stop;
};

/* What the callbacks of one request know. */
struct exchange {
	CURL *curl;
	const struct http_request *request;
	struct buf body;
	size_t max_body_bytes;
	bool repeatable;
	bool stopped_by_caller;
	bool too_large;
	unsigned sendings;
};

static void curl_init_once(void)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		abort();
}

static void slist_freep(struct curl_slist **list)
{
	curl_slist_free_all(*list);
}

static void exchange_release(struct exchange *x)
{
	buf_release(&x->body);
}

struct http_client *http_client_new(const struct http_client_options *options)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct http_client *c = xcalloc(1, sizeof(*c));
	int64_t timeout = options->timeout_ms ? options->timeout_ms : 30000;

	pthread_once(&once, curl_init_once);
	c->curl = curl_easy_init();
	if (!c->curl)
		abort();
	c->stop = options->stop;
	c->unix_socket = options->unix_socket ? xstrdup(options->unix_socket) : NULL;
	c->user = options->user ? xstrdup(options->user) : NULL;
	c->password = options->password ? xstrdup(options->password) : NULL;
	c->connect_timeout_ms =
		options->connect_timeout_ms ? (long)options->connect_timeout_ms : 10000;
	c->timeout_ms = timeout < 0 ? 0 : (long)timeout;
	c->max_body_bytes =
		options->max_body_bytes ? options->max_body_bytes : (size_t)64 * 1024 * 1024;
	return c;
}

void http_client_free(struct http_client *c)
{
	if (!c)
		return;
	curl_easy_cleanup(c->curl);
	free(c->unix_socket);
	free(c->user);
	if (c->password)
		explicit_bzero(c->password, strlen(c->password));
	free(c->password);
	free(c);
}

void http_answer_release(struct http_answer *answer)
{
	buf_release(&answer->body);
	answer->code = 0;
}

void http_add_escaped(struct buf *out, const char *s)
{
	static const char hex[] = "0123456789ABCDEF";

	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
		    strchr("-._~", c)) {
			buf_addc(out, (char)c);
		} else {
			buf_addc(out, '%');
			buf_addc(out, hex[c >> 4]);
			buf_addc(out, hex[c & 15]);
		}
	}
}

/* ---- callbacks ---- */

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
	struct exchange *x = ctx;
	long code = 0;

	n *= size;
	if (x->request->write) {
		curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &code);
		if (code >= 200 && code < 300) {
			if (x->request->write(x->request->stream_ctx, data, n))
				return n;
			x->stopped_by_caller = true;
			return 0;
		}
	}
	if (n > x->max_body_bytes - x->body.len) {
		x->too_large = true;
		return 0;
	}
	buf_add(&x->body, data, n);
	return n;
}

static size_t on_read(char *data, size_t size, size_t n, void *ctx)
{
	struct exchange *x = ctx;
	int64_t got = x->request->read(x->request->stream_ctx, data, size * n);

	if (got < 0) {
		x->stopped_by_caller = true;
		return CURL_READFUNC_ABORT;
	}
	return (size_t)got;
}

static int before_send(void *ctx, char *remote_ip, char *local_ip, int remote_port, int local_port)
{
	struct exchange *x = ctx;

	(void)remote_ip, (void)local_ip, (void)remote_port, (void)local_port;
	x->sendings++;
	return x->sendings > 1 && !x->repeatable ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

/* Called about once a second, too, where nothing comes. */
static int on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	const atomic_bool *stop = ctx;

	(void)a, (void)b, (void)c, (void)d;
	return *stop;
}

/* ---- a request ---- */

/* The URL as errors may show it: neither user info nor query. */
static bool url_public(const char *url, struct buf *out)
{
	CURLU *u = curl_url();
	char *scheme = NULL, *host = NULL, *port = NULL, *path = NULL;
	bool ok = u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
		  curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
		  curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
		  curl_url_get(u, CURLUPART_PATH, &path, 0) == CURLUE_OK &&
		  (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);

	if (ok) {
		curl_url_get(u, CURLUPART_PORT, &port, 0);
		buf_addf(out, "%s://%s%s%s%s", scheme, host, port ? ":" : "", port ? port : "",
			 path);
	}
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	curl_free(path);
	curl_url_cleanup(u);
	return ok;
}

#define EXPECT_BYTES ((size_t)1 << 20)

static struct curl_slist *headers_of(const struct http_request *request)
{
	struct curl_slist *list = NULL;
	bool typed = false;

	/* Expect costs a round trip. A large body is worth it: a server that refuses it
	 * by its length closes the connection, and its answer may be lost. curl's own
	 * Content-Type would be wrong. */
	if (request->body_len < EXPECT_BYTES)
		list = curl_slist_append(list, "Expect:");

	for (const char *const *h = request->headers; h && *h; h++) {
		typed = typed || strncasecmp(*h, "Content-Type:", 13) == 0;
		list = curl_slist_append(list, *h);
	}
	if (!typed)
		list = curl_slist_append(list, "Content-Type:");
	return list;
}

static void set_method(CURL *curl, const struct http_request *request, struct exchange *x)
{
	bool plain = strcmp(request->method, "POST") != 0 && strcmp(request->method, "PUT") != 0 &&
		     strcmp(request->method, "PATCH") != 0;

	if (strcmp(request->method, "HEAD") == 0) {
		curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
	} else if (request->read) {
		curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
		curl_easy_setopt(curl, CURLOPT_READDATA, x);
		curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
	} else if (plain && !request->body_len) {
		curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
		curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
	} else {
		curl_easy_setopt(curl, CURLOPT_POST, 1L);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body_len ? request->body : "");
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
		curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
	}
}

static void set_options(struct http_client *c, const struct http_request *request,
			struct exchange *x, struct curl_slist *headers, char *detail)
{
	CURL *curl = c->curl;

	curl_easy_reset(curl);
	curl_easy_setopt(curl, CURLOPT_URL, request->url);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 1L);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(curl, CURLOPT_TCP_NODELAY, 1L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, c->connect_timeout_ms);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, c->timeout_ms);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, x);
	curl_easy_setopt(curl, CURLOPT_PREREQFUNCTION, before_send);
	curl_easy_setopt(curl, CURLOPT_PREREQDATA, x);
	if (c->stop) {
		curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
		curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
		curl_easy_setopt(curl, CURLOPT_XFERINFODATA, (void *)(uintptr_t)c->stop);
	}
	if (c->unix_socket)
		curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, c->unix_socket);
	if (c->user) {
		curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		curl_easy_setopt(curl, CURLOPT_USERNAME, c->user);
		curl_easy_setopt(curl, CURLOPT_PASSWORD, c->password ? c->password : "");
	}
	set_method(curl, request, x);
}

static enum status fail(const struct http_client *c, const struct exchange *x, CURLcode rc,
			const char *where, const char *detail, struct err *err)
{
	const char *method = x->request->method;
	enum status lost = x->repeatable ? ST_UNREACHABLE : ST_UNKNOWN;
	const char *sent = "; the request may have been carried out";

	if (rc == CURLE_URL_MALFORMAT || rc == CURLE_UNSUPPORTED_PROTOCOL)
		return err_set(err, ST_USAGE, "'%s' is no URL for HTTP", where);
	if (rc == CURLE_ABORTED_BY_CALLBACK && c->stop && *c->stop)
		return err_set(err, ST_INTERRUPTED, "%s %s: stopped", method, where);
	if (x->too_large)
		return err_set(err, x->repeatable ? ST_FAILED : ST_UNKNOWN,
			       "%s %s: the answer is over %zu bytes", method, where,
			       c->max_body_bytes);
	/* A body that ends in the middle is no request, so nothing happened. */
	if (x->stopped_by_caller)
		return err_set(err,
			       rc == CURLE_ABORTED_BY_CALLBACK || x->repeatable ? ST_FAILED
										: ST_UNKNOWN,
			       "%s %s: stopped by the caller", method, where);
	if (!x->sendings)
		return err_set(err, ST_UNREACHABLE, "%s %s: %s", method, where, detail);
	if (rc == CURLE_ABORTED_BY_CALLBACK)
		detail = "the connection was closed before an answer came";
	return err_set(err, lost, "%s %s: %s%s", method, where, detail, x->repeatable ? "" : sent);
}

enum status http_request(struct http_client *c, const struct http_request *request,
			 struct http_answer *answer, struct err *err)
{
	AUTO(buf_release) struct buf where = BUF_INIT;
	AUTO(slist_freep) struct curl_slist *headers = NULL;
	AUTO(exchange_release)
	struct exchange x = {.curl = c->curl,
			     .request = request,
			     .body = BUF_INIT,
			     .max_body_bytes = c->max_body_bytes,
			     .repeatable = strcmp(request->method, "GET") == 0 ||
					   strcmp(request->method, "HEAD") == 0};
	char detail[CURL_ERROR_SIZE] = "";
	CURLcode rc;

	if (!url_public(request->url, &where))
		return err_set(err, ST_USAGE,
			       "no URL that HTTP can use (http://HOST[:PORT]/PATH or https)");
	headers = headers_of(request);
	set_options(c, request, &x, headers, detail);
	rc = curl_easy_perform(c->curl);
	if (rc != CURLE_OK) {
		if (!detail[0])
			strncpy(detail, curl_easy_strerror(rc), sizeof(detail) - 1);
		return fail(c, &x, rc, where.data, detail, err);
	}
	curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &answer->code);
	buf_release(&answer->body);
	answer->body = x.body;
	x.body = (struct buf)BUF_INIT;
	return ST_OK;
}
