/* Operations that move refs, make commits, or stage changes. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "core/remote/serve.h"

/* ---- refs ---- */

struct moves {
	struct lake_move *list;
	char **names;
	size_t n;
};

static void moves_release(struct moves *m)
{
	for (size_t i = 0; i < m->n; i++)
		free(m->names[i]);
	free(m->names);
	free(m->list);
}

static bool read_moves(const json_t *in, struct moves *m)
{
	const json_t *list = json_object_get(in, "moves");

	if (!json_is_array(list))
		return false;
	m->list = xcalloc(json_array_size(list), sizeof(*m->list));
	m->names = xcalloc(json_array_size(list), sizeof(*m->names));
	for (; m->n < json_array_size(list); m->n++) {
		const json_t *move = json_array_get(list, m->n);
		struct lake_move *to = &m->list[m->n];

		if (!wire_kind_by_name(json_string_value(json_object_get(move, "kind")),
				       &to->kind) ||
		    !wire_get_id(move, "expected", &to->expected) ||
		    !wire_get_id(move, "to", &to->to) ||
		    !wire_get_text(move, "name", &m->names[m->n]))
			return false;
		to->name = m->names[m->n];
	}
	return true;
}

static enum status run_refs_move(struct request *r, struct err *err)
{
	AUTO(moves_release) struct moves m = {.n = 0};
	AUTO(freep) char *reason = NULL;
	enum status st;

	if (!read_moves(r->in, &m) || !wire_get_text(r->in, "reason", &reason))
		return bad_request(err);
	st = lake_refs_move(r->lake, m.list, m.n, reason, err);
	if (st == ST_OK)
		r->out = json_object();
	return st;
}

static enum status run_protect(struct request *r, struct err *err)
{
	AUTO(freep) char *branch = NULL;
	AUTO(freep) char *by = NULL;
	enum status st;

	if (!wire_get_text(r->in, "branch", &branch) || !wire_get_text(r->in, "by", &by))
		return bad_request(err);
	st = lake_branch_protect(r->lake, branch, by, err);
	if (st == ST_OK)
		r->out = json_object();
	return st;
}

/* ---- transactions: built by hand, since the uploads stay the client's ---- */

struct whole_txn {
	struct lake_txn txn;
	struct handle **handles; /* of the puts; NULL: a removal */
};

static void whole_txn_release(struct whole_txn *w, struct sessions *sessions)
{
	struct lake_txn *t = &w->txn;

	for (size_t i = 0; i < t->n_puts; i++) {
		free(t->puts[i].path);
		free(t->puts[i].content_type);
		lake_meta_release(&t->puts[i].meta);
		if (w->handles[i])
			handle_give_back(sessions, w->handles[i]);
	}
	for (size_t i = 0; i < t->n_grafts; i++)
		free(t->grafts[i].prefix);
	free(w->handles);
	free(t->puts);
	free(t->grafts);
	free(t->parents);
	free(t->message);
	lake_meta_release(&t->meta);
}

static enum status take_finished(struct request *r, const json_t *in, uint64_t session,
				 struct handle **out, struct err *err)
{
	struct handle *h = NULL;
	uint64_t id;
	enum status st;

	if (!wire_get_u64(in, "upload", &id))
		return bad_request(err);
	st = handle_take(r->sessions, session, id, HANDLE_UPLOAD, &h, err);
	if (st != ST_OK)
		return st;
	if (!h->upload->finished) {
		handle_give_back(r->sessions, h);
		return bad_request(err);
	}
	*out = h;
	return ST_OK;
}

static enum status read_put(struct request *r, const json_t *in, uint64_t session,
			    struct whole_txn *w, struct err *err)
{
	struct lake_txn *t = &w->txn;
	struct lake_put *put = &t->puts[t->n_puts];
	enum status st;

	if (!wire_get_text(in, "path", &put->path))
		return bad_request(err);
	t->n_puts++; /* from here on it is released */
	st = lake_path_check(put->path, err);
	if (st != ST_OK)
		return st;
	if (t->n_puts > 1 && strcmp(put[-1].path, put->path) >= 0)
		return bad_request(err);
	if (!json_object_get(in, "upload")) {
		put->content_type = xstrdup("");
		return ST_OK;
	}
	if (!wire_get_text(in, "content_type", &put->content_type) ||
	    !wire_get_meta(in, "meta", &put->meta))
		return bad_request(err);
	st = take_finished(r, in, session, &w->handles[t->n_puts - 1], err);
	if (st == ST_OK)
		put->up = w->handles[t->n_puts - 1]->upload;
	return st;
}

