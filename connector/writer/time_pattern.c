#include "connector/writer/time_pattern.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/lake.h"

#define WIDTH_MAX 9

/* A letter and how often, or one character of text. */
struct token {
	char letter; /* '\0': text */
	char text;
	int width;
};

struct time_pattern {
	struct token *tokens;
	size_t n, cap;
};

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static void add_token(struct time_pattern *p, struct token token)
{
	GROW(p->tokens, p->n, p->cap);
	p->tokens[p->n++] = token;
}

static enum status add_text(struct time_pattern *p, char c, struct err *err)
{
	if (!is_letter(c) && !(c >= '0' && c <= '9') && !(c && strchr("_-.=/+,", c)))
		return err_set(err, ST_USAGE,
			       (unsigned char)c < 0x20 || (unsigned char)c > 0x7e
				       ? "character 0x%02x may not stand in a path; take letters, "
					 "digits and _-.=/+,"
				       : "character 0x%02x (%c) may not stand in a path; take "
					 "letters, digits and _-.=/+,",
			       (unsigned char)c, c);
	add_token(p, (struct token){.text = c});
	return ST_OK;
}

static enum status add_letter(struct time_pattern *p, char letter, int width, struct err *err)
{
	if (!strchr("yYMdDHmsS", letter))
		return err_set(err, ST_USAGE,
			       "letter %c is not taken; y, M, d, D, H, m, s and S are, and text "
			       "between quotes, as 'year'=yyyy",
			       letter);
	if (letter == 'M' && width > 2)
		return err_set(err, ST_USAGE,
			       "MMM is a month's name, which is another in each language; take MM");
	if (width > WIDTH_MAX || (letter == 'S' && width > 3))
		return err_set(err, ST_USAGE, "letter %c stands there %d times; %d at most", letter,
			       width, letter == 'S' ? 3 : WIDTH_MAX);
	add_token(p, (struct token){.letter = letter, .width = width});
	return ST_OK;
}

/* text at the opening quote; moves it behind the closing one. */
static enum status add_quoted(struct time_pattern *p, const char **text, struct err *err)
{
	const char *at = *text + 1;
	enum status st = ST_OK;

	if (*at == '\'')
		return add_text(p, '\'', err);
	for (; st == ST_OK && *at && *at != '\''; at++)
		st = add_text(p, *at, err);
	if (st == ST_OK && !*at)
		return err_set(err, ST_USAGE, "a quote is not closed");
	*text = at + 1;
	return st;
}

static enum status parse(struct time_pattern *p, const char *text, struct err *err)
{
	enum status st = ST_OK;

	while (st == ST_OK && *text) {
		if (*text == '\'') {
			st = add_quoted(p, &text, err);
		} else if (is_letter(*text)) {
			int width = 1;

			while (text[width] == *text)
				width++;
			st = add_letter(p, *text, width, err);
			text += width;
		} else {
			st = add_text(p, *text++, err);
		}
	}
	return st;
}

enum status time_pattern_parse(const char *text, struct time_pattern **out, struct err *err)
{
	AUTO(time_pattern_freep) struct time_pattern *p = xcalloc(1, sizeof(*p));
	AUTO(buf_release) struct buf sample = BUF_INIT;
	enum status st = parse(p, text, err);

	if (st != ST_OK)
		return st;
	time_pattern_add(p, 0, &sample);
	st = lake_path_check(buf_str(&sample), err);
	if (st != ST_OK)
		return err_wrap(err, ST_USAGE, "it gives the path '%s'", buf_str(&sample));
	*out = MOVE(p);
	return ST_OK;
}

void time_pattern_free(struct time_pattern *p)
{
	if (!p)
		return;
	free(p->tokens);
	free(p);
}

static int field_of(char letter, const struct tm *tm, int ms, int width)
{
	static const int fraction[] = {1, 100, 10, 1};

	switch (letter) {
	case 'M':
		return tm->tm_mon + 1;
	case 'd':
		return tm->tm_mday;
	case 'D':
		return tm->tm_yday + 1;
	case 'H':
		return tm->tm_hour;
	case 'm':
		return tm->tm_min;
	case 's':
		return tm->tm_sec;
	case 'S':
		return ms / fraction[width];
	default:
		return width == 2 ? (tm->tm_year + 1900) % 100 : tm->tm_year + 1900;
	}
}

void time_pattern_add(const struct time_pattern *p, int64_t local_ms, struct buf *out)
{
	int ms = (int)((local_ms % 1000 + 1000) % 1000);
	time_t seconds = (local_ms - ms) / 1000;
	struct tm tm;

	gmtime_r(&seconds, &tm);
	for (size_t i = 0; i < p->n; i++) {
		const struct token *t = &p->tokens[i];

		if (t->letter)
			buf_addf(out, "%0*d", t->width, field_of(t->letter, &tm, ms, t->width));
		else
			buf_addc(out, t->text);
	}
}
