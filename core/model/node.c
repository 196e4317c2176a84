#include "core/model/node.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define NODE_FORMAT 1
#define NODE_TARGET_BYTES 4096

/* ---- where a node ends ---- */

bool node_ends_at(unsigned level, const struct node_item *item)
{
	unsigned char text[1 + TREE_KEY_MAX];
	size_t size = item->key_len + (level ? 40 : item->value_len + 8);
	struct hash hash;
	uint64_t h;

	text[0] = (unsigned char)level;
	memcpy(text + 1, item->key, item->key_len);
	hash_of(text, 1 + item->key_len, &hash);
	h = (uint64_t)hash.bytes[0] << 24 | (uint64_t)hash.bytes[1] << 16 |
	    (uint64_t)hash.bytes[2] << 8 | hash.bytes[3];
	return h * NODE_TARGET_BYTES < (uint64_t)size << 32;
}

/* ---- decoding ---- */

/* Appends the key to n->keys; its place there goes to *at_out. */
static bool decode_key(struct bytes *in, struct node *n, size_t last_at, size_t last_len,
		       size_t *at_out, size_t *len_out, size_t *shared_out)
{
	uint64_t shared, rest;
	const unsigned char *p;
	size_t at = n->keys.len;

	if (!bytes_varint(in, &shared) || !bytes_varint(in, &rest))
		return false;
	if (shared > last_len || rest > TREE_KEY_MAX || shared + rest > TREE_KEY_MAX || rest == 0 ||
	    !bytes_take(in, rest, &p) || memchr(p, '\0', rest))
		return false;
	buf_reserve(&n->keys, shared + rest + 1); /* so that last_at stays where it is */
	buf_add(&n->keys, n->keys.data + last_at, shared);
	buf_add(&n->keys, p, rest);
	buf_addc(&n->keys, '\0');
	*at_out = at;
	*len_out = shared + rest;
	*shared_out = shared;
	return true;
}

static bool decode_item(struct bytes *in, unsigned level, struct node_item *item)
{
	const unsigned char *p;
	uint64_t len;

	if (level == 0) {
		if (!bytes_varint(in, &len) || len > TREE_VALUE_MAX || !bytes_take(in, len, &p))
			return false;
		item->value = p;
		item->value_len = len;
		item->count = 1;
		return true;
	}
	if (!bytes_take(in, sizeof(item->child.bytes), &p))
		return false;
	memcpy(item->child.bytes, p, sizeof(item->child.bytes));
	return bytes_varint(in, &item->count);
}

static bool decode_items(struct bytes *in, struct node *n)
{
	size_t last_at = 0, last_len = 0;

	buf_reserve(&n->keys, 2 * n->raw.len);
	for (size_t i = 0; i < n->n; i++) {
		struct node_item *item = &n->items[i];
		size_t at, shared;

		if (!decode_key(in, n, last_at, last_len, &at, &item->key_len, &shared) ||
		    !decode_item(in, n->level, item))
			return false;
		if (i && strcmp(n->keys.data + last_at + shared, n->keys.data + at + shared) >= 0)
			return false;
		n->count += item->count;
		last_at = at;
		last_len = item->key_len;
	}
	return bytes_left(in) == 0;
}

static bool decode(struct node *n)
{
	struct bytes in = bytes_of(n->raw.data, n->raw.len);
	const unsigned char *p;
	uint64_t count;
	const char *key;

	if (!bytes_take(&in, 2, &p) || p[0] != NODE_FORMAT || p[1] >= TREE_LEVELS)
		return false;
	n->level = p[1];
	/* An item takes four bytes at least (leaf: 0, 1, a key byte, 0): a damaged count allocates
	 * little. */
	if (!bytes_varint(&in, &count) || count == 0 || count > bytes_left(&in) / 4)
		return false;
	n->n = count;
	n->items = xcalloc(n->n, sizeof(*n->items));
	if (!decode_items(&in, n))
		return false;
	key = n->keys.data;
	for (size_t i = 0; i < n->n; i++) {
		n->items[i].key = key;
		key += n->items[i].key_len + 1;
	}
	return true;
}

