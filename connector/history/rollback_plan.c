/* The plan of a rollback: everything is found out, nothing moves. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "connector/history/ingest.h"
#include "connector/history/rollback.h"

#define COUNT_LIMIT 100000

void kafka_bounds_release(struct kafka_bounds *b)
{
	offsets_release(&b->earliest);
	offsets_release(&b->latest);
	topic_states_release(&b->topics);
}

void rollback_plan_release(struct rollback_plan *plan)
{
	checkpoint_release(&plan->head);
	checkpoint_release(&plan->to);
	offsets_release(&plan->show_offsets);
	offsets_release(&plan->offsets);
	ranges_release(&plan->skipped);
	ranges_release(&plan->replay);
	losses_release(&plan->losses);
	if (plan->lease)
		lake_diff_close(plan->lease);
	free(plan->mode_note);
	free(plan->message);
	*plan = (struct rollback_plan){0};
}

/* ---- T ---- */

static enum status oldest_target(const struct line *line, const struct rollback_request *request,
				 struct rollback_plan *plan, struct err *err)
{
	for (size_t i = 0; i < request->n_to; i++) {
		AUTO(checkpoint_release) struct checkpoint cp = {0};
		enum status st = target_resolve(line, &plan->head, request->to[i], &cp, err);

		if (st != ST_OK)
			return st;
		if (i == 0 || cp.sequence < plan->to.sequence)
			checkpoint_copy(&plan->to, &cp);
	}
	return ST_OK;
}

static bool in_epoch(void *ctx, const struct lake_commit *commit)
{
	const struct checkpoint *head = ctx;
	const char *epoch = lake_meta_get(&commit->meta, META_EPOCH);

	return commit_is_checkpoint(commit, head->connector) && epoch &&
	       strtoull(epoch, NULL, 10) >= head->epoch;
}

/* The newest rollback's commit is the first of the present epoch. */
static enum status undo_target(const struct line *line, struct rollback_plan *plan, struct err *err)
{
	AUTO(lake_commit_release) struct lake_commit commit = {0};
	AUTO(checkpoint_release) struct checkpoint rollback = {0};
	enum status st =
		lake_log_search(line->lake, &plan->head.id, in_epoch, &plan->head, &commit, err);

	if (st == ST_OK)
		st = checkpoint_read(line->lake, &commit.id, &rollback, err);
	if (st != ST_OK)
		return st;
	if (!rollback.is_rollback)
		return err_set(err, ST_USAGE, "%s was never rolled back: there is nothing to undo",
			       line->connector);
	st = checkpoint_read(line->lake, &rollback.undo_ingest, &plan->to, err);
	plan->show = rollback.undo_shown;
	return st;
}

/* ---- P' ---- */

struct subset_search {
	const struct line *line;
	struct lake_id shown; /* X(n) */
	struct lake_id checkpoint; /* that it shows */
	uint64_t shown_cuts; /* of that one */
	uint64_t cuts; /* of the segment that is looked through */
	enum status st;
	struct err err;
};

static uint64_t number_of(const struct lake_commit *commit, const char *key)
{
	const char *text = lake_meta_get(&commit->meta, key);

	return text ? strtoull(text, NULL, 10) : 0;
}

static bool not_before(void *ctx, const struct lake_commit *commit)
{
	return number_of(commit, META_SEQUENCE) >= *(const uint64_t *)ctx;
}

/* Is the checkpoint on the line of the one that is shown, without a cut between them? Then
 * all its files are shown; to look at each costs more the further it is back. */
static enum status is_below_shown(struct subset_search *s, const struct lake_commit *commit,
				  bool *out)
{
	AUTO(lake_commit_release) struct lake_commit found = {0};
	uint64_t sequence = number_of(commit, META_SEQUENCE);
	enum status st;

	*out = false;
	if (number_of(commit, META_CUTS) != s->shown_cuts)
		return ST_OK;
	st = lake_log_search(s->line->lake, &s->checkpoint, not_before, &sequence, &found, &s->err);
	if (st == ST_OK)
		*out = lake_id_equal(&found.id, &commit->id);
	return st == ST_NOT_FOUND ? ST_OK : st;
}

/* Does the commit hold a file of this connector that is not shown as it is? */
static enum status has_unshown(struct subset_search *s, const struct lake_commit *commit, bool *out)
{
	AUTO(lake_diff_closep) struct lake_diff *diff = NULL;
	AUTO(freep) char *own = xasprintf("_tidemark/%s.", s->line->connector);
	struct lake_diff_entry entry;
	bool below;
	enum status st = is_below_shown(s, commit, &below);

