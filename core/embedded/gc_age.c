#include "core/embedded/gc_age.h"

#include <stdlib.h>

#define PAUSES 4 /* so many of them make up the time that is retained, at least */

void gc_times_add(struct gc_times *times, int64_t time_ms)
{
	GROW(times->items, times->n, times->cap);
	times->items[times->n++] = time_ms;
}

static int by_time(const void *x, const void *y)
{
	const int64_t *a = x, *b = y;

	return (*a > *b) - (*a < *b);
}

void gc_times_sort(struct gc_times *times)
{
	if (times->n)
		qsort(times->items, times->n, sizeof(*times->items), by_time);
}

void gc_times_release(struct gc_times *times)
{
	free(times->items);
	*times = (struct gc_times){.n = 0};
}

int64_t gc_aged_before(const struct gc_times *times, int64_t now_ms, int64_t retain_ms)
{
	int64_t pause_max = (retain_ms + PAUSES - 1) / PAUSES;
	int64_t left = retain_ms; /* of what is to be retained, at `at` */
	int64_t at = now_ms;

	for (size_t i = times->n; i > 0; i--) {
		int64_t time = times->items[i - 1];
		int64_t pause = at - time;

		if (pause <= 0)
			continue;
		if (pause > pause_max)
			pause = pause_max;
		if (pause > left)
			return at - left;
		left -= pause;
		at = time;
	}
	return INT64_MIN;
}
