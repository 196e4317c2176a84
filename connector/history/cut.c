#include "connector/history/cut.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "connector/history/file_rows.h"
#include "connector/history/target.h"
#include "core/base/killpoint.h"

void cut_plan_release(struct cut_plan *plan)
{
	checkpoint_release(&plan->head);
	checkpoint_release(&plan->from);
	checkpoint_release(&plan->to);
	for (size_t i = 0; i < plan->n_remove; i++)
		free(plan->remove[i]);
	for (size_t i = 0; i < plan->n_take; i++)
		free(plan->take[i]);
	free(plan->remove);
	free(plan->take);
	losses_release(&plan->lost);
	*plan = (struct cut_plan){.records = 0};
}

/* ---- what goes ---- */

struct loser {
	struct cut_plan *plan;
	const char *policy, *reason;
};

static const char *lose(void *ctx, const struct file_name *name, int64_t from, int64_t to)
{
	struct loser *l = ctx;

	losses_add(&l->plan->lost, name->topic, name->partition, from, to + 1, l->policy,
		   l->reason);
	return NULL;
}

/* The rows of a file of records as `commit` has it; other files have none. */
static enum status lose_rows(const struct line *line, struct loser *l, const struct lake_id *commit,
			     const char *path, struct err *err)
{
	AUTO(lake_entry_release) struct lake_entry entry = {.path = NULL};
	struct file_name name;
	const char *offsets, *why;
	uint64_t rows = 0;
	enum status st = lake_stat(line->lake, commit, path, &entry, err);

	if (st != ST_OK)
		return st == ST_NOT_FOUND ? ST_OK : st;
	offsets = lake_meta_get(&entry.meta, "tidemark.offsets");
	if (!offsets || !file_name_parse(path, &name))
		return ST_OK;
	why = file_runs_read(offsets, &name, &rows, lose, l);
	if (why)
		return err_set(err, ST_DAMAGED, "%s: %s", path, why);
	l->plan->records += rows;
	return ST_OK;
}

static enum status begin(const struct line *line, struct cut_plan *plan, struct err *err)
{
	struct lake_id head;
	enum status st = lake_ref_get(line->lake, LAKE_BRANCH, line->branch, &head, err);

	if (st == ST_OK)
		st = checkpoint_read(line->lake, &head, &plan->head, err);
	return st == ST_OK ? shown_read(line, &plan->shown, err) : st;
}

/* ---- drop ---- */

static enum status drop_path(const struct line *line, struct cut_plan *plan, const char *reason,
			     char **path, struct err *err)
{
	struct loser loser = {plan, "drop", reason ? reason : "dropped by hand"};
	AUTO(lake_entry_release) struct lake_entry entry = {.path = NULL};
	enum status st = lake_stat(line->lake, &plan->head.id, *path, &entry, err);

	if (st == ST_NOT_FOUND)
		return ST_OK; /* gone already */
	if (st == ST_OK)
		st = lose_rows(line, &loser, &plan->head.id, *path, err);
	if (st != ST_OK)
		return st;
	GROW(plan->remove, plan->n_remove, plan->cap_remove);
	plan->remove[plan->n_remove++] = MOVE(*path);
	return ST_OK;
}

static enum status resolve_ends(const struct line *line, const char *from, const char *to,
				struct cut_plan *plan, struct err *err)
{
	enum status st = target_resolve(line, &plan->head, from, &plan->from, err);

	if (st == ST_OK)
		st = target_resolve(line, &plan->head, to, &plan->to, err);
	if (st != ST_OK)
		return st;
	if (plan->to.sequence < plan->from.sequence)
		return err_set(err, ST_USAGE, "%s..%s: the first is younger than the second", from,
			       to);
	if (lake_id_is_none(&plan->from.previous))
		return err_set(err, ST_USAGE, "%s is where %s started, and holds no data", from,
			       line->connector);
	return ST_OK;
}