	*out = false;
	if (st != ST_OK || below)
		return st;
	st = lake_diff_open(s->line->lake, &commit->id, &s->shown, "", &diff, &s->err);
	while (st == ST_OK && (st = lake_diff_next(diff, &entry, &s->err)) == ST_OK) {
		bool differs =
			entry.change != LAKE_ADDED && strncmp(entry.path, own, strlen(own)) != 0;

		free(entry.path);
		if (differs) {
			*out = true;
			return ST_OK;
		}
	}
	return st == ST_END ? ST_OK : st;
}

/* Between two cuts a line only grows, so that a search is possible. */
static bool in_segment(const struct subset_search *s, const struct lake_commit *commit)
{
	return commit_is_checkpoint(commit, s->line->connector) &&
	       number_of(commit, META_CUTS) >= s->cuts;
}

static bool unshown(void *ctx, const struct lake_commit *commit)
{
	struct subset_search *s = ctx;
	bool result = false;

	if (s->st == ST_OK && in_segment(s, commit))
		s->st = has_unshown(s, commit, &result);
	return result;
}

/* The newest checkpoint from `at` back to the cut before it, all of whose files are
 * shown. *before_out: where to look further; none: found, or there is none. */
static enum status find_in_segment(const struct line *line, const struct shown *shown,
				   uint64_t shown_cuts, const struct checkpoint *at,
				   struct lake_id *out, struct lake_id *before_out, struct err *err)
{
	AUTO(lake_commit_release) struct lake_commit oldest_unshown = {0};
	AUTO(checkpoint_release) struct checkpoint cp = {0};
	AUTO(checkpoint_release) struct checkpoint before = {0};
	struct subset_search search = {
		.line = line,
		.shown = shown->id,
		.checkpoint = shown->checkpoint,
		.shown_cuts = shown_cuts,
		.cuts = at->cuts,
	};
	enum status st =
		lake_log_search(line->lake, &at->id, unshown, &search, &oldest_unshown, err);

	*before_out = (struct lake_id){{0}};
	if (search.st != ST_OK) {
		*err = search.err;
		return search.st;
	}
	if (st == ST_NOT_FOUND) {
		*out = at->id;
		return ST_OK;
	}
	if (st == ST_OK)
		st = checkpoint_read(line->lake, &oldest_unshown.id, &cp, err);
	if (st != ST_OK || lake_id_is_none(&cp.previous))
		return st;
	st = checkpoint_read(line->lake, &cp.previous, &before, err);
	if (st == ST_OK)
		*(before.cuts < at->cuts ? before_out : out) = before.id;
	return st;
}

/* The newest checkpoint in T's history, T included, all of whose files the target
 * shows now. */
static enum status find_show(const struct line *line, struct rollback_plan *plan, struct err *err)
{
	AUTO(checkpoint_release) struct checkpoint shown = {0};
	struct lake_id at = plan->to.id;
	enum status st;

	if (lake_id_is_none(&plan->shown.checkpoint))
		return ST_OK; /* nothing was shown: nothing will be */
	st = checkpoint_read(line->lake, &plan->shown.checkpoint, &shown, err);
	if (st != ST_OK)
		return st;
	while (!lake_id_is_none(&at)) {
		AUTO(checkpoint_release) struct checkpoint cp = {0};

		st = checkpoint_read(line->lake, &at, &cp, err);
		if (st == ST_OK)
			st = find_in_segment(line, &plan->shown, shown.cuts, &cp, &plan->show, &at,
					     err);
		if (st != ST_OK)
			return st;
	}
	return ST_OK;
}

static enum status show_offsets(const struct line *line, struct rollback_plan *plan,
				struct err *err)
{
	AUTO(checkpoint_release) struct checkpoint cp = {0};
	enum status st;

	if (lake_id_is_none(&plan->show))
		return ST_OK;
	st = checkpoint_read(line->lake, &plan->show, &cp, err);
	if (st == ST_OK)
		offsets_copy(&plan->show_offsets, &cp.offsets);
	return st;
}

/* ---- the target ---- */

/* Mode reset: the newest target commit that holds P' for this connector is the one
 * below the first that holds a newer publication. */
static enum status find_holder(const struct line *line, struct rollback_plan *plan,
			       struct lake_id *out, struct err *err)
{
	AUTO(lake_commit_release) struct lake_commit newer = {0};
	struct cursor cursor;
	uint64_t sequence;
	enum status st = publication_find(line, &plan->shown.id, &plan->show, &plan->reset_shows,
					  &sequence, err);

