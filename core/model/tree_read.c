/* Reading a tree: one path, an iteration, the nodes themselves. */
#include <stdlib.h>
#include <string.h>

#include "core/model/cursor.h"

struct tree_iter {
	struct node_store store;
	struct cursor at;
	bool placed;
	bool shown; /* the current item was given out already */
};

enum status tree_lookup(const struct node_store *store, const struct hash *root, const char *path,
			struct buf *value_out, struct err *err)
{
	struct hash id = *root;
	unsigned above = TREE_LEVELS;

	while (above && !hash_is_zero(&id)) {
		AUTO(node_hit_release) struct node_hit hit = {.found = false};
		enum status st = node_look(store, &id, path, &hit, err);

		if (st != ST_OK)
			return st;
		if (!hit.found && above == TREE_LEVELS)
			break; /* behind the tree's last */
		if (!hit.found || (above < TREE_LEVELS && hit.level + 1 != above))
			return node_damaged(&id, "is not what its parent says", err);
		if (hit.level == 0 && !hit.equal)
			break;
		if (hit.level == 0) {
			buf_add(value_out, hit.item.value, hit.item.value_len);
			return ST_OK;
		}
		id = hit.item.child;
		above = hit.level;
	}
	return err_set(err, ST_NOT_FOUND, "no path '%s'", path);
}

struct tree_iter *tree_iter_new(const struct node_store *store, const struct hash *root)
{
	struct tree_iter *it = xcalloc(1, sizeof(*it));

	it->store = *store;
	cursor_init(&it->at, &it->store, root);
	return it;
}

void tree_iter_free(struct tree_iter *it)
{
	if (!it)
		return;
	cursor_release(&it->at);
	free(it);
}

enum status tree_iter_seek(struct tree_iter *it, const char *key, struct err *err)
{
	it->placed = true;
	it->shown = false;
	return cursor_seek(&it->at, key, 0, err);
}

enum status tree_iter_next(struct tree_iter *it, struct tree_entry *out, struct err *err)
{
	const struct node_item *item;
	enum status st = ST_OK;

	if (!it->placed)
		st = cursor_first(&it->at, err);
	else if (it->shown)
		cursor_skip(&it->at);
	it->placed = true;
	it->shown = false;
	while (st == ST_OK && it->at.depth && cursor_node(&it->at)->level)
		st = cursor_descend(&it->at, err);
	if (st != ST_OK)
		return st;
	item = cursor_item(&it->at);
	if (!item)
		return ST_END;
	it->shown = true;
	*out = (struct tree_entry){
		.key = item->key,
		.key_len = item->key_len,
		.value = item->value,
		.value_len = item->value_len,
	};
	return ST_OK;
}

/* ---- walks ---- */

struct walk {
	const struct node_store *store;
	bool (*visit)(void *ctx, const struct hash *node);
	/* NULL: then a leaf is visited without being read, its parent says that it
	 * is one. */
	enum status (*entry)(void *ctx, const struct tree_entry *entry, struct err *err);
	void *ctx;
};

static enum status walk_leaf(const struct walk *w, const struct node *n, struct err *err)
{
	enum status st = ST_OK;

	for (size_t i = 0; w->entry && st == ST_OK && i < n->n; i++) {
		const struct tree_entry entry = {
			.key = n->items[i].key,
			.key_len = n->items[i].key_len,
			.value = n->items[i].value,
			.value_len = n->items[i].value_len,
		};

		st = w->entry(w->ctx, &entry, err);
	}
	return st;
}

static enum status walk_node(const struct walk *w, const struct node *n, struct err *err)
{
	if (n->level == 0)
		return walk_leaf(w, n, err);
	for (size_t i = 0; i < n->n; i++) {
		AUTO(node_unrefp) struct node *child = NULL;
		enum status st;

		if (!w->visit(w->ctx, &n->items[i].child) || (n->level == 1 && !w->entry))
			continue;
		st = node_read_child(w->store, n, i, &child, err);
		if (st == ST_OK)
			st = walk_node(w, child, err);
		if (st != ST_OK)
			return st;
	}
	return ST_OK;
}

enum status tree_walk(const struct node_store *store, const struct hash *root,
		      bool (*visit)(void *ctx, const struct hash *node),
		      enum status (*entry)(void *ctx, const struct tree_entry *entry,
					   struct err *err),
		      void *ctx, struct err *err)
{
	const struct walk w = {.store = store, .visit = visit, .entry = entry, .ctx = ctx};
	AUTO(node_unrefp) struct node *n = NULL;
	enum status st;

	if (hash_is_zero(root) || !visit(ctx, root))
		return ST_OK;
	st = node_read(store, root, &n, err);
	return st == ST_OK ? walk_node(&w, n, err) : st;
}

enum status tree_walk_nodes(const struct node_store *store, const struct hash *root,
			    bool (*visit)(void *ctx, const struct hash *node), void *ctx,
			    struct err *err)
{
	return tree_walk(store, root, visit, NULL, ctx, err);
}
