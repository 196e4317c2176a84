#include "connector/worker/connector.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "connector/history/state.h"
#include "connector/worker/answers.h"
#include "connector/worker/collector.h"
#include "connector/worker/exporter.h"
#include "connector/worker/progress.h"
#include "connector/worker/publisher.h"
#include "core/base/log.h"

#define STEP_MS 10
#define STATE_EVERY_MS 1000
#define LAG_EVERY_MS 2000
/* Faults that may pass are retried for so long without a checkpoint, or a session
 * that ran for a while. */
#define GIVE_UP_MS (10LL * 60 * 1000)
#define WELL_AFTER_MS 60000
#define BACKOFF_FIRST_MS 200
#define BACKOFF_MOST_MS 10000
#define REGISTRY_START_MS 55000
/* Sessions that may end by lost offsets one after the other: the second one
 * looks closely and says what to do. */
#define LOST_MOST 3

struct connector {
	struct connector_options options;
	const struct config *config;
	struct registry *registry;
	struct publisher_thread *publisher;
	struct collector *collector;
	struct exporter *exporter;
	struct notify_threads *notify;
	struct lake_meta commit_meta;
	struct session *session; /* the run thread's own */
	struct progress progress;
	int64_t last_state_us, last_lag_us;
	int64_t failing_since_us; /* 0: all is well */
	int64_t backoff_ms;
	int lost_sessions;
	bool paused;
	int64_t first_record_us; /* 0: none yet */
	struct answers answers; /* to commands */
};

static int64_t now_us(const struct connector *c)
{
	return c->options.clock->mono_us(c->options.clock);
}

static bool stopping(const struct connector *c)
{
	return c->options.stop && *c->options.stop;
}

/* A checkpoint that a command asked for. */
static void serve_checkpoint(struct connector *c)
{
	struct session_status status;
	struct err err = ERR_INIT;
	uint64_t asked;
	enum status st;

	if (!answers_checkpoint_asked(&c->answers, &asked))
		return;
	st = session_checkpoint(c->session, &err);
	session_status(c->session, &status);
	answers_checkpointed(&c->answers, asked, st, &err, &status.head);
	session_status_release(&status);
}

/* ---- what is watched while a session runs ---- */

static void all_is_well(struct connector *c)
{
	c->failing_since_us = 0;
	c->backoff_ms = BACKOFF_FIRST_MS;
	c->lost_sessions = 0;
}

static void checkpointed(void *ctx, const struct checkpoint *head, const struct batch *batch)
{
	struct connector *c = ctx;
	char id[LAKE_ID_SHORT_BYTES];

	all_is_well(c);
	c->progress.records += batch->records;
	c->progress.checkpoint_us = now_us(c);
	lake_id_short(&head->id, id);
	if (!c->options.progress)
		log_info("checkpoint", LOG_S("connector", c->config->name),
			 LOG_S("branch", c->config->branch), LOG_S("commit", id),
			 LOG_I("records", batch->records), LOG_I("bytes", batch->bytes),
			 LOG_I("deadletters", batch->deadletters),
			 LOG_I("partitions", batch->ranges.n));
	publisher_checkpointed(c->publisher);
}

static void read_state(struct connector *c)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	enum status st = state_read(c->options.lake, c->config->name, STATE_PAUSE, &text, NULL);
	bool paused = st == ST_OK;

	if (st != ST_OK && st != ST_NOT_FOUND)
		return;
	if (paused != c->paused)
		log_info(paused ? "paused" : "resumed", LOG_S("connector", c->config->name));
	c->paused = paused;
	answers_set_paused(&c->answers, paused);
	session_pause(c->session, paused);
}

static void read_lag(struct connector *c, const struct session_status *status)
{
	AUTO(partitions_release) struct partitions latest = PARTITIONS_INIT;
	struct offsets lag = OFFSETS_INIT;
	int64_t sum = 0;

	if (session_lag(c->session, &latest, NULL) != ST_OK)
		return;
	for (size_t i = 0; i < latest.n; i++) {
		const struct partition *p = &latest.items[i];
		const struct partition *at =
			partitions_find(&status->positions, p->topic, p->partition);

		if (p->status != ST_OK || !at)
			continue;
		offsets_set(&lag, p->topic, p->partition,
			    p->offset > at->offset ? p->offset - at->offset : 0);
		sum += p->offset > at->offset ? p->offset - at->offset : 0;
	}
	c->progress.lag = sum;
	answers_set_lag(&c->answers, &lag);
}

