/* Time and randomness are passed in, never taken: a simulation drives both.
 * A clock may be used from any thread; an rng belongs to one. */
#ifndef TIDEMARK_BASE_CLOCK_H
#define TIDEMARK_BASE_CLOCK_H

#include <pthread.h>

#include "core/base/base.h"

struct clock {
	int64_t (*wall_ms)(struct clock *c); /* since the epoch; may step */
	int64_t (*mono_us)(struct clock *c); /* never goes back */
	void (*sleep_ms)(struct clock *c, int64_t ms);
};

/* The machine's own clock; lives for ever. */
struct clock *clock_system(void);

struct timespec;
/* The machine's time in so many ms, for pthread_cond_timedwait(). */
void deadline_after(int64_t ms, struct timespec *out);

/* Waits for cond no longer than so many ms of the monotonic clock, which no step
 * of the wall's stretches; lock is held, and held again at the end. */
void cond_wait_ms(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t ms);

struct rng {
	uint64_t state;
};

struct rng rng_seeded(uint64_t seed); /* the same seed, the same numbers */
struct rng rng_system(void); /* seeded by the kernel */
uint64_t rng_next(struct rng *r);
uint64_t rng_below(struct rng *r, uint64_t limit); /* 0 <= n < limit; limit > 0 */

/* RFC 3339 in UTC with milliseconds: "2026-11-21T08:45:39.123Z". */
#define TIME_TEXT_BYTES 32
void time_format(int64_t wall_ms, char out[TIME_TEXT_BYTES]);
/* Parses RFC 3339, with any offset, fraction optional; a date alone is its
 * midnight in UTC. Returns false where the text is no time. */
MUST_CHECK bool time_parse(const char *text, int64_t *wall_ms_out);

#endif
