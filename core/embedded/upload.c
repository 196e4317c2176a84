/* Uploads: the way of an object's data to its name in the store.
 *
 * Data stay in memory below 16 KiB and go into RocksDB then. Beyond that they
 * go to a file in tmp/, in large aligned writes past the page cache, and are
 * hashed as they leave. finish makes the file's data durable, unless that is
 * deferred to the commit (bulk.c); the rename to blobs/ab/<hash> and the sync of
 * the folders come with the commit, grouped.
 *
 * A crash leaves a file in tmp/, which the next owner deletes, or a whole and
 * durable blob that no commit names. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/killpoint.h"
#include "core/embedded/store.h"

#define ALIGNMENT 4096
#define CAP_FIRST 4096
#define CAP_SMALL 32768 /* up to here the buffer grows before a file is made */
#define CAP_MAX (512u << 10)

enum upload_state {
	UPLOAD_OPEN,
	UPLOAD_FINISHED, /* in memory, or whole and synced in tmp/ */
	UPLOAD_NAMED, /* renamed into blobs/ */
	UPLOAD_STORED, /* durable there, or in the log */
};

struct upload {
	struct lake_upload base;
	enum upload_state state;
	int fd; /* -1: all is in memory */
	bool direct;
	char *temp; /* NULL where there is no file, or it has been renamed */
	struct hasher *hasher; /* NULL until data leave the buffer */
	struct hash hash; /* from finish on */
	uint64_t size; /* from finish on */
	struct gate_upload kept; /* from the store on */
};

static struct upload *upload_of(struct lake_upload *up)
{
	return (struct upload *)up;
}

enum status embedded_upload_open(struct lake *lake, struct lake_upload **out, struct err *err)
{
	struct upload *u = xcalloc(1, sizeof(*u));

	(void)err;
	u->base.lake = lake;
	u->fd = -1;
	*out = &u->base;
	return ST_OK;
}

static void buffer_resize(struct lake_upload *up, size_t cap)
{
	void *data = NULL;

	if (posix_memalign(&data, ALIGNMENT, cap) != 0)
		data = xmalloc(SIZE_MAX); /* says "out of memory" and aborts */
	if (up->used)
		memcpy(data, up->data, up->used);
	free(up->data);
	up->data = data;
	up->cap = cap;
}

/* ---- the file ---- */

static enum status file_open(struct upload *u, struct err *err)
{
	struct embedded *e = embedded_of(u->base.lake);
	unsigned long long n = atomic_fetch_add(&e->next_temp, 1);
	const int flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC;
	const int direct = u->base.deferred ? 0 : O_DIRECT;

	u->temp = xasprintf("%s/tmp/upload-%llu", e->root, n);
	u->fd = open(u->temp, flags | direct, 0666);
	u->direct = direct && u->fd >= 0;
	/* Some file systems refuse O_DIRECT only after they have made the file. */
	if (u->fd < 0 && errno == EINVAL)
		u->fd = open(u->temp, flags & ~O_EXCL, 0666);
	if (u->fd >= 0)
		return ST_OK;
	return err_errno(err, errno, "cannot create %s", u->temp);
}

static enum status direct_off(struct upload *u, struct err *err)
{
	int flags = fcntl(u->fd, F_GETFL);

	if (flags < 0 || fcntl(u->fd, F_SETFL, flags & ~O_DIRECT) < 0)
		return err_errno(err, errno, "cannot change the mode of %s", u->temp);
	u->direct = false;
	return ST_OK;
}

/* Writes the first len bytes of the buffer; where O_DIRECT is set, len is a
 * multiple of the alignment and so is the file's position. */
static enum status file_write(struct upload *u, size_t len, struct err *err)
{
	struct embedded *e = embedded_of(u->base.lake);
	size_t done = 0;
	enum status st = space_take(&e->space, len, err);

	if (st != ST_OK)
		return st;
	KILL_POINT("lake.upload.write");
	while (u->direct && done < len) {
		ssize_t n = write(u->fd, u->base.data + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EINVAL)
			return err_errno(err, errno, "cannot write %s", u->temp);
		if (n > 0)
			done += (size_t)n;
		/* Refused, or short and now off the alignment: go on without. */
		if (n <= 0 || done % ALIGNMENT != 0) {
			st = direct_off(u, err);
			if (st != ST_OK)
				return st;
		}
	}
	return fd_write_all(u->fd, u->base.data + done, len - done, u->temp, err);
}

