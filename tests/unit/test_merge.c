/* Three-way merges of trees against the same rule on sorted arrays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/memory_store.h"
#include "tests/lib/model_set.h"

static const struct hash empty;

static bool same(const struct pair *x, const struct pair *y)
{
	if (!x || !y)
		return !x && !y;
	return x->value_len == y->value_len && memcmp(x->value, y->value, x->value_len) == 0;
}

static bool is_below(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	return strncmp(path, folder, n) == 0 && path[n] == '/';
}

struct naive {
	const struct set *base;
	const struct set *ours;
	const struct set *theirs;
	enum tree_prefer prefer;
	struct set result;
	struct set conflicts;
};

static void merge_path(struct naive *m, const char *key)
{
	const struct pair *b = set_get(m->base, key), *o = set_get(m->ours, key),
			  *t = set_get(m->theirs, key), *take = o;

	if (set_get(&m->result, key))
		return;
	if (same(o, b))
		take = t;
	else if (!same(t, b) && !same(o, t)) {
		if (m->prefer == TREE_PREFER_NONE)
			set_put(&m->conflicts, key, "", 0);
		take = m->prefer == TREE_PREFER_THEIRS ? t : o;
	}
	if (take)
		set_put(&m->result, key, take->value, take->value_len);
}

/* One input alone has the file, the other alone has what is below it. */
static bool clash(const struct naive *m, const char *file, const char *below)
{
	return !(set_get(m->ours, file) && set_get(m->ours, below)) &&
	       !(set_get(m->theirs, file) && set_get(m->theirs, below));
}

static void drop_clashes(struct naive *m)
{
	AUTO(set_release) struct set drop = {.n = 0};

	for (size_t i = 0; i < m->result.n; i++) {
		const char *file = m->result.items[i].key;
		AUTO(freep) char *folder = xasprintf("%s/", file);

		for (size_t k = set_find(&m->result, folder);
		     k < m->result.n && is_below(m->result.items[k].key, file); k++) {
			const char *below = m->result.items[k].key;
			bool file_is_ours = set_get(m->ours, file);

			if (!clash(m, file, below))
				continue;
			if (m->prefer == TREE_PREFER_NONE) {
				set_put(&m->conflicts, file, "", 0);
				set_put(&m->conflicts, below, "", 0);
			} else {
				set_put(&drop,
					(m->prefer == TREE_PREFER_OURS) == file_is_ours ? below
											: file,
					"", 0);
			}
		}
	}
	for (size_t i = 0; i < drop.n; i++)
		set_remove(&m->result, drop.items[i].key);
}

static void naive_merge(struct naive *m)
{
	const struct set *all[] = {m->base, m->ours, m->theirs};

	for (size_t s = 0; s < 3; s++)
		for (size_t i = 0; i < all[s]->n; i++)
			merge_path(m, all[s]->items[i].key);
	drop_clashes(m);
}

static void naive_release(struct naive *m)
{
	set_release(&m->result);
	set_release(&m->conflicts);
}

static void assert_conflicts(const struct buf *got, const struct set *want)
{
	const char *p = got->data, *end = got->data + got->len;

	for (size_t i = 0; i < want->n; i++) {
		assert_true(p < end);
		assert_string_equal(p, want->items[i].key);
		p += strlen(p) + 1;
	}
	assert_ptr_equal(p, end);
}

struct tally {
	size_t clean;
	size_t conflicts;
};

static void check_merge(const struct node_store *store, const struct set *sets[3],
			const struct hash roots[3], enum tree_prefer prefer, struct tally *tally)
{
	AUTO(naive_release)
	struct naive m = {.base = sets[0], .ours = sets[1], .theirs = sets[2], .prefer = prefer};
	AUTO(buf_release) struct buf conflicts = BUF_INIT;
	struct hash out = {{1, 2, 3}}, want = out;
	enum status st;

	naive_merge(&m);
	st = tree_merge(store, &roots[0], &roots[1], &roots[2], prefer, &out, &conflicts, NULL);
	if (m.conflicts.n) {
		assert_int_equal(st, ST_CONFLICT);
		assert_true(hash_equal(&out, &want));
		assert_conflicts(&conflicts, &m.conflicts);
		tally->conflicts++;
		return;
	}
	assert_int_equal(st, ST_OK);
	assert_int_equal(conflicts.len, 0);
	want = root_of(store, &m.result);
	assert_true(hash_equal(&out, &want));
	tally->clean++;
}

