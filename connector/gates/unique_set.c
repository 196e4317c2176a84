#include "connector/gates/unique_set.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/file.h"

#define DEFAULT_LIMIT ((size_t)1 << 20)
#define RUN_BUFFER_ITEMS 256

struct unique_set {
	struct unique_item *items;
	size_t n;
	size_t cap;
	size_t limit;
	int fd; /* -1: all is in memory */
	size_t runs; /* sorted, one behind the other, of limit items each but the last */
	uint64_t spilt; /* items in them */
};

struct unique_set *unique_set_new(size_t limit)
{
	struct unique_set *s = xcalloc(1, sizeof(*s));

	s->limit = limit ? limit : DEFAULT_LIMIT;
	s->fd = -1;
	return s;
}

void unique_set_free(struct unique_set *s)
{
	if (!s)
		return;
	closep(&s->fd);
	free(s->items);
	free(s);
}

/* By value, then by place. */
static int compare(const void *x, const void *y)
{
	const struct unique_item *a = x, *b = y;
	int order = memcmp(a->digest, b->digest, sizeof(a->digest));

	if (order == 0)
		order = (a->file > b->file) - (a->file < b->file);
	return order ? order : (a->row > b->row) - (a->row < b->row);
}

static void sort(struct unique_set *s)
{
	if (s->n)
		qsort(s->items, s->n, sizeof(*s->items), compare);
}

static enum status spill(struct unique_set *s, struct err *err)
{
	const char *dir = getenv("TMPDIR");
	AUTO(freep) char *path = xasprintf("%s/tidemark-unique-XXXXXX", dir && *dir ? dir : "/tmp");
	enum status st;

	if (s->fd < 0) {
		s->fd = mkostemp(path, O_CLOEXEC);
		if (s->fd < 0)
			return err_errno(err, errno, "cannot create %s", path);
		unlink(path);
	}
	sort(s);
	st = fd_write_all(s->fd, s->items, s->n * sizeof(*s->items), "a temporary file", err);
	s->runs++;
	s->spilt += s->n;
	s->n = 0;
	return st;
}

enum status unique_set_add(struct unique_set *s, const struct unique_item *item, struct err *err)
{
	enum status st = s->n == s->limit ? spill(s, err) : ST_OK;

	if (st != ST_OK)
		return st;
	GROW(s->items, s->n, s->cap);
	s->items[s->n++] = *item;
	return ST_OK;
}

/* ---- looking at them in order ---- */

struct tally {
	struct unique_result result;
	struct unique_item last;
	bool any;
};

static void tally(struct tally *t, const struct unique_item *item)
{
	bool same = t->any && memcmp(t->last.digest, item->digest, sizeof(item->digest)) == 0;
	const struct unique_item *second = &t->result.second;

	if (same) {
		if (t->result.again++ == 0 || item->file < second->file ||
		    (item->file == second->file && item->row < second->row)) {
			t->result.first = t->last;
			t->result.second = *item;
		}
	} else {
		t->last = *item;
	}
	t->any = true;
}

struct run {
	uint64_t next; /* in the file, of items */
	uint64_t end;
	struct unique_item items[RUN_BUFFER_ITEMS];
	size_t at, n;
};

/* Makes the next item readable; *any false: the run has no more. */
static enum status fill(const struct unique_set *s, struct run *r, bool *any, struct err *err)
{
	size_t want =
		r->end - r->next < RUN_BUFFER_ITEMS ? (size_t)(r->end - r->next) : RUN_BUFFER_ITEMS;
	size_t got = 0;
	enum status st = ST_OK;

	*any = true;
	if (r->at < r->n)
		return ST_OK;
	if (want)
		st = fd_pread_all(s->fd, r->items, want * sizeof(*r->items),
				  r->next * sizeof(*r->items), &got, "a temporary file", err);
	if (st == ST_OK && got != want * sizeof(*r->items))
		st = err_set(err, ST_IO, "a temporary file has become shorter");
	r->at = 0;
	r->n = want;
	r->next += want;
	*any = want > 0;
	return st;
}

static bool before(const struct run *a, const struct run *b)
{
	return compare(&a->items[a->at], &b->items[b->at]) < 0;
}

static void sift_down(struct run **heap, size_t n, size_t i)
{
	for (;;) {
		size_t least = i;
		struct run *swap = heap[i];

		for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < n; child++)
			if (before(heap[child], heap[least]))
				least = child;
		if (least == i)
			return;
		heap[i] = heap[least];
		heap[least] = swap;
		i = least;
	}
}

static enum status merge(struct unique_set *s, struct run *runs, struct run **heap, struct tally *t,
			 struct err *err)
{
	size_t n = s->runs;
	enum status st = ST_OK;

	for (size_t i = 0; st == ST_OK && i < n; i++) {
		bool any;

		runs[i].next = i * s->limit;
		runs[i].end = i + 1 < n ? runs[i].next + s->limit : s->spilt;
		heap[i] = &runs[i];
		st = fill(s, &runs[i], &any, err);
	}
	for (size_t i = n / 2; st == ST_OK && i-- > 0;)
		sift_down(heap, n, i);
	while (st == ST_OK && n > 0) {
		bool any;

		tally(t, &heap[0]->items[heap[0]->at++]);
		st = fill(s, heap[0], &any, err);
		if (!any)
			heap[0] = heap[--n];
		sift_down(heap, n, 0);
	}
	return st;
}

enum status unique_set_finish(struct unique_set *s, struct unique_result *out, struct err *err)
{
	struct tally t = {.any = false};
	AUTO(freep) struct run *runs = NULL;
	AUTO(freep) struct run **heap = NULL;
	enum status st;

	if (s->fd < 0) {
		sort(s);
		for (size_t i = 0; i < s->n; i++)
			tally(&t, &s->items[i]);
		*out = t.result;
		return ST_OK;
	}
	st = spill(s, err);
	runs = xcalloc(s->runs + 1, sizeof(*runs));
	heap = xcalloc(s->runs + 1, sizeof(*heap));
	if (st == ST_OK)
		st = merge(s, runs, heap, &t, err);
	*out = t.result;
	return st;
}
