/* Reading trees: one path, lists. */
#include <stdlib.h>
#include <string.h>

#include "core/embedded/store.h"

/* Turns a tree's value into what lake.h shows. */
static enum status public_entry(const char *path, const void *value, size_t len,
				struct lake_entry *out, struct err *err)
{
	struct entry e = {.size = 0};
	char hex[65];
	enum status st = entry_decode(value, len, &e, err);

	if (st != ST_OK)
		return err_wrap(err, st, "'%s'", path);
	hash_hex(&e.blob, hex);
	*out = (struct lake_entry){.path = xstrdup(path),
				   .size = e.size,
				   .checksum = xstrdup(hex),
				   .content_type = MOVE(e.content_type),
				   .meta = e.meta};
	e.meta = (struct lake_meta)LAKE_META_INIT;
	entry_release(&e);
	return ST_OK;
}

enum status embedded_stat(struct lake *lake, const struct lake_id *commit, const char *path,
			  struct lake_entry *out, struct err *err)
{
	struct embedded *e = embedded_of(lake);
	struct node_store store = embedded_nodes(e);
	AUTO(buf_release) struct buf value = BUF_INIT;
	struct hash root;
	enum status st = embedded_tree(e, commit, &root, err);

	if (st != ST_OK)
		return st;
	st = tree_lookup(&store, &root, path, &value, err);
	if (st == ST_NOT_FOUND) {
		char hex[LAKE_ID_SHORT_BYTES];

		lake_id_short(commit, hex);
		return err_set(err, st, "no '%s' at %s", path, hex);
	}
	if (st == ST_OK)
		st = public_entry(path, value.data, value.len, out, err);
	return embedded_freed(e, commit, st, err);
}

/* ---- lists ---- */

struct list {
	struct lake_list base;
	struct gate_lease lease;
	struct node_store store;
	struct tree_iter *it;
	struct buf prefix;
	struct buf last; /* the path that was shown last */
	bool shown; /* is there one? */
};

enum status embedded_list_open(struct lake *lake, const struct lake_id *commit, const char *prefix,
			       struct lake_list **out, struct err *err)
{
	struct embedded *e = embedded_of(lake);
	struct hash root;
	struct list *l;
	enum status st = embedded_tree(e, commit, &root, err);

	if (st != ST_OK)
		return st;
	l = xcalloc(1, sizeof(*l));
	st = embedded_lease(e, &l->lease, commit, err);
	if (st != ST_OK) {
		free(l);
		return st;
	}
	l->base.lake = lake;
	l->store = embedded_nodes(e);
	l->it = tree_iter_new(&l->store, &root);
	buf_adds(&l->prefix, prefix);
	st = prefix[0] ? tree_iter_seek(l->it, prefix, err) : ST_OK;
	if (st != ST_OK) {
		st = embedded_freed(e, commit, st, err);
		embedded_list_close(&l->base);
		return st;
	}
	*out = &l->base;
	return ST_OK;
}

enum status embedded_list_next(struct lake_list *list, struct lake_entry *out, struct err *err)
{
	struct list *l = (struct list *)list;
	struct tree_entry entry;
	enum status st = tree_iter_next(l->it, &entry, err);

	if (st != ST_OK)
		return embedded_freed(embedded_of(list->lake), &l->lease.commit, st, err);
	if (strncmp(entry.key, buf_str(&l->prefix), l->prefix.len) != 0)
		return ST_END;
	buf_clear(&l->last);
	buf_add(&l->last, entry.key, entry.key_len);
	l->shown = true;
	return public_entry(entry.key, entry.value, entry.value_len, out, err);
}

enum status embedded_list_seek(struct lake_list *list, const char *key, struct err *err)
{
	struct list *l = (struct list *)list;

	if (strcmp(key, buf_str(&l->prefix)) < 0 ||
	    (l->shown && strcmp(key, buf_str(&l->last)) <= 0))
		return ST_OK;
	return tree_iter_seek(l->it, key, err);
}

void embedded_list_close(struct lake_list *list)
{
	struct list *l = (struct list *)list;

	gate_lease_drop(&embedded_of(list->lake)->gate, &l->lease);
	tree_iter_free(l->it);
	buf_release(&l->prefix);
	buf_release(&l->last);
	free(l);
}
