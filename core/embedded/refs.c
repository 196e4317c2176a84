/* Branches, tags and protection, and the synced write by which they move. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/embedded/store.h"

static const char *kind_name(enum lake_ref_kind kind)
{
	return kind == LAKE_BRANCH ? "branch" : "tag";
}

static enum status id_of(const void *data, size_t len, const char *name, struct lake_id *out,
			 struct err *err)
{
	if (len != sizeof(out->bytes))
		return err_set(err, ST_DAMAGED, "the ref '%s' holds no id", name);
	memcpy(out->bytes, data, sizeof(out->bytes));
	return ST_OK;
}

enum status embedded_ref_get(struct lake *lake, enum lake_ref_kind kind, const char *name,
			     struct lake_id *out, struct err *err)
{
	struct embedded *e = embedded_of(lake);
	AUTO(buf_release) struct buf key = BUF_INIT;
	AUTO(buf_release) struct buf value = BUF_INIT;
	enum status st;

	key_ref(&key, kind, name);
	st = db_get(e->db, &key, &value, err);
	if (st == ST_NOT_FOUND)
		return err_set(err, st, "no %s '%s'; `tidemark %s` lists them", kind_name(kind),
			       name, kind_name(kind));
	return st == ST_OK ? id_of(value.data, value.len, name, out, err) : st;
}

enum status embedded_refs_list(struct lake *lake, enum lake_ref_kind kind, struct lake_refs *out,
			       struct err *err)
{
	struct embedded *e = embedded_of(lake);
	AUTO(buf_release) struct buf prefix = BUF_INIT;
	AUTO(db_iter_freep) struct db_iter *it = NULL;
	struct lake_refs refs = {.items = NULL};
	size_t cap = 0;
	enum status st;

	key_ref(&prefix, kind, "");
	it = db_iter_new(e->db, &prefix);
	while ((st = db_iter_next(it, err)) == ST_OK) {
		struct bytes key = db_iter_key(it);
		struct bytes value = db_iter_value(it);
		struct lake_ref *ref;

		GROW(refs.items, refs.n, cap);
		ref = &refs.items[refs.n++];
		ref->name =
			xstrndup((const char *)key.p + prefix.len, bytes_left(&key) - prefix.len);
		st = id_of(value.p, bytes_left(&value), ref->name, &ref->id, err);
		if (st != ST_OK)
			break;
	}
	if (st != ST_END) {
		lake_refs_release(&refs);
		return st;
	}
	*out = refs;
	return ST_OK;
}

/* ---- moving ---- */

/* Is the ref where the move expects it? */
static enum status check_move(struct embedded *e, const struct lake_move *move, struct err *err)
{
	struct lake_id at = {{0}};
	char is[LAKE_ID_SHORT_BYTES] = "";
	char expected[LAKE_ID_SHORT_BYTES] = "";
	enum status st = embedded_ref_get(&e->base, move->kind, move->name, &at, err);

	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	if (lake_id_equal(&at, &move->expected)) {
		return lake_id_is_none(&move->to) ? ST_OK : embedded_use(e, &move->to, err);
	}
	lake_id_short(&at, is);
	lake_id_short(&move->expected, expected);
	if (lake_id_is_none(&at))
		return err_set(err, ST_CONFLICT, "%s '%s' does not exist any more (expected at %s)",
			       kind_name(move->kind), move->name, expected);
	if (lake_id_is_none(&move->expected))
		return err_set(err, ST_CONFLICT, "%s '%s' exists already, at %s",
			       kind_name(move->kind), move->name, is);
	return err_set(err, ST_CONFLICT, "%s '%s' has moved: it is at %s, not at %s",
		       kind_name(move->kind), move->name, is, expected);
}

static bool moves_anything(const struct lake_move *move)
{
	return !lake_id_equal(&move->expected, &move->to);
}

static enum status add_move(struct embedded *e, struct db_batch *batch,
			    const struct lake_move *move, struct err *err)
{
	AUTO(buf_release) struct buf key = BUF_INIT;

	key_ref(&key, move->kind, move->name);
	if (!lake_id_is_none(&move->to)) {
		db_batch_put(batch, &key, move->to.bytes, sizeof(move->to.bytes));
		return ST_OK;
	}
	db_batch_delete(batch, &key);
	if (move->kind != LAKE_BRANCH)
		return ST_OK;
	key_protection(&key, move->name);
	db_batch_delete(batch, &key);
	return embedded_stage_drop(e, batch, move->name, err);
}

enum status embedded_moves_add(struct embedded *e, struct db_batch *batch,
			       const struct lake_move *moves, size_t n, const char *reason,
			       struct err *err)
{
	int64_t now_ms = e->clock->wall_ms(e->clock);

