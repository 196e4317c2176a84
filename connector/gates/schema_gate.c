/* The gate `schema`: can what is added be read together with what the target
 * holds? Each schema that is new to a topic is compared with each that its files
 * on the target have. */
#include <stdlib.h>
#include <string.h>

#include "connector/gates/gate_files.h"
#include "connector/gates/gate_run.h"
#include "connector/gates/rows.h"
#include "connector/schema/compatible.h"
#include "connector/writer/builtin_schemas.h"
#include "connector/writer/file_name.h"

/* A schema of a topic. */
struct known {
	char *topic;
	char *name; /* "id:17", "sha256:..." */
	char *path; /* a file that has it */
	bool held; /* by the target */
	struct schema *schema; /* NULL: not yet read */
};

struct schemas {
	struct known *items;
	size_t n;
	size_t cap;
	size_t fresh; /* that the target does not hold, as far as is known */
};

static void schemas_release(struct schemas *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->items[i].topic);
		free(s->items[i].name);
		free(s->items[i].path);
		schema_free(s->items[i].schema);
	}
	free(s->items);
}

static struct known *find(struct schemas *s, const char *topic, const char *name)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->items[i].name, name) == 0 && strcmp(s->items[i].topic, topic) == 0)
			return &s->items[i];
	return NULL;
}

static struct known *add(struct schemas *s, const char *topic, const char *name, const char *path)
{
	GROW(s->items, s->n, s->cap);
	s->items[s->n] = (struct known){
		.topic = xstrdup(topic), .name = xstrdup(name), .path = xstrdup(path)};
	return &s->items[s->n++];
}

/* NULL: the file has no schema of the topic's own. */
static const char *schema_of(const struct gate_run *run, const struct gate_file *file,
			     struct file_name *name)
{
	const char *schema = lake_meta_get(&file->entry.meta, "tidemark.schema");

	if (!schema || !gate_wants(run->gate, file->entry.path) ||
	    strcmp(schema, builtin_schema(BUILTIN_TOMBSTONE)->name) == 0 ||
	    !file_name_parse(file->entry.path, name))
		return NULL;
	return schema;
}

static enum status read_added(const struct gate_run *run, struct schemas *s, struct err *err)
{
	AUTO(gate_files_freep) struct gate_files *files = gate_files_new(run->subject, false);
	struct gate_file file;
	enum status st;

	while ((st = gate_files_next(files, &file, err)) == ST_OK) {
		struct file_name name;
		const char *schema = schema_of(run, &file, &name);

		st = gate_time(run, err);
		if (schema && !find(s, name.topic, schema)) {
			add(s, name.topic, schema, file.entry.path);
			s->fresh++;
		}
		gate_file_release(&file);
		if (st != ST_OK)
			return st;
	}
	return st == ST_END ? ST_OK : st;
}

/* Ends as soon as the target is found to hold all that is added. */
static enum status read_held(const struct gate_run *run, struct schemas *s, struct err *err)
{
	AUTO(gate_files_freep) struct gate_files *files = gate_files_new(run->subject, true);
	struct gate_file file;
	enum status st = ST_OK;

	while (s->fresh && (st = gate_files_next(files, &file, err)) == ST_OK) {
		struct file_name name;
		const char *schema = file.added ? NULL : schema_of(run, &file, &name);
		struct known *known = schema ? find(s, name.topic, schema) : NULL;

		st = gate_time(run, err);
		if (known && !known->held)
			s->fresh--;
		if (schema && !known)
			known = add(s, name.topic, schema, file.entry.path);
		if (known)
			known->held = true;
		gate_file_release(&file);
		if (st != ST_OK)
			return st;
	}
	return st == ST_END ? ST_OK : st;
}

static enum status read_schema(const struct gate_run *run, const char *path, struct buf *out,
			       struct err *err)
{
	const struct rows_settings settings = {
		.lake = run->subject->lake,
		.commit = &run->subject->merged,
		.clock = run->subject->clock,
		.end_us = run->end_us,
		.stop = run->subject->stop,
	};
	AUTO(rows_pass_freep) struct rows_pass *pass = rows_pass_new(&settings);
	AUTO(rows_closep) struct rows *rows = NULL;
	enum status st = rows_open(pass, path, &rows, err);

	return st == ST_OK ? rows_schema(rows, out, err) : st;
}

static enum status load(const struct gate_run *run, struct known *k, struct err *err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	enum status st;

	if (k->schema)
		return ST_OK;
	st = read_schema(run, k->path, &text, err);
	if (st == ST_BUSY)
		return gate_out_of_time(run, err);
	if (st == ST_POISON)
		return err_set(err, ST_HELD, "%s", err ? strdupa(err->text) : "");
	if (st != ST_OK)
		return st;
	if (text.len == 0)
		return err_set(err, ST_HELD, "%s has no schema", k->path);
	return schema_parse(text.data, text.len, &k->schema, err);
}

/* ST_HELD: reader cannot read what writer wrote. */
static enum status reads(const struct known *reader, const struct known *writer, struct err *err)
{
	struct err why = ERR_INIT;

	if (schema_can_read(reader->schema, writer->schema, &why))
		return ST_OK;
	return err_set(err, ST_HELD, "topic %s: %s (%s) cannot read what %s wrote (%s): %s",
		       reader->topic, reader->name, reader->path, writer->name, writer->path,
		       why.text);
}

static enum status compare(const struct gate_run *run, const struct known *fresh,
			   const struct known *other, struct err *err)
{
	enum gate_compatibility c = run->gate->compatibility;
	bool back = c == GATE_BACKWARD || c == GATE_FULL;
	bool forth = c == GATE_FORWARD || c == GATE_FULL;
	enum status st = ST_OK;

	/* which of two new ones is the later is not known: one way is enough */
	if (!other->held && c != GATE_FULL)
		return reads(other, fresh, NULL) == ST_OK ? ST_OK : reads(fresh, other, err);
	if (back)
		st = reads(fresh, other, err);
	if (st == ST_OK && forth)
		st = reads(other, fresh, err);
	return st;
}

static enum status compare_all(const struct gate_run *run, struct schemas *s, struct err *err)
{
	enum status st = ST_OK;

	for (size_t i = 0; st == ST_OK && i < s->n; i++) {
		struct known *fresh = &s->items[i];

		for (size_t k = 0; !fresh->held && st == ST_OK && k < s->n; k++) {
			struct known *other = &s->items[k];

			if ((!other->held && k <= i) || strcmp(other->topic, fresh->topic) != 0)
				continue;
			st = gate_time(run, err);
			if (st == ST_OK)
				st = load(run, fresh, err);
			if (st == ST_OK)
				st = load(run, other, err);
			if (st == ST_OK)
				st = compare(run, fresh, other, err);
		}
	}
	return st;
}

enum status gate_run_schema(struct gate_run *run, struct err *err)
{
	AUTO(schemas_release) struct schemas s = {.n = 0};
	enum status st = ST_OK;

	if (run->gate->compatibility == GATE_NO_COMPATIBILITY)
		return ST_OK;
	st = read_added(run, &s, err);
	if (st == ST_OK)
		st = read_held(run, &s, err);
	if (st != ST_OK)
		return st;
	buf_addf(&run->output, "%zu new schemas\n", s.fresh);
	return s.fresh ? compare_all(run, &s, err) : ST_OK;
}
