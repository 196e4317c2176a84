#include "connector/columnar/sql_table.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connector/columnar/sql_claims.h"
#include "connector/writer/builtin_schemas.h"
#include "connector/writer/container_reader.h"
#include "connector/writer/file_name.h"
#include "connector/writer/path_value.h"
#include "core/base/file.h"

struct group {
	char *key; /* what its files have in common */
	json_t *json; /* without files and numbers */
	json_t *files;
	json_t *folders; /* of the files, below the table's own; NULL: no name=value in any */
	json_t *claims; /* of the files; NULL: none of any */
	bool skipped; /* it is no data */
	int64_t rows; /* -1: not known */
};

/* The newest file of a partition. */
struct newest {
	struct file_name name;
	size_t group;
};

struct sql_table {
	struct sql_workspace *workspace;
	const char *name;
	size_t folder_len; /* of the table's own, at the begin of its files' paths */
	struct group *groups;
	size_t n, cap;
	struct newest *newest;
	size_t n_newest, cap_newest;
};

struct sql_table *sql_table_new(struct sql_workspace *workspace, const char *name)
{
	struct sql_table *t = xcalloc(1, sizeof(*t));

	t->workspace = workspace;
	t->name = name;
	return t;
}

void sql_table_free(struct sql_table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n; i++) {
		free(t->groups[i].key);
		json_decref(t->groups[i].json);
		json_decref(t->groups[i].files);
		json_decref(t->groups[i].folders);
		json_decref(t->groups[i].claims);
	}
	free(t->groups);
	free(t->newest);
	free(t);
}

/* ---- groups ---- */

/* Both are taken over. The group that has the key, or a new one that is described so. */
static size_t group_of(struct sql_table *t, char *key, json_t *json)
{
	for (size_t i = 0; i < t->n; i++) {
		if (strcmp(t->groups[i].key, key) != 0)
			continue;
		free(key);
		json_decref(json);
		return i;
	}
	GROW(t->groups, t->n, t->cap);
	t->groups[t->n] = (struct group){.key = key, .json = json, .files = json_array()};
	return t->n++;
}

/* Of one partition the file with the greatest generation and offset is the newest. */
static void vote(struct sql_table *t, const char *path, size_t group)
{
	struct newest file = {.group = group};

	if (!file_name_parse(path, &file.name))
		return;
	for (size_t i = 0; i < t->n_newest; i++) {
		struct newest *n = &t->newest[i];

		if (n->name.partition != file.name.partition)
			continue;
		if (file.name.generation > n->name.generation ||
		    (file.name.generation == n->name.generation &&
		     file.name.first_offset > n->name.first_offset))
			*n = file;
		return;
	}
	GROW(t->newest, t->n_newest, t->cap_newest);
	t->newest[t->n_newest++] = file;
}

/* The folder of the group's next file. Groups without any have no list of them. */
static void add_folder(const struct sql_table *t, struct group *g, const char *path)
{
	const char *from = path + (t->folder_len < strlen(path) ? t->folder_len : 0);
	const char *slash = strrchr(from, '/');
	AUTO(freep) char *folder = slash ? xstrndup(from, (size_t)(slash - from)) : xstrdup("");
	json_t *text = strchr(folder, '=') ? json_string(folder) : NULL;

	if (!g->folders && !text)
		return;
	if (!g->folders)
		g->folders = json_array();
	while (json_array_size(g->folders) + 1 < json_array_size(g->files))
		json_array_append_new(g->folders, json_string(""));
	json_array_append_new(g->folders, text ? text : json_string(""));
}

/* Of the group's next file what its folders say of its columns. */
static void add_claims(struct group *g, const struct lake_entry *entry)
{
	json_t *claims =
		sql_claims_of(entry->path, lake_meta_get(&entry->meta, META_PARTITION_FIELDS));

	if (!g->claims && !claims)
		return;
	if (!g->claims)
		g->claims = json_array();
	while (json_array_size(g->claims) + 1 < json_array_size(g->files))
		json_array_append_new(g->claims, json_null());
	json_array_append_new(g->claims, claims ? claims : json_null());
}

