/* Walks over random graphs of commits against naive ones: search, ancestors, bases, log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/clock.h"
#include "core/model/commit.h"

/* ---- a store in memory: commits in the order in which they were made ---- */

#define GRAPH_MAX 20000

struct stored {
	struct lake_id id;
	struct buf raw;
	size_t parents[3];
	size_t n_parents;
	uint64_t generation;
	int64_t time_ms;
	uint64_t depth;
};

struct graph {
	struct stored *commits;
	size_t n;
	size_t *by_id; /* open addressing; index + 1 */
	size_t gets;
};

#define ID_SLOTS 65536

static void graph_init(struct graph *g)
{
	*g = (struct graph){
		.commits = xcalloc(GRAPH_MAX, sizeof(*g->commits)),
		.by_id = xcalloc(ID_SLOTS, sizeof(*g->by_id)),
	};
}

static void graph_release(struct graph *g)
{
	for (size_t i = 0; i < g->n; i++)
		buf_release(&g->commits[i].raw);
	free(g->commits);
	free(g->by_id);
}

static size_t *graph_slot(struct graph *g, const struct lake_id *id)
{
	size_t i = (size_t)id->bytes[0] << 8 | id->bytes[1];

	while (g->by_id[i] && !lake_id_equal(&g->commits[g->by_id[i] - 1].id, id))
		i = (i + 1) % ID_SLOTS;
	return &g->by_id[i];
}

static enum status graph_get(void *ctx, const struct lake_id *id, struct commit *out,
			     struct err *err)
{
	struct graph *g = ctx;
	size_t at = *graph_slot(g, id);

	g->gets++;
	if (!at)
		return err_set(err, ST_NOT_FOUND, "no such commit");
	return commit_decode(id, g->commits[at - 1].raw.data, g->commits[at - 1].raw.len, out, err);
}

static struct commit_store graph_store(struct graph *g)
{
	return (struct commit_store){.ctx = g, .get = graph_get};
}

static size_t graph_add(struct graph *g, const size_t *parents, size_t n, int64_t now_ms)
{
	AUTO(commit_release) struct commit c = {.depth = 0};
	struct stored *s = &g->commits[g->n];
	struct commit_store store = graph_store(g);

	assert_true(g->n < GRAPH_MAX);
	c.public.parents = xcalloc(n, sizeof(*c.public.parents));
	c.public.n_parents = n;
	for (size_t i = 0; i < n; i++)
		c.public.parents[i] = g->commits[parents[i]].id;
	c.public.message = xasprintf("commit %zu", g->n);
	c.public.committer = xstrdup("test");
	assert_int_equal(commit_seal(&store, &c, now_ms, &s->raw, NULL), ST_OK);
	s->id = c.public.id;
	s->n_parents = n;
	if (n)
		memcpy(s->parents, parents, n * sizeof(*parents));
	s->generation = c.public.generation;
	s->time_ms = c.public.time_ms;
	s->depth = c.depth;
	*graph_slot(g, &s->id) = ++g->n;
	return g->n - 1;
}

static void random_graph(struct rng *r, struct graph *g, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t parents[3], n_parents = 0;
		size_t want = i == 0 || rng_below(r, 40) == 0 ? 0 : 1 + (rng_below(r, 3) == 0);

		if (want == 2 && rng_below(r, 10) == 0)
			want = 3;
		while (n_parents < want && n_parents < i) {
			size_t back = 1 + rng_below(r, i < 8 ? i : 8);
			bool twice = false;

			for (size_t k = 0; k < n_parents; k++)
				twice |= parents[k] == i - back;
			if (!twice)
				parents[n_parents++] = i - back;
			else if (i < 4)
				break;
		}
		/* A clock that steps back now and then. */
		graph_add(g, parents, n_parents, (int64_t)(1000 + i * 3 - rng_below(r, 20)));
	}
}

static int order_of(const struct stored *a, const struct stored *b)
{
	if (a->generation != b->generation)
		return a->generation > b->generation ? -1 : 1;
	if (a->time_ms != b->time_ms)
		return a->time_ms > b->time_ms ? -1 : 1;
	return -memcmp(a->id.bytes, b->id.bytes, sizeof(a->id.bytes));
}

/* Marks everything that `from` reaches, itself included. */
static void mark(const struct graph *g, size_t from, bool *marks)
{
	memset(marks, 0, g->n * sizeof(*marks));
	marks[from] = true;
	for (size_t i = from + 1; i-- > 0;)
		for (size_t k = 0; marks[i] && k < g->commits[i].n_parents; k++)
			marks[g->commits[i].parents[k]] = true;
}

