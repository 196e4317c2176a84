#include "connector/history/verify.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connector/history/checkpoint.h"
#include "connector/history/verify_files.h"

#define CURSOR_MAX_BYTES (64u << 20)

static const char remedy[] = "`tidemark rollback CONNECTOR --to` a checkpoint before it";

struct verify {
	struct lake *lake;
	struct lake_fsck_report *report;
	const char *branch;
};

static void found(const struct verify *v, const struct lake_id *id, const char *fmt, ...)
	PRINTF_LIKE(3, 4);
static void found(const struct verify *v, const struct lake_id *id, const char *fmt, ...)
{
	struct err text = ERR_INIT;
	char hex[LAKE_ID_SHORT_BYTES];
	struct lake_finding *f;
	va_list args;

	va_start(args, fmt);
	err_setv(&text, ST_DAMAGED, fmt, args);
	va_end(args);
	lake_id_short(id, hex);
	f = lake_fsck_add(v->report, true, "chain", hex, remedy, "%s", text.text);
	if (!f)
		return;
	lake_names_add(&f->refs, v->branch);
	lake_names_add(&f->commits, hex);
}

/* ---- the account of offsets ---- */

static uint32_t generation_of(const struct checkpoint *cp, const char *topic)
{
	const struct topic_state *state = topic_states_find(&cp->topics, topic);

	return state ? state->generation : 0;
}

static const struct loss *find_loss(const struct losses *lost, const char *topic, int32_t partition)
{
	for (size_t i = 0; i < lost->n; i++)
		if (lost->items[i].partition == partition &&
		    strcmp(lost->items[i].topic, topic) == 0)
			return &lost->items[i];
	return NULL;
}

/* One partition, which stood at `from` in the checkpoint before. */
static void verify_partition(const struct verify *v, const struct checkpoint *cp,
			     const struct checkpoint_account *a, const struct offset_item *item,
			     int64_t from)
{
	const struct range *range = ranges_find(&a->ranges, item->topic, item->partition);
	const struct loss *loss = find_loss(&a->lost, item->topic, item->partition);
	int64_t to = item->value;

	if (from == to) {
		if ((loss && !a->cut) || (range && range->from != range->to))
			found(v, &cp->id, "%s:%d has a range or a loss, and stays at %" PRId64,
			      item->topic, item->partition, from);
		return;
	}
	if (loss ? loss->from == from && loss->to == to
		 : range && range->from == from && range->to == to)
		return;
	found(v, &cp->id,
	      "%s:%d goes from %" PRId64 " to %" PRId64 ", and neither its range nor a recorded "
	      "loss says so",
	      item->topic, item->partition, from, to);
}

/* A partition that is no more: its topic was created anew. */
static void verify_vanished(const struct verify *v, const struct checkpoint *old,
			    const struct checkpoint *cp, const struct checkpoint_account *a)
{
	for (size_t i = 0; i < old->offsets.n; i++) {
		const struct offset_item *item = &old->offsets.items[i];
		const struct loss *loss = find_loss(&a->lost, item->topic, item->partition);

		if (offsets_get(&cp->offsets, item->topic, item->partition) >= 0)
			continue;
		if (generation_of(cp, item->topic) != generation_of(old, item->topic) + 1 ||
		    !loss || loss->from != item->value || loss->to != -1)
			found(v, &cp->id, "%s:%d has vanished, and no recorded loss says so",
			      item->topic, item->partition);
	}
}

static void verify_step(const struct verify *v, const struct checkpoint *old,
			const struct checkpoint *cp, const struct checkpoint_account *a)
{
	for (size_t i = 0; i < cp->offsets.n; i++) {
		const struct offset_item *item = &cp->offsets.items[i];
		int64_t from = -1;

		if (generation_of(old, item->topic) == generation_of(cp, item->topic))
			from = offsets_get(&old->offsets, item->topic, item->partition);
		if (from >= 0)
			verify_partition(v, cp, a, item, from);
	}
	verify_vanished(v, old, cp, a);
	if (cp->epoch < old->epoch || cp->sequence <= old->sequence)
		found(v, &cp->id, "its epoch or sequence goes back");
	if (strcmp(cp->connector, old->connector) != 0)
		found(v, &cp->id, "it continues a checkpoint of '%s'", old->connector);
}

/* ---- the cursor ---- */

