/* The lake that a command works on. */
#include <stdlib.h>
#include <string.h>

#include "connector/cli/command.h"

/* A command that lost the race for a branch so often says so. */
#define ADVANCE_TRIES 20

const char *cli_lake_url(const struct cli *cli, const char *config_url)
{
	const char *env = getenv("TIDEMARK_LAKE");

	if (cli->lake_url)
		return cli->lake_url;
	if (env && env[0])
		return env;
	return config_url ? config_url : "./lake";
}

enum status cli_lake(struct cli *cli, struct lake **out, struct err *err)
{
	const struct lake_options options = {.access = cli->access};

	if (!cli->lake) {
		enum status st = lake_open(cli_lake_url(cli, NULL), &options, &cli->lake, err);

		if (st != ST_OK)
			return st;
	}
	*out = cli->lake;
	return ST_OK;
}

enum status cli_resolve(struct cli *cli, const char *ref, struct lake **lake_out,
			struct lake_id *out, struct err *err)
{
	enum status st = cli_lake(cli, lake_out, err);

	return st == ST_OK ? lake_resolve(*lake_out, ref, out, err) : st;
}

enum status cli_advance(struct lake *lake, const char *branch, const char *reason,
			enum status (*prepare)(void *ctx, struct lake *lake,
					       const struct lake_id *head, struct lake_id *out,
					       struct err *err),
			void *ctx, struct lake_id *id_out, struct err *err)
{
	struct lake_move move = {.kind = LAKE_BRANCH, .name = branch};
	enum status st = ST_CONFLICT;

	for (int i = 0; st == ST_CONFLICT && i < ADVANCE_TRIES; i++) {
		st = lake_ref_get(lake, LAKE_BRANCH, branch, &move.expected, err);
		if (st == ST_OK)
			st = prepare(ctx, lake, &move.expected, &move.to, err);
		if (st != ST_OK)
			return st;
		st = lake_refs_move(lake, &move, 1, reason, err);
	}
	if (st == ST_OK)
		*id_out = move.to;
	return st;
}

enum status cli_folder(struct lake *lake, const struct lake_id *id, const char *prefix, char **out,
		       struct err *err)
{
	AUTO(freep) char *folder = xasprintf("%s/", prefix);
	AUTO(lake_list_closep) struct lake_list *list = NULL;
	size_t len = strlen(prefix);
	struct lake_entry e = {.path = NULL};
	enum status st;

	if (len == 0 || prefix[len - 1] == '/') {
		*out = xstrdup(prefix);
		return ST_OK;
	}
	st = lake_list_open(lake, id, folder, &list, err);
	if (st == ST_OK)
		st = lake_list_next(list, &e, err);
	if (st == ST_OK)
		lake_entry_release(&e);
	if (st == ST_OK || st == ST_END) {
		*out = st == ST_OK ? MOVE(folder) : xstrdup(prefix);
		return ST_OK;
	}
	return st;
}