/* ---- sealing ---- */

static void test_seal(void **state)
{
	AUTO(graph_release) struct graph g;
	struct commit_store store;
	AUTO(commit_release) struct commit c = {.depth = 0};
	size_t a, b, m;

	(void)state;
	graph_init(&g);
	store = graph_store(&g);
	a = graph_add(&g, NULL, 0, 5000);
	assert_int_equal(g.commits[a].generation, 1);
	b = graph_add(&g, &a, 1, 100); /* the clock went back */
	assert_int_equal(g.commits[b].time_ms, 5001);
	m = graph_add(&g, (size_t[]){a, b}, 2, 100);
	assert_int_equal(g.commits[m].time_ms, 5002);
	assert_int_equal(g.commits[m].generation, 3);
	assert_int_equal(g.commits[m].depth, 1); /* by its first parent */
	assert_int_equal(graph_get(&g, &g.commits[m].id, &c, NULL), ST_OK);
	assert_true(lake_id_equal(&c.jump, &g.commits[a].id));
	c.public.parents[0].bytes[0] ^= 1;
	AUTO(buf_release) struct buf raw = BUF_INIT;
	assert_int_equal(commit_seal(&store, &c, 1, &raw, NULL), ST_NOT_FOUND);
}

/* ---- search ---- */

struct until {
	const struct graph *g;
	uint64_t depth;
	size_t asked;
};

static bool young_enough(void *ctx, const struct lake_commit *commit)
{
	struct until *u = ctx;

	u->asked++;
	for (size_t i = 0; i < u->g->n; i++)
		if (lake_id_equal(&u->g->commits[i].id, &commit->id))
			return u->g->commits[i].depth >= u->depth;
	return false;
}

static bool later_than(void *ctx, const struct lake_commit *commit)
{
	return commit->time_ms >= *(int64_t *)ctx;
}

static void test_search_random(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		AUTO(graph_release) struct graph g;
		struct rng r = rng_seeded(seed);
		struct commit_store store;

		graph_init(&g);
		store = graph_store(&g);
		random_graph(&r, &g, 300);
		for (int i = 0; i < 50; i++) {
			AUTO(commit_release) struct commit out = {.depth = 0};
			size_t from = rng_below(&r, g.n), want = from;
			struct until u = {.g = &g,
					  .depth = rng_below(&r, g.commits[from].depth + 2)};
			enum status st = history_search(&store, &g.commits[from].id, young_enough,
							&u, &out, NULL);

			if (u.depth > g.commits[from].depth) {
				assert_int_equal(st, ST_NOT_FOUND);
				continue;
			}
			while (g.commits[want].depth > u.depth)
				want = g.commits[want].parents[0];
			assert_int_equal(st, ST_OK);
			assert_true(lake_id_equal(&out.public.id, &g.commits[want].id));
		}
	}
}

static void test_search_reads(void **state)
{
	AUTO(graph_release) struct graph g;
	struct rng r = rng_seeded(2);
	struct commit_store store;
	size_t last = 0;

	(void)state;
	graph_init(&g);
	store = graph_store(&g);
	for (int64_t i = 0; i < GRAPH_MAX; i++)
		last = graph_add(&g, &last, i > 0, 1000 + i);
	for (int i = 0; i < 300; i++) {
		AUTO(commit_release) struct commit out = {.depth = 0};
		int64_t time = 1000 + (int64_t)rng_below(&r, GRAPH_MAX);

		g.gets = 0;
		assert_int_equal(
			history_search(&store, &g.commits[last].id, later_than, &time, &out, NULL),
			ST_OK);
		assert_int_equal(out.public.time_ms, time);
		/* 3 * log2(20,000) = 43 */
		assert_in_range(g.gets, 1, 45);
	}
	for (int i = 0; i < 50; i++) {
		bool is = false;

		g.gets = 0;
		assert_int_equal(history_is_ancestor(&store, &g.commits[rng_below(&r, last)].id,
						     &g.commits[last].id, &is, NULL),
				 ST_OK);
		assert_true(is);
		assert_in_range(g.gets, 1, 47);
	}
}

/* ---- ancestors and bases ---- */