	for (size_t i = 0; i < n; i++) {
		enum status st = check_move(e, &moves[i], err);

		if (st == ST_OK && moves_anything(&moves[i]))
			st = add_move(e, batch, &moves[i], err);
		if (st != ST_OK)
			return st;
	}
	for (size_t i = 0; i < n; i++) {
		/* Borrowed: encoding only reads. */
		struct lake_reflog_entry entry = {.kind = moves[i].kind,
						  .name = (char *)moves[i].name,
						  .from = moves[i].expected,
						  .to = moves[i].to,
						  .time_ms = now_ms,
						  .committer = (char *)lake_committer(e->committer),
						  .reason = (char *)reason};

		if (!moves_anything(&moves[i]))
			continue;
		entry.sequence = ++e->sequence;
		embedded_reflog_add(batch, &entry);
	}
	return ST_OK;
}

void embedded_write(struct embedded *e, struct db_batch *batch)
{
	AUTO(buf_release) struct buf key = BUF_INIT;
	AUTO(buf_release) struct buf number = BUF_INIT;
	struct err err = ERR_INIT;

	key_sequence(&key);
	buf_add_be64(&number, e->sequence);
	db_batch_put(batch, &key, number.data, number.len);
	db_write_synced(e->db, batch);
	if (sequence_write(&e->file, e->sequence, &err) == ST_OK)
		return;
	log_error("lake_write_failed", LOG_S("reason", err.text),
		  LOG_S("remedy",
			"the outcome is read when the lake is opened again; mend the disk first"));
	_exit(status_exit_code(err.code));
}

static bool only_deletes(const struct lake_move *moves, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!lake_id_is_none(&moves[i].to))
			return false;
	return true;
}

/* Of what refs are to name; before the lock is taken, since it may take a while.
 * What is not there is said when the move is checked. */
static enum status keep_objects(struct embedded *e, const struct lake_move *moves, size_t n,
				struct err *err)
{
	enum status st = ST_OK;

	for (size_t i = 0; st == ST_OK && i < n; i++) {
		if (lake_id_is_none(&moves[i].to))
			continue;
		st = embedded_use(e, &moves[i].to, err);
		if (st == ST_NOT_FOUND)
			st = ST_OK;
	}
	return st;
}

enum status embedded_refs_move(struct lake *lake, const struct lake_move *moves, size_t n,
			       const char *reason, struct err *err)
{
	struct embedded *e = embedded_of(lake);
	AUTO(db_batch_freep) struct db_batch *batch = db_batch_new();
	AUTO(gate_leave) struct gate_pass pass = gate_enter(&e->gate);
	/* On a full disk too: what is deleted is what gc can free. */
	enum status st = only_deletes(moves, n) ? space_above_floor(&e->space, err)
						: space_take(&e->space, 0, err);

	if (st == ST_OK)
		st = keep_objects(e, moves, n, err);
	if (st != ST_OK)
		return st;
	pthread_mutex_lock(&e->moves);
	st = embedded_moves_add(e, batch, moves, n, reason, err);
	if (st == ST_OK)
		embedded_write(e, batch);
	pthread_mutex_unlock(&e->moves);
	return st;
}

/* ---- protection ---- */

enum status embedded_branch_protect(struct lake *lake, const char *branch, const char *by,
				    struct err *err)
{
	struct embedded *e = embedded_of(lake);
	AUTO(db_batch_freep) struct db_batch *batch = db_batch_new();
	AUTO(buf_release) struct buf key = BUF_INIT;
	struct lake_id head;
	enum status st = space_take(&e->space, 0, err);

	if (st != ST_OK)
		return st;
	key_protection(&key, branch);
	db_batch_put(batch, &key, by, strlen(by));
	pthread_mutex_lock(&e->moves);
	st = embedded_ref_get(lake, LAKE_BRANCH, branch, &head, err);
	if (st == ST_OK) {
		e->sequence++;
		embedded_write(e, batch);
	}
	pthread_mutex_unlock(&e->moves);
	return st;
}

enum status embedded_branch_protection(struct lake *lake, const char *branch, bool *protected_out,
				       char **by_out, struct err *err)
{
	struct embedded *e = embedded_of(lake);
	AUTO(buf_release) struct buf key = BUF_INIT;
	AUTO(buf_release) struct buf by = BUF_INIT;
	enum status st;

	key_protection(&key, branch);
	st = db_get(e->db, &key, &by, err);
	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	if (protected_out)
		*protected_out = st == ST_OK;
	if (by_out)
		*by_out = xstrdup(buf_str(&by));
	return ST_OK;
}

enum status embedded_refuse_protected(struct embedded *e, const char *branch, const char *what,
				      struct err *err)
{
	AUTO(freep) char *by = NULL;
	bool is_protected = false;
	enum status st = embedded_branch_protection(&e->base, branch, &is_protected, &by, err);

	if (st != ST_OK || !is_protected)
		return st;
	if (by && by[0])
		return err_set(err, ST_PROTECTED,
			       "branch '%s' belongs to the connector '%s' and refuses %s; use "
			       "another branch, and merge it",
			       branch, by, what);
	return err_set(err, ST_PROTECTED,
		       "branch '%s' is protected and refuses %s; use another branch, and merge it",
		       branch, what);
}
