/* A cache of nodes' and commits' bytes by their hash, least recently used out
 * first, bounded in bytes. Leaves come and go with each path that is asked for or
 * changed, and do not push out the few nodes above them, which are on the way to many.
 * From any thread. */
#ifndef TIDEMARK_EMBEDDED_NODE_CACHE_H
#define TIDEMARK_EMBEDDED_NODE_CACHE_H

#include "core/base/shared.h"

enum node_use {
	NODE_LEAF,
	NODE_UPPER, /* a tree's inner node, or a commit */
	NODE_USES
};

struct node_cache;
struct node_cache *node_cache_new(size_t max_bytes);
void node_cache_free(struct node_cache *cache);
/* The bytes, held for the caller; NULL where they are not here. */
struct shared *node_cache_get(struct node_cache *cache, const unsigned char id[32]);
/* Holds the bytes too; what is there already stays. */
void node_cache_put(struct node_cache *cache, const unsigned char id[32], enum node_use use,
		    struct shared *bytes);
/* Fine where it is not here. */
void node_cache_remove(struct node_cache *cache, const unsigned char id[32]);

#endif
