/* What is old enough for gc, where a wall clock cannot be trusted alone: one that
 * has jumped ahead would make everything old at once.
 *
 * A lake that is written to tells the time itself, by its commits and its reflog.
 * So the pause between two of those, or from the newest of them until now, counts
 * for a quarter at most of the time that is to be retained. Where writes are
 * closer together than that, nothing changes; a jump of the clock takes away a
 * quarter, whatever it is followed by; and where seldom anything is written, more
 * is kept than was asked for. Times after now (the clock was set back) make
 * nothing older. */
#ifndef TIDEMARK_EMBEDDED_GC_AGE_H
#define TIDEMARK_EMBEDDED_GC_AGE_H

#include "core/base/base.h"

/* When something was written; milliseconds. */
struct gc_times {
	int64_t *items;
	size_t n;
	size_t cap;
};

void gc_times_add(struct gc_times *times, int64_t time_ms);
void gc_times_sort(struct gc_times *times);
void gc_times_release(struct gc_times *times);

/* What is from before the time returned has been retained long enough; INT64_MIN:
 * nothing has. times: sorted. retain_ms > 0. */
int64_t gc_aged_before(const struct gc_times *times, int64_t now_ms, int64_t retain_ms);

#endif
