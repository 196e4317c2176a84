#include "connector/history/publication.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "connector/writer/deadletter_writer.h"
#include "core/base/killpoint.h"

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

void roots_add_documents(struct roots *r, const struct line *line)
{
	roots_add_one(r, xasprintf("_tidemark/%s.", line->connector));
}

void roots_add(struct roots *r, const struct line *line, const struct checkpoint *cp)
{
	roots_add_documents(r, line);
	roots_add_one(r, xasprintf(DEADLETTER_FOLDER "%s/", line->connector));
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

enum status roots_differences(struct lake *lake, const struct roots *r, const struct lake_id *a,
			      const struct lake_id *b, uint64_t limit, uint64_t *n_out,
			      struct err *err)
{
	uint64_t n = 0;
	enum status st = ST_OK;

	for (size_t i = 0; st == ST_OK && n < limit && i < r->n; i++) {
		uint64_t under = 0;

		st = lake_diff_count(lake, a, b, r->items[i], limit - n, &under, err);
		n += under;
	}
	if (st == ST_OK)
		*n_out = n;
	return st;
}

static bool is_folder(const char *root)
{
	return root[strlen(root) - 1] == '/';
}

/* What is under root becomes what `from` has there: folders as a whole; what only begins
 * with the root's text path by path. */
static enum status take_root(struct lake *lake, struct lake_txn *txn, const struct lake_id *dest,
			     const struct lake_id *from, const char *root, bool *any,
			     struct err *err)
{
	AUTO(lake_diff_closep) struct lake_diff *diff = NULL;
	struct lake_diff_entry entry;
	enum status st = lake_diff_open(lake, dest, from, root, &diff, err);

	while (st == ST_OK && (st = lake_diff_next(diff, &entry, err)) == ST_OK) {
		const bool whole = is_folder(root);

		st = lake_txn_graft(txn, from, whole ? root : entry.path, err);
		free(entry.path);
		*any = true;
		if (whole)
			return st;
	}
	return st == ST_END ? ST_OK : st;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum status first_between(struct lake *lake, const struct lake_id *a,
				 const struct lake_id *b, const char *from, const char *until,
				 char **first_out, struct err *err)
{
	AUTO(lake_diff_closep) struct lake_diff *diff = NULL;
	struct lake_diff_entry entry;
	enum status st = lake_diff_open_between(lake, a, b, from, until, &diff, err);

	if (st == ST_OK)
		st = lake_diff_next(diff, &entry, err);
	if (st == ST_OK)
		*first_out = entry.path;
	return st == ST_END ? ST_OK : st;
}

enum status roots_first_outside(struct lake *lake, const struct roots *r, const struct lake_id *a,
				const struct lake_id *b, char **first_out, struct err *err)
{
	AUTO(freep) char **sorted = (char **)xmemdup(r->items, r->n * sizeof(char *));
	AUTO(buf_release) struct buf from = BUF_INIT;
	enum status st = ST_OK;

	*first_out = NULL;
	qsort(sorted, r->n, sizeof(char *), by_text);
	for (size_t i = 0; st == ST_OK && !*first_out && i <= r->n; i++) {
		const char *until = i < r->n ? sorted[i] : NULL;
		AUTO(freep) char *behind = xstrdup(until ? until : "");

		if (!until || strcmp(buf_str(&from), until) < 0)
			st = first_between(lake, a, b, buf_str(&from), until, first_out, err);
		if (until)
			behind[strlen(until) - 1]++; /* all that begins with the root */
		if (strcmp(buf_str(&from), behind) < 0) { /* no root within another */
			buf_clear(&from);
			buf_adds(&from, behind);
		}
	}
	return st;
}

/* ---- the publication commit, and its merge ---- */

uint64_t publication_rollbacks(const struct lake_commit *x)
{
	const char *text = lake_meta_get(&x->meta, META_ROLLBACKS);

	return text ? strtoull(text, NULL, 10) : 0;
}

/* How many were made by rollbacks, with the one that follows `shown`. */
static enum status count_rollbacks(const struct line *line, const struct lake_id *shown,
				   bool rollback, uint64_t *out, struct err *err)
{
	AUTO(lake_commit_release) struct lake_commit x = {0};
	enum status st = lake_commit_read(line->lake, shown, &x, err);

	if (st == ST_OK)
		*out = publication_rollbacks(&x) + rollback;
	return st;
}

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
	uint64_t rollbacks;
	enum status st = count_rollbacks(line, &shown->id, content->records < 0, &rollbacks, err);

	if (st != ST_OK)
		return st;
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
	if (rollbacks) {
		snprintf(number, sizeof(number), "%" PRIu64, rollbacks);
		lake_txn_set_meta(txn, META_ROLLBACKS, number);
	}
	if (content->records >= 0) {
		snprintf(number, sizeof(number), "%" PRId64, content->records);
		lake_txn_set_meta(txn, META_RECORDS, number);
	}
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
			      const char *message, const struct lake_meta *extra,
			      struct lake_id *out, struct err *err)
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
	for (size_t i = 0; extra && i < extra->n; i++)
		lake_meta_set(&meta, extra->items[i].key, extra->items[i].value);
	st = lake_merge_prepare(line->lake, &merge, out, &conflicts, err);
	if (st == ST_CONFLICT)
		return conflicts_held(line, &conflicts, err);
	return st;
}

