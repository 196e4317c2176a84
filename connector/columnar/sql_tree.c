#include "connector/columnar/sql_tree.h"

#include <stdlib.h>
#include <string.h>

void sql_names_release(struct sql_names *names)
{
	for (size_t i = 0; i < names->n; i++) {
		free(names->items[i].schema);
		free(names->items[i].table);
	}
	for (size_t i = 0; i < names->n_columns; i++)
		free(names->columns[i]);
	free(names->columns);
	free(names->items);
	*names = (struct sql_names){0};
}

bool sql_names_column(const struct sql_names *names, const char *name)
{
	for (size_t i = 0; i < names->n_columns; i++)
		if (strcasecmp(names->columns[i], name) == 0)
			return true;
	return false;
}

char *sql_name_whole(const struct sql_name *name)
{
	return *name->schema ? xasprintf("%s.%s", name->schema, name->table) : xstrdup(name->table);
}

/* ---- what is allowed ---- */

/* Functions in the place of a table: those that read nothing but what they are given. */
static const char *const table_functions[] = {
	"range", "generate_series", "unnest", "repeat", "json_each", "json_tree",
};

/* Functions that take SQL as text, or tell of the process. */
static const char *const refused_functions[] = {
	"json_serialize_plan",
	"json_execute_serialized_sql",
	"json_deserialize_sql",
	"write_log",
	"current_setting",
	"getenv",
	"getvariable",
	"query",
	"query_table",
	"nextval",
	"currval",
};

static const char *const classes[] = {
	"BETWEEN",  "CASE",     "CAST",     "COLLATE",     "COLUMN_REF",           "COMPARISON",
	"CONSTANT", "FUNCTION", "LAMBDA",   "CONJUNCTION", "LAMBDA_REF",           "OPERATOR",
	"STAR",     "WINDOW",   "SUBQUERY", "DEFAULT",     "POSITIONAL_REFERENCE", "TYPE",
};

static const char *const query_nodes[] = {"SELECT_NODE", "SET_OPERATION_NODE",
					  "RECURSIVE_CTE_NODE"};

static bool is_one_of(const char *word, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcasecmp(word, words[i]) == 0)
			return true;
	return false;
}

/* ---- the walk ---- */

/* Names of WITH that are in sight; the inner ones first. */
struct scope {
	const struct scope *outer;
	const char *name;
};

struct walk {
	struct sql_names *names;
	struct err *err;
};

static enum status walk(struct walk *w, const json_t *j, const struct scope *scope);

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static bool in_scope(const struct scope *scope, const char *name)
{
	for (; scope; scope = scope->outer)
		if (strcasecmp(scope->name, name) == 0)
			return true;
	return false;
}

static enum status walk_members(struct walk *w, const json_t *j, const struct scope *scope)
{
	const json_t *value;
	const char *key;
	size_t i;
	enum status st = ST_OK;

	if (json_is_array(j)) {
		json_array_foreach(j, i, value) if (st == ST_OK) st = walk(w, value, scope);
		return st;
	}
	json_object_foreach((json_t *)(uintptr_t)j, key, value) if (st == ST_OK) st =
		walk(w, value, scope);
	return st;
}

static enum status add_name(struct walk *w, const json_t *table)
{
	const json_t *whole = json_object_get(table, "table_name");
	struct sql_name name = {(char *)(uintptr_t)text_of(table, "schema_name"),
				(char *)(uintptr_t)text_of(table, "table_name")};
	struct sql_names *names = w->names;

	if (strlen(name.table) != json_string_length(whole) || !*name.table)
		return err_set(w->err, ST_USAGE, "a table has no name, or one with a NUL");
	if (*text_of(table, "catalog_name"))
		return err_set(w->err, ST_USAGE,
			       "table %s.%s.%s: put the name in double quotes: \"%s.%s.%s\"",
			       text_of(table, "catalog_name"), name.schema, name.table,
			       text_of(table, "catalog_name"), name.schema, name.table);
	for (size_t i = 0; i < names->n; i++)
		if (strcasecmp(names->items[i].schema, name.schema) == 0 &&
		    strcasecmp(names->items[i].table, name.table) == 0)
			return ST_OK;
	GROW(names->items, names->n, names->cap);
	names->items[names->n++] =
		(struct sql_name){.schema = xstrdup(name.schema), .table = xstrdup(name.table)};
	return ST_OK;
}

