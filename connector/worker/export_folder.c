#include "connector/worker/export_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/killpoint.h"
#include "core/base/props.h"

#define MARK ".tidemark-export"
#define NEXT ".next"
#define SPARE ".spare-"
#define FILE_MODE 0444

struct export_folder {
	struct lake *lake;
	char *dir;
	int dir_fd;
	int lock_fd;
	/* while the next one is made */
	char *next; /* its path */
	struct lake_id to;
	struct lake_id shown;
	char *made; /* the folder that was made last */
	const struct export_options *options;
	struct export_count *count;
};

/* ---- one file ---- */

enum status export_object(struct lake *lake, const struct lake_id *commit, const char *path,
			  const char *to, int mode, uint64_t *bytes_out, struct err *err)
{
	AUTO(lake_object_closep) struct lake_object *object = NULL;
	AUTO(closep) int fd = -1;
	enum status st = lake_object_open(lake, commit, path, &object, err);

	if (st != ST_OK)
		return st;
	fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return err_errno(err, errno, "cannot create %s", to);
	st = lake_object_copy(object, fd, err);
	if (st != ST_OK) {
		unlink(to); /* part of a file is none */
		return err_wrap(err, st, "'%s'", path);
	}
	*bytes_out = lake_object_size(object);
	return ST_OK;
}

static void forget_made(struct export_folder *f)
{
	free(f->made);
	f->made = NULL;
}

static enum status make_folder_of(struct export_folder *f, const char *file, struct err *err)
{
	AUTO(freep) char *folder = xstrndup(file, (size_t)(strrchr(file, '/') - file));
	enum status st;

	if (f->made && strcmp(f->made, folder) == 0)
		return ST_OK;
	st = dir_create_all(folder, err);
	if (st != ST_OK)
		return st;
	free(f->made);
	f->made = MOVE(folder);
	return ST_OK;
}

/* Takes the file out of the folder that is shown, where that has it and it is
 * still what it was as far as its size tells. */
static bool link_shown(struct export_folder *f, const char *path, const char *to)
{
	struct lake_entry now = {0}, before = {0};
	char hex[LAKE_ID_HEX_BYTES];
	struct stat s;
	bool done = false;

	if (lake_id_is_none(&f->shown) ||
	    lake_stat(f->lake, &f->shown, path, &before, NULL) != ST_OK)
		return false;
	if (lake_stat(f->lake, &f->to, path, &now, NULL) == ST_OK &&
	    strcmp(now.checksum, before.checksum) == 0) {
		AUTO(freep) char *from = NULL;

		lake_id_hex(&f->shown, hex);
		from = xasprintf("%s/%s/%s", f->dir, hex, path);
		done = lstat(from, &s) == 0 && S_ISREG(s.st_mode) &&
		       (uint64_t)s.st_size == now.size && link(from, to) == 0;
	}
	lake_entry_release(&now);
	lake_entry_release(&before);
	return done;
}

static enum status put_file(struct export_folder *f, const char *path, struct err *err)
{
	AUTO(freep) char *to = xasprintf("%s/%s", f->next, path);
	uint64_t bytes = 0;
	enum status st;

	if (f->options->goes_on && !f->options->goes_on(f->options->ctx))
		return err_set(err, ST_INTERRUPTED, "stopped");
	KILL_POINT("export_file");
	st = make_folder_of(f, to, err);
	if (st != ST_OK)
		return st;
	if (unlink(to) < 0 && errno != ENOENT)
		return err_errno(err, errno, "cannot remove %s", to);
	if (link_shown(f, path, to)) {
		f->count->linked++;
		return ST_OK;
	}
	st = export_object(f->lake, &f->to, path, to, FILE_MODE, &bytes, err);
	if (st != ST_OK)
		return st;
	f->count->copied++;
	f->count->bytes += bytes;
	return ST_OK;
}

/* And the folders that are empty then. */
static enum status remove_file(struct export_folder *f, const char *path, struct err *err)
{
	AUTO(freep) char *file = xasprintf("%s/%s", f->next, path);
	size_t top = strlen(f->next);
	char *slash;

