/* Changing a tree, level by level. The changes of a level rewrite the nodes
 * that they fall into, from a node's first item until a node ends where an old
 * one ended: from there on the old nodes hold. What became of the rewritten
 * nodes is the list of changes of the level above.
 *
 * Nodes are read in key order, and those of the levels above once for every
 * level below them; the cursor keeps recent ones for that. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/model/changes.h"
#include "core/model/cursor.h"

/* What one level is to become: the caller's changes at the leaves, those of the
 * level below above them. */
struct input {
	const struct tree_change *leaf; /* else inner */
	const struct changes *inner;
	size_t n;
	size_t next;
};

static const char *input_key(const struct input *in)
{
	return in->leaf ? in->leaf[in->next].key : change_key(in->inner, in->next);
}

/* Takes the next change; false where it is a removal. */
static bool input_take(struct input *in, struct node_item *out)
{
	size_t i = in->next++;

	if (in->leaf) {
		const struct tree_change *c = &in->leaf[i];

		*out = (struct node_item){
			.key = c->key,
			.key_len = strlen(c->key),
			.value = c->value,
			.value_len = c->value_len,
			.count = 1,
		};
		return c->value != NULL;
	}
	*out = (struct node_item){
		.key = change_key(in->inner, i),
		.key_len = in->inner->items[i].key_len,
		.child = in->inner->items[i].child,
		.count = in->inner->items[i].count,
	};
	return !in->inner->items[i].remove;
}

/* Where the rewritten nodes of one level go. */
struct output {
	const struct node_store *store;
	struct node_builder builder;
	struct changes removed; /* the old nodes */
	struct changes added; /* the new ones */
};

static void output_release(struct output *out)
{
	node_builder_release(&out->builder);
	changes_release(&out->removed);
	changes_release(&out->added);
}

static enum status output_flush(struct output *out, struct err *err)
{
	uint64_t count = out->builder.count;
	struct hash id;
	enum status st = node_builder_put(&out->builder, out->store, &id, err);

	if (st == ST_OK)
		changes_add(&out->added, out->builder.last_key.data, out->builder.last_key.len,
			    false, &id, count);
	return st;
}

static enum status output_item(struct output *out, const struct node_item *item, bool ends,
			       struct err *err)
{
	node_builder_add(&out->builder, item);
	return ends ? output_flush(out, err) : ST_OK;
}

static enum status output_change(struct output *out, struct input *in, struct err *err)
{
	struct node_item item;

	if (!input_take(in, &item))
		return ST_OK;
	return output_item(out, &item, node_ends_at(out->builder.level, &item), err);
}

/* The items [from, to) of an old node, which stay as they are. One that is not its
 * node's last ends none. */
static enum status output_old(struct output *out, const struct node *n, size_t from, size_t to,
			      struct err *err)
{
	node_builder_add_items(&out->builder, n, from, to);
	return to == n->n && node_ends_at(n->level, &n->items[to - 1]) ? output_flush(out, err)
								       : ST_OK;
}

/* One old node with the changes that fall into it. */
static enum status rewrite_node(const struct node *n, struct input *in, struct output *out,
				struct err *err)
{
	const struct node_item *last = &n->items[n->n - 1];
	enum status st = ST_OK;
	size_t i = 0;

	changes_add(&out->removed, last->key, last->key_len, true, &n->id, n->count);
	while (st == ST_OK && i < n->n) {
		size_t at = in->next < in->n ? node_find(n, input_key(in)) : n->n;

		if (at > i) {
			st = output_old(out, n, i, at, err);
			i = at;
		} else {
			i += strcmp(input_key(in), n->items[i].key) == 0;
			st = output_change(out, in, err);
		}
	}
	return st;
}

/* Rewrites from the node of the next change until old and new nodes end at
 * the same place. */
static enum status rewrite_run(struct cursor *c, struct input *in, struct output *out,
			       struct err *err)
{
	unsigned level = out->builder.level;
	enum status st = cursor_seek_last(c, input_key(in), level, err);

	while (st == ST_OK) {
		bool last = cursor_at_last_node(c);

		st = rewrite_node(cursor_node(c), in, out, err);
		while (last && st == ST_OK && in->next < in->n)
			st = output_change(out, in, err);
		if (st != ST_OK || out->builder.n == 0)
			return st;
		if (last)
			return output_flush(out, err);
		cursor_skip_node(c);
		while (st == ST_OK && cursor_node(c)->level > level)
			st = cursor_descend(c, err);
	}
	return st;
}

/* A level that was not there before: its nodes out of the changes alone. */
static enum status build_level(struct input *in, struct output *out, struct err *err)
{
	while (in->next < in->n) {
		enum status st = output_change(out, in, err);

		if (st != ST_OK)
			return st;
	}
	return out->builder.n ? output_flush(out, err) : ST_OK;
}

/* A root with a single child is not one: that child is, and so on. */
static enum status collapse(const struct node_store *store, const struct hash *top,
			    struct hash *root_out, struct err *err)
{
	struct hash id = *top;

