/* Two cursors that walk in step. Wherever both stand before the same subtree
 * they go around it, without reading it. Both are always behind the same keys;
 * since a node's end depends on one item alone, two trees that are equal from
 * some key on have the same nodes soon after it, whatever came before. */
#include <stdlib.h>
#include <string.h>

#include "core/model/cursor.h"

struct side {
	struct cursor at;
	bool skip; /* the current item was given out already */
	bool over; /* behind the prefix */
};

struct tree_diff {
	struct node_store store;
	struct side a;
	struct side b;
	char *prefix;
	size_t prefix_len;
	char *until; /* NULL: no bound */
	bool placed;
};

struct tree_diff *tree_diff_new(const struct node_store *store, const struct hash *a,
				const struct hash *b, const char *prefix)
{
	struct tree_diff *d = xcalloc(1, sizeof(*d));

	d->store = *store;
	cursor_init(&d->a.at, &d->store, a);
	cursor_init(&d->b.at, &d->store, b);
	d->prefix = xstrdup(prefix);
	d->prefix_len = strlen(prefix);
	return d;
}

void tree_diff_free(struct tree_diff *d)
{
	if (!d)
		return;
	cursor_release(&d->a.at);
	cursor_release(&d->b.at);
	free(d->prefix);
	free(d->until);
	free(d);
}

static enum status place(struct tree_diff *d, const char *from, struct err *err)
{
	enum status st;

	d->placed = true;
	if (hash_equal(&d->a.at.root, &d->b.at.root)) {
		d->a.over = d->b.over = true;
		return ST_OK;
	}
	if (from[0] == '\0') {
		st = cursor_first(&d->a.at, err);
		return st == ST_OK ? cursor_first(&d->b.at, err) : st;
	}
	st = cursor_seek(&d->a.at, from, 0, err);
	return st == ST_OK ? cursor_seek(&d->b.at, from, 0, err) : st;
}

void tree_diff_until(struct tree_diff *d, const char *until)
{
	free(d->until);
	d->until = xstrdup(until);
}

enum status tree_diff_from(struct tree_diff *d, const char *from, struct err *err)
{
	return place(d, from, err);
}

/* The current item; NULL at the end of the tree or of the prefix. */
static const struct node_item *current(const struct tree_diff *d, struct side *s)
{
	const struct node_item *item;

	if (s->skip) {
		s->skip = false;
		cursor_skip(&s->at);
	}
	item = s->over ? NULL : cursor_item(&s->at);
	if (item && cursor_node(&s->at)->level == 0 &&
	    (strncmp(item->key, d->prefix, d->prefix_len) != 0 ||
	     (d->until && strcmp(item->key, d->until) >= 0))) {
		s->over = true;
		item = NULL;
	}
	return item;
}

/* Goes around what both have; false where they differ at once, or one ends. */
static bool skip_equal(struct cursor *a, const struct node_item *ia, struct cursor *b,
		       const struct node_item *ib)
{
	const struct node *na = cursor_node(a), *nb = cursor_node(b);

	if (!ia || !ib || na->level != nb->level)
		return false;
	if (ia - na->items == ib - nb->items && hash_equal(&na->id, &nb->id)) {
		cursor_skip_node(a);
		cursor_skip_node(b);
		return true;
	}
	if (na->level && hash_equal(&ia->child, &ib->child)) {
		cursor_skip(a);
		cursor_skip(b);
		return true;
	}
	return false;
}

/* Opens the higher of the two subtrees, or both; *opened_out says whether there
 * was one. */
static enum status descend(struct side *a, bool has_a, struct side *b, bool has_b, bool *opened_out,
			   struct err *err)
{
	unsigned la = has_a ? cursor_node(&a->at)->level : 0;
	unsigned lb = has_b ? cursor_node(&b->at)->level : 0;
	enum status st = ST_OK;

	*opened_out = la || lb;
	if (la && la >= lb)
		st = cursor_descend(&a->at, err);
	if (st == ST_OK && lb && lb >= la)
		st = cursor_descend(&b->at, err);
	return st;
}

/* Gives out the lesser of two leaf items, or both where they have one key;
 * false where they are equal. */
static bool compare(struct side *sa, const struct node_item *a, struct side *sb,
		    const struct node_item *b, struct tree_difference *out)
{
	int order = !a ? 1 : !b ? -1 : strcmp(a->key, b->key);

	sa->skip = order <= 0;
	sb->skip = order >= 0;
	if (order == 0 && a->value_len == b->value_len &&
	    memcmp(a->value, b->value, a->value_len) == 0)
		return false;
	*out = (struct tree_difference){.key = order <= 0 ? a->key : b->key};
	if (order <= 0) {
		out->a = a->value;
		out->a_len = a->value_len;
	}
	if (order >= 0) {
		out->b = b->value;
		out->b_len = b->value_len;
	}
	return true;
}

