/* The naive model that trees are tested against: a sorted array of pairs. */
#ifndef TIDEMARK_TESTS_MODEL_SET_H
#define TIDEMARK_TESTS_MODEL_SET_H

#include "core/base/clock.h"
#include "core/model/tree.h"

struct pair {
	char *key;
	char *value;
	size_t value_len;
};

struct set {
	struct pair *items;
	size_t n;
	size_t cap;
};

void set_release(struct set *s);
const struct pair *set_get(const struct set *s, const char *key);
size_t set_find(const struct set *s, const char *key); /* first >= key */
void set_put(struct set *s, const char *key, const void *value, size_t len);
void set_remove(struct set *s, const char *key);
void set_copy(struct set *to, const struct set *from);

/* A path out of a small world of nested names, so that paths collide, share
 * prefixes and are now and then each other's folders. */
void random_path(struct rng *r, unsigned world, char out[128]);
/* 0 to max bytes, any values. */
size_t random_value(struct rng *r, size_t max, char *out);

/* Applies n random changes to both; returns the new root. */
struct hash mutate(struct rng *r, const struct node_store *store, const struct hash *root,
		   struct set *s, size_t n, unsigned world);
/* The root of exactly this set, in one go. */
struct hash root_of(const struct node_store *store, const struct set *s);

#endif
