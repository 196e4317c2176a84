/* fsck: everything in the lake against what it is called and what needs it. */
#include "connector/cli/check.h"
#include "connector/cli/repair.h"

static enum status run(struct cli *cli, int n, char **args, struct err *err)
{
	AUTO(cli_args_release) struct cli_args a = {.n = 0};
	bool quick = false, repair = false, yes = false;
	const struct cli_option options[] = {
		{"quick", 0, CLI_FLAG, &quick},
		{"repair", 0, CLI_FLAG, &repair},
		{"yes", 0, CLI_FLAG, &yes},
	};
	enum status st = cli_parse(cli, n, args, options, ARRAY_SIZE(options), 0, 0, &a, err);

	if (st != ST_OK)
		return st;
	if (yes && !repair)
		return err_set(err, ST_USAGE, "--yes answers the question of --repair");
	return repair ? cli_repair(cli, quick, yes, err) : cli_check(cli, quick, err);
}

const struct command command_fsck = {
	.name = "fsck",
	.usage = "[--quick] [--repair [--yes]]",
	.summary = "checks everything in the lake",
	.help = "A line for each finding: what is damaged, what needs it, the remedy. Exit code 7 "
		"where\n"
		"anything is damaged. Runs beside a worker, through its socket.\n"
		"  --quick   does not read the files of objects: only that they are there, and "
		"their sizes\n"
		"  --repair  makes metadata that do not open, or cannot be read, whole again: says "
		"what\n"
		"            stays and what is lost, asks, and keeps what was there; needs the "
		"lake "
		"for itself\n"
		"  --yes     does not ask\n",
	.run = run,
};
