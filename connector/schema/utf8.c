#include "connector/schema/utf8.h"

#include <string.h>

bool utf8_check(const unsigned char *p, size_t n)
{
	const unsigned char *end = p + n;

	while (p < end) {
		uint64_t w;
		size_t step;

		if (end - p >= 8) {
			memcpy(&w, p, 8);
			if (!(w & 0x8080808080808080u)) {
				p += 8;
				continue;
			}
		}
		step = utf8_sequence(p, end);
		if (!step)
			return false;
		p += step;
	}
	return true;
}

void utf8_mend(const char *text, struct buf *out)
{
	const unsigned char *p = (const unsigned char *)text, *end = p + strlen(text);

	while (p < end) {
		size_t n = utf8_sequence(p, end);

		if (n)
			buf_add(out, p, n);
		else
			buf_adds(out, "\xef\xbf\xbd");
		p += n ? n : 1;
	}
}

json_t *utf8_json(const char *text)
{
	json_t *string = text ? json_string(text) : json_null();
	AUTO(buf_release) struct buf mended = BUF_INIT;

	if (string)
		return string;
	utf8_mend(text, &mended);
	return json_string(buf_str(&mended));
}