static enum status read_cursor(const struct verify *v, const struct lake_id *id,
			       const char *connector, struct cursor *cursor,
			       struct offsets *offsets, struct err *err)
{
	AUTO(freep) char *path = cursor_path(connector);
	AUTO(freep) char *text = NULL;
	AUTO(buf_release) struct buf json = BUF_INIT;
	json_t *root;
	enum status st = cursor_read(v->lake, id, connector, cursor, err);

	if (st == ST_OK)
		st = lake_read(v->lake, id, path, CURSOR_MAX_BYTES, &json, err);
	if (st != ST_OK)
		return st;
	root = json_loads(buf_str(&json), 0, NULL);
	text = json_dumps(json_object_get(root, "offsets"), JSON_COMPACT);
	json_decref(root);
	return offsets_from_json(text ? text : "", offsets, err);
}

static void verify_cursor(const struct verify *v, const struct checkpoint *cp)
{
	AUTO(offsets_release) struct offsets offsets = OFFSETS_INIT;
	struct err err = ERR_INIT;
	struct cursor cursor;
	enum status st = read_cursor(v, &cp->id, cp->connector, &cursor, &offsets, &err);

	if (st == ST_EXPIRED)
		return;
	if (st == ST_NOT_FOUND)
		found(v, &cp->id, "has no cursor: %s", err.text);
	else if (st != ST_OK)
		found(v, &cp->id, "its cursor cannot be read: %s", err.text);
	else if (cursor.published || cursor.epoch != cp->epoch || cursor.sequence != cp->sequence ||
		 strcmp(cursor.batch, cp->batch) != 0 || !offsets_equal(&offsets, &cp->offsets))
		found(v, &cp->id, "its cursor says something else than its metadata");
}

/* ---- ingest ---- */

static void verify_checkpoint(const struct verify *v, const struct checkpoint *old,
			      const struct checkpoint *cp)
{
	AUTO(checkpoint_account_release) struct checkpoint_account a = {.records = 0};
	struct err err = ERR_INIT;
	char why[ERR_TEXT_BYTES] = "";

	enum status st = checkpoint_account_read(v->lake, &cp->id, &a, &err);

	v->report->checkpoints++;
	verify_cursor(v, cp);
	if (st == ST_EXPIRED)
		return; /* a document that was an object */
	if (st != ST_OK) {
		found(v, &cp->id, "its documents cannot be read: %s", err.text);
		return;
	}
	if (!old)
		return;
	verify_step(v, old, cp, &a);
	if (!verify_added_files(v->lake, old, cp, &a, why, sizeof(why)))
		found(v, &cp->id, "%s", why);
}

static void verify_ingest(const struct verify *v, const struct lake_id *head)
{
	AUTO(checkpoint_release) struct checkpoint cp = {0};
	struct err err = ERR_INIT;
	char why[ERR_TEXT_BYTES] = "";

	if (checkpoint_read(v->lake, head, &cp, &err) != ST_OK) {
		found(v, head, "the checkpoint cannot be read: %s", err.text);
		return;
	}
	if (!verify_head_files(v->lake, head, why, sizeof(why)))
		found(v, head, "%s", why);
	for (;;) {
		AUTO(checkpoint_release) struct checkpoint old = {0};
		bool first = lake_id_is_none(&cp.previous);
		enum status st = first ? ST_OK : checkpoint_read(v->lake, &cp.previous, &old, &err);

		if (st == ST_EXPIRED)
			return; /* history that was freed on purpose ends the line */
		if (st != ST_OK) {
			found(v, &cp.id, "what it continues cannot be read: %s", err.text);
			return;
		}
		verify_checkpoint(v, first ? NULL : &old, &cp);
		if (first)
			return;
		checkpoint_release(&cp);
		cp = old;
		old = (struct checkpoint){0};
	}
}

/* ---- publications ---- */

/* Nothing but the cursor may differ between a publication and what it shows. */
static void verify_shown(const struct verify *v, const struct lake_commit *x, const char *connector,
			 const struct lake_id *checkpoint)
{
	AUTO(lake_diff_closep) struct lake_diff *diff = NULL;
	AUTO(freep) char *own = cursor_path(connector);
	struct lake_diff_entry entry = {.path = NULL};
	struct err err = ERR_INIT;
	enum status st = lake_diff_open(v->lake, checkpoint, &x->id, "", &diff, &err);

	while (st == ST_OK && (st = lake_diff_next(diff, &entry, &err)) == ST_OK) {
		AUTO(freep) char *path = entry.path;

		if (strcmp(path, own) == 0)
			continue;
		found(v, &x->id, "%s is not as in the checkpoint that it shows", path);
		return;
	}
	if (st != ST_END)
		found(v, &x->id, "what it shows cannot be compared: %s", err.text);
}

