#include "connector/history/publish.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/killpoint.h"

/* Tries against a target that others keep moving. */
#define APPLY_TRIES 100

/* A checkpoint that is not shown yet. */
struct pending {
	struct lake_id id;
	uint64_t records; /* its own, and those of all pending ones before it */
};

struct attempt {
	const struct line *line;
	const struct publish_request *request;
	struct lake_id head; /* of ingest */
	uint64_t epoch;
	struct shown shown;
	struct roots roots;
	struct pending *pending; /* oldest first */
	size_t n;

	/* the one at hand */
	size_t at;
	struct checkpoint checkpoint;
	struct lake_id x;
	struct lake_id target; /* the head that was merged onto */
	struct lake_id merged;
	char *message;
	char *record; /* what the judge said of it */
	bool forced;
};

static void attempt_release(struct attempt *a)
{
	checkpoint_release(&a->checkpoint);
	roots_release(&a->roots);
	free(a->pending);
	free(a->message);
	free(a->record);
}

void publish_result_release(struct publish_result *r)
{
	free(r->record);
	r->record = NULL;
}

/* ---- what is pending ---- */

static enum status add_pending(struct attempt *a, const struct lake_id *id, size_t *cap,
			       struct lake_id *previous_out, struct err *err)
{
	AUTO(lake_commit_release) struct lake_commit commit = {0};
	const char *previous, *records;
	enum status st = lake_commit_read(a->line->lake, id, &commit, err);

	if (st != ST_OK)
		return st;
	previous = lake_meta_get(&commit.meta, META_PREVIOUS);
	records = lake_meta_get(&commit.meta, META_RECORDS);
	if (!previous || !lake_id_parse(previous, previous_out))
		*previous_out = (struct lake_id){{0}};
	GROW(a->pending, a->n, *cap);
	a->pending[a->n++] = (struct pending){*id, records ? strtoull(records, NULL, 10) : 0};
	return ST_OK;
}

/* From the head back to what is shown. */
static enum status find_pending(struct attempt *a, struct err *err)
{
	struct lake_id at = a->head;
	size_t cap = 0;
	uint64_t sum = 0;

	while (!lake_id_is_none(&at) && !lake_id_equal(&at, &a->shown.checkpoint)) {
		struct lake_id previous;
		enum status st = add_pending(a, &at, &cap, &previous, err);

		if (st != ST_OK)
			return st;
		at = previous;
	}
	for (size_t i = 0; i < a->n / 2; i++) {
		struct pending p = a->pending[i];

		a->pending[i] = a->pending[a->n - 1 - i];
		a->pending[a->n - 1 - i] = p;
	}
	for (size_t i = 0; i < a->n; i++)
		sum = a->pending[i].records += sum;
	return ST_OK;
}

static enum status read_line(struct attempt *a, struct err *err)
{
	const struct line *line = a->line;
	AUTO(checkpoint_release) struct checkpoint head = {0};
	AUTO(checkpoint_release) struct checkpoint old = {0};
	enum status st = lake_ref_get(line->lake, LAKE_BRANCH, line->branch, &a->head, err);

	if (st == ST_OK)
		st = checkpoint_read(line->lake, &a->head, &head, err);
	if (st == ST_OK)
		st = shown_read(line, &a->shown, err);
	if (st != ST_OK)
		return st;
	a->epoch = head.epoch;
	roots_add(&a->roots, line, &head);
	if (!lake_id_is_none(&a->shown.checkpoint)) {
		st = checkpoint_read(line->lake, &a->shown.checkpoint, &old, err);
		if (st == ST_OK)
			roots_add(&a->roots, line, &old);
	}
	return st == ST_OK ? find_pending(a, err) : st;
}

/* ---- what was changed by hand ---- */

/* Has the checkpoint the path as the target has it? */
static enum status same_there(const struct attempt *a, const struct lake_id *target,
			      const char *path, bool *same, struct err *err)
{
	AUTO(lake_entry_release) struct lake_entry ours = {0};
	AUTO(lake_entry_release) struct lake_entry theirs = {0};
	enum status mine = lake_stat(a->line->lake, &a->checkpoint.id, path, &ours, err);
	enum status other = lake_stat(a->line->lake, target, path, &theirs, err);

	*same = mine == other && (mine != ST_OK || strcmp(ours.checksum, theirs.checksum) == 0);
	if (mine != ST_OK && mine != ST_NOT_FOUND)
		return mine;
	return other == ST_NOT_FOUND ? ST_OK : other;
}

/* The first path under root that was changed and is not as the checkpoint has it
 * (publish --accept-target makes it so); NULL: none. */
