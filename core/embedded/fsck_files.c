/* The files of a lake's folder: FORMAT, SEQUENCE, and the objects' files, each
 * against the hash that is its name. Needs no metadata. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/embedded/folder.h"
#include "core/embedded/fsck.h"

#define READ_BYTES (1u << 20)

/* ---- the folder ---- */

void fsck_folder(struct fsck *f)
{
	DIR *dir = opendir(f->root);
	struct dirent *entry;
	struct err err = ERR_INIT;
	bool found = false;

	if (folder_check_format(f->root, &found, &err) != ST_OK)
		lake_fsck_add(f->report, true, "format", "FORMAT",
			      "`tidemark fsck --repair` writes it anew, if the lake is of this "
			      "version",
			      "%s", err.text);
	else if (!found)
		lake_fsck_add(f->report, true, "format", "FORMAT",
			      "`tidemark fsck --repair` writes it anew, if the lake is of this "
			      "version",
			      "is missing");
	while (dir && (entry = readdir(dir)))
		if (!folder_is_ours(entry->d_name))
			lake_fsck_add(f->report, false, "file", entry->d_name, NULL,
				      "does not belong into the lake's folder");
	if (dir)
		closedir(dir);
}

void fsck_sequence(struct fsck *f, uint64_t q, bool has_q)
{
	static const char remedy[] = "`tidemark fsck --repair` writes it anew";
	struct err err = ERR_INIT;
	uint64_t slots[2] = {0, 0};
	bool whole[2] = {false, false};
	uint64_t kept;

	if (sequence_look(f->root, slots, whole, &err) != ST_OK) {
		lake_fsck_add(f->report, true, "sequence", "SEQUENCE", remedy, "%s", err.text);
		return;
	}
	if (!whole[0] && !whole[1]) {
		lake_fsck_add(f->report, true, "sequence", "SEQUENCE", remedy,
			      "neither of its slots can be read");
		return;
	}
	if (!whole[0] || !whole[1])
		lake_fsck_add(f->report, false, "sequence", "SEQUENCE", NULL,
			      "slot %d cannot be read, as a power loss may leave it; the other "
			      "holds %llu, and the next write replaces it",
			      whole[0] ? 1 : 0, (unsigned long long)slots[whole[0] ? 0 : 1]);
	kept = !whole[0] || (whole[1] && slots[1] > slots[0]) ? slots[1] : slots[0];
	if (has_q && kept > q)
		lake_fsck_add(f->report, true, "sequence", "meta",
			      "restore a backup, or keep what is left by `tidemark fsck --repair`",
			      "ends at write %llu, and write %llu was made: a log file was cut or "
			      "is gone",
			      (unsigned long long)q, (unsigned long long)kept);
}

/* ---- blobs/ ---- */

static bool is_hash_digit(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static int digit(char c)
{
	return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* Is it the name of a blob, in this folder? */
static bool blob_name(const char *folder, const char *name, struct hash *out)
{
	if (strlen(name) != 64 || strncmp(folder, name, 2) != 0)
		return false;
	for (int i = 0; i < 64; i++)
		if (!is_hash_digit(name[i]))
			return false;
	for (int i = 0; i < 32; i++)
		out->bytes[i] = (unsigned char)(digit(name[2 * i]) << 4 | digit(name[2 * i + 1]));
	return true;
}

/* *why_out is the caller's; NULL where the file holds what it is called. */
static void hash_file(struct fsck *f, int fd, const struct hash *id, char **why_out)
{
	AUTO(freep) char *data = xmalloc(READ_BYTES);
	struct hasher *hasher = hasher_new();
	struct hash found;
	uint64_t offset = 0;
	size_t n = 0;
	struct err err = ERR_INIT;

	posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	do {
		if (fd_pread_all(fd, data, READ_BYTES, offset, &n, "it", &err) != ST_OK) {
			*why_out = xstrdup(err.text);
			break;
		}
		hasher_add(hasher, data, n);
		offset += n;
		fsck_step(f, 0, n);
	} while (n == READ_BYTES);
	f->report->bytes += offset;
	hasher_finish(hasher, &found);
	hasher_free(hasher);
	if (!*why_out && !hash_equal(&found, id))
		*why_out = xstrdup("holds other bytes than were stored");
}

static void check_file(struct fsck *f, int dir_fd, const char *name, const struct hash *id)
{
	AUTO(closep) int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct blob_seen *blob;
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return; /* replaced by an equal one, or freed, in this moment */
	blob = id_table_add(&f->blobs, id->bytes);
	blob->file = true;
	f->report->files++;
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		blob->why =
			xasprintf("cannot be read: %s", fd < 0 ? strerror(errno) : "it is no file");
		return;
	}
	blob->size = (uint64_t)st.st_size;
	if (!f->quick)
		hash_file(f, fd, id, &blob->why);
	fsck_step(f, 1, 0);
}

static void stray(struct fsck *f, const char *folder, const char *name)
{
	AUTO(freep) char *path = xasprintf("blobs%s%s/%s", folder[0] ? "/" : "", folder, name);

	lake_fsck_add(f->report, false, "file", path, "nothing reads it; it may be deleted",
		      "is no object's name");
}

static void check_folder(struct fsck *f, const char *name)
{
	AUTO(freep) char *path = xasprintf("%s/blobs/%s", f->root, name);
	DIR *dir = opendir(path);
	struct dirent *entry;
	struct hash id;

	if (!dir) {
		AUTO(freep) char *short_path = xasprintf("blobs/%s", name);

		lake_fsck_add(f->report, true, "file", short_path, NULL, "cannot be read: %s",
			      strerror(errno));
		return;
	}
	while ((entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (blob_name(name, entry->d_name, &id))
			check_file(f, dirfd(dir), entry->d_name, &id);
		else
			stray(f, name, entry->d_name);
	}
	closedir(dir);
}

/* For "so many of so many": what the folders say before anything is read. */
static void count_files(struct fsck *f)
{
	for (unsigned i = 0; f->e && i < BLOB_FOLDERS; i++) {
		AUTO(freep) char *path = xasprintf("%s/blobs/%02x", f->root, i);
		DIR *dir = opendir(path);
		struct dirent *entry;
		struct stat st;

		while (dir && (entry = readdir(dir))) {
			if (strlen(entry->d_name) != 64 ||
			    fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
				continue;
			atomic_fetch_add(&f->e->maintained.total_objects, 1);
			if (!f->quick)
				atomic_fetch_add(&f->e->maintained.total_bytes, st.st_size);
		}
		if (dir)
			closedir(dir);
	}
}

void fsck_blob_files(struct fsck *f)
{
	AUTO(freep) char *path = xasprintf("%s/blobs", f->root);
	DIR *dir = opendir(path);
	struct dirent *entry;

	if (!dir) {
		lake_fsck_add(f->report, true, "file", "blobs", NULL, "cannot be read: %s",
			      strerror(errno));
		return;
	}
	count_files(f);
	while ((entry = readdir(dir))) {
		const char *name = entry->d_name;

		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
			continue;
		if (strlen(name) == 2 && is_hash_digit(name[0]) && is_hash_digit(name[1]))
			check_folder(f, name);
		else
			stray(f, "", name);
	}
	closedir(dir);
}
