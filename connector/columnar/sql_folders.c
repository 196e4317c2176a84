#include "connector/columnar/sql_folders.h"

#include <stdlib.h>
#include <string.h>

#include "connector/columnar/sql_claims.h"
#include "connector/writer/path_value.h"

#define BIGINT_DIGITS 18
/* Where they only say what columns are: planning many takes longer than they save. */
#define MOST_FOLDERS 1000

/* ---- keys and values in paths ---- */

/* key=value, one component of a path. */
struct component {
	const char *key;
	size_t key_len;
	const char *value;
	size_t len;
};

/* The next that is one; false: there is none any more. */
static bool next_component(const char **rest, struct component *out)
{
	while (**rest) {
		const char *at = *rest, *end = strchrnul(at, '/');
		const char *equals = memchr(at, '=', (size_t)(end - at));

		*rest = *end ? end + 1 : end;
		if (!equals || equals == at)
			continue;
		*out = (struct component){at, (size_t)(equals - at), equals + 1,
					  (size_t)(end - equals - 1)};
		return true;
	}
	return false;
}

/* The text that a path shows as this; as it stands there where that is none of DuckDB's. */
static char *value_of(const struct component *c)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	json_t *valid;

	for (size_t i = 0; i < c->len; i++) {
		int high = i + 2 < c->len && c->value[i] == '%' ? hex_digit(c->value[i + 1]) : -1;
		int low = high >= 0 ? hex_digit(c->value[i + 2]) : -1;

		buf_addc(&text, low >= 0 ? (char)(high << 4 | low) : c->value[i]);
		i += low >= 0 ? 2 : 0;
	}
	valid = memchr(buf_str(&text), 0, text.len) ? NULL : json_stringn(buf_str(&text), text.len);
	if (!valid)
		return xstrndup(c->value, c->len);
	json_decref(valid);
	return xstrndup(buf_str(&text), text.len);
}

static bool is_none(const struct component *c)
{
	return c->len == strlen(PATH_VALUE_NONE) && memcmp(c->value, PATH_VALUE_NONE, c->len) == 0;
}

static bool is_whole_number(const char *text)
{
	size_t n = strspn(text, "0123456789");

	return n > 0 && n <= BIGINT_DIGITS && !text[n];
}

/* ---- finding them ---- */

static size_t find_key(const struct sql_folders *f, const struct component *c)
{
	size_t i = 0;

	while (i < f->n_keys && (strncasecmp(f->keys[i].name, c->key, c->key_len) != 0 ||
				 f->keys[i].name[c->key_len]))
		i++;
	return i;
}

static void add_keys(struct sql_folders *f, const char *path, const struct sql_names *names)
{
	struct component c;

	while (next_component(&path, &c)) {
		AUTO(freep) char *name = NULL;

		if (find_key(f, &c) < f->n_keys)
			continue;
		name = xstrndup(c.key, c.key_len);
		if (!sql_names_column(names, name))
			continue;
		GROW(f->keys, f->n_keys, f->cap_keys);
		f->keys[f->n_keys++] = (struct sql_folder_key){.name = MOVE(name)};
	}
}

/* The value of each key that is no column. */
static void take_values(const struct sql_folders *f, const char *path, char **values)
{
	struct component c;

	while (next_component(&path, &c)) {
		size_t key = find_key(f, &c);

		if (key < f->n_keys && !f->keys[key].is_column && !values[key] && !is_none(&c))
			values[key] = value_of(&c);
	}
}

/* What the file's folders say of the keys that are columns, as SQL. */
static void take_claims(const struct sql_folders *f, const struct duckdb_api *duck,
			const json_t *group, size_t file, char **values)
{
	json_t *claims = json_array_get(json_object_get(group, "claims"), file), *claim;
	const char *field;

	json_object_foreach(claims, field, claim)
	{
		const struct component c = {.key = field, .key_len = strlen(field)};
		const char *kind =
			json_string_value(json_object_get(json_object_get(group, "kinds"), field));
		size_t key = find_key(f, &c);
		AUTO(buf_release) struct buf sql = BUF_INIT;

		if (kind && key < f->n_keys && f->keys[key].is_column && !values[key] &&
		    sql_claim_add(duck, kind, json_string_value(claim),
				  f->types[f->keys[key].column], &sql))
			values[key] = buf_detach(&sql);
	}
}

