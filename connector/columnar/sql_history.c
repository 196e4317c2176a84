#include "connector/columnar/sql_history.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "connector/history/checkpoint.h"
#include "connector/writer/builtin_schemas.h"
#include "connector/writer/deadletter_writer.h"
#include "connector/writer/file_name.h"
#include "connector/schema/utf8.h"

/* Rows are put to disk when there are so many bytes of them. */
#define FLUSH_BYTES ((size_t)8 << 20)

struct history {
	struct sql_table *table;
	struct lake *lake;
	const struct lake_id *commit;
	const struct columns_of *kind;
	struct buf lines;
	bool written;
};

struct columns_of {
	const char *name;
	enum status (*fill)(struct history *h, struct err *err);
	size_t n; /* 0: its rows are not made here */
	const char *columns[12];
	const char *types[12];
};

static enum status flush(struct history *h, struct err *err)
{
	enum status st = sql_table_add_rows(h->table, h->kind->columns, h->kind->types, h->kind->n,
					    &h->lines, err);

	buf_clear(&h->lines);
	h->written = true;
	return st;
}

/* Takes row over. */
static enum status add_row(struct history *h, json_t *row, struct err *err)
{
	AUTO(freep) char *text = row ? json_dumps(row, JSON_COMPACT) : NULL;

	json_decref(row);
	if (!text)
		return err_set(err, ST_FAILED, "a commit's text is no UTF-8");
	buf_adds(&h->lines, text);
	buf_addc(&h->lines, '\n');
	return h->lines.len >= FLUSH_BYTES ? flush(h, err) : ST_OK;
}

/* ---- values ---- */

static json_t *id_json(const struct lake_id *id)
{
	char hex[LAKE_ID_HEX_BYTES];

	if (lake_id_is_none(id))
		return json_null();
	lake_id_hex(id, hex);
	return json_string(hex);
}

static json_t *time_json(int64_t wall_ms)
{
	char text[TIME_TEXT_BYTES];

	time_format(wall_ms, text);
	return json_string(text);
}

static json_t *number_json(const struct lake_meta *meta, const char *key)
{
	const char *text = lake_meta_get(meta, key);
	char *end;
	long long n = text ? strtoll(text, &end, 10) : 0;

	return text && end != text && !*end ? json_integer(n) : json_null();
}

/* ---- commits ---- */

typedef enum status (*each_commit)(struct history *h, const struct lake_commit *c, struct err *err);

static enum status walk_log(struct history *h, each_commit each, struct err *err)
{
	AUTO(lake_log_closep) struct lake_log *log = NULL;
	enum status st = lake_log_open(h->lake, h->commit, false, &log, err);

	while (st == ST_OK) {
		AUTO(lake_commit_release) struct lake_commit c = {.n_parents = 0};

		st = lake_log_next(log, &c, err);
		if (st == ST_OK)
			st = each(h, &c, err);
	}
	return st == ST_END ? ST_OK : st;
}

static enum status add_commit(struct history *h, const struct lake_commit *c, struct err *err)
{
	json_t *parents = json_array();

	for (size_t i = 0; i < c->n_parents; i++)
		json_array_append_new(parents, id_json(&c->parents[i]));
	return add_row(h,
		       json_pack("{s:o,s:o,s:o,s:o,s:o,s:I,s:o}", "id", id_json(&c->id), "parents",
				 parents, "message", utf8_json(c->message), "committer",
				 utf8_json(c->committer), "time", time_json(c->time_ms),
				 "generation", (json_int_t)c->generation, "metadata",
				 meta_json(&c->meta)),
		       err);
}

static enum status fill_commits(struct history *h, struct err *err)
{
	return walk_log(h, add_commit, err);
}

/* ---- checkpoints ---- */

static const char *connector_of(const struct lake_commit *c)
{
	const char *name = lake_meta_get(&c->meta, META_CONNECTOR);

	return name && commit_is_checkpoint(c, name) ? name : NULL;
}

static json_t *document_json(struct history *h, const struct lake_commit *c, const char *key,
			     enum status *st, struct err *err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	json_t *json;

	if (*st == ST_OK)
		*st = checkpoint_document(h->lake, c, key, &text, err);
	json = *st == ST_OK && text.len ? json_loads(buf_str(&text), 0, NULL) : NULL;
	return json ? json : json_null();
}

static enum status add_checkpoint(struct history *h, const struct lake_commit *c, struct err *err)
{
	const char *connector = connector_of(c);
	enum status st = ST_OK;
	json_t *lost;

