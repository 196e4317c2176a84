#include <inttypes.h>
#include <stdio.h>

#include "connector/cli/stream.h"
#include "connector/history/cut.h"
#include "connector/worker/publisher.h"

static void print_result(const struct cli *cli, const struct stream *s,
			 const struct publish_result *result, bool dry_run)
{
	char checkpoint[LAKE_ID_SHORT_BYTES], merged[LAKE_ID_SHORT_BYTES];

	if (cli->json) {
		cli_json_line(json_pack("{s:s,s:s,s:o,s:o,s:I,s:I,s:b}", "name", s->config.name,
					"target", s->config.target, "checkpoint",
					cli_json_id(&result->checkpoint), "commit",
					cli_json_id(&result->merged), "checkpoints",
					(json_int_t)result->checkpoints, "records",
					(json_int_t)result->records, "dry_run", dry_run));
		return;
	}
	lake_id_short(&result->checkpoint, checkpoint);
	lake_id_short(&result->merged, merged);
	printf("%s %s: checkpoint %s as %s (%" PRIu64 " checkpoint%s, %" PRIu64 " records)\n",
	       dry_run ? "would publish to" : "published to", s->config.target, checkpoint, merged,
	       result->checkpoints, result->checkpoints == 1 ? "" : "s", result->records);
}

/* What was changed by hand becomes a checkpoint on ingest. */
static enum status accept_target(struct cli *cli, const struct stream *s, bool dry_run,
				 struct err *err)
{
	AUTO(cut_plan_release) struct cut_plan plan = {.records = 0};
	AUTO(buf_release) struct buf text = BUF_INIT;
	struct lake_id made;
	enum status st = cut_plan_accept(&s->line, &plan, err);

	if (st == ST_EMPTY)
		return ST_OK;
	if (st != ST_OK)
		return st;
	if (!cli->json) {
		cut_plan_print(&s->line, &plan, &text);
		fputs(buf_str(&text), stdout);
	}
	if (dry_run)
		return ST_EMPTY; /* what would be published then is not made */
	st = cut_apply(&s->line, &plan, &made, err);
	if (st == ST_OK)
		stream_refresh(s);
	return st;
}

static enum status publish_it(struct cli *cli, struct stream *s,
			      const struct publisher_options *options, struct err *err)
{
	AUTO(publish_result_release) struct publish_result result = {.checkpoints = 0};
	const struct publisher publisher = {
		.config = &s->config,
		.lake = s->lake,
		.clock = clock_system(),
		.rng = &s->rng,
	};
	enum status st = config_check_gates(&s->config, err);

	if (st != ST_OK)
		return st;
	if (!options->dry_run)
		stream_notify_begin(s);
	st = publisher_run(&publisher, options, &result, err);
	if (st == ST_NOT_FOUND)
		return err_set(err, st, "%s has no checkpoint yet", s->config.name);
	if (st == ST_EMPTY) {
		if (!cli->json)
			puts(err->text);
		return ST_OK;
	}
	if (st == ST_OK || (st == ST_HELD && !lake_id_is_none(&result.checkpoint)))
		print_result(cli, s, &result, options->dry_run);
	stream_notify(s);
	return st;
}

static enum status run(struct cli *cli, int n, char **args, struct err *err)
{
	AUTO(cli_args_release) struct cli_args positional = {0};
	AUTO(stream_close) struct stream s = {0};
	struct publisher_options publish = {.dry_run = false};
	const char *reason = NULL;
	bool accept = false, force = false;
	const struct cli_option options[] = {
		{"dry-run", 0, CLI_FLAG, &publish.dry_run},
		{"accept-target", 0, CLI_FLAG, &accept},
		{"force", 0, CLI_FLAG, &force},
		{"reason", 0, CLI_TEXT, &reason},
	};
	enum status st =
		cli_parse(cli, n, args, options, ARRAY_SIZE(options), 1, 1, &positional, err);

	if (st == ST_OK && force != (reason && *reason))
		return err_set(err, ST_USAGE,
			       "give --force and --reason TEXT together: the reason is kept in the "
			       "target's commit");
	publish.force = reason;
	if (st == ST_OK)
		st = stream_open(cli, positional.items[0], &s, err);
	/* a gate's command reads the merged result through the socket */
	if (st == ST_OK)
		st = lake_serve(s.lake, NULL, NULL, err);
	if (st == ST_OK && accept)
		st = accept_target(cli, &s, publish.dry_run, err);
	if (st == ST_EMPTY)
		return ST_OK;
	return st == ST_OK ? publish_it(cli, &s, &publish, err) : st;
}

const struct command command_publish = {
	.name = "publish",
	.usage = "CONNECTOR [--dry-run] [--force --reason TEXT] [--accept-target]",
	.summary = "show the target the newest checkpoint, if its gates pass",
	.help = "Exit code 3: a gate refused it, paths conflict, or the target was changed by\n"
		"hand; the target has not moved (or only to the longest prefix that passes:\n"
		"publish.on.hold), and `tidemark status` keeps the reason.\n"
		"--dry-run        prepares the merge and runs the gates, and moves nothing\n"
		"--force          publishes whatever the gates say; the reason is recorded\n"
		"--accept-target  keeps what was changed on the target by hand: ingest follows\n"
		"                 it, rows that went are recorded as lost, and that is published\n",
	.run = run,
};
