#include "core/embedded/embedded.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/killpoint.h"
#include "core/base/log.h"
#include "core/embedded/folder.h"
#include "core/embedded/store.h"

#define NODE_CACHE_BYTES (16u << 20)
/* Who only reads leaves a log up to this to be read again by the next one: about a
 * millisecond of small commits, where making a table of it takes eight once. */
#define READ_LOG_BYTES (64u << 10)

static void embedded_close(struct lake *lake)
{
	struct embedded *e = embedded_of(lake);

	db_batch_free(e->node_batch);
	db_close(e->db);
	sequence_close(&e->file);
	node_cache_free(e->cache);
	verified_free(e->verified);
	space_release(&e->space);
	pthread_mutex_destroy(&e->moves);
	pthread_mutex_destroy(&e->maintenance);
	gate_release(&e->gate);
	pthread_mutex_destroy(&e->bulk_lock);
	if (e->bulk_fd >= 0)
		close(e->bulk_fd);
	if (e->lock_fd >= 0)
		close(e->lock_fd); /* last: now another process may open */
	free(e->root);
	free(e->committer);
	free(e);
}

static void embedded_open_reserve(struct lake *lake)
{
	space_open_reserve(&embedded_of(lake)->space);
}

static enum status embedded_free_bytes(struct lake *lake, uint64_t *out, struct err *err)
{
	return space_free(&embedded_of(lake)->space, out, err);
}

static void embedded_interrupt(struct lake *lake)
{
	atomic_store(&embedded_of(lake)->closing, true);
}

static const struct lake_ops embedded_ops = {
	.name = "embedded",
	.owner = true,
	.close = embedded_close,
	.ref_get = embedded_ref_get,
	.commit_by_prefix = embedded_commit_by_prefix,
	.refs_list = embedded_refs_list,
	.refs_move = embedded_refs_move,
	.reflog_read = embedded_reflog_read,
	.branch_protect = embedded_branch_protect,
	.branch_protection = embedded_branch_protection,
	.commit_get = embedded_commit_get,
	.stat = embedded_stat,
	.list_open = embedded_list_open,
	.list_next = embedded_list_next,
	.list_seek = embedded_list_seek,
	.list_close = embedded_list_close,
	.object_open = embedded_object_open,
	.object_read = embedded_object_read,
	.object_copy = embedded_object_copy,
	.object_close = embedded_object_close,
	.upload_open = embedded_upload_open,
	.upload_room = embedded_upload_room,
	.upload_defer = embedded_upload_defer,
	.upload_clone = embedded_upload_clone,
	.upload_finish = embedded_upload_finish,
	.upload_free = embedded_upload_free,
	.txn_prepare = embedded_txn_prepare,
	.diff_open = embedded_diff_open,
	.diff_count = embedded_diff_count,
	.diff_next = embedded_diff_next,
	.diff_close = embedded_diff_close,
	.merge_prepare = embedded_merge_prepare,
	.revert_prepare = embedded_revert_prepare,
	.cherry_pick_prepare = embedded_cherry_pick_prepare,
	.stage_put = embedded_stage_put,
	.stage_remove = embedded_stage_remove,
	.stage_changes = embedded_stage_changes,
	.stage_commit = embedded_stage_commit,
	.stage_discard = embedded_stage_discard,
	.gc = embedded_gc,
	.check_expired = embedded_check_expired,
	.interrupt = embedded_interrupt,
	.free_bytes = embedded_free_bytes,
	.open_reserve = embedded_open_reserve,
	.fsck = embedded_fsck,
	.backup = embedded_backup,
	.progress = embedded_progress,
};

/* What RocksDB may have to pack. */
static uint64_t table_bytes(void *ctx)
{
	static const char kinds[] = "bcilmnpqrsx"; /* keys.h */
	struct embedded *e = ctx;
	uint64_t bytes = 0;

	for (const char *kind = kinds; *kind; kind++) {
		AUTO(buf_release) struct buf prefix = BUF_INIT;

		buf_addc(&prefix, *kind);
		bytes += db_size(e->db, &prefix);
	}
	return bytes;
}

