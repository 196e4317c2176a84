#include "connector/history/publication.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/killpoint.h"

/* Tries against a target that others keep moving. */
#define APPLY_TRIES 100

enum status shown_read(const struct line *line, struct shown *out, struct err *err)
{
	struct cursor cursor;
	struct shown shown = {0};
	enum status st = lake_ref_get(line->lake, LAKE_BRANCH, line->published, &shown.id, err);

	if (st != ST_OK)
		return st;
	st = cursor_read(line->lake, &shown.id, line->connector, &cursor, err);
	if (st == ST_OK) {
		shown.sequence = cursor.sequence;
		shown.epoch = cursor.epoch;
		shown.checkpoint = cursor.checkpoint;
	} else if (st != ST_NOT_FOUND) {
		return st;
	}
	*out = shown;
	return ST_OK;
}

/* ---- roots ---- */

void roots_release(struct roots *r)
{
	for (size_t i = 0; i < r->n; i++)
		free(r->items[i]);
	free(r->items);
	*r = (struct roots){0};
}

static void roots_add_one(struct roots *r, char *prefix)
{
	for (size_t i = 0; i < r->n; i++) {
		if (strcmp(r->items[i], prefix) == 0) {
			free(prefix);
			return;
		}
	}
	GROW(r->items, r->n, r->cap);
	r->items[r->n++] = prefix;
}

void roots_add(struct roots *r, const struct line *line, const struct checkpoint *cp)
{
	roots_add_one(r, xasprintf("_tidemark/%s.", line->connector));
	roots_add_one(r, xasprintf("_deadletters/%s/", line->connector));
	for (size_t i = 0; cp && i < cp->topics.n; i++)
		roots_add_one(r, xasprintf("%s/%s/", line->path_prefix, cp->topics.items[i].name));
}

bool roots_hold(const struct roots *r, const char *path)
{
	for (size_t i = 0; i < r->n; i++)
		if (strncmp(path, r->items[i], strlen(r->items[i])) == 0)
			return true;
	return false;
}

static enum status count_under(struct lake *lake, const char *prefix, const struct roots *outside,
			       const struct lake_id *a, const struct lake_id *b, size_t limit,
			       size_t *n, char **first, struct err *err)
{
	AUTO(lake_diff_closep) struct lake_diff *diff = NULL;
	struct lake_diff_entry entry = {0};
	enum status st = lake_diff_open(lake, a, b, prefix, &diff, err);

	while (st == ST_OK && *n < limit && (st = lake_diff_next(diff, &entry, err)) == ST_OK) {
		if (outside && roots_hold(outside, entry.path)) {
			free(entry.path);
			continue;
		}
		if ((*n)++ == 0)
			*first = MOVE(entry.path);
		free(entry.path);
	}
	return st == ST_END ? ST_OK : st;
}

enum status roots_differences(struct lake *lake, const struct roots *r, bool inside,
			      const struct lake_id *a, const struct lake_id *b, size_t limit,
			      size_t *n_out, char **first_out, struct err *err)
{
	AUTO(freep) char *first = NULL;
	size_t n = 0;
	enum status st = ST_OK;

	if (!inside)
		st = count_under(lake, "", r, a, b, limit, &n, &first, err);
	for (size_t i = 0; inside && st == ST_OK && n < limit && i < r->n; i++)
		st = count_under(lake, r->items[i], NULL, a, b, limit, &n, &first, err);
	if (st != ST_OK)
		return st;
	*n_out = n;
	*first_out = first ? MOVE(first) : xstrdup("");
	return ST_OK;
}

/* ---- the publication commit, and its merge ---- */

enum status publication_make(const struct line *line, const struct shown *shown,
			     const struct publication_content *content, struct lake_id *out,
			     struct err *err)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	AUTO(buf_release) struct buf offsets = BUF_INIT;
	struct cursor cursor = {
		.epoch = content->epoch,
		.sequence = shown->sequence + 1,
		.published = true,
		.checkpoint = content->checkpoint,
	};
	struct lake_id parents[2] = {shown->id, content->tree};
	char hex[LAKE_ID_HEX_BYTES] = "", number[24];
	enum status st;

	batch_id_new(line->rng, cursor.batch);
	st = lake_txn_begin(line->lake, &content->tree, &txn, err);
	if (st != ST_OK)
		return st;
	lake_txn_parents(txn, parents, lake_id_equal(&parents[0], &parents[1]) ? 1 : 2);
	if (!lake_id_is_none(&content->checkpoint))
		lake_id_hex(&content->checkpoint, hex);
	offsets_to_json(content->offsets, &offsets);
	lake_txn_set_meta(txn, META_CONNECTOR, line->connector);
	lake_txn_set_meta(txn, META_VERSION, TIDEMARK_VERSION);
	lake_txn_set_meta(txn, META_CHECKPOINT, hex);
	snprintf(number, sizeof(number), "%" PRIu64, content->epoch);
	lake_txn_set_meta(txn, META_EPOCH, number);
	snprintf(number, sizeof(number), "%" PRIu64, cursor.sequence);
	lake_txn_set_meta(txn, META_SEQUENCE, number);
	if (offsets.len <= 64 << 10)
		lake_txn_set_meta(txn, META_OFFSETS, buf_str(&offsets));
	lake_txn_set_message(txn, content->message);
	st = cursor_put(txn, line->connector, &cursor, content->offsets, err);
	if (st == ST_OK)
		st = lake_txn_prepare(txn, out, err);
	KILL_POINT("publication.made");
	return st;
}

