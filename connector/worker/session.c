#include "connector/worker/session.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "connector/columnar/parquet_file.h"
#include "connector/worker/session_impl.h"
#include "core/base/log.h"

#define TASK_WAIT_MS 100
#define POLL_MS 5
#define LOOK_EVERY_MS 1000

static int64_t now_us(const struct session *s)
{
	return s->options.clock->mono_us(s->options.clock);
}

void session_end_with(struct session *s, enum session_end end, enum status st,
		      const struct err *err)
{
	if (s->end != SESSION_GOES_ON)
		return;
	s->end = end;
	s->end_status = st;
	s->end_err = *err;
}

/* ---- waiting for tasks ---- */

static void on_task_event(void *ctx)
{
	struct session *s = ctx;

	pthread_mutex_lock(&s->lock);
	s->events++;
	pthread_cond_broadcast(&s->cond);
	pthread_mutex_unlock(&s->lock);
}

void session_wait(struct session *s, bool (*done)(struct session *s))
{
	while (!done(s)) {
		struct timespec until;

		if (!s->threads_run) {
			for (int i = 0; i < s->n_tasks; i++)
				if (!task_step(s->tasks[i], 0))
					return;
			continue;
		}
		deadline_after(2, &until);
		pthread_mutex_lock(&s->lock);
		pthread_cond_timedwait(&s->cond, &s->lock, &until);
		pthread_mutex_unlock(&s->lock);
	}
}

bool session_tasks_idle(struct session *s)
{
	for (int i = 0; i < s->n_tasks; i++)
		if (!task_is_idle(s->tasks[i]))
			return false;
	return true;
}

static void *task_main(void *task)
{
	while (task_step(task, TASK_WAIT_MS))
		;
	return NULL;
}

/* ---- a checkpoint ---- */

static void merge_batch(struct batch *to, struct batch *from)
{
	for (size_t i = 0; i < from->ranges.n; i++) {
		GROW(to->ranges.items, to->ranges.n, to->ranges.cap);
		to->ranges.items[to->ranges.n++] = from->ranges.items[i];
	}
	from->ranges.n = 0;
	for (size_t i = 0; i < from->files.n; i++) {
		GROW(to->files.items, to->files.n, to->files.cap);
		to->files.items[to->files.n++] = from->files.items[i];
	}
	from->files.n = 0;
	for (size_t i = 0; i < from->schemas.n; i++)
		schema_uses_add(&to->schemas, from->schemas.items[i].topic,
				from->schemas.items[i].schema);
	to->records += from->records;
	to->deadletters += from->deadletters;
	if (from->timestamp_least >= 0 &&
	    (to->timestamp_least < 0 || from->timestamp_least < to->timestamp_least))
		to->timestamp_least = from->timestamp_least;
	if (from->timestamp_greatest > to->timestamp_greatest)
		to->timestamp_greatest = from->timestamp_greatest;
}

/* Takes the cut of every task into one batch. */
static enum status gather(struct session *s, struct batch *batch, struct err *err)
{
	enum status st = ST_OK;

	for (int i = 0; i < s->n_tasks; i++) {
		struct cut *cut = task_take_cut(s->tasks[i]);

		if (!cut)
			continue;
		if (cut->st != ST_OK && st == ST_OK) {
			st = cut->st;
			*err = cut->err;
		}
		merge_batch(batch, &cut->batch);
		cut_free(cut);
	}
	return st;
}

/* The next batch begins where this one ended. */
static void begin_behind(struct session *s, const struct batch *batch)
{
	for (size_t i = 0; i < batch->ranges.n; i++) {
		const struct range *r = &batch->ranges.items[i];
		struct partition *p = partitions_find(&s->assigned, r->topic, r->partition);

		if (p)
			p->offset = r->to;
	}
}

static void copy_group_offsets(struct session *s, const struct batch *batch)
{
	AUTO(partitions_release) struct partitions list = PARTITIONS_INIT;

	for (size_t i = 0; i < batch->ranges.n; i++) {
		const struct range *r = &batch->ranges.items[i];

		partitions_add(&list, r->topic, r->partition)->offset = r->to;
	}
	s->consumer->ops->commit_offsets(s->consumer, &list);
}

