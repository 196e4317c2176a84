/* What is taken out of a line, or never read, is recorded with its reason, and `find` says
 * so; and an answer that is lost is looked for, never guessed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connector/history/cut.h"
#include "connector/history/find.h"
#include "connector/history/publish.h"
#include "tests/lib/history_steps.h"
#include "tests/lib/lake_steps.h"
#include "tests/lib/lost_answer.h"
#include "tests/lib/must.h"

/* ---- steps ---- */

/* Four checkpoints of ten rows each in partition 0, ids in ids. */
static void start(struct history *h, const char *name, struct lake_id ids[4])
{
	history_start(h, group_lake, name, 2);
	for (int i = 0; i < 4; i++) {
		history_commit(h, &h->ingest, 0, 10 * i, 10 * (i + 1));
		ids[i] = h->ingest.head.id;
	}
}

static void publish_now(const struct history *h)
{
	static const struct publish_request newest = {.judge = NULL};
	AUTO(publish_result_release) struct publish_result result = {.checkpoints = 0};

	MUST(publish(&h->line, &newest, &result, &err));
}

static void roll_back(const struct history *h, const struct rollback_request *request)
{
	AUTO(rollback_plan_release) struct rollback_plan plan = {0};
	struct rollback_result result;

	MUST(rollback_plan_make(&h->line, request, &plan, &err));
	MUST(rollback_apply(&h->line, &plan, &result, &err));
}

static void plan_drop(const struct history *h, const struct lake_id *id, const char *reason,
		      struct cut_plan *out)
{
	char hex[LAKE_ID_HEX_BYTES];

	lake_id_hex(id, hex);
	MUST(cut_plan_drop(&h->line, hex, hex, reason, out, &err));
}

static enum status find_at(const struct history *h, int partition, int64_t offset,
			   struct found *out, struct err *err)
{
	AUTO(position_release) struct position p = {xstrdup("t"), partition, offset};

	return find_record(&h->line, &p, out, err);
}

static void finds(const struct history *h, int64_t offset, bool shown)
{
	AUTO(found_release) struct found f = {.path = NULL};

	MUST(find_at(h, 0, offset, &f, &err));
	assert_non_null(f.path);
	assert_int_equal(f.row, offset % 10);
	assert_int_equal(!lake_id_is_none(&f.published), shown);
}

/* The error has all of these. */
static void says_where(const struct history *h, int partition, int64_t offset, const char *a,
		       const char *b, const char *c)
{
	AUTO(found_release) struct found f = {.path = NULL};
	struct err err = ERR_INIT;

	assert_int_equal(find_at(h, partition, offset, &f, &err), ST_NOT_FOUND);
	if (!strstr(err.text, a) || !strstr(err.text, b) || !strstr(err.text, c))
		fail_msg("%s: does not say '%s', '%s' and '%s'", err.text, a, b, c);
}

/* ---- what find says ---- */

static void find_says_what_was_dropped(void **state)
{
	AUTO(history_release) struct history h;
	AUTO(cut_plan_release) struct cut_plan plan = {.records = 0};
	const struct rollback_request undo = {.undo = true, .ask = history_ask};
	struct lake_id ids[4], cut;
	char read_by[LAKE_ID_SHORT_BYTES], cut_by[LAKE_ID_SHORT_BYTES];

	(void)state;
	start(&h, "dropped", ids);
	publish_now(&h);
	finds(&h, 13, true);
	plan_drop(&h, &ids[1], "TICKET-9", &plan);
	assert_int_equal(plan.records, 10);
	MUST(cut_apply(&h.line, &plan, &cut, &err));
	MUST(ingest_refresh(&h.ingest, &err));
	lake_id_short(&ids[1], read_by);
	lake_id_short(&cut, cut_by);
	says_where(&h, 0, 13, read_by, cut_by, "TICKET-9 (drop); the target shows it until");
	/* also when the line went on */
	history_commit(&h, &h.ingest, 0, 40, 50);
	publish_now(&h);
	says_where(&h, 0, 10, read_by, cut_by, "TICKET-9 (drop)");
	says_where(&h, 0, 19, read_by, cut_by, "(drop)");
	finds(&h, 9, true);
	finds(&h, 20, true);
	finds(&h, 40, true);
	roll_back(&h, &undo);
	finds(&h, 13, true);
}

