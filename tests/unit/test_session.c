/* A session against a fake Kafka. Where the group's coordinator has forgotten us it
 * says that it waits, and ends so that the next one joins anew; and it commits at
 * the times of checkpoint.schedule, as the publisher's thread publishes at those of
 * publish.schedule. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "connector/worker/publisher.h"
#include "connector/worker/session.h"
#include "core/base/log.h"
#include "tests/lib/fake_kafka.h"
#include "tests/lib/must.h"
#include "tests/lib/tempdir.h"
#include "tests/lib/virtual_clock.h"

#define NINE_MS 1700035200000 /* 09:00 in Berlin is 08:00 in UTC */

struct world {
	char *dir;
	struct virtual_clock clock;
	struct rng rng;
	struct config config;
	struct lake *lake;
	struct fake_kafka *kafka;
	struct session *session;
	int64_t committed_ms; /* when the last checkpoint was made */
	int checkpoints;
	bool deaf; /* the next consumers' subscriptions are not heard */
	struct consumer_ops deaf_ops;
};

static enum status never_heard(struct consumer *c, struct err *err)
{
	(void)c;
	(void)err;
	return ST_OK;
}

static enum status open_consumer(void *ctx, const struct consumer_options *options,
				 struct consumer **out, struct err *err)
{
	struct world *w = ctx;
	enum status st = fake_consumer_open(w->kafka, options, out, err);

	if (st == ST_OK && w->deaf) {
		w->deaf_ops = *(*out)->ops;
		w->deaf_ops.subscribe = never_heard;
		(*out)->ops = &w->deaf_ops;
	}
	return st;
}

static int setup(void **state)
{
	const struct fake_kafka_options kafka = {
		.seed = 5, .n_topics = 1, .layout = {.format = ROWS_JSON}};
	struct world *w = xcalloc(1, sizeof(*w));
	struct lake_options options = {.access = LAKE_OWN, .create = true};
	struct props p = PROPS_INIT;

	log_set_level(LOG_ERROR);
	w->dir = tempdir_new();
	w->rng = rng_seeded(1);
	virtual_clock_init(&w->clock, 1700000000000);
	options.clock = &w->clock.clock;
	props_set(&p, "name", "orders");
	props_set(&p, "topics", "t0");
	props_set(&p, "bootstrap.servers", "fake:9092");
	props_set(&p, "worker.id", "w");
	props_set(&p, "value.converter", "json");
	props_set(&p, "format", "json");
	MUST(config_load(&p, &w->config, &err));
	MUST(lake_open(w->dir, &options, &w->lake, &err));
	w->kafka = fake_kafka_new(&kafka, &w->clock.clock);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	struct err err = ERR_INIT;

	if (w->session)
		(void)!session_close(w->session, false, &err);
	fake_kafka_free(w->kafka);
	lake_close(w->lake);
	config_release(&w->config);
	tempdir_remove(&w->dir);
	free(w);
	return 0;
}

static void checkpointed(void *ctx, const struct checkpoint *head, const struct batch *batch)
{
	struct world *w = ctx;

	(void)head;
	(void)batch;
	w->checkpoints++;
	w->committed_ms = w->clock.clock.wall_ms(&w->clock.clock);
}

static void open_session(struct world *w)
{
	const struct session_options options = {
		.config = &w->config,
		.lake = w->lake,
		.clock = &w->clock.clock,
		.rng = &w->rng,
		.open_consumer = open_consumer,
		.open_ctx = w,
		.checkpointed = checkpointed,
		.ctx = w,
	};

	MUST(session_open(&options, &w->session, &err));
}

/* Steps once a second for so long, or until the session ends. */
static enum session_end step_for(struct world *w, int seconds, enum status *st, struct err *err)
{
	enum session_end end = SESSION_GOES_ON;

	for (int i = 0; i < seconds && end == SESSION_GOES_ON; i++) {
		virtual_clock_advance(&w->clock, 1000);
		end = session_step(w->session, 0, st, err);
	}
	return end;
}

static void test_group_that_never_answers(void **state)
{
	struct world *w = *state;
	struct err err = ERR_INIT;
	enum status st = ST_OK;

	w->deaf = true;
	open_session(w);
	assert_int_equal(step_for(w, 100, &st, &err), SESSION_GOES_ON);
	assert_int_equal(step_for(w, 100, &st, &err), SESSION_AGAIN);
	assert_int_equal(st, ST_UNREACHABLE);
	assert_non_null(strstr(err.text, "connect-orders"));
	assert_int_equal(session_close(MOVE(w->session), false, &err), ST_OK);

	w->deaf = false;
	open_session(w);
	assert_int_equal(step_for(w, 200, &st, &err), SESSION_GOES_ON);
}

static void go_on(struct world *w, int seconds)
{
	struct err err = ERR_INIT;
	enum status st = ST_OK;

	assert_int_equal(step_for(w, seconds, &st, &err), SESSION_GOES_ON);
}

/* Twenty seconds before nine in Berlin, with a cron line for times there. */
static struct cron *before_nine(struct world *w)
{
	struct zone *zone = NULL;
	struct cron *cron = NULL;

	MUST(zone_open("Europe/Berlin", &zone, &err));
	MUST(cron_parse("0 9-11 * * *", zone, &cron, &err));
	virtual_clock_init(&w->clock, NINE_MS - 20000);
	return cron;
}

static void test_checkpoint_schedule(void **state)
{
	struct world *w = *state;

	w->config.checkpoint_cron = before_nine(w);
	w->config.checkpoint_interval_ms = 366LL * 24 * 3600 * 1000;
	open_session(w);
	go_on(w, 19);
	assert_int_equal(w->checkpoints, 0);
	go_on(w, 300);
	assert_int_equal(w->checkpoints, 1);
	assert_int_equal(w->committed_ms, NINE_MS);
	/* the rest at ten; at eleven there is nothing any more */
	go_on(w, 3 * 3600);
	assert_int_equal(w->checkpoints, 2);
	assert_int_equal(w->committed_ms, NINE_MS + 3600000);
}

static void test_publish_schedule(void **state)
{
	struct world *w = *state;
	const struct publisher publisher = {
		.config = &w->config, .lake = w->lake, .clock = &w->clock.clock, .rng = &w->rng};
	const struct timespec pause = {.tv_nsec = 1000000};
	struct publisher_thread *thread;
	struct lake_id first, head;

	w->config.publish_cron = before_nine(w);
	open_session(w);
	go_on(w, 10);
	MUST(session_checkpoint(w->session, &err));
	MUST(lake_ref_get(w->lake, LAKE_BRANCH, "main", &first, &err));
	thread = publisher_start(&publisher);
	publisher_checkpointed(thread);
	virtual_clock_advance(&w->clock, 10000);
	for (int i = 0; i < 20000; i++) {
		MUST(lake_ref_get(w->lake, LAKE_BRANCH, "main", &head, &err));
		if (!lake_id_equal(&first, &head))
			break;
		nanosleep(&pause, NULL);
	}
	assert_false(lake_id_equal(&first, &head));
	MUST(publisher_finish(thread, false, &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_group_that_never_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_checkpoint_schedule, setup, teardown),
		cmocka_unit_test_setup_teardown(test_publish_schedule, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
