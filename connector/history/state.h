/* What is no data (properties, pauses, holds) lies as JSON on the branch
 * `tidemark-state`, one object `<connector>/<part>.json` each, changed by
 * compare-and-swap, so that it outlives restarts and every command can read it. */
#ifndef TIDEMARK_HISTORY_STATE_H
#define TIDEMARK_HISTORY_STATE_H

#include <jansson.h>

#include "core/lake.h"

#define STATE_BRANCH "tidemark-state"

#define STATE_PROPERTIES "properties" /* the connector's, secrets left out */
#define STATE_PAUSE "pause" /* {"since": time}; there means paused */
#define STATE_FAILURE "failure" /* what stopped it; removed by the next start */
#define STATE_GC "gc" /* the last gc that the connector ran */
#define STATE_EXPORT "export" /* why publish.export does not follow; removed when it does */
#define STATE_NOTIFY "notify-" /* and a notifier's name: how far it was told */
#define STATE_HOLD "hold" /* the publish that a gate refused */

/* ST_NOT_FOUND where there is none. */
MUST_CHECK enum status state_read(struct lake *lake, const char *connector, const char *part,
				  struct buf *out, struct err *err);
/* The same, parsed; NULL where there is none, or none that can be read. The
 * caller's. */
json_t *state_read_json(struct lake *lake, const char *connector, const char *part);
/* json NULL removes. Equal content changes nothing. target: a branch of the lake,
 * from which the state branch is made where it is missing. */
MUST_CHECK enum status state_write(struct lake *lake, const char *target, const char *connector,
				   const char *part, const char *json, struct err *err);
/* The same of a value, which is taken over; never removes. */
MUST_CHECK enum status state_write_json(struct lake *lake, const char *target,
					const char *connector, const char *part, json_t *value,
					struct err *err);
/* Calls each() with the saved properties of every connector that the lake has seen,
 * but for `except` (NULL: of all); its first status but ST_OK ends that and is returned. ST_DAMAGED
 * where they are no JSON object. */
MUST_CHECK enum status state_each_properties(struct lake *lake, const char *except,
					     enum status (*each)(void *ctx, const char *connector,
								 const json_t *properties,
								 struct err *err),
					     void *ctx, struct err *err);
/* Names of all connectors that the lake has seen; the caller frees each. */
MUST_CHECK enum status state_connectors(struct lake *lake, char ***names_out, size_t *n_out,
					struct err *err);

#endif
