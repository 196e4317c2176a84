/* Merges and reverts: a three-way merge of trees into a prepared commit. */
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

/* The merged tree; base none: the empty tree. */
static enum status merge_trees(struct embedded *e, const struct lake_merge *m,
			       const struct lake_id *base, struct hash *root_out,
			       struct lake_conflicts *conflicts_out, struct err *err)
{
	struct node_store store = embedded_nodes(e);
	AUTO(buf_release) struct buf paths = BUF_INIT;
	struct hash base_root = {{0}};
	struct hash ours;
	struct hash theirs;
	enum status st = ST_OK;

	if (!lake_id_is_none(base))
		st = embedded_tree(e, base, &base_root, err);
	if (st == ST_OK)
		st = embedded_tree(e, &m->dest, &ours, err);
	if (st == ST_OK)
		st = embedded_tree(e, &m->source, &theirs, err);
	if (st != ST_OK)
		return st;
	st = tree_merge(&store, &base_root, &ours, &theirs, prefer_of(m->strategy), root_out,
			&paths, err);
	return st == ST_CONFLICT ? conflict(&paths, "merge", conflicts_out, err) : st;
}

enum status embedded_merge_prepare(struct lake *lake, const struct lake_merge *merge,
				   struct lake_id *out, struct lake_conflicts *conflicts_out,
				   struct err *err)
{
	struct embedded *e = embedded_of(lake);
	struct commit_store commits = embedded_commits(e);
	const struct lake_id parents[2] = {merge->dest, merge->source};
	struct new_commit c = {
		.parents = parents, .n_parents = 2, .message = merge->message, .meta = merge->meta};
	struct lake_id base;
	enum status st = space_take(&e->space, 0, err);

	if (st == ST_OK)
		st = history_merge_base(&commits, &merge->dest, &merge->source, &base, err);
	if (st != ST_OK)
		return st;
	if (!merge->allow_empty && lake_id_equal(&base, &merge->source))
		return err_set(err, ST_EMPTY, "the destination already holds all of the source");
	st = merge_trees(e, merge, &base, &c.root, conflicts_out, err);
	return st == ST_OK ? embedded_commit_make(e, &c, out, err) : st;
}

/* ---- revert ---- */

/* Undoes one commit in *root: what it changed against its first parent goes
 * back to that parent's state, unless it has changed since. */
static enum status undo(struct embedded *e, const struct lake_id *id, struct hash *root,
			struct lake_conflicts *conflicts_out, struct err *err)
{
	struct node_store store = embedded_nodes(e);
	AUTO(buf_release) struct buf paths = BUF_INIT;
	AUTO(commit_release) struct commit c = {0};
	char what[64];
	char hex[LAKE_ID_SHORT_BYTES];
	struct hash after;
	struct hash before;
	struct hash result;
	enum status st = embedded_commit_get(&e->base, id, &c, err);

	if (st != ST_OK)
		return st;
	lake_id_short(id, hex);
	if (c.public.n_parents == 0)
		return err_set(err, ST_USAGE,
			       "%s is the first commit: there is nothing before it to go back to",
			       hex);
	after = tree_of(&c);
	st = embedded_tree(e, &c.public.parents[0], &before, err);
	if (st != ST_OK)
		return st;
	st = tree_merge(&store, &after, root, &before, TREE_PREFER_NONE, &result, &paths, err);
	if (st == ST_CONFLICT) {
		snprintf(what, sizeof(what), "revert of %s", hex);
		return conflict(&paths, what, conflicts_out, err);
	}
	if (st == ST_OK)
		*root = result;
	return st;
}

enum status embedded_revert_prepare(struct lake *lake, const struct lake_id *head,
				    const struct lake_id *commits, size_t n, const char *message,
				    struct lake_id *out, struct lake_conflicts *conflicts_out,
				    struct err *err)
{
	struct embedded *e = embedded_of(lake);
	struct new_commit c = {.parents = head, .n_parents = 1, .message = message};
	struct hash start = {{0}};
	enum status st = space_take(&e->space, 0, err);

	if (st == ST_OK)
		st = embedded_tree(e, head, &start, err);
	c.root = start;
	for (size_t i = 0; st == ST_OK && i < n; i++)
		st = undo(e, &commits[i], &c.root, conflicts_out, err);
	if (st != ST_OK)
		return st;
	if (hash_equal(&c.root, &start))
		return err_set(err, ST_EMPTY, "the revert would change nothing");
	return embedded_commit_make(e, &c, out, err);
}
