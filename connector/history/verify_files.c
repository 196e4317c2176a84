#include "connector/history/verify_files.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connector/history/file_rows.h"
#include "connector/writer/deadletter_writer.h"

void checkpoint_account_release(struct checkpoint_account *a)
{
	ranges_release(&a->ranges);
	losses_release(&a->lost);
}

static uint64_t number(const struct lake_commit *commit, const char *key)
{
	const char *text = lake_meta_get(&commit->meta, key);

	return text ? strtoull(text, NULL, 10) : 0;
}

enum status checkpoint_account_read(struct lake *lake, const struct lake_id *id,
				    struct checkpoint_account *out, struct err *err)
{
	AUTO(lake_commit_release) struct lake_commit commit = {.n_parents = 0};
	AUTO(buf_release) struct buf ranges = BUF_INIT;
	AUTO(buf_release) struct buf lost = BUF_INIT;
	enum status st = lake_commit_read(lake, id, &commit, err);

	if (st == ST_OK)
		st = checkpoint_document(lake, &commit, META_RANGES, &ranges, err);
	if (st == ST_OK)
		st = checkpoint_document(lake, &commit, META_LOST, &lost, err);
	if (st == ST_OK && ranges.len)
		st = ranges_from_json(ranges.data, &out->ranges, err);
	if (st == ST_OK && lost.len)
		st = losses_from_json(lost.data, &out->lost, err);
	if (st != ST_OK)
		return st;
	out->records = number(&commit, META_RECORDS);
	out->deadletters = number(&commit, META_DEADLETTERS);
	out->cut = lake_meta_get(&commit.meta, META_DROPPED) ||
		   lake_meta_get(&commit.meta, META_ACCEPTED);
	return ST_OK;
}

/* ---- what a checkpoint adds ---- */

static const char *in_range(void *ctx, const struct file_name *name, int64_t from, int64_t to)
{
	const struct checkpoint_account *a = ctx;
	const struct range *range = ranges_find(&a->ranges, name->topic, name->partition);

	return range && from >= range->from && to < range->to
		       ? NULL
		       : "it holds offsets outside its checkpoint's ranges";
}

/* NULL, or what is wrong with the file. */
static const char *check_file(const struct lake_entry *entry, struct checkpoint_account *a,
			      struct checkpoint_account *sum)
{
	const char *offsets = lake_meta_get(&entry->meta, "tidemark.offsets");
	const char *records = lake_meta_get(&entry->meta, "tidemark.records");
	bool dead = strncmp(entry->path, DEADLETTER_FOLDER, strlen(DEADLETTER_FOLDER)) == 0;
	struct file_name name;
	const char *why;
	uint64_t rows = 0;

	if (!offsets || !file_name_parse(entry->path, &name))
		return "it is no file of records";
	why = file_runs_read(offsets, &name, &rows, in_range, a);
	if (why)
		return why;
	if (records && strtoull(records, NULL, 10) != rows)
		return "it has another number of rows than offsets";
	*(dead ? &sum->deadletters : &sum->records) += rows;
	return NULL;
}

static const char *in_losses(void *ctx, const struct file_name *name, int64_t from, int64_t to)
{
	const struct checkpoint_account *a = ctx;

	for (size_t i = 0; i < a->lost.n; i++) {
		const struct loss *l = &a->lost.items[i];

		if (l->partition == name->partition && strcmp(l->topic, name->topic) == 0 &&
		    from >= l->from && to < l->to)
			return NULL;
	}
	return "it was cut, and not all of its rows are recorded as lost";
}

/* A path that a cut removed or changed: its rows are in the losses. */
static const char *check_cut(struct lake *lake, const struct checkpoint *old, const char *path,
			     struct checkpoint_account *a)
{
	AUTO(lake_entry_release) struct lake_entry entry = {.path = NULL};
	const char *offsets;
	struct file_name name;
	uint64_t rows;

	if (lake_stat(lake, &old->id, path, &entry, NULL) != ST_OK)
		return NULL; /* it was added by hand */
	offsets = lake_meta_get(&entry.meta, "tidemark.offsets");
	if (!offsets || !file_name_parse(path, &name))
		return NULL;
	return file_runs_read(offsets, &name, &rows, in_losses, a);
}