/* Sends the buffer's whole blocks, or all of it where `all`, to the file. */
static enum status flush(struct upload *u, bool all, struct err *err)
{
	struct lake_upload *up = &u->base;
	size_t len = all ? up->used : up->used & ~(size_t)(ALIGNMENT - 1);
	enum status st = u->fd < 0 ? file_open(u, err) : ST_OK;

	if (st != ST_OK || len == 0)
		return st;
	if (!u->hasher)
		u->hasher = hasher_new();
	hasher_add(u->hasher, up->data, len);
	if (u->direct && len % ALIGNMENT != 0)
		st = direct_off(u, err);
	if (st == ST_OK)
		st = file_write(u, len, err);
	if (st != ST_OK)
		return st;
	up->used -= len;
	up->flushed += len;
	memmove(up->data, up->data + len, up->used);
	return ST_OK;
}

enum status embedded_upload_room(struct lake_upload *up, size_t min, struct err *err)
{
	struct upload *u = upload_of(up);
	size_t cap = up->cap ? up->cap : CAP_FIRST;
	enum status st;

	/* The buffer grows with the object, so that many small ones are cheap. */
	if (up->cap && cap < CAP_MAX && (cap < CAP_SMALL || up->flushed >= 4 * (uint64_t)cap))
		cap *= 2;
	while (cap < CAP_SMALL && cap - up->used < min)
		cap *= 2;
	/* What may still become a small blob stays in memory. */
	if (cap - up->used < min && up->used >= BLOB_FILE_BYTES) {
		st = flush(u, false, err);
		if (st != ST_OK)
			return st;
	}
	while (cap - up->used < min)
		cap *= 2;
	if (cap != up->cap)
		buffer_resize(up, cap);
	return ST_OK;
}

enum status embedded_upload_defer(struct lake_upload *up, struct err *err)
{
	bool served = false;
	enum status st = embedded_bulk_begin(embedded_of(up->lake), &served, err);

	if (st == ST_OK)
		up->deferred = served;
	return st;
}

/* The hash is of what is in our file now: whatever happens to the other. */
static enum status hash_file(struct upload *u, struct err *err)
{
	AUTO(freep) char *data = xmalloc(CAP_MAX);
	enum status st = ST_OK;
	size_t n = CAP_MAX;

	u->hasher = hasher_new();
	while (st == ST_OK && n == CAP_MAX) {
		st = fd_pread_all(u->fd, data, CAP_MAX, u->base.flushed, &n, u->temp, err);
		if (st == ST_OK)
			hasher_add(u->hasher, data, n);
		u->base.flushed += n;
	}
	return st;
}

enum status embedded_upload_clone(struct lake_upload *up, int from, bool *done_out, struct err *err)
{
	struct upload *u = upload_of(up);
	struct stat st;
	enum status result;

	*done_out = false;
	if (!up->deferred || fstat(from, &st) < 0 || st.st_size < BLOB_FILE_BYTES)
		return ST_OK;
	result = u->fd < 0 ? file_open(u, err) : ST_OK;
	/* Whatever it cannot do, reading and writing can, or says why not. */
	if (result != ST_OK || ioctl(u->fd, FICLONE, from) < 0)
		return result;
	result = hash_file(u, err);
	*done_out = result == ST_OK && up->flushed >= BLOB_FILE_BYTES;
	if (result != ST_OK || *done_out)
		return result;
	/* It has shrunk meanwhile, to an object that is no file. */
	hasher_free(u->hasher);
	u->hasher = NULL;
	up->flushed = 0;
	return ftruncate(u->fd, 0) < 0 ? err_errno(err, errno, "cannot cut %s", u->temp) : ST_OK;
}

/* ---- finish ---- */

static enum status finish_small(struct upload *u, struct err *err)
{
	struct lake_upload *up = &u->base;
	enum status st = space_take(&embedded_of(up->lake)->space, 2 * up->used, err);