	if (!connector)
		return ST_OK;
	lost = document_json(h, c, META_LOST, &st, err);
	if (st != ST_OK) {
		json_decref(lost);
		return st;
	}
	return add_row(h,
		       json_pack("{s:o,s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "id", id_json(&c->id),
				 "connector", connector, "time", time_json(c->time_ms), "epoch",
				 number_json(&c->meta, META_EPOCH), "sequence",
				 number_json(&c->meta, META_SEQUENCE), "previous",
				 utf8_json(lake_meta_get(&c->meta, META_PREVIOUS)), "records",
				 number_json(&c->meta, META_RECORDS), "bytes",
				 number_json(&c->meta, META_BYTES), "deadletters",
				 number_json(&c->meta, META_DEADLETTERS), "lost", lost),
		       err);
}

static enum status fill_checkpoints(struct history *h, struct err *err)
{
	return walk_log(h, add_checkpoint, err);
}

/* ---- offsets ---- */

static enum status add_offsets(struct history *h, const struct lake_commit *c, struct err *err)
{
	const char *connector = connector_of(c);
	enum status st = ST_OK;
	json_t *ranges, *partitions, *range;
	const char *topic, *partition;

	if (!connector)
		return ST_OK;
	ranges = document_json(h, c, META_RANGES, &st, err);
	json_object_foreach(ranges, topic, partitions)
		json_object_foreach(partitions, partition, range)
	{
		if (st == ST_OK)
			st = add_row(h,
				     json_pack("{s:o,s:s,s:o,s:s,s:I,s:O,s:O}", "checkpoint",
					       id_json(&c->id), "connector", connector, "time",
					       time_json(c->time_ms), "topic", topic, "partition",
					       (json_int_t)strtoll(partition, NULL, 10),
					       "from_offset", json_array_get(range, 0), "to_offset",
					       json_array_get(range, 1)),
				     err);
	}
	json_decref(ranges);
	return st;
}

static enum status fill_offsets(struct history *h, struct err *err)
{
	return walk_log(h, add_offsets, err);
}

/* ---- publishes ---- */

static json_t *parse_meta(const struct lake_commit *c, const char *key)
{
	const char *text = lake_meta_get(&c->meta, key);
	json_t *json = text ? json_loads(text, 0, NULL) : NULL;

	return json ? json : json_null();
}

/* What `newer` says of connectors and the commit before it did not. */
static enum status add_changes(struct history *h, const struct lake_commit *newer,
			       const struct lake_commit *older, struct err *err)
{
	json_t *now = parse_meta(newer, META_PUBLISHED);
	json_t *before = older ? parse_meta(older, META_PUBLISHED) : json_null();
	json_t *shown;
	const char *connector;
	enum status st = ST_OK;

	json_object_foreach(now, connector, shown)
	{
		if (st != ST_OK || json_equal(json_object_get(before, connector), shown))
			continue;
		st = add_row(
			h,
			json_pack("{s:o,s:o,s:s,s:O*,s:O*,s:o,s:o,s:o}", "id", id_json(&newer->id),
				  "time", time_json(newer->time_ms), "connector", connector,
				  "checkpoint", json_object_get(shown, "checkpoint"), "epoch",
				  json_object_get(shown, "epoch"), "message",
				  utf8_json(newer->message), "gates", parse_meta(newer, META_GATES),
				  "forced", utf8_json(lake_meta_get(&newer->meta, META_FORCED))),
			err);
	}
	json_decref(now);
	json_decref(before);
	return st;
}

static enum status fill_publishes(struct history *h, struct err *err)
{
	AUTO(lake_log_closep) struct lake_log *log = NULL;
	struct lake_commit newer = {.n_parents = 0};
	bool any = false;
	enum status st = lake_log_open(h->lake, h->commit, true, &log, err);

	while (st == ST_OK) {
		struct lake_commit older = {.n_parents = 0};

		st = lake_log_next(log, &older, err);
		if (st != ST_OK)
			break;
		if (any)
			st = add_changes(h, &newer, &older, err);
		lake_commit_release(&newer);
		newer = older;
		any = true;
	}
	if (st == ST_END)
		st = any ? add_changes(h, &newer, NULL, err) : ST_OK;
	lake_commit_release(&newer);
	return st;
}

/* ---- files ---- */

static enum status add_file(struct history *h, const struct lake_entry *e, struct err *err)
{
	struct file_name name;
	bool named = file_name_parse(e->path, &name);

