/* The record path of a task. */
#include "connector/worker/task.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "connector/worker/task_impl.h"
#include "core/base/log.h"

#define RETRY_FIRST_MS 300
/* Records between two sums of bytes and open files. */
#define SUM_EVERY 256

static void fail(struct task *t, enum status st, const struct err *err)
{
	pthread_mutex_lock(&t->lock);
	if (t->failure == ST_OK) {
		t->failure = st;
		t->failure_err = *err;
	}
	pthread_mutex_unlock(&t->lock);
	t->failed = true;
	task_notify(t);
}

/* ---- records ---- */

static inline struct task_partition *partition_of(struct task *t, const struct record *r)
{
	if (__builtin_expect(
		    r->topic == t->last_topic && t->last && t->last->partition == r->partition, 1))
		return t->last;
	t->last = task_find(t, r->topic, r->partition);
	t->last_topic = r->topic;
	return t->last;
}

static enum status dead_letter(struct task *t, struct task_partition *p, const struct record *r,
			       const struct poison *poison, struct err *err)
{
	const struct config *c = t->shared->config;
	char message[ERR_TEXT_BYTES];
	enum status st;

	memcpy(message, err->text, sizeof(message));
	if (!c->tolerate_errors)
		return err_set(err, ST_POISON,
			       "%s:%d:%" PRId64
			       " cannot be converted: %s; correct the producer and skip "
			       "it, or set errors.tolerance=all",
			       r->topic, r->partition, r->offset, message);
	if (c->log_errors && c->log_error_messages)
		log_warn("dead letter", LOG_S("topic", r->topic), LOG_I("partition", r->partition),
			 LOG_I("offset", r->offset), LOG_S("reason", message));
	else if (c->log_errors)
		log_warn("dead letter", LOG_S("reason", message));
	if (!p->deadletters)
		p->deadletters = deadletter_writer_new(t->shared->lake, c->name, p->topic,
						       p->partition, p->generation);
	st = deadletter_writer_append(p->deadletters, r, t->index, poison, message, err);
	if (st == ST_OK && t->shared->deadletter_topic)
		st = deadletter_topic_send(t->shared->deadletter_topic, r, t->index, poison->stage,
					   poison->class_name, message, err);
	if (st == ST_OK)
		t->deadletters++;
	return st;
}

static enum status append(struct task *t, struct task_partition *p, const struct record *r,
			  struct err *err)
{
	struct poison poison = {.stage = "VALUE_CONVERTER",
				.class_name = "org.apache.kafka.connect.errors.DataException"};
	enum status st;

	if (!p->writer) {
		p->writer = partition_writer_new(&t->shared->writer, p->topic, p->partition,
						 p->generation);
		if (!t->shared->first_record_us)
			t->shared->first_record_us = t->shared->clock->mono_us(t->shared->clock);
	}
	st = partition_writer_append(p->writer, r, &poison, err);
	if (__builtin_expect(st == ST_OK, 1)) {
		t->records++;
		return ST_OK;
	}
	if (st == ST_NOT_FOUND && t->shared->config->on_unknown_schema == POLICY_FAIL)
		return err_wrap(err, st, "%s:%d:%" PRId64 " (on.unknown.schema=fail)", r->topic,
				r->partition, r->offset);
	if (st == ST_POISON || st == ST_NOT_FOUND)
		return dead_letter(t, p, r, &poison, err);
	return st;
}

/* Tells the shared limits what the partition holds by now. */
static void sum_bytes(struct task *t, struct task_partition *p)
{
	uint64_t now = p->writer ? partition_writer_bytes(p->writer) : 0;
	size_t files = p->writer ? partition_writer_open_files(p->writer) : 0;
	size_t waiting = p->writer ? partition_writer_waiting(p->writer) : 0;

	if (now > p->bytes) {
		atomic_fetch_add_explicit(&t->shared->bytes, (long long)(now - p->bytes),
					  memory_order_relaxed);
		p->bytes = now;
	}
	t->open_files += files - p->open_files;
	p->open_files = files;
	t->waiting += waiting - p->waiting;
	p->waiting = waiting;
	if (t->open_files > t->shared->limit_files || t->waiting > t->shared->limit_waiting)
		t->shared->full = true;
	t->countdown = SUM_EVERY;
}

