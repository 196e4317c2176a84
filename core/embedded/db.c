#include "core/embedded/db.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/killpoint.h"
#include "core/base/log.h"
#include "core/embedded/db_options.h"

/* From so many flushed tables on they are compacted. A writer begins where RocksDB does by
 * itself. Who only reads, a command that ends soon, would leave a processor to work that
 * its end throws away. */
#define WRITER_COMPACTS 4
#define READER_COMPACTS 12

struct db {
	rocksdb_t *handle;
	rocksdb_options_t *options;
	rocksdb_readoptions_t *read;
	rocksdb_writeoptions_t *lazy;
	rocksdb_writeoptions_t *synced;
	atomic_bool compacts;
};

/* Takes over text, RocksDB's own. */
static enum status db_error(char *text, const char *what, struct err *err)
{
	enum status st;

	if (strstr(text, "No space") || strstr(text, "Disk quota"))
		st = err_set(err, ST_NO_SPACE, "%s: %s", what, text);
	else if (strstr(text, "Corruption") || strstr(text, "checksum") ||
		 strstr(text, "CURRENT") || strstr(text, "No such file"))
		st = err_set(err, ST_DAMAGED,
			     "%s: %s; `tidemark fsck` says what is damaged, and `tidemark fsck "
			     "--repair` what it would drop to mend it",
			     what, text);
	else if (strstr(text, "lock ") || strstr(text, "LOCK"))
		st = err_set(err, ST_BUSY, "%s: %s", what, text);
	else
		st = err_set(err, ST_IO, "%s: %s", what, text);
	rocks.free(text);
	return st;
}

_Noreturn static void die(char *text)
{
	log_error("lake_write_failed", LOG_S("reason", text),
		  LOG_S("remedy",
			"the outcome is read when the lake is opened again; mend the disk first"));
	_exit(status_exit_code(strstr(text, "No space") ? ST_NO_SPACE : ST_IO));
}

/* Compaction can wait while somebody asks for something. It never starves: RocksDB
 * makes writers wait where too much of it is left. For the process. */
static void lower_compaction(void)
{
	rocksdb_env_t *env = rocks.create_default_env();

	rocks.env_lower_thread_pool_cpu_priority(env);
	rocks.env_destroy(env);
}

/* Every open for writing begins a log file, and RocksDB forgets to delete those
 * that nothing was written to. */
static void drop_empty_logs(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		size_t len = strlen(entry->d_name);
		struct stat st;

		if (len > 4 && strcmp(entry->d_name + len - 4, ".log") == 0 &&
		    fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode) && st.st_size == 0)
			unlinkat(dirfd(dir), entry->d_name, 0);
	}
	if (dir)
		closedir(dir);
}

/* Takes over options. */
static struct db *db_new(rocksdb_t *handle, rocksdb_options_t *options)
{
	struct db *db = xcalloc(1, sizeof(*db));

	db->handle = handle;
	db->options = options;
	db->read = rocks.readoptions_create();
	db->lazy = rocks.writeoptions_create();
	db->synced = rocks.writeoptions_create();
	rocks.writeoptions_set_sync(db->synced, 1);
	return db;
}

/* Switches compaction on where there is that much for it to do. */
static void compact_from(struct db *db, unsigned long tables)
{
	static const char *const names[] = {"disable_auto_compactions"};
	static const char *const values[] = {"false"};
	char *text;
	bool due;

	if (atomic_load_explicit(&db->compacts, memory_order_relaxed))
		return;
	text = rocks.property_value(db->handle, "rocksdb.num-files-at-level0");
	due = text && strtoul(text, NULL, 10) >= tables;
	rocks.free(text);
	text = NULL;
	if (due && !atomic_exchange_explicit(&db->compacts, true, memory_order_relaxed))
		rocks.set_options(db->handle, 1, names, values, &text);
	if (text)
		die(text);
}

enum status db_open(const char *path, bool create, enum db_recovery recovery, struct db **out,
		    struct err *err)
{
	AUTO(freep) char *what = xasprintf("cannot open the lake's metadata %s", path);
	rocksdb_options_t *options = db_options_to_write(create, recovery);
	char *text = NULL;
	rocksdb_t *handle;

	drop_empty_logs(path);
	lower_compaction();
	handle = rocks.open(options, path, &text);
	if (text) {
		rocks.options_destroy(options);
		return db_error(text, what, err);
	}
	*out = db_new(handle, options);
	compact_from(*out, READER_COMPACTS);
	return ST_OK;
}

enum status db_open_to_read(const char *path, enum db_recovery recovery, struct db **out,
			    struct err *err)
{
	AUTO(freep) char *what = xasprintf("cannot read the lake's metadata %s", path);
	rocksdb_options_t *options = db_options_to_read(recovery);
	char *text = NULL;
	rocksdb_t *handle;

	handle = rocks.open_for_read_only(options, path, 0, &text);
	if (text) {
		rocks.options_destroy(options);
		return db_error(text, what, err);
	}
	*out = db_new(handle, options);
	return ST_OK;
}

