/* Chunks of rows: their vectors, and what becomes of a row that cannot be decoded. */
#include <stdlib.h>

#include "connector/columnar/column_rows_impl.h"

/* Items of no width that one row may have, as for the walker. */
#define MAX_EMPTY_ITEMS (1u << 20)
/* From so many items on, in lists of one chunk, it is full. */
#define FULL_ITEMS ((idx_t)1 << 18)
#define FIRST_ITEMS 2048

/* ---- life ---- */

static void find_lists(struct column_rows *r, const struct column *c)
{
	if (c->op == COLUMN_LIST || c->op == COLUMN_MAP) {
		GROW(r->lists, r->n_lists, r->cap_lists);
		r->lists[r->n_lists++] = c;
	}
	for (size_t i = 0; i < c->n_children; i++)
		find_lists(r, &c->children[i]);
}

struct column_rows *column_rows_new(const struct columns *c, const idx_t *wanted, size_t n)
{
	struct column_rows *r = xcalloc(1, sizeof(*r));
	struct err err = ERR_INIT;

	r->columns = c;
	/* Who has columns has the library. */
	if (duckdb_api_load(&r->duck, &err) != ST_OK)
		abort();
	r->slots = xcalloc(c->n, sizeof(*r->slots));
	r->n_wanted = wanted ? n : c->root.n_children;
	r->wanted = xcalloc(r->n_wanted, sizeof(struct column *));
	r->takes = xcalloc(c->root.n_children, sizeof(*r->takes));
	r->most = r->duck->vector_size();
	for (size_t i = 0; i < r->n_wanted; i++) {
		size_t at = wanted ? wanted[i] : i;

		r->wanted[i] = &c->root.children[at];
		r->takes[at] = true;
		find_lists(r, r->wanted[i]);
	}
	return r;
}

void column_rows_free(struct column_rows *r)
{
	if (!r)
		return;
	free(r->slots);
	free(r->wanted);
	free(r->takes);
	free(r->lists);
	free(r);
}

/* ---- vectors ---- */

/* Takes the vector's memory up, and its children's; once more after a list grew. */
static void bind(struct column_rows *r, const struct column *c, duckdb_vector v)
{
	struct slot *s = &r->slots[c->index];

	s->vector = v;
	s->data = r->duck->vector_get_data(v);
	s->validity = r->duck->vector_get_validity(v);
	if (c->op == COLUMN_STRUCT || c->op == COLUMN_UNION) {
		for (size_t i = 0; i < c->n_children; i++)
			bind(r, &c->children[i], r->duck->struct_vector_get_child(v, i));
	} else if (c->op == COLUMN_LIST) {
		bind(r, &c->children[0], r->duck->list_vector_get_child(v));
	} else if (c->op == COLUMN_MAP) {
		duckdb_vector entries = r->duck->list_vector_get_child(v);

		bind(r, &c->children[0], r->duck->struct_vector_get_child(entries, 0));
		bind(r, &c->children[1], r->duck->struct_vector_get_child(entries, 1));
	}
}

void column_rows_reserve(struct column_rows *r, const struct column *c, idx_t cap)
{
	struct slot *s = &r->slots[c->index];

	s->cap = cap;
	/* It fails where memory does. */
	if (r->duck->list_vector_reserve(s->vector, cap) != DuckDBSuccess)
		abort();
	bind(r, c, s->vector);
}

void column_rows_begin(struct column_rows *r, duckdb_data_chunk chunk)
{
	r->chunk = chunk;
	r->rows = 0;
	for (size_t i = 0; i < r->n_wanted; i++)
		bind(r, r->wanted[i], r->duck->data_chunk_get_vector(chunk, i));
	/* The outer lists come first: growing one binds those within. */
	for (size_t i = 0; i < r->n_lists; i++) {
		r->slots[r->lists[i]->index].used = 0;
		column_rows_reserve(r, r->lists[i], FIRST_ITEMS);
	}
}

bool column_rows_full(const struct column_rows *r)
{
	if (r->rows == r->most)
		return true;
	for (size_t i = 0; i < r->n_lists; i++)
		if (r->slots[r->lists[i]->index].used >= FULL_ITEMS)
			return true;
	return false;
}

size_t column_rows_count(const struct column_rows *r)
{
	return r->rows;
}

void column_rows_end(struct column_rows *r)
{
	for (size_t i = 0; i < r->n_lists; i++) {
		struct slot *s = &r->slots[r->lists[i]->index];

		if (r->duck->list_vector_set_size(s->vector, s->used) != DuckDBSuccess)
			abort();
	}
	r->duck->data_chunk_set_size(r->chunk, r->rows);
	r->chunk = NULL;
}

static void take_back(struct column_rows *r)
{
	for (size_t i = 0; i < r->n_lists; i++) {
		struct slot *s = &r->slots[r->lists[i]->index];

		s->used = s->before;
	}
}

enum status column_rows_add(struct column_rows *r, const unsigned char **pos,
			    const unsigned char *end, bool whole, struct err *err)
{
	const struct column *root = &r->columns->root;
	const unsigned char *p = *pos;

	r->end = end;
	r->why = NULL;
	r->empty_items = MAX_EMPTY_ITEMS;
	for (size_t i = 0; i < r->n_lists; i++) {
		struct slot *s = &r->slots[r->lists[i]->index];

		s->before = s->used;
	}
	for (size_t i = 0; p && i < root->n_children; i++)
		p = r->takes[i] ? column_decode(r, &root->children[i], r->rows, p)
				: column_skip(r, &root->children[i], p);
	if (__builtin_expect(p && (!whole || p == end), 1)) {
		*pos = p;
		r->rows++;
		return ST_OK;
	}
	take_back(r);
	if (p)
		return err_set(err, ST_POISON, "there are bytes behind the value");
	return err_set(err, ST_POISON, "%s: %s", r->where->path, r->why);
}
