/* Which of many values come more than once. Memory is bounded: beyond a million
 * values they are sorted in parts in a temporary file, and merged at the end.
 * Private to connector/gates. */
#ifndef TIDEMARK_GATES_UNIQUE_SET_H
#define TIDEMARK_GATES_UNIQUE_SET_H

#include "core/base/err.h"

struct unique_item {
	unsigned char digest[16];
	uint64_t file; /* where it is, for the caller */
	uint64_t row;
};

struct unique_set;

/* limit: items kept in memory; 0: a million. */
struct unique_set *unique_set_new(size_t limit);
void unique_set_free(struct unique_set *s);
AUTO_DESTRUCTOR(struct unique_set, unique_set_free)
MUST_CHECK enum status unique_set_add(struct unique_set *s, const struct unique_item *item,
				      struct err *err);

struct unique_result {
	uint64_t again; /* items whose value was there before */
	struct unique_item first, second; /* of the one that comes first again */
};

/* Ends the set. */
MUST_CHECK enum status unique_set_finish(struct unique_set *s, struct unique_result *out,
					 struct err *err);

#endif
