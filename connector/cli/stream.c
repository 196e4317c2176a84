#include "connector/cli/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connector/history/state.h"
#include "connector/worker/publisher.h"
#include "core/base/file.h"
#include "core/base/log.h"

static enum status from_file(struct cli *cli, const char *path, struct stream *s, struct err *err)
{
	AUTO(props_release) struct props props = PROPS_INIT;
	enum status st = props_read_file(path, &props, err);

	if (st == ST_OK)
		st = config_load(&props, &s->config, err);
	if (st != ST_OK)
		return err_wrap(err, st, "%s", path);
	if (!cli->lake_url && !getenv("TIDEMARK_LAKE"))
		cli->lake_url = s->config.lake_url;
	return cli_lake(cli, &s->lake, err);
}

static enum status from_lake(struct cli *cli, const char *name, struct stream *s, struct err *err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	enum status st = cli_lake(cli, &s->lake, err);

	if (st != ST_OK)
		return st;
	st = state_read(s->lake, name, STATE_PROPERTIES, &text, err);
	if (st == ST_NOT_FOUND)
		return err_set(err, ST_NOT_FOUND,
			       "%s is no config file, and the lake knows no connector of this name",
			       name);
	return st == ST_OK ? config_load_saved(buf_str(&text), &s->config, err) : st;
}

enum status stream_open(struct cli *cli, const char *connector, struct stream *out, struct err *err)
{
	struct stream s = {.rng = rng_system()};
	bool is_file = strchr(connector, '/') || strchr(connector, '.') || file_exists(connector);
	enum status st =
		is_file ? from_file(cli, connector, &s, err) : from_lake(cli, connector, &s, err);

	if (st != ST_OK) {
		config_release(&s.config);
		return st;
	}
	*out = s;
	out->line = config_line(&out->config, out->lake, &out->rng);
	return ST_OK;
}

void stream_close(struct stream *s)
{
	config_release(&s->config);
}

enum status stream_call(const struct stream *s, const char *method, json_t **reply_out,
			struct err *err)
{
	AUTO(buf_release) struct buf reply = BUF_INIT;
	AUTO(freep) char *in = xasprintf("{\"name\":\"%s\"}", s->config.name);
	enum status st = lake_call(s->lake, method, in, &reply, err);

	if (st != ST_OK)
		return st;
	*reply_out = json_loads(buf_str(&reply), 0, NULL);
	if (!*reply_out)
		return err_set(err, ST_FAILED, "the connector's answer is no JSON");
	return ST_OK;
}

void stream_refresh(const struct stream *s)
{
	json_t *reply;

	if (stream_call(s, "refresh", &reply, NULL) == ST_OK)
		json_decref(reply);
}

/* A running connector tells by itself. */
static bool tells(const struct stream *s)
{
	json_t *reply;

	if (s->config.n_notifiers == 0)
		return false;
	if (stream_call(s, "status", &reply, NULL) != ST_OK)
		return true;
	json_decref(reply);
	return false;
}

void stream_notify_begin(struct stream *s)
{
	const struct notify notify = {&s->config, s->lake, clock_system(), NULL};
	struct err err = ERR_INIT;

	s->tells = tells(s);
	/* a notifier's command reads the target through the socket */
	if (s->tells && (lake_serve(s->lake, NULL, NULL, &err) != ST_OK ||
			 notify_begin(&notify, &err) != ST_OK))
		log_warn("notifications may be left out", LOG_S("reason", err.text));
}

void stream_notify(const struct stream *s)
{
	const struct notify notify = {&s->config, s->lake, clock_system(), NULL};

	if (s->tells)
		notify_all(&notify);
}

json_t *stream_json_offsets(const struct offsets *o)
{
	AUTO(buf_release) struct buf text = BUF_INIT;

	offsets_to_json(o, &text);
	return json_loads(buf_str(&text), 0, NULL);
}

bool stream_confirm(const char *question)
{
	char line[16] = "";

	if (!isatty(STDIN_FILENO))
		return true;
	fprintf(stderr, "%s [y/N] ", question);
	return fgets(line, sizeof(line), stdin) && (line[0] == 'y' || line[0] == 'Y');
}
