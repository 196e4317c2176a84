#include "connector/columnar/sql_union.h"

#include <stdlib.h>
#include <string.h>

#include "connector/columnar/parquet_footer.h"
#include "connector/columnar/sql_avro.h"
#include "connector/columnar/sql_claims.h"
#include "connector/columnar/sql_union_types.h"
#include "connector/schema/compatible.h"

/* ---- one group ---- */

static const char *text_of(const json_t *group, const char *key)
{
	return json_string_value(json_object_get(group, key));
}

/* ['a','b'] */
static void add_files(struct buf *out, const json_t *files)
{
	const json_t *file;
	size_t i;

	buf_addc(out, '[');
	json_array_foreach(files, i, file)
	{
		if (i)
			buf_addc(out, ',');
		sql_add_text(out, json_string_value(file));
	}
	buf_addc(out, ']');
}

static void add_columns(struct buf *out, const json_t *columns)
{
	const json_t *column;
	size_t i;

	buf_addc(out, '{');
	json_array_foreach(columns, i, column)
	{
		if (i)
			buf_addc(out, ',');
		sql_add_text(out, json_string_value(json_array_get(column, 0)));
		buf_addc(out, ':');
		sql_add_text(out, json_string_value(json_array_get(column, 1)));
	}
	buf_addc(out, '}');
}

#define FILE_COLUMN "\"tidemark$file\""

/* The folders' values, by the files in them. */
static void add_parts(struct buf *out, const json_t *parts)
{
	const json_t *part;
	size_t i;

	buf_adds(out, " JOIN (");
	json_array_foreach(parts, i, part)
	{
		buf_adds(out, i ? " UNION ALL SELECT unnest(" : "SELECT unnest(");
		add_files(out, json_object_get(part, "files"));
		buf_addf(out, ") AS " FILE_COLUMN "%s", text_of(part, "values"));
	}
	buf_adds(out, ") AS folders ON filename=" FILE_COLUMN);
}

/* Each line is the column `json`, of the type that was found in all of them. */
static void add_lines(struct buf *out, const json_t *group, const json_t *files, bool with_file)
{
	const char *type = text_of(group, "type");

	buf_adds(out, "read_json(");
	add_files(out, files);
	buf_addf(out,
		 ",format='newline_delimited',compression='%s',records='false',"
		 "union_by_name=true,hive_partitioning=false,filename=%s,",
		 text_of(group, "compression"), with_file ? "true" : "false");
	if (type) {
		buf_adds(out, "columns={'json':");
		sql_add_text(out, type);
		buf_adds(out, "})");
	} else {
		buf_adds(out, "sample_size=-1)");
	}
}

/* At any depth, of the types that JSON is found to have. Takes it over. */
static bool has_time(const struct duckdb_api *duck, duckdb_logical_type type)
{
	bool found = false;

	switch (duck->get_type_id(type)) {
	case DUCKDB_TYPE_DATE:
	case DUCKDB_TYPE_TIME:
	case DUCKDB_TYPE_TIME_NS:
	case DUCKDB_TYPE_TIME_TZ:
	case DUCKDB_TYPE_TIMESTAMP:
	case DUCKDB_TYPE_TIMESTAMP_S:
	case DUCKDB_TYPE_TIMESTAMP_MS:
	case DUCKDB_TYPE_TIMESTAMP_NS:
	case DUCKDB_TYPE_TIMESTAMP_TZ:
		found = true;
		break;
	case DUCKDB_TYPE_LIST:
		found = has_time(duck, duck->list_type_child_type(type));
		break;
	case DUCKDB_TYPE_MAP:
		found = has_time(duck, duck->map_type_value_type(type));
		break;
	case DUCKDB_TYPE_STRUCT:
		for (idx_t i = 0; i < duck->struct_type_child_count(type) && !found; i++)
			found = has_time(duck, duck->struct_type_child_type(type, i));
		break;
	default:
		break;
	}
	duck->destroy_logical_type(&type);
	return found;
}

/* Does the text say all of the type? Times have forms that are found with it. */
static bool is_plain(struct sql_session *s, const char *type)
{
	const struct duckdb_api *duck = s->duck;
	AUTO(freep) char *sql = xasprintf("SELECT NULL::%s", type);
	duckdb_prepared_statement p = NULL;
	bool plain = duck->prepare(s->con, sql, &p) == DuckDBSuccess &&
		     !has_time(duck, duck->prepared_statement_column_logical_type(p, 0));

	duck->destroy_prepare(&p);
	return plain;
}

/* Lines are read once to find their type: each binding of the query would read them
 * again. */
