#include "tests/crash/disk_recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct {
	struct disk_journal *journal;
	const char *root;
	size_t root_len;
	pthread_mutex_t lock; /* an operation and its entry are one */
} rec = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Relative to the recorded folder; NULL where it is not below. */
static const char *below(const char *path)
{
	if (!rec.journal || strncmp(path, rec.root, rec.root_len) != 0)
		return NULL;
	if (path[rec.root_len] == '\0')
		return "";
	return path[rec.root_len] == '/' ? path + rec.root_len + 1 : NULL;
}

void disk_record(const char *root, struct disk_journal *journal)
{
	rec.root = root;
	rec.root_len = strlen(root);
	rec.journal = journal;
}

static const char *below_fd(int fd, char buffer[static 4096])
{
	char link[64];
	ssize_t n;

	if (!rec.journal)
		return NULL;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, buffer, 4095);
	if (n < 0)
		return NULL;
	buffer[n] = '\0';
	return below(buffer);
}

static void record_path(enum disk_op_kind kind, const char *path, uint64_t inode)
{
	struct disk_op op = {.kind = kind, .len = (uint32_t)strlen(path) + 1, .inode = inode};

	disk_journal_add(rec.journal, &op, path);
}

static uint64_t inode_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

static int open_recorded(const char *path, int flags, mode_t mode)
{
	const char *name = flags & O_CREAT ? below(path) : NULL;
	bool is_new;
	int fd;

	if (!name && !(flags & O_TRUNC))
		return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
	pthread_mutex_lock(&rec.lock);
	is_new = syscall(SYS_faccessat, AT_FDCWD, path, F_OK) != 0;
	fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
	if (fd >= 0 && name && is_new) {
		record_path(DISK_CREATE, name, inode_of(fd));
	} else if (fd >= 0 && below(path) && flags & O_TRUNC) {
		struct disk_op op = {.kind = DISK_TRUNCATE, .inode = inode_of(fd)};

		disk_journal_add(rec.journal, &op, NULL);
	}
	pthread_mutex_unlock(&rec.lock);
	return fd;
}

int open(const char *path, int flags, ...)
{
	mode_t mode;
	va_list args;

	va_start(args, flags);
	mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
	va_end(args);
	return open_recorded(path, flags, mode);
}

static void record_write(int fd, const void *data, size_t len, uint64_t offset)
{
	struct disk_op op = {
		.kind = DISK_WRITE, .len = (uint32_t)len, .inode = inode_of(fd), .offset = offset};

	disk_journal_add(rec.journal, &op, data);
}

ssize_t write(int fd, const void *data, size_t len)
{
	char path[4096];
	off_t offset;
	ssize_t n;

	if (!below_fd(fd, path))
		return syscall(SYS_write, fd, data, len);
	pthread_mutex_lock(&rec.lock);
	n = syscall(SYS_write, fd, data, len);
	offset = lseek(fd, 0, SEEK_CUR);
	if (n > 0)
		record_write(fd, data, (size_t)n, (uint64_t)(offset - n));
	pthread_mutex_unlock(&rec.lock);
	return n;
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
	char path[4096];
	ssize_t n;

	if (!below_fd(fd, path))
		return syscall(SYS_pwrite64, fd, data, len, offset);
	pthread_mutex_lock(&rec.lock);
	n = syscall(SYS_pwrite64, fd, data, len, offset);
	if (n > 0)
		record_write(fd, data, (size_t)n, (uint64_t)offset);
	pthread_mutex_unlock(&rec.lock);
	return n;
}

int ftruncate(int fd, off_t size)
{
	char path[4096];
	int rc;

	if (!below_fd(fd, path))
		return (int)syscall(SYS_ftruncate, fd, size);
	pthread_mutex_lock(&rec.lock);
	rc = (int)syscall(SYS_ftruncate, fd, size);
	if (rc == 0) {
		struct disk_op op = {
			.kind = DISK_TRUNCATE, .inode = inode_of(fd), .offset = (uint64_t)size};

		disk_journal_add(rec.journal, &op, NULL);
	}
	pthread_mutex_unlock(&rec.lock);
	return rc;
}

/* Nothing is really synced: that is of no use in a folder that is thrown away. */
static int synced(int fd)
{
	char buffer[4096];
	const char *path = below_fd(fd, buffer);
	struct stat st;

	if (!path || fstat(fd, &st) < 0)
		return 0;
	pthread_mutex_lock(&rec.lock);
	if (S_ISDIR(st.st_mode)) {
		record_path(DISK_SYNC_FOLDER, path, 0);
	} else {
		struct disk_op op = {.kind = DISK_SYNC, .inode = st.st_ino};

		disk_journal_add(rec.journal, &op, NULL);
	}
	pthread_mutex_unlock(&rec.lock);
	return 0;
}

