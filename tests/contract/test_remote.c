/* What is special about the lake through its owner's socket: the socket
 * itself, calls, what becomes of things when client or owner die, and requests
 * that no client of ours would make. */
#include <setjmp.h>
#include <stdarg.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/lake_backend.h"
#include "core/net/http_client.h"
#include "core/remote/server.h"
#include "tests/lib/lake_fixture.h"

static struct lake_fixture fixture;
static struct err err;

#define assert_ok(expression)                                                                      \
	do {                                                                                       \
		enum status st_ = (expression);                                                    \
		if (st_ != ST_OK)                                                                  \
			print_error("%s: %s\n", status_name(st_), err.text);                       \
		assert_int_equal(st_, ST_OK);                                                      \
	} while (0)

static const struct lake_options through_socket = {.access = LAKE_ANY, .committer = "client"};
static const struct lake_options as_owner = {.access = LAKE_OWN, .create = true};

static struct lake_id head_of(struct lake *lake, const char *branch)
{
	struct lake_id id;

	assert_ok(lake_ref_get(lake, LAKE_BRANCH, branch, &id, &err));
	return id;
}

static enum status make_branch(struct lake *lake, const char *name)
{
	struct lake_move move = {.kind = LAKE_BRANCH, .name = name, .to = head_of(lake, "main")};

	return lake_refs_move(lake, &move, 1, "branch", &err);
}

static void kill_owner(struct lake_fixture *f)
{
	int status;

	kill(f->owner, SIGKILL);
	assert_int_equal(waitpid(f->owner, &status, 0), f->owner);
	close(f->stop_fd);
	f->owner = 0;
}

/* ---- outcomes (first: a process looks once where it shall die) ---- */

static void start_owner_that_dies(const char *where)
{
	setenv("TIDEMARK_KILL_AT", where, 1);
	lake_fixture_stop_owner(&fixture);
	lake_fixture_start_owner(&fixture);
	unsetenv("TIDEMARK_KILL_AT");
}

static void owner_is_dead(void)
{
	int status;

	assert_int_equal(waitpid(fixture.owner, &status, 0), fixture.owner);
	assert_true(WIFSIGNALED(status));
	close(fixture.stop_fd);
	lake_fixture_start_owner(&fixture);
}

static void test_unknown_outcome(void **state)
{
	struct lake_id head;

	(void)state;
	start_owner_that_dies("remote.write.done:1");
	assert_int_equal(make_branch(fixture.lake, "dev"), ST_UNKNOWN);
	owner_is_dead();
	/* It was done: looking tells. */
	head = head_of(fixture.lake, "dev");
	assert_int_equal(make_branch(fixture.lake, "dev"), ST_CONFLICT);

	/* What nobody sees is merely not reached. 1: session, 2: upload, 3: txn */
	start_owner_that_dies("remote.write.done:3");
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	assert_ok(lake_txn_begin(fixture.lake, &head, &txn, &err));
	assert_ok(lake_txn_put_bytes(txn, "a", "1", 1, NULL, NULL, &err));
	assert_int_equal(lake_txn_prepare(txn, &head, &err), ST_UNREACHABLE);
	owner_is_dead();
	/* The uploads went with the owner. */
	assert_int_equal(lake_txn_prepare(txn, &head, &err), ST_UNREACHABLE);
}

/* ---- the socket ---- */

static void test_socket_file(void **state)
{
	AUTO(freep) char *path = xasprintf("%s/sock", fixture.folder);
	struct lake *other = NULL;
	struct stat st;

	(void)state;
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(lake_open(fixture.folder, &as_owner, &other, &err), ST_BUSY);
	assert_false(lake_is_owner(fixture.lake));
	lake_fixture_stop_owner(&fixture);
	assert_int_equal(stat(path, &st), -1);
	assert_int_equal(lake_resolve(fixture.lake, "main", &(struct lake_id){{0}}, &err),
			 ST_UNREACHABLE);
}

