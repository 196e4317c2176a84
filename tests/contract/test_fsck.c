/* lake_fsck(), by the owner itself and through its socket: what it counts, what
 * it finds, and what it says depends on that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/lake.h"
#include "tests/lib/lake_fixture.h"
#include "tests/lib/lake_steps.h"
#include "tests/lib/must.h"

#define LARGE_BYTES 100000

static struct lake_fixture fixture;

/* main has a/large and a/small, dev also b/large, and stages c/staged. */
static int open_way(void **state, enum lake_way way)
{
	AUTO(freep) char *one = noise(LARGE_BYTES, 1);
	AUTO(freep) char *two = noise(LARGE_BYTES, 2);

	*state = &fixture;
	lake_fixture_open(&fixture, way, 0);
	commit_bytes(fixture.lake, "main", "a/large", one, LARGE_BYTES);
	commit_bytes(fixture.lake, "main", "a/small", "small", 5);
	make_branch(fixture.lake, "dev");
	commit_bytes(fixture.lake, "dev", "b/large", two, LARGE_BYTES);
	stage(fixture.lake, "dev", "c/staged", "staged");
	return 0;
}

static int open_embedded(void **state)
{
	return open_way(state, LAKE_EMBEDDED);
}

static int open_socket(void **state)
{
	return open_way(state, LAKE_SOCKET);
}

static int close_it(void **state)
{
	(void)state;
	lake_fixture_close(&fixture);
	return 0;
}

/* The file of an object. */
static char *blob_file(const char *ref, const char *path)
{
	AUTO(lake_entry_release) struct lake_entry e = {.path = NULL};
	struct lake_id id = head_of(fixture.lake, ref);

	MUST(lake_stat(fixture.lake, &id, path, &e, &err));
	return xasprintf("%s/blobs/%.2s/%s", fixture.folder, e.checksum, e.checksum);
}

static void flip(const char *file, off_t at)
{
	int fd = open(file, O_RDWR);
	char c;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &c, 1, at), 1);
	c ^= 1;
	assert_int_equal(pwrite(fd, &c, 1, at), 1);
	close(fd);
}

static void check(struct lake_fsck_report *report, bool quick)
{
	const struct lake_fsck_options options = {.quick = quick};

	MUST(lake_fsck(fixture.lake, &options, report, &err));
}

static const struct lake_finding *only(const struct lake_fsck_report *report, const char *kind)
{
	assert_int_equal(report->n, 1);
	assert_int_equal(report->damaged, 1);
	assert_string_equal(report->items[0].kind, kind);
	return &report->items[0];
}

static void counts_what_is_there(void **state)
{
	AUTO(lake_fsck_report_release) struct lake_fsck_report report = {.n = 0};

	(void)state;
	check(&report, false);
	assert_int_equal(report.n, 0);
	assert_int_equal(report.commits, 4);
	assert_int_equal(report.files, 2);
	assert_int_equal(report.small_blobs, 2);
	assert_int_equal(report.bytes, 2 * LARGE_BYTES + 5 + 6);
	assert_int_equal(report.refs, 2);
	assert_int_equal(report.reflog_entries, 5);
	assert_int_equal(report.staged_changes, 1);
	assert_true(report.nodes >= 3);
	assert_int_equal(report.garbage_nodes + report.garbage_blobs + report.garbage_commits, 0);
}

static void names_a_flipped_bit_and_who_needs_it(void **state)
{
	AUTO(lake_fsck_report_release) struct lake_fsck_report report = {.n = 0};
	AUTO(lake_fsck_report_release) struct lake_fsck_report quick = {.n = 0};
	AUTO(freep) char *file = blob_file("main", "a/large");
	const struct lake_finding *f;

	(void)state;
	flip(file, LARGE_BYTES / 2);
	check(&report, false);
	f = only(&report, "blob");
	assert_string_equal(f->name, strrchr(file, '/') + 1);
	assert_int_equal(f->paths.total, 1);
	assert_string_equal(f->paths.items[0], "a/large");
	assert_int_equal(f->commits.total, 3);
	assert_int_equal(f->refs.n, 4);
	assert_string_equal(f->refs.items[0], "dev");
	assert_string_equal(f->refs.items[1], "dev (history)");
	assert_string_equal(f->refs.items[2], "main");
	assert_true(f->remedy[0]);
	check(&quick, true); /* which does not read it */
	assert_int_equal(quick.n, 0);
}

