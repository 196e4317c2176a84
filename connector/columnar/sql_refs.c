#include "connector/columnar/sql_refs.h"

#include <stdlib.h>
#include <string.h>

#include "connector/columnar/sql_history.h"
#include "connector/columnar/sql_table.h"
#include "connector/history/state.h"
#include "connector/writer/builtin_schemas.h"
#include "connector/writer/deadletter_writer.h"
#include "core/base/props.h"

/* Tables that the message about an unknown one names. */
#define SHOWN_TABLES 30

struct sql_refs {
	struct lake *lake;
	const char *at;
	char **prefixes; /* folders of topics, each with a slash behind */
	size_t n_prefixes, cap_prefixes;
};

/* ---- where topics lie ---- */

static void add_prefix(struct sql_refs *r, const char *prefix)
{
	AUTO(freep) char *folder = xasprintf("%s/", prefix);

	for (size_t i = 0; i < r->n_prefixes; i++)
		if (strcmp(r->prefixes[i], folder) == 0)
			return;
	GROW(r->prefixes, r->n_prefixes, r->cap_prefixes);
	r->prefixes[r->n_prefixes++] = MOVE(folder);
}

static enum status add_connector(void *ctx, const char *connector, const json_t *properties,
				 struct err *err)
{
	const char *prefix = json_string_value(json_object_get(properties, "path.prefix"));

	(void)connector;
	(void)err;
	if (!prefix)
		prefix = json_string_value(json_object_get(properties, "topics.dir"));
	if (prefix && *prefix)
		add_prefix(ctx, prefix);
	return ST_OK;
}

enum status sql_refs_open(struct lake *lake, const char *at, struct sql_refs **out, struct err *err)
{
	AUTO(sql_refs_closep) struct sql_refs *r = xcalloc(1, sizeof(*r));
	struct lake_id id;
	enum status st = lake_resolve(lake, at, &id, err);

	r->lake = lake;
	r->at = at;
	/* the first use compiles them: now, while the query's process starts */
	(void)builtin_schema(BUILTIN_TOMBSTONE);
	add_prefix(r, "topics");
	if (st == ST_OK)
		st = state_each_properties(lake, NULL, add_connector, r, err);
	if (st == ST_OK)
		*out = MOVE(r);
	return st;
}

void sql_refs_close(struct sql_refs *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n_prefixes; i++)
		free(r->prefixes[i]);
	free(r->prefixes);
	free(r);
}

/* ---- what there is ---- */

struct topic {
	char *name;
	char *folder; /* with a slash behind */
};

struct topics {
	struct topic *items;
	size_t n, cap;
};

static void topics_release(struct topics *t)
{
	for (size_t i = 0; i < t->n; i++) {
		free(t->items[i].name);
		free(t->items[i].folder);
	}
	free(t->items);
}

/* The topics under one prefix, each by one step over its files. */
static enum status list_topics(struct sql_refs *r, const struct lake_id *commit, const char *prefix,
			       struct topics *out, struct err *err)
{
	AUTO(lake_list_closep) struct lake_list *list = NULL;
	size_t len = strlen(prefix);
	enum status st = lake_list_open(r->lake, commit, prefix, &list, err);

	while (st == ST_OK) {
		AUTO(lake_entry_release) struct lake_entry entry = {.path = NULL};
		AUTO(freep) char *behind = NULL;
		const char *slash;

		st = lake_list_next(list, &entry, err);
		if (st != ST_OK)
			break;
		slash = strchr(entry.path + len, '/');
		if (!slash)
			continue;
		GROW(out->items, out->n, out->cap);
		behind = xstrndup(entry.path, (size_t)(slash - entry.path) + 1);
		out->items[out->n++] = (struct topic){
			.name = xstrndup(entry.path + len, (size_t)(slash - entry.path) - len),
			.folder = xstrdup(behind),
		};
		behind[slash - entry.path] = '/' + 1;
		st = lake_list_seek(list, behind, err);
	}
	return st == ST_END ? ST_OK : st;
}

static enum status list_all(struct sql_refs *r, const struct lake_id *commit, struct topics *out,
			    struct err *err)
{
	enum status st = ST_OK;

	for (size_t i = 0; st == ST_OK && i < r->n_prefixes; i++)
		st = list_topics(r, commit, r->prefixes[i], out, err);
	return st;
}

/* ---- finding one ---- */

struct wanted {
	const char *whole; /* as the query has it */
	char *ref;
	const char *table;
	struct lake_id commit;
};

static enum status unknown(const struct wanted *w, const struct topics *all, struct err *err)
{
	AUTO(buf_release) struct buf names = BUF_INIT;
	AUTO(freep) const char **list = xcalloc(all->n + 1, sizeof(*list));
	const char *near;

