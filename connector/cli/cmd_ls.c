/* ls, stat, cat: objects at a ref. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "connector/cli/command.h"
#include "core/base/buf.h"

static json_t *entry_json(const struct lake_entry *e)
{
	return json_pack("{s:o,s:I,s:s,s:o}", "path", cli_json_text(e->path), "size",
			 (json_int_t)e->size, "checksum", e->checksum, "content_type",
			 cli_json_text(e->content_type));
}

static void print_entry(const struct cli *cli, const struct lake_entry *e)
{
	if (cli->json)
		cli_json_line(entry_json(e));
	else
		printf("%12" PRIu64 "  %s\n", e->size, e->path);
}

static void print_folder(const struct cli *cli, const char *path)
{
	if (cli->json)
		cli_json_line(json_pack("{s:o,s:b}", "path", cli_json_text(path), "folder", 1));
	else
		printf("%12s  %s\n", "-", path);
}

/* Shows the folder that path lies in, below the prefix, and steps over it. */
static enum status skip_folder(struct cli *cli, struct lake_list *list, const char *path,
			       size_t prefix_len, struct err *err)
{
	size_t len = prefix_len + strcspn(path + prefix_len, "/") + 1;
	AUTO(freep) char *folder = xstrndup(path, len);

	print_folder(cli, folder);
	folder[len - 1] = '/' + 1; /* behind everything in it */
	return lake_list_seek(list, folder, err);
}

static enum status list_prefix(struct cli *cli, struct lake *lake, const struct lake_id *id,
			       const char *prefix, bool recursive, struct err *err)
{
	AUTO(lake_list_closep) struct lake_list *list = NULL;
	size_t len = strlen(prefix);
	enum status st = lake_list_open(lake, id, prefix, &list, err);

	while (st == ST_OK) {
		struct lake_entry e;

		st = lake_list_next(list, &e, err);
		if (st != ST_OK)
			break;
		if (recursive || !strchr(e.path + len, '/'))
			print_entry(cli, &e);
		else
			st = skip_folder(cli, list, e.path, len, err);
		lake_entry_release(&e);
	}
	return st == ST_END ? ST_OK : st;
}

static enum status run_ls(struct cli *cli, int n, char **args, struct err *err)
{
	AUTO(cli_args_release) struct cli_args a = {.n = 0};
	AUTO(freep) char *ref = NULL;
	AUTO(freep) char *path = NULL;
	AUTO(freep) char *prefix = NULL;
	bool recursive = false;
	const struct cli_option options[] = {{"recursive", 'r', CLI_FLAG, &recursive}};
	struct lake *lake;
	struct lake_id id;
	enum status st = cli_parse(cli, n, args, options, ARRAY_SIZE(options), 1, 1, &a, err);

	if (st == ST_OK)
		st = cli_split(a.items[0], false, &ref, &path, err);
	if (st == ST_OK)
		st = cli_resolve(cli, ref, &lake, &id, err);
	if (st == ST_OK)
		st = cli_folder(lake, &id, path, &prefix, err);
	return st == ST_OK ? list_prefix(cli, lake, &id, prefix, recursive, err) : st;
}

/* ---- stat ---- */

static void print_stat(const struct cli *cli, const struct lake_entry *e)
{
	if (cli->json) {
		json_t *object = entry_json(e);

		json_object_set_new(object, "metadata", cli_json_meta(&e->meta));
		cli_json_line(object);
		return;
	}
	printf("path          %s\nsize          %" PRIu64 "\nchecksum      %s\ncontent type  ",
	       e->path, e->size, e->checksum);
	cli_print_text(e->content_type[0] ? e->content_type : "-", true);
	putchar('\n');
	for (size_t i = 0; i < e->meta.n; i++) {
		cli_print_text(e->meta.items[i].key, true);
		printf(" = ");
		cli_print_text(e->meta.items[i].value, true);
		putchar('\n');
	}
}

/* Parses the one argument REF:PATH and resolves its ref. */
static enum status one_object(struct cli *cli, int n, char **args, struct lake **lake,
			      struct lake_id *id, char **path, struct err *err)
{
	AUTO(cli_args_release) struct cli_args a = {.n = 0};
	AUTO(freep) char *ref = NULL;
	enum status st = cli_parse(cli, n, args, NULL, 0, 1, 1, &a, err);

	if (st == ST_OK)
		st = cli_split(a.items[0], true, &ref, path, err);
	return st == ST_OK ? cli_resolve(cli, ref, lake, id, err) : st;
}

static enum status run_stat(struct cli *cli, int n, char **args, struct err *err)
{
	AUTO(freep) char *path = NULL;
	struct lake_entry e;
	struct lake *lake;
	struct lake_id id;
	enum status st = one_object(cli, n, args, &lake, &id, &path, err);

	if (st == ST_OK)
		st = lake_stat(lake, &id, path, &e, err);
	if (st != ST_OK)
		return st;
	print_stat(cli, &e);
	lake_entry_release(&e);
	return ST_OK;
}

/* ---- cat ---- */

static enum status run_cat(struct cli *cli, int n, char **args, struct err *err)
{
	enum { STEP = 256 << 10 };
	AUTO(freep) char *path = NULL;
	AUTO(freep) char *data = xmalloc(STEP);
	AUTO(lake_object_closep) struct lake_object *object = NULL;
	uint64_t offset = 0;
	struct lake *lake;
	struct lake_id id;
	enum status st = one_object(cli, n, args, &lake, &id, &path, err);

	if (st == ST_OK)
		st = lake_object_open(lake, &id, path, &object, err);
	/* Read, not copied in the kernel: so its checksum is looked at. */
	while (st == ST_OK && offset < lake_object_size(object)) {
		size_t got = 0;

		st = lake_object_read(object, offset, data, STEP, &got, err);
		if (st == ST_OK && fwrite(data, 1, got, stdout) != got)
			return cli_flush(err);
		offset += got;
	}
	return st;
}

const struct command command_ls = {
	.name = "ls",
	.usage = "REF[:PREFIX] [-r]",
	.summary = "lists objects, and folders once",
	.help = "PREFIX is a folder, or the beginning of paths. -r lists everything below.\n",
	.run = run_ls,
};

const struct command command_stat = {
	.name = "stat",
	.usage = "REF:PATH",
	.summary = "shows an object's size, checksum and metadata",
	.help = "",
	.run = run_stat,
};

const struct command command_cat = {
	.name = "cat",
	.usage = "REF:PATH",
	.summary = "prints an object",
	.help = "",
	.run = run_cat,
};
