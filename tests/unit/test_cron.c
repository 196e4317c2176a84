/* Cron lines: against a model that asks libc for the local time of each minute
 * and compares it with the sets that the line was written from; and what is
 * refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "connector/worker/cron.h"
#include "core/base/zone.h"
#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/file.h"
#include "tests/lib/must.h"

#define WINDOW_MINUTES (4 * 1440)
#define LINES_A_WINDOW 30
#define WINDOWS_A_ZONE 12

AUTO_DESTRUCTOR(struct cron, cron_free)

/* ---- lines, and the sets that they mean ---- */

struct line {
	struct buf text;
	bool set[5][64]; /* minute, hour, day, month, weekday (0..6) */
	bool any_day, any_weekday;
};

static const int least[] = {0, 0, 1, 1, 0}, most[] = {59, 23, 31, 12, 7};

static void mark(struct line *l, int field, int from, int to, int step)
{
	for (int v = from; v <= to; v += step)
		l->set[field][field == 4 ? v % 7 : v] = true;
}

static void add_value(struct line *l, struct rng *rng, int field, int v)
{
	static const char *const months[] = {"JAN", "feb", "Mar", "APR", "may", "JUN",
					     "jul", "AUG", "sep", "OCT", "nov", "DEC"};
	static const char *const days[] = {"SUN", "mon", "Tue", "WED", "thu", "FRI", "sat"};

	if (field == 3 && rng_below(rng, 2))
		buf_adds(&l->text, months[v - 1]);
	else if (field == 4 && v < 7 && rng_below(rng, 2))
		buf_adds(&l->text, days[v]);
	else
		buf_addf(&l->text, "%d", v);
}

static void add_item(struct line *l, struct rng *rng, int field)
{
	int span = most[field] - least[field] + 1;
	int a = least[field] + (int)rng_below(rng, (uint64_t)span);
	int b = a + (int)rng_below(rng, (uint64_t)(most[field] - a) + 1);
	int step = 1 + (int)rng_below(rng, (uint64_t)span / 2);

	switch (rng_below(rng, 3)) {
	case 0:
		add_value(l, rng, field, a);
		mark(l, field, a, a, 1);
		return;
	case 1:
		step = 1;
		break;
	default:
		break;
	}
	add_value(l, rng, field, a);
	buf_addc(&l->text, '-');
	add_value(l, rng, field, b);
	if (step > 1)
		buf_addf(&l->text, "/%d", step);
	mark(l, field, a, b, step);
}

static void add_field(struct line *l, struct rng *rng, int field)
{
	/* months and days are often free, or next to nothing would match */
	uint64_t kind = rng_below(rng, field == 3 ? 12 : field >= 2 ? 6 : 4);
	int step;

	if (field)
		buf_addc(&l->text, ' ');
	if (kind >= 3 || (kind == 2 && field >= 2)) {
		step = kind == 3 ? 1 + (int)rng_below(rng, 20) : 1;
		if (step > most[field])
			step = 1;
		buf_addc(&l->text, '*');
		if (step > 1)
			buf_addf(&l->text, "/%d", step);
		mark(l, field, least[field], most[field], step);
		if (field == 2)
			l->any_day = true;
		if (field == 4)
			l->any_weekday = true;
		return;
	}
	for (uint64_t n = kind; n > 0; n--) {
		add_item(l, rng, field);
		buf_addc(&l->text, ',');
	}
	add_item(l, rng, field);
}

static void random_line(struct line *l, struct rng *rng)
{
	*l = (struct line){.text = BUF_INIT};
	for (int field = 0; field < 5; field++)
		add_field(l, rng, field);
}

static enum status parse(const char *line, const char *name, struct cron **out, struct err *err)
{
	struct zone *zone;
	enum status st = zone_open(name, &zone, err);

	return st == ST_OK ? cron_parse(line, zone, out, err) : st;
}

/* ---- the model ---- */

