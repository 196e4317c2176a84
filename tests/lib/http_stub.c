#include "tests/lib/http_stub.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

struct http_stub {
	int fd;
	int port;
	bool keep;
	int current; /* atomic: the connection that is being served, or -1 */
	bool stop; /* atomic */
	unsigned connections; /* atomic */
	http_stub_handler handler;
	void *ctx;
	pthread_t thread;
};

void http_stub_reply(struct buf *reply, int code, const char *body)
{
	buf_addf(reply, "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n\r\n%s", code, strlen(body), body);
}

static bool receive(int fd, struct buf *in)
{
	char part[4096];
	ssize_t n = recv(fd, part, sizeof(part), 0);

	if (n <= 0)
		return false;
	buf_add(in, part, (size_t)n);
	return true;
}

static size_t body_length(const char *headers)
{
	const char *at = strcasestr(headers, "Content-Length:");

	return at ? strtoul(at + 15, NULL, 10) : 0;
}

/* Serves one request; false: the connection ends. */
static bool serve(struct http_stub *s, int fd, struct buf *in)
{
	AUTO(buf_release) struct buf reply = BUF_INIT;
	AUTO(freep) char *head = NULL;
	char *end, *line_end, method[16], path[2048];
	struct http_stub_request request;
	size_t head_len, body_len;

	while (!(end = in->data ? strstr(in->data, "\r\n\r\n") : NULL))
		if (!receive(fd, in))
			return false;
	head_len = (size_t)(end - in->data) + 4;
	head = xstrndup(in->data, head_len);
	body_len = body_length(head);
	while (strcasestr(head, "chunked")
		       ? !memmem(in->data + head_len, in->len - head_len, "0\r\n\r\n", 5)
		       : in->len < head_len + body_len)
		if (!receive(fd, in))
			return false;
	if (sscanf(head, "%15s %2047s", method, path) != 2)
		return false;
	line_end = strstr(head, "\r\n") + 2;
	request = (struct http_stub_request){method, path, line_end, in->data + head_len,
					     in->len - head_len};
	s->handler(s->ctx, &request, &reply);
	buf_clear(in);
	if (reply.len && send(fd, reply.data, reply.len, MSG_NOSIGNAL) < 0)
		return false;
	return reply.len && s->keep;
}

static void *run(void *arg)
{
	struct http_stub *s = arg;

	while (!__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE)) {
		AUTO(buf_release) struct buf in = BUF_INIT;
		int fd = accept(s->fd, NULL, NULL);

		if (fd < 0)
			continue;
		__atomic_add_fetch(&s->connections, 1, __ATOMIC_RELAXED);
		__atomic_store_n(&s->current, fd, __ATOMIC_RELEASE);
		while (!__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE) && serve(s, fd, &in))
			;
		__atomic_store_n(&s->current, -1, __ATOMIC_RELEASE);
		close(fd);
	}
	return NULL;
}

struct http_stub *http_stub_new(http_stub_handler handler, void *ctx, bool keep)
{
	struct http_stub *s = xcalloc(1, sizeof(*s));
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);

	s->handler = handler;
	s->ctx = ctx;
	s->keep = keep;
	s->current = -1;
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&at, len) || listen(s->fd, 64) ||
	    getsockname(s->fd, (struct sockaddr *)&at, &len) ||
	    pthread_create(&s->thread, NULL, run, s))
		abort();
	s->port = ntohs(at.sin_port);
	return s;
}

void http_stub_free(struct http_stub *s)
{
	int fd;

	if (!s)
		return;
	__atomic_store_n(&s->stop, true, __ATOMIC_RELEASE);
	fd = __atomic_load_n(&s->current, __ATOMIC_ACQUIRE);
	if (fd >= 0)
		shutdown(fd, SHUT_RDWR);
	shutdown(s->fd, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->fd);
	free(s);
}

int http_stub_port(const struct http_stub *s)
{
	return s->port;
}

unsigned http_stub_connections(const struct http_stub *s)
{
	return __atomic_load_n(&s->connections, __ATOMIC_RELAXED);
}
