/* The gate that asks in SQL. Its tables are the publish's files:
 *
 *   added    what is new or changed against the target
 *   merged   all that the target would hold; also by the topic's own name
 *   target   what the target holds now
 *
 * of one topic ("added:TOPIC" where there are several). */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connector/columnar/sql.h"
#include "connector/columnar/sql_table.h"
#include "connector/gates/gate_files.h"
#include "connector/gates/gate_run.h"

#define SHOWN_ROWS 5
#define SHOWN_ROW_BYTES 140
/* Rows that are counted: beyond these it is "more than". */
#define COUNTED_ROWS 10000

/* ---- tables ---- */

struct tables {
	const struct gate_run *run;
	bool nothing; /* the target would hold no file of records: there is nothing to ask */
};

/* The root of the topic; NULL: there is none. */
static const char *root_of(const struct roots *roots, const char *topic)
{
	for (size_t i = 0; i < roots->n; i++) {
		const char *root = roots->items[i];
		size_t len = strlen(root), n = strlen(topic);

		if (*root != '_' && len > n + 1 && root[len - n - 2] == '/' &&
		    strncmp(root + len - n - 1, topic, n) == 0)
			return root;
	}
	return NULL;
}

/* "flights, planes"; the number of topics. */
static size_t list_topics(const struct roots *roots, struct buf *out, const char **only)
{
	size_t n = 0;

	for (size_t i = 0; i < roots->n; i++) {
		const char *root = roots->items[i], *name = root;
		size_t len = strlen(root) - 1;

		if (*root == '_')
			continue;
		for (const char *p = root; p < root + len; p++)
			if (*p == '/')
				name = p + 1;
		buf_addf(out, "%s%.*s", n++ ? ", " : "", (int)(root + len - name), name);
		*only = root;
	}
	return n;
}

/* What a name means: which files, and under which root. */
struct meaning {
	enum { ADDED, MERGED, TARGET } what;
	const char *root;
};

static enum status find_meaning(const struct tables *t, const char *name, struct meaning *out,
				struct err *err)
{
	static const char *const words[] = {
		[ADDED] = "added", [MERGED] = "merged", [TARGET] = "target"};
	const struct roots *roots = t->run->subject->roots;
	const char *colon = strchr(name, ':');
	size_t len = colon ? (size_t)(colon - name) : strlen(name);
	AUTO(buf_release) struct buf topics = BUF_INIT;
	const char *only = NULL;
	size_t n = list_topics(roots, &topics, &only);

	out->what = MERGED;
	out->root = root_of(roots, name);
	for (size_t i = 0; !out->root && i < ARRAY_SIZE(words); i++) {
		if (strlen(words[i]) != len || strncasecmp(words[i], name, len) != 0)
			continue;
		out->what = (int)i;
		if (!colon && n != 1)
			return err_set(err, ST_USAGE,
				       "table '%s': there are %zu topics (%s); write \"%s:TOPIC\"",
				       name, n, buf_str(&topics), words[i]);
		out->root = colon ? root_of(roots, colon + 1) : only;
	}
	if (out->root)
		return ST_OK;
	return err_set(err, ST_NOT_FOUND,
		       "no table '%s'; there are added, merged and target, each also as "
		       "\"added:TOPIC\", and the topics: %s",
		       name, buf_str(&topics));
}

static enum status add_listed(const struct tables *t, const struct lake_id *commit,
			      const char *root, struct sql_table *table, struct err *err)
{
	const struct gate_subject *s = t->run->subject;
	AUTO(lake_list_closep) struct lake_list *list = NULL;
	enum status st = lake_list_open(s->lake, commit, root, &list, err);

	while (st == ST_OK) {
		AUTO(lake_entry_release) struct lake_entry entry = {.path = NULL};

		st = lake_list_next(list, &entry, err);
		if (st == ST_OK && gate_wants(t->run->gate, entry.path))
			st = sql_table_add(table, s->lake, commit, &entry, err);
	}
	return st == ST_END ? ST_OK : st;
}

