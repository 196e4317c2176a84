/* The check of connectors' histories, against one fault of each kind: found and
 * named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connector/history/publication.h"
#include "connector/history/verify.h"
#include "tests/lib/history_steps.h"
#include "tests/lib/lake_steps.h"
#include "tests/lib/must.h"
#include "tests/lib/tempdir.h"

/* ---- a checkpoint as it should be, until somebody changes it ---- */

struct draft {
	struct checkpoint cp;
	struct ranges ranges;
	struct losses lost;
	uint64_t records;
	char *path, *offsets, *rows; /* of its file; offsets NULL: it says none */
	void (*tamper)(struct lake_txn *txn, const struct draft *d); /* last; NULL */
};

static void replace(char **text, const char *by)
{
	free(*text);
	*text = by ? xstrdup(by) : NULL;
}

/* Ten records of partition 0, behind the head. */
static void draft_begin(struct draft *d, struct history *h)
{
	struct lake_id head = head_of(h->lake, h->branch);
	int64_t from;

	*d = (struct draft){.records = 10};
	MUST(checkpoint_read(h->lake, &head, &d->cp, &err));
	from = offsets_get(&d->cp.offsets, "t", 0);
	d->cp.previous = head;
	d->cp.sequence++;
	batch_id_new(&h->rng, d->cp.batch);
	offsets_set(&d->cp.offsets, "t", 0, from + 10);
	ranges_add(&d->ranges, "t", 0, from, from + 10);
	d->path = history_path(0, from);
	d->offsets = xasprintf("%" PRId64 "-%" PRId64, from, from + 9);
	d->rows = xstrdup("10");
}

static void put_file(struct lake_txn *txn, const char *path, const char *offsets, const char *rows)
{
	AUTO(lake_meta_release) struct lake_meta meta = LAKE_META_INIT;

	if (offsets)
		lake_meta_set(&meta, "tidemark.offsets", offsets);
	if (rows)
		lake_meta_set(&meta, "tidemark.records", rows);
	MUST(lake_txn_put_bytes(txn, path, path, strlen(path), "", &meta, &err));
}

static void draft_commit(struct draft *d, struct history *h)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	AUTO(buf_release) struct buf ranges = BUF_INIT;
	AUTO(buf_release) struct buf lost = BUF_INIT;
	struct lake_id head = head_of(h->lake, h->branch), id;
	char number[24];

	MUST(lake_txn_begin(h->lake, &head, &txn, &err));
	put_file(txn, d->path, d->offsets, d->rows);
	ranges_to_json(&d->ranges, &ranges);
	losses_to_json(&d->lost, &lost);
	MUST(checkpoint_put_document(txn, h->name, META_RANGES, &ranges, &err));
	if (d->lost.n)
		MUST(checkpoint_put_document(txn, h->name, META_LOST, &lost, &err));
	snprintf(number, sizeof(number), "%" PRIu64, d->records);
	lake_txn_set_meta(txn, META_RECORDS, number);
	lake_txn_set_meta(txn, META_DEADLETTERS, "0");
	MUST(checkpoint_put_state(txn, &d->cp, &err));
	if (d->tamper)
		d->tamper(txn, d);
	MUST(lake_txn_commit(txn, h->branch, &head, "test", &id, &err));
	checkpoint_release(&d->cp);
	ranges_release(&d->ranges);
	losses_release(&d->lost);
	free(d->path);
	free(d->offsets);
	free(d->rows);
}

static void commit_good(struct history *h)
{
	struct draft d;

	draft_begin(&d, h);
	draft_commit(&d, h);
}

/* ---- what is found ---- */

/* text NULL: nothing may be found. */
static void expect(struct lake *lake, const char *text, uint64_t checkpoints)
{
	struct lake_fsck_report report = {.n = 0};
	bool found = false;

	MUST(history_verify(NULL, lake, &report, &err));
	for (size_t i = 0; i < report.n; i++) {
		assert_true(report.items[i].damage);
		assert_string_equal(report.items[i].kind, "chain");
		assert_true(report.items[i].refs.n > 0 && report.items[i].commits.n > 0);
		found = found || (text && strstr(report.items[i].text, text));
	}
	if (!text && report.n)
		fail_msg("found where nothing is: %s", report.items[0].text);
	if (text && !found)
		fail_msg("'%s' is not found; the first of %zu is: %s", text, report.n,
			 report.n ? report.items[0].text : "");
	assert_int_equal(report.checkpoints, checkpoints);
	lake_fsck_report_release(&report);
}

/* ---- faults of a checkpoint ---- */

static void gap(struct draft *d)
{
	d->ranges.items[0].from++;
}

static void overlap(struct draft *d)
{
	d->ranges.items[0].from -= 3;
}

static void no_range(struct draft *d)
{
	ranges_release(&d->ranges);
	d->ranges = (struct ranges){.n = 0};
}

static void too_far(struct draft *d)
{
	offsets_set(&d->cp.offsets, "t", 0, offsets_get(&d->cp.offsets, "t", 0) + 1);
}

static void back(struct draft *d)
{
	offsets_set(&d->cp.offsets, "t", 0, 3);
}

