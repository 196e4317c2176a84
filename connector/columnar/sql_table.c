#include "connector/columnar/sql_table.h"

#include <stdlib.h>
#include <string.h>

struct sql_table {
	struct sql_workspace *workspace;
	const char *name;
	json_t *groups;
};

/* How the files of one kind are read: what a group says of itself. */
static const struct {
	const char *end;
	const char *format; /* NULL: it has no columns */
	const char *compression;
} kinds[] = {
	{".parquet", "parquet", NULL}, {".jsonl", "json", "uncompressed"},
	{".jsonl.gz", "json", "gzip"}, {".jsonl.zst", "json", "zstd"},
	{".bin", NULL, NULL},          {".bin.gz", NULL, NULL},
	{".bin.zst", NULL, NULL},
};

struct sql_table *sql_table_new(struct sql_workspace *workspace, const char *name)
{
	struct sql_table *t = xcalloc(1, sizeof(*t));

	t->workspace = workspace;
	t->name = name;
	t->groups = json_array();
	return t;
}

void sql_table_free(struct sql_table *t)
{
	if (!t)
		return;
	json_decref(t->groups);
	free(t);
}

static bool ends(const char *text, const char *with)
{
	size_t n = strlen(text), m = strlen(with);

	return n >= m && strcmp(text + n - m, with) == 0;
}

/* Adds to the group that is `like`, which is taken over. */
static void add_to(struct sql_table *t, json_t *like, const char *path)
{
	json_t *group = NULL, *each;
	size_t i;

	json_array_foreach(t->groups, i, each)
	{
		json_t *files = json_incref(json_object_get(each, "files"));

		json_object_del(each, "files");
		if (!group && json_equal(each, like))
			group = each;
		json_object_set_new(each, "files", files);
	}
	if (!group) {
		group = json_incref(like);
		json_object_set_new(group, "files", json_array());
		json_array_append_new(t->groups, group);
	}
	json_array_append_new(json_object_get(group, "files"), json_string(path));
	json_decref(like);
}

/* What a folder may hold besides data, as engines that read folders have it. */
static bool is_hidden(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;

	return *name == '_' || *name == '.';
}

enum status sql_table_add(struct sql_table *t, struct lake *lake, const struct lake_id *commit,
			  const struct lake_entry *entry, struct err *err)
{
	const char *local = NULL;
	enum status st;

	if (is_hidden(entry->path))
		return ST_OK;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		json_t *like;

		if (!ends(entry->path, kinds[i].end))
			continue;
		if (!kinds[i].format)
			return err_set(
				err, ST_USAGE,
				"table '%s': '%s' has records of format=bytes, which have no "
				"columns",
				t->name, entry->path);
		st = sql_workspace_file(t->workspace, lake, commit, entry->path, &local, err);
		if (st != ST_OK)
			return st;
		like = json_pack("{s:s}", "format", kinds[i].format);
		if (kinds[i].compression)
			json_object_set_new(like, "compression", json_string(kinds[i].compression));
		add_to(t, like, local);
		return ST_OK;
	}
	return err_set(err, ST_USAGE,
		       "table '%s': '%s' is no file that SQL can read: .parquet, "
		       ".jsonl, .jsonl.gz, .jsonl.zst",
		       t->name, entry->path);
}

enum status sql_table_add_folder(struct sql_table *t, struct lake *lake,
				 const struct lake_id *commit, const char *prefix, struct err *err)
{
	AUTO(lake_list_closep) struct lake_list *list = NULL;
	enum status st = sql_workspace_hold(t->workspace, lake, commit, err);
	bool any = false;

	if (st == ST_OK)
		st = lake_list_open(lake, commit, prefix, &list, err);
	while (st == ST_OK) {
		AUTO(lake_entry_release) struct lake_entry entry = {.path = NULL};

		st = lake_list_next(list, &entry, err);
		if (st != ST_OK)
			break;
		any = true;
		st = sql_table_add(t, lake, commit, &entry, err);
	}
	if (st == ST_END)
		st = any ? ST_OK : err_set(err, ST_NOT_FOUND, "nothing is under '%s'", prefix);
	return st;
}

enum status sql_table_add_rows(struct sql_table *t, const char *const *columns,
			       const char *const *types, size_t n, const struct buf *lines,
			       struct err *err)
{
	json_t *list = json_array();
	const char *path = NULL;
	enum status st =
		sql_workspace_put(t->workspace, t->name, buf_str(lines), lines->len, &path, err);

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_pack("[s,s]", columns[i], types[i]));
	if (st == ST_OK)
		add_to(t, json_pack("{s:s,s:O}", "format", "rows", "columns", list), path);
	json_decref(list);
	return st;
}

json_t *sql_table_describe(const struct sql_table *t)
{
	return json_pack("{s:O}", "groups", t->groups);
}
