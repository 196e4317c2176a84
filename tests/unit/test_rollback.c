/* Publish and rollback against a naive model: random sequences of checkpoints,
 * publishes (held, forced, of a prefix, overtaken), changes by hand, rollbacks (of
 * the target only, and with skips, too), drops and undos of two connectors on one
 * target. The model knows files as ranges of offsets and nothing of trees, merges or
 * cursors. Crashes are the simulation's (tests/simulation).
 *
 *   test_rollback                          ten thousand, in two processes
 *   test_rollback SEQUENCES [SEED [disk]]  so many from that seed on; on the disk, with
 *                                          files of their own, as the last twenty are */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "connector/history/cut.h"
#include "connector/history/publish.h"
#include "connector/history/retain.h"
#include "tests/lib/history_steps.h"
#include "tests/lib/lake_steps.h"
#include "tests/lib/must.h"
#include "tests/lib/tempdir.h"
#include "tests/lib/virtual_clock.h"

extern char **environ;

#define SEQUENCES 10000
#define ON_DISK 20
/* More than RocksDB takes: objects of this size are files. */
#define FILE_BYTES (17 << 10)
/* A lake of its own for so many, so that it stays small. */
#define TOGETHER 250
#define OPERATIONS 24
#define STATES_MAX (2 * OPERATIONS + 2)
#define CONNECTORS 2

static unsigned sequences = SEQUENCES;
static uint64_t first_seed = 1, seed_now;
static bool on_disk;

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
	bool by_hand; /* somebody took a file off the target: */
	struct file gone;
};

struct connector {
	struct history h;
	struct model m;
	struct connector *other;
	struct rng *rng;
	/* what happens while a publish is being judged */
	bool meanwhile;
	bool overtaken; /* it was something that this publish must not survive */
};

/* What the gate refuses. */
static bool is_bad(const struct file *f)
{
	return f->from % 5 == 4;
}

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

/* Would the state show a bad file that is not shown yet? */
static bool shows_bad(const struct model *m, int state)
{
	const struct state *s = &m->states[state];

	for (int i = 0; i < s->n_files; i++)
		if (is_bad(&s->files[i]) &&
		    (m->shown < 0 || !has_file(&m->states[m->shown], &s->files[i])))
			return true;
	return false;
}

static bool hand_is_accepted(const struct model *m, int state)
{
	return !m->by_hand || !has_file(&m->states[state], &m->gone);
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

static void remove_file(struct state *s, const struct file *f)
{
	for (int i = 0; i < s->n_files; i++) {
		if (s->files[i].from != f->from || s->files[i].to != f->to)
			continue;
		memmove(&s->files[i], &s->files[i + 1], sizeof(*f) * (size_t)(s->n_files - i - 1));
		s->n_files--;
		return;
	}
}

/* ---- the lake against the model ---- */

static void check(struct lake *lake, const struct connector *c, const char *branch,
		  const struct state *state)
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
	if (n != state->n_files)
		fail_msg("%s has %d files of %s, wanted %d", branch, n, c->h.name, state->n_files);
	for (int i = 0; i < n; i++) {
		const struct file *f = &state->files[i];
		AUTO(freep)
		char *path = xasprintf("%st/partition=0/t+0+%" PRId64, prefix, f->from);
		AUTO(freep) char *text = history_text(&c->h, 0, f->from, f->to);

		assert_content(lake, branch, path, text, strlen(text));
	}
}

