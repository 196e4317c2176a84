/* What merges, reverts and cherry-picks make of histories that are not simple,
 * for the owner of a lake and through its socket. tests/contract/test_against_git.c
 * compares random histories with git; here each rule has its own small one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/lake_fixture.h"
#include "tests/lib/must.h"

static struct lake_fixture fixture;
#define LAKE (fixture.lake)

static struct lake_id head_of(const char *branch)
{
	struct lake_id id = {.bytes = {0}};

	MUST(lake_ref_get(LAKE, LAKE_BRANCH, branch, &id, &err));
	return id;
}

static void branch_at(const char *name, const struct lake_id *at)
{
	const struct lake_move move = {.kind = LAKE_BRANCH, .name = name, .to = *at};

	MUST(lake_refs_move(LAKE, &move, 1, "branch", &err));
}

static void branch(const char *name, const char *from)
{
	struct lake_id at = head_of(from);

	branch_at(name, &at);
}

static void move_to(const char *name, const struct lake_id *to)
{
	const struct lake_move move = {
		.kind = LAKE_BRANCH, .name = name, .expected = head_of(name), .to = *to};

	MUST(lake_refs_move(LAKE, &move, 1, "test", &err));
}

/* One commit that changes one path; text NULL removes it. */
static struct lake_id put(const char *name, const char *path, const char *text)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	struct lake_id head = head_of(name), id = {.bytes = {0}};

	MUST(lake_txn_begin(LAKE, &head, &txn, &err));
	if (text)
		MUST(lake_txn_put_bytes(txn, path, text, strlen(text), NULL, NULL, &err));
	else
		MUST(lake_txn_remove(txn, path, &err));
	lake_txn_set_message(txn, path);
	MUST(lake_txn_commit(txn, name, &head, "put", &id, &err));
	return id;
}

/* text NULL: the path is absent. */
static void holds(const struct lake_id *id, const char *path, const char *text)
{
	AUTO(buf_release) struct buf content = BUF_INIT;

	if (!text) {
		MUST_BE(ST_NOT_FOUND, lake_read(LAKE, id, path, 1 << 20, &content, &err));
		return;
	}
	MUST(lake_read(LAKE, id, path, 1 << 20, &content, &err));
	assert_string_equal(buf_str(&content), text);
}

static enum status try_merge(const struct lake_id *dest, const struct lake_id *source,
			     enum lake_strategy strategy, struct lake_id *out,
			     struct lake_conflicts *conflicts, struct err *err)
{
	const struct lake_merge merge = {.source = *source, .dest = *dest, .strategy = strategy};

	return lake_merge_prepare(LAKE, &merge, out, conflicts, err);
}

/* Merges the branch source into the branch dest. */
static struct lake_id merge(const char *dest, const char *source, enum lake_strategy strategy)
{
	struct lake_id ours = head_of(dest), theirs = head_of(source), id = {.bytes = {0}};

	MUST(try_merge(&ours, &theirs, strategy, &id, NULL, &err));
	move_to(dest, &id);
	return id;
}

/* The merge fails with exactly these paths, joined by spaces. */
static void conflicts_are(const char *dest, const char *source, const char *wanted)
{
	AUTO(lake_conflicts_release) struct lake_conflicts conflicts = {.n = 0};
	AUTO(buf_release) struct buf got = BUF_INIT;
	struct lake_id ours = head_of(dest), theirs = head_of(source), id;

	MUST_BE(ST_CONFLICT, try_merge(&ours, &theirs, LAKE_NO_STRATEGY, &id, &conflicts, &err));
	for (size_t i = 0; i < conflicts.n; i++)
		buf_addf(&got, "%s%s", i ? " " : "", conflicts.paths[i]);
	assert_string_equal(buf_str(&got), wanted);
}

static enum status try_revert(const char *name, const struct lake_id *commit, unsigned parent,
			      struct lake_id *out, struct err *err)
{
	const struct lake_revert wish = {.commits = commit, .n = 1, .parent = parent};
	struct lake_id head = head_of(name);

	return lake_revert_prepare(LAKE, &head, &wish, out, NULL, err);
}

static struct lake_id revert(const char *name, const struct lake_id *commit, unsigned parent)
{
	struct lake_id id = {.bytes = {0}};

	MUST(try_revert(name, commit, parent, &id, &err));
	move_to(name, &id);
	return id;
}

static size_t count_bases(const char *a, const char *b)
{
	AUTO(freep) struct lake_id *bases = NULL;
	struct lake_id x = head_of(a), y = head_of(b);
	size_t n = 0;

	MUST(lake_merge_bases(LAKE, &x, &y, &bases, &n, &err));
	return n;
}

/* ---- strategies ---- */

