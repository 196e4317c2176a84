#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connector/cli/stream.h"
#include "connector/history/rollback.h"
#include "connector/history/state.h"
#include "connector/worker/kafka_question.h"
#include "connector/worker/publisher.h"

/* Tries against a stream that moves between plan and apply. */
#define APPLY_TRIES 10

struct arguments {
	struct cli_list to, skip;
	const char *mode;
	const char *reason;
	bool undo, target_only, dry_run, yes;
	struct position *positions;
};

static void arguments_release(struct arguments *a)
{
	for (size_t i = 0; a->positions && i < a->skip.n; i++)
		position_release(&a->positions[i]);
	free(a->positions);
	cli_list_release(&a->to);
	cli_list_release(&a->skip);
}

static enum status check(struct arguments *a, struct rollback_request *request, struct err *err)
{
	if (a->undo && (a->to.n || a->skip.n))
		return err_set(err, ST_USAGE,
			       "--undo goes back to the recorded pair; leave --to and "
			       "--skip-to out");
	if (!a->undo && a->to.n == 0)
		return err_set(err, ST_USAGE,
			       "give --to a checkpoint, tag, TOPIC:PARTITION:OFFSET, time or "
			       "record:TIME; or "
			       "--undo");
	if (a->target_only && (a->undo || a->skip.n))
		return err_set(err, ST_USAGE,
			       "--target-only leaves ingest and the consumer alone; leave --undo "
			       "and --skip-to out");
	if (strcmp(a->mode, "revert") != 0 && strcmp(a->mode, "reset") != 0)
		return err_set(err, ST_USAGE, "--mode %s: give revert or reset", a->mode);
	if (a->reason && a->skip.n == 0)
		return err_set(err, ST_USAGE,
			       "--reason is recorded with what --skip-to leaves out; give both");
	a->positions = xcalloc(a->skip.n, sizeof(*a->positions));
	for (size_t i = 0; i < a->skip.n; i++)
		if (!position_parse(a->skip.items[i], true, &a->positions[i]))
			return err_set(err, ST_USAGE,
				       "--skip-to %s: give TOPIC:PARTITION:OFFSET, or latest",
				       a->skip.items[i]);
	request->to = a->to.items;
	request->n_to = a->to.n;
	request->undo = a->undo;
	request->target_only = a->target_only;
	request->mode = strcmp(a->mode, "reset") == 0 ? ROLLBACK_RESET : ROLLBACK_REVERT;
	request->skip = a->positions;
	request->n_skip = a->skip.n;
	request->reason = a->reason;
	return ST_OK;
}

static void print_plan(const struct cli *cli, const struct stream *s,
		       const struct rollback_plan *plan, bool dry_run)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	AUTO(buf_release) struct buf replay = BUF_INIT;
	AUTO(buf_release) struct buf skipped = BUF_INIT;

	if (!cli->json) {
		rollback_plan_print(&s->line, plan, &text);
		fputs(buf_str(&text), stdout);
		fflush(stdout);
		return;
	}
	if (!dry_run)
		return;
	ranges_to_json(&plan->replay, &replay);
	ranges_to_json(&plan->skipped, &skipped);
	cli_json_line(json_pack(
		"{s:s,s:o,s:o,s:o,s:s,s:I,s:I,s:o,s:o,s:o}", "name", s->config.name, "from",
		cli_json_id(&plan->head.id), "to", cli_json_id(&plan->to.id), "shows",
		lake_id_is_none(&plan->show) ? json_null() : cli_json_id(&plan->show), "mode",
		plan->mode == ROLLBACK_RESET ? "reset" : "revert", "files",
		(json_int_t)plan->files_on_ingest, "target_files",
		(json_int_t)plan->files_on_target, "offsets", stream_json_offsets(&plan->offsets),
		"replay", json_loads(buf_str(&replay), 0, NULL), "skipped",
		json_loads(buf_str(&skipped), 0, NULL)));
}

static void print_result(const struct cli *cli, const struct stream *s,
			 const struct rollback_result *result, bool target_only)
{
	char ingest[LAKE_ID_SHORT_BYTES], target[LAKE_ID_SHORT_BYTES];

	if (cli->json) {
		cli_json_line(json_pack("{s:s,s:o,s:o,s:I}", "name", s->config.name, "ingest",
					cli_json_id(&result->ingest), "target",
					cli_json_id(&result->target), "epoch",
					(json_int_t)result->epoch));
		return;
	}
	lake_id_short(&result->ingest, ingest);
	lake_id_short(&result->target, target);
	if (target_only)
		printf("done: %s is at %s; `tidemark publish %s` shows the newest again\n",
		       s->config.target, target, s->config.name);
	else
		printf("done: %s is at %s, %s at %s; `tidemark rollback %s --undo` takes it back\n",
		       s->config.branch, ingest, s->config.target, target, s->config.name);
}

/* What Kafka said, kept between tries: asking costs more than all the rest, and a
 * stream of publishes must not starve a rollback. */
struct asked {
	struct config *config;
	struct offsets wanted;
	struct kafka_bounds bounds;
	bool known;
};

static void asked_release(struct asked *a)
{
	offsets_release(&a->wanted);
	kafka_bounds_release(&a->bounds);
}

