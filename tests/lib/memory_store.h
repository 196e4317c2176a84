/* A node store in memory that counts, for tests of trees. */
#ifndef TIDEMARK_TESTS_MEMORY_STORE_H
#define TIDEMARK_TESTS_MEMORY_STORE_H

#include "core/model/tree.h"

struct memory_node {
	struct hash id;
	char *data;
	size_t len;
};

struct memory_store {
	struct memory_node *slots; /* open addressing by the hash's first bytes */
	size_t n;
	size_t cap;
	size_t gets;
	size_t puts;
	size_t bytes;
};

void memory_store_release(struct memory_store *m);
/* Stores any bytes, a node or not, under their hash. */
void memory_store_put(struct memory_store *m, const void *data, size_t len, struct hash *id_out);
struct node_store memory_store_nodes(struct memory_store *m);
/* NULL where it is not there. */
struct memory_node *memory_store_find(struct memory_store *m, const struct hash *id);

#endif