static void range_that_stays(struct draft *d)
{
	ranges_add(&d->ranges, "t", 1, 0, 5);
}

static void loss_of_another_range(struct draft *d)
{
	offsets_set(&d->cp.offsets, "t", 1, 7);
	losses_add(&d->lost, "t", 1, 0, 6, "test", "because");
}

static void vanished(struct draft *d)
{
	int64_t at = offsets_get(&d->cp.offsets, "t", 0);

	offsets_remove_topic(&d->cp.offsets, "t");
	offsets_set(&d->cp.offsets, "t", 0, at);
}

static void older_epoch(struct draft *d)
{
	d->cp.epoch--;
}

static void same_sequence(struct draft *d)
{
	d->cp.sequence--;
}

static void another_connector(struct draft *d)
{
	replace(&d->cp.connector, "d");
}

static void says_other_offsets(struct lake_txn *txn, const struct draft *d)
{
	(void)d;
	lake_txn_set_meta(txn, META_OFFSETS, "{\"t\":{\"0\":21,\"1\":0}}");
}

static void cursor_differs(struct draft *d)
{
	d->tamper = says_other_offsets;
}

static void no_documents(struct lake_txn *txn, const struct draft *d)
{
	(void)d;
	lake_txn_set_meta(txn, META_RANGES, "{");
}

static void documents_broken(struct draft *d)
{
	d->tamper = no_documents;
}

static void continues_nothing(struct lake_txn *txn, const struct draft *d)
{
	char hex[LAKE_ID_HEX_BYTES];
	struct lake_id none;

	(void)d;
	memset(&none, 0xab, sizeof(none));
	lake_id_hex(&none, hex);
	lake_txn_set_meta(txn, META_PREVIOUS, hex);
}

static void previous_missing(struct draft *d)
{
	d->tamper = continues_nothing;
}

/* ---- and of its files ---- */

static void other_first_offset(struct draft *d)
{
	replace(&d->offsets, "11-19");
}

static void runs_go_back(struct draft *d)
{
	replace(&d->offsets, "10-14,12-19");
}

static void runs_unreadable(struct draft *d)
{
	replace(&d->offsets, "10-19,x");
}

static void outside_the_ranges(struct draft *d)
{
	replace(&d->offsets, "10-20");
}

static void other_rows(struct draft *d)
{
	replace(&d->rows, "9");
}

static void other_sum(struct draft *d)
{
	d->records = 11;
}

static void no_offsets(struct draft *d)
{
	replace(&d->offsets, NULL);
}

static void remove_older(struct lake_txn *txn, const struct draft *d)
{
	AUTO(freep) char *path = history_path(0, 0);

	(void)d;
	MUST(lake_txn_remove(txn, path, &err));
}

static void removes_a_file(struct draft *d)
{
	d->tamper = remove_older;
}

static void write_older(struct lake_txn *txn, const struct draft *d)
{
	AUTO(freep) char *path = history_path(0, 0);

	(void)d;
	put_file(txn, path, "0-8", "9");
}

static void changes_a_file(struct draft *d)
{
	d->tamper = write_older;
}

static void put_copy(struct lake_txn *txn, const struct draft *d)
{
	put_file(txn, "topics/t/copy/t+0+10", d->offsets, d->rows);
}

static void in_two_files(struct draft *d)
{
	d->records = 20;
	d->tamper = put_copy;
}

static const struct {
	void (*change)(struct draft *d);
	const char *text;
	uint64_t seen; /* checkpoints that are looked at; 4: also a good one behind it */
} faults[] = {
	{gap, "neither its range nor a recorded loss says so", 4},
	{overlap, "neither its range nor a recorded loss says so", 4},
	{no_range, "neither its range nor a recorded loss says so", 4},
	{too_far, "t:0 goes from 10 to 21", 4},
	{back, "t:0 goes from 10 to 3", 4},
	{range_that_stays, "t:1 has a range or a loss, and stays at 0", 4},
	{loss_of_another_range, "t:1 goes from 0 to 7", 4},
	{vanished, "t:1 has vanished", 4},
	{older_epoch, "its epoch or sequence goes back", 4},
	{same_sequence, "its epoch or sequence goes back", 4},
	{another_connector, "it continues a checkpoint of 'c'", 3},
	{cursor_differs, "its cursor says something else", 4},
	{documents_broken, "its documents cannot be read", 4},
	{previous_missing, "what it continues cannot be read", 0},
	{other_first_offset, "its first offset is not that of its name", 4},
	{runs_go_back, "it has an offset twice", 4},
	{runs_unreadable, "its offsets cannot be read", 4},
	{outside_the_ranges, "offsets outside its checkpoint's ranges", 4},
	{other_rows, "another number of rows than offsets", 4},
	{other_sum, "its files have 10 rows and 0 dead letters, and it says 11 and 0", 4},
	{no_offsets, "it is no file of records", 4},
	{removes_a_file, "a checkpoint changes or removes it", 4},
	{changes_a_file, "a checkpoint changes or removes it", 4},
	{in_two_files, "t:0:10 is in two files", 3},
};