static enum status find_type(struct sql_session *s, json_t *group, struct err *err)
{
	AUTO(buf_release) struct buf sql = BUF_INIT;
	AUTO(buf_release) struct buf type = BUF_INIT;
	enum status st;

	if (strcmp(text_of(group, "format"), "json") != 0 || json_object_get(group, "type"))
		return ST_OK;
	buf_adds(&sql, "SELECT column_type FROM (DESCRIBE SELECT json FROM ");
	add_lines(&sql, group, json_object_get(group, "files"), false);
	buf_addc(&sql, ')');
	st = sql_session_text(s, buf_str(&sql), &type, err);
	if (st == ST_OK)
		json_object_set_new(group, "type",
				    is_plain(s, buf_str(&type)) ? json_string(buf_str(&type))
								: json_null());
	return st;
}

/* "same" of Parquet: have its files the same columns? Else each binding of the query opens all
 * of them. An id of the registry is one schema for ever; of others the files say it. */
static void find_same(json_t *group)
{
	if (strcmp(text_of(group, "format"), "parquet") != 0 || json_object_get(group, "same"))
		return;
	json_object_set_new(group, "same",
			    json_boolean(strncmp(text_of(group, "key"), "id:", 3) == 0 ||
					 parquet_same_columns(json_object_get(group, "files"))));
}

/* A line `null` is no row. */
static void add_json(struct buf *out, const json_t *group, const json_t *files)
{
	const json_t *parts = json_object_get(group, "parts");

	buf_adds(out, "(SELECT json.*");
	if (parts)
		buf_adds(out, ",folders.* EXCLUDE (" FILE_COLUMN ")");
	buf_adds(out, " FROM ");
	add_lines(out, group, files, parts != NULL);
	if (parts)
		add_parts(out, parts);
	buf_adds(out, " WHERE json IS NOT NULL)");
}

/* What stands behind FROM. */
static enum status add_source(struct buf *out, const json_t *group, const json_t *files,
			      struct err *err)
{
	const char *format = text_of(group, "format");

	if (strcmp(format, "parquet") == 0) {
		buf_adds(out, "read_parquet(");
		add_files(out, files);
		buf_addf(out, ",union_by_name=%s,hive_partitioning=false)",
			 json_is_true(json_object_get(group, "same")) ? "false" : "true");
	} else if (strcmp(format, "avro") == 0) {
		buf_adds(out, SQL_AVRO_FUNCTION "(");
		add_files(out, files);
		buf_addc(out, ',');
		sql_add_text(out, text_of(group, "schema"));
		/* of some of the files it is not known */
		buf_addf(out, ",%lld)",
			 json_object_get(group, "parts")
				 ? -1LL
				 : (long long)json_integer_value(json_object_get(group, "rows")));
	} else if (strcmp(format, "json") == 0) {
		add_json(out, group, files);
	} else if (strcmp(format, "rows") == 0) {
		buf_adds(out, "read_json(");
		add_files(out, files);
		buf_adds(out, ",format='newline_delimited',compression='uncompressed',columns=");
		add_columns(out, json_object_get(group, "columns"));
		buf_addc(out, ')');
	} else {
		return err_set(err, ST_FAILED, "a table of format %s is not known", format);
	}
	return ST_OK;
}

/* ---- schemas ---- */

struct arm {
	const json_t *group;
	struct schema *schema; /* NULL: it has none */
	size_t reads; /* how many of the others it can read */
	long long id; /* in the registry; -1: none */
	json_int_t votes;
	struct buf changes; /* what stands behind its `*` */
};

static void arms_free(struct arm *arms, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		schema_free(arms[i].schema);
		buf_release(&arms[i].changes);
	}
	free(arms);
}

enum status sql_union_schema(struct sql_session *s, const json_t *group, struct buf *out,
			     struct err *err)
{
	AUTO(buf_release) struct buf sql = BUF_INIT;

	buf_adds(&sql, "SELECT coalesce(max(decode(value)), '') FROM parquet_kv_metadata(");
	sql_add_text(&sql, json_string_value(json_array_get(json_object_get(group, "files"), 0)));
	buf_adds(&sql, ") WHERE decode(key) = 'parquet.avro.schema'");
	return sql_session_text(s, buf_str(&sql), out, err);
}