static void add_to(struct sql_table *t, size_t i, const struct lake_entry *entry, const char *local)
{
	struct group *g = &t->groups[i];
	const char *records = lake_meta_get(&entry->meta, "tidemark.records");

	if (g->skipped)
		return;
	json_array_append_new(g->files, json_string(local));
	add_folder(t, g, entry->path);
	add_claims(g, entry);
	if (!records)
		g->rows = -1;
	else if (g->rows >= 0)
		g->rows += strtoll(records, NULL, 10);
	vote(t, entry->path, i);
}

static const char *schema_key(const struct lake_entry *entry)
{
	const char *key = lake_meta_get(&entry->meta, "tidemark.schema");

	return key ? key : "";
}

/* ---- kinds of files ---- */

typedef enum status (*add_kind)(struct sql_table *t, const struct lake_entry *entry,
				const char *local, const char *compression, struct err *err);

static enum status add_parquet(struct sql_table *t, const struct lake_entry *entry,
			       const char *local, const char *compression, struct err *err)
{
	const char *key = schema_key(entry);
	size_t i = group_of(t, xasprintf("parquet %s", key),
			    json_pack("{s:s,s:s}", "format", "parquet", "key", key));

	(void)compression;
	(void)err;
	t->groups[i].skipped = strcmp(key, builtin_schema(BUILTIN_TOMBSTONE)->name) == 0;
	add_to(t, i, entry, local);
	return ST_OK;
}

static enum status add_json(struct sql_table *t, const struct lake_entry *entry, const char *local,
			    const char *compression, struct err *err)
{
	(void)err;
	add_to(t,
	       group_of(t, xasprintf("json %s", compression),
			json_pack("{s:s,s:s}", "format", "json", "compression", compression)),
	       entry, local);
	return ST_OK;
}

static enum status read_fd(void *ctx, uint64_t offset, void *data, size_t len, size_t *n_out,
			   struct err *err)
{
	return fd_pread_all(*(int *)ctx, data, len, offset, n_out, "a file", err);
}

/* The schema's text, the caller's. */
static enum status read_schema(const char *local, char **out, struct err *err)
{
	AUTO(closep) int fd = open(local, O_RDONLY | O_CLOEXEC);
	AUTO(byte_source_release)
	struct byte_source source = {.read = read_fd, .ctx = &fd, .step = 4096};
	AUTO(container_reader_freep) struct container_reader *reader = NULL;
	enum status st;

	if (fd < 0)
		return err_errno(err, errno, "cannot open it");
	st = container_reader_open(&source, &reader, err);
	if (st == ST_OK)
		*out = xstrdup(container_reader_schema(reader));
	return st;
}

/* The group of files of this schema of a registry, whose text an id names for ever: a
 * file of it need not be opened. t->n: there is none. */
static size_t find_avro(const struct sql_table *t, const char *key)
{
	size_t i = 0;

	if (strncmp(key, "id:", 3) != 0)
		return t->n;
	while (i < t->n &&
	       (strncmp(t->groups[i].key, "avro ", 5) != 0 ||
		strcmp(json_string_value(json_object_get(t->groups[i].json, "key")), key) != 0))
		i++;
	return i;
}

/* The group of one schema, to the letter: what a fingerprint leaves out (logical types)
 * decides what values mean. false: the text is no UTF-8. */
static bool avro_group(struct sql_table *t, const char *text, const char *key, size_t *out)
{
	json_t *json = json_pack("{s:s,s:s,s:s}", "format", "avro", "schema", text, "key", key);

	if (json)
		*out = group_of(t, xasprintf("avro %s", text), json);
	return json != NULL;
}

static enum status add_avro(struct sql_table *t, const struct lake_entry *entry, const char *local,
			    const char *compression, struct err *err)
{
	AUTO(freep) char *text = NULL;
	AUTO(schema_freep) struct schema *schema = NULL;
	const size_t known = t->n;
	size_t i = find_avro(t, schema_key(entry));
	enum status st;

	(void)compression;
	if (i < known) {
		add_to(t, i, entry, local);
		return ST_OK;
	}
	st = read_schema(local, &text, err);
	if (st != ST_OK)
		return st == ST_POISON ? err_set(err, ST_FAILED, "%s", strdupa(err->text)) : st;
	if (!avro_group(t, text, schema_key(entry), &i))
		return err_set(err, ST_FAILED, "its schema is no UTF-8");
	if (i == known) {
		st = schema_parse(text, strlen(text), &schema, err);
		if (st != ST_OK)
			return err_wrap(err, ST_FAILED, "its schema cannot be read");
		t->groups[i].skipped = builtin_schema_is(BUILTIN_TOMBSTONE, schema);
	}
	add_to(t, i, entry, local);
	return ST_OK;
}