/* {connector: {checkpoint, epoch}} of what dest holds, this connector's replaced. */
static enum status published_map(const struct line *line, const struct lake_id *dest,
				 const struct cursor *own, struct lake_meta *meta, struct err *err)
{
	AUTO(lake_list_closep) struct lake_list *list = NULL;
	struct lake_entry entry = {0};
	json_t *root = json_object();
	char hex[LAKE_ID_HEX_BYTES], *text;
	enum status st = lake_list_open(line->lake, dest, "_tidemark/", &list, err);

	while (st == ST_OK && (st = lake_list_next(list, &entry, err)) == ST_OK) {
		const char *base = entry.path + strlen("_tidemark/");
		size_t len = strcspn(base, ".");
		AUTO(freep) char *name = xstrndup(base, len);
		struct cursor cursor;

		if (strcmp(base + len, ".json") == 0 && strcmp(name, line->connector) != 0 &&
		    cursor_read(line->lake, dest, name, &cursor, NULL) == ST_OK) {
			lake_id_hex(&cursor.checkpoint, hex);
			json_object_set_new(root, name,
					    json_pack("{s:s,s:I}", "checkpoint", hex, "epoch",
						      (json_int_t)cursor.epoch));
		}
		lake_entry_release(&entry);
	}
	if (st == ST_END) {
		lake_id_hex(&own->checkpoint, hex);
		json_object_set_new(root, line->connector,
				    json_pack("{s:s,s:I}", "checkpoint",
					      lake_id_is_none(&own->checkpoint) ? "" : hex, "epoch",
					      (json_int_t)own->epoch));
		text = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
		lake_meta_set(meta, META_PUBLISHED, text);
		free(text);
		st = ST_OK;
	}
	json_decref(root);
	return st;
}

static enum status conflicts_held(const struct line *line, const struct lake_conflicts *conflicts,
				  struct err *err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;

	for (size_t i = 0; i < conflicts->n && i < 3; i++)
		buf_addf(&text, "%s%s", i ? ", " : "", conflicts->paths[i]);
	if (conflicts->n > 3)
		buf_addf(&text, " and %zu more", conflicts->n - 3);
	return err_set(err, ST_HELD, "conflict with %s: %s", line->target, buf_str(&text));
}

enum status publication_merge(const struct line *line, const struct lake_id *x,
			      const struct lake_id *dest, const struct cursor *own,
			      const char *message, struct lake_id *out, struct err *err)
{
	AUTO(lake_conflicts_release) struct lake_conflicts conflicts = {0};
	AUTO(lake_meta_release) struct lake_meta meta = LAKE_META_INIT;
	struct lake_merge merge = {
		.source = *x,
		.dest = *dest,
		.message = message,
		.meta = &meta,
		.allow_empty = true,
	};
	enum status st = published_map(line, dest, own, &meta, err);

	if (st != ST_OK)
		return st;
	lake_meta_set(&meta, META_VERSION, TIDEMARK_VERSION);
	st = lake_merge_prepare(line->lake, &merge, out, &conflicts, err);
	if (st == ST_CONFLICT)
		return conflicts_held(line, &conflicts, err);
	return st;
}

/* ---- publish ---- */

struct attempt {
	const struct line *line;
	struct checkpoint checkpoint;
	struct shown shown;
	struct roots roots;
	struct lake_id x;
	struct lake_id target; /* the head that was merged onto */
	struct lake_id merged;
	char *message;
};

static void attempt_release(struct attempt *a)
{
	checkpoint_release(&a->checkpoint);
	roots_release(&a->roots);
	free(a->message);
}

/* Is everything of this connector on the target as it was shown? */
static enum status check_by_hand(const struct attempt *a, const struct lake_id *target,
				 struct err *err)
{
	AUTO(freep) char *first = NULL;
	size_t n;
	enum status st = roots_differences(a->line->lake, &a->roots, true, &a->shown.id, target,
					   1000, &n, &first, err);

	if (st != ST_OK || n == 0)
		return st;
	return err_set(
		err, ST_HELD,
		"%s was changed by hand: %s%s; put it back with `tidemark rollback %s --to %s`, or "
		"undo the change",
		a->line->target, first, n > 1 ? " and others" : "", a->line->connector,
		a->line->branch);
}

