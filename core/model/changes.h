/* Changes of the items of one level of a tree. Not for use outside model/. */
#ifndef TIDEMARK_MODEL_CHANGES_H
#define TIDEMARK_MODEL_CHANGES_H

#include "core/model/node.h"

/* The item with that key is to be gone, or to name that child, with so many
 * entries below. The key is an offset into the list's texts while the list
 * grows, hence no pointer. */
struct change {
	size_t key_at;
	size_t key_len;
	bool remove;
	struct hash child;
	uint64_t count;
};

/* Ascending by key, no key twice. */
struct changes {
	struct change *items;
	size_t n;
	size_t cap;
	struct buf texts;
};

void changes_add(struct changes *c, const char *key, size_t key_len, bool remove,
		 const struct hash *child, uint64_t count);
void changes_release(struct changes *c);
/* Ends with a NUL; valid until the list grows. */
static inline const char *change_key(const struct changes *c, size_t i)
{
	return c->texts.data + c->items[i].key_at;
}
/* Appends what is in either list; of one key b's alone, and none of both where
 * they name the same child. */
void changes_join(const struct changes *a, const struct changes *b, struct changes *out);

/* tree_apply() with changes of inner nodes besides: inner[l] is about the items
 * of nodes of level l, 1 or more. What they put in are whole subtrees of the
 * store, whose own nodes stay as they are. So a subtree that is put in or taken
 * out has to begin behind an item that ends its nodes, up to that level, both in
 * the old tree and in the new one, and no leaf's change may lie in it. */
MUST_CHECK enum status tree_apply_levels(const struct node_store *store, const struct hash *root,
					 const struct tree_change *changes, size_t n,
					 const struct changes inner[TREE_LEVELS],
					 struct hash *root_out, struct err *err);

#endif
