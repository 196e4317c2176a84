#include "connector/columnar/sql_child.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "connector/columnar/sql_output.h"
#include "connector/columnar/sql_sandbox.h"
#include "connector/columnar/sql_union.h"
#include "connector/columnar/sql_views.h"
#include "connector/columnar/sql_wire.h"
#include "core/base/file.h"
#include "core/base/killpoint.h"

/* The parent is gone: its folder is removed in its place, and no process stays. */
static _Noreturn void follow_parent(const json_t *folder)
{
	if (folder)
		(void)!dir_remove_all(json_string_value(folder), NULL);
	_exit(1);
}

/* The parent sends nothing after the tables: what comes then is the end of it. */
static void *watch_parent(void *folder)
{
	char byte;

	while (recv(SQL_CONTROL_FD, &byte, 1, 0) > 0)
		;
	follow_parent(folder);
}

/* Before this thread is kept from other files than the tables'. */
static bool start_watch(json_t *folder)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, watch_parent, folder) != 0)
		return false;
	pthread_detach(thread);
	return true;
}

static json_t *names_json(const struct sql_names *names)
{
	json_t *list = json_array();

	for (size_t i = 0; i < names->n; i++) {
		AUTO(freep) char *name = sql_name_whole(&names->items[i]);

		json_array_append_new(list, json_string(name));
	}
	return json_pack("{s:o}", "tables", list);
}

static json_t *answer_json(const struct sql_session *s, uint64_t rows)
{
	json_t *columns = json_array();

	for (size_t i = 0; i < s->n_columns; i++) {
		const char *name = s->duck->prepared_statement_column_name(s->prepared, i);

		json_array_append_new(columns, json_string(name));
		s->duck->free((void *)(uintptr_t)name);
	}
	return json_pack("{s:I,s:o}", "rows", (json_int_t)rows, "columns", columns);
}

static json_int_t number_of(const json_t *request, const char *key)
{
	return json_integer_value(json_object_get(request, key));
}

/* With one thread until nothing but the tables' files can be opened: DuckDB's others
 * come after that, and are kept from the rest as well. */
static enum status prepare(struct sql_session *s, const json_t *request, const json_t *tables,
			   enum sql_format format, struct err *err)
{
	enum status st;

	sql_sandbox_files(tables);
	if (format == SQL_AVRO_SCHEMA)
		return ST_OK;
	st = sql_session_lock(s, (unsigned)number_of(request, "threads"), tables,
			      format == SQL_PARQUET ? SQL_DATA_PATH : NULL, err);
	if (st == ST_OK)
		st = sql_views_make(s, tables, err);
	return st == ST_OK ? sql_session_prepare(s, err) : st;
}

static enum status write_schema(struct sql_session *s, const json_t *tables, struct err *err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	const json_t *group =
		json_array_get(json_object_get(json_array_get(tables, 0), "groups"), 0);
	enum status st = ST_OK;

	if (strcmp(json_string_value(json_object_get(group, "format")), "parquet") == 0)
		st = sql_union_schema(s, group, &text, err);
	return st == ST_OK ? fd_write_all(SQL_DATA_FD, buf_str(&text), text.len, "the answer", err)
			   : st;
}

/* A worker that runs since before an upgrade starts the program that is there now. */
static enum status check_version(const json_t *request, struct err *err)
{
	const char *version = json_string_value(json_object_get(request, "version"));

	if (version && strcmp(version, TIDEMARK_VERSION) == 0)
		return ST_OK;
	return err_set(err, ST_FAILED,
		       SQL_PROGRAM " is version " TIDEMARK_VERSION " and was asked by version %s; "
				   "restart what runs since before the upgrade",
		       version ? version : "?");
}

/* While the parent looks for their files, what reads them is made ready. */
static enum status ask_for_tables(struct sql_session *s, json_t **tables, struct err *err)
{
	enum status st = sql_send(SQL_CONTROL_FD, names_json(&s->names), err), ready;

	if (st != ST_OK)
		return st;
	ready = sql_session_prepare_tables(s, err);
	st = sql_receive(SQL_CONTROL_FD, tables, err);
	return st == ST_OK ? ready : st;
}

static enum status answer(struct sql_session *s, json_t *request, bool *watched, struct err *err)
{
	const enum sql_format format = (enum sql_format)number_of(request, "format");
	json_t *tables = NULL;
	uint64_t rows = 0;
	enum status st = check_version(request, err);

	if (st == ST_OK)
		st = sql_session_open(s, (uint64_t)number_of(request, "memory"), err);
	if (st == ST_OK)
		st = sql_session_parse(s, json_string_value(json_object_get(request, "query")),
				       err);
	if (st == ST_OK)
		st = ask_for_tables(s, &tables, err);
	if (st != ST_OK)
		return st;
	*watched = start_watch(json_object_get(request, "folder"));
	st = prepare(s, request, json_object_get(tables, "tables"), format, err);
	KILL_POINT("sql.run");
	if (st == ST_OK && format == SQL_AVRO_SCHEMA)
		st = write_schema(s, json_object_get(tables, "tables"), err);
	else if (st == ST_OK)
		st = sql_output_write(s, format, SQL_DATA_FD, &rows, err);
	close(SQL_DATA_FD);
	if (st == ST_OK)
		st = sql_send(SQL_CONTROL_FD, answer_json(s, rows), err);
	json_decref(tables);
	return st;
}

int sql_child_run(void)
{
	struct sql_session session = {.duck = NULL};
	struct err err = ERR_INIT;
	json_t *request = NULL;
	bool watched = false;
	enum status st;

	if (fcntl(SQL_CONTROL_FD, F_GETFD) < 0 || fcntl(SQL_DATA_FD, F_GETFD) < 0)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	sql_sandbox_begin();
	st = sql_receive(SQL_CONTROL_FD, &request, &err);
	if (st == ST_OK)
		st = answer(&session, request, &watched, &err);
	if (st != ST_OK && st != ST_END)
		st = sql_send(SQL_CONTROL_FD, sql_error_message(&err), &err);
	while (st == ST_END && watched)
		pause();
	if (st == ST_END)
		follow_parent(json_object_get(request, "folder"));
	/* the process ends: there is nothing to be tidied but memory */
	_exit(st != ST_OK);
}
