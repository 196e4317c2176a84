/* An Avro schema as columns of DuckDB, compiled once; and rows of Avro bytes
 * decoded straight into the columns' vectors. docs/parquet.md has the mapping
 * of types.
 *
 * A root that is no record is one column, `value`. */
#ifndef TIDEMARK_COLUMNAR_COLUMNS_H
#define TIDEMARK_COLUMNAR_COLUMNS_H

#include "connector/columnar/duckdb_api.h"
#include "connector/schema/schema.h"

struct columns;

/* Does not change and may be shared by threads; keeps nothing of the schema.
 * json: text of the root, where it is one, is JSON, and the column says so.
 * ST_FAILED: a record inside itself, or two columns whose names differ only in
 * case; err names them. */
MUST_CHECK enum status columns_new(const struct schema *schema, bool json, struct columns **out,
				   struct err *err);
void columns_free(struct columns *c);
AUTO_DESTRUCTOR(struct columns, columns_free)
size_t columns_count(const struct columns *c);
const char *columns_name(const struct columns *c, size_t i); /* c's life */
duckdb_logical_type columns_type(const struct columns *c, size_t i); /* borrowed: c's life */
/* Appends what FIELD_IDS of COPY takes: {'id': 1, 'who': {__duckdb_field_id: 2,
 * 'name': 3}}; nothing where the schema has no field-id. */
void columns_field_ids(const struct columns *c, struct buf *out);

/* ---- rows ---- */

/* Readable bytes behind a row; what is there does not matter. */
#define COLUMN_ROWS_SLACK 16

/* Decodes rows into the vectors of a chunk. Belongs to one thread. */
struct column_rows;

/* wanted: of these columns alone, in this order; NULL: all (n is not looked at).
 * Borrows c. */
struct column_rows *column_rows_new(const struct columns *c, const idx_t *wanted, size_t n);
void column_rows_free(struct column_rows *rows);
AUTO_DESTRUCTOR(struct column_rows, column_rows_free)
/* Begins a chunk, whose vectors are empty and of the wanted columns' types. */
void column_rows_begin(struct column_rows *rows, duckdb_data_chunk chunk);
/* Decodes one value at *pos as the next row and moves *pos behind it. end bounds
 * it; whole: it must end there. COLUMN_ROWS_SLACK bytes behind end can be read.
 * The row's text and bytes are not copied: they must stay until the chunk has
 * been used.
 * ST_POISON: it is not one value of the schema, or one that its column cannot
 * hold; err has the column and why. The chunk is as before. */
MUST_CHECK enum status column_rows_add(struct column_rows *rows, const unsigned char **pos,
				       const unsigned char *end, bool whole, struct err *err);
size_t column_rows_count(const struct column_rows *rows);
/* May no row be added any more? Of 2,048 rows, or of very many items in lists. */
bool column_rows_full(const struct column_rows *rows);
/* Ends the chunk: sizes of lists, and its own. */
void column_rows_end(struct column_rows *rows);

#endif
