#include "connector/columnar/sql_session.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connector/columnar/sql_avro.h"
#include "connector/columnar/sql_folders.h"

/* ---- errors ---- */

enum status sql_session_error(enum status st, const char *message, struct err *err)
{
	const char *end = strstr(message, "\n\n");

	return err_set(err, st, "%.*s", end ? (int)(end - message) : (int)strlen(message), message);
}

/* What DuckDB says of a statement that it does not prepare: mostly the query's own
 * fault. */
static enum status kind_of(const char *message)
{
	static const char *const ours[] = {"IO Error", "Out of Memory", "INTERNAL", "FATAL",
					   "Permission"};

	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		if (strncmp(message, ours[i], strlen(ours[i])) == 0)
			return ST_FAILED;
	return ST_USAGE;
}

/* ---- the database ---- */

static enum status configure(const struct duckdb_api *duck, duckdb_config config,
			     uint64_t memory_bytes)
{
	char memory[32];
	const char *const settings[][2] = {
		{"memory_limit", memory},
		{"autoload_known_extensions", "false"},
		{"autoinstall_known_extensions", "false"},
		{"allow_community_extensions", "false"},
		{"allow_persistent_secrets", "false"},
		{"threads", "1"},
		{"temp_directory", ""},
	};

	snprintf(memory, sizeof(memory), "%" PRIu64 "B", memory_bytes);
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
		if (duck->set_config(config, settings[i][0], settings[i][1]) != DuckDBSuccess)
			return ST_FAILED;
	return ST_OK;
}

enum status sql_session_run(struct sql_session *s, const char *sql, struct err *err)
{
	duckdb_result result;
	enum status st = ST_OK;

	if (s->duck->query(s->con, sql, &result) != DuckDBSuccess)
		st = sql_session_error(ST_FAILED, s->duck->result_error(&result), err);
	s->duck->destroy_result(&result);
	return st;
}

enum status sql_session_open(struct sql_session *s, uint64_t memory_bytes, struct err *err)
{
	duckdb_config config = NULL;
	char *why = NULL;
	enum status st = duckdb_api_load(&s->duck, err);

	if (st != ST_OK)
		return st;
	s->duck->create_config(&config);
	st = configure(s->duck, config, memory_bytes);
	if (st != ST_OK)
		err_set(err, st, "DuckDB does not take its settings");
	if (st == ST_OK && s->duck->open_ext(NULL, &s->db, config, &why) != DuckDBSuccess)
		st = err_set(err, ST_FAILED, "%s", why ? why : "DuckDB does not start");
	s->duck->free(why);
	s->duck->destroy_config(&config);
	if (st == ST_OK && s->duck->connect(s->db, &s->con) != DuckDBSuccess)
		st = err_set(err, ST_FAILED, "DuckDB gives no connection");
	return st;
}

enum status sql_session_prepare_tables(struct sql_session *s, struct err *err)
{
	enum status st = sql_session_run(s, "SET parquet_metadata_cache=true", err);

	if (st == ST_OK)
		st = sql_avro_register(s->con, err);
	if (st == ST_OK)
		st = sql_folders_register(s->con, &s->folders, err);
	return st;
}

void sql_session_close(struct sql_session *s)
{
	if (!s->duck)
		return;
	if (s->prepared)
		s->duck->destroy_prepare(&s->prepared);
	if (s->statements)
		s->duck->destroy_extracted(&s->statements);
	if (s->con)
		s->duck->disconnect(&s->con);
	if (s->db)
		s->duck->close(&s->db);
	sql_names_release(&s->names);
	buf_release(&s->result);
}

/* ---- the query ---- */

/* The text of a result's one value. */
static enum status first_text(const struct sql_session *s, duckdb_result *result, struct buf *out,
			      struct err *err)
{
	const struct duckdb_api *duck = s->duck;
	duckdb_data_chunk chunk = duck->fetch_chunk(*result);
	const duckdb_string_t *text;

	if (!chunk)
		return err_set(err, ST_FAILED, "DuckDB gives no value");
	text = duck->vector_get_data(duck->data_chunk_get_vector(chunk, 0));
	if (text->value.inlined.length <= sizeof(text->value.inlined.inlined))
		buf_add(out, text->value.inlined.inlined, text->value.inlined.length);
	else
		buf_add(out, text->value.pointer.ptr, text->value.pointer.length);
	duck->destroy_data_chunk(&chunk);
	return ST_OK;
}

enum status sql_session_text(struct sql_session *s, const char *sql, struct buf *out,
			     struct err *err)
{
	duckdb_result result;
	enum status st;

	if (s->duck->query(s->con, sql, &result) != DuckDBSuccess)
		st = sql_session_error(ST_FAILED, s->duck->result_error(&result), err);
	else
		st = first_text(s, &result, out, err);
	s->duck->destroy_result(&result);
	return st;
}

static enum status serialize(struct sql_session *s, const char *query, struct buf *out,
			     struct err *err)
{
	const struct duckdb_api *duck = s->duck;
	duckdb_prepared_statement p = NULL;
	duckdb_result result;
	enum status st = ST_OK;