	if (st != ST_OK)
		return st;
	st = publication_on_target(line, &plan->target_head, sequence + 1, &newer, err);
	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	if (st == ST_OK && newer.n_parents == 0)
		return ST_NOT_FOUND;
	*out = st == ST_OK ? newer.parents[0] : plan->target_head;
	st = cursor_read(line->lake, out, line->connector, &cursor, err);
	if (st == ST_OK && !lake_id_equal(&cursor.checkpoint, &plan->show))
		return ST_NOT_FOUND;
	return st;
}

static enum status find_reset(const struct line *line, const struct roots *roots,
			      struct rollback_plan *plan, struct err *err)
{
	AUTO(freep) char *first = NULL;
	struct lake_id holder;
	enum status st = find_holder(line, plan, &holder, err);

	if (st == ST_NOT_FOUND) {
		plan->mode = ROLLBACK_REVERT;
		free(plan->mode_note);
		plan->mode_note =
			xasprintf("no commit of %s shows that checkpoint alone, so it is reverted",
				  line->target);
		return ST_OK;
	}
	if (st == ST_OK)
		st = roots_first_outside(line->lake, roots, &holder, &plan->target_head, &first,
					 err);
	if (st != ST_OK)
		return st;
	if (first)
		return err_set(
			err, ST_USAGE,
			"--mode reset would drop what is not this connector's from %s (%s); use "
			"--mode revert",
			line->target, first);
	plan->reset_to = holder;
	return ST_OK;
}

static enum status look_at_target(const struct line *line, const struct rollback_request *request,
				  struct rollback_plan *plan, struct err *err)
{
	AUTO(roots_release) struct roots roots = {0};
	AUTO(checkpoint_release) struct checkpoint shown = {0};
	struct lake_id empty;
	uint64_t n;
	enum status st =
		lake_ref_get(line->lake, LAKE_BRANCH, line->target, &plan->target_head, err);

	if (st == ST_OK && !lake_id_is_none(&plan->shown.checkpoint)) {
		st = checkpoint_read(line->lake, &plan->shown.checkpoint, &shown, err);
		if (st == ST_OK)
			roots_add(&roots, line, &shown);
	}
	roots_add(&roots, line, &plan->head);
	if (st == ST_OK)
		st = roots_differences(line->lake, &roots, &plan->shown.id, &plan->target_head, 1,
				       &n, err);
	if (st != ST_OK)
		return st;
	plan->target_was_changed = n > 0;
	plan->mode = request->mode;
	plan->mode_note = xstrdup("");
	if (request->mode == ROLLBACK_RESET && lake_id_is_none(&plan->show)) {
		plan->mode = ROLLBACK_REVERT;
	} else if (request->mode == ROLLBACK_RESET) {
		st = find_reset(line, &roots, plan, err);
		if (st != ST_OK)
			return st;
	}
	empty = plan->show;
	if (lake_id_is_none(&empty))
		st = lake_first_commit(line->lake, line->target, &empty, err);
	if (st == ST_OK)
		st = roots_differences(line->lake, &roots, &plan->shown.id, &empty, COUNT_LIMIT,
				       &plan->files_on_target, err);
	return st;
}

/* ---- offsets, and Kafka's side ---- */

static enum status apply_skips(const struct rollback_request *request, struct rollback_plan *plan,
			       const struct kafka_bounds *bounds, struct err *err)
{
	for (size_t i = 0; i < request->n_skip; i++) {
		const struct position *skip = &request->skip[i];
		int64_t from = offsets_get(&plan->to.offsets, skip->topic, skip->partition);
		int64_t latest = offsets_get(&bounds->latest, skip->topic, skip->partition);
		int64_t to = skip->offset < 0 ? latest : skip->offset;

		if (from < 0)
			return err_set(err, ST_USAGE,
				       "--skip-to %s:%d: the checkpoint has no such partition",
				       skip->topic, skip->partition);
		if (to < from || to > latest)
			return err_set(err, ST_USAGE,
				       "--skip-to %s:%d:%" PRId64 ": give an offset from %" PRId64
				       " to %" PRId64,
				       skip->topic, skip->partition, to, from, latest);
		offsets_set(&plan->offsets, skip->topic, skip->partition, to);
		if (to > from) {
			ranges_add(&plan->skipped, skip->topic, skip->partition, from, to);
			losses_add(&plan->losses, skip->topic, skip->partition, from, to, "skip-to",
				   request->reason ? request->reason : "skipped by a rollback");
		}
	}
	return ST_OK;
}

