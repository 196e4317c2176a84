/* The gate `offsets`: between the checkpoint that is shown and the one to be
 * shown, every offset of a partition is a row or a dead letter, once, or a
 * policy left it out and the checkpoint says so.
 *
 * Only what the files' metadata says is read. Of a topic that was created anew
 * in between, the new one is judged. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connector/gates/gate_files.h"
#include "connector/gates/gate_run.h"
#include "connector/history/file_rows.h"
#include "connector/history/verify_files.h"
#include "connector/writer/file_name.h"

/* Offsets of one file in a row, both ends included. */
struct span {
	char *topic;
	uint32_t generation;
	int32_t partition;
	int64_t from, to;
	bool wanted; /* by its path */
};

struct account {
	struct gate_run *run;
	struct checkpoint from, to; /* from.id none: nothing was shown */
	struct span *spans;
	size_t n;
	size_t cap;
	struct losses lost;
	bool lost_read;
	uint64_t rows;
	uint64_t missing;
	char first_missing[320];
};

static void account_release(struct account *a)
{
	for (size_t i = 0; i < a->n; i++)
		free(a->spans[i].topic);
	free(a->spans);
	losses_release(&a->lost);
	checkpoint_release(&a->from);
	checkpoint_release(&a->to);
}

/* ---- what the files hold ---- */

/* A file that is being read. */
struct place {
	struct account *account;
	bool wanted;
};

static const char *add_span(void *ctx, const struct file_name *name, int64_t from, int64_t to)
{
	const struct place *place = ctx;
	struct account *a = place->account;
	struct span *last = a->n ? &a->spans[a->n - 1] : NULL;

	if (last && last->to + 1 == from && last->partition == name->partition &&
	    last->wanted == place->wanted && last->generation == name->generation &&
	    strcmp(last->topic, name->topic) == 0) {
		last->to = to;
		return NULL;
	}
	GROW(a->spans, a->n, a->cap);
	a->spans[a->n++] = (struct span){.topic = xstrdup(name->topic),
					 .generation = name->generation,
					 .partition = name->partition,
					 .from = from,
					 .to = to,
					 .wanted = place->wanted};
	return NULL;
}

static enum status add_file(struct account *a, const struct gate_file *file, struct err *err)
{
	const char *text = lake_meta_get(&file->entry.meta, "tidemark.offsets");
	struct place place = {a, gate_wants(a->run->gate, file->entry.path)};
	struct file_name name;
	const char *why;
	uint64_t rows;

	if (!text || !*text || !file_name_parse(file->entry.path, &name))
		return err_set(err, ST_HELD, "%s is no file of records", file->entry.path);
	why = file_runs_read(text, &name, &rows, add_span, &place);
	a->rows += rows;
	return why ? err_set(err, ST_HELD, "%s: %s", file->entry.path, why) : ST_OK;
}

static int compare(const void *x, const void *y)
{
	const struct span *a = x, *b = y;
	int order = strcmp(a->topic, b->topic);

	if (order == 0)
		order = (a->generation > b->generation) - (a->generation < b->generation);
	if (order == 0)
		order = (a->partition > b->partition) - (a->partition < b->partition);
	return order ? order : (a->from > b->from) - (a->from < b->from);
}

static enum status collect(struct account *a, struct err *err)
{
	AUTO(gate_files_freep)
	struct gate_files *files = gate_files_new(a->run->subject, a->run->gate->all);
	struct gate_file file;
	enum status st;

	while ((st = gate_files_next(files, &file, err)) == ST_OK) {
		st = gate_time(a->run, err);
		if (st == ST_OK)
			st = add_file(a, &file, err);
		gate_file_release(&file);
		if (st != ST_OK)
			return st;
	}
	if (st == ST_END && a->n)
		qsort(a->spans, a->n, sizeof(*a->spans), compare);
	return st == ST_END ? ST_OK : st;
}

static enum status check_once(const struct account *a, struct err *err)
{
	for (size_t i = 1; i < a->n; i++) {
		const struct span *p = &a->spans[i - 1], *q = &a->spans[i];

		if (strcmp(p->topic, q->topic) == 0 && p->generation == q->generation &&
		    p->partition == q->partition && q->from <= p->to)
			return err_set(err, ST_HELD, "%s:%d:%" PRId64 " is there twice", q->topic,
				       q->partition, q->from);
	}
	return ST_OK;
}

