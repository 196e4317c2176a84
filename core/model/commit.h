/* Commits as content-addressed bytes, and the graph they form.
 *
 * A commit holds skip pointers along first parents (jump: the ancestor that a
 * skew-binary skip list would name), so that a search by a monotone property
 * reads O(log n) commits. depth counts first parents to the root. */
#ifndef TIDEMARK_MODEL_COMMIT_H
#define TIDEMARK_MODEL_COMMIT_H

#include "core/base/buf.h"
#include "core/lake.h"
#include "core/model/hash.h"

struct commit {
	struct lake_commit public; /* what lake.h shows */
	uint64_t depth; /* on the line of first parents; the root has 0 */
	struct lake_id jump; /* skip pointer; the root's is itself none */
	uint64_t jump_depth;
};

void commit_release(struct commit *c);
/* Encodes everything but public.id; canonical. */
void commit_encode(const struct commit *c, struct buf *out);
/* ST_DAMAGED where the bytes do not hash to id or are no commit. */
MUST_CHECK enum status commit_decode(const struct lake_id *id, const void *data, size_t len,
				     struct commit *out, struct err *err);

struct commit_store {
	void *ctx;
	/* ST_NOT_FOUND, ST_DAMAGED, ST_IO. */
	enum status (*get)(void *ctx, const struct lake_id *id, struct commit *out,
			   struct err *err);
};

/* Fills generation, depth, jump, jump_depth and time_ms = max(now_ms, each
 * parent's + 1) of a new commit from its parents (public.parents is set), then
 * encodes it into bytes_out and sets public.id. */
MUST_CHECK enum status commit_seal(const struct commit_store *store, struct commit *c,
				   int64_t now_ms, struct buf *bytes_out, struct err *err);

/* Are generation, depth, skip pointer and time what they must be by its parents?
 * ST_DAMAGED says what is not; a parent that is missing is damage too. */
MUST_CHECK enum status commit_check(const struct commit_store *store, const struct commit *c,
				    struct err *err);

/* The contracts of lake_log_search, lake_is_ancestor, lake_merge_base. */
MUST_CHECK enum status history_search(const struct commit_store *store, const struct lake_id *from,
				      bool (*holds)(void *ctx, const struct lake_commit *commit),
				      void *ctx, struct commit *out, struct err *err);
MUST_CHECK enum status history_is_ancestor(const struct commit_store *store,
					   const struct lake_id *ancestor, const struct lake_id *of,
					   bool *out, struct err *err);
/* Criss-cross histories have several best bases; the one with the greatest
 * generation, then time, then id, is taken here. */
MUST_CHECK enum status history_merge_base(const struct commit_store *store, const struct lake_id *a,
					  const struct lake_id *b, struct lake_id *out,
					  struct err *err);
/* All best common ancestors of b and of the commits as, taken together: those
 * that are ancestors of no other one. Oldest first (by time, then id). *out is
 * the caller's to free. */
MUST_CHECK enum status history_merge_bases(const struct commit_store *store,
					   const struct lake_id *as, size_t n_as,
					   const struct lake_id *b, struct lake_id **out,
					   size_t *n_out, struct err *err);

/* The contract of lake_log_*. */
struct history_log;
struct history_log *history_log_new(const struct commit_store *store, const struct lake_id *from,
				    bool first_parent);
MUST_CHECK enum status history_log_next(struct history_log *log, struct commit *out,
					struct err *err);
void history_log_free(struct history_log *log);
AUTO_DESTRUCTOR(struct history_log, history_log_free)

#endif
