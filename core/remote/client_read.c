/* The client's objects, listings and differences. Listings and differences come
 * by the page; a page is what the iterator holds. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/remote/remote.h"

enum status remote_stat(struct lake *lake, const struct lake_id *commit, const char *path,
			struct lake_entry *out, struct err *err)
{
	AUTO(ask_release) struct ask a;
	enum status st;

	ask_init(&a, remote_of(lake), "stat");
	ask_id(&a, "commit", commit);
	ask_text(&a, "path", path);
	st = ask_get(&a, err);
	if (st == ST_OK)
		st = ask_json(&a, err);
	if (st == ST_OK && !wire_get_entry(a.out, out))
		st = ask_bad_answer(err);
	return st;
}

/* ---- pages ---- */

struct page {
	json_t *entries; /* NULL before the first */
	size_t next;
	bool more; /* there is another page */
};

static void page_release(struct page *p)
{
	json_decref(p->entries);
	*p = (struct page){.next = 0};
}

/* Takes the page out of an answer. */
static enum status page_read(struct page *p, struct ask *a, struct err *err)
{
	enum status st = ask_json(a, err);
	json_t *entries = json_object_get(a->out, "entries");
	bool more;

	if (st != ST_OK)
		return st;
	if (!json_is_array(entries) || !wire_get_bool(a->out, "more", &more))
		return ask_bad_answer(err);
	page_release(p);
	p->entries = json_incref(entries);
	p->more = more;
	return ST_OK;
}

static const json_t *page_take(struct page *p)
{
	return p->next < json_array_size(p->entries) ? json_array_get(p->entries, p->next++) : NULL;
}

/* ---- listings ---- */

struct remote_list {
	struct lake_list base;
	struct lake_id commit;
	char *prefix;
	char *after; /* the last path that was given out; NULL: none */
	char *from; /* where a seek went, if behind that; NULL: nowhere */
	struct page page;
};

static enum status list_fetch(struct remote_list *l, struct err *err)
{
	AUTO(ask_release) struct ask a;
	enum status st;

	ask_init(&a, remote_of(l->base.lake), "list");
	ask_id(&a, "commit", &l->commit);
	ask_text(&a, "prefix", l->prefix);
	if (l->from)
		ask_text(&a, "from", l->from);
	else if (l->after)
		ask_text(&a, "after", l->after);
	st = ask_get(&a, err);
	return st == ST_OK ? page_read(&l->page, &a, err) : st;
}

enum status remote_list_open(struct lake *lake, const struct lake_id *commit, const char *prefix,
			     struct lake_list **out, struct err *err)
{
	struct remote_list *l = xcalloc(1, sizeof(*l));
	enum status st;

	l->base.lake = lake;
	l->commit = *commit;
	l->prefix = xstrdup(prefix);
	st = list_fetch(l, err);
	if (st != ST_OK) {
		remote_list_close(&l->base);
		return st;
	}
	*out = &l->base;
	return ST_OK;
}

enum status remote_list_next(struct lake_list *list, struct lake_entry *out, struct err *err)
{
	struct remote_list *l = (struct remote_list *)list;
	const json_t *j;
	enum status st;

	while (!(j = page_take(&l->page))) {
		if (!l->page.more)
			return ST_END;
		st = list_fetch(l, err);
		if (st != ST_OK)
			return st;
	}
	if (!wire_get_entry(j, out))
		return ask_bad_answer(err);
	free(l->after);
	l->after = xstrdup(out->path);
	free(MOVE(l->from));
	return ST_OK;
}

/* Forward only, so a key before what was given out last changes nothing. */
enum status remote_list_seek(struct lake_list *list, const char *key, struct err *err)
{
	struct remote_list *l = (struct remote_list *)list;
	const json_t *j;

