/* merge, revert, reset: moving branches on and back. */
#include <stdio.h>
#include <string.h>

#include "connector/cli/command.h"
#include "core/base/buf.h"

/* ---- merge ---- */

struct merge {
	const char *source;
	struct lake_merge wish;
	struct lake_conflicts *conflicts;
};

static enum status prepare_merge(void *ctx, struct lake *lake, const struct lake_id *head,
				 struct lake_id *out, struct err *err)
{
	struct merge *m = ctx;
	enum status st = lake_resolve(lake, m->source, &m->wish.source, err);

	m->wish.dest = *head;
	return st == ST_OK ? lake_merge_prepare(lake, &m->wish, out, m->conflicts, err) : st;
}

static enum status strategy_of(const char *text, enum lake_strategy *out, struct err *err)
{
	if (!text)
		*out = LAKE_NO_STRATEGY;
	else if (strcmp(text, "ours") == 0)
		*out = LAKE_OURS;
	else if (strcmp(text, "theirs") == 0)
		*out = LAKE_THEIRS;
	else
		return err_set(err, ST_USAGE,
			       "--strategy is 'ours' (the destination wins) or 'theirs', not '%s'",
			       text);
	return ST_OK;
}

static enum status merge(struct cli *cli, struct merge *m, const char *dest, struct err *err)
{
	AUTO(freep) char *reason = xasprintf("merge of %s", m->source);
	AUTO(lake_conflicts_release) struct lake_conflicts conflicts = {.paths = NULL};
	struct lake *lake;
	struct lake_id id;
	enum status st = cli_lake(cli, &lake, err);

	m->conflicts = &conflicts;
	if (st == ST_OK)
		st = cli_advance(lake, dest, reason, prepare_merge, m, &id, err);
	if (st == ST_CONFLICT)
		cli_print_conflicts(cli, &conflicts);
	if (st == ST_OK)
		cli_print_commit(cli, "merged", &id);
	return st;
}

static enum status run_merge(struct cli *cli, int n, char **args, struct err *err)
{
	AUTO(cli_args_release) struct cli_args a = {.n = 0};
	AUTO(freep) char *message = NULL;
	const char *strategy = NULL;
	struct merge m = {.source = NULL};
	const struct cli_option options[] = {
		{"message", 'm', CLI_TEXT, &m.wish.message},
		{"strategy", 0, CLI_TEXT, &strategy},
	};
	enum status st = cli_parse(cli, n, args, options, ARRAY_SIZE(options), 2, 2, &a, err);

	if (st == ST_OK)
		st = strategy_of(strategy, &m.wish.strategy, err);
	if (st != ST_OK)
		return st;
	m.source = a.items[0];
	if (!m.wish.message)
		m.wish.message = message = xasprintf("Merge %s into %s", a.items[0], a.items[1]);
	return merge(cli, &m, a.items[1], err);
}

/* ---- revert ---- */

struct revert {
	struct lake_id *commits;
	size_t n;
	const char *message;
	struct lake_conflicts *conflicts;
};

static enum status prepare_revert(void *ctx, struct lake *lake, const struct lake_id *head,
				  struct lake_id *out, struct err *err)
{
	struct revert *r = ctx;

	return lake_revert_prepare(lake, head, r->commits, r->n, r->message, out, r->conflicts,
				   err);
}

/* "Revert <id> (its message)", one line for each. */
static enum status revert_message(struct lake *lake, const struct revert *r, struct buf *out,
				  struct err *err)
{
	for (size_t i = 0; i < r->n; i++) {
		AUTO(lake_commit_release) struct lake_commit c = {.n_parents = 0};
		char hex[LAKE_ID_SHORT_BYTES];
		enum status st = lake_commit_read(lake, &r->commits[i], &c, err);

		if (st != ST_OK)
			return st;
		lake_id_short(&c.id, hex);
		buf_addf(out, "%sRevert %s (%.*s)", i ? "\n" : "", hex,
			 (int)strcspn(c.message, "\n"), c.message);
	}
	return ST_OK;
}

static enum status run_revert(struct cli *cli, int n, char **args, struct err *err)
{
	AUTO(cli_args_release) struct cli_args a = {.n = 0};
	AUTO(freep) struct lake_id *ids = xcalloc((size_t)n + 1, sizeof(*ids));
	AUTO(buf_release) struct buf message = BUF_INIT;
	AUTO(lake_conflicts_release) struct lake_conflicts conflicts = {.paths = NULL};
	struct revert r = {.commits = ids, .conflicts = &conflicts};
	const struct cli_option options[] = {{"message", 'm', CLI_TEXT, &r.message}};
	struct lake *lake;
	struct lake_id id;
	enum status st =
		cli_parse(cli, n, args, options, ARRAY_SIZE(options), 2, SIZE_MAX, &a, err);

	for (size_t i = 1; st == ST_OK && i < a.n; i++)
		st = cli_resolve(cli, a.items[i], &lake, &ids[r.n++], err);
	if (st == ST_OK && !r.message) {
		st = revert_message(lake, &r, &message, err);
		r.message = buf_str(&message);
	}
	if (st == ST_OK)
		st = cli_advance(lake, a.items[0], "revert", prepare_revert, &r, &id, err);
	if (st == ST_CONFLICT)
		cli_print_conflicts(cli, &conflicts);
	if (st == ST_OK)
		cli_print_commit(cli, "reverted in", &id);
	return st;
}

/* ---- reset ---- */

static enum status run_reset(struct cli *cli, int n, char **args, struct err *err)
{
	AUTO(cli_args_release) struct cli_args a = {.n = 0};
	const char *to = NULL;
	const struct cli_option options[] = {{"to", 0, CLI_TEXT, &to}};
	struct lake *lake;
	struct lake_id id;
	enum status st = cli_parse(cli, n, args, options, ARRAY_SIZE(options), 1, 1, &a, err);

	if (st == ST_OK && !to)
		st = err_set(err, ST_USAGE, "reset: say where with --to REF");
	if (st == ST_OK)
		st = cli_resolve(cli, to, &lake, &id, err);
	if (st == ST_OK)
		st = lake_branch_reset(lake, a.items[0], &id, err);
	if (st == ST_OK)
		cli_print_commit(cli, "reset to", &id);
	return st;
}

const struct command command_merge = {
	.name = "merge",
	.usage = "SOURCE DEST [-m TEXT] [--strategy ours|theirs]",
	.summary = "merges a ref into a branch, three-way",
	.help = "Conflicts are listed, and nothing moves (exit code 4). --strategy ours lets the\n"
		"destination win in a conflict, theirs the source.\n",
	.run = run_merge,
};

const struct command command_revert = {
	.name = "revert",
	.usage = "BRANCH COMMIT... [-m TEXT]",
	.summary = "undoes commits of a branch by a new commit",
	.help = "Several commits revert in one atomic step, in the order given. A merge is undone\n"
		"against its first parent.\n",
	.run = run_revert,
};

const struct command command_reset = {
	.name = "reset",
	.usage = "BRANCH --to REF",
	.summary = "moves a branch to another commit",
	.help = "Refused on protected branches; a connector's go back by `rollback`. The reflog "
		"keeps\n"
		"where it was.\n",
	.run = run_reset,
};
