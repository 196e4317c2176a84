/* Steps over JSON text that json_line_check() has let through: nothing is checked again,
 * so a value has to lie in an object or a list, whose end ends it. */
#ifndef TIDEMARK_SCHEMA_JSON_TEXT_H
#define TIDEMARK_SCHEMA_JSON_TEXT_H

#include "core/base/buf.h"

/* p is at anything but a string's inside; at the next that is no blank. */
const char *json_blank(const char *p);
/* p is at a string's quote; behind the closing one. */
const char *json_string_end(const char *p);
/* p is at a value's first byte; behind it. */
const char *json_skip(const char *p);
/* Appends the characters of the string at *p, and moves behind it. */
void json_unescape(const char **p, struct buf *out);

#endif
