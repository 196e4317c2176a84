/* One node of a tree, in memory and as bytes. Not for use outside model/.
 *
 * A node's bytes:
 *
 *   1        format, 1
 *   1        level; 0 is a leaf
 *   varint   number of items, at least 1
 *   then each item, keys ascending, no key twice:
 *     varint   bytes that its key shares with the key before, all of them (0 for
 *              the first)
 *     varint   bytes that follow of the key, then these
 *     leaf:    varint n, n bytes value
 *     inner:   32 bytes, the child's hash; varint, the entries below it
 *
 * An inner item's key is the greatest key below its child. Keys are 1 to 1,024
 * bytes without a NUL, compared as unsigned bytes.
 *
 * Where a node ends is decided by one item at a time. With
 *
 *   h  the first four bytes, big-endian, of SHA-256(level byte, key)
 *   s  key length + value length + 8 in a leaf, key length + 40 in an inner
 *      node
 *
 * an item is the last of its node where h * 4096 < s * 2^32, and the last item
 * of a level ends its node too. So a node holds 4 KiB on average whatever the
 * items' sizes; its size is distributed geometrically (one in 10^8 is over 18
 * times the average, an item of 4 KiB or more always ends its node), and the
 * decision depends on no neighbour, on no order of changes and on no value's
 * content. Level after level is built so, until one has a single node: the
 * root. All of this is part of the format. */
#ifndef TIDEMARK_MODEL_NODE_H
#define TIDEMARK_MODEL_NODE_H

#include "core/model/tree.h"

#define TREE_KEY_MAX 1024
#define TREE_VALUE_MAX (64u << 20)
/* No tree that fits on a disk has more; deeper nodes are damaged. */
#define TREE_LEVELS 32

struct node_item {
	const char *key; /* ends with a NUL */
	size_t key_len;
	const void *value; /* leaf */
	size_t value_len;
	struct hash child; /* inner */
	uint64_t count; /* entries below; 1 in a leaf */
	const unsigned char *end; /* of its bytes in the node that it was read from */
};

struct node {
	unsigned refs;
	struct hash id;
	unsigned level;
	uint64_t count; /* entries below */
	struct node_item *items;
	size_t n; /* at least 1 */
	struct shared *raw;
	struct buf keys;
};

/* Reads and checks a node. A node that is missing is damage: its parent, or a
 * commit, names it. */
MUST_CHECK enum status node_read(const struct node_store *store, const struct hash *id,
				 struct node **out, struct err *err);
/* The child of item i; checks also that it is what its parent says. */
MUST_CHECK enum status node_read_child(const struct node_store *store, const struct node *parent,
				       size_t i, struct node **out, struct err *err);
/* The check alone, of a node that was read before. */
MUST_CHECK enum status node_check_child(const struct node *parent, size_t i, const struct node *n,
					struct err *err);
struct node *node_ref(struct node *n);
void node_unref(struct node *n);
AUTO_DESTRUCTOR(struct node, node_unref)

/* ST_DAMAGED, in words. */
enum status node_damaged(const struct hash *id, const char *why, struct err *err);

/* The first item whose key is >= key; n where there is none. */
size_t node_find(const struct node *n, const char *key);

/* The same by a node's bytes, which are only read up to there: for one look at a
 * node a tenth of what decoding it costs. */
struct node_hit {
	struct shared *raw; /* held; the item points into it */
	unsigned level;
	bool found;
	bool equal; /* the item's key is the key */
	struct node_item item; /* without its key */
};
void node_hit_release(struct node_hit *hit);
/* out: all zero, or released. */
MUST_CHECK enum status node_look(const struct node_store *store, const struct hash *id,
				 const char *key, struct node_hit *out, struct err *err);

bool node_ends_at(unsigned level, const struct node_item *item);

/* Builds nodes of one level out of items in ascending order. */
struct node_builder {
	unsigned level;
	struct buf body;
	struct buf last_key;
	size_t n;
	uint64_t count;
};

void node_builder_release(struct node_builder *b);
void node_builder_add(struct node_builder *b, const struct node_item *item);
/* The items [from, to) of a node that was read, as if added one by one. */
void node_builder_add_items(struct node_builder *b, const struct node *n, size_t from, size_t to);
/* Stores the node, whose last key is b->last_key, and empties b. n >= 1. */
MUST_CHECK enum status node_builder_put(struct node_builder *b, const struct node_store *store,
					struct hash *id_out, struct err *err);

#endif