static enum status plan_drop(const struct line *line, const char *from, const char *to,
			     const char *reason, struct cut_plan *plan, struct err *err)
{
	AUTO(lake_diff_closep) struct lake_diff *diff = NULL;
	struct lake_diff_entry entry;
	enum status st = begin(line, plan, err);

	if (st == ST_OK)
		st = resolve_ends(line, from, to, plan, err);
	if (st == ST_OK)
		st = lake_diff_open(line->lake, &plan->from.previous, &plan->to.id, "", &diff, err);
	while (st == ST_OK && (st = lake_diff_next(diff, &entry, err)) == ST_OK) {
		AUTO(freep) char *path = entry.path;

		if (entry.change == LAKE_ADDED && !path_is_document(path))
			st = drop_path(line, plan, reason, &path, err);
	}
	if (st != ST_END)
		return st;
	return plan->n_remove ? ST_OK
			      : err_set(err, ST_EMPTY, "%s..%s added nothing that %s still has",
					from, to, line->branch);
}

enum status cut_plan_drop(const struct line *line, const char *from, const char *to,
			  const char *reason, struct cut_plan *out, struct err *err)
{
	struct cut_plan plan = {.records = 0};
	enum status st = plan_drop(line, from, to, reason, &plan, err);

	if (st != ST_OK)
		cut_plan_release(&plan);
	else
		*out = plan;
	return st;
}

/* ---- accept ---- */

static enum status accept_path(const struct line *line, struct cut_plan *plan,
			       struct lake_diff_entry *change, struct err *err)
{
	struct loser loser = {plan, "accept-target", "changed on the target by hand"};
	enum status st = lose_rows(line, &loser, &plan->head.id, change->path, err);

	if (st != ST_OK)
		return st;
	if (change->change == LAKE_REMOVED) {
		GROW(plan->remove, plan->n_remove, plan->cap_remove);
		plan->remove[plan->n_remove++] = MOVE(change->path);
	} else {
		GROW(plan->take, plan->n_take, plan->cap_take);
		plan->take[plan->n_take++] = MOVE(change->path);
	}
	return ST_OK;
}

static enum status accept_root(const struct line *line, struct cut_plan *plan, const char *root,
			       struct err *err)
{
	AUTO(lake_diff_closep) struct lake_diff *diff = NULL;
	struct lake_diff_entry entry;
	enum status st =
		lake_diff_open(line->lake, &plan->shown.id, &plan->follows, root, &diff, err);

	while (st == ST_OK && (st = lake_diff_next(diff, &entry, err)) == ST_OK) {
		if (!path_is_document(entry.path))
			st = accept_path(line, plan, &entry, err);
		free(entry.path);
	}
	return st == ST_END ? ST_OK : st;
}

static enum status plan_accept(const struct line *line, struct cut_plan *plan, struct err *err)
{
	AUTO(roots_release) struct roots roots = {0};
	AUTO(checkpoint_release) struct checkpoint old = {0};
	enum status st = begin(line, plan, err);

	if (st == ST_OK)
		st = lake_ref_get(line->lake, LAKE_BRANCH, line->target, &plan->follows, err);
	if (st == ST_OK && !lake_id_is_none(&plan->shown.checkpoint))
		st = checkpoint_read(line->lake, &plan->shown.checkpoint, &old, err);
	if (st != ST_OK)
		return st;
	roots_add(&roots, line, &plan->head);
	roots_add(&roots, line, &old);
	for (size_t i = 0; st == ST_OK && i < roots.n; i++)
		st = accept_root(line, plan, roots.items[i], err);
	if (st == ST_OK && plan->n_remove + plan->n_take == 0)
		return err_set(err, ST_EMPTY, "nothing of %s was changed on %s by hand",
			       line->connector, line->target);
	return st;
}

enum status cut_plan_accept(const struct line *line, struct cut_plan *out, struct err *err)
{
	struct cut_plan plan = {.records = 0};
	enum status st = plan_accept(line, &plan, err);

	if (st != ST_OK)
		cut_plan_release(&plan);
	else
		*out = plan;
	return st;
}

/* ---- doing it ---- */

