#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connector/cli/stream.h"
#include "connector/history/find.h"
#include "connector/history/state.h"
#include "connector/schema/utf8.h"

static void print_found(const struct cli *cli, const struct stream *s, const struct found *f)
{
	char checkpoint[LAKE_ID_SHORT_BYTES], published[LAKE_ID_SHORT_BYTES];
	bool shown = !lake_id_is_none(&f->published);

	if (cli->json) {
		cli_json_line(
			json_pack("{s:s,s:o,s:o,s:o,s:o}", "name", s->config.name, "commit",
				  cli_json_id(&f->checkpoint), "path", utf8_json(f->path), "row",
				  f->path ? json_integer((json_int_t)f->row) : json_null(),
				  "published", shown ? cli_json_id(&f->published) : json_null()));
		return;
	}
	lake_id_short(&f->checkpoint, checkpoint);
	lake_id_short(&f->published, published);
	printf("checkpoint %s of %s\n", checkpoint, s->config.name);
	if (!f->path) {
		puts("no visible record: a transaction's marker, an aborted or a compacted record");
		return;
	}
	printf("file %s\nrow %" PRIu64 "\n", f->path, f->row);
	if (shown)
		printf("shown on %s since %s\n", s->config.target, published);
	else
		printf("not shown on %s\n", s->config.target);
}

/* The first connector of the lake that has read the offset answers. */
static enum status ask_all(struct cli *cli, const struct position *position, struct err *err)
{
	struct lake *lake;
	char **names = NULL;
	size_t n = 0;
	struct err first = ERR_INIT;
	enum status st = cli_lake(cli, &lake, err), answer = ST_NOT_FOUND;

	if (st == ST_OK)
		st = state_connectors(lake, &names, &n, err);
	if (st != ST_OK)
		return st;
	err_set(&first, ST_NOT_FOUND, "the lake knows no connector that has read %s:%d",
		position->topic, position->partition);
	for (size_t i = 0; i < n; i++) {
		AUTO(stream_close) struct stream s = {0};
		AUTO(found_release) struct found f = {0};

		if (answer == ST_NOT_FOUND && stream_open(cli, names[i], &s, err) == ST_OK) {
			answer = find_record(&s.line, position, &f, err);
			if (answer == ST_OK)
				print_found(cli, &s, &f);
			else if (n == 1 || answer != ST_NOT_FOUND)
				first = *err;
		}
		free(names[i]);
	}
	free(names);
	if (answer != ST_OK)
		*err = first;
	return answer;
}

static enum status run(struct cli *cli, int n, char **args, struct err *err)
{
	AUTO(cli_args_release) struct cli_args positional = {0};
	AUTO(position_release) struct position position = {0};
	enum status st = cli_parse(cli, n, args, NULL, 0, 1, 1, &positional, err);

	if (st != ST_OK)
		return st;
	if (!position_parse(positional.items[0], false, &position))
		return err_set(err, ST_USAGE, "%s: give TOPIC:PARTITION:OFFSET",
			       positional.items[0]);
	return ask_all(cli, &position, err);
}

const struct command command_find = {
	.name = "find",
	.usage = "TOPIC:PARTITION:OFFSET",
	.summary = "where a record is: checkpoint, file, row, and the merge that shows it",
	.help = "",
	.access = LAKE_READ,
	.run = run,
};
