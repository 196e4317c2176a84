#include "connector/worker/exporter.h"

#include <stdatomic.h>
#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "connector/history/state.h"
#include "connector/worker/export_folder.h"
#include "connector/schema/utf8.h"
#include "core/base/log.h"

#define LOOK_EVERY_MS 500
#define AGAIN_AFTER_MS 10000

struct exporter {
	const struct config *config;
	struct lake *lake;
	struct clock *clock;
	const atomic_bool *stop;
	struct export_folder *folder;
	struct lake_id shown;
	struct err failed; /* ST_OK: the last one went well */
	bool recorded; /* the lake may hold a failure */
	int64_t again_us; /* not before; 0: now */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool finish, catch_up; /* guarded by lock */
};

static bool goes_on(void *ctx)
{
	struct exporter *e = ctx;
	bool on;

	pthread_mutex_lock(&e->lock);
	on = !e->finish || e->catch_up;
	pthread_mutex_unlock(&e->lock);
	return on && !(e->stop && *e->stop);
}

/* json NULL: nothing failed. */
static void record(struct exporter *e, const char *json)
{
	struct err err = ERR_INIT;

	if (state_write(e->lake, e->config->target, e->config->name, STATE_EXPORT, json, &err) ==
	    ST_OK)
		e->recorded = json;
	else
		log_warn("the state of the export is not recorded", LOG_S("reason", err.text));
}

static void record_failure(struct exporter *e, const struct err *err)
{
	char time[TIME_TEXT_BYTES], *text;
	json_t *failure;

	if (e->failed.code != ST_OK && strcmp(e->failed.text, err->text) == 0)
		return; /* it was said */
	e->failed = *err;
	log_warn("export failed", LOG_S("connector", e->config->name),
		 LOG_S("folder", e->config->export_dir), LOG_S("reason", err->text));
	time_format(e->clock->wall_ms(e->clock), time);
	failure = json_pack("{s:o,s:s}", "failed", utf8_json(err->text), "since", time);
	text = json_dumps(failure, JSON_COMPACT);
	record(e, text);
	free(text);
	json_decref(failure);
}

static void log_export(const struct exporter *e, const struct export_count *count)
{
	char id[LAKE_ID_SHORT_BYTES];

	lake_id_short(&e->shown, id);
	log_info("exported", LOG_S("connector", e->config->name),
		 LOG_S("folder", e->config->export_dir), LOG_S("commit", id),
		 LOG_I("copied", count->copied), LOG_I("bytes", count->bytes),
		 LOG_I("linked", count->linked), LOG_I("removed", count->removed));
}

static void look(struct exporter *e)
{
	const struct export_options options = {.goes_on = goes_on, .ctx = e};
	struct export_count count;
	struct err err = ERR_INIT;
	struct lake_id head;
	enum status st = lake_ref_get(e->lake, LAKE_BRANCH, e->config->target, &head, &err);

	if (st == ST_OK && lake_id_equal(&head, &e->shown))
		return;
	if (st == ST_OK)
		st = export_folder_update(e->folder, &head, &options, &count, &err);
	if (st == ST_INTERRUPTED)
		return;
	if (st != ST_OK) {
		record_failure(e, &err);
		e->again_us = e->clock->mono_us(e->clock) + AGAIN_AFTER_MS * 1000;
		return;
	}
	e->shown = head;
	e->failed = (struct err)ERR_INIT;
	e->again_us = 0;
	if (e->recorded)
		record(e, NULL);
	log_export(e, &count);
}

/* False: stop. */
static bool wait_a_while(struct exporter *e)
{
	bool finish;

	pthread_mutex_lock(&e->lock);
	if (!e->finish)
		cond_wait_ms(&e->cond, &e->lock, LOOK_EVERY_MS);
	finish = e->finish;
	pthread_mutex_unlock(&e->lock);
	return !finish;
}

static void *exporter_main(void *ctx)
{
	struct exporter *e = ctx;

	do {
		if (e->clock->mono_us(e->clock) >= e->again_us)
			look(e);
	} while (wait_a_while(e));
	if (goes_on(e))
		look(e);
	return NULL;
}

enum status exporter_start(const struct config *config, struct lake *lake, struct clock *clock,
			   const atomic_bool *stop, struct exporter **out, struct err *err)
{
	struct export_folder *folder;
	struct exporter *e;

	*out = NULL;
	if (!config->export_dir)
		return ST_OK;
	if (export_folder_open(lake, config->export_dir, &folder, err) != ST_OK)
		return err_wrap(err, ST_USAGE, "publish.export=%s", config->export_dir);
	e = xcalloc(1, sizeof(*e));
	e->config = config;
	e->lake = lake;
	e->clock = clock;
	e->stop = stop;
	e->folder = folder;
	e->recorded = true;
	pthread_mutex_init(&e->lock, NULL);
	pthread_cond_init(&e->cond, NULL);
	if (pthread_create(&e->thread, NULL, exporter_main, e) != 0)
		abort();
	*out = e;
	return ST_OK;
}

void exporter_stop(struct exporter *e, bool catch_up)
{
	if (!e)
		return;
	pthread_mutex_lock(&e->lock);
	e->finish = true;
	e->catch_up = catch_up;
	pthread_cond_signal(&e->cond);
	pthread_mutex_unlock(&e->lock);
	pthread_join(e->thread, NULL);
	export_folder_close(e->folder);
	pthread_cond_destroy(&e->cond);
	pthread_mutex_destroy(&e->lock);
	free(e);
}
