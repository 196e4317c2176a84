/* Commits and the graph they form, by core/model over the backend's
 * commit_get. */
#include <stdlib.h>

#include "core/lake_backend.h"

static enum status store_get(void *ctx, const struct lake_id *id, struct commit *out,
			     struct err *err)
{
	struct lake *lake = ctx;

	return lake->ops->commit_get(lake, id, out, err);
}

static struct commit_store commits_of(struct lake *lake)
{
	return (struct commit_store){.ctx = lake, .get = store_get};
}

enum status lake_commit_read(struct lake *lake, const struct lake_id *id, struct lake_commit *out,
			     struct err *err)
{
	struct commit c = {0};
	enum status st = lake->ops->commit_get(lake, id, &c, err);

	if (st == ST_OK)
		*out = c.public; /* with all that it owns */
	return st;
}

struct lake_log {
	struct commit_store store;
	struct history_log *log;
};

enum status lake_log_open(struct lake *lake, const struct lake_id *from, bool first_parent,
			  struct lake_log **out, struct err *err)
{
	struct lake_commit first = {0};
	enum status st = lake_commit_read(lake, from, &first, err);
	struct lake_log *log;

	if (st != ST_OK)
		return st;
	lake_commit_release(&first);
	log = xcalloc(1, sizeof(*log));
	log->store = commits_of(lake);
	log->log = history_log_new(&log->store, from, first_parent);
	*out = log;
	return ST_OK;
}

enum status lake_log_next(struct lake_log *log, struct lake_commit *out, struct err *err)
{
	struct commit c = {0};
	enum status st = history_log_next(log->log, &c, err);

	if (st == ST_OK)
		*out = c.public;
	return st;
}

void lake_log_close(struct lake_log *log)
{
	if (!log)
		return;
	history_log_free(log->log);
	free(log);
}

enum status lake_log_search(struct lake *lake, const struct lake_id *from,
			    bool (*holds)(void *ctx, const struct lake_commit *commit), void *ctx,
			    struct lake_commit *out, struct err *err)
{
	struct commit_store store = commits_of(lake);
	struct commit c = {0};
	enum status st = history_search(&store, from, holds, ctx, &c, err);

	if (st == ST_OK)
		*out = c.public;
	return st;
}

enum status lake_is_ancestor(struct lake *lake, const struct lake_id *ancestor,
			     const struct lake_id *of, bool *out, struct err *err)
{
	struct commit_store store = commits_of(lake);

	return history_is_ancestor(&store, ancestor, of, out, err);
}

enum status lake_merge_base(struct lake *lake, const struct lake_id *a, const struct lake_id *b,
			    struct lake_id *out, struct err *err)
{
	struct commit_store store = commits_of(lake);

	return history_merge_base(&store, a, b, out, err);
}

enum status lake_merge_bases(struct lake *lake, const struct lake_id *a, const struct lake_id *b,
			     struct lake_id **out, size_t *n_out, struct err *err)
{
	struct commit_store store = commits_of(lake);

	return history_merge_bases(&store, a, 1, b, out, n_out, err);
}