static struct embedded *embedded_new(const char *root, const struct lake_options *options)
{
	struct embedded *e = xcalloc(1, sizeof(*e));

	e->base.ops = &embedded_ops;
	e->root = xstrdup(root);
	e->committer = xstrdup(options->committer);
	e->clock = options->clock;
	e->lock_fd = -1;
	e->file.fd = -1;
	e->cache = node_cache_new(NODE_CACHE_BYTES);
	e->verified = verified_new();
	space_init(&e->space, root, options->reserve_bytes, options->clock, table_bytes, e);
	pthread_mutex_init(&e->moves, NULL);
	pthread_mutex_init(&e->maintenance, NULL);
	gate_init(&e->gate);
	pthread_mutex_init(&e->bulk_lock, NULL);
	e->bulk_fd = -1;
	return e;
}

enum status embedded_sequence(struct db *db, uint64_t *out, struct err *err)
{
	AUTO(buf_release) struct buf key = BUF_INIT;
	AUTO(buf_release) struct buf value = BUF_INIT;
	struct bytes in;
	enum status st;

	key_sequence(&key);
	*out = 0;
	st = db_get(db, &key, &value, err);
	if (st != ST_OK)
		return st == ST_NOT_FOUND ? ST_OK : st;
	in = bytes_of(value.data, value.len);
	return bytes_be64(&in, out)
		       ? ST_OK
		       : err_set(err, ST_DAMAGED, "the number of the last write cannot be read");
}

/* Compares the log with the number that is kept outside it. */
static enum status check_sequence(struct embedded *e, uint64_t kept, struct err *err)
{
	enum status st = embedded_sequence(e->db, &e->sequence, err);

	if (st == ST_OK && kept > e->sequence)
		return err_set(err, ST_DAMAGED,
			       "%s/meta ends at write %llu, and write %llu was made: a log file "
			       "there was cut or is gone; restore a backup, or keep what is left "
			       "by `tidemark fsck --repair`",
			       e->root, (unsigned long long)e->sequence, (unsigned long long)kept);
	return st;
}

/* Does the log hold, before its first damage, every write that was acknowledged?
 * They are counted outside it after they were synced. */
static bool holds_all(const char *meta, uint64_t kept)
{
	AUTO(db_closep) struct db *db = NULL;
	struct err err = ERR_INIT;
	uint64_t n = 0;

	return db_open_to_read(meta, DB_LOG_PREFIX, &db, &err) == ST_OK &&
	       embedded_sequence(db, &n, &err) == ST_OK && n >= kept;
}

/* A power loss may leave more behind the last synced write than a torn record:
 * holes, and what was written later. None of it was acknowledged, so it goes. */
static enum status open_metadata(struct embedded *e, bool create, uint64_t kept, struct err *err)
{
	AUTO(freep) char *meta = xasprintf("%s/meta", e->root);
	enum status st = db_open(meta, create, DB_WHOLE_LOG, &e->db, err);

	if (st != ST_DAMAGED || !holds_all(meta, kept))
		return st;
	log_warn("the end of the lake's log is damaged, as after a power loss; every "
		 "acknowledged write comes before it, and what follows is dropped",
		 LOG_S("lake", e->root), LOG_S("reason", err->text), LOG_I("writes", kept));
	return db_open(meta, create, DB_LOG_PREFIX, &e->db, err);
}

static void identity_new(unsigned char out[LAKE_IDENTITY_BYTES])
{
	struct rng rng = rng_system();
	uint64_t numbers[2] = {rng_next(&rng), rng_next(&rng)};

	memcpy(out, numbers, LAKE_IDENTITY_BYTES);
}