	(void)err;
	while ((j = page_take(&l->page))) {
		AUTO(freep) char *path = NULL;

		if (!wire_get_text(j, "path", &path))
			return ask_bad_answer(err);
		if (strcmp(path, key) >= 0) {
			l->page.next--;
			return ST_OK;
		}
	}
	if (l->after && strcmp(key, l->after) <= 0)
		return ST_OK;
	free(l->from);
	l->from = xstrdup(key);
	return ST_OK;
}

void remote_list_close(struct lake_list *list)
{
	struct remote_list *l = (struct remote_list *)list;

	page_release(&l->page);
	free(l->prefix);
	free(l->after);
	free(l->from);
	free(l);
}

/* ---- what is open at the owner ---- */

/* Sends a request that makes a handle, in a new session where the owner does
 * not know the old one: it is another owner then. */
static enum status open_handle(struct lake *lake, void (*fill)(struct ask *a, const void *args),
			       const char *operation, const void *args, uint64_t *session_out,
			       struct ask *a, struct err *err)
{
	struct remote *r = remote_of(lake);
	enum status st = ST_OK;

	for (int tries = 0; tries < 2; tries++) {
		uint64_t session;

		st = remote_session(r, &session, err);
		if (st != ST_OK)
			return st;
		ask_release(a);
		ask_init(a, r, operation);
		ask_u64(a, "session", session);
		fill(a, args);
		st = ask_get(a, err);
		if (st == ST_UNREACHABLE && a->answer.code) {
			remote_session_lost(r, session);
			continue;
		}
		*session_out = session;
		break;
	}
	return st == ST_OK ? ask_json(a, err) : st;
}

struct remote_object {
	struct lake_object base;
	uint64_t session;
	uint64_t handle;
	char *path; /* NULL: it has no file */
};

struct object_args {
	const struct lake_id *commit;
	const char *path;
};

static void fill_object(struct ask *a, const void *args)
{
	const struct object_args *o = args;

	ask_id(a, "commit", o->commit);
	ask_text(a, "path", o->path);
}

enum status remote_object_open(struct lake *lake, const struct lake_id *commit, const char *path,
			       struct lake_object **out, struct err *err)
{
	const struct object_args args = {.commit = commit, .path = path};
	struct remote_object o = {.base = {.lake = lake}};
	AUTO(ask_release) struct ask a;
	enum status st;

	ask_init(&a, remote_of(lake), "object-open");
	st = open_handle(lake, fill_object, "object-open", &args, &o.session, &a, err);
	if (st != ST_OK)
		return st;
	if (!wire_get_u64(a.out, "handle", &o.handle) || !wire_get_u64(a.out, "size", &o.base.size))
		return ask_bad_answer(err);
	/* Of this machine; but the owner may see other files than this process. */
	if (wire_get_text(a.out, "path", &o.path) && access(o.path, R_OK) == 0)
		o.base.path = o.path;
	*out = (struct lake_object *)xmemdup(&o, sizeof(o));
	return ST_OK;
}

/* One piece of at most WIRE_READ_BYTES. */
static enum status read_piece(struct remote_object *o, uint64_t offset, void *data, size_t len,
			      size_t *n_out, struct err *err)
{
	AUTO(ask_release) struct ask a;
	enum status st;

	ask_init(&a, remote_of(o->base.lake), "object-read");
	ask_u64(&a, "session", o->session);
	ask_u64(&a, "handle", o->handle);
	ask_u64(&a, "offset", offset);
	ask_u64(&a, "len", len < WIRE_READ_BYTES ? len : WIRE_READ_BYTES);
	st = ask_get(&a, err);
	if (st != ST_OK)
		return st;
	if (a.answer.body.len > len)
		return ask_bad_answer(err);
	if (a.answer.body.len)
		memcpy(data, a.answer.body.data, a.answer.body.len);
	*n_out = a.answer.body.len;
	return ST_OK;
}

