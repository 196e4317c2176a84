#include "connector/history/find.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "connector/writer/deadletter_writer.h"
#include "connector/writer/file_name.h"
#include "connector/writer/offset_runs.h"

void found_release(struct found *f)
{
	free(f->path);
	f->path = NULL;
}

bool offset_runs_find(const char *runs, int64_t offset, uint64_t *row_out)
{
	AUTO(offset_reader_release) struct offset_reader reader;
	int64_t from, to;
	uint64_t row = 0;

	offset_reader_open(&reader, runs);
	while (offset_reader_next(&reader, &from, &to)) {
		if (offset >= from && offset <= to) {
			*row_out = row + (uint64_t)(offset - from);
			return true;
		}
		row += (uint64_t)(to - from) + 1;
	}
	return false;
}

/* Can the file hold the record, as far as its name says? */
static bool may_hold(const char *path, const struct position *p)
{
	struct file_name name;

	return file_name_parse(path, &name) && name.partition == p->partition &&
	       name.first_offset <= p->offset && strcmp(name.topic, p->topic) == 0;
}

/* Looks through the files that the checkpoint added under prefix. */
static enum status look_under(const struct line *line, const struct checkpoint *cp,
			      const char *prefix, const struct position *p, struct found *found,
			      struct err *err)
{
	AUTO(lake_diff_closep) struct lake_diff *diff = NULL;
	struct lake_diff_entry change;
	enum status st = lake_diff_open(line->lake, &cp->previous, &cp->id, prefix, &diff, err);

	while (st == ST_OK && (st = lake_diff_next(diff, &change, err)) == ST_OK) {
		AUTO(lake_entry_release) struct lake_entry entry = {0};
		AUTO(freep) char *path = change.path;

		if (change.change == LAKE_REMOVED || !may_hold(path, p))
			continue;
		st = lake_stat(line->lake, &cp->id, path, &entry, err);
		if (st == ST_OK && offset_runs_find(lake_meta_get(&entry.meta, "tidemark.offsets"),
						    p->offset, &found->row)) {
			found->path = MOVE(path);
			return ST_OK;
		}
	}
	return st == ST_END ? ST_OK : st;
}

static enum status find_file(const struct line *line, const struct checkpoint *cp,
			     const struct position *p, struct found *found, struct err *err)
{
	AUTO(freep) char *root = xasprintf("%s/%s/", line->path_prefix, p->topic);
	AUTO(freep) char *own = xasprintf("%spartition=%d/", root, p->partition);
	AUTO(freep)
	char *dead = xasprintf(DEADLETTER_FOLDER "%s/%s/%s+%d+", line->connector, p->topic,
			       p->topic, p->partition);
	enum status st = look_under(line, cp, own, p, found, err);

	if (st == ST_OK && !found->path) /* the folders of another partitioner */
		st = look_under(line, cp, root, p, found, err);
	if (st == ST_OK && !found->path)
		st = look_under(line, cp, dead, p, found, err);
	return st;
}

/* ---- where it is shown ---- */

struct shown_search {
	const struct line *line;
	const char *path;
	uint64_t epoch;
	uint64_t rollbacks;
};

static bool shows_path(const struct shown_search *s, const struct lake_id *commit)
{
	AUTO(lake_entry_release) struct lake_entry entry = {0};

	return lake_stat(s->line->lake, commit, s->path, &entry, NULL) == ST_OK;
}

/* Within one epoch, and between two rollbacks, publications only add; so this is monotone
 * there. */
static bool shown_in_segment(void *ctx, const struct lake_commit *commit)
{
	const struct shown_search *s = ctx;
	const char *epoch = lake_meta_get(&commit->meta, META_EPOCH);

	return lake_meta_get(&commit->meta, META_CHECKPOINT) && epoch &&
	       strtoull(epoch, NULL, 10) == s->epoch &&
	       publication_rollbacks(commit) == s->rollbacks && shows_path(s, &commit->id);
}

/* The publication that brought the path into what is shown now: through the
 * markers of rollbacks that kept it. */
