#include "tests/lib/virtual_clock.h"

static struct virtual_clock *of(struct clock *c)
{
	return (struct virtual_clock *)c; /* its first member */
}

static int64_t virtual_wall_ms(struct clock *c)
{
	return of(c)->wall_ms + of(c)->us / 1000;
}

static int64_t virtual_mono_us(struct clock *c)
{
	return of(c)->us;
}

static void virtual_sleep_ms(struct clock *c, int64_t ms)
{
	virtual_clock_advance(of(c), ms);
}

void virtual_clock_init(struct virtual_clock *c, int64_t wall_ms)
{
	c->clock = (struct clock){
		.wall_ms = virtual_wall_ms,
		.mono_us = virtual_mono_us,
		.sleep_ms = virtual_sleep_ms,
	};
	c->us = 0;
	c->wall_ms = wall_ms;
}

void virtual_clock_advance(struct virtual_clock *c, int64_t ms)
{
	if (ms > 0)
		c->us += ms * 1000;
}

int64_t virtual_clock_ms(const struct virtual_clock *c)
{
	return c->us / 1000;
}

/* ---- ticks ---- */

static int64_t tick_wall_ms(struct clock *c)
{
	static int64_t now = 1700000000000;

	(void)c;
	return now++;
}

static int64_t tick_mono_us(struct clock *c)
{
	(void)c;
	return 0;
}

static void tick_sleep_ms(struct clock *c, int64_t ms)
{
	(void)c;
	(void)ms;
}

struct clock clock_ticks = {
	.wall_ms = tick_wall_ms, .mono_us = tick_mono_us, .sleep_ms = tick_sleep_ms};
