#include "core/base/zone.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/buf.h"
#include "core/base/file.h"

#define DATABASE "/usr/share/zoneinfo"
#define FILE_MAX_BYTES (1 << 20)
#define HEADER_BYTES 44
#define NAME_MAX_BYTES 100
#define DAY_S 86400

/* A day of each year, as POSIX's TZ says it. */
struct yearly {
	char form; /* 'J' 1..365 without 29 February, '0' 0..365, 'M' */
	int month, week, day;
	int64_t time_s; /* local, as it was before the change */
};

struct zone {
	struct change {
		int64_t from; /* UTC */
		int64_t offset;
	} * changes;
	size_t n;
	int64_t first_offset; /* before all changes */
	/* The rule for what comes after the last change. */
	int64_t standard, summer;
	bool has_summer;
	struct yearly begin, end; /* of summer time */
};

/* ---- POSIX's TZ: the file's last line ---- */

static bool number(const char **p, int least, int most, int *out)
{
	int n = 0;

	if (!isdigit((unsigned char)**p))
		return false;
	for (; isdigit((unsigned char)**p); (*p)++) {
		n = n * 10 + (**p - '0');
		if (n > most)
			return false;
	}
	*out = n;
	return n >= least;
}

/* "[+-]h[:m[:s]]" in seconds */
static bool clock_time(const char **p, int64_t *out)
{
	int sign = **p == '-' ? -1 : 1, h, m = 0, s = 0;

	if (**p == '-' || **p == '+')
		(*p)++;
	if (!number(p, 0, 167, &h))
		return false;
	if (**p == ':' && ((*p)++, !number(p, 0, 59, &m)))
		return false;
	if (**p == ':' && ((*p)++, !number(p, 0, 59, &s)))
		return false;
	*out = sign * (int64_t)(h * 3600 + m * 60 + s);
	return true;
}

static bool abbreviation(const char **p)
{
	const char *start = *p;

	if (**p == '<') {
		*p += strcspn(*p, ">");
		if (!**p)
			return false;
		(*p)++;
		return true;
	}
	while (isalpha((unsigned char)**p))
		(*p)++;
	return *p - start >= 3;
}

static bool yearly(const char **p, struct yearly *out)
{
	bool ok;

	if (*(*p)++ != ',')
		return false;
	out->form = **p == 'J' || **p == 'M' ? *(*p)++ : '0';
	if (out->form == 'M')
		ok = number(p, 1, 12, &out->month) && *(*p)++ == '.' &&
		     number(p, 1, 5, &out->week) && *(*p)++ == '.' && number(p, 0, 6, &out->day);
	else
		ok = number(p, out->form == 'J', 365, &out->day);
	out->time_s = 2 * 3600;
	if (ok && **p == '/')
		ok = ((*p)++, clock_time(p, &out->time_s));
	return ok;
}

/* "CET-1CEST,M3.5.0,M10.5.0/3"; POSIX counts west of Greenwich. */
static bool parse_rule(struct zone *z, const char *p)
{
	int64_t west;

	if (!abbreviation(&p) || !clock_time(&p, &west))
		return false;
	z->standard = -west;
	if (!*p)
		return true;
	z->has_summer = true;
	z->summer = z->standard + 3600;
	if (!abbreviation(&p))
		return false;
	if (*p != ',') {
		if (!clock_time(&p, &west))
			return false;
		z->summer = -west;
	}
	return yearly(&p, &z->begin) && yearly(&p, &z->end) && !*p;
}

static int64_t midnight(int year, int month, int day)
{
	struct tm tm = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day};

	return timegm(&tm);
}

static bool leap_year(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* The local time of a yearly change, as seconds since the epoch. */
static int64_t yearly_at(const struct yearly *y, int year)
{
	int64_t first, day;

	if (y->form != 'M') {
		day = y->day - (y->form == 'J');
		if (y->form == 'J' && leap_year(year) && y->day >= 60)
			day++;
		return midnight(year, 1, 1) + day * DAY_S + y->time_s;
	}
	first = midnight(year, y->month, 1);
	/* 1 January 1970 was a Thursday. */
	day = (y->day - (first / DAY_S + 4) % 7 + 7) % 7 + (y->week - 1) * 7;
	if (first + day * DAY_S >= midnight(year, y->month + 1, 1))
		day -= 7;
	return first + day * DAY_S + y->time_s;
}

static struct zone_span span_by_rule(const struct zone *z, int64_t utc_s)
{
	struct zone_span span = {.from = INT64_MIN, .until = INT64_MAX, .offset = z->standard};
	time_t seconds = utc_s;
	struct tm tm;

	if (!z->has_summer)
		return span;
	gmtime_r(&seconds, &tm);
	for (int year = tm.tm_year + 1899; year <= tm.tm_year + 1901; year++) {
		const struct change two[] = {
			{yearly_at(&z->begin, year) - z->standard, z->summer},
			{yearly_at(&z->end, year) - z->summer, z->standard},
		};

		for (size_t i = 0; i < ARRAY_SIZE(two); i++) {
			if (two[i].from <= utc_s && two[i].from >= span.from) {
				span.from = two[i].from;
				span.offset = two[i].offset;
			} else if (two[i].from > utc_s && two[i].from < span.until) {
				span.until = two[i].from;
			}
		}
	}
	return span;
}

struct zone_span zone_span_at(const struct zone *z, int64_t utc_s)
{
	struct zone_span span;
	size_t low = 0, high = z->n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (z->changes[middle].from <= utc_s)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < z->n)
		return (struct zone_span){
			.from = low ? z->changes[low - 1].from : INT64_MIN,
			.until = z->changes[low].from,
			.offset = low ? z->changes[low - 1].offset : z->first_offset,
		};
	span = span_by_rule(z, utc_s);
	if (z->n && span.from < z->changes[z->n - 1].from)
		span.from = z->changes[z->n - 1].from;
	return span;
}

