/* The rows of a Parquet file that are held until it ends, to be sorted: their raw bytes,
 * which are decoded once to see that they can be, and again in their order.
 * Private to parquet_file.c.
 *
 * Rows are added by one thread; from the end of adding on the copier's owns it, until
 * that has been joined. */
#ifndef TIDEMARK_COLUMNAR_PARQUET_SORTER_H
#define TIDEMARK_COLUMNAR_PARQUET_SORTER_H

#include "connector/columnar/column_keys.h"
#include "connector/columnar/parquet_copy.h"

struct sorter;

/* keys is the sorter's from now on; the rest is borrowed. batch_bytes: raw bytes of a
 * batch, at most. */
struct sorter *sorter_new(const struct columns *c, struct column_keys *keys, size_t batch_bytes);
void sorter_free(struct sorter *s);
AUTO_DESTRUCTOR(struct sorter, sorter_free)
/* ST_POISON: parquet_file_add(); nothing was added. */
MUST_CHECK enum status sorter_add(struct sorter *s, int64_t offset, const void *data, size_t len,
				  struct err *err);
/* Memory of the rows that are held, and how many. */
size_t sorter_bytes(const struct sorter *s);
size_t sorter_rows(const struct sorter *s);
/* The next batch in the order of the keys, then of the offsets; NULL: the end. Its texts
 * are the sorter's. ctx: the sorter. */
struct batch *sorter_next(void *ctx);
/* The rows' offsets in their order, once sorter_next() has been called. */
int64_t sorter_offset(const struct sorter *s, size_t row);
void sorter_clear(struct sorter *s); /* as new */

#endif