	return add_row(h,
		       json_pack("{s:o,s:I,s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "path",
				 utf8_json(e->path), "size", (json_int_t)e->size, "checksum",
				 e->checksum, "content_type", utf8_json(e->content_type), "topic",
				 named ? utf8_json(name.topic) : json_null(), "partition",
				 named ? json_integer(name.partition) : json_null(), "first_offset",
				 named ? json_integer(name.first_offset) : json_null(), "records",
				 number_json(&e->meta, "tidemark.records"), "schema",
				 utf8_json(lake_meta_get(&e->meta, "tidemark.schema")), "metadata",
				 meta_json(&e->meta)),
		       err);
}

static enum status fill_files(struct history *h, struct err *err)
{
	AUTO(lake_list_closep) struct lake_list *list = NULL;
	enum status st = lake_list_open(h->lake, h->commit, "", &list, err);

	while (st == ST_OK) {
		AUTO(lake_entry_release) struct lake_entry entry = {.path = NULL};

		st = lake_list_next(list, &entry, err);
		if (st == ST_OK && !path_is_document(entry.path))
			st = add_file(h, &entry, err);
	}
	return st == ST_END ? ST_OK : st;
}

/* ---- dead letters ---- */

/* The table is their files. */
static enum status fill_deadletters(struct history *h, struct err *err)
{
	enum status st;

	sql_table_add_columns(h->table, builtin_schema(BUILTIN_DEADLETTER));
	st = sql_table_add_folder(h->table, h->lake, h->commit, DEADLETTER_FOLDER, err);
	return st == ST_NOT_FOUND ? ST_OK : st;
}

/* ---- the tables ---- */

static const struct columns_of kinds[] = {
	{"commits",
	 fill_commits,
	 7,
	 {"id", "parents", "message", "committer", "time", "generation", "metadata"},
	 {"VARCHAR", "VARCHAR[]", "VARCHAR", "VARCHAR", "TIMESTAMPTZ", "BIGINT",
	  "MAP(VARCHAR, VARCHAR)"}},
	{"checkpoints",
	 fill_checkpoints,
	 10,
	 {"id", "connector", "time", "epoch", "sequence", "previous", "records", "bytes",
	  "deadletters", "lost"},
	 {"VARCHAR", "VARCHAR", "TIMESTAMPTZ", "BIGINT", "BIGINT", "VARCHAR", "BIGINT", "BIGINT",
	  "BIGINT", "JSON"}},
	{"offsets",
	 fill_offsets,
	 7,
	 {"checkpoint", "connector", "time", "topic", "partition", "from_offset", "to_offset"},
	 {"VARCHAR", "VARCHAR", "TIMESTAMPTZ", "VARCHAR", "INTEGER", "BIGINT", "BIGINT"}},
	{"publishes",
	 fill_publishes,
	 8,
	 {"id", "time", "connector", "checkpoint", "epoch", "message", "gates", "forced"},
	 {"VARCHAR", "TIMESTAMPTZ", "VARCHAR", "VARCHAR", "BIGINT", "VARCHAR", "JSON", "VARCHAR"}},
	{"files",
	 fill_files,
	 10,
	 {"path", "size", "checksum", "content_type", "topic", "partition", "first_offset",
	  "records", "schema", "metadata"},
	 {"VARCHAR", "BIGINT", "VARCHAR", "VARCHAR", "VARCHAR", "INTEGER", "BIGINT", "BIGINT",
	  "VARCHAR", "MAP(VARCHAR, VARCHAR)"}},
	{.name = "deadletters", .fill = fill_deadletters},
};

enum status sql_history_add(struct sql_table *t, struct lake *lake, const struct lake_id *commit,
			    const char *name, struct err *err)
{
	AUTO(buf_release) struct buf known = BUF_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct history h = {.table = t, .lake = lake, .commit = commit, .kind = &kinds[i]};
		enum status st;

		buf_addf(&known, "%s" SQL_HISTORY_PREFIX "%s", i ? ", " : "", kinds[i].name);
		if (strcasecmp(name, kinds[i].name) != 0)
			continue;
		st = kinds[i].fill(&h, err);
		if (st == ST_OK && kinds[i].n && (h.lines.len || !h.written))
			st = flush(&h, err);
		buf_release(&h.lines);
		return st;
	}
	return err_set(err, ST_NOT_FOUND, "no table '" SQL_HISTORY_PREFIX "%s'; there are %s", name,
		       buf_str(&known));
}