static const struct {
	const char *end;
	add_kind add; /* NULL: it has no columns */
	const char *compression;
} kinds[] = {
	{".avro", add_avro, NULL},
	{".parquet", add_parquet, NULL},
	{".jsonl", add_json, "uncompressed"},
	{".jsonl.gz", add_json, "gzip"},
	{".jsonl.zst", add_json, "zstd"},
	{".bin", NULL, NULL},
	{".bin.gz", NULL, NULL},
	{".bin.zst", NULL, NULL},
};

/* What a folder may hold besides data, as engines that read folders have it; but a file
 * of records begins with its topic's name, whatever that begins with. */
static bool is_hidden(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	struct file_name records;

	return (*name == '_' || *name == '.') && !file_name_parse(path, &records);
}

enum status sql_table_add(struct sql_table *t, struct lake *lake, const struct lake_id *commit,
			  const struct lake_entry *entry, struct err *err)
{
	const char *local = NULL;
	enum status st;

	if (is_hidden(entry->path))
		return ST_OK;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!text_ends(entry->path, kinds[i].end))
			continue;
		if (!kinds[i].add)
			return err_set(
				err, ST_USAGE,
				"table '%s': '%s' has records of format=bytes, which have no "
				"columns",
				t->name, entry->path);
		st = sql_workspace_file(t->workspace, lake, commit, entry->path, &local, err);
		if (st == ST_OK)
			st = kinds[i].add(t, entry, local, kinds[i].compression, err);
		return st == ST_OK ? st : err_wrap(err, st, "table '%s': %s", t->name, entry->path);
	}
	return err_set(err, ST_USAGE,
		       "table '%s': '%s' is no file that SQL can read: .avro, .parquet, .jsonl, "
		       ".jsonl.gz, .jsonl.zst",
		       t->name, entry->path);
}

enum status sql_table_add_folder(struct sql_table *t, struct lake *lake,
				 const struct lake_id *commit, const char *prefix, struct err *err)
{
	AUTO(lake_list_closep) struct lake_list *list = NULL;
	enum status st = sql_workspace_hold(t->workspace, lake, commit, err);
	bool any = false;

	t->folder_len = strlen(prefix);
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

void sql_table_add_columns(struct sql_table *t, const struct compiled_schema *schema)
{
	size_t i;
	bool good = avro_group(t, schema->json, schema->name, &i);

	assert(good); /* it is parsed */
	(void)good;
}

enum status sql_table_add_rows(struct sql_table *t, const char *const *columns,
			       const char *const *types, size_t n, const struct buf *lines,
			       struct err *err)
{
	const struct lake_entry none = {.path = (char *)(uintptr_t) ""};
	json_t *list = json_array();
	const char *path = NULL;
	enum status st =
		sql_workspace_put(t->workspace, t->name, buf_str(lines), lines->len, &path, err);

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_pack("[s,s]", columns[i], types[i]));
	if (st == ST_OK)
		add_to(t,
		       group_of(t, xstrdup("rows"),
				json_pack("{s:s,s:O}", "format", "rows", "columns", list)),
		       &none, path);
	json_decref(list);
	return st;
}

bool sql_table_is_empty(const struct sql_table *t)
{
	for (size_t i = 0; i < t->n; i++)
		if (!t->groups[i].skipped && json_array_size(t->groups[i].files))
			return false;
	return true;
}

json_t *sql_table_describe(const struct sql_table *t)
{
	json_t *groups = json_array();

	for (size_t i = 0; i < t->n; i++) {
		const struct group *g = &t->groups[i];
		json_int_t votes = 0;

		for (size_t j = 0; j < t->n_newest; j++)
			votes += t->newest[j].group == i;
		if (g->skipped)
			continue;
		json_object_set(g->json, "files", g->files);
		if (g->folders)
			json_object_set(g->json, "folders", g->folders);
		if (g->claims)
			json_object_set(g->json, "claims", g->claims);
		json_object_set_new(g->json, "rows", json_integer(g->rows));
		json_object_set_new(g->json, "votes", json_integer(votes));
		json_array_append(groups, g->json);
	}
	return json_pack("{s:o}", "groups", groups);
}