static enum status commit_cut(struct session *s, struct err *err)
{
	AUTO(batch_release) struct batch batch = BATCH_INIT;
	enum status st;

	s->cuts++;
	s->shared.full = false;
	s->shared.moved = false;
	for (int i = 0; i < s->n_tasks; i++)
		task_cut(s->tasks[i], s->cuts);
	session_wait(s, session_tasks_idle);
	st = gather(s, &batch, err);
	s->last_checkpoint_us = now_us(s);
	if (st != ST_OK)
		return st;
	if (batch.ranges.n == 0)
		return err_set(err, ST_EMPTY, "nothing new since the last checkpoint");
	if (s->shared.deadletter_topic)
		st = deadletter_topic_flush(s->shared.deadletter_topic, START_TIMEOUT_MS, err);
	if (st == ST_OK)
		st = session_verify_topics(s, err);
	if (st != ST_OK)
		return st;
	batch_id_new(s->options.rng, batch.id);
	st = ingest_commit(&s->ingest, &batch, err);
	if (st != ST_OK)
		return st;
	s->last_positions_us = s->last_checkpoint_us;
	begin_behind(s, &batch);
	copy_group_offsets(s, &batch);
	if (s->options.checkpointed)
		s->options.checkpointed(s->options.ctx, &s->ingest.head, &batch);
	return ST_OK;
}

enum status session_checkpoint(struct session *s, struct err *err)
{
	enum status st;

	if (s->dropped)
		return err_set(err, ST_CONFLICT, "a batch was dropped, so the session ends");
	st = commit_cut(s, err);
	if (st == ST_OK || st == ST_EMPTY)
		return st;
	/* What is read from here on would not continue the head. */
	s->dropped = true;
	session_end_with(s,
			 status_retriable(st) || st == ST_CONFLICT || st == ST_LOST
				 ? SESSION_AGAIN
				 : SESSION_FAILED,
			 st, err);
	return st;
}

/* A failure ends the session. */
static void checkpoint_step(struct session *s)
{
	struct err err = ERR_INIT;

	(void)!session_checkpoint(s, &err);
}

/* ---- a step ---- */

static bool checkpoint_due(struct session *s)
{
	const struct task_shared *shared = &s->shared;
	int64_t age_ms = (now_us(s) - s->last_checkpoint_us) / 1000;
	/* a time that comes while nothing is there is past */
	bool scheduled =
		schedule_take(&s->schedule, s->options.clock->wall_ms(s->options.clock), now_us(s));

	if (shared->records > 0)
		return scheduled || age_ms >= s->config->checkpoint_interval_ms || shared->full ||
		       shared->bytes >= shared->limit_bytes ||
		       (shared->limit_records && shared->records >= shared->limit_records);
	return shared->moved && (now_us(s) - s->last_positions_us) / 1000 >= POSITIONS_EVERY_MS;
}

static void check_tasks(struct session *s)
{
	for (int i = 0; i < s->n_tasks; i++) {
		enum status st;
		struct err err;

		if (!task_failed(s->tasks[i], &st, &err))
			continue;
		if (st == ST_LOST) /* the next start looks closely, and says what to do */
			session_end_with(s, SESSION_AGAIN, st, &err);
		else
			session_end_with(s, SESSION_FAILED, st, &err);
	}
}

/* Does the head still stand where this session's batches begin? Asked after each
 * reading of it: another member may have moved it, or a rollback. */
enum status session_check_head(struct session *s, struct err *err)
{
	const struct checkpoint *head = &s->ingest.head;

	if (head->epoch != s->epoch)
		return err_set(err, ST_CONFLICT, "a rollback moved the head to epoch %" PRIu64,
			       head->epoch);
	for (size_t i = 0; i < s->assigned.n; i++) {
		const struct partition *p = &s->assigned.items[i];
		int64_t offset = offsets_get(&head->offsets, p->topic, p->partition);

		if (offset != p->offset)
			return err_set(err, ST_CONFLICT,
				       "somebody else moved %s:%d from %" PRId64 " to %" PRId64,
				       p->topic, p->partition, p->offset, offset);
	}
	return ST_OK;
}

