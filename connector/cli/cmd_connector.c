/* checkpoint, pause, resume: what a running connector is told. */
#include <stdio.h>
#include <string.h>

#include "connector/cli/stream.h"
#include "connector/history/state.h"

static enum status open_one(struct cli *cli, int n, char **args, struct stream *out,
			    struct err *err)
{
	AUTO(cli_args_release) struct cli_args positional = {0};
	enum status st = cli_parse(cli, n, args, NULL, 0, 1, 1, &positional, err);

	return st == ST_OK ? stream_open(cli, positional.items[0], out, err) : st;
}

static enum status checkpoint(struct cli *cli, int n, char **args, struct err *err)
{
	AUTO(stream_close) struct stream s = {0};
	const char *commit = "";
	json_t *reply;
	enum status st = open_one(cli, n, args, &s, err);

	if (st != ST_OK)
		return st;
	st = stream_call(&s, "checkpoint", &reply, err);
	if (st == ST_NOT_FOUND)
		return err_set(err, ST_NOT_FOUND, "%s is not running; start it with `tidemark run`",
			       s.config.name);
	if (st == ST_EMPTY) {
		if (!cli->json)
			printf("%s: nothing new since the last checkpoint\n", s.config.name);
		return ST_OK;
	}
	if (st != ST_OK)
		return st;
	if (cli->json) {
		cli_json_line(reply);
		return ST_OK;
	}
	commit = json_string_value(json_object_get(reply, "commit"));
	printf("checkpoint %.12s, %lld records\n", commit ? commit : "",
	       (long long)json_integer_value(json_object_get(reply, "records")));
	json_decref(reply);
	return ST_OK;
}

const struct command command_checkpoint = {
	.name = "checkpoint",
	.usage = "CONNECTOR",
	.summary = "commit now what a running connector has read",
	.help = "",
	.access = LAKE_READ,
	.run = checkpoint,
};

static enum status set_pause(struct cli *cli, int n, char **args, bool paused, struct err *err)
{
	AUTO(stream_close) struct stream s = {0};
	char time[TIME_TEXT_BYTES];
	AUTO(freep) char *json = NULL;
	enum status st = open_one(cli, n, args, &s, err);

	if (st != ST_OK)
		return st;
	time_format(clock_system()->wall_ms(clock_system()), time);
	json = xasprintf("{\"since\":\"%s\"}", time);
	st = state_write(s.lake, s.config.target, s.config.name, STATE_PAUSE, paused ? json : NULL,
			 err);
	if (st != ST_OK)
		return st;
	stream_refresh(&s);
	if (cli->json)
		cli_json_line(json_pack("{s:s,s:s}", "name", s.config.name, "state",
					paused ? "PAUSED" : "RUNNING"));
	else
		printf("%s %s\n", s.config.name, paused ? "paused" : "resumed");
	return ST_OK;
}

static enum status pause_(struct cli *cli, int n, char **args, struct err *err)
{
	return set_pause(cli, n, args, true, err);
}

static enum status resume(struct cli *cli, int n, char **args, struct err *err)
{
	return set_pause(cli, n, args, false, err);
}

const struct command command_pause = {
	.name = "pause",
	.usage = "CONNECTOR",
	.summary = "stop reading, and stay in the group; outlives restarts",
	.help = "",
	.run = pause_,
};

const struct command command_resume = {
	.name = "resume",
	.usage = "CONNECTOR",
	.summary = "read again after a pause",
	.help = "",
	.run = resume,
};
