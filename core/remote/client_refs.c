/* The client's refs, commits, and room. */
#include <stdlib.h>
#include <string.h>

#include "core/remote/remote.h"

enum status remote_ref_get(struct lake *lake, enum lake_ref_kind kind, const char *name,
			   struct lake_id *out, struct err *err)
{
	AUTO(ask_release) struct ask a;
	enum status st;

	ask_init(&a, remote_of(lake), "ref");
	ask_text(&a, "kind", wire_kind_name(kind));
	ask_text(&a, "name", name);
	st = ask_get(&a, err);
	return st == ST_OK ? ask_answer_id(&a, out, err) : st;
}

enum status remote_commit_by_prefix(struct lake *lake, const char *prefix, struct lake_id *out,
				    struct err *err)
{
	AUTO(ask_release) struct ask a;
	enum status st;

	ask_init(&a, remote_of(lake), "commit-prefix");
	ask_text(&a, "prefix", prefix);
	st = ask_get(&a, err);
	return st == ST_OK ? ask_answer_id(&a, out, err) : st;
}

enum status remote_refs_list(struct lake *lake, enum lake_ref_kind kind, struct lake_refs *out,
			     struct err *err)
{
	AUTO(lake_refs_release) struct lake_refs refs = {.n = 0};
	AUTO(ask_release) struct ask a;
	const json_t *list;
	enum status st;

	ask_init(&a, remote_of(lake), "refs");
	ask_text(&a, "kind", wire_kind_name(kind));
	st = ask_get(&a, err);
	if (st == ST_OK)
		st = ask_json(&a, err);
	if (st != ST_OK)
		return st;
	list = json_object_get(a.out, "refs");
	refs.items = xcalloc(json_array_size(list), sizeof(*refs.items));
	for (; refs.n < json_array_size(list); refs.n++) {
		const json_t *ref = json_array_get(list, refs.n);

		if (!wire_get_id(ref, "id", &refs.items[refs.n].id) ||
		    !wire_get_text(ref, "name", &refs.items[refs.n].name))
			return ask_bad_answer(err);
	}
	*out = refs;
	refs = (struct lake_refs){.n = 0};
	return ST_OK;
}

enum status remote_refs_move(struct lake *lake, const struct lake_move *moves, size_t n,
			     const char *reason, struct err *err)
{
	AUTO(ask_release) struct ask a;
	json_t *list = json_array();

	ask_init(&a, remote_of(lake), "refs-move");
	for (size_t i = 0; i < n; i++)
		json_array_append_new(
			list, json_pack("{s:s,s:o,s:o,s:o}", "kind", wire_kind_name(moves[i].kind),
					"name", wire_text(moves[i].name), "expected",
					wire_id(&moves[i].expected), "to", wire_id(&moves[i].to)));
	a.in = json_pack("{s:o,s:o}", "moves", list, "reason", wire_text(reason));
	return ask_post(&a, err);
}

static bool read_reflog_entry(const json_t *j, struct lake_reflog_entry *e)
{
	const json_t *time = json_object_get(j, "time");

	e->time_ms = json_integer_value(time);
	return wire_kind_by_name(json_string_value(json_object_get(j, "kind")), &e->kind) &&
	       json_is_integer(time) && wire_get_u64(j, "sequence", &e->sequence) &&
	       wire_get_id(j, "from", &e->from) && wire_get_id(j, "to", &e->to) &&
	       wire_get_text(j, "name", &e->name) && wire_get_text(j, "committer", &e->committer) &&
	       wire_get_text(j, "reason", &e->reason);
}

enum status remote_reflog_read(struct lake *lake, const char *name, size_t limit,
			       struct lake_reflog *out, struct err *err)
{
	AUTO(lake_reflog_release) struct lake_reflog log = {.n = 0};
	AUTO(ask_release) struct ask a;
	const json_t *list;
	size_t n;
	enum status st;

	ask_init(&a, remote_of(lake), "reflog");
	if (name)
		ask_text(&a, "name", name);
	ask_u64(&a, "limit", limit);
	st = ask_get(&a, err);
	if (st == ST_OK)
		st = ask_json(&a, err);
	if (st != ST_OK)
		return st;
	list = json_object_get(a.out, "reflog");
	n = json_array_size(list);
	log.items = xcalloc(n, sizeof(*log.items));
	while (log.n < n) { /* counted first: what was read of it is released too */
		struct lake_reflog_entry *e = &log.items[log.n];

		if (!read_reflog_entry(json_array_get(list, log.n++), e))
			return ask_bad_answer(err);
	}
	*out = log;
	log = (struct lake_reflog){.n = 0};
	return ST_OK;
}

enum status remote_branch_protect(struct lake *lake, const char *branch, const char *by,
				  struct err *err)
{
	AUTO(ask_release) struct ask a;

	ask_init(&a, remote_of(lake), "protect");
	a.in = json_pack("{s:o,s:o}", "branch", wire_text(branch), "by", wire_text(by));
	return ask_post_unseen(&a, err); /* twice is once */
}

enum status remote_branch_protection(struct lake *lake, const char *branch, bool *protected_out,
				     char **by_out, struct err *err)
{
	AUTO(freep) char *by = NULL;
	AUTO(ask_release) struct ask a;
	bool is_protected;
	enum status st;

	ask_init(&a, remote_of(lake), "protection");
	ask_text(&a, "branch", branch);
	st = ask_get(&a, err);
	if (st == ST_OK)
		st = ask_json(&a, err);
	if (st != ST_OK)
		return st;
	if (!wire_get_bool(a.out, "protected", &is_protected) || !wire_get_text(a.out, "by", &by))
		return ask_bad_answer(err);
	if (protected_out)
		*protected_out = is_protected;
	if (by_out)
		*by_out = MOVE(by);
	return ST_OK;
}

enum status remote_commit_get(struct lake *lake, const struct lake_id *id, struct commit *out,
			      struct err *err)
{
	AUTO(ask_release) struct ask a;
	enum status st;

	ask_init(&a, remote_of(lake), "commit");
	ask_id(&a, "id", id);
	st = ask_get(&a, err);
	if (st != ST_OK)
		return st;
	return commit_decode(id, buf_str(&a.answer.body), a.answer.body.len, out, err);
}

enum status remote_free_bytes(struct lake *lake, uint64_t *out, struct err *err)
{
	AUTO(ask_release) struct ask a;
	enum status st;

	ask_init(&a, remote_of(lake), "free-bytes");
	st = ask_get(&a, err);
	if (st == ST_OK)
		st = ask_json(&a, err);
	if (st == ST_OK && !wire_get_u64(a.out, "bytes", out))
		st = ask_bad_answer(err);
	return st;
}
