/* Trees against a sorted array, on random contents; and what they cost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/model/node.h"
#include "tests/lib/memory_store.h"
#include "tests/lib/model_set.h"

static const struct hash empty;

static void assert_same(const struct node_store *store, const struct hash *root,
			const struct set *s)
{
	AUTO(tree_iter_freep) struct tree_iter *it = tree_iter_new(store, root);
	struct tree_entry e;

	for (size_t i = 0; i < s->n; i++) {
		assert_int_equal(tree_iter_next(it, &e, NULL), ST_OK);
		assert_string_equal(e.key, s->items[i].key);
		assert_int_equal(e.key_len, strlen(e.key));
		assert_int_equal(e.value_len, s->items[i].value_len);
		assert_memory_equal(e.value, s->items[i].value, e.value_len);
	}
	assert_int_equal(tree_iter_next(it, &e, NULL), ST_END);
	assert_int_equal(tree_iter_next(it, &e, NULL), ST_END);
}

static void assert_lookups(const struct node_store *store, const struct hash *root,
			   const struct set *s, struct rng *r, unsigned world)
{
	for (int i = 0; i < 20; i++) {
		AUTO(buf_release) struct buf value = BUF_INIT;
		const struct pair *p;
		char path[128];
		enum status st;

		random_path(r, world, path);
		p = set_get(s, path);
		st = tree_lookup(store, root, path, &value, NULL);
		assert_int_equal(st, p ? ST_OK : ST_NOT_FOUND);
		if (p) {
			assert_int_equal(value.len, p->value_len);
			assert_memory_equal(buf_str(&value), p->value, value.len);
		}
	}
}

static void assert_seeks(const struct node_store *store, const struct hash *root,
			 const struct set *s, struct rng *r, unsigned world)
{
	AUTO(tree_iter_freep) struct tree_iter *it = tree_iter_new(store, root);

	for (int i = 0; i < 20; i++) {
		struct tree_entry e;
		char path[128];
		size_t at;

		random_path(r, world, path);
		at = set_find(s, path);
		assert_int_equal(tree_iter_seek(it, path, NULL), ST_OK);
		for (size_t k = at; k < at + 3; k++) {
			enum status st = tree_iter_next(it, &e, NULL);

			assert_int_equal(st, k < s->n ? ST_OK : ST_END);
			if (st == ST_OK)
				assert_string_equal(e.key, s->items[k].key);
		}
	}
}

static void test_against_array(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		AUTO(memory_store_release) struct memory_store m = {.n = 0};
		AUTO(set_release) struct set s = {.n = 0};
		struct node_store store = memory_store_nodes(&m);
		struct rng r = rng_seeded(seed);
		unsigned world = seed % 3 ? 50 : 4;
		struct hash root = empty;

		for (int round = 0; round < 12; round++) {
			struct hash fresh;

			root = mutate(&r, &store, &root, &s,
				      1 + rng_below(&r, round % 4 ? 40 : 1500), world);
			assert_same(&store, &root, &s);
			assert_lookups(&store, &root, &s, &r, world);
			assert_seeks(&store, &root, &s, &r, world);
			fresh = root_of(&store, &s);
			assert_true(hash_equal(&root, &fresh));
		}
	}
}

/* The same set by random batches in random orders, with detours. */
static void test_history_independence(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 15; seed++) {
		AUTO(memory_store_release) struct memory_store m = {.n = 0};
		AUTO(set_release) struct set goal = {.n = 0};
		struct node_store store = memory_store_nodes(&m);
		struct rng r = rng_seeded(seed);
		struct hash want = mutate(&r, &store, &empty, &goal, 2000, 80);

		for (int way = 0; way < 4; way++) {
			AUTO(set_release) struct set s = {.n = 0};
			struct hash root = mutate(&r, &store, &empty, &s, 500, 80);

			while (!hash_equal(&root, &want)) {
				AUTO(freep)
				struct tree_change *list = xcalloc(goal.n + s.n, sizeof(*list));
				size_t n = 0, i = 0, k = 0;
				bool all = rng_below(&r, 6) == 0;

				while (i < s.n || k < goal.n) {
					int c = i == s.n ? 1
						: k == goal.n
							? -1
							: strcmp(s.items[i].key, goal.items[k].key);

					if (all || rng_below(&r, 3) == 0)
						list[n++] = (struct tree_change){
							.key = c < 0 ? s.items[i].key
								     : goal.items[k].key,
							.value = c < 0 ? NULL : goal.items[k].value,
							.value_len =
								c < 0 ? 0 : goal.items[k].value_len,
						};
					i += c <= 0;
					k += c >= 0;
				}
				assert_int_equal(tree_apply(&store, &root, list, n, &root, NULL),
						 ST_OK);
				assert_false(all && !hash_equal(&root, &want));
			}
			assert_same(&store, &root, &goal);
		}
	}
}

