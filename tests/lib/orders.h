/* Orders: the records of the benchmarks. 13 fields with an array of records and
 * a nullable map; about 150 bytes, or about 1,000. Varied content: the n-th order
 * of a generator depends on its seed alone. */
#ifndef TIDEMARK_TESTS_ORDERS_H
#define TIDEMARK_TESTS_ORDERS_H

#include "core/base/buf.h"
#include "core/base/clock.h"

extern const char order_schema[];

/* Appends the Avro bytes of one order. */
void order_add(struct rng *r, struct buf *b, int64_t id, bool large);

#endif