/* The record is in: positions and counters. */
static void advance(struct task *t, struct task_partition *p, const struct record *r)
{
	atomic_store_explicit(&p->next, r->offset + 1, memory_order_relaxed);
	p->leader_epoch = r->leader_epoch;
	if (r->timestamp_ms >= 0) {
		if (t->timestamp_least < 0 || r->timestamp_ms < t->timestamp_least)
			t->timestamp_least = r->timestamp_ms;
		if (r->timestamp_ms > t->timestamp_greatest)
			t->timestamp_greatest = r->timestamp_ms;
	}
	if (t->countdown-- == 0 || p->open_files == 0)
		sum_bytes(t, p);
}

/* May the task take another record now? */
static bool within_limits(const struct task *t)
{
	const struct task_shared *s = t->shared;

	if (s->limit_records &&
	    atomic_load_explicit(&s->records, memory_order_relaxed) >= s->limit_records)
		return false;
	if (atomic_load_explicit(&s->bytes, memory_order_relaxed) >= s->limit_bytes)
		return false;
	return !atomic_load_explicit(&s->full, memory_order_relaxed);
}

static void *copy_bytes(const void *data, size_t len)
{
	return data ? xmemdup(data, len) : NULL;
}

static size_t stalled_headers(const struct record *r, const struct record_header **out)
{
	const struct stalled *s = r->handle;

	*out = s->headers;
	return s->n_headers;
}

/* Keeps a copy of the record until the registry answers. */
static void stall(struct task *t, const struct record *r)
{
	struct stalled *s = &t->stalled;
	const struct record_header *headers = NULL;
	size_t n = r->headers ? r->headers(r, &headers) : 0;
	int64_t now_us = t->shared->clock->mono_us(t->shared->clock);

	s->record = *r;
	s->record.topic = xstrdup(r->topic);
	s->record.key = copy_bytes(r->key, r->key_len);
	s->record.value = copy_bytes(r->value, r->value_len);
	s->headers = xcalloc(n, sizeof(*s->headers));
	s->n_headers = n;
	for (size_t i = 0; i < n; i++)
		s->headers[i] = (struct record_header){
			.name = xstrdup(headers[i].name),
			.value = copy_bytes(headers[i].value, headers[i].value_len),
			.value_len = headers[i].value_len,
		};
	s->record.headers = stalled_headers;
	s->record.handle = s;
	s->waiting = true;
	s->since_us = now_us;
	s->delay_ms = RETRY_FIRST_MS;
	s->retry_us = now_us + s->delay_ms * 1000;
	t->stalled_since_us = now_us;
}

/* Counts records in the shared limit; per record only where a limit is set. */
static void count_shared(struct task *t, uint64_t before)
{
	uint64_t rows = t->records + t->deadletters - before;

	if (rows)
		atomic_fetch_add_explicit(&t->shared->records, (long long)rows,
					  memory_order_relaxed);
}

static bool on_record(void *ctx, const struct record *r)
{
	struct task *t = ctx;
	struct task_partition *p = partition_of(t, r);
	struct err err = ERR_INIT;
	enum status st;

	/* a partition that was dropped, behind the position, or past the end asked for */
	if (!p || r->offset < p->next)
		return true;
	if (p->until >= 0 && r->offset >= p->until) {
		p->next = p->until;
		return true;
	}
	st = append(t, p, r, &err);
	if (__builtin_expect(st != ST_OK, 0)) {
		if (st == ST_UNREACHABLE)
			stall(t, r);
		else
			fail(t, st, &err);
		return false;
	}
	advance(t, p, r);
	if (t->shared->limit_records) {
		atomic_fetch_add_explicit(&t->shared->records, 1, memory_order_relaxed);
		return within_limits(t) &&
		       !atomic_load_explicit(&t->attention, memory_order_relaxed);
	}
	return !atomic_load_explicit(&t->attention, memory_order_relaxed) &&
	       (t->countdown != SUM_EVERY || within_limits(t));
}

