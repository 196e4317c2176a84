/* Merges, reverts and cherry-picks: three-way merges of trees into a prepared
 * commit. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/embedded/store.h"

/* The paths in the buffer, NUL-terminated each, as the public list. */
static void conflicts_of(const struct buf *paths, struct lake_conflicts *out)
{
	struct lake_conflicts c = {.paths = NULL};
	size_t cap = 0;

	for (size_t at = 0; at < paths->len; at += strlen(paths->data + at) + 1) {
		GROW(c.paths, c.n, cap);
		c.paths[c.n++] = xstrdup(paths->data + at);
	}
	*out = c;
}

/* ST_CONFLICT from tree_merge: hands the paths out and says how many. */
static enum status conflict(const struct buf *paths, const char *what, struct lake_conflicts *out,
			    struct err *err)
{
	struct lake_conflicts c;
	enum status st;

	conflicts_of(paths, &c);
	st = err_set(err, ST_CONFLICT, "%s: %zu path%s conflict, the first is '%s'; nothing moved",
		     what, c.n, c.n == 1 ? "" : "s", c.n ? c.paths[0] : "");
	if (out)
		*out = c;
	else
		lake_conflicts_release(&c);
	return st;
}

static enum tree_prefer prefer_of(enum lake_strategy strategy)
{
	switch (strategy) {
	case LAKE_OURS:
		return TREE_PREFER_OURS;
	case LAKE_THEIRS:
		return TREE_PREFER_THEIRS;
	default:
		return TREE_PREFER_NONE;
	}
}

/* ---- the base ---- */

/* Merges of bases in one merge. Histories that cross so often are made by hand;
 * each crossing may double the work. */
#define BASE_MERGES_MAX 1000

static enum status base_of(struct embedded *e, const struct lake_id *ours, size_t n_ours,
			   const struct lake_id *theirs, unsigned *left, struct hash *out,
			   struct err *err);

/* Histories that crossed have several best bases. These are merged, the oldest
 * first, by the same rule as anything else; a path on which they disagree gets
 * a mark, which neither side of the merge proper can equal: so it is a conflict
 * there unless both sides have come to the same. */
static enum status merge_bases(struct embedded *e, const struct lake_id *bases, size_t n,
			       unsigned *left, struct hash *out, struct err *err)
{
	struct hash result;
	enum status st = embedded_tree(e, &bases[0], &result, err);

	for (size_t i = 1; st == ST_OK && i < n; i++) {
		struct hash ours = result, theirs, under;

		if ((*left)-- == 0)
			return err_set(err, ST_FAILED,
				       "the two histories have crossed too often to find what they "
				       "have in common; merge an older commit of the source first");
		st = base_of(e, bases, i, &bases[i], left, &under, err);
		if (st == ST_OK)
			st = embedded_tree(e, &bases[i], &theirs, err);
		if (st == ST_OK)
			st = embedded_tree_merge(e, &(struct merge_roots){&under, &ours, &theirs},
						 TREE_MARK, &result, NULL, err);
	}
	if (st == ST_OK)
		*out = result;
	return st;
}

/* The tree that a merge of theirs into ours (some commits, taken as merged)
 * starts from; empty where they have nothing in common. */
static enum status base_of(struct embedded *e, const struct lake_id *ours, size_t n_ours,
			   const struct lake_id *theirs, unsigned *left, struct hash *out,
			   struct err *err)
{
	struct commit_store commits = embedded_commits(e);
	AUTO(freep) struct lake_id *bases = NULL;
	size_t n = 0;
	enum status st = history_merge_bases(&commits, ours, n_ours, theirs, &bases, &n, err);

	*out = (struct hash){.bytes = {0}};
	return st == ST_OK && n ? merge_bases(e, bases, n, left, out, err) : st;
}

/* ---- merge ---- */

/* bases: the best common ancestors. */
static enum status merge_trees(struct embedded *e, const struct lake_merge *m,
			       const struct lake_id *bases, size_t n, struct hash *root_out,
			       struct lake_conflicts *conflicts_out, struct err *err)
{
	AUTO(buf_release) struct buf paths = BUF_INIT;
	unsigned left = BASE_MERGES_MAX;
	struct hash base = {{0}};
	struct hash ours, theirs;
	enum status st = n ? merge_bases(e, bases, n, &left, &base, err) : ST_OK;

