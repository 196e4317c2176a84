/* Where the lake meets core/remote: the socket in the lake's folder, through
 * which other processes use the lake of its owner. */
#ifndef TIDEMARK_LAKE_SOCKET_H
#define TIDEMARK_LAKE_SOCKET_H

#include "core/lake_backend.h"

/* ST_UNREACHABLE where no owner answers. */
MUST_CHECK enum status lake_socket_connect(const char *folder, const struct lake_options *options,
					   struct lake **out, struct err *err);
MUST_CHECK enum status lake_socket_serve(struct lake *lake, lake_call_handler handler, void *ctx,
					 struct err *err);
/* Fine where nothing is served. */
void lake_socket_stop(struct lake *lake);

#endif
