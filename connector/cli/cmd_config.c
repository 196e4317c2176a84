#include <stdio.h>
#include <string.h>

#include "connector/cli/command.h"
#include "connector/worker/config.h"

static enum status print_one(const char *key, struct err *err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	const struct prop_def *def = prop_table_find(&connector_table, key);
	struct props props = PROPS_INIT;

	if (!def) {
		/* the check of a whole file names the nearest */
		AUTO(buf_release) struct buf warnings = BUF_INIT;
		enum status st;

		props_set(&props, key, "");
		st = prop_table_check(&connector_table, &props, &warnings, err);
		props_release(&props);
		return st;
	}
	prop_def_describe(def, &text);
	fputs(buf_str(&text), stdout);
	return ST_OK;
}

static enum status run(struct cli *cli, int n, char **args, struct err *err)
{
	AUTO(cli_args_release) struct cli_args positional = {0};
	AUTO(buf_release) struct buf text = BUF_INIT;
	bool markdown = false;
	const struct cli_option options[] = {{"markdown", 0, CLI_FLAG, &markdown}};
	enum status st =
		cli_parse(cli, n, args, options, ARRAY_SIZE(options), 0, 1, &positional, err);

	if (st != ST_OK)
		return st;
	if (positional.n == 1)
		return print_one(positional.items[0], err);
	if (cli->json) {
		for (size_t i = 0; i < connector_table.n; i++) {
			const struct prop_def *d = &connector_table.defs[i];

			cli_json_line(json_pack("{s:s,s:s?,s:s?,s:b}", "name", d->name, "default",
						d->def, "documentation", d->doc, "required",
						d->required));
		}
		return ST_OK;
	}
	if (markdown) {
		prop_table_markdown(&connector_table, &text);
		buf_adds(&text, "\n## Gates\n\nWhat each kind asks: docs/gates.md.\n\n");
		prop_table_markdown(&gate_table, &text);
		buf_adds(&text, "\n## Notifiers\n\nWhat each is given: docs/gates.md.\n\n");
		prop_table_markdown(&notify_table, &text);
		fputs(buf_str(&text), stdout);
		return ST_OK;
	}
	for (size_t i = 0; i < connector_table.n; i++) {
		const struct prop_def *d = &connector_table.defs[i];

		printf("%-48s %s\n", d->name, d->def ? d->def : d->required ? "(required)" : "");
	}
	return ST_OK;
}

const struct command command_config = {
	.name = "config",
	.usage = "[KEY] [--markdown]",
	.summary = "print the table of properties, or one property",
	.help = "--markdown  the table as docs/configuration.md has it\n",
	.run = run,
};
