/* What connector/columnar is to the rest: Parquet and SQL, by DuckDB. */
#ifndef TIDEMARK_COLUMNAR_COLUMNAR_H
#define TIDEMARK_COLUMNAR_COLUMNAR_H

/* "v1.5.5"; NULL: the library is not there. Loads it. */
const char *columnar_library_version(void);

#endif
