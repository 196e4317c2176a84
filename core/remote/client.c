#include "core/remote/client.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/remote/remote.h"

/* An owner that is stopped, not dead, answers nothing. Calls may take as long
 * as a publish does. */
#define HELLO_TIMEOUT_MS 10000
#define REQUEST_TIMEOUT_MS 300000

/* ---- connections ---- */

static struct http_client *client_new(const struct remote *r, int64_t timeout_ms)
{
	const struct http_client_options options = {
		.unix_socket = r->socket_path,
		.connect_timeout_ms = HELLO_TIMEOUT_MS,
		.timeout_ms = timeout_ms,
		.max_body_bytes = WIRE_BODY_BYTES,
	};

	return http_client_new(&options);
}

static struct http_client *client_take(struct remote *r)
{
	struct http_client *c = NULL;

	pthread_mutex_lock(&r->mutex);
	if (r->n_idle)
		c = r->idle[--r->n_idle];
	pthread_mutex_unlock(&r->mutex);
	return c ? c : client_new(r, REQUEST_TIMEOUT_MS);
}

static void client_give_back(struct remote *r, struct http_client *c)
{
	pthread_mutex_lock(&r->mutex);
	if (r->n_idle < REMOTE_CLIENTS)
		r->idle[r->n_idle++] = MOVE(c);
	pthread_mutex_unlock(&r->mutex);
	http_client_free(c);
}

/* ---- requests ---- */

void ask_init(struct ask *a, struct remote *r, const char *operation)
{
	*a = (struct ask){.remote = r, .answer = HTTP_ANSWER_INIT};
	buf_addf(&a->url, "http://lake/v1/%s?as=%s", operation, r->committer);
}

void ask_release(struct ask *a)
{
	buf_release(&a->url);
	http_answer_release(&a->answer);
	json_decref(a->in);
	json_decref(a->out);
}

void ask_text(struct ask *a, const char *name, const char *value)
{
	buf_addf(&a->url, "&%s=", name);
	http_add_escaped(&a->url, value);
}

void ask_id(struct ask *a, const char *name, const struct lake_id *id)
{
	char hex[LAKE_ID_HEX_BYTES];

	lake_id_hex(id, hex);
	buf_addf(&a->url, "&%s=%s", name, hex);
}

void ask_u64(struct ask *a, const char *name, uint64_t value)
{
	buf_addf(&a->url, "&%s=%llu", name, (unsigned long long)value);
}

enum status ask_bad_answer(struct err *err)
{
	return err_set(err, ST_FAILED,
		       "the lake's owner gave an answer that cannot be read; is it of another "
		       "version?");
}

/* An error becomes the owner's own; what else came stays for the caller, who
 * knows whether it is JSON. */
static enum status read_answer(struct ask *a, struct err *err)
{
	const struct buf *body = &a->answer.body;

	if (a->answer.code == 200)
		return ST_OK;
	a->out = json_loadb(buf_str(body), body->len, 0, NULL);
	if (!json_is_object(a->out))
		return err_set(err, ST_FAILED, "the lake's owner refused the request (HTTP %ld)",
			       a->answer.code);
	return wire_get_error(a->out, err);
}

static enum status send_with(struct ask *a, struct http_client *client, const char *method,
			     struct err *err)
{
	char *text = a->in ? json_dumps(a->in, JSON_COMPACT) : NULL;
	const struct http_request request = {
		.method = method,
		.url = a->url.data,
		.body = text ? text : a->data,
		.body_len = text ? strlen(text) : a->data_len,
	};
	enum status st = http_request(client, &request, &a->answer, err);

	free(text);
	return st == ST_OK ? read_answer(a, err) : st;
}

static enum status ask_send(struct ask *a, const char *method, struct err *err)
{
	struct http_client *c = a->no_timeout ? client_new(a->remote, -1) : client_take(a->remote);
	enum status st = send_with(a, c, method, err);

	if (a->no_timeout)
		http_client_free(c);
	else
		client_give_back(a->remote, c);
	return st;
}

enum status ask_get(struct ask *a, struct err *err)
{
	return ask_send(a, "GET", err);
}

enum status ask_post(struct ask *a, struct err *err)
{
	return ask_send(a, "POST", err);
}

/* The owner itself may answer ST_UNKNOWN only for what can be seen. */
enum status ask_post_unseen(struct ask *a, struct err *err)
{
	enum status st = ask_send(a, "POST", err);

	if (st == ST_UNKNOWN && err)
		err->code = ST_UNREACHABLE;
	return st == ST_UNKNOWN ? ST_UNREACHABLE : st;
}

enum status ask_json(struct ask *a, struct err *err)
{
	a->out = json_loadb(buf_str(&a->answer.body), a->answer.body.len, 0, NULL);
	return json_is_object(a->out) ? ST_OK : ask_bad_answer(err);
}

enum status ask_answer_id(struct ask *a, struct lake_id *out, struct err *err)
{
	enum status st = ask_json(a, err);

	if (st != ST_OK)
		return st;
	return wire_get_id(a->out, "id", out) ? ST_OK : ask_bad_answer(err);
}

/* ---- sessions ---- */

static enum status begin_session(struct remote *r, struct err *err)
{
	struct http_client *anchor = client_new(r, HELLO_TIMEOUT_MS);
	AUTO(ask_release) struct ask a;
	uint64_t session = 0;
	enum status st;

