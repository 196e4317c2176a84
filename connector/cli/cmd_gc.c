/* gc: frees what nothing names. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connector/cli/command.h"
#include "connector/schema/utf8.h"
#include "connector/cli/progress.h"
#include "connector/history/retain.h"
#include "core/base/props.h"

static volatile sig_atomic_t stop;

static void on_signal(int signal)
{
	(void)signal;
	stop = 1;
}

static bool goes_on(void *ctx, const struct lake_gc_progress *progress)
{
	(void)ctx;
	(void)progress;
	return !stop;
}

/* text NULL: the value stays. */
static enum status duration_option(const char *name, const char *text, int64_t *out,
				   struct err *err)
{
	if (!text || duration_parse(text, out))
		return ST_OK;
	return err_set(err, ST_USAGE,
		       "gc: --%s takes a duration (30d, 12h, 90m, 45s, 500ms), not '%s'", name,
		       text);
}

static json_t *json_count(const struct lake_gc_count *c)
{
	return json_pack("{s:I,s:I,s:I}", "kept", (json_int_t)c->kept, "freed",
			 (json_int_t)c->freed, "freed_bytes", (json_int_t)c->freed_bytes);
}

static void print_json(const struct lake_gc_options *o, const struct retention *retention,
		       const struct lake_gc_report *r)
{
	json_t *line = json_pack("{s:b,s:o,s:o,s:o,s:o}", "dry_run", (int)o->dry_run, "commits",
				 json_count(&r->commits), "nodes", json_count(&r->nodes), "small",
				 json_count(&r->small), "files", json_count(&r->files));
	const struct {
		const char *name;
		uint64_t value;
	} numbers[] = {
		{"object_bytes", r->object_bytes},
		{"expired", r->expired},
		{"expired_bytes", r->expired_bytes},
		{"reflog_dropped", r->reflog_dropped},
		{"temp_files", r->temp_files},
		{"temp_bytes", r->temp_bytes},
		{"memory_bytes", r->memory_bytes},
		{"elapsed_ms", (uint64_t)r->elapsed_ms},
		{"longest_wait_us", (uint64_t)r->longest_wait_us},
		{"uncounted_ms", (uint64_t)r->uncounted_ms},
		{"history_retain_ms", (uint64_t)o->history_retain_ms},
	};

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		json_object_set_new(line, numbers[i].name,
				    json_integer((json_int_t)numbers[i].value));
	json_object_set_new(line, "history_kept_by", utf8_json(retention->keeper));
	cli_json_line(line);
}

static void print_history(const struct lake_gc_options *o, const struct retention *retention,
			  const struct lake_gc_report *r)
{
	if (o->history_retain_ms)
		printf("history: %" PRIu64 " of them, %" PRIu64
		       " bytes, only untagged commits older than %.6g days named\n",
		       r->expired, r->expired_bytes, (double)o->history_retain_ms / 86400000.0);
	else if (retention->keeper)
		printf("history: kept whole, since connector %s has no " RETAIN_PROPERTY "\n",
		       retention->keeper);
	else
		puts("history: kept whole, since no connector has " RETAIN_PROPERTY);
	if (r->uncounted_ms)
		printf("history: kept %.3g days longer, since pauses without a write count for a "
		       "quarter of that time at most, lest a clock that is wrong expires what is "
		       "young; where it is right, --trust-clock\n",
		       (double)r->uncounted_ms / 86400000.0);
}

static void print_human(const struct lake_gc_options *o, const struct retention *retention,
			const struct lake_gc_report *r)
{
	printf("%s %" PRIu64 " commits, %" PRIu64 " nodes, %" PRIu64 " small objects, %" PRIu64
	       " files: %" PRIu64 " bytes\n",
	       o->dry_run ? "would free" : "freed", r->commits.freed, r->nodes.freed,
	       r->small.freed, r->files.freed, lake_gc_freed_bytes(r));
	printf("kept %" PRIu64 " commits, %" PRIu64 " nodes, %" PRIu64 " small objects, %" PRIu64
	       " files: %" PRIu64 " bytes of objects\n",
	       r->commits.kept, r->nodes.kept, r->small.kept, r->files.kept, r->object_bytes);
	print_history(o, retention, r);
	if (r->reflog_dropped)
		printf("reflog: %" PRIu64 " old entries%s\n", r->reflog_dropped,
		       o->dry_run ? "" : " dropped");
}

