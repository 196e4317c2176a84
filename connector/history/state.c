#include "connector/history/state.h"

#include <stdlib.h>
#include <string.h>

#include "connector/history/ingest.h"

#define STATE_MAX_BYTES (4 << 20)
#define WRITE_TRIES 100

static char *state_path(const char *connector, const char *part)
{
	return xasprintf("%s/%s.json", connector, part);
}

enum status state_read(struct lake *lake, const char *connector, const char *part, struct buf *out,
		       struct err *err)
{
	AUTO(freep) char *path = state_path(connector, part);
	struct lake_id head;
	enum status st = lake_ref_get(lake, LAKE_BRANCH, STATE_BRANCH, &head, err);

	return st == ST_OK ? lake_read(lake, &head, path, STATE_MAX_BYTES, out, err) : st;
}

/* The branch's head; made from the lake's first commit where it is missing. */
static enum status state_head(struct lake *lake, const char *target, struct lake_id *out,
			      struct err *err)
{
	struct lake_move move = {.kind = LAKE_BRANCH, .name = STATE_BRANCH};
	enum status st = lake_ref_get(lake, LAKE_BRANCH, STATE_BRANCH, out, err);

	if (st != ST_NOT_FOUND)
		return st;
	st = lake_first_commit(lake, target, &move.to, err);
	if (st == ST_OK)
		st = lake_refs_move(lake, &move, 1, "state of connectors", err);
	if (st == ST_OK)
		st = lake_branch_protect(lake, STATE_BRANCH, "", err);
	if (st == ST_OK || st == ST_CONFLICT)
		st = lake_ref_get(lake, LAKE_BRANCH, STATE_BRANCH, out, err);
	return st;
}

/* Does the head hold exactly this already? */
static bool unchanged(struct lake *lake, const struct lake_id *head, const char *path,
		      const char *json)
{
	AUTO(buf_release) struct buf old = BUF_INIT;
	enum status st = lake_read(lake, head, path, STATE_MAX_BYTES, &old, NULL);

	return json ? st == ST_OK && strcmp(buf_str(&old), json) == 0 : st == ST_NOT_FOUND;
}

static enum status write_once(struct lake *lake, const struct lake_id *head, const char *path,
			      const char *json, struct err *err)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	AUTO(freep) char *message = xasprintf("%s %s", json ? "set" : "remove", path);
	struct lake_id id;
	enum status st = lake_txn_begin(lake, head, &txn, err);

	if (st == ST_OK)
		st = json ? lake_txn_put_bytes(txn, path, json, strlen(json), "application/json",
					       NULL, err)
			  : lake_txn_remove(txn, path, err);
	if (st != ST_OK)
		return st;
	lake_txn_set_message(txn, message);
	return lake_txn_commit(txn, STATE_BRANCH, head, message, &id, err);
}

enum status state_write(struct lake *lake, const char *target, const char *connector,
			const char *part, const char *json, struct err *err)
{
	AUTO(freep) char *path = state_path(connector, part);

	for (int i = 0; i < WRITE_TRIES; i++) {
		struct lake_id head;
		enum status st = state_head(lake, target, &head, err);

		if (st != ST_OK || unchanged(lake, &head, path, json))
			return st;
		st = write_once(lake, &head, path, json, err);
		/* unknown: the next round sees whether it is there */
		if (st != ST_CONFLICT && st != ST_UNKNOWN)
			return st;
	}
	return err_set(err, ST_CONFLICT, "%s kept changing", path);
}

json_t *state_read_json(struct lake *lake, const char *connector, const char *part)
{
	AUTO(buf_release) struct buf text = BUF_INIT;

	return state_read(lake, connector, part, &text, NULL) == ST_OK
		       ? json_loads(buf_str(&text), 0, NULL)
		       : NULL;
}

enum status state_write_json(struct lake *lake, const char *target, const char *connector,
			     const char *part, json_t *value, struct err *err)
{
	AUTO(freep) char *text = json_dumps(value, JSON_COMPACT);
	enum status st = state_write(lake, target, connector, part, text, err);

	json_decref(value);
	return st;
}

enum status state_connectors(struct lake *lake, char ***names_out, size_t *n_out, struct err *err)
{
	AUTO(lake_list_closep) struct lake_list *list = NULL;
	struct lake_entry entry = {0};
	struct lake_id head;
	char **names = NULL;
	size_t n = 0, cap = 0;
	enum status st = lake_ref_get(lake, LAKE_BRANCH, STATE_BRANCH, &head, err);

	*names_out = NULL;
	*n_out = 0;
	if (st == ST_NOT_FOUND)
		return ST_OK;
	if (st == ST_OK)
		st = lake_list_open(lake, &head, "", &list, err);
	while (st == ST_OK && (st = lake_list_next(list, &entry, err)) == ST_OK) {
		const char *slash = strchr(entry.path, '/');

		if (slash && strcmp(slash + 1, STATE_PROPERTIES ".json") == 0) {
			GROW(names, n, cap);
			names[n++] = xstrndup(entry.path, (size_t)(slash - entry.path));
		}
		lake_entry_release(&entry);
	}
	if (st != ST_END) {
		for (size_t i = 0; i < n; i++)
			free(names[i]);
		free(names);
		return st;
	}
	*names_out = names;
	*n_out = n;
	return ST_OK;
}

/* ---- properties ---- */

static enum status each_one(struct lake *lake, const char *connector,
			    enum status (*each)(void *ctx, const char *connector,
						const json_t *properties, struct err *err),
			    void *ctx, struct err *err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	json_t *properties;
	enum status st = state_read(lake, connector, STATE_PROPERTIES, &text, err);

	if (st != ST_OK)
		return st;
	properties = json_loads(buf_str(&text), 0, NULL);
	st = json_is_object(properties)
		     ? each(ctx, connector, properties, err)
		     : err_set(err, ST_DAMAGED,
			       "the properties of connector '%s' on %s are no JSON", connector,
			       STATE_BRANCH);
	json_decref(properties);
	return st;
}

enum status state_each_properties(struct lake *lake, const char *except,
				  enum status (*each)(void *ctx, const char *connector,
						      const json_t *properties, struct err *err),
				  void *ctx, struct err *err)
{
	char **names;
	size_t n;
	enum status st = state_connectors(lake, &names, &n, err);

	if (st != ST_OK)
		return st;
	for (size_t i = 0; i < n; i++) {
		if (st == ST_OK && (!except || strcmp(names[i], except) != 0))
			st = each_one(lake, names[i], each, ctx, err);
		free(names[i]);
	}
	free(names);
	return st;
}
