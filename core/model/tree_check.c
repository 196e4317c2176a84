#include "core/model/tree_check.h"

#include <stdlib.h>
#include <string.h>

#include "core/model/id_table.h"
#include "core/model/node.h"

/* What is remembered of a node. */
struct seen {
	struct hash id;
	uint64_t count;
	struct hash last_key; /* its hash */
	struct hash right; /* the last child */
	char *first_key;
	uint8_t level;
	bool there; /* read and decoded */
	bool ends; /* its last item ends a node by the rule */
	bool unsound; /* itself, or something below */
	bool single; /* holds one item */
};

struct tree_check {
	struct node_store store;
	struct tree_check_visitor visitor;
	struct id_table nodes;
};

struct tree_check *tree_check_new(const struct node_store *store,
				  const struct tree_check_visitor *visitor)
{
	struct tree_check *c = xcalloc(1, sizeof(*c));

	c->store = *store;
	c->visitor = *visitor;
	id_table_init(&c->nodes, sizeof(struct seen));
	return c;
}

void tree_check_free(struct tree_check *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->nodes.n; i++)
		free(((struct seen *)id_table_at(&c->nodes, i))->first_key);
	id_table_release(&c->nodes);
	free(c);
}

bool tree_check_saw(const struct tree_check *c, const struct hash *node)
{
	return id_table_find(&c->nodes, node->bytes) != NULL;
}

size_t tree_check_nodes(const struct tree_check *c)
{
	return c->nodes.n;
}

static void report(struct tree_check *c, struct seen *s, const char *why)
{
	s->unsound = true;
	c->visitor.node(c->visitor.ctx, &s->id, why);
}

static struct seen *check_node(struct tree_check *c, const struct hash *id);

/* Is the child what its parent says? Only `last`, at the right edge of a tree,
 * may end where the rule does not say so. */
static void check_edge(struct tree_check *c, const struct node *parent, size_t i,
		       struct seen *child)
{
	const struct node_item *item = &parent->items[i];
	struct hash last_key;

	if (!child->there)
		return;
	hash_of(item->key, item->key_len, &last_key);
	if (child->level + 1u != parent->level || child->count != item->count ||
	    !hash_equal(&child->last_key, &last_key))
		report(c, child, "is not what its parent says (level, count or greatest key)");
	else if (i && strcmp(child->first_key, parent->items[i - 1].key) <= 0)
		report(c, child, "overlaps the one before it");
	else if (i + 1 < parent->n && !child->ends)
		report(c, child, "ends where the rule of boundaries does not end it");
}

/* Down the right edge of a child that is not the last: those nodes are not the
 * last of their levels, so they must end by the rule. */
static void check_right_edge(struct tree_check *c, struct seen *edge)
{
	struct seen *child = edge;

	while (child && child->there && child->level > 0 && !child->unsound) {
		struct seen *right = id_table_find(&c->nodes, child->right.bytes);

		if (right && right->there && !right->unsound && !right->ends) {
			report(c, right, "ends where the rule of boundaries does not end it");
			edge->unsound = true;
			return;
		}
		child = right;
	}
}

static void check_items(struct tree_check *c, struct seen *s, const struct node *n)
{
	for (size_t i = 0; i + 1 < n->n; i++) {
		if (node_ends_at(n->level, &n->items[i])) {
			report(c, s, "goes on where the rule of boundaries ends it");
			break;
		}
	}
	for (size_t i = 0; i < n->n; i++) {
		const struct node_item *item = &n->items[i];
		struct seen *child;

		if (n->level == 0) {
			if (!c->visitor.entry(c->visitor.ctx, item->key, item->value,
					      item->value_len))
				s->unsound = true;
			continue;
		}
		child = check_node(c, &item->child);
		check_edge(c, n, i, child);
		if (i + 1 < n->n)
			check_right_edge(c, child);
		if (child->unsound)
			s->unsound = true;
	}
}

static struct seen *check_node(struct tree_check *c, const struct hash *id)
{
	struct seen *s = id_table_find(&c->nodes, id->bytes);
	AUTO(node_unrefp) struct node *n = NULL;
	struct err err = ERR_INIT;
	const struct node_item *last;

	if (s)
		return s;
	s = id_table_add(&c->nodes, id->bytes);
	if (node_read(&c->store, id, &n, &err) != ST_OK) {
		report(c, s, err.text);
		return s;
	}
	last = &n->items[n->n - 1];
	s->there = true;
	s->level = (uint8_t)n->level;
	s->count = n->count;
	s->single = n->n == 1;
	s->first_key = xstrdup(n->items[0].key);
	s->ends = node_ends_at(n->level, last);
	s->right = last->child;
	hash_of(last->key, last->key_len, &s->last_key);
	check_items(c, s, n);
	return s;
}

bool tree_check_root(struct tree_check *c, const struct hash *root)
{
	struct seen *s;

	if (hash_is_zero(root))
		return true;
	s = check_node(c, root);
	if (s->there && s->level > 0 && s->single && !s->unsound)
		report(c, s, "is a root with a single child, which would be the root itself");
	return !s->unsound;
}

void tree_check_blame(struct tree_check *c, const struct hash *root,
		      const struct tree_check_visitor *visitor, uint64_t *steps)
{
	const struct seen *s = hash_is_zero(root) ? NULL : id_table_find(&c->nodes, root->bytes);
	AUTO(node_unrefp) struct node *n = NULL;

	if (!s || !s->unsound || *steps == 0)
		return;
	--*steps;
	visitor->node(visitor->ctx, root, "");
	if (!s->there || node_read(&c->store, root, &n, NULL) != ST_OK)
		return;
	for (size_t i = 0; i < n->n; i++) {
		const struct node_item *item = &n->items[i];

		if (n->level)
			tree_check_blame(c, &item->child, visitor, steps);
		else if (!visitor->entry(visitor->ctx, item->key, item->value, item->value_len) &&
			 *steps)
			--*steps;
	}
}
