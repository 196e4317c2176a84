#include "connector/worker/publisher.h"

#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>

#include "connector/gates/gates.h"
#include "connector/history/state.h"
#include "connector/worker/schedule.h"
#include "core/base/log.h"

struct line config_line(const struct config *config, struct lake *lake, struct rng *rng)
{
	return (struct line){
		.lake = lake,
		.connector = config->name,
		.branch = config->branch,
		.target = config->target,
		.published = config->published,
		.path_prefix = config->path_prefix,
		.rng = rng,
	};
}

/* How many publishes back the gates look. */
static size_t history_wanted(const struct config *c)
{
	size_t most = 0;

	for (size_t i = 0; i < c->n_gates; i++)
		if (c->gates[i].publishes > most)
			most = c->gates[i].publishes;
	return most;
}

static enum status judge(void *ctx, const struct publish_candidate *candidate, char **record_out,
			 struct err *err)
{
	const struct publisher *p = ctx;
	struct line line = config_line(p->config, p->lake, p->rng);
	size_t most = history_wanted(p->config);
	AUTO(freep) uint64_t *rows = xcalloc(most + 1, sizeof(*rows));
	AUTO(gate_results_release) struct gate_results results = {.n = 0};
	AUTO(buf_release) struct buf record = BUF_INIT;
	struct gate_subject subject = {
		.lake = p->lake,
		.connector = p->config->name,
		.target = p->config->target,
		.merged = candidate->merged,
		.target_head = candidate->target_head,
		.shown = candidate->shown,
		.from = candidate->from,
		.to = candidate->to,
		.roots = candidate->roots,
		.history = rows,
		.steering = candidate->steering,
		.clock = p->clock,
		.stop = p->stop,
	};
	enum status st =
		publication_rows(&line, &candidate->shown, most, rows, &subject.n_history, err);

	if (st != ST_OK)
		return st;
	st = gates_run(p->config->gates, p->config->n_gates, &subject, &results, err);
	gate_results_json(&results, &record);
	*record_out = xstrdup(buf_str(&record));
	return st;
}

/* Of a publish that did not come about: why, since when, and where ingest stood. */
static json_t *hold_json(const struct publisher *p, const char *reason)
{
	char time[TIME_TEXT_BYTES], hex[LAKE_ID_HEX_BYTES];
	struct lake_id head = {{0}};

	time_format(p->clock->wall_ms(p->clock), time);
	if (lake_ref_get(p->lake, LAKE_BRANCH, p->config->branch, &head, NULL) != ST_OK)
		head = (struct lake_id){{0}};
	lake_id_hex(&head, hex);
	return json_pack("{s:s,s:s,s:s}", "reason", reason, "since", time, "checkpoint", hex);
}

static void record_hold(const struct publisher *p, const struct publish_result *result,
			const char *reason)
{
	json_t *hold = hold_json(p, reason);
	char hex[LAKE_ID_HEX_BYTES];
	struct err err = ERR_INIT;

	if (result->record)
		json_object_set_new(hold, "gates", json_loads(result->record, 0, NULL));
	if (!lake_id_is_none(&result->first_bad)) {
		lake_id_hex(&result->first_bad, hex);
		json_object_set_new(hold, "first_bad", json_string(hex));
	}
	if (state_write_json(p->lake, p->config->target, p->config->name, STATE_HOLD, hold, &err) !=
	    ST_OK)
		log_warn("the hold is not recorded", LOG_S("reason", err.text));
}

enum status publisher_pause(const struct publisher *p, const char *reason, struct err *err)
{
	json_t *hold = hold_json(p, reason);

	json_object_set_new(hold, "paused", json_true());
	return state_write_json(p->lake, p->config->target, p->config->name, STATE_HOLD, hold, err);
}

bool publisher_is_paused(const struct publisher *p)
{
	json_t *hold = state_read_json(p->lake, p->config->name, STATE_HOLD);
	bool paused = json_is_true(json_object_get(hold, "paused"));

	json_decref(hold);
	return paused;
}

enum status publisher_run(const struct publisher *p, const struct publisher_options *options,
			  struct publish_result *out, struct err *err)
{
	struct line line = config_line(p->config, p->lake, p->rng);
	const struct publish_request request = {
		.judge = p->config->n_gates ? judge : NULL,
		.ctx = (void *)(uintptr_t)p,
		.dry_run = options->dry_run,
		.prefix = p->config->publish_prefix,
		.force = options->force,
	};
	enum status st = publish(&line, &request, out, err);

	if (options->dry_run)
		return st;
	if (st == ST_HELD)
		record_hold(p, out, err->text);
	if ((st == ST_OK || st == ST_EMPTY) &&
	    state_write(p->lake, p->config->target, p->config->name, STATE_HOLD, NULL,
			st == ST_OK ? err : NULL) != ST_OK)
		log_warn("the hold is not removed", LOG_S("connector", p->config->name));
	return st;
}

