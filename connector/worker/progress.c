#include "connector/worker/progress.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EVERY_US 500000

static atomic_bool line_there;

void progress_start(struct progress *p, struct clock *clock)
{
	*p = (struct progress){.clock = clock, .lag = -1};
	p->started_us = p->rate_us = clock->mono_us(clock);
}

bool progress_due(const struct progress *p)
{
	return p->clock->mono_us(p->clock) - p->shown_us >= EVERY_US;
}

static void add_count(char *out, size_t size, double n)
{
	if (n >= 1e9)
		snprintf(out, size, "%.2f G", n / 1e9);
	else if (n >= 1e6)
		snprintf(out, size, "%.2f M", n / 1e6);
	else if (n >= 1e4)
		snprintf(out, size, "%.1f k", n / 1e3);
	else
		snprintf(out, size, "%.0f", n);
}

void progress_show(struct progress *p, uint64_t read)
{
	int64_t now_us = p->clock->mono_us(p->clock);
	double seconds = (double)(now_us - p->rate_us) / 1e6;
	char line[256], records[24], rate[24], lag[24] = "?", left[32] = "", last[32] = "none yet";
	ssize_t ignored;
	int n;

	if (seconds > 0) {
		double now = (double)(read - p->rate_records) / seconds;

		p->rate = p->rate_records ? 0.7 * p->rate + 0.3 * now : now;
		p->rate_us = now_us;
		p->rate_records = read;
	}
	add_count(records, sizeof(records), (double)read);
	add_count(rate, sizeof(rate), p->rate);
	if (p->lag >= 0)
		add_count(lag, sizeof(lag), (double)p->lag);
	if (p->lag > 0 && p->rate > 1)
		snprintf(left, sizeof(left), "  left %" PRId64 " s",
			 (int64_t)((double)p->lag / p->rate));
	if (p->checkpoint_us)
		snprintf(last, sizeof(last), "%" PRId64 " s ago",
			 (now_us - p->checkpoint_us) / 1000000);
	n = snprintf(line, sizeof(line), "\r\033[Krecords %s  %s/s  lag %s  checkpoint %s%s",
		     records, rate, lag, last, left);
	line_there = true;
	ignored = write(STDERR_FILENO, line, (size_t)n);
	(void)ignored;
	p->shown_us = now_us;
}

void progress_wipe(void)
{
	static const char wipe[] = "\r\033[K";
	ssize_t ignored;

	if (!line_there)
		return;
	line_there = false;
	ignored = write(STDERR_FILENO, wipe, sizeof(wipe) - 1);
	(void)ignored;
}
