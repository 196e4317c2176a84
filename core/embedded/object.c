/* Reading objects' bytes, of which none that are damaged are taken for good:
 *
 * - small objects are hashed when they are opened;
 * - a file that is read from the beginning to the end is hashed on the way, and
 *   its last read fails where it is not what its name says;
 * - before any other read, and before a copy in the kernel, the whole file is
 *   hashed, once for as long as the lake is open (verified.h).
 *
 * So only a reader that begins at the beginning and gives up before the end has
 * bytes of which nobody has said anything. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/killpoint.h"
#include "core/embedded/store.h"

#define COPY_STEP_BYTES (1u << 30)
#define VERIFY_STEP_BYTES (1u << 20)

struct object {
	struct lake_object base;
	struct hash blob;
	int fd; /* -1: in small */
	struct buf small;
	char *path; /* of the file, for messages */
	struct stat file; /* as it was opened */
	bool good; /* it has been hashed whole */
	struct hasher *hasher; /* of the first `hashed` bytes; NULL: not begun */
	uint64_t hashed;
};

char *embedded_blob_path(const struct embedded *e, const struct hash *blob)
{
	char hex[65];

	hash_hex(blob, hex);
	return xasprintf("%s/blobs/%.2s/%s", e->root, hex, hex);
}

static enum status damaged(const struct object *o, struct err *err)
{
	return err_set(err, ST_DAMAGED,
		       "%s does not hold what was stored there; `tidemark fsck` names the objects "
		       "that need it",
		       o->path);
}

/* ST_NOT_FOUND where the object's data are not there. */
static enum status open_small(struct embedded *e, struct object *o, struct err *err)
{
	AUTO(buf_release) struct buf key = BUF_INIT;
	struct hash found;
	enum status st;

	key_blob(&key, &o->blob);
	st = db_get(e->db, &key, &o->small, err);
	if (st != ST_OK)
		return st;
	hash_of(buf_str(&o->small), o->small.len, &found);
	return hash_equal(&found, &o->blob) && o->small.len == o->base.size ? ST_OK
									    : damaged(o, err);
}

/* ST_NOT_FOUND likewise. */
static enum status open_file(struct embedded *e, struct object *o, struct err *err)
{
	o->fd = open(o->path, O_RDONLY | O_CLOEXEC);
	if (o->fd < 0 && errno == ENOENT)
		return err_set(err, ST_NOT_FOUND, "%s is missing", o->path);
	if (o->fd < 0 || fstat(o->fd, &o->file) < 0)
		return err_errno(err, errno, "cannot open %s", o->path);
	if ((uint64_t)o->file.st_size != o->base.size)
		return damaged(o, err);
	o->good = verified_has(e->verified, &o->blob, &o->file);
	o->base.path = o->path;
	return ST_OK;
}

static enum status open_data(struct embedded *e, struct object *o, struct err *err)
{
	return o->base.size < BLOB_FILE_BYTES ? open_small(e, o, err) : open_file(e, o, err);
}

/* The object's data were not there: freed by gc, or lost. */
static enum status absent(struct embedded *e, struct object *o, struct err *err)
{
	bool expired = false;
	int64_t time_ms = 0;
	enum status st;

	KILL_POINT("lake.object.absent");
	st = embedded_is_expired(e, &o->blob, &expired, &time_ms, err);
	if (st == ST_OK && expired)
		return embedded_expired(&o->blob, time_ms, err);
	/* It is no longer expired where it has just been stored again. */
	if (st == ST_OK)
		st = open_data(e, o, err);
	if (st != ST_NOT_FOUND)
		return st;
	return err_set(err, ST_DAMAGED,
		       "%s is missing; `tidemark fsck` names the objects that need it", o->path);
}

/* The tree's entry of the path. */
static enum status find(struct embedded *e, const struct lake_id *commit, const char *path,
			struct entry *out, struct err *err)
{
	struct node_store store = embedded_nodes(e);
	AUTO(buf_release) struct buf value = BUF_INIT;
	struct hash root;
	enum status st = embedded_tree(e, commit, &root, err);

	if (st == ST_OK)
		st = tree_lookup(&store, &root, path, &value, err);
	if (st == ST_NOT_FOUND) {
		char hex[LAKE_ID_SHORT_BYTES];

		lake_id_short(commit, hex);
		return err_set(err, st, "no '%s' at %s", path, hex);
	}
	return st == ST_OK ? entry_decode(value.data, value.len, out, err) : st;
}

enum status embedded_object_open(struct lake *lake, const struct lake_id *commit, const char *path,
				 struct lake_object **out, struct err *err)
{
	struct embedded *e = embedded_of(lake);
	struct entry entry = {.size = 0};
	struct object *o;
	enum status st = find(e, commit, path, &entry, err);

