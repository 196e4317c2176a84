/* put, rm, changes, commit, discard: staged changes of a branch. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "connector/cli/command.h"
#include "connector/schema/utf8.h"

/* ---- put ---- */

/* All of fd into the upload. */
static enum status upload_fd(struct lake_upload *up, int fd, const char *name, struct err *err)
{
	for (;;) {
		void *room = NULL;
		size_t len = 0;
		ssize_t n;
		enum status st = lake_upload_reserve(up, 1, &room, &len, err);

		if (st != ST_OK)
			return st;
		n = read(fd, room, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, errno, "cannot read %s", name);
		if (n == 0)
			return lake_upload_finish(up, err);
		lake_upload_advance(up, (size_t)n);
	}
}

static enum status put(struct cli *cli, const char *branch, const char *path, const char *file,
		       const char *type, const struct lake_meta *meta, struct err *err)
{
	bool is_stdin = strcmp(file, "-") == 0;
	AUTO(closep) int fd = is_stdin ? dup(STDIN_FILENO) : open(file, O_RDONLY | O_CLOEXEC);
	AUTO(lake_upload_freep) struct lake_upload *up = NULL;
	struct lake *lake;
	struct lake_id head;
	uint64_t size;
	enum status st = ST_OK;

	if (fd < 0)
		return err_errno(err, errno, "cannot open %s", file);
	st = cli_lake(cli, &lake, err);
	if (st == ST_OK)
		st = lake_path_check(path, err);
	if (st == ST_OK)
		st = lake_ref_get(lake, LAKE_BRANCH, branch, &head, err);
	if (st == ST_OK)
		st = lake_upload_open(lake, &up, err);
	if (st == ST_OK)
		st = upload_fd(up, fd, file, err);
	if (st != ST_OK)
		return st;
	size = lake_upload_size(up);
	st = lake_stage_put(lake, branch, path, up, type, meta, err);
	if (st != ST_OK)
		return st;
	(void)MOVE(up);
	if (cli->json)
		cli_json_line(
			json_pack("{s:o,s:I}", "path", utf8_json(path), "size", (json_int_t)size));
	else
		printf("staged %s (%" PRIu64 " bytes) on %s\n", path, size, branch);
	return ST_OK;
}

static enum status run_put(struct cli *cli, int n, char **args, struct err *err)
{
	AUTO(cli_args_release) struct cli_args a = {.n = 0};
	AUTO(cli_list_release) struct cli_list pairs = {.n = 0};
	AUTO(lake_meta_release) struct lake_meta meta = LAKE_META_INIT;
	AUTO(freep) char *branch = NULL;
	AUTO(freep) char *path = NULL;
	const char *type = NULL;
	const struct cli_option options[] = {
		{"content-type", 0, CLI_TEXT, &type},
		{"meta", 0, CLI_LIST, &pairs},
	};
	enum status st = cli_parse(cli, n, args, options, ARRAY_SIZE(options), 2, 2, &a, err);

	if (st == ST_OK)
		st = cli_meta(&pairs, &meta, err);
	if (st == ST_OK)
		st = cli_split(a.items[0], true, &branch, &path, err);
	return st == ST_OK ? put(cli, branch, path, a.items[1], type, &meta, err) : st;
}

/* ---- rm ---- */

static enum status run_rm(struct cli *cli, int n, char **args, struct err *err)
{
	AUTO(cli_args_release) struct cli_args a = {.n = 0};
	AUTO(freep) char *branch = NULL;
	AUTO(freep) char *path = NULL;
	struct lake *lake;
	enum status st = cli_parse(cli, n, args, NULL, 0, 1, 1, &a, err);

	if (st == ST_OK)
		st = cli_split(a.items[0], true, &branch, &path, err);
	if (st == ST_OK)
		st = cli_lake(cli, &lake, err);
	if (st == ST_OK)
		st = lake_stage_remove(lake, branch, path, err);
	if (st != ST_OK)
		return st;
	if (cli->json)
		cli_json_line(json_pack("{s:o}", "path", utf8_json(path)));
	else
		printf("removed %s on %s, staged\n", path, branch);
	return ST_OK;
}

