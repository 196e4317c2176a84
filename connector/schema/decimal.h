/* Decimal numbers as text to Avro's form: the unscaled number, two's
 * complement, big-endian. */
#ifndef TIDEMARK_SCHEMA_DECIMAL_H
#define TIDEMARK_SCHEMA_DECIMAL_H

#include "core/base/buf.h"

/* text: "-12.50", "1e3". Appends the fewest bytes that hold the number times
 * 10^scale. Returns NULL, or a static text that says why not: it is no number,
 * has more digits behind the point than scale, or more in all than precision. */
const char *decimal_encode(const char *text, size_t len, int precision, int scale, struct buf *out);

#endif
