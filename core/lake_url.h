/* Which folder an embedded lake's URL names. */
#ifndef TIDEMARK_LAKE_URL_H
#define TIDEMARK_LAKE_URL_H

#include "core/base/err.h"

/* out: absolute, without a trailing slash; the caller's. ST_USAGE where the
 * scheme is not known. */
MUST_CHECK enum status lake_url_folder(const char *url, char **out, struct err *err);

#endif
