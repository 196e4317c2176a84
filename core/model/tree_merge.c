/* Three-way merge: theirs' differences from base, where ours may keep them,
 * applied to ours. Where that can be done subtree by subtree (tree_merge_nodes.c),
 * it costs by what both sides changed side by side; else, path by path, by both
 * sides' differences from base.
 *
 * A clash of a file with a folder of its name needs one path that only ours has
 * and one that only theirs brings, or one input would have both; so it is
 * enough to look, for each path that theirs brings, in ours: for its folders
 * as files, and for paths below it. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/model/merge.h"

/* The value of TREE_MARK: entries begin with their format, 1. */
static const char mark[] = {0};

static void merge_release(struct merge *m)
{
	for (size_t level = 0; level < TREE_LEVELS; level++)
		changes_release(&m->inner[level]);
	buf_release(&m->texts);
	buf_release(&m->conflict_texts);
	buf_release(&m->last);
	tree_iter_free(m->in_ours);
	free(m->pending);
}

static void add_conflict(struct merge *m, const char *key)
{
	buf_add(&m->conflict_texts, key, strlen(key) + 1);
	m->n_conflicts++;
}

static void add_pending(struct merge *m, const char *key, const void *value, size_t len)
{
	GROW(m->pending, m->n_pending, m->cap_pending);
	m->pending[m->n_pending++] = (struct pending){
		.at = m->texts.len,
		.value_len = len,
		.remove = !value,
	};
	buf_add(&m->texts, key, strlen(key) + 1);
	if (value)
		buf_add(&m->texts, value, len);
}

/* Neither side's state can be taken. */
static void disagree(struct merge *m, const char *key)
{
	if (m->prefer == TREE_MARK)
		add_pending(m, key, mark, sizeof(mark));
	else
		add_conflict(m, key);
}

/* ---- files against folders ---- */

/* The value of key in a tree; *has_out false where there is none. */
static enum status find(const struct merge *m, const struct hash *root, const char *key,
			struct buf *value, bool *has_out, struct err *err)
{
	enum status st = tree_lookup(m->store, root, key, value, err);

	*has_out = st == ST_OK;
	return st == ST_NOT_FOUND ? ST_OK : st;
}

/* Will the result hold ours' key, which theirs lacks? Not where theirs removed
 * it and ours left it alone, or theirs' word counts. */
static enum status stays(const struct merge *m, const char *key, const struct tree_entry *ours,
			 bool *out, struct err *err)
{
	AUTO(buf_release) struct buf value = BUF_INIT;
	bool has;
	enum status st = find(m, m->base, key, &value, &has, err);

	if (st != ST_OK)
		return st;
	if (!has)
		*out = true;
	else if (m->prefer == TREE_PREFER_THEIRS)
		*out = false;
	else
		*out = value.len != ours->value_len ||
		       memcmp(value.data, ours->value, value.len) != 0;
	return ST_OK;
}

/* Does ours' entry clash with a path of theirs above or below it? Then it is
 * noted, or dropped where theirs is preferred. */
static enum status judge(struct merge *m, const struct tree_entry *ours, bool *clash_out,
			 struct err *err)
{
	AUTO(buf_release) struct buf value = BUF_INIT;
	bool in_theirs;
	enum status st = find(m, m->theirs, ours->key, &value, &in_theirs, err);

	*clash_out = false;
	if (st != ST_OK || in_theirs)
		return st;
	st = stays(m, ours->key, ours, clash_out, err);
	if (st != ST_OK || !*clash_out)
		return st;
	m->clashed = true;
	if (m->prefer == TREE_PREFER_THEIRS)
		add_pending(m, ours->key, NULL, 0);
	else if (m->prefer != TREE_PREFER_OURS)
		disagree(m, ours->key);
	return ST_OK;
}

/* Is `folder`, which lies above a path of theirs, a file of ours? */
static enum status check_folder(struct merge *m, const char *folder, bool *clash_out,
				struct err *err)
{
	struct tree_entry entry;
	enum status st = tree_iter_seek(m->in_ours, folder, err);

