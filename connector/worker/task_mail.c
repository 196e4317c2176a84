/* The coordinator's side of a task: its life, its mailbox, cuts, questions. */
#include <stdlib.h>
#include <string.h>

#include "connector/worker/task_impl.h"

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
	task_stalled_release(&t->stalled);
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

void task_notify(struct task *t)
{
	if (t->notify)
		t->notify(t->notify_ctx);
}

struct task_partition *task_find(struct task *t, const char *topic, int32_t partition)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->partitions[i]->partition == partition &&
		    strcmp(t->partitions[i]->topic, topic) == 0)
			return t->partitions[i];
	return NULL;
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

static uint64_t rows_from(const struct batch *b, size_t from)
{
	uint64_t rows = 0;

	for (size_t i = from; i < b->files.n; i++)
		rows += b->files.items[i].records;
	return rows;
}

/* Adds one partition's share to the cut; it begins anew behind it. What is
 * counted is what its files hold: the task's own count has rows of partitions
 * that were dropped since. */
static enum status cut_partition(struct task_shared *s, struct task_partition *p, struct batch *b,
				 struct err *err)
{
	size_t from = b->files.n, dead;
	struct range *range;
	enum status st = ST_OK;

	if (p->next == p->start)
		return ST_OK;
	if (p->writer)
		st = partition_writer_finish(p->writer, &b->files, err);
	for (size_t i = from; st == ST_OK && i < b->files.n; i++)
		if (b->files.items[i].schema)
			schema_uses_add(&b->schemas, p->topic, b->files.items[i].schema);
	b->records += rows_from(b, from);
	dead = b->files.n;
	if (st == ST_OK && p->deadletters)
		st = deadletter_writer_finish(p->deadletters, &b->files, err);
	if (st != ST_OK)
		return err_wrap(err, st, "%s:%d", p->topic, p->partition);
	b->deadletters += rows_from(b, dead);
	range = ranges_add(&b->ranges, p->topic, p->partition, p->start, p->next);
	range->leader_epoch = p->leader_epoch;
	p->start = p->next;
	atomic_fetch_sub_explicit(&s->bytes, (long long)p->bytes, memory_order_relaxed);
	p->bytes = 0;
	p->open_files = p->waiting = 0;
	return ST_OK;
}

/* Parquet files are written by threads of their own: all end at once, none waits. */
static enum status end_partitions(struct task *t, struct err *err)
{
	enum status st = ST_OK;

	for (size_t i = 0; st == ST_OK && i < t->n; i++)
		if (t->partitions[i]->writer && t->partitions[i]->next != t->partitions[i]->start)
			st = partition_writer_end(t->partitions[i]->writer, err);
	return st;
}

static void make_cut(struct task *t, uint64_t number)
{
	struct cut *cut = xcalloc(1, sizeof(*cut));

	cut->number = number;
	cut->batch.timestamp_least = t->timestamp_least;
	cut->batch.timestamp_greatest = t->timestamp_greatest;
	cut->st = end_partitions(t, &cut->err);
	for (size_t i = 0; cut->st == ST_OK && i < t->n; i++)
		cut->st = cut_partition(t->shared, t->partitions[i], &cut->batch, &cut->err);
	atomic_fetch_sub_explicit(&t->shared->records, (long long)(t->records + t->deadletters),
				  memory_order_relaxed);
	t->timestamp_least = t->timestamp_greatest = -1;
	t->records = t->deadletters = 0;
	t->open_files = t->waiting = 0;
	t->countdown = 0;
	pthread_mutex_lock(&t->lock);
	*t->last_cut = cut;
	t->last_cut = &cut->next;
	pthread_mutex_unlock(&t->lock);
	task_notify(t);
}

/* Returns false where the letter says stop. */
bool task_read_mail(struct task *t)
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
	task_notify(t);
	return go_on;
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