static void watch(struct connector *c)
{
	struct session_status status;
	bool refresh = answers_take_refresh(&c->answers), state_due;

	state_due = refresh || (now_us(c) - c->last_state_us) / 1000 >= STATE_EVERY_MS;
	if (refresh)
		session_refresh(c->session);
	if (state_due) {
		c->last_state_us = now_us(c);
		read_state(c);
	}
	if (!state_due && !(c->options.progress && progress_due(&c->progress)))
		return;
	session_status(c->session, &status);
	if ((now_us(c) - c->last_lag_us) / 1000 >= LAG_EVERY_MS) {
		c->last_lag_us = now_us(c);
		read_lag(c, &status);
	}
	if (c->options.progress)
		progress_show(&c->progress, c->progress.records + status.pending_records);
	answers_set_status(&c->answers, &status);
}

/* ---- sessions, one after the other ---- */

static enum status open_session(struct connector *c, struct err *err);

static enum status open_rdkafka(void *ctx, const struct consumer_options *options,
				struct consumer **out, struct err *err)
{
	(void)ctx;
	return rdkafka_consumer_open(options, out, err);
}

static enum status open_session(struct connector *c, struct err *err)
{
	const struct session_options options = {
		.config = c->config,
		.lake = c->options.lake,
		.clock = c->options.clock,
		.rng = c->options.rng,
		.registry = c->registry,
		.commit_meta = &c->commit_meta,
		.open_consumer = open_rdkafka,
		.threads = true,
		.until_latest = c->options.until_latest,
		.adopt = c->options.adopt,
		.stop = c->options.stop,
		.checkpointed = checkpointed,
		.ctx = c,
	};
	enum status st = session_open(&options, &c->session, err);

	c->last_state_us = 0;
	return st;
}

static void note_first_record(struct connector *c)
{
	if (c->first_record_us)
		return;
	c->first_record_us = session_first_record_us(c->session);
	if (c->first_record_us && !c->options.progress)
		log_info("first record", LOG_S("connector", c->config->name));
}

/* What a run to the latest offset came to. */
static void log_done(const struct connector *c)
{
	int64_t us = c->first_record_us && c->progress.checkpoint_us > c->first_record_us
			     ? c->progress.checkpoint_us - c->first_record_us
			     : 0;

	log_info("done", LOG_S("connector", c->config->name), LOG_I("records", c->progress.records),
		 LOG_I("ms", us / 1000));
}

/* Runs one session to its end. */
static enum session_end run_session(struct connector *c, enum status *st_out, struct err *err)
{
	enum session_end end = SESSION_GOES_ON;
	int64_t start_us = now_us(c);

	while (end == SESSION_GOES_ON && !stopping(c)) {
		watch(c);
		serve_checkpoint(c);
		end = session_step(c->session, STEP_MS, st_out, err);
		note_first_record(c);
	}
	if ((now_us(c) - start_us) / 1000 > WELL_AFTER_MS)
		all_is_well(c);
	if (end == SESSION_DONE)
		log_done(c);
	return end;
}

/* Closes the session; a last checkpoint where that makes sense. */
static enum status close_session(struct connector *c, enum session_end end, enum status st,
				 struct err *err)
{
	struct err close_err = ERR_INIT;
	/* what was read before a bad record is good */
	bool commit = end == SESSION_GOES_ON || end == SESSION_DONE ||
		      (end == SESSION_FAILED && (st == ST_POISON || st == ST_NOT_FOUND));
	enum status closed = session_close(MOVE(c->session), commit, &close_err);

	if (closed != ST_OK && stopping(c) &&
	    (status_retriable(closed) || closed == ST_INTERRUPTED || closed == ST_CONFLICT)) {
		log_warn("the last batch is dropped, and read again by the next start",
			 LOG_S("reason", close_err.text));
		return ST_OK;
	}
	if (closed != ST_OK && end != SESSION_FAILED) {
		*err = close_err;
		return closed;
	}
	return end == SESSION_FAILED ? st : ST_OK;
}