static enum status read_line(struct attempt *a, struct err *err)
{
	const struct line *line = a->line;
	struct lake_id head;
	enum status st = lake_ref_get(line->lake, LAKE_BRANCH, line->branch, &head, err);

	if (st == ST_OK)
		st = checkpoint_read(line->lake, &head, &a->checkpoint, err);
	if (st == ST_OK)
		st = shown_read(line, &a->shown, err);
	if (st != ST_OK)
		return st;
	if (lake_id_equal(&a->shown.checkpoint, &head))
		return err_set(err, ST_EMPTY, "%s shows the newest checkpoint already",
			       line->target);
	roots_add(&a->roots, line, &a->checkpoint);
	if (!lake_id_is_none(&a->shown.checkpoint)) {
		AUTO(checkpoint_release) struct checkpoint old = {0};

		st = checkpoint_read(line->lake, &a->shown.checkpoint, &old, err);
		if (st == ST_OK)
			roots_add(&a->roots, line, &old);
	}
	return st;
}

static enum status merge_onto(struct attempt *a, const struct lake_id *target, struct err *err)
{
	struct cursor own = {
		.epoch = a->checkpoint.epoch,
		.checkpoint = a->checkpoint.id,
	};
	enum status st =
		publication_merge(a->line, &a->x, target, &own, a->message, &a->merged, err);

	if (st == ST_OK)
		a->target = *target;
	return st;
}

static enum status prepare(struct attempt *a, struct err *err)
{
	const struct line *line = a->line;
	struct publication_content content = {0};
	char hex[LAKE_ID_SHORT_BYTES];
	struct lake_id target;
	enum status st = read_line(a, err);

	if (st != ST_OK)
		return st;
	lake_id_short(&a->checkpoint.id, hex);
	a->message = xasprintf("publish %s: checkpoint %s", line->connector, hex);
	content = (struct publication_content){
		.tree = a->checkpoint.id,
		.checkpoint = a->checkpoint.id,
		.epoch = a->checkpoint.epoch,
		.offsets = &a->checkpoint.offsets,
		.message = a->message,
	};
	st = lake_ref_get(line->lake, LAKE_BRANCH, line->target, &target, err);
	if (st == ST_OK)
		st = check_by_hand(a, &target, err);
	if (st == ST_OK)
		st = publication_make(line, &a->shown, &content, &a->x, err);
	return st == ST_OK ? merge_onto(a, &target, err) : st;
}

/* The target moved under us. Outside this connector's paths: merge again, and
 * the gates' verdict stands. */
static enum status follow_target(struct attempt *a, struct err *err)
{
	const struct line *line = a->line;
	struct shown now;
	struct lake_id target;
	enum status st = shown_read(line, &now, err);

	if (st == ST_OK)
		st = lake_ref_get(line->lake, LAKE_BRANCH, line->target, &target, err);
	if (st != ST_OK)
		return st;
	if (!lake_id_equal(&now.id, &a->shown.id))
		return err_set(
			err, ST_CONFLICT,
			"a rollback or another publish of %s came first; nothing was published",
			line->connector);
	st = check_by_hand(a, &target, err);
	return st == ST_OK ? merge_onto(a, &target, err) : st;
}

static enum status apply(struct attempt *a, struct err *err)
{
	for (int i = 0; i < APPLY_TRIES; i++) {
		const struct lake_move moves[] = {
			{LAKE_BRANCH, a->line->published, a->shown.id, a->x},
			{LAKE_BRANCH, a->line->target, a->target, a->merged},
		};
		struct lake_id now;
		enum status st;

		KILL_POINT("publish.before_move");
		st = lake_refs_move(a->line->lake, moves, ARRAY_SIZE(moves), a->message, err);
		KILL_POINT("publish.after_move");
		if (st == ST_UNKNOWN) {
			st = lake_ref_get(a->line->lake, LAKE_BRANCH, a->line->published, &now,
					  err);
			if (st == ST_OK && lake_id_equal(&now, &a->x))
				return ST_OK;
			if (st == ST_OK)
				st = ST_CONFLICT;
		}
		if (st != ST_CONFLICT)
			return st;
		st = follow_target(a, err);
		if (st != ST_OK)
			return st;
	}
	return err_set(err, ST_CONFLICT, "%s kept moving; nothing was published", a->line->target);
}

enum status publish(const struct line *line, publish_judge judge, void *ctx, bool dry_run,
		    struct publish_result *out, struct err *err)
{
	AUTO(attempt_release) struct attempt a = {.line = line};
	enum status st = prepare(&a, err);

	if (st == ST_OK && judge)
		st = judge(ctx, &a.merged, &a.target, err);
	if (st == ST_OK && !dry_run)
		st = apply(&a, err);
	if (st != ST_OK)
		return st;
	*out = (struct publish_result){
		.checkpoint = a.checkpoint.id,
		.merged = a.merged,
		.records = a.checkpoint.records,
	};
	return ST_OK;
}
