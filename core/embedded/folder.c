#include "core/embedded/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/killpoint.h"
#include "core/embedded/sequence.h"

#define FORMAT_WORD "tidemark lake "
#define FORMAT_NUMBER 1

/* What an interrupted creation may have left. */
static bool is_ours(const char *name)
{
	static const char *const names[] = {".",    "..",    "LOCK", "SEQUENCE",
					    "meta", "blobs", "tmp",  "sock"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return strncmp(name, "FORMAT.", 7) == 0 || strncmp(name, "SEQUENCE.", 9) == 0;
}

bool folder_is_ours(const char *name)
{
	return is_ours(name) || strcmp(name, "FORMAT") == 0 || strcmp(name, FOLDER_REPAIR) == 0 ||
	       strcmp(name, FOLDER_RESTORING) == 0 ||
	       strncmp(name, FOLDER_DAMAGED, strlen(FOLDER_DAMAGED)) == 0;
}

static enum status restore_interrupted(const char *root, struct err *err)
{
	return err_set(err, ST_USAGE,
		       "in %s a restore was interrupted; run `tidemark restore` again, or remove "
		       "the folder",
		       root);
}

static enum status check_no_strangers(const char *root, struct err *err)
{
	DIR *dir = opendir(root);
	struct dirent *entry;
	enum status st = ST_OK;

	if (!dir)
		return err_errno(err, errno, "cannot read the folder %s", root);
	while (st == ST_OK && (entry = readdir(dir)))
		if (!is_ours(entry->d_name))
			st = err_set(err, ST_USAGE,
				     "%s is no lake and is not empty (it holds '%s'); name another "
				     "folder",
				     root, entry->d_name);
	closedir(dir);
	return st;
}

bool folder_format_is_newer(const char *root)
{
	AUTO(freep) char *path = xasprintf("%s/FORMAT", root);
	AUTO(buf_release) struct buf text = BUF_INIT;

	return file_read(path, 4096, &text, NULL) == ST_OK &&
	       strncmp(buf_str(&text), FORMAT_WORD, strlen(FORMAT_WORD)) == 0 &&
	       strtol(text.data + strlen(FORMAT_WORD), NULL, 10) > FORMAT_NUMBER;
}

enum status folder_check_format(const char *root, bool *found_out, struct err *err)
{
	AUTO(freep) char *path = xasprintf("%s/FORMAT", root);
	AUTO(buf_release) struct buf text = BUF_INIT;
	long number;
	char *end;
	enum status st;

	*found_out = file_exists(path);
	if (!*found_out)
		return ST_OK;
	st = file_read(path, 4096, &text, err);
	if (st != ST_OK)
		return st;
	if (strncmp(buf_str(&text), FORMAT_WORD, strlen(FORMAT_WORD)) != 0)
		return err_set(
			err, ST_USAGE,
			"%s is no lake, or its FORMAT is damaged (it says '%.20s'); where it is "
			"a lake of this version, `tidemark fsck --repair` writes FORMAT anew",
			root, buf_str(&text));
	number = strtol(text.data + strlen(FORMAT_WORD), &end, 10);
	if (number < 1 || *end != '\n')
		return err_set(
			err, ST_DAMAGED,
			"%s holds no number; where the lake is of this version, `tidemark fsck "
			"--repair` writes it anew ('%s%d')",
			path, FORMAT_WORD, FORMAT_NUMBER);
	if (number > FORMAT_NUMBER)
		return err_set(err, ST_USAGE,
			       "the lake %s has format %ld and this program reads up to %d; use a "
			       "newer tidemark",
			       root, number, FORMAT_NUMBER);
	return ST_OK;
}

/* Making a lake writes once before it writes FORMAT, so more is a lake. */
static bool has_lost_format(const char *root)
{
	uint64_t slots[2] = {0, 0};
	bool whole[2] = {false, false};

	return sequence_look(root, slots, whole, NULL) == ST_OK &&
	       ((whole[0] && slots[0] > 1) || (whole[1] && slots[1] > 1));
}

/* May mode go on with the folder as it is? */
static enum status check_mode(const char *root, enum embedded_mode mode, bool is_lake,
			      struct err *err)
{
	AUTO(freep) char *restoring = xasprintf("%s/" FOLDER_RESTORING, root);

	if (is_lake)
		return mode == EMBEDDED_NEW ? err_set(err, ST_EXISTS, "%s is a lake already", root)
					    : ST_OK;
	if (file_exists(restoring))
		return restore_interrupted(root, err);
	if (has_lost_format(root))
		return err_set(err, ST_DAMAGED,
			       "%s/FORMAT is missing; where the lake is of this version, `tidemark "
			       "fsck --repair` writes it anew",
			       root);
	if (mode == EMBEDDED_EXISTING)
		return err_set(err, ST_USAGE,
			       "%s is no lake (it has no FORMAT); `tidemark --lake %s init` makes "
			       "one of an empty folder",
			       root, root);
	return check_no_strangers(root, err);
}

/* fd: of LOCK. Readers write no pid into it. */
static enum status busy(const char *root, int fd, struct err *err)
{
	char pid[32];
	ssize_t n;

	if (flock(fd, LOCK_SH | LOCK_NB) == 0)
		return err_set(err, ST_BUSY, "the lake %s is being read", root);
	n = pread(fd, pid, sizeof(pid) - 1, 0);
	pid[n > 0 ? n : 0] = '\0';
	pid[strcspn(pid, "\n")] = '\0';
	return err_set(err, ST_BUSY, "the lake %s is in use by process %s", root,
		       pid[0] ? pid : "(unknown)");
}

static enum status write_pid(int fd, const char *path, struct err *err)
{
	char pid[32];
	int n = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());

	if (ftruncate(fd, 0) < 0)
		return err_errno(err, errno, "cannot write %s", path);
	return fd_pwrite_all(fd, pid, (size_t)n, 0, path, err);
}