/* A lake that was made before there were identities is given one. */
enum status embedded_identity(struct embedded *e, unsigned char out[LAKE_IDENTITY_BYTES],
			      struct err *err)
{
	AUTO(db_batch_freep) struct db_batch *batch = db_batch_new();
	AUTO(buf_release) struct buf key = BUF_INIT;
	AUTO(buf_release) struct buf value = BUF_INIT;
	enum status st;

	key_identity(&key);
	pthread_mutex_lock(&e->moves);
	st = db_get(e->db, &key, &value, err);
	if (st == ST_NOT_FOUND) {
		st = space_take(&e->space, 0, err);
		if (st == ST_OK) {
			identity_new(out);
			db_batch_put(batch, &key, out, LAKE_IDENTITY_BYTES);
			e->sequence++;
			embedded_write(e, batch);
		}
	} else if (st == ST_OK && value.len == LAKE_IDENTITY_BYTES) {
		memcpy(out, value.data, LAKE_IDENTITY_BYTES);
	} else if (st == ST_OK) {
		st = err_set(err, ST_DAMAGED, "the identity of the lake %s cannot be read",
			     e->root);
	}
	pthread_mutex_unlock(&e->moves);
	return st;
}

/* The first commit, empty, on `main`, which is protected. */
static enum status first_commit(struct embedded *e, struct err *err)
{
	AUTO(db_batch_freep) struct db_batch *batch = db_batch_new();
	AUTO(buf_release) struct buf key = BUF_INIT;
	struct new_commit c = {.root = {{0}}, .message = "Lake created"};
	struct lake_move move = {.kind = LAKE_BRANCH, .name = "main"};
	unsigned char id[LAKE_IDENTITY_BYTES];
	enum status st;

	if (e->sequence > 0)
		return ST_OK; /* an earlier creation was interrupted after this step */
	st = embedded_commit_make(e, &c, &move.to, err);
	if (st == ST_OK)
		st = embedded_moves_add(e, batch, &move, 1, "init", err);
	if (st != ST_OK)
		return st;
	key_protection(&key, "main");
	db_batch_put(batch, &key, "", 0);
	identity_new(id);
	key_identity(&key);
	db_batch_put(batch, &key, id, sizeof(id));
	KILL_POINT("lake.create.commit");
	embedded_write(e, batch);
	return ST_OK;
}

static void find_folders(struct embedded *e)
{
	/* folder_prepare() has synced blobs/. */
	for (int i = 0; i < BLOB_FOLDERS; i++) {
		AUTO(freep) char *path = xasprintf("%s/blobs/%02x", e->root, (unsigned)i);

		atomic_init(&e->folder_durable[i], file_exists(path));
	}
}

/* So that a lake in which nothing ever expired asks no more about it. */
static enum status find_expired(struct embedded *e, struct err *err)
{
	AUTO(buf_release) struct buf prefix = BUF_INIT;
	AUTO(db_iter_freep) struct db_iter *it = NULL;
	enum status st;

	buf_addc(&prefix, 'x');
	it = db_iter_new(e->db, &prefix);
	st = db_iter_next(it, err);
	atomic_init(&e->any_expired, st == ST_OK);
	return st == ST_END ? ST_OK : st;
}