/* Worlds of few names, so that both sides touch the same ones. */
static void test_random(void **state)
{
	struct tally tally = {0};

	(void)state;
	for (uint64_t seed = 1; seed <= 400; seed++) {
		AUTO(memory_store_release) struct memory_store m = {.n = 0};
		AUTO(set_release) struct set base = {.n = 0};
		AUTO(set_release) struct set ours = {.n = 0};
		AUTO(set_release) struct set theirs = {.n = 0};
		struct node_store store = memory_store_nodes(&m);
		struct rng r = rng_seeded(seed);
		unsigned world = seed % 2 ? 3 : 40, changes = seed % 3 ? 4 : 60;
		const struct set *sets[3] = {&base, &ours, &theirs};
		struct hash roots[3];

		roots[0] = mutate(&r, &store, &empty, &base, rng_below(&r, 200), world);
		set_copy(&ours, &base);
		set_copy(&theirs, &base);
		roots[1] = mutate(&r, &store, &roots[0], &ours, rng_below(&r, changes), world);
		roots[2] = mutate(&r, &store, &roots[0], &theirs, rng_below(&r, changes), world);
		check_merge(&store, sets, roots, TREE_PREFER_NONE, &tally);
		check_merge(&store, sets, roots, TREE_PREFER_OURS, &tally);
		check_merge(&store, sets, roots, TREE_PREFER_THEIRS, &tally);
	}
	assert_true(tally.clean > 800);
	assert_true(tally.conflicts > 50);
}

/* Long names make nodes of few items, so that trees of some hundred entries have
 * four levels and more, and most subtrees are changed by one side at most. Names
 * of few letters, some of which come before '/', so that files meet folders
 * which are far from them. */
static void deep_path(struct rng *r, char out[1024])
{
	static const char *const names[] = {"a", "a!", "a-", "a.b", "b", "b0", "ab", "c"};
	size_t n = 0;

	while (n < 700)
		n += (size_t)snprintf(out + n, 1024 - n, "the-long-name-of-a-folder/");
	for (unsigned i = 0; i < 4; i++)
		n += (size_t)snprintf(out + n, 1024 - n, "%s%s", i ? "/" : "",
				      names[rng_below(r, 8)]);
	if (rng_below(r, 12) == 0)
		*strrchr(out, '/') = '\0';
}

/* Applies up to n changes, near each other or anywhere. */
static struct hash mutate_deep(struct rng *r, const struct node_store *store, struct set *s,
			       size_t n)
{
	char near[1024] = "";

	if (s->n && rng_below(r, 2))
		snprintf(near, sizeof(near), "%s", s->items[rng_below(r, s->n)].key);
	for (size_t i = 0; i < n; i++) {
		char path[1024], value[64];
		size_t at;

		deep_path(r, path);
		at = set_find(s, near[0] ? near : path) + rng_below(r, 4);
		if (rng_below(r, 4) && at < s->n)
			snprintf(path, sizeof(path), "%s", s->items[at].key);
		if (rng_below(r, 4) == 0)
			set_remove(s, path);
		else
			set_put(s, path, value, random_value(r, sizeof(value), value));
	}
	return root_of(store, s);
}

/* One side gets a file, the other, now and then, what lies below it; base has, or
 * has not, names that come between them. */
static void meet(struct rng *r, struct set *base, struct set *file, struct set *below)
{
	char stem[1024], path[1100];

	deep_path(r, stem);
	for (uint64_t i = rng_below(r, 2) * 30; i > 0; i--) {
		snprintf(path, sizeof(path), "%s-%u", stem, (unsigned)i);
		set_put(base, path, "", 0);
	}
	set_put(file, stem, "file", 4);
	snprintf(path, sizeof(path), "%s%s", stem, rng_below(r, 3) ? "/below" : "0");
	set_put(below, path, "below", 5);
}

