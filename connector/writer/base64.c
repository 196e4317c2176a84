#include "connector/writer/base64.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_add(struct buf *out, const void *data, size_t len)
{
	const unsigned char *p = data;

	buf_reserve(out, (len + 2) / 3 * 4);
	for (size_t n = len; n; p += 3) {
		uint32_t v = (uint32_t)p[0] << 16 | (n > 1 ? (uint32_t)p[1] << 8 : 0) |
			     (n > 2 ? p[2] : 0);

		buf_addc(out, digits[v >> 18]);
		buf_addc(out, digits[v >> 12 & 63]);
		buf_addc(out, n > 1 ? digits[v >> 6 & 63] : '=');
		buf_addc(out, n > 2 ? digits[v & 63] : '=');
		n -= n > 3 ? 3 : n;
	}
}

/* -1: none. */
static int value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool base64_decode(const char *text, size_t len, struct buf *out)
{
	if (len % 4)
		return false;
	buf_reserve(out, len / 4 * 3);
	for (size_t i = 0; i < len; i += 4) {
		const bool last = i + 4 == len;
		const size_t n = last && text[i + 3] == '=' ? (text[i + 2] == '=' ? 1 : 2) : 3;
		uint32_t v = 0;

		for (size_t k = 0; k <= n; k++) {
			int d = value_of(text[i + k]);

			if (d < 0)
				return false;
			v |= (uint32_t)d << (18 - 6 * k);
		}
		for (size_t k = 0; k < n; k++)
			buf_addc(out, (char)(v >> (16 - 8 * k)));
	}
	return true;
}
