#include "core/lake_socket.h"

#include "core/remote/client.h"
#include "core/remote/server.h"

enum status lake_socket_connect(const char *folder, const struct lake_options *options,
				struct lake **out, struct err *err)
{
	return remote_open(folder, options, out, err);
}

/* Guarded by lake->serve_mutex, which is held while an old handler's calls run
 * out: nobody else waits for it but lake_close(). */
enum status lake_socket_serve(struct lake *lake, lake_call_handler handler, void *ctx,
			      struct err *err)
{
	if (lake->server) {
		remote_server_set_handler(lake->server, handler, ctx);
		return ST_OK;
	}
	return remote_server_start(lake, lake->folder, handler, ctx, &lake->server, err);
}

void lake_socket_stop(struct lake *lake)
{
	remote_server_stop(lake->server);
	lake->server = NULL;
}

/* ---- whose name a commit bears ---- */

static _Thread_local const char *thread_committer;

void lake_committer_set(const char *committer)
{
	thread_committer = committer;
}

const char *lake_committer(const char *own)
{
	return thread_committer && thread_committer[0] ? thread_committer : own;
}