/* ---- TZif ---- */

struct header {
	char version;
	uint32_t n_utc, n_standard, n_leap, n_times, n_types, n_chars;
};

static bool parse_header(struct bytes *in, struct header *out)
{
	const unsigned char *p;

	if (!bytes_take(in, HEADER_BYTES - 24, &p) || memcmp(p, "TZif", 4) != 0)
		return false;
	out->version = (char)p[4];
	return bytes_be32(in, &out->n_utc) && bytes_be32(in, &out->n_standard) &&
	       bytes_be32(in, &out->n_leap) && bytes_be32(in, &out->n_times) &&
	       bytes_be32(in, &out->n_types) && bytes_be32(in, &out->n_chars);
}

/* The block for old readers, whose times have 32 bits. */
static bool skip_old_block(struct bytes *in, const struct header *h)
{
	const unsigned char *p;

	return bytes_take(in,
			  (size_t)h->n_times * 5 + (size_t)h->n_types * 6 + h->n_chars +
				  (size_t)h->n_leap * 8 + h->n_standard + h->n_utc,
			  &p);
}

static int64_t be32(const unsigned char *p)
{
	return (int32_t)((uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]);
}

static bool parse_changes(struct bytes *in, const struct header *h, struct zone *z)
{
	struct bytes times;
	const unsigned char *p, *index, *types;
	uint64_t time;

	if (!h->n_types || !bytes_take(in, (size_t)h->n_times * 8, &p) ||
	    !bytes_take(in, h->n_times, &index) || !bytes_take(in, (size_t)h->n_types * 6, &types))
		return false;
	times = bytes_of(p, (size_t)h->n_times * 8);
	z->changes = xcalloc(h->n_times, sizeof(*z->changes));
	z->first_offset = be32(types);
	for (; z->n < h->n_times; z->n++) {
		struct change *c = &z->changes[z->n];

		if (index[z->n] >= h->n_types || !bytes_be64(&times, &time))
			return false;
		*c = (struct change){(int64_t)time, be32(types + (size_t)index[z->n] * 6)};
		if (z->n && c->from <= c[-1].from)
			return false;
	}
	return bytes_take(in, h->n_chars + (size_t)h->n_standard + h->n_utc, &p);
}

/* "\nCET-1CEST,...\n"; without a rule the last change holds for ever. */
static bool parse_footer(struct bytes *in, struct zone *z)
{
	AUTO(freep) char *text = NULL;
	const unsigned char *p, *end;

	if (!bytes_take(in, 1, &p) || *p != '\n')
		return false;
	end = memchr(in->p, '\n', bytes_left(in));
	if (!end)
		return false;
	text = xstrndup((const char *)in->p, (size_t)(end - in->p));
	if (*text)
		return parse_rule(z, text);
	z->standard = z->n ? z->changes[z->n - 1].offset : z->first_offset;
	return true;
}

enum status zone_parse(const void *data, size_t len, struct zone **out, struct err *err)
{
	AUTO(zone_freep) struct zone *z = xcalloc(1, sizeof(*z));
	struct bytes in = bytes_of(data, len);
	struct header h;

	if (!parse_header(&in, &h))
		return err_set(err, ST_DAMAGED, "is no TZif file");
	if (h.version < '2' || !skip_old_block(&in, &h) || !parse_header(&in, &h))
		return err_set(err, ST_DAMAGED, "is a TZif file of version 1, or cut");
	if (h.n_leap)
		return err_set(err, ST_DAMAGED, "counts leap seconds, which no other clock does");
	if (!parse_changes(&in, &h, z) || !parse_footer(&in, z))
		return err_set(err, ST_DAMAGED, "is a damaged TZif file");
	*out = MOVE(z);
	return ST_OK;
}

/* Nothing outside the database is read by a name. */
static bool name_ok(const char *name)
{
	size_t n = strlen(name);

	return n > 0 && n < NAME_MAX_BYTES && name[0] != '/' && name[0] != '.' &&
	       !strstr(name, "/.") &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_+-") ==
		       n;
}

enum status zone_open(const char *name, struct zone **out, struct err *err)
{
	AUTO(freep) char *path = NULL;
	AUTO(buf_release) struct buf data = BUF_INIT;

	if (strcmp(name, "UTC") == 0) {
		*out = xcalloc(1, sizeof(**out));
		return ST_OK;
	}
	if (!file_exists(DATABASE))
		return err_set(err, ST_USAGE,
			       "this system has no " DATABASE
			       "; install its time zones (Debian: tzdata), or use UTC");
	path = xasprintf("%s/%s", DATABASE, name);
	if (!name_ok(name) || file_read(path, FILE_MAX_BYTES, &data, NULL) != ST_OK)
		return err_set(err, ST_USAGE,
			       "no such time zone in " DATABASE
			       "; give a name as Europe/Berlin, or UTC");
	if (zone_parse(buf_str(&data), data.len, out, err) != ST_OK)
		return err_wrap(err, ST_USAGE, "%s", path);
	return ST_OK;
}

void zone_free(struct zone *zone)
{
	if (!zone)
		return;
	free(zone->changes);
	free(zone);
}
