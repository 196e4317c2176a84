/* Lakes of every format version (tests/golden/format-N, made by tests/golden/
 * make): each opens, shows what was recorded when it was made, has nothing wrong,
 * and is written to. And lakes whose FORMAT is newer, garbled or gone: refused,
 * with nothing changed.
 *
 * With a lake's folder as its argument it prints what can be seen in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "connector/history/verify.h"
#include "core/base/file.h"
#include "core/lake.h"
#include "core/model/hash.h"
#include "tests/lib/lake_state.h"
#include "tests/lib/lake_steps.h"
#include "tests/lib/must.h"
#include "tests/lib/tempdir.h"

#define GOLDEN "tests/golden/"

static const char *const formats[] = {"format-1"};

/* ---- what can be seen ---- */

static void add_commit(const struct lake_commit *c, struct buf *out)
{
	char hex[LAKE_ID_HEX_BYTES];

	lake_id_hex(&c->id, hex);
	buf_addf(out, "  %s", hex);
	lake_id_hex(&c->tree, hex);
	buf_addf(out, " tree %s generation %llu time %lld by %s: %s\n", hex,
		 (unsigned long long)c->generation, (long long)c->time_ms, c->committer,
		 c->message);
	for (size_t i = 0; i < c->n_parents; i++) {
		lake_id_hex(&c->parents[i], hex);
		buf_addf(out, "    parent %s\n", hex);
	}
	for (size_t i = 0; i < c->meta.n; i++)
		buf_addf(out, "    %s=%s\n", c->meta.items[i].key, c->meta.items[i].value);
}

static void add_log(struct lake *lake, const struct lake_ref *ref, struct buf *out)
{
	AUTO(lake_log_closep) struct lake_log *log = NULL;
	struct lake_commit c;
	struct err why = ERR_INIT;
	enum status st;

	buf_addf(out, "log %s\n", ref->name);
	MUST(lake_log_open(lake, &ref->id, false, &log, &err));
	while ((st = lake_log_next(log, &c, &why)) == ST_OK) {
		add_commit(&c, out);
		lake_commit_release(&c);
	}
	assert_int_equal(st, ST_END);
}

static void see(struct lake *lake, struct buf *out)
{
	AUTO(lake_refs_release) struct lake_refs refs = {.items = NULL};

	MUST(lake_state(lake, out, &err));
	MUST(lake_refs_list(lake, LAKE_BRANCH, &refs, &err));
	for (size_t i = 0; i < refs.n; i++)
		add_log(lake, &refs.items[i], out);
}

static struct lake *open_existing(const char *folder)
{
	const struct lake_options options = {.access = LAKE_OWN, .committer = "later"};
	struct lake *lake = NULL;

	MUST(lake_open(folder, &options, &lake, &err));
	return lake;
}

static int print(const char *folder)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	struct lake *lake = open_existing(folder);

	see(lake, &text);
	fputs(text.data, stdout);
	lake_close(lake);
	return 0;
}

/* ---- golden lakes ---- */

static char *unpack(const char *dir, const char *format)
{
	AUTO(freep)
	char *cmd = xasprintf("tar -C %s -xf " GOLDEN "%s/lake.tar", dir, format);

	assert_int_equal(system(cmd), 0);
	return xasprintf("%s/lake", dir);
}

static enum status read_expired(struct lake *lake, struct err *err)
{
	AUTO(buf_release) struct buf data = BUF_INIT;
	struct lake_id id = head_of(lake, "old~1");

	return lake_read(lake, &id, "expired", 1 << 20, &data, err);
}

static void expect_sound(struct lake *lake)
{
	AUTO(lake_fsck_report_release) struct lake_fsck_report report = {.n = 0};
	const struct lake_fsck_options options = {.quick = false, .visit = history_verify};

	MUST(lake_fsck(lake, &options, &report, &err));
	if (report.n)
		fail_msg("%s %s %s", report.items[0].kind, report.items[0].name,
			 report.items[0].text);
	assert_true(report.checkpoints >= 3);
	assert_true(report.expired >= 1);
	MUST_SAY(ST_EXPIRED, "lake.history.retain", read_expired(lake, &err));
}

