/* diff: what differs between two states. */
#include "connector/cli/command.h"

static enum status print_all(struct cli *cli, struct lake_diff *diff, struct err *err)
{
	for (;;) {
		struct lake_diff_entry change;
		enum status st = lake_diff_next(diff, &change, err);

		if (st != ST_OK)
			return st == ST_END ? ST_OK : st;
		cli_print_change(cli, change.change, change.path);
		freep(&change.path);
	}
}

static enum status run(struct cli *cli, int n, char **args, struct err *err)
{
	AUTO(cli_args_release) struct cli_args a = {.n = 0};
	AUTO(lake_diff_closep) struct lake_diff *diff = NULL;
	const char *prefix = "";
	const struct cli_option options[] = {{"prefix", 0, CLI_TEXT, &prefix}};
	struct lake *lake;
	struct lake_id ids[2];
	enum status st = cli_parse(cli, n, args, options, ARRAY_SIZE(options), 2, 2, &a, err);

	for (int i = 0; st == ST_OK && i < 2; i++)
		st = cli_resolve(cli, a.items[i], &lake, &ids[i], err);
	if (st == ST_OK)
		st = lake_diff_open(lake, &ids[0], &ids[1], prefix, &diff, err);
	return st == ST_OK ? print_all(cli, diff, err) : st;
}

const struct command command_diff = {
	.name = "diff",
	.usage = "A B [--prefix P]",
	.summary = "shows what B has that A has not",
	.help = "A added, M changed, D removed. Costs by the differences, not by the size of the\n"
		"lake.\n",
	.access = LAKE_READ,
	.run = run,
};