static void find_says_what_was_accepted(void **state)
{
	AUTO(history_release) struct history h;
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	AUTO(cut_plan_release) struct cut_plan plan = {.records = 0};
	AUTO(freep) char *gone = history_path(0, 10);
	AUTO(freep) char *other = history_path(0, 20);
	struct lake_id ids[4], head, made;

	(void)state;
	start(&h, "accepted", ids);
	publish_now(&h);
	head = head_of(group_lake, h.target);
	MUST(lake_txn_begin(group_lake, &head, &txn, &err));
	MUST(lake_txn_remove(txn, gone, &err));
	MUST(lake_txn_put_bytes(txn, other, "x", 1, NULL, NULL, &err));
	MUST(lake_txn_commit(txn, h.target, &head, "by hand", &made, &err));
	MUST(cut_plan_accept(&h.line, &plan, &err));
	MUST(cut_apply(&h.line, &plan, &made, &err));
	says_where(&h, 0, 15, "taken out by", "changed on the target by hand", "(accept-target)");
	says_where(&h, 0, 25, "taken out by", "changed on the target by hand", "(accept-target)");
	finds(&h, 5, true);
}

static void find_says_what_was_skipped(void **state)
{
	AUTO(history_release) struct history h;
	AUTO(lake_commit_release) struct lake_commit commit = {0};
	struct position skips[] = {{(char *)"t", 0, 30}, {(char *)"t", 1, 7}};
	struct rollback_request request = {
		.n_to = 1,
		.skip = skips,
		.n_skip = 2,
		.reason = "poison since Tuesday",
		.ask = history_ask,
	};
	char hex[LAKE_ID_HEX_BYTES], r[LAKE_ID_SHORT_BYTES];
	const char *to = hex, *lost;
	struct lake_id ids[4], head;

	(void)state;
	start(&h, "skipped", ids);
	lake_id_hex(&ids[1], hex);
	request.to = &to;
	roll_back(&h, &request);
	head = head_of(group_lake, h.branch);
	/* each partition, with the reason, in the rollback's own commit */
	MUST(lake_commit_read(group_lake, &head, &commit, &err));
	lost = lake_meta_get(&commit.meta, META_LOST);
	assert_non_null(lost);
	assert_non_null(strstr(lost, "[20,30]"));
	assert_non_null(strstr(lost, "[0,7]"));
	assert_non_null(strstr(strstr(lost, "poison since Tuesday") + 1, "poison since Tuesday"));
	MUST(ingest_refresh(&h.ingest, &err));
	history_commit(&h, &h.ingest, 0, 30, 50);
	lake_id_short(&head, r);
	says_where(&h, 0, 20, "poison since Tuesday (skip-to)", r, "was not read");
	says_where(&h, 0, 29, "poison since Tuesday (skip-to)", r, "was not read");
	says_where(&h, 1, 6, "poison since Tuesday (skip-to)", r, "was not read");
	says_where(&h, 1, 7, "is not in the lake yet", "", "");
	finds(&h, 19, false);
}

/* ---- an answer that is lost ---- */

static void go_on(void *ctx)
{
	struct history *h = ctx;

	MUST(ingest_refresh(&h->ingest, &err));
	history_commit(h, &h->ingest, 1, 0, 5);
	publish_now(h);
}

