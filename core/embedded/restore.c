/* Making a lake of a backup. RESTORING marks the folder from the first moment to
 * the last, and FORMAT comes when all is there: so an interrupted restore is no
 * lake, and nobody takes it for one; restoring again begins anew. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/killpoint.h"
#include "core/embedded/backup.h"
#include "core/embedded/folder.h"

struct restore {
	const char *root;
	const char *dir;
	struct manifest from;
	struct lake_backup_report *report;
	struct lake_progress progress;
	void (*show)(void *ctx, const struct lake_progress *p);
	void *ctx;
};

static enum status step(void *ctx, uint64_t bytes, struct err *err)
{
	struct restore *r = ctx;

	(void)err;
	r->progress.bytes += bytes;
	if (r->show)
		r->show(r->ctx, &r->progress);
	return ST_OK;
}

/* Absent, empty, or left by a restore that was interrupted. */
static enum status check_target(const char *root, struct err *err)
{
	AUTO(freep) char *format = xasprintf("%s/FORMAT", root);
	AUTO(freep) char *restoring = xasprintf("%s/" FOLDER_RESTORING, root);
	DIR *dir = opendir(root);
	struct dirent *entry;
	enum status st = ST_OK;

	if (!dir && errno == ENOENT)
		return ST_OK;
	if (!dir)
		return err_errno(err, errno, "cannot read the folder %s", root);
	if (file_exists(format))
		st = err_set(err, ST_EXISTS,
			     "%s is a lake already; restore to a folder that is absent or empty",
			     root);
	while (st == ST_OK && !file_exists(restoring) && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		    strcmp(entry->d_name, "LOCK") != 0 &&
		    strncmp(entry->d_name, FOLDER_RESTORING ".", 10) != 0)
			st = err_set(err, ST_USAGE,
				     "%s is not empty (it holds '%s'); restore to a folder that "
				     "is absent or empty",
				     root, entry->d_name);
	closedir(dir);
	return st;
}

/* The folder is ours from here on, and empty but for the mark. */
static enum status begin(const struct restore *r, int *lock_out, struct err *err)
{
	static const char *const parts[] = {"meta", "blobs", "tmp", "SEQUENCE"};
	AUTO(freep) char *mark = xasprintf("%s/" FOLDER_RESTORING, r->root);
	AUTO(freep) char *text = xasprintf("from %s\n", r->dir);
	AUTO(freep) char *parent = xasprintf("%s/..", r->root);
	enum status st = check_target(r->root, err);

	if (st == ST_OK)
		st = dir_create_all(r->root, err);
	if (st == ST_OK)
		st = folder_lock(r->root, lock_out, err);
	if (st == ST_OK)
		st = check_target(r->root, err);
	if (st == ST_OK)
		st = file_replace(mark, text, strlen(text), err);
	if (st == ST_OK)
		st = dir_sync(parent, err);
	KILL_POINT("restore.marked");
	for (size_t i = 0; st == ST_OK && i < ARRAY_SIZE(parts); i++) {
		AUTO(freep) char *path = xasprintf("%s/%s", r->root, parts[i]);

		st = dir_remove_all(path, err);
		if (st == ST_OK && i < 3)
			st = dir_create_all(path, err);
	}
	return st;
}

static enum status restore_meta(struct restore *r, struct err *err)
{
	enum status st = ST_OK;

	for (size_t i = 0; st == ST_OK && i < r->from.meta.n; i++) {
		const struct backup_file *f = &r->from.meta.items[i];
		AUTO(freep)
		char *from = xasprintf("%s/meta-%llu/%s", r->dir,
				       (unsigned long long)r->from.number, f->name);
		AUTO(freep) char *to = xasprintf("%s/meta/%s", r->root, f->name);
		struct hash hash;
		uint64_t size = 0;

		st = copy_hashed(from, to, &hash, &size, step, r, err);
		if (st == ST_NOT_FOUND)
			st = err_set(err, ST_DAMAGED, "%s is missing; another backup is needed",
				     from);
		else if (st == ST_OK && (size != f->size || !hash_equal(&hash, &f->hash)))
			st = err_set(err, ST_DAMAGED,
				     "%s does not hold what was backed up; another backup is "
				     "needed",
				     from);
		r->report->metadata_bytes += size;
		KILL_POINT("restore.meta");
	}
	return st;
}

