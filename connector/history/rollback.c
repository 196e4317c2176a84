#include "connector/history/rollback.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "connector/history/ingest.h"
#include "core/base/killpoint.h"

/* R: T's tree and offsets under a new epoch. */
static enum status make_ingest(const struct line *line, const struct rollback_plan *plan,
			       struct lake_id *out, struct err *err)
{
	AUTO(lake_txn_freep) struct lake_txn *txn = NULL;
	AUTO(checkpoint_release) struct checkpoint r = {0};
	const struct lake_id parents[2] = {plan->to.id, plan->head.id};
	enum status st = lake_txn_begin(line->lake, &plan->to.id, &txn, err);

	if (st != ST_OK)
		return st;
	checkpoint_copy(&r, &plan->to);
	offsets_copy(&r.offsets, &plan->offsets);
	r.previous = plan->to.id;
	r.epoch = plan->head.epoch + 1;
	r.sequence = plan->head.sequence + 1;
	batch_id_new(line->rng, r.batch);
	lake_txn_parents(txn, parents, lake_id_equal(&parents[0], &parents[1]) ? 1 : 2);
	checkpoint_put_undo(txn, &plan->head.id, &plan->shown.checkpoint);
	st = checkpoint_put_bare(txn, &r, &plan->skipped, &plan->losses, plan->message, err);
	if (st == ST_OK)
		st = lake_txn_prepare(txn, out, err);
	KILL_POINT("rollback.ingest_made");
	return st;
}

/* All paths of this connector that the target has, or will have. */
static enum status find_roots(const struct line *line, const struct rollback_plan *plan,
			      struct roots *out, struct err *err)
{
	const struct lake_id *shown[2] = {&plan->shown.checkpoint, &plan->show};
	enum status st = ST_OK;

	roots_add(out, line, &plan->head);
	for (size_t i = 0; st == ST_OK && i < 2; i++) {
		AUTO(checkpoint_release) struct checkpoint cp = {0};

		if (lake_id_is_none(shown[i]))
			continue;
		st = checkpoint_read(line->lake, shown[i], &cp, err);
		if (st == ST_OK)
			roots_add(out, line, &cp);
	}
	return st;
}

/* X(n+1) and its merge onto the target. */
static enum status make_target(const struct line *line, const struct rollback_plan *plan,
			       struct lake_id *x_out, struct lake_id *merged_out, struct err *err)
{
	struct publication_content content = {
		.tree = plan->show,
		.checkpoint = plan->show,
		.epoch = plan->head.epoch + (plan->target_only ? 0 : 1),
		.offsets = &plan->show_offsets,
		.message = plan->message,
		.records = -1,
	};
	struct cursor own = {.epoch = content.epoch, .checkpoint = plan->show};
	bool reset = plan->mode == ROLLBACK_RESET && !lake_id_is_none(&plan->reset_to);
	struct lake_id dest = reset ? plan->reset_to : plan->target_head;
	AUTO(roots_release) struct roots roots = {0};
	enum status st = find_roots(line, plan, &roots, err);

	if (st == ST_OK && lake_id_is_none(&content.tree))
		st = lake_first_commit(line->lake, line->target, &content.tree, err);
	if (st == ST_OK)
		st = publication_make(line, &plan->shown, &content, x_out, err);
	/* first, what was changed by hand is put back to what was shown */
	if (st == ST_OK)
		st = publication_restore(line, &roots, reset ? &plan->reset_shows : &plan->shown.id,
					 &dest, err);
	if (st == ST_OK)
		st = publication_join(line, &roots, x_out, &dest, &own, plan->message, merged_out,
				      err);
	KILL_POINT("rollback.target_made");
	/* nothing of ours can conflict now: the target was read after a publish that the
	 * plan had not seen, or there is a file where we have a folder */
	return st == ST_HELD ? ST_CONFLICT : st;
}

enum status rollback_apply(const struct line *line, const struct rollback_plan *plan,
			   struct rollback_result *out, struct err *err)
{
	/* The head itself: nobody may move ingest to a new epoch meanwhile. */
	struct lake_id r = plan->head.id, x, merged;
	enum status st = plan->target_only ? ST_OK : make_ingest(line, plan, &r, err);

	if (st == ST_OK)
		st = make_target(line, plan, &x, &merged, err);
	if (st == ST_OK) {
		const struct lake_move moves[] = {
			{LAKE_BRANCH, line->branch, plan->head.id, r},
			{LAKE_BRANCH, line->published, plan->shown.id, x},
			{LAKE_BRANCH, line->target, plan->target_head, merged},
		};

		st = lake_refs_move(line->lake, moves, ARRAY_SIZE(moves), plan->message, err);
		KILL_POINT("rollback.moved");
	}
	if (st == ST_UNKNOWN)
		st = publication_look(line, &x, err);
	if (st != ST_OK)
		return st;
	*out = (struct rollback_result){
		.ingest = r,
		.target = merged,
		.epoch = plan->head.epoch + (plan->target_only ? 0 : 1),
	};
	return ST_OK;
}
