/* sql: questions to the files of any ref. */
#include <stdatomic.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "connector/cli/command.h"
#include "connector/columnar/sql_refs.h"
#include "core/base/file.h"
#include "core/base/props.h"

#define LEAST_MEMORY_BYTES ((int64_t)16 << 20)

static atomic_bool stopped;

static void on_signal(int signal)
{
	(void)signal;
	stopped = true;
}

static void catch_signals(void)
{
	/* a second one ends this process at once */
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

struct options {
	const char *at;
	const char *format;
	const char *output;
	const char *memory;
	const char *timeout;
	uint64_t threads;
};

static enum status read_options(const struct cli *cli, const struct options *o, struct sql_query *q,
				struct err *err)
{
	int64_t memory = 0;

	q->format = cli->json                             ? SQL_JSON
		    : isatty(STDOUT_FILENO) && !o->output ? SQL_TABLE
							  : SQL_CSV;
	if (o->format && !sql_format_by_name(o->format, &q->format))
		return err_set(err, ST_USAGE,
			       "sql: --format takes table, csv, jsonl or parquet, not '%s'",
			       o->format);
	if (q->format == SQL_PARQUET && !o->output)
		return err_set(
			err, ST_USAGE,
			"sql: Parquet is for no terminal or pipe; name a file with --output");
	if (o->memory && (!bytes_parse(o->memory, &memory) || memory < LEAST_MEMORY_BYTES))
		return err_set(err, ST_USAGE,
			       "sql: --memory takes a size of 16MiB or more, not '%s'", o->memory);
	if (o->timeout && (!duration_parse(o->timeout, &q->timeout_ms) || q->timeout_ms <= 0))
		return err_set(err, ST_USAGE, "sql: --timeout takes a duration (30s, 5m), not '%s'",
			       o->timeout);
	if (o->threads > 1024)
		return err_set(err, ST_USAGE, "sql: --threads takes 1 to 1024");
	q->memory_bytes = (uint64_t)memory;
	q->threads = (unsigned)o->threads;
	q->stop = &stopped;
	return ST_OK;
}

/* ---- where the answer goes ---- */

static enum status take(void *ctx, const void *data, size_t len, struct err *err)
{
	const int *fd = ctx;

	return fd_write_all(*fd, data, len, "the output", err);
}

/* A file comes into being whole, or not at all. */
static enum status into_file(const struct sql_query *q, const struct sql_catalog *catalog,
			     const char *path, struct err *err)
{
	AUTO(freep) char *temp = xasprintf("%s.XXXXXX", path);
	AUTO(closep) int fd = mkostemp(temp, O_CLOEXEC);
	const struct sql_sink sink = {take, &fd};
	mode_t mask = umask(0);
	enum status st;

	umask(mask);
	if (fd < 0)
		return err_errno(err, errno, "cannot create %s", temp);
	st = sql_ask(q, catalog, &sink, NULL, err);
	if (st == ST_OK)
		st = fd_sync(fd, false, temp, err);
	if (st == ST_OK && (fchmod(fd, 0666 & ~mask) < 0 || rename(temp, path) < 0))
		st = err_errno(err, errno, "cannot write %s", path);
	if (st != ST_OK)
		unlink(temp);
	return st;
}

/* The lake, opened while the query's process starts. */
struct tables {
	struct cli *cli;
	const char *at;
	struct sql_refs *refs;
};

static enum status open_tables(void *ctx, struct err *err)
{
	struct tables *t = ctx;
	struct lake *lake;
	enum status st = cli_lake(t->cli, &lake, err);

	return st == ST_OK ? sql_refs_open(lake, t->at, &t->refs, err) : st;
}

static enum status find_table(void *ctx, const char *name, struct sql_workspace *workspace,
			      json_t **out, struct err *err)
{
	const struct tables *t = ctx;
	const struct sql_catalog catalog = sql_refs_catalog(t->refs);

	return catalog.find(catalog.ctx, name, workspace, out, err);
}

static enum status run_query(struct cli *cli, const struct options *o, struct sql_query *q,
			     struct err *err)
{
	struct tables t = {.cli = cli, .at = o->at};
	const struct sql_catalog catalog = {.open = open_tables, .find = find_table, .ctx = &t};
	int fd = STDOUT_FILENO;
	const struct sql_sink sink = {take, &fd};
	enum status st;

	catch_signals();
	st = o->output ? into_file(q, &catalog, o->output, err)
		       : sql_ask(q, &catalog, &sink, NULL, err);
	sql_refs_close(t.refs);
	cli->exits = true;
	return st;
}

static enum status run_sql(struct cli *cli, int n, char **args, struct err *err)
{
	AUTO(cli_args_release) struct cli_args a = {.n = 0};
	AUTO(buf_release) struct buf text = BUF_INIT;
	struct options o = {.at = "main"};
	struct sql_query q = {.text = NULL};
	const struct cli_option options[] = {
		{"at", 0, CLI_TEXT, &o.at},           {"format", 0, CLI_TEXT, &o.format},
		{"output", 'o', CLI_TEXT, &o.output}, {"memory", 0, CLI_TEXT, &o.memory},
		{"timeout", 0, CLI_TEXT, &o.timeout}, {"threads", 0, CLI_COUNT, &o.threads},
	};
	enum status st = cli_parse(cli, n, args, options, ARRAY_SIZE(options), 1, 1, &a, err);

	if (st == ST_OK)
		st = read_options(cli, &o, &q, err);
	if (st != ST_OK)
		return st;
	q.text = a.items[0];
	if (q.text[0] == '-' && !q.text[1]) {
		st = file_read("/dev/stdin", 16u << 20, &text, err);
		if (st != ST_OK)
			return st;
		q.text = buf_str(&text);
	}
	return run_query(cli, &o, &q, err);
}

const struct command command_sql = {
	.name = "sql",
	.usage = "[--at REF] [--format table|csv|jsonl|parquet] [--output FILE] QUERY|-",
	.summary = "answers one SELECT over the topics at a ref",
	.help = "Tables are topics at REF (main): FROM orders; at another: FROM \"main~1:orders\"; "
		"any\nfolder or file: FROM \"reference/cities\". DESCRIBE orders shows its "
		"columns. History:\nlake$commits, lake$checkpoints, lake$offsets, lake$publishes, "
		"lake$files,\nlake$deadletters.\n\n"
		"The format is a table on a terminal, else CSV; --json means jsonl. --memory "
		"1GiB,\n"
		"--timeout 30s and --threads N bound it; Ctrl-C ends it. Nothing is written but "
		"FILE.\n- reads the query from standard input. docs/sql.md says more.\n",
	.access = LAKE_READ,
	.run = run_sql,
};
