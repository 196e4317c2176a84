/* Offsets as documents, the names of checkpoints, and commits on a head that
 * moved. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connector/history/publish.h"
#include "connector/history/file_rows.h"
#include "connector/history/find.h"
#include "connector/writer/offset_runs.h"
#include "tests/lib/history_steps.h"
#include "tests/lib/lake_steps.h"
#include "tests/lib/lost_answer.h"
#include "tests/lib/must.h"
#include "tests/lib/oracle_runs.h"

/* ---- documents ---- */

static void test_offsets(void **state)
{
	struct rng r = rng_seeded(1);

	(void)state;
	for (int i = 0; i < 300; i++) {
		AUTO(offsets_release) struct offsets a = OFFSETS_INIT;
		AUTO(offsets_release) struct offsets b = OFFSETS_INIT;
		AUTO(buf_release) struct buf text = BUF_INIT;
		AUTO(buf_release) struct buf again = BUF_INIT;

		for (uint64_t n = rng_below(&r, 40); n > 0; n--) {
			AUTO(freep) char *topic = xasprintf("t.%c", 'a' + (int)rng_below(&r, 4));

			offsets_set(&a, topic, (int32_t)rng_below(&r, 12),
				    (int64_t)(rng_next(&r) >> (1 + rng_below(&r, 60))));
		}
		offsets_to_json(&a, &text);
		MUST(offsets_from_json(buf_str(&text), &b, &err));
		assert_true(offsets_equal(&a, &b));
		for (size_t j = 1; j < b.n; j++)
			assert_true(strcmp(b.items[j - 1].topic, b.items[j].topic) < 0 ||
				    b.items[j - 1].partition < b.items[j].partition);
		offsets_to_json(&b, &again);
		assert_string_equal(buf_str(&text), buf_str(&again));
		offsets_remove_topic(&b, "t.a");
		assert_int_equal(offsets_get(&b, "t.a", 0), -1);
		for (size_t j = 0; j < b.n; j++)
			assert_int_equal(offsets_get(&a, b.items[j].topic, b.items[j].partition),
					 b.items[j].value);
	}
}