/* Start, a good checkpoint under a new epoch, the faulty one, a good one; or the
 * faulty one is the head. */
static void finds_each_fault_of_a_checkpoint(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		AUTO(tempdir_remove) char *dir = tempdir_new();
		struct lake *lake = open_lake(dir);
		struct history h;
		struct draft d;

		history_start(&h, lake, "c", 2);
		draft_begin(&d, &h);
		d.cp.epoch++;
		draft_commit(&d, &h);
		expect(lake, NULL, 2);
		draft_begin(&d, &h);
		faults[i].change(&d);
		draft_commit(&d, &h);
		if (faults[i].seen == 4)
			commit_good(&h);
		expect(lake, faults[i].text, faults[i].seen);
		history_release(&h);
		lake_close(lake);
	}
}

/* What policies record is no fault: a range that was lost, a topic made anew. */
static void recorded_losses_are_no_fault(void **state)
{
	AUTO(tempdir_remove) char *dir = tempdir_new();
	struct lake *lake = open_lake(dir);
	struct history h;
	struct draft d;

	(void)state;
	history_start(&h, lake, "c", 2);
	commit_good(&h);
	draft_begin(&d, &h);
	offsets_set(&d.cp.offsets, "t", 1, 7);
	losses_add(&d.lost, "t", 1, 0, 7, "test", "because");
	draft_commit(&d, &h);
	expect(lake, NULL, 3);
	history_release(&h);
	lake_close(lake);
}

/* ---- publications ---- */

/* X(n) of the connector's head, as it should be. */
static struct lake_id publish_head(struct history *h, uint64_t skip)
{
	AUTO(checkpoint_release) struct checkpoint cp = {0};
	struct lake_id head = head_of(h->lake, h->branch);
	struct publication_content content = {.tree = head, .checkpoint = head, .message = "x"};
	struct lake_move move = {.kind = LAKE_BRANCH, .name = h->published};
	struct shown shown;

	MUST(checkpoint_read(h->lake, &head, &cp, &err));
	MUST(shown_read(&h->line, &shown, &err));
	content.epoch = cp.epoch;
	content.offsets = &cp.offsets;
	move.expected = shown.id;
	shown.sequence += skip;
	MUST(publication_make(&h->line, &shown, &content, &move.to, &err));
	MUST(lake_refs_move(h->lake, &move, 1, "test", &err));
	return move.to;
}

/* X once more, with one thing changed, in its place. */
static void remake(struct history *h, const struct lake_id *x, const char *key, const char *value,
		   const char *path)
{
	AUTO(lake_commit_release) struct lake_commit c = {.n_parents = 0};
	struct lake_move move = {.kind = LAKE_BRANCH, .name = h->published, .expected = *x};
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;

	MUST(lake_commit_read(h->lake, x, &c, &err));
	MUST(lake_txn_begin(h->lake, x, &txn, &err));
	lake_txn_parents(txn, c.parents, c.n_parents);
	for (size_t i = 0; i < c.meta.n; i++)
		lake_txn_set_meta(txn, c.meta.items[i].key, c.meta.items[i].value);
	if (key)
		lake_txn_set_meta(txn, key, value);
	if (path)
		put_file(txn, path, "0-1", "2");
	MUST(lake_txn_prepare(txn, &move.to, &err));
	MUST(lake_refs_move(h->lake, &move, 1, "test", &err));
}

static void finds_each_fault_of_a_publication(void **state)
{
	static const struct {
		const char *key, *value, *path, *text;
		uint64_t skip;
	} kinds[] = {
		{.text = NULL},
		{.skip = 1, .text = "publication 2 is missing behind it"},
		{.path = "topics/t/more", .text = "topics/t/more is not as in the checkpoint"},
		{.key = META_EPOCH, .value = "9", .text = "its cursor says something else"},
		{.key = META_OFFSETS,
		 .value = "{\"t\":{\"0\":19,\"1\":0}}",
		 .text = "its cursor says something else"},
		{.key = META_CHECKPOINT, .value = "xy", .text = "=xy is no commit's id"},
		{.path = "_tidemark/c.json", .text = "its cursor cannot be read"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		AUTO(tempdir_remove) char *dir = tempdir_new();
		struct lake *lake = open_lake(dir);
		struct history h;
		struct lake_id x;

		history_start(&h, lake, "c", 2);
		commit_good(&h);
		publish_head(&h, 0);
		commit_good(&h);
		x = publish_head(&h, kinds[i].skip);
		if (kinds[i].key || kinds[i].path)
			remake(&h, &x, kinds[i].key, kinds[i].value, kinds[i].path);
		expect(lake, kinds[i].text, 3);
		history_release(&h);
		lake_close(lake);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_each_fault_of_a_checkpoint),
		cmocka_unit_test(recorded_losses_are_no_fault),
		cmocka_unit_test(finds_each_fault_of_a_publication),
	};

	/* nothing here dies: the disk would only be slow */
	if (access("/dev/shm", W_OK) == 0)
		setenv("TIDEMARK_TEST_DIR", "/dev/shm", 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