/* ---- searches along the publication branch ---- */

/* From one rollback to the next. */
struct segment_search {
	const struct line *line;
	uint64_t rollbacks; /* of the segment */
	uint64_t least; /* holds: shows a checkpoint with this sequence, or a later one */
	enum status st; /* of reading that checkpoint's commit */
	struct err err;
};

static bool in_segment(void *ctx, const struct lake_commit *x)
{
	const struct segment_search *s = ctx;

	return lake_meta_get(&x->meta, META_CHECKPOINT) && publication_rollbacks(x) == s->rollbacks;
}

static bool shows_as_late(void *ctx, const struct lake_commit *x)
{
	struct segment_search *s = ctx;
	AUTO(lake_commit_release) struct lake_commit checkpoint = {0};
	const char *sequence;
	struct lake_id id;

	if (!in_segment(ctx, x) || !lake_id_parse(lake_meta_get(&x->meta, META_CHECKPOINT), &id))
		return false; /* before it, or it shows nothing */
	if (s->st == ST_OK)
		s->st = lake_commit_read(s->line->lake, &id, &checkpoint, &s->err);
	if (s->st != ST_OK)
		return false;
	sequence = lake_meta_get(&checkpoint.meta, META_SEQUENCE);
	return sequence && strtoull(sequence, NULL, 10) >= s->least;
}

/* ST_OK and *out none: not in this segment; *at is the end of the one before it then, none
 * where there is none. */
static enum status find_in_segment(struct segment_search *s, const struct lake_id *checkpoint,
				   struct lake_id *at, struct lake_id *out, struct err *err)
{
	AUTO(lake_commit_release) struct lake_commit x = {0};
	AUTO(lake_commit_release) struct lake_commit first = {0};
	struct lake_id id;
	enum status st = lake_log_search(s->line->lake, at, shows_as_late, s, &x, err);

	if (s->st != ST_OK) {
		if (err)
			*err = s->err;
		return s->st;
	}
	if (st == ST_OK && lake_id_parse(lake_meta_get(&x.meta, META_CHECKPOINT), &id) &&
	    lake_id_equal(&id, checkpoint)) {
		*out = x.id;
		return ST_OK;
	}
	if (st == ST_OK || st == ST_NOT_FOUND)
		st = lake_log_search(s->line->lake, at, in_segment, s, &first, err);
	if (st == ST_OK)
		*at = first.n_parents ? first.parents[0] : (struct lake_id){{0}};
	return st;
}

enum status publication_find(const struct line *line, const struct lake_id *shown,
			     const struct lake_id *checkpoint, struct lake_id *out,
			     uint64_t *sequence_out, struct err *err)
{
	AUTO(checkpoint_release) struct checkpoint wanted = {0};
	struct lake_id at = *shown, found = {{0}};
	struct cursor cursor;
	enum status st = checkpoint_read(line->lake, checkpoint, &wanted, err);

	while (st == ST_OK && lake_id_is_none(&found)) {
		AUTO(lake_commit_release) struct lake_commit x = {0};
		struct segment_search search = {.line = line, .least = wanted.sequence};

		if (lake_id_is_none(&at))
			return err_set(err, ST_NOT_FOUND, "it was never shown");
		st = lake_commit_read(line->lake, &at, &x, err);
		if (st == ST_OK && !lake_meta_get(&x.meta, META_CHECKPOINT))
			return err_set(err, ST_NOT_FOUND, "it was never shown");
		search.rollbacks = publication_rollbacks(&x);
		if (st == ST_OK)
			st = find_in_segment(&search, checkpoint, &at, &found, err);
	}
	if (st == ST_OK)
		st = cursor_read(line->lake, &found, line->connector, &cursor, err);
	if (st != ST_OK)
		return st;
	*out = found;
	*sequence_out = cursor.sequence;
	return ST_OK;
}