enum status db_salvage(const char *path, struct err *err)
{
	AUTO(freep) char *what = xasprintf("cannot salvage the lake's metadata %s", path);
	rocksdb_options_t *options = db_options_to_read(DB_LOG_REST);
	char *text = NULL;

	rocks.repair_db(options, path, &text);
	rocks.options_destroy(options);
	return text ? db_error(text, what, err) : ST_OK;
}

void db_close(struct db *db)
{
	if (!db)
		return;
	rocks.close(db->handle);
	rocks.options_destroy(db->options);
	rocks.readoptions_destroy(db->read);
	rocks.writeoptions_destroy(db->lazy);
	rocks.writeoptions_destroy(db->synced);
	free(db);
}

/* RocksDB's own bytes; *out is to be destroyed, and is NULL where it fails. */
static enum status get_pinned(struct db *db, const struct buf *key, rocksdb_pinnableslice_t **out,
			      struct bytes *value_out, struct err *err)
{
	char *text = NULL;
	const char *value;
	size_t len = 0;

	*out = rocks.get_pinned(db->handle, db->read, key->data, key->len, &text);
	if (text)
		return db_error(text, "cannot read the lake's metadata", err);
	if (!*out)
		return err_set(err, ST_NOT_FOUND, "not in the lake's metadata");
	value = rocks.pinnableslice_value(*out, &len);
	*value_out = bytes_of(value, len);
	return ST_OK;
}

enum status db_get(struct db *db, const struct buf *key, struct buf *out, struct err *err)
{
	rocksdb_pinnableslice_t *slice;
	struct bytes value;
	enum status st = get_pinned(db, key, &slice, &value, err);

	if (st != ST_OK)
		return st;
	buf_add(out, value.p, bytes_left(&value));
	rocks.pinnableslice_destroy(slice);
	return ST_OK;
}

enum status db_get_shared(struct db *db, const struct buf *key, struct shared **out,
			  struct err *err)
{
	rocksdb_pinnableslice_t *slice;
	struct bytes value;
	enum status st = get_pinned(db, key, &slice, &value, err);

	if (st != ST_OK)
		return st;
	*out = shared_new(value.p, bytes_left(&value));
	rocks.pinnableslice_destroy(slice);
	return ST_OK;
}

/* ---- writing ---- */

void db_put(struct db *db, const struct buf *key, const void *value, size_t len)
{
	char *text = NULL;

	rocks.put(db->handle, db->lazy, key->data, key->len, value, len, &text);
	if (text)
		die(text);
}

void db_delete(struct db *db, const struct buf *key)
{
	char *text = NULL;

	rocks.delete(db->handle, db->lazy, key->data, key->len, &text);
	if (text)
		die(text);
}

void db_sync(struct db *db)
{
	char *text = NULL;

	rocks.flush_wal(db->handle, 1, &text);
	if (text)
		die(text);
}

/* ---- batches ---- */

struct db_batch {
	rocksdb_writebatch_t *batch;
};

struct db_batch *db_batch_new(void)
{
	struct db_batch *batch = xmalloc(sizeof(*batch));

	rocksdb_api_load(); /* a batch may be made before a database is open */
	batch->batch = rocks.writebatch_create();
	return batch;
}

void db_batch_clear(struct db_batch *batch)
{
	rocks.writebatch_clear(batch->batch);
}

void db_batch_free(struct db_batch *batch)
{
	if (!batch)
		return;
	rocks.writebatch_destroy(batch->batch);
	free(batch);
}

void db_batch_put(struct db_batch *batch, const struct buf *key, const void *value, size_t len)
{
	rocks.writebatch_put(batch->batch, key->data, key->len, value, len);
}

void db_batch_delete(struct db_batch *batch, const struct buf *key)
{
	rocks.writebatch_delete(batch->batch, key->data, key->len);
}

void db_write_synced(struct db *db, struct db_batch *batch)
{
	char *text = NULL;

	KILL_POINT("lake.batch.before");
	rocks.write(db->handle, db->synced, batch->batch, &text);
	if (text)
		die(text);
	KILL_POINT("lake.batch.after");
	compact_from(db, WRITER_COMPACTS);
}

void db_write(struct db *db, struct db_batch *batch)
{
	char *text = NULL;

	rocks.write(db->handle, db->lazy, batch->batch, &text);
	if (text)
		die(text);
	db_batch_clear(batch);
	compact_from(db, WRITER_COMPACTS);
}

/* ---- iterators ---- */

struct db_iter {
	rocksdb_iterator_t *it;
	rocksdb_readoptions_t *read;
	struct buf lower; /* RocksDB borrows both bounds */
	struct buf upper;
	bool started;
	bool placed; /* by a seek: the next step is to stay */
};

/* The least key that is greater than all that begin with prefix. Our prefixes
 * begin with a letter, so that there is one. */
static void prefix_end(const struct buf *prefix, struct buf *out)
{
	size_t n = prefix->len;

	buf_addbuf(out, prefix);
	while (n > 0 && (unsigned char)out->data[n - 1] == 0xff)
		n--;
	out->len = n;
	out->data[n - 1]++;
}

struct db_iter *db_iter_new(struct db *db, const struct buf *prefix)
{
	struct db_iter *it = xcalloc(1, sizeof(*it));

