/* A merge subtree by subtree. Three lists of items of one level, of base, ours
 * and theirs, are cut into runs at the keys that all three have: such a key ends
 * a node of every level below in all three trees, so it does in the result,
 * whichever side's entry that takes. What is between two cuts can be
 * judged by hashes: where theirs is as base, ours stays; where ours is as base,
 * theirs' subtrees are put in as they are, unread. Only a run that differs in
 * all three is opened.
 *
 * The last item of a tree ends its nodes wherever it is, so it is no cut, unless
 * the lists end together at one.
 *
 * A file may meet a folder of its name far from it, in a run of another
 * kind. So each run is remembered by whom it was changed. Of a path with '/'
 * in such a run, the names above it are in the run too, or they are the
 * beginning of the key before the run: only those are looked up. Where two
 * do meet, and where runs are long, the merge is left to be done path by path. */
#include <stdlib.h>
#include <string.h>

#include "core/model/cursor.h"
#include "core/model/merge.h"

#define RUN_NODES_MAX 128u /* bounds what is in memory at once */

enum who { BASE, OURS, THEIRS, ALL };

/* The items of consecutive nodes of one level. */
struct side {
	struct node **nodes;
	size_t n_nodes;
	struct place {
		const struct node *node;
		size_t i;
	} * places;
	size_t n;
};

struct sides {
	struct side of[ALL];
};

/* The keys behind one and up to another; offsets into the list's texts. */
struct range {
	size_t from_at;
	size_t to_at;
	bool has_from; /* else from the first key on */
	bool has_to;
};

struct ranges {
	struct range *items;
	size_t n;
	size_t cap;
	struct buf texts;
};

struct walk {
	struct merge *m;
	struct ranges changed[ALL]; /* by OURS, at least, and by THEIRS alone */
	struct cursor at[ALL]; /* of OURS and THEIRS */
	bool gave_up;
};

static void walk_release(struct walk *w)
{
	for (enum who i = 0; i < ALL; i++) {
		free(w->changed[i].items);
		buf_release(&w->changed[i].texts);
		cursor_release(&w->at[i]);
	}
}

static void sides_release(struct sides *s)
{
	for (enum who i = 0; i < ALL; i++) {
		for (size_t k = 0; k < s->of[i].n_nodes; k++)
			node_unref(s->of[i].nodes[k]);
		free(s->of[i].nodes);
		free(s->of[i].places);
	}
}

/* Takes over node. side->nodes has room for it. */
static void side_add(struct side *side, struct node *node)
{
	side->nodes[side->n_nodes++] = node;
	side->places = xrealloc_array(side->places, side->n + node->n, sizeof(*side->places));
	for (size_t i = 0; i < node->n; i++)
		side->places[side->n++] = (struct place){node, i};
}

static const struct node_item *item_at(const struct side *side, size_t i)
{
	return &side->places[i].node->items[side->places[i].i];
}

/* ---- runs ---- */

struct run {
	size_t from[ALL];
	size_t to[ALL];
};

static void run_to_the_end(const struct sides *s, struct run *run)
{
	for (enum who i = 0; i < ALL; i++)
		run->to[i] = s->of[i].n;
}

/* Is one of the lists at its end, or, in a list that ends where its tree does, at
 * its last item? */
static bool at_an_end(const struct sides *s, const size_t at[ALL], bool tail)
{
	for (enum who i = 0; i < ALL; i++)
		if (at[i] + (tail ? 1 : 0) >= s->of[i].n)
			return true;
	return false;
}

/* The run behind *run; false where there is none. tail: the lists end where
 * their trees do; else at one key. */
