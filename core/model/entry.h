/* What a tree's value holds: an object's blob, size, content type, metadata.
 * docs/format.md has the bytes; encoding is canonical: equal entries, equal
 * bytes. */
#ifndef TIDEMARK_MODEL_ENTRY_H
#define TIDEMARK_MODEL_ENTRY_H

#include "core/base/buf.h"
#include "core/lake.h"
#include "core/model/hash.h"

struct entry {
	struct hash blob;
	uint64_t size;
	char *content_type; /* "" where unknown */
	struct lake_meta meta;
};

void entry_release(struct entry *e);
void entry_encode(const struct entry *e, struct buf *out);
/* ST_DAMAGED where the bytes are no entry. */
MUST_CHECK enum status entry_decode(const void *data, size_t len, struct entry *out,
				    struct err *err);

/* Only what names its data. */
MUST_CHECK enum status entry_blob(const void *data, size_t len, struct hash *blob_out,
				  uint64_t *size_out, struct err *err);

#endif