static void test_strategies(void **state)
{
	static const struct {
		enum lake_strategy strategy;
		const char *both, *gone_here, *gone_there;
	} cases[] = {{LAKE_OURS, "of a", NULL, "of a"}, {LAKE_THEIRS, "of b", "of b", NULL}};

	(void)state;
	put("main", "both", "0");
	put("main", "gone-here", "0");
	put("main", "gone-there", "0");
	put("main", "only-b", "0");
	branch("a", "main");
	branch("b", "main");
	put("a", "both", "of a");
	put("b", "both", "of b");
	put("a", "gone-here", NULL);
	put("b", "gone-here", "of b");
	put("a", "gone-there", "of a");
	put("b", "gone-there", NULL);
	put("b", "only-b", "of b");
	put("a", "new", "same");
	put("b", "new", "same");
	/* A deletion against a change is a conflict, either way round. */
	conflicts_are("a", "b", "both gone-here gone-there");
	conflicts_are("b", "a", "both gone-here gone-there");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct lake_id ours = head_of("a"), theirs = head_of("b"), id;

		MUST(try_merge(&ours, &theirs, cases[i].strategy, &id, NULL, &err));
		holds(&id, "both", cases[i].both);
		holds(&id, "gone-here", cases[i].gone_here);
		holds(&id, "gone-there", cases[i].gone_there);
		/* What is no conflict is merged in any case. */
		holds(&id, "only-b", "of b");
		holds(&id, "new", "same");
	}
}

static void test_file_against_folder(void **state)
{
	struct lake_id ours, theirs, id;

	(void)state;
	branch("a", "main");
	branch("b", "main");
	put("a", "x", "a file");
	put("b", "x/one", "1");
	put("b", "x/two", "2");
	put("b", "y", "y");
	conflicts_are("a", "b", "x x/one x/two");
	conflicts_are("b", "a", "x x/one x/two");
	ours = head_of("a");
	theirs = head_of("b");
	MUST(try_merge(&ours, &theirs, LAKE_OURS, &id, NULL, &err));
	holds(&id, "x", "a file");
	holds(&id, "x/one", NULL);
	holds(&id, "y", "y");
	MUST(try_merge(&ours, &theirs, LAKE_THEIRS, &id, NULL, &err));
	holds(&id, "x", NULL);
	holds(&id, "x/two", "2");
	/* A file that makes room for a folder of its name is none. */
	put("a", "x", NULL);
	id = merge("a", "b", LAKE_NO_STRATEGY);
	holds(&id, "x/one", "1");
}

/* ---- histories that cross ---- */

/* Branches a and b, each of which has merged the other's first commit: two best
 * bases. p: what both change; a_has, b_has: what each made of it. */
static void cross(const char *p, const char *a_has, const char *b_has)
{
	struct lake_id one, two, id;

	put("main", p, "0");
	branch("a", "main");
	branch("b", "main");
	one = put("a", p, "1");
	two = put("b", p, "2");
	MUST(try_merge(&one, &two, LAKE_OURS, &id, NULL, &err));
	move_to("a", &id);
	MUST(try_merge(&two, &one, LAKE_OURS, &id, NULL, &err));
	move_to("b", &id);
	put("a", p, a_has);
	put("a", "of-a", "a");
	put("b", p, b_has);
	put("b", "of-b", "b");
	assert_int_equal(count_bases("a", "b"), 2);
}

static void test_crossed_conflict(void **state)
{
	(void)state;
	/* With one of the bases alone, the other side's word would win. */
	cross("p", "1", "2");
	conflicts_are("a", "b", "p");
	conflicts_are("b", "a", "p");
}

static void test_crossed_same(void **state)
{
	struct lake_id id;

	(void)state;
	cross("p", "3", "3");
	id = merge("a", "b", LAKE_NO_STRATEGY);
	holds(&id, "p", "3");
	holds(&id, "of-a", "a");
	holds(&id, "of-b", "b");
}

/* One side has gone back to what was there before either: git takes the other
 * side's word then, here it is a conflict. */
static void test_crossed_back(void **state)
{
	struct lake_id ours, theirs, id;

	(void)state;
	cross("p", "0", "2");
	conflicts_are("a", "b", "p");
	ours = head_of("a");
	theirs = head_of("b");
	MUST(try_merge(&ours, &theirs, LAKE_THEIRS, &id, NULL, &err));
	holds(&id, "p", "2");
}

/* The bases disagree on whether x is a file or a folder. */
static void test_crossed_folder(void **state)
{
	struct lake_id one, two, id;

	(void)state;
	branch("a", "main");
	branch("b", "main");
	one = put("a", "x", "a file");
	two = put("b", "x/y", "in a folder");
	MUST(try_merge(&one, &two, LAKE_OURS, &id, NULL, &err));
	move_to("a", &id);
	MUST(try_merge(&two, &one, LAKE_OURS, &id, NULL, &err));
	move_to("b", &id);
	conflicts_are("a", "b", "x x/y");
	id = merge("a", "b", LAKE_THEIRS);
	holds(&id, "x", NULL);
	holds(&id, "x/y", "in a folder");
}

