#include "core/base/props.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"

#define FILE_MAX_BYTES (4 << 20)

void props_release(struct props *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free(p->items[i].key);
		free(p->items[i].value);
	}
	free(p->items);
	*p = (struct props)PROPS_INIT;
}

static struct prop *find(const struct props *p, const char *key)
{
	for (size_t i = 0; i < p->n; i++)
		if (strcmp(p->items[i].key, key) == 0)
			return &p->items[i];
	return NULL;
}

void props_set(struct props *p, const char *key, const char *value)
{
	struct prop *item = find(p, key);
	char *copy = xstrdup(value);

	if (item) {
		free(item->value);
		item->value = copy;
		return;
	}
	GROW(p->items, p->n, p->cap);
	p->items[p->n++] = (struct prop){.key = xstrdup(key), .value = copy};
}

void props_unset(struct props *p, const char *key)
{
	struct prop *item = find(p, key);

	if (!item)
		return;
	free(item->key);
	free(item->value);
	memmove(item, item + 1, (size_t)(p->items + p->n - (item + 1)) * sizeof(*item));
	p->n--;
}

const char *props_get(const struct props *p, const char *key)
{
	const struct prop *item = find(p, key);

	return item ? item->value : NULL;
}

/* ---- the file format of java.util.Properties ---- */

struct reader {
	const char *name;
	const char *p, *end;
	int line;
};

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\f';
}

static void skip_blanks(struct reader *r)
{
	while (r->p < r->end && blank(*r->p))
		r->p++;
}

static void skip_line(struct reader *r)
{
	while (r->p < r->end && *r->p != '\n')
		r->p++;
}

/* At "\<newline>": steps over it and the next line's indentation. */
static bool continuation(struct reader *r)
{
	const char *p = r->p + 1;

	if (p < r->end && *p == '\r')
		p++;
	if (p >= r->end || *p != '\n')
		return false;
	r->p = p + 1;
	r->line++;
	skip_blanks(r);
	return true;
}

static void add_utf8(struct buf *out, unsigned code)
{
	if (code < 0x80) {
		buf_addc(out, (char)code);
	} else if (code < 0x800) {
		buf_addc(out, (char)(0xc0 | code >> 6));
		buf_addc(out, (char)(0x80 | (code & 0x3f)));
	} else {
		buf_addc(out, (char)(0xe0 | code >> 12));
		buf_addc(out, (char)(0x80 | (code >> 6 & 0x3f)));
		buf_addc(out, (char)(0x80 | (code & 0x3f)));
	}
}

/* At a backslash that does not continue a line. */
static enum status escape(struct reader *r, struct buf *out, struct err *err)
{
	static const char from[] = "tnrf", to[] = "\t\n\r\f";
	const char *at;
	char c;

	r->p++;
	if (r->p >= r->end)
		return ST_OK;
	c = *r->p++;
	if (c == 'u') {
		char hex[5] = {0};
		char *stop;
		unsigned long code;

		if (r->end - r->p < 4)
			return err_set(err, ST_USAGE, "%s:%d: \\u wants four hex digits", r->name,
				       r->line);
		memcpy(hex, r->p, 4);
		code = strtoul(hex, &stop, 16);
		if (*stop || !isxdigit((unsigned char)hex[0]))
			return err_set(err, ST_USAGE, "%s:%d: \\u%s: \\u wants four hex digits",
				       r->name, r->line, hex);
		r->p += 4;
		add_utf8(out, (unsigned)code);
		return ST_OK;
	}
	at = strchr(from, c);
	buf_addc(out, at && c ? to[at - from] : c);
	return ST_OK;
}

/* Reads up to the end of the logical line, or of the key. */
static enum status read_part(struct reader *r, bool key, struct buf *out, struct err *err)
{
	while (r->p < r->end && *r->p != '\n') {
		if (key && (blank(*r->p) || *r->p == '=' || *r->p == ':'))
			return ST_OK;
		if (*r->p == '\\') {
			enum status st;

			if (continuation(r))
				continue;
			st = escape(r, out, err);
			if (st != ST_OK)
				return st;
			continue;
		}
		if (*r->p != '\r' || (r->p + 1 < r->end && r->p[1] != '\n'))
			buf_addc(out, *r->p);
		r->p++;
	}
	return ST_OK;
}