/* ---- what should be there ---- */

struct partition {
	const char *topic;
	int32_t partition;
	uint32_t generation;
};

struct beginning {
	const struct gate_subject *subject;
	const struct partition *partition;
};

static bool knows(const struct checkpoint *cp, const struct partition *p)
{
	const struct topic_state *topic = topic_states_find(&cp->topics, p->topic);

	return topic && topic->generation == p->generation &&
	       offsets_get(&cp->offsets, p->topic, p->partition) >= 0;
}

static bool holds(void *ctx, const struct lake_commit *commit)
{
	const struct beginning *b = ctx;
	AUTO(checkpoint_release) struct checkpoint cp = {.sequence = 0};

	return commit_is_checkpoint(commit, b->subject->connector) &&
	       checkpoint_read(b->subject->lake, &commit->id, &cp, NULL) == ST_OK &&
	       knows(&cp, b->partition);
}

/* Where the connector began to read a partition: the oldest checkpoint that has it. */
static enum status first_offset(const struct account *a, const struct partition *p, int64_t *out,
				struct err *err)
{
	const struct gate_subject *s = a->run->subject;
	AUTO(checkpoint_account_release) struct checkpoint_account read = {.records = 0};
	AUTO(lake_commit_release) struct lake_commit commit = {.n_parents = 0};
	AUTO(checkpoint_release) struct checkpoint cp = {.sequence = 0};
	struct beginning beginning = {s, p};
	const struct range *range;
	enum status st = lake_log_search(s->lake, &s->to, holds, &beginning, &commit, err);

	if (st == ST_OK)
		st = checkpoint_read(s->lake, &commit.id, &cp, err);
	if (st == ST_OK)
		st = checkpoint_account_read(s->lake, &commit.id, &read, err);
	if (st != ST_OK)
		return st;
	range = ranges_find(&read.ranges, p->topic, p->partition);
	*out = range ? range->from : offsets_get(&cp.offsets, p->topic, p->partition);
	return ST_OK;
}

/* What policies left out since the checkpoint that is shown. */
static enum status read_lost(struct account *a, struct err *err)
{
	const struct gate_subject *s = a->run->subject;
	struct lake_id at = s->to;
	enum status st = ST_OK;

	while (!a->lost_read && !lake_id_is_none(&at) && !lake_id_equal(&at, &a->from.id)) {
		AUTO(checkpoint_account_release) struct checkpoint_account one = {.records = 0};
		AUTO(checkpoint_release) struct checkpoint cp = {.sequence = 0};

		st = gate_time(a->run, err);
		if (st == ST_OK)
			st = checkpoint_read(s->lake, &at, &cp, err);
		if (st == ST_OK)
			st = checkpoint_account_read(s->lake, &at, &one, err);
		if (st != ST_OK)
			return st;
		for (size_t i = 0; i < one.lost.n; i++) {
			const struct loss *l = &one.lost.items[i];

			losses_add(&a->lost, l->topic, l->partition, l->from, l->to, l->policy,
				   l->reason);
		}
		at = cp.previous;
	}
	a->lost_read = true;
	return ST_OK;
}

/* The first offset of [from, to) that no loss covers, and where that ends. */
static int64_t after_losses(const struct account *a, const struct partition *p, int64_t from,
			    int64_t to, int64_t *end)
{
	bool moved = true;

	*end = to;
	while (moved && from < to) {
		moved = false;
		*end = to;
		for (size_t i = 0; i < a->lost.n; i++) {
			const struct loss *l = &a->lost.items[i];

			if (strcmp(l->topic, p->topic) != 0 || l->partition != p->partition)
				continue;
			if (l->from <= from && l->to > from) {
				from = l->to;
				moved = true;
			} else if (l->from > from && l->from < *end) {
				*end = l->from;
			}
		}
	}
	return from < to ? from : to;
}

/* [from, to) is in no file. */
static enum status missing(struct account *a, const struct partition *p, int64_t from, int64_t to,
			   struct err *err)
{
	enum status st = from < to ? read_lost(a, err) : ST_OK;