static bool next_run(const struct sides *s, bool tail, struct run *run)
{
	size_t at[ALL];
	bool any = false;

	for (enum who i = 0; i < ALL; i++) {
		run->from[i] = at[i] = run->to[i];
		any |= at[i] < s->of[i].n;
	}
	while (any && !at_an_end(s, at, tail)) {
		const char *greatest = item_at(&s->of[BASE], at[BASE])->key;
		bool together = true;

		for (enum who i = OURS; i < ALL; i++) {
			const char *key = item_at(&s->of[i], at[i])->key;
			int order = strcmp(key, greatest);

			together &= order == 0;
			if (order > 0)
				greatest = key;
		}
		for (enum who i = 0; i < ALL; i++) {
			run->to[i] = at[i] + 1;
			if (!together && strcmp(item_at(&s->of[i], at[i])->key, greatest) < 0)
				at[i]++;
		}
		if (together)
			return true;
	}
	run_to_the_end(s, run);
	return any;
}

static bool same(const struct sides *s, const struct run *run, enum who a, enum who b)
{
	size_t n = run->to[a] - run->from[a];

	if (n != run->to[b] - run->from[b])
		return false;
	for (size_t i = 0; i < n; i++)
		if (!hash_equal(&item_at(&s->of[a], run->from[a] + i)->child,
				&item_at(&s->of[b], run->from[b] + i)->child))
			return false;
	return true;
}

static size_t add_text(struct ranges *list, const char *key)
{
	size_t at = list->texts.len;

	buf_add(&list->texts, key, strlen(key) + 1);
	return at;
}

/* from, to: NULL for the ends. */
static void add_range(struct ranges *list, const char *from, const char *to)
{
	struct range range = {.has_from = from, .has_to = to};

	if (from)
		range.from_at = add_text(list, from);
	if (to)
		range.to_at = add_text(list, to);
	GROW(list->items, list->n, list->cap);
	list->items[list->n++] = range;
}

/* Puts theirs' subtrees of the run into ours in the place of ours'. */
static void take_run(struct merge *m, unsigned level, const struct sides *s, const struct run *run)
{
	size_t o = run->from[OURS], t = run->from[THEIRS];

	while (o < run->to[OURS] || t < run->to[THEIRS]) {
		const struct node_item *ours = o < run->to[OURS] ? item_at(&s->of[OURS], o) : NULL;
		const struct node_item *theirs =
			t < run->to[THEIRS] ? item_at(&s->of[THEIRS], t) : NULL;
		int order = !ours ? 1 : !theirs ? -1 : strcmp(ours->key, theirs->key);
		const struct node_item *item = order < 0 ? ours : theirs;

		if (order != 0 || !hash_equal(&ours->child, &theirs->child))
			changes_add(&m->inner[level], item->key, item->key_len, order < 0,
				    &item->child, item->count);
		o += order <= 0;
		t += order >= 0;
	}
}

/* ---- entries ---- */

static struct tree_difference difference(const struct node_item *a, const struct node_item *b)
{
	return (struct tree_difference){
		.key = a ? a->key : b->key,
		.a = a ? a->value : NULL,
		.a_len = a ? a->value_len : 0,
		.b = b ? b->value : NULL,
		.b_len = b ? b->value_len : 0,
	};
}

static bool differ(const struct node_item *a, const struct node_item *b)
{
	if (!a || !b)
		return a != b;
	return a->value_len != b->value_len || memcmp(a->value, b->value, a->value_len) != 0;
}

static enum status merge_entry(struct merge *m, const struct node_item *of[ALL], struct err *err)
{
	struct tree_difference ours, theirs;

	if (!differ(of[BASE], of[THEIRS]))
		return ST_OK;
	theirs = difference(of[BASE], of[THEIRS]);
	if (!differ(of[BASE], of[OURS]))
		return merge_take_theirs(m, &theirs, of[OURS] != NULL, err);
	ours = difference(of[BASE], of[OURS]);
	return merge_both_differ(m, &ours, &theirs, err);
}

static enum status merge_leaves(struct merge *m, const struct sides *s, struct err *err)
{
	size_t at[ALL] = {0};
	enum status st = ST_OK;

