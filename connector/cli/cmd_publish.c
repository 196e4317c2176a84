#include <stdio.h>

#include "connector/cli/stream.h"
#include "connector/worker/publisher.h"

static void print_result(const struct cli *cli, const struct stream *s,
			 const struct publish_result *result, bool dry_run)
{
	char checkpoint[LAKE_ID_SHORT_BYTES], merged[LAKE_ID_SHORT_BYTES];

	if (cli->json) {
		cli_json_line(json_pack("{s:s,s:s,s:o,s:o,s:b}", "name", s->config.name, "target",
					s->config.target, "checkpoint",
					cli_json_id(&result->checkpoint), "commit",
					cli_json_id(&result->merged), "dry_run", dry_run));
		return;
	}
	lake_id_short(&result->checkpoint, checkpoint);
	lake_id_short(&result->merged, merged);
	printf("%s %s: checkpoint %s as %s\n", dry_run ? "would publish to" : "published to",
	       s->config.target, checkpoint, merged);
}

static enum status run(struct cli *cli, int n, char **args, struct err *err)
{
	AUTO(cli_args_release) struct cli_args positional = {0};
	AUTO(stream_close) struct stream s = {0};
	struct publish_result result;
	bool dry_run = false;
	const struct cli_option options[] = {{"dry-run", 0, CLI_FLAG, &dry_run}};
	struct publisher publisher;
	enum status st =
		cli_parse(cli, n, args, options, ARRAY_SIZE(options), 1, 1, &positional, err);

	if (st == ST_OK)
		st = stream_open(cli, positional.items[0], &s, err);
	/* a gate's command reads the merged result through the socket */
	if (st == ST_OK)
		st = lake_serve(s.lake, NULL, NULL, err);
	if (st != ST_OK)
		return st;
	publisher = (struct publisher){
		.config = &s.config,
		.lake = s.lake,
		.clock = clock_system(),
		.rng = &s.rng,
	};
	st = publisher_run(&publisher, dry_run, &result, err);
	if (st == ST_NOT_FOUND)
		return err_set(err, st, "%s has no checkpoint yet", s.config.name);
	if (st == ST_EMPTY) {
		if (!cli->json)
			puts(err->text);
		return ST_OK;
	}
	if (st == ST_OK)
		print_result(cli, &s, &result, dry_run);
	return st;
}

const struct command command_publish = {
	.name = "publish",
	.usage = "CONNECTOR [--dry-run]",
	.summary = "show the target the newest checkpoint, if its gates pass",
	.help = "Exit code 3: a gate refused it, paths conflict, or the target was changed by\n"
		"hand; the target has not moved, and `tidemark status` keeps the reason.\n"
		"--dry-run  prepares the merge and runs the gates, and moves nothing\n",
	.run = run,
};