/* Sleeps before the next session; false where it is time to give up. */
static bool back_off(struct connector *c, enum status st, const struct err *err)
{
	int64_t left_ms;

	if (st == ST_CONFLICT) {
		log_info("reading the head again", LOG_S("reason", err->text));
		return true;
	}
	if (st == ST_LOST && ++c->lost_sessions >= LOST_MOST)
		return false;
	if (!c->failing_since_us)
		c->failing_since_us = now_us(c);
	if ((now_us(c) - c->failing_since_us) / 1000 > GIVE_UP_MS)
		return false;
	log_warn("trying again", LOG_S("reason", err->text), LOG_I("in_ms", c->backoff_ms));
	for (left_ms = c->backoff_ms; left_ms > 0 && !stopping(c); left_ms -= 50)
		c->options.clock->sleep_ms(c->options.clock, 50);
	c->backoff_ms = c->backoff_ms * 2 < BACKOFF_MOST_MS ? c->backoff_ms * 2 : BACKOFF_MOST_MS;
	return true;
}

/* For commands. A start that is refused changes nothing, so it comes after that. */
static enum status save_properties(struct connector *c, struct err *err)
{
	AUTO(buf_release) struct buf properties = BUF_INIT;
	struct lake *lake = c->options.lake;
	enum status st;

	config_public_json(c->config, &properties);
	st = state_write(lake, c->config->target, c->config->name, STATE_PROPERTIES,
			 buf_str(&properties), err);
	if (st == ST_OK)
		st = state_write(lake, c->config->target, c->config->name, STATE_FAILURE, NULL,
				 err);
	return st;
}

/* Once the start was not refused. */
static enum status started(struct connector *c, struct err *err)
{
	const struct notify notify = {
		.config = c->config,
		.lake = c->options.lake,
		.clock = c->options.clock,
		.stop = c->options.stop,
	};
	enum status st = save_properties(c, err);

	return st == ST_OK ? notify_start(&notify, &c->notify, err) : st;
}

/* With what the head is: a rollback or drop that a crash met has happened, or has not. */
static void log_running(struct connector *c)
{
	AUTO(lake_commit_release) struct lake_commit commit = {0};
	struct session_status status;
	char id[LAKE_ID_SHORT_BYTES];

	session_status(c->session, &status);
	lake_id_short(&status.head.id, id);
	if (lake_commit_read(c->options.lake, &status.head.id, &commit, NULL) == ST_OK)
		log_info("running", LOG_S("connector", c->config->name),
			 LOG_S("lake", lake_url(c->options.lake)),
			 LOG_S("branch", c->config->branch), LOG_S("head", id),
			 LOG_S("which_is", commit.message));
	session_status_release(&status);
}

static enum status run_sessions(struct connector *c, struct err *err)
{
	bool first = true;

	for (;;) {
		enum session_end end = SESSION_AGAIN;
		enum status st = open_session(c, err);

		if (st == ST_OK && first) {
			st = started(c, err);
			if (st != ST_OK)
				return close_session(c, SESSION_FAILED, st, err);
		}
		if (st == ST_OK) {
			if (first)
				log_running(c);
			first = false;
			end = run_session(c, &st, err);
			if (end != SESSION_AGAIN)
				return close_session(c, end, st, err);
			(void)!session_close(MOVE(c->session), false, NULL);
		} else if (!stopping(c) && st != ST_CONFLICT && (first || !status_retriable(st))) {
			return st;
		}
		if (stopping(c))
			return ST_OK;
		if (!back_off(c, st, err))
			return st;
	}
}

/* ---- around it ---- */

static enum status open_registry(struct connector *c, struct err *err)
{
	const struct registry_options options = {
		.urls = c->config->registry_urls,
		.user = c->config->registry_user,
		.password = c->config->registry_password,
	};
	int64_t end_us = now_us(c) + REGISTRY_START_MS * 1000;
	enum status st;

