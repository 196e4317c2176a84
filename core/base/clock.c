#include "core/base/clock.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static int64_t system_wall_ms(struct clock *c)
{
	struct timespec ts;

	(void)c;
	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int64_t system_mono_us(struct clock *c)
{
	struct timespec ts;

	(void)c;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void system_sleep_ms(struct clock *c, int64_t ms)
{
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	(void)c;
	if (ms > 0)
		nanosleep(&ts, NULL);
}

struct clock *clock_system(void)
{
	static struct clock system = {
		.wall_ms = system_wall_ms,
		.mono_us = system_mono_us,
		.sleep_ms = system_sleep_ms,
	};

	return &system;
}

void deadline_after(int64_t ms, struct timespec *out)
{
	clock_gettime(CLOCK_REALTIME, out);
	out->tv_sec += ms / 1000;
	out->tv_nsec += ms % 1000 * 1000000;
	if (out->tv_nsec >= 1000000000) {
		out->tv_nsec -= 1000000000;
		out->tv_sec++;
	}
}

void cond_wait_ms(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += ms % 1000 * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_cond_clockwait(cond, lock, CLOCK_MONOTONIC, &until);
}

struct rng rng_seeded(uint64_t seed)
{
	return (struct rng){.state = seed};
}

struct rng rng_system(void)
{
	struct rng r = {.state = 0};

	if (getrandom(&r.state, sizeof(r.state), 0) != (ssize_t)sizeof(r.state))
		r.state = (uint64_t)system_mono_us(NULL);
	return r;
}

/* splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number
 * generators", OOPSLA 2014. */
uint64_t rng_next(struct rng *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15U;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
	z = (z ^ z >> 27) * 0x94d049bb133111ebU;
	return z ^ z >> 31;
}

uint64_t rng_below(struct rng *r, uint64_t limit)
{
	return (uint64_t)((unsigned __int128)rng_next(r) * limit >> 64);
}

void time_format(int64_t wall_ms, char out[TIME_TEXT_BYTES])
{
	int64_t ms = wall_ms % 1000;
	time_t seconds = wall_ms / 1000;
	struct tm tm;
	size_t n;

	if (ms < 0) {
		ms += 1000;
		seconds--;
	}
	gmtime_r(&seconds, &tm);
	n = strftime(out, TIME_TEXT_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, TIME_TEXT_BYTES - n, ".%03dZ", (int)ms);
}

/* Reads exactly n digits. */
static bool digits(const char **p, int n, int *out)
{
	*out = 0;
	for (; n > 0; n--, (*p)++) {
		if (!isdigit((unsigned char)**p))
			return false;
		*out = *out * 10 + (**p - '0');
	}
	return true;
}

static bool literal(const char **p, char c)
{
	if (**p != c)
		return false;
	(*p)++;
	return true;
}

/* ".123456" -> 123; absent -> 0 */
static bool fraction(const char **p, int *ms)
{
	int scale = 100;

	*ms = 0;
	if (**p != '.')
		return true;
	(*p)++;
	if (!isdigit((unsigned char)**p))
		return false;
	for (; isdigit((unsigned char)**p); (*p)++, scale /= 10)
		*ms += (**p - '0') * scale;
	return true;
}

static bool zone(const char **p, int *minutes)
{
	int sign, h, m;

	*minutes = 0;
	if (**p == 'Z' || **p == 'z') {
		(*p)++;
		return true;
	}
	if (**p != '+' && **p != '-')
		return false;
	sign = *(*p)++ == '-' ? -1 : 1;
	if (!digits(p, 2, &h) || !literal(p, ':') || !digits(p, 2, &m) || h > 23 || m > 59)
		return false;
	*minutes = sign * (h * 60 + m);
	return true;
}

bool time_parse(const char *text, int64_t *wall_ms_out)
{
	const char *p = text;
	struct tm tm = {0};
	int year, month, ms = 0, minutes = 0;
	int64_t seconds;

	if (!digits(&p, 4, &year) || !literal(&p, '-') || !digits(&p, 2, &month) ||
	    !literal(&p, '-') || !digits(&p, 2, &tm.tm_mday))
		return false;
	if (*p) {
		if (*p != 'T' && *p != 't' && *p != ' ')
			return false;
		p++;
		if (!digits(&p, 2, &tm.tm_hour) || !literal(&p, ':') ||
		    !digits(&p, 2, &tm.tm_min) || !literal(&p, ':') || !digits(&p, 2, &tm.tm_sec) ||
		    !fraction(&p, &ms) || !zone(&p, &minutes) || *p)
			return false;
	}
	if (month < 1 || month > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 ||
	    tm.tm_min > 59 || tm.tm_sec > 60)
		return false;
	tm.tm_year = year - 1900;
	tm.tm_mon = month - 1;
	seconds = timegm(&tm);
	*wall_ms_out = (seconds - (int64_t)minutes * 60) * 1000 + ms;
	return true;
}