static void test_ancestors_random(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 25; seed++) {
		AUTO(graph_release) struct graph g;
		struct rng r = rng_seeded(seed);
		struct commit_store store;
		bool marks[150], others[150];

		graph_init(&g);
		store = graph_store(&g);
		random_graph(&r, &g, 150);
		for (int i = 0; i < 80; i++) {
			size_t a = rng_below(&r, g.n), b = rng_below(&r, g.n), best = g.n;
			struct lake_id base;
			bool is;

			mark(&g, a, marks);
			mark(&g, b, others);
			assert_int_equal(history_is_ancestor(&store, &g.commits[b].id,
							     &g.commits[a].id, &is, NULL),
					 ST_OK);
			assert_int_equal(is, marks[b]);
			for (size_t k = 0; k < g.n; k++)
				if (marks[k] && others[k] &&
				    (best == g.n || order_of(&g.commits[k], &g.commits[best]) < 0))
					best = k;
			assert_int_equal(history_merge_base(&store, &g.commits[a].id,
							    &g.commits[b].id, &base, NULL),
					 ST_OK);
			if (best == g.n)
				assert_true(lake_id_is_none(&base));
			else
				assert_true(lake_id_equal(&base, &g.commits[best].id));
		}
	}
}

/* Against the definition: common ancestors that are no other one's. */
static void test_bases_random(void **state)
{
	size_t several = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 25; seed++) {
		AUTO(graph_release) struct graph g;
		struct rng r = rng_seeded(seed);
		struct commit_store store;

		graph_init(&g);
		store = graph_store(&g);
		random_graph(&r, &g, 150);
		for (int i = 0; i < 80; i++) {
			size_t a[2] = {rng_below(&r, g.n), rng_below(&r, g.n)},
			       b = rng_below(&r, g.n);
			const struct lake_id as[2] = {g.commits[a[0]].id, g.commits[a[1]].id};
			bool common[150], of[150], stale[150] = {false};
			AUTO(freep) struct lake_id *bases = NULL;
			size_t n = 0, wanted = 0;

			mark(&g, a[0], common);
			mark(&g, a[1], of);
			for (size_t k = 0; k < g.n; k++)
				common[k] |= of[k];
			mark(&g, b, of);
			for (size_t k = 0; k < g.n; k++)
				common[k] &= of[k];
			for (size_t k = 0; k < g.n; k++) {
				if (!common[k])
					continue;
				mark(&g, k, of);
				for (size_t j = 0; j < g.n; j++)
					stale[j] |= of[j] && j != k;
			}
			assert_int_equal(history_merge_bases(&store, as, 2, &g.commits[b].id,
							     &bases, &n, NULL),
					 ST_OK);
			for (size_t k = 0; k < g.n; k++) {
				bool found = false;

				for (size_t j = 0; j < n; j++)
					found |= lake_id_equal(&bases[j], &g.commits[k].id);
				assert_int_equal(found, common[k] && !stale[k]);
				wanted += found;
			}
			assert_int_equal(n, wanted);
			several += n > 1;
		}
	}
	assert_true(several > 100);
}

static void test_criss_cross(void **state)
{
	AUTO(graph_release) struct graph g;
	struct commit_store store;
	struct lake_id base, back;
	size_t root, a, b, ab, ba;

	(void)state;
	graph_init(&g);
	store = graph_store(&g);
	root = graph_add(&g, NULL, 0, 1);
	a = graph_add(&g, &root, 1, 10);
	b = graph_add(&g, &root, 1, 20);
	ab = graph_add(&g, (size_t[]){a, b}, 2, 30);
	ba = graph_add(&g, (size_t[]){b, a}, 2, 30);
	assert_int_equal(
		history_merge_base(&store, &g.commits[ab].id, &g.commits[ba].id, &base, NULL),
		ST_OK);
	assert_true(lake_id_equal(&base, &g.commits[b].id)); /* the later one */
	assert_int_equal(
		history_merge_base(&store, &g.commits[ba].id, &g.commits[ab].id, &back, NULL),
		ST_OK);
	assert_true(lake_id_equal(&base, &back));
}