static void test_empty(void **state)
{
	AUTO(memory_store_release) struct memory_store m = {.n = 0};
	struct node_store store = memory_store_nodes(&m);
	struct tree_change put = {.key = "a", .value = "", .value_len = 0};
	struct tree_change gone = {.key = "a", .value = NULL};
	struct tree_change other = {.key = "b", .value = NULL};
	AUTO(buf_release) struct buf out = BUF_INIT;
	struct hash root, same;

	(void)state;
	assert_int_equal(tree_apply(&store, &empty, &gone, 1, &root, NULL), ST_OK);
	assert_true(hash_is_zero(&root));
	assert_int_equal(tree_apply(&store, &empty, &put, 1, &root, NULL), ST_OK);
	assert_false(hash_is_zero(&root));
	assert_int_equal(tree_lookup(&store, &root, "a", &out, NULL), ST_OK);
	assert_int_equal(out.len, 0);
	assert_int_equal(tree_apply(&store, &root, &other, 1, &same, NULL), ST_OK);
	assert_true(hash_equal(&root, &same));
	assert_int_equal(tree_apply(&store, &root, NULL, 0, &same, NULL), ST_OK);
	assert_true(hash_equal(&root, &same));
	assert_int_equal(tree_apply(&store, &root, &gone, 1, &root, NULL), ST_OK);
	assert_true(hash_is_zero(&root));
	assert_int_equal(tree_lookup(&store, &root, "a", &out, NULL), ST_NOT_FOUND);
}

static void test_large_keys_and_values(void **state)
{
	AUTO(memory_store_release) struct memory_store m = {.n = 0};
	AUTO(set_release) struct set s = {.n = 0};
	AUTO(freep) char *value = xmalloc(1 << 20);
	struct node_store store = memory_store_nodes(&m);
	char key[TREE_KEY_MAX + 2];
	struct tree_change change = {.key = key, .value = value, .value_len = 1 << 20};
	struct hash root = empty;

	(void)state;
	memset(value, 'v', 1 << 20);
	for (int i = 0; i < 40; i++) {
		memset(key, 'k', sizeof(key));
		snprintf(key, sizeof(key), "%02d", i * 7 % 40);
		key[2] = 'k';
		key[TREE_KEY_MAX] = '\0';
		change.value_len = i % 5 ? (size_t)i : 1 << 20;
		set_put(&s, key, value, change.value_len);
		assert_int_equal(tree_apply(&store, &root, &change, 1, &root, NULL), ST_OK);
	}
	assert_same(&store, &root, &s);
	key[TREE_KEY_MAX] = 'k';
	key[TREE_KEY_MAX + 1] = '\0';
	assert_int_equal(tree_apply(&store, &root, &change, 1, &root, NULL), ST_USAGE);
	key[0] = '\0';
	assert_int_equal(tree_apply(&store, &root, &change, 1, &root, NULL), ST_USAGE);
}

/* ---- costs ---- */

#define MANY 100000

