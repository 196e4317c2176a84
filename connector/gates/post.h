/* One POST of an event in JSON, signed where there is a secret: what gates and
 * notifiers of type webhook have in common. Any thread. */
#ifndef TIDEMARK_GATES_POST_H
#define TIDEMARK_GATES_POST_H

#include <stdatomic.h>

#include "core/base/buf.h"
#include "core/base/err.h"

struct post {
	const char *url;
	const char *secret; /* key of the HMAC in X-Tidemark-Signature; NULL: not signed */
	const char *body;
	int64_t timeout_ms;
	const atomic_bool *stop; /* ends it early; may be NULL */
};

/* One try; a line with the answer's code and first line is added to output.
 * ST_OK           2xx
 * ST_UNREACHABLE  no answer, 5xx, 408, 429: to try again may help
 * ST_HELD         another 4xx
 * ST_FAILED       anything else, a redirect for one
 * ST_USAGE        no such URL
 * ST_INTERRUPTED  stop */
MUST_CHECK enum status post_event(const struct post *post, struct buf *output, struct err *err);

#endif