/* sequence: that the cursor must have, 0: any. */
static void verify_publication(const struct verify *v, const struct lake_commit *x,
			       const char *connector, uint64_t sequence, uint64_t *sequence_out)
{
	const char *shows = lake_meta_get(&x->meta, META_CHECKPOINT);
	const char *epoch = lake_meta_get(&x->meta, META_EPOCH);
	AUTO(offsets_release) struct offsets offsets = OFFSETS_INIT;
	AUTO(offsets_release) struct offsets stated = OFFSETS_INIT;
	struct lake_id checkpoint = {{0}};
	struct err err = ERR_INIT;
	struct cursor cursor;
	enum status st = read_cursor(v, &x->id, connector, &cursor, &offsets, &err);

	if (st == ST_OK && lake_meta_get(&x->meta, META_OFFSETS))
		st = checkpoint_offsets(v->lake, x, &stated, &err);
	else if (st == ST_OK)
		offsets_copy(&stated, &offsets); /* too large for metadata */
	if (st == ST_OK)
		*sequence_out = cursor.sequence;
	if (st == ST_EXPIRED)
		return;
	if (shows[0] && !lake_id_parse(shows, &checkpoint))
		found(v, &x->id, "%s=%s is no commit's id", META_CHECKPOINT, shows);
	else if (st != ST_OK)
		found(v, &x->id, "its cursor cannot be read: %s", err.text);
	else if (!lake_id_equal(&cursor.checkpoint, &checkpoint) || !epoch ||
		 strtoull(epoch, NULL, 10) != cursor.epoch || !offsets_equal(&offsets, &stated))
		found(v, &x->id, "its cursor says something else than its metadata");
	else if (sequence && cursor.sequence != sequence)
		found(v, &x->id, "publication %" PRIu64 " is missing behind it", sequence);
	else if (!lake_id_is_none(&checkpoint))
		verify_shown(v, x, connector, &checkpoint);
}

static void verify_publications(const struct verify *v, const struct lake_id *head,
				const char *connector)
{
	struct lake_id at = *head;
	uint64_t sequence = 0;

	for (;;) {
		AUTO(lake_commit_release) struct lake_commit x = {.n_parents = 0};
		struct err err = ERR_INIT;
		uint64_t found_sequence = 0;

		if (lake_commit_read(v->lake, &at, &x, &err) != ST_OK) {
			found(v, &at, "the publication cannot be read: %s", err.text);
			return;
		}
		if (!lake_meta_get(&x.meta, META_CHECKPOINT))
			return; /* X(0), the lake's first commit */
		verify_publication(v, &x, connector, sequence, &found_sequence);
		if (x.n_parents == 0)
			return;
		sequence = found_sequence > 1 ? found_sequence - 1 : 0;
		at = x.parents[0];
	}
}

/* ---- all branches ---- */

static void verify_branch(struct verify *v, const struct lake_ref *ref)
{
	AUTO(lake_commit_release) struct lake_commit head = {.n_parents = 0};
	const char *connector;

	if (lake_commit_read(v->lake, &ref->id, &head, NULL) != ST_OK)
		return; /* the lake's own check has named it */
	connector = lake_meta_get(&head.meta, META_CONNECTOR);
	v->branch = ref->name;
	if (connector && commit_is_checkpoint(&head, connector))
		verify_ingest(v, &ref->id);
	else if (connector && lake_meta_get(&head.meta, META_CHECKPOINT))
		verify_publications(v, &ref->id, connector);
}

enum status history_verify(void *ctx, struct lake *lake, struct lake_fsck_report *report,
			   struct err *err)
{
	AUTO(lake_refs_release) struct lake_refs refs = {.items = NULL};
	struct verify v = {.lake = lake, .report = report};
	enum status st = lake_refs_list(lake, LAKE_BRANCH, &refs, err);

	(void)ctx;
	for (size_t i = 0; st == ST_OK && i < refs.n; i++) {
		bool seen = false;

		for (size_t j = 0; j < i; j++)
			seen = seen || lake_id_equal(&refs.items[j].id, &refs.items[i].id);
		if (!seen)
			verify_branch(&v, &refs.items[i]);
	}
	return st == ST_DAMAGED ? ST_OK : st; /* named already */
}