static enum status read_puts(struct request *r, struct whole_txn *w, struct err *err)
{
	const json_t *puts = json_object_get(r->in, "puts");
	size_t n = json_array_size(puts);
	enum status st = ST_OK;
	uint64_t session;

	if (!json_is_array(puts) || !wire_get_u64(r->in, "session", &session))
		return bad_request(err);
	w->txn.puts = xcalloc(n, sizeof(*w->txn.puts));
	w->handles = xcalloc(n, sizeof(struct handle *));
	for (size_t i = 0; st == ST_OK && i < n; i++)
		st = read_put(r, json_array_get(puts, i), session, w, err);
	return st;
}

static enum status read_grafts(const json_t *in, struct lake_txn *t, struct err *err)
{
	const json_t *list = json_object_get(in, "grafts");
	size_t n = json_array_size(list);

	if (!json_is_array(list))
		return bad_request(err);
	t->grafts = xcalloc(n, sizeof(*t->grafts));
	for (; t->n_grafts < n; t->n_grafts++) {
		const json_t *graft = json_array_get(list, t->n_grafts);

		if (!wire_get_id(graft, "from", &t->grafts[t->n_grafts].from) ||
		    !wire_get_text(graft, "prefix", &t->grafts[t->n_grafts].prefix))
			return bad_request(err);
	}
	return ST_OK;
}

static enum status read_txn(struct request *r, struct whole_txn *w, struct err *err)
{
	struct lake_txn *t = &w->txn;
	enum status st;

	t->lake = r->lake;
	if (!wire_get_id(r->in, "base", &t->base) ||
	    !wire_get_text(r->in, "message", &t->message) ||
	    !wire_get_meta(r->in, "meta", &t->meta) ||
	    !wire_get_ids(r->in, "parents", &t->parents, &t->n_parents))
		return bad_request(err);
	st = read_grafts(r->in, t, err);
	return st == ST_OK ? read_puts(r, w, err) : st;
}

static enum status answer_id(struct request *r, enum status st, const struct lake_id *id)
{
	if (st == ST_OK)
		r->out = json_pack("{s:o}", "id", wire_id(id));
	return st;
}

static enum status run_txn(struct request *r, struct err *err)
{
	struct whole_txn w = {.txn = {.n_puts = 0}};
	struct lake_id id;
	enum status st = read_txn(r, &w, err);

	if (st == ST_OK)
		st = r->lake->ops->txn_prepare(r->lake, &w.txn, &id, err);
	whole_txn_release(&w, r->sessions);
	return answer_id(r, st, &id);
}

/* ---- merge, revert and cherry-pick ---- */

static enum status run_merge(struct request *r, struct err *err)
{
	AUTO(lake_meta_release) struct lake_meta meta = LAKE_META_INIT;
	AUTO(freep) char *message = NULL;
	struct lake_merge merge = {.strategy = LAKE_NO_STRATEGY};
	struct lake_id id;
	uint64_t strategy;
	enum status st;

	if (!wire_get_id(r->in, "source", &merge.source) ||
	    !wire_get_id(r->in, "dest", &merge.dest) ||
	    !wire_get_u64(r->in, "strategy", &strategy) || strategy > LAKE_THEIRS ||
	    !wire_get_bool(r->in, "allow_empty", &merge.allow_empty))
		return bad_request(err);
	if (wire_get_text(r->in, "message", &message))
		merge.message = message;
	if (wire_get_meta(r->in, "meta", &meta))
		merge.meta = &meta;
	merge.strategy = (enum lake_strategy)strategy;
	st = lake_merge_prepare(r->lake, &merge, &id, &r->conflicts, err);
	return answer_id(r, st, &id);
}

static bool get_parent(const json_t *in, unsigned *out)
{
	uint64_t parent;

	if (!wire_get_u64(in, "parent", &parent) || parent > UINT_MAX)
		return false;
	*out = (unsigned)parent;
	return true;
}