/* In a process of its own, so that this one keeps free of RocksDB's threads. */
static bool command_owns_it(const char *folder)
{
	int status;
	pid_t child;

	fflush(NULL);
	child = fork();
	if (child == 0) {
		struct lake *lake = NULL;
		bool owns = lake_open(folder, &through_socket, &lake, &err) == ST_OK &&
			    lake_is_owner(lake);

		lake_close(lake);
		_exit(owns ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return status == 0;
}

static void test_stale_socket(void **state)
{
	AUTO(freep) char *path = xasprintf("%s/sock", fixture.folder);
	AUTO(lake_closep) struct lake *mine = NULL;
	struct stat st;

	(void)state;
	kill_owner(&fixture);
	assert_int_equal(stat(path, &st), 0);
	/* A command now owns the lake itself, and a worker replaces the socket. */
	assert_true(command_owns_it(fixture.folder));
	lake_fixture_start_owner(&fixture);
	assert_ok(lake_open(fixture.folder, &through_socket, &mine, &err));
	assert_false(lake_is_owner(mine));
}

static void test_owner_replaced(void **state)
{
	AUTO(lake_upload_freep) struct lake_upload *old = NULL;
	AUTO(lake_upload_freep) struct lake_upload *fresh = NULL;
	AUTO(freep) char *data = xcalloc(1, 2000000);
	struct lake_id id;

	(void)state;
	assert_ok(make_branch(fixture.lake, "dev"));
	assert_ok(lake_upload_open(fixture.lake, &old, &err));
	assert_ok(lake_upload_write(old, data, 2000000, &err));
	lake_fixture_stop_owner(&fixture);
	lake_fixture_start_owner(&fixture);
	id = head_of(fixture.lake, "dev");
	assert_int_equal(lake_upload_finish(old, &err), ST_UNREACHABLE);
	assert_ok(lake_upload_open(fixture.lake, &fresh, &err));
	assert_ok(lake_upload_write(fresh, data, 2000000, &err));
	assert_ok(lake_upload_finish(fresh, &err));
	assert_ok(lake_stage_put(fixture.lake, "dev", "x", fresh, NULL, NULL, &err));
	(void)MOVE(fresh);
	assert_ok(lake_stage_commit(fixture.lake, "dev", "m", NULL, &id, &err));
}

/* ---- calls ---- */

static void test_calls(void **state)
{
	AUTO(buf_release) struct buf out = BUF_INIT;
	AUTO(freep) char *pid = xasprintf("%d", (int)fixture.owner);

	(void)state;
	assert_ok(lake_call(fixture.lake, "echo", "{\"a\": \"\xe2\x82\xac&b\"}", &out, &err));
	assert_string_equal(out.data, "{\"a\": \"\xe2\x82\xac&b\"}");
	buf_clear(&out);
	assert_ok(lake_call(fixture.lake, "echo", "", &out, &err));
	assert_int_equal(out.len, 0);
	assert_ok(lake_call(fixture.lake, "owner", "{}", &out, &err));
	assert_string_equal(out.data, pid);
	assert_int_equal(lake_call(fixture.lake, "fail", "why", &out, &err), ST_HELD);
	assert_string_equal(err.text, "held: why");
	assert_int_equal(err.code, ST_HELD);
}

/* ---- an owner in this process ---- */

struct blocked {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	bool entered, release, finished;
	struct lake *client;
};

static enum status old_handler(void *ctx, const char *method, const char *in, struct buf *out,
			       struct err *e)
{
	struct blocked *b = ctx;

	(void)method, (void)in, (void)out, (void)e;
	pthread_mutex_lock(&b->mutex);
	b->entered = true;
	pthread_cond_broadcast(&b->changed);
	while (!b->release)
		pthread_cond_wait(&b->changed, &b->mutex);
	b->finished = true;
	pthread_mutex_unlock(&b->mutex);
	return ST_OK;
}

static enum status new_handler(void *ctx, const char *method, const char *in, struct buf *out,
			       struct err *e)
{
	(void)ctx, (void)method, (void)in, (void)e;
	buf_adds(out, "new");
	return ST_OK;
}

static void *call_old(void *ctx)
{
	struct blocked *b = ctx;
	AUTO(buf_release) struct buf out = BUF_INIT;

	assert_int_equal(lake_call(b->client, "x", "", &out, NULL), ST_OK);
	return NULL;
}

/* Lets the old call end only when new calls are answered already. */
static void *release_when_new(void *ctx)
{
	struct blocked *b = ctx;

	for (bool is_new = false; !is_new;) {
		AUTO(buf_release) struct buf out = BUF_INIT;
		/* One of the old handler's would wait for ever. */
		enum status st = lake_call(b->client, "x", "", &out, NULL);

		is_new = st == ST_OK && strcmp(buf_str(&out), "new") == 0;
	}
	pthread_mutex_lock(&b->mutex);
	b->release = true;
	pthread_cond_broadcast(&b->changed);
	pthread_mutex_unlock(&b->mutex);
	return NULL;
}

static enum status gate_handler(void *ctx, const char *method, const char *in, struct buf *out,
				struct err *e)
{
	struct blocked *b = ctx;
	bool first;

	pthread_mutex_lock(&b->mutex);
	first = !b->entered;
	pthread_mutex_unlock(&b->mutex);
	return first ? old_handler(ctx, method, in, out, e) : ST_OK;
}

static void test_handler_replaced(void **state)
{
	struct blocked b = {.mutex = PTHREAD_MUTEX_INITIALIZER,
			    .changed = PTHREAD_COND_INITIALIZER};
	AUTO(buf_release) struct buf out = BUF_INIT;
	pthread_t caller, releaser;

	(void)state;
	lake_fixture_open(&fixture, LAKE_EMBEDDED, 0);
	assert_ok(lake_serve(fixture.lake, gate_handler, &b, &err));
	assert_ok(lake_open(fixture.folder, &through_socket, &b.client, &err));
	pthread_create(&caller, NULL, call_old, &b);
	pthread_mutex_lock(&b.mutex);
	while (!b.entered)
		pthread_cond_wait(&b.changed, &b.mutex);
	pthread_mutex_unlock(&b.mutex);
	pthread_create(&releaser, NULL, release_when_new, &b);
	assert_ok(lake_serve(fixture.lake, new_handler, NULL, &err));
	assert_true(b.finished);
	pthread_join(caller, NULL);
	pthread_join(releaser, NULL);
	assert_ok(lake_serve(fixture.lake, NULL, NULL, &err));
	assert_int_equal(lake_call(b.client, "x", "", &out, &err), ST_NOT_FOUND);
	assert_int_equal(lake_call(fixture.lake, "x", "", &out, &err), ST_NOT_FOUND);
	lake_close(b.client);
	lake_fixture_close(&fixture);
}

static size_t count_files(const char *folder)
{
	AUTO(freep) char *path = xasprintf("%s/tmp", folder);
	DIR *dir = opendir(path);
	size_t n = 0;

	assert_non_null(dir);
	for (struct dirent *e; (e = readdir(dir));)
		n += e->d_name[0] != '.';
	closedir(dir);
	return n;
}

/* Opens one of each, says so, and waits to be killed. */
static void hold_things(const char *folder, int go, int ready)
{
	struct lake *lake = NULL;
	struct lake_upload *up = NULL;
	struct lake_object *object = NULL;
	struct lake_diff *diff = NULL;
	struct lake_id id, root;
	char *data = xcalloc(1, 2000000);
	char c;

	if (read(go, &c, 1) != 1 || lake_open(folder, &through_socket, &lake, &err) != ST_OK ||
	    lake_resolve(lake, "dev", &id, &err) != ST_OK ||
	    lake_resolve(lake, "main", &root, &err) != ST_OK ||
	    lake_upload_open(lake, &up, &err) != ST_OK ||
	    lake_upload_write(up, data, 2000000, &err) != ST_OK ||
	    lake_object_open(lake, &id, "x", &object, &err) != ST_OK ||
	    lake_diff_open(lake, &root, &id, "", &diff, &err) != ST_OK || write(ready, "r", 1) != 1)
		abort();
	for (;;)
		pause();
}

/* The kernel tells the owner that a client died, however it did. */
static void test_client_killed(void **state)
{
	struct lake_id id;
	int go[2], ready[2], status;
	pid_t child;
	char c;

	(void)state;
	fixture = (struct lake_fixture){0};
	fixture.top = xstrdup("/tmp/tidemark-remote-XXXXXX");
	assert_non_null(mkdtemp(fixture.top));
	fixture.folder = xasprintf("%s/lake", fixture.top);
	assert_int_equal(pipe(go) | pipe(ready), 0);
	child = fork();
	if (child == 0)
		hold_things(fixture.folder, go[0], ready[1]);
	assert_ok(lake_open(fixture.folder, &as_owner, &fixture.lake, &err));
	assert_ok(lake_serve(fixture.lake, NULL, NULL, &err));
	assert_ok(make_branch(fixture.lake, "dev"));
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	id = head_of(fixture.lake, "dev");
	assert_ok(lake_txn_begin(fixture.lake, &id, &txn, &err));
	assert_ok(lake_txn_put_bytes(txn, "x", "1", 1, NULL, NULL, &err));
	assert_ok(lake_txn_commit(txn, "dev", &id, "", &id, &err));
	assert_int_equal(write(go[1], "g", 1), 1);
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(remote_server_open_handles(fixture.lake->server), 3);
	assert_int_equal(count_files(fixture.folder), 1);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, &status, 0), child);
	while (remote_server_open_handles(fixture.lake->server) || count_files(fixture.folder))
		usleep(1000);
	for (int i = 0; i < 2; i++) {
		close(go[i]);
		close(ready[i]);
	}
	lake_txn_free(MOVE(txn));
	lake_fixture_close(&fixture);
}