static struct hash large_tree(const struct node_store *store, struct set *s)
{
	char key[64], value[64];

	s->items = xcalloc(MANY, sizeof(*s->items));
	s->cap = MANY;
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(key, sizeof(key), "lake/orders/0/%020u.avro", i);
		memset(value, (int)i, sizeof(value));
		s->items[s->n++] = (struct pair){.key = xstrdup(key),
						 .value = xmemdup(value, sizeof(value)),
						 .value_len = sizeof(value)};
	}
	return root_of(store, s);
}

static unsigned level_of(struct memory_store *m, const struct hash *root)
{
	return (unsigned char)memory_store_find(m, root)->data[1];
}

static void test_costs(void **state)
{
	AUTO(memory_store_release) struct memory_store m = {.n = 0};
	AUTO(set_release) struct set s = {.n = 0};
	struct node_store store = memory_store_nodes(&m);
	struct hash root = large_tree(&store, &s), next = root;
	struct rng r = rng_seeded(3);
	AUTO(buf_release) struct buf out = BUF_INIT;
	unsigned height = level_of(&m, &root) + 1;

	(void)state;
	/* 98 bytes an entry: about 40 a node. */
	assert_in_range(m.bytes / m.n, 2048, 8192);
	assert_in_range(height, 3, 7);
	m.gets = 0;
	assert_int_equal(tree_lookup(&store, &root, s.items[777].key, &out, NULL), ST_OK);
	assert_int_equal(m.gets, height);
	for (int i = 0; i < 200; i++) {
		struct tree_change c = {.key = s.items[rng_below(&r, MANY)].key,
					.value = i % 2 ? "another value" : NULL,
					.value_len = 13};

		m.gets = m.puts = 0;
		assert_int_equal(tree_apply(&store, &next, &c, 1, &next, NULL), ST_OK);
		/* A removed end joins two nodes, at each level at worst. */
		assert_in_range(m.gets, height, 2 * height + 1);
		assert_in_range(m.puts, 0, 2 * height + 1);
	}
}

static size_t count_differences(const struct node_store *store, const struct hash *a,
				const struct hash *b, const char *prefix)
{
	AUTO(tree_diff_freep) struct tree_diff *d = tree_diff_new(store, a, b, prefix);
	struct tree_difference x;
	size_t n = 0;
	enum status st;

	while ((st = tree_diff_next(d, &x, NULL)) == ST_OK)
		n++;
	assert_int_equal(st, ST_END);
	return n;
}

static size_t differences_until(const struct node_store *store, const struct hash *a,
				const struct hash *b, const char *until)
{
	AUTO(tree_diff_freep) struct tree_diff *d = tree_diff_new(store, a, b, "");
	uint64_t n;

	tree_diff_until(d, until);
	assert_int_equal(tree_diff_count(d, UINT64_MAX, &n, NULL), ST_OK);
	return n;
}

static void test_diff_costs(void **state)
{
	AUTO(memory_store_release) struct memory_store m = {.n = 0};
	AUTO(set_release) struct set s = {.n = 0};
	struct node_store store = memory_store_nodes(&m);
	struct hash root = large_tree(&store, &s);
	unsigned height = level_of(&m, &root) + 1;
	struct rng r = rng_seeded(5);

	(void)state;
	for (int round = 0; round < 20; round++) {
		struct hash other = root;

		for (int i = 0; i < 10; i++) {
			char key[64];
			struct tree_change c = {.key = key, .value = "x", .value_len = 1};
			size_t at = 10000 * (size_t)i + rng_below(&r, 9000);

			/* New keys, removals and new sizes move the boundaries. */
			snprintf(key, sizeof(key), "%s%s", s.items[at].key, i % 3 ? "" : "+");
			if (i % 3 == 1)
				c.value = NULL;
			assert_int_equal(tree_apply(&store, &other, &c, 1, &other, NULL), ST_OK);
		}
		m.gets = 0;
		assert_int_equal(count_differences(&store, &root, &other, ""), 10);
		assert_in_range(m.gets, 2, 10 * 4 * height);
		m.gets = 0;
		assert_int_equal(count_differences(&store, &root, &other, s.items[55555].key), 0);
		assert_in_range(m.gets, 2, 6 * height);
		m.gets = 0;
		assert_int_equal(count_differences(&store, &other, &other, ""), 0);
		assert_int_equal(m.gets, 0);
	}
}

