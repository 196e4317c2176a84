/* The contract of lake.h, for each way in which a lake can be reached: as the
 * owner of its folder, and through the socket of another process that is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/file.h"
#include "tests/lib/lake_fixture.h"

static struct lake_fixture fixture;
static struct err err;

/* err.text tells why, in the test's output. */
#define assert_ok(expression)                                                                      \
	do {                                                                                       \
		enum status st_ = (expression);                                                    \
		if (st_ != ST_OK)                                                                  \
			print_error("%s: %s\n", status_name(st_), err.text);                       \
		assert_int_equal(st_, ST_OK);                                                      \
	} while (0)

#define LAKE (fixture.lake)

static const struct lake_id none;

static struct lake_id head_of(const char *branch)
{
	struct lake_id id;

	assert_ok(lake_ref_get(LAKE, LAKE_BRANCH, branch, &id, &err));
	return id;
}

static void make_branch(const char *name, const struct lake_id *at)
{
	const struct lake_move move = {.kind = LAKE_BRANCH, .name = name, .to = *at};

	assert_ok(lake_refs_move(LAKE, &move, 1, "branch", &err));
}

/* Commits one change on a branch: text NULL removes the path. */
static struct lake_id change(const char *branch, const char *path, const char *text)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	struct lake_id head = head_of(branch), id;

	assert_ok(lake_txn_begin(LAKE, &head, &txn, &err));
	if (text)
		assert_ok(lake_txn_put_bytes(txn, path, text, strlen(text), "text/plain", NULL,
					     &err));
	else
		assert_ok(lake_txn_remove(txn, path, &err));
	lake_txn_set_message(txn, path);
	assert_ok(lake_txn_commit(txn, branch, &head, "change", &id, &err));
	return id;
}

static void assert_content(const struct lake_id *commit, const char *path, const char *text)
{
	AUTO(buf_release) struct buf content = BUF_INIT;
	enum status st = lake_read(LAKE, commit, path, 1 << 20, &content, &err);

	assert_int_equal(st, text ? ST_OK : ST_NOT_FOUND);
	if (text)
		assert_string_equal(buf_str(&content), text);
}

static struct lake_upload *upload(const void *data, size_t len)
{
	struct lake_upload *up = NULL;

	assert_ok(lake_upload_open(LAKE, &up, &err));
	assert_ok(lake_upload_write(up, data, len, &err));
	assert_ok(lake_upload_finish(up, &err));
	assert_int_equal(lake_upload_size(up), len);
	return up;
}

/* ---- refs ---- */

static void test_new_lake(void **state)
{
	AUTO(lake_commit_release) struct lake_commit commit = {.n_parents = 0};
	AUTO(lake_refs_release) struct lake_refs branches = {.n = 0};
	AUTO(lake_list_closep) struct lake_list *list = NULL;
	struct lake_id head = head_of("main");
	struct lake_entry entry;
	uint64_t room = 0;

	(void)state;
	assert_ok(lake_commit_read(LAKE, &head, &commit, &err));
	assert_int_equal(commit.n_parents, 0);
	assert_int_equal(commit.generation, 1);
	assert_ok(lake_refs_list(LAKE, LAKE_BRANCH, &branches, &err));
	assert_int_equal(branches.n, 1);
	assert_string_equal(branches.items[0].name, "main");
	assert_ok(lake_list_open(LAKE, &head, "", &list, &err));
	assert_int_equal(lake_list_next(list, &entry, &err), ST_END);
	assert_ok(lake_free_bytes(LAKE, &room, &err));
	assert_true(room > 0);
	assert_int_equal(strncmp(lake_url(LAKE), "file:/", 6), 0);
	assert_int_equal(lake_is_owner(LAKE), fixture.owner == 0);
}

static void test_refs(void **state)
{
	AUTO(lake_refs_release) struct lake_refs refs = {.n = 0};
	struct lake_id root = head_of("main"), id, next;
	struct lake_move tag = {.kind = LAKE_TAG, .name = "v1", .to = root};
	struct lake_move two[2] = {{.kind = LAKE_BRANCH, .name = "dev"},
				   {.kind = LAKE_BRANCH, .name = "other"}};

	(void)state;
	make_branch("dev", &root);
	make_branch("other", &root);
	assert_ok(lake_refs_move(LAKE, &tag, 1, "tag", &err));
	assert_int_equal(lake_refs_move(LAKE, &tag, 1, "tag", &err), ST_CONFLICT);
	assert_non_null(strstr(err.text, "v1"));
	assert_ok(lake_ref_get(LAKE, LAKE_TAG, "v1", &id, &err));
	assert_true(lake_id_equal(&id, &root));
	assert_int_equal(lake_ref_get(LAKE, LAKE_BRANCH, "v1", &id, &err), ST_NOT_FOUND);
	next = change("dev", "a", "1");
	/* Two at once: one that has moved stops both. */
	two[0].expected = root;
	two[0].to = two[1].to = root;
	two[1].expected = root;
	assert_int_equal(lake_refs_move(LAKE, two, 2, "both", &err), ST_CONFLICT);
	assert_non_null(strstr(err.text, "dev"));
	two[0].expected = two[0].to = two[1].to = next;
	assert_ok(lake_refs_move(LAKE, two, 2, "both", &err));
	id = head_of("other");
	assert_true(lake_id_equal(&id, &next));
	two[1].expected = next;
	two[1].to = none;
	assert_ok(lake_refs_move(LAKE, &two[1], 1, "delete", &err));
	assert_int_equal(lake_ref_get(LAKE, LAKE_BRANCH, "other", &id, &err), ST_NOT_FOUND);
	assert_ok(lake_refs_list(LAKE, LAKE_BRANCH, &refs, &err));
	assert_int_equal(refs.n, 2);
	assert_string_equal(refs.items[0].name, "dev");
	assert_true(lake_id_equal(&refs.items[0].id, &next));
	two[0].name = "a/b";
	assert_int_equal(lake_refs_move(LAKE, two, 1, "bad name", &err), ST_USAGE);
}

