/* Uploads come in pieces; the first makes the handle, the last finishes it. A
 * small object is one request. */
#include <string.h>

#include "core/remote/serve.h"

/* The upload that the query names, or a new one where it names none. */
static enum status take_upload(struct request *r, struct handle **out, struct err *err)
{
	struct handle fresh = {.kind = HANDLE_UPLOAD};
	uint64_t session;
	enum status st;

	if (http_query(r->x, "handle"))
		return query_handle(r, HANDLE_UPLOAD, out, err);
	st = query_u64(r, "session", &session, err);
	if (st == ST_OK)
		st = lake_upload_open(r->lake, &fresh.upload, err);
	if (st == ST_OK && http_query(r->x, "defer"))
		st = lake_upload_defer(fresh.upload, err);
	if (st != ST_OK) {
		lake_upload_free(fresh.upload);
		return st;
	}
	return handle_add(r->sessions, session, fresh, out, err);
}

static enum status run_upload(struct request *r, struct err *err)
{
	const char *finish = http_query(r->x, "finish");
	const struct buf *body = http_body(r->x);
	struct handle *h = NULL;
	enum status st = take_upload(r, &h, err);

	if (st != ST_OK)
		return st;
	if (h->upload->finished)
		st = bad_request(err);
	if (st == ST_OK && body->len)
		st = lake_upload_write(h->upload, body->data, body->len, err);
	if (st == ST_OK && finish && strcmp(finish, "1") == 0)
		st = lake_upload_finish(h->upload, err);
	if (st != ST_OK) { /* part of a piece may be in it: nobody can go on */
		handle_drop(r->sessions, h);
		return st;
	}
	r->out = json_pack("{s:I}", "handle", (json_int_t)h->id);
	handle_give_back(r->sessions, h);
	return ST_OK;
}

static enum status run_close(struct request *r, struct err *err)
{
	static const char *const kinds[] = {
		[HANDLE_UPLOAD] = "upload", [HANDLE_OBJECT] = "object", [HANDLE_DIFF] = "diff"};
	const char *kind;
	struct handle *h = NULL;
	enum status st = query_text(r, "kind", &kind, err);

	for (size_t i = 0; st == ST_OK && i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(kinds[i], kind) != 0)
			continue;
		st = query_handle(r, (enum handle_kind)i, &h, err);
		if (st != ST_OK)
			return st;
		handle_drop(r->sessions, h);
		r->out = json_object();
		return ST_OK;
	}
	return st == ST_OK ? bad_request(err) : st;
}

const struct operation serve_upload_operations[] = {
	{"POST", "upload", true, run_upload},
	{"POST", "close", false, run_close},
	{NULL, NULL, false, NULL},
};
