#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connector/cli/stream.h"
#include "connector/history/state.h"
#include "connector/worker/kafka_question.h"

struct standing {
	const char *state;
	bool started;
	struct checkpoint head;
	struct shown shown;
	json_t *live; /* a running connector's answer; NULL */
	json_t *hold; /* {"reason","since","checkpoint"}; NULL */
	json_t *failure; /* {"status","reason","since"}; NULL */
	json_t *gc; /* {"time","freed_bytes"} or {"time","failed"}; NULL */
	json_t *export; /* {"failed","since"}; NULL */
	json_t *notify; /* what each notifier was told, by its name */
};

static void standing_release(struct standing *s)
{
	checkpoint_release(&s->head);
	json_decref(s->live);
	json_decref(s->hold);
	json_decref(s->failure);
	json_decref(s->gc);
	json_decref(s->export);
	json_decref(s->notify);
}

static enum status look(const struct stream *s, struct standing *out, struct err *err)
{
	json_t *pause = state_read_json(s->lake, s->config.name, STATE_PAUSE);
	struct lake_id head;
	enum status st;

	out->hold = state_read_json(s->lake, s->config.name, STATE_HOLD);
	out->failure = state_read_json(s->lake, s->config.name, STATE_FAILURE);
	out->gc = state_read_json(s->lake, s->config.name, STATE_GC);
	out->export = state_read_json(s->lake, s->config.name, STATE_EXPORT);
	out->notify = json_object();
	for (size_t i = 0; i < s->config.n_notifiers; i++) {
		const char *name = s->config.notifiers[i].name;
		json_t *state = notify_state(s->lake, s->config.name, name);

		if (state)
			json_object_set_new(out->notify, name, state);
	}
	if (stream_call(s, "status", &out->live, NULL) != ST_OK)
		out->live = NULL;
	out->state = out->live      ? json_string_value(json_object_get(out->live, "state"))
		     : out->failure ? "FAILED"
		     : pause        ? "PAUSED"
				    : "STOPPED";
	json_decref(pause);
	st = lake_ref_get(s->lake, LAKE_BRANCH, s->config.branch, &head, err);
	if (st == ST_NOT_FOUND)
		return ST_OK;
	if (st == ST_OK)
		st = checkpoint_read(s->lake, &head, &out->head, err);
	if (st == ST_OK)
		st = shown_read(&s->line, &out->shown, err);
	out->started = st == ST_OK;
	return st;
}

static void print_json(const struct stream *s, const struct standing *x)
{
	json_t *lag = json_incref(json_object_get(x->live, "lag"));
	bool shown = x->started && !lake_id_is_none(&x->shown.checkpoint);

	cli_json_line(json_pack(
		"{s:s,s:s,s:s,s:o,s:s,s:o,s:o,s:o,s:O?,s:O?,s:O?,s:O?,s:O?}", "name",
		s->config.name, "state", x->state, "branch", s->config.branch, "head",
		x->started ? cli_json_id(&x->head.id) : json_null(), "target", s->config.target,
		"offsets", stream_json_offsets(&x->head.offsets), "lag", lag ? lag : json_object(),
		"published", shown ? cli_json_id(&x->shown.checkpoint) : json_null(), "hold",
		x->hold, "failure", x->failure, "gc", x->gc, "export", x->export, "notify",
		x->notify));
}

