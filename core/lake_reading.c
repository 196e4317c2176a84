/* A lake that is only read (LAKE_READ): its backend's table, with a refusal in the
 * place of each member that writes. The members of an upload, but for its
 * opening, are never reached: there is none. */
#include "core/lake_backend.h"

static enum status refuse(const struct lake *lake, const char *what, struct err *err)
{
	return err_set(err, ST_FAILED, "%s is open for reading alone, and this would %s", lake->url,
		       what);
}

static enum status refs_move(struct lake *lake, const struct lake_move *moves, size_t n,
			     const char *reason, struct err *err)
{
	(void)moves, (void)n, (void)reason;
	return refuse(lake, "move a ref", err);
}

static enum status branch_protect(struct lake *lake, const char *branch, const char *by,
				  struct err *err)
{
	(void)branch, (void)by;
	return refuse(lake, "protect a branch", err);
}

static enum status upload_open(struct lake *lake, struct lake_upload **out, struct err *err)
{
	(void)out;
	return refuse(lake, "store an object", err);
}

static enum status txn_prepare(struct lake *lake, const struct lake_txn *txn, struct lake_id *out,
			       struct err *err)
{
	(void)txn, (void)out;
	return refuse(lake, "make a commit", err);
}

static enum status merge_prepare(struct lake *lake, const struct lake_merge *merge,
				 struct lake_id *out, struct lake_conflicts *conflicts_out,
				 struct err *err)
{
	(void)merge, (void)out, (void)conflicts_out;
	return refuse(lake, "make a merge", err);
}

static enum status revert_prepare(struct lake *lake, const struct lake_id *head,
				  const struct lake_revert *revert, struct lake_id *out,
				  struct lake_conflicts *conflicts_out, struct err *err)
{
	(void)head, (void)revert, (void)out, (void)conflicts_out;
	return refuse(lake, "make a revert", err);
}

static enum status cherry_pick_prepare(struct lake *lake, const struct lake_id *head,
				       const struct lake_id *commit, unsigned parent,
				       struct lake_id *out, struct lake_conflicts *conflicts_out,
				       struct err *err)
{
	(void)head, (void)commit, (void)parent, (void)out, (void)conflicts_out;
	return refuse(lake, "pick a commit", err);
}

static enum status stage_put(struct lake *lake, const char *branch, const char *path,
			     struct lake_upload *up, const char *content_type,
			     const struct lake_meta *meta, struct err *err)
{
	(void)branch, (void)path, (void)up, (void)content_type, (void)meta;
	return refuse(lake, "stage an object", err);
}

static enum status stage_remove(struct lake *lake, const char *branch, const char *path,
				struct err *err)
{
	(void)branch, (void)path;
	return refuse(lake, "stage a removal", err);
}

static enum status stage_commit(struct lake *lake, const char *branch, const char *message,
				const struct lake_meta *meta, struct lake_id *out, struct err *err)
{
	(void)branch, (void)message, (void)meta, (void)out;
	return refuse(lake, "commit what is staged", err);
}

static enum status stage_discard(struct lake *lake, const char *branch, struct err *err)
{
	(void)branch;
	return refuse(lake, "discard what is staged", err);
}

static enum status gc(struct lake *lake, const struct lake_gc_options *options,
		      struct lake_gc_report *out, struct err *err)
{
	(void)options, (void)out;
	return refuse(lake, "free objects", err);
}

/* It writes to the lake too: a checkpoint of the metadata is made beside them. */
static enum status backup(struct lake *lake, const char *dir, struct lake_backup_report *out,
			  struct err *err)
{
	(void)dir, (void)out;
	return refuse(lake, "make a backup", err);
}

void lake_refuse_writes(struct lake *lake)
{
	struct lake_ops *ops = (struct lake_ops *)xmemdup(lake->ops, sizeof(*ops));

	ops->refs_move = refs_move;
	ops->branch_protect = branch_protect;
	ops->upload_open = upload_open;
	ops->txn_prepare = txn_prepare;
	ops->merge_prepare = merge_prepare;
	ops->revert_prepare = revert_prepare;
	ops->cherry_pick_prepare = cherry_pick_prepare;
	ops->stage_put = stage_put;
	ops->stage_remove = stage_remove;
	ops->stage_commit = stage_commit;
	ops->stage_discard = stage_discard;
	ops->gc = gc;
	ops->backup = backup;
	lake->reading = ops;
	lake->ops = ops;
}