/* Crossed again and again: each pair of bases has two bases itself. */
static void test_crossed_often(void **state)
{
	struct lake_id id;

	(void)state;
	put("main", "p", "0");
	branch("a", "main");
	branch("b", "main");
	for (int i = 0; i < 20; i++) {
		struct lake_id one, two;

		one = put("a", "p", i % 2 ? "1" : "3");
		two = put("b", "p", i % 2 ? "2" : "4");
		put("a", "of-a", i % 2 ? "1" : "2");
		MUST(try_merge(&one, &two, LAKE_OURS, &id, NULL, &err));
		move_to("a", &id);
		MUST(try_merge(&two, &one, LAKE_OURS, &id, NULL, &err));
		move_to("b", &id);
	}
	assert_int_equal(count_bases("a", "b"), 2);
	conflicts_are("a", "b", "p");
	put("a", "p", "end");
	put("b", "p", "end");
	id = merge("a", "b", LAKE_NO_STRATEGY);
	holds(&id, "p", "end");
}

/* ---- again ---- */

static void test_twice(void **state)
{
	struct lake_id ours, theirs, id;

	(void)state;
	branch("dev", "main");
	put("dev", "x", "1");
	merge("main", "dev", LAKE_NO_STRATEGY);
	ours = head_of("main");
	theirs = head_of("dev");
	MUST_BE(ST_EMPTY, try_merge(&ours, &theirs, LAKE_NO_STRATEGY, &id, NULL, &err));
	/* The base has moved on: what the first merge brought is no conflict. */
	put("main", "x", "2");
	put("dev", "y", "1");
	id = merge("main", "dev", LAKE_NO_STRATEGY);
	holds(&id, "x", "2");
	holds(&id, "y", "1");
	assert_int_equal(count_bases("main", "dev"), 1);
}

/* What was merged and undone does not come back by merging again, as in git:
 * the base holds it. Undoing the undoing brings it back. */
static void test_after_revert(void **state)
{
	struct lake_id ours, theirs, merged, undone, id;

	(void)state;
	put("main", "keep", "0");
	branch("dev", "main");
	put("dev", "x", "1");
	merged = merge("main", "dev", LAKE_NO_STRATEGY);
	undone = revert("main", &merged, 0);
	holds(&undone, "x", NULL);
	ours = head_of("main");
	theirs = head_of("dev");
	MUST_BE(ST_EMPTY, try_merge(&ours, &theirs, LAKE_NO_STRATEGY, &id, NULL, &err));
	put("dev", "y", "1");
	id = merge("main", "dev", LAKE_NO_STRATEGY);
	holds(&id, "x", NULL);
	holds(&id, "y", "1");
	id = revert("main", &undone, 0);
	holds(&id, "x", "1");
	holds(&id, "y", "1");
	holds(&id, "keep", "0");
	/* Changed on dev since: a conflict with the removal. */
	revert("main", &id, 0);
	put("dev", "x", "2");
	conflicts_are("main", "dev", "x");
}

static void test_revert_of_merge(void **state)
{
	struct lake_id merged, id;

	(void)state;
	put("main", "p", "0");
	branch("dev", "main");
	put("dev", "of-dev", "d");
	put("main", "of-main", "m");
	merged = merge("main", "dev", LAKE_NO_STRATEGY);
	MUST(try_revert("main", &merged, 0, &id, &err));
	holds(&id, "of-dev", NULL);
	holds(&id, "of-main", "m");
	MUST(try_revert("main", &merged, 1, &id, &err));
	holds(&id, "of-dev", NULL);
	MUST(try_revert("main", &merged, 2, &id, &err));
	holds(&id, "of-dev", "d");
	holds(&id, "of-main", NULL);
	MUST_SAY(ST_USAGE, "no parent 3", try_revert("main", &merged, 3, &id, &err));
	merged = head_of("dev");
	MUST_SAY(ST_USAGE, "no parent 2", try_revert("main", &merged, 2, &id, &err));
	MUST(try_revert("main", &merged, 1, &id, &err));
	holds(&id, "of-dev", NULL);
}

/* ---- cherry-pick ---- */

static enum status try_pick(const char *name, const struct lake_id *commit, unsigned parent,
			    struct lake_id *out, struct lake_conflicts *conflicts, struct err *err)
{
	struct lake_id head = head_of(name);

	return lake_cherry_pick_prepare(LAKE, &head, commit, parent, out, conflicts, err);
}