static enum status take_lock(const char *root, enum folder_hold hold, int *lock_out,
			     struct err *err)
{
	AUTO(freep) char *path = xasprintf("%s/LOCK", root);
	bool shared = hold == FOLDER_SHARED;
	AUTO(closep) int fd = open(path, (shared ? O_RDONLY : O_RDWR | O_CREAT) | O_CLOEXEC, 0666);
	enum status st = ST_OK;

	if (fd < 0)
		return err_errno(err, errno, "cannot open %s", path);
	if (flock(fd, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? busy(root, fd, err)
					    : err_errno(err, errno, "cannot lock %s", path);
	if (!shared)
		st = write_pid(fd, path, err);
	if (st != ST_OK)
		return st;
	*lock_out = fd;
	fd = -1;
	return ST_OK;
}

enum status folder_lock(const char *root, int *lock_out, struct err *err)
{
	return take_lock(root, FOLDER_OWNED, lock_out, err);
}

bool folder_is_writable(const char *root)
{
	AUTO(freep) char *path = xasprintf("%s/LOCK", root);

	if (faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0)
		return true;
	return errno == ENOENT && faccessat(AT_FDCWD, root, W_OK, AT_EACCESS) == 0;
}

enum status folder_prepare(const char *root, struct err *err)
{
	static const char *const names[] = {"meta", "blobs", "tmp"};
	AUTO(freep) char *tmp = xasprintf("%s/tmp", root);
	AUTO(freep) char *blobs = xasprintf("%s/blobs", root);
	enum status st = dir_remove_all(tmp, err);

	for (size_t i = 0; st == ST_OK && i < ARRAY_SIZE(names); i++) {
		AUTO(freep) char *path = xasprintf("%s/%s", root, names[i]);

		st = dir_create_all(path, err);
	}
	/* The folders that are there now need not be durable: an earlier owner
	 * may have died before it synced them. */
	if (st == ST_OK)
		st = dir_sync(blobs, err);
	return st == ST_OK ? dir_sync(root, err) : st;
}

enum status folder_claim(const char *root, enum embedded_mode mode, enum folder_hold hold,
			 int *lock_out, bool *new_out, struct err *err)
{
	AUTO(closep) int lock = -1;
	bool is_lake = false;
	enum status st = ST_OK;

	if (!file_exists(root)) {
		if (mode == EMBEDDED_EXISTING)
			return err_set(
				err, ST_NOT_FOUND,
				"there is no lake at %s; `tidemark --lake %s init` makes one", root,
				root);
		st = dir_create_all(root, err);
	}
	if (st == ST_OK)
		st = folder_check_format(root, &is_lake, err);
	if (st == ST_OK)
		st = check_mode(root, mode, is_lake, err);
	if (st == ST_OK)
		st = take_lock(root, hold, &lock, err);
	/* Again, under the lock: another process may have made it meanwhile. */
	if (st == ST_OK)
		st = folder_check_format(root, &is_lake, err);
	if (st == ST_OK)
		st = check_mode(root, mode, is_lake, err);
	if (st != ST_OK)
		return st;
	*new_out = !is_lake;
	*lock_out = lock;
	lock = -1;
	return ST_OK;
}

enum status folder_finish(const char *root, struct err *err)
{
	AUTO(freep) char *path = xasprintf("%s/FORMAT", root);
	AUTO(freep) char *text = xasprintf("%s%d\n", FORMAT_WORD, FORMAT_NUMBER);
	AUTO(freep) char *parent = xasprintf("%s/..", root);
	enum status st;

	KILL_POINT("lake.create.format");
	st = file_replace(path, text, strlen(text), err);
	return st == ST_OK ? dir_sync(parent, err) : st; /* the folder's own name */
}