static void test_resolve(void **state)
{
	struct lake_id root = head_of("main"), one, two, id;
	char hex[LAKE_ID_HEX_BYTES];

	(void)state;
	make_branch("dev", &root);
	one = change("dev", "a", "1");
	two = change("dev", "a", "2");
	lake_id_hex(&one, hex);
	assert_ok(lake_resolve(LAKE, hex, &id, &err));
	assert_true(lake_id_equal(&id, &one));
	hex[10] = '\0';
	assert_ok(lake_resolve(LAKE, hex, &id, &err));
	assert_true(lake_id_equal(&id, &one));
	assert_ok(lake_resolve(LAKE, "dev~1", &id, &err));
	assert_true(lake_id_equal(&id, &one));
	assert_ok(lake_resolve(LAKE, "dev^1~1", &id, &err));
	assert_true(lake_id_equal(&id, &root));
	assert_ok(lake_resolve(LAKE, "dev", &id, &err));
	assert_true(lake_id_equal(&id, &two));
	assert_int_equal(lake_resolve(LAKE, "dev~9", &id, &err), ST_NOT_FOUND);
	assert_int_equal(lake_resolve(LAKE, "nothing", &id, &err), ST_NOT_FOUND);
	assert_int_equal(lake_resolve(LAKE, "ffffffffff", &id, &err), ST_NOT_FOUND);
	memset(id.bytes, 0xfe, sizeof(id.bytes));
	assert_int_equal(lake_commit_read(LAKE, &id, &(struct lake_commit){.n_parents = 0}, &err),
			 ST_NOT_FOUND);
}

static void test_protection(void **state)
{
	struct lake_id root = head_of("main"), id;
	AUTO(freep) char *by = NULL;
	bool is = false;

	(void)state;
	assert_ok(lake_branch_protection(LAKE, "main", &is, &by, &err));
	assert_true(is);
	make_branch("dev", &root);
	assert_ok(lake_branch_protection(LAKE, "dev", &is, NULL, &err));
	assert_false(is);
	change("dev", "a", "1");
	assert_ok(lake_branch_reset(LAKE, "dev", &root, &err));
	id = head_of("dev");
	assert_true(lake_id_equal(&id, &root));
	assert_ok(lake_branch_protect(LAKE, "dev", "orders", &err));
	free(MOVE(by));
	assert_ok(lake_branch_protection(LAKE, "dev", &is, &by, &err));
	assert_true(is);
	assert_string_equal(by, "orders");
	change("dev", "a", "1"); /* transactions go through */
	assert_int_equal(lake_branch_reset(LAKE, "dev", &root, &err), ST_PROTECTED);
	assert_non_null(strstr(err.text, "rollback orders"));
	AUTO(lake_upload_freep) struct lake_upload *up = upload("x", 1);
	assert_int_equal(lake_stage_put(LAKE, "dev", "b", up, NULL, NULL, &err), ST_PROTECTED);
	assert_int_equal(lake_stage_put(LAKE, "main", "b", up, NULL, NULL, &err), ST_PROTECTED);
}

static void test_reflog(void **state)
{
	AUTO(lake_reflog_release) struct lake_reflog log = {.n = 0};
	AUTO(lake_reflog_release) struct lake_reflog all = {.n = 0};
	struct lake_id root = head_of("main"), next;

	(void)state;
	make_branch("dev", &root);
	next = change("dev", "a", "1");
	assert_ok(lake_reflog_read(LAKE, "dev", 0, &log, &err));
	assert_int_equal(log.n, 2);
	assert_string_equal(log.items[0].reason, "change");
	assert_string_equal(log.items[0].committer, "tester");
	assert_string_equal(log.items[0].name, "dev");
	assert_true(lake_id_equal(&log.items[0].from, &root));
	assert_true(lake_id_equal(&log.items[0].to, &next));
	assert_true(lake_id_is_none(&log.items[1].from));
	assert_true(log.items[0].sequence > log.items[1].sequence);
	assert_true(log.items[0].time_ms > 0);
	assert_ok(lake_reflog_read(LAKE, NULL, 1, &all, &err));
	assert_int_equal(all.n, 1);
	assert_int_equal(all.items[0].sequence, log.items[0].sequence);
}

