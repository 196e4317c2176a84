/* All that anybody can see of a lake, as text: refs, the objects of every head
 * with their content's checksum (each is read to its end), staged changes,
 * protections, the reflog without its times. Two lakes are in the same state
 * where their texts are equal. */
#ifndef TIDEMARK_TESTS_LAKE_STATE_H
#define TIDEMARK_TESTS_LAKE_STATE_H

#include "core/base/buf.h"
#include "core/lake.h"

MUST_CHECK enum status lake_state(struct lake *lake, struct buf *out, struct err *err);

#endif