	while (st == ST_OK && from < to) {
		int64_t end;

		from = after_losses(a, p, from, to, &end);
		if (from >= to)
			break;
		if (a->missing == 0)
			snprintf(a->first_missing, sizeof(a->first_missing), "%s:%d:%" PRId64,
				 p->topic, p->partition, from);
		a->missing += (uint64_t)(end - from);
		from = end;
	}
	return st;
}

static bool of_partition(const struct span *s, const struct partition *p)
{
	return s->partition == p->partition && s->generation == p->generation &&
	       strcmp(s->topic, p->topic) == 0;
}

static enum status check_partition(struct account *a, const struct partition *p, int64_t to,
				   struct err *err)
{
	const bool goes_on = !lake_id_is_none(&a->from.id) && knows(&a->from, p);
	int64_t at = goes_on ? offsets_get(&a->from.offsets, p->topic, p->partition) : 0;
	enum status st = goes_on ? ST_OK : first_offset(a, p, &at, err);

	for (size_t i = 0; st == ST_OK && i < a->n; i++) {
		const struct span *s = &a->spans[i];

		if (!of_partition(s, p))
			continue;
		if (s->from < at || s->to >= to)
			return err_set(err, ST_HELD,
				       "%s:%d:%" PRId64 " is added, and the checkpoints to be "
				       "shown read from %" PRId64 " to %" PRId64,
				       p->topic, p->partition, s->from < at ? s->from : s->to, at,
				       to);
		st = missing(a, p, at, s->from, err);
		at = s->to + 1;
	}
	return st == ST_OK ? missing(a, p, at, to, err) : st;
}

/* Does the gate look at this partition? By a path that a file of it would have under
 * the default partitioner, or has. */
static bool wanted(const struct account *a, const struct partition *p)
{
	const struct gate_config *gate = a->run->gate;
	const struct roots *roots = a->run->subject->roots;
	AUTO(freep) char *end = xasprintf("/%s/", p->topic);

	if (gate->paths.n == 0)
		return true;
	for (size_t i = 0; i < a->n; i++)
		if (a->spans[i].wanted && of_partition(&a->spans[i], p))
			return true;
	for (size_t i = 0; i < roots->n; i++) {
		const char *root = roots->items[i];
		size_t len = strlen(root), n = strlen(end);
		AUTO(freep)
		char *path = xasprintf("%spartition=%d/%s+%d+0000000000.avro", root, p->partition,
				       p->topic, p->partition);

		if (len >= n && strcmp(root + len - n, end) == 0 && !is_dead_letter(root))
			return gate_wants(gate, path);
	}
	return false;
}

static enum status check_all(struct account *a, struct err *err)
{
	enum status st = check_once(a, err);

	for (size_t i = 0; st == ST_OK && i < a->to.offsets.n; i++) {
		const struct offset_item *item = &a->to.offsets.items[i];
		const struct topic_state *topic = topic_states_find(&a->to.topics, item->topic);
		const struct partition p = {item->topic, item->partition,
					    topic ? topic->generation : 0};

		st = gate_time(a->run, err);
		if (st == ST_OK && wanted(a, &p))
			st = check_partition(a, &p, item->value, err);
	}
	return st;
}

enum status gate_run_offsets(struct gate_run *run, struct err *err)
{
	const struct gate_subject *s = run->subject;
	AUTO(account_release) struct account a = {.run = run};
	enum status st = checkpoint_read(s->lake, &s->to, &a.to, err);

	if (st == ST_OK && !run->gate->all && !lake_id_is_none(&s->from))
		st = checkpoint_read(s->lake, &s->from, &a.from, err);
	if (st == ST_OK)
		st = collect(&a, err);
	if (st == ST_OK)
		st = check_all(&a, err);
	if (st != ST_OK)
		return st;
	buf_addf(&run->output, "%" PRIu64 " offsets, %" PRIu64 " missing\n", a.rows, a.missing);
	if (a.missing <= run->gate->max_missing)
		return ST_OK;
	return err_set(err, ST_HELD,
		       "%" PRIu64 " offsets are in no file, the first is %s (max.missing=%" PRIu64
		       ")",
		       a.missing, a.first_missing, run->gate->max_missing);
}
