#include "connector/schema/decimal.h"

#include <string.h>

/* Longer numbers are refused, whatever the precision. */
#define MAX_DIGITS 4096

struct number {
	bool negative;
	struct buf digits; /* no leading zero; empty: zero */
	long exponent; /* the value is digits * 10^exponent */
};

static void number_release(struct number *n)
{
	buf_release(&n->digits);
}

static const char *parse_exponent(const char *p, const char *end, long *out)
{
	bool negative = false;
	long v = 0;

	if (p < end && (*p == '+' || *p == '-'))
		negative = *p++ == '-';
	if (p == end)
		return "it is no number";
	for (; p < end; p++) {
		if (*p < '0' || *p > '9')
			return "it is no number";
		v = v * 10 + (*p - '0');
		if (v > 2 * MAX_DIGITS)
			return "its exponent is too large";
	}
	*out += negative ? -v : v;
	return NULL;
}

static const char *parse(const char *p, const char *end, struct number *n)
{
	bool point = false, any = false;

	if (end - p > MAX_DIGITS)
		return "it has too many digits";
	if (p < end && (*p == '+' || *p == '-'))
		n->negative = *p++ == '-';
	for (; p < end; p++) {
		if (*p == '.' && !point) {
			point = true;
			continue;
		}
		if ((*p | 32) == 'e' && any)
			return parse_exponent(p + 1, end, &n->exponent);
		if (*p < '0' || *p > '9')
			return "it is no number";
		any = true;
		if (n->digits.len || *p != '0')
			buf_addc(&n->digits, *p);
		n->exponent -= point;
	}
	return any ? NULL : "it is no number";
}

/* Makes the exponent -scale, by adding zeros or dropping them. */
static const char *rescale(struct number *n, int precision, int scale)
{
	long shift = n->exponent + scale;

	if (!n->digits.len)
		return NULL;
	for (; shift < 0; shift++) {
		if (!n->digits.len || n->digits.data[n->digits.len - 1] != '0')
			return "it has more digits behind the point than the schema's scale";
		n->digits.len--;
	}
	if (shift > 2 * MAX_DIGITS || (long)n->digits.len + shift > precision)
		return "it has more digits than the schema's precision";
	for (; shift > 0; shift--)
		buf_addc(&n->digits, '0');
	return NULL;
}

/* b = b * 10 + digit; b is big-endian and grows at its front. */
static void times_ten(unsigned char *b, size_t size, size_t *used, unsigned digit)
{
	unsigned carry = digit;

	for (size_t i = 0; i < *used || carry; i++) {
		unsigned char *at = &b[size - 1 - i];

		if (i == *used)
			++*used;
		carry += *at * 10u;
		*at = (unsigned char)carry;
		carry >>= 8;
	}
}

const char *decimal_encode(const char *text, size_t len, int precision, int scale, struct buf *out)
{
	AUTO(number_release) struct number n = {.digits = BUF_INIT};
	AUTO(freep) unsigned char *b = NULL;
	const char *why = parse(text, text + len, &n);
	size_t size, used = 0, from;

	if (!why)
		why = rescale(&n, precision, scale);
	if (why)
		return why;
	size = n.digits.len / 2 + 2; /* a digit is under half a byte */
	b = xcalloc(1, size);
	for (size_t i = 0; i < n.digits.len; i++)
		times_ten(b, size, &used, (unsigned)(n.digits.data[i] - '0'));
	if (n.negative) {
		unsigned carry = 1;

		for (size_t i = size; i-- > 0;) {
			carry += (unsigned char)~b[i];
			b[i] = (unsigned char)carry;
			carry >>= 8;
		}
	}
	/* Drop what only repeats the sign. */
	from = 0;
	while (from + 1 < size && ((b[from] == 0x00 && b[from + 1] < 0x80) ||
				   (b[from] == 0xff && b[from + 1] >= 0x80)))
		from++;
	buf_add(out, b + from, size - from);
	return NULL;
}
