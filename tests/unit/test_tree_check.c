/* The check of trees, against one fault of each kind: found, at the node that has
 * it, and named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/model/node.h"
#include "core/model/tree_check.h"
#include "tests/lib/memory_store.h"
#include "tests/lib/must.h"

/* ---- what the check says ---- */

struct said {
	size_t nodes; /* that are bad */
	size_t entries;
	const char *bad_entry; /* the path that is said to be unsound; NULL: none */
	struct hash id; /* of the last bad node */
	char why[ERR_TEXT_BYTES];
};

static bool on_entry(void *ctx, const char *path, const void *value, size_t len)
{
	struct said *said = ctx;

	(void)value;
	(void)len;
	said->entries++;
	return !said->bad_entry || strcmp(path, said->bad_entry) != 0;
}

static void on_node(void *ctx, const struct hash *id, const char *why)
{
	struct said *said = ctx;

	said->nodes++;
	said->id = *id;
	snprintf(said->why, sizeof(said->why), "%s", why);
}

static bool check(struct memory_store *m, const struct hash *root, struct said *said)
{
	const struct node_store store = memory_store_nodes(m);
	const struct tree_check_visitor visitor = {.ctx = said, .entry = on_entry, .node = on_node};
	AUTO(tree_check_freep) struct tree_check *c = tree_check_new(&store, &visitor);

	return tree_check_root(c, root);
}

static void expect(struct memory_store *m, const struct hash *root, const struct hash *bad,
		   const char *why)
{
	struct said said = {.nodes = 0};

	if (check(m, root, &said))
		fail_msg("taken for sound, though: %s", why);
	if (said.nodes != 1 || !strstr(said.why, why) || !hash_equal(&said.id, bad))
		fail_msg("%zu nodes, '%s', in the place of '%s'", said.nodes, said.why, why);
}

/* ---- building nodes by hand ---- */

/* Keys in ascending order that, as the last of a node, end it or not: in a leaf,
 * and in a node above it. */
static const char *key_that(bool ends_leaf, bool ends_inner, unsigned from)
{
	static char keys[64][16];
	static unsigned next;

	for (unsigned i = from;; i++) {
		char *key = keys[next % ARRAY_SIZE(keys)];
		struct node_item item = {.key = key, .value = "value", .value_len = 5};

		snprintf(key, sizeof(keys[0]), "k%08u", i);
		item.key_len = strlen(key);
		if (node_ends_at(0, &item) == ends_leaf && node_ends_at(1, &item) == ends_inner) {
			next++;
			return key;
		}
	}
}

static const char *key_after(const char *key, bool ends_leaf, bool ends_inner)
{
	return key_that(ends_leaf, ends_inner, (unsigned)strtoul(key + 1, NULL, 10) + 1);
}

/* A leaf of these keys, as they stand. */
static struct node_item leaf(struct memory_store *m, const char *const *keys, size_t n)
{
	const struct node_store store = memory_store_nodes(m);
	struct node_builder b = {.level = 0};
	struct node_item item = {.key = keys[n - 1], .key_len = strlen(keys[n - 1]), .count = n};

	for (size_t i = 0; i < n; i++)
		node_builder_add(&b, &(struct node_item){.key = keys[i],
							 .key_len = strlen(keys[i]),
							 .value = "value",
							 .value_len = 5,
							 .count = 1});
	MUST(node_builder_put(&b, &store, &item.child, &err));
	node_builder_release(&b);
	return item;
}

static struct node_item inner(struct memory_store *m, unsigned level, const struct node_item *items,
			      size_t n)
{
	const struct node_store store = memory_store_nodes(m);
	struct node_builder b = {.level = level};
	struct node_item item = {.key = items[n - 1].key, .key_len = items[n - 1].key_len};

	for (size_t i = 0; i < n; i++) {
		node_builder_add(&b, &items[i]);
		item.count += items[i].count;
	}
	MUST(node_builder_put(&b, &store, &item.child, &err));
	node_builder_release(&b);
	return item;
}

/* Two leaves below a root: [a, b] where b ends it, and [c, d]. */
struct two {
	const char *keys[4];
	struct node_item leaves[2];
};

static struct hash build_two(struct memory_store *m, struct two *t)
{
	t->keys[0] = key_that(false, false, 0);
	t->keys[1] = key_after(t->keys[0], true, false);
	t->keys[2] = key_after(t->keys[1], false, false);
	t->keys[3] = key_after(t->keys[2], false, false);
	t->leaves[0] = leaf(m, t->keys, 2);
	t->leaves[1] = leaf(m, t->keys + 2, 2);
	return inner(m, 1, t->leaves, 2).child;
}