enum status tree_diff_next(struct tree_diff *d, struct tree_difference *out, struct err *err)
{
	enum status st = d->placed ? ST_OK : place(d, d->prefix, err);

	while (st == ST_OK) {
		const struct node_item *a = current(d, &d->a);
		const struct node_item *b = current(d, &d->b);
		bool opened;

		if (!a && !b)
			return ST_END;
		if (skip_equal(&d->a.at, a, &d->b.at, b))
			continue;
		st = descend(&d->a, a, &d->b, b, &opened, err);
		if (st == ST_OK && !opened && compare(&d->a, a, &d->b, b, out))
			return ST_OK;
	}
	return st;
}

/* ---- how many ---- */

/* The subtree's entries, where `s` stands before a subtree whose keys all lie before the
 * other side's next one; else 0. The keys behind which both stand are below them. */
static uint64_t alone(const struct tree_diff *d, const struct side *s, const struct node_item *item,
		      const struct side *other, const struct node_item *next)
{
	if (!item || cursor_node(&s->at)->level == 0 ||
	    (next && (cursor_node(&other->at)->level || strcmp(next->key, item->key) <= 0)) ||
	    strncmp(item->key, d->prefix, d->prefix_len) != 0 ||
	    (d->until && strcmp(item->key, d->until) >= 0))
		return 0;
	return item->count;
}

enum status tree_diff_count(struct tree_diff *d, uint64_t limit, uint64_t *out, struct err *err)
{
	enum status st = d->placed ? ST_OK : place(d, d->prefix, err);
	struct tree_difference found;
	uint64_t n = 0;

	while (st == ST_OK && n < limit) {
		const struct node_item *a = current(d, &d->a);
		const struct node_item *b = current(d, &d->b);
		uint64_t only_a = alone(d, &d->a, a, &d->b, b);
		uint64_t only_b = alone(d, &d->b, b, &d->a, a);
		bool opened;

		if (!a && !b)
			break;
		if (skip_equal(&d->a.at, a, &d->b.at, b))
			continue;
		if (only_a || only_b) {
			n += only_a + only_b;
			d->a.skip = only_a > 0;
			d->b.skip = only_b > 0;
			continue;
		}
		st = descend(&d->a, a, &d->b, b, &opened, err);
		if (st == ST_OK && !opened && compare(&d->a, a, &d->b, b, &found))
			n++;
	}
	if (st == ST_OK)
		*out = n;
	return st;
}

/* ---- two halves ---- */

/* The keys, NUL-terminated each, of the items that differ at the level, or below
 * it where a tree is less high. */
static enum status differing(struct tree_diff *d, unsigned level, struct buf *keys, size_t *n_out,
			     struct err *err)
{
	enum status st = place(d, "", err);
	size_t n = 0;

	while (st == ST_OK) {
		const struct node_item *a = current(d, &d->a);
		const struct node_item *b = current(d, &d->b);
		unsigned la = a ? cursor_node(&d->a.at)->level : 0;
		unsigned lb = b ? cursor_node(&d->b.at)->level : 0;
		int order = !a ? 1 : !b ? -1 : strcmp(a->key, b->key);
		bool opened;

		if (!a && !b)
			break;
		if (skip_equal(&d->a.at, a, &d->b.at, b))
			continue;
		if (la > level || lb > level) {
			st = descend(&d->a, a, &d->b, b, &opened, err);
			continue;
		}
		buf_add(keys, (order <= 0 ? a : b)->key, (order <= 0 ? a : b)->key_len + 1);
		d->a.skip = order <= 0;
		d->b.skip = order >= 0;
		n++;
	}
	*n_out = n;
	return st;
}

enum status tree_diff_middle(const struct node_store *store, const struct hash *a,
			     const struct hash *b, size_t least, char **key_out, struct err *err)
{
	AUTO(tree_diff_freep) struct tree_diff *d = tree_diff_new(store, a, b, "");
	AUTO(cursor_recent_freep) struct cursor_recent *recent = xcalloc(1, sizeof(*recent));
	AUTO(buf_release) struct buf keys = BUF_INIT;
	unsigned level = 0; /* at which places were looked for last */
	const char *key;
	size_t n = 0;
	enum status st;

	*key_out = NULL;
	d->a.at.recent = d->b.at.recent = recent;
	st = cursor_first(&d->a.at, err);
	if (st == ST_OK && cursor_item(&d->a.at))
		level = cursor_node(&d->a.at)->level + 1;
	while (st == ST_OK && n < least && level > 1) {
		buf_clear(&keys);
		st = differing(d, --level, &keys, &n, err);
	}
	if (st != ST_OK || n < least)
		return st;
	key = keys.data;
	for (size_t i = 0; i < n / 2; i++)
		key += strlen(key) + 1;
	*key_out = xstrdup(key);
	return ST_OK;
}
