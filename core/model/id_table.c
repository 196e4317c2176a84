#include "core/model/id_table.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_RECORDS 1024
#define SLOTS_FIRST 1024
#define ID_BYTES 32

void id_table_init(struct id_table *t, size_t record_bytes)
{
	*t = (struct id_table){.record_bytes = (record_bytes + 7) & ~(size_t)7};
}

void id_table_release(struct id_table *t)
{
	for (size_t i = 0; i < t->n_blocks; i++)
		free(t->blocks[i]);
	free(t->blocks);
	free(t->slots);
	*t = (struct id_table){.record_bytes = t->record_bytes};
}

/* Hashes are spread evenly by themselves. The slot of the record, or the free
 * one where it would be. */
static void **slot_of(void **slots, size_t n_slots, const unsigned char id[ID_BYTES])
{
	uint64_t at;

	memcpy(&at, id, sizeof(at));
	for (at &= n_slots - 1; slots[at] && memcmp(slots[at], id, ID_BYTES) != 0;)
		at = (at + 1) & (n_slots - 1);
	return &slots[at];
}

static void grow(struct id_table *t)
{
	size_t n_slots = t->n_slots ? 2 * t->n_slots : SLOTS_FIRST;
	void **slots = xcalloc(n_slots, sizeof(*slots));

	for (size_t i = 0; i < t->n; i++) {
		void *record = id_table_at(t, i);

		*slot_of(slots, n_slots, record) = record;
	}
	free(t->slots);
	t->slots = slots;
	t->n_slots = n_slots;
}

void *id_table_at(const struct id_table *t, size_t i)
{
	return t->blocks[i / BLOCK_RECORDS] + i % BLOCK_RECORDS * t->record_bytes;
}

void *id_table_find(const struct id_table *t, const unsigned char id[ID_BYTES])
{
	return t->n_slots ? *slot_of(t->slots, t->n_slots, id) : NULL;
}

void *id_table_add(struct id_table *t, const unsigned char id[ID_BYTES])
{
	void *record = id_table_find(t, id);

	if (record)
		return record;
	if (2 * (t->n + 1) > t->n_slots)
		grow(t);
	if (t->n == t->n_blocks * BLOCK_RECORDS) {
		t->blocks = xrealloc_array(t->blocks, t->n_blocks + 1, sizeof(*t->blocks));
		t->blocks[t->n_blocks++] = xcalloc(BLOCK_RECORDS, t->record_bytes);
	}
	record = id_table_at(t, t->n++);
	memcpy(record, id, ID_BYTES);
	*slot_of(t->slots, t->n_slots, id) = record;
	return record;
}