/* ---- the faults ---- */

static void sound_trees_are_sound(void **state)
{
	AUTO(memory_store_release) struct memory_store m = {.n = 0};
	const struct node_store store = memory_store_nodes(&m);
	struct said said = {.nodes = 0};
	struct hash root = {{0}};
	struct two t;

	(void)state;
	assert_true(check(&m, &root, &said)); /* the empty tree */
	root = build_two(&m, &t);
	assert_true(check(&m, &root, &said));
	assert_int_equal(said.entries, 4);
	/* By hand or by tree_apply(): the same. */
	{
		struct tree_change changes[4];
		struct hash empty = {{0}}, built;

		for (size_t i = 0; i < 4; i++)
			changes[i] = (struct tree_change){t.keys[i], "value", 5};
		MUST(tree_apply(&store, &empty, changes, 4, &built, &err));
		assert_memory_equal(&built, &root, sizeof(root));
	}
}

/* A large tree, and its older version: what they share is read once. */
static void shared_nodes_are_read_once(void **state)
{
	AUTO(memory_store_release) struct memory_store m = {.n = 0};
	const struct node_store store = memory_store_nodes(&m);
	struct said said = {.nodes = 0};
	const struct tree_check_visitor visitor = {
		.ctx = &said, .entry = on_entry, .node = on_node};
	AUTO(tree_check_freep) struct tree_check *c = tree_check_new(&store, &visitor);
	struct hash root = {{0}}, next;
	size_t gets;

	(void)state;
	{
		struct tree_change *changes = xcalloc(20000, sizeof(*changes));
		char(*keys)[16] = xcalloc(20000, sizeof(*keys));

		for (unsigned i = 0; i < 20000; i++) {
			snprintf(keys[i], sizeof(keys[i]), "%08u", i);
			changes[i] = (struct tree_change){keys[i], "value", 5};
		}
		MUST(tree_apply(&store, &root, changes, 20000, &root, &err));
		free(changes);
		free(keys);
	}
	assert_true(tree_check_root(c, &root));
	assert_true(tree_check_nodes(c) > 100);
	MUST(tree_apply(&store, &root, &(struct tree_change){"00010000", "changed", 7}, 1, &next,
			&err));
	gets = m.gets;
	said.entries = 0;
	assert_true(tree_check_root(c, &next));
	assert_true(m.gets - gets <= 4 && said.entries < 2000);
	assert_true(tree_check_saw(c, &next));
	assert_int_equal(said.nodes, 0);
}

static void finds_a_node_that_is_missing_or_other_bytes(void **state)
{
	(void)state;
	for (int flipped = 0; flipped < 2; flipped++) {
		AUTO(memory_store_release) struct memory_store m = {.n = 0};
		struct memory_node *n;
		struct two t;
		struct hash root = build_two(&m, &t);
		char *data;

		n = memory_store_find(&m, &t.leaves[1].child);
		data = n->data;
		if (flipped) {
			data[n->len - 1] ^= 1;
		} else {
			n->data = NULL;
			free(data);
		}
		expect(&m, &root, &t.leaves[1].child, flipped ? "other bytes" : "missing");
	}
}

static void finds_bytes_that_are_no_node(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} nodes[] = {
		{"\1\0\2\0\1b\1x\0\1a\1x", 12}, /* keys that do not ascend */
		{"\1\0\2\0\1b\1x\0\1b\1x", 12}, /* a key twice */
		{"\1\0\0", 3}, /* no item */
		{"\2\0\1\0\1b\1x", 8}, /* another format */
		{"\1\0\1\0\1b\1", 7}, /* cut */
		{"\1\0\1\0\1b\1xy", 9}, /* more behind it */
		{"\1\0\1\0\0\1x", 7}, /* an empty key */
		{"\1\0\2\0\1b\1x\2\1c\1x", 12}, /* shares more than there is */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
		AUTO(memory_store_release) struct memory_store m = {.n = 0};
		struct said said = {.nodes = 0};
		struct hash id;

		memory_store_put(&m, nodes[i].bytes, nodes[i].len, &id);
		if (check(&m, &id, &said) || said.nodes != 1)
			fail_msg("node %zu is taken for sound", i);
	}
}