static bool matches(const struct line *l, const struct tm *tm)
{
	bool day = l->set[2][tm->tm_mday], weekday = l->set[4][tm->tm_wday];

	return l->set[0][tm->tm_min] && l->set[1][tm->tm_hour] && l->set[3][tm->tm_mon + 1] &&
	       (l->any_day || l->any_weekday ? day && weekday : day || weekday);
}

static bool every_hour(const struct line *l)
{
	for (int h = 0; h < 24; h++)
		if (!l->set[1][h])
			return false;
	return true;
}

static void local_of(int64_t local_s, struct tm *out)
{
	time_t t = local_s;

	gmtime_r(&t, out);
}

/* Local time of each minute of a window, by libc, as seconds since the epoch. */
struct window {
	time_t start;
	int64_t local[WINDOW_MINUTES];
};

static void fill(struct window *w, time_t start)
{
	w->start = start;
	for (int i = 0; i < WINDOW_MINUTES; i++) {
		time_t t = start + i * 60;
		struct tm tm;

		localtime_r(&t, &tm);
		w->local[i] = t + tm.tm_gmtoff;
	}
}

static bool fires(const struct window *w, const struct line *l, int i)
{
	struct tm tm;
	bool seen = false;

	for (int64_t left_out = w->local[i - 1] + 60; left_out < w->local[i]; left_out += 60) {
		local_of(left_out, &tm);
		if (matches(l, &tm))
			return true;
	}
	local_of(w->local[i], &tm);
	for (int j = i - 1; j >= 0 && j > i - 200; j--)
		seen = seen || w->local[j] == w->local[i];
	return matches(l, &tm) && (!seen || every_hour(l));
}

static void check_line(const struct window *w, const char *zone, struct rng *rng)
{
	AUTO(cron_freep) struct cron *cron = NULL;
	struct err parse_err;
	struct line l;
	int64_t next;

	random_line(&l, rng);
	if (parse(buf_str(&l.text), zone, &cron, &parse_err) != ST_OK) {
		/* such as 31 in months of 30 */
		assert_non_null(strstr(parse_err.text, "never run"));
		buf_release(&l.text);
		return;
	}
	/* a day after the start, so that what came twice is within the window */
	next = cron_next(cron, (w->start + 1439 * 60) * 1000 + (int64_t)rng_below(rng, 60000));
	for (int i = 1440; i < WINDOW_MINUTES; i++) {
		int64_t at = (w->start + i * 60) * 1000;

		if (fires(w, &l, i) != (next == at))
			fail_msg("%s in %s at %lld: the model says %s", buf_str(&l.text), zone,
				 (long long)at, next == at ? "no" : "yes");
		if (next == at)
			next = cron_next(cron, at + (int64_t)rng_below(rng, 2) * 59999);
	}
	buf_release(&l.text);
}

/* A change of the zone's offset in that year, or any time where it has none. */
static time_t some_change(int year, struct rng *rng)
{
	struct tm tm = {.tm_year = year - 1900, .tm_mday = 1};
	time_t first = timegm(&tm), found[64];
	size_t n = 0;
	long before;

	localtime_r(&first, &tm);
	before = tm.tm_gmtoff;
	for (time_t t = first; t < first + 366 * 86400 && n < ARRAY_SIZE(found); t += 1800) {
		localtime_r(&t, &tm);
		if (tm.tm_gmtoff != before)
			found[n++] = t;
		before = tm.tm_gmtoff;
	}
	return n ? found[rng_below(rng, n)] : first + (time_t)rng_below(rng, 366 * 24) * 3600;
}

static void set_zone(const char *name)
{
	setenv("TZ", name, 1);
	tzset();
}