/* The folder of these values, which it takes over, by their text in known. */
static size_t find_folder(struct sql_folders *f, char **values, json_t *known)
{
	AUTO(buf_release) struct buf name = BUF_INIT;
	const json_t *index;

	for (size_t i = 0; i < f->n_keys; i++)
		buf_addf(&name, "%zu=%s", values[i] ? strlen(values[i]) : SIZE_MAX,
			 values[i] ? values[i] : "");
	index = json_object_get(known, buf_str(&name));
	if (index) {
		for (size_t i = 0; i < f->n_keys; i++)
			free(values[i]);
		free(values);
		return (size_t)json_integer_value(index);
	}
	json_object_set_new(known, buf_str(&name), json_integer((json_int_t)f->n));
	GROW(f->items, f->n, f->cap);
	f->items[f->n] = (struct sql_folder){.values = values};
	return f->n++;
}

static const json_t *folders_of(const json_t *group)
{
	return json_object_get(group, "folders");
}

static void set_numbers(struct sql_folders *f)
{
	for (size_t i = 0; i < f->n_keys; i++) {
		f->keys[i].is_number = true;
		for (size_t j = 0; j < f->n; j++) {
			const char *value = f->items[j].values[i];

			if (value && !is_whole_number(value))
				f->keys[i].is_number = false;
		}
	}
}

struct sql_folders *sql_folders_find(const json_t *groups, const struct sql_names *names)
{
	struct sql_folders *f = xcalloc(1, sizeof(*f));
	const json_t *group, *folder;
	size_t i, j;

	json_array_foreach(groups, i, group) json_array_foreach(folders_of(group), j, folder)
		add_keys(f, json_string_value(folder), names);
	if (f->n_keys)
		return f;
	sql_folders_free(f);
	return NULL;
}

static void find_files(struct sql_folders *f, const struct duckdb_api *duck, const json_t *groups)
{
	json_t *known = json_object();
	const json_t *group;
	size_t i;

	f->n_groups = json_array_size(groups);
	f->of = xcalloc(f->n_groups + 1, sizeof(*f->of));
	json_array_foreach(groups, i, group)
	{
		size_t n = json_array_size(json_object_get(group, "files"));

		f->of[i] = xcalloc(n + 1, sizeof(**f->of));
		for (size_t j = 0; j < n; j++) {
			char **values = xcalloc(f->n_keys + 1, sizeof(*values));
			const json_t *folder = json_array_get(folders_of(group), j);

			take_values(f, folder ? json_string_value(folder) : "", values);
			take_claims(f, duck, group, j, values);
			f->of[i][j] = find_folder(f, values, known);
		}
	}
	json_decref(known);
}

void sql_folders_free(struct sql_folders *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < f->n; i++) {
		for (size_t j = 0; j < f->n_keys; j++)
			free(f->items[i].values[j]);
		free(f->items[i].values);
	}
	for (size_t i = 0; i < f->n_keys; i++)
		free(f->keys[i].name);
	for (size_t i = 0; i < f->n_groups; i++)
		free(f->of[i]);
	/* names and types are DuckDB's, which ends with the process */
	free(f->columns);
	free(f->types);
	free(f->of);
	free(f->items);
	free(f->keys);
	free(f);
}

