/* export: objects at a ref as plain files. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "connector/cli/command.h"
#include "connector/worker/export_folder.h"
#include "core/base/file.h"

struct export
{
	struct lake *lake;
	struct lake_id id;
	const char *dir;
	size_t skip; /* bytes of each path that are left out */
	uint64_t files;
	uint64_t bytes;
	char *folder; /* of the file before, so that it is made once */
};

/* Nothing that is there is touched: dir is absent or empty. */
static enum status check_empty(const char *dir, struct err *err)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	enum status st = ST_OK;

	if (!d && errno == ENOENT)
		return dir_create_all(dir, err);
	if (!d)
		return err_errno(err, errno, "cannot open the folder %s", dir);
	while (st == ST_OK && (entry = readdir(d)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			st = err_set(err, ST_EXISTS,
				     "%s is not empty; export to a folder that is, or is absent",
				     dir);
	closedir(d);
	return st;
}

static enum status make_folder(struct export *x, const char *target, struct err *err)
{
	AUTO(freep) char *folder = xstrndup(target, (size_t)(strrchr(target, '/') - target));
	enum status st;

	if (x->folder && strcmp(x->folder, folder) == 0)
		return ST_OK;
	st = dir_create_all(folder, err);
	if (st != ST_OK)
		return st;
	freep(&x->folder);
	x->folder = MOVE(folder);
	return ST_OK;
}

static enum status export_one(struct export *x, const char *path, struct err *err)
{
	AUTO(freep) char *target = xasprintf("%s/%s", x->dir, path + x->skip);
	uint64_t bytes = 0;
	enum status st = make_folder(x, target, err);

	if (st == ST_OK)
		st = export_object(x->lake, &x->id, path, target, 0666, &bytes, err);
	if (st != ST_OK)
		return st;
	x->files++;
	x->bytes += bytes;
	return ST_OK;
}

static enum status export_all(struct export *x, const char *prefix, struct err *err)
{
	AUTO(lake_list_closep) struct lake_list *list = NULL;
	enum status st = lake_list_open(x->lake, &x->id, prefix, &list, err);

	while (st == ST_OK) {
		struct lake_entry e;

		st = lake_list_next(list, &e, err);
		if (st != ST_OK)
			break;
		st = export_one(x, e.path, err);
		lake_entry_release(&e);
	}
	return st == ST_END ? ST_OK : st;
}

static enum status run(struct cli *cli, int n, char **args, struct err *err)
{
	AUTO(cli_args_release) struct cli_args a = {.n = 0};
	AUTO(freep) char *ref = NULL;
	AUTO(freep) char *path = NULL;
	AUTO(freep) char *prefix = NULL;
	struct export x = {.files = 0};
	const char *slash;
	enum status st = cli_parse(cli, n, args, NULL, 0, 2, 2, &a, err);

	if (st == ST_OK)
		st = cli_split(a.items[0], false, &ref, &path, err);
	if (st == ST_OK)
		st = cli_resolve(cli, ref, &x.lake, &x.id, err);
	if (st == ST_OK)
		st = cli_folder(x.lake, &x.id, path, &prefix, err);
	if (st == ST_OK)
		st = check_empty(a.items[1], err);
	if (st != ST_OK)
		return st;
	slash = strrchr(prefix, '/');
	x.skip = slash ? (size_t)(slash + 1 - prefix) : 0;
	x.dir = a.items[1];
	st = export_all(&x, prefix, err);
	freep(&x.folder);
	if (st != ST_OK)
		return st;
	if (cli->json)
		cli_json_line(json_pack("{s:I,s:I}", "files", (json_int_t)x.files, "bytes",
					(json_int_t)x.bytes));
	else
		printf("exported %" PRIu64 " files (%" PRIu64 " bytes) to %s\n", x.files, x.bytes,
		       x.dir);
	return ST_OK;
}

const struct command command_export = {
	.name = "export",
	.usage = "REF[:PREFIX] DIR",
	.summary = "writes objects to a plain folder",
	.help = "DIR must be absent or empty. Paths are kept below PREFIX's folder. The data are\n"
		"shared with the lake where the file system can do that.\n",
	.access = LAKE_READ,
	.run = run,
};
