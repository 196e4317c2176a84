/* What the footer of a Parquet file says of its columns. Private to connector/columnar.
 *
 * A footer is a struct of Thrift's compact protocol (parquet.thrift, FileMetaData), before
 * the file's last 8 bytes: its length, little-endian, and "PAR1". Its field 2 lists the
 * columns. */
#ifndef TIDEMARK_COLUMNAR_PARQUET_FOOTER_H
#define TIDEMARK_COLUMNAR_PARQUET_FOOTER_H

#include <jansson.h>

#include "core/base/buf.h"

/* Have these files ([path,..]) the same columns, to the byte? false also where that is not
 * known: one cannot be read, is damaged, or has GeoParquet's entry, which changes what its
 * columns are. */
MUST_CHECK bool parquet_same_columns(const json_t *files);

/* The columns in a footer's text, as its bytes; borrowed from it. false: it is none. */
MUST_CHECK bool parquet_footer_columns(const void *footer, size_t len, struct bytes *out);

#endif
