/* The reflog: one entry for each move of a ref, by sequence number.
 *
 * An entry: kind (1 byte, 'b' or 't'), name, from (32), to (32), time
 * (8 bytes, big-endian), committer, reason; a text is a varint of its length,
 * then its bytes. */
#include <stdlib.h>
#include <string.h>

#include "core/embedded/store.h"
#include "core/model/text.h"

static bool take_id(struct bytes *in, struct lake_id *out)
{
	const unsigned char *p;

	if (!bytes_take(in, sizeof(out->bytes), &p))
		return false;
	memcpy(out->bytes, p, sizeof(out->bytes));
	return true;
}

void embedded_reflog_add(struct db_batch *batch, const struct lake_reflog_entry *entry)
{
	AUTO(buf_release) struct buf key = BUF_INIT;
	AUTO(buf_release) struct buf value = BUF_INIT;

	buf_addc(&value, entry->kind == LAKE_BRANCH ? 'b' : 't');
	text_encode(entry->name, &value);
	buf_add(&value, entry->from.bytes, sizeof(entry->from.bytes));
	buf_add(&value, entry->to.bytes, sizeof(entry->to.bytes));
	buf_add_be64(&value, (uint64_t)entry->time_ms);
	text_encode(entry->committer, &value);
	text_encode(entry->reason, &value);
	key_reflog(&key, entry->sequence);
	db_batch_put(batch, &key, value.data, value.len);
	key_reflog_of(&key, entry->name);
	buf_add_be64(&key, entry->sequence);
	db_batch_put(batch, &key, "", 0);
}

void embedded_reflog_remove(struct db_batch *batch, const char *name, uint64_t sequence)
{
	AUTO(buf_release) struct buf key = BUF_INIT;

	key_reflog(&key, sequence);
	db_batch_delete(batch, &key);
	key_reflog_of(&key, name);
	buf_add_be64(&key, sequence);
	db_batch_delete(batch, &key);
}

enum status embedded_reflog_decode(uint64_t sequence, struct bytes in,
				   struct lake_reflog_entry *out, struct err *err)
{
	struct lake_reflog_entry e = {.sequence = sequence};
	const unsigned char *kind;
	uint64_t time;

	if (bytes_take(&in, 1, &kind) && text_decode(&in, &e.name) && take_id(&in, &e.from) &&
	    take_id(&in, &e.to) && bytes_be64(&in, &time) && text_decode(&in, &e.committer) &&
	    text_decode(&in, &e.reason) && bytes_left(&in) == 0) {
		e.kind = *kind == 'b' ? LAKE_BRANCH : LAKE_TAG;
		e.time_ms = (int64_t)time;
		*out = e;
		return ST_OK;
	}
	lake_reflog_entry_clear(&e);
	return err_set(err, ST_DAMAGED, "reflog entry %llu cannot be read",
		       (unsigned long long)sequence);
}

/* The index names an entry that is not there: gc has dropped both since the
 * iterator was made (ST_NOT_FOUND), or it is lost. */
static enum status missing(struct embedded *e, const struct db_iter *it, uint64_t sequence,
			   struct err *err)
{
	AUTO(buf_release) struct buf key = BUF_INIT;
	AUTO(buf_release) struct buf value = BUF_INIT;
	struct bytes k = db_iter_key(it);
	enum status st;

	buf_add(&key, k.p, bytes_left(&k));
	st = db_get(e->db, &key, &value, err);
	return st != ST_OK ? st
			   : err_set(err, ST_DAMAGED, "reflog entry %llu is missing",
				     (unsigned long long)sequence);
}

/* The entry that the iterator stands at; by way of the main record where it
 * walks the index of one name. */
static enum status entry_at(struct embedded *e, const struct db_iter *it, bool by_name,
			    struct lake_reflog_entry *out, struct err *err)
{
	AUTO(buf_release) struct buf key = BUF_INIT;
	AUTO(buf_release) struct buf value = BUF_INIT;
	struct bytes k = db_iter_key(it);
	uint64_t sequence;
	enum status st;

	if (bytes_left(&k) < 9)
		return err_set(err, ST_DAMAGED, "a key of the reflog is too short");
	k.p = k.end - 8;
	if (!bytes_be64(&k, &sequence))
		return err_set(err, ST_DAMAGED, "a key of the reflog is too short");
	if (!by_name)
		return embedded_reflog_decode(sequence, db_iter_value(it), out, err);
	key_reflog(&key, sequence);
	st = db_get(e->db, &key, &value, err);
	if (st == ST_NOT_FOUND)
		return missing(e, it, sequence, err);
	return st == ST_OK
		       ? embedded_reflog_decode(sequence, bytes_of(value.data, value.len), out, err)
		       : st;
}

enum status embedded_reflog_read(struct lake *lake, const char *name, size_t limit,
				 struct lake_reflog *out, struct err *err)
{
	struct embedded *e = embedded_of(lake);
	AUTO(buf_release) struct buf prefix = BUF_INIT;
	AUTO(db_iter_freep) struct db_iter *it = NULL;
	struct lake_reflog log = {.items = NULL};
	size_t cap = 0;
	enum status st = ST_END;

	if (name)
		key_reflog_of(&prefix, name);
	else
		buf_addc(&prefix, 'l');
	it = db_iter_new(e->db, &prefix);
	while (limit == 0 || log.n < limit) {
		struct lake_reflog_entry entry;

		st = db_iter_prev(it, err);
		if (st == ST_OK)
			st = entry_at(e, it, name != NULL, &entry, err);
		if (st == ST_NOT_FOUND)
			continue;
		if (st != ST_OK)
			break;
		GROW(log.items, log.n, cap);
		log.items[log.n++] = entry;
	}
	if (st != ST_END && st != ST_OK) {
		lake_reflog_release(&log);
		return st;
	}
	*out = log;
	return ST_OK;
}

enum status embedded_reflog_each(struct embedded *e,
				 enum status (*each)(void *ctx,
						     const struct lake_reflog_entry *entry,
						     struct err *err),
				 void *ctx, struct err *err)
{
	AUTO(buf_release) struct buf prefix = BUF_INIT;
	AUTO(db_iter_freep) struct db_iter *it = NULL;
	enum status st;

	buf_addc(&prefix, 'l');
	it = db_iter_new(e->db, &prefix);
	while ((st = db_iter_prev(it, err)) == ST_OK) {
		struct lake_reflog_entry entry;

		st = entry_at(e, it, false, &entry, err);
		if (st != ST_OK)
			return st;
		st = each(ctx, &entry, err);
		lake_reflog_entry_clear(&entry);
		if (st != ST_OK)
			return st;
	}
	return st == ST_END ? ST_OK : st;
}