static enum status read_schema(struct sql_session *s, struct arm *arm, struct err *err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	const char *key = text_of(arm->group, "key");
	const char *avro = text_of(arm->group, "schema");
	enum status st = ST_OK;

	arm->votes = json_integer_value(json_object_get(arm->group, "votes"));
	arm->id = key && strncmp(key, "id:", 3) == 0 ? strtoll(key + 3, NULL, 10) : -1;
	if (avro)
		buf_adds(&text, avro);
	else if (strcmp(text_of(arm->group, "format"), "parquet") == 0)
		st = sql_union_schema(s, arm->group, &text, err);
	if (st != ST_OK || text.len == 0)
		return st;
	/* where it is none, the file is read without it */
	(void)!schema_parse(text.data, text.len, &arm->schema, NULL);
	return ST_OK;
}

static bool is_newer(const struct arm *a, const struct arm *b)
{
	if (a->reads != b->reads)
		return a->reads > b->reads;
	if (a->id != b->id)
		return a->id > b->id;
	return a->votes > b->votes;
}

/* NULL: none has a schema. */
static const struct arm *find_newest(struct arm *arms, size_t n)
{
	const struct arm *newest = NULL;

	for (size_t i = 0; i < n; i++) {
		if (!arms[i].schema)
			continue;
		for (size_t j = 0; j < n; j++)
			arms[i].reads += i != j && arms[j].schema &&
					 schema_can_read(arms[i].schema, arms[j].schema, NULL);
		if (!newest || is_newer(&arms[i], newest))
			newest = &arms[i];
	}
	return newest;
}

static bool has_field(const struct schema_node *record, const char *name)
{
	for (size_t i = 0; i < record->n_fields; i++)
		if (strcasecmp(record->fields[i].name, name) == 0)
			return true;
	return false;
}

/* Of a field of the newest schema the alias under which this one has it; NULL: none. */
static const char *old_name(const struct schema_field *f, const struct schema_node *from)
{
	for (size_t j = 0; j < f->n_aliases && !has_field(from, f->name); j++)
		if (has_field(from, f->aliases[j]))
			return f->aliases[j];
	return NULL;
}

/* The record whose names this one's fields get; NULL: they keep theirs. */
static const struct schema_node *new_names(const struct arm *arm, const struct arm *newest)
{
	const struct schema_node *to;

	if (!newest || arm == newest || !arm->schema ||
	    schema_root(arm->schema)->type != SCHEMA_RECORD)
		return NULL;
	to = schema_root(newest->schema);
	return to->type == SCHEMA_RECORD ? to : NULL;
}

/* " RENAME (old AS new, ..)": fields that the newest schema knows by an alias. */
static void add_renames(struct buf *out, const struct arm *arm, const struct arm *newest)
{
	const struct schema_node *to = new_names(arm, newest);
	bool any = false;

	for (size_t i = 0; to && i < to->n_fields; i++) {
		const char *old = old_name(&to->fields[i], schema_root(arm->schema));

		if (!old)
			continue;
		buf_adds(out, any ? "," : " RENAME (");
		sql_add_identifier(out, old);
		buf_adds(out, " AS ");
		sql_add_identifier(out, to->fields[i].name);
		any = true;
	}
	if (any)
		buf_addc(out, ')');
}

/* ---- claims ---- */

static bool is_renamed(const struct arm *arm, const struct arm *newest, const char *name)
{
	const struct schema_node *to = new_names(arm, newest);

	for (size_t i = 0; to && i < to->n_fields; i++) {
		const char *old = old_name(&to->fields[i], schema_root(arm->schema));

		if (old && strcasecmp(old, name) == 0)
			return true;
	}
	return false;
}

/* Are all its files of the schema that one of them has? A fingerprint leaves out what
 * values mean, but Avro's groups are of one text. */
static bool is_of_one_schema(const struct arm *arm)
{
	return arm->schema && (arm->id >= 0 || strcmp(text_of(arm->group, "format"), "avro") == 0);
}

/* "kinds" of a group with claims: {"country":"text"}, of the fields whose claims can be
 * looked at as columns of the table. */
static void set_kinds(const struct arm *arm, const struct arm *newest, json_t *group)
{
	json_t *kinds = json_object(), *claims, *value;
	const char *field;
	size_t i;

	json_array_foreach(json_object_get(group, "claims"), i, claims)
		json_object_foreach(claims, field, value)
	{
		const char *kind = NULL;

		if (json_object_get(kinds, field))
			continue;
		if (is_of_one_schema(arm) && !is_renamed(arm, newest, field))
			kind = sql_claim_kind(schema_root(arm->schema), field);
		json_object_set_new(kinds, field, kind ? json_string(kind) : json_null());
	}
	json_object_set_new(group, "kinds", kinds);
}

/* ---- types ---- */

/* " EXCLUDE (a,..) REPLACE (to_json(b) AS b,..)": what is null in every row is left out,
 * so that it widens no other's type; what has no type in common is JSON. */
