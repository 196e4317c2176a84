/* An entry's bytes:
 *
 *   1        format, 1
 *   32       the blob's SHA-256
 *   varint   size in bytes
 *   varint n, n bytes   content type
 *   varint   number of metadata pairs; for each, ascending by key, no key
 *            twice:  varint n, n bytes key;  varint n, n bytes value
 *
 * Texts hold no NUL. Nothing follows the last pair. */
#include "core/model/entry.h"

#include <stdlib.h>
#include <string.h>

#include "core/model/text.h"

#define ENTRY_FORMAT 1

void entry_release(struct entry *e)
{
	free(e->content_type);
	e->content_type = NULL;
	lake_meta_release(&e->meta);
}

void entry_encode(const struct entry *e, struct buf *out)
{
	buf_addc(out, ENTRY_FORMAT);
	buf_add(out, e->blob.bytes, sizeof(e->blob.bytes));
	buf_add_varint(out, e->size);
	text_encode(e->content_type ? e->content_type : "", out);
	meta_encode(&e->meta, out);
}

static bool parse(struct bytes *in, struct entry *e)
{
	const unsigned char *p;

	if (!bytes_take(in, 1, &p) || *p != ENTRY_FORMAT ||
	    !bytes_take(in, sizeof(e->blob.bytes), &p))
		return false;
	memcpy(e->blob.bytes, p, sizeof(e->blob.bytes));
	return bytes_varint(in, &e->size) && text_decode(in, &e->content_type) &&
	       meta_decode(in, &e->meta) && bytes_left(in) == 0;
}

enum status entry_decode(const void *data, size_t len, struct entry *out, struct err *err)
{
	AUTO(entry_release) struct entry e = {.meta = LAKE_META_INIT};
	struct bytes in = bytes_of(data, len);

	if (!parse(&in, &e))
		return err_set(err, ST_DAMAGED, "a tree's entry of %zu bytes is damaged", len);
	*out = e;
	e = (struct entry){.meta = LAKE_META_INIT};
	return ST_OK;
}

enum status entry_blob(const void *data, size_t len, struct hash *blob_out, uint64_t *size_out,
		       struct err *err)
{
	struct bytes in = bytes_of(data, len);
	const unsigned char *p;

	if (!bytes_take(&in, 1, &p) || *p != ENTRY_FORMAT ||
	    !bytes_take(&in, sizeof(blob_out->bytes), &p) || !bytes_varint(&in, size_out))
		return err_set(err, ST_DAMAGED, "a tree's entry of %zu bytes is damaged", len);
	memcpy(blob_out->bytes, p, sizeof(blob_out->bytes));
	return ST_OK;
}
