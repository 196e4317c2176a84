/* Commits in the store, and making new ones. They are written unsynced: the
 * synced write that lets a ref name them comes later in the same log. */
#include <stdlib.h>
#include <string.h>

#include "core/base/killpoint.h"
#include "core/embedded/store.h"

/* ---- commits ---- */

static enum status commit_get(void *ctx, const struct lake_id *id, struct commit *out,
			      struct err *err)
{
	struct embedded *e = ctx;
	AUTO(shared_dropp) struct shared *bytes = NULL;
	char hex[LAKE_ID_HEX_BYTES];
	enum status st = embedded_get_cached(e, KEY_COMMIT, id->bytes, &bytes, err);

	if (st == ST_NOT_FOUND) {
		lake_id_hex(id, hex);
		return err_set(err, st, "no commit %s in %s", hex, e->root);
	}
	return st == ST_OK ? commit_decode(id, bytes->data, bytes->len, out, err) : st;
}

struct commit_store embedded_commits(struct embedded *e)
{
	return (struct commit_store){.ctx = e, .get = commit_get};
}

enum status embedded_commit_get(struct lake *lake, const struct lake_id *id, struct commit *out,
				struct err *err)
{
	return commit_get(embedded_of(lake), id, out, err);
}

enum status embedded_tree(struct embedded *e, const struct lake_id *commit, struct hash *out,
			  struct err *err)
{
	struct commit c = {0};
	enum status st = commit_get(e, commit, &c, err);

	if (st != ST_OK)
		return st;
	*out = tree_of(&c);
	commit_release(&c);
	return ST_OK;
}

static enum status stored(struct embedded *e, const struct lake_id *commit, struct err *err)
{
	AUTO(buf_release) struct buf key = BUF_INIT;
	AUTO(buf_release) struct buf bytes = BUF_INIT;
	char hex[LAKE_ID_HEX_BYTES];
	enum status st;

	key_commit(&key, commit);
	st = db_get(e->db, &key, &bytes, err); /* the cache may lag behind gc */
	if (st != ST_NOT_FOUND)
		return st;
	lake_id_hex(commit, hex);
	return err_set(err, st, "no commit %s in %s", hex, e->root);
}

static enum status being_freed(const struct lake_id *commit, struct err *err)
{
	char hex[LAKE_ID_HEX_BYTES];

	lake_id_hex(commit, hex);
	return err_set(err, ST_NOT_FOUND,
		       "commit %s is being freed by gc: no branch, tag or reflog entry names it",
		       hex);
}

enum status embedded_use(struct embedded *e, const struct lake_id *commit, struct err *err)
{
	/* In this order: what the gate lets pass nobody deletes from then on; what
	 * was there before may be gone by the end of an epoch. */
	enum status st =
		gate_use(&e->gate, commit) ? stored(e, commit, err) : being_freed(commit, err);

	return st == ST_OK ? embedded_keep_objects(e, commit, err) : st;
}

enum status embedded_lease(struct embedded *e, struct gate_lease *lease,
			   const struct lake_id *commit, struct err *err)
{
	enum status st;

	if (!gate_lease_take(&e->gate, lease, commit))
		return being_freed(commit, err);
	st = stored(e, commit, err);
	if (st != ST_OK)
		gate_lease_drop(&e->gate, lease);
	return st;
}

enum status embedded_freed(struct embedded *e, const struct lake_id *commit, enum status st,
			   struct err *err)
{
	struct err ignored = ERR_INIT;
	char hex[LAKE_ID_SHORT_BYTES];

	if (st != ST_DAMAGED || stored(e, commit, &ignored) != ST_NOT_FOUND)
		return st;
	lake_id_short(commit, hex);
	return err_set(err, ST_NOT_FOUND, "commit %s was freed by gc while it was read", hex);
}

