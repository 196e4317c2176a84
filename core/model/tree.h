/* A commit's tree: an immutable, content-addressed, history-independent search
 * tree (a prolly tree) from path to entry. The same set of entries has the
 * same root whatever the order of the changes that led to it, so that equal
 * subtrees are skipped by comparing hashes.
 *
 * Pure: nodes come from and go to a node_store; nothing else is touched.
 * Entries' values are opaque bytes to the tree (entry.h says what they hold).
 *
 * Costs: lookup O(log n) node reads; apply O(changes x log n); diff and merge
 * O(differences x log n).
 *
 * Threads: an iterator belongs to one thread; the store may be shared. */
#ifndef TIDEMARK_MODEL_TREE_H
#define TIDEMARK_MODEL_TREE_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/shared.h"
#include "core/model/hash.h"

struct node_store {
	void *ctx;
	/* The node's bytes, held for the caller (ST_NOT_FOUND, ST_DAMAGED, ST_IO). The
	 * tree compares them with the hash where nobody has before. */
	enum status (*get)(void *ctx, const struct hash *id, struct shared **out, struct err *err);
	/* Stores bytes, verified, under their hash; storing again is fine. get finds them
	 * from then on. */
	enum status (*put)(void *ctx, const struct hash *id, struct shared *bytes, struct err *err);
};

/* The root of the empty tree is all zero and is not stored. */

/* Are these a leaf's bytes, which hold entries, and not those of a node above? */
bool tree_is_leaf(const void *node, size_t len);

/* Appends the value of path to out; ST_NOT_FOUND. */
MUST_CHECK enum status tree_lookup(const struct node_store *store, const struct hash *root,
				   const char *path, struct buf *value_out, struct err *err);

/* One entry, borrowed until the iterator moves. */
struct tree_entry {
	const char *key; /* ends with a NUL that key_len does not count */
	size_t key_len;
	const void *value;
	size_t value_len;
};

struct tree_iter;
struct tree_iter *tree_iter_new(const struct node_store *store, const struct hash *root);
void tree_iter_free(struct tree_iter *it);
AUTO_DESTRUCTOR(struct tree_iter, tree_iter_free)
/* Places the iterator before the first key >= key. */
MUST_CHECK enum status tree_iter_seek(struct tree_iter *it, const char *key, struct err *err);
/* ST_END after the last. A new iterator begins at the first key. */
MUST_CHECK enum status tree_iter_next(struct tree_iter *it, struct tree_entry *out,
				      struct err *err);

/* A change: value NULL removes the key (fine where it is absent). */
struct tree_change {
	const char *key;
	const void *value;
	size_t value_len;
};

/* changes: sorted by key (strcmp), no key twice. Writes the new nodes. */
MUST_CHECK enum status tree_apply(const struct node_store *store, const struct hash *root,
				  const struct tree_change *changes, size_t n,
				  struct hash *root_out, struct err *err);

/* One difference between two trees; a side that lacks the key has value NULL. */
struct tree_difference {
	const char *key;
	const void *a;
	size_t a_len;
	const void *b;
	size_t b_len;
};

struct tree_diff;
/* Differences of keys with the given prefix ("" all), in key order. */
struct tree_diff *tree_diff_new(const struct node_store *store, const struct hash *a,
				const struct hash *b, const char *prefix);
/* Before the first of tree_diff_next(), of a diff whose prefix is "": only keys
 * below `until`, and only keys from `from` on. */
void tree_diff_until(struct tree_diff *d, const char *until);
/* In place of tree_diff_next(): how many there are, or at least `limit` of them. A subtree
 * that only one side has is counted unread. */
MUST_CHECK enum status tree_diff_count(struct tree_diff *d, uint64_t limit, uint64_t *out,
				       struct err *err);
MUST_CHECK enum status tree_diff_from(struct tree_diff *d, const char *from, struct err *err);
/* A key with about as many differences before it as behind, for two diffs at
 * once; the caller's. NULL where less than `least` of the trees' leaves differ. Reads
 * the inner nodes of the highest level at which so many places differ, and above it. */
MUST_CHECK enum status tree_diff_middle(const struct node_store *store, const struct hash *a,
					const struct hash *b, size_t least, char **key_out,
					struct err *err);
MUST_CHECK enum status tree_diff_next(struct tree_diff *d, struct tree_difference *out,
				      struct err *err);
void tree_diff_free(struct tree_diff *d);
AUTO_DESTRUCTOR(struct tree_diff, tree_diff_free)

enum tree_prefer {
	TREE_PREFER_NONE,
	TREE_PREFER_OURS,
	TREE_PREFER_THEIRS,
	/* No conflict: each path that would be one gets a value that no entry
	 * equals. Such a tree serves as the base of another merge, in which both
	 * sides then differ from it there; it is never shown. */
	TREE_MARK,
};

/* Three-way merge by path: where only one side differs from base, that side's
 * state; where both differ and are equal, that; otherwise a conflict, unless
 * prefer says whose state wins. A deletion is a state. A result in which one
 * path is a file and another lies below it ("a" and "a/b"), where neither
 * input had both, is a conflict on both paths (prefer drops the other side's).
 * Conflicting paths are appended to conflicts_out, NUL-terminated each, sorted;
 * then ST_CONFLICT and root_out untouched. */
MUST_CHECK enum status tree_merge(const struct node_store *store, const struct hash *base,
				  const struct hash *ours, const struct hash *theirs,
				  enum tree_prefer prefer, struct hash *root_out,
				  struct buf *conflicts_out, struct err *err);

/* Calls visit for each node's hash that is reachable from root, a node before
 * its children; where visit returns false its children are skipped. */
MUST_CHECK enum status tree_walk_nodes(const struct node_store *store, const struct hash *root,
				       bool (*visit)(void *ctx, const struct hash *node), void *ctx,
				       struct err *err);
/* The same, and every entry of the nodes that are not skipped goes to entry(),
 * whose first status but ST_OK ends the walk and is returned. */
MUST_CHECK enum status tree_walk(const struct node_store *store, const struct hash *root,
				 bool (*visit)(void *ctx, const struct hash *node),
				 enum status (*entry)(void *ctx, const struct tree_entry *entry,
						      struct err *err),
				 void *ctx, struct err *err);

#endif
