/* `tidemark.offsets` of a file, by docs/format.md and not by the writer's code. */
#ifndef TIDEMARK_TESTS_ORACLE_RUNS_H
#define TIDEMARK_TESTS_ORACLE_RUNS_H

#include "core/base/base.h"

struct oracle_runs {
	struct oracle_run {
		int64_t from, to; /* both ends included */
	} * items;
	size_t n;
	int64_t least; /* of all offsets */
};

/* The runs in the order of the rows; false where the text is none. */
MUST_CHECK bool oracle_runs_parse(const char *text, struct oracle_runs *out);
void oracle_runs_release(struct oracle_runs *runs);

#endif