/* What a client frees is freed at the owner. */
static void test_handles_closed(void **state)
{
	struct lake *lake = NULL;
	struct lake_id id;

	(void)state;
	lake_fixture_open(&fixture, LAKE_EMBEDDED, 0);
	assert_ok(lake_serve(fixture.lake, NULL, NULL, &err));
	assert_ok(lake_open(fixture.folder, &through_socket, &lake, &err));
	assert_ok(make_branch(lake, "dev"));
	for (int i = 0; i < 3; i++) {
		AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
		AUTO(lake_object_closep) struct lake_object *object = NULL;
		AUTO(lake_diff_closep) struct lake_diff *diff = NULL;
		struct lake_id root = head_of(lake, "main");

		id = head_of(lake, "dev");
		assert_ok(lake_txn_begin(lake, &id, &txn, &err));
		assert_ok(lake_txn_put_bytes(txn, "x", &i, sizeof(i), NULL, NULL, &err));
		assert_ok(lake_txn_commit(txn, "dev", &id, "", &id, &err));
		assert_ok(lake_object_open(lake, &id, "x", &object, &err));
		assert_ok(lake_diff_open(lake, &root, &id, "", &diff, &err));
		assert_int_equal(remote_server_open_handles(fixture.lake->server), 3);
	}
	assert_int_equal(remote_server_open_handles(fixture.lake->server), 0);
	lake_close(lake);
	lake_fixture_close(&fixture);
}