	if (duck->prepare(s->con, "SELECT json_serialize_sql($1::VARCHAR)::VARCHAR", &p) !=
		    DuckDBSuccess ||
	    duck->bind_varchar_length(p, 1, query, strlen(query)) != DuckDBSuccess)
		st = sql_session_error(ST_FAILED, duck->prepare_error(p), err);
	if (st == ST_OK) {
		if (duck->execute_prepared(p, &result) != DuckDBSuccess)
			st = sql_session_error(ST_USAGE, duck->result_error(&result), err);
		else
			st = first_text(s, &result, out, err);
		duck->destroy_result(&result);
	}
	duck->destroy_prepare(&p);
	return st;
}

enum status sql_session_parse(struct sql_session *s, const char *query, struct err *err)
{
	AUTO(buf_release) struct buf tree = BUF_INIT;
	enum status st = serialize(s, query, &tree, err);

	s->query = query;
	if (st == ST_OK)
		st = sql_tree_judge(buf_str(&tree), tree.len, &s->names, &s->describes, err);
	return st;
}

/* ---- locks ---- */

static unsigned number_of_processors(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n > 0 ? (unsigned)n : 1;
}

static void add_allowed(struct buf *sql, const json_t *tables, const char *also)
{
	const json_t *table, *group, *file;
	size_t i, j, k;
	bool first = true;

	buf_adds(sql, "SET allowed_paths=[");
	json_array_foreach(tables, i, table)
		json_array_foreach(json_object_get(table, "groups"), j, group)
			json_array_foreach(json_object_get(group, "files"), k, file)
	{
		if (!first)
			buf_addc(sql, ',');
		first = false;
		sql_add_text(sql, json_string_value(file));
	}
	if (also) {
		if (!first)
			buf_addc(sql, ',');
		sql_add_text(sql, also);
	}
	buf_adds(sql, "]");
}

enum status sql_session_lock(struct sql_session *s, unsigned threads, const json_t *tables,
			     const char *also, struct err *err)
{
	AUTO(buf_release) struct buf sql = BUF_INIT;

	buf_addf(&sql, "SET threads=%u;", threads ? threads : number_of_processors());
	add_allowed(&sql, tables, also);
	buf_adds(&sql, ";SET enable_external_access=false;SET lock_configuration=true");
	return sql_session_run(s, buf_str(&sql), err);
}

/* ---- the result ---- */

/* The query as a table: in parentheses, where DESCRIBE and SUMMARIZE may stand too. */
static void add_query(const struct sql_session *s, size_t len, struct buf *out)
{
	buf_addf(out, "(%.*s\n)", (int)len, s->query);
}

/* result(c0,c1,..) */
static void add_names(const struct sql_session *s, struct buf *out)
{
	buf_adds(out, "result(");
	for (size_t i = 0; i < s->n_columns; i++)
		buf_addf(out, "%sc%zu", i ? "," : "", i);
	buf_addc(out, ')');
}

/* A semicolon that is left may have a comment behind it, or be a part of a text: then
 * the query stands at the end of a statement, where it means what it means alone. */
enum status sql_session_result(struct sql_session *s, struct err *err)
{
	AUTO(buf_release) struct buf sql = BUF_INIT;
	size_t len = strlen(s->query);
	enum status st;

	while (len && strchr(" \t\r\n;", s->query[len - 1]))
		len--;
	if (!memchr(s->query, ';', len)) {
		add_query(s, len, &s->result);
		buf_adds(&s->result, " AS ");
		add_names(s, &s->result);
		return ST_OK;
	}
	st = sql_session_run(s, "CREATE SCHEMA IF NOT EXISTS " SQL_SCHEMA, err);
	buf_adds(&sql, "CREATE VIEW " SQL_SCHEMA ".");
	add_names(s, &sql);
	buf_adds(&sql, " AS ");
	if (s->describes) {
		buf_adds(&sql, "FROM ");
		add_query(s, len, &sql);
	} else {
		buf_adds(&sql, s->query);
	}
	buf_adds(&s->result, SQL_SCHEMA ".result");
	return st == ST_OK ? sql_session_run(s, buf_str(&sql), err) : st;
}

/* The tree came first: where it is one SELECT, nothing but that is parsed by
 * extract_statements(), which reads files for IMPORT DATABASE. */
static enum status extract(struct sql_session *s, struct err *err)
{
	const char *why;

	if (s->statements)
		s->duck->destroy_extracted(&s->statements);
	if (s->duck->extract_statements(s->con, s->query, &s->statements) == 1)
		return ST_OK;
	why = s->duck->extract_statements_error(s->statements);
	return sql_session_error(ST_USAGE, why ? why : "only one SELECT is allowed", err);
}

enum status sql_session_bind(struct sql_session *s, struct err *err)
{
	const char *why;

	if (s->prepared)
		s->duck->destroy_prepare(&s->prepared);
	if (extract(s, err) != ST_OK)
		return err->code;
	if (s->duck->prepare_extracted_statement(s->con, s->statements, 0, &s->prepared) ==
	    DuckDBSuccess)
		return ST_OK;
	why = s->duck->prepare_error(s->prepared);
	return sql_session_error(kind_of(why), why, err);
}

enum status sql_session_prepare(struct sql_session *s, struct err *err)
{
	enum status st = sql_session_bind(s, err);

	if (st != ST_OK)
		return st;
	if (s->duck->prepared_statement_type(s->prepared) != DUCKDB_STATEMENT_TYPE_SELECT)
		return err_set(err, ST_USAGE, "only one SELECT is allowed");
	s->n_columns = s->duck->prepared_statement_column_count(s->prepared);
	return ST_OK;
}
