/* Is a run of bytes exactly one Avro value of a schema? The question is asked
 * of every record that goes through, so the schema is compiled to a table of
 * operations once, and a look at a value allocates nothing.
 *
 * Accepted: what the Avro specification calls a value, and lengths or union
 * indices in varints that are longer than need be. Refused, where readers
 * differ: strings and map keys that are not UTF-8, booleans other than 0 and
 * 1, an int whose varint is over 5 bytes or 32 bits, a long's over 10 bytes or
 * 64 bits, a block whose size in bytes is not the size of its items, bytes
 * behind the value, arrays and recursion deeper than WALKER_MAX_DEPTH, and
 * over WALKER_MAX_EMPTY items of no width in all.
 *
 * A walker does not change and may be used by any number of threads. */
#ifndef TIDEMARK_SCHEMA_WALKER_H
#define TIDEMARK_SCHEMA_WALKER_H

#include "connector/schema/schema.h"

/* Bytes behind the value that must be readable; what is there does not matter. */
#define WALKER_SLACK 16
#define WALKER_MAX_DEPTH 128
#define WALKER_MAX_EMPTY (1u << 20)

struct walker;

/* Keeps nothing of the schema. */
struct walker *walker_new(const struct schema *s);
void walker_free(struct walker *w);
AUTO_DESTRUCTOR(struct walker, walker_free)
/* schema_explain() tells why not. */
MUST_CHECK bool walker_check(const struct walker *w, const void *data, size_t len);

#endif
