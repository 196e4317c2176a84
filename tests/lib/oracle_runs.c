#include "tests/lib/oracle_runs.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define MOST_BYTES ((size_t)64 << 20)

void oracle_runs_release(struct oracle_runs *runs)
{
	free(runs->items);
	*runs = (struct oracle_runs){.items = NULL};
}

static bool add(struct oracle_runs *runs, int64_t from, int64_t to)
{
	if (from < 0 || to < from)
		return false;
	if ((runs->n & (runs->n - 1)) == 0)
		runs->items =
			xrealloc(runs->items, (runs->n ? 2 * runs->n : 1) * sizeof(*runs->items));
	if (!runs->n || from < runs->least)
		runs->least = from;
	runs->items[runs->n++] = (struct oracle_run){from, to};
	return true;
}

static bool parse_plain(const char *p, struct oracle_runs *runs)
{
	for (;;) {
		char *end;
		int64_t from = strtoll(p, &end, 10), to = from;

		if (end == p)
			return false;
		if (*end == '-') {
			p = end + 1;
			to = strtoll(p, &end, 10);
		}
		if (!add(runs, from, to) || (*end && *end != ','))
			return false;
		if (!*end)
			return true;
		p = end + 1;
	}
}

/* Base64 to bytes, of which there are *len; the caller frees them. */
static unsigned char *bytes_of_text(const char *text, size_t *len)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned char *out = xmalloc(strlen(text) + 1);
	unsigned bits = 0, held = 0;

	*len = 0;
	for (; *text && *text != '='; text++) {
		const char *at = strchr(alphabet, *text);

		if (!at)
			break;
		held = held << 6 | (unsigned)(at - alphabet);
		bits += 6;
		if (bits >= 8)
			out[(*len)++] = (unsigned char)(held >> (bits -= 8));
	}
	return out;
}

static bool varint(const unsigned char **p, const unsigned char *end, uint64_t *v)
{
	*v = 0;
	for (unsigned shift = 0; *p < end && shift < 64; shift += 7) {
		unsigned char c = *(*p)++;

		*v |= (uint64_t)(c & 0x7f) << shift;
		if (c < 0x80)
			return true;
	}
	return false;
}

static bool parse_varints(const unsigned char *p, const unsigned char *end,
			  struct oracle_runs *runs)
{
	int64_t last = -1;

	while (p < end) {
		uint64_t step, more = 0;
		bool many;

		if (!varint(&p, end, &step))
			return false;
		many = step == 0;
		if (many && (!varint(&p, end, &step) || !varint(&p, end, &more)))
			return false;
		last += (step & 1) ? -(int64_t)(step / 2) - 1 : (int64_t)(step / 2);
		if (!add(runs, last, many ? last + (int64_t)more + 1 : last))
			return false;
		last = runs->items[runs->n - 1].to;
	}
	return runs->n > 0;
}

bool oracle_runs_parse(const char *text, struct oracle_runs *out)
{
	AUTO(freep) unsigned char *frame = NULL;
	AUTO(freep) unsigned char *raw = NULL;
	size_t len;

	*out = (struct oracle_runs){.items = NULL};
	if (!text)
		return false;
	if (strncmp(text, "zstd:", 5) != 0)
		return parse_plain(text, out);
	frame = bytes_of_text(text + 5, &len);
	raw = xmalloc(MOST_BYTES);
	len = ZSTD_decompress(raw, MOST_BYTES, frame, len);
	return !ZSTD_isError(len) && parse_varints(raw, raw + len, out);
}