static enum status restore_blob(struct restore *r, const struct backup_file *f, struct err *err)
{
	AUTO(freep) char *from = backup_blob_path(r->dir, &f->hash);
	AUTO(freep) char *to = backup_blob_path(r->root, &f->hash);
	AUTO(freep) char *folder = xstrndup(to, (size_t)(strrchr(to, '/') - to));
	struct hash hash;
	uint64_t size = 0;
	char hex[65];
	enum status st = dir_create_all(folder, err);

	if (st == ST_OK)
		st = copy_hashed(from, to, &hash, &size, step, r, err);
	if (st == ST_NOT_FOUND || st == ST_DAMAGED ||
	    (st == ST_OK && !hash_equal(&hash, &f->hash))) {
		unlink(to);
		hash_hex(&f->hash, hex);
		lake_names_add(&r->report->damaged, hex);
		return ST_OK;
	}
	r->report->objects += st == ST_OK;
	r->report->bytes += size;
	r->progress.objects++;
	KILL_POINT("restore.blob");
	return st;
}

static enum status restore_blobs(struct restore *r, struct err *err)
{
	enum status st = ST_OK;

	r->progress.total_objects = r->from.blobs.n;
	for (size_t i = 0; i < r->from.blobs.n; i++)
		r->progress.total_bytes += r->from.blobs.items[i].size;
	for (size_t i = 0; i < r->from.meta.n; i++)
		r->progress.total_bytes += r->from.meta.items[i].size;
	for (size_t i = 0; st == ST_OK && i < r->from.blobs.n; i++)
		st = restore_blob(r, &r->from.blobs.items[i], err);
	return st;
}

static enum status finish(const struct restore *r, int lock, struct err *err)
{
	AUTO(freep) char *mark = xasprintf("%s/" FOLDER_RESTORING, r->root);
	enum status st = sequence_create(r->root, r->from.sequence, err);

	KILL_POINT("restore.sync");
	if (st == ST_OK)
		st = volume_sync(lock, r->root, err);
	KILL_POINT("restore.format");
	if (st == ST_OK)
		st = folder_finish(r->root, err);
	KILL_POINT("restore.finished");
	if (st == ST_OK && unlink(mark) < 0)
		st = err_errno(err, errno, "cannot remove %s", mark);
	return st == ST_OK ? dir_sync(r->root, err) : st;
}

enum status embedded_restore(const char *folder, const char *dir,
			     void (*show)(void *ctx, const struct lake_progress *p), void *ctx,
			     struct lake_backup_report *out, struct err *err)
{
	struct lake_backup_report report = {.objects = 0};
	struct restore r = {
		.root = folder, .dir = dir, .report = &report, .show = show, .ctx = ctx};
	AUTO(closep) int lock = -1;
	AUTO(closep) int from_lock = -1;
	enum status st = backup_lock_shared(dir, &from_lock, err);

	if (st == ST_OK)
		st = manifest_read(dir, &r.from, err);

	snprintf(r.progress.what, sizeof(r.progress.what), "restore");
	if (st == ST_OK)
		st = begin(&r, &lock, err);
	if (st == ST_OK)
		st = restore_meta(&r, err);
	if (st == ST_OK)
		st = restore_blobs(&r, err);
	if (st == ST_OK)
		st = finish(&r, lock, err);
	report.time_ms = r.from.time_ms;
	report.sequence = r.from.sequence;
	manifest_release(&r.from);
	if (st != ST_OK) {
		lake_backup_report_release(&report);
		return st == ST_NO_SPACE
			       ? err_wrap(err, st, "make room and start the restore again")
			       : st;
	}
	*out = report;
	return ST_OK;
}
