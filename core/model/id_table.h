/* A set of records, each known by a hash (32 bytes, its first field). Records
 * stay where they are until the table goes. One thread at a time. */
#ifndef TIDEMARK_MODEL_ID_TABLE_H
#define TIDEMARK_MODEL_ID_TABLE_H

#include "core/base/base.h"

struct id_table {
	size_t record_bytes;
	unsigned char **blocks;
	size_t n_blocks;
	size_t n; /* records */
	void **slots;
	size_t n_slots; /* a power of two, or 0 */
};

void id_table_init(struct id_table *t, size_t record_bytes);
void id_table_release(struct id_table *t);
/* NULL where it is not there. */
void *id_table_find(const struct id_table *t, const unsigned char id[32]);
/* The record; a new one is all zero behind its id. */
void *id_table_add(struct id_table *t, const unsigned char id[32]);
/* The i-th, in the order in which they were added; i < n. */
void *id_table_at(const struct id_table *t, size_t i);

#endif