	if (st != ST_OK)
		return embedded_freed(e, commit, st, err);
	o = xcalloc(1, sizeof(*o));
	o->base.lake = lake;
	o->base.size = entry.size;
	o->blob = entry.blob;
	o->fd = -1;
	o->path = embedded_blob_path(e, &entry.blob);
	entry_release(&entry);
	st = open_data(e, o, err);
	if (st == ST_NOT_FOUND)
		st = absent(e, o, err);
	if (st != ST_OK) {
		embedded_object_close(&o->base);
		st = err_wrap(err, st, "'%s'", path);
		return embedded_freed(e, commit, st, err);
	}
	*out = &o->base;
	return ST_OK;
}

static enum status judge(struct object *o, struct err *err)
{
	struct hash found;

	hasher_finish(o->hasher, &found);
	hasher_free(MOVE(o->hasher));
	if (!hash_equal(&found, &o->blob))
		return damaged(o, err);
	verified_add(embedded_of(o->base.lake)->verified, &o->blob, &o->file);
	o->good = true;
	return ST_OK;
}

/* A read that went on where the last one ended. */
static enum status add_read(struct object *o, const void *data, size_t n, struct err *err)
{
	if (!o->hasher)
		o->hasher = hasher_new();
	hasher_add(o->hasher, data, n);
	o->hashed += n;
	return o->hashed < o->base.size ? ST_OK : judge(o, err);
}

/* Hashes what is left of the file to be hashed. */
static enum status verify(struct object *o, struct err *err)
{
	AUTO(freep) char *data = xmalloc(VERIFY_STEP_BYTES);
	enum status st = ST_OK;

	while (st == ST_OK && !o->good) {
		size_t n = 0;

		st = fd_pread_all(o->fd, data, VERIFY_STEP_BYTES, o->hashed, &n, o->path, err);
		if (st == ST_OK && n == 0)
			st = damaged(o, err);
		if (st == ST_OK)
			st = add_read(o, data, n, err);
	}
	return st;
}

enum status embedded_object_read(struct lake_object *object, uint64_t offset, void *data,
				 size_t len, size_t *n_out, struct err *err)
{
	struct object *o = (struct object *)object;
	uint64_t left = offset < object->size ? object->size - offset : 0;
	bool in_order;
	size_t n = 0;
	enum status st;

	if (len > left)
		len = (size_t)left;
	if (o->fd < 0) {
		if (len)
			memcpy(data, o->small.data + offset, len);
		*n_out = len;
		return ST_OK;
	}
	in_order = offset == o->hashed;
	st = o->good || in_order ? ST_OK : verify(o, err);
	if (st == ST_OK)
		st = fd_pread_all(o->fd, data, len, offset, &n, o->path, err);
	if (st == ST_OK && n < len)
		st = damaged(o, err);
	if (st == ST_OK && !o->good)
		st = add_read(o, data, n, err);
	if (st == ST_OK)
		*n_out = n;
	return st;
}

/* What these say where the two files cannot be copied so. */
static bool unsupported(int errnum)
{
	return errnum == EXDEV || errnum == EINVAL || errnum == ENOSYS || errnum == EOPNOTSUPP ||
	       errnum == EBADF || errnum == EPERM || errnum == ETXTBSY;
}

/* Moves *offset on as far as the kernel copies by itself: shared extents where
 * the file system has them, else without passing through this process. */
static enum status copy_in_kernel(struct object *o, int fd, off_t *offset, struct err *err)
{
	bool by_range = true;

	while ((uint64_t)*offset < o->base.size) {
		uint64_t left = o->base.size - (uint64_t)*offset;
		size_t step = left < COPY_STEP_BYTES ? (size_t)left : COPY_STEP_BYTES;
		ssize_t n = by_range ? copy_file_range(o->fd, offset, fd, NULL, step, 0)
				     : sendfile(fd, o->fd, offset, step);

		if (n > 0 || (n < 0 && errno == EINTR))
			continue;
		if (n < 0 && !unsupported(errno))
			return err_errno(err, errno, "cannot copy %s", o->path);
		if (!by_range)
			return ST_OK;
		by_range = false;
	}
	return ST_OK;
}

enum status embedded_object_copy(struct lake_object *object, int fd, struct err *err)
{
	struct object *o = (struct object *)object;
	const size_t step = 256u << 10;
	AUTO(freep) char *data = NULL;
	off_t offset = 0;
	enum status st;

	if (o->fd < 0)
		return fd_write_all(fd, o->small.data, o->small.len, "the copy of an object", err);
	/* Read first, so that the copy is of pages that have been seen. */
	st = verify(o, err);
	if (st == ST_OK)
		st = copy_in_kernel(o, fd, &offset, err);
	data = xmalloc(step);
	while (st == ST_OK && (uint64_t)offset < object->size) {
		size_t n = 0;

		st = embedded_object_read(object, (uint64_t)offset, data, step, &n, err);
		if (st == ST_OK)
			st = fd_write_all(fd, data, n, "the copy of an object", err);
		offset += (off_t)n;
	}
	return st;
}

void embedded_object_close(struct lake_object *object)
{
	struct object *o = (struct object *)object;

	if (o->fd >= 0)
		close(o->fd);
	if (o->hasher)
		hasher_free(o->hasher);
	buf_release(&o->small);
	free(o->path);
	free(o);
}