static enum status refuse_lost(const struct line *line, const struct offset_item *item,
			       int64_t earliest, struct err *err)
{
	return err_set(
		err, ST_LOST,
		"Kafka no longer has %s:%d from %" PRId64 " (its first is %" PRId64
		"); nothing was moved: roll back to a later checkpoint (`tidemark rollback %s --to "
		"%s:%d:%" PRId64 "`), or go on behind the gap with --skip-to %s:%d:%" PRId64,
		item->topic, item->partition, item->value, earliest, line->connector, item->topic,
		item->partition, earliest, item->topic, item->partition, earliest);
}

static enum status check_kafka(const struct line *line, const struct rollback_plan *plan,
			       const struct kafka_bounds *bounds, struct err *err)
{
	for (size_t i = 0; i < plan->to.topics.n; i++) {
		const struct topic_state *topic = &plan->to.topics.items[i];
		const struct topic_state *now = topic_states_find(&bounds->topics, topic->name);

		if (!now || (*topic->id && *now->id && strcmp(topic->id, now->id) != 0))
			return err_set(
				err, ST_LOST,
				"topic %s was deleted or created anew since that checkpoint, so it "
				"cannot be replayed; nothing was moved: roll back to a checkpoint "
				"that "
				"was made after it",
				topic->name);
	}
	for (size_t i = 0; i < plan->offsets.n; i++) {
		const struct offset_item *item = &plan->offsets.items[i];
		int64_t earliest = offsets_get(&bounds->earliest, item->topic, item->partition);
		int64_t latest = offsets_get(&bounds->latest, item->topic, item->partition);

		if (earliest < 0 || latest < 0)
			return err_set(err, ST_LOST, "%s:%d is gone from Kafka; nothing was moved",
				       item->topic, item->partition);
		if (item->value < earliest)
			return refuse_lost(line, item, earliest, err);
		if (item->value > latest)
			return err_set(err, ST_LOST,
				       "%s:%d ends at %" PRId64
				       " in Kafka, before the checkpoint's %" PRId64
				       ": its log was cut; nothing was moved",
				       item->topic, item->partition, latest, item->value);
	}
	return ST_OK;
}

static enum status plan_offsets(const struct line *line, const struct rollback_request *request,
				struct rollback_plan *plan, struct err *err)
{
	AUTO(kafka_bounds_release) struct kafka_bounds bounds = {0};
	enum status st = request->ask(request->ask_ctx, &plan->to.offsets, &bounds, err);

	if (st != ST_OK)
		return err_wrap(err, st,
				"Kafka must be asked before a rollback, nothing was moved");
	offsets_copy(&plan->offsets, &plan->to.offsets);
	st = apply_skips(request, plan, &bounds, err);
	if (st == ST_OK)
		st = check_kafka(line, plan, &bounds, err);
	for (size_t i = 0; st == ST_OK && i < plan->head.offsets.n; i++) {
		const struct offset_item *item = &plan->head.offsets.items[i];
		int64_t from = offsets_get(&plan->offsets, item->topic, item->partition);

		if (from < 0)
			from = 0; /* a partition that came since: from its beginning */
		if (from < item->value)
			ranges_add(&plan->replay, item->topic, item->partition, from, item->value);
	}
	return st;
}

/* Whatever would be seen again must still have its data, and keep it. */
static enum status check_expired(const struct line *line, struct rollback_plan *plan,
				 struct err *err)
{
	const struct lake_id *show = lake_id_is_none(&plan->show) ? &plan->to.id : &plan->show;
	enum status st = lake_diff_open(line->lake, show, &plan->to.id, "", &plan->lease, err);

	if (st == ST_OK)
		st = lake_check_expired(line->lake, &plan->head.id, &plan->to.id, err);
	if (st == ST_OK && !lake_id_is_none(&plan->show))
		st = lake_check_expired(line->lake, &plan->shown.id, &plan->show, err);
	if (st == ST_OK && !lake_id_is_none(&plan->reset_to))
		st = lake_check_expired(line->lake, &plan->target_head, &plan->reset_to, err);
	return st == ST_EXPIRED ? err_wrap(err, st, "nothing was moved") : st;
}

