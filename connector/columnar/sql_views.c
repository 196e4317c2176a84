#include "connector/columnar/sql_views.h"

#include <stdlib.h>
#include <string.h>

#include "connector/columnar/sql_folders.h"
#include "connector/columnar/sql_union.h"

struct view {
	struct sql_session *s;
	size_t i; /* in s->names */
	json_t *groups;
	bool is_empty; /* columns without rows */
};

static struct view view_of(struct sql_session *s, const json_t *tables, size_t i)
{
	const json_t *table = json_array_get(tables, i);

	return (struct view){.s = s,
			     .i = i,
			     .groups = json_object_get(table, "groups"),
			     .is_empty = json_is_true(json_object_get(table, "empty"))};
}

static void add_name(const struct view *v, struct buf *out)
{
	const struct sql_name *name = &v->s->names.items[v->i];

	if (*name->schema) {
		sql_add_identifier(out, name->schema);
		buf_addc(out, '.');
	}
	sql_add_identifier(out, name->table);
}

/* The view of all files, where the one of the query's name leaves folders out. */
static void add_whole(const struct view *v, struct buf *out)
{
	buf_addf(out, SQL_SCHEMA ".t%zu", v->i);
}

static enum status make_schema(const struct view *v, struct err *err)
{
	AUTO(buf_release) struct buf sql = BUF_INIT;
	const char *schema = v->s->names.items[v->i].schema;

	if (!*schema)
		return ST_OK;
	buf_adds(&sql, "CREATE SCHEMA IF NOT EXISTS ");
	sql_add_identifier(&sql, schema);
	return sql_session_run(v->s, buf_str(&sql), err);
}

/* ---- folders ---- */

static enum status make_whole(const struct view *v, struct err *err)
{
	AUTO(buf_release) struct buf sql = BUF_INIT;
	enum status st = sql_session_run(v->s, "CREATE SCHEMA IF NOT EXISTS " SQL_SCHEMA, err);

	buf_adds(&sql, "CREATE VIEW ");
	add_whole(v, &sql);
	buf_adds(&sql, " AS ");
	if (st == ST_OK)
		st = sql_union_add(v->s, v->groups, &sql, err);
	return st == ST_OK ? sql_session_run(v->s, buf_str(&sql), err) : st;
}

/* Which keys are columns: none where the files have them all. */
static enum status take_columns(const struct view *v, struct sql_folders **f, struct err *err)
{
	const struct duckdb_api *duck = v->s->duck;
	AUTO(buf_release) struct buf sql = BUF_INIT;
	duckdb_prepared_statement all = NULL;
	enum status st = ST_OK;

	buf_adds(&sql, "FROM ");
	add_whole(v, &sql);
	if (duck->prepare(v->s->con, buf_str(&sql), &all) != DuckDBSuccess) {
		st = sql_session_error(ST_FAILED, duck->prepare_error(all), err);
	} else if (!sql_folders_columns(*f, duck, all, v->groups)) {
		sql_folders_free(*f);
		*f = NULL;
	}
	duck->destroy_prepare(&all);
	return st;
}

static enum status find_folders(const struct view *v, struct err *err)
{
	struct sql_folders **f = &v->s->folders[v->i];
	enum status st = ST_OK;
	json_t *group;
	size_t i;

	*f = v->is_empty ? NULL : sql_folders_find(v->groups, &v->s->names);
	if (*f) {
		st = make_whole(v, err);
		if (st == ST_OK)
			st = take_columns(v, f, err);
	}
	/* whose schemas are read no more */
	json_array_foreach(v->groups, i, group) json_object_del(group, "claims");
	return st;
}

/* ---- views ---- */

/* Of a table with folders, as it is to be planned. */
static enum status plan_view(const struct view *v, struct err *err)
{
	AUTO(buf_release) struct buf sql = BUF_INIT;

	buf_adds(&sql, "CREATE VIEW ");
	add_name(v, &sql);
	buf_adds(&sql, " AS ");
	sql_folders_add_functions(v->s->folders[v->i], v->i, &sql);
	return sql_session_run(v->s, buf_str(&sql), err);
}

static enum status add_rows(const struct view *v, struct buf *sql, struct err *err)
{
	const struct sql_folders *f = v->s->folders[v->i];
	AUTO(buf_release) struct buf rows = BUF_INIT;
	enum status st;

	if (!f)
		return sql_union_add(v->s, v->groups, sql, err);
	/* the columns of all files, whichever are left */
	buf_adds(sql, "SELECT *");
	sql_folders_add_values(f, NULL, sql);
	buf_adds(sql, " FROM ");
	add_whole(v, sql);
	buf_adds(sql, " WHERE false");
	sql_folders_split(f, v->groups);
	st = sql_union_add(v->s, v->groups, &rows, err);
	if (rows.len)
		buf_adds(sql, " UNION ALL BY NAME ");
	buf_addbuf(sql, &rows);
	return st;
}

static enum status make_view(const struct view *v, struct err *err)
{
	AUTO(buf_release) struct buf sql = BUF_INIT;
	enum status st;

	buf_adds(&sql, "CREATE OR REPLACE VIEW ");
	add_name(v, &sql);
	buf_adds(&sql, v->is_empty ? " AS SELECT * FROM (" : " AS ");
	st = add_rows(v, &sql, err);
	if (v->is_empty)
		buf_adds(&sql, ") WHERE false");
	return st == ST_OK ? sql_session_run(v->s, buf_str(&sql), err) : st;
}

/* ---- all ---- */

static enum status each(struct sql_session *s, const json_t *tables,
			enum status (*work)(const struct view *v, struct err *err), struct err *err)
{
	for (size_t i = 0; i < s->names.n; i++) {
		AUTO(freep) char *name = sql_name_whole(&s->names.items[i]);
		const struct view v = view_of(s, tables, i);
		enum status st = work(&v, err);

		if (st != ST_OK)
			return err_wrap(err, st, "table '%s'", name);
	}
	return ST_OK;
}

static enum status begin_view(const struct view *v, struct err *err)
{
	enum status st;

	if (json_array_size(v->groups) == 0)
		return err_set(err, ST_FAILED, "it has no rows yet, and so no columns");
	st = make_schema(v, err);
	return st == ST_OK ? find_folders(v, err) : st;
}

static enum status make_to_plan(const struct view *v, struct err *err)
{
	return v->s->folders[v->i] ? plan_view(v, err) : make_view(v, err);
}

static enum status make_again(const struct view *v, struct err *err)
{
	return v->s->folders[v->i] ? make_view(v, err) : ST_OK;
}

enum status sql_views_make(struct sql_session *s, const json_t *tables, struct err *err)
{
	bool any = false;
	enum status st;

	s->folders = xcalloc(s->names.n + 1, sizeof(struct sql_folders *));
	st = each(s, tables, begin_view, err);
	for (size_t i = 0; i < s->names.n; i++)
		any = any || s->folders[i];
	if (st == ST_OK && any)
		st = sql_session_run(s, "BEGIN TRANSACTION", err);
	if (st == ST_OK)
		st = each(s, tables, make_to_plan, err);
	if (st != ST_OK || !any)
		return st;
	st = sql_session_bind(s, err);
	return st == ST_OK ? each(s, tables, make_again, err) : st;
}