static enum status first_changed(const struct attempt *a, const struct lake_id *target,
				 const char *root, char **out, struct err *err)
{
	AUTO(lake_diff_closep) struct lake_diff *diff = NULL;
	struct lake_diff_entry entry;
	enum status st = lake_diff_open(a->line->lake, &a->shown.id, target, root, &diff, err);

	while (st == ST_OK && (st = lake_diff_next(diff, &entry, err)) == ST_OK) {
		AUTO(freep) char *path = entry.path;
		bool same;

		st = same_there(a, target, path, &same, err);
		if (st == ST_OK && !same) {
			*out = MOVE(path);
			return ST_OK;
		}
	}
	return st == ST_END ? ST_OK : st;
}

/* Is everything of this connector on the target as it was shown? Its documents follow
 * its files: *target becomes a commit that puts them back, where they differ. */
static enum status check_by_hand(const struct attempt *a, struct lake_id *target, struct err *err)
{
	AUTO(roots_release) struct roots documents = {0};
	const struct line *line = a->line;

	roots_add_documents(&documents, line);
	for (size_t i = 0; i < a->roots.n; i++) {
		AUTO(freep) char *path = NULL;
		enum status st = roots_hold(&documents, a->roots.items[i])
					 ? ST_OK
					 : first_changed(a, target, a->roots.items[i], &path, err);

		if (st != ST_OK)
			return st;
		if (path)
			return err_set(
				err, ST_HELD,
				"%s was changed by hand: %s; put it back with `tidemark rollback "
				"%s --to %s`, or keep it with `tidemark publish %s "
				"--accept-target`",
				line->target, path, line->connector, line->branch, line->connector);
	}
	return publication_restore(line, &documents, &a->shown.id, target, err);
}

/* ---- one candidate ---- */

static enum status merge_onto(struct attempt *a, const struct lake_id *target, struct err *err)
{
	AUTO(lake_meta_release) struct lake_meta extra = LAKE_META_INIT;
	struct cursor own = {.epoch = a->checkpoint.epoch, .checkpoint = a->checkpoint.id};
	struct lake_id dest = *target;
	enum status st = check_by_hand(a, &dest, err);

	if (a->record)
		lake_meta_set(&extra, META_GATES, a->record);
	if (a->forced)
		lake_meta_set(&extra, META_FORCED, a->request->force);
	if (st == ST_OK)
		st = publication_merge(a->line, &a->x, &dest, &own, a->message, &extra, &a->merged,
				       err);
	if (st == ST_OK)
		a->target = *target;
	return st;
}

/* Makes X(n+1) of the pending checkpoint i, and its merge. */
static enum status prepare(struct attempt *a, size_t i, struct err *err)
{
	const struct line *line = a->line;
	struct publication_content content = {0};
	char hex[LAKE_ID_SHORT_BYTES];
	struct lake_id target;
	enum status st;

	checkpoint_release(&a->checkpoint);
	a->checkpoint = (struct checkpoint){0};
	a->at = i;
	free(MOVE(a->record));
	free(MOVE(a->message));
	st = checkpoint_read(line->lake, &a->pending[i].id, &a->checkpoint, err);
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
		.records = (int64_t)a->pending[i].records,
	};
	st = lake_ref_get(line->lake, LAKE_BRANCH, line->target, &target, err);
	if (st == ST_OK)
		st = publication_make(line, &a->shown, &content, &a->x, err);
	return st == ST_OK ? merge_onto(a, &target, err) : st;
}

static enum status judge(struct attempt *a, bool steering, struct err *err)
{
	const struct publish_candidate candidate = {
		.merged = a->merged,
		.target_head = a->target,
		.shown = a->shown.id,
		.from = a->shown.checkpoint,
		.to = a->checkpoint.id,
		.roots = &a->roots,
		.steering = steering,
	};

	free(MOVE(a->record));
	if (!a->request->judge)
		return ST_OK;
	return a->request->judge(a->request->ctx, &candidate, &a->record, err);
}

/* ---- showing it ---- */

/* Whatever moved: is this publish still the next one of its line? */
static enum status follow(struct attempt *a, struct err *err)
{
	const struct line *line = a->line;
	AUTO(checkpoint_release) struct checkpoint head = {0};
	struct shown now;
	struct lake_id target;
	enum status st = shown_read(line, &now, err);

	if (st == ST_OK)
		st = lake_ref_get(line->lake, LAKE_BRANCH, line->branch, &a->head, err);
	if (st == ST_OK)
		st = checkpoint_read(line->lake, &a->head, &head, err);
	if (st == ST_OK)
		st = lake_ref_get(line->lake, LAKE_BRANCH, line->target, &target, err);
	if (st != ST_OK)
		return st;
	if (!lake_id_equal(&now.id, &a->shown.id) || head.epoch != a->epoch)
		return err_set(err, ST_CONFLICT,
			       "a rollback, a drop or another publish of %s came first; nothing "
			       "was published",
			       line->connector);
	/* Where the target moved outside this connector's paths the gates' verdict
	 * stands. */
	return merge_onto(a, &target, err);
}

static enum status move_once(struct attempt *a, struct err *err)
{
	const struct lake_move moves[] = {
		{LAKE_BRANCH, a->line->published, a->shown.id, a->x},
		{LAKE_BRANCH, a->line->target, a->target, a->merged},
		{LAKE_BRANCH, a->line->branch, a->head, a->head}, /* no new epoch meanwhile */
	};
	enum status st;

