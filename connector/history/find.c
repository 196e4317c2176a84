#include "connector/history/find.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void found_release(struct found *f)
{
	free(f->path);
	f->path = NULL;
}

bool offset_runs_find(const char *runs, int64_t offset, uint64_t *row_out)
{
	uint64_t row = 0;

	while (runs && *runs) {
		char *end;
		int64_t from = strtoll(runs, &end, 10), to = from;

		if (*end == '-')
			to = strtoll(end + 1, &end, 10);
		if (offset >= from && offset <= to) {
			*row_out = row + (uint64_t)(offset - from);
			return true;
		}
		row += (uint64_t)(to - from + 1);
		runs = *end == ',' ? end + 1 : NULL;
	}
	return false;
}

/* Looks through the files that the checkpoint added under prefix. */
static enum status look_under(const struct line *line, const struct checkpoint *cp,
			      const char *prefix, int64_t offset, struct found *found,
			      struct err *err)
{
	AUTO(lake_diff_closep) struct lake_diff *diff = NULL;
	struct lake_diff_entry change;
	enum status st = lake_diff_open(line->lake, &cp->previous, &cp->id, prefix, &diff, err);

	while (st == ST_OK && (st = lake_diff_next(diff, &change, err)) == ST_OK) {
		AUTO(lake_entry_release) struct lake_entry entry = {0};
		AUTO(freep) char *path = change.path;

		if (change.change == LAKE_REMOVED)
			continue;
		st = lake_stat(line->lake, &cp->id, path, &entry, err);
		if (st == ST_OK && offset_runs_find(lake_meta_get(&entry.meta, "tidemark.offsets"),
						    offset, &found->row)) {
			found->path = MOVE(path);
			return ST_OK;
		}
	}
	return st == ST_END ? ST_OK : st;
}

static enum status find_file(const struct line *line, const struct checkpoint *cp,
			     const struct position *p, struct found *found, struct err *err)
{
	AUTO(freep)
	char *data = xasprintf("%s/%s/partition=%d/", line->path_prefix, p->topic, p->partition);
	AUTO(freep)
	char *dead = xasprintf("_deadletters/%s/%s/%s+%d+", line->connector, p->topic, p->topic,
			       p->partition);
	enum status st = look_under(line, cp, data, p->offset, found, err);

	if (st == ST_OK && !found->path)
		st = look_under(line, cp, dead, p->offset, found, err);
	return st;
}

/* ---- where it is shown ---- */

struct shown_search {
	const struct line *line;
	const char *path;
	uint64_t epoch;
};

static bool shows_path(const struct shown_search *s, const struct lake_id *commit)
{
	AUTO(lake_entry_release) struct lake_entry entry = {0};

	return lake_stat(s->line->lake, commit, s->path, &entry, NULL) == ST_OK;
}

/* Within one epoch publications only add, so this is monotone there. */
static bool shown_in_epoch(void *ctx, const struct lake_commit *commit)
{
	const struct shown_search *s = ctx;
	const char *epoch = lake_meta_get(&commit->meta, META_EPOCH);

	return lake_meta_get(&commit->meta, META_CHECKPOINT) && epoch &&
	       strtoull(epoch, NULL, 10) == s->epoch && shows_path(s, &commit->id);
}

/* The publication that brought the path into what is shown now: through the
 * markers of rollbacks that kept it. */
static enum status first_publication(struct shown_search *s, const struct lake_id *head,
				     uint64_t *sequence_out, struct err *err)
{
	struct lake_id at = *head;

	for (;;) {
		AUTO(lake_commit_release) struct lake_commit first = {0};
		struct cursor cursor;
		enum status st = cursor_read(s->line->lake, &at, s->line->connector, &cursor, err);

		if (st != ST_OK)
			return st;
		s->epoch = cursor.epoch;
		st = lake_log_search(s->line->lake, &at, shown_in_epoch, s, &first, err);
		if (st == ST_OK)
			st = cursor_read(s->line->lake, &first.id, s->line->connector, &cursor,
					 err);
		if (st != ST_OK)
			return st;
		*sequence_out = cursor.sequence;
		if (first.n_parents == 0 || !shows_path(s, &first.parents[0]))
			return ST_OK;
		at = first.parents[0];
	}
}

