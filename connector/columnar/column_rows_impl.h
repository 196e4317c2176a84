/* Rows under way: what column_rows.c (chunks, vectors) and column_decode.c (values)
 * share, and column_keys.c reads. Private to these. */
#ifndef TIDEMARK_COLUMNAR_COLUMN_ROWS_IMPL_H
#define TIDEMARK_COLUMNAR_COLUMN_ROWS_IMPL_H

#include "connector/columnar/columns_impl.h"

/* What a column of the plan is bound to. */
struct slot {
	duckdb_vector vector; /* NULL: not wanted */
	void *data;
	uint64_t *validity; /* NULL: nothing is null yet */
	idx_t cap, used, before; /* LIST, MAP: items; `before` this row */
};

struct column_rows {
	const struct columns *columns;
	const struct duckdb_api *duck;
	struct slot *slots; /* by a column's index */
	const struct column **wanted;
	size_t n_wanted;
	bool *takes; /* by top-level column: is it wanted? */
	const struct column **lists; /* of what is wanted */
	size_t n_lists, cap_lists;
	duckdb_data_chunk chunk;
	size_t rows, most;
	const unsigned char *end; /* of the row under way, as all below */
	uint64_t empty_items;
	const char *why; /* it cannot be decoded */
	const struct column *where;
};

/* Room for cap items in a list or map; its vectors may move. */
void column_rows_reserve(struct column_rows *r, const struct column *c, idx_t cap);
/* Decodes one value at p into the column's row; skips one. Where it goes on, or
 * NULL: r->why and r->where say what is wrong. */
const unsigned char *column_decode(struct column_rows *r, const struct column *c, idx_t row,
				   const unsigned char *p);
const unsigned char *column_skip(struct column_rows *r, const struct column *c,
				 const unsigned char *p);

#endif
