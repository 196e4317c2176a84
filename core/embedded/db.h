/* RocksDB, and nothing of it outside db.c and db_options.c. One key space; keys.h says what is
 * in it.
 *
 * Writing cannot fail: a failed write or sync of the log ends the process with
 * its reason, because what a log holds after that is known only to the next
 * open (Debian's RocksDB aborts there by itself).
 *
 * Threads: all functions from any thread; an iterator or batch from one. */
#ifndef TIDEMARK_EMBEDDED_DB_H
#define TIDEMARK_EMBEDDED_DB_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/shared.h"

struct db;
/* What an open does with damage in the log. */
enum db_recovery {
	/* A torn record at the end is dropped; any other damage refuses to open. */
	DB_WHOLE_LOG,
	/* What comes before the first damage is kept. Only for who knows that nothing
	 * behind it counts: this changes the files, and the rest is gone. */
	DB_LOG_PREFIX,
	/* What can be read of the log, before and behind damage. To look only: what
	 * is left between gaps need not belong together. */
	DB_LOG_REST,
};

/* path: a folder. ST_DAMAGED, with the remedy, where RocksDB refuses it. */
MUST_CHECK enum status db_open(const char *path, bool create, enum db_recovery recovery,
			       struct db **out, struct err *err);
/* What such an open would show, changing nothing. For reading alone; ST_DAMAGED
 * where that open would be refused too. */
MUST_CHECK enum status db_open_to_read(const char *path, enum db_recovery recovery, struct db **out,
				       struct err *err);
/* Makes metadata that open of what can be read of its files, without what says
 * which of them belong together; a table that cannot be read is left out. What
 * is left out is moved into lost/ below path. */
MUST_CHECK enum status db_salvage(const char *path, struct err *err);
void db_close(struct db *db);
AUTO_DESTRUCTOR(struct db, db_close)

/* Appends the value to out; ST_NOT_FOUND (with no text worth showing). */
MUST_CHECK enum status db_get(struct db *db, const struct buf *key, struct buf *out,
			      struct err *err);
/* The same, as bytes of their own, held for the caller. */
MUST_CHECK enum status db_get_shared(struct db *db, const struct buf *key, struct shared **out,
				     struct err *err);
/* Not synced: durable with the next synced batch. */
void db_put(struct db *db, const struct buf *key, const void *value, size_t len);
void db_delete(struct db *db, const struct buf *key);

struct db_batch;
struct db_batch *db_batch_new(void);
void db_batch_clear(struct db_batch *batch); /* keeps the memory */
void db_batch_free(struct db_batch *batch); /* NULL is fine */
AUTO_DESTRUCTOR(struct db_batch, db_batch_free)
void db_batch_put(struct db_batch *batch, const struct buf *key, const void *value, size_t len);
void db_batch_delete(struct db_batch *batch, const struct buf *key);
/* All of the batch, and all that was put before, is durable on return. */
void db_write_synced(struct db *db, struct db_batch *batch);
/* Not synced; all of the batch or, after a crash, nothing. Empties it. */
void db_write(struct db *db, struct db_batch *batch);
/* All that was written before is durable on return. */
void db_sync(struct db *db);

/* Bytes that the keys with this prefix take on disk, about. */
uint64_t db_size(struct db *db, const struct buf *prefix);
/* Gives the room of deleted keys with this prefix back to the disk, the part-th
 * (from 0) of `parts` (1 to 256) by the byte behind the prefix; needs about
 * that part of db_size() of free disk meanwhile. What goes wrong is RocksDB's to
 * report at the next write. */
void db_compact(struct db *db, const struct buf *prefix, unsigned part, unsigned parts);

/* Over the keys that begin with prefix, in byte order, as they are now. */
struct db_iter;
struct db_iter *db_iter_new(struct db *db, const struct buf *prefix);
/* Over all keys, as they are now; every block is verified, and none cached. */
struct db_iter *db_scan_new(struct db *db);
/* The next db_iter_next() goes to the first key >= key; also after ST_DAMAGED. */
void db_iter_seek(struct db_iter *it, const void *key, size_t len);
void db_iter_free(struct db_iter *it);
AUTO_DESTRUCTOR(struct db_iter, db_iter_free)
/* Moves to the next key (to the first at the start), or from the end back.
 * A direction is chosen by the first call and kept. ST_END; ST_DAMAGED. */
MUST_CHECK enum status db_iter_next(struct db_iter *it, struct err *err);
MUST_CHECK enum status db_iter_prev(struct db_iter *it, struct err *err);
/* Valid until the iterator moves. */
struct bytes db_iter_key(const struct db_iter *it);
struct bytes db_iter_value(const struct db_iter *it);

/* The database as it is now, as a folder of its own (path must not exist) beside
 * this one: tables are shared by hard links, and no log is needed. */
MUST_CHECK enum status db_checkpoint(struct db *db, const char *path, struct err *err);

/* Calls bad with the name of a table, and why, whose file is gone: one that is
 * open is read on. What lies in the tables a scan reads, all but filters: a
 * damaged one hides no key, reading goes without it (tests/contract/test_tables.c),
 * and the next compaction makes another. */
void db_check_tables(struct db *db, const char *path,
		     void (*bad)(void *ctx, const char *file, const char *why), void *ctx);

#endif
