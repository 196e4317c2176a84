/* merge, revert, cherry-pick, reset: moving branches on and back. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
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
	struct lake_revert wish;
	struct lake_conflicts *conflicts;
};

static enum status prepare_revert(void *ctx, struct lake *lake, const struct lake_id *head,
				  struct lake_id *out, struct err *err)
{
	struct revert *r = ctx;

	return lake_revert_prepare(lake, head, &r->wish, out, r->conflicts, err);
}

/* --parent N; 0: not given. */
static enum status parent_of(const char *text, unsigned *out, struct err *err)
{
	char *end = NULL;
	unsigned long n = text ? strtoul(text, &end, 10) : 0;

	if (text && (text[0] < '1' || text[0] > '9' || *end || n > UINT_MAX))
		return err_set(err, ST_USAGE,
			       "--parent is a merge's parent, counted from 1, "
			       "not '%s'",
			       text);
	*out = (unsigned)n;
	return ST_OK;
}

/* "Revert <id> (its message)", one line for each. */
static enum status revert_message(struct lake *lake, const struct revert *r, struct buf *out,
				  struct err *err)
{
	for (size_t i = 0; i < r->wish.n; i++) {
		AUTO(lake_commit_release) struct lake_commit c = {.n_parents = 0};
		char hex[LAKE_ID_SHORT_BYTES];
		enum status st = lake_commit_read(lake, &r->wish.commits[i], &c, err);

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
	struct revert r = {.wish.commits = ids, .conflicts = &conflicts};
	const char *parent = NULL;
	const struct cli_option options[] = {
		{"message", 'm', CLI_TEXT, &r.wish.message},
		{"parent", 0, CLI_TEXT, &parent},
	};
	struct lake *lake;
	struct lake_id id;
	enum status st =
		cli_parse(cli, n, args, options, ARRAY_SIZE(options), 2, SIZE_MAX, &a, err);

	if (st == ST_OK)
		st = parent_of(parent, &r.wish.parent, err);
	for (size_t i = 1; st == ST_OK && i < a.n; i++)
		st = cli_resolve(cli, a.items[i], &lake, &ids[r.wish.n++], err);
	if (st == ST_OK && !r.wish.message) {
		st = revert_message(lake, &r, &message, err);
		r.wish.message = buf_str(&message);
	}
	if (st == ST_OK)
		st = cli_advance(lake, a.items[0], "revert", prepare_revert, &r, &id, err);
	if (st == ST_CONFLICT)
		cli_print_conflicts(cli, &conflicts);
	if (st == ST_OK)
		cli_print_commit(cli, "reverted in", &id);
	return st;
}

/* ---- cherry-pick ---- */

struct pick {
	struct lake_id commit;
	unsigned parent;
	struct lake_conflicts *conflicts;
};

static enum status prepare_pick(void *ctx, struct lake *lake, const struct lake_id *head,
				struct lake_id *out, struct err *err)
{
	struct pick *p = ctx;

	return lake_cherry_pick_prepare(lake, head, &p->commit, p->parent, out, p->conflicts, err);
}

static enum status run_cherry_pick(struct cli *cli, int n, char **args, struct err *err)
{
	AUTO(cli_args_release) struct cli_args a = {.n = 0};
	AUTO(lake_conflicts_release) struct lake_conflicts conflicts = {.paths = NULL};
	struct pick p = {.conflicts = &conflicts};
	const char *parent = NULL;
	const struct cli_option options[] = {{"parent", 0, CLI_TEXT, &parent}};
	struct lake *lake;
	struct lake_id id;
	enum status st = cli_parse(cli, n, args, options, ARRAY_SIZE(options), 2, 2, &a, err);

	if (st == ST_OK)
		st = parent_of(parent, &p.parent, err);
	if (st == ST_OK)
		st = cli_resolve(cli, a.items[1], &lake, &p.commit, err);
	if (st == ST_OK)
		st = cli_advance(lake, a.items[0], "cherry-pick", prepare_pick, &p, &id, err);
	if (st == ST_CONFLICT)
		cli_print_conflicts(cli, &conflicts);
	if (st == ST_OK)
		cli_print_commit(cli, "picked as", &id);
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
	.usage = "BRANCH COMMIT... [--parent N] [-m TEXT]",
	.summary = "undoes commits of a branch by a new commit",
	.help = "Several commits revert in one atomic step, in the order given. A merge is undone\n"
		"against its first parent, or the one that --parent N names, counted from 1.\n",
	.run = run_revert,
};

const struct command command_cherry_pick = {
	.name = "cherry-pick",
	.usage = "BRANCH COMMIT [--parent N]",
	.summary = "does on a branch what a commit did elsewhere, by a new commit",
	.help = "Message and metadata are the commit's, but for keys that begin with tidemark.: "
		"the\n"
		"new one is no checkpoint. Its cherry-pick-origin is the commit picked. Of a "
		"merge,\n"
		"--parent N says against which parent its changes count, from 1. Conflicts are\n"
		"listed, and nothing moves (exit code 4). Allowed on protected branches, as merge "
		"and\nrevert are.\n",
	.run = run_cherry_pick,
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
