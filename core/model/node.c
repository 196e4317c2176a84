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

/* An item's key: what it shares with the key before, and what follows. */
struct key_parts {
	size_t shared;
	size_t rest_len; /* 1 or more */
	const unsigned char *rest;
};

static bool decode_key(struct bytes *in, size_t last_len, struct key_parts *out)
{
	uint64_t shared, rest;

	if (!bytes_varint(in, &shared) || !bytes_varint(in, &rest) || shared > last_len ||
	    rest == 0 || rest > TREE_KEY_MAX || shared + rest > TREE_KEY_MAX ||
	    !bytes_take(in, rest, &out->rest))
		return false;
	out->shared = shared;
	out->rest_len = rest;
	return true;
}

/* All but the key. */
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
	} else {
		if (!bytes_take(in, sizeof(item->child.bytes), &p) ||
		    !bytes_varint(in, &item->count))
			return false;
		memcpy(item->child.bytes, p, sizeof(item->child.bytes));
	}
	item->end = in->p;
	return true;
}

/* Appends the key to n->keys. Keys ascend where the first byte that differs is the
 * greater one: of a key that has ended it is the NUL. */
static bool add_key(struct node *n, const struct key_parts *key, size_t last_at)
{
	size_t len = key->shared + key->rest_len;
	const char *last;
	char *to;

	if (memchr(key->rest, '\0', key->rest_len))
		return false;
	buf_reserve(&n->keys, len + 1);
	last = n->keys.data + last_at;
	to = n->keys.data + n->keys.len;
	if (n->keys.len && key->rest[0] <= (unsigned char)last[key->shared])
		return false;
	memcpy(to, last, key->shared);
	memcpy(to + key->shared, key->rest, key->rest_len);
	to[len] = '\0';
	n->keys.len += len + 1;
	return true;
}

static bool decode_items(struct bytes *in, struct node *n)
{
	size_t last_at = 0, last_len = 0;

	buf_reserve(&n->keys, 2 * n->raw->len);
	for (size_t i = 0; i < n->n; i++) {
		struct node_item *item = &n->items[i];
		size_t at = n->keys.len;
		struct key_parts key;

		if (!decode_key(in, last_len, &key) || !add_key(n, &key, last_at) ||
		    !decode_item(in, n->level, item))
			return false;
		item->key_len = key.shared + key.rest_len;
		n->count += item->count;
		last_at = at;
		last_len = item->key_len;
	}
	return bytes_left(in) == 0;
}

static bool decode_head(struct bytes *in, unsigned *level_out, uint64_t *n_out)
{
	const unsigned char *p;

	if (!bytes_take(in, 2, &p) || p[0] != NODE_FORMAT || p[1] >= TREE_LEVELS)
		return false;
	*level_out = p[1];
	/* An item takes four bytes at least (leaf: 0, 1, a key byte, 0): a damaged count allocates
	 * little. */
	return bytes_varint(in, n_out) && *n_out > 0 && *n_out <= bytes_left(in) / 4;
}

bool tree_is_leaf(const void *node, size_t len)
{
	const unsigned char *p = node;

	return len > 1 && p[1] == 0;
}

static bool decode(struct node *n)
{
	struct bytes in = bytes_of(n->raw->data, n->raw->len);
	uint64_t count;
	const char *key;

	if (!decode_head(&in, &n->level, &count))
		return false;
	n->n = count;
	n->items = xcalloc(n->n, sizeof(*n->items));
	if (!decode_items(&in, n))
		return false;
	key = n->keys.data; /* which stays where it is from now on */
	for (size_t i = 0; i < n->n; i++) {
		n->items[i].key = key;
		key += n->items[i].key_len + 1;
	}
	return true;
}

enum status node_damaged(const struct hash *id, const char *why, struct err *err)
{
	char hex[65];

	hash_hex(id, hex);
	return err_set(err, ST_DAMAGED, "tree node %s %s", hex, why);
}

/* The bytes of the node, which hash to id; held for the caller. */
static enum status read_bytes(const struct node_store *store, const struct hash *id,
			      struct shared **out, struct err *err)
{
	AUTO(shared_dropp) struct shared *raw = NULL;
	struct hash hash;
	enum status st = store->get(store->ctx, id, &raw, err);

	if (st == ST_NOT_FOUND)
		return node_damaged(id, "is missing", err);
	if (st != ST_OK)
		return st;
	if (!atomic_load_explicit(&raw->verified, memory_order_relaxed)) {
		hash_of(raw->data, raw->len, &hash);
		if (!hash_equal(&hash, id))
			return node_damaged(id, "holds other bytes", err);
		atomic_store_explicit(&raw->verified, true, memory_order_relaxed);
	}
	*out = MOVE(raw);
	return ST_OK;
}

