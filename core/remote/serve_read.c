/* Operations that read. Open objects and diffs are handles of a session;
 * a listing needs none, since it can go on behind any path in O(log n). */
#include <stdlib.h>
#include <string.h>

#include "core/remote/serve.h"

/* ---- refs ---- */

static enum status query_kind(struct request *r, enum lake_ref_kind *out, struct err *err)
{
	return wire_kind_by_name(http_query(r->x, "kind"), out) ? ST_OK : bad_request(err);
}

static enum status answer_id(struct request *r, enum status st, const struct lake_id *id)
{
	if (st == ST_OK)
		r->out = json_pack("{s:o}", "id", wire_id(id));
	return st;
}

static enum status run_ref(struct request *r, struct err *err)
{
	enum lake_ref_kind kind;
	const char *name;
	struct lake_id id;
	enum status st = query_kind(r, &kind, err);

	if (st == ST_OK)
		st = query_text(r, "name", &name, err);
	if (st == ST_OK)
		st = lake_ref_get(r->lake, kind, name, &id, err);
	return answer_id(r, st, &id);
}

static enum status run_commit_prefix(struct request *r, struct err *err)
{
	const char *prefix;
	struct lake_id id;
	enum status st = query_text(r, "prefix", &prefix, err);

	if (st == ST_OK && (strlen(prefix) < 6 || strlen(prefix) > 64 ||
			    prefix[strspn(prefix, "0123456789abcdef")]))
		st = bad_request(err);
	if (st == ST_OK)
		st = r->lake->ops->commit_by_prefix(r->lake, prefix, &id, err);
	return answer_id(r, st, &id);
}

static enum status run_refs(struct request *r, struct err *err)
{
	AUTO(lake_refs_release) struct lake_refs refs = {.n = 0};
	enum lake_ref_kind kind;
	json_t *list;
	enum status st = query_kind(r, &kind, err);

	if (st == ST_OK)
		st = lake_refs_list(r->lake, kind, &refs, err);
	if (st != ST_OK)
		return st;
	list = json_array();
	for (size_t i = 0; i < refs.n; i++)
		json_array_append_new(list, json_pack("{s:s,s:o}", "name", refs.items[i].name, "id",
						      wire_id(&refs.items[i].id)));
	r->out = json_pack("{s:o}", "refs", list);
	return ST_OK;
}

static enum status run_reflog(struct request *r, struct err *err)
{
	AUTO(lake_reflog_release) struct lake_reflog log = {.n = 0};
	const char *name = http_query(r->x, "name"); /* absent: of all refs */
	uint64_t limit;
	json_t *list;
	enum status st = query_u64(r, "limit", &limit, err);

	if (st == ST_OK)
		st = lake_reflog_read(r->lake, name, limit, &log, err);
	if (st != ST_OK)
		return st;
	list = json_array();
	for (size_t i = 0; i < log.n; i++) {
		const struct lake_reflog_entry *e = &log.items[i];

		json_array_append_new(
			list,
			json_pack("{s:I,s:s,s:s,s:o,s:o,s:I,s:o,s:o}", "sequence",
				  (json_int_t)e->sequence, "kind", wire_kind_name(e->kind), "name",
				  e->name, "from", wire_id(&e->from), "to", wire_id(&e->to), "time",
				  (json_int_t)e->time_ms, "committer", wire_text(e->committer),
				  "reason", wire_text(e->reason)));
	}
	r->out = json_pack("{s:o}", "reflog", list);
	return ST_OK;
}

static enum status run_protection(struct request *r, struct err *err)
{
	AUTO(freep) char *by = NULL;
	bool is_protected = false;
	const char *branch;
	enum status st = query_text(r, "branch", &branch, err);

	if (st == ST_OK)
		st = lake_branch_protection(r->lake, branch, &is_protected, &by, err);
	if (st == ST_OK)
		r->out = json_pack("{s:b,s:o}", "protected", is_protected, "by",
				   wire_text(by ? by : ""));
	return st;
}

/* As the bytes that its id is the hash of: with the skip pointers. */
static enum status run_commit(struct request *r, struct err *err)
{
	AUTO(commit_release) struct commit c = {.depth = 0};
	struct lake_id id;
	enum status st = query_id(r, "id", &id, err);

