/* init: makes a lake. */
#include <stdio.h>

#include "connector/cli/command.h"
#include "connector/schema/utf8.h"

static enum status run(struct cli *cli, int n, char **args, struct err *err)
{
	AUTO(cli_args_release) struct cli_args none = {.n = 0};
	enum status st = cli_parse(cli, n, args, NULL, 0, 0, 0, &none, err);
	const char *url = cli_lake_url(cli, NULL);
	struct lake_id head;
	struct lake *lake;

	if (st == ST_OK)
		st = lake_init(url, NULL, err);
	if (st == ST_OK)
		st = cli_resolve(cli, "main", &lake, &head, err);
	if (st != ST_OK)
		return st;
	if (cli->json)
		cli_json_line(json_pack("{s:o,s:o}", "lake", utf8_json(lake_url(lake)), "commit",
					cli_json_id(&head)));
	else
		printf("Created a lake in %s\n", lake_url(lake));
	return ST_OK;
}

const struct command command_init = {
	.name = "init",
	.usage = "",
	.summary = "creates a lake, with an empty first commit on main",
	.help = "The folder must be absent or empty. `main` is protected from the start: data "
		"come\n"
		"to it by merges.\n",
	.run = run,
};
