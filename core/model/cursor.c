#include "core/model/cursor.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define RECENT_NODE_BYTES (16 * 1024)

void cursor_recent_free(struct cursor_recent *r)
{
	for (size_t i = 0; r && i < CURSOR_RECENT; i++)
		node_unref(r->nodes[i]);
	free(r);
}

void cursor_init(struct cursor *c, const struct node_store *store, const struct hash *root)
{
	memset(c, 0, sizeof(*c));
	c->store = store;
	c->root = *root;
}

void cursor_release(struct cursor *c)
{
	for (size_t i = 0; i < TREE_LEVELS; i++) {
		node_unref(c->path[i].node);
		c->path[i].node = NULL;
	}
	c->depth = 0;
}

enum status cursor_first(struct cursor *c, struct err *err)
{
	c->depth = 0;
	if (hash_is_zero(&c->root))
		return ST_OK;
	if (!c->path[0].node) {
		enum status st = node_read(c->store, &c->root, &c->path[0].node, err);

		if (st != ST_OK)
			return st;
	}
	c->path[0].i = 0;
	c->depth = 1;
	return ST_OK;
}

static enum status read_child(const struct cursor *c, const struct node *parent, size_t i,
			      struct node **out, struct err *err)
{
	const struct hash *id = &parent->items[i].child;
	struct node **slot =
		c->recent && parent->level > 1 ? &c->recent->nodes[id->bytes[0]] : NULL;
	enum status st;

	if (slot && *slot && hash_equal(&(*slot)->id, id)) {
		st = node_check_child(parent, i, *slot, err);
		if (st == ST_OK)
			*out = node_ref(*slot);
		return st;
	}
	st = node_read_child(c->store, parent, i, out, err);
	if (st == ST_OK && slot && (*out)->raw->len <= RECENT_NODE_BYTES) {
		node_unref(*slot);
		*slot = node_ref(*out);
	}
	return st;
}

enum status cursor_descend(struct cursor *c, struct err *err)
{
	const struct node *parent = cursor_node(c);
	size_t i = cursor_index(c);
	struct node **slot;

	assert(parent->level > 0);
	/* Levels fall by one a step, which node_read_child() checks. */
	assert(c->depth < TREE_LEVELS);
	slot = &c->path[c->depth].node;
	if (!*slot || !hash_equal(&(*slot)->id, &parent->items[i].child)) {
		struct node *n;
		enum status st = read_child(c, parent, i, &n, err);

		if (st != ST_OK) {
			c->depth = 0;
			return st;
		}
		node_unref(*slot);
		*slot = n;
	}
	c->path[c->depth].i = 0;
	c->depth++;
	return ST_OK;
}

static enum status seek(struct cursor *c, const char *key, unsigned level, bool or_last,
			struct err *err)
{
	enum status st = cursor_first(c, err);

	while (st == ST_OK && c->depth) {
		const struct node *n = cursor_node(c);
		size_t i = node_find(n, key);

		if (i == n->n) { /* only at the root: an inner key is its child's last */
			if (!or_last) {
				c->depth = 0;
				return ST_OK;
			}
			i = n->n - 1;
		}
		c->path[c->depth - 1].i = i;
		if (n->level <= level)
			return ST_OK;
		st = cursor_descend(c, err);
	}
	return st;
}

enum status cursor_seek(struct cursor *c, const char *key, unsigned level, struct err *err)
{
	return seek(c, key, level, false, err);
}

enum status cursor_seek_last(struct cursor *c, const char *key, unsigned level, struct err *err)
{
	return seek(c, key, level, true, err);
}

void cursor_skip(struct cursor *c)
{
	while (c->depth) {
		struct node *n = c->path[c->depth - 1].node;

		if (++c->path[c->depth - 1].i < n->n)
			return;
		c->depth--;
	}
}

void cursor_skip_node(struct cursor *c)
{
	if (!c->depth)
		return;
	c->depth--;
	cursor_skip(c);
}

bool cursor_at_last_node(const struct cursor *c)
{
	for (size_t d = 0; d + 1 < c->depth; d++)
		if (c->path[d].i + 1 < c->path[d].node->n)
			return false;
	return true;
}
