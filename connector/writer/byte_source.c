#include "connector/writer/byte_source.h"

#include <stdlib.h>
#include <string.h>

enum status byte_source_need(struct byte_source *s, size_t n, size_t *left_out, struct err *err)
{
	size_t step = s->step ? s->step : BYTE_SOURCE_READ_BYTES;
	size_t got = 1;

	if (s->len - s->pos < n) {
		if (s->pos < s->len)
			memmove(s->data, s->data + s->pos, s->len - s->pos);
		s->len -= s->pos;
		s->pos = 0;
		if (n < step)
			n = step;
		if (n > s->cap) {
			s->cap = n;
			s->data = xrealloc(s->data, s->cap);
		}
	}
	while (got && s->len - s->pos < n) {
		enum status st =
			s->read(s->ctx, s->offset, s->data + s->len, n - s->len, &got, err);

		if (st != ST_OK)
			return st;
		s->offset += got;
		s->len += got;
	}
	*left_out = s->len - s->pos;
	return ST_OK;
}

void byte_source_release(struct byte_source *s)
{
	free(s->data);
	s->data = NULL;
}