/* ---- transactions ---- */

static void test_transaction(void **state)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	AUTO(lake_commit_release) struct lake_commit commit = {.n_parents = 0};
	AUTO(lake_entry_release) struct lake_entry entry = {.path = NULL};
	AUTO(lake_meta_release) struct lake_meta meta = LAKE_META_INIT;
	struct lake_id root = head_of("main"), prepared, id, after;

	(void)state;
	make_branch("dev", &root);
	lake_meta_set(&meta, "offsets", "1000-1040");
	lake_meta_set(&meta, "raw", "\xff\xfe, no UTF-8");
	assert_ok(lake_txn_begin(LAKE, &root, &txn, &err));
	assert_ok(lake_txn_put_bytes(txn, "orders/0/b.avro", "bb", 2, "application/avro", &meta,
				     &err));
	assert_ok(lake_txn_put_bytes(txn, "orders/0/a.avro", "aaa", 3, NULL, NULL, &err));
	assert_int_equal(lake_txn_put_bytes(txn, "/bad", "a", 1, NULL, NULL, &err), ST_USAGE);
	lake_txn_set_message(txn, "a checkpoint\n\xe2\x82\xac \x80");
	lake_txn_set_meta(txn, "tidemark.offsets", "{}");
	assert_ok(lake_txn_prepare(txn, &prepared, &err));
	id = head_of("dev");
	assert_true(lake_id_equal(&id, &root)); /* nothing shows it */
	assert_content(&prepared, "orders/0/a.avro", "aaa");
	assert_content(&root, "orders/0/a.avro", NULL);
	assert_ok(lake_stat(LAKE, &prepared, "orders/0/b.avro", &entry, &err));
	assert_int_equal(entry.size, 2);
	assert_string_equal(entry.path, "orders/0/b.avro");
	assert_string_equal(entry.content_type, "application/avro");
	assert_string_equal(lake_meta_get(&entry.meta, "offsets"), "1000-1040");
	assert_string_equal(lake_meta_get(&entry.meta, "raw"), "\xff\xfe, no UTF-8");
	assert_int_equal(strlen(entry.checksum), 64);
	assert_ok(lake_commit_read(LAKE, &prepared, &commit, &err));
	assert_string_equal(commit.message, "a checkpoint\n\xe2\x82\xac \x80");
	assert_string_equal(commit.committer, "tester");
	assert_string_equal(lake_meta_get(&commit.meta, "tidemark.offsets"), "{}");
	assert_int_equal(commit.n_parents, 1);
	/* The branch moves away: conflict, then the same work on the new head. */
	after = change("dev", "other", "1");
	assert_int_equal(lake_txn_commit(txn, "dev", &root, "late", &id, &err), ST_CONFLICT);
	assert_ok(lake_txn_rebase(txn, &after, &err));
	/* What is set anew on the new head replaces what was set before. */
	assert_ok(lake_txn_put_bytes(txn, "orders/0/b.avro", "new", 3, NULL, NULL, &err));
	assert_ok(lake_txn_commit(txn, "dev", &after, "again", &id, &err));
	assert_content(&id, "orders/0/a.avro", "aaa");
	assert_content(&id, "orders/0/b.avro", "new");
	assert_content(&id, "other", "1");
	after = head_of("dev");
	assert_true(lake_id_equal(&after, &id));
}

static void test_twice_in_one(void **state)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	struct lake_id root = head_of("main"), id;

	(void)state;
	assert_ok(lake_txn_begin(LAKE, &root, &txn, &err));
	assert_ok(lake_txn_put_bytes(txn, "a", "1", 1, NULL, NULL, &err));
	assert_ok(lake_txn_remove(txn, "a", &err));
	assert_int_equal(lake_txn_prepare(txn, &id, &err), ST_USAGE);
	memset(root.bytes, 0xfe, sizeof(root.bytes));
	AUTO(lake_txn_freep) struct lake_txn *nowhere = NULL;
	assert_int_equal(lake_txn_begin(LAKE, &root, &nowhere, &err), ST_NOT_FOUND);
}