	while (st == ST_OK) {
		const struct node_item *of[ALL];
		const char *least = NULL;

		for (enum who i = 0; i < ALL; i++) {
			of[i] = at[i] < s->of[i].n ? item_at(&s->of[i], at[i]) : NULL;
			if (of[i] && (!least || strcmp(of[i]->key, least) < 0))
				least = of[i]->key;
		}
		if (!least)
			return ST_OK;
		for (enum who i = 0; i < ALL; i++) {
			if (of[i] && strcmp(of[i]->key, least) == 0)
				at[i]++;
			else
				of[i] = NULL;
		}
		st = merge_entry(m, of, err);
	}
	return st;
}

/* ---- level by level ---- */

/* Reads the nodes that the run's items name. */
static enum status open_run(const struct walk *w, const struct sides *s, const struct run *run,
			    struct sides *out, struct err *err)
{
	for (enum who who = 0; who < ALL; who++) {
		struct side *side = &out->of[who];

		side->nodes = xcalloc(RUN_NODES_MAX, sizeof(struct node *));
		for (size_t i = run->from[who]; i < run->to[who]; i++) {
			const struct place *at = &s->of[who].places[i];
			struct node *child;
			enum status st = node_read_child(w->m->store, at->node, at->i, &child, err);

			if (st != ST_OK)
				return st;
			side_add(side, child);
		}
	}
	return ST_OK;
}

static enum status merge_sides(struct walk *w, unsigned level, const struct sides *s,
			       const char *from, const char *to, struct err *err);

/* A run that differs in all three. */
static enum status merge_run(struct walk *w, unsigned level, const struct sides *s,
			     const struct run *run, const char *from, const char *to,
			     struct err *err)
{
	AUTO(sides_release) struct sides below = {.of = {{.n = 0}}};
	enum status st;

	for (enum who i = 0; i < ALL; i++)
		if (run->to[i] - run->from[i] > RUN_NODES_MAX) {
			w->gave_up = true;
			return ST_OK;
		}
	st = open_run(w, s, run, &below, err);
	if (st != ST_OK)
		return st;
	if (level > 1)
		return merge_sides(w, level - 1, &below, from, to, err);
	add_range(&w->changed[OURS], from, to);
	return merge_leaves(w->m, &below, err);
}

/* The items of nodes of that level, 1 or more, that have keys behind `from` up
 * to `to` (NULL: up to the end). */
static enum status merge_sides(struct walk *w, unsigned level, const struct sides *s,
			       const char *from, const char *to, struct err *err)
{
	struct run run = {.to = {0}};
	enum status st = ST_OK;

	while (st == ST_OK && !w->gave_up && !w->m->clashed && next_run(s, !to, &run)) {
		/* All three lists end with one run. */
		bool last = run.to[BASE] == s->of[BASE].n;
		const char *until = last ? to : item_at(&s->of[BASE], run.to[BASE] - 1)->key;

		if (same(s, &run, BASE, THEIRS)) {
			if (!same(s, &run, BASE, OURS))
				add_range(&w->changed[OURS], from, until);
		} else if (same(s, &run, BASE, OURS)) {
			add_range(&w->changed[THEIRS], from, until);
			take_run(w->m, level, s, &run);
		} else if (!same(s, &run, OURS, THEIRS)) {
			st = merge_run(w, level, s, &run, from, until, err);
		}
		from = until;
	}
	return st;
}

/* ---- files against folders ---- */