static enum status ask_once(void *ctx, const struct offsets *wanted, struct kafka_bounds *out,
			    struct err *err)
{
	struct asked *a = ctx;

	if (!a->known || !offsets_equal(&a->wanted, wanted)) {
		struct kafka_bounds bounds;
		enum status st = kafka_ask_bounds(a->config, wanted, &bounds, err);

		if (st != ST_OK)
			return st;
		kafka_bounds_release(&a->bounds);
		a->bounds = bounds;
		offsets_copy(&a->wanted, wanted);
		a->known = true;
	}
	offsets_copy(&out->earliest, &a->bounds.earliest);
	offsets_copy(&out->latest, &a->bounds.latest);
	topic_states_copy(&out->topics, &a->bounds.topics);
	return ST_OK;
}

static enum status pause_publishes(const struct stream *s, struct err *err)
{
	const struct publisher publisher = {
		.config = &s->config, .lake = s->lake, .clock = clock_system()};

	return publisher_pause(&publisher,
			       "rolled back with --target-only; `tidemark publish` or a whole "
			       "rollback ends it",
			       err);
}

/* Plans, shows the plan, moves; ST_CONFLICT: something moved in between. */
static enum status try_once(struct cli *cli, struct stream *s, const struct arguments *a,
			    const struct rollback_request *request, struct err *err)
{
	AUTO(rollback_plan_release) struct rollback_plan plan = {0};
	struct rollback_result result;
	enum status st = rollback_plan_make(&s->line, request, &plan, err);

	if (st != ST_OK)
		return st;
	print_plan(cli, s, &plan, a->dry_run);
	if (a->dry_run)
		return ST_OK;
	if (!a->yes && !cli->json && !stream_confirm("Roll back?"))
		return err_set(err, ST_FAILED, "not confirmed; nothing was moved");
	/* First, so that no publish comes in between. */
	stream_notify_begin(s);
	if (a->target_only)
		st = pause_publishes(s, err);
	if (st == ST_OK)
		st = rollback_apply(&s->line, &plan, &result, err);
	if (st == ST_OK ? !a->target_only : a->target_only && st != ST_CONFLICT) {
		struct err ignored = ERR_INIT; /* `status` shows a hold that is none */

		if (state_write(s->lake, s->config.target, s->config.name, STATE_HOLD, NULL,
				&ignored) != ST_OK)
			fprintf(stderr, "tidemark: the hold is not removed: %s\n", ignored.text);
	}
	if (st != ST_OK)
		return st;
	stream_refresh(s);
	print_result(cli, s, &result, a->target_only);
	stream_notify(s);
	return ST_OK;
}

static enum status run(struct cli *cli, int n, char **args, struct err *err)
{
	AUTO(arguments_release) struct arguments a = {.mode = "revert"};
	AUTO(cli_args_release) struct cli_args positional = {0};
	AUTO(stream_close) struct stream s = {0};
	AUTO(asked_release) struct asked asked = {0};
	struct rollback_request request = {.ask = ask_once, .ask_ctx = &asked};
	const struct cli_option options[] = {
		{"to", 0, CLI_LIST, &a.to},         {"skip-to", 0, CLI_LIST, &a.skip},
		{"reason", 0, CLI_TEXT, &a.reason}, {"mode", 0, CLI_TEXT, &a.mode},
		{"undo", 0, CLI_FLAG, &a.undo},     {"dry-run", 0, CLI_FLAG, &a.dry_run},
		{"yes", 'y', CLI_FLAG, &a.yes},     {"target-only", 0, CLI_FLAG, &a.target_only},
	};
	enum status st =
		cli_parse(cli, n, args, options, ARRAY_SIZE(options), 1, 1, &positional, err);

	if (st == ST_OK)
		st = check(&a, &request, err);
	if (st == ST_OK)
		st = stream_open(cli, positional.items[0], &s, err);
	if (st != ST_OK)
		return st;
	asked.config = &s.config;
	for (int i = 0; i < APPLY_TRIES; i++) {
		st = try_once(cli, &s, &a, &request, err);
		if (st != ST_CONFLICT)
			break;
		fprintf(stderr, "tidemark: the stream moved meanwhile; planning again\n");
	}
	return st;
}

const struct command command_rollback = {
	.name = "rollback",
	.usage = "CONNECTOR --to TARGET... | --undo [--mode revert|reset] [--skip-to "
		 "T:P:OFFSET|latest]... [--reason TEXT] "
		 "[--target-only] [--dry-run] [--yes]",
	.summary = "put data and consumer back, together, to a checkpoint",
	.help = "TARGET is a ref, TOPIC:PARTITION:OFFSET, a time (of commits) or record:TIME; of\n"
		"several the oldest wins. The plan is printed before anything moves.\n"
		"--mode revert  undo on the target by a new commit (the default)\n"
		"--mode reset   move the target's branch back, where that drops nobody else's "
		"work\n"
		"--skip-to      go on behind these offsets; what is skipped is recorded as lost\n"
		"--reason       why; it is recorded with what is skipped\n"
		"--undo         take the newest rollback back, and what came since with it\n"
		"--target-only  take the data out of sight and stop publishes; ingest goes on, "
		"and\n"
		"               Kafka is not asked\n"
		"--dry-run      print the plan alone\n",
	.run = run,
};
