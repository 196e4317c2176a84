#include "connector/writer/avro_row.h"

#include <string.h>

#include "connector/schema/utf8.h"

void avro_row_long(struct buf *b, int64_t v)
{
	buf_add_varint(b, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

void avro_row_bytes(struct buf *b, const void *data, size_t len)
{
	avro_row_long(b, (int64_t)len);
	if (len)
		buf_add(b, data, len);
}

void avro_row_text(struct buf *b, const char *s)
{
	AUTO(buf_release) struct buf mended = BUF_INIT;
	size_t len = strlen(s);

	if (utf8_check((const unsigned char *)s, len)) {
		avro_row_bytes(b, s, len);
		return;
	}
	utf8_mend(s, &mended);
	avro_row_bytes(b, mended.data, mended.len);
}

void avro_row_nullable_bytes(struct buf *b, const void *data, size_t len)
{
	avro_row_long(b, data ? 1 : 0);
	if (data)
		avro_row_bytes(b, data, len);
}

void avro_row_timestamp(struct buf *b, const struct record *r)
{
	avro_row_long(b, r->timestamp_ms >= 0 ? 1 : 0);
	if (r->timestamp_ms >= 0)
		avro_row_long(b, r->timestamp_ms);
}

void avro_row_headers(struct buf *b, const struct record *r)
{
	const struct record_header *headers = NULL;
	size_t n = r->headers ? r->headers(r, &headers) : 0;

	if (n)
		avro_row_long(b, (int64_t)n);
	for (size_t i = 0; i < n; i++) {
		avro_row_text(b, headers[i].name);
		avro_row_nullable_bytes(b, headers[i].value, headers[i].value_len);
	}
	avro_row_long(b, 0);
}