static void look_at_head(struct session *s)
{
	struct err err = ERR_INIT;
	enum status st;

	if (!s->look_now && (now_us(s) - s->last_look_us) / 1000 < LOOK_EVERY_MS)
		return;
	s->look_now = false;
	s->last_look_us = now_us(s);
	st = ingest_refresh(&s->ingest, &err);
	if (st == ST_OK)
		st = session_check_head(s, &err);
	if (st != ST_OK)
		session_end_with(s,
				 status_retriable(st) || st == ST_CONFLICT ? SESSION_AGAIN
									   : SESSION_FAILED,
				 st, &err);
}

static void finish_until(struct session *s)
{
	struct err err = ERR_INIT;

	if (!s->ever_assigned)
		return;
	for (int i = 0; i < s->n_tasks; i++)
		if (!task_done(s->tasks[i]))
			return;
	checkpoint_step(s);
	session_end_with(s, SESSION_DONE, ST_OK, &err);
}

enum session_end session_step(struct session *s, int timeout_ms, enum status *st_out,
			      struct err *err)
{
	struct err poll_err = ERR_INIT;
	enum status st;

	st = s->consumer->ops->poll(s->consumer, timeout_ms < POLL_MS ? timeout_ms : POLL_MS,
				    &poll_err);
	if (st != ST_OK)
		session_end_with(s, status_retriable(st) ? SESSION_AGAIN : SESSION_FAILED, st,
				 &poll_err);
	if (!s->threads_run)
		for (int i = 0; i < s->n_tasks; i++)
			(void)!task_step(s->tasks[i], 0);
	if (s->end == SESSION_GOES_ON)
		check_tasks(s);
	if (s->end == SESSION_GOES_ON)
		look_at_head(s);
	if (s->end == SESSION_GOES_ON)
		session_watch_group(s);
	if (s->end == SESSION_GOES_ON && checkpoint_due(s))
		checkpoint_step(s);
	if (s->end == SESSION_GOES_ON && s->options.until_latest)
		finish_until(s);
	if (s->end != SESSION_GOES_ON) {
		*st_out = s->end_status;
		*err = s->end_err;
	}
	return s->end;
}

/* ---- open and close ---- */

static enum status open_deadletter_topic(struct session *s, struct err *err)
{
	const struct config *c = s->config;
	const struct deadletter_topic_options options = {
		.client = &c->producer,
		.topic = c->deadletter_topic,
		.replication_factor =
			(int)prop_number(&connector_table, &c->props,
					 "errors.deadletterqueue.topic.replication.factor"),
		.connector = c->name,
		.context_headers = c->deadletter_headers,
	};

	if (!c->deadletter_topic || !c->tolerate_errors)
		return ST_OK;
	return deadletter_topic_open(&options, &s->shared.deadletter_topic, err);
}

static void fill_shared(struct session *s)
{
	const struct config *c = s->config;

	s->shared.config = c;
	s->shared.lake = s->options.lake;
	s->shared.clock = s->options.clock;
	s->shared.writer = config_writer(c);
	s->shared.writer.lake = s->options.lake;
	s->shared.writer.registry = s->options.registry;
	s->shared.limit_records = c->checkpoint_records;
	s->shared.limit_bytes = c->checkpoint_bytes;
	s->ingest_options = (struct ingest_options){
		.lake = s->options.lake,
		.connector = c->name,
		.branch = c->branch,
		.target = c->target,
		.published = c->published,
		.extra = s->options.commit_meta,
		.message = props_get(&c->props, "commit.message"),
		.rng = s->options.rng,
	};
}

static enum status open_all(struct session *s, struct err *err)
{
	enum status st = writer_settings_check(&s->shared.writer, err);