static unsigned digit_value(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* The iterator's bounds are whole bytes; an odd last digit is compared here. */
enum status embedded_commit_by_prefix(struct lake *lake, const char *prefix, struct lake_id *out,
				      struct err *err)
{
	struct embedded *e = embedded_of(lake);
	AUTO(buf_release) struct buf key = BUF_INIT;
	AUTO(db_iter_freep) struct db_iter *it = NULL;
	size_t len = strlen(prefix);
	unsigned found = 0;
	struct lake_id id;
	enum status st;

	buf_addc(&key, 'c');
	for (size_t i = 0; i + 1 < len; i += 2)
		buf_addc(&key, (char)(digit_value(prefix[i]) << 4 | digit_value(prefix[i + 1])));
	it = db_iter_new(e->db, &key);
	while ((st = db_iter_next(it, err)) == ST_OK) {
		struct bytes k = db_iter_key(it);

		if (bytes_left(&k) != 1 + sizeof(id.bytes))
			return err_set(err, ST_DAMAGED, "a commit's key in %s is no id", e->root);
		if (len % 2 && k.p[1 + len / 2] >> 4 != digit_value(prefix[len - 1]))
			continue;
		memcpy(id.bytes, k.p + 1, sizeof(id.bytes));
		if (++found > 1)
			return err_set(err, ST_USAGE,
				       "several commits begin with '%s'; give more digits", prefix);
	}
	if (st != ST_END)
		return st;
	if (!found)
		return err_set(err, ST_NOT_FOUND, "no branch, tag or commit '%s'", prefix);
	*out = id;
	return ST_OK;
}

/* What the tree takes from elsewhere than its first parent must still be there,
 * and stay. Free where nothing ever expired and no gc is under way. */
static enum status check_objects(struct embedded *e, const struct new_commit *from, struct err *err)
{
	struct hash before;
	enum status st;

	if (from->n_parents == 0 || (!atomic_load(&e->any_expired) && !gate_epoch(&e->gate)))
		return ST_OK;
	st = embedded_tree(e, &from->parents[0], &before, err);
	return st == ST_OK ? embedded_check_trees(e, &before, &from->root, err) : st;
}

enum status embedded_commit_make(struct embedded *e, const struct new_commit *from,
				 struct lake_id *out, struct err *err)
{
	AUTO(buf_release) struct buf bytes = BUF_INIT;
	AUTO(buf_release) struct buf key = BUF_INIT;
	AUTO(commit_release) struct commit c = {0};
	struct commit_store store = embedded_commits(e);
	enum status st;

	memcpy(c.public.tree.bytes, from->root.bytes, sizeof(c.public.tree.bytes));
	c.public.parents =
		(struct lake_id *)xmemdup(from->parents, from->n_parents * sizeof(*from->parents));
	c.public.n_parents = from->n_parents;
	c.public.message = xstrdup(from->message ? from->message : "");
	c.public.committer = xstrdup(lake_committer(e->committer));
	if (from->meta)
		lake_meta_copy(&c.public.meta, from->meta);
	st = check_objects(e, from, err);
	if (st == ST_OK)
		st = commit_seal(&store, &c, e->clock->wall_ms(e->clock), &bytes, err);
	if (st == ST_OK)
		st = space_take(&e->space, 2 * bytes.len, err);
	if (st != ST_OK)
		return st;
	key_commit(&key, &c.public.id);
	gate_fresh(&e->gate, c.public.id.bytes);
	db_put(e->db, &key, bytes.data, bytes.len);
	/* Where the epoch began in the middle of this, the commit is fresh, and
	 * what was written for it before is not: so it is a root too. */
	if (!gate_use(&e->gate, &c.public.id))
		return being_freed(&c.public.id, err);
	KILL_POINT("lake.commit.put");
	*out = c.public.id;
	return ST_OK;
}

/* ---- transactions ---- */

/* Changes of a tree whose keys and values are kept in one growing buffer, so
 * that they are given to tree_apply as pointers only at the end. */
struct change_list {
	struct buf bytes; /* key, NUL, value; one after the other */
	struct change_place {
		size_t key;
		size_t value;
		size_t value_len; /* SIZE_MAX: removed */
	} * places;
	size_t n;
	size_t cap;
};

static void change_list_release(struct change_list *l)
{
	buf_release(&l->bytes);
	free(l->places);
}

static void change_list_add(struct change_list *l, const char *key, const void *value, size_t len)
{
	struct change_place place = {.key = l->bytes.len, .value_len = value ? len : SIZE_MAX};

	buf_add(&l->bytes, key, strlen(key) + 1);
	place.value = l->bytes.len;
	if (value)
		buf_add(&l->bytes, value, len);
	GROW(l->places, l->n, l->cap);
	l->places[l->n++] = place;
}

static enum status change_list_apply(const struct change_list *l, struct embedded *e,
				     struct hash *root, struct err *err)
{
	AUTO(freep) struct tree_change *changes = xcalloc(l->n, sizeof(*changes));
	struct hash result;
	enum status st;

	if (l->n == 0)
		return ST_OK;
	for (size_t i = 0; i < l->n; i++) {
		const struct change_place *p = &l->places[i];
		bool removed = p->value_len == SIZE_MAX;

		changes[i] =
			(struct tree_change){.key = l->bytes.data + p->key,
					     .value = removed ? NULL : l->bytes.data + p->value,
					     .value_len = removed ? 0 : p->value_len};
	}
	st = embedded_apply(e, root, changes, l->n, &result, err);
	if (st == ST_OK)
		*root = result;
	return st;
}

/* prefix "" and "a/b/" are folders; "a/b" is that one path. */
static enum status graft(struct embedded *e, const struct lake_graft *g, struct hash *root,
			 struct err *err)
{
	struct node_store store = embedded_nodes(e);
	AUTO(change_list_release) struct change_list changes = {.n = 0};
	AUTO(tree_diff_freep) struct tree_diff *diff = NULL;
	size_t len = strlen(g->prefix);
	bool one_path = len > 0 && g->prefix[len - 1] != '/';
	struct tree_difference d;
	struct hash from;
	enum status st = embedded_tree(e, &g->from, &from, err);

	if (st != ST_OK)
		return st;
	diff = tree_diff_new(&store, root, &from, g->prefix);
	while ((st = tree_diff_next(diff, &d, err)) == ST_OK) {
		bool same = strcmp(d.key, g->prefix) == 0;

		if (one_path && !same)
			break; /* the path itself comes first among those it begins */
		change_list_add(&changes, d.key, d.b, d.b_len);
		if (one_path)
			break;
	}
	if (st != ST_OK && st != ST_END)
		return st;
	return change_list_apply(&changes, e, root, err);
}

static enum status apply_puts(struct embedded *e, const struct lake_txn *txn, struct hash *root,
			      struct err *err)
{
	AUTO(change_list_release) struct change_list changes = {.n = 0};
	AUTO(buf_release) struct buf entry = BUF_INIT;

	for (size_t i = 0; i < txn->n_puts; i++) {
		const struct lake_put *put = &txn->puts[i];

		buf_clear(&entry);
		if (put->up)
			embedded_upload_entry(put->up, put->content_type, &put->meta, &entry);
		change_list_add(&changes, put->path, put->up ? entry.data : NULL, entry.len);
	}
	return change_list_apply(&changes, e, root, err);
}

static enum status store_uploads(struct embedded *e, const struct lake_txn *txn, struct err *err)
{
	AUTO(freep) struct lake_upload **ups = xcalloc(txn->n_puts, sizeof(struct lake_upload *));

	for (size_t i = 0; i < txn->n_puts; i++)
		ups[i] = txn->puts[i].up;
	return embedded_uploads_store(e, ups, txn->n_puts, err);
}

/* All commits that the transaction builds upon. */
static enum status use_all(struct embedded *e, const struct lake_txn *txn, struct err *err)
{
	enum status st = embedded_use(e, &txn->base, err);

	for (size_t i = 0; st == ST_OK && i < txn->n_parents; i++)
		st = embedded_use(e, &txn->parents[i], err);
	for (size_t i = 0; st == ST_OK && i < txn->n_grafts; i++)
		st = embedded_use(e, &txn->grafts[i].from, err);
	return st;
}

enum status embedded_txn_prepare(struct lake *lake, const struct lake_txn *txn, struct lake_id *out,
				 struct err *err)
{
	struct embedded *e = embedded_of(lake);
	AUTO(gate_leave) struct gate_pass pass = gate_enter(&e->gate);
	struct new_commit c = {.parents = txn->parents,
			       .n_parents = txn->n_parents,
			       .message = txn->message,
			       .meta = &txn->meta};
	enum status st = space_take(&e->space, 0, err);

	if (st == ST_OK)
		st = use_all(e, txn, err);
	if (st == ST_OK)
		st = embedded_tree(e, &txn->base, &c.root, err);
	if (st == ST_OK)
		st = store_uploads(e, txn, err);
	for (size_t i = 0; st == ST_OK && i < txn->n_grafts; i++)
		st = graft(e, &txn->grafts[i], &c.root, err);
	if (st == ST_OK)
		st = apply_puts(e, txn, &c.root, err);
	return st == ST_OK ? embedded_commit_make(e, &c, out, err) : st;
}