static enum status read_pair(struct reader *r, struct props *out, struct err *err)
{
	AUTO(buf_release) struct buf key = BUF_INIT;
	AUTO(buf_release) struct buf value = BUF_INIT;
	int line = r->line;
	enum status st = read_part(r, true, &key, err);

	if (st != ST_OK)
		return st;
	skip_blanks(r);
	if (r->p < r->end && (*r->p == '=' || *r->p == ':')) {
		r->p++;
		skip_blanks(r);
	}
	st = read_part(r, false, &value, err);
	if (st != ST_OK)
		return st;
	while (value.len > 0 && blank(value.data[value.len - 1]))
		value.data[--value.len] = '\0';
	if (props_get(out, buf_str(&key)))
		return err_set(err, ST_USAGE, "%s:%d: %s is set twice; keep one of the two lines",
			       r->name, line, buf_str(&key));
	props_set(out, buf_str(&key), buf_str(&value));
	return ST_OK;
}

enum status props_parse(const char *name, const char *text, size_t len, struct props *out,
			struct err *err)
{
	struct reader r = {.name = name, .p = text, .end = text + len, .line = 1};

	while (r.p < r.end) {
		enum status st;

		skip_blanks(&r);
		if (r.p < r.end && (*r.p == '#' || *r.p == '!')) {
			skip_line(&r);
		} else if (r.p < r.end && *r.p != '\n' && *r.p != '\r') {
			st = read_pair(&r, out, err);
			if (st != ST_OK)
				return st;
		}
		if (r.p < r.end && *r.p == '\n')
			r.line++;
		r.p++;
	}
	return ST_OK;
}

enum status props_read_file(const char *path, struct props *out, struct err *err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	enum status st = file_read(path, FILE_MAX_BYTES, &text, err);

	if (st != ST_OK)
		return st == ST_NOT_FOUND
			       ? err_set(err, ST_USAGE, "%s: no such file; name a properties file",
					 path)
			       : st;
	return props_parse(path, buf_str(&text), text.len, out, err);
}

/* ---- lists, sizes, nearness ---- */

struct text_list text_list_split(const char *text)
{
	struct text_list list = {0};
	size_t cap = 0;

	while (text && *text) {
		const char *end = strchrnul(text, ',');
		const char *from = text, *to = end;

		while (from < to && isspace((unsigned char)*from))
			from++;
		while (to > from && isspace((unsigned char)to[-1]))
			to--;
		if (to > from) {
			GROW(list.items, list.n, cap);
			list.items[list.n++] = xstrndup(from, (size_t)(to - from));
		}
		text = *end ? end + 1 : end;
	}
	return list;
}

void text_list_release(struct text_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct text_list){0};
}

bool bytes_parse(const char *text, int64_t *out)
{
	static const struct {
		const char *unit;
		int shift;
	} units[] = {{"", 0}, {"B", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}};
	char *end;
	long long n;

	if (!isdigit((unsigned char)*text))
		return false;
	n = strtoll(text, &end, 10);
	while (*end == ' ')
		end++;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (strcasecmp(end, units[i].unit) != 0)
			continue;
		if (n > INT64_MAX >> units[i].shift)
			return false;
		*out = n << units[i].shift;
		return true;
	}
	return false;
}

bool duration_parse(const char *text, int64_t *ms_out)
{
	static const struct {
		const char *unit;
		int64_t ms;
	} units[] = {{"", 1},        {"ms", 1},       {"s", 1000},          {"m", 60000},
		     {"h", 3600000}, {"d", 86400000}, {"w", 7LL * 86400000}};
	char *end;
	long long n;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	n = strtoll(text, &end, 10);
	while (*end == ' ')
		end++;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (strcasecmp(end, units[i].unit) != 0)
			continue;
		if (errno || n > INT64_MAX / units[i].ms)
			return false;
		*ms_out = n * units[i].ms;
		return true;
	}
	return false;
}

/* Levenshtein distance, both words cut at 127 characters. */
static size_t distance(const char *a, const char *b)
{
	size_t row[128], la = strnlen(a, 127), lb = strnlen(b, 127);

	for (size_t j = 0; j <= lb; j++)
		row[j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[lb];
}

const char *nearest_word(const char *word, const char *const *candidates, size_t n)
{
	size_t best = strlen(word) / 3 + 2;
	const char *found = NULL;

	for (size_t i = 0; i < n; i++) {
		size_t d = distance(word, candidates[i]);

		if (d < best) {
			best = d;
			found = candidates[i];
		}
	}
	return found;
}
