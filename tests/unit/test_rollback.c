/* Publish and rollback against a naive model: random sequences of checkpoints,
 * publishes, rollbacks and undos of two connectors on one target. The model
 * knows files as ranges of offsets and nothing of trees, merges or cursors.
 *
 *   test_rollback [SEQUENCES [SEED]] */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connector/history/retain.h"
#include "tests/lib/history_steps.h"
#include "tests/lib/lake_steps.h"
#include "tests/lib/must.h"
#include "tests/lib/tempdir.h"
#include "tests/lib/virtual_clock.h"

#define OPERATIONS 24
#define STATES_MAX (OPERATIONS + 2)
#define CONNECTORS 2

static unsigned sequences = 1500;
static uint64_t first_seed = 1, seed_now;

struct file {
	int64_t from, to;
};

/* A checkpoint, as the model knows it. */
struct state {
	struct lake_id id;
	int previous; /* -1: the first */
	struct file files[STATES_MAX];
	int n_files;
	int64_t next;
	uint64_t epoch;
	/* of a rollback: the pair before it */
	bool rollback;
	int undo_head, undo_shown;
};

struct model {
	struct state states[STATES_MAX];
	int n;
	int head;
	int shown; /* -1: nothing */
};

struct connector {
	struct history h;
	struct model m;
};

static bool has_file(const struct state *s, const struct file *f)
{
	for (int i = 0; i < s->n_files; i++)
		if (s->files[i].from == f->from && s->files[i].to == f->to)
			return true;
	return false;
}

/* The newest on the line whose files are all shown. */
static int model_show(const struct model *m, int to)
{
	if (m->shown < 0)
		return -1;
	for (int i = to; i >= 0; i = m->states[i].previous) {
		bool all = true;

		for (int j = 0; j < m->states[i].n_files; j++)
			all = all && has_file(&m->states[m->shown], &m->states[i].files[j]);
		if (all)
			return i;
	}
	return -1;
}

static struct state *add_state(struct model *m, int from)
{
	struct state *s = &m->states[m->n];

	*s = m->states[from];
	s->previous = from;
	s->rollback = false;
	m->n++;
	return s;
}

/* ---- the lake against the model ---- */

static void check(struct lake *lake, const struct connector *c, const char *branch, int state)
{
	AUTO(freep) char *prefix = xasprintf("%s/", c->h.line.path_prefix);
	AUTO(lake_list_closep) struct lake_list *list = NULL;
	struct lake_id head = head_of(lake, branch);
	struct lake_entry entry;
	int n = 0;

	MUST(lake_list_open(lake, &head, prefix, &list, &err));
	while (lake_list_next(list, &entry, NULL) == ST_OK) {
		n++;
		lake_entry_release(&entry);
	}
	if (n != (state < 0 ? 0 : c->m.states[state].n_files))
		fail_msg("%s has %d files of %s, wanted %d", branch, n, c->h.name,
			 state < 0 ? 0 : c->m.states[state].n_files);
	for (int i = 0; i < n; i++) {
		const struct file *f = &c->m.states[state].files[i];
		AUTO(freep)
		char *path = xasprintf("%st/partition=0/t+0+%" PRId64, prefix, f->from);
		AUTO(freep) char *text = xasprintf("0:%" PRId64 "-%" PRId64, f->from, f->to);

		assert_content(lake, branch, path, text, strlen(text));
	}
}

static void check_all(struct lake *lake, const struct connector *c)
{
	for (int i = 0; i < CONNECTORS; i++) {
		check(lake, &c[i], c[i].h.branch, c[i].m.head);
		check(lake, &c[i], c[0].h.target, c[i].m.shown);
	}
}

/* ---- the operations ---- */

static void do_checkpoint(struct connector *c, struct rng *r)
{
	struct model *m = &c->m;
	AUTO(batch_release) struct batch b = BATCH_INIT;
	struct state *s = add_state(m, m->head);
	struct file f = {s->next, s->next + 1 + (int64_t)rng_below(r, 3)};

	history_batch(&c->h, &b, 0, f.from, f.to);
	free(b.files.items[0].path);
	b.files.items[0].path =
		xasprintf("%s/t/partition=0/t+0+%" PRId64, c->h.line.path_prefix, f.from);
	MUST(ingest_refresh(&c->h.ingest, &err));
	MUST(ingest_commit(&c->h.ingest, &b, &err));
	s->files[s->n_files++] = f;
	s->next = f.to;
	s->id = c->h.ingest.head.id;
	m->head = m->n - 1;
}

static void do_publish(struct connector *c)
{
	struct publish_result result;

	MUST_BE(c->m.shown == c->m.head ? ST_EMPTY : ST_OK,
		publish(&c->h.line, NULL, NULL, false, &result, &err));
	c->m.shown = c->m.head;
}

/* The rollback that an undo undoes; -1: there is none. */
static int model_undo(const struct model *m)
{
	for (int i = m->head; i >= 0; i = m->states[i].previous)
		if (m->states[i].rollback)
			return i;
	return -1;
}

