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