/* Whatever the tree's height, and however few nodes its upper levels have. */
static void test_diff_middle(void **state)
{
	AUTO(memory_store_release) struct memory_store m = {.n = 0};
	AUTO(set_release) struct set s = {.n = 0};
	struct node_store store = memory_store_nodes(&m);
	struct hash root = empty;
	struct rng r = rng_seeded(8);
	unsigned deep = 0;

	(void)state;
	for (unsigned size = 4000; size <= 128000; size *= 2) {
		AUTO(freep) char *middle = NULL;
		struct hash other = root;
		size_t before, all;

		while (s.n < size) {
			char key[32];

			snprintf(key, sizeof(key), "k%06zu", s.n);
			set_put(&s, key, "v", 1);
		}
		root = other = root_of(&store, &s);
		deep += level_of(&m, &root) >= 2;
		for (unsigned i = 0; i < 60; i++) {
			struct tree_change c = {.value = "x", .value_len = 1};

			c.key = s.items[i * (size / 60) + rng_below(&r, size / 60)].key;
			assert_int_equal(tree_apply(&store, &other, &c, 1, &other, NULL), ST_OK);
		}
		assert_int_equal(tree_diff_middle(&store, &root, &other, 16, &middle, NULL), ST_OK);
		assert_non_null(middle);
		all = count_differences(&store, &root, &other, "");
		before = differences_until(&store, &root, &other, middle);
		assert_in_range(before, all / 3, 2 * all / 3);
		free(MOVE(middle));
		assert_int_equal(tree_diff_middle(&store, &root, &other, 100, &middle, NULL),
				 ST_OK);
		assert_null(middle);
		assert_int_equal(tree_diff_middle(&store, &root, &root, 1, &middle, NULL), ST_OK);
		assert_null(middle);
	}
	assert_in_range(deep, 3, 5);
}

/* ---- diff ---- */

static void assert_diff(const struct node_store *store, const struct hash *ra, const struct set *a,
			const struct hash *rb, const struct set *b, const char *prefix)
{
	AUTO(tree_diff_freep) struct tree_diff *d = tree_diff_new(store, ra, rb, prefix);
	size_t i = 0, k = 0, n = strlen(prefix);
	struct tree_difference x;

	while (i < a->n || k < b->n) {
		int c = i == a->n ? 1 : k == b->n ? -1 : strcmp(a->items[i].key, b->items[k].key);
		const struct pair *pa = c <= 0 ? &a->items[i] : NULL;
		const struct pair *pb = c >= 0 ? &b->items[k] : NULL;

		i += c <= 0;
		k += c >= 0;
		if (strncmp((pa ? pa : pb)->key, prefix, n) != 0)
			continue;
		if (pa && pb && pa->value_len == pb->value_len &&
		    memcmp(pa->value, pb->value, pa->value_len) == 0)
			continue;
		assert_int_equal(tree_diff_next(d, &x, NULL), ST_OK);
		assert_string_equal(x.key, (pa ? pa : pb)->key);
		assert_int_equal(x.a == NULL, pa == NULL);
		assert_int_equal(x.b == NULL, pb == NULL);
		if (pa) {
			assert_int_equal(x.a_len, pa->value_len);
			assert_memory_equal(x.a, pa->value, x.a_len);
		}
		if (pb) {
			assert_int_equal(x.b_len, pb->value_len);
			assert_memory_equal(x.b, pb->value, x.b_len);
		}
	}
	assert_int_equal(tree_diff_next(d, &x, NULL), ST_END);
	assert_int_equal(tree_diff_next(d, &x, NULL), ST_END);
}

