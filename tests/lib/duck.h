/* Asks DuckDB itself, for tests: a fresh database for each question. */
#ifndef TIDEMARK_TESTS_DUCK_H
#define TIDEMARK_TESTS_DUCK_H

#include "core/base/buf.h"

/* The one cell of the answer, which must be text. Asserts. */
void duck_ask(struct buf *out, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Statements for what they do: COPY. Asserts. */
void duck_run(const char *fmt, ...) PRINTF_LIKE(1, 2);

#endif