static void finds_wrong_boundaries(void **state)
{
	AUTO(memory_store_release) struct memory_store m = {.n = 0};
	struct node_item items[4];
	struct two t;
	struct hash root;

	(void)state;
	build_two(&m, &t);
	/* One leaf in the place of two. */
	root = leaf(&m, t.keys, 4).child;
	expect(&m, &root, &root, "goes on where");
	/* Three in the place of two. */
	items[0] = leaf(&m, t.keys, 1);
	items[1] = leaf(&m, t.keys + 1, 1);
	items[2] = t.leaves[1];
	root = inner(&m, 1, items, 3).child;
	expect(&m, &root, &items[0].child, "ends where");
	/* The last of a tree may end anywhere, and its root has children. */
	root = inner(&m, 1, &t.leaves[0], 1).child;
	expect(&m, &root, &root, "single child");
}

/* A leaf that is the last of its parent, and not of its level. */
static void finds_a_right_edge_inside(void **state)
{
	AUTO(memory_store_release) struct memory_store m = {.n = 0};
	const char *keys[4] = {key_that(true, false, 0)};
	struct node_item leaves[4], below[2];
	struct hash root;

	(void)state;
	keys[1] = key_after(keys[0], false, true); /* ends its parent, and no leaf */
	keys[2] = key_after(keys[1], true, false);
	keys[3] = key_after(keys[2], false, false);
	for (size_t i = 0; i < 4; i++)
		leaves[i] = leaf(&m, &keys[i], 1);
	below[0] = inner(&m, 1, leaves, 2);
	below[1] = inner(&m, 1, leaves + 2, 2);
	root = inner(&m, 2, below, 2).child;
	expect(&m, &root, &leaves[1].child, "ends where");
}

static void finds_a_parent_that_says_something_else(void **state)
{
	AUTO(memory_store_release) struct memory_store m = {.n = 0};
	const char *swapped[2];
	struct node_item items[2];
	struct two t;
	struct hash root;

	(void)state;
	build_two(&m, &t);
	/* the count */
	memcpy(items, t.leaves, sizeof(items));
	items[1].count++;
	root = inner(&m, 1, items, 2).child;
	expect(&m, &root, &t.leaves[1].child, "level, count or greatest key");
	/* the greatest key */
	memcpy(items, t.leaves, sizeof(items));
	items[1].key = key_after(t.keys[3], false, false);
	root = inner(&m, 1, items, 2).child;
	expect(&m, &root, &t.leaves[1].child, "level, count or greatest key");
	/* the level */
	root = inner(&m, 2, t.leaves, 2).child;
	{
		struct said said = {.nodes = 0};

		assert_false(check(&m, &root, &said));
		assert_non_null(strstr(said.why, "level, count or greatest key"));
	}
	/* the order of its children */
	swapped[0] = t.keys[0];
	swapped[1] = t.keys[3];
	items[0] = t.leaves[0];
	items[1] = leaf(&m, swapped, 2);
	root = inner(&m, 1, items, 2).child;
	expect(&m, &root, &items[1].child, "overlaps");
}

static void names_where_an_entry_is_unsound(void **state)
{
	AUTO(memory_store_release) struct memory_store m = {.n = 0};
	const struct node_store store = memory_store_nodes(&m);
	struct said said = {.nodes = 0}, blamed;
	const struct tree_check_visitor visitor = {
		.ctx = &said, .entry = on_entry, .node = on_node};
	const struct tree_check_visitor blame = {
		.ctx = &blamed, .entry = on_entry, .node = on_node};
	AUTO(tree_check_freep) struct tree_check *c = tree_check_new(&store, &visitor);
	uint64_t steps = 100;
	struct two t;
	struct hash root = build_two(&m, &t);

	(void)state;
	said.bad_entry = t.keys[2];
	assert_false(tree_check_root(c, &root));
	assert_int_equal(said.nodes, 0); /* the nodes are as they should be */
	blamed = (struct said){.bad_entry = t.keys[2]};
	tree_check_blame(c, &root, &blame, &steps);
	assert_int_equal(blamed.entries, 2); /* of one leaf alone */
	assert_int_equal(blamed.nodes, 2); /* the root and that leaf lead there */
	assert_memory_equal(&blamed.id, &t.leaves[1].child, sizeof(blamed.id));
	assert_int_equal(steps, 97);
	steps = 1;
	blamed = (struct said){.bad_entry = t.keys[2]};
	tree_check_blame(c, &root, &blame, &steps);
	assert_int_equal(blamed.entries, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sound_trees_are_sound),
		cmocka_unit_test(shared_nodes_are_read_once),
		cmocka_unit_test(finds_a_node_that_is_missing_or_other_bytes),
		cmocka_unit_test(finds_bytes_that_are_no_node),
		cmocka_unit_test(finds_wrong_boundaries),
		cmocka_unit_test(finds_a_right_edge_inside),
		cmocka_unit_test(finds_a_parent_that_says_something_else),
		cmocka_unit_test(names_where_an_entry_is_unsound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