static void on_position(void *ctx, const char *topic, int32_t partition, int64_t offset)
{
	struct task *t = ctx;
	struct task_partition *p = task_find(t, topic, partition);

	if (!p)
		return;
	if (p->until >= 0 && offset > p->until)
		offset = p->until;
	if (offset > p->next) {
		p->next = offset;
		t->shared->moved = true;
	}
}

static void on_error(void *ctx, const char *topic, int32_t partition, enum status st,
		     const char *text)
{
	struct task *t = ctx;
	struct err err = ERR_INIT;

	if (!task_find(t, topic, partition))
		return;
	err_set(&err, st, "%s:%d: %s", topic, partition, text);
	if (st == ST_UNREACHABLE) /* librdkafka goes on by itself */
		log_warn("partition waits", LOG_S("reason", err.text));
	else
		fail(t, st, &err);
}

/* Tries the waiting record again when it is time. */
static void retry_stalled(struct task *t)
{
	const struct config *c = t->shared->config;
	struct stalled *s = &t->stalled;
	int64_t now_us = t->shared->clock->mono_us(t->shared->clock);
	struct task_partition *p = task_find(t, s->record.topic, s->record.partition);
	struct err err = ERR_INIT;
	int64_t most_ms;
	enum status st;

	if (!p) {
		task_stalled_release(s);
		t->stalled_since_us = 0;
		return;
	}
	if (now_us < s->retry_us)
		return;
	st = append(t, p, &s->record, &err);
	if (st == ST_OK) {
		advance(t, p, &s->record);
		atomic_fetch_add_explicit(&t->shared->records, 1, memory_order_relaxed);
	}
	if (st != ST_UNREACHABLE) {
		task_stalled_release(s);
		t->stalled_since_us = 0;
		if (st != ST_OK)
			fail(t, st, &err);
		return;
	}
	log_warn("registry does not answer", LOG_S("reason", err.text),
		 LOG_I("retry_ms", s->delay_ms));
	if (c->retry_timeout_ms >= 0 && now_us - s->since_us > c->retry_timeout_ms * 1000)
		fail(t, st, &err);
	most_ms = prop_number(&connector_table, &c->props, "errors.retry.delay.max.ms");
	s->delay_ms = 2 * s->delay_ms < most_ms ? 2 * s->delay_ms : most_ms;
	s->retry_us = now_us + s->delay_ms * 1000;
}

void task_stalled_release(struct stalled *s)
{
	free((void *)(uintptr_t)s->record.topic);
	free((void *)(uintptr_t)s->record.key);
	free((void *)(uintptr_t)s->record.value);
	for (size_t i = 0; i < s->n_headers; i++) {
		free((void *)(uintptr_t)s->headers[i].name);
		free((void *)(uintptr_t)s->headers[i].value);
	}
	free(s->headers);
	*s = (struct stalled){0};
}

/* Is there a reason not to read now? While one checkpoint is being finished the
 * next batch fills, one at most. */
static bool must_wait(const struct task *t)
{
	return t->failed || t->shared->paused || t->stalled.waiting || !within_limits(t);
}

bool task_step(struct task *t, int timeout_ms)
{
	const struct consumer_sink sink = {
		.ctx = t,
		.record = on_record,
		.position = on_position,
		.error = on_error,
	};
	uint64_t before = t->records + t->deadletters;
	struct task_shared *s = t->shared;

	if (t->attention && !task_read_mail(t))
		return false;
	if (t->stalled.waiting && !t->failed && !s->paused)
		retry_stalled(t);
	if (must_wait(t)) {
		if (timeout_ms > 0)
			s->clock->sleep_ms(s->clock, timeout_ms < 2 ? timeout_ms : 2);
		return true;
	}
	before = t->records + t->deadletters;
	if (s->consumer->ops->consume(s->consumer, t->index, timeout_ms, &sink) > 0) {
		if (!s->limit_records)
			count_shared(t, before);
		s->moved = true;
	}
	return true;
}
