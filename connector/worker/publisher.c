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

static enum status judge(void *ctx, const struct lake_id *merged, const struct lake_id *target_head,
			 struct err *err)
{
	const struct publisher *p = ctx;
	struct line line = config_line(p->config, p->lake, p->rng);
	AUTO(checkpoint_release) struct checkpoint to = {0};
	AUTO(checkpoint_release) struct checkpoint from = {0};
	AUTO(gate_results_release) struct gate_results results = {0};
	AUTO(roots_release) struct roots roots = {0};
	struct gate_subject subject = {
		.lake = p->lake,
		.connector = p->config->name,
		.target = p->config->target,
		.merged = *merged,
		.target_head = *target_head,
		.roots = &roots,
		.clock = p->clock,
		.stop = p->stop,
	};
	struct shown shown;
	enum status st = shown_read(&line, &shown, err);

	if (st == ST_OK)
		st = lake_ref_get(p->lake, LAKE_BRANCH, line.branch, &subject.to, err);
	if (st == ST_OK)
		st = checkpoint_read(p->lake, &subject.to, &to, err);
	if (st == ST_OK && !lake_id_is_none(&shown.checkpoint))
		st = checkpoint_read(p->lake, &shown.checkpoint, &from, err);
	if (st != ST_OK)
		return st;
	roots_add(&roots, &line, &to);
	roots_add(&roots, &line, &from);
	subject.shown = shown.id;
	subject.from = shown.checkpoint;
	return gates_run(p->config->gates, p->config->n_gates, &subject, &results, err);
}

static enum status record_hold(const struct publisher *p, const char *reason)
{
	char time[TIME_TEXT_BYTES], *text;
	struct err err = ERR_INIT;
	struct lake_id head = {{0}};
	char hex[LAKE_ID_HEX_BYTES];
	json_t *hold;
	enum status st;

	time_format(p->clock->wall_ms(p->clock), time);
	if (lake_ref_get(p->lake, LAKE_BRANCH, p->config->branch, &head, NULL) != ST_OK)
		head = (struct lake_id){{0}};
	lake_id_hex(&head, hex);
	hold = json_pack("{s:s,s:s,s:s}", "reason", reason, "since", time, "checkpoint", hex);
	text = json_dumps(hold, JSON_COMPACT);
	st = state_write(p->lake, p->config->target, p->config->name, STATE_HOLD, text, &err);
	if (st != ST_OK)
		log_warn("the hold is not recorded", LOG_S("reason", err.text));
	free(text);
	json_decref(hold);
	return st;
}

enum status publisher_run(const struct publisher *p, bool dry_run, struct publish_result *out,
			  struct err *err)
{
	struct line line = config_line(p->config, p->lake, p->rng);
	enum status st = publish(&line, judge, (void *)(uintptr_t)p, dry_run, out, err);
	enum status cleared;

	if (dry_run)
		return st;
	if (st == ST_HELD)
		(void)!record_hold(p, err->text);
	if (st == ST_OK || st == ST_EMPTY) {
		cleared = state_write(p->lake, p->config->target, p->config->name, STATE_HOLD, NULL,
				      st == ST_OK ? err : NULL);
		if (cleared != ST_OK)
			log_warn("the hold is not removed", LOG_S("connector", p->config->name));
	}
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
	struct publish_result result;
	char checkpoint[LAKE_ID_SHORT_BYTES], merged[LAKE_ID_SHORT_BYTES];
	enum status st = publisher_run(&t->publisher, false, &result, err);

	*st_out = st;
	if (st == ST_OK) {
		lake_id_short(&result.checkpoint, checkpoint);
		lake_id_short(&result.merged, merged);
		log_info("published", LOG_S("connector", t->publisher.config->name),
			 LOG_S("target", t->publisher.config->target),
			 LOG_S("checkpoint", checkpoint), LOG_S("commit", merged));
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