static bool say(char *why, size_t why_bytes, const char *path, const char *text)
{
	snprintf(why, why_bytes, "%s: %s", path, text);
	return false;
}

bool verify_added_files(struct lake *lake, const struct checkpoint *old,
			const struct checkpoint *cp, const struct checkpoint_account *a, char *why,
			size_t why_bytes)
{
	AUTO(lake_diff_closep) struct lake_diff *diff = NULL;
	struct checkpoint_account own = *a; /* borrowed */
	struct checkpoint_account sum = {.records = 0};
	struct lake_diff_entry change = {.path = NULL};
	struct err err = ERR_INIT;
	enum status st = lake_diff_open(lake, &old->id, &cp->id, "", &diff, &err);

	while (st == ST_OK && (st = lake_diff_next(diff, &change, &err)) == ST_OK) {
		AUTO(lake_entry_release) struct lake_entry entry = {.path = NULL};
		AUTO(freep) char *path = change.path;
		const char *text;

		if (path_is_document(path))
			continue;
		if (a->cut) {
			text = check_cut(lake, old, path, &own);
			if (text)
				return say(why, why_bytes, path, text);
			continue;
		}
		if (change.change != LAKE_ADDED)
			return say(why, why_bytes, path, "a checkpoint changes or removes it");
		st = lake_stat(lake, &cp->id, path, &entry, &err);
		if (st != ST_OK)
			break;
		text = check_file(&entry, &own, &sum);
		if (text)
			return say(why, why_bytes, path, text);
	}
	if (st != ST_END)
		return say(why, why_bytes, "its files", err.text);
	if (sum.records == a->records && sum.deadletters == a->deadletters)
		return true;
	snprintf(why, why_bytes,
		 "its files have %" PRIu64 " rows and %" PRIu64
		 " dead letters, and it says %" PRIu64 " and %" PRIu64,
		 sum.records, sum.deadletters, a->records, a->deadletters);
	return false;
}

/* ---- the head ---- */

struct span {
	char *topic;
	uint32_t generation;
	int32_t partition;
	int64_t from, to;
};

struct spans {
	struct span *items;
	size_t n, cap;
};

static void spans_release(struct spans *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->items[i].topic);
	free(s->items);
}

static const char *add_span(void *ctx, const struct file_name *name, int64_t from, int64_t to)
{
	struct spans *s = ctx;

	GROW(s->items, s->n, s->cap);
	s->items[s->n++] =
		(struct span){xstrdup(name->topic), name->generation, name->partition, from, to};
	return NULL;
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

static bool disjoint(struct spans *s, char *why, size_t why_bytes)
{
	if (s->n)
		qsort(s->items, s->n, sizeof(*s->items), compare);
	for (size_t i = 1; i < s->n; i++) {
		const struct span *a = &s->items[i - 1], *b = &s->items[i];

		if (strcmp(a->topic, b->topic) == 0 && a->generation == b->generation &&
		    a->partition == b->partition && b->from <= a->to) {
			snprintf(why, why_bytes, "%s:%d:%" PRId64 " is in two files", b->topic,
				 b->partition, b->from);
			return false;
		}
	}
	return true;
}

bool verify_head_files(struct lake *lake, const struct lake_id *head, char *why, size_t why_bytes)
{
	AUTO(lake_list_closep) struct lake_list *list = NULL;
	AUTO(spans_release) struct spans spans = {.n = 0};
	struct err err = ERR_INIT;
	struct lake_entry entry;
	enum status st = lake_list_open(lake, head, "", &list, &err);

	while (st == ST_OK && (st = lake_list_next(list, &entry, &err)) == ST_OK) {
		const char *offsets = lake_meta_get(&entry.meta, "tidemark.offsets");
		const char *text = NULL;
		struct file_name name;
		uint64_t rows;

		if (offsets && !path_is_document(entry.path) && file_name_parse(entry.path, &name))
			text = file_runs_read(offsets, &name, &rows, add_span, &spans);
		if (text)
			say(why, why_bytes, entry.path, text);
		lake_entry_release(&entry);
		if (text)
			return false;
	}
	if (st != ST_END)
		return say(why, why_bytes, "its files", err.text);
	return disjoint(&spans, why, why_bytes);
}