/* ---- the thread ---- */

struct publisher_thread {
	struct publisher publisher;
	struct rng rng;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct schedule schedule; /* guarded by lock */
	bool finish; /* guarded by lock */
};

static void publish_and_log(struct publisher_thread *t, enum status *st_out, struct err *err)
{
	AUTO(publish_result_release) struct publish_result result = {.checkpoints = 0};
	const struct publisher_options options = {.dry_run = false};
	char checkpoint[LAKE_ID_SHORT_BYTES], merged[LAKE_ID_SHORT_BYTES];
	enum status st = publisher_is_paused(&t->publisher)
				 ? ST_EMPTY
				 : publisher_run(&t->publisher, &options, &result, err);

	*st_out = st;
	if (st == ST_OK) {
		lake_id_short(&result.checkpoint, checkpoint);
		lake_id_short(&result.merged, merged);
		log_info("published", LOG_S("connector", t->publisher.config->name),
			 LOG_S("target", t->publisher.config->target),
			 LOG_S("checkpoint", checkpoint), LOG_S("commit", merged),
			 LOG_I("checkpoints", result.checkpoints),
			 LOG_I("records", result.records));
	} else if (st == ST_HELD) {
		log_warn("publish held", LOG_S("connector", t->publisher.config->name),
			 LOG_S("reason", err->text));
	} else if (st != ST_EMPTY) {
		log_warn("publish failed", LOG_S("connector", t->publisher.config->name),
			 LOG_S("status", status_name(st)), LOG_S("reason", err->text));
	}
}

/* Waits until a publish is due; false: finish. */
static bool wait_due(struct publisher_thread *t)
{
	struct clock *clock = t->publisher.clock;
	bool due = false;

	pthread_mutex_lock(&t->lock);
	while (!t->finish && !due) {
		int64_t wall_ms = clock->wall_ms(clock), mono_us = clock->mono_us(clock), wait_ms;

		due = schedule_take(&t->schedule, wall_ms, mono_us);
		wait_ms = schedule_wait_ms(&t->schedule, wall_ms, mono_us);
		if (due)
			break;
		if (wait_ms < 0)
			pthread_cond_wait(&t->cond, &t->lock);
		else
			cond_wait_ms(&t->cond, &t->lock, wait_ms);
	}
	due = due && !t->finish;
	pthread_mutex_unlock(&t->lock);
	return due;
}

static void *publisher_main(void *ctx)
{
	struct publisher_thread *t = ctx;

	while (wait_due(t)) {
		struct err err = ERR_INIT;
		enum status st;

		publish_and_log(t, &st, &err);
	}
	return NULL;
}

static struct schedule_rule publish_rule(const struct config *c)
{
	return (struct schedule_rule){
		.checkpoints = c->publish_checkpoints,
		.interval_ms = c->publish_interval_ms,
		.cron = c->publish_cron,
	};
}

static bool scheduled(const struct config *c)
{
	const struct schedule_rule rule = publish_rule(c);

	return !schedule_is_empty(&rule);
}

struct publisher_thread *publisher_start(const struct publisher *p)
{
	struct publisher_thread *t = xcalloc(1, sizeof(*t));
	const struct schedule_rule rule = publish_rule(p->config);

	t->publisher = *p;
	schedule_init(&t->schedule, &rule, p->clock->wall_ms(p->clock),
		      p->clock->mono_us(p->clock));
	t->rng = rng_seeded(rng_next(p->rng));
	t->publisher.rng = &t->rng;
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->cond, NULL);
	if (scheduled(p->config) && pthread_create(&t->thread, NULL, publisher_main, t) != 0)
		abort();
	return t;
}

void publisher_checkpointed(struct publisher_thread *t)
{
	pthread_mutex_lock(&t->lock);
	schedule_checkpointed(&t->schedule);
	pthread_cond_signal(&t->cond);
	pthread_mutex_unlock(&t->lock);
}

enum status publisher_finish(struct publisher_thread *t, bool publish_rest, struct err *err)
{
	enum status st = ST_OK;

	if (!t)
		return ST_OK;
	pthread_mutex_lock(&t->lock);
	t->finish = true;
	pthread_cond_signal(&t->cond);
	pthread_mutex_unlock(&t->lock);
	if (scheduled(t->publisher.config)) {
		pthread_join(t->thread, NULL);
		if (publish_rest)
			publish_and_log(t, &st, err);
	}
	pthread_cond_destroy(&t->cond);
	pthread_mutex_destroy(&t->lock);
	free(t);
	return st == ST_EMPTY ? ST_OK : st;
}
