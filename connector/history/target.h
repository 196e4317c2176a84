/* Naming a checkpoint of a connector: a ref, `TOPIC:PARTITION:OFFSET`, an
 * RFC 3339 time (of commits), `record:TIME`. */
#ifndef TIDEMARK_HISTORY_TARGET_H
#define TIDEMARK_HISTORY_TARGET_H

#include "connector/history/publication.h"

struct position {
	char *topic;
	int32_t partition;
	int64_t offset; /* -1: latest */
};

void position_release(struct position *p);
/* "orders:0:1200" (or ":latest" where allowed); false where it is none. */
MUST_CHECK bool position_parse(const char *text, bool latest_allowed, struct position *out);

/* Finds the checkpoint that text names, in the history of head (a checkpoint):
 *   ref            itself, or the one that a target's commit shows
 *   position       with V the greatest recorded next offset of that partition
 *                  <= OFFSET, the oldest checkpoint with V
 *   time           the newest checkpoint not committed after it
 *   record:time    the newest checkpoint before any record that late
 * ST_NOT_FOUND, ST_USAGE with the remedy. */
MUST_CHECK enum status target_resolve(const struct line *line, const struct checkpoint *head,
				      const char *text, struct checkpoint *out, struct err *err);

/* The oldest checkpoint on head's line whose next offset of the partition is
 * greater than offset, within the present generation of the topic: the one that
 * read it. ST_NOT_FOUND. */
MUST_CHECK enum status target_after_offset(const struct line *line, const struct checkpoint *head,
					   const char *topic, int32_t partition, int64_t offset,
					   struct checkpoint *out, struct err *err);

#endif