static enum status first_publication(struct shown_search *s, const struct lake_id *head,
				     uint64_t *sequence_out, struct err *err)
{
	struct lake_id at = *head;

	for (;;) {
		AUTO(lake_commit_release) struct lake_commit first = {0};
		AUTO(lake_commit_release) struct lake_commit x = {0};
		struct cursor cursor;
		enum status st = cursor_read(s->line->lake, &at, s->line->connector, &cursor, err);

		if (st == ST_OK)
			st = lake_commit_read(s->line->lake, &at, &x, err);
		if (st != ST_OK)
			return st;
		s->epoch = cursor.epoch;
		s->rollbacks = publication_rollbacks(&x);
		st = lake_log_search(s->line->lake, &at, shown_in_segment, s, &first, err);
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

/* What the checkpoint records as lost, this offset among it; *out NULL: not. Borrows from
 * losses. */
static enum status loss_of(const struct line *line, const struct lake_commit *commit,
			   const struct position *p, struct losses *losses, const struct loss **out,
			   struct err *err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	enum status st = checkpoint_document(line->lake, commit, META_LOST, &text, err);

	*out = NULL;
	if (st == ST_OK && text.len)
		st = losses_from_json(text.data, losses, err);
	for (size_t i = 0; st == ST_OK && i < losses->n; i++) {
		const struct loss *l = &losses->items[i];

		if (strcmp(l->topic, p->topic) == 0 && l->partition == p->partition &&
		    p->offset >= l->from && (l->to < 0 || p->offset < l->to))
			*out = l;
	}
	return st;
}

static enum status check_range(const struct line *line, const struct checkpoint *cp,
			       const struct position *p, struct err *err)
{
	AUTO(lake_commit_release) struct lake_commit commit = {0};
	AUTO(buf_release) struct buf text = BUF_INIT;
	AUTO(ranges_release) struct ranges ranges = {0};
	AUTO(losses_release) struct losses losses = {0};
	const struct range *range;
	const struct loss *loss;
	char id[LAKE_ID_SHORT_BYTES];
	enum status st = lake_commit_read(line->lake, &cp->id, &commit, err);

	if (st == ST_OK)
		st = checkpoint_document(line->lake, &commit, META_RANGES, &text, err);
	if (st == ST_OK && text.len)
		st = ranges_from_json(text.data, &ranges, err);
	if (st == ST_OK)
		st = loss_of(line, &commit, p, &losses, &loss, err);
	if (st != ST_OK)
		return st;
	lake_id_short(&cp->id, id);
	if (loss)
		return err_set(err, ST_NOT_FOUND,
			       "%s:%d:%" PRId64 " was not read: %s (%s), recorded by %s", p->topic,
			       p->partition, p->offset, loss->reason, loss->policy, id);
	range = ranges_find(&ranges, p->topic, p->partition);
	if (!range || p->offset < range->from)
		return err_set(err, ST_NOT_FOUND, "%s:%d:%" PRId64 " is before where %s started",
			       p->topic, p->partition, p->offset, line->connector);
	return ST_OK;
}

/* ---- whether it is there still ---- */

struct cut_search {
	const struct line *line;
	const char *path;
	const char *checksum; /* that the file had */
	uint64_t sequence; /* of the checkpoint that added it */
};

/* Is it later, and without that file? What was taken out comes back only by a rollback to
 * before that, whose line does not hold the cut. */
static bool lacks_file(void *ctx, const struct lake_commit *commit)
{
	const struct cut_search *s = ctx;
	AUTO(lake_entry_release) struct lake_entry entry = {0};
	const char *sequence = lake_meta_get(&commit->meta, META_SEQUENCE);

	if (!commit_is_checkpoint(commit, s->line->connector) || !sequence ||
	    strtoull(sequence, NULL, 10) <= s->sequence)
		return false;
	return lake_stat(s->line->lake, &commit->id, s->path, &entry, NULL) != ST_OK ||
	       strcmp(entry.checksum, s->checksum) != 0;
}

/* "...; main shows it until the next publish", where that is so. */
static const char *until_when(const struct line *line, const struct cut_search *search)
{
	AUTO(lake_entry_release) struct lake_entry entry = {0};
	struct shown shown;

	return shown_read(line, &shown, NULL) == ST_OK &&
			       lake_stat(line->lake, &shown.id, search->path, &entry, NULL) ==
				       ST_OK &&
			       strcmp(entry.checksum, search->checksum) == 0
		       ? "; the target shows it until the next publish"
		       : "";
}

/* ST_NOT_FOUND: a later checkpoint has taken the file out, or has other rows in its place. */
static enum status check_kept(const struct line *line, const struct checkpoint *head,
			      const struct checkpoint *cp, const struct position *p,
			      const char *path, struct err *err)
{
	AUTO(lake_entry_release) struct lake_entry entry = {0};
	AUTO(lake_commit_release) struct lake_commit cut = {0};
	AUTO(losses_release) struct losses losses = {0};
	struct cut_search search = {.line = line, .path = path, .sequence = cp->sequence};
	char read_by[LAKE_ID_SHORT_BYTES], cut_by[LAKE_ID_SHORT_BYTES];
	const struct loss *loss;
	enum status st = lake_stat(line->lake, &cp->id, path, &entry, err);

	if (st != ST_OK)
		return st;
	search.checksum = entry.checksum;
	st = lake_log_search(line->lake, &head->id, lacks_file, &search, &cut, err);
	if (st == ST_NOT_FOUND)
		return ST_OK;
	if (st == ST_OK)
		st = loss_of(line, &cut, p, &losses, &loss, err);
	if (st != ST_OK)
		return st;
	lake_id_short(&cp->id, read_by);
	lake_id_short(&cut.id, cut_by);
	return err_set(err, ST_NOT_FOUND,
		       "%s:%d:%" PRId64
		       " was read by checkpoint %s, and taken out by %s: %s (%s)%s",
		       p->topic, p->partition, p->offset, read_by, cut_by,
		       loss ? loss->reason : "it is in no record of losses",
		       loss ? loss->policy : "unknown", until_when(line, &search));
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
		st = check_kept(line, &head, &cp, p, found.path, err);
	if (st == ST_OK && found.path)
		st = find_shown(line, found.path, &found.published, err);
	if (st != ST_OK)
		return st;
	*out = found;
	found.path = NULL;
	return ST_OK;
}
