/* A place in a tree: a path of nodes from the root to an item of some level.
 * Not for use outside model/.
 *
 * Moving reads only nodes that are not on the path already; nodes that the path
 * has left stay for reuse, so that a seek nearby reads little. */
#ifndef TIDEMARK_MODEL_CURSOR_H
#define TIDEMARK_MODEL_CURSOR_H

#include "core/model/node.h"

/* Inner nodes that were read, by their hash: for who goes over the upper levels of
 * a tree more than once. All zero: none yet. */
#define CURSOR_RECENT 256
struct cursor_recent {
	struct node *nodes[CURSOR_RECENT];
};
void cursor_recent_free(struct cursor_recent *r);
AUTO_DESTRUCTOR(struct cursor_recent, cursor_recent_free)

struct cursor {
	const struct node_store *store;
	struct cursor_recent *recent; /* NULL: keeps none; set before it is placed */
	struct hash root;
	size_t depth; /* 0: behind the last item, or not placed yet */
	struct {
		struct node *node;
		size_t i;
	} path[TREE_LEVELS];
};

void cursor_init(struct cursor *c, const struct node_store *store, const struct hash *root);
void cursor_release(struct cursor *c);

/* Places it at the first item of the root. */
MUST_CHECK enum status cursor_first(struct cursor *c, struct err *err);
/* Places it, at the given level, at the first item >= key; behind the last
 * where there is none. A root below that level: as if its own were asked. */
MUST_CHECK enum status cursor_seek(struct cursor *c, const char *key, unsigned level,
				   struct err *err);
/* The same, but at the level's last item where there is none. */
MUST_CHECK enum status cursor_seek_last(struct cursor *c, const char *key, unsigned level,
					struct err *err);
/* To the first item of the child that the current item names. */
MUST_CHECK enum status cursor_descend(struct cursor *c, struct err *err);
/* Behind the current item: to the next in its node, else up and on. */
void cursor_skip(struct cursor *c);
/* Behind the last item of the current node. */
void cursor_skip_node(struct cursor *c);

static inline const struct node *cursor_node(const struct cursor *c)
{
	return c->depth ? c->path[c->depth - 1].node : NULL;
}
static inline size_t cursor_index(const struct cursor *c)
{
	return c->path[c->depth - 1].i;
}
static inline const struct node_item *cursor_item(const struct cursor *c)
{
	return c->depth ? &c->path[c->depth - 1].node->items[c->path[c->depth - 1].i] : NULL;
}
/* Is the current node the last of its level? */
bool cursor_at_last_node(const struct cursor *c);

#endif