static void test_graft(void **state)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	AUTO(lake_commit_release) struct lake_commit commit = {.n_parents = 0};
	struct lake_id root = head_of("main"), parents[2], now, id;

	(void)state;
	make_branch("dev", &root);
	change("dev", "x/a", "old a");
	parents[1] = change("dev", "x/b", "old b");
	change("dev", "x/a", "new a");
	change("dev", "x/c", "new c");
	now = change("dev", "y", "y");
	assert_ok(lake_txn_begin(LAKE, &now, &txn, &err));
	assert_ok(lake_txn_graft(txn, &parents[1], "x/", &err));
	assert_ok(lake_txn_put_bytes(txn, "x/b", "mine", 4, NULL, NULL, &err));
	parents[0] = now;
	lake_txn_parents(txn, parents, 2);
	assert_ok(lake_txn_prepare(txn, &id, &err));
	assert_content(&id, "x/a", "old a");
	assert_content(&id, "x/b", "mine");
	assert_content(&id, "x/c", NULL);
	assert_content(&id, "y", "y");
	assert_ok(lake_commit_read(LAKE, &id, &commit, &err));
	assert_int_equal(commit.n_parents, 2);
	assert_true(lake_id_equal(&commit.parents[1], &parents[1]));
}

/* ---- objects ---- */

static void fill(char *data, size_t len)
{
	uint32_t x = 1;

	for (size_t i = 0; i < len; i++) {
		x = x * 1664525 + 1013904223;
		data[i] = (char)(x >> 24);
	}
}

static void check_object(size_t len)
{
	AUTO(freep) char *data = xmalloc(len + 1);
	AUTO(freep) char *back = xmalloc(len + 1);
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	AUTO(lake_object_closep) struct lake_object *object = NULL;
	AUTO(lake_upload_freep) struct lake_upload *up = NULL;
	struct lake_id root = head_of("main"), id;
	size_t n = 99;
	FILE *copy = tmpfile();

	fill(data, len);
	up = upload(data, len);
	assert_ok(lake_txn_begin(LAKE, &root, &txn, &err));
	assert_ok(lake_txn_put(txn, "data", up, NULL, NULL, &err));
	(void)MOVE(up);
	assert_ok(lake_txn_prepare(txn, &id, &err));
	assert_ok(lake_object_open(LAKE, &id, "data", &object, &err));
	assert_int_equal(lake_object_size(object), len);
	assert_ok(lake_object_read(object, 0, back, len + 1, &n, &err));
	assert_int_equal(n, len);
	assert_memory_equal(back, data, len);
	assert_ok(lake_object_read(object, len, back, 1, &n, &err));
	assert_int_equal(n, 0);
	if (len > 10) {
		assert_ok(lake_object_read(object, len - 10, back, 100, &n, &err));
		assert_int_equal(n, 10);
		assert_memory_equal(back, data + len - 10, 10);
	}
	assert_ok(lake_object_copy(object, fileno(copy), &err));
	assert_int_equal(fseek(copy, 0, SEEK_SET), 0);
	assert_int_equal(fread(back, 1, len + 1, copy), len);
	assert_memory_equal(back, data, len);
	fclose(copy);
}

static void test_objects(void **state)
{
	static const size_t sizes[] = {0, 1, 4096, 16383, 16384, 524288, 600001, 20u << 20};
	AUTO(buf_release) struct buf out = BUF_INIT;
	AUTO(lake_object_closep) struct lake_object *object = NULL;
	struct lake_id root = head_of("main"), id;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		check_object(sizes[i]);
	make_branch("dev", &root);
	id = change("dev", "a", "12345");
	assert_int_equal(lake_read(LAKE, &id, "a", 4, &out, &err), ST_FAILED);
	assert_int_equal(out.len, 0);
	assert_int_equal(lake_object_open(LAKE, &id, "b", &object, &err), ST_NOT_FOUND);
}

/* A large object is a file; it stays for as long as its commit is held, and no
 * longer. */
static void test_files_and_holds(void **state)
{
	static char text[20000];
	const struct lake_gc_options all = {.trust_clock = true};
	AUTO(lake_hold_releasep) struct lake_hold *hold = NULL;
	AUTO(lake_object_closep) struct lake_object *large = NULL;
	AUTO(lake_object_closep) struct lake_object *small = NULL;
	AUTO(freep) char *path = NULL;
	AUTO(buf_release) struct buf content = BUF_INIT;
	struct lake_move gone = {.kind = LAKE_BRANCH, .name = "dev"};
	struct lake_id root = head_of("main"), id;
	struct lake_gc_report report;

	(void)state;
	make_branch("dev", &root);
	memset(text, 'x', sizeof(text) - 1);
	change("dev", "small", "1");
	id = gone.expected = change("dev", "large", text);
	assert_ok(lake_object_open(LAKE, &id, "small", &small, &err));
	assert_null(lake_object_path(small));
	assert_ok(lake_object_open(LAKE, &id, "large", &large, &err));
	assert_non_null(lake_object_path(large));
	path = xstrdup(lake_object_path(large));
	assert_ok(file_read(path, sizeof(text), &content, &err));
	assert_string_equal(buf_str(&content), text);
	lake_object_close(MOVE(large));
	assert_ok(lake_hold(LAKE, &id, &hold, &err));
	assert_ok(lake_refs_move(LAKE, &gone, 1, "gone", &err));
	assert_ok(lake_gc(LAKE, &all, &report, &err));
	assert_true(file_exists(path));
	lake_hold_release(MOVE(hold));
	assert_ok(lake_gc(LAKE, &all, &report, &err));
	assert_false(file_exists(path));
	assert_int_equal(lake_hold(LAKE, &id, &hold, &err), ST_NOT_FOUND);
}

