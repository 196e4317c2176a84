#include "core/base/log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/buf.h"
#include "core/base/clock.h"

static atomic_int threshold = LOG_INFO;
static atomic_bool as_json;
static void (*_Atomic before_line)(void);

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_set_level(enum log_level level)
{
	threshold = level;
}

void log_set_json(bool json)
{
	as_json = json;
}

void log_set_before(void (*before)(void))
{
	before_line = before;
}

static bool needs_quotes(const char *s)
{
	if (!*s)
		return true;
	for (; *s; s++)
		if ((unsigned char)*s <= ' ' || *s == '"' || *s == '=' || *s == 0x7f)
			return true;
	return false;
}

static void add_quoted(struct buf *line, const char *s)
{
	buf_addc(line, '"');
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			buf_addf(line, "\\%c", c);
		else if (c == '\n')
			buf_adds(line, "\\n");
		else if (c < ' ' || c == 0x7f)
			buf_addf(line, "\\u%04x", c);
		else
			buf_addc(line, (char)c);
	}
	buf_addc(line, '"');
}

static void add_field(struct buf *line, const struct log_field *f, bool json)
{
	if (json)
		buf_addf(line, ",\"%s\":", f->key);
	else
		buf_addf(line, " %s=", f->key);
	if (!f->text)
		buf_addf(line, "%lld", (long long)f->number);
	else if (json || needs_quotes(f->text))
		add_quoted(line, f->text);
	else
		buf_adds(line, f->text);
}

void log_write(enum log_level level, const char *event, const struct log_field *fields, size_t n)
{
	AUTO(buf_release) struct buf line = BUF_INIT;
	struct clock *clock = clock_system();
	char time[TIME_TEXT_BYTES];
	bool json = as_json;
	void (*before)(void) = before_line;
	ssize_t ignored;

	if ((int)level < threshold)
		return;
	time_format(clock->wall_ms(clock), time);
	buf_addf(&line, json ? "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s\"" : "%s %-5s %s",
		 time, level_names[level], event);
	for (size_t i = 1; i < n; i++)
		add_field(&line, &fields[i], json);
	buf_adds(&line, json ? "}\n" : "\n");
	if (before)
		before();
	ignored = write(STDERR_FILENO, line.data, line.len);
	(void)ignored;
}
