/* The owner's side of the lake's socket: answers every operation of
 * lake_backend.h for other processes of the same user (wire.h has the
 * protocol), and hands calls of lake_call() to a handler. */
#ifndef TIDEMARK_REMOTE_SERVER_H
#define TIDEMARK_REMOTE_SERVER_H

#include "core/lake_backend.h"

struct remote_server;

/* Only the holder of the lake's lock may do this: a socket that lies there is
 * one of a dead owner, and is replaced. */
MUST_CHECK enum status remote_server_start(struct lake *lake, const char *folder,
					   lake_call_handler handler, void *ctx,
					   struct remote_server **out, struct err *err);
/* Returns when no call of the old handler runs; so not from within one. */
void remote_server_set_handler(struct remote_server *server, lake_call_handler handler, void *ctx);
/* No request runs afterwards, the socket's file is gone, and what clients had
 * open is closed. Not from within a handler. */
void remote_server_stop(struct remote_server *server);
/* What clients have open, for tests. */
size_t remote_server_open_handles(struct remote_server *server);

#endif
