#include "connector/worker/task.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"

#define RETRY_FIRST_MS 300
/* Records between two sums of bytes and open files. */
#define SUM_EVERY 256

/* One partition of the task. Owned by the task's thread. */
struct task_partition {
	char *topic;
	int32_t partition;
	uint32_t generation;
	int32_t leader_epoch; /* of the last record */
	int64_t start; /* where the batch begins */
	_Atomic int64_t next; /* next to read; the coordinator reads it */
	int64_t until;
	size_t open_files; /* as counted in the task's */
	uint64_t bytes; /* that partition_writer_bytes() said last */
	struct partition_writer *writer;
	struct deadletter_writer *deadletters;
};

enum letter_kind { LETTER_ADD, LETTER_CUT, LETTER_DROP, LETTER_STOP };

struct letter {
	struct letter *next;
	enum letter_kind kind;
	uint64_t number; /* CUT */
	struct task_partition *partition; /* ADD */
	struct partitions list; /* DROP */
};

/* A record that waits for the registry: the consumer's copy is gone by then. */
struct stalled {
	bool waiting;
	struct record record;
	struct record_header *headers;
	size_t n_headers;
	int64_t since_us, retry_us, delay_ms;
};

struct task {
	struct task_shared *shared;
	int index;

	/* the task thread's own */
	struct task_partition **partitions; /* changes are made under lock */
	size_t n, cap;
	struct task_partition *last; /* records come in runs */
	const char *last_topic; /* the consumer's own pointer */
	int64_t timestamp_least, timestamp_greatest;
	uint64_t records, deadletters;
	uint64_t countdown; /* records until bytes are summed again */
	size_t open_files; /* of all partitions */
	struct stalled stalled;

	atomic_bool attention; /* the mailbox is not empty */
	atomic_bool failed;
	_Atomic int64_t stalled_since_us;

	pthread_mutex_t lock;
	struct letter *first, **last_letter; /* guarded by lock, as all below */
	struct cut *cuts, **last_cut;
	uint64_t posted, done; /* letters */
	enum status failure;
	struct err failure_err;
	void (*notify)(void *ctx);
	void *notify_ctx;
};

void cut_free(struct cut *cut)
{
	if (!cut)
		return;
	batch_release(&cut->batch);
	free(cut);
}

static void partition_free(struct task_partition *p)
{
	if (!p)
		return;
	partition_writer_free(p->writer);
	deadletter_writer_free(p->deadletters);
	free(p->topic);
	free(p);
}

struct task *task_new(struct task_shared *shared, int index)
{
	struct task *t = xcalloc(1, sizeof(*t));

	t->shared = shared;
	t->index = index;
	t->timestamp_least = t->timestamp_greatest = -1;
	pthread_mutex_init(&t->lock, NULL);
	t->last_letter = &t->first;
	t->last_cut = &t->cuts;
	return t;
}

static void stalled_release(struct stalled *s)
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

static void letter_free(struct letter *letter)
{
	partition_free(letter->partition);
	partitions_release(&letter->list);
	free(letter);
}

void task_free(struct task *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n; i++)
		partition_free(t->partitions[i]);
	free(t->partitions);
	stalled_release(&t->stalled);
	while (t->first) {
		struct letter *next = t->first->next;

		letter_free(t->first);
		t->first = next;
	}
	while (t->cuts) {
		struct cut *next = t->cuts->next;

		cut_free(t->cuts);
		t->cuts = next;
	}
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static void notify(struct task *t)
{
	if (t->notify)
		t->notify(t->notify_ctx);
}

static void fail(struct task *t, enum status st, const struct err *err)
{
	pthread_mutex_lock(&t->lock);
	if (t->failure == ST_OK) {
		t->failure = st;
		t->failure_err = *err;
	}
	pthread_mutex_unlock(&t->lock);
	t->failed = true;
	notify(t);
}

/* ---- records ---- */

static struct task_partition *find(struct task *t, const char *topic, int32_t partition)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->partitions[i]->partition == partition &&
		    strcmp(t->partitions[i]->topic, topic) == 0)
			return t->partitions[i];
	return NULL;
}