static void test_damaged_documents(void **state)
{
	static const char *const offsets[] = {"",
					      "[]",
					      "{",
					      "7",
					      "{\"t\":1}",
					      "{\"t\":{\"x\":1}}",
					      "{\"t\":{\"0\":\"1\"}}",
					      "{\"t\":{\"0\":1.5}}",
					      "{\"t\":{\"-1\":1}}",
					      "{\"t\":{\"0x1\":1}}"};
	static const char *const ranges[] = {"",
					     "[]",
					     "{\"t\":{\"0\":1}}",
					     "{\"t\":{\"0\":[1]}}",
					     "{\"t\":{\"0\":[1,\"2\"]}}",
					     "{\"t\":[1,2]}"};
	static const char *const losses[] = {"", "{}", "[1]", "[{\"topic\":\"t\"}]",
					     "[{\"topic\":\"t\",\"partition\":0,\"range\":[1]}]"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
		AUTO(offsets_release) struct offsets o = OFFSETS_INIT;

		if (offsets_from_json(offsets[i], &o, NULL) != ST_DAMAGED)
			fail_msg("taken for offsets: %s", offsets[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		AUTO(ranges_release) struct ranges r = {0};

		if (ranges_from_json(ranges[i], &r, NULL) != ST_DAMAGED)
			fail_msg("taken for ranges: %s", ranges[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(losses); i++) {
		AUTO(losses_release) struct losses l = {0};

		if (losses_from_json(losses[i], &l, NULL) != ST_DAMAGED)
			fail_msg("taken for losses: %s", losses[i]);
	}
}

static void test_ranges_and_losses(void **state)
{
	AUTO(ranges_release) struct ranges a = {0};
	AUTO(ranges_release) struct ranges b = {0};
	AUTO(losses_release) struct losses l = {0};
	AUTO(losses_release) struct losses m = {0};
	AUTO(buf_release) struct buf text = BUF_INIT;

	(void)state;
	ranges_add(&a, "orders", 1, 998, 1200);
	ranges_add(&a, "orders", 0, 0, 7);
	ranges_to_json(&a, &text);
	MUST(ranges_from_json(buf_str(&text), &b, &err));
	assert_int_equal(b.n, 2);
	assert_int_equal(ranges_find(&b, "orders", 1)->from, 998);
	assert_int_equal(ranges_find(&b, "orders", 0)->to, 7);
	assert_null(ranges_find(&b, "orders", 2));
	buf_clear(&text);
	losses_add(&l, "orders", 3, 5, 9, "skip-to", "a \"reason\"\n");
	losses_add(&l, "orders", 3, 9, -1, "p", "r");
	losses_to_json(&l, &text);
	MUST(losses_from_json(buf_str(&text), &m, &err));
	assert_int_equal(m.n, 2);
	assert_string_equal(m.items[0].reason, "a \"reason\"\n");
	assert_string_equal(m.items[0].policy, "skip-to");
	assert_int_equal(m.items[0].from, 5);
	assert_int_equal(m.items[1].to, -1);
}

/* The span of a file that begins at the name's offset. */
static const char *one_span(void *ctx, const struct file_name *name, int64_t from, int64_t to)
{
	assert_ptr_equal(ctx, name);
	assert_int_equal(from, name->first_offset);
	assert_true(to >= from);
	return NULL;
}

static void test_runs(void **state)
{
	static const char runs[] = "1000-1040,1042,1044-1199";
	uint64_t row = 0, rows = 0;

	(void)state;
	for (int64_t i = 990; i < 1210; i++) {
		bool there = i >= 1000 && i < 1200 && i != 1041 && i != 1043;

		assert_int_equal(offset_runs_find(runs, i, &row), there);
		if (there)
			assert_int_equal(row, rows++);
	}
	assert_false(offset_runs_find("", 0, &row));
	assert_false(offset_runs_find(NULL, 0, &row));
}

/* A text of many runs is compact; an oracle of its own reads the same from it, and
 * every row is found. Rows may stand in any order. */
static void test_compact_runs(void **state)
{
	AUTO(offset_runs_release) struct offset_runs runs = OFFSET_RUNS_INIT;
	AUTO(oracle_runs_release) struct oracle_runs back = {.n = 0};
	AUTO(buf_release) struct buf text = BUF_INIT;
	static int64_t order[5000];
	struct file_name name = {.first_offset = 100};
	uint64_t row, rows = 0;
	size_t at = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) /* 7 and 5,000 share no factor */
		order[i] = 100 + (int64_t)(i * 7 % ARRAY_SIZE(order));
	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		offset_runs_add(&runs, order[i]);
	offset_runs_text(&runs, &text);
	assert_true(strncmp(text.data, "zstd:", 5) == 0);
	assert_true(text.len < 600);
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		assert_true(offset_runs_find(text.data, order[i], &row));
		assert_int_equal(row, i);
	}
	assert_false(offset_runs_find(text.data, 99, &row));
	assert_true(oracle_runs_parse(text.data, &back));
	for (size_t i = 0; i < back.n; i++)
		for (int64_t o = back.items[i].from; o <= back.items[i].to; o++)
			assert_int_equal(o, order[at++]);
	assert_int_equal(at, ARRAY_SIZE(order));
	/* Ascending, and in one piece. */
	assert_null(file_runs_read(text.data, &name, &rows, one_span, &name));
	assert_int_equal(rows, ARRAY_SIZE(order));
}

/* Texts that are none are seen as such. */
static void test_bad_runs(void **state)
{
	static const char *const bad[] = {
		"",          "-1",          "5-3", "1,",    "1-",
		"x",         "1,,2",        "1;2", "zstd:", "zstd:AA",
		"zstd:AAAA", "zstd:KLUv/S", "1 2", "+1",    "99999999999999999999",
	};
	static const char *const twice[] = {"3,3", "1-5,2", "4,1,4", "5-9,1-5"};
	struct file_name name = {.first_offset = 1};
	uint64_t rows;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_string_equal(file_runs_read(bad[i], &name, &rows, one_span, &name),
				    "its offsets cannot be read");
	for (size_t i = 0; i < ARRAY_SIZE(twice); i++)
		assert_string_equal(file_runs_read(twice[i], &name, &rows, one_span, &name),
				    "it has an offset twice");
}

static void test_positions(void **state)
{
	static const char *const bad[] = {
		"t",      "t:0",  ":0:1",   "t:0:",           "t:x:1",
		"t:0:-1", "t::1", "t:0:1x", "t:9999999999:1", "t:0:latest"};
	AUTO(position_release) struct position p = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(position_parse(bad[i], false, &p));
	assert_true(position_parse("a:b:2:17", false, &p)); /* the last two count */
	assert_string_equal(p.topic, "a:b");
	assert_int_equal(p.partition, 2);
	assert_int_equal(p.offset, 17);
	position_release(&p);
	assert_true(position_parse("t:0:latest", true, &p));
	assert_int_equal(p.offset, -1);
}

/* ---- the names of checkpoints ---- */

static struct lake_id resolved(const struct history *h, const char *text)
{
	AUTO(checkpoint_release) struct checkpoint cp = {0};

	MUST(target_resolve(&h->line, &h->ingest.head, text, &cp, &err));
	return cp.id;
}

#define assert_same_id(a, b)                                                                       \
	do {                                                                                       \
		struct lake_id x_ = (a), y_ = (b);                                                 \
		assert_memory_equal(&x_, &y_, sizeof(x_));                                         \
	} while (0)

static void test_targets(void **state)
{
	AUTO(history_release) struct history h;
	AUTO(checkpoint_release) struct checkpoint cp = {0};
	struct lake_id ids[6];
	static const struct publish_request newest = {.judge = NULL};
	struct publish_result shown;
	char text[TIME_TEXT_BYTES], hex[LAKE_ID_HEX_BYTES];

	(void)state;
	history_start(&h, group_lake, "targets", 2);
	ids[0] = h.ingest.head.id;
	for (int i = 1; i < 6; i++) { /* partition 1 moves at the third alone */
		if (i == 3)
			history_commit(&h, &h.ingest, 1, 0, 10);
		else
			history_commit(&h, &h.ingest, 0, 10 * (i - 1 - (i > 3)),
				       10 * (i - (i > 3)));
		ids[i] = h.ingest.head.id;
		if (i == 2)
			MUST(publish(&h.line, &newest, &shown, &err));
	}
	assert_same_id(resolved(&h, "t:0:0"), ids[0]);
	assert_same_id(resolved(&h, "t:0:9"), ids[0]);
	assert_same_id(resolved(&h, "t:0:10"), ids[1]);
	assert_same_id(resolved(&h, "t:0:29"), ids[2]); /* the oldest with 20 */
	assert_same_id(resolved(&h, "t:0:30"), ids[4]);
	assert_same_id(resolved(&h, "t:0:999"), ids[5]);
	assert_same_id(resolved(&h, "t:1:9"), ids[0]);
	assert_same_id(resolved(&h, "t:1:10"), ids[3]);
	MUST_BE(ST_NOT_FOUND, target_resolve(&h.line, &h.ingest.head, "t:7:1", &cp, &err));
	assert_same_id(resolved(&h, "main-targets"), ids[2]);
	assert_same_id(resolved(&h, "published-targets"), ids[2]);
	assert_same_id(resolved(&h, "ingest-targets~2"), ids[3]);
	lake_id_hex(&ids[1], hex);
	assert_same_id(resolved(&h, hex), ids[1]);
	MUST_BE(ST_NOT_FOUND, target_resolve(&h.line, &h.ingest.head, "main", &cp, &err));
	/* records of offset o are stamped 1000 * o ms */
	assert_same_id(resolved(&h, "record:1970-01-01T00:00:09.001Z"), ids[1]);
	assert_same_id(resolved(&h, "record:1970-01-01T00:00:09.000Z"), ids[0]);
	assert_same_id(resolved(&h, "record:2100-01-01"), ids[5]);
	MUST_BE(ST_USAGE, target_resolve(&h.line, &h.ingest.head, "record:soon", &cp, &err));
	MUST(checkpoint_read(group_lake, &ids[2], &cp, &err));
	time_format(cp.time_ms, text);
	assert_same_id(resolved(&h, text), ids[2]);
	time_format(cp.time_ms - 1, text);
	assert_same_id(resolved(&h, text), ids[1]);
	checkpoint_release(&cp);
	MUST_BE(ST_NOT_FOUND, target_resolve(&h.line, &h.ingest.head, "1999-01-01", &cp, &err));
}

/* ---- commits on a head that moved ---- */

static void test_rival_elsewhere(void **state)
{
	AUTO(history_release) struct history h;
	AUTO(ingest_close) struct ingest rival;
	AUTO(batch_release) struct batch b = BATCH_INIT;
	AUTO(lake_commit_release) struct lake_commit commit = {0};
	AUTO(freep) char *own = history_path(0, 0);
	AUTO(freep) char *others = history_path(1, 0);
	struct lake_id rivals;

	(void)state;
	history_start(&h, group_lake, "elsewhere", 2);
	history_join(&rival, &h);
	history_batch(&h, &b, 0, 0, 5);
	history_commit(&h, &rival, 1, 0, 7);
	rivals = rival.head.id;
	MUST(ingest_commit(&h.ingest, &b, &err));
	assert_same_id(h.ingest.head.previous, rivals);
	assert_string_equal(h.ingest.head.batch, b.id);
	assert_int_equal(offsets_get(&h.ingest.head.offsets, "t", 0), 5);
	assert_int_equal(offsets_get(&h.ingest.head.offsets, "t", 1), 7);
	assert_content(group_lake, h.branch, own, "0:0-5", 5);
	assert_content(group_lake, h.branch, others, "1:0-7", 5);
	MUST(lake_commit_read(group_lake, &h.ingest.head.id, &commit, &err));
	assert_string_equal(lake_meta_get(&commit.meta, META_RANGES), "{\"t\":{\"0\":[0,5]}}");
}

static void must_conflict(struct history *h, struct batch *b)
{
	struct lake_id before = head_of(group_lake, h->branch), after;

	MUST_BE(ST_CONFLICT, ingest_commit(&h->ingest, b, &err));
	after = head_of(group_lake, h->branch);
	assert_same_id(before, after);
}

static void test_rival_in_the_way(void **state)
{
	AUTO(history_release) struct history h;
	AUTO(ingest_close) struct ingest rival;
	AUTO(batch_release) struct batch b = BATCH_INIT;

	(void)state;
	history_start(&h, group_lake, "way", 2);
	history_join(&rival, &h);
	history_batch(&h, &b, 0, 0, 5);
	history_commit(&h, &rival, 0, 0, 3);
	must_conflict(&h, &b);
}

static void roll_back(const struct history *h, const char *to)
{
	const struct rollback_request request = {.to = &to, .n_to = 1, .ask = history_ask};
	struct rollback_plan plan;
	struct rollback_result result;

	MUST(rollback_plan_make(&h->line, &request, &plan, &err));
	MUST(rollback_apply(&h->line, &plan, &result, &err));
	rollback_plan_release(&plan);
}

/* Its offsets are the same; the epoch alone says that it is another line. */
static void test_new_epoch(void **state)
{
	AUTO(history_release) struct history h;
	AUTO(batch_release) struct batch b = BATCH_INIT;

	(void)state;
	history_start(&h, group_lake, "epoch", 1);
	history_batch(&h, &b, 0, 0, 5);
	roll_back(&h, h.branch);
	must_conflict(&h, &b);
}

static void test_range_that_does_not_continue(void **state)
{
	AUTO(history_release) struct history h;
	struct lake_id before;

	(void)state;
	history_start(&h, group_lake, "range", 1);
	history_commit(&h, &h.ingest, 0, 0, 5);
	before = h.ingest.head.id;
	for (int64_t from = 3; from < 8; from++) {
		AUTO(batch_release) struct batch b = BATCH_INIT;

		history_batch(&h, &b, 0, from, 9);
		if (from == 5)
			continue;
		MUST_BE(ST_FAILED, ingest_commit(&h.ingest, &b, &err));
		assert_same_id(head_of(group_lake, h.branch), before);
	}
}

/* ---- an answer that is lost ---- */

static void test_unknown_outcome(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		AUTO(freep) char *name = xasprintf("unknown%d", i);
		AUTO(freep) char *path = history_path(0, 0);
		AUTO(history_release) struct history h;
		AUTO(ingest_close) struct ingest rival;
		AUTO(batch_release) struct batch b = BATCH_INIT;
		struct lake_id start;

		history_start(&h, group_lake, name, 2);
		history_join(&rival, &h);
		start = h.ingest.head.id;
		history_batch(&h, &b, 0, 0, 5);
		if (i == 2) /* and the head has moved as well */
			history_commit(&h, &rival, 1, 0, 1);
		lose_an_answer(group_lake, i == 0 ? IT_HAPPENED : IT_DID_NOT, NULL, NULL);
		MUST(ingest_commit(&h.ingest, &b, &err));
		answers_again(group_lake);
		assert_content(group_lake, h.branch, path, "0:0-5", 5);
		/* once, and not on top of itself */
		assert_same_id(h.ingest.head.previous, i < 2 ? start : rival.head.id);
		assert_same_id(head_of(group_lake, h.branch), h.ingest.head.id);
	}
}

static void commit_more(void *ctx)
{
	struct history *h = ctx;
	AUTO(ingest_close) struct ingest in;

	history_join(&in, h);
	history_commit(h, &in, 1, 0, 5);
}

static void test_unknown_adjustment(void **state)
{
	(void)state;
	for (enum fate what = 0; what < IT_HAPPENS_LATE; what++) {
		AUTO(freep) char *name = xasprintf("adjust%d", (int)what);
		AUTO(history_release) struct history h;
		AUTO(checkpoint_release) struct checkpoint to = {0};
		const struct losses none = {0};
		struct lake_id before;
		enum status st;

		history_start(&h, group_lake, name, 2);
		before = h.ingest.head.id;
		checkpoint_copy(&to, &h.ingest.head);
		offsets_set(&to.offsets, "t", 2, 0);
		lose_an_answer(group_lake, what, commit_more, &h);
		st = ingest_adjust(&h.ingest, &to, &none, "new partitions", NULL);
		answers_again(group_lake);
		/* what it goes on from is the head, whatever became of it */
		assert_same_id(h.ingest.head.id, head_of(group_lake, h.branch));
		if (what == IT_DID_NOT || what == ANOTHER_HAPPENED) {
			assert_int_equal(st, ST_CONFLICT);
			assert_int_equal(offsets_get(&h.ingest.head.offsets, "t", 2), -1);
			assert_int_equal(lake_id_equal(&h.ingest.head.id, &before),
					 what == IT_DID_NOT);
			continue;
		}
		assert_int_equal(st, ST_OK);
		assert_int_equal(offsets_get(&h.ingest.head.offsets, "t", 2), 0);
		assert_int_equal(lake_id_equal(&h.ingest.head.previous, &before),
				 what == IT_HAPPENED);
	}
}

struct another {
	struct ingest_options options;
	const struct checkpoint *start;
	struct lake_id head;
};

/* Another worker is first. */
static void start_more(void *ctx)
{
	struct another *a = ctx;
	AUTO(ingest_close) struct ingest in;

	MUST(ingest_start(&in, &a->options, a->start, &err));
	a->head = in.head.id;
}

/* Or comes behind. */
static void adjust_more(void *ctx)
{
	struct another *a = ctx;
	AUTO(ingest_close) struct ingest in;
	AUTO(checkpoint_release) struct checkpoint to = {0};
	const struct losses none = {0};

	MUST(ingest_open(&in, &a->options, &err));
	checkpoint_copy(&to, &in.head);
	offsets_set(&to.offsets, "t", 1, 0);
	MUST(ingest_adjust(&in, &to, &none, "more", &err));
	a->head = in.head.id;
}

static void test_unknown_start(void **state)
{
	AUTO(history_release) struct history h;

	(void)state;
	history_start(&h, group_lake, "known", 1);
	for (enum fate what = 0; what < FATES; what++) {
		AUTO(freep) char *name = xasprintf("start%d", (int)what);
		AUTO(freep) char *branch = xasprintf("ingest-%s", name);
		AUTO(freep) char *published = xasprintf("published-%s", name);
		AUTO(checkpoint_release) struct checkpoint start = {0};
		struct another another = {.options = h.options, .start = &start};
		struct ingest in;
		enum status st;

		another.options.connector = name;
		another.options.branch = branch;
		another.options.published = published;
		start.cluster = xstrdup("cluster");
		offsets_set(&start.offsets, "t", 0, 0);
		topic_states_set(&start.topics, "t", "id", 0);
		lose_an_answer(group_lake, what,
			       what == ANOTHER_HAPPENED ? start_more : adjust_more, &another);
		st = ingest_start(&in, &another.options, &start, NULL);
		answers_again(group_lake);
		if (what == ANOTHER_HAPPENED) {
			assert_int_equal(st, ST_CONFLICT);
			assert_same_id(head_of(group_lake, branch), another.head);
			continue;
		}
		assert_int_equal(st, ST_OK);
		assert_same_id(head_of(group_lake, branch), in.head.id);
		/* made once: what came behind is all that there is beside it */
		assert_int_equal(in.head.sequence, what == IT_HAPPENED_AND_MORE ? 2 : 1);
		ingest_close(&in);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_offsets),
		cmocka_unit_test(test_damaged_documents),
		cmocka_unit_test(test_ranges_and_losses),
		cmocka_unit_test(test_runs),
		cmocka_unit_test(test_compact_runs),
		cmocka_unit_test(test_bad_runs),
		cmocka_unit_test(test_positions),
		cmocka_unit_test(test_targets),
		cmocka_unit_test(test_rival_elsewhere),
		cmocka_unit_test(test_rival_in_the_way),
		cmocka_unit_test(test_new_epoch),
		cmocka_unit_test(test_range_that_does_not_continue),
		cmocka_unit_test(test_unknown_outcome),
		cmocka_unit_test(test_unknown_adjustment),
		cmocka_unit_test(test_unknown_start),
	};

	return cmocka_run_group_tests(tests, group_lake_open, group_lake_close);
}