	*clash_out = false;
	if (st == ST_OK)
		st = tree_iter_next(m->in_ours, &entry, err);
	if (st == ST_END || (st == ST_OK && strcmp(entry.key, folder) != 0))
		return ST_OK;
	return st == ST_OK ? judge(m, &entry, clash_out, err) : st;
}

static enum status check_above(struct merge *m, const char *key, bool *clash_out, struct err *err)
{
	AUTO(freep) char *folder = xstrdup(key);
	bool same = m->last.len > 0; /* as the path before, up to here */

	for (size_t i = 0; key[i]; i++) {
		same = same && i < m->last.len && m->last.data[i] == key[i];
		if (key[i] != '/')
			continue;
		if (!same) {
			enum status st;

			folder[i] = '\0';
			st = i ? check_folder(m, folder, &m->clashes[i], err) : ST_OK;
			if (st != ST_OK)
				return st;
			folder[i] = '/';
		}
		*clash_out |= m->clashes[i];
	}
	buf_clear(&m->last);
	buf_adds(&m->last, key);
	return ST_OK;
}

/* Has ours paths below `key`, a file of theirs? */
static enum status check_below(struct merge *m, const char *key, bool *clash_out, struct err *err)
{
	AUTO(buf_release) struct buf folder = BUF_INIT;
	enum status st;

	buf_adds(&folder, key);
	buf_addc(&folder, '/');
	st = tree_iter_seek(m->in_ours, folder.data, err);
	while (st == ST_OK) {
		struct tree_entry entry;
		bool clash;

		st = tree_iter_next(m->in_ours, &entry, err);
		if (st == ST_END || (st == ST_OK && strncmp(entry.key, folder.data, folder.len)))
			return ST_OK;
		if (st == ST_OK)
			st = judge(m, &entry, &clash, err);
		if (st == ST_OK)
			*clash_out |= clash;
	}
	return st;
}

/* Takes a path that theirs brings and ours lacks. */
static enum status add_new(struct merge *m, const struct tree_difference *theirs, struct err *err)
{
	bool clash = false;
	enum status st;

	if (!m->in_ours)
		m->in_ours = tree_iter_new(m->store, m->ours);
	st = check_above(m, theirs->key, &clash, err);
	if (st == ST_OK)
		st = check_below(m, theirs->key, &clash, err);
	if (st != ST_OK)
		return st;
	if (!clash || m->prefer == TREE_PREFER_THEIRS)
		add_pending(m, theirs->key, theirs->b, theirs->b_len);
	else if (m->prefer != TREE_PREFER_OURS)
		disagree(m, theirs->key);
	return ST_OK;
}

/* ---- path by path ---- */

enum status merge_take_theirs(struct merge *m, const struct tree_difference *theirs, bool ours_has,
			      struct err *err)
{
	if (theirs->b && !ours_has)
		return add_new(m, theirs, err);
	add_pending(m, theirs->key, theirs->b, theirs->b_len);
	return ST_OK;
}

static bool same_state(const struct tree_difference *x, const struct tree_difference *y)
{
	if (!x->b || !y->b)
		return !x->b && !y->b;
	return x->b_len == y->b_len && memcmp(x->b, y->b, x->b_len) == 0;
}

enum status merge_both_differ(struct merge *m, const struct tree_difference *ours,
			      const struct tree_difference *theirs, struct err *err)
{
	if (same_state(ours, theirs) || m->prefer == TREE_PREFER_OURS)
		return ST_OK;
	if (m->prefer == TREE_PREFER_THEIRS)
		return merge_take_theirs(m, theirs, ours->b != NULL, err);
	disagree(m, theirs->key);
	return ST_OK;
}

static enum status next(struct tree_diff *d, struct tree_difference *out, bool *has_out,
			struct err *err)
{
	enum status st = tree_diff_next(d, out, err);

	*has_out = st == ST_OK;
	return st == ST_END ? ST_OK : st;
}

static enum status walk(struct merge *m, struct err *err)
{
	AUTO(tree_diff_freep) struct tree_diff *ours = NULL;
	AUTO(tree_diff_freep) struct tree_diff *theirs = NULL;
	struct tree_difference o, t;
	bool has_o = false, has_t = false;
	enum status st;

