/* Texts and metadata inside the model's encodings: a text is a varint length
 * and that many bytes without a NUL; metadata is a varint count and the pairs,
 * ascending by key, no key twice. Both are canonical. */
#ifndef TIDEMARK_MODEL_TEXT_H
#define TIDEMARK_MODEL_TEXT_H

#include "core/base/buf.h"
#include "core/lake.h"

void text_encode(const char *text, struct buf *out);
/* *text_out is the caller's; false where the bytes are no text. */
MUST_CHECK bool text_decode(struct bytes *in, char **text_out);

void meta_encode(const struct lake_meta *meta, struct buf *out);
/* meta must be empty; after false it may hold some of the pairs. */
MUST_CHECK bool meta_decode(struct bytes *in, struct lake_meta *meta);

#endif
