#include "connector/cli/folder_walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct walk {
	const char *dir;
	bool skip;
	const struct stat *never;
	struct folder_walk *out;
};

void folder_walk_release(struct folder_walk *w)
{
	for (size_t i = 0; i < w->n; i++)
		free(w->files[i].path);
	free(w->files);
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static int by_path(const void *x, const void *y)
{
	return strcmp(((const struct walked *)x)->path, ((const struct walked *)y)->path);
}

static enum status take_file(struct walk *w, const char *path, const struct stat *st,
			     struct err *err)
{
	struct folder_walk *out = w->out;

	if (!S_ISREG(st->st_mode) && !w->skip)
		return err_set(err, ST_USAGE,
			       "%s/%s is %s; --skip-special leaves out what is no plain file",
			       w->dir, path,
			       S_ISLNK(st->st_mode) ? "a symbolic link" : "no plain file");
	if (!S_ISREG(st->st_mode)) {
		out->skipped++;
		return ST_OK;
	}
	GROW(out->files, out->n, out->cap);
	out->files[out->n++] =
		(struct walked){.path = xstrdup(path), .bytes = (uint64_t)st->st_size};
	out->bytes += (uint64_t)st->st_size;
	return ST_OK;
}

static enum status walk_folder(struct walk *w, int fd, const char *path, struct err *err);

/* One name of the folder that is open as fd; path: with the folder's. */
static enum status walk_one(struct walk *w, int fd, const char *name, const char *path,
			    struct err *err)
{
	struct stat st;
	int below;

	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(err, errno, "cannot look at %s/%s", w->dir, path);
	if (!S_ISDIR(st.st_mode))
		return take_file(w, path, &st, err);
	if (w->never && is_same(&st, w->never))
		return err_set(err, ST_USAGE, "%s/%s is the lake itself; import another folder",
			       w->dir, path);
	below = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (below < 0)
		return err_errno(err, errno, "cannot open %s/%s", w->dir, path);
	return walk_folder(w, below, path, err);
}

/* Closes fd. path: "" for the topmost. */
static enum status walk_folder(struct walk *w, int fd, const char *path, struct err *err)
{
	DIR *d = fdopendir(fd);
	struct dirent *entry;
	enum status st = ST_OK;

	if (!d) {
		st = err_errno(err, errno, "cannot read %s/%s", w->dir, path);
		close(fd);
		return st;
	}
	while (st == ST_OK && (errno = 0, entry = readdir(d))) {
		AUTO(freep) char *below = NULL;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		below = xasprintf("%s%s%s", path, path[0] ? "/" : "", entry->d_name);
		st = walk_one(w, fd, entry->d_name, below, err);
	}
	if (st == ST_OK && errno)
		st = err_errno(err, errno, "cannot read %s/%s", w->dir, path);
	closedir(d);
	return st;
}

enum status folder_walk(const char *dir, bool skip, const struct stat *never,
			struct folder_walk *out, struct err *err)
{
	struct walk w = {.dir = dir, .skip = skip, .never = never, .out = out};
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat top;
	enum status st;

	if (fd < 0)
		return err_errno(err, errno, "cannot open the folder %s", dir);
	if (never && fstat(fd, &top) == 0 && is_same(&top, never)) {
		close(fd);
		return err_set(err, ST_USAGE, "%s is the lake itself; import another folder", dir);
	}
	st = walk_folder(&w, fd, "", err);
	if (st == ST_OK && out->n)
		qsort(out->files, out->n, sizeof(*out->files), by_path);
	return st;
}

/* O_NONBLOCK: it may have become a pipe. Kernels before 5.6 have no openat2(). */
enum status folder_walk_read(const char *dir, int dir_fd, const char *path, int *fd_out,
			     struct err *err)
{
	const struct open_how how = {.flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
				     .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
	int fd = (int)syscall(SYS_openat2, dir_fd, path, &how, sizeof(how));

	if (fd < 0 && (errno == ENOSYS || errno == EPERM)) /* or a sandbox's filter */
		fd = openat(dir_fd, path, (int)how.flags);
	if (fd < 0)
		return err_errno(err, errno, "cannot open %s/%s", dir, path);
	*fd_out = fd;
	return ST_OK;
}