	if (st == ST_OK)
		st = embedded_tree(e, &m->dest, &ours, err);
	if (st == ST_OK)
		st = embedded_tree(e, &m->source, &theirs, err);
	if (st != ST_OK)
		return st;
	st = embedded_tree_merge(e, &(struct merge_roots){&base, &ours, &theirs},
				 prefer_of(m->strategy), root_out, &paths, err);
	return st == ST_CONFLICT ? conflict(&paths, "merge", conflicts_out, err) : st;
}

enum status embedded_merge_prepare(struct lake *lake, const struct lake_merge *merge,
				   struct lake_id *out, struct lake_conflicts *conflicts_out,
				   struct err *err)
{
	struct embedded *e = embedded_of(lake);
	AUTO(gate_leave) struct gate_pass pass = gate_enter(&e->gate);
	struct commit_store commits = embedded_commits(e);
	const struct lake_id parents[2] = {merge->dest, merge->source};
	struct new_commit c = {
		.parents = parents, .n_parents = 2, .message = merge->message, .meta = merge->meta};
	AUTO(freep) struct lake_id *bases = NULL;
	size_t n = 0;
	enum status st = space_take(&e->space, 0, err);

	if (st == ST_OK)
		st = embedded_use(e, &merge->dest, err);
	if (st == ST_OK)
		st = embedded_use(e, &merge->source, err);
	if (st == ST_OK)
		st = history_merge_bases(&commits, &merge->dest, 1, &merge->source, &bases, &n,
					 err);
	if (st != ST_OK)
		return st;
	if (!merge->allow_empty && n && lake_id_equal(&bases[0], &merge->source))
		return err_set(err, ST_EMPTY, "the destination already holds all of the source");
	st = merge_trees(e, merge, bases, n, &c.root, conflicts_out, err);
	return st == ST_OK ? embedded_commit_make(e, &c, out, err) : st;
}

/* ---- revert and cherry-pick ---- */

/* The tree of the parent that a commit's changes are counted against: the
 * parent-th, from 1; 0: the only one, and of a merge the first where `merges`
 * allows that. A first commit's is the empty tree. */
static enum status tree_before(struct embedded *e, const struct commit *c, unsigned parent,
			       bool merges, struct hash *out, struct err *err)
{
	const struct lake_commit *p = &c->public;
	char hex[LAKE_ID_SHORT_BYTES];

	lake_id_short(&p->id, hex);
	if (parent > p->n_parents)
		return err_set(err, ST_USAGE, "%s has %zu parent%s, and no parent %u", hex,
			       p->n_parents, p->n_parents == 1 ? "" : "s", parent);
	if (!parent && p->n_parents > 1 && !merges)
		return err_set(err, ST_USAGE,
			       "%s is a merge: say against which of its %zu parents its changes "
			       "count (--parent 1: what it brought into its branch)",
			       hex, p->n_parents);
	*out = (struct hash){.bytes = {0}};
	return p->n_parents ? embedded_tree(e, &p->parents[parent ? parent - 1 : 0], out, err)
			    : ST_OK;
}

/* Takes into *root the way from one tree to another; ST_CONFLICT where *root
 * has come away from `from` there. */
static enum status take_change(struct embedded *e, const struct lake_id *id, const char *verb,
			       const struct hash *from, const struct hash *to, struct hash *root,
			       struct lake_conflicts *conflicts_out, struct err *err)
{
	AUTO(buf_release) struct buf paths = BUF_INIT;
	char what[64];
	char hex[LAKE_ID_SHORT_BYTES];
	struct hash result;
	enum status st = embedded_tree_merge(e, &(struct merge_roots){from, root, to},
					     TREE_PREFER_NONE, &result, &paths, err);

	if (st == ST_OK)
		*root = result;
	if (st != ST_CONFLICT)
		return st;
	lake_id_short(id, hex);
	snprintf(what, sizeof(what), "%s of %s", verb, hex);
	return conflict(&paths, what, conflicts_out, err);
}

