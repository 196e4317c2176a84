#include "core/lake_socket.h"

enum status lake_socket_connect(const char *folder, const struct lake_options *options,
				struct lake **out, struct err *err)
{
	(void)options;
	(void)out;
	return err_set(err, ST_UNREACHABLE, "no owner answers in %s", folder);
}

enum status lake_socket_serve(struct lake *lake, lake_call_handler handler, void *ctx,
			      struct err *err)
{
	(void)handler;
	(void)ctx;
	return err_set(err, ST_FAILED, "%s cannot be served", lake->url);
}

void lake_socket_stop(struct lake *lake)
{
	(void)lake;
}
