/* Finds fields in JSON text. */
#ifndef TIDEMARK_SCHEMA_JSON_FIELDS_H
#define TIDEMARK_SCHEMA_JSON_FIELDS_H

#include "connector/schema/value.h"

/* text: one JSON value that json_line_check() has let through. The value at the
 * path, names with dots between them; of several of one name the last. Texts
 * with escapes are put into scratch. VALUE_ABSENT where there is none. */
struct value json_field(const char *text, const char *path, struct buf *scratch);

#endif