static void test_against_model(void **state)
{
	static const char *const zones[] = {
		"UTC",
		"Europe/Berlin",
		"America/New_York",
		"Asia/Kolkata",
		"America/Santiago",
		"Australia/Lord_Howe",
		"Europe/Dublin",
		"Antarctica/Troll",
		"Africa/Casablanca",
		"America/St_Johns",
		"Asia/Gaza",
	};
	static struct window w;
	struct rng rng = rng_seeded(7);

	(void)state;
	for (size_t z = 0; z < ARRAY_SIZE(zones); z++) {
		set_zone(zones[z]);
		for (int i = 0; i < WINDOWS_A_ZONE; i++) {
			/* beyond 2037 the database has a rule in place of changes */
			time_t change = some_change(1995 + (int)rng_below(&rng, 120), &rng);

			fill(&w, change - 86400 - (time_t)rng_below(&rng, 2880) * 60);
			for (int j = 0; j < LINES_A_WINDOW; j++)
				check_line(&w, zones[z], &rng);
		}
	}
	/* Samoa left out 30 December 2011. */
	set_zone("Pacific/Apia");
	fill(&w, 1325239200 - 2 * 86400);
	for (int j = 0; j < LINES_A_WINDOW; j++)
		check_line(&w, "Pacific/Apia", &rng);
	set_zone("UTC");
}

/* Every file of the database gives libc's offsets, from its first change on. */
static void test_offsets(void **state)
{
	static const char *const zones[] = {
		"Europe/Berlin",   "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe",
		"America/Caracas", "Asia/Pyongyang",   "Pacific/Apia", "Asia/Tehran"};
	struct rng rng = rng_seeded(3);

	(void)state;
	for (size_t z = 0; z < ARRAY_SIZE(zones); z++) {
		AUTO(zone_freep) struct zone *zone = NULL;

		MUST(zone_open(zones[z], &zone, &err));
		set_zone(zones[z]);
		for (int i = 0; i < 20000; i++) {
			time_t t = (time_t)rng_below(&rng, 8000000000) - 2000000000;
			struct zone_span span = zone_span_at(zone, t);
			struct tm tm;

			localtime_r(&t, &tm);
			assert_int_equal(span.offset, tm.tm_gmtoff);
			assert_true(span.from <= t && t < span.until);
		}
	}
	set_zone("UTC");
}

static int64_t at(const char *text)
{
	int64_t ms = 0;

	assert_true(time_parse(text, &ms));
	return ms;
}

static void expect(const char *line, const char *zone, const char *after, const char *next)
{
	AUTO(cron_freep) struct cron *cron = NULL;
	int64_t got;

	MUST(parse(line, zone, &cron, &err));
	got = cron_next(cron, at(after));
	if (got != at(next)) {
		char text[TIME_TEXT_BYTES];

		time_format(got, text);
		fail_msg("%s in %s after %s: %s, wanted %s", line, zone, after, text, next);
	}
}