	if (st != ST_OK)
		return st;
	hash_of(up->data, up->used, &u->hash);
	if (up->used && up->used < up->cap) {
		unsigned char *exact = (unsigned char *)xmemdup(up->data, up->used);

		free(up->data);
		up->data = exact;
		up->cap = up->used;
	}
	return ST_OK;
}

static enum status finish_file(struct upload *u, struct err *err)
{
	struct lake_upload *up = &u->base;
	enum status st = flush(u, false, err);

	if (st == ST_OK)
		st = flush(u, true, err);
	if (st != ST_OK)
		return st;
	KILL_POINT("lake.upload.sync");
	st = up->deferred ? embedded_bulk_start(u->fd, u->size, u->temp, err)
			  : fd_sync(u->fd, true, u->temp, err);
	close(u->fd);
	u->fd = -1;
	if (st != ST_OK)
		return st;
	hasher_finish(u->hasher, &u->hash);
	hasher_free(u->hasher);
	u->hasher = NULL;
	free(up->data);
	up->data = NULL;
	up->cap = 0;
	return ST_OK;
}

/* Many deferred uploads may be open at once: what is small goes into the log now
 * and does not stay in memory. */
static enum status store_early(struct lake_upload *up, struct err *err)
{
	struct embedded *e = embedded_of(up->lake);
	AUTO(gate_leave) struct gate_pass pass = gate_enter(&e->gate);

	return embedded_uploads_store(e, &up, 1, err);
}

enum status embedded_upload_finish(struct lake_upload *up, struct err *err)
{
	struct upload *u = upload_of(up);
	enum status st;

	u->size = up->flushed + up->used;
	if (u->size < BLOB_FILE_BYTES)
		st = finish_small(u, err);
	else
		st = finish_file(u, err);
	if (st != ST_OK)
		return st;
	u->state = UPLOAD_FINISHED;
	KILL_POINT("lake.upload.finished");
	return up->deferred && u->size < BLOB_FILE_BYTES ? store_early(up, err) : ST_OK;
}

void embedded_upload_free(struct lake_upload *up)
{
	struct upload *u = upload_of(up);

	gate_upload_drop(&embedded_of(up->lake)->gate, &u->kept);
	if (u->fd >= 0)
		close(u->fd);
	if (u->temp)
		unlink(u->temp);
	if (u->hasher)
		hasher_free(u->hasher);
	free(u->temp);
	free(up->data);
	free(u);
}

void embedded_upload_entry(const struct lake_upload *up, const char *content_type,
			   const struct lake_meta *meta, struct buf *out)
{
	const struct upload *u = (const struct upload *)up;
	/* Borrowed: entry_encode only reads. */
	struct entry entry = {.blob = u->hash,
			      .size = u->size,
			      .content_type = (char *)content_type,
			      .meta = *meta};

	entry_encode(&entry, out);
}

/* ---- names in the store ---- */

#define SMALL_BATCH_BYTES (256u << 10)

/* Small objects on their way into the log; batch NULL: none is. */
struct small {
	struct db_batch *batch;
	size_t bytes;
};

static void small_flush(struct embedded *e, struct small *s)
{
	if (!s->batch)
		return;
	db_write(e->db, s->batch);
	KILL_POINT("lake.blob.put");
	db_batch_free(s->batch);
	*s = (struct small){.batch = NULL};
}

static void store_small(struct embedded *e, struct upload *u, struct small *s)
{
	AUTO(buf_release) struct buf key = BUF_INIT;

	key_blob(&key, &u->hash);
	if (!s->batch)
		s->batch = db_batch_new();
	db_batch_put(s->batch, &key, u->base.data, u->base.used);
	s->bytes += u->base.used + key.len;
	if (s->bytes >= SMALL_BATCH_BYTES)
		small_flush(e, s);
	free(u->base.data);
	u->base.data = NULL;
	u->base.flushed += u->base.used;
	u->base.used = u->base.cap = 0;
	u->state = UPLOAD_STORED;
}

/* Makes blobs/ab/ where it is not there; *made says that blobs/ needs a sync. */
static enum status folder_make(const char *blob_path, bool *made, struct err *err)
{
	AUTO(freep) char *folder = xstrndup(blob_path, strlen(blob_path) - 65);