static enum status run_revert(struct request *r, struct err *err)
{
	AUTO(freep) struct lake_id *commits = NULL;
	AUTO(freep) char *message = NULL;
	struct lake_revert revert = {.n = 0};
	struct lake_id head, id;
	enum status st;

	if (!wire_get_id(r->in, "head", &head) ||
	    !wire_get_ids(r->in, "commits", &commits, &revert.n) ||
	    !get_parent(r->in, &revert.parent))
		return bad_request(err);
	if (wire_get_text(r->in, "message", &message))
		revert.message = message;
	revert.commits = commits;
	st = lake_revert_prepare(r->lake, &head, &revert, &id, &r->conflicts, err);
	return answer_id(r, st, &id);
}

static enum status run_cherry_pick(struct request *r, struct err *err)
{
	struct lake_id head, commit, id;
	unsigned parent;
	enum status st;

	if (!wire_get_id(r->in, "head", &head) || !wire_get_id(r->in, "commit", &commit) ||
	    !get_parent(r->in, &parent))
		return bad_request(err);
	st = lake_cherry_pick_prepare(r->lake, &head, &commit, parent, &id, &r->conflicts, err);
	return answer_id(r, st, &id);
}

/* ---- staged changes ---- */

static enum status run_stage_put(struct request *r, struct err *err)
{
	AUTO(lake_meta_release) struct lake_meta meta = LAKE_META_INIT;
	AUTO(freep) char *branch = NULL;
	AUTO(freep) char *path = NULL;
	AUTO(freep) char *type = NULL;
	struct handle *h = NULL;
	uint64_t session;
	enum status st;

	if (!wire_get_text(r->in, "branch", &branch) || !wire_get_text(r->in, "path", &path) ||
	    !wire_get_text(r->in, "content_type", &type) || !wire_get_meta(r->in, "meta", &meta) ||
	    !wire_get_u64(r->in, "session", &session))
		return bad_request(err);
	st = take_finished(r, r->in, session, &h, err);
	if (st != ST_OK)
		return st;
	st = lake_stage_put(r->lake, branch, path, h->upload, type, &meta, err);
	if (st != ST_OK) {
		handle_give_back(r->sessions, h);
		return st;
	}
	h->upload = NULL; /* consumed */
	handle_drop(r->sessions, h);
	r->out = json_object();
	return ST_OK;
}

static enum status run_stage_remove(struct request *r, struct err *err)
{
	AUTO(freep) char *branch = NULL;
	AUTO(freep) char *path = NULL;
	enum status st;

	if (!wire_get_text(r->in, "branch", &branch) || !wire_get_text(r->in, "path", &path))
		return bad_request(err);
	st = lake_stage_remove(r->lake, branch, path, err);
	if (st == ST_OK)
		r->out = json_object();
	return st;
}

static enum status run_stage_commit(struct request *r, struct err *err)
{
	AUTO(lake_meta_release) struct lake_meta meta = LAKE_META_INIT;
	AUTO(freep) char *branch = NULL;
	AUTO(freep) char *message = NULL;
	struct lake_id id;
	enum status st;

	if (!wire_get_text(r->in, "branch", &branch) ||
	    !wire_get_text(r->in, "message", &message) || !wire_get_meta(r->in, "meta", &meta))
		return bad_request(err);
	st = lake_stage_commit(r->lake, branch, message, &meta, &id, err);
	return answer_id(r, st, &id);
}

static enum status run_stage_discard(struct request *r, struct err *err)
{
	AUTO(freep) char *branch = NULL;
	enum status st;

	if (!wire_get_text(r->in, "branch", &branch))
		return bad_request(err);
	st = lake_stage_discard(r->lake, branch, err);
	if (st == ST_OK)
		r->out = json_object();
	return st;
}

const struct operation serve_write_operations[] = {
	{"POST", "refs-move", false, run_refs_move},
	{"POST", "protect", false, run_protect},
	{"POST", "txn", false, run_txn},
	{"POST", "merge", false, run_merge},
	{"POST", "revert", false, run_revert},
	{"POST", "cherry-pick", false, run_cherry_pick},
	{"POST", "stage-put", false, run_stage_put},
	{"POST", "stage-remove", false, run_stage_remove},
	{"POST", "stage-commit", false, run_stage_commit},
	{"POST", "stage-discard", false, run_stage_discard},
	{NULL, NULL, false, NULL},
};
