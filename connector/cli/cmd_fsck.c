/* fsck: everything in the lake against what it is called and what needs it. */
#include "connector/cli/check.h"

static enum status run(struct cli *cli, int n, char **args, struct err *err)
{
	AUTO(cli_args_release) struct cli_args a = {.n = 0};
	bool quick = false;
	const struct cli_option options[] = {
		{"quick", 0, CLI_FLAG, &quick},
	};
	enum status st = cli_parse(cli, n, args, options, ARRAY_SIZE(options), 0, 0, &a, err);

	return st == ST_OK ? cli_check(cli, quick, err) : st;
}

const struct command command_fsck = {
	.name = "fsck",
	.usage = "[--quick]",
	.summary = "checks everything in the lake",
	.help = "A line for each finding: what is damaged, what needs it, the remedy. Exit code 7 "
		"where\n"
		"anything is damaged. Runs beside a worker, through its socket.\n"
		"  --quick   does not read the files of objects: only that they are there, and "
		"their sizes\n",
	.run = run,
};
