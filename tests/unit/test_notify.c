/* Notifications: which moves are told of, and what is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "connector/history/publish.h"
#include "connector/worker/config.h"
#include "connector/worker/notify.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "tests/lib/history_steps.h"
#include "tests/lib/http_stub.h"
#include "tests/lib/lake_steps.h"
#include "tests/lib/must.h"
#include "tests/lib/tempdir.h"

struct world {
	char *dir;
	struct lake *lake;
	struct history h;
	struct config config;
	struct notify notify;
};

/* A line of checkpoints, and a configuration that knows it by the same names. */
static void open_world(struct world *w, const char *committer, const char *how)
{
	const struct lake_options options = {
		.access = LAKE_OWN, .create = true, .committer = committer};
	AUTO(props_release) struct props p = PROPS_INIT;
	const bool is_url = strncmp(how, "http", 4) == 0;

	log_set_level(LOG_ERROR);
	*w = (struct world){.dir = tempdir_new()};
	MUST(lake_open(w->dir, &options, &w->lake, &err));
	history_start(&w->h, w->lake, "n", 1);
	props_set(&p, "name", "n");
	props_set(&p, "topics", "t");
	props_set(&p, "bootstrap.servers", "fake:9092");
	props_set(&p, "value.converter", "json");
	props_set(&p, "format", "json");
	props_set(&p, "lake.branch", w->h.branch);
	props_set(&p, "lake.target", w->h.target);
	props_set(&p, "publish.notify", "one");
	props_set(&p, "publish.notify.one.type", is_url ? "webhook" : "command");
	props_set(&p, is_url ? "publish.notify.one.url" : "publish.notify.one.command", how);
	MUST(config_load(&p, &w->config, &err));
	free(w->config.published);
	w->config.published = xstrdup(w->h.published);
	w->notify = (struct notify){.config = &w->config, .lake = w->lake, .clock = clock_system()};
}

static void close_world(struct world *w)
{
	history_release(&w->h);
	config_release(&w->config);
	lake_close(w->lake);
	tempdir_remove(&w->dir);
}

/* Commits ten rows and shows them. */
static void show_more(struct world *w, int64_t from)
{
	static const struct publish_request newest = {.judge = NULL};
	AUTO(publish_result_release) struct publish_result result = {.checkpoints = 0};

	history_commit(&w->h, &w->h.ingest, 0, from, from + 10);
	MUST(publish(&w->h.line, &newest, &result, &err));
}

static struct lake_id roll_back(struct world *w, const struct lake_id *to, enum rollback_mode mode)
{
	AUTO(rollback_plan_release) struct rollback_plan plan = {0};
	char hex[LAKE_ID_HEX_BYTES];
	const char *name = hex;
	const struct rollback_request request = {
		.to = &name, .n_to = 1, .mode = mode, .ask = history_ask};
	struct rollback_result result;

	lake_id_hex(to, hex);
	MUST(rollback_plan_make(&w->h.line, &request, &plan, &err));
	assert_int_equal(plan.mode, mode);
	MUST(rollback_apply(&w->h.line, &plan, &result, &err));
	MUST(ingest_refresh(&w->h.ingest, &err));
	return result.target;
}

/* "EVENT COMMIT" of a move, a line each. */
static void add_move(struct buf *out, const char *event, const struct lake_id *commit)
{
	char hex[LAKE_ID_HEX_BYTES];

	lake_id_hex(commit, hex);
	buf_addf(out, "%s %s\n", event, hex);
}

/* Published, published, and back by a rollback, before anybody was told. */
static void tell_after_a_rollback(enum rollback_mode mode)
{
	AUTO(tempdir_remove) char *dir = tempdir_new();
	AUTO(freep) char *told = xasprintf("%s/told", dir);
	AUTO(freep) char *command = xasprintf("echo $TIDEMARK_EVENT $TIDEMARK_REF >>%s", told);
	AUTO(buf_release) struct buf wanted = BUF_INIT;
	AUTO(buf_release) struct buf found = BUF_INIT;
	struct lake_id first, commit;
	struct world w;
	json_t *state;

	open_world(&w, "tester", command);
	MUST(notify_begin(&w.notify, &err));
	show_more(&w, 0);
	first = w.h.ingest.head.id;
	commit = head_of(w.lake, w.h.target);
	add_move(&wanted, "publish", &commit);
	for (int64_t from = 10; from < 30; from += 10) {
		show_more(&w, from);
		commit = head_of(w.lake, w.h.target);
		if (mode == ROLLBACK_REVERT)
			add_move(&wanted, "publish", &commit);
	}
	commit = roll_back(&w, &first, mode);
	add_move(&wanted, "rollback", &commit);
	MUST(notify_catch_up(&w.notify, &w.config.notifiers[0], &err));
	MUST(file_read(told, 1 << 20, &found, &err));
	assert_string_equal(buf_str(&found), buf_str(&wanted));
	/* it counts as told, up to the rollback */
	state = notify_state(w.lake, "n", "one");
	assert_int_equal(json_integer_value(json_object_get(state, "sequence")), 4);
	assert_int_equal(json_integer_value(json_object_get(state, "told")),
			 mode == ROLLBACK_REVERT ? 4 : 2);
	assert_int_equal(json_integer_value(json_object_get(state, "failed")), 0);
	json_decref(state);
	/* and is not told again */
	MUST(notify_catch_up(&w.notify, &w.config.notifiers[0], &err));
	buf_clear(&found);
	MUST(file_read(told, 1 << 20, &found, &err));
	assert_string_equal(buf_str(&found), buf_str(&wanted));
	close_world(&w);
}

static void what_a_reset_took_off_is_left_out(void **state)
{
	(void)state;
	tell_after_a_rollback(ROLLBACK_RESET);
}

static void what_a_revert_undid_is_told(void **state)
{
	(void)state;
	tell_after_a_rollback(ROLLBACK_REVERT);
}

static void keep_body(void *ctx, const struct http_stub_request *request, struct buf *reply)
{
	json_t **body = ctx;

	json_decref(*body);
	*body = json_loadb(request->body, request->body_len, 0, NULL);
	http_stub_reply(reply, 200, "");
}

/* The committer's name is in Latin 1. */
static void text_that_is_no_utf8_is_told_as_far_as_it_is(void **state)
{
	json_t *body = NULL;
	struct http_stub *stub = http_stub_new(keep_body, &body, false);
	AUTO(freep) char *url = xasprintf("http://127.0.0.1:%d/", http_stub_port(stub));
	struct world w;

	(void)state;
	open_world(&w, "J\xf6rg", url);
	MUST(notify_begin(&w.notify, &err));
	show_more(&w, 0);
	MUST(notify_catch_up(&w.notify, &w.config.notifiers[0], &err));
	http_stub_free(stub);
	assert_non_null(body);
	assert_string_equal(json_string_value(json_object_get(body, "committer")),
			    "J\xef\xbf\xbdrg");
	assert_true(json_object_size(json_object_get(body, "commit_metadata")) > 0);
	json_decref(body);
	close_world(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_reset_took_off_is_left_out),
		cmocka_unit_test(what_a_revert_undid_is_told),
		cmocka_unit_test(text_that_is_no_utf8_is_told_as_far_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
