/* branch, tag: list, create, delete. */
#include <stdio.h>

#include "connector/cli/command.h"

static const char *kind_name(enum lake_ref_kind kind)
{
	return kind == LAKE_BRANCH ? "branch" : "tag";
}

static void print_ref(const struct cli *cli, const char *name, const struct lake_id *id)
{
	char hex[LAKE_ID_SHORT_BYTES];

	lake_id_short(id, hex);
	if (cli->json)
		cli_json_line(json_pack("{s:s,s:o}", "name", name, "commit", cli_json_id(id)));
	else
		printf("%s  %s\n", hex, name);
}

static enum status list(struct cli *cli, enum lake_ref_kind kind, struct err *err)
{
	AUTO(lake_refs_release) struct lake_refs refs = {.items = NULL};
	struct lake *lake;
	enum status st;

	cli->access = LAKE_READ;
	st = cli_lake(cli, &lake, err);
	if (st == ST_OK)
		st = lake_refs_list(lake, kind, &refs, err);
	for (size_t i = 0; st == ST_OK && i < refs.n; i++)
		print_ref(cli, refs.items[i].name, &refs.items[i].id);
	return st;
}

static enum status create(struct cli *cli, enum lake_ref_kind kind, const char *name,
			  const char *start, struct err *err)
{
	AUTO(freep) char *reason = xasprintf("created from %s", start);
	struct lake_move move = {.kind = kind, .name = name};
	struct lake *lake;
	struct lake_id at;
	enum status st = lake_ref_name_check(kind, name, err);

	if (st == ST_OK)
		st = cli_resolve(cli, start, &lake, &move.to, err);
	if (st != ST_OK)
		return st;
	st = lake_ref_get(lake, kind, name, &at, err);
	if (st == ST_OK)
		return err_set(err, ST_EXISTS, "the %s '%s' exists already; choose another name",
			       kind_name(kind), name);
	if (st == ST_NOT_FOUND)
		st = lake_refs_move(lake, &move, 1, reason, err);
	if (st == ST_OK)
		print_ref(cli, name, &move.to);
	return st;
}

static enum status delete (struct cli *cli, enum lake_ref_kind kind, const char *name,
			   struct err *err) {
	AUTO(freep) char *by = NULL; struct lake_move move = {.kind = kind, .name = name};
	bool is_protected = false;
	struct lake * lake;
	enum status st = cli_lake(cli, &lake, err);

	if (st == ST_OK) st = lake_ref_get(lake, kind, name, &move.expected, err);
	if (st == ST_OK && kind == LAKE_BRANCH)
		st = lake_branch_protection(lake, name, &is_protected, &by, err);
	if (st != ST_OK) return st;
	if (is_protected && by &&
	    by[0]) return err_set(err, ST_PROTECTED,
				  "branch '%s' belongs to the connector '%s' and is not deleted",
				  name, by);
	if (is_protected) return err_set(err, ST_PROTECTED,
					 "branch '%s' is protected and is not deleted", name);
	st = lake_refs_move(lake, &move, 1, "deleted", err);
	if (st == ST_OK) print_ref(cli, name, &move.expected);
	return st;
}

static enum status run_kind(struct cli *cli, enum lake_ref_kind kind, int n, char **args,
			    struct err *err)
{
	AUTO(cli_args_release) struct cli_args a = {.n = 0};
	bool del = false;
	const struct cli_option options[] = {{"delete", 'd', CLI_FLAG, &del}};
	enum status st = cli_parse(cli, n, args, options, ARRAY_SIZE(options), 0, 2, &a, err);

	if (st != ST_OK)
		return st;
	if (del && a.n != 1)
		return err_set(err, ST_USAGE, "%s -d takes one name", kind_name(kind));
	if (del)
		return delete (cli, kind, a.items[0], err);
	if (a.n == 0)
		return list(cli, kind, err);
	return create(cli, kind, a.items[0], a.n == 2 ? a.items[1] : "main", err);
}

static enum status run_branch(struct cli *cli, int n, char **args, struct err *err)
{
	return run_kind(cli, LAKE_BRANCH, n, args, err);
}

static enum status run_tag(struct cli *cli, int n, char **args, struct err *err)
{
	return run_kind(cli, LAKE_TAG, n, args, err);
}

const struct command command_branch = {
	.name = "branch",
	.usage = "[NAME [START]] | -d NAME",
	.summary = "lists, creates and deletes branches",
	.help = "START defaults to main. -d deletes a branch, with its staged changes.\n",
	.run = run_branch,
};

const struct command command_tag = {
	.name = "tag",
	.usage = "[NAME [START]] | -d NAME",
	.summary = "lists, creates and deletes tags",
	.help = "START defaults to main.\n",
	.run = run_tag,
};