/* Bytes of the log files: what an open reads, at most. */
static uint64_t log_bytes(const char *meta)
{
	DIR *dir = opendir(meta);
	struct dirent *entry;
	struct stat st;
	uint64_t bytes = 0;

	while (dir && (entry = readdir(dir)))
		if (strstr(entry->d_name, ".log") &&
		    fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			bytes += (uint64_t)st.st_size;
	if (dir)
		closedir(dir);
	return bytes;
}

/* Opens without a write, or says why it must be written to before it is read:
 * to make a table of a long log, or to make a write durable before it is shown
 * (the log alone counts it, where an owner died before its sync had ended or been
 * noted). Or something is damaged. */
static enum status open_to_read(struct embedded *e, bool writable, struct err *err)
{
	AUTO(freep) char *meta = xasprintf("%s/meta", e->root);
	uint64_t log = log_bytes(meta);
	uint64_t kept = 0;
	enum status st;

	if (writable && log > READ_LOG_BYTES)
		return err_set(err, ST_FAILED, "the log of %s is long", e->root);
	st = sequence_read(e->root, &kept, err);
	if (st == ST_OK)
		st = db_open_to_read(meta, DB_WHOLE_LOG, &e->db, err);
	if (st == ST_OK)
		st = check_sequence(e, kept, err);
	if (st == ST_OK && e->sequence > kept && log > 0)
		st = err_set(err, ST_FAILED,
			     "write %llu of %s may not be on disk yet; open the lake once where it "
			     "can be written to",
			     (unsigned long long)e->sequence, e->root);
	if (st == ST_OK)
		st = find_expired(e, err);
	if (st != ST_OK)
		db_close(MOVE(e->db));
	return st;
}

static enum status open_to_write(struct embedded *e, bool is_new, struct err *err)
{
	uint64_t kept = 0;
	enum status st = folder_prepare(e->root, err);

	if (st == ST_OK)
		st = sequence_open(e->root, is_new, &e->file, &kept, err);
	if (st == ST_OK)
		st = open_metadata(e, is_new, kept, err);
	if (st == ST_OK)
		st = check_sequence(e, kept, err);
	if (st == ST_OK && is_new)
		st = space_take(&e->space, 0, err);
	if (st == ST_OK && is_new)
		st = first_commit(e, err);
	if (st == ST_OK && is_new)
		st = folder_finish(e->root, err);
	if (st == ST_OK)
		st = find_expired(e, err);
	if (st == ST_OK)
		find_folders(e);
	return st;
}

static enum status open_owned(struct embedded *e, enum embedded_mode mode, struct err *err)
{
	bool is_new = false;
	enum status st = folder_claim(e->root, mode, FOLDER_OWNED, &e->lock_fd, &is_new, err);

	return st == ST_OK ? open_to_write(e, is_new, err) : st;
}

static enum status open_shared(struct embedded *e, bool writable, struct err *err)
{
	bool is_new = false;
	enum status st =
		folder_claim(e->root, EMBEDDED_EXISTING, FOLDER_SHARED, &e->lock_fd, &is_new, err);

	return st == ST_OK ? open_to_read(e, writable, err) : st;
}

/* As it was before it was opened. */
static void let_go(struct embedded *e)
{
	db_close(MOVE(e->db));
	sequence_close(&e->file);
	if (e->lock_fd >= 0)
		close(e->lock_fd);
	e->lock_fd = -1;
}

/* What must be written to before it is read is opened by its owner once, who has the
 * messages where it is damaged; then it can be shared, unless another owner came in
 * between and left it as it was. */
static enum status open_for_reader(struct embedded *e, struct err *err)
{
	bool writable = folder_is_writable(e->root);
	enum status st = open_shared(e, writable, err);

	if (st == ST_OK || st == ST_BUSY || !writable)
		return st;
	let_go(e);
	st = open_owned(e, EMBEDDED_EXISTING, err);
	if (st != ST_OK)
		return st;
	let_go(e);
	st = open_shared(e, writable, err);
	if (st == ST_OK || st == ST_BUSY)
		return st;
	let_go(e);
	return open_owned(e, EMBEDDED_EXISTING, err);
}

enum status embedded_open(const char *folder, enum embedded_mode mode,
			  const struct lake_options *options, struct lake **out, struct err *err)
{
	struct embedded *e = embedded_new(folder, options);
	enum status st =
		options->access == LAKE_READ ? open_for_reader(e, err) : open_owned(e, mode, err);

	if (st != ST_OK) {
		embedded_close(&e->base);
		return st;
	}
	*out = &e->base;
	return ST_OK;
}