/* By reserve and advance, as writers do it. */
static void test_reserve(void **state)
{
	AUTO(lake_upload_freep) struct lake_upload *up = NULL;
	struct lake_id root = head_of("main");
	uint64_t total = 0;

	(void)state;
	make_branch("dev", &root);
	assert_ok(lake_upload_open(LAKE, &up, &err));
	for (unsigned i = 0; i < 40; i++) {
		size_t min = i % 3 ? 1000 : 256u << 10, room = 0;
		void *to = NULL;

		assert_ok(lake_upload_reserve(up, min, &to, &room, &err));
		assert_true(room >= min);
		memset(to, (int)i, min);
		lake_upload_advance(up, min);
		total += min;
		assert_int_equal(lake_upload_size(up), total);
	}
	assert_ok(lake_upload_finish(up, &err));
	assert_int_equal(lake_upload_size(up), total);
	assert_ok(lake_stage_put(LAKE, "dev", "x", up, NULL, NULL, &err));
	(void)MOVE(up);
	struct lake_id id;
	assert_ok(lake_stage_commit(LAKE, "dev", "x", NULL, &id, &err));
	AUTO(buf_release) struct buf out = BUF_INIT;
	assert_ok(lake_read(LAKE, &id, "x", total, &out, &err));
	assert_int_equal(out.len, total);
	assert_int_equal((unsigned char)out.data[total - 1], 39);
	assert_int_equal(out.data[(256u << 10) - 1], 0);
	assert_int_equal(out.data[256u << 10], 1);
}

/* ---- listings ---- */

static void test_list(void **state)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	AUTO(lake_list_closep) struct lake_list *list = NULL;
	struct lake_id root = head_of("main"), id;
	struct lake_entry entry;
	char path[64];

	(void)state;
	assert_ok(lake_txn_begin(LAKE, &root, &txn, &err));
	for (int i = 0; i < 2500; i++) {
		snprintf(path, sizeof(path), "d/%05d", i);
		assert_ok(lake_txn_put_bytes(txn, path, path, strlen(path), NULL, NULL, &err));
	}
	assert_ok(lake_txn_put_bytes(txn, "c", "", 0, NULL, NULL, &err));
	assert_ok(lake_txn_put_bytes(txn, "e", "", 0, NULL, NULL, &err));
	assert_ok(lake_txn_prepare(txn, &id, &err));
	assert_ok(lake_list_open(LAKE, &id, "d/", &list, &err));
	for (int i = 0; i < 2500; i++) {
		/* Forward over a page and more, then on. */
		if (i == 1200 || i == 10) {
			i += i == 10 ? 5 : 1100;
			snprintf(path, sizeof(path), "d/%05d", i);
			assert_ok(lake_list_seek(list, path, &err));
		}
		snprintf(path, sizeof(path), "d/%05d", i);
		assert_ok(lake_list_next(list, &entry, &err));
		assert_string_equal(entry.path, path);
		assert_int_equal(entry.size, strlen(path));
		lake_entry_release(&entry);
	}
	assert_int_equal(lake_list_next(list, &entry, &err), ST_END);
	assert_int_equal(lake_list_next(list, &entry, &err), ST_END);
	lake_list_close(MOVE(list));
	assert_ok(lake_list_open(LAKE, &id, "", &list, &err));
	assert_ok(lake_list_seek(list, "d/02499x", &err));
	assert_ok(lake_list_next(list, &entry, &err));
	assert_string_equal(entry.path, "e");
	lake_entry_release(&entry);
	memset(id.bytes, 0xfe, sizeof(id.bytes));
	AUTO(lake_list_closep) struct lake_list *nowhere = NULL;
	assert_int_equal(lake_list_open(LAKE, &id, "", &nowhere, &err), ST_NOT_FOUND);
}

/* ---- history ---- */

static bool has_depth(void *ctx, const struct lake_commit *commit)
{
	return commit->generation >= *(uint64_t *)ctx;
}

