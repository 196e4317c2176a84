/* reflog: where refs have been. */
#include <stdio.h>

#include "connector/cli/command.h"
#include "connector/schema/utf8.h"
#include "core/base/clock.h"

static void print_json(const struct lake_reflog_entry *e)
{
	cli_json_line(json_pack(
		"{s:I,s:s,s:s,s:o,s:o,s:o,s:o,s:o}", "sequence", (json_int_t)e->sequence, "kind",
		e->kind == LAKE_BRANCH ? "branch" : "tag", "name", e->name, "from",
		cli_json_id(&e->from), "to", cli_json_id(&e->to), "time", cli_json_time(e->time_ms),
		"committer", utf8_json(e->committer), "reason", utf8_json(e->reason)));
}

static void print_human(const struct lake_reflog_entry *e)
{
	char time[TIME_TEXT_BYTES];
	char from[LAKE_ID_SHORT_BYTES];
	char to[LAKE_ID_SHORT_BYTES];

	time_format(e->time_ms, time);
	lake_id_short(&e->from, from);
	lake_id_short(&e->to, to);
	printf("%s  %s  %s -> %s  ", time, e->name, lake_id_is_none(&e->from) ? "(none)" : from,
	       lake_id_is_none(&e->to) ? "(deleted)" : to);
	cli_print_text(e->committer, true);
	printf("  ");
	cli_print_text(e->reason, true);
	putchar('\n');
}

static enum status run(struct cli *cli, int n, char **args, struct err *err)
{
	AUTO(cli_args_release) struct cli_args a = {.n = 0};
	AUTO(lake_reflog_release) struct lake_reflog log = {.items = NULL};
	uint64_t limit = 0;
	const struct cli_option options[] = {{"number", 'n', CLI_COUNT, &limit}};
	struct lake *lake;
	enum status st = cli_parse(cli, n, args, options, ARRAY_SIZE(options), 0, 1, &a, err);

	if (st == ST_OK)
		st = cli_lake(cli, &lake, err);
	if (st == ST_OK)
		st = lake_reflog_read(lake, a.n ? a.items[0] : NULL, (size_t)limit, &log, err);
	if (st == ST_OK && a.n && log.n == 0)
		st = err_set(err, ST_NOT_FOUND, "no branch or tag was ever called '%s'",
			     a.items[0]);
	for (size_t i = 0; st == ST_OK && i < log.n; i++) {
		if (cli->json)
			print_json(&log.items[i]);
		else
			print_human(&log.items[i]);
	}
	return st;
}

const struct command command_reflog = {
	.name = "reflog",
	.usage = "[BRANCH] [-n N]",
	.summary = "shows where branches and tags have been, newest first",
	.help = "A commit that no branch shows any more is still there under its id: `branch NAME "
		"ID`\n"
		"brings it back.\n",
	.access = LAKE_READ,
	.run = run,
};