/* ---- many at once, over one struct lake ---- */

struct committer {
	struct lake *lake;
	int number;
	bool ok;
};

static bool commit_some(struct committer *c)
{
	char branch[16], path[16];
	struct lake_id head;

	snprintf(branch, sizeof(branch), "b%d", c->number);
	if (lake_ref_get(c->lake, LAKE_BRANCH, branch, &head, NULL) != ST_OK)
		return false;
	for (int i = 0; i < 10; i++) {
		AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
		AUTO(buf_release) struct buf content = BUF_INIT;
		enum status st = lake_txn_begin(c->lake, &head, &txn, NULL);

		snprintf(path, sizeof(path), "p%d", i);
		if (st == ST_OK)
			st = lake_txn_put_bytes(txn, path, branch, strlen(branch), NULL, NULL,
						NULL);
		if (st == ST_OK)
			st = lake_txn_commit(txn, branch, &head, "", &head, NULL);
		if (st == ST_OK)
			st = lake_read(c->lake, &head, "p0", 100, &content, NULL);
		if (st != ST_OK || strcmp(buf_str(&content), branch) != 0)
			return false;
	}
	return true;
}

static void *run_committer(void *ctx)
{
	struct committer *c = ctx;

	c->ok = commit_some(c);
	return NULL;
}

