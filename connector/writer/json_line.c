#include "connector/writer/json_line.h"

#include <string.h>

#include "connector/schema/utf8.h"

struct scan {
	const unsigned char *p;
	const unsigned char *end;
	const char *why;
	unsigned depth;
	uint64_t objects[JSON_MAX_DEPTH / 64]; /* a bit a level: object or array */
};

static bool wrong(struct scan *s, const char *why)
{
	if (!s->why)
		s->why = why;
	return false;
}

static inline void skip_blank(struct scan *s)
{
	while (s->p < s->end && *s->p <= ' ' &&
	       (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t'))
		s->p++;
}

static bool hex4(struct scan *s, unsigned *out)
{
	unsigned v = 0;

	if (s->end - s->p < 4)
		return wrong(s, "the text ends within an escape");
	for (int i = 0; i < 4; i++, s->p++) {
		unsigned char c = *s->p;

		if (c >= '0' && c <= '9')
			v = 16 * v + (c - '0');
		else if ((c | 32) >= 'a' && (c | 32) <= 'f')
			v = 16 * v + ((c | 32) - 'a' + 10);
		else
			return wrong(s, "an escape is no \\uXXXX");
	}
	*out = v;
	return true;
}

static bool scan_escape(struct scan *s)
{
	unsigned high, low;

	if (++s->p == s->end)
		return wrong(s, "the text ends within a string");
	if (*s->p != 'u') {
		if (!*s->p || !strchr("\"\\/bfnrt", *s->p))
			return wrong(s, "no such escape");
		s->p++;
		return true;
	}
	s->p++;
	if (!hex4(s, &high))
		return false;
	if (high < 0xd800 || high > 0xdfff)
		return true;
	if (high > 0xdbff || s->end - s->p < 6 || s->p[0] != '\\' || s->p[1] != 'u')
		return wrong(s, "half of a surrogate pair");
	s->p += 2;
	if (!hex4(s, &low))
		return false;
	return low >= 0xdc00 && low <= 0xdfff ? true : wrong(s, "half of a surrogate pair");
}

/* Moves over plain ASCII of a string. */
static inline void skip_plain(struct scan *s)
{
#ifdef __SSE2__
	while (s->end - s->p >= 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)s->p);
		/* signed: below 0x20 are controls and what has its high bit set */
		__m128i stop = _mm_or_si128(_mm_cmplt_epi8(v, _mm_set1_epi8(0x20)),
					    _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')),
							 _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'))));
		int m = _mm_movemask_epi8(stop);

		if (m) {
			s->p += __builtin_ctz((unsigned)m);
			return;
		}
		s->p += 16;
	}
#endif
	while (s->p < s->end && *s->p >= 0x20 && *s->p < 0x80 && *s->p != '"' && *s->p != '\\')
		s->p++;
}

/* p is at the quote. */
static bool scan_string(struct scan *s)
{
	s->p++;
	for (;;) {
		size_t n;

		skip_plain(s);
		if (s->p == s->end)
			return wrong(s, "the text ends within a string");
		if (*s->p == '"') {
			s->p++;
			return true;
		}
		if (*s->p == '\\') {
			if (!scan_escape(s))
				return false;
			continue;
		}
		if (*s->p < 0x20)
			return wrong(s, "a control character within a string");
		n = utf8_sequence(s->p, s->end);
		if (!n)
			return wrong(s, "a string is not UTF-8");
		s->p += n;
	}
}

static size_t skip_digits(struct scan *s)
{
	const unsigned char *from = s->p;

	while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
		s->p++;
	return (size_t)(s->p - from);
}

static bool scan_number(struct scan *s)
{
	if (*s->p == '-')
		s->p++;
	if (s->p < s->end && *s->p == '0')
		s->p++;
	else if (!skip_digits(s))
		return wrong(s, "no JSON value");
	if (s->p < s->end && *s->p == '.') {
		s->p++;
		if (!skip_digits(s))
			return wrong(s, "a number ends with its point");
	}
	if (s->p < s->end && (*s->p | 32) == 'e') {
		s->p++;
		if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
			s->p++;
		if (!skip_digits(s))
			return wrong(s, "a number ends with its exponent's sign");
	}
	return true;
}

static bool scan_word(struct scan *s, const char *word, size_t n)
{
	if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0)
		return wrong(s, "no JSON value");
	s->p += n;
	return true;
}