static void join(struct set *to, const struct set *from)
{
	for (size_t i = 0; i < from->n; i++)
		set_put(to, from->items[i].key, from->items[i].value, from->items[i].value_len);
}

static const char long_value[8000];

/* The last entry, which ends its nodes whatever its size, changes size, and one
 * side goes on behind it. */
static void change_the_end(struct rng *r, struct set *one, struct set *other)
{
	AUTO(freep) char *last = xstrdup(one->items[one->n - 1].key);

	set_put(rng_below(r, 2) ? one : other, last, long_value, rng_below(r, sizeof(long_value)));
	for (uint64_t i = rng_below(r, 6); i > 0; i--) {
		char path[1100];

		snprintf(path, sizeof(path), "%s%u", last, (unsigned)i);
		set_put(other, path, "", 0);
	}
}

static void try_deep(uint64_t seed, struct tally *tally)
{
	AUTO(memory_store_release) struct memory_store m = {.n = 0};
	AUTO(set_release) struct set base = {.n = 0};
	AUTO(set_release) struct set ours = {.n = 0};
	AUTO(set_release) struct set theirs = {.n = 0};
	AUTO(set_release) struct set only_ours = {.n = 0};
	AUTO(set_release) struct set only_theirs = {.n = 0};
	struct node_store store = memory_store_nodes(&m);
	struct rng r = rng_seeded(seed);
	const struct set *sets[3] = {&base, &ours, &theirs};
	struct hash roots[3];

	for (unsigned i = 0; i < 200; i++) {
		char path[1024];

		deep_path(&r, path);
		set_put(&base, path, path, rng_below(&r, 64));
	}
	set_put(&base, "the-very-last", long_value, rng_below(&r, sizeof(long_value)));
	if (seed % 3 == 0)
		meet(&r, &base, seed & 1 ? &only_ours : &only_theirs,
		     seed & 1 ? &only_theirs : &only_ours);
	roots[0] = root_of(&store, &base);
	set_copy(&ours, &base);
	set_copy(&theirs, &base);
	join(&ours, &only_ours);
	join(&theirs, &only_theirs);
	if (seed % 3 == 1)
		change_the_end(&r, &ours, &theirs);
	roots[1] = mutate_deep(&r, &store, &ours, rng_below(&r, 12));
	roots[2] = mutate_deep(&r, &store, &theirs, rng_below(&r, 12));
	check_merge(&store, sets, roots, TREE_PREFER_NONE, tally);
	check_merge(&store, sets, roots, TREE_PREFER_OURS, tally);
	check_merge(&store, sets, roots, TREE_PREFER_THEIRS, tally);
}

static void test_random_deep(void **state)
{
	struct tally tally = {0};

	(void)state;
	for (uint64_t seed = 1; seed <= 300; seed++)
		try_deep(seed, &tally);
	assert_true(tally.clean > 600);
	assert_true(tally.conflicts > 40);
}

/* ---- the cases by name ---- */

static struct hash tree(const struct node_store *store, const char *const *paths)
{
	AUTO(set_release) struct set s = {.n = 0};

	for (; *paths; paths++)
		set_put(&s, *paths, *paths, strlen(*paths));
	return root_of(store, &s);
}

#define TREE(...) tree(&store, (const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

static void assert_merge(const struct node_store *store, struct hash base, struct hash ours,
			 struct hash theirs, enum tree_prefer prefer, struct hash want)
{
	AUTO(buf_release) struct buf conflicts = BUF_INIT;
	struct hash out;

	assert_int_equal(tree_merge(store, &base, &ours, &theirs, prefer, &out, &conflicts, NULL),
			 ST_OK);
	assert_true(hash_equal(&out, &want));
}

