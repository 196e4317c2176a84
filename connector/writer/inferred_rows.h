/* JSON records of one Parquet file whose columns are made from them: held as they came
 * until the file ends, or until they are a row group's bytes; then their shape is the
 * file's schema, and a record that does not fit it ends the file.
 * Private to data_file.c and partition_writer.c. Belongs to one thread. */
#ifndef TIDEMARK_WRITER_INFERRED_ROWS_H
#define TIDEMARK_WRITER_INFERRED_ROWS_H

#include "connector/columnar/parquet_file.h"
#include "connector/schema/compiled.h"
#include "connector/writer/json_shape.h"

struct inferred_rows;

/* metadata: rows end with the bytes of _kafka (record_metadata.h). */
struct inferred_rows *inferred_rows_new(const struct parquet_settings *settings, bool metadata);
void inferred_rows_free(struct inferred_rows *r);

/* Adds the object's row, and tail's bytes behind it. *fit says whether it was; after an
 * error the file can only be freed. */
MUST_CHECK enum status inferred_rows_add(struct inferred_rows *r, int64_t offset, const char *text,
					 size_t len, const struct buf *tail, enum shape_fit *fit,
					 struct err *err);
/* Decides on the columns, if that has not been done. There must be a row. */
MUST_CHECK enum status inferred_rows_settle(struct inferred_rows *r, struct err *err);
/* The file, and the schema of its rows; NULL until that has been done. They are r's. */
struct parquet_file *inferred_rows_file(const struct inferred_rows *r);
const struct compiled_schema *inferred_rows_schema(const struct inferred_rows *r);
size_t inferred_rows_held(const struct inferred_rows *r); /* bytes */

#endif