	for (size_t i = 0; i < all->n; i++) {
		list[i] = all->items[i].name;
		if (i < SHOWN_TABLES)
			buf_addf(&names, "%s%s", i ? ", " : "", list[i]);
	}
	near = nearest_word(w->table, list, all->n);
	if (all->n > SHOWN_TABLES)
		buf_addf(&names, " and %zu more", all->n - SHOWN_TABLES);
	return err_set(err, ST_NOT_FOUND, "no table '%s' at %s%s%s%s; it has %s", w->table, w->ref,
		       near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "",
		       all->n ? buf_str(&names) : "none");
}

static enum status ambiguous(const struct wanted *w, const char *one, const char *other,
			     struct err *err)
{
	return err_set(err, ST_USAGE,
		       "table '%s' at %s may be '%.*s' or '%.*s'; give its path, in double quotes",
		       w->table, w->ref, (int)strlen(one) - 1, one, (int)strlen(other) - 1, other);
}

/* The one folder whose topic is called so; same: compares two names. */
static enum status match(const struct wanted *w, const struct topics *all,
			 int (*compare)(const char *a, const char *b), const char **out,
			 struct err *err)
{
	for (size_t i = 0; i < all->n; i++) {
		if (compare(all->items[i].name, w->table) != 0)
			continue;
		if (*out)
			return ambiguous(w, *out, all->items[i].folder, err);
		*out = all->items[i].folder;
	}
	return ST_OK;
}

static enum status add_topic(struct sql_refs *r, const struct wanted *w, struct sql_table *t,
			     struct err *err)
{
	AUTO(topics_release) struct topics all = {.n = 0};
	const char *folder = NULL;
	enum status st = list_all(r, &w->commit, &all, err);

	if (st == ST_OK)
		st = match(w, &all, strcmp, &folder, err);
	if (st == ST_OK && !folder)
		st = match(w, &all, strcasecmp, &folder, err);
	if (st == ST_OK && !folder)
		return unknown(w, &all, err);
	return st == ST_OK ? sql_table_add_folder(t, r->lake, &w->commit, folder, err) : st;
}

/* A folder, or one file. */
static enum status add_path(struct sql_refs *r, const struct wanted *w, struct sql_table *t,
			    struct err *err)
{
	AUTO(lake_entry_release) struct lake_entry entry = {.path = NULL};
	AUTO(freep) char *folder = NULL;
	size_t len = strlen(w->table);
	enum status st;

	while (len && w->table[len - 1] == '/')
		len--;
	folder = xasprintf("%.*s/", (int)len, w->table);
	if (*folder == '_')
		return err_set(err, ST_USAGE, "table '%s': %s is no data%s", w->whole, w->table,
			       strncmp(folder, DEADLETTER_FOLDER, strlen(DEADLETTER_FOLDER)) == 0
				       ? "; " SQL_HISTORY_PREFIX "deadletters has dead letters"
				       : "");
	st = sql_table_add_folder(t, r->lake, &w->commit, folder, err);
	if (st != ST_NOT_FOUND)
		return st;
	st = lake_stat(r->lake, &w->commit, w->table, &entry, err);
	if (st == ST_NOT_FOUND)
		return err_set(err, st, "no table '%s': %s has no such folder or file", w->whole,
			       w->ref);
	return st == ST_OK ? sql_table_add(t, r->lake, &w->commit, &entry, err) : st;
}

static enum status find(void *ctx, const char *name, struct sql_workspace *workspace, json_t **out,
			struct err *err)
{
	struct sql_refs *r = ctx;
	const char *colon = strchr(name, ':');
	AUTO(freep) char *ref = colon ? xstrndup(name, (size_t)(colon - name)) : xstrdup(r->at);
	struct wanted w = {.whole = name, .ref = ref, .table = colon ? colon + 1 : name};
	AUTO(sql_table_freep) struct sql_table *t = sql_table_new(workspace, name);
	enum status st;

	if (!*ref || !*w.table)
		return err_set(err, ST_USAGE, "table '%s': write it as TABLE or \"REF:TABLE\"",
			       name);
	st = lake_resolve(r->lake, ref, &w.commit, err);
	if (st != ST_OK)
		return err_wrap(err, st, "table '%s'", name);
	st = sql_workspace_hold(workspace, r->lake, &w.commit, err);
	if (st == ST_OK &&
	    strncasecmp(w.table, SQL_HISTORY_PREFIX, strlen(SQL_HISTORY_PREFIX)) == 0)
		st = sql_history_add(t, r->lake, &w.commit, w.table + strlen(SQL_HISTORY_PREFIX),
				     err);
	else if (st == ST_OK)
		st = strchr(w.table, '/') ? add_path(r, &w, t, err) : add_topic(r, &w, t, err);
	if (st == ST_OK)
		*out = sql_table_describe(t);
	return st;
}

struct sql_catalog sql_refs_catalog(struct sql_refs *r)
{
	return (struct sql_catalog){.find = find, .ctx = r};
}