	KILL_POINT("publish.before_move");
	st = lake_refs_move(a->line->lake, moves, ARRAY_SIZE(moves), a->message, err);
	KILL_POINT("publish.after_move");
	return st == ST_UNKNOWN ? publication_look(a->line, &a->x, err) : st;
}

static enum status apply(struct attempt *a, struct err *err)
{
	if (a->request->dry_run)
		return ST_OK;
	for (int i = 0; i < APPLY_TRIES; i++) {
		enum status st = ST_OK;

		if (i > 0 || a->record || a->forced)
			st = follow(a, err); /* which adds what the gates said */
		if (st != ST_OK)
			return st;
		st = move_once(a, err);
		if (st != ST_CONFLICT)
			return st;
	}
	return err_set(err, ST_CONFLICT, "%s kept moving; nothing was published", a->line->target);
}

static void fill(const struct attempt *a, struct publish_result *out)
{
	out->checkpoint = a->checkpoint.id;
	out->merged = a->merged;
	out->checkpoints = a->at + 1;
	out->records = a->pending[a->at].records;
}

/* ---- the longest prefix ---- */

static enum status steer(struct attempt *a, size_t i, struct err *err)
{
	enum status st = prepare(a, i, err);

	return st == ST_OK ? judge(a, true, err) : st;
}

/* Between what is shown and the newest, which is held for `why`. Gates whose verdict
 * only gets worse steer; all must pass what is found. */
static enum status publish_prefix(struct attempt *a, struct publish_result *out, struct err *why)
{
	struct err err = ERR_INIT, bad_err;
	size_t good = 0, bad = a->n - 1; /* good: how many pass */
	char shown[LAKE_ID_SHORT_BYTES], first_bad[LAKE_ID_SHORT_BYTES];
	enum status st = steer(a, bad, &err);

	if (st != ST_HELD) {
		if (st == ST_OK)
			return ST_HELD; /* what refused it is no gate that could steer */
		*why = err;
		return st;
	}
	bad_err = err;
	while (good < bad) {
		size_t middle = good + (bad - good) / 2;

		st = steer(a, middle, &err);
		if (st == ST_OK) {
			good = middle + 1;
		} else if (st == ST_HELD) {
			bad = middle;
			bad_err = err;
		} else {
			*why = err;
			return st;
		}
	}
	out->first_bad = a->pending[bad].id;
	lake_id_short(&out->first_bad, first_bad);
	err_set(why, ST_HELD, "%s; the first bad checkpoint is %s", bad_err.text, first_bad);
	if (good == 0)
		return ST_HELD;
	st = prepare(a, good - 1, &err);
	if (st == ST_OK)
		st = judge(a, false, &err);
	if (st == ST_OK)
		st = apply(a, &err);
	if (st != ST_OK) {
		*why = err;
		return st;
	}
	fill(a, out);
	lake_id_short(&out->checkpoint, shown);
	return err_set(why, ST_HELD, "%s; the first bad checkpoint is %s; %s %s", bad_err.text,
		       first_bad, shown,
		       a->request->dry_run ? "would be published" : "is published");
}

/* Nothing is pending: is what was shown still there? */
static enum status check_shown(struct attempt *a, struct err *err)
{
	struct lake_id target;
	enum status st = checkpoint_read(a->line->lake, &a->head, &a->checkpoint, err);

	if (st == ST_OK)
		st = lake_ref_get(a->line->lake, LAKE_BRANCH, a->line->target, &target, err);
	if (st == ST_OK)
		st = check_by_hand(a, &target, err);
	return st == ST_OK ? err_set(err, ST_EMPTY, "%s shows the newest checkpoint already",
				     a->line->target)
			   : st;
}

static enum status attempt_all(struct attempt *a, struct publish_result *out, struct err *err)
{
	enum status st = read_line(a, err);

	if (st == ST_OK && a->n == 0)
		return check_shown(a, err);
	if (st == ST_OK)
		st = prepare(a, a->n - 1, err);
	if (st != ST_OK)
		return st;
	st = judge(a, false, err);
	out->record = a->record ? xstrdup(a->record) : NULL;
	if (st != ST_OK && st != ST_INTERRUPTED && a->request->force) {
		a->forced = true;
		st = ST_OK;
	}
	if (st == ST_HELD && a->request->prefix)
		return publish_prefix(a, out, err);
	if (st == ST_OK)
		st = apply(a, err);
	if (st == ST_OK)
		fill(a, out);
	return st;
}

enum status publish(const struct line *line, const struct publish_request *request,
		    struct publish_result *out, struct err *err)
{
	AUTO(attempt_release) struct attempt a = {.line = line, .request = request};

	*out = (struct publish_result){.checkpoints = 0};
	return attempt_all(&a, out, err);
}
