/* A set of hashes for gc, compact: open addressing over the first bytes of the
 * hash, or over a salted sum of them.
 *
 * MARK_EXACT keeps 128 bits: two hashes that are taken for one are not to be
 * feared. For what has children (nodes, commits), where to pass over one would
 * lose what lies below it.
 * MARK_SHORT keeps 64 bits, of a sum that the salt decides: once in some
 * hundred thousand runs at 10^7 hashes two are taken for one. For what has
 * none (objects): garbage is kept then, and another salt finds it.
 *
 * Memory: 10 to 15 bytes a hash short, 20 to 29 exact. One thread changes it. */
#ifndef TIDEMARK_EMBEDDED_MARK_SET_H
#define TIDEMARK_EMBEDDED_MARK_SET_H

#include "core/base/base.h"

enum mark_width { MARK_SHORT = 1, MARK_EXACT = 2 };

struct mark_set;
struct mark_set *mark_set_new(enum mark_width width, uint64_t salt);
void mark_set_free(struct mark_set *set);
AUTO_DESTRUCTOR(struct mark_set, mark_set_free)
/* False where it was there already. */
bool mark_set_add(struct mark_set *set, const unsigned char hash[32]);
bool mark_set_has(const struct mark_set *set, const unsigned char hash[32]);
size_t mark_set_count(const struct mark_set *set);
size_t mark_set_bytes(const struct mark_set *set); /* of memory */

#endif