static void test_history(void **state)
{
	AUTO(lake_log_closep) struct lake_log *log = NULL;
	AUTO(lake_commit_release) struct lake_commit found = {.n_parents = 0};
	struct lake_id root = head_of("main"), ids[40], side, base;
	uint64_t generation = 20;
	bool is;

	(void)state;
	make_branch("dev", &root);
	for (int i = 0; i < 40; i++)
		ids[i] = change("dev", "n", i % 2 ? "1" : "2");
	make_branch("side", &ids[10]);
	side = change("side", "s", "1");
	assert_ok(lake_log_open(LAKE, &ids[39], false, &log, &err));
	for (int i = 39; i >= -1; i--) {
		AUTO(lake_commit_release) struct lake_commit c = {.n_parents = 0};

		assert_ok(lake_log_next(log, &c, &err));
		assert_true(lake_id_equal(&c.id, i < 0 ? &root : &ids[i]));
	}
	assert_int_equal(lake_log_next(log, &(struct lake_commit){.n_parents = 0}, &err), ST_END);
	assert_ok(lake_log_search(LAKE, &ids[39], has_depth, &generation, &found, &err));
	assert_true(lake_id_equal(&found.id, &ids[18]));
	generation = 99;
	assert_int_equal(lake_log_search(LAKE, &ids[39], has_depth, &generation,
					 &(struct lake_commit){.n_parents = 0}, &err),
			 ST_NOT_FOUND);
	assert_ok(lake_merge_base(LAKE, &side, &ids[39], &base, &err));
	assert_true(lake_id_equal(&base, &ids[10]));
	assert_ok(lake_is_ancestor(LAKE, &ids[10], &side, &is, &err));
	assert_true(is);
	assert_ok(lake_is_ancestor(LAKE, &ids[11], &side, &is, &err));
	assert_false(is);
}

static void test_diff(void **state)
{
	AUTO(lake_diff_closep) struct lake_diff *diff = NULL;
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	struct lake_id root = head_of("main"), a, b, many;
	struct lake_diff_entry e;
	static const struct {
		enum lake_change change;
		const char *path;
	} want[] = {{LAKE_CHANGED, "x/a"}, {LAKE_REMOVED, "x/b"}, {LAKE_ADDED, "x/c"}};

	(void)state;
	make_branch("dev", &root);
	change("dev", "x/a", "1");
	change("dev", "y/z", "1");
	a = change("dev", "x/b", "1");
	change("dev", "x/a", "2");
	change("dev", "x/b", NULL);
	change("dev", "y/z", "2");
	b = change("dev", "x/c", "3");
	assert_ok(lake_diff_open(LAKE, &a, &b, "x/", &diff, &err));
	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		assert_ok(lake_diff_next(diff, &e, &err));
		assert_string_equal(e.path, want[i].path);
		assert_int_equal(e.change, want[i].change);
		free(e.path);
	}
	assert_int_equal(lake_diff_next(diff, &e, &err), ST_END);
	lake_diff_close(MOVE(diff));
	assert_ok(lake_txn_begin(LAKE, &root, &txn, &err));
	for (int i = 0; i < 2100; i++) {
		char path[32];

		snprintf(path, sizeof(path), "n/%05d", i);
		assert_ok(lake_txn_put_bytes(txn, path, "", 0, NULL, NULL, &err));
	}
	assert_ok(lake_txn_prepare(txn, &many, &err));
	assert_ok(lake_diff_open(LAKE, &many, &root, "", &diff, &err));
	for (int i = 0; i < 2100; i++) {
		assert_ok(lake_diff_next(diff, &e, &err));
		assert_int_equal(e.change, LAKE_REMOVED);
		assert_int_equal(atoi(e.path + 2), i);
		free(e.path);
	}
	assert_int_equal(lake_diff_next(diff, &e, &err), ST_END);
}

static uint64_t counted(const struct lake_id *a, const struct lake_id *b, const char *prefix,
			uint64_t limit)
{
	uint64_t n = 99;

	assert_ok(lake_diff_count(LAKE, a, b, prefix, limit, &n, &err));
	return n;
}

/* How much differs, and what between two paths. */
static void test_parts_of_diff(void **state)
{
	struct lake_id root = head_of("main"), a, b;
	AUTO(lake_diff_closep) struct lake_diff *diff = NULL;
	struct lake_diff_entry e;
	uint64_t n = 99;

	(void)state;
	make_branch("dev", &root);
	change("dev", "x/a", "1");
	a = change("dev", "x/b", "1");
	change("dev", "x/a", "2");
	change("dev", "x/b", NULL);
	change("dev", "x/c & d?", "3");
	b = change("dev", "y/z", "3");
	assert_int_equal(counted(&a, &b, "", UINT64_MAX), 4);
	assert_int_equal(counted(&b, &a, "x/", UINT64_MAX), 3);
	assert_int_equal(counted(&root, &b, "x/", UINT64_MAX), 2);
	assert_int_equal(counted(&a, &b, "x/c & d?", UINT64_MAX), 1);
	assert_int_equal(counted(&a, &b, "none", UINT64_MAX), 0);
	assert_int_equal(counted(&a, &a, "", UINT64_MAX), 0);
	assert_true(counted(&a, &b, "", 2) >= 2);
	assert_true(counted(&a, &b, "", 1) < 4);
	assert_int_equal(lake_diff_count(LAKE, &a, &(struct lake_id){{1}}, "", 1, &n, &err),
			 ST_NOT_FOUND);
	assert_int_equal(n, 99);
	assert_ok(lake_diff_open_between(LAKE, &a, &b, "x/b", "y/z", &diff, &err));
	assert_ok(lake_diff_next(diff, &e, &err));
	assert_string_equal(e.path, "x/b");
	free(e.path);
	assert_ok(lake_diff_next(diff, &e, &err));
	assert_string_equal(e.path, "x/c & d?");
	free(e.path);
	assert_int_equal(lake_diff_next(diff, &e, &err), ST_END);
	lake_diff_close(MOVE(diff));
	assert_ok(lake_diff_open_between(LAKE, &a, &b, "x/d", NULL, &diff, &err));
	assert_ok(lake_diff_next(diff, &e, &err));
	assert_string_equal(e.path, "y/z");
	free(e.path);
	assert_int_equal(lake_diff_next(diff, &e, &err), ST_END);
}