static void check_all(struct lake *lake, const struct connector *c)
{
	for (int i = 0; i < CONNECTORS; i++) {
		const struct model *m = &c[i].m;
		struct state target = {.n_files = 0};

		check(lake, &c[i], c[i].h.branch, &m->states[m->head]);
		if (m->shown >= 0)
			target = m->states[m->shown];
		if (m->by_hand)
			remove_file(&target, &m->gone);
		check(lake, &c[i], c[0].h.target, &target);
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

static void do_rollback(struct connector *c, struct rng *r);
static void do_drop(struct connector *c, struct rng *r);
static void do_publish(struct connector *c, struct rng *r);

/* The gate: no bad file among those that come new. */
static enum status judge(void *ctx, const struct publish_candidate *candidate, char **record_out,
			 struct err *err)
{
	struct connector *c = ctx;
	AUTO(lake_diff_closep) struct lake_diff *diff = NULL;
	struct lake_diff_entry entry;
	bool bad = false;

	*record_out = xstrdup("[]");
	if (c->meanwhile && !candidate->steering) {
		uint64_t what = rng_below(c->rng, 3);

		c->meanwhile = false;
		if (what == 0) {
			do_publish(c->other, c->rng);
		} else {
			struct lake_id before = head_of(c->h.lake, c->h.published), now;
			int states = c->m.n;

			if (what == 1)
				do_rollback(c, c->rng);
			else
				do_drop(c, c->rng);
			now = head_of(c->h.lake, c->h.published);
			c->overtaken = c->m.n != states || !lake_id_equal(&before, &now);
		}
	}
	if (lake_diff_open(c->h.lake, &candidate->shown, &candidate->merged,
			   candidate->roots->items[2], &diff, err) != ST_OK)
		return ST_FAILED;
	while (lake_diff_next(diff, &entry, NULL) == ST_OK) {
		const struct file f = {.from = strtoll(strrchr(entry.path, '+') + 1, NULL, 10)};

		bad = bad || (entry.change == LAKE_ADDED && is_bad(&f));
		free(entry.path);
	}
	return bad ? err_set(err, ST_HELD, "a bad file") : ST_OK;
}

/* The pending checkpoint of this id; the head where there is none. */
static int find_state(const struct model *m, const struct lake_id *id)
{
	for (int i = 0; i < m->n; i++)
		if (lake_id_equal(&m->states[i].id, id))
			return i;
	fail_msg("a checkpoint was published that there is not");
	return -1;
}

/* Whatever was chosen: it passes, and no later one of those before the first cut does. */
static void expect_prefix(const struct model *m, int chosen, int head)
{
	bool later_pass = false, cut = false;

	if (chosen >= 0 && shows_bad(m, chosen))
		fail_msg("a prefix with a bad file was published");
	for (int i = head; i >= 0 && i != m->shown && i != chosen; i = m->states[i].previous) {
		later_pass = later_pass || !shows_bad(m, i);
		cut = cut || (m->states[i].previous >= 0 &&
			      m->states[i].n_files < m->states[m->states[i].previous].n_files);
	}
	if (later_pass && !cut)
		fail_msg("a longer prefix passes");
}

static void do_publish(struct connector *c, struct rng *r)
{
	struct model *m = &c->m;
	AUTO(publish_result_release) struct publish_result result = {.checkpoints = 0};
	const struct publish_request request = {
		.judge = judge,
		.ctx = c,
		.prefix = rng_below(r, 2) == 0,
		.force = rng_below(r, 6) == 0 ? "because" : NULL,
	};
	int head = m->head, shown = m->shown;
	bool bad = shows_bad(m, head);
	bool by_hand = !hand_is_accepted(m, head);
	struct err why = ERR_INIT;
	enum status st;

	c->overtaken = false;
	st = publish(&c->h.line, &request, &result, &why);
	c->meanwhile = false;
	if (shown == head) {
		assert_int_equal(st, m->by_hand ? ST_HELD : ST_EMPTY);
		return;
	}
	if (by_hand || (bad && !request.force && !request.prefix)) {
		if (st != ST_HELD)
			fail_msg("not held: %s: %s", status_name(st), why.text);
		return;
	}
	if (c->overtaken) {
		if (st != ST_CONFLICT && st != ST_HELD)
			fail_msg("it was overtaken, and not noticed: %s: %s", status_name(st),
				 why.text);
		assert_true(lake_id_is_none(&result.checkpoint));
		return;
	}
	if (!bad || request.force) {
		if (st != ST_OK)
			fail_msg("publish: %s: %s", status_name(st), why.text);
		m->shown = head;
		m->by_hand = false;
		return;
	}
	if (st != ST_HELD)
		fail_msg("prefix: %s: %s", status_name(st), why.text);
	if (!lake_id_is_none(&result.checkpoint)) {
		int chosen = find_state(m, &result.checkpoint);

		expect_prefix(m, chosen, head);
		m->shown = chosen;
		m->by_hand = false;
	} else if (!m->by_hand) {
		expect_prefix(m, -1, head);
	}
}

/* Somebody takes a file off the target. */
static void do_by_hand(struct connector *c, struct rng *r)
{
	struct model *m = &c->m;
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	struct lake_id head = head_of(c->h.lake, c->h.line.target), made;
	AUTO(freep) char *path = NULL;

	if (m->by_hand || m->shown < 0 || m->states[m->shown].n_files == 0)
		return;
	m->gone = m->states[m->shown].files[rng_below(r, (uint64_t)m->states[m->shown].n_files)];
	m->by_hand = true;
	path = xasprintf("%s/t/partition=0/t+0+%" PRId64, c->h.line.path_prefix, m->gone.from);
	MUST(lake_txn_begin(c->h.lake, &head, &txn, &err));
	MUST(lake_txn_remove(txn, path, &err));
	MUST(lake_txn_commit(txn, c->h.line.target, &head, "by hand", &made, &err));
}

static void add_cut(struct model *m, struct state *s, const struct lake_id *id)
{
	s->id = *id;
	s->rollback = true;
	s->undo_head = m->head;
	s->undo_shown = m->shown;
	m->head = m->n - 1;
}

static void do_accept(struct connector *c)
{
	struct model *m = &c->m;
	struct cut_plan plan;
	struct lake_id made;
	struct state *s;

	if (!m->by_hand) {
		MUST_BE(ST_EMPTY, cut_plan_accept(&c->h.line, &plan, &err));
		return;
	}
	MUST(cut_plan_accept(&c->h.line, &plan, &err));
	MUST(cut_apply(&c->h.line, &plan, &made, &err));
	cut_plan_release(&plan);
	s = add_state(m, m->head);
	remove_file(s, &m->gone);
	add_cut(m, s, &made);
}

static void do_drop(struct connector *c, struct rng *r)
{
	struct model *m = &c->m;
	char from_hex[LAKE_ID_HEX_BYTES], to_hex[LAKE_ID_HEX_BYTES];
	int line[STATES_MAX], n = 0, from, to;
	struct cut_plan plan;
	struct lake_id made;
	struct state *s, gone;
	struct err why = ERR_INIT;
	enum status st;

	for (int i = m->head; m->states[i].previous >= 0; i = m->states[i].previous)
		line[n++] = i;
	if (n == 0)
		return;
	to = line[rng_below(r, (uint64_t)n)];
	from = to;
	while (rng_below(r, 2) && m->states[m->states[from].previous].previous >= 0)
		from = m->states[from].previous;
	lake_id_hex(&m->states[from].id, from_hex);
	lake_id_hex(&m->states[to].id, to_hex);
	st = cut_plan_drop(&c->h.line, from_hex, to_hex, NULL, &plan, &why);
	gone = m->states[to];
	for (int i = 0; i < m->states[m->states[from].previous].n_files; i++)
		remove_file(&gone, &m->states[m->states[from].previous].files[i]);
	for (int i = gone.n_files - 1; i >= 0; i--)
		if (!has_file(&m->states[m->head], &gone.files[i]))
			remove_file(&gone, &gone.files[i]);
	if (gone.n_files == 0) {
		assert_int_equal(st, ST_EMPTY);
		return;
	}
	if (st != ST_OK)
		fail_msg("drop: %s: %s", status_name(st), why.text);
	assert_int_equal(plan.n_remove, gone.n_files);
	MUST(cut_apply(&c->h.line, &plan, &made, &err));
	cut_plan_release(&plan);
	s = add_state(m, m->head);
	for (int i = 0; i < gone.n_files; i++)
		remove_file(s, &gone.files[i]);
	add_cut(m, s, &made);
}

/* The rollback that an undo undoes; -1: there is none. */
static int model_undo(const struct model *m)
{
	for (int i = m->head; i >= 0; i = m->states[i].previous)
		if (m->states[i].rollback)
			return i;
	return -1;
}

/* The newest publication that showed it, by looking at each; none. */
static struct lake_id model_publication(const struct connector *c, const struct lake_id *shown,
					const struct lake_id *checkpoint)
{
	struct lake_id at = *shown;

	for (;;) {
		AUTO(lake_commit_release) struct lake_commit x = {0};
		struct cursor cursor;

		if (cursor_read(c->h.lake, &at, c->h.name, &cursor, NULL) != ST_OK)
			return (struct lake_id){{0}};
		if (lake_id_equal(&cursor.checkpoint, checkpoint))
			return at;
		MUST(lake_commit_read(c->h.lake, &at, &x, &err));
		at = x.parents[0];
	}
}

static void check_reset(const struct connector *c, const struct rollback_plan *plan)
{
	struct lake_id x = {{0}};

	if (!lake_id_is_none(&plan->show))
		x = model_publication(c, &plan->shown.id, &plan->show);
	if (!lake_id_equal(&x, &plan->reset_shows))
		fail_msg("another publication than by looking at each");
}

static void do_rollback(struct connector *c, struct rng *r)
{
	struct model *m = &c->m;
	bool undo = rng_below(r, 3) == 0;
	bool target_only = !undo && rng_below(r, 4) == 0;
	int rollback = model_undo(m);
	int to = undo ? rollback : (int)rng_below(r, (uint64_t)m->n), show;
	char hex[LAKE_ID_HEX_BYTES];
	const char *name = hex;
	struct position skip = {.topic = (char *)"t"};
	struct rollback_request request = {
		.to = &name,
		.n_to = !undo,
		.undo = undo,
		.target_only = target_only,
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
	if (!undo && !target_only && rng_below(r, 4) == 0) {
		skip.offset = m->states[to].next + (int64_t)rng_below(r, 9);
		request.skip = &skip;
		request.n_skip = 1;
	}
	show = undo ? m->states[rollback].undo_shown : model_show(m, to);
	to = undo ? m->states[rollback].undo_head : to;
	lake_id_hex(&m->states[to].id, hex);
	st = rollback_plan_make(&c->h.line, &request, &plan, &why);
	/* a reset may not drop what is the other connector's */
	if (st == ST_USAGE && request.mode == ROLLBACK_RESET)
		return;
	if (st != ST_OK)
		fail_msg("plan: %s: %s", status_name(st), why.text);
	if (request.mode == ROLLBACK_RESET)
		check_reset(c, &plan);
	MUST(rollback_apply(&c->h.line, &plan, &result, &err));
	rollback_plan_release(&plan);
	m->by_hand = false;
	if (target_only) {
		assert_true(lake_id_equal(&result.ingest, &m->states[m->head].id));
		m->shown = show;
		return;
	}
	s = add_state(m, to);
	s->id = result.ingest;
	s->rollback = true;
	s->undo_head = m->head;
	s->undo_shown = m->shown;
	if (request.n_skip)
		s->next = skip.offset;
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
		c[i].h.file_bytes = on_disk ? FILE_BYTES : 0;
		c[i].other = &c[!i];
		c[i].rng = &r;
		c[i].m.states[0] = (struct state){.id = c[i].h.ingest.head.id, .previous = -1};
	}
	for (int i = 0; i < OPERATIONS; i++) {
		struct connector *one = &c[rng_below(&r, 3) == 0];
		uint64_t what = rng_below(&r, 14);

		one->other->meanwhile = false;
		one->meanwhile = rng_below(&r, 4) == 0;
		if (what < 5)
			do_checkpoint(one, &r);
		else if (what < 9)
			do_publish(one, &r);
		else if (what < 12)
			do_rollback(one, &r);
		else if (what == 12)
			do_drop(one, &r);
		else if (rng_below(&r, 2))
			do_by_hand(one, &r);
		else
			do_accept(one);
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
	(void)state;
	seed_now = first_seed;
	while (seed_now < first_seed + sequences) {
		AUTO(tempdir_remove) char *dir = tempdir_new();
		struct lake *lake = open_lake(dir);

		for (int i = 0; i < TOGETHER && seed_now < first_seed + sequences; i++, seed_now++)
			run(lake, seed_now);
		lake_close(lake);
	}
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

/* This program once more, beside this one. */
static pid_t start_other(const char *program, unsigned count, uint64_t seed, const char *where)
{
	AUTO(freep) char *n = xasprintf("%u", count);
	AUTO(freep) char *from = xasprintf("%" PRIu64, seed);
	char *const args[] = {(char *)(uintptr_t)program, n, from, (char *)(uintptr_t)where, NULL};
	pid_t pid;

	fflush(NULL);
	if (posix_spawn(&pid, program, NULL, NULL, args, environ) != 0)
		abort();
	return pid;
}

static int ended_badly(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status != 0;
}

static int run_group(const struct CMUnitTest *tests, size_t n)
{
	int failed = _cmocka_run_group_tests("rollback", tests, n, NULL, NULL);

	if (failed)
		printf("again: test_rollback 1 %" PRIu64 "%s\n", seed_now, on_disk ? " disk" : "");
	return failed;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(holds_for_random_sequences),
		cmocka_unit_test(expired_data_refuse_an_undo),
	};
	pid_t half, disk;
	int failed;

	on_disk = argc > 3 && strcmp(argv[3], "disk") == 0;
	/* nothing here dies: the disk would only be slow */
	if (!on_disk && access("/dev/shm", W_OK) == 0)
		setenv("TIDEMARK_TEST_DIR", "/dev/shm", 0);
	if (argc > 1) {
		sequences = (unsigned)strtoul(argv[1], NULL, 10);
		if (argc > 2)
			first_seed = strtoull(argv[2], NULL, 10);
		return run_group(tests, 1);
	}
	sequences = SEQUENCES / 2;
	half = start_other(argv[0], SEQUENCES / 2, 1 + SEQUENCES / 2, "memory");
	failed = run_group(tests, ARRAY_SIZE(tests));
	failed += ended_badly(half);
	unsetenv("TIDEMARK_TEST_DIR");
	disk = start_other(argv[0], ON_DISK, 1 + SEQUENCES, "disk");
	return failed + ended_badly(disk);
}