int fsync(int fd)
{
	return synced(fd);
}

int fdatasync(int fd)
{
	return synced(fd);
}

/* Of all that is on the volume. */
int syncfs(int fd)
{
	char buffer[4096];
	struct disk_op op = {.kind = DISK_SYNC_ALL};

	if (!below_fd(fd, buffer))
		return 0;
	pthread_mutex_lock(&rec.lock);
	disk_journal_add(rec.journal, &op, NULL);
	pthread_mutex_unlock(&rec.lock);
	return 0;
}

/* A copy in the kernel would pass by the journal; so it is said that there is none. */
static bool recorded(int fd)
{
	char buffer[4096];

	errno = EXDEV;
	return below_fd(fd, buffer) != NULL;
}

ssize_t copy_file_range(int from, off_t *from_at, int to, off_t *to_at, size_t len, unsigned flags)
{
	return recorded(to) ? -1
			    : syscall(SYS_copy_file_range, from, from_at, to, to_at, len, flags);
}

ssize_t sendfile(int to, int from, off_t *offset, size_t len)
{
	return recorded(to) ? -1 : syscall(SYS_sendfile, to, from, offset, len);
}

/* Two paths, or a path and what a symbolic link holds. The entry is made where the call
 * succeeds. */
static int change_pair(long rc, const char *a, const char *b, enum disk_op_kind kind)
{
	AUTO(freep) char *both = xasprintf("%s%c%s", a, '\0', b);
	struct disk_op op = {.kind = kind, .len = (uint32_t)(strlen(a) + strlen(b) + 2)};

	if (rc == 0)
		disk_journal_add(rec.journal, &op, both);
	return (int)rc;
}

int rename(const char *from, const char *to)
{
	const char *a = below(from), *b = below(to);
	int rc;

	if (!a || !b)
		return (int)syscall(SYS_rename, from, to);
	pthread_mutex_lock(&rec.lock);
	rc = change_pair(syscall(SYS_rename, from, to), a, b, DISK_RENAME);
	pthread_mutex_unlock(&rec.lock);
	return rc;
}

int link(const char *from, const char *to)
{
	const char *a = below(from), *b = below(to);
	int rc;

	if (!a || !b)
		return (int)syscall(SYS_link, from, to);
	pthread_mutex_lock(&rec.lock);
	rc = change_pair(syscall(SYS_link, from, to), a, b, DISK_LINK);
	pthread_mutex_unlock(&rec.lock);
	return rc;
}

/* The whole path of a name in an open folder; the caller's. */
static char *path_at(int fd, const char *name)
{
	char buffer[4096], link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = *name == '/' ? 0 : readlink(link, buffer, sizeof(buffer) - 1);
	return n > 0 ? xasprintf("%.*s/%s", (int)n, buffer, name) : xstrdup(name);
}

static int change_name(long call, const char *path, mode_t mode, enum disk_op_kind kind)
{
	const char *name = below(path);
	int rc;

	if (!name)
		return (int)syscall(call, path, mode);
	pthread_mutex_lock(&rec.lock);
	rc = (int)syscall(call, path, mode);
	if (rc == 0)
		record_path(kind, name, 0);
	pthread_mutex_unlock(&rec.lock);
	return rc;
}

int mkdir(const char *path, mode_t mode)
{
	return change_name(SYS_mkdir, path, mode, DISK_MKDIR);
}

int unlink(const char *path)
{
	return change_name(SYS_unlink, path, 0, DISK_UNLINK);
}

int rmdir(const char *path)
{
	return change_name(SYS_rmdir, path, 0, DISK_UNLINK);
}

/* As the C library's, whose own calls cannot be seen. */
int remove(const char *path)
{
	return unlink(path) < 0 && (errno == EISDIR || errno == EPERM) ? rmdir(path) : 0;
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	AUTO(freep) char *a = path_at(from_fd, from);
	AUTO(freep) char *b = path_at(to_fd, to);

	return rename(a, b);
}

int unlinkat(int fd, const char *name, int flags)
{
	AUTO(freep) char *path = path_at(fd, name);

	return flags & AT_REMOVEDIR ? rmdir(path) : unlink(path);
}

int symlinkat(const char *target, int fd, const char *name)
{
	AUTO(freep) char *path = path_at(fd, name);
	const char *a = below(path);
	int rc;

	if (!a)
		return (int)syscall(SYS_symlinkat, target, fd, name);
	pthread_mutex_lock(&rec.lock);
	rc = change_pair(syscall(SYS_symlinkat, target, fd, name), a, target, DISK_SYMLINK);
	pthread_mutex_unlock(&rec.lock);
	return rc;
}