	for (;;) {
		AUTO(node_unrefp) struct node *n = NULL;
		enum status st = node_read(store, &id, &n, err);

		if (st != ST_OK)
			return st;
		if (n->level == 0 || n->n > 1)
			break;
		id = n->items[0].child;
	}
	*root_out = id;
	return ST_OK;
}

/* Puts levels above the nodes in *top, which are a whole level, until one has a
 * single node. */
static enum status finish(const struct node_store *store, struct changes *top, unsigned level,
			  struct hash *root_out, struct err *err)
{
	while (top->n > 1) {
		AUTO(output_release) struct output out = {.store = store};
		struct input in = {.inner = top, .n = top->n};
		struct changes swap = *top;
		enum status st;

		if (++level >= TREE_LEVELS)
			return err_set(err, ST_FAILED, "a tree would need over %d levels",
				       TREE_LEVELS);
		out.builder.level = level;
		st = build_level(&in, &out, err);
		if (st != ST_OK)
			return st;
		*top = out.added;
		out.added = swap;
	}
	if (top->n == 0) {
		*root_out = (struct hash){.bytes = {0}};
		return ST_OK;
	}
	return collapse(store, &top->items[0].child, root_out, err);
}

/* ---- the whole ---- */

/* Rewrites one level of the old tree. */
static enum status apply_level(struct cursor *c, struct input *in, struct output *out,
			       struct err *err)
{
	while (in->next < in->n) {
		enum status st = rewrite_run(c, in, out, err);

		if (st != ST_OK)
			return st;
	}
	return ST_OK;
}

/* The changes of the level above one that was rewritten: an old node that is a
 * new one too is none, and one of the same key is replaced. */
static void level_above(const struct output *out, const struct changes *inner,
			struct changes *above)
{
	AUTO(changes_release) struct changes rewritten = {.n = 0};

	changes_release(above);
	if (!inner->n) {
		changes_join(&out->removed, &out->added, above);
		return;
	}
	changes_join(&out->removed, &out->added, &rewritten);
	changes_join(&rewritten, inner, above);
	assert(above->n == rewritten.n + inner->n);
}

static bool any_from(const struct changes inner[TREE_LEVELS], unsigned level)
{
	while (level < TREE_LEVELS)
		if (inner[level++].n)
			return true;
	return false;
}

static enum status apply(const struct node_store *store, const struct hash *root, struct input in,
			 const struct changes inner[TREE_LEVELS], struct hash *root_out,
			 struct err *err)
{
	AUTO(changes_release) struct changes below = {.n = 0};
	AUTO(cursor_recent_freep) struct cursor_recent *recent = xcalloc(1, sizeof(*recent));
	AUTO(cursor_release) struct cursor c;
	enum status st;

	cursor_init(&c, store, root);
	c.recent = recent;
	st = cursor_first(&c, err);
	if (st != ST_OK)
		return st;
	for (unsigned level = 0;; level++) {
		AUTO(output_release) struct output out = {.store = store};
		const struct node *top = c.path[0].node;

		out.builder.level = level;
		st = top ? apply_level(&c, &in, &out, err) : build_level(&in, &out, err);
		if (st != ST_OK)
			return st;
		if (in.n == 0 && !any_from(inner, level + 1)) {
			*root_out = *root;
			return ST_OK;
		}
		if (!top || level == top->level)
			return finish(store, &out.added, level, root_out, err);
		level_above(&out, &inner[level + 1], &below);
		in = (struct input){.inner = &below, .n = below.n};
	}
}

static enum status check(const struct tree_change *changes, size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(changes[i].key);

		if (len == 0 || len > TREE_KEY_MAX)
			return err_set(err, ST_USAGE, "a tree's key has %zu bytes, not 1 to %d",
				       len, TREE_KEY_MAX);
		if (changes[i].value && changes[i].value_len > TREE_VALUE_MAX)
			return err_set(err, ST_USAGE, "the entry of '%s' has %zu bytes, over %u",
				       changes[i].key, changes[i].value_len, TREE_VALUE_MAX);
		assert(i == 0 || strcmp(changes[i - 1].key, changes[i].key) < 0);
	}
	return ST_OK;
}

enum status tree_apply_levels(const struct node_store *store, const struct hash *root,
			      const struct tree_change *changes, size_t n,
			      const struct changes inner[TREE_LEVELS], struct hash *root_out,
			      struct err *err)
{
	enum status st = check(changes, n, err);

	if (st != ST_OK)
		return st;
	return apply(store, root, (struct input){.leaf = changes, .n = n}, inner, root_out, err);
}

enum status tree_apply(const struct node_store *store, const struct hash *root,
		       const struct tree_change *changes, size_t n, struct hash *root_out,
		       struct err *err)
{
	static const struct changes none[TREE_LEVELS];

	return tree_apply_levels(store, root, changes, n, none, root_out, err);
}