/* A commit, a merge, refs, a change of what is staged, gc. */
static void write_to(struct lake *lake)
{
	AUTO(lake_conflicts_release) struct lake_conflicts conflicts = {.n = 0};
	const struct lake_gc_options collect = {.grace_ms = LAKE_GC_GRACE_MS,
						.reflog_retain_ms = LAKE_GC_REFLOG_RETAIN_MS};
	AUTO(freep) char *data = noise(50000, 1);
	struct lake_merge merge;
	struct lake_move moves[2];
	struct lake_gc_report gc;
	struct lake_id id;

	commit_bytes(lake, "side", "new/large", data, 50000);
	commit_bytes(lake, "side", "new/small", "small", 5);
	merge = (struct lake_merge){.source = head_of(lake, "side"), .dest = head_of(lake, "work")};
	MUST(lake_merge_prepare(lake, &merge, &id, &conflicts, &err));
	moves[0] = (struct lake_move){
		.kind = LAKE_BRANCH, .name = "work", .expected = merge.dest, .to = id};
	moves[1] = (struct lake_move){.kind = LAKE_TAG, .name = "v2", .to = id};
	MUST(lake_refs_move(lake, moves, 2, "later", &err));
	MUST(lake_stage_commit(lake, "picked", "What was staged", NULL, &id, &err));
	MUST(lake_gc(lake, &collect, &gc, &err));
}

static void test_opens_as_it_was(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		AUTO(tempdir_remove) char *dir = tempdir_new();
		AUTO(freep) char *folder = unpack(dir, formats[i]);
		AUTO(freep) char *path = xasprintf(GOLDEN "%s/state.txt", formats[i]);
		AUTO(buf_release) struct buf recorded = BUF_INIT;
		AUTO(buf_release) struct buf found = BUF_INIT;
		struct lake *lake = open_existing(folder);

		(void)state;
		MUST(file_read(path, 1 << 24, &recorded, &err));
		see(lake, &found);
		if (strcmp(buf_str(&recorded), buf_str(&found)) != 0)
			fail_msg("%s shows other things than it did: %s", formats[i], found.data);
		expect_sound(lake);
		lake_close(lake);
	}
}

static void test_is_written_to(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		AUTO(tempdir_remove) char *dir = tempdir_new();
		AUTO(freep) char *folder = unpack(dir, formats[i]);
		AUTO(freep) char *backup = xasprintf("%s/backup", dir);
		AUTO(freep) char *again = xasprintf("%s/again", dir);
		AUTO(lake_backup_report_release) struct lake_backup_report r = {.objects = 0};
		AUTO(buf_release) struct buf was = BUF_INIT;
		AUTO(buf_release) struct buf found = BUF_INIT;
		struct lake *lake = open_existing(folder);

		(void)state;
		write_to(lake);
		see(lake, &was);
		lake_close(lake);
		lake = open_existing(folder);
		see(lake, &found);
		assert_string_equal(found.data, was.data);
		assert_content(lake, "v2", "side.txt", "side\n", 5);
		assert_content(lake, "v1", "notes/hello.txt", "hello\n", 6);
		expect_sound(lake);
		MUST(lake_backup(lake, backup, &r, &err));
		lake_close(lake);
		lake_backup_report_release(&r);
		MUST(lake_restore(again, backup, NULL, NULL, &r, &err));
		lake = open_existing(again);
		buf_clear(&found);
		see(lake, &found);
		assert_string_equal(found.data, was.data);
		expect_sound(lake);
		lake_close(lake);
	}
}

/* ---- FORMAT ---- */

static struct buf *walked;

/* Name, content and time of each file but FORMAT. */
static int add_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	AUTO(buf_release) struct buf data = BUF_INIT;
	struct hash sum = {{0}};
	char hex[65];

	if (type == FTW_F && strcmp(path + ftw->base, "FORMAT") == 0)
		return 0;
	if (type == FTW_F) {
		MUST(file_read(path, 1 << 28, &data, &err));
		hash_of(buf_str(&data), data.len, &sum);
	}
	hash_hex(&sum, hex);
	buf_addf(walked, "%s %s %lld\n", path, hex,
		 type == FTW_F ? (long long)st->st_mtim.tv_nsec : 0LL);
	return 0;
}