static void test_file_against_folder(void **state)
{
	AUTO(memory_store_release) struct memory_store m = {.n = 0};
	struct node_store store = memory_store_nodes(&m);
	struct hash base = TREE("x"), file = TREE("x", "a"), below = TREE("x", "a/b", "a/c", "a-");
	AUTO(buf_release) struct buf got = BUF_INIT;
	static const char want[] = "a\0a/b\0a/c";
	struct hash out;

	(void)state;
	assert_int_equal(
		tree_merge(&store, &base, &file, &below, TREE_PREFER_NONE, &out, &got, NULL),
		ST_CONFLICT);
	assert_int_equal(got.len, sizeof(want));
	assert_memory_equal(got.data, want, sizeof(want));
	buf_clear(&got);
	assert_int_equal(
		tree_merge(&store, &base, &below, &file, TREE_PREFER_NONE, &out, &got, NULL),
		ST_CONFLICT);
	assert_int_equal(got.len, sizeof(want));
	assert_memory_equal(got.data, want, sizeof(want));
	assert_merge(&store, base, file, below, TREE_PREFER_OURS, TREE("x", "a", "a-"));
	assert_merge(&store, base, file, below, TREE_PREFER_THEIRS, below);
	assert_merge(&store, base, below, file, TREE_PREFER_OURS, below);
	assert_merge(&store, base, below, file, TREE_PREFER_THEIRS, TREE("x", "a", "a-"));
	/* Theirs makes a folder of a file that ours left alone: no conflict. */
	assert_merge(&store, file, TREE("x", "a", "y"), TREE("x", "a/b"), TREE_PREFER_NONE,
		     TREE("x", "a/b", "y"));
	/* Who had both already, keeps both. */
	assert_merge(&store, base, TREE("x", "a", "a/b"), TREE("x", "y"), TREE_PREFER_NONE,
		     TREE("x", "a", "a/b", "y"));
	assert_merge(&store, base, TREE("x", "a"), TREE("x", "a", "a/b"), TREE_PREFER_NONE,
		     TREE("x", "a", "a/b"));
}

static void test_costs(void **state)
{
	AUTO(memory_store_release) struct memory_store m = {.n = 0};
	AUTO(set_release) struct set s = {.n = 0};
	AUTO(buf_release) struct buf conflicts = BUF_INIT;
	struct node_store store = memory_store_nodes(&m);
	struct hash base, ours, theirs, out;
	char key[64];

	(void)state;
	s.items = xcalloc(50000, sizeof(*s.items));
	s.cap = 50000;
	for (unsigned i = 0; i < 50000; i++) {
		snprintf(key, sizeof(key), "lake/orders/%08u", i);
		s.items[s.n++] = (struct pair){
			.key = xstrdup(key), .value = xstrdup(key), .value_len = strlen(key)};
	}
	ours = theirs = base = root_of(&store, &s);
	for (unsigned i = 0; i < 10; i++) {
		struct tree_change c = {.key = key, .value = "new", .value_len = 3};

		snprintf(key, sizeof(key), "lake/orders/%08u", i * 5000 + 1);
		assert_int_equal(tree_apply(&store, &ours, &c, 1, &ours, NULL), ST_OK);
		snprintf(key, sizeof(key), "lake/orders/%08u+", i * 5000 + 2000);
		assert_int_equal(tree_apply(&store, &theirs, &c, 1, &theirs, NULL), ST_OK);
	}
	m.gets = m.puts = 0;
	assert_int_equal(
		tree_merge(&store, &base, &ours, &theirs, TREE_PREFER_NONE, &out, &conflicts, NULL),
		ST_OK);
	/* Of some 1,300 nodes; the leaves that one side alone changed are not among
	 * them. */
	assert_in_range(m.gets, 10, 60);
	assert_in_range(m.puts, 1, 20);
}

static void test_missing_node(void **state)
{
	AUTO(memory_store_release) struct memory_store m = {.n = 0};
	struct node_store store = memory_store_nodes(&m);
	struct hash base = TREE("x"), ours = TREE("y"), gone = {{7}}, out;
	AUTO(buf_release) struct buf conflicts = BUF_INIT;

	(void)state;
	assert_int_equal(
		tree_merge(&store, &base, &ours, &gone, TREE_PREFER_NONE, &out, &conflicts, NULL),
		ST_DAMAGED);
	assert_int_equal(tree_lookup(&store, &gone, "x", &conflicts, NULL), ST_DAMAGED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_random_deep),
		cmocka_unit_test(test_file_against_folder),
		cmocka_unit_test(test_costs),
		cmocka_unit_test(test_missing_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