enum status node_read(const struct node_store *store, const struct hash *id, struct node **out,
		      struct err *err)
{
	AUTO(node_unrefp) struct node *n = xcalloc(1, sizeof(*n));
	enum status st;

	n->refs = 1;
	n->id = *id;
	st = read_bytes(store, id, &n->raw, err);
	if (st != ST_OK)
		return st;
	if (!decode(n))
		return node_damaged(id, "cannot be decoded", err);
	*out = MOVE(n);
	return ST_OK;
}

enum status node_check_child(const struct node *parent, size_t i, const struct node *n,
			     struct err *err)
{
	const struct node_item *item = &parent->items[i];

	if (n->level + 1 != parent->level || n->count != item->count ||
	    strcmp(n->items[n->n - 1].key, item->key) != 0)
		return node_damaged(&item->child, "is not what its parent says", err);
	if (i && strcmp(n->items[0].key, parent->items[i - 1].key) <= 0)
		return node_damaged(&item->child, "overlaps the one before it", err);
	return ST_OK;
}

enum status node_read_child(const struct node_store *store, const struct node *parent, size_t i,
			    struct node **out, struct err *err)
{
	AUTO(node_unrefp) struct node *n = NULL;
	enum status st;

	assert(parent->level > 0);
	st = node_read(store, &parent->items[i].child, &n, err);
	if (st == ST_OK)
		st = node_check_child(parent, i, n, err);
	if (st == ST_OK)
		*out = MOVE(n);
	return st;
}

/* Is the item the first whose key is >= key? All before it are less, and *common is
 * how many bytes the last of them shares with key. */
static bool reaches(const struct key_parts *item, const char *key, size_t *common, bool *equal_out)
{
	size_t i = 0;

	/* It goes on to be as the one before where that became less than key. */
	if (item->shared > *common)
		return false;
	/* It becomes greater than the one before where that was still as key. */
	if (item->shared < *common)
		return true;
	while (i < item->rest_len && key[item->shared + i] &&
	       (unsigned char)key[item->shared + i] == item->rest[i])
		i++;
	*common = item->shared + i;
	*equal_out = i == item->rest_len && key[*common] == '\0';
	return *equal_out || (i < item->rest_len && item->rest[i] > (unsigned char)key[*common]);
}

static bool look(struct node_hit *hit, const char *key)
{
	struct bytes in = bytes_of(hit->raw->data, hit->raw->len);
	size_t last_len = 0, common = 0;
	uint64_t n;

	if (!decode_head(&in, &hit->level, &n))
		return false;
	while (n-- && !hit->found) {
		struct key_parts item;

		if (!decode_key(&in, last_len, &item) || !decode_item(&in, hit->level, &hit->item))
			return false;
		last_len = item.shared + item.rest_len;
		hit->found = reaches(&item, key, &common, &hit->equal);
	}
	return true;
}

enum status node_look(const struct node_store *store, const struct hash *id, const char *key,
		      struct node_hit *out, struct err *err)
{
	AUTO(shared_dropp) struct shared *raw = NULL;
	enum status st = read_bytes(store, id, &raw, err);

	if (st != ST_OK)
		return st;
	*out = (struct node_hit){.raw = MOVE(raw)};
	return look(out, key) ? ST_OK : node_damaged(id, "cannot be decoded", err);
}

void node_hit_release(struct node_hit *hit)
{
	shared_drop(hit->raw);
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
	shared_drop(n->raw);
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

void node_builder_add_items(struct node_builder *b, const struct node *n, size_t from, size_t to)
{
	const struct node_item *last = &n->items[to - 1];

	node_builder_add(b, &n->items[from]);
	if (to - from == 1)
		return;
	/* Behind the first their keys follow the same keys as before. */
	buf_add(&b->body, n->items[from].end, (size_t)(last->end - n->items[from].end));
	for (size_t i = from + 1; i < to; i++)
		b->count += n->items[i].count;
	b->n += to - from - 1;
	buf_clear(&b->last_key);
	buf_add(&b->last_key, last->key, last->key_len);
}

enum status node_builder_put(struct node_builder *b, const struct node_store *store,
			     struct hash *id_out, struct err *err)
{
	AUTO(shared_dropp) struct shared *raw = NULL;
	AUTO(buf_release) struct buf head = BUF_INIT;
	enum status st;

	assert(b->n > 0);
	buf_addc(&head, NODE_FORMAT);
	buf_addc(&head, (char)b->level);
	buf_add_varint(&head, b->n);
	raw = shared_alloc(head.len + b->body.len);
	memcpy(raw->data, head.data, head.len);
	memcpy(raw->data + head.len, b->body.data, b->body.len);
	hash_of(raw->data, raw->len, id_out);
	atomic_store_explicit(&raw->verified, true, memory_order_relaxed);
	st = store->put(store->ctx, id_out, raw, err);
	buf_clear(&b->body);
	b->n = 0;
	b->count = 0;
	return st;
}