	if (unlink(file) < 0 && errno != ENOENT)
		return err_errno(err, errno, "cannot remove %s", file);
	f->count->removed++;
	while ((slash = strrchr(file, '/')) > file + top) {
		*slash = '\0';
		if (rmdir(file) < 0)
			break;
	}
	return ST_OK;
}

/* ---- what is in the folder ---- */

static bool is_id(const char *name)
{
	struct lake_id id;

	return lake_id_parse(name, &id);
}

static bool is_spare(const char *name)
{
	return strncmp(name, SPARE, strlen(SPARE)) == 0 && is_id(name + strlen(SPARE));
}

static bool is_entry(const char *name)
{
	return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* The names of its entries for which wanted() holds. */
static enum status entries(const struct export_folder *f, bool (*wanted)(const char *name),
			   struct text_list *out, struct err *err)
{
	DIR *d = opendir(f->dir);
	struct dirent *entry;
	size_t cap = 0;

	if (!d)
		return err_errno(err, errno, "cannot open the folder %s", f->dir);
	while ((entry = readdir(d))) {
		if (!wanted(entry->d_name))
			continue;
		GROW(out->items, out->n, cap);
		out->items[out->n++] = xstrdup(entry->d_name);
	}
	closedir(d);
	return ST_OK;
}

struct lake_id export_folder_shown(const struct export_folder *f)
{
	AUTO(freep) char *path = xasprintf("%s/current", f->dir);
	char target[LAKE_ID_HEX_BYTES + 1];
	ssize_t n = readlink(path, target, sizeof(target) - 1);
	struct lake_id id = {{0}};
	struct stat s;

	target[n < 0 ? 0 : n] = '\0';
	if (!lake_id_parse(target, &id) || stat(path, &s) < 0 || !S_ISDIR(s.st_mode))
		return (struct lake_id){{0}};
	return id;
}

/* ---- an update ---- */

static enum status apply_pass(struct export_folder *f, const struct lake_id *from, bool removals,
			      struct err *err)
{
	AUTO(lake_diff_closep) struct lake_diff *diff = NULL;
	enum status st = lake_diff_open(f->lake, from, &f->to, "", &diff, err);

	while (st == ST_OK) {
		struct lake_diff_entry e;

		st = lake_diff_next(diff, &e, err);
		if (st != ST_OK)
			break;
		if (removals && e.change == LAKE_REMOVED)
			st = remove_file(f, e.path, err);
		else if (!removals && e.change != LAKE_REMOVED)
			st = put_file(f, e.path, err);
		free(e.path);
	}
	return st == ST_END ? ST_OK : st;
}

/* Removals come first: a file may become a folder. */
static enum status apply_diff(struct export_folder *f, const struct lake_id *from, struct err *err)
{
	enum status st = apply_pass(f, from, true, err);

	forget_made(f);
	return st == ST_OK ? apply_pass(f, from, false, err) : st;
}

static enum status put_all(struct export_folder *f, struct err *err)
{
	AUTO(lake_list_closep) struct lake_list *list = NULL;
	enum status st = dir_create_all(f->next, err);

	if (st == ST_OK)
		st = lake_list_open(f->lake, &f->to, "", &list, err);
	while (st == ST_OK) {
		struct lake_entry e;

		st = lake_list_next(list, &e, err);
		if (st != ST_OK)
			break;
		st = put_file(f, e.path, err);
		lake_entry_release(&e);
	}
	return st == ST_END ? ST_OK : st;
}

/* Takes a folder's name from it for good before anything in it changes: else a power loss
 * may bring back a name that says which commit's files are in it, beside files of another. */
static enum status make_next_of(struct export_folder *f, const char *name, struct err *err)
{
	enum status st;

	if (renameat(f->dir_fd, name, f->dir_fd, NEXT) < 0)
		return err_errno(err, errno, "cannot rename %s/%s", f->dir, name);
	st = fd_sync(f->dir_fd, false, f->dir, err);
	if (st != ST_OK)
		(void)!renameat(f->dir_fd, NEXT, f->dir_fd, name);
	return st;
}

/* Makes the next folder out of a spare one. ST_NOT_FOUND: there is none, or the
 * lake does not know its commit any more. */
static enum status use_spare(struct export_folder *f, struct err *err)
{
	AUTO(text_list_release) struct text_list spares = {0};
	struct lake_id id;
	enum status st = entries(f, is_spare, &spares, err);

	if (st != ST_OK)
		return st;
	if (spares.n == 0 || !lake_id_parse(spares.items[0] + strlen(SPARE), &id))
		return err_set(err, ST_NOT_FOUND, "%s has no spare folder", f->dir);
	st = make_next_of(f, spares.items[0], err);
	return st == ST_OK ? apply_diff(f, &id, err) : st;
}

static enum status clear_next(struct export_folder *f, struct err *err)
{
	forget_made(f);
	return dir_remove_all(f->next, err);
}

static enum status build(struct export_folder *f, struct err *err)
{
	enum status st = clear_next(f, err);

	if (st == ST_OK)
		st = use_spare(f, err);
	if (st == ST_NOT_FOUND) {
		st = clear_next(f, err);
		if (st == ST_OK)
			st = put_all(f, err);
	}
	if (st != ST_OK)
		return st;
	KILL_POINT("export_built");
	/* All files and folders at once: there may be many. */
	return syncfs(f->dir_fd) < 0 ? err_errno(err, errno, "cannot sync the volume of %s", f->dir)
				     : ST_OK;
}

static enum status name_it(struct export_folder *f, const char *name, struct err *err)
{
	if (renameat(f->dir_fd, NEXT, f->dir_fd, name) < 0)
		return err_errno(err, errno, "cannot rename %s to %s", f->next, name);
	return fd_sync(f->dir_fd, false, f->dir, err);
}

static enum status switch_to(struct export_folder *f, const char *name, struct err *err)
{
	if (unlinkat(f->dir_fd, ".current", 0) < 0 && errno != ENOENT)
		return err_errno(err, errno, "cannot remove %s/.current", f->dir);
	if (symlinkat(name, f->dir_fd, ".current") < 0)
		return err_errno(err, errno, "cannot create %s/.current", f->dir);
	KILL_POINT("export_linked");
	if (renameat(f->dir_fd, ".current", f->dir_fd, "current") < 0)
		return err_errno(err, errno, "cannot rename %s/.current to current", f->dir);
	KILL_POINT("export_switched");
	return fd_sync(f->dir_fd, false, f->dir, err);
}

static enum status discard(struct export_folder *f, const char *name, struct err *err)
{
	enum status st = clear_next(f, err);

	if (st == ST_OK)
		st = make_next_of(f, name, err);
	return st == ST_OK ? clear_next(f, err) : st;
}

/* Of the folders that are neither shown nor were shown before, one becomes the
 * spare one. */
static enum status tidy(struct export_folder *f, struct err *err)
{
	AUTO(text_list_release) struct text_list spares = {0};
	AUTO(text_list_release) struct text_list folders = {0};
	enum status st = entries(f, is_spare, &spares, err);
	bool has_spare = spares.n > 0;

	if (st == ST_OK)
		st = entries(f, is_id, &folders, err);
	for (size_t i = 0; st == ST_OK && i < folders.n; i++) {
		AUTO(freep) char *path = xasprintf("%s/%s", f->dir, folders.items[i]);
		AUTO(freep) char *spare = xasprintf("%s/" SPARE "%s", f->dir, folders.items[i]);
		struct lake_id id;

		if (!lake_id_parse(folders.items[i], &id) || lake_id_equal(&id, &f->to) ||
		    lake_id_equal(&id, &f->shown))
			continue;
		if (!has_spare && rename(path, spare) == 0)
			has_spare = true;
		else
			st = discard(f, folders.items[i], err);
	}
	return st;
}

static enum status update(struct export_folder *f, struct err *err)
{
	AUTO(freep) char *path = NULL;
	char hex[LAKE_ID_HEX_BYTES];
	enum status st = ST_OK;

	lake_id_hex(&f->to, hex);
	path = xasprintf("%s/%s", f->dir, hex);
	if (!file_exists(path)) { /* its name says that it is complete */
		st = build(f, err);
		if (st == ST_OK)
			st = name_it(f, hex, err);
	}
	KILL_POINT("export_named");
	if (st == ST_OK)
		st = switch_to(f, hex, err);
	if (st == ST_OK)
		st = tidy(f, err);
	return st;
}

enum status export_folder_update(struct export_folder *f, const struct lake_id *commit,
				 const struct export_options *options, struct export_count *out,
				 struct err *err)
{
	struct export_count count = {0};
	enum status st;

	f->to = *commit;
	f->shown = export_folder_shown(f);
	f->options = options;
	f->count = &count;
	if (lake_id_equal(&f->to, &f->shown)) {
		*out = count;
		return ST_OK;
	}
	st = update(f, err);
	if (st != ST_OK) /* the room is given back */
		(void)!clear_next(f, NULL);
	forget_made(f);
	if (st == ST_OK)
		*out = count;
	return st;
}

/* ---- open and close ---- */

/* Nothing that is somebody else's is touched. */
static enum status check_ours(const struct export_folder *f, const char *mark, struct err *err)
{
	AUTO(text_list_release) struct text_list all = {0};
	enum status st = file_exists(mark) ? ST_OK : entries(f, is_entry, &all, err);

	if (all.n == 0)
		return st;
	return err_set(
		err, ST_EXISTS,
		"%s holds %s and is no folder of an export; give one that is empty or absent",
		f->dir, all.items[0]);
}

/* The folder's real path, or that of the nearest one above it that is there; NULL. */
static char *nearest_real(const char *dir)
{
	AUTO(freep) char *path = xstrdup(dir);

	for (;;) {
		char *real = realpath(path, NULL), *slash = strrchr(path, '/');

		if (real)
			return real;
		if (errno != ENOENT || slash == path)
			return NULL;
		if (!slash)
			return realpath(".", NULL);
		*slash = '\0';
	}
}

/* gc and backup take what lies in a lake's folder for the lake's. */
static enum status refuse_inside_lake(const struct export_folder *f, struct err *err)
{
	const char *url = lake_url(f->lake);
	AUTO(freep)
	char *lake = realpath(strncmp(url, "file:", 5) == 0 ? url + 5 : url, NULL);
	AUTO(freep) char *dir = nearest_real(f->dir);
	size_t n = lake ? strlen(lake) : 0;

	if (lake && dir && strncmp(dir, lake, n) == 0 && (dir[n] == '/' || !dir[n]))
		return err_set(err, ST_USAGE,
			       "it is inside the lake's folder %s; give a folder outside of it",
			       lake);
	return ST_OK;
}

static enum status take(struct export_folder *f, struct err *err)
{
	AUTO(freep) char *mark = xasprintf("%s/" MARK, f->dir);
	enum status st = refuse_inside_lake(f, err);

	if (st == ST_OK)
		st = dir_create_all(f->dir, err);
	if (st == ST_OK)
		st = check_ours(f, mark, err);
	if (st != ST_OK)
		return st;
	f->dir_fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f->dir_fd < 0)
		return err_errno(err, errno, "cannot open the folder %s", f->dir);
	f->lock_fd = open(mark, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
	if (f->lock_fd < 0)
		return err_errno(err, errno, "cannot create %s", mark);
	if (flock(f->lock_fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK
			       ? err_set(err, ST_BUSY,
					 "%s is kept by another connector; give another folder",
					 f->dir)
			       : err_errno(err, errno, "cannot lock %s", mark);
	return ST_OK;
}

enum status export_folder_open(struct lake *lake, const char *dir, struct export_folder **out,
			       struct err *err)
{
	AUTO(export_folder_closep) struct export_folder *f = xcalloc(1, sizeof(*f));
	enum status st;

	f->lake = lake;
	f->dir = xstrdup(dir);
	f->next = xasprintf("%s/" NEXT, dir);
	f->dir_fd = f->lock_fd = -1;
	st = take(f, err);
	if (st != ST_OK)
		return st;
	*out = MOVE(f);
	return ST_OK;
}

void export_folder_close(struct export_folder *f)
{
	if (!f)
		return;
	closep(&f->lock_fd);
	closep(&f->dir_fd);
	free(f->made);
	free(f->next);
	free(f->dir);
	free(f);
}