void cut_plan_print(const struct line *line, const struct cut_plan *plan, struct buf *out)
{
	bool drop = lake_id_is_none(&plan->follows);

	buf_addf(out, "%s: %s %s\n", line->connector, line->branch,
		 drop ? "loses files" : "follows what was changed by hand");
	buf_addf(out, "  %zu file%s go%s, %zu change; %" PRIu64 " rows are recorded as lost\n",
		 plan->n_remove, plan->n_remove == 1 ? "" : "s", plan->n_remove == 1 ? "es" : "",
		 plan->n_take, plan->records);
	for (size_t i = 0; i < plan->n_remove + plan->n_take && i < 20; i++)
		buf_addf(out, "  %s %s\n", i < plan->n_remove ? "-" : "+",
			 i < plan->n_remove ? plan->remove[i] : plan->take[i - plan->n_remove]);
	if (plan->n_remove + plan->n_take > 20)
		buf_addf(out, "  and %zu more\n", plan->n_remove + plan->n_take - 20);
	buf_addf(out, "  %s shows it with the next publish\n", line->target);
}

static enum status put_changes(struct lake_txn *txn, const struct cut_plan *plan, struct err *err)
{
	enum status st = ST_OK;

	for (size_t i = 0; st == ST_OK && i < plan->n_remove; i++)
		st = lake_txn_remove(txn, plan->remove[i], err);
	for (size_t i = 0; st == ST_OK && i < plan->n_take; i++)
		st = lake_txn_graft(txn, &plan->follows, plan->take[i], err);
	return st;
}

static void put_kind(struct lake_txn *txn, const struct cut_plan *plan)
{
	char from[LAKE_ID_HEX_BYTES], to[LAKE_ID_HEX_BYTES];
	AUTO(freep) char *range = NULL;

	if (!lake_id_is_none(&plan->follows)) {
		lake_id_hex(&plan->follows, to);
		lake_txn_set_meta(txn, META_ACCEPTED, to);
		return;
	}
	lake_id_hex(&plan->from.id, from);
	lake_id_hex(&plan->to.id, to);
	range = xasprintf("%s..%s", from, to);
	lake_txn_set_meta(txn, META_DROPPED, range);
}

/* An unknown outcome is never guessed: is the batch on the line from ingest's head back to
 * the plan's (I7)? */
static enum status find_batch(const struct line *line, const struct cut_plan *plan,
			      const char *batch, struct lake_id *out, struct err *err)
{
	struct lake_id at;
	enum status st = lake_ref_get(line->lake, LAKE_BRANCH, line->branch, &at, err);

	while (st == ST_OK && !lake_id_is_none(&at) && !lake_id_equal(&at, &plan->head.id)) {
		AUTO(checkpoint_release) struct checkpoint cp = {0};

		st = checkpoint_read(line->lake, &at, &cp, err);
		if (st == ST_OK && strcmp(cp.batch, batch) == 0) {
			*out = at;
			return ST_OK;
		}
		at = cp.previous;
	}
	return st == ST_OK ? err_set(err, ST_CONFLICT, "nothing was taken out of %s", line->branch)
			   : st;
}

enum status cut_apply(const struct line *line, const struct cut_plan *plan, struct lake_id *out,
		      struct err *err)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	AUTO(checkpoint_release) struct checkpoint cp = {0};
	AUTO(freep) char *message = NULL;
	const struct ranges none = {0};
	bool drop = lake_id_is_none(&plan->follows);
	enum status st = lake_txn_begin(line->lake, &plan->head.id, &txn, err);

	if (st != ST_OK)
		return st;
	checkpoint_copy(&cp, &plan->head);
	cp.previous = plan->head.id;
	cp.epoch = plan->head.epoch + 1;
	cp.sequence = plan->head.sequence + 1;
	cp.cuts = plan->head.cuts + 1;
	batch_id_new(line->rng, cp.batch);
	message = xasprintf(drop ? "drop %zu files of %s" : "accept %zu changes by hand to %s",
			    plan->n_remove + plan->n_take, line->connector);
	st = put_changes(txn, plan, err);
	put_kind(txn, plan);
	checkpoint_put_undo(txn, &plan->head.id, &plan->shown.checkpoint);
	if (st == ST_OK)
		st = checkpoint_put_bare(txn, &cp, &none, &plan->lost, message, err);
	KILL_POINT("cut.before_commit");
	if (st == ST_OK)
		st = lake_txn_commit(txn, line->branch, &plan->head.id, message, out, err);
	KILL_POINT("cut.after_commit");
	return st == ST_UNKNOWN ? find_batch(line, plan, cp.batch, out, err) : st;
}
