/* Several connectors that publish to one target at once: none undoes, blocks or delays
 * another, however long a gate takes; and what stands in the way is named by its path. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connector/history/publish.h"
#include "tests/lib/history_steps.h"
#include "tests/lib/lake_steps.h"
#include "tests/lib/must.h"

#define CONNECTORS 3
#define ROUNDS 40
/* Publishes of others while one gate runs: as if it took half an hour beside one a minute. */
#define BESIDE_A_GATE 60

/* ---- steps ---- */

struct shared {
	struct history h[CONNECTORS];
	char *prefixes[CONNECTORS];
	int64_t next[CONNECTORS];
};

static void start(struct shared *s, const char *name)
{
	for (int i = 0; i < CONNECTORS; i++) {
		AUTO(freep) char *own = xasprintf("%s%d", name, i);

		history_start(&s->h[i], group_lake, own, 1);
		s->prefixes[i] = xasprintf("%s-topics%d", name, i);
		s->h[i].line.path_prefix = s->prefixes[i];
		s->h[i].line.target = s->h[0].target;
		s->next[i] = 0;
	}
}

static void release(struct shared *s)
{
	for (int i = 0; i < CONNECTORS; i++) {
		history_release(&s->h[i]);
		free(s->prefixes[i]);
	}
}

static char *path_of(const struct shared *s, int i, int64_t from)
{
	return xasprintf("%s/t/partition=0/t+0+%" PRId64, s->prefixes[i], from);
}

static void checkpoint(struct shared *s, int i)
{
	AUTO(batch_release) struct batch b = BATCH_INIT;

	history_batch(&s->h[i], &b, 0, s->next[i], s->next[i] + 1);
	free(b.files.items[0].path);
	b.files.items[0].path = path_of(s, i, s->next[i]);
	MUST(ingest_refresh(&s->h[i].ingest, &err));
	MUST(ingest_commit(&s->h[i].ingest, &b, &err));
	s->next[i]++;
}

static enum status publish_it(const struct shared *s, int i, publish_judge judge, void *ctx,
			      struct err *err)
{
	const struct publish_request request = {.judge = judge, .ctx = ctx};
	AUTO(publish_result_release) struct publish_result result = {.checkpoints = 0};

	return publish(&s->h[i].line, &request, &result, err);
}

/* The target shows all that this one has read. */
static void shows_all(const struct shared *s, int i)
{
	for (int64_t at = 0; at < s->next[i]; at++) {
		AUTO(freep) char *path = path_of(s, i, at);
		AUTO(freep) char *text = history_text(&s->h[i], 0, at, at + 1);

		assert_content(group_lake, s->h[0].target, path, text, strlen(text));
	}
}

/* ---- a gate that takes long ---- */

struct slow_gate {
	struct shared *s;
	int runs;
};

static enum status judge_slowly(void *ctx, const struct publish_candidate *candidate,
				char **record_out, struct err *why)
{
	struct slow_gate *g = ctx;
	struct lake_id head;

	(void)why;
	*record_out = xstrdup("[]");
	g->runs++;
	for (int i = 0; i < BESIDE_A_GATE; i++) {
		checkpoint(g->s, 1 + i % 2);
		MUST(publish_it(g->s, 1 + i % 2, NULL, NULL, &err));
	}
	head = head_of(group_lake, g->s->h[0].target);
	assert_false(lake_id_equal(&head, &candidate->target_head));
	return ST_OK;
}

static void a_long_gate_gets_through(void **state)
{
	struct shared s;
	struct slow_gate gate = {.s = &s};

	(void)state;
	start(&s, "long");
	checkpoint(&s, 0);
	checkpoint(&s, 0);
	MUST(publish_it(&s, 0, judge_slowly, &gate, &err));
	assert_int_equal(gate.runs, 1);
	for (int i = 0; i < CONNECTORS; i++)
		shows_all(&s, i);
	release(&s);
}

/* ---- at once ---- */

struct worker {
	struct shared *s;
	int i;
	bool rolls_back;
};

/* Back over its last publish, and forward again: what it had read comes anew. */
static void roll_back(struct worker *w)
{
	struct history *h = &w->s->h[w->i];
	AUTO(freep) char *to = xasprintf("%s~1", h->branch);
	const char *name = to;
	const struct rollback_request request = {.to = &name, .n_to = 1, .ask = history_ask};
	enum status st = ST_CONFLICT;

	/* as the command does: others move the target between plan and move */
	for (int tries = 0; st == ST_CONFLICT && tries < 1000; tries++) {
		AUTO(rollback_plan_release) struct rollback_plan plan = {0};
		struct rollback_result result;

		MUST(rollback_plan_make(&h->line, &request, &plan, &err));
		st = rollback_apply(&h->line, &plan, &result, NULL);
	}
	assert_int_equal(st, ST_OK);
	w->s->next[w->i]--;
}

static void *publish_again_and_again(void *ctx)
{
	struct worker *w = ctx;

	for (int i = 0; i < ROUNDS; i++) {
		checkpoint(w->s, w->i);
		MUST(publish_it(w->s, w->i, NULL, NULL, &err));
		if (w->rolls_back && i % 4 == 3)
			roll_back(w);
	}
	return NULL;
}

static void none_undoes_or_blocks_another(void **state)
{
	struct shared s;
	struct worker workers[CONNECTORS];
	pthread_t threads[CONNECTORS];

	(void)state;
	start(&s, "once");
	for (int i = 0; i < CONNECTORS; i++) {
		workers[i] = (struct worker){&s, i, i == 2};
		assert_int_equal(
			pthread_create(&threads[i], NULL, publish_again_and_again, &workers[i]), 0);
	}
	for (int i = 0; i < CONNECTORS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(s.next[0], ROUNDS);
	assert_int_equal(s.next[2], ROUNDS - ROUNDS / 4);
	for (int i = 0; i < CONNECTORS; i++)
		shows_all(&s, i);
	release(&s);
}

/* ---- what stands in the way ---- */

static void put_by_hand(const struct shared *s, const char *path)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	struct lake_id head = head_of(group_lake, s->h[0].target), made;

	MUST(lake_txn_begin(group_lake, &head, &txn, &err));
	MUST(lake_txn_put_bytes(txn, path, "x", 1, NULL, NULL, &err));
	MUST(lake_txn_commit(txn, s->h[0].target, &head, "by hand", &made, &err));
}

static void what_is_in_the_way_is_named(void **state)
{
	struct shared s;
	AUTO(freep) char *changed = NULL;

	(void)state;
	start(&s, "way");
	for (int i = 0; i < CONNECTORS; i++)
		checkpoint(&s, i);
	changed = path_of(&s, 0, 0);
	put_by_hand(&s, changed); /* one of its own */
	put_by_hand(&s, s.prefixes[1]); /* a file where it has a folder */
	MUST_SAY(ST_HELD, changed, publish_it(&s, 0, NULL, NULL, &err));
	MUST_SAY(ST_HELD, s.prefixes[1], publish_it(&s, 1, NULL, NULL, &err));
	/* which is nothing to the third */
	MUST(publish_it(&s, 2, NULL, NULL, &err));
	shows_all(&s, 2);
	release(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_long_gate_gets_through),
		cmocka_unit_test(none_undoes_or_blocks_another),
		cmocka_unit_test(what_is_in_the_way_is_named),
	};

	return cmocka_run_group_tests(tests, group_lake_open, group_lake_close);
}