	if (st == ST_OK && s->config->format == FORMAT_PARQUET)
		st = parquet_engine_new(&s->shared.writer.parquet, err);
	if (st == ST_OK)
		st = session_connect(s, err);
	if (st == ST_OK)
		st = open_deadletter_topic(s, err);
	if (st == ST_OK)
		st = session_find_start(s, err);
	if (st == ST_OK)
		st = session_check_topics(s, err);
	if (st != ST_OK)
		return st;
	s->epoch = s->ingest.head.epoch;
	s->last_checkpoint_us = s->last_positions_us = s->last_look_us = now_us(s);
	s->subscribed_us = now_us(s);
	schedule_init(&s->schedule, &(struct schedule_rule){.cron = s->config->checkpoint_cron},
		      s->options.clock->wall_ms(s->options.clock), now_us(s));
	s->tasks = xcalloc((size_t)s->n_tasks, sizeof(*s->tasks));
	s->threads = xcalloc((size_t)s->n_tasks, sizeof(*s->threads));
	s->load = xcalloc((size_t)s->n_tasks, sizeof(*s->load));
	for (int i = 0; i < s->n_tasks; i++) {
		s->tasks[i] = task_new(&s->shared, i);
		task_set_notify(s->tasks[i], on_task_event, s);
	}
	for (int i = 0; s->options.threads && i < s->n_tasks; i++) {
		if (pthread_create(&s->threads[i], NULL, task_main, s->tasks[i]) != 0)
			abort();
		s->threads_run = true;
	}
	return s->consumer->ops->subscribe(s->consumer, err);
}

static void release(struct session *s)
{
	s->closing = true;
	for (int i = 0; s->tasks && i < s->n_tasks; i++)
		task_stop(s->tasks[i]);
	for (int i = 0; s->threads_run && i < s->n_tasks; i++)
		pthread_join(s->threads[i], NULL);
	if (s->consumer)
		s->consumer->ops->close(s->consumer);
	for (int i = 0; s->tasks && i < s->n_tasks; i++)
		task_free(s->tasks[i]);
	free(s->tasks);
	free(s->threads);
	free(s->load);
	parquet_engine_free(s->shared.writer.parquet);
	deadletter_topic_close(s->shared.deadletter_topic);
	ingest_close(&s->ingest);
	cluster_info_release(&s->cluster);
	offsets_release(&s->until);
	partitions_release(&s->assigned);
	pthread_cond_destroy(&s->cond);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

enum status session_open(const struct session_options *options, struct session **out,
			 struct err *err)
{
	struct session *s = xcalloc(1, sizeof(*s));
	enum status st;

	s->options = *options;
	s->config = options->config;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->cond, NULL);
	fill_shared(s);
	st = open_all(s, err);
	if (st != ST_OK) {
		release(s);
		return st;
	}
	*out = s;
	return ST_OK;
}

enum status session_close(struct session *s, bool commit, struct err *err)
{
	enum status st = ST_OK;

	if (commit && s->assigned.n > 0)
		st = session_checkpoint(s, err);
	release(s);
	return st == ST_EMPTY ? ST_OK : st;
}

/* ---- for the connector ---- */

void session_refresh(struct session *s)
{
	s->look_now = true;
}

void session_pause(struct session *s, bool paused)
{
	s->shared.paused = paused;
}

int64_t session_first_record_us(struct session *s)
{
	return s->shared.first_record_us;
}

void session_status_release(struct session_status *status)
{
	partitions_release(&status->positions);
	checkpoint_release(&status->head);
}

void session_status(struct session *s, struct session_status *out)
{
	long long records = s->shared.records;

	*out = (struct session_status){
		.pending_records = records > 0 ? (uint64_t)records : 0,
		.assigned = s->assigned.n,
	};
	checkpoint_copy(&out->head, &s->ingest.head);
	for (int i = 0; i < s->n_tasks; i++) {
		int64_t since = task_stalled_since_us(s->tasks[i]);

		task_positions(s->tasks[i], &out->positions);
		if (since && (now_us(s) - since) / 1000 > out->stalled_ms)
			out->stalled_ms = (now_us(s) - since) / 1000;
	}
}

enum status session_lag(struct session *s, struct partitions *latest_out, struct err *err)
{
	for (size_t i = 0; i < s->assigned.n; i++)
		partitions_add(latest_out, s->assigned.items[i].topic,
			       s->assigned.items[i].partition);
	return s->consumer->ops->list_offsets(s->consumer, OFFSET_LATEST, latest_out,
					      DESCRIBE_TIMEOUT_MS, err);
}