static enum status walk_base_table(struct walk *w, const json_t *j, const struct scope *scope)
{
	const char *name = text_of(j, "table_name");

	if (json_is_object(json_object_get(j, "at_clause")))
		return err_set(w->err, ST_USAGE,
			       "AT (...): write the ref before the table: \"REF:%s\"", name);
	if (*text_of(j, "schema_name") || *text_of(j, "catalog_name") || !in_scope(scope, name))
		return add_name(w, j);
	return ST_OK;
}

static enum status walk_table_function(struct walk *w, const json_t *j, const struct scope *scope)
{
	const json_t *call = json_object_get(j, "function");
	const char *name = text_of(call, "function_name");

	if (strcmp(text_of(call, "class"), "FUNCTION") != 0 ||
	    !is_one_of(name, table_functions, ARRAY_SIZE(table_functions)))
		return err_set(w->err, ST_USAGE,
			       "%s() cannot stand in the place of a table; name a table of the "
			       "lake, or use range, generate_series, unnest, repeat, json_each, "
			       "json_tree",
			       name);
	return walk_members(w, j, scope);
}

static enum status walk_show(struct walk *w, const json_t *j, const struct scope *scope)
{
	const char *type = text_of(j, "show_type");

	if (*text_of(j, "table_name") || !json_is_object(json_object_get(j, "query")) ||
	    (strcmp(type, "DESCRIBE") != 0 && strcmp(type, "SUMMARY") != 0))
		return err_set(w->err, ST_USAGE,
			       "SHOW shows nothing here; DESCRIBE TABLE shows a table's columns");
	return walk_members(w, j, scope);
}

/* What may stand behind FROM. */
static enum status walk_table(struct walk *w, const json_t *j, const struct scope *scope)
{
	static const char *const plain[] = {"EMPTY", "EXPRESSION_LIST", "JOIN", "SUBQUERY"};
	const char *type = text_of(j, "type");

	if (strcmp(type, "BASE_TABLE") == 0) {
		enum status st = walk_base_table(w, j, scope);

		return st == ST_OK ? walk_members(w, j, scope) : st;
	}
	if (strcmp(type, "TABLE_FUNCTION") == 0)
		return walk_table_function(w, j, scope);
	if (strcmp(type, "SHOW_REF") == 0)
		return walk_show(w, j, scope);
	if (strcmp(type, "PIVOT") == 0 || is_one_of(type, plain, ARRAY_SIZE(plain)))
		return walk_members(w, j, scope);
	return err_set(w->err, ST_USAGE, "%s is not allowed here", type);
}

static enum status walk_expression(struct walk *w, const json_t *j, const struct scope *scope)
{
	const char *class = text_of(j, "class");

	if (strcmp(class, "PARAMETER") == 0)
		return err_set(w->err, ST_USAGE,
			       "the query has a parameter ($1, ?); write the value instead");
	if (!is_one_of(class, classes, ARRAY_SIZE(classes)))
		return err_set(w->err, ST_USAGE, "expressions of kind %s are not allowed", class);
	if (is_one_of(text_of(j, "function_name"), refused_functions,
		      ARRAY_SIZE(refused_functions)))
		return err_set(w->err, ST_USAGE, "%s() is not allowed",
			       text_of(j, "function_name"));
	return walk_members(w, j, scope);
}