static enum status add_added(const struct tables *t, const char *root, struct sql_table *table,
			     struct err *err)
{
	const struct gate_subject *s = t->run->subject;
	AUTO(gate_files_freep) struct gate_files *files = gate_files_new(s, false);
	struct gate_file file;
	enum status st;

	while ((st = gate_files_next(files, &file, err)) == ST_OK) {
		if (strncmp(file.entry.path, root, strlen(root)) == 0 &&
		    gate_wants(t->run->gate, file.entry.path))
			st = sql_table_add(table, s->lake, &s->merged, &file.entry, err);
		gate_file_release(&file);
		if (st != ST_OK)
			return st;
	}
	return st == ST_END ? ST_OK : st;
}

static enum status add_files(const struct tables *t, const struct meaning *m,
			     struct sql_table *table, struct err *err)
{
	const struct gate_subject *s = t->run->subject;

	return m->what == ADDED ? add_added(t, m->root, table, err)
				: add_listed(t, m->what == MERGED ? &s->merged : &s->target_head,
					     m->root, table, err);
}

/* A table without files has the columns that it would have with the publish. */
static enum status make_table(struct tables *t, const char *name, const struct meaning *m,
			      struct sql_workspace *workspace, json_t **out, struct err *err)
{
	const struct meaning whole = {.what = MERGED, .root = m->root};
	AUTO(sql_table_freep) struct sql_table *table = sql_table_new(workspace, name);
	AUTO(sql_table_freep) struct sql_table *columns = sql_table_new(workspace, name);
	enum status st = add_files(t, m, table, err);

	if (st == ST_OK && !sql_table_is_empty(table)) {
		*out = sql_table_describe(table);
		return ST_OK;
	}
	if (st == ST_OK)
		st = add_files(t, &whole, columns, err);
	if (st == ST_OK && sql_table_is_empty(columns)) {
		t->nothing = true;
		return err_set(err, ST_EMPTY, "table '%s' has no files yet", name);
	}
	if (st == ST_OK) {
		*out = sql_table_describe(columns);
		json_object_set_new(*out, "empty", json_true());
	}
	return st;
}

static enum status find(void *ctx, const char *name, struct sql_workspace *workspace, json_t **out,
			struct err *err)
{
	struct tables *t = ctx;
	const struct gate_subject *s = t->run->subject;
	struct meaning m;
	enum status st = find_meaning(t, name, &m, err);

	if (st == ST_OK)
		st = sql_workspace_hold(workspace, s->lake, &s->merged, err);
	if (st == ST_OK)
		st = sql_workspace_hold(workspace, s->lake, &s->target_head, err);
	return st == ST_OK ? make_table(t, name, &m, workspace, out, err) : st;
}

/* ---- the answer ---- */

struct answer {
	struct buf lines; /* of the first rows */
	uint64_t rows;
};

/* Keeps the first rows; ends the query where there are very many. */
static enum status take(void *ctx, const void *data, size_t len, struct err *err)
{
	struct answer *a = ctx;
	const char *p = data, *end = p + len;

	while (p < end) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));
		const char *to = newline ? newline + 1 : end;

		if (a->rows < SHOWN_ROWS)
			buf_add(&a->lines, p, (size_t)(to - p));
		a->rows += newline != NULL;
		p = to;
	}
	return a->rows <= COUNTED_ROWS ? ST_OK : err_set(err, ST_END, "very many rows");
}

/* {"id":1,"delay":-3}; ... */
static void add_rows(const struct answer *a, struct buf *out)
{
	const char *line = buf_str(&a->lines);

	for (size_t i = 0; *line && i < SHOWN_ROWS; i++) {
		size_t len = strcspn(line, "\n"), shown = len;

		if (shown > SHOWN_ROW_BYTES)
			for (shown = SHOWN_ROW_BYTES; (line[shown] & 0xc0) == 0x80; shown--)
				;
		buf_addf(out, "%s%.*s%s", i ? "; " : "", (int)shown, line,
			 shown < len ? "..." : "");
		line += len + (line[len] != '\0');
	}
}

