#include "core/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum status fd_write_all(int fd, const void *data, size_t len, const char *name, struct err *err)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, errno, "cannot write %s", name);
		p += n;
		len -= (size_t)n;
	}
	return ST_OK;
}

enum status fd_pwrite_all(int fd, const void *data, size_t len, uint64_t offset, const char *name,
			  struct err *err)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n =
			pwrite(fd, (const char *)data + done, len - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, errno, "cannot write %s", name);
		done += (size_t)n;
	}
	return ST_OK;
}

enum status fd_pread_all(int fd, void *data, size_t len, uint64_t offset, size_t *n_out,
			 const char *name, struct err *err)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, (char *)data + done, len - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, errno, "cannot read %s", name);
		if (n == 0)
			break;
		done += (size_t)n;
	}
	*n_out = done;
	return ST_OK;
}

enum status fd_sync(int fd, bool data_only, const char *name, struct err *err)
{
	int rc;

	do
		rc = data_only ? fdatasync(fd) : fsync(fd);
	while (rc < 0 && errno == EINTR);
	return rc < 0 ? err_errno(err, errno, "cannot sync %s", name) : ST_OK;
}

enum status file_read(const char *path, size_t max, struct buf *out, struct err *err)
{
	AUTO(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_errno(err, errno, "cannot open %s", path);
	for (size_t total = 0;;) {
		ssize_t n;

		buf_reserve(out, 65536);
		n = read(fd, out->data + out->len, 65536);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, errno, "cannot read %s", path);
		out->len += (size_t)n;
		out->data[out->len] = '\0';
		total += (size_t)n;
		if (n == 0)
			return ST_OK;
		if (total > max)
			return err_set(err, ST_FAILED, "%s is larger than %zu bytes", path, max);
	}
}

/* The folder that holds path; the caller frees it. */
static char *parent_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return xstrdup(".");
	return slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
}

enum status file_replace(const char *path, const void *data, size_t len, struct err *err)
{
	AUTO(freep) char *temp = xasprintf("%s.XXXXXX", path);
	AUTO(freep) char *parent = parent_of(path);
	AUTO(closep) int fd = mkostemp(temp, O_CLOEXEC);
	enum status st;

	if (fd < 0)
		return err_errno(err, errno, "cannot create %s", temp);
	st = fd_write_all(fd, data, len, temp, err);
	if (st == ST_OK)
		st = fd_sync(fd, false, temp, err);
	if (st == ST_OK && fchmod(fd, 0644) < 0)
		st = err_errno(err, errno, "cannot set the mode of %s", temp);
	if (st == ST_OK && rename(temp, path) < 0)
		st = err_errno(err, errno, "cannot rename %s to %s", temp, path);
	if (st != ST_OK) {
		unlink(temp);
		return st;
	}
	return dir_sync(parent, err);
}

bool file_exists(const char *path)
{
	return access(path, F_OK) == 0;
}

enum status dir_create_all(const char *path, struct err *err)
{
	AUTO(freep) char *copy = xstrdup(path);

	for (char *p = copy + 1;; p++) {
		bool end = *p == '\0';

		if (*p != '/' && !end)
			continue;
		*p = '\0';
		if (mkdir(copy, 0777) < 0 && errno != EEXIST)
			return err_errno(err, errno, "cannot create the folder %s", copy);
		if (end)
			return ST_OK;
		*p = '/';
	}
}

enum status dir_sync(const char *path, struct err *err)
{
	AUTO(closep) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_errno(err, errno, "cannot open the folder %s", path);
	return fd_sync(fd, false, path, err);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

enum status dir_remove_all(const char *path, struct err *err)
{
	if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT)
		return err_errno(err, errno, "cannot remove %s", path);
	return ST_OK;
}