static void find_columns(struct sql_folders *f, const struct duckdb_api *duck,
			 duckdb_prepared_statement all)
{
	f->n_columns = duck->prepared_statement_column_count(all);
	f->columns = xcalloc(f->n_columns + 1, sizeof(*f->columns));
	f->types = xcalloc(f->n_columns + 1, sizeof(*f->types));
	for (size_t i = 0; i < f->n_columns; i++) {
		f->columns[i] = (char *)(uintptr_t)duck->prepared_statement_column_name(all, i);
		f->types[i] = duck->prepared_statement_column_logical_type(all, i);
		for (size_t j = 0; j < f->n_keys; j++) {
			if (strcasecmp(f->columns[i], f->keys[j].name) != 0)
				continue;
			f->keys[j].is_column = true;
			f->keys[j].column = i;
		}
	}
}

bool sql_folders_columns(struct sql_folders *f, const struct duckdb_api *duck,
			 duckdb_prepared_statement all, const json_t *groups)
{
	bool any_own = false, any_claim = false;

	find_columns(f, duck, all);
	find_files(f, duck, groups);
	set_numbers(f);
	for (size_t i = 0; i < f->n_keys; i++) {
		any_own = any_own || !f->keys[i].is_column;
		for (size_t j = 0; j < f->n; j++)
			any_claim = any_claim || (f->keys[i].is_column && f->items[j].values[i]);
	}
	return any_own || (any_claim && f->n <= MOST_FOLDERS);
}

/* ---- as SQL ---- */

static void add_value(const struct sql_folder_key *key, const char *value, struct buf *out)
{
	if (!value)
		buf_adds(out, "NULL");
	else if (key->is_number)
		buf_addf(out, "%lld", strtoll(value, NULL, 10));
	else
		sql_add_text(out, value);
	buf_adds(out, key->is_number ? "::BIGINT" : "::VARCHAR");
}

void sql_folders_add_values(const struct sql_folders *f, const struct sql_folder *folder,
			    struct buf *out)
{
	for (size_t i = 0; i < f->n_keys; i++) {
		if (f->keys[i].is_column)
			continue;
		buf_addc(out, ',');
		add_value(&f->keys[i], folder ? folder->values[i] : NULL, out);
		buf_adds(out, " AS ");
		sql_add_identifier(out, f->keys[i].name);
	}
}

/* " REPLACE ('DE'::VARCHAR AS country)": what the folder says of columns. */
static void add_claims(const struct sql_folders *f, const struct sql_folder *folder,
		       struct buf *out)
{
	bool any = false;

	for (size_t i = 0; i < f->n_keys; i++) {
		if (!f->keys[i].is_column || !folder->values[i])
			continue;
		buf_addf(out, "%s%s AS ", any ? "," : " REPLACE (", folder->values[i]);
		sql_add_identifier(out, f->keys[i].name);
		any = true;
	}
	if (any)
		buf_addc(out, ')');
}

void sql_folders_add_functions(const struct sql_folders *f, size_t table, struct buf *out)
{
	for (size_t i = 0; i < f->n; i++) {
		buf_addf(out, "%sSELECT *", i ? " UNION ALL " : "");
		add_claims(f, &f->items[i], out);
		sql_folders_add_values(f, &f->items[i], out);
		buf_addf(out, " FROM " SQL_FOLDER_FUNCTION "(%zu,%zu)", table, i);
	}
}

/* ---- what is left of them ---- */

static bool is_json(const json_t *group)
{
	return strcmp(json_string_value(json_object_get(group, "format")), "json") == 0;
}

/* The one of these values, which folders have in common that only claims tell apart. */
static json_t *part_of(json_t *parts, json_t *by_values, const char *values)
{
	json_t *part = json_object_get(by_values, values);

	if (part)
		return part;
	part = json_pack("{s:[],s:s}", "files", "values", values);
	json_object_set_new(by_values, values, part);
	json_array_append(parts, part);
	return part;
}

/* JSON whose type does not say all (sql_union.h) is read as a whole, to find the rest. */
static bool can_leave_out(const json_t *group)
{
	return !is_json(group) || json_is_string(json_object_get(group, "type"));
}

