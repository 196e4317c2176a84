/* A cache of nodes and commits by their hash, least recently used out first,
 * bounded in bytes. From any thread. */
#ifndef TIDEMARK_EMBEDDED_NODE_CACHE_H
#define TIDEMARK_EMBEDDED_NODE_CACHE_H

#include "core/base/buf.h"

struct node_cache;
struct node_cache *node_cache_new(size_t max_bytes);
void node_cache_free(struct node_cache *cache);
/* Appends the bytes to out; false where they are not here. */
bool node_cache_get(struct node_cache *cache, const unsigned char id[32], struct buf *out);
/* Copies data in; what is there already stays. */
void node_cache_put(struct node_cache *cache, const unsigned char id[32], const void *data,
		    size_t len);
/* Fine where it is not here. */
void node_cache_remove(struct node_cache *cache, const unsigned char id[32]);

#endif