static enum status damaged(struct err *err, const struct hash *id, const char *why)
{
	char hex[65];

	hash_hex(id, hex);
	return err_set(err, ST_DAMAGED, "tree node %s %s", hex, why);
}

enum status node_read(const struct node_store *store, const struct hash *id, struct node **out,
		      struct err *err)
{
	AUTO(node_unrefp) struct node *n = xcalloc(1, sizeof(*n));
	struct hash hash;
	enum status st;

	n->refs = 1;
	n->id = *id;
	st = store->get(store->ctx, id, &n->raw, err);
	if (st == ST_NOT_FOUND)
		return damaged(err, id, "is missing");
	if (st != ST_OK)
		return st;
	hash_of(n->raw.data, n->raw.len, &hash);
	if (!hash_equal(&hash, id))
		return damaged(err, id, "holds other bytes");
	if (!decode(n))
		return damaged(err, id, "cannot be decoded");
	*out = MOVE(n);
	return ST_OK;
}

enum status node_read_child(const struct node_store *store, const struct node *parent, size_t i,
			    struct node **out, struct err *err)
{
	AUTO(node_unrefp) struct node *n = NULL;
	const struct node_item *item = &parent->items[i];
	enum status st;

	assert(parent->level > 0);
	st = node_read(store, &item->child, &n, err);
	if (st != ST_OK)
		return st;
	if (n->level + 1 != parent->level || n->count != item->count ||
	    strcmp(n->items[n->n - 1].key, item->key) != 0)
		return damaged(err, &item->child, "is not what its parent says");
	if (i && strcmp(n->items[0].key, parent->items[i - 1].key) <= 0)
		return damaged(err, &item->child, "overlaps the one before it");
	*out = MOVE(n);
	return ST_OK;
}

struct node *node_ref(struct node *n)
{
	n->refs++;
	return n;
}

void node_unref(struct node *n)
{
	if (!n || --n->refs)
		return;
	free(n->items);
	buf_release(&n->raw);
	buf_release(&n->keys);
	free(n);
}

size_t node_find(const struct node *n, const char *key)
{
	size_t low = 0, high = n->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcmp(n->items[mid].key, key) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* ---- building ---- */

void node_builder_release(struct node_builder *b)
{
	buf_release(&b->body);
	buf_release(&b->last_key);
}

void node_builder_add(struct node_builder *b, const struct node_item *item)
{
	size_t shared = 0;

	if (b->n)
		while (shared < b->last_key.len && shared < item->key_len &&
		       b->last_key.data[shared] == item->key[shared])
			shared++;
	buf_add_varint(&b->body, shared);
	buf_add_varint(&b->body, item->key_len - shared);
	buf_add(&b->body, item->key + shared, item->key_len - shared);
	if (b->level) {
		buf_add(&b->body, item->child.bytes, sizeof(item->child.bytes));
		buf_add_varint(&b->body, item->count);
	} else {
		buf_add_varint(&b->body, item->value_len);
		buf_add(&b->body, item->value, item->value_len);
	}
	buf_clear(&b->last_key);
	buf_add(&b->last_key, item->key, item->key_len);
	b->n++;
	b->count += item->count;
}

enum status node_builder_put(struct node_builder *b, const struct node_store *store,
			     struct hash *id_out, struct err *err)
{
	AUTO(buf_release) struct buf raw = BUF_INIT;
	enum status st;

	assert(b->n > 0);
	buf_reserve(&raw, b->body.len + 16);
	buf_addc(&raw, NODE_FORMAT);
	buf_addc(&raw, (char)b->level);
	buf_add_varint(&raw, b->n);
	buf_addbuf(&raw, &b->body);
	hash_of(raw.data, raw.len, id_out);
	st = store->put(store->ctx, id_out, raw.data, raw.len, err);
	buf_clear(&b->body);
	b->n = 0;
	b->count = 0;
	return st;
}