static bool holds(const struct ranges *list, const char *key)
{
	size_t low = 0, high = list->n;

	while (low < high) { /* the first range that does not end before key */
		size_t mid = low + (high - low) / 2;
		const struct range *r = &list->items[mid];

		if (r->has_to && strcmp(list->texts.data + r->to_at, key) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low < list->n && (!list->items[low].has_from ||
				 strcmp(list->texts.data + list->items[low].from_at, key) < 0);
}

static enum status has_file(struct walk *w, enum who who, const char *key, bool *out,
			    struct err *err)
{
	enum status st = cursor_seek(&w->at[who], key, 0, err);
	const struct node_item *item;

	if (st != ST_OK)
		return st;
	item = cursor_item(&w->at[who]);
	*out = item && strcmp(item->key, key) == 0;
	return ST_OK;
}

/* May the range, which `who` changed, hold paths below a file that is named by
 * the first n bytes of `from` and that the other side alone has? */
static enum status check_name(struct walk *w, enum who who, const char *from, size_t n,
			      struct err *err)
{
	enum who other = who == OURS ? THEIRS : OURS;
	AUTO(freep) char *name = xstrndup(from, n);
	bool there = holds(&w->changed[other], name);
	bool here = false;
	enum status st = there ? has_file(w, other, name, &there, err) : ST_OK;

	if (st == ST_OK && there)
		st = has_file(w, who, name, &here, err);
	w->gave_up |= there && !here;
	return st;
}

/* Asks for each name n whose paths n/... can lie in the range, where from begins
 * with it. from itself is in all three trees. The first `asked` bytes of from
 * are those of the range before. */
static enum status check_range(struct walk *w, enum who who, const char *from, const char *to,
			       size_t asked, struct err *err)
{
	enum status st = ST_OK;

	for (size_t n = 1; from[n] && st == ST_OK; n++) {
		if ((unsigned char)from[n] > '/' || (from[n] == '/' && n < asked))
			continue;
		if (from[n] < '/' && to && strncmp(to, from, n) == 0 && (unsigned char)to[n] < '/')
			continue;
		st = check_name(w, who, from, n, err);
	}
	return st;
}

static enum status check_ranges(struct walk *w, enum who who, struct err *err)
{
	const struct ranges *list = &w->changed[who];
	const char *before = "";
	enum status st = ST_OK;

	for (size_t i = 0; i < list->n && st == ST_OK && !w->gave_up; i++) {
		const struct range *r = &list->items[i];
		const char *from = list->texts.data + r->from_at;
		size_t asked = 0;

		if (!r->has_from)
			continue;
		while (from[asked] && from[asked] == before[asked])
			asked++;
		st = check_range(w, who, from, r->has_to ? list->texts.data + r->to_at : NULL,
				 asked, err);
		before = from;
	}
	return st;
}

/* ---- the whole ---- */

static enum status read_roots(const struct merge *m, struct sides *out, bool *fit_out,
			      struct err *err)
{
	const struct hash *const roots[ALL] = {m->base, m->ours, m->theirs};
	const struct side *of = out->of;

	*fit_out = false;
	for (enum who i = 0; i < ALL; i++) {
		struct node *root;
		enum status st;

		if (hash_is_zero(roots[i]))
			return ST_OK;
		st = node_read(m->store, roots[i], &root, err);
		if (st != ST_OK)
			return st;
		out->of[i].nodes = xcalloc(1, sizeof(struct node *));
		side_add(&out->of[i], root);
	}
	*fit_out = of[BASE].nodes[0]->level > 0 &&
		   of[BASE].nodes[0]->level == of[OURS].nodes[0]->level &&
		   of[BASE].nodes[0]->level == of[THEIRS].nodes[0]->level;
	return ST_OK;
}

enum status merge_nodes(struct merge *m, bool *done_out, struct err *err)
{
	AUTO(walk_release) struct walk w = {.m = m};
	AUTO(sides_release) struct sides roots = {.of = {{.n = 0}}};
	bool fit = false;
	enum status st = ST_OK;

	*done_out = false;
	/* A mark is of another size than the entries that it stands for: it may end
	 * no node where they do. */
	if (m->prefer != TREE_MARK)
		st = read_roots(m, &roots, &fit, err);
	if (st != ST_OK || !fit)
		return st;
	cursor_init(&w.at[OURS], m->store, m->ours);
	cursor_init(&w.at[THEIRS], m->store, m->theirs);
	st = merge_sides(&w, roots.of[BASE].nodes[0]->level, &roots, NULL, NULL, err);
	if (st == ST_OK)
		st = check_ranges(&w, THEIRS, err);
	if (st == ST_OK)
		st = check_ranges(&w, OURS, err);
	*done_out = st == ST_OK && !w.gave_up && !m->clashed;
	return st;
}
