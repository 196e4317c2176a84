/* Files and folders: whole reads and writes, and durability by one
 * discipline: temp file, fsync, rename, fsync of the folder. A failed fsync is
 * an error and never tried again as if it could succeed later. */
#ifndef TIDEMARK_BASE_FILE_H
#define TIDEMARK_BASE_FILE_H

#include "core/base/buf.h"
#include "core/base/err.h"

/* Writes all of data; goes on after EINTR and short writes. */
MUST_CHECK enum status fd_write_all(int fd, const void *data, size_t len, const char *name,
				    struct err *err);
/* The same at offset, without moving fd's position. */
MUST_CHECK enum status fd_pwrite_all(int fd, const void *data, size_t len, uint64_t offset,
				     const char *name, struct err *err);
/* Reads len bytes at offset, or up to the end; n_out is what was read. */
MUST_CHECK enum status fd_pread_all(int fd, void *data, size_t len, uint64_t offset, size_t *n_out,
				    const char *name, struct err *err);
/* fsync, or fdatasync where data_only. */
MUST_CHECK enum status fd_sync(int fd, bool data_only, const char *name, struct err *err);

/* Appends the file's content to out; ST_FAILED where it is over max bytes. */
MUST_CHECK enum status file_read(const char *path, size_t max, struct buf *out, struct err *err);
/* Replaces path by data, durably: after success a crash shows the new file,
 * before it the old one. */
MUST_CHECK enum status file_replace(const char *path, const void *data, size_t len,
				    struct err *err);
bool file_exists(const char *path);

/* Creates path and its parents, mode 0777 less umask; existing ones are fine. */
MUST_CHECK enum status dir_create_all(const char *path, struct err *err);
MUST_CHECK enum status dir_sync(const char *path, struct err *err);
/* Removes path and all below it; a path that is not there is fine. */
MUST_CHECK enum status dir_remove_all(const char *path, struct err *err);

#endif
