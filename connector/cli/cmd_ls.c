/* ls, stat, cat: objects at a ref. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "connector/cli/command.h"
#include "connector/history/checkpoint.h"
#include "connector/schema/utf8.h"
#include "core/base/buf.h"

static json_t *entry_json(const struct lake_entry *e)
{
	return json_pack("{s:o,s:I,s:s,s:o}", "path", utf8_json(e->path), "size",
			 (json_int_t)e->size, "checksum", e->checksum, "content_type",
			 utf8_json(e->content_type));
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
		cli_json_line(json_pack("{s:o,s:b}", "path", utf8_json(path), "folder", 1));
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

		json_object_set_new(object, "metadata", meta_json(&e->meta));
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
static enum status one_object(struct cli *cli, int n, char **args, const struct cli_option *options,
			      size_t n_options, struct lake **lake, struct lake_id *id, char **path,
			      struct err *err)
{
	AUTO(cli_args_release) struct cli_args a = {.n = 0};
	AUTO(freep) char *ref = NULL;
	enum status st = cli_parse(cli, n, args, options, n_options, 1, 1, &a, err);

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
	enum status st = one_object(cli, n, args, NULL, 0, &lake, &id, &path, err);

	if (st == ST_OK)
		st = lake_stat(lake, &id, path, &e, err);
	if (st != ST_OK)
		return st;
	print_stat(cli, &e);
	lake_entry_release(&e);
	return ST_OK;
}

/* ---- cat ---- */

/* Read, not copied in the kernel: so its checksum is looked at where all of the
 * object is read. */
static enum status print_object(struct lake_object *object, uint64_t offset, uint64_t length,
				struct err *err)
{
	enum { STEP = 256 << 10 };
	AUTO(freep) char *data = xmalloc(STEP);
	enum status st = ST_OK;

	while (st == ST_OK && length > 0) {
		size_t got = 0;

		st = lake_object_read(object, offset, data, length < STEP ? length : STEP, &got,
				      err);
		if (st == ST_OK && fwrite(data, 1, got, stdout) != got)
			return cli_flush(err);
		offset += got;
		length -= got;
	}
	return st;
}

static enum status run_cat(struct cli *cli, int n, char **args, struct err *err)
{
	AUTO(freep) char *path = NULL;
	AUTO(lake_object_closep) struct lake_object *object = NULL;
	uint64_t offset = 0, length = UINT64_MAX, rest;
	const struct cli_option options[] = {
		{"offset", 0, CLI_COUNT, &offset},
		{"length", 0, CLI_COUNT, &length},
	};
	struct lake *lake;
	struct lake_id id;
	enum status st =
		one_object(cli, n, args, options, ARRAY_SIZE(options), &lake, &id, &path, err);

	if (st == ST_OK)
		st = lake_object_open(lake, &id, path, &object, err);
	if (st != ST_OK)
		return st;
	if (offset > lake_object_size(object))
		return err_set(err, ST_USAGE,
			       "--offset %" PRIu64 " is behind the end of '%s': it "
			       "has %" PRIu64 " bytes",
			       offset, path, lake_object_size(object));
	rest = lake_object_size(object) - offset;
	return print_object(object, offset, length < rest ? length : rest, err);
}

const struct command command_ls = {
	.name = "ls",
	.usage = "REF[:PREFIX] [-r]",
	.summary = "lists objects, and folders once",
	.help = "PREFIX is a folder, or the beginning of paths. -r lists everything below.\n",
	.access = LAKE_READ,
	.run = run_ls,
};

const struct command command_stat = {
	.name = "stat",
	.usage = "REF:PATH",
	.summary = "shows an object's size, checksum and metadata",
	.help = "",
	.access = LAKE_READ,
	.run = run_stat,
};

const struct command command_cat = {
	.name = "cat",
	.usage = "REF:PATH [--offset N] [--length N]",
	.summary = "prints an object, or a range of it",
	.help = "A range is cut off at the object's end. Objects of 16 KiB and more are compared "
		"with\ntheir checksum only where they are printed whole.\n",
	.access = LAKE_READ,
	.run = run_cat,
};