static void test_diff_against_array(void **state)
{
	static const char *const prefixes[] = {"", "a", "a/", "orders/2026/", "f1", "zz", "\x01"};

	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		AUTO(memory_store_release) struct memory_store m = {.n = 0};
		AUTO(set_release) struct set a = {.n = 0};
		AUTO(set_release) struct set b = {.n = 0};
		struct node_store store = memory_store_nodes(&m);
		struct rng r = rng_seeded(seed);
		struct hash ra = mutate(&r, &store, &empty, &a, rng_below(&r, 3000), 60), rb = ra;

		set_copy(&b, &a);
		for (int round = 0; round < 6; round++) {
			rb = mutate(&r, &store, &rb, &b, 1 + rng_below(&r, round % 3 ? 8 : 800),
				    60);
			for (size_t p = 0; p < ARRAY_SIZE(prefixes); p++) {
				assert_diff(&store, &ra, &a, &rb, &b, prefixes[p]);
				assert_diff(&store, &rb, &b, &ra, &a, prefixes[p]);
			}
		}
		assert_diff(&store, &empty, &(struct set){.n = 0}, &rb, &b, "");
		assert_diff(&store, &rb, &b, &empty, &(struct set){.n = 0}, "orders");
	}
}

/* ---- walk ---- */

struct visits {
	struct memory_store *m;
	size_t n;
	bool only_root;
};

static bool visit(void *ctx, const struct hash *node)
{
	struct visits *v = ctx;

	assert_non_null(memory_store_find(v->m, node));
	v->n++;
	return !v->only_root;
}

static void test_walk(void **state)
{
	AUTO(memory_store_release) struct memory_store m = {.n = 0};
	AUTO(set_release) struct set s = {.n = 0};
	struct node_store store = memory_store_nodes(&m);
	struct rng r = rng_seeded(9);
	struct visits v = {.m = &m};
	struct hash root;

	(void)state;
	/* Distinct values: each node is there once, and no other was stored. */
	for (unsigned i = 0; i < 3000; i++) {
		char key[32], value[32];

		snprintf(key, sizeof(key), "k%u", i);
		snprintf(value, sizeof(value), "%lx", (unsigned long)rng_next(&r));
		set_put(&s, key, value, sizeof(value));
	}
	root = root_of(&store, &s);
	assert_int_equal(tree_walk_nodes(&store, &root, visit, &v, NULL), ST_OK);
	assert_int_equal(v.n, m.n);
	v = (struct visits){.m = &m, .only_root = true};
	assert_int_equal(tree_walk_nodes(&store, &root, visit, &v, NULL), ST_OK);
	assert_int_equal(v.n, 1);
	assert_int_equal(tree_walk_nodes(&store, &empty, visit, &v, NULL), ST_OK);
	assert_int_equal(v.n, 1);
}

/* ---- damage ---- */

static enum status read_all(const struct node_store *store, const struct hash *root)
{
	AUTO(tree_iter_freep) struct tree_iter *it = tree_iter_new(store, root);
	struct tree_entry e;
	enum status st;

	while ((st = tree_iter_next(it, &e, NULL)) == ST_OK)
		continue;
	return st;
}

/* Looks up an entry while one node is damaged: its value or ST_DAMAGED, never another. */
static size_t count_damaged(const struct node_store *store, const struct hash *root,
			    const struct set *s)
{
	size_t damaged = 0;

	for (size_t i = 0; i < s->n; i += 7) {
		AUTO(buf_release) struct buf value = BUF_INIT;
		enum status st = tree_lookup(store, root, s->items[i].key, &value, NULL);

		damaged += st == ST_DAMAGED;
		if (st == ST_DAMAGED)
			continue;
		assert_int_equal(st, ST_OK);
		assert_int_equal(value.len, s->items[i].value_len);
		assert_memory_equal(buf_str(&value), s->items[i].value, value.len);
	}
	return damaged;
}

