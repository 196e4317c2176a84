/* From a record to where it is: `find TOPIC:PARTITION:OFFSET`. */
#ifndef TIDEMARK_HISTORY_FIND_H
#define TIDEMARK_HISTORY_FIND_H

#include "connector/history/target.h"

struct found {
	struct lake_id checkpoint; /* whose range holds the offset */
	char *path; /* the file; NULL: no visible record there */
	uint64_t row; /* in the file, from 0 */
	struct lake_id published; /* the target's commit that shows it; none: not shown */
};

void found_release(struct found *f);

/* ST_NOT_FOUND: the record is not in the lake. err says whether it is not read yet, was
 * before the start, is recorded as lost (skipped, say), or was taken out again, and by
 * which commit, why. */
MUST_CHECK enum status find_record(const struct line *line, const struct position *position,
				   struct found *out, struct err *err);

/* Does "1000-1040,1042" hold the offset, and at which row? */
MUST_CHECK bool offset_runs_find(const char *runs, int64_t offset, uint64_t *row_out);

#endif
