/* A clock whose time moves only when it is told to: by the driver of a
 * simulation, and by whoever sleeps. One thread drives it; others may read it.
 * It holds no pointers but to functions, so that it may lie in memory that a
 * parent shares with its children. */
#ifndef TIDEMARK_TESTS_VIRTUAL_CLOCK_H
#define TIDEMARK_TESTS_VIRTUAL_CLOCK_H

#include <stdatomic.h>

#include "core/base/clock.h"

struct virtual_clock {
	struct clock clock;
	_Atomic int64_t us;
	int64_t wall_ms; /* at us 0 */
};

void virtual_clock_init(struct virtual_clock *c, int64_t wall_ms);
void virtual_clock_advance(struct virtual_clock *c, int64_t ms);
int64_t virtual_clock_ms(const struct virtual_clock *c);

/* A clock of its own in each process, that goes on by a millisecond whenever
 * somebody asks it: so that the same calls give the same times, and commits the
 * same ids. Sleeping takes no time. One thread. */
extern struct clock clock_ticks;

#endif