/* Each query of WITH sees those before it; what follows sees all. */
static enum status walk_with(struct walk *w, const json_t *node, const json_t *map, size_t i,
			     const struct scope *scope)
{
	const json_t *entry = json_array_get(map, i);
	const struct scope next = {.outer = scope, .name = text_of(entry, "key")};
	enum status st;

	if (!entry)
		return walk_members(w, node, scope);
	st = walk(w, json_object_get(entry, "value"), scope);
	return st == ST_OK ? walk_with(w, node, map, i + 1, &next) : st;
}

static enum status walk_query(struct walk *w, const json_t *j, const struct scope *scope)
{
	const char *type = text_of(j, "type");
	const json_t *map = json_object_get(json_object_get(j, "cte_map"), "map");
	const struct scope itself = {.outer = scope, .name = text_of(j, "cte_name")};
	json_t *rest;
	enum status st;

	if (!is_one_of(type, query_nodes, ARRAY_SIZE(query_nodes)))
		return err_set(w->err, ST_USAGE, "queries of kind %s are not allowed", type);
	if (strcmp(type, "RECURSIVE_CTE_NODE") == 0)
		scope = &itself;
	rest = json_copy((json_t *)(uintptr_t)j);
	json_object_del(rest, "cte_map");
	st = walk_with(w, rest, map, 0, scope);
	json_decref(rest);
	return st;
}

/* Where the tree has names of columns: a COLUMN_REF, JOIN .. USING, * EXCLUDE. */
static void add_columns(struct sql_names *names, const json_t *j)
{
	static const char *const lists[] = {"column_names", "using_columns", "exclude_list"};
	const json_t *name;
	size_t k;

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		json_array_foreach(json_object_get(j, lists[i]), k, name)
		{
			const char *text = json_string_value(name);

			if (!text || sql_names_column(names, text))
				continue;
			GROW(names->columns, names->n_columns, names->cap_columns);
			names->columns[names->n_columns++] = xstrdup(text);
		}
}

static enum status walk(struct walk *w, const json_t *j, const struct scope *scope)
{
	add_columns(w->names, j);
	if (json_is_array(j))
		return walk_members(w, j, scope);
	if (!json_is_object(j))
		return ST_OK;
	if (json_object_get(j, "cte_map"))
		return walk_query(w, j, scope);
	if (json_object_get(j, "class") || json_object_get(j, "function_name"))
		return walk_expression(w, j, scope);
	if (json_object_get(j, "sample") && json_object_get(j, "alias"))
		return walk_table(w, j, scope);
	return walk_members(w, j, scope);
}

static enum status only_one(struct err *err)
{
	return err_set(err, ST_USAGE,
		       "only one SELECT is allowed, and nothing else (PIVOT needs its values: ON x "
		       "IN (...))");
}

/* Of json_serialize_sql(): "Only SELECT statements can be serialized to json!" */
static enum status refused(const json_t *root, struct err *err)
{
	if (strcmp(text_of(root, "error_type"), "not implemented") == 0)
		return only_one(err);
	return err_set(err, ST_USAGE, "%s", text_of(root, "error_message"));
}

enum status sql_tree_judge(const char *text, size_t len, struct sql_names *out, bool *describes_out,
			   struct err *err)
{
	/* as reals: what stands for "nowhere" is no integer of jansson's */
	json_t *root = json_loadb(text, len, JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, NULL);
	const json_t *statements = json_object_get(root, "statements");
	struct walk w = {.names = out, .err = err};
	enum status st;

	if (!root)
		return err_set(err, ST_USAGE, "the query is too deeply nested");
	if (!json_is_false(json_object_get(root, "error")))
		st = refused(root, err);
	else if (json_array_size(statements) == 0)
		st = err_set(err, ST_USAGE, "the query is empty");
	else if (json_array_size(statements) != 1)
		st = only_one(err);
	else
		st = walk(&w, statements, NULL);
	*describes_out =
		strcmp(text_of(json_object_get(
				       json_object_get(json_array_get(statements, 0), "node"),
				       "from_table"),
			       "type"),
		       "SHOW_REF") == 0;
	json_decref(root);
	return st;
}
