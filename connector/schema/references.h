/* Makes one schema out of one that names types of other documents, as a
 * registry keeps them: each such type is spelled out where it is first met. */
#ifndef TIDEMARK_SCHEMA_REFERENCES_H
#define TIDEMARK_SCHEMA_REFERENCES_H

#include <jansson.h>

#include "core/base/err.h"

/* docs: the schemas that main refers to, directly or not. *out is the caller's
 * to json_decref(). What is defined nowhere stays a name. ST_FAILED where it
 * is nested too deep. */
MUST_CHECK enum status references_inline(const json_t *main, json_t *const *docs, size_t n_docs,
					 json_t **out, struct err *err);

#endif