static const char *text_at(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static void print_partitions(const struct standing *x)
{
	json_t *lag = json_object_get(x->live, "lag");
	size_t shown = 0;

	for (size_t i = 0; i < x->head.offsets.n && shown < 50; i++, shown++) {
		const struct offset_item *item = &x->head.offsets.items[i];
		char partition[16];
		json_t *value;

		snprintf(partition, sizeof(partition), "%d", item->partition);
		value = json_object_get(json_object_get(lag, item->topic), partition);
		printf("  %s:%d  next %" PRId64, item->topic, item->partition, item->value);
		if (value)
			printf("  lag %" JSON_INTEGER_FORMAT, json_integer_value(value));
		putchar('\n');
	}
	if (shown < x->head.offsets.n)
		printf("  and %zu more partitions (--json lists all)\n", x->head.offsets.n - shown);
}

/* Why, what each gate said, and what to do. */
static void print_hold(const struct stream *s, const json_t *hold)
{
	const char *first_bad = text_at(hold, "first_bad");
	json_t *gate;
	size_t i;

	printf("  held since %s: ", text_at(hold, "since"));
	cli_print_text(text_at(hold, "reason"), true);
	putchar('\n');
	json_array_foreach(json_object_get(hold, "gates"), i, gate)
	{
		printf("    gate %s %s", text_at(gate, "name"), text_at(gate, "verdict"));
		if (*text_at(gate, "reason")) {
			fputs(": ", stdout);
			cli_print_text(text_at(gate, "reason"), true);
		}
		putchar('\n');
		if (*text_at(gate, "output")) {
			fputs("      ", stdout);
			cli_print_text(text_at(gate, "output"), true);
			putchar('\n');
		}
	}
	if (*first_bad)
		printf("    the first bad checkpoint is %.12s: `tidemark drop %s %.12s..%.12s` "
		       "takes "
		       "it out, `tidemark rollback %s --to %.12s~1` goes back to before it\n",
		       first_bad, s->config.name, first_bad, first_bad, s->config.name, first_bad);
}

static void print_notify(const json_t *notify)
{
	const char *name;
	json_t *one;

	json_object_foreach((json_t *)(uintptr_t)notify, name, one)
	{
		const json_t *failure = json_object_get(one, "failure");

		printf("  notifier %s was told of %" JSON_INTEGER_FORMAT " moves", name,
		       json_integer_value(json_object_get(one, "told")));
		if (json_integer_value(json_object_get(one, "failed")))
			printf(", failed %" JSON_INTEGER_FORMAT " times",
			       json_integer_value(json_object_get(one, "failed")));
		putchar('\n');
		if (!json_is_object(failure))
			continue;
		printf("    the last of %.12s, %s: ", text_at(failure, "commit"),
		       text_at(failure, "since"));
		cli_print_text(text_at(failure, "reason"), true);
		putchar('\n');
	}
}

static void print_text(const struct stream *s, const struct standing *x)
{
	char id[LAKE_ID_SHORT_BYTES], time[TIME_TEXT_BYTES];

	printf("%s  %s\n", s->config.name, x->state);
	if (x->failure && !x->live)
		printf("  failed %s: %s\n", text_at(x->failure, "since"),
		       text_at(x->failure, "reason"));
	if (!x->started) {
		puts("  has no checkpoint yet");
		return;
	}
	lake_id_short(&x->head.id, id);
	time_format(x->head.time_ms, time);
	printf("  %s at %s, committed %s, epoch %" PRIu64 "\n", s->config.branch, id, time,
	       x->head.epoch);
	lake_id_short(&x->shown.checkpoint, id);
	if (lake_id_is_none(&x->shown.checkpoint))
		printf("  %s shows nothing of it yet\n", s->config.target);
	else
		printf("  %s shows checkpoint %s%s\n", s->config.target, id,
		       lake_id_equal(&x->shown.checkpoint, &x->head.id) ? ", the newest" : "");
	if (x->hold)
		print_hold(s, x->hold);
	if (x->export)
		printf("  export failed since %s: %s\n", text_at(x->export, "since"),
		       text_at(x->export, "failed"));
	print_notify(x->notify);
	if (text_at(x->gc, "failed")[0])
		printf("  gc failed %s: %s\n", text_at(x->gc, "time"), text_at(x->gc, "failed"));
	else if (x->gc)
		printf("  gc %s: freed %" JSON_INTEGER_FORMAT " bytes\n", text_at(x->gc, "time"),
		       json_integer_value(json_object_get(x->gc, "freed_bytes")));
	if (x->live)
		printf("  read and not yet committed: %" JSON_INTEGER_FORMAT " records\n",
		       json_integer_value(json_object_get(x->live, "pending")));
	if (json_integer_value(json_object_get(x->live, "stalled_ms")) > 0)
		printf("  waiting for the schema registry for %" JSON_INTEGER_FORMAT " s\n",
		       json_integer_value(json_object_get(x->live, "stalled_ms")) / 1000);
	print_partitions(x);
}

static enum status show(struct cli *cli, const char *name, struct err *err)
{
	AUTO(stream_close) struct stream s = {0};
	AUTO(standing_release) struct standing standing = {0};
	enum status st = stream_open(cli, name, &s, err);

	if (st == ST_OK)
		st = look(&s, &standing, err);
	if (st != ST_OK)
		return st;
	if (cli->json)
		print_json(&s, &standing);
	else
		print_text(&s, &standing);
	return ST_OK;
}

static enum status show_all(struct cli *cli, struct err *err)
{
	struct lake *lake;
	char **names;
	size_t n;
	enum status st = cli_lake(cli, &lake, err);

	if (st == ST_OK)
		st = state_connectors(lake, &names, &n, err);
	if (st != ST_OK)
		return st;
	if (n == 0 && !cli->json)
		puts("no connector has run here yet");
	for (size_t i = 0; i < n; i++) {
		if (st == ST_OK)
			st = show(cli, names[i], err);
		free(names[i]);
	}
	free(names);
	return st;
}

static enum status run(struct cli *cli, int n, char **args, struct err *err)
{
	AUTO(cli_args_release) struct cli_args positional = {0};
	enum status st = cli_parse(cli, n, args, NULL, 0, 0, 1, &positional, err);

	if (st != ST_OK)
		return st;
	return positional.n ? show(cli, positional.items[0], err) : show_all(cli, err);
}

const struct command command_status = {
	.name = "status",
	.usage = "[CONNECTOR]",
	.summary = "where a connector stands: head, offsets, lag, what is shown, what is held",
	.help = "",
	.access = LAKE_READ,
	.run = run,
};
