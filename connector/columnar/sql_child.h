/* The process that answers one query (sql.h). It reads the files that it is told
 * of, and writes to its two descriptors alone: the limits that the system gives
 * (no files written, no new privileges, nothing but those files readable where the
 * kernel can) stand behind DuckDB's own locks. */
#ifndef TIDEMARK_COLUMNAR_SQL_CHILD_H
#define TIDEMARK_COLUMNAR_SQL_CHILD_H

#define SQL_PROGRAM "tidemark-sql"

/* The whole of the program SQL_PROGRAM (sql_main.c). Returns the exit code. */
int sql_child_run(void);

#endif