static void do_rollback(struct connector *c, struct rng *r)
{
	struct model *m = &c->m;
	bool undo = rng_below(r, 3) == 0;
	int rollback = model_undo(m);
	int to = undo ? rollback : (int)rng_below(r, (uint64_t)m->n), show;
	char hex[LAKE_ID_HEX_BYTES];
	const char *name = hex;
	const struct rollback_request request = {
		.to = &name,
		.n_to = !undo,
		.undo = undo,
		.mode = rng_below(r, 2) ? ROLLBACK_REVERT : ROLLBACK_RESET,
		.ask = history_ask,
	};
	struct rollback_plan plan;
	struct rollback_result result;
	struct err why = ERR_INIT;
	struct state *s;
	enum status st;

	if (to < 0)
		return;
	show = undo ? m->states[rollback].undo_shown : model_show(m, to);
	to = undo ? m->states[rollback].undo_head : to;
	lake_id_hex(&m->states[to].id, hex);
	st = rollback_plan_make(&c->h.line, &request, &plan, &why);
	/* a reset may not drop what is the other connector's */
	if (st == ST_USAGE && request.mode == ROLLBACK_RESET)
		return;
	if (st != ST_OK)
		fail_msg("plan: %s: %s", status_name(st), why.text);
	MUST(rollback_apply(&c->h.line, &plan, &result, &err));
	rollback_plan_release(&plan);
	s = add_state(m, to);
	s->id = result.ingest;
	s->rollback = true;
	s->undo_head = m->head;
	s->undo_shown = m->shown;
	m->head = m->n - 1;
	m->shown = show;
}

static void run(struct lake *lake, uint64_t seed)
{
	struct connector *c = xcalloc(CONNECTORS, sizeof(*c));
	struct rng r = rng_seeded(seed);
	char *prefixes[CONNECTORS];

	for (int i = 0; i < CONNECTORS; i++) {
		AUTO(freep) char *name = xasprintf("c%d-%" PRIu64, i, seed);

		prefixes[i] = xasprintf("topics%d", i);
		history_start(&c[i].h, lake, name, 1);
		c[i].h.line.path_prefix = prefixes[i];
		c[i].h.line.target = c[0].h.target;
		c[i].m = (struct model){.n = 1, .shown = -1};
		c[i].m.states[0] = (struct state){.id = c[i].h.ingest.head.id, .previous = -1};
	}
	for (int i = 0; i < OPERATIONS; i++) {
		struct connector *one = &c[rng_below(&r, 3) == 0];
		uint64_t what = rng_below(&r, 10);

		if (what < 4)
			do_checkpoint(one, &r);
		else if (what < 7)
			do_publish(one);
		else
			do_rollback(one, &r);
		check_all(lake, c);
	}
	for (int i = 0; i < CONNECTORS; i++) {
		history_release(&c[i].h);
		free(prefixes[i]);
	}
	free(c);
}

static void holds_for_random_sequences(void **state)
{
	AUTO(tempdir_remove) char *dir = tempdir_new();
	struct lake *lake = open_lake(dir);

	(void)state;
	for (seed_now = first_seed; seed_now < first_seed + sequences; seed_now++)
		run(lake, seed_now);
	lake_close(lake);
}

/* What an undo would show again was freed as history: refused, nothing moves;
 * what the head still holds is no hindrance, whatever its age. */
static void expired_data_refuse_an_undo(void **state)
{
	static const struct lake_gc_options gc = {.history_retain_ms = 1,
						  .keep_prefix = RETAIN_ALWAYS};
	AUTO(tempdir_remove) char *dir = tempdir_new();
	struct virtual_clock clock;
	const struct lake_options options = {
		.access = LAKE_OWN, .create = true, .clock = &clock.clock};
	struct lake *lake = NULL;
	struct lake_gc_report report;
	struct history h;
	struct lake_id first, before;
	char hex[LAKE_ID_HEX_BYTES];
	const char *name = hex;
	struct rollback_request back = {.to = &name, .n_to = 1, .ask = history_ask};
	const struct rollback_request undo = {.undo = true, .ask = history_ask};
	struct rollback_plan plan;
	struct rollback_result result;

	(void)state;
	virtual_clock_init(&clock, 1700000000000);
	MUST(lake_open(dir, &options, &lake, &err));
	history_start(&h, lake, "c", 1);
	history_commit(&h, &h.ingest, 0, 0, 10);
	first = h.ingest.head.id;
	history_commit(&h, &h.ingest, 0, 10, 20);
	lake_id_hex(&first, hex);
	MUST(rollback_plan_make(&h.line, &back, &plan, &err));
	MUST(rollback_apply(&h.line, &plan, &result, &err));
	rollback_plan_release(&plan);
	before = head_of(lake, h.branch);
	virtual_clock_advance(&clock, 1000);
	MUST(lake_gc(lake, &gc, &report, &err));
	assert_int_equal(report.expired, 1);
	MUST_SAY(ST_EXPIRED, "t+0+10", rollback_plan_make(&h.line, &undo, &plan, &err));
	{
		struct lake_id now = head_of(lake, h.branch);

		assert_true(lake_id_equal(&before, &now));
	}
	MUST(rollback_plan_make(&h.line, &back, &plan, &err));
	MUST(rollback_apply(&h.line, &plan, &result, &err));
	rollback_plan_release(&plan);
	history_release(&h);
	lake_close(lake);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(holds_for_random_sequences),
		cmocka_unit_test(expired_data_refuse_an_undo),
	};

	int failed;

	/* nothing here dies: the disk would only be slow */
	if (access("/dev/shm", W_OK) == 0)
		setenv("TIDEMARK_TEST_DIR", "/dev/shm", 0);
	if (argc > 1)
		sequences = (unsigned)strtoul(argv[1], NULL, 10);
	if (argc > 2)
		first_seed = strtoull(argv[2], NULL, 10);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	if (failed)
		printf("again: test_rollback 1 %" PRIu64 "\n", seed_now);
	return failed;
}
