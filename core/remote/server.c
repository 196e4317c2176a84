#include "core/remote/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/killpoint.h"
#include "core/remote/serve.h"

/* A handler and the calls that run in it. */
struct slot {
	lake_call_handler handler;
	void *ctx;
	size_t running;
};

struct remote_server {
	struct lake *lake;
	char *folder;
	struct http_server *http;
	struct sessions *sessions;
	pthread_mutex_t mutex;
	pthread_cond_t call_over;
	struct slot *slot; /* guarded by mutex, with what it holds */
};

/* ---- calls ---- */

static struct slot *slot_new(lake_call_handler handler, void *ctx)
{
	struct slot *s = xcalloc(1, sizeof(*s));

	s->handler = handler;
	s->ctx = ctx;
	return s;
}

void remote_server_set_handler(struct remote_server *server, lake_call_handler handler, void *ctx)
{
	struct slot *fresh = slot_new(handler, ctx);
	struct slot *old;

	pthread_mutex_lock(&server->mutex);
	old = server->slot;
	server->slot = fresh;
	while (old->running)
		pthread_cond_wait(&server->call_over, &server->mutex);
	pthread_mutex_unlock(&server->mutex);
	free(old);
}

static enum status run_call(struct request *r, struct err *err)
{
	struct remote_server *server = r->server;
	const char *method = NULL;
	struct slot *slot;
	enum status st = query_text(r, "method", &method, err);

	if (st != ST_OK)
		return st;
	pthread_mutex_lock(&server->mutex);
	slot = server->slot;
	slot->running++;
	pthread_mutex_unlock(&server->mutex);
	st = slot->handler
		     ? slot->handler(slot->ctx, method, buf_str(http_body(r->x)), &r->raw, err)
		     : err_set(err, ST_NOT_FOUND, "the process that owns the lake is no worker");
	pthread_mutex_lock(&server->mutex);
	if (--slot->running == 0)
		pthread_cond_broadcast(&server->call_over);
	pthread_mutex_unlock(&server->mutex);
	return st;
}

/* ---- sessions ---- */

static enum status run_hello(struct request *r, struct err *err)
{
	(void)err;
	r->out = json_pack("{s:i,s:i}", "protocol", WIRE_PROTOCOL, "pid", (int)getpid());
	return ST_OK;
}

/* The session lives as long as this connection. */
static enum status run_session(struct request *r, struct err *err)
{
	struct session *s;

	if (http_connection_data(r->x))
		return err_set(err, ST_USAGE, "this connection has a session already");
	s = session_begin(r->sessions);
	http_connection_set(r->x, s);
	r->out = json_pack("{s:I}", "session", (json_int_t)session_id(s));
	return ST_OK;
}

static void on_closed(void *ctx, void *connection_data)
{
	struct remote_server *server = ctx;

	session_end(server->sessions, connection_data);
}

static const struct operation own_operations[] = {
	{"GET", "hello", false, run_hello},
	{"POST", "session", false, run_session},
	{"POST", "call", true, run_call},
	{NULL, NULL, false, NULL},
};

/* ---- arguments ---- */

enum status bad_request(struct err *err)
{
	return err_set(err, ST_USAGE,
		       "the lake's owner did not understand the request; is it of "
		       "another version?");
}

enum status query_text(struct request *r, const char *name, const char **out, struct err *err)
{
	const char *text = http_query(r->x, name);

	if (!text)
		return bad_request(err);
	*out = text;
	return ST_OK;
}

enum status query_id(struct request *r, const char *name, struct lake_id *out, struct err *err)
{
	const char *text = http_query(r->x, name);

	return text && lake_id_parse(text, out) ? ST_OK : bad_request(err);
}

enum status query_u64(struct request *r, const char *name, uint64_t *out, struct err *err)
{
	const char *text = http_query(r->x, name);
	char *end;

	if (!text || *text < '0' || *text > '9')
		return bad_request(err);
	*out = strtoull(text, &end, 10);
	return *end ? bad_request(err) : ST_OK;
}

enum status query_handle(struct request *r, enum handle_kind kind, struct handle **out,
			 struct err *err)
{
	uint64_t session = 0, id = 0;
	enum status st = query_u64(r, "session", &session, err);

	if (st == ST_OK)
		st = query_u64(r, "handle", &id, err);
	return st == ST_OK ? handle_take(r->sessions, session, id, kind, out, err) : st;
}

/* ---- requests ---- */

static const struct operation *find_in(const struct operation *list, const char *method,
				       const char *name)
{
	for (; list->name; list++)
		if (strcmp(list->name, name) == 0 && strcmp(list->method, method) == 0)
			return list;
	return NULL;
}

static const struct operation *find_operation(const struct http_exchange *x)
{
	const struct operation *const tables[] = {own_operations,         serve_read_operations,
						  serve_write_operations, serve_upload_operations,
						  serve_check_operations, serve_gc_operations};
	const char *path = http_path(x);

	if (strncmp(path, "/v1/", 4) != 0)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		const struct operation *op = find_in(tables[i], http_method(x), path + 4);

		if (op)
			return op;
	}
	return NULL;
}

static enum status run(struct request *r, struct err *err)
{
	const struct operation *op = find_operation(r->x);
	const struct buf *body = http_body(r->x);
	enum status st;

