#include "connector/worker/collector.h"

#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "connector/history/retain.h"
#include "connector/history/state.h"
#include "core/base/log.h"

#define LOOK_EVERY_MS 60000

struct collector {
	const struct config *config;
	struct lake *lake;
	struct clock *clock;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool stop; /* guarded by lock */
};

bool collector_due(struct lake *lake, const char *connector, int64_t interval_ms, int64_t now_ms)
{
	json_t *last = state_read_json(lake, connector, STATE_GC);
	const char *time = json_string_value(json_object_get(last, "time"));
	int64_t last_ms;
	bool due;

	/* A time to come was written by a clock that was wrong. */
	due = !time || !time_parse(time, &last_ms) || now_ms - last_ms >= interval_ms ||
	      last_ms > now_ms;
	json_decref(last);
	return due;
}

static void record(const struct config *config, struct lake *lake, struct clock *clock,
		   const struct lake_gc_report *report, const char *failed)
{
	char time[TIME_TEXT_BYTES];
	struct err err = ERR_INIT;
	json_t *gc;

	time_format(clock->wall_ms(clock), time);
	gc = failed ? json_pack("{s:s,s:s}", "time", time, "failed", failed)
		    : json_pack("{s:s,s:I}", "time", time, "freed_bytes",
				(json_int_t)lake_gc_freed_bytes(report));
	if (state_write_json(lake, config->target, config->name, STATE_GC, gc, &err) != ST_OK)
		log_warn("the gc is not recorded", LOG_S("reason", err.text));
}

enum status collector_run(const struct config *config, struct lake *lake, struct clock *clock,
			  bool (*goes_on)(void *ctx, const struct lake_gc_progress *p), void *ctx,
			  struct err *err)
{
	AUTO(retention_release) struct retention retention = {.ms = 0};
	struct lake_gc_options options = {.keep_prefix = RETAIN_ALWAYS,
					  .reflog_retain_ms = LAKE_GC_REFLOG_RETAIN_MS,
					  .grace_ms = LAKE_GC_GRACE_MS,
					  .progress = goes_on,
					  .ctx = ctx};
	struct lake_gc_report report;
	enum status st = retention_read(lake, &retention, err);

	options.history_retain_ms = retention.ms;
	if (st == ST_OK)
		st = lake_gc(lake, &options, &report, err);
	if (st == ST_BUSY || st == ST_INTERRUPTED)
		return st;
	record(config, lake, clock, &report, st == ST_OK ? NULL : err->text);
	if (st == ST_OK)
		log_info("gc", LOG_S("connector", config->name),
			 LOG_I("freed_bytes", lake_gc_freed_bytes(&report)),
			 LOG_I("objects", report.small.freed + report.files.freed),
			 LOG_I("expired", report.expired), LOG_I("ms", report.elapsed_ms));
	return st;
}

/* ---- the thread ---- */

static bool goes_on(void *ctx, const struct lake_gc_progress *progress)
{
	struct collector *c = ctx;
	bool stop;

	(void)progress;
	pthread_mutex_lock(&c->lock);
	stop = c->stop;
	pthread_mutex_unlock(&c->lock);
	return !stop;
}

/* False: stop. */
static bool wait_a_while(struct collector *c)
{
	int64_t ms = c->config->gc_interval_ms;
	struct timespec until;
	bool stop;
	int rc = 0;

	deadline_after(ms < LOOK_EVERY_MS ? ms : LOOK_EVERY_MS, &until);
	pthread_mutex_lock(&c->lock);
	while (!c->stop && rc == 0)
		rc = pthread_cond_timedwait(&c->cond, &c->lock, &until);
	stop = c->stop;
	pthread_mutex_unlock(&c->lock);
	return !stop;
}

static void *collector_main(void *ctx)
{
	struct collector *c = ctx;

	while (wait_a_while(c)) {
		struct err err = ERR_INIT;
		enum status st;

		if (!collector_due(c->lake, c->config->name, c->config->gc_interval_ms,
				   c->clock->wall_ms(c->clock)))
			continue;
		st = collector_run(c->config, c->lake, c->clock, goes_on, c, &err);
		if (st != ST_OK && st != ST_BUSY && st != ST_INTERRUPTED)
			log_warn("gc failed", LOG_S("connector", c->config->name),
				 LOG_S("reason", err.text));
	}
	return NULL;
}

struct collector *collector_start(const struct config *config, struct lake *lake,
				  struct clock *clock)
{
	struct collector *c;

	if (config->gc_interval_ms == 0)
		return NULL;
	c = xcalloc(1, sizeof(*c));
	c->config = config;
	c->lake = lake;
	c->clock = clock;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->cond, NULL);
	if (pthread_create(&c->thread, NULL, collector_main, c) != 0)
		abort();
	return c;
}

void collector_stop(struct collector *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	c->stop = true;
	pthread_cond_signal(&c->cond);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->thread, NULL);
	pthread_cond_destroy(&c->cond);
	pthread_mutex_destroy(&c->lock);
	free(c);
}
