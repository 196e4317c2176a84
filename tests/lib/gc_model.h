/* What gc must keep, naively: everything of a closed lake is read into memory,
 * and what the rules of lake_gc_options reach is found by asking every commit
 * and every tree, one by one, without a mark that is shared. */
#ifndef TIDEMARK_TESTS_GC_MODEL_H
#define TIDEMARK_TESTS_GC_MODEL_H

#include "core/lake.h"

struct gc_model_count {
	size_t commits, nodes, small, files, marks;
};

/* Fails the test where the lake in dir holds anything that the options at
 * now_ms do not keep, or lacks what they keep. An object that history alone names
 * must be gone and marked as expired. Nobody has the lake open. */
void gc_model_check(const char *dir, const struct lake_gc_options *options, int64_t now_ms,
		    struct gc_model_count *out);

#endif