	if (!op)
		return bad_request(err);
	if (body->len && !op->body_is_data) {
		r->in = json_loadb(body->data, body->len, 0, NULL);
		if (!json_is_object(r->in))
			return bad_request(err);
	}
	lake_committer_set(http_query(r->x, "as"));
	st = op->run(r, err);
	lake_committer_set(NULL);
	if (strcmp(op->method, "POST") == 0)
		KILL_POINT("remote.write.done");
	return st;
}

static unsigned http_code(enum status st)
{
	switch (st) {
	case ST_NOT_FOUND:
	case ST_EXPIRED:
		return 404;
	case ST_CONFLICT:
	case ST_EXISTS:
	case ST_EMPTY:
		return 409;
	case ST_USAGE:
		return 400;
	case ST_PROTECTED:
		return 403;
	default:
		return 500;
	}
}

static void reply_json(struct http_exchange *x, unsigned code, const json_t *j)
{
	struct buf body = BUF_INIT;
	char *text = json_dumps(j, JSON_COMPACT);

	buf_adds(&body, text ? text : "{}");
	free(text);
	http_reply_buf(x, code, "application/json", &body);
}

static void reply_error(struct request *r, enum status st, const struct err *error)
{
	AUTO(json_freep) json_t *j = wire_error(st, error);

	if (r->conflicts.n) {
		json_t *list = json_array();

		for (size_t i = 0; i < r->conflicts.n; i++)
			json_array_append_new(list, wire_text(r->conflicts.paths[i]));
		json_object_set_new(j, "conflicts", list);
	}
	reply_json(r->x, http_code(st), j);
}

static void on_request(void *ctx, struct http_exchange *x)
{
	struct remote_server *server = ctx;
	struct request r = {
		.lake = server->lake,
		.sessions = server->sessions,
		.server = server,
		.x = x,
	};
	struct err error = ERR_INIT;
	enum status st = run(&r, &error);

	if (st != ST_OK)
		reply_error(&r, st, &error);
	else if (r.out)
		reply_json(x, 200, r.out);
	else
		http_reply_buf(x, 200, "application/octet-stream", &r.raw);
	json_decref(r.in);
	json_decref(r.out);
	buf_release(&r.raw);
	lake_conflicts_release(&r.conflicts);
}

/* ---- the socket ---- */

/* The file's mode says so too; a descriptor may have come another way. */
static bool on_admit(void *ctx, int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	(void)ctx;
	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	       (peer.uid == geteuid() || peer.uid == 0);
}

static enum status listen_in(const char *folder, int *fd_out, struct err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	AUTO(closep) int dir_fd = -1;
	AUTO(closep) int fd = -1;
	AUTO(freep) char *path = NULL;
	enum status st = wire_socket_path(folder, &dir_fd, &path, err);

	if (st != ST_OK)
		return st;
	memcpy(address.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* On Linux the socket's mode before bind() is the file's after it; a
	 * umask would be the whole process's. */
	if (fd < 0 || fchmod(fd, 0600) < 0)
		return err_errno(err, errno, "cannot make a socket");
	if (unlink(path) < 0 && errno != ENOENT)
		return err_errno(err, errno, "cannot remove the old socket %s/" WIRE_SOCKET,
				 folder);
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
	    chmod(path, 0600) < 0 || listen(fd, 128) < 0)
		return err_errno(err, errno, "cannot listen on %s/" WIRE_SOCKET, folder);
	*fd_out = fd;
	fd = -1;
	return ST_OK;
}

static void server_free(struct remote_server *server)
{
	sessions_free(server->sessions);
	pthread_mutex_destroy(&server->mutex);
	pthread_cond_destroy(&server->call_over);
	free(server->slot);
	free(server->folder);
	free(server);
}

enum status remote_server_start(struct lake *lake, const char *folder, lake_call_handler handler,
				void *ctx, struct remote_server **out, struct err *err)
{
	struct remote_server *server = xcalloc(1, sizeof(*server));
	struct http_server_options options = {
		.listen_fd = -1,
		.max_connections = 512,
		.max_body_bytes = WIRE_BODY_BYTES,
		.admit = on_admit,
		.handle = on_request,
		.closed = on_closed,
		.ctx = server,
	};
	enum status st;

	server->lake = lake;
	server->folder = xstrdup(folder);
	server->sessions = sessions_new();
	server->slot = slot_new(handler, ctx);
	pthread_mutex_init(&server->mutex, NULL);
	pthread_cond_init(&server->call_over, NULL);
	st = listen_in(folder, &options.listen_fd, err);
	if (st == ST_OK)
		st = http_server_start(&options, &server->http, err);
	if (st != ST_OK) {
		closep(&options.listen_fd);
		server_free(server);
		return st;
	}
	*out = server;
	return ST_OK;
}

void remote_server_stop(struct remote_server *server)
{
	AUTO(closep) int dir_fd = -1;
	AUTO(freep) char *path = NULL;

	if (!server)
		return;
	http_server_stop(server->http);
	if (wire_socket_path(server->folder, &dir_fd, &path, NULL) == ST_OK)
		unlink(path);
	server_free(server);
}

size_t remote_server_open_handles(struct remote_server *server)
{
	return sessions_open_handles(server->sessions);
}
