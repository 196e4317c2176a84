/* Random Avro schemas and random values of them, for tests against Avro C. */
#ifndef TIDEMARK_TESTS_RANDOM_AVRO_H
#define TIDEMARK_TESTS_RANDOM_AVRO_H

#include "connector/schema/schema.h"
#include "core/base/clock.h"

/* Appends a schema's JSON: named types nested, met again by name, and inside
 * themselves behind a union. */
void random_schema(struct rng *r, struct buf *out);
/* Appends the bytes of a value; arrays and maps in one or more blocks, with
 * and without sizes in bytes. */
void random_value_of(struct rng *r, const struct schema_node *n, struct buf *out);
/* Damages bytes: flips, cuts, extends. */
void random_damage(struct rng *r, struct buf *bytes);

#endif