	if (st == ST_OK)
		st = r->lake->ops->commit_get(r->lake, &id, &c, err);
	if (st == ST_OK)
		commit_encode(&c, &r->raw);
	return st;
}

/* ---- objects ---- */

static enum status run_stat(struct request *r, struct err *err)
{
	AUTO(lake_entry_release) struct lake_entry entry = {.path = NULL};
	struct lake_id commit;
	const char *path;
	enum status st = query_id(r, "commit", &commit, err);

	if (st == ST_OK)
		st = query_text(r, "path", &path, err);
	if (st == ST_OK)
		st = lake_stat(r->lake, &commit, path, &entry, err);
	if (st == ST_OK)
		r->out = wire_entry(&entry);
	return st;
}

static enum status list_page(struct lake_list *list, const char *after, json_t *entries,
			     bool *more_out, struct err *err)
{
	enum status st = ST_OK;

	while (st == ST_OK && json_array_size(entries) < WIRE_PAGE) {
		AUTO(lake_entry_release) struct lake_entry entry = {.path = NULL};

		st = lake_list_next(list, &entry, err);
		if (st == ST_OK && !(after && strcmp(entry.path, after) == 0))
			json_array_append_new(entries, wire_entry(&entry));
	}
	*more_out = st == ST_OK;
	return st == ST_END ? ST_OK : st;
}

/* after: the last path of the page before; from: where to begin otherwise. */
static enum status run_list(struct request *r, struct err *err)
{
	AUTO(lake_list_closep) struct lake_list *list = NULL;
	const char *after = http_query(r->x, "after");
	const char *from = http_query(r->x, "from");
	json_t *entries;
	const char *prefix;
	struct lake_id commit;
	bool more = false;
	enum status st = query_id(r, "commit", &commit, err);

	if (st == ST_OK)
		st = query_text(r, "prefix", &prefix, err);
	if (st == ST_OK)
		st = lake_list_open(r->lake, &commit, prefix, &list, err);
	if (st == ST_OK && (after || from))
		st = lake_list_seek(list, after ? after : from, err);
	if (st != ST_OK)
		return st;
	entries = json_array();
	st = list_page(list, after, entries, &more, err);
	r->out = json_pack("{s:o,s:b}", "entries", entries, "more", more);
	return st;
}

static enum status run_object_open(struct request *r, struct err *err)
{
	struct handle h = {.kind = HANDLE_OBJECT};
	struct handle *added;
	struct lake_id commit;
	uint64_t session;
	const char *path;
	enum status st = query_u64(r, "session", &session, err);

	if (st == ST_OK)
		st = query_id(r, "commit", &commit, err);
	if (st == ST_OK)
		st = query_text(r, "path", &path, err);
	if (st == ST_OK)
		st = lake_object_open(r->lake, &commit, path, &h.object, err);
	if (st == ST_OK)
		st = handle_add(r->sessions, session, h, &added, err);
	if (st != ST_OK)
		return st;
	r->out = json_pack("{s:I,s:I}", "handle", (json_int_t)added->id, "size",
			   (json_int_t)lake_object_size(added->object));
	if (lake_object_path(added->object))
		json_object_set_new(r->out, "path", wire_text(lake_object_path(added->object)));
	handle_give_back(r->sessions, added);
	return ST_OK;
}

static enum status run_object_read(struct request *r, struct err *err)
{
	uint64_t offset, len;
	struct handle *h = NULL;
	size_t n;
	enum status st = query_u64(r, "offset", &offset, err);

	if (st == ST_OK)
		st = query_u64(r, "len", &len, err);
	if (st == ST_OK && len > WIRE_READ_BYTES)
		st = bad_request(err);
	if (st == ST_OK)
		st = query_handle(r, HANDLE_OBJECT, &h, err);
	if (st != ST_OK)
		return st;
	buf_reserve(&r->raw, len);
	st = lake_object_read(h->object, offset, r->raw.data, len, &n, err);
	if (st == ST_OK)
		r->raw.len = n;
	handle_give_back(r->sessions, h);
	return st;
}

/* ---- differences ---- */