static enum status collect(struct cli *cli, struct lake *lake, struct lake_gc_options *options,
			   const struct retention *retention, struct err *err)
{
	AUTO(cli_progress_stopp)
	struct cli_progress *progress =
		cli_progress_start(lake, cli_progress_wanted() && !cli->json);
	struct sigaction action = {.sa_handler = on_signal};
	struct lake_gc_report report;
	enum status st;

	/* Where another process owns the lake, it goes on there without us. */
	if (lake_is_owner(lake)) {
		sigaction(SIGINT, &action, NULL);
		sigaction(SIGTERM, &action, NULL);
		options->progress = goes_on;
	}
	st = lake_gc(lake, options, &report, err);
	cli_progress_stop(MOVE(progress));
	if (st != ST_OK)
		return st;
	if (cli->json)
		print_json(options, retention, &report);
	else
		print_human(options, retention, &report);
	return ST_OK;
}

static enum status run(struct cli *cli, int n, char **args, struct err *err)
{
	AUTO(cli_args_release) struct cli_args positional = {.n = 0};
	AUTO(retention_release) struct retention retention = {.ms = 0};
	struct lake_gc_options gc = {.keep_prefix = RETAIN_ALWAYS,
				     .reflog_retain_ms = LAKE_GC_REFLOG_RETAIN_MS,
				     .grace_ms = LAKE_GC_GRACE_MS};
	const char *history = NULL, *reflog = NULL, *grace = NULL;
	const struct cli_option options[] = {
		{"dry-run", 0, CLI_FLAG, &gc.dry_run},
		{"history-retain", 0, CLI_TEXT, &history},
		{"reflog-retain", 0, CLI_TEXT, &reflog},
		{"grace", 0, CLI_TEXT, &grace},
		{"trust-clock", 0, CLI_FLAG, &gc.trust_clock},
	};
	struct lake *lake;
	enum status st =
		cli_parse(cli, n, args, options, ARRAY_SIZE(options), 0, 0, &positional, err);

	if (st == ST_OK)
		st = duration_option("history-retain", history, &gc.history_retain_ms, err);
	if (st == ST_OK)
		st = duration_option("reflog-retain", reflog, &gc.reflog_retain_ms, err);
	if (st == ST_OK)
		st = duration_option("grace", grace, &gc.grace_ms, err);
	if (st == ST_OK)
		st = cli_lake(cli, &lake, err);
	if (st == ST_OK && !history) {
		st = retention_read(lake, &retention, err);
		gc.history_retain_ms = retention.ms;
	}
	return st == ST_OK ? collect(cli, lake, &gc, &retention, err) : st;
}

const struct command command_gc = {
	.name = "gc",
	.usage = "[--dry-run] [--history-retain DURATION] [--reflog-retain DURATION] "
		 "[--grace DURATION] [--trust-clock]",
	.summary = "frees what no branch, tag, reflog entry or reader needs",
	.help = "Runs beside a worker.\n"
		"--dry-run         say what would be freed\n"
		"--history-retain  free also objects that only untagged commits older than this\n"
		"                  name, in place of the connectors' lake.history.retain; 0: none\n"
		"--reflog-retain   how long the reflog keeps what it names (30d)\n"
		"--grace           commits younger than this are kept, named or not (24h);\n"
		"                  shorter ones may take prepared work away from others\n"
		"--trust-clock     count the whole of a pause in which nothing was written; else\n"
		"                  each counts for a quarter of the times above at most\n",
	.run = run,
};
