/* Durability of many files at once, for uploads that are deferred: their data go
 * through the page cache, and one syncfs() before they are named, and one after,
 * stand for two syncs a file.
 *
 * Linux 5.8 and later: syncfs() reports an error of writing anything back to the
 * file system, once to each descriptor that was open before. So the descriptor
 * is opened before the first deferred byte is written and kept, and who is told
 * of an error by it stops this process from making commits: nobody is told
 * again. On older kernels, and on file systems that are not known to report so
 * (overlayfs, FUSE, NFS), nothing is deferred.
 *
 * Threads: any. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core/base/killpoint.h"
#include "core/embedded/store.h"

/* Of a file so large, writing begins before the others are there. */
#define START_BYTES (1u << 20)

/* Others pass writing on to a file system or server below, whose errors syncfs()
 * does not hand up. */
static bool reports_errors(int fd)
{
	static const unsigned known[] = {EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC,
					 F2FS_SUPER_MAGIC, TMPFS_MAGIC};
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if ((unsigned)fs.f_type == known[i])
			return true;
	return false;
}

static bool kernel_reports(void)
{
	struct utsname u;
	int major = 0, minor = 0;

	return uname(&u) == 0 && sscanf(u.release, "%d.%d", &major, &minor) == 2 &&
	       (major > 5 || (major == 5 && minor >= 8));
}

enum status embedded_bulk_begin(struct embedded *e, bool *served_out, struct err *err)
{
	enum status st = ST_OK;

	*served_out = false;
	if (!kernel_reports())
		return ST_OK;
	pthread_mutex_lock(&e->bulk_lock);
	if (e->bulk_fd < 0)
		e->bulk_fd = open(e->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (e->bulk_fd < 0)
		st = err_errno(err, errno, "cannot open the folder %s", e->root);
	else
		*served_out = reports_errors(e->bulk_fd);
	pthread_mutex_unlock(&e->bulk_lock);
	return st;
}

enum status embedded_bulk_start(int fd, uint64_t size, const char *name, struct err *err)
{
	if (size >= START_BYTES && sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE) < 0 &&
	    errno != ENOSYS && errno != ESPIPE)
		return err_errno(err, errno, "cannot write %s", name);
	return ST_OK;
}

/* The lock is held over the call, so that nobody goes on between an error and
 * its mark. */
enum status embedded_bulk_sync(struct embedded *e, struct err *err)
{
	enum status st = ST_OK;
	int rc = 0;

	pthread_mutex_lock(&e->bulk_lock);
	KILL_POINT("lake.bulk.sync");
	if (atomic_load(&e->sync_failed))
		st = embedded_sync_failed(e, err);
	else
		do
			rc = syncfs(e->bulk_fd);
		while (rc < 0 && errno == EINTR);
	if (rc < 0)
		st = err_errno(err, errno, "cannot sync the file system of %s", e->root);
	if (st != ST_OK)
		atomic_store(&e->sync_failed, true);
	pthread_mutex_unlock(&e->bulk_lock);
	return st;
}