static void test_pick(void **state)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	AUTO(lake_commit_release) struct lake_commit c = {.n_parents = 0};
	struct lake_id head, wanted, id;
	char hex[LAKE_ID_HEX_BYTES];

	(void)state;
	branch("dev", "main");
	put("dev", "before", "1");
	head = head_of("dev");
	MUST(lake_txn_begin(LAKE, &head, &txn, &err));
	MUST(lake_txn_put_bytes(txn, "x", "1", 1, NULL, NULL, &err));
	lake_txn_set_message(txn, "the fix");
	lake_txn_set_meta(txn, "ticket", "7");
	lake_txn_set_meta(txn, "tidemark.offsets", "{}");
	MUST(lake_txn_commit(txn, "dev", &head, "put", &wanted, &err));
	/* `main` is protected; that lets picks through. */
	MUST(try_pick("main", &wanted, 0, &id, NULL, &err));
	head = head_of("main");
	move_to("main", &id);
	holds(&id, "x", "1");
	holds(&id, "before", NULL);
	MUST(lake_commit_read(LAKE, &id, &c, &err));
	assert_int_equal(c.n_parents, 1);
	assert_true(lake_id_equal(&c.parents[0], &head));
	assert_string_equal(c.message, "the fix");
	assert_int_equal(c.meta.n, 3);
	assert_string_equal(lake_meta_get(&c.meta, "ticket"), "7");
	lake_id_hex(&wanted, hex);
	assert_string_equal(lake_meta_get(&c.meta, "cherry-pick-origin"), hex);
	assert_non_null(lake_meta_get(&c.meta, "cherry-pick-committer"));
	MUST_BE(ST_EMPTY, try_pick("main", &wanted, 0, &id, NULL, &err));
}

static void test_pick_refused(void **state)
{
	AUTO(lake_conflicts_release) struct lake_conflicts conflicts = {.n = 0};
	struct lake_id first = head_of("main"), base, wanted, merged, id;
	const struct lake_id nowhere = {.bytes = {1}};

	(void)state;
	base = put("main", "p", "0");
	branch("dev", "main");
	branch("other", "main");
	wanted = put("dev", "p", "1");
	put("main", "p", "2");
	MUST_SAY(ST_CONFLICT, "cherry-pick of",
		 try_pick("main", &wanted, 0, &id, &conflicts, &err));
	assert_int_equal(conflicts.n, 1);
	assert_string_equal(conflicts.paths[0], "p");
	MUST_BE(ST_NOT_FOUND, try_pick("main", &nowhere, 0, &id, NULL, &err));
	/* The lake's first commit is empty. */
	MUST_BE(ST_EMPTY, try_pick("main", &first, 0, &id, NULL, &err));
	MUST_SAY(ST_USAGE, "no parent 1", try_pick("main", &first, 1, &id, NULL, &err));
	/* A merge's parent has to be named. */
	put("other", "q", "1");
	merged = merge("other", "dev", LAKE_NO_STRATEGY);
	branch_at("clean", &base);
	MUST_SAY(ST_USAGE, "--parent", try_pick("clean", &merged, 0, &id, NULL, &err));
	MUST(try_pick("clean", &merged, 1, &id, NULL, &err));
	holds(&id, "p", "1");
	holds(&id, "q", NULL);
	MUST(try_pick("clean", &merged, 2, &id, NULL, &err));
	holds(&id, "p", "0");
	holds(&id, "q", "1");
}

/* ---- the suite ---- */

static int open_embedded(void **state)
{
	(void)state;
	lake_fixture_open(&fixture, LAKE_EMBEDDED, 0);
	return 0;
}

static int open_socket(void **state)
{
	(void)state;
	lake_fixture_open(&fixture, LAKE_SOCKET, 0);
	return 0;
}

static int close_lake(void **state)
{
	(void)state;
	lake_fixture_close(&fixture);
	return 0;
}

#define TEST(test, open) cmocka_unit_test_setup_teardown(test, open, close_lake)
#define SUITE(open)                                                                                \
	{                                                                                          \
		TEST(test_strategies, open), TEST(test_file_against_folder, open),                 \
			TEST(test_crossed_conflict, open), TEST(test_crossed_same, open),          \
			TEST(test_crossed_back, open), TEST(test_crossed_folder, open),            \
			TEST(test_crossed_often, open), TEST(test_twice, open),                    \
			TEST(test_after_revert, open), TEST(test_revert_of_merge, open),           \
			TEST(test_pick, open), TEST(test_pick_refused, open),                      \
	}

int main(void)
{
	const struct CMUnitTest embedded[] = SUITE(open_embedded);
	const struct CMUnitTest remote[] = SUITE(open_socket);
	/* The socket's first: its owners are forked before RocksDB has threads. */
	int failed = cmocka_run_group_tests_name("through the socket", remote, NULL, NULL);

	return failed + cmocka_run_group_tests_name("embedded", embedded, NULL, NULL);
}