static bool scan_scalar(struct scan *s)
{
	switch (*s->p) {
	case '"':
		return scan_string(s);
	case 't':
		return scan_word(s, "true", 4);
	case 'f':
		return scan_word(s, "false", 5);
	case 'n':
		return scan_word(s, "null", 4);
	default:
		return scan_number(s);
	}
}

static inline bool in_object(const struct scan *s)
{
	return s->objects[(s->depth - 1) / 64] >> ((s->depth - 1) % 64) & 1;
}

static bool push(struct scan *s, bool object)
{
	uint64_t bit;

	if (s->depth == JSON_MAX_DEPTH)
		return wrong(s, "nested too deep");
	bit = (uint64_t)1 << (s->depth % 64);
	if (object)
		s->objects[s->depth / 64] |= bit;
	else
		s->objects[s->depth / 64] &= ~bit;
	s->depth++;
	s->p++;
	skip_blank(s);
	return true;
}

/* The name and colon before a member's value. */
static bool scan_name(struct scan *s)
{
	if (s->p == s->end || *s->p != '"')
		return wrong(s, "an object's member has no name");
	if (!scan_string(s))
		return false;
	skip_blank(s);
	if (s->p == s->end || *s->p != ':')
		return wrong(s, "a ':' is missing");
	s->p++;
	skip_blank(s);
	return true;
}

/* Goes into arrays and objects until a value has been passed, or an empty one
 * closed. */
static bool scan_down(struct scan *s)
{
	while (s->p < s->end) {
		bool object = *s->p == '{';

		if (!object && *s->p != '[')
			return scan_scalar(s);
		if (!push(s, object))
			return false;
		if (s->p < s->end && *s->p == (object ? '}' : ']')) {
			s->p++;
			s->depth--;
			return true;
		}
		if (object && !scan_name(s))
			return false;
	}
	return wrong(s, "the text ends too early");
}

/* After a value: closes what ends here. Returns false with why unset where
 * another value follows. */
static bool scan_up(struct scan *s)
{
	while (s->depth) {
		bool object = in_object(s);

		skip_blank(s);
		if (s->p == s->end)
			return wrong(s, "the text ends too early");
		if (*s->p == ',') {
			s->p++;
			skip_blank(s);
			if (object)
				(void)scan_name(s);
			return false;
		}
		if (*s->p != (object ? '}' : ']'))
			return wrong(s, object ? "a ',' or '}' is missing"
					       : "a ',' or ']' is missing");
		s->p++;
		s->depth--;
	}
	return true;
}

static bool scan_value(struct scan *s)
{
	do {
		if (!scan_down(s))
			return false;
		if (scan_up(s))
			return true;
	} while (!s->why);
	return false;
}

bool json_line_check(const void *data, size_t len, struct json_line *out, size_t *where_out,
		     const char **why_out)
{
	struct scan s = {.p = data, .end = (const unsigned char *)data + len};
	const unsigned char *from, *to;

	skip_blank(&s);
	from = s.p;
	if (from == s.end)
		wrong(&s, len ? "there is only white space" : "the value is empty");
	if (!s.why && scan_value(&s)) {
		to = s.p;
		skip_blank(&s);
		if (s.p == s.end) {
			out->text = (const char *)from;
			out->len = (size_t)(to - from);
			out->broken = memchr(from, '\n', out->len) || memchr(from, '\r', out->len);
			return true;
		}
		wrong(&s, "more follows the value");
	}
	if (where_out)
		*where_out = (size_t)(s.p - (const unsigned char *)data);
	if (why_out)
		*why_out = s.why;
	return false;
}

void json_line_flatten(const struct json_line *line, struct buf *out)
{
	size_t from = out->len;

	buf_add(out, line->text, line->len);
	for (char *p = out->data + from; p < out->data + out->len; p++)
		if (*p == '\n' || *p == '\r')
			*p = ' ';
}

void json_line_add_string(struct buf *out, const char *s, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	size_t from = 0;

	buf_addc(out, '"');
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];
		const char *named;

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		buf_add(out, s + from, i - from);
		from = i + 1;
		buf_addc(out, '\\');
		named = c ? strchr("\"\"\\\\\bb\ff\nn\rr\tt", c) : NULL;
		if (named) {
			buf_addc(out, named[1]);
		} else {
			buf_adds(out, "u00");
			buf_addc(out, hex[c >> 4]);
			buf_addc(out, hex[c & 15]);
		}
	}
	buf_add(out, s + from, len - from);
	buf_addc(out, '"');
}