static void test_threads(void **state)
{
	struct committer c[6];
	pthread_t threads[6];
	struct lake *lake = NULL;
	char branch[16];

	(void)state;
	lake_fixture_open(&fixture, LAKE_EMBEDDED, 0);
	assert_ok(lake_serve(fixture.lake, NULL, NULL, &err));
	assert_ok(lake_open(fixture.folder, &through_socket, &lake, &err));
	for (int i = 0; i < 6; i++) {
		snprintf(branch, sizeof(branch), "b%d", i);
		assert_ok(make_branch(lake, branch));
		c[i] = (struct committer){.lake = lake, .number = i};
		pthread_create(&threads[i], NULL, run_committer, &c[i]);
	}
	for (int i = 0; i < 6; i++) {
		pthread_join(threads[i], NULL);
		assert_true(c[i].ok);
	}
	lake_close(lake);
	lake_fixture_close(&fixture);
}

/* ---- requests of nobody's ---- */

static long ask(struct http_client *client, const char *method, const char *what, const char *body)
{
	AUTO(http_answer_release) struct http_answer answer = HTTP_ANSWER_INIT;
	AUTO(freep) char *url = xasprintf("http://lake%s", what);
	const struct http_request request = {
		.method = method, .url = url, .body = body, .body_len = body ? strlen(body) : 0};

	assert_ok(http_request(client, &request, &answer, &err));
	assert_true(answer.code == 200 || strstr(buf_str(&answer.body), "\"status\""));
	return answer.code;
}

static void test_strange_requests(void **state)
{
	static const char *const paths[] = {"/",
					    "/v1/",
					    "/v1/nothing",
					    "/v1/ref",
					    "/v1/ref?kind=branch",
					    "/v1/ref?kind=x&name=main",
					    "/v1/commit?id=12",
					    "/v1/commit-prefix?prefix=zzzzzz",
					    "/v1/commit-prefix?prefix=abc",
					    "/v1/reflog?limit=-1",
					    "/v1/stat?commit=00",
					    "/v1/list?commit=x",
					    "/v1/object-open?session=1&commit=1&path=a",
					    "/v1/diff-open?session=x"};
	static const char *const posts[] = {
		"/v1/refs-move",     "/v1/protect",    "/v1/txn",          "/v1/merge",
		"/v1/revert",        "/v1/stage-put",  "/v1/stage-remove", "/v1/stage-commit",
		"/v1/stage-discard", "/v1/cherry-pick"};
	static const char *const bodies[] = {NULL,
					     "",
					     "x",
					     "[]",
					     "{}",
					     "{\"moves\":[{}]}",
					     "{\"moves\":[7],\"reason\":\"\"}",
					     "{\"branch\":{\"hex\":\"zz\"},\"by\":\"\"}",
					     "{\"session\":1,\"puts\":[1]}",
					     "{\"branch\":7,\"path\":7}"};
	AUTO(freep) char *path = xasprintf("%s/sock", fixture.folder);
	AUTO(http_client_freep)
	struct http_client *client =
		http_client_new(&(struct http_client_options){.unix_socket = path});
	struct lake_id head;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		assert_int_equal(ask(client, "GET", paths[i], NULL), 400);
	for (size_t i = 0; i < ARRAY_SIZE(posts); i++)
		for (size_t k = 0; k < ARRAY_SIZE(bodies); k++)
			assert_int_equal(ask(client, "POST", posts[i], bodies[k]), 400);
	/* Handles of nobody's, and one of another kind. */
	assert_int_equal(ask(client, "POST", "/v1/upload?session=1", "x"), 500);
	assert_int_equal(ask(client, "POST", "/v1/close?kind=diff&session=1&handle=1", NULL), 500);
	assert_int_equal(
		ask(client, "GET", "/v1/object-read?session=1&handle=1&offset=0&len=1", NULL), 500);
	assert_int_equal(ask(client, "GET",
			     "/v1/object-read?session=1&handle=1&offset=0&len=99999999", NULL),
			 400);
	assert_int_equal(ask(client, "POST", "/v1/session", NULL), 200);
	assert_int_equal(ask(client, "POST", "/v1/session", NULL), 400);
	head = head_of(fixture.lake, "main"); /* it lives */
	assert_false(lake_id_is_none(&head));
}