/* ---- merge and revert ---- */

static void test_merge(void **state)
{
	AUTO(lake_conflicts_release) struct lake_conflicts conflicts = {.n = 0};
	AUTO(lake_conflicts_release) struct lake_conflicts unused = {.n = 0};
	AUTO(lake_commit_release) struct lake_commit commit = {.n_parents = 0};
	AUTO(lake_meta_release) struct lake_meta meta = LAKE_META_INIT;
	struct lake_id root = head_of("main"), id;
	struct lake_merge merge = {.message = "together", .meta = &meta};

	(void)state;
	lake_meta_set(&meta, "k", "v");
	make_branch("a", &root);
	make_branch("b", &root);
	merge.dest = change("a", "only-a", "1");
	merge.source = change("b", "only-b", "2");
	assert_ok(lake_merge_prepare(LAKE, &merge, &id, &unused, &err));
	assert_content(&id, "only-a", "1");
	assert_content(&id, "only-b", "2");
	assert_ok(lake_commit_read(LAKE, &id, &commit, &err));
	assert_string_equal(commit.message, "together");
	assert_string_equal(lake_meta_get(&commit.meta, "k"), "v");
	assert_int_equal(commit.n_parents, 2);
	assert_true(lake_id_equal(&commit.parents[0], &merge.dest));
	assert_true(lake_id_equal(&commit.parents[1], &merge.source));
	/* Already there. */
	merge.dest = id;
	assert_int_equal(lake_merge_prepare(LAKE, &merge, &id, &unused, &err), ST_EMPTY);
	merge.allow_empty = true;
	assert_ok(lake_merge_prepare(LAKE, &merge, &id, &unused, &err));
	/* Conflicts, a file against a folder among them. */
	merge.allow_empty = false;
	change("a", "same", "of a");
	change("b", "same", "of b");
	merge.dest = change("a", "dir", "a file");
	merge.source = change("b", "dir/file", "in a folder");
	assert_int_equal(lake_merge_prepare(LAKE, &merge, &id, &conflicts, &err), ST_CONFLICT);
	assert_int_equal(conflicts.n, 3);
	assert_string_equal(conflicts.paths[0], "dir");
	assert_string_equal(conflicts.paths[1], "dir/file");
	assert_string_equal(conflicts.paths[2], "same");
	merge.strategy = LAKE_OURS;
	assert_ok(lake_merge_prepare(LAKE, &merge, &id, &unused, &err));
	assert_content(&id, "same", "of a");
	assert_content(&id, "dir/file", NULL);
	merge.strategy = LAKE_THEIRS;
	assert_ok(lake_merge_prepare(LAKE, &merge, &id, &unused, &err));
	assert_content(&id, "same", "of b");
	assert_content(&id, "dir", NULL);
	assert_content(&id, "dir/file", "in a folder");
}

static enum status revert(const struct lake_id *head, const struct lake_id *commits, size_t n,
			  struct lake_id *out, struct lake_conflicts *conflicts)
{
	const struct lake_revert wish = {.commits = commits, .n = n, .message = "undo"};

	return lake_revert_prepare(LAKE, head, &wish, out, conflicts, &err);
}

static void test_revert(void **state)
{
	AUTO(lake_conflicts_release) struct lake_conflicts conflicts = {.n = 0};
	AUTO(lake_conflicts_release) struct lake_conflicts unused = {.n = 0};
	struct lake_id root = head_of("main"), ids[3], head, id;

	(void)state;
	make_branch("dev", &root);
	ids[0] = change("dev", "a", "1");
	ids[1] = change("dev", "b", "1");
	ids[2] = change("dev", "b", "2");
	head = change("dev", "c", "1");
	assert_ok(revert(&head, &ids[0], 1, &id, &unused));
	assert_content(&id, "a", NULL);
	assert_content(&id, "c", "1");
	assert_ok(revert(&head, (struct lake_id[]){ids[2], ids[1]}, 2, &id, &unused));
	assert_content(&id, "b", NULL);
	assert_int_equal(revert(&head, &ids[1], 1, &id, &conflicts), ST_CONFLICT);
	assert_int_equal(conflicts.n, 1);
	assert_string_equal(conflicts.paths[0], "b");
	assert_int_equal(revert(&head, &root, 1, &id, &unused), ST_USAGE);
	assert_ok(revert(&head, &ids[0], 1, &id, &unused));
	assert_int_equal(revert(&id, &ids[0], 1, &id, &unused), ST_EMPTY);
}