	buf_addbuf(&it->lower, prefix);
	prefix_end(prefix, &it->upper);
	it->read = rocks.readoptions_create();
	rocks.readoptions_set_iterate_lower_bound(it->read, it->lower.data, it->lower.len);
	rocks.readoptions_set_iterate_upper_bound(it->read, it->upper.data, it->upper.len);
	it->it = rocks.create_iterator(db->handle, it->read);
	return it;
}

struct db_iter *db_scan_new(struct db *db)
{
	struct db_iter *it = xcalloc(1, sizeof(*it));

	it->read = rocks.readoptions_create();
	rocks.readoptions_set_verify_checksums(it->read, 1);
	rocks.readoptions_set_fill_cache(it->read, 0);
	it->it = rocks.create_iterator(db->handle, it->read);
	return it;
}

void db_iter_seek(struct db_iter *it, const void *key, size_t len)
{
	rocks.iter_seek(it->it, key, len);
	it->placed = true;
}

void db_iter_free(struct db_iter *it)
{
	if (!it)
		return;
	rocks.iter_destroy(it->it);
	rocks.readoptions_destroy(it->read);
	buf_release(&it->lower);
	buf_release(&it->upper);
	free(it);
}

static enum status iter_state(struct db_iter *it, struct err *err)
{
	char *text = NULL;

	it->started = true;
	if (rocks.iter_valid(it->it))
		return ST_OK;
	rocks.iter_get_error(it->it, &text);
	return text ? db_error(text, "cannot read the lake's metadata", err) : ST_END;
}

enum status db_iter_next(struct db_iter *it, struct err *err)
{
	if (it->placed)
		it->placed = false;
	else if (!it->started)
		rocks.iter_seek_to_first(it->it);
	else
		rocks.iter_next(it->it);
	return iter_state(it, err);
}

enum status db_iter_prev(struct db_iter *it, struct err *err)
{
	if (!it->started)
		rocks.iter_seek_to_last(it->it);
	else
		rocks.iter_prev(it->it);
	return iter_state(it, err);
}

struct bytes db_iter_key(const struct db_iter *it)
{
	size_t len = 0;
	const char *key = rocks.iter_key(it->it, &len);

	return bytes_of(key, len);
}

struct bytes db_iter_value(const struct db_iter *it)
{
	size_t len = 0;
	const char *value = rocks.iter_value(it->it, &len);

	return bytes_of(value, len);
}

/* ---- checking ---- */

void db_check_tables(struct db *db, const char *path,
		     void (*bad)(void *ctx, const char *file, const char *why), void *ctx)
{
	const rocksdb_livefiles_t *files = rocks.livefiles(db->handle);

	for (int i = 0; i < rocks.livefiles_count(files); i++) {
		const char *name = rocks.livefiles_name(files, i); /* "/000012.sst" */
		AUTO(freep) char *file = xasprintf("%s%s", path, name);

		if (access(file, F_OK) < 0)
			bad(ctx, name + 1, "is gone");
	}
	rocks.livefiles_destroy(files);
}

/* ---- room ---- */

uint64_t db_size(struct db *db, const struct buf *prefix)
{
	AUTO(buf_release) struct buf end = BUF_INIT;
	const char *from = prefix->data;
	size_t from_len = prefix->len;
	const char *to;
	size_t to_len;
	char *text = NULL;
	uint64_t bytes = 0;

	prefix_end(prefix, &end);
	to = end.data;
	to_len = end.len;
	rocks.approximate_sizes(db->handle, 1, &from, &from_len, &to, &to_len, &bytes, &text);
	rocks.free(text);
	return bytes;
}

void db_compact(struct db *db, const struct buf *prefix, unsigned part, unsigned parts)
{
	AUTO(buf_release) struct buf from = BUF_INIT;
	AUTO(buf_release) struct buf to = BUF_INIT;
	rocksdb_compactoptions_t *options = rocks.compactoptions_create();

	buf_addbuf(&from, prefix);
	if (part > 0)
		buf_addc(&from, (char)(part * 256 / parts));
	if (part + 1 < parts) {
		buf_addbuf(&to, prefix);
		buf_addc(&to, (char)((part + 1) * 256 / parts));
	} else {
		prefix_end(prefix, &to);
	}
	/* Others go on: a writer must not wait for this one. */
	rocks.compactoptions_set_exclusive_manual_compaction(options, 0);
	rocks.compact_range_opt(db->handle, options, from.data, from.len, to.data, to.len);
	rocks.compactoptions_destroy(options);
}

/* ---- checkpoints ---- */

enum status db_checkpoint(struct db *db, const char *path, struct err *err)
{
	AUTO(freep) char *what = xasprintf("cannot copy the lake's metadata to %s", path);
	char *text = NULL;
	rocksdb_checkpoint_t *checkpoint = rocks.checkpoint_object_create(db->handle, &text);

	if (!text) {
		rocks.checkpoint_create(checkpoint, path, 0, &text);
		rocks.checkpoint_object_destroy(checkpoint);
	}
	return text ? db_error(text, what, err) : ST_OK;
}