static enum status undo(struct embedded *e, const struct lake_id *id, unsigned parent,
			struct hash *root, struct lake_conflicts *conflicts_out, struct err *err)
{
	AUTO(commit_release) struct commit c = {0};
	struct hash after, before;
	char hex[LAKE_ID_SHORT_BYTES];
	enum status st = embedded_commit_get(&e->base, id, &c, err);

	if (st != ST_OK)
		return st;
	lake_id_short(id, hex);
	if (c.public.n_parents == 0)
		return err_set(err, ST_USAGE,
			       "%s is the first commit: there is nothing before it to go back to",
			       hex);
	after = tree_of(&c);
	st = tree_before(e, &c, parent, true, &before, err);
	return st == ST_OK ? take_change(e, id, "revert", &after, &before, root, conflicts_out, err)
			   : st;
}

enum status embedded_revert_prepare(struct lake *lake, const struct lake_id *head,
				    const struct lake_revert *revert, struct lake_id *out,
				    struct lake_conflicts *conflicts_out, struct err *err)
{
	struct embedded *e = embedded_of(lake);
	AUTO(gate_leave) struct gate_pass pass = gate_enter(&e->gate);
	struct new_commit c = {.parents = head, .n_parents = 1, .message = revert->message};
	struct hash start = {{0}};
	enum status st = space_take(&e->space, 0, err);

	if (st == ST_OK)
		st = embedded_use(e, head, err);
	for (size_t i = 0; st == ST_OK && i < revert->n; i++)
		st = embedded_use(e, &revert->commits[i], err);
	if (st == ST_OK)
		st = embedded_tree(e, head, &start, err);
	c.root = start;
	for (size_t i = 0; st == ST_OK && i < revert->n; i++)
		st = undo(e, &revert->commits[i], revert->parent, &c.root, conflicts_out, err);
	if (st != ST_OK)
		return st;
	if (hash_equal(&c.root, &start))
		return err_set(err, ST_EMPTY, "the revert would change nothing");
	return embedded_commit_make(e, &c, out, err);
}

/* What the picked commit says of itself, but for what it is to a stream; and
 * where it comes from, under lakeFS's names. */
static void picked_meta(const struct lake_commit *from, struct lake_meta *out)
{
	char hex[LAKE_ID_HEX_BYTES];

	for (size_t i = 0; i < from->meta.n; i++)
		if (strncmp(from->meta.items[i].key, "tidemark.", 9) != 0)
			lake_meta_set(out, from->meta.items[i].key, from->meta.items[i].value);
	lake_id_hex(&from->id, hex);
	lake_meta_set(out, "cherry-pick-origin", hex);
	lake_meta_set(out, "cherry-pick-committer", from->committer);
}

enum status embedded_cherry_pick_prepare(struct lake *lake, const struct lake_id *head,
					 const struct lake_id *commit, unsigned parent,
					 struct lake_id *out, struct lake_conflicts *conflicts_out,
					 struct err *err)
{
	struct embedded *e = embedded_of(lake);
	AUTO(gate_leave) struct gate_pass pass = gate_enter(&e->gate);
	AUTO(commit_release) struct commit from = {0};
	AUTO(lake_meta_release) struct lake_meta meta = LAKE_META_INIT;
	struct new_commit c = {.parents = head, .n_parents = 1, .meta = &meta};
	struct hash before, after, start;
	enum status st = space_take(&e->space, 0, err);

	if (st == ST_OK)
		st = embedded_use(e, head, err);
	if (st == ST_OK)
		st = embedded_use(e, commit, err);
	if (st == ST_OK)
		st = embedded_commit_get(lake, commit, &from, err);
	if (st == ST_OK)
		st = tree_before(e, &from, parent, false, &before, err);
	if (st == ST_OK)
		st = embedded_tree(e, head, &start, err);
	if (st != ST_OK)
		return st;
	after = tree_of(&from);
	c.root = start;
	st = take_change(e, commit, "cherry-pick", &before, &after, &c.root, conflicts_out, err);
	if (st != ST_OK)
		return st;
	if (hash_equal(&c.root, &start))
		return err_set(err, ST_EMPTY, "the branch holds what the commit changed already");
	c.message = from.public.message;
	picked_meta(&from.public, &meta);
	return embedded_commit_make(e, &c, out, err);
}
