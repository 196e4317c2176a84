#include "connector/worker/schedule.h"

#include <string.h>

#define MINUTE_MS 60000LL
#define DAY_MS (24 * 60 * MINUTE_MS)
/* Within this a step of the clock is noticed. */
#define LOOK_EVERY_MS 1000

void schedule_init(struct schedule *s, const struct schedule_rule *rule, int64_t wall_ms,
		   int64_t mono_us)
{
	*s = (struct schedule){.rule = *rule, .since_us = mono_us};
	if (!rule->cron)
		return;
	s->looked_ms = wall_ms;
	s->next_ms = cron_next(rule->cron, wall_ms);
	s->done[s->n_done].first = wall_ms - DAY_MS;
	s->done[s->n_done++].last = wall_ms;
}

bool schedule_is_empty(const struct schedule_rule *rule)
{
	return !rule->checkpoints && !rule->interval_ms && !rule->cron;
}

void schedule_checkpointed(struct schedule *s)
{
	s->checkpoints++;
}

/* The newest time of the cron line that is <= now_ms; next_ms is one. */
static int64_t newest_until(const struct schedule *s, int64_t now_ms)
{
	int64_t newest = s->next_ms, next;

	for (int64_t back = MINUTE_MS; now_ms - back > s->next_ms; back *= 2) {
		next = cron_next(s->rule.cron, now_ms - back);
		if (next <= now_ms) {
			newest = next;
			break;
		}
	}
	while ((next = cron_next(s->rule.cron, newest)) <= now_ms)
		newest = next;
	return newest;
}

static void join(struct schedule *s, size_t i)
{
	s->done[i].last = s->done[i + 1].last;
	memmove(&s->done[i + 1], &s->done[i + 2], (s->n_done - i - 2) * sizeof(s->done[0]));
	s->n_done--;
}

/* Where there is no room the two that are nearest become one: rather is a time left
 * out than run twice. */
static void join_nearest(struct schedule *s)
{
	size_t nearest = 0;

	for (size_t i = 1; i + 1 < s->n_done; i++)
		if (s->done[i + 1].first - s->done[i].last <
		    s->done[nearest + 1].first - s->done[nearest].last)
			nearest = i;
	join(s, nearest);
}

/* done is sorted, and what is in it apart. */
static void mark_done(struct schedule *s, int64_t due_ms)
{
	size_t at = 0;

	while (at < s->n_done && s->done[at].last < due_ms)
		at++;
	memmove(&s->done[at + 1], &s->done[at], (s->n_done - at) * sizeof(s->done[0]));
	s->done[at].first = s->done[at].last = due_ms;
	s->n_done++;
	if (at + 1 < s->n_done && cron_next(s->rule.cron, due_ms) >= s->done[at + 1].first)
		join(s, at);
	if (at > 0 && cron_next(s->rule.cron, s->done[at - 1].last) >= due_ms)
		join(s, at - 1);
	if (s->n_done > SCHEDULE_DONE)
		join_nearest(s);
}

static bool was_done(const struct schedule *s, int64_t due_ms)
{
	for (size_t i = 0; i < s->n_done; i++)
		if (s->done[i].first <= due_ms && due_ms <= s->done[i].last)
			return true;
	return false;
}

static bool take_cron(struct schedule *s, int64_t now_ms)
{
	bool back = now_ms < s->looked_ms, due = false;
	int64_t newest;

	if (!s->rule.cron)
		return false;
	s->looked_ms = now_ms;
	if (!back && now_ms < s->next_ms)
		return false;
	if (!back) {
		newest = newest_until(s, now_ms);
		due = !was_done(s, newest);
		if (due)
			mark_done(s, newest);
	}
	s->next_ms = cron_next(s->rule.cron, now_ms);
	return due;
}

static int64_t interval_left_us(const struct schedule *s, int64_t mono_us)
{
	return s->since_us + s->rule.interval_ms * 1000 - mono_us;
}

bool schedule_take(struct schedule *s, int64_t wall_ms, int64_t mono_us)
{
	bool due = take_cron(s, wall_ms);

	if (s->rule.checkpoints && s->checkpoints >= (uint64_t)s->rule.checkpoints)
		due = true;
	if (s->rule.interval_ms && interval_left_us(s, mono_us) <= 0)
		due = true;
	if (due) {
		s->checkpoints = 0;
		s->since_us = mono_us;
	}
	return due;
}

int64_t schedule_wait_ms(const struct schedule *s, int64_t wall_ms, int64_t mono_us)
{
	int64_t wait = LOOK_EVERY_MS, left;

	if (!s->rule.cron && !s->rule.interval_ms)
		return -1;
	if (s->rule.cron && s->next_ms - wall_ms < wait)
		wait = s->next_ms - wall_ms;
	left = (interval_left_us(s, mono_us) + 999) / 1000;
	if (s->rule.interval_ms && (!s->rule.cron || left < wait))
		wait = left;
	return wait < 0 ? 0 : wait;
}