static void test_damaged_bytes(void **state)
{
	AUTO(memory_store_release) struct memory_store m = {.n = 0};
	AUTO(set_release) struct set s = {.n = 0};
	struct node_store store = memory_store_nodes(&m);
	struct rng r = rng_seeded(11);
	struct hash root = mutate(&r, &store, &empty, &s, 150, 40);
	struct visits v = {.m = &m};
	size_t damaged = 0;

	(void)state;
	assert_int_equal(tree_walk_nodes(&store, &root, visit, &v, NULL), ST_OK);
	assert_in_range(v.n, 2, 40);
	for (size_t i = 0; i < m.cap; i++) {
		struct memory_node *n = &m.slots[i];

		for (size_t k = 0; n->data && k < n->len; k++) {
			char old = n->data[k];

			n->data[k] ^= (char)(1 + rng_below(&r, 255));
			assert_int_equal(read_all(&store, &root), ST_DAMAGED);
			if (k % 16 == 0)
				damaged += count_damaged(&store, &root, &s);
			n->data[k] = old;
		}
	}
	assert_true(damaged > m.n);
	assert_int_equal(read_all(&store, &root), ST_END);
	assert_int_equal(count_damaged(&store, &root, &s), 0);
}

static void assert_lookup_ends(const struct node_store *store, const struct hash *root,
			       struct rng *r)
{
	AUTO(buf_release) struct buf value = BUF_INIT;
	char path[128];
	enum status st;

	random_path(r, 40, path);
	st = tree_lookup(store, root, path, &value, NULL);
	assert_true(st == ST_OK || st == ST_NOT_FOUND || st == ST_DAMAGED);
}

/* Wrong bytes under a right hash, as a program with a fault would write them:
 * never a crash, and the parent's word is checked. */
static void test_wrong_nodes(void **state)
{
	AUTO(memory_store_release) struct memory_store m = {.n = 0};
	AUTO(set_release) struct set s = {.n = 0};
	struct node_store store = memory_store_nodes(&m);
	struct rng r = rng_seeded(13);
	struct hash root = mutate(&r, &store, &empty, &s, 100, 40);
	struct memory_node *top = memory_store_find(&m, &root);
	AUTO(freep) char *copy = xmemdup(top->data, top->len);
	size_t len = top->len, damaged = 0;

	(void)state;
	assert_in_range(copy[1], 1, 5);
	for (int i = 0; i < 20000; i++) {
		AUTO(buf_release) struct buf raw = BUF_INIT;
		struct hash id, out;
		enum status st;

		buf_add(&raw, copy, rng_below(&r, 10) ? len : rng_below(&r, len));
		for (uint64_t k = rng_below(&r, 3); raw.len && k < 3; k++)
			raw.data[rng_below(&r, raw.len)] = (char)rng_next(&r);
		memory_store_put(&m, buf_str(&raw), raw.len, &id);
		st = read_all(&store, &id);
		assert_true(st == ST_DAMAGED || st == ST_END);
		damaged += st == ST_DAMAGED;
		assert_lookup_ends(&store, &id, &r);
		st = tree_apply(
			&store, &id,
			&(struct tree_change){.key = "orders/1", .value = "x", .value_len = 1}, 1,
			&out, NULL);
		assert_true(st == ST_DAMAGED || st == ST_OK);
	}
	assert_true(damaged > 15000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_array), cmocka_unit_test(test_history_independence),
		cmocka_unit_test(test_empty),         cmocka_unit_test(test_large_keys_and_values),
		cmocka_unit_test(test_costs),         cmocka_unit_test(test_diff_costs),
		cmocka_unit_test(test_diff_middle),   cmocka_unit_test(test_diff_against_array),
		cmocka_unit_test(test_walk),          cmocka_unit_test(test_damaged_bytes),
		cmocka_unit_test(test_wrong_nodes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