static void all_files(const char *folder, struct buf *out)
{
	buf_clear(out);
	walked = out;
	assert_int_equal(nftw(folder, add_file, 16, FTW_PHYS), 0);
}

/* By every way to open it, and by the check. */
static void expect_refused(const char *folder, enum status wanted, const char *part)
{
	const struct lake_options own = {.access = LAKE_OWN};
	const struct lake_options any = {.access = LAKE_ANY};
	const struct lake_options create = {.access = LAKE_OWN, .create = true};
	AUTO(buf_release) struct buf before = BUF_INIT;
	AUTO(buf_release) struct buf after = BUF_INIT;
	struct lake *lake = NULL;

	all_files(folder, &before);
	MUST_SAY(wanted, part, lake_open(folder, &own, &lake, &err));
	MUST_SAY(wanted, part, lake_open(folder, &any, &lake, &err));
	MUST_SAY(wanted, part, lake_open(folder, &create, &lake, &err));
	MUST_SAY(wanted, part, lake_init(folder, &create, &err));
	all_files(folder, &after);
	assert_string_equal(before.data, after.data);
}

static void test_no_other_format_is_touched(void **state)
{
	static const struct {
		const char *text;
		enum status status;
		const char *part;
	} rows[] = {
		{"tidemark lake 2\n", ST_USAGE, "newer tidemark"},
		{"tidemark lake 99\nwith more to say\n", ST_USAGE, "newer tidemark"},
		{"tidemark lake 99999999999999999999\n", ST_USAGE, "newer tidemark"},
		{"tidemark lake 0\n", ST_DAMAGED, "fsck --repair"},
		{"tidemark lake -1\n", ST_DAMAGED, "fsck --repair"},
		{"tidemark lake 1x\n", ST_DAMAGED, "fsck --repair"},
		{"tidemark lake x\n", ST_DAMAGED, "fsck --repair"},
		{"tidemark lake 1", ST_DAMAGED, "fsck --repair"},
		{"tidemark lake ", ST_DAMAGED, "fsck --repair"},
		{"tidemark l", ST_USAGE, "fsck --repair"},
		{"something else\n", ST_USAGE, "fsck --repair"},
		{"", ST_USAGE, "fsck --repair"},
		{NULL, ST_DAMAGED, "fsck --repair"}, /* no FORMAT at all */
	};
	AUTO(tempdir_remove) char *dir = tempdir_new();
	AUTO(freep) char *folder = unpack(dir, formats[0]);
	AUTO(freep) char *format = xasprintf("%s/FORMAT", folder);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].text)
			MUST(file_replace(format, rows[i].text, strlen(rows[i].text), &err));
		else
			assert_int_equal(unlink(format), 0);
		expect_refused(folder, rows[i].status, rows[i].part);
	}
	MUST(file_replace(format, "tidemark lake 1\n", 16, &err));
	lake_close(open_existing(folder));
}

static void test_a_check_leaves_a_newer_format_alone(void **state)
{
	AUTO(tempdir_remove) char *dir = tempdir_new();
	AUTO(freep) char *folder = unpack(dir, formats[0]);
	AUTO(freep) char *format = xasprintf("%s/FORMAT", folder);
	AUTO(lake_fsck_report_release) struct lake_fsck_report report = {.n = 0};
	AUTO(buf_release) struct buf before = BUF_INIT;
	AUTO(buf_release) struct buf after = BUF_INIT;

	(void)state;
	MUST(file_replace(format, "tidemark lake 2\n", 16, &err));
	all_files(folder, &before);
	MUST_SAY(ST_USAGE, "newer tidemark", lake_fsck_folder(folder, true, true, &report, &err));
	all_files(folder, &after);
	assert_string_equal(before.data, after.data);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_opens_as_it_was),
		cmocka_unit_test(test_is_written_to),
		cmocka_unit_test(test_no_other_format_is_touched),
		cmocka_unit_test(test_a_check_leaves_a_newer_format_alone),
	};

	if (argc == 2)
		return print(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