/* An upload that is not finished, and things in the wrong order. */
static void test_strange_transaction(void **state)
{
	AUTO(lake_upload_freep) struct lake_upload *up = NULL;
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	struct lake_id head = head_of(fixture.lake, "main"), id;
	void *data;
	size_t room;

	(void)state;
	assert_ok(lake_upload_open(fixture.lake, &up, &err));
	assert_ok(lake_upload_reserve(up, 1000, &data, &room, &err));
	memset(data, 0, 1000);
	lake_upload_advance(up, 1000);
	for (int i = 0; i < 3; i++) { /* more than a chunk: so that it is at the owner */
		assert_ok(lake_upload_reserve(up, 256 << 10, &data, &room, &err));
		memset(data, 0, 256 << 10);
		lake_upload_advance(up, 256 << 10);
	}
	assert_ok(lake_txn_begin(fixture.lake, &head, &txn, &err));
	up->finished = true; /* a lie */
	assert_ok(lake_txn_put(txn, "a", up, NULL, NULL, &err));
	(void)MOVE(up);
	assert_int_equal(lake_txn_prepare(txn, &id, &err), ST_USAGE);
}

static int open_socket(void **state)
{
	(void)state;
	lake_fixture_open(&fixture, LAKE_SOCKET, 0);
	return 0;
}

/* A path over what fits into a socket's address. */
static int open_long(void **state)
{
	(void)state;
	lake_fixture_open(&fixture, LAKE_SOCKET, 200);
	return 0;
}

static int close_lake(void **state)
{
	(void)state;
	lake_fixture_close(&fixture);
	return 0;
}

int main(void)
{
	/* Owners are forked while this process has no threads of RocksDB's: so the
	 * tests that own a lake themselves come last. */
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_unknown_outcome, open_socket, close_lake),
		cmocka_unit_test_setup_teardown(test_socket_file, open_socket, close_lake),
		cmocka_unit_test_setup_teardown(test_socket_file, open_long, close_lake),
		cmocka_unit_test_setup_teardown(test_owner_replaced, open_long, close_lake),
		cmocka_unit_test_setup_teardown(test_owner_replaced, open_socket, close_lake),
		cmocka_unit_test_setup_teardown(test_calls, open_socket, close_lake),
		cmocka_unit_test_setup_teardown(test_stale_socket, open_socket, close_lake),
		cmocka_unit_test_setup_teardown(test_strange_requests, open_socket, close_lake),
		cmocka_unit_test_setup_teardown(test_strange_transaction, open_socket, close_lake),
		cmocka_unit_test(test_client_killed),
		cmocka_unit_test(test_handler_replaced),
		cmocka_unit_test(test_handles_closed),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
