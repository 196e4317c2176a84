#include "connector/worker/cron.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define MINUTE_S 60
#define DAY_MINUTES 1440
#define EVERY_HOUR ((1U << 24) - 1)
/* 29 February on a given day of the week comes once in 40 years at worst. */
#define HORIZON_S (50LL * 366 * 86400)

enum { MINUTE, HOUR, DAY, MONTH, WEEKDAY, FIELDS };

struct cron {
	uint64_t set[FIELDS]; /* a bit for each value */
	bool any_day, any_weekday; /* began with '*' */
	struct zone *zone;
};

static const struct field {
	const char *name;
	unsigned least, most;
	const char *names; /* three letters each, from least on */
} fields[FIELDS] = {
	[MINUTE] = {"minute", 0, 59, ""},
	[HOUR] = {"hour", 0, 23, ""},
	[DAY] = {"day of month", 1, 31, ""},
	[MONTH] = {"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"},
	[WEEKDAY] = {"day of week", 0, 7, "sunmontuewedthufrisat"},
};

/* ---- parsing ---- */

/* A number or a name at *p. */
static bool value(const struct field *f, const char **p, unsigned *out)
{
	size_t n = strspn(*p, "0123456789");
	size_t letters = 0;

	if (n > 0 && n <= 4) {
		*out = (unsigned)strtoul(*p, NULL, 10);
		*p += n;
		return *out >= f->least && *out <= f->most;
	}
	while (isalpha((unsigned char)(*p)[letters]))
		letters++;
	if (letters != 3)
		return false;
	for (size_t i = 0; f->names[i]; i += 3) {
		if (strncasecmp(*p, f->names + i, 3) != 0)
			continue;
		*p += 3;
		*out = f->least + (unsigned)(i / 3);
		return true;
	}
	return false;
}

/* "*", "5", "1-5", each with "/2" behind it but the number. */
static bool item(const struct field *f, const char *p, uint64_t *set)
{
	unsigned low = f->least, high = f->most, step = 1;
	bool range = *p == '*';
	const char *end = p;

	if (range) {
		end++;
	} else if (!value(f, &end, &low)) {
		return false;
	} else if (*end == '-') {
		end++;
		if (!value(f, &end, &high))
			return false;
		/* SAT-SUN: Sunday ends the week too */
		if (f == &fields[WEEKDAY] && high == 0 && low > 0)
			high = 7;
		range = true;
	} else {
		high = low;
	}
	if (range && *end == '/') {
		char *rest;

		if (!isdigit((unsigned char)*++end))
			return false;
		step = (unsigned)strtoul(end, &rest, 10);
		end = rest;
	}
	if (*end || low > high || step == 0 || step > f->most)
		return false;
	for (unsigned v = low; v <= high; v += step)
		*set |= 1ULL << v;
	return true;
}

static enum status field(const struct field *f, char *text, uint64_t *set, struct err *err)
{
	char *save = NULL;

	if (text[0] == ',' || text[strlen(text) - 1] == ',' || strstr(text, ",,"))
		return err_set(err, ST_USAGE, "%s `%s`: an item of the list is missing", f->name,
			       text);
	for (char *p = strtok_r(text, ",", &save); p; p = strtok_r(NULL, ",", &save))
		if (!item(f, p, set))
			return err_set(
				err, ST_USAGE,
				"%s `%s`: give `*`, %u to %u%s, a range (1-5), a step behind "
				"`*` or a range (*/2), or a list of these",
				f->name, p, f->least, f->most,
				*f->names ? " or a name's first three letters" : "");
	return ST_OK;
}