static enum status judge_rows(struct gate_run *run, const struct answer *a, struct err *err)
{
	AUTO(buf_release) struct buf rows = BUF_INIT;

	if (a->rows == 0)
		return ST_OK;
	add_rows(a, &rows);
	if (a->rows > COUNTED_ROWS)
		buf_addf(&run->output, "more than %d rows\n", COUNTED_ROWS);
	else
		buf_addf(&run->output, "%" PRIu64 " rows\n", a->rows);
	return err_set(err, ST_HELD, "the query gave %s%" PRIu64 " row%s: %s",
		       a->rows > COUNTED_ROWS ? "more than " : "",
		       a->rows > COUNTED_ROWS ? (uint64_t)COUNTED_ROWS : a->rows,
		       a->rows == 1 ? "" : "s", buf_str(&rows));
}

/* The one value of the one row as a number: {"count":12}. */
static bool number_of(const struct answer *a, const char *line, long double *out)
{
	json_t *row = json_loads(line, JSON_DECODE_INT_AS_REAL, NULL);
	void *first = json_object_iter(row);
	bool good = a->rows == 1 && json_object_size(row) == 1 &&
		    json_is_number(json_object_iter_value(first));

	/* as it is written: a double has not all its digits */
	if (good)
		*out = strtold(strrchr(line, ':') + 1, NULL);
	json_decref(row);
	return good;
}

static enum status judge_number(struct gate_run *run, const struct answer *a, struct err *err)
{
	const struct gate_config *g = run->gate;
	const char *lines = buf_str(&a->lines);
	AUTO(freep) char *line = xstrndup(lines, strcspn(lines, "\n"));
	long double number = 0;

	if (!number_of(a, line, &number))
		return err_set(err, ST_HELD,
			       "min and max are for a query that gives one number; it gave %.*s",
			       SHOWN_ROW_BYTES,
			       a->rows == 1  ? line
			       : a->rows > 1 ? "several rows"
					     : "no row");
	buf_addf(&run->output, "%s\n", line);
	if (g->low && number < strtold(g->low, NULL))
		return err_set(err, ST_HELD, "%.*s is below min=%s", SHOWN_ROW_BYTES, line, g->low);
	if (g->high && number > strtold(g->high, NULL))
		return err_set(err, ST_HELD, "%.*s is above max=%s", SHOWN_ROW_BYTES, line,
			       g->high);
	return ST_OK;
}

/* ---- the gate ---- */

enum status gate_run_sql(struct gate_run *run, struct err *err)
{
	const struct gate_config *g = run->gate;
	struct clock *clock = run->subject->clock;
	struct tables tables = {.run = run};
	struct answer answer = {.rows = 0};
	const struct sql_catalog catalog = {.find = find, .ctx = &tables};
	const struct sql_sink sink = {take, &answer};
	const struct sql_query query = {
		.text = g->query,
		.format = SQL_JSON,
		.memory_bytes = g->memory_bytes,
		.timeout_ms = (run->end_us - clock->mono_us(clock)) / 1000 + 1,
		.stop = run->subject->stop,
	};
	enum status st = sql_ask(&query, &catalog, &sink, NULL, err);

	if (st == ST_EMPTY && tables.nothing) {
		buf_adds(&run->output, "no file of records yet: nothing to ask\n");
		st = ST_OK;
	} else if (st == ST_BUSY) {
		st = gate_out_of_time(run, err);
	} else if (st == ST_OK || (st == ST_END && answer.rows > COUNTED_ROWS)) {
		st = g->low || g->high ? judge_number(run, &answer, err)
				       : judge_rows(run, &answer, err);
	}
	buf_release(&answer.lines);
	return st;
}