enum status publication_rows(const struct line *line, const struct lake_id *shown, size_t most,
			     uint64_t *rows_out, size_t *n_out, struct err *err)
{
	struct lake_id at = *shown;

	*n_out = 0;
	while (*n_out < most) {
		AUTO(lake_commit_release) struct lake_commit x = {0};
		enum status st = lake_commit_read(line->lake, &at, &x, err);
		const char *rows;

		if (st != ST_OK)
			return st;
		if (!lake_meta_get(&x.meta, META_CHECKPOINT) || x.n_parents == 0)
			return ST_OK;
		rows = lake_meta_get(&x.meta, META_RECORDS);
		if (rows)
			rows_out[(*n_out)++] = strtoull(rows, NULL, 10);
		at = x.parents[0];
	}
	return ST_OK;
}

enum status publication_look(const struct line *line, const struct lake_id *x, struct err *err)
{
	struct lake_id now;
	bool there = false;
	enum status st = lake_ref_get(line->lake, LAKE_BRANCH, line->published, &now, err);

	if (st == ST_OK)
		st = lake_is_ancestor(line->lake, x, &now, &there, err);
	if (st != ST_OK || there)
		return st;
	return err_set(err, ST_CONFLICT, "it did not happen; %s has not moved", line->target);
}

struct holder_search {
	const struct line *line;
	uint64_t sequence;
};

static bool holds_publication(void *ctx, const struct lake_commit *commit)
{
	const struct holder_search *s = ctx;
	struct cursor cursor;

	return cursor_read(s->line->lake, &commit->id, s->line->connector, &cursor, NULL) ==
		       ST_OK &&
	       cursor.published && cursor.sequence >= s->sequence;
}

enum status publication_on_target(const struct line *line, const struct lake_id *target,
				  uint64_t sequence, struct lake_commit *out, struct err *err)
{
	struct holder_search search = {line, sequence};

	return lake_log_search(line->lake, target, holds_publication, &search, out, err);
}

/* Is there a file where a root has a folder? */
static enum status is_clash(struct lake *lake, const struct lake_id *dest, const char *root,
			    bool *out, struct err *err)
{
	AUTO(freep) char *path = xstrdup(root);

	*out = false;
	for (char *slash = strrchr(path, '/'); slash && !*out; slash = strrchr(path, '/')) {
		AUTO(lake_entry_release) struct lake_entry entry = {0};
		enum status st;

		*slash = '\0';
		st = lake_stat(lake, dest, path, &entry, err);
		if (st != ST_OK && st != ST_NOT_FOUND)
			return st;
		*out = st == ST_OK;
	}
	return ST_OK;
}

static enum status graft_root(const struct line *line, struct lake_txn *txn,
			      const struct lake_id *dest, const struct lake_id *x, const char *root,
			      bool *clash, struct err *err)
{
	bool any = false;
	enum status st = is_clash(line->lake, dest, root, clash, err);

	if (st != ST_OK || *clash)
		return st;
	return take_root(line->lake, txn, dest, x, root, &any, err);
}

enum status publication_join(const struct line *line, const struct roots *roots,
			     const struct lake_id *x, const struct lake_id *dest,
			     const struct cursor *own, const char *message, struct lake_id *out,
			     struct err *err)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	AUTO(lake_meta_release) struct lake_meta meta = LAKE_META_INIT;
	const struct lake_id parents[2] = {*dest, *x};
	bool clash = false;
	enum status st = published_map(line, dest, own, &meta, err);

	if (st == ST_OK)
		st = lake_txn_begin(line->lake, dest, &txn, err);
	for (size_t i = 0; st == ST_OK && !clash && i < roots->n; i++)
		st = graft_root(line, txn, dest, x, roots->items[i], &clash, err);
	if (st != ST_OK)
		return st;
	if (clash) /* which a merge names */
		return publication_merge(line, x, dest, own, message, NULL, out, err);
	lake_txn_parents(txn, parents, 2);
	lake_txn_set_meta(txn, META_VERSION, TIDEMARK_VERSION);
	for (size_t i = 0; i < meta.n; i++)
		lake_txn_set_meta(txn, meta.items[i].key, meta.items[i].value);
	lake_txn_set_message(txn, message);
	return lake_txn_prepare(txn, out, err);
}

enum status publication_restore(const struct line *line, const struct roots *roots,
				const struct lake_id *shown, struct lake_id *dest, struct err *err)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	bool any = false;
	enum status st = lake_txn_begin(line->lake, dest, &txn, err);

	for (size_t i = 0; st == ST_OK && i < roots->n; i++)
		st = take_root(line->lake, txn, dest, shown, roots->items[i], &any, err);
	if (st != ST_OK || !any)
		return st;
	lake_txn_set_message(txn, "put back what was changed by hand");
	return lake_txn_prepare(txn, dest, err);
}
