#include "tests/lib/memory_store.h"

#include <stdlib.h>
#include <string.h>

void memory_store_release(struct memory_store *m)
{
	for (size_t i = 0; i < m->cap; i++)
		free(m->slots[i].data);
	free(m->slots);
	*m = (struct memory_store){.n = 0};
}

static struct memory_node *slot_of(struct memory_node *slots, size_t cap, const struct hash *id)
{
	size_t i;

	memcpy(&i, id->bytes, sizeof(i));
	for (i &= cap - 1; slots[i].data && !hash_equal(&slots[i].id, id); i = (i + 1) & (cap - 1))
		continue;
	return &slots[i];
}

static void grow(struct memory_store *m)
{
	size_t cap = m->cap ? 2 * m->cap : 1024;
	struct memory_node *slots = xcalloc(cap, sizeof(*slots));

	for (size_t i = 0; i < m->cap; i++)
		if (m->slots[i].data)
			*slot_of(slots, cap, &m->slots[i].id) = m->slots[i];
	free(m->slots);
	m->slots = slots;
	m->cap = cap;
}

struct memory_node *memory_store_find(struct memory_store *m, const struct hash *id)
{
	struct memory_node *n = m->cap ? slot_of(m->slots, m->cap, id) : NULL;

	return n && n->data ? n : NULL;
}

static enum status get(void *ctx, const struct hash *id, struct shared **out, struct err *err)
{
	struct memory_store *m = ctx;
	struct memory_node *n = memory_store_find(m, id);

	m->gets++;
	if (!n)
		return err_set(err, ST_NOT_FOUND, "no such node");
	*out = shared_new(n->data, n->len);
	return ST_OK;
}

static void add(struct memory_store *m, const void *data, size_t len, const struct hash *id)
{
	struct memory_node *n;

	if (2 * (m->n + 1) > m->cap)
		grow(m);
	n = slot_of(m->slots, m->cap, id);
	if (n->data)
		return;
	*n = (struct memory_node){.id = *id, .data = xmemdup(data, len), .len = len};
	m->n++;
	m->bytes += len;
}

void memory_store_put(struct memory_store *m, const void *data, size_t len, struct hash *id_out)
{
	hash_of(data, len, id_out);
	add(m, data, len, id_out);
}

static enum status put(void *ctx, const struct hash *id, struct shared *bytes, struct err *err)
{
	struct memory_store *m = ctx;

	(void)err;
	m->puts++;
	add(m, bytes->data, bytes->len, id);
	return ST_OK;
}

struct node_store memory_store_nodes(struct memory_store *m)
{
	return (struct node_store){.ctx = m, .get = get, .put = put};
}