	ours = tree_diff_new(m->store, m->base, m->ours, "");
	theirs = tree_diff_new(m->store, m->base, m->theirs, "");
	st = next(ours, &o, &has_o, err);
	if (st == ST_OK)
		st = next(theirs, &t, &has_t, err);
	while (st == ST_OK && has_t) {
		int order = has_o ? strcmp(o.key, t.key) : 1;

		if (order == 0)
			st = merge_both_differ(m, &o, &t, err);
		else if (order > 0)
			st = merge_take_theirs(m, &t, t.a != NULL, err);
		if (st == ST_OK && order >= 0)
			st = next(theirs, &t, &has_t, err);
		if (st == ST_OK && order <= 0)
			st = next(ours, &o, &has_o, err);
	}
	return st;
}

/* ---- the outcome ---- */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct tree_change *)a)->key, ((const struct tree_change *)b)->key);
}

static void list_conflicts(const struct merge *m, struct buf *out)
{
	AUTO(freep) const char **list = xmalloc(m->n_conflicts * sizeof(*list));
	const char *p = m->conflict_texts.data;

	for (size_t i = 0; i < m->n_conflicts; i++) {
		list[i] = p;
		p += strlen(p) + 1;
	}
	qsort(list, m->n_conflicts, sizeof(*list), by_text);
	for (size_t i = 0; i < m->n_conflicts; i++)
		if (i == 0 || strcmp(list[i - 1], list[i]) != 0)
			buf_add(out, list[i], strlen(list[i]) + 1);
}

static enum status apply_pending(const struct merge *m, struct hash *root_out, struct err *err)
{
	AUTO(freep) struct tree_change *list = xmalloc(m->n_pending * sizeof(*list));
	size_t n = 0;

	for (size_t i = 0; i < m->n_pending; i++) {
		const struct pending *p = &m->pending[i];
		const char *key = m->texts.data + p->at;

		list[i] = (struct tree_change){
			.key = key,
			.value = p->remove ? NULL : key + strlen(key) + 1,
			.value_len = p->value_len,
		};
	}
	if (m->n_pending)
		qsort(list, m->n_pending, sizeof(*list), by_key);
	/* A path of ours may be dropped, or marked, for several of theirs. */
	for (size_t i = 0; i < m->n_pending; i++) {
		if (n && strcmp(list[n - 1].key, list[i].key) == 0) {
			assert(m->prefer == TREE_MARK || (!list[n - 1].value && !list[i].value));
			continue;
		}
		list[n++] = list[i];
	}
	return tree_apply_levels(m->store, m->ours, list, n, m->inner, root_out, err);
}

/* Fills m. */
static enum status find_changes(struct merge *m, struct err *err)
{
	bool done;
	enum status st = merge_nodes(m, &done, err);

	if (st != ST_OK || done)
		return st;
	for (size_t level = 0; level < TREE_LEVELS; level++)
		changes_release(&m->inner[level]);
	buf_clear(&m->texts);
	buf_clear(&m->conflict_texts);
	buf_clear(&m->last);
	m->n_pending = m->n_conflicts = 0;
	return walk(m, err);
}

enum status tree_merge(const struct node_store *store, const struct hash *base,
		       const struct hash *ours, const struct hash *theirs, enum tree_prefer prefer,
		       struct hash *root_out, struct buf *conflicts_out, struct err *err)
{
	AUTO(merge_release)
	struct merge m = {
		.store = store,
		.base = base,
		.ours = ours,
		.theirs = theirs,
		.prefer = prefer,
	};
	enum status st;

	if (hash_equal(base, ours) || hash_equal(ours, theirs)) {
		*root_out = *theirs;
		return ST_OK;
	}
	if (hash_equal(base, theirs)) {
		*root_out = *ours;
		return ST_OK;
	}
	st = find_changes(&m, err);
	if (st != ST_OK)
		return st;
	if (m.n_conflicts) {
		list_conflicts(&m, conflicts_out);
		return err_set(err, ST_CONFLICT, "paths were changed on both sides");
	}
	return apply_pending(&m, root_out, err);
}