	ask_init(&a, r, "session");
	st = send_with(&a, anchor, "POST", err);
	if (st == ST_UNKNOWN)
		st = err_wrap(err, ST_UNREACHABLE, "a session with the lake's owner");
	if (st == ST_OK)
		st = ask_json(&a, err);
	if (st == ST_OK && !wire_get_u64(a.out, "session", &session))
		st = ask_bad_answer(err);
	if (st != ST_OK) {
		http_client_free(anchor);
		return st;
	}
	r->anchor = anchor;
	r->session = session;
	return ST_OK;
}

enum status remote_session(struct remote *r, uint64_t *out, struct err *err)
{
	enum status st = ST_OK;

	/* Held over the request: others would begin sessions of their own. */
	pthread_mutex_lock(&r->mutex);
	if (!r->anchor)
		st = begin_session(r, err);
	if (st == ST_OK)
		*out = r->session;
	pthread_mutex_unlock(&r->mutex);
	return st;
}

void remote_session_lost(struct remote *r, uint64_t session)
{
	struct http_client *anchor = NULL;

	pthread_mutex_lock(&r->mutex);
	if (r->session == session)
		anchor = MOVE(r->anchor);
	pthread_mutex_unlock(&r->mutex);
	http_client_free(anchor);
}

void remote_close_handle(struct remote *r, const char *kind, uint64_t session, uint64_t handle)
{
	AUTO(ask_release) struct ask a;
	enum status ignored;

	ask_init(&a, r, "close");
	ask_text(&a, "kind", kind);
	ask_u64(&a, "session", session);
	ask_u64(&a, "handle", handle);
	ignored = ask_post(&a, NULL);
	(void)ignored;
}

/* ---- the backend ---- */

static void remote_close(struct lake *lake)
{
	struct remote *r = remote_of(lake);

	http_client_free(r->anchor);
	while (r->n_idle)
		http_client_free(r->idle[--r->n_idle]);
	closep(&r->dir_fd);
	pthread_mutex_destroy(&r->mutex);
	free(r->socket_path);
	free(r->committer);
	free(r);
}

static enum status remote_call(struct lake *lake, const char *method, const char *in,
			       struct buf *out, struct err *err)
{
	AUTO(ask_release) struct ask a;
	enum status st;

	ask_init(&a, remote_of(lake), "call");
	ask_text(&a, "method", method);
	a.data = in;
	a.data_len = strlen(in);
	a.no_timeout = true;
	st = ask_post(&a, err);
	if (st == ST_OK)
		buf_addbuf(out, &a.answer.body);
	return st;
}

static const struct lake_ops remote_ops = {
	.name = "remote",
	.owner = false,
	.close = remote_close,
	.call = remote_call,
	.ref_get = remote_ref_get,
	.commit_by_prefix = remote_commit_by_prefix,
	.refs_list = remote_refs_list,
	.refs_move = remote_refs_move,
	.reflog_read = remote_reflog_read,
	.branch_protect = remote_branch_protect,
	.branch_protection = remote_branch_protection,
	.commit_get = remote_commit_get,
	.stat = remote_stat,
	.list_open = remote_list_open,
	.list_next = remote_list_next,
	.list_seek = remote_list_seek,
	.list_close = remote_list_close,
	.object_open = remote_object_open,
	.object_read = remote_object_read,
	.object_close = remote_object_close,
	.upload_open = remote_upload_open,
	.upload_room = remote_upload_room,
	.upload_defer = remote_upload_defer,
	.upload_finish = remote_upload_finish,
	.upload_free = remote_upload_free,
	.txn_prepare = remote_txn_prepare,
	.diff_open = remote_diff_open,
	.diff_count = remote_diff_count,
	.diff_next = remote_diff_next,
	.diff_close = remote_diff_close,
	.merge_prepare = remote_merge_prepare,
	.revert_prepare = remote_revert_prepare,
	.cherry_pick_prepare = remote_cherry_pick_prepare,
	.stage_put = remote_stage_put,
	.stage_remove = remote_stage_remove,
	.stage_changes = remote_stage_changes,
	.stage_commit = remote_stage_commit,
	.stage_discard = remote_stage_discard,
	.gc = remote_gc,
	.check_expired = remote_check_expired,
	.free_bytes = remote_free_bytes,
	.fsck = remote_fsck,
	.backup = remote_backup,
	.progress = remote_progress,
};

static enum status hello(struct remote *r, struct err *err)
{
	struct http_client *c = client_new(r, HELLO_TIMEOUT_MS);
	AUTO(ask_release) struct ask a;
	uint64_t protocol = 0;
	enum status st;

	ask_init(&a, r, "hello");
	st = send_with(&a, c, "GET", err);
	http_client_free(c);
	if (st == ST_OK)
		st = ask_json(&a, err);
	if (st != ST_OK)
		return st;
	if (!wire_get_u64(a.out, "protocol", &protocol) || protocol != WIRE_PROTOCOL)
		return err_set(err, ST_USAGE,
			       "the process that owns the lake is of another version; use its "
			       "program, or stop it");
	return ST_OK;
}

enum status remote_open(const char *folder, const struct lake_options *options, struct lake **out,
			struct err *err)
{
	struct remote *r = xcalloc(1, sizeof(*r));
	struct buf committer = BUF_INIT;
	enum status st;

	r->base.ops = &remote_ops;
	r->dir_fd = -1;
	pthread_mutex_init(&r->mutex, NULL);
	http_add_escaped(&committer, options->committer ? options->committer : "");
	r->committer = buf_detach(&committer);
	st = wire_socket_path(folder, &r->dir_fd, &r->socket_path, err);
	if (st == ST_OK)
		st = hello(r, err);
	if (st != ST_OK) {
		remote_close(&r->base);
		return st;
	}
	*out = &r->base;
	return ST_OK;
}
