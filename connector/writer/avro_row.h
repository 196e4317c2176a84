/* Puts Avro values together, for rows that the program makes itself. */
#ifndef TIDEMARK_WRITER_AVRO_ROW_H
#define TIDEMARK_WRITER_AVRO_ROW_H

#include "connector/kafka/record.h"
#include "core/base/buf.h"

void avro_row_long(struct buf *b, int64_t v); /* int and enum too */
void avro_row_bytes(struct buf *b, const void *data, size_t len);
/* UTF-8 whatever s is. */
void avro_row_text(struct buf *b, const char *s);
/* ["null", "bytes"]; data NULL: null. */
void avro_row_nullable_bytes(struct buf *b, const void *data, size_t len);
/* ["null", long]: null where the record has none. */
void avro_row_timestamp(struct buf *b, const struct record *r);
/* An array of {name, value}. */
void avro_row_headers(struct buf *b, const struct record *r);

#endif