/* ---- staged changes ---- */

static void stage(const char *branch, const char *path, const char *text)
{
	AUTO(lake_upload_freep) struct lake_upload *up = upload(text, strlen(text));

	assert_ok(lake_stage_put(LAKE, branch, path, up, "text/plain", NULL, &err));
	(void)MOVE(up);
}

static void test_staged(void **state)
{
	AUTO(lake_changes_release) struct lake_changes changes = {.n = 0};
	AUTO(lake_changes_release) struct lake_changes gone = {.n = 0};
	AUTO(lake_commit_release) struct lake_commit commit = {.n_parents = 0};
	AUTO(lake_meta_release) struct lake_meta meta = LAKE_META_INIT;
	struct lake_id root = head_of("main"), id;

	(void)state;
	lake_meta_set(&meta, "k", "v");
	make_branch("dev", &root);
	assert_int_equal(lake_stage_commit(LAKE, "dev", "m", NULL, &id, &err), ST_EMPTY);
	change("dev", "old", "1");
	change("dev", "gone", "1");
	stage("dev", "new", "2");
	stage("dev", "old", "2");
	assert_ok(lake_stage_remove(LAKE, "dev", "gone", &err));
	assert_int_equal(lake_stage_remove(LAKE, "dev", "never", &err), ST_NOT_FOUND);
	assert_int_equal(lake_stage_remove(LAKE, "dev", "a//b", &err), ST_USAGE);
	id = head_of("dev");
	assert_content(&id, "old", "1"); /* not before the commit */
	assert_ok(lake_stage_changes(LAKE, "dev", &changes, &err));
	assert_int_equal(changes.n, 3);
	assert_string_equal(changes.items[0].path, "gone");
	assert_int_equal(changes.items[0].change, LAKE_REMOVED);
	assert_string_equal(changes.items[1].path, "new");
	assert_int_equal(changes.items[1].change, LAKE_ADDED);
	assert_string_equal(changes.items[2].path, "old");
	assert_int_equal(changes.items[2].change, LAKE_CHANGED);
	assert_ok(lake_stage_commit(LAKE, "dev", "by hand", &meta, &id, &err));
	assert_content(&id, "old", "2");
	assert_content(&id, "new", "2");
	assert_content(&id, "gone", NULL);
	assert_ok(lake_commit_read(LAKE, &id, &commit, &err));
	assert_string_equal(commit.message, "by hand");
	assert_string_equal(lake_meta_get(&commit.meta, "k"), "v");
	stage("dev", "x", "1");
	assert_ok(lake_stage_discard(LAKE, "dev", &err));
	assert_ok(lake_stage_changes(LAKE, "dev", &gone, &err));
	assert_int_equal(gone.n, 0);
	assert_int_equal(lake_stage_discard(LAKE, "nowhere", &err), ST_NOT_FOUND);
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

#define SUITE(open)                                                                                \
	{                                                                                          \
		cmocka_unit_test_setup_teardown(test_new_lake, open, close_lake),                  \
			cmocka_unit_test_setup_teardown(test_refs, open, close_lake),              \
			cmocka_unit_test_setup_teardown(test_resolve, open, close_lake),           \
			cmocka_unit_test_setup_teardown(test_protection, open, close_lake),        \
			cmocka_unit_test_setup_teardown(test_reflog, open, close_lake),            \
			cmocka_unit_test_setup_teardown(test_transaction, open, close_lake),       \
			cmocka_unit_test_setup_teardown(test_twice_in_one, open, close_lake),      \
			cmocka_unit_test_setup_teardown(test_graft, open, close_lake),             \
			cmocka_unit_test_setup_teardown(test_objects, open, close_lake),           \
			cmocka_unit_test_setup_teardown(test_files_and_holds, open, close_lake),   \
			cmocka_unit_test_setup_teardown(test_reserve, open, close_lake),           \
			cmocka_unit_test_setup_teardown(test_list, open, close_lake),              \
			cmocka_unit_test_setup_teardown(test_history, open, close_lake),           \
			cmocka_unit_test_setup_teardown(test_diff, open, close_lake),              \
			cmocka_unit_test_setup_teardown(test_parts_of_diff, open, close_lake),     \
			cmocka_unit_test_setup_teardown(test_merge, open, close_lake),             \
			cmocka_unit_test_setup_teardown(test_revert, open, close_lake),            \
			cmocka_unit_test_setup_teardown(test_staged, open, close_lake),            \
	}

int main(void)
{
	const struct CMUnitTest embedded[] = SUITE(open_embedded);
	const struct CMUnitTest remote[] = SUITE(open_socket);
	/* The socket's first: its owners are forked before RocksDB has threads. */
	int failed = cmocka_run_group_tests_name("through the socket", remote, NULL, NULL);

	return failed + cmocka_run_group_tests_name("embedded", embedded, NULL, NULL);
}