static enum status run_diff_open(struct request *r, struct err *err)
{
	struct handle h = {.kind = HANDLE_DIFF};
	struct handle *added;
	struct lake_id a, b;
	struct lake_span span;
	uint64_t session;
	enum status st = query_u64(r, "session", &session, err);

	if (st == ST_OK)
		st = query_id(r, "a", &a, err);
	if (st == ST_OK)
		st = query_id(r, "b", &b, err);
	if (st == ST_OK)
		st = query_text(r, "prefix", &span.prefix, err);
	if (st == ST_OK)
		st = query_text(r, "from", &span.from, err);
	if (st == ST_OK)
		st = query_text(r, "until", &span.until, err);
	if (st == ST_OK)
		st = r->lake->ops->diff_open(r->lake, &a, &b, &span, &h.diff, err);
	if (st == ST_OK)
		st = handle_add(r->sessions, session, h, &added, err);
	if (st != ST_OK)
		return st;
	r->out = json_pack("{s:I}", "handle", (json_int_t)added->id);
	handle_give_back(r->sessions, added);
	return ST_OK;
}

static enum status run_diff_count(struct request *r, struct err *err)
{
	struct lake_id a, b;
	const char *prefix;
	uint64_t limit, n = 0;
	enum status st = query_id(r, "a", &a, err);

	if (st == ST_OK)
		st = query_id(r, "b", &b, err);
	if (st == ST_OK)
		st = query_text(r, "prefix", &prefix, err);
	if (st == ST_OK)
		st = query_u64(r, "limit", &limit, err);
	if (st == ST_OK)
		st = lake_diff_count(r->lake, &a, &b, prefix, limit, &n, err);
	if (st == ST_OK)
		r->out = json_pack("{s:I}", "n", (json_int_t)n);
	return st;
}

static enum status run_diff_next(struct request *r, struct err *err)
{
	json_t *entries;
	struct handle *h = NULL;
	enum status st = query_handle(r, HANDLE_DIFF, &h, err);

	if (st != ST_OK)
		return st;
	entries = json_array();
	while (st == ST_OK && json_array_size(entries) < WIRE_PAGE) {
		struct lake_diff_entry entry;

		st = lake_diff_next(h->diff, &entry, err);
		if (st != ST_OK)
			break;
		json_array_append_new(entries, wire_diff_entry(&entry));
		free(entry.path);
	}
	r->out = json_pack("{s:o,s:b}", "entries", entries, "more", st == ST_OK);
	handle_give_back(r->sessions, h);
	return st == ST_END ? ST_OK : st;
}

static enum status run_staged(struct request *r, struct err *err)
{
	AUTO(lake_changes_release) struct lake_changes changes = {.n = 0};
	const char *branch;
	json_t *list;
	enum status st = query_text(r, "branch", &branch, err);

	if (st == ST_OK)
		st = lake_stage_changes(r->lake, branch, &changes, err);
	if (st != ST_OK)
		return st;
	list = json_array();
	for (size_t i = 0; i < changes.n; i++)
		json_array_append_new(list, wire_diff_entry(&changes.items[i]));
	r->out = json_pack("{s:o}", "entries", list);
	return ST_OK;
}

static enum status run_free_bytes(struct request *r, struct err *err)
{
	uint64_t n;
	enum status st = lake_free_bytes(r->lake, &n, err);

	if (st == ST_OK)
		r->out = json_pack("{s:I}", "bytes", (json_int_t)n);
	return st;
}

const struct operation serve_read_operations[] = {
	{"GET", "ref", false, run_ref},
	{"GET", "commit-prefix", false, run_commit_prefix},
	{"GET", "refs", false, run_refs},
	{"GET", "reflog", false, run_reflog},
	{"GET", "protection", false, run_protection},
	{"GET", "commit", false, run_commit},
	{"GET", "stat", false, run_stat},
	{"GET", "list", false, run_list},
	{"GET", "object-open", false, run_object_open},
	{"GET", "object-read", false, run_object_read},
	{"GET", "diff-open", false, run_diff_open},
	{"GET", "diff-count", false, run_diff_count},
	{"POST", "diff-next", false, run_diff_next}, /* twice would skip a page */
	{"GET", "staged", false, run_staged},
	{"GET", "free-bytes", false, run_free_bytes},
	{NULL, NULL, false, NULL},
};