static json_t *parts_of(const struct sql_folders *f, const size_t *of, const json_t *group)
{
	const json_t *files = json_object_get(group, "files");
	json_t *parts = json_array(), *by_values = json_object(), *file;
	size_t i;

	json_array_foreach(files, i, file)
	{
		AUTO(buf_release) struct buf values = BUF_INIT;

		if (can_leave_out(group) && !f->items[of[i]].plans)
			continue;
		sql_folders_add_values(f, &f->items[of[i]], &values);
		json_array_append(
			json_object_get(part_of(parts, by_values, buf_str(&values)), "files"),
			file);
	}
	json_decref(by_values);
	return parts;
}

/* Each once: files of the same bytes may be one, whose rows each folder that lists it gets. */
static json_t *files_of(const json_t *parts)
{
	json_t *files = json_array(), *known = json_object(), *part, *file;
	size_t i, j;

	json_array_foreach(parts, i, part)
		json_array_foreach(json_object_get(part, "files"), j, file)
	{
		if (json_object_get(known, json_string_value(file)))
			continue;
		json_object_set_new(known, json_string_value(file), json_true());
		json_array_append(files, file);
	}
	json_decref(known);
	return files;
}

static bool has_own_columns(const struct sql_folders *f)
{
	for (size_t i = 0; i < f->n_keys; i++)
		if (!f->keys[i].is_column)
			return true;
	return false;
}

void sql_folders_split(const struct sql_folders *f, json_t *groups)
{
	json_t *group;
	size_t i;

	json_array_foreach(groups, i, group)
	{
		json_t *parts;

		if (is_json(group) && !has_own_columns(f))
			continue;
		parts = parts_of(f, f->of[i], group);
		/* one scan reads the parts of JSON together */
		if (is_json(group))
			json_object_set_new(group, "files", files_of(parts));
		json_object_set_new(group, "parts", parts);
	}
}

/* ---- as a table function ---- */

static const struct duckdb_api *duck;

static void let_go(void *folder)
{
	((struct sql_folder *)folder)->plans--;
}

static size_t number_of(duckdb_bind_info info, idx_t i)
{
	duckdb_value value = duck->bind_get_parameter(info, i);
	int64_t number = duck->get_int64(value);

	duck->destroy_value(&value);
	return (size_t)number;
}

static void bind(duckdb_bind_info info)
{
	struct sql_folders ***sets = duck->bind_get_extra_info(info);
	const struct sql_folders *f = (*sets)[number_of(info, 0)];
	struct sql_folder *folder = &f->items[number_of(info, 1)];

	folder->plans++;
	duck->bind_set_bind_data(info, folder, let_go);
	for (size_t i = 0; i < f->n_columns; i++)
		duck->bind_add_result_column(info, f->columns[i], f->types[i]);
}

static void init(duckdb_init_info info)
{
	(void)info;
}

/* It is never run: the table that the query reads has the files in its place. */
static void no_rows(duckdb_function_info info, duckdb_data_chunk out)
{
	(void)out;
	duck->function_set_error(info, "a folder that was to be planned alone is read");
}

enum status sql_folders_register(duckdb_connection con, struct sql_folders ***sets, struct err *err)
{
	enum status st = duckdb_api_load(&duck, err);
	duckdb_logical_type number;
	duckdb_table_function f;

	if (st != ST_OK)
		return st;
	number = duck->create_logical_type(DUCKDB_TYPE_BIGINT);
	f = duck->create_table_function();
	duck->table_function_set_name(f, SQL_FOLDER_FUNCTION);
	duck->table_function_add_parameter(f, number);
	duck->table_function_add_parameter(f, number);
	duck->table_function_set_extra_info(f, sets, NULL);
	duck->table_function_set_bind(f, bind);
	duck->table_function_set_init(f, init);
	duck->table_function_set_function(f, no_rows);
	duck->table_function_supports_projection_pushdown(f, true);
	if (duck->register_table_function(con, f) != DuckDBSuccess)
		st = err_set(err, ST_FAILED, "DuckDB does not take the function of folders");
	duck->destroy_table_function(&f);
	duck->destroy_logical_type(&number);
	return st;
}