static void add_changes(struct buf *out, const struct arm *arm, const struct union_columns *u)
{
	AUTO(buf_release) struct buf exclude = BUF_INIT;
	AUTO(buf_release) struct buf replace = BUF_INIT;
	size_t left = arm->schema ? union_schema_columns(arm->schema) : 0;

	for (size_t i = 0, n = left; i < n; i++) {
		const char *name = union_schema_column(arm->schema, i);
		enum union_column what = union_columns_look(u, arm->schema, i);

		if (what == UNION_NULL && left > 1) {
			left--;
			buf_adds(&exclude, exclude.len ? "," : " EXCLUDE (");
			sql_add_identifier(&exclude, name);
		} else if (what == UNION_JSON) {
			buf_adds(&replace, replace.len ? ",to_json(" : " REPLACE (to_json(");
			sql_add_identifier(&replace, name);
			buf_adds(&replace, ") AS ");
			sql_add_identifier(&replace, name);
		}
	}
	if (exclude.len)
		buf_addf(out, "%s)", exclude.data);
	if (replace.len)
		buf_addf(out, "%s)", replace.data);
}

/* ---- all ---- */

/* No rows, but columns: those of the newest schema, in its order. */
static enum status add_order(struct buf *out, const struct arm *newest, struct err *err)
{
	const json_t *files = json_object_get(newest->group, "files");
	json_t *one = json_pack("[O]", json_array_get(files, 0));
	enum status st;

	buf_addf(out, "SELECT *%s FROM ", buf_str(&newest->changes));
	st = add_source(out, newest->group, one, err);
	buf_adds(out, " WHERE false");
	json_decref(one);
	return st;
}

static enum status add_select(struct buf *out, const struct arm *arm, const json_t *files,
			      const char *values, struct err *err)
{
	if (out->len)
		buf_adds(out, " UNION ALL BY NAME ");
	buf_addf(out, "SELECT *%s", buf_str(&arm->changes));
	if (values)
		buf_adds(out, values);
	buf_adds(out, " FROM ");
	return add_source(out, arm->group, files, err);
}

/* A group, or what is left of it, folder by folder; JSON in one scan. */
static enum status add_arm(struct buf *out, const struct arm *arm, struct err *err)
{
	const json_t *parts = json_object_get(arm->group, "parts"), *part;
	const json_t *files = json_object_get(arm->group, "files");
	size_t i;
	enum status st = ST_OK;

	if (parts && json_array_size(parts) == 0)
		return ST_OK;
	if (!parts || strcmp(text_of(arm->group, "format"), "json") == 0)
		return add_select(out, arm, files, NULL, err);
	json_array_foreach(parts, i, part) if (st == ST_OK) st =
		add_select(out, arm, json_object_get(part, "files"), text_of(part, "values"), err);
	return st;
}

enum status sql_union_add(struct sql_session *s, const json_t *groups, struct buf *out,
			  struct err *err)
{
	size_t n = json_array_size(groups);
	struct arm *arms = xcalloc(n + 1, sizeof(*arms));
	const struct arm *newest = NULL;
	AUTO(buf_release) struct buf all = BUF_INIT;
	AUTO(freep) const struct schema **schemas = xcalloc(n + 1, sizeof(*schemas));
	AUTO(union_columns_release) struct union_columns u = {.n = 0};
	enum status st = ST_OK;

	for (size_t i = 0; i < n; i++) {
		arms[i].group = json_array_get(groups, i);
		if (st == ST_OK)
			st = find_type(s, json_array_get(groups, i), err);
		find_same(json_array_get(groups, i));
		if (st == ST_OK && (n > 1 || json_object_get(arms[i].group, "claims")))
			st = read_schema(s, &arms[i], err);
	}
	if (st == ST_OK)
		newest = find_newest(arms, n);
	for (size_t i = 0; i < n; i++)
		schemas[i] = n > 1 ? arms[i].schema : NULL;
	union_columns_find(&u, schemas, n);
	for (size_t i = 0; i < n; i++) {
		add_changes(&arms[i].changes, &arms[i], &u);
		add_renames(&arms[i].changes, &arms[i], newest);
		if (json_object_get(arms[i].group, "claims"))
			set_kinds(&arms[i], newest, json_array_get(groups, i));
	}
	if (newest && newest != arms)
		st = add_order(&all, newest, err);
	for (size_t i = 0; st == ST_OK && i < n; i++)
		st = add_arm(&all, &arms[i], err);
	buf_addbuf(out, &all);
	arms_free(arms, n);
	return st;
}