enum status remote_object_read(struct lake_object *object, uint64_t offset, void *data, size_t len,
			       size_t *n_out, struct err *err)
{
	struct remote_object *o = (struct remote_object *)object;
	size_t done = 0;

	while (done < len && offset + done < object->size) {
		size_t n = 0;
		enum status st =
			read_piece(o, offset + done, (char *)data + done, len - done, &n, err);

		if (st != ST_OK)
			return st;
		if (n == 0)
			break;
		done += n;
	}
	*n_out = done;
	return ST_OK;
}

void remote_object_close(struct lake_object *object)
{
	struct remote_object *o = (struct remote_object *)object;

	remote_close_handle(remote_of(object->lake), "object", o->session, o->handle);
	free(o->path);
	free(o);
}

/* ---- differences ---- */

struct remote_diff {
	struct lake_diff base;
	uint64_t session;
	uint64_t handle;
	struct page page;
};

struct diff_args {
	const struct lake_id *a;
	const struct lake_id *b;
	const struct lake_span *span;
};

static void fill_diff(struct ask *a, const void *args)
{
	const struct diff_args *d = args;

	ask_id(a, "a", d->a);
	ask_id(a, "b", d->b);
	ask_text(a, "prefix", d->span->prefix);
	ask_text(a, "from", d->span->from);
	ask_text(a, "until", d->span->until);
}

enum status remote_diff_open(struct lake *lake, const struct lake_id *a, const struct lake_id *b,
			     const struct lake_span *span, struct lake_diff **out, struct err *err)
{
	const struct diff_args args = {.a = a, .b = b, .span = span};
	struct remote_diff d = {.base = {.lake = lake}, .page = {.more = true}};
	AUTO(ask_release) struct ask ask;
	enum status st;

	ask_init(&ask, remote_of(lake), "diff-open");
	st = open_handle(lake, fill_diff, "diff-open", &args, &d.session, &ask, err);
	if (st != ST_OK)
		return st;
	if (!wire_get_u64(ask.out, "handle", &d.handle))
		return ask_bad_answer(err);
	*out = (struct lake_diff *)xmemdup(&d, sizeof(d));
	return ST_OK;
}

enum status remote_diff_count(struct lake *lake, const struct lake_id *a, const struct lake_id *b,
			      const char *prefix, uint64_t limit, uint64_t *out, struct err *err)
{
	AUTO(ask_release) struct ask ask;
	enum status st;

	ask_init(&ask, remote_of(lake), "diff-count");
	ask_id(&ask, "a", a);
	ask_id(&ask, "b", b);
	ask_text(&ask, "prefix", prefix);
	ask_u64(&ask, "limit", limit);
	st = ask_get(&ask, err);
	if (st == ST_OK)
		st = ask_json(&ask, err);
	if (st != ST_OK)
		return st;
	return wire_get_u64(ask.out, "n", out) ? ST_OK : ask_bad_answer(err);
}

static enum status diff_fetch(struct remote_diff *d, struct err *err)
{
	AUTO(ask_release) struct ask a;
	enum status st;

	ask_init(&a, remote_of(d->base.lake), "diff-next");
	ask_u64(&a, "session", d->session);
	ask_u64(&a, "handle", d->handle);
	st = ask_post_unseen(&a, err);
	return st == ST_OK ? page_read(&d->page, &a, err) : st;
}

enum status remote_diff_next(struct lake_diff *diff, struct lake_diff_entry *out, struct err *err)
{
	struct remote_diff *d = (struct remote_diff *)diff;
	const json_t *j;

	while (!(j = page_take(&d->page))) {
		enum status st;

		if (!d->page.more)
			return ST_END;
		st = diff_fetch(d, err);
		if (st != ST_OK)
			return st;
	}
	return wire_get_diff_entry(j, out) ? ST_OK : ask_bad_answer(err);
}

void remote_diff_close(struct lake_diff *diff)
{
	struct remote_diff *d = (struct remote_diff *)diff;

	remote_close_handle(remote_of(diff->lake), "diff", d->session, d->handle);
	page_release(&d->page);
	free(d);
}
