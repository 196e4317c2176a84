#include "connector/columnar/sql_workspace.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/file.h"

#define FOLDER_PREFIX "tidemark-sql-"

struct held {
	struct lake_id commit;
	struct lake_hold *hold;
};

struct local {
	char *path;
	char *name; /* in the lake */
};

struct sql_workspace {
	char *dir;
	int lock;
	struct held *holds;
	size_t n_holds, cap_holds;
	struct local *files;
	size_t n_files, cap_files;
};

/* ---- the folder ---- */

static const char *top_folder(void)
{
	const char *top = getenv("TMPDIR");

	return top && *top ? top : "/tmp";
}

/* Removes it where nobody holds its lock. */
static void remove_stale(const char *path)
{
	AUTO(closep) int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == geteuid() &&
	    flock(fd, LOCK_EX | LOCK_NB) == 0)
		(void)!dir_remove_all(path, NULL);
}

static void remove_all_stale(void)
{
	const char *top = top_folder();
	DIR *dir = opendir(top);
	const struct dirent *d;

	while (dir && (d = readdir(dir))) {
		AUTO(freep) char *path = NULL;

		if (strncmp(d->d_name, FOLDER_PREFIX, strlen(FOLDER_PREFIX)) != 0)
			continue;
		path = xasprintf("%s/%s", top, d->d_name);
		remove_stale(path);
	}
	if (dir)
		closedir(dir);
}

/* Made and locked: another process may have taken it for stale in between, and then
 * it is made again. */
static enum status make_folder(struct sql_workspace *w, struct err *err)
{
	for (int tries = 0; tries < 10; tries++) {
		AUTO(freep) char *dir = xasprintf("%s/" FOLDER_PREFIX "XXXXXX", top_folder());
		AUTO(closep) int fd = -1;
		struct stat open_one, named;

		if (!mkdtemp(dir))
			return err_errno(err, errno, "cannot create %s", dir);
		fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &open_one) < 0 ||
		    stat(dir, &named) < 0 || named.st_ino != open_one.st_ino)
			continue;
		w->dir = realpath(dir, NULL);
		if (!w->dir)
			return err_errno(err, errno, "cannot find %s", dir);
		w->lock = fd;
		fd = -1;
		return ST_OK;
	}
	return err_set(err, ST_IO, "cannot keep a folder in %s", top_folder());
}

enum status sql_workspace_open(struct sql_workspace **out, struct err *err)
{
	AUTO(sql_workspace_closep) struct sql_workspace *w = xcalloc(1, sizeof(*w));
	enum status st;

	w->lock = -1;
	remove_all_stale();
	st = make_folder(w, err);
	if (st == ST_OK)
		*out = MOVE(w);
	return st;
}

void sql_workspace_close(struct sql_workspace *w)
{
	if (!w)
		return;
	if (w->dir)
		(void)!dir_remove_all(w->dir, NULL);
	if (w->lock >= 0)
		close(w->lock);
	for (size_t i = 0; i < w->n_holds; i++)
		lake_hold_release(w->holds[i].hold);
	for (size_t i = 0; i < w->n_files; i++) {
		free(w->files[i].path);
		free(w->files[i].name);
	}
	free(w->holds);
	free(w->files);
	free(w->dir);
	free(w);
}

const char *sql_workspace_folder(const struct sql_workspace *w)
{
	return w->dir;
}

/* ---- holds ---- */

enum status sql_workspace_hold(struct sql_workspace *w, struct lake *lake,
			       const struct lake_id *commit, struct err *err)
{
	struct lake_hold *hold = NULL;
	enum status st;

	for (size_t i = 0; i < w->n_holds; i++)
		if (lake_id_equal(&w->holds[i].commit, commit))
			return ST_OK;
	st = lake_hold(lake, commit, &hold, err);
	if (st != ST_OK)
		return st;
	GROW(w->holds, w->n_holds, w->cap_holds);
	w->holds[w->n_holds++] = (struct held){.commit = *commit, .hold = hold};
	return ST_OK;
}

/* ---- files ---- */

/* DuckDB takes these for patterns. */
static enum status check_path(const char *path, struct err *err)
{
	if (!strpbrk(path, "*?["))
		return ST_OK;
	return err_set(err, ST_FAILED,
		       "%s: a path with one of *?[ is a pattern to DuckDB; move the lake (or "
		       "TMPDIR) to another folder",
		       path);
}

static const char *add_file(struct sql_workspace *w, char *path, const char *name)
{
	GROW(w->files, w->n_files, w->cap_files);
	w->files[w->n_files++] = (struct local){.path = path, .name = xstrdup(name)};
	return path;
}

/* A new file in the folder. */
static enum status create_file(struct sql_workspace *w, char **path_out, int *fd_out,
			       struct err *err)
{
	AUTO(freep) char *path = xasprintf("%s/%zu", w->dir, w->n_files);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_errno(err, errno, "cannot create %s", path);
	*path_out = MOVE(path);
	*fd_out = fd;
	return ST_OK;
}

static enum status copy_object(struct sql_workspace *w, struct lake_object *object, char **path,
			       struct err *err)
{
	AUTO(closep) int fd = -1;
	enum status st = create_file(w, path, &fd, err);

	return st == ST_OK ? lake_object_copy(object, fd, err) : st;
}

enum status sql_workspace_file(struct sql_workspace *w, struct lake *lake,
			       const struct lake_id *commit, const char *path, const char **out,
			       struct err *err)
{
	AUTO(lake_object_closep) struct lake_object *object = NULL;
	AUTO(freep) char *local = NULL;
	enum status st = lake_object_open(lake, commit, path, &object, err);

	if (st == ST_OK && lake_object_path(object))
		local = xstrdup(lake_object_path(object));
	else if (st == ST_OK)
		st = copy_object(w, object, &local, err);
	if (st == ST_OK)
		st = check_path(local, err);
	if (st == ST_OK)
		*out = add_file(w, MOVE(local), path);
	return st;
}

enum status sql_workspace_put(struct sql_workspace *w, const char *name, const void *data,
			      size_t len, const char **out, struct err *err)
{
	AUTO(closep) int fd = -1;
	AUTO(freep) char *path = NULL;
	enum status st = create_file(w, &path, &fd, err);

	if (st == ST_OK)
		st = check_path(path, err);
	if (st == ST_OK)
		st = fd_write_all(fd, data, len, path, err);
	if (st == ST_OK)
		*out = add_file(w, MOVE(path), name);
	return st;
}

/* The first local path in text and whose it is; NULL: there is none. */
static const char *find_local(const struct sql_workspace *w, const char *text,
			      const struct local **file_out)
{
	const char *first = NULL;

	for (size_t i = 0; i < w->n_files; i++) {
		const char *at = strstr(text, w->files[i].path);
		size_t len = strlen(w->files[i].path);

		/* .../1 is no part of .../12 */
		if (at && (at[len] < '0' || at[len] > '9') && (!first || at < first)) {
			first = at;
			*file_out = &w->files[i];
		}
	}
	return first;
}

void sql_workspace_translate(const struct sql_workspace *w, struct err *err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	const struct local *file = NULL;
	const char *rest = err->text, *at;

	while ((at = find_local(w, rest, &file))) {
		buf_add(&text, rest, (size_t)(at - rest));
		buf_adds(&text, file->name);
		rest = at + strlen(file->path);
	}
	buf_adds(&text, rest);
	err_set(err, err->code, "%s", buf_str(&text));
}