static enum status find_shown(const struct line *line, const char *path, struct lake_id *out,
			      struct err *err)
{
	AUTO(lake_commit_release) struct lake_commit commit = {0};
	struct shown_search search = {.line = line, .path = path};
	struct lake_id target;
	struct shown shown;
	uint64_t sequence;
	enum status st = shown_read(line, &shown, err);

	if (st == ST_OK)
		st = lake_ref_get(line->lake, LAKE_BRANCH, line->target, &target, err);
	if (st != ST_OK || !shows_path(&search, &shown.id))
		return st;
	st = first_publication(&search, &shown.id, &sequence, err);
	if (st == ST_OK)
		st = publication_on_target(line, &target, sequence, &commit, err);
	if (st == ST_OK)
		*out = commit.id;
	return st == ST_NOT_FOUND ? ST_OK : st;
}

/* ---- the whole answer ---- */

static enum status check_range(const struct line *line, const struct checkpoint *cp,
			       const struct position *p, struct err *err)
{
	AUTO(lake_commit_release) struct lake_commit commit = {0};
	AUTO(buf_release) struct buf ranges_text = BUF_INIT;
	AUTO(buf_release) struct buf lost_text = BUF_INIT;
	AUTO(ranges_release) struct ranges ranges = {0};
	AUTO(losses_release) struct losses losses = {0};
	const struct range *range;
	enum status st = lake_commit_read(line->lake, &cp->id, &commit, err);

	if (st == ST_OK)
		st = checkpoint_document(line->lake, &commit, META_RANGES, &ranges_text, err);
	if (st == ST_OK)
		st = checkpoint_document(line->lake, &commit, META_LOST, &lost_text, err);
	if (st == ST_OK && ranges_text.len)
		st = ranges_from_json(ranges_text.data, &ranges, err);
	if (st == ST_OK && lost_text.len)
		st = losses_from_json(lost_text.data, &losses, err);
	if (st != ST_OK)
		return st;
	for (size_t i = 0; i < losses.n; i++) {
		const struct loss *l = &losses.items[i];

		if (strcmp(l->topic, p->topic) == 0 && l->partition == p->partition &&
		    p->offset >= l->from && p->offset < l->to)
			return err_set(err, ST_NOT_FOUND, "%s:%d:%" PRId64 " is lost: %s (%s)",
				       p->topic, p->partition, p->offset, l->reason, l->policy);
	}
	range = ranges_find(&ranges, p->topic, p->partition);
	if (!range || p->offset < range->from)
		return err_set(err, ST_NOT_FOUND, "%s:%d:%" PRId64 " is before where %s started",
			       p->topic, p->partition, p->offset, line->connector);
	return ST_OK;
}

enum status find_record(const struct line *line, const struct position *p, struct found *out,
			struct err *err)
{
	AUTO(checkpoint_release) struct checkpoint head = {0};
	AUTO(checkpoint_release) struct checkpoint cp = {0};
	AUTO(found_release) struct found found = {0};
	struct lake_id id;
	enum status st = lake_ref_get(line->lake, LAKE_BRANCH, line->branch, &id, err);

	if (st == ST_OK)
		st = checkpoint_read(line->lake, &id, &head, err);
	if (st == ST_OK)
		st = target_after_offset(line, &head, p->topic, p->partition, p->offset, &cp, err);
	if (st == ST_OK)
		st = check_range(line, &cp, p, err);
	if (st != ST_OK)
		return st;
	found.checkpoint = cp.id;
	st = find_file(line, &cp, p, &found, err);
	if (st == ST_OK && found.path)
		st = find_shown(line, found.path, &found.published, err);
	if (st != ST_OK)
		return st;
	*out = found;
	found.path = NULL;
	return ST_OK;
}