static void an_unknown_cut_is_looked_for(void **state)
{
	(void)state;
	for (enum fate what = 0; what <= IT_HAPPENED_AND_MORE; what++) {
		AUTO(freep) char *name = xasprintf("cut%d", (int)what);
		AUTO(history_release) struct history h;
		AUTO(cut_plan_release) struct cut_plan plan = {.records = 0};
		AUTO(checkpoint_release) struct checkpoint cp = {0};
		struct lake_id ids[4], made = {{0}}, head;
		enum status st;

		start(&h, name, ids);
		plan_drop(&h, &ids[2], NULL, &plan);
		lose_an_answer(group_lake, what, go_on, &h);
		st = cut_apply(&h.line, &plan, &made, NULL);
		answers_again(group_lake);
		head = head_of(group_lake, h.branch);
		if (what == IT_DID_NOT) {
			assert_int_equal(st, ST_CONFLICT);
			assert_true(lake_id_equal(&head, &ids[3]));
			continue;
		}
		assert_int_equal(st, ST_OK);
		MUST(checkpoint_read(group_lake, &made, &cp, &err));
		assert_true(lake_id_equal(&cp.previous, &ids[3]));
		assert_int_equal(lake_id_equal(&head, &made), what == IT_HAPPENED);
		says_where(&h, 0, 25, "taken out by", "(drop)", "");
	}
}

static void an_unknown_publish_is_looked_for(void **state)
{
	(void)state;
	for (enum fate what = 0; what <= IT_HAPPENED_AND_MORE; what++) {
		AUTO(freep) char *name = xasprintf("publish%d", (int)what);
		AUTO(history_release) struct history h;
		AUTO(publish_result_release) struct publish_result result = {.checkpoints = 0};
		static const struct publish_request newest = {.judge = NULL};
		struct lake_id ids[4];
		struct shown shown;

		start(&h, name, ids);
		lose_an_answer(group_lake, what, go_on, &h);
		MUST(publish(&h.line, &newest, &result, &err));
		answers_again(group_lake);
		assert_true(lake_id_equal(&result.checkpoint, &ids[3]));
		MUST(shown_read(&h.line, &shown, &err));
		assert_int_equal(shown.sequence, what == IT_HAPPENED_AND_MORE ? 2 : 1);
		finds(&h, 35, true);
	}
}

static void an_unknown_rollback_is_looked_for(void **state)
{
	(void)state;
	for (enum fate what = 0; what <= IT_HAPPENED_AND_MORE; what++) {
		AUTO(freep) char *name = xasprintf("rollback%d", (int)what);
		AUTO(history_release) struct history h;
		AUTO(rollback_plan_release) struct rollback_plan plan = {0};
		char hex[LAKE_ID_HEX_BYTES];
		const char *to = hex;
		const struct rollback_request request = {.to = &to, .n_to = 1, .ask = history_ask};
		struct rollback_result result;
		struct lake_id ids[4], head;
		enum status st;

		start(&h, name, ids);
		publish_now(&h);
		lake_id_hex(&ids[0], hex);
		MUST(rollback_plan_make(&h.line, &request, &plan, &err));
		lose_an_answer(group_lake, what, go_on, &h);
		st = rollback_apply(&h.line, &plan, &result, NULL);
		answers_again(group_lake);
		head = head_of(group_lake, h.branch);
		if (what == IT_DID_NOT) {
			assert_int_equal(st, ST_CONFLICT);
			assert_true(lake_id_equal(&head, &ids[3]));
			continue;
		}
		assert_int_equal(st, ST_OK);
		assert_int_equal(lake_id_equal(&head, &result.ingest), what == IT_HAPPENED);
		says_where(&h, 0, 15, "is not in the lake yet", "", "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(find_says_what_was_dropped),
		cmocka_unit_test(find_says_what_was_accepted),
		cmocka_unit_test(find_says_what_was_skipped),
		cmocka_unit_test(an_unknown_cut_is_looked_for),
		cmocka_unit_test(an_unknown_publish_is_looked_for),
		cmocka_unit_test(an_unknown_rollback_is_looked_for),
	};

	return cmocka_run_group_tests(tests, group_lake_open, group_lake_close);
}