/* A base near two heads is found without reading what lies behind it. */
static void test_base_reads(void **state)
{
	AUTO(graph_release) struct graph g;
	struct commit_store store;
	AUTO(freep) struct lake_id *all = NULL;
	struct lake_id base;
	size_t last = 0, a, b, n = 0;
	bool is;

	(void)state;
	graph_init(&g);
	store = graph_store(&g);
	for (int64_t i = 0; i < 5000; i++)
		last = graph_add(&g, &last, i > 0, 1000 + i);
	a = graph_add(&g, &last, 1, 1);
	b = graph_add(&g, &last, 1, 2);
	g.gets = 0;
	assert_int_equal(
		history_merge_base(&store, &g.commits[a].id, &g.commits[b].id, &base, NULL), ST_OK);
	assert_true(lake_id_equal(&base, &g.commits[last].id));
	assert_in_range(g.gets, 2, 4);
	g.gets = 0;
	assert_int_equal(
		history_merge_bases(&store, &g.commits[a].id, 1, &g.commits[b].id, &all, &n, NULL),
		ST_OK);
	assert_int_equal(n, 1);
	assert_in_range(g.gets, 2, 5);
	g.gets = 0;
	assert_int_equal(history_is_ancestor(&store, &g.commits[a].id, &g.commits[b].id, &is, NULL),
			 ST_OK);
	assert_false(is);
	assert_in_range(g.gets, 2, 6);
	/* One that lies far back on the other's line costs O(log n). */
	for (int way = 0; way < 2; way++) {
		size_t heads[2] = {a, 100};

		free(MOVE(all));
		g.gets = 0;
		assert_int_equal(history_merge_bases(&store, &g.commits[heads[way]].id, 1,
						     &g.commits[heads[1 - way]].id, &all, &n, NULL),
				 ST_OK);
		assert_int_equal(n, 1);
		assert_true(lake_id_equal(&all[0], &g.commits[100].id));
		assert_in_range(g.gets, 2, 45);
		g.gets = 0;
		assert_int_equal(history_merge_base(&store, &g.commits[heads[way]].id,
						    &g.commits[heads[1 - way]].id, &base, NULL),
				 ST_OK);
		assert_true(lake_id_equal(&base, &g.commits[100].id));
		assert_in_range(g.gets, 2, 45);
	}
}

/* ---- log ---- */

static void check_log(struct graph *g, size_t from, bool first_parent)
{
	struct commit_store store = graph_store(g);
	AUTO(history_log_freep)
	struct history_log *log = history_log_new(&store, &g->commits[from].id, first_parent);
	bool marks[150];
	size_t n = 0, last = g->n, shown_parents = 0;
	enum status st = ST_OK;

	mark(g, from, marks);
	g->gets = 0;
	for (;;) {
		AUTO(commit_release) struct commit c = {.depth = 0};
		size_t at;

		st = history_log_next(log, &c, NULL);
		if (st != ST_OK)
			break;
		at = *graph_slot(g, &c.public.id) - 1;
		n++;
		assert_in_range(g->gets, n, 1 + shown_parents);
		shown_parents += c.public.n_parents;
		assert_true(marks[at]);
		marks[at] = false; /* each once */
		assert_true(last == g->n || order_of(&g->commits[last], &g->commits[at]) < 0);
		assert_true(!first_parent || last == g->n || g->commits[last].parents[0] == at);
		assert_int_equal(c.public.n_parents, g->commits[at].n_parents);
		assert_non_null(c.public.message);
		last = at;
	}
	assert_int_equal(st, ST_END);
	if (first_parent)
		assert_int_equal(n, g->commits[from].depth + 1);
	for (size_t i = 0; !first_parent && i < g->n; i++)
		assert_false(marks[i]);
}

static void test_log(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 25; seed++) {
		AUTO(graph_release) struct graph g;
		struct rng r = rng_seeded(seed);

		graph_init(&g);
		random_graph(&r, &g, 150);
		check_log(&g, g.n - 1, false);
		check_log(&g, rng_below(&r, g.n), false);
		check_log(&g, g.n - 1, true);
	}
}

static void test_missing(void **state)
{
	AUTO(graph_release) struct graph g;
	struct commit_store store;
	struct lake_id none = {{3}}, out;
	size_t a, b;

	(void)state;
	graph_init(&g);
	store = graph_store(&g);
	a = graph_add(&g, NULL, 0, 1);
	b = graph_add(&g, &a, 1, 2);
	assert_int_equal(history_merge_base(&store, &g.commits[b].id, &none, &out, NULL),
			 ST_NOT_FOUND);
	*graph_slot(&g, &g.commits[a].id) = 0;
	AUTO(history_log_freep)
	struct history_log *log = history_log_new(&store, &g.commits[b].id, false);
	AUTO(commit_release) struct commit c = {.depth = 0};
	struct commit d;

	assert_int_equal(history_log_next(log, &c, NULL), ST_OK);
	assert_int_equal(history_log_next(log, &d, NULL), ST_DAMAGED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seal),         cmocka_unit_test(test_search_random),
		cmocka_unit_test(test_search_reads), cmocka_unit_test(test_ancestors_random),
		cmocka_unit_test(test_bases_random), cmocka_unit_test(test_criss_cross),
		cmocka_unit_test(test_base_reads),   cmocka_unit_test(test_log),
		cmocka_unit_test(test_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
