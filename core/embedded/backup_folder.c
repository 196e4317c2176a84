/* Whose folder a backup goes to, and who may use it now. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/killpoint.h"
#include "core/embedded/backup.h"

/* ---- whose it is ---- */

/* The real path of the nearest part of path that is there. */
static char *real_ancestor(const char *path)
{
	AUTO(freep) char *copy = xstrdup(path);
	char *real = realpath(copy, NULL);

	while (!real && errno == ENOENT && strrchr(copy, '/') > copy) {
		*strrchr(copy, '/') = '\0';
		real = realpath(copy, NULL);
	}
	return real;
}

static enum status refuse_inside(const struct embedded *e, const char *dir, struct err *err)
{
	AUTO(freep) char *root = realpath(e->root, NULL);
	AUTO(freep) char *real = real_ancestor(dir);
	size_t len = root ? strlen(root) : 0;

	if (!root)
		return err_errno(err, errno, "cannot find %s", e->root);
	if (real && strncmp(real, root, len) == 0 && (real[len] == '/' || real[len] == '\0'))
		return err_set(err, ST_USAGE,
			       "%s is inside the lake; name a folder elsewhere, on another disk "
			       "where there is one",
			       dir);
	return ST_OK;
}

/* What a start that was interrupted may have left is nothing. */
static bool is_empty_enough(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, "LOCK") == 0 ||
	       strncmp(name, "LAKE.", 5) == 0;
}

static enum status check_empty(const char *dir, struct err *err)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	enum status st = ST_OK;

	if (!d)
		return err_errno(err, errno, "cannot read the folder %s", dir);
	while (st == ST_OK && (entry = readdir(d)))
		if (!is_empty_enough(entry->d_name))
			st = err_set(err, ST_USAGE,
				     "%s is no backup and is not empty (it holds '%s'); name a "
				     "folder that is empty or absent",
				     dir, entry->d_name);
	closedir(d);
	return st;
}

/* LAKE says whose backup the folder is. ST_NOT_FOUND: it is nobody's yet. */
static enum status check_owner(const char *dir, const char *wanted, struct err *err)
{
	AUTO(freep) char *path = xasprintf("%s/LAKE", dir);
	AUTO(buf_release) struct buf text = BUF_INIT;
	enum status st;

	if (!file_exists(path)) {
		st = check_empty(dir, err);
		return st == ST_OK ? ST_NOT_FOUND : st;
	}
	st = file_read(path, 4096, &text, err);
	if (st == ST_OK && strcmp(buf_str(&text), wanted) != 0)
		st = err_set(err, ST_USAGE, "%s is the backup of another lake; name another folder",
			     dir);
	return st;
}

/* ---- who uses it ---- */

static enum status lock(int fd, int how, const char *dir, struct err *err)
{
	if (flock(fd, how | LOCK_NB) == 0)
		return ST_OK;
	if (errno != EWOULDBLOCK)
		return err_errno(err, errno, "cannot lock %s/LOCK", dir);
	return err_set(err, ST_BUSY, "%s is in use by %s; start again when that has ended", dir,
		       how == LOCK_SH ? "a backup" : "a restore or another backup");
}

enum status backup_lock_shared(const char *dir, int *lock_out, struct err *err)
{
	AUTO(freep) char *path = xasprintf("%s/LOCK", dir);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	enum status st = ST_OK;

	if (fd < 0 && errno != ENOENT)
		return err_errno(err, errno, "cannot open %s", path);
	if (fd >= 0)
		st = lock(fd, LOCK_SH, dir, err);
	if (st == ST_OK)
		*lock_out = fd;
	else
		close(fd);
	return st;
}

enum status backup_claim(const struct embedded *e, const char *dir, const char *lake, int *lock_out,
			 struct err *err)
{
	AUTO(freep) char *owner = xasprintf("%s/LAKE", dir);
	AUTO(freep) char *wanted = xasprintf("tidemark backup of %s\n", lake);
	AUTO(freep) char *path = xasprintf("%s/LOCK", dir);
	AUTO(closep) int fd = -1;
	enum status st = refuse_inside(e, dir, err);

	if (st == ST_OK)
		st = dir_create_all(dir, err);
	if (st == ST_OK)
		st = check_owner(dir, wanted, err);
	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0)
		return err_errno(err, errno, "cannot open %s", path);
	st = lock(fd, LOCK_EX, dir, err);
	if (st == ST_OK)
		st = check_owner(dir, wanted, err); /* another lake may have been faster */
	KILL_POINT("backup.claim");
	if (st == ST_NOT_FOUND)
		st = file_replace(owner, wanted, strlen(wanted), err);
	if (st != ST_OK)
		return st;
	*lock_out = fd;
	fd = -1;
	return ST_OK;
}

/* ---- the folders of metadata ---- */

char *backup_meta_folder(const char *dir, uint64_t number)
{
	return xasprintf("%s/meta-%llu", dir, (unsigned long long)number);
}

/* N of "meta-N"; 0: it is called something else. */
static uint64_t number_of(const char *name)
{
	char *end = NULL;
	uint64_t number = strncmp(name, "meta-", 5) == 0 ? strtoull(name + 5, &end, 10) : 0;

	return end && *end == '\0' ? number : 0;
}

uint64_t backup_last_number(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	uint64_t last = 0;

	while (d && (entry = readdir(d)))
		if (number_of(entry->d_name) > last)
			last = number_of(entry->d_name);
	if (d)
		closedir(d);
	return last;
}

enum status backup_remove_meta(const char *dir, uint64_t but, struct err *err)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	enum status st = ST_OK;

	if (!d)
		return err_errno(err, errno, "cannot read the folder %s", dir);
	while (st == ST_OK && (entry = readdir(d))) {
		AUTO(freep) char *path = xasprintf("%s/%s", dir, entry->d_name);

		if (number_of(entry->d_name) && number_of(entry->d_name) != but)
			st = dir_remove_all(path, err);
	}
	closedir(d);
	return st;
}