	*made = true; /* also where another thread has just made it */
	if (mkdir(folder, 0777) < 0 && errno != EEXIST)
		return err_errno(err, errno, "cannot create the folder %s", folder);
	return ST_OK;
}

/* A blob of that name that is there already is replaced by its equal: so there
 * is no moment in which somebody could take it away. */
static enum status name_file(struct embedded *e, struct upload *u, bool *made, struct err *err)
{
	AUTO(freep) char *path = embedded_blob_path(e, &u->hash);
	enum status st = ST_OK;

	if (!atomic_load(&e->folder_durable[u->hash.bytes[0]]))
		st = folder_make(path, made, err);
	if (st != ST_OK)
		return st;
	KILL_POINT("lake.blob.rename");
	if (rename(u->temp, path) < 0)
		return err_errno(err, errno, "cannot rename %s to %s", u->temp, path);
	free(MOVE(u->temp));
	u->state = UPLOAD_NAMED;
	return ST_OK;
}

static enum status sync_each_folder(struct embedded *e, const bool *touched, bool made,
				    struct err *err)
{
	enum status st = ST_OK;

	for (int i = 0; st == ST_OK && i < BLOB_FOLDERS; i++) {
		if (touched[i]) {
			AUTO(freep) char *path = xasprintf("%s/blobs/%02x", e->root, (unsigned)i);

			KILL_POINT("lake.blob.folder");
			st = dir_sync(path, err);
		}
	}
	if (st == ST_OK && made) {
		AUTO(freep) char *path = xasprintf("%s/blobs", e->root);

		st = dir_sync(path, err);
	}
	return st;
}

static enum status sync_folders(struct embedded *e, const bool *touched, bool made, bool at_once,
				struct err *err)
{
	enum status st =
		at_once ? embedded_bulk_sync(e, err) : sync_each_folder(e, touched, made, err);

	/* A sync that failed once may "succeed" the next time with the data gone. */
	if (st != ST_OK)
		atomic_store(&e->sync_failed, true);
	for (int i = 0; st == ST_OK && i < BLOB_FOLDERS; i++)
		if (touched[i])
			atomic_store(&e->folder_durable[i], true);
	return st;
}

enum status embedded_sync_failed(const struct embedded *e, struct err *err)
{
	return err_set(err, ST_IO,
		       "what was written to %s/blobs could not be synced before; restart when the "
		       "disk is well",
		       e->root);
}

/* Are there files among them whose data are not durable yet? */
static bool any_deferred(struct lake_upload *const *ups, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (ups[i] && ups[i]->deferred && upload_of(ups[i])->state < UPLOAD_STORED &&
		    upload_of(ups[i])->size >= BLOB_FILE_BYTES)
			return true;
	return false;
}

enum status embedded_uploads_store(struct embedded *e, struct lake_upload *const *ups, size_t n,
				   struct err *err)
{
	bool touched[BLOB_FOLDERS] = {false};
	bool deferred = any_deferred(ups, n);
	struct small small = {.batch = NULL};
	bool made = false;
	enum status st = ST_OK;

	if (atomic_load(&e->sync_failed))
		return embedded_sync_failed(e, err);
	if (deferred)
		st = embedded_bulk_sync(e, err);
	for (size_t i = 0; st == ST_OK && i < n; i++) {
		struct upload *u = ups[i] ? upload_of(ups[i]) : NULL;

		if (!u)
			continue;
		/* Also what is stored: the next commit to name it is a new one. */
		gate_upload_keep(&e->gate, &u->kept, &u->hash);
		if (u->state == UPLOAD_STORED)
			continue;
		if (u->size < BLOB_FILE_BYTES) {
			store_small(e, u, &small);
			continue;
		}
		if (u->state == UPLOAD_FINISHED)
			st = name_file(e, u, &made, err);
		touched[u->hash.bytes[0]] = true;
	}
	small_flush(e, &small); /* also after an error: these are marked as stored */
	if (st == ST_OK)
		st = sync_folders(e, touched, made, deferred, err);
	for (size_t i = 0; st == ST_OK && i < n; i++) {
		if (!ups[i])
			continue;
		upload_of(ups[i])->state = UPLOAD_STORED;
		embedded_not_expired(e, &upload_of(ups[i])->hash);
	}
	return st;
}
