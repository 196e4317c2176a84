/* Trees' nodes in the store. They are written unsynced, many at a time: the
 * synced write that lets a ref name them comes later in the same log.
 *
 * Threads: any; a writer belongs to one operation, within its gate pass. */
#include "core/base/killpoint.h"
#include "core/embedded/store.h"

#define BATCH_BYTES (256u << 10)

static enum node_use use_of(char kind, const struct shared *bytes)
{
	return kind == KEY_NODE && tree_is_leaf(bytes->data, bytes->len) ? NODE_LEAF : NODE_UPPER;
}

enum status embedded_get_cached(struct embedded *e, char kind, const unsigned char id[32],
				struct shared **out, struct err *err)
{
	AUTO(buf_release) struct buf key = BUF_INIT;
	enum status st;

	*out = node_cache_get(e->cache, id);
	if (*out)
		return ST_OK;
	key_set(&key, kind, id, 32);
	st = db_get_shared(e->db, &key, out, err);
	if (st == ST_OK)
		node_cache_put(e->cache, id, use_of(kind, *out), *out);
	return st;
}

static enum status node_get(void *ctx, const struct hash *id, struct shared **out, struct err *err)
{
	struct embedded *e = ctx;
	char hex[65];
	enum status st = embedded_get_cached(e, KEY_NODE, id->bytes, out, err);

	if (st != ST_NOT_FOUND)
		return st;
	hash_hex(id, hex);
	return err_set(err, ST_DAMAGED,
		       "the tree's node %s is missing in %s; `tidemark fsck` says more", hex,
		       e->root);
}

struct node_store embedded_nodes(struct embedded *e)
{
	return (struct node_store){.ctx = e, .get = node_get};
}

/* ---- writing ---- */

/* Nodes on their way. Their hashes are registered with the gate. */
struct writer {
	struct embedded *e;
	struct db_batch *batch;
	size_t bytes;
	bool swollen; /* the batch, by an entry of megabytes */
};

/* A batch keeps its memory, so it is used again; a second writer at the same time has
 * one of its own. */
static struct writer writer_new(struct embedded *e)
{
	struct db_batch *batch = atomic_exchange(&e->node_batch, NULL);

	return (struct writer){.e = e, .batch = batch ? batch : db_batch_new()};
}

static void writer_release(struct writer *w)
{
	db_batch_clear(w->batch);
	db_batch_free(w->swollen ? w->batch : atomic_exchange(&w->e->node_batch, w->batch));
}

static void writer_flush(struct writer *w)
{
	if (w->bytes)
		db_write(w->e->db, w->batch);
	w->swollen |= w->bytes > 4 * BATCH_BYTES;
	w->bytes = 0;
	KILL_POINT("lake.node.put");
}

/* A new node is read again, where at all, as the child of another. */
static enum status writer_get(void *ctx, const struct hash *id, struct shared **out,
			      struct err *err)
{
	struct writer *w = ctx;
	enum status st = node_get(w->e, id, out, err);

	if (st != ST_DAMAGED || !w->bytes)
		return st;
	writer_flush(w);
	return node_get(w->e, id, out, err);
}

static enum status writer_put(void *ctx, const struct hash *id, struct shared *bytes,
			      struct err *err)
{
	struct writer *w = ctx;
	AUTO(buf_release) struct buf key = BUF_INIT;
	enum status st = space_take(&w->e->space, 2 * bytes->len, err);

	if (st != ST_OK)
		return st;
	key_node(&key, id);
	gate_fresh(&w->e->gate, id->bytes);
	db_batch_put(w->batch, &key, bytes->data, bytes->len);
	node_cache_put(w->e->cache, id->bytes, use_of(KEY_NODE, bytes), bytes);
	w->bytes += bytes->len;
	if (w->bytes >= BATCH_BYTES)
		writer_flush(w);
	return ST_OK;
}

static struct node_store store_of(struct writer *w)
{
	return (struct node_store){.ctx = w, .get = writer_get, .put = writer_put};
}

enum status embedded_apply(struct embedded *e, const struct hash *root,
			   const struct tree_change *changes, size_t n, struct hash *root_out,
			   struct err *err)
{
	AUTO(writer_release) struct writer w = writer_new(e);
	struct node_store store = store_of(&w);
	enum status st = tree_apply(&store, root, changes, n, root_out, err);

	if (st == ST_OK)
		writer_flush(&w);
	return st;
}

enum status embedded_tree_merge(struct embedded *e, const struct merge_roots *from,
				enum tree_prefer prefer, struct hash *root_out,
				struct buf *conflicts_out, struct err *err)
{
	AUTO(writer_release) struct writer w = writer_new(e);
	struct node_store store = store_of(&w);
	enum status st = tree_merge(&store, from->base, from->ours, from->theirs, prefer, root_out,
				    conflicts_out, err);

	if (st == ST_OK)
		writer_flush(&w);
	return st;
}
