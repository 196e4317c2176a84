/* Checks that trees are what docs/format.md says: every node against its hash,
 * levels, counts, the order of keys, and where nodes end. Many trees share
 * nodes; each node is read once, whatever the number of trees.
 *
 * Memory: about 150 bytes and a key for each node. One thread. */
#ifndef TIDEMARK_MODEL_TREE_CHECK_H
#define TIDEMARK_MODEL_TREE_CHECK_H

#include "core/model/tree.h"

struct tree_check_visitor {
	void *ctx;
	/* One entry of a leaf: is it sound, and what it names? Called once for each
	 * entry of each leaf. */
	bool (*entry)(void *ctx, const char *path, const void *value, size_t len);
	/* A node that cannot be read, or is not as the format wants it. */
	void (*node)(void *ctx, const struct hash *id, const char *why);
};

struct tree_check;
/* The visitor is copied; what it points to outlives the check. */
struct tree_check *tree_check_new(const struct node_store *store,
				  const struct tree_check_visitor *visitor);
void tree_check_free(struct tree_check *c);
AUTO_DESTRUCTOR(struct tree_check, tree_check_free)

/* Is the tree sound, with all that its entries name? */
bool tree_check_root(struct tree_check *c, const struct hash *root);
/* Was this node part of a tree that was checked? */
bool tree_check_saw(const struct tree_check *c, const struct hash *node);
size_t tree_check_nodes(const struct tree_check *c);

/* Where an unsound tree is so: calls `entry` again for the entries of leaves
 * that hold an unsound one, and `node` for nodes that are unsound themselves.
 * Goes through unsound nodes only, `*steps` of them at most (counted down). */
void tree_check_blame(struct tree_check *c, const struct hash *root,
		      const struct tree_check_visitor *visitor, uint64_t *steps);

#endif