/* ---- changes, commit, discard ---- */

/* Parses the one argument BRANCH and opens the lake. */
static enum status one_branch(struct cli *cli, int n, char **args, const char **branch,
			      struct lake **lake, struct err *err)
{
	AUTO(cli_args_release) struct cli_args a = {.n = 0};
	enum status st = cli_parse(cli, n, args, NULL, 0, 1, 1, &a, err);

	if (st == ST_OK)
		*branch = a.items[0];
	return st == ST_OK ? cli_lake(cli, lake, err) : st;
}

static enum status run_changes(struct cli *cli, int n, char **args, struct err *err)
{
	AUTO(lake_changes_release) struct lake_changes changes = {.items = NULL};
	const char *branch = NULL;
	struct lake *lake;
	enum status st = one_branch(cli, n, args, &branch, &lake, err);

	if (st == ST_OK)
		st = lake_stage_changes(lake, branch, &changes, err);
	for (size_t i = 0; st == ST_OK && i < changes.n; i++)
		cli_print_change(cli, changes.items[i].change, changes.items[i].path);
	return st;
}

static enum status run_commit(struct cli *cli, int n, char **args, struct err *err)
{
	AUTO(cli_args_release) struct cli_args a = {.n = 0};
	AUTO(cli_list_release) struct cli_list pairs = {.n = 0};
	AUTO(lake_meta_release) struct lake_meta meta = LAKE_META_INIT;
	const char *message = NULL;
	const struct cli_option options[] = {
		{"message", 'm', CLI_TEXT, &message},
		{"meta", 0, CLI_LIST, &pairs},
	};
	struct lake *lake;
	struct lake_id id;
	enum status st = cli_parse(cli, n, args, options, ARRAY_SIZE(options), 1, 1, &a, err);

	if (st == ST_OK && !message)
		st = err_set(err, ST_USAGE, "commit: say what it is with -m TEXT");
	if (st == ST_OK)
		st = cli_meta(&pairs, &meta, err);
	if (st == ST_OK)
		st = cli_lake(cli, &lake, err);
	if (st == ST_OK)
		st = lake_stage_commit(lake, a.items[0], message, &meta, &id, err);
	if (st == ST_OK)
		cli_print_commit(cli, "committed", &id);
	return st;
}

static enum status run_discard(struct cli *cli, int n, char **args, struct err *err)
{
	const char *branch = NULL;
	struct lake *lake;
	enum status st = one_branch(cli, n, args, &branch, &lake, err);

	if (st == ST_OK)
		st = lake_stage_discard(lake, branch, err);
	if (st == ST_OK && !cli->json)
		printf("discarded what was staged on %s\n", branch);
	return st;
}

const struct command command_put = {
	.name = "put",
	.usage = "BRANCH:PATH FILE|- [--content-type TYPE] [--meta K=V]...",
	.summary = "stages an object on a branch",
	.help = "`-` reads standard input. Nothing is visible at the branch until `commit`.\n",
	.run = run_put,
};

const struct command command_rm = {
	.name = "rm",
	.usage = "BRANCH:PATH",
	.summary = "stages the removal of an object",
	.help = "",
	.run = run_rm,
};

const struct command command_changes = {
	.name = "changes",
	.usage = "BRANCH",
	.summary = "shows what is staged on a branch",
	.help = "A added, M changed, D removed.\n",
	.access = LAKE_READ,
	.run = run_changes,
};

const struct command command_commit = {
	.name = "commit",
	.usage = "BRANCH -m TEXT [--meta K=V]...",
	.summary = "commits what is staged on a branch",
	.help = "",
	.run = run_commit,
};

const struct command command_discard = {
	.name = "discard",
	.usage = "BRANCH",
	.summary = "drops what is staged on a branch",
	.help = "",
	.run = run_discard,
};
