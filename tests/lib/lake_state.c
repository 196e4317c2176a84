#include "tests/lib/lake_state.h"

#include <stdlib.h>
#include <string.h>

#include "core/model/hash.h"

static void add_id(struct buf *out, const struct lake_id *id)
{
	char hex[LAKE_ID_HEX_BYTES];

	lake_id_hex(id, hex);
	buf_adds(out, hex);
}

static enum status add_object(struct lake *lake, const struct lake_id *id,
			      const struct lake_entry *e, struct buf *out, struct err *err)
{
	AUTO(buf_release) struct buf data = BUF_INIT;
	struct hash sum;
	char hex[65];
	enum status st = lake_read(lake, id, e->path, 1u << 30, &data, err);

	if (st != ST_OK)
		return st;
	hash_of(buf_str(&data), data.len, &sum);
	hash_hex(&sum, hex);
	buf_addf(out, "    %s %s %zu %s\n", e->path, hex, data.len, e->content_type);
	for (size_t i = 0; i < e->meta.n; i++)
		buf_addf(out, "      %s=%s\n", e->meta.items[i].key, e->meta.items[i].value);
	return ST_OK;
}

static enum status add_tree(struct lake *lake, const struct lake_id *id, struct buf *out,
			    struct err *err)
{
	AUTO(lake_list_closep) struct lake_list *list = NULL;
	enum status st = lake_list_open(lake, id, "", &list, err);

	while (st == ST_OK) {
		struct lake_entry e;

		st = lake_list_next(list, &e, err);
		if (st != ST_OK)
			break;
		st = add_object(lake, id, &e, out, err);
		lake_entry_release(&e);
	}
	return st == ST_END ? ST_OK : st;
}

static enum status add_branch(struct lake *lake, const char *name, struct buf *out, struct err *err)
{
	AUTO(lake_changes_release) struct lake_changes changes = {.items = NULL};
	AUTO(freep) char *by = NULL;
	bool is_protected = false;
	enum status st = lake_branch_protection(lake, name, &is_protected, &by, err);

	if (st == ST_OK)
		st = lake_stage_changes(lake, name, &changes, err);
	if (st != ST_OK)
		return st;
	if (is_protected)
		buf_addf(out, "  protected by '%s'\n", by);
	for (size_t i = 0; i < changes.n; i++)
		buf_addf(out, "  staged %s %s\n", lake_change_name(changes.items[i].change),
			 changes.items[i].path);
	return ST_OK;
}

static enum status add_refs(struct lake *lake, enum lake_ref_kind kind, struct buf *out,
			    struct err *err)
{
	AUTO(lake_refs_release) struct lake_refs refs = {.items = NULL};
	enum status st = lake_refs_list(lake, kind, &refs, err);

	for (size_t i = 0; st == ST_OK && i < refs.n; i++) {
		buf_addf(out, "%s %s ", kind == LAKE_BRANCH ? "branch" : "tag", refs.items[i].name);
		add_id(out, &refs.items[i].id);
		buf_addc(out, '\n');
		if (kind == LAKE_BRANCH)
			st = add_branch(lake, refs.items[i].name, out, err);
		if (st == ST_OK)
			st = add_tree(lake, &refs.items[i].id, out, err);
	}
	return st;
}

enum status lake_state(struct lake *lake, struct buf *out, struct err *err)
{
	AUTO(lake_reflog_release) struct lake_reflog log = {.items = NULL};
	enum status st = add_refs(lake, LAKE_BRANCH, out, err);

	if (st == ST_OK)
		st = add_refs(lake, LAKE_TAG, out, err);
	if (st == ST_OK)
		st = lake_reflog_read(lake, NULL, 0, &log, err);
	for (size_t i = 0; st == ST_OK && i < log.n; i++) {
		buf_addf(out, "moved %s ", log.items[i].name);
		add_id(out, &log.items[i].from);
		buf_addc(out, ' ');
		add_id(out, &log.items[i].to);
		buf_addf(out, " %s\n", log.items[i].reason);
	}
	return st;
}