static void test_times(void **state)
{
	(void)state;
	expect("0 6 * * MON-FRI", "UTC", "2026-11-20T06:00:00Z", "2026-11-23T06:00:00Z");
	expect("0 6 * * MON-FRI", "UTC", "2026-11-20T05:59:59.999Z", "2026-11-20T06:00:00Z");
	expect("0 0 29 2 *", "UTC", "2026-01-01", "2028-02-29");
	expect("0 0 29 2 *", "UTC", "2096-02-29", "2104-02-29");
	/* begins with `*`: both must hold */
	expect("0 0 29 2 */7", "UTC", "2026-01-01", "2032-02-29");
	expect("0 0 29 2 */7", "UTC", "2088-02-29", "2128-02-29");
	/* neither does: either is enough */
	expect("0 0 13 * FRI", "UTC", "2026-11-13", "2026-11-20");
	expect("0 0 30 2 SUN", "UTC", "2026-02-01", "2026-02-08");
	expect("0 12 * * SAT-SUN", "UTC", "2026-11-20", "2026-11-21T12:00:00Z");
	expect("0 12 * * 7", "UTC", "2026-11-20", "2026-11-22T12:00:00Z");
	expect("@weekly", "UTC", "2026-11-20", "2026-11-22");
	expect("@monthly", "UTC", "2026-11-20", "2026-12-01");
	expect("@Hourly", "Asia/Kolkata", "2026-11-20T00:00:00Z", "2026-11-20T00:30:00Z");
	/* 29 March 2026, 01:00 UTC: two becomes three */
	expect("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z");
	expect("30 2 * * *", "Europe/Berlin", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z");
	/* 25 October 2026, 01:00 UTC: three becomes two */
	expect("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z");
	expect("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z");
	expect("*/30 * * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z");
}

static void refuse(const char *line, const char *zone, const char *part)
{
	struct cron *cron = NULL;

	MUST_SAY(ST_USAGE, part, parse(line, zone, &cron, &err));
	assert_null(cron);
}

static void test_refused(void **state)
{
	(void)state;
	refuse("", "UTC", "five fields");
	refuse("* * * *", "UTC", "five fields");
	refuse("* * * * * *", "UTC", "five fields");
	refuse("@reboot", "UTC", "@hourly");
	refuse("60 * * * *", "UTC", "minute `60`");
	refuse("* 24 * * *", "UTC", "hour `24`");
	refuse("* * 0 * *", "UTC", "day of month `0`");
	refuse("* * * 13 *", "UTC", "month `13`");
	refuse("* * * JANUARY *", "UTC", "month `JANUARY`");
	refuse("* * * * 8", "UTC", "day of week `8`");
	refuse("* * JAN * *", "UTC", "day of month `JAN`");
	refuse("5/2 * * * *", "UTC", "minute `5/2`");
	refuse("*/0 * * * *", "UTC", "minute `*/0`");
	refuse("*/99999999999999999999 * * * *", "UTC", "minute");
	refuse("9-5 * * * *", "UTC", "minute `9-5`");
	refuse("1,,2 * * * *", "UTC", "missing");
	refuse("-1 * * * *", "UTC", "minute `-1`");
	refuse("1- * * * *", "UTC", "minute `1-`");
	refuse("1;2 * * * *", "UTC", "minute `1;2`");
	refuse("0 0 30 2 *", "UTC", "never run");
	refuse("0 0 31 4,6,9,11 *", "UTC", "never run");
	refuse("0 0 * * *", "Europe/Berlinn", "no such time zone");
	refuse("0 0 * * *", "../../../etc/passwd", "no such time zone");
	refuse("0 0 * * *", "/etc/passwd", "no such time zone");
	refuse("0 0 * * *", "Europe", "no such time zone");
	refuse("0 0 * * *", "zone.tab", "no such time zone");
	refuse("0 0 * * *", "", "no such time zone");
}

/* A cut or changed file gives an error or a zone, never a read beyond its end. */
static void test_damaged(void **state)
{
	static const char path[] = "/usr/share/zoneinfo/Europe/Berlin";
	AUTO(buf_release) struct buf whole = BUF_INIT;
	struct rng rng = rng_seeded(5);

	(void)state;
	MUST(file_read(path, 1 << 20, &whole, &err));
	for (size_t len = 0; len < whole.len; len++) {
		AUTO(freep) char *copy = xmemdup(whole.data, len);
		struct zone *zone = NULL;

		MUST_BE(ST_DAMAGED, zone_parse(copy, len, &zone, &err));
	}
	for (int i = 0; i < 20000; i++) {
		AUTO(freep) char *copy = xmemdup(whole.data, whole.len);
		AUTO(zone_freep) struct zone *zone = NULL;

		copy[rng_below(&rng, whole.len)] = (char)rng_next(&rng);
		copy[rng_below(&rng, 100)] = (char)rng_next(&rng);
		if (zone_parse(copy, whole.len, &zone, NULL) == ST_OK)
			(void)zone_span_at(zone, (int64_t)rng_below(&rng, 8000000000));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_model), cmocka_unit_test(test_offsets),
		cmocka_unit_test(test_times),         cmocka_unit_test(test_refused),
		cmocka_unit_test(test_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
