/* What the system keeps a query's process from, whatever it may be brought to do.
 * Private to connector/columnar. */
#ifndef TIDEMARK_COLUMNAR_SQL_SANDBOX_H
#define TIDEMARK_COLUMNAR_SQL_SANDBOX_H

#include <jansson.h>

#include "core/base/err.h"

/* At the start: no file written, no core, no new privileges, first to go where
 * memory ends, and nothing open but 0, 1, 2 and the two descriptors of sql_wire.h. */
void sql_sandbox_begin(void);
/* From here on this thread, and those that it starts, can open the tables' files and
 * no others. Does nothing where the kernel has no Landlock (5.13). */
void sql_sandbox_files(const json_t *tables);

#endif