	if (c->config->converter != CONVERTER_AVRO)
		return ST_OK;
	st = registry_open(&options, &c->registry, err);
	if (st != ST_OK)
		return st;
	while ((st = registry_check(c->registry, err)) == ST_UNREACHABLE && now_us(c) < end_us &&
	       !stopping(c)) {
		log_warn("registry does not answer", LOG_S("reason", err->text));
		c->options.clock->sleep_ms(c->options.clock, 1000);
	}
	if (st == ST_UNREACHABLE && stopping(c))
		return err_set(err, ST_INTERRUPTED, "stopped while waiting for the registry");
	if (st == ST_UNREACHABLE)
		return err_wrap(err, st, "value.converter.schema.registry.url");
	return st;
}

static void read_commit_meta(struct connector *c)
{
	static const char prefix[] = "commit.metadata.";

	for (size_t i = 0; i < c->config->props.n; i++) {
		const struct prop *p = &c->config->props.items[i];

		if (strncmp(p->key, prefix, sizeof(prefix) - 1) == 0)
			lake_meta_set(&c->commit_meta, p->key + sizeof(prefix) - 1, p->value);
	}
}

static enum status prepare(struct connector *c, struct err *err)
{
	struct lake *lake = c->options.lake;
	const struct publisher publisher = {
		.config = c->config,
		.lake = lake,
		.clock = c->options.clock,
		.rng = c->options.rng,
		.stop = c->options.stop,
	};
	enum status st = connector_check_neighbours(c->config, lake, err);

	if (st == ST_OK)
		st = open_registry(c, err);
	if (st != ST_OK)
		return st;
	st = exporter_start(c->config, lake, c->options.clock, c->options.stop, &c->exporter, err);
	if (st == ST_OK)
		st = lake_serve(lake, answers_call, &c->answers, err);
	if (st != ST_OK)
		return st;
	c->publisher = publisher_start(&publisher);
	c->collector = collector_start(c->config, lake, c->options.clock);
	return ST_OK;
}

/* The cause of a stop, for `status`. */
static void record_failure(struct connector *c, enum status st, const char *reason)
{
	char time[TIME_TEXT_BYTES];
	json_t *failure;

	time_format(c->options.clock->wall_ms(c->options.clock), time);
	failure = json_pack("{s:s,s:s,s:s}", "status", status_name(st), "reason", reason, "since",
			    time);
	lake_open_reserve(c->options.lake); /* so little fits, and nothing else comes */
	if (state_write_json(c->options.lake, c->config->target, c->config->name, STATE_FAILURE,
			     failure, NULL) != ST_OK)
		log_warn("the failure is not recorded", LOG_S("connector", c->config->name));
}

static void release(struct connector *c)
{
	(void)!lake_serve(c->options.lake, NULL, NULL, NULL);
	if (c->registry)
		registry_close(c->registry);
	lake_meta_release(&c->commit_meta);
	answers_release(&c->answers);
}

enum status connector_run(const struct connector_options *options, struct err *err)
{
	struct connector c = {.options = *options, .config = options->config};
	struct err publish_err = ERR_INIT;
	enum status st, published;
	bool failed = false;

	answers_init(&c.answers, options->config->name);
	c.backoff_ms = BACKOFF_FIRST_MS;
	progress_start(&c.progress, options->clock);
	if (options->progress)
		log_set_before(progress_wipe);
	read_commit_meta(&c);
	st = prepare(&c, err);
	if (st == ST_OK) {
		st = run_sessions(&c, err);
		failed = st != ST_OK && st != ST_INTERRUPTED;
	}
	collector_stop(c.collector);
	published = publisher_finish(
		c.publisher, st == ST_OK && options->until_latest && !stopping(&c), &publish_err);
	if (failed)
		record_failure(&c, st, err->text);
	exporter_stop(c.exporter, st == ST_OK);
	notify_stop(c.notify, st == ST_OK);
	if (st == ST_OK && published != ST_OK) {
		*err = publish_err;
		st = published;
	}
	answers_end(&c.answers);
	release(&c);
	progress_wipe();
	log_set_before(NULL);
	return st == ST_INTERRUPTED ? ST_OK : st;
}
