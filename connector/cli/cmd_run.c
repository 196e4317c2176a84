#include <stdatomic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connector/cli/command.h"
#include "connector/worker/connector.h"
#include "core/base/log.h"

static atomic_bool stop;

static void on_signal(int signal)
{
	(void)signal;
	stop = true;
}

static void catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static enum status load(const char *path, const struct cli_list *sets, struct config *out,
			struct err *err)
{
	AUTO(props_release) struct props props = PROPS_INIT;
	enum status st = props_read_file(path, &props, err);

	for (size_t i = 0; st == ST_OK && i < sets->n; i++) {
		const char *equal = strchr(sets->items[i], '=');
		AUTO(freep) char *key = NULL;

		if (!equal || equal == sets->items[i])
			return err_set(err, ST_USAGE, "--set %s: give KEY=VALUE", sets->items[i]);
		key = xstrndup(sets->items[i], (size_t)(equal - sets->items[i]));
		props_set(&props, key, equal + 1);
	}
	if (st == ST_OK)
		st = config_load(&props, out, err);
	return st == ST_OK ? ST_OK : err_wrap(err, st, "%s", path);
}

static void log_warnings(const struct config *config)
{
	for (const char *p = config->warnings; *p;) {
		const char *end = strchrnul(p, '\n');
		AUTO(freep) char *line = xstrndup(p, (size_t)(end - p));

		log_warn("configuration", LOG_S("text", line));
		p = *end ? end + 1 : end;
	}
}

static enum status run(struct cli *cli, int n, char **args, struct err *err)
{
	AUTO(cli_list_release) struct cli_list sets = {0};
	AUTO(cli_args_release) struct cli_args positional = {0};
	AUTO(config_release) struct config config = {0};
	AUTO(lake_closep) struct lake *lake = NULL;
	bool until_latest = false, adopt = false;
	struct rng rng = rng_system();
	const struct cli_option options[] = {
		{"until-latest", 0, CLI_FLAG, &until_latest},
		{"adopt", 0, CLI_FLAG, &adopt},
		{"set", 0, CLI_LIST, &sets},
	};
	const struct lake_options lake_options = {.access = LAKE_OWN, .create = true};
	struct connector_options connector;
	enum status st =
		cli_parse(cli, n, args, options, ARRAY_SIZE(options), 1, 1, &positional, err);

	if (st == ST_OK)
		st = load(positional.items[0], &sets, &config, err);
	if (st != ST_OK)
		return st;
	log_set_json(cli->json);
	log_warnings(&config);
	catch_signals();
	st = lake_open(cli_lake_url(cli, config.lake_url), &lake_options, &lake, err);
	if (st != ST_OK)
		return st;
	connector = (struct connector_options){
		.config = &config,
		.lake = lake,
		.clock = clock_system(),
		.rng = &rng,
		.until_latest = until_latest,
		.adopt = adopt,
		.progress = isatty(STDERR_FILENO) && !cli->json,
		.stop = &stop,
	};
	st = connector_run(&connector, err);
	if (st != ST_OK && st != ST_HELD)
		log_error("stopped", LOG_S("connector", config.name),
			  LOG_S("status", status_name(st)), LOG_S("reason", err->text));
	return st;
}

const struct command command_run = {
	.name = "run",
	.usage = "CONFIG [--until-latest] [--adopt] [--set KEY=VALUE]...",
	.summary = "run one connector in the foreground",
	.help = "CONFIG is a Java properties file; `tidemark config` lists the properties.\n"
		"--until-latest  read to what is the end now, checkpoint, publish, and exit\n"
		"                (3 where the publish is held)\n"
		"--adopt         take over what the target shows of this connector where its\n"
		"                ingest branch does not exist\n"
		"--set KEY=VALUE in place of the file's value; may be repeated\n",
	.run = run,
};