static void names_what_is_missing_or_cut(void **state)
{
	AUTO(lake_fsck_report_release) struct lake_fsck_report missing = {.n = 0};
	AUTO(lake_fsck_report_release) struct lake_fsck_report cut = {.n = 0};
	AUTO(freep) char *file = blob_file("dev", "b/large");

	(void)state;
	assert_int_equal(truncate(file, 5000), 0);
	check(&cut, true);
	assert_non_null(strstr(only(&cut, "blob")->text, "5000 bytes"));
	assert_int_equal(unlink(file), 0);
	check(&missing, true);
	assert_string_equal(only(&missing, "blob")->text, "is missing");
	assert_string_equal(missing.items[0].refs.items[0], "dev");
	assert_int_equal(missing.items[0].refs.n, 1);
}

static void strangers_are_no_damage(void **state)
{
	AUTO(lake_fsck_report_release) struct lake_fsck_report report = {.n = 0};
	AUTO(freep) char *stray = xasprintf("%s/blobs/notes.txt", fixture.folder);
	AUTO(freep) char *other = xasprintf("%s/notes.txt", fixture.folder);

	(void)state;
	MUST(file_replace(stray, "x", 1, &err));
	MUST(file_replace(other, "x", 1, &err));
	check(&report, false);
	assert_int_equal(report.damaged, 0);
	assert_int_equal(report.remarks, 2);
}

static void finds_what_sequence_says(void **state)
{
	AUTO(lake_fsck_report_release) struct lake_fsck_report report = {.n = 0};
	AUTO(freep) char *file = xasprintf("%s/SEQUENCE", fixture.folder);

	(void)state;
	flip(file, 10);
	check(&report, false);
	assert_int_equal(report.damaged, 0); /* as a power loss may leave it */
	assert_int_equal(report.remarks, 1);
	lake_fsck_report_release(&report);
	flip(file, 4096 + 10);
	check(&report, false);
	only(&report, "sequence");
}

static enum status visit(void *ctx, struct lake *lake, struct lake_fsck_report *report,
			 struct err *err)
{
	struct lake_id id;

	*(int *)ctx += 1;
	report->checkpoints++;
	lake_fsck_add(report, true, "chain", "x", NULL, "broken");
	return lake_resolve(lake, "main", &id, err);
}

static void asks_the_visitor(void **state)
{
	AUTO(lake_fsck_report_release) struct lake_fsck_report report = {.n = 0};
	int calls = 0;
	const struct lake_fsck_options options = {.visit = visit, .ctx = &calls};

	(void)state;
	MUST(lake_fsck(fixture.lake, &options, &report, &err));
	assert_int_equal(calls, 1);
	assert_int_equal(report.checkpoints, 1);
	only(&report, "chain");
}

static void says_that_nothing_runs(void **state)
{
	struct lake_progress p = {.what = "x"};

	(void)state;
	MUST(lake_progress(fixture.lake, &p, &err));
	assert_string_equal(p.what, "");
}

#define SUITE(open)                                                                                \
	{                                                                                          \
		cmocka_unit_test_setup_teardown(counts_what_is_there, open, close_it),             \
			cmocka_unit_test_setup_teardown(names_a_flipped_bit_and_who_needs_it,      \
							open, close_it),                           \
			cmocka_unit_test_setup_teardown(names_what_is_missing_or_cut, open,        \
							close_it),                                 \
			cmocka_unit_test_setup_teardown(strangers_are_no_damage, open, close_it),  \
			cmocka_unit_test_setup_teardown(finds_what_sequence_says, open, close_it), \
			cmocka_unit_test_setup_teardown(asks_the_visitor, open, close_it),         \
			cmocka_unit_test_setup_teardown(says_that_nothing_runs, open, close_it),   \
	}

int main(void)
{
	const struct CMUnitTest embedded[] = SUITE(open_embedded);
	const struct CMUnitTest remote[] = SUITE(open_socket);
	/* The socket's first: its owners are forked before RocksDB has threads. */
	int failed = cmocka_run_group_tests_name("through the socket", remote, NULL, NULL);

	return failed + cmocka_run_group_tests_name("embedded", embedded, NULL, NULL);
}
