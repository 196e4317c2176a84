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
	AUTO(cursor_release) struct cursor c;
	const struct node_item *item;
	enum status st;

	cursor_init(&c, store, root);
	st = cursor_seek(&c, path, 0, err);
	if (st != ST_OK)
		return st;
	item = cursor_item(&c);
	if (!item || strcmp(item->key, path) != 0)
		return err_set(err, ST_NOT_FOUND, "no path '%s'", path);
	buf_add(value_out, item->value, item->value_len);
	return ST_OK;
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

/* A leaf is visited without being read: its parent says that it is one. */
static enum status walk(const struct node_store *store, struct node *n,
			bool (*visit)(void *ctx, const struct hash *node), void *ctx,
			struct err *err)
{
	for (size_t i = 0; n->level && i < n->n; i++) {
		AUTO(node_unrefp) struct node *child = NULL;
		enum status st;

		if (!visit(ctx, &n->items[i].child) || n->level == 1)
			continue;
		st = node_read_child(store, n, i, &child, err);
		if (st == ST_OK)
			st = walk(store, child, visit, ctx, err);
		if (st != ST_OK)
			return st;
	}
	return ST_OK;
}

enum status tree_walk_nodes(const struct node_store *store, const struct hash *root,
			    bool (*visit)(void *ctx, const struct hash *node), void *ctx,
			    struct err *err)
{
	AUTO(node_unrefp) struct node *n = NULL;
	enum status st;

	if (hash_is_zero(root) || !visit(ctx, root))
		return ST_OK;
	st = node_read(store, root, &n, err);
	return st == ST_OK ? walk(store, n, visit, ctx, err) : st;
}
