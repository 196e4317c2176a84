#include "connector/history/file_rows.h"

#include <stdlib.h>

#include "connector/writer/offset_runs.h"

struct run {
	int64_t from, to;
};

struct runs {
	struct run *items;
	size_t n, cap;
};

static void runs_release(struct runs *r)
{
	free(r->items);
}

static int by_offset(const void *x, const void *y)
{
	const struct run *a = x, *b = y;

	return (a->from > b->from) - (a->from < b->from);
}

/* All runs of a text, ascending; those that adjoin are one. */
static const char *read_runs(const char *text, struct runs *runs, uint64_t *rows)
{
	AUTO(offset_reader_release) struct offset_reader reader;
	struct run run;
	bool sorted = true;
	size_t n = 0;

	offset_reader_open(&reader, text);
	while (offset_reader_next(&reader, &run.from, &run.to)) {
		struct run *last = runs->n ? &runs->items[runs->n - 1] : NULL;

		*rows += (uint64_t)(run.to - run.from) + 1;
		if (last && last->to + 1 == run.from) {
			last->to = run.to;
			continue;
		}
		sorted = sorted && (!last || last->to < run.from);
		GROW(runs->items, runs->n, runs->cap);
		runs->items[runs->n++] = run;
	}
	if (reader.bad || !runs->n)
		return "its offsets cannot be read";
	if (sorted)
		return NULL;
	qsort(runs->items, runs->n, sizeof(*runs->items), by_offset);
	for (size_t i = 1; i < runs->n; i++) {
		if (runs->items[i].from <= runs->items[n].to)
			return "it has an offset twice";
		if (runs->items[i].from == runs->items[n].to + 1)
			runs->items[n].to = runs->items[i].to;
		else
			runs->items[++n] = runs->items[i];
	}
	runs->n = n + 1;
	return NULL;
}

const char *file_runs_read(const char *text, const struct file_name *name, uint64_t *rows,
			   const char *(*add)(void *ctx, const struct file_name *name, int64_t from,
					      int64_t to),
			   void *ctx)
{
	AUTO(runs_release) struct runs runs = {.n = 0};
	const char *why;

	*rows = 0;
	why = read_runs(text, &runs, rows);
	if (!why && runs.items[0].from != name->first_offset)
		why = "its first offset is not that of its name";
	for (size_t i = 0; !why && i < runs.n; i++)
		why = add(ctx, name, runs.items[i].from, runs.items[i].to);
	return why;
}