static inline struct task_partition *partition_of(struct task *t, const struct record *r)
{
	if (__builtin_expect(
		    r->topic == t->last_topic && t->last && t->last->partition == r->partition, 1))
		return t->last;
	t->last = find(t, r->topic, r->partition);
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

	if (now > p->bytes) {
		atomic_fetch_add_explicit(&t->shared->bytes, (long long)(now - p->bytes),
					  memory_order_relaxed);
		p->bytes = now;
	}
	t->open_files += files - p->open_files;
	p->open_files = files;
	if (t->open_files > t->shared->limit_files)
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
	struct task_partition *p = find(t, topic, partition);

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

	if (!find(t, topic, partition))
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
	struct task_partition *p = find(t, s->record.topic, s->record.partition);
	struct err err = ERR_INIT;
	int64_t most_ms;
	enum status st;

	if (!p) {
		stalled_release(s);
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
		stalled_release(s);
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

/* ---- the mailbox ---- */

static void post(struct task *t, struct letter *letter)
{
	pthread_mutex_lock(&t->lock);
	*t->last_letter = letter;
	t->last_letter = &letter->next;
	t->posted++;
	pthread_mutex_unlock(&t->lock);
	t->attention = true;
	t->shared->consumer->ops->wake(t->shared->consumer, t->index);
}

void task_add(struct task *t, const char *topic, int32_t partition, uint32_t generation,
	      int64_t offset, int64_t until)
{
	struct letter *letter = xcalloc(1, sizeof(*letter));
	struct task_partition *p = xcalloc(1, sizeof(*p));

	p->topic = xstrdup(topic);
	p->partition = partition;
	p->generation = generation;
	p->leader_epoch = -1;
	p->start = offset;
	p->next = offset;
	p->until = until;
	letter->kind = LETTER_ADD;
	letter->partition = p;
	post(t, letter);
}

void task_cut(struct task *t, uint64_t number)
{
	struct letter *letter = xcalloc(1, sizeof(*letter));

	letter->kind = LETTER_CUT;
	letter->number = number;
	post(t, letter);
}

void task_drop(struct task *t, const struct partitions *list)
{
	struct letter *letter = xcalloc(1, sizeof(*letter));

	letter->kind = LETTER_DROP;
	for (size_t i = 0; i < list->n; i++)
		partitions_add(&letter->list, list->items[i].topic, list->items[i].partition);
	post(t, letter);
}

void task_stop(struct task *t)
{
	struct letter *letter = xcalloc(1, sizeof(*letter));

	letter->kind = LETTER_STOP;
	post(t, letter);
}

static void take_partition(struct task *t, struct task_partition *p)
{
	pthread_mutex_lock(&t->lock);
	GROW(t->partitions, t->n, t->cap);
	t->partitions[t->n++] = p;
	pthread_mutex_unlock(&t->lock);
}

static void drop_partitions(struct task *t, const struct partitions *list)
{
	size_t kept = 0;

	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < t->n; i++) {
		struct task_partition *p = t->partitions[i];

		if (partitions_find(list, p->topic, p->partition))
			partition_free(p);
		else
			t->partitions[kept++] = p;
	}
	t->n = kept;
	pthread_mutex_unlock(&t->lock);
	t->last = NULL;
	t->last_topic = NULL;
}

/* Adds one partition's share to the cut; it begins anew behind it. */
static enum status cut_partition(struct task_shared *s, struct task_partition *p, struct batch *b,
				 struct err *err)
{
	size_t from = b->files.n;
	struct range *range;
	enum status st = ST_OK;

	if (p->next == p->start)
		return ST_OK;
	if (p->writer)
		st = partition_writer_finish(p->writer, &b->files, err);
	for (size_t i = from; st == ST_OK && i < b->files.n; i++)
		if (b->files.items[i].schema)
			schema_uses_add(&b->schemas, p->topic, b->files.items[i].schema);
	if (st == ST_OK && p->deadletters)
		st = deadletter_writer_finish(p->deadletters, &b->files, err);
	if (st != ST_OK)
		return err_wrap(err, st, "%s:%d", p->topic, p->partition);
	range = ranges_add(&b->ranges, p->topic, p->partition, p->start, p->next);
	range->leader_epoch = p->leader_epoch;
	p->start = p->next;
	atomic_fetch_sub_explicit(&s->bytes, (long long)p->bytes, memory_order_relaxed);
	p->bytes = 0;
	p->open_files = 0;
	return ST_OK;
}

static void make_cut(struct task *t, uint64_t number)
{
	struct cut *cut = xcalloc(1, sizeof(*cut));

	cut->number = number;
	cut->batch.timestamp_least = t->timestamp_least;
	cut->batch.timestamp_greatest = t->timestamp_greatest;
	cut->batch.records = t->records;
	cut->batch.deadletters = t->deadletters;
	for (size_t i = 0; cut->st == ST_OK && i < t->n; i++)
		cut->st = cut_partition(t->shared, t->partitions[i], &cut->batch, &cut->err);
	atomic_fetch_sub_explicit(&t->shared->records, (long long)(t->records + t->deadletters),
				  memory_order_relaxed);
	t->timestamp_least = t->timestamp_greatest = -1;
	t->records = t->deadletters = 0;
	t->open_files = 0;
	t->countdown = 0;
	pthread_mutex_lock(&t->lock);
	*t->last_cut = cut;
	t->last_cut = &cut->next;
	pthread_mutex_unlock(&t->lock);
	notify(t);
}

/* Returns false where the letter says stop. */
static bool read_mail(struct task *t)
{
	struct letter *letter, *next;
	uint64_t done = 0;
	bool go_on = true;

	pthread_mutex_lock(&t->lock);
	letter = t->first;
	t->first = NULL;
	t->last_letter = &t->first;
	t->attention = false;
	pthread_mutex_unlock(&t->lock);
	for (; letter; letter = next) {
		next = letter->next;
		if (letter->kind == LETTER_ADD)
			take_partition(t, MOVE(letter->partition));
		else if (letter->kind == LETTER_CUT)
			make_cut(t, letter->number);
		else if (letter->kind == LETTER_DROP)
			drop_partitions(t, &letter->list);
		else
			go_on = false;
		letter_free(letter);
		done++;
	}
	pthread_mutex_lock(&t->lock);
	t->done += done;
	pthread_mutex_unlock(&t->lock);
	notify(t);
	return go_on;
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

	if (t->attention && !read_mail(t))
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

/* ---- questions ---- */

struct cut *task_take_cut(struct task *t)
{
	struct cut *cut;

	pthread_mutex_lock(&t->lock);
	cut = t->cuts;
	if (cut) {
		t->cuts = cut->next;
		if (!t->cuts)
			t->last_cut = &t->cuts;
		cut->next = NULL;
	}
	pthread_mutex_unlock(&t->lock);
	return cut;
}

bool task_failed(struct task *t, enum status *st, struct err *err)
{
	bool failed;

	pthread_mutex_lock(&t->lock);
	failed = t->failure != ST_OK;
	if (failed) {
		*st = t->failure;
		*err = t->failure_err;
	}
	pthread_mutex_unlock(&t->lock);
	return failed;
}

bool task_is_idle(struct task *t)
{
	bool idle;

	pthread_mutex_lock(&t->lock);
	idle = t->done == t->posted;
	pthread_mutex_unlock(&t->lock);
	return idle;
}

bool task_done(struct task *t)
{
	bool done;

	pthread_mutex_lock(&t->lock);
	done = t->done == t->posted;
	for (size_t i = 0; done && i < t->n; i++)
		done = t->partitions[i]->until >= 0 &&
		       t->partitions[i]->next >= t->partitions[i]->until;
	pthread_mutex_unlock(&t->lock);
	return done;
}

void task_set_notify(struct task *t, void (*fn)(void *ctx), void *ctx)
{
	pthread_mutex_lock(&t->lock);
	t->notify = fn;
	t->notify_ctx = ctx;
	pthread_mutex_unlock(&t->lock);
}

void task_positions(struct task *t, struct partitions *out)
{
	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < t->n; i++)
		partitions_add(out, t->partitions[i]->topic, t->partitions[i]->partition)->offset =
			t->partitions[i]->next;
	pthread_mutex_unlock(&t->lock);
}

int64_t task_stalled_since_us(struct task *t)
{
	return t->stalled_since_us;
}
