/* Objects whose data gc has freed because only old history named them. The
 * mark `x HASH` says so and when; storing the same data again removes it. A
 * mark beside data that are there means nothing (a crash may leave one). */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/embedded/store.h"

static enum status is_there(struct embedded *e, const struct hash *blob, bool *out, struct err *err)
{
	AUTO(buf_release) struct buf key = BUF_INIT;
	AUTO(buf_release) struct buf data = BUF_INIT;
	AUTO(freep) char *path = embedded_blob_path(e, blob);
	enum status st;

	key_blob(&key, blob);
	st = db_get(e->db, &key, &data, err);
	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	*out = st == ST_OK || access(path, F_OK) == 0;
	return ST_OK;
}

enum status embedded_is_expired(struct embedded *e, const struct hash *blob, bool *expired_out,
				int64_t *time_out, struct err *err)
{
	AUTO(buf_release) struct buf key = BUF_INIT;
	AUTO(buf_release) struct buf value = BUF_INIT;
	bool there = false;
	struct bytes in;
	uint64_t time;
	enum status st;

	*expired_out = false;
	if (!atomic_load(&e->any_expired))
		return ST_OK;
	key_expired(&key, blob);
	st = db_get(e->db, &key, &value, err);
	if (st == ST_NOT_FOUND)
		return ST_OK;
	if (st != ST_OK)
		return st;
	in = bytes_of(value.data, value.len);
	if (!bytes_be64(&in, &time))
		return err_set(err, ST_DAMAGED, "the mark of an expired object cannot be read");
	st = is_there(e, blob, &there, err);
	if (st != ST_OK || there)
		return st;
	*expired_out = true;
	if (time_out)
		*time_out = (int64_t)time;
	return ST_OK;
}

void embedded_not_expired(struct embedded *e, const struct hash *blob)
{
	AUTO(buf_release) struct buf key = BUF_INIT;
	AUTO(buf_release) struct buf value = BUF_INIT;

	if (!atomic_load(&e->any_expired))
		return;
	key_expired(&key, blob);
	if (db_get(e->db, &key, &value, NULL) == ST_OK)
		db_delete(e->db, &key);
}

enum status embedded_expired(const struct hash *blob, int64_t time_ms, struct err *err)
{
	char time[TIME_TEXT_BYTES];
	char hex[65];

	time_format(time_ms, time);
	hash_hex(blob, hex);
	return err_set(err, ST_EXPIRED,
		       "gc freed its data (%.12s) on %s: only untagged commits older than "
		       "lake.history.retain named it; take a younger commit or a tagged one, or "
		       "restore a backup",
		       hex, time);
}

/* ---- what a sweep is about to free ---- */

static bool visit_unkept(void *ctx, const struct hash *node)
{
	struct embedded *e = ctx;

	return !gate_node_kept(&e->gate, node);
}

static enum status keep_entry(void *ctx, const struct tree_entry *entry, struct err *err)
{
	struct embedded *e = ctx;
	struct hash blob;
	uint64_t size;
	enum status st = entry_blob(entry->value, entry->value_len, &blob, &size, err);

	if (st == ST_OK)
		gate_fresh(&e->gate, blob.bytes);
	return st;
}

enum status embedded_keep_objects(struct embedded *e, const struct lake_id *commit, struct err *err)
{
	const struct node_store store = embedded_nodes(e);
	struct hash root;
	enum status st = gate_epoch(&e->gate) ? embedded_tree(e, commit, &root, err) : ST_OK;

	if (st != ST_OK || !gate_epoch(&e->gate) || gate_commit_kept(&e->gate, commit, &root))
		return st;
	st = tree_walk(&store, &root, visit_unkept, keep_entry, e, err);
	if (st == ST_OK)
		gate_fresh(&e->gate, commit->bytes);
	return st;
}

/* ---- what was freed ---- */

/* One entry of the tree that is wanted. */
static enum status check_entry(struct embedded *e, const char *path, const void *value, size_t len,
			       struct err *err)
{
	struct hash blob;
	uint64_t size;
	int64_t time_ms = 0;
	bool expired = false;
	enum status st = entry_blob(value, len, &blob, &size, err);

	if (st != ST_OK)
		return st;
	/* First: gc marks what it is about to free, and looks here then. */
	gate_fresh(&e->gate, blob.bytes);
	st = embedded_is_expired(e, &blob, &expired, &time_ms, err);
	if (st != ST_OK || !expired)
		return st;
	st = embedded_expired(&blob, time_ms, err);
	return err_wrap(err, st, "'%s'", path);
}

enum status embedded_check_trees(struct embedded *e, const struct hash *shown,
				 const struct hash *wanted, struct err *err)
{
	struct node_store store = embedded_nodes(e);
	AUTO(tree_diff_freep) struct tree_diff *diff = tree_diff_new(&store, shown, wanted, "");
	struct tree_difference d;
	enum status st;

	while ((st = tree_diff_next(diff, &d, err)) == ST_OK) {
		if (!d.b)
			continue;
		st = check_entry(e, d.key, d.b, d.b_len, err);
		if (st != ST_OK)
			return st;
	}
	return st == ST_END ? ST_OK : st;
}

enum status embedded_check_expired(struct lake *lake, const struct lake_id *shown,
				   const struct lake_id *wanted, struct err *err)
{
	struct embedded *e = embedded_of(lake);
	AUTO(gate_leave) struct gate_pass pass = gate_enter(&e->gate);
	struct hash roots[2] = {{{0}}, {{0}}};
	enum status st = ST_OK;

	if (!atomic_load(&e->any_expired) && !gate_epoch(&e->gate))
		return ST_OK;
	if (!lake_id_is_none(shown))
		st = embedded_use(e, shown, err);
	if (st == ST_OK && !lake_id_is_none(shown))
		st = embedded_tree(e, shown, &roots[0], err);
	if (st == ST_OK)
		st = embedded_use(e, wanted, err);
	if (st == ST_OK)
		st = embedded_tree(e, wanted, &roots[1], err);
	return st == ST_OK ? embedded_check_trees(e, &roots[0], &roots[1], err) : st;
}