static bool day_exists(const struct cron *c)
{
	static const int most[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	if (!c->any_day && !c->any_weekday)
		return true;
	for (int month = 1; month <= 12; month++)
		if (c->set[MONTH] >> month & 1 &&
		    c->set[DAY] & ((1ULL << (most[month - 1] + 1)) - 1))
			return true;
	return false;
}

static enum status parse_fields(struct cron *c, const char *line, struct err *err)
{
	AUTO(freep) char *text = xstrdup(line);
	char *items[FIELDS + 1], *save = NULL;
	size_t n = 0;

	for (char *p = strtok_r(text, " \t", &save); p && n <= FIELDS;
	     p = strtok_r(NULL, " \t", &save))
		items[n++] = p;
	if (n != FIELDS)
		return err_set(
			err, ST_USAGE,
			"give five fields: minute, hour, day of month, month, day of week "
			"(`0 6 * * MON-FRI`), or @hourly, @daily, @weekly, @monthly, @yearly");
	c->any_day = items[DAY][0] == '*';
	c->any_weekday = items[WEEKDAY][0] == '*';
	for (size_t i = 0; i < FIELDS; i++) {
		enum status st = field(&fields[i], items[i], &c->set[i], err);

		if (st != ST_OK)
			return st;
	}
	if (c->set[WEEKDAY] >> 7 & 1)
		c->set[WEEKDAY] |= 1;
	if (!day_exists(c))
		return err_set(err, ST_USAGE,
			       "no month that it names has such a day, so it would never run; "
			       "correct day of month or month");
	return ST_OK;
}

static const char *without_macro(const char *line)
{
	static const struct {
		const char *name, *line;
	} macros[] = {
		{"@hourly", "0 * * * *"},   {"@daily", "0 0 * * *"},   {"@midnight", "0 0 * * *"},
		{"@weekly", "0 0 * * 0"},   {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"},
		{"@annually", "0 0 1 1 *"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(macros); i++)
		if (strcasecmp(line, macros[i].name) == 0)
			return macros[i].line;
	return line;
}

enum status cron_parse(const char *line, struct zone *zone, struct cron **out, struct err *err)
{
	struct cron *c = xcalloc(1, sizeof(*c));
	enum status st = parse_fields(c, without_macro(line), err);

	c->zone = zone;
	if (st != ST_OK) {
		cron_free(c);
		return st;
	}
	*out = c;
	return ST_OK;
}

void cron_free(struct cron *cron)
{
	if (!cron)
		return;
	zone_free(cron->zone);
	free(cron);
}

/* ---- searching ---- */

static int64_t div_floor(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static bool day_matches(const struct cron *c, int64_t day)
{
	time_t seconds = day * 86400;
	bool by_day, by_weekday;
	struct tm tm;

	gmtime_r(&seconds, &tm);
	if (!(c->set[MONTH] >> (tm.tm_mon + 1) & 1))
		return false;
	by_day = c->set[DAY] >> tm.tm_mday & 1;
	by_weekday = c->set[WEEKDAY] >> tm.tm_wday & 1;
	return c->any_day || c->any_weekday ? by_day && by_weekday : by_day || by_weekday;
}

/* The first minute of the day that is >= from and matches; DAY_MINUTES: none. */
static int64_t minute_of_day(const struct cron *c, int64_t from)
{
	for (int64_t m = from; m < DAY_MINUTES; m++) {
		if (!(c->set[HOUR] >> (m / 60) & 1))
			m += 59 - m % 60;
		else if (c->set[MINUTE] >> (m % 60) & 1)
			return m;
	}
	return DAY_MINUTES;
}

/* The first local minute that matches and is >= from_s, in local seconds;
 * CRON_NEVER where none is < until_s. */
static int64_t local_match(const struct cron *c, int64_t from_s, int64_t until_s)
{
	int64_t minute = -div_floor(-from_s, MINUTE_S);
	int64_t day = div_floor(minute, DAY_MINUTES);
	int64_t of_day = minute - day * DAY_MINUTES;

	for (; (day * DAY_MINUTES + of_day) * MINUTE_S < until_s; day++, of_day = 0) {
		int64_t found = day_matches(c, day) ? minute_of_day(c, of_day) : DAY_MINUTES;

		if (found < DAY_MINUTES) {
			int64_t s = (day * DAY_MINUTES + found) * MINUTE_S;

			return s < until_s ? s : CRON_NEVER;
		}
	}
	return CRON_NEVER;
}

/* The first time within the span that is >= from, all in UTC seconds. */
static int64_t next_in_span(const struct cron *c, const struct zone_span *span, int64_t from)
{
	int64_t local = (from > span->from ? from : span->from) + span->offset;
	int64_t before = span->from == INT64_MIN ? span->offset
						 : zone_span_at(c->zone, span->from - 1).offset;
	int64_t found;

	if (before < span->offset && from <= span->from &&
	    local_match(c, span->from + before, span->from + span->offset) != CRON_NEVER)
		return span->from; /* it was left out */
	if (before > span->offset && c->set[HOUR] != EVERY_HOUR && local < span->from + before)
		local = span->from + before; /* these have been */
	found = local_match(c, local, span->until + span->offset);
	return found == CRON_NEVER ? CRON_NEVER : found - span->offset;
}

int64_t cron_next(const struct cron *c, int64_t after_ms)
{
	int64_t from = div_floor(after_ms, 1000) + 1;
	int64_t horizon = from + HORIZON_S;
	struct zone_span span = zone_span_at(c->zone, from);

	for (;;) {
		int64_t found;

		if (span.until > horizon)
			span.until = horizon;
		found = next_in_span(c, &span, from);
		if (found != CRON_NEVER)
			return found * 1000;
		if (span.until == horizon)
			return CRON_NEVER;
		span = zone_span_at(c->zone, span.until);
	}
}
