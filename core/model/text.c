#include "core/model/text.h"

#include <string.h>

void text_encode(const char *text, struct buf *out)
{
	size_t len = strlen(text);

	buf_add_varint(out, len);
	buf_add(out, text, len);
}

bool text_decode(struct bytes *in, char **text_out)
{
	const unsigned char *p;
	uint64_t len;

	if (!bytes_varint(in, &len) || len > bytes_left(in) || !bytes_take(in, len, &p) ||
	    (len && memchr(p, '\0', len)))
		return false;
	*text_out = xstrndup((const char *)p, len);
	return true;
}

void meta_encode(const struct lake_meta *meta, struct buf *out)
{
	buf_add_varint(out, meta->n);
	for (size_t i = 0; i < meta->n; i++) {
		text_encode(meta->items[i].key, out);
		text_encode(meta->items[i].value, out);
	}
}

bool meta_decode(struct bytes *in, struct lake_meta *meta)
{
	uint64_t n;

	/* A pair takes two bytes at least: a damaged count allocates nothing. */
	if (!bytes_varint(in, &n) || n > bytes_left(in) / 2)
		return false;
	for (uint64_t i = 0; i < n; i++) {
		AUTO(freep) char *key = NULL;
		AUTO(freep) char *value = NULL;

		if (!text_decode(in, &key) || !text_decode(in, &value))
			return false;
		if (i && strcmp(meta->items[i - 1].key, key) >= 0)
			return false;
		GROW(meta->items, meta->n, meta->cap);
		meta->items[meta->n++] =
			(struct lake_meta_item){.key = MOVE(key), .value = MOVE(value)};
	}
	return true;
}
