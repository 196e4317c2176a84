/* drop: takes the files of some checkpoints out of ingest. */
#include <stdio.h>
#include <string.h>

#include "connector/cli/stream.h"
#include "connector/history/cut.h"

static void print_plan(const struct cli *cli, const struct stream *s, const struct cut_plan *plan)
{
	AUTO(buf_release) struct buf text = BUF_INIT;

	if (cli->json)
		return;
	cut_plan_print(&s->line, plan, &text);
	fputs(buf_str(&text), stdout);
	fflush(stdout);
}

static void print_json(const struct stream *s, const struct cut_plan *plan,
		       const struct lake_id *made)
{
	AUTO(buf_release) struct buf lost = BUF_INIT;

	losses_to_json(&plan->lost, &lost);
	cli_json_line(json_pack("{s:s,s:o,s:o,s:i,s:I,s:o,s:o}", "name", s->config.name, "from",
				cli_json_id(&plan->from.id), "to", cli_json_id(&plan->to.id),
				"files", (int)plan->n_remove, "records", (json_int_t)plan->records,
				"lost", json_loads(lost.data, 0, NULL), "commit",
				made ? cli_json_id(made) : json_null()));
}

static enum status drop(struct cli *cli, const struct stream *s, const char *range,
			const char *reason, bool dry_run, bool yes, struct err *err)
{
	AUTO(cut_plan_release) struct cut_plan plan = {.records = 0};
	AUTO(freep) char *from = xstrdup(range);
	char *dots = strstr(from, "..");
	struct lake_id made;
	enum status st;

	if (!dots || dots == from || !dots[2])
		return err_set(err, ST_USAGE,
			       "'%s': give FROM..TO, two checkpoints of %s; both are dropped",
			       range, s->config.name);
	*dots = '\0';
	st = cut_plan_drop(&s->line, from, dots + 2, reason, &plan, err);
	if (st != ST_OK)
		return st;
	print_plan(cli, s, &plan);
	if (!dry_run && !yes && !cli->json && !stream_confirm("Drop?"))
		return err_set(err, ST_FAILED, "not confirmed; nothing was dropped");
	if (!dry_run)
		st = cut_apply(&s->line, &plan, &made, err);
	if (st != ST_OK)
		return st;
	if (!dry_run)
		stream_refresh(s);
	if (cli->json)
		print_json(s, &plan, dry_run ? NULL : &made);
	else if (!dry_run)
		printf("done; `tidemark rollback %s --undo` takes it back\n", s->config.name);
	return ST_OK;
}

static enum status run(struct cli *cli, int n, char **args, struct err *err)
{
	AUTO(cli_args_release) struct cli_args positional = {0};
	AUTO(stream_close) struct stream s = {0};
	const char *reason = NULL;
	bool dry_run = false, yes = false;
	const struct cli_option options[] = {
		{"dry-run", 0, CLI_FLAG, &dry_run},
		{"yes", 'y', CLI_FLAG, &yes},
		{"reason", 0, CLI_TEXT, &reason},
	};
	enum status st =
		cli_parse(cli, n, args, options, ARRAY_SIZE(options), 2, 2, &positional, err);

	if (st == ST_OK)
		st = stream_open(cli, positional.items[0], &s, err);
	if (st == ST_OK)
		st = drop(cli, &s, positional.items[1], reason, dry_run, yes, err);
	if (st == ST_EMPTY) {
		if (!cli->json)
			puts(err->text);
		return ST_OK;
	}
	return st;
}

const struct command command_drop = {
	.name = "drop",
	.usage = "CONNECTOR FROM..TO [--reason TEXT] [--dry-run] [--yes]",
	.summary = "take the files of some checkpoints out, and keep the later ones",
	.help = "FROM and TO are named as for `rollback --to`; both are dropped. Their rows are\n"
		"recorded as lost, Kafka is not read again, and the next publish shows it.\n"
		"`rollback CONNECTOR --undo` takes it back.\n"
		"--reason   why; it is recorded with the rows\n"
		"--dry-run  print the plan alone\n",
	.run = run,
};