static enum status make(const struct line *line, const struct rollback_request *request,
			struct rollback_plan *plan, struct err *err)
{
	AUTO(roots_release) struct roots roots = {0};
	char hex[LAKE_ID_SHORT_BYTES];
	struct lake_id head;
	enum status st = lake_ref_get(line->lake, LAKE_BRANCH, line->branch, &head, err);

	if (st == ST_OK)
		st = checkpoint_read(line->lake, &head, &plan->head, err);
	if (st == ST_OK)
		st = shown_read(line, &plan->shown, err);
	if (st == ST_OK)
		st = request->undo ? undo_target(line, plan, err)
				   : oldest_target(line, request, plan, err);
	if (st == ST_OK && !request->undo)
		st = find_show(line, plan, err);
	if (st == ST_OK)
		st = show_offsets(line, plan, err);
	if (st == ST_OK)
		st = look_at_target(line, request, plan, err);
	if (st == ST_OK)
		st = check_expired(line, plan, err);
	plan->target_only = request->target_only;
	if (st == ST_OK && !request->target_only)
		st = plan_offsets(line, request, plan, err);
	if (st != ST_OK)
		return st;
	roots_add(&roots, line, &plan->head);
	lake_id_short(&plan->to.id, hex);
	plan->message = xasprintf("%s %s to checkpoint %s%s",
				  request->undo ? "undo rollback of" : "rollback", line->connector,
				  hex, request->target_only ? ", the target only" : "");
	if (request->target_only)
		return ST_OK;
	return roots_differences(line->lake, &roots, &plan->to.id, &plan->head.id, COUNT_LIMIT,
				 &plan->files_on_ingest, err);
}

enum status rollback_plan_make(const struct line *line, const struct rollback_request *request,
			       struct rollback_plan *out, struct err *err)
{
	struct rollback_plan plan = {0};
	enum status st = make(line, request, &plan, err);

	if (st != ST_OK) {
		rollback_plan_release(&plan);
		return st;
	}
	*out = plan;
	return ST_OK;
}

void rollback_plan_print(const struct line *line, const struct rollback_plan *plan, struct buf *out)
{
	char to[LAKE_ID_SHORT_BYTES], head[LAKE_ID_SHORT_BYTES], show[LAKE_ID_SHORT_BYTES];
	char time[TIME_TEXT_BYTES];
	int64_t records = 0;

	lake_id_short(&plan->to.id, to);
	lake_id_short(&plan->head.id, head);
	lake_id_short(&plan->show, show);
	time_format(plan->to.time_ms, time);
	if (plan->target_only) {
		buf_addf(out, "%s: %s only, to %s, committed %s\n", line->connector, line->target,
			 to, time);
		buf_addf(out, "  %s stays at %s, and publishes stop\n", line->branch, head);
	} else {
		buf_addf(out, "%s: %s from %s to %s, committed %s\n", line->connector, line->branch,
			 head, to, time);
		buf_addf(out, "  %" PRIu64 " file%s change on %s\n", plan->files_on_ingest,
			 plan->files_on_ingest == 1 ? "" : "s", line->branch);
	}
	if (lake_id_is_none(&plan->show))
		buf_addf(out, "  %s will show nothing of it", line->target);
	else
		buf_addf(out, "  %s will show checkpoint %s", line->target, show);
	buf_addf(out, " (%" PRIu64 " file%s change, mode %s%s%s)\n", plan->files_on_target,
		 plan->files_on_target == 1 ? "" : "s",
		 plan->mode == ROLLBACK_RESET ? "reset" : "revert", *plan->mode_note ? ": " : "",
		 plan->mode_note);
	if (plan->target_was_changed)
		buf_addf(out, "  %s was changed by hand: that is put back\n", line->target);
	if (plan->target_only)
		return;
	for (size_t i = 0; i < plan->skipped.n; i++)
		buf_addf(out, "  skip %s:%d [%" PRId64 ",%" PRId64 ")\n",
			 plan->skipped.items[i].topic, plan->skipped.items[i].partition,
			 plan->skipped.items[i].from, plan->skipped.items[i].to);
	for (size_t i = 0; i < plan->replay.n; i++) {
		const struct range *r = &plan->replay.items[i];

		records += r->to - r->from;
		if (i < 20)
			buf_addf(out, "  replay %s:%d [%" PRId64 ",%" PRId64 ")\n", r->topic,
				 r->partition, r->from, r->to);
	}
	if (plan->replay.n > 20)
		buf_addf(out, "  and %zu more partitions\n", plan->replay.n - 20);
	buf_addf(out, "  %" PRId64 " offsets will be read again; Kafka still has them\n", records);
}
