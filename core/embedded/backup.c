/* Making a backup. Its moment is the checkpoint of the metadata, which is taken
 * between two moves of refs; all objects that those metadata name have had
 * their names before, and gc waits, so that they are copied afterwards in
 * peace. BACKUP, written last, makes it count; what is there is removed after
 * that where it is no longer needed, so that a crash at any moment leaves the
 * backup before it, or this one. */
#include "core/embedded/backup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/killpoint.h"
#include "core/embedded/fsck.h"

struct backup {
	struct embedded *e;
	const char *dir;
	char *checkpoint; /* in the lake's tmp/ */
	char *folder; /* meta-N in dir */
	struct manifest before; /* number 0: there is none */
	struct manifest now;
	struct lake_backup_report *report;
};

static void step(void *ctx, uint64_t bytes)
{
	struct backup *b = ctx;

	atomic_fetch_add(&b->e->maintained.bytes, bytes);
}

static char *meta_folder(const char *dir, uint64_t number)
{
	return xasprintf("%s/meta-%llu", dir, (unsigned long long)number);
}

/* ---- whose folder it is ---- */

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

static enum status check_empty(const char *dir, struct err *err)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	enum status st = ST_OK;

	if (!d)
		return err_errno(err, errno, "cannot read the folder %s", dir);
	while (st == ST_OK && (entry = readdir(d)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		    strncmp(entry->d_name, "LAKE.", 5) != 0) /* of an interrupted start */
			st = err_set(err, ST_USAGE,
				     "%s is no backup and is not empty (it holds '%s'); name a "
				     "folder that is empty or absent",
				     dir, entry->d_name);
	closedir(d);
	return st;
}

/* LAKE says whose backup the folder is, or is made to. */
static enum status claim(struct backup *b, struct err *err)
{
	AUTO(freep) char *path = xasprintf("%s/LAKE", b->dir);
	AUTO(freep) char *wanted = xasprintf("tidemark backup of %s\n", b->now.lake);
	AUTO(buf_release) struct buf text = BUF_INIT;
	enum status st;

	if (!file_exists(path)) {
		st = check_empty(b->dir, err);
		KILL_POINT("backup.claim");
		return st == ST_OK ? file_replace(path, wanted, strlen(wanted), err) : st;
	}
	st = file_read(path, 4096, &text, err);
	if (st == ST_OK && strcmp(buf_str(&text), wanted) != 0)
		st = err_set(err, ST_USAGE, "%s is the backup of another lake; name another folder",
			     b->dir);
	return st;
}

/* A BACKUP that cannot be read is as none: everything is copied again. */
static enum status read_before(struct backup *b, struct err *err)
{
	enum status st = manifest_read(b->dir, &b->before, err);

	if (st == ST_NOT_FOUND || st == ST_DAMAGED)
		return ST_OK;
	if (st == ST_OK && b->before.sequence > b->e->sequence)
		return err_set(err, ST_CONFLICT,
			       "%s holds write %llu, and this lake ends at %llu: it is an older "
			       "copy of that lake; name another folder",
			       b->dir, (unsigned long long)b->before.sequence,
			       (unsigned long long)b->e->sequence);
	return st;
}

static enum status prepare(struct backup *b, struct err *err)
{
	AUTO(buf_release) struct buf hex = BUF_INIT;
	unsigned char id[LAKE_IDENTITY_BYTES];
	enum status st = embedded_identity(b->e, id, err);

	if (st == ST_OK)
		st = refuse_inside(b->e, b->dir, err);
	if (st == ST_OK)
		st = dir_create_all(b->dir, err);
	if (st != ST_OK)
		return st;
	buf_add_hex(&hex, id, sizeof(id));
	memcpy(b->now.lake, hex.data, sizeof(b->now.lake));
	st = claim(b, err);
	if (st == ST_OK)
		st = read_before(b, err);
	b->now.number = b->before.number + 1;
	b->folder = meta_folder(b->dir, b->now.number);
	return st;
}

/* ---- metadata ---- */

/* Between two moves, so that its number is that of the last one. */
static enum status take_checkpoint(struct backup *b, struct err *err)
{
	struct embedded *e = b->e;
	enum status st = space_take(&e->space, 0, err);

	b->checkpoint = xasprintf("%s/tmp/backup-%llu", e->root,
				  (unsigned long long)atomic_fetch_add(&e->next_temp, 1));
	if (st != ST_OK)
		return st;
	pthread_mutex_lock(&e->moves);
	b->now.sequence = e->sequence;
	b->now.time_ms = e->clock->wall_ms(e->clock);
	st = db_checkpoint(e->db, b->checkpoint, err);
	pthread_mutex_unlock(&e->moves);
	KILL_POINT("backup.checkpoint");
	return st;
}

/* A file of the backup before that is the same is linked, and the copy dropped. */
static bool link_same(struct backup *b, const struct hash *hash, const char *name, const char *path)
{
	for (size_t i = 0; i < b->before.meta.n; i++) {
		const struct backup_file *f = &b->before.meta.items[i];
		AUTO(freep) char *folder = meta_folder(b->dir, b->before.number);
		AUTO(freep) char *old = xasprintf("%s/%s", folder, f->name);
		struct stat st;

		if (strcmp(f->name, name) != 0 || !hash_equal(&f->hash, hash) ||
		    stat(old, &st) < 0 || (uint64_t)st.st_size != f->size)
			continue;
		return link(old, path) == 0;
	}
	return false;
}

static void ignore_step(void *ctx, uint64_t bytes)
{
	(void)ctx;
	(void)bytes;
}

/* Tables keep their names as long as they live, so one that the backup before
 * has is only read. */
static enum status copy_meta_file(struct backup *b, const char *name, struct err *err)
{
	AUTO(freep) char *from = xasprintf("%s/%s", b->checkpoint, name);
	AUTO(freep) char *to = xasprintf("%s/%s", b->folder, name);
	struct hash hash;
	uint64_t size;
	enum status st = copy_hashed(from, "/dev/null", &hash, &size, ignore_step, b, err);

	if (st != ST_OK)
		return st;
	if (!link_same(b, &hash, name, to)) {
		st = copy_hashed(from, to, &hash, &size, step, b, err);
		b->report->copied_metadata_bytes += size;
	}
	b->report->metadata_bytes += size;
	backup_files_add(&b->now.meta, &hash, size, name);
	KILL_POINT("backup.meta");
	return st;
}

static enum status copy_meta(struct backup *b, struct err *err)
{
	DIR *dir;
	struct dirent *entry;
	enum status st = dir_remove_all(b->folder, err); /* of an interrupted one */

	if (st == ST_OK)
		st = dir_create_all(b->folder, err);
	if (st != ST_OK)
		return st;
	dir = opendir(b->checkpoint);
	if (!dir)
		return err_errno(err, errno, "cannot read %s", b->checkpoint);
	while (st == ST_OK && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			st = copy_meta_file(b, entry->d_name, err);
	closedir(dir);
	return st;
}

/* ---- objects ---- */

/* The files of objects below `root`, by hash. */
static enum status list_blobs(const char *root, struct backup_files *out, struct err *err)
{
	for (unsigned i = 0; i < BLOB_FOLDERS; i++) {
		AUTO(freep) char *path = xasprintf("%s/blobs/%02x", root, i);
		DIR *dir = opendir(path);
		struct dirent *entry;
		struct lake_id id;
		struct hash hash;
		struct stat st;

		if (!dir && errno != ENOENT)
			return err_errno(err, errno, "cannot read %s", path);
		while (dir && (entry = readdir(dir))) {
			if (!lake_id_parse(entry->d_name, &id) ||
			    fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
				continue;
			memcpy(hash.bytes, id.bytes, sizeof(hash.bytes));
			backup_files_add(out, &hash, (uint64_t)st.st_size, NULL);
		}
		if (dir)
			closedir(dir);
	}
	backup_files_sort(out);
	return ST_OK;
}

/* Is it in the backup before, and its file still there? */
static const struct backup_file *have(const struct backup *b, const struct hash *hash)
{
	const struct backup_file *f = backup_files_find(&b->before.blobs, hash);
	AUTO(freep) char *path = f ? backup_blob_path(b->dir, hash) : NULL;
	struct stat st;

	return f && stat(path, &st) == 0 && (uint64_t)st.st_size == f->size ? f : NULL;
}

static void report_damaged(struct backup *b, const struct hash *hash)
{
	char hex[65];

	hash_hex(hash, hex);
	lake_names_add(&b->report->damaged, hex);
}

static enum status copy_blob(struct backup *b, const struct backup_file *f, struct err *err)
{
	AUTO(freep) char *from = embedded_blob_path(b->e, &f->hash);
	AUTO(freep) char *to = backup_blob_path(b->dir, &f->hash);
	AUTO(freep) char *temp = xasprintf("%s/blobs/new", b->dir);
	AUTO(freep) char *folder = xstrndup(to, (size_t)(strrchr(to, '/') - to));
	struct hash hash;
	uint64_t size;
	enum status st = dir_create_all(folder, err);

	if (st == ST_OK)
		st = copy_hashed(from, temp, &hash, &size, step, b, err);
	if (st != ST_OK)
		return st;
	if (!hash_equal(&hash, &f->hash)) {
		report_damaged(b, &f->hash);
		unlink(temp);
		return ST_OK;
	}
	if (rename(temp, to) < 0)
		return err_errno(err, errno, "cannot rename %s", temp);
	KILL_POINT("backup.blob");
	backup_files_add(&b->now.blobs, &f->hash, size, NULL);
	b->report->copied_objects++;
	b->report->copied_bytes += size;
	return ST_OK;
}

static enum status copy_blobs(struct backup *b, const struct backup_files *there, struct err *err)
{
	struct maintained *m = &b->e->maintained;
	enum status st = ST_OK;

	for (size_t i = 0; i < there->n; i++)
		if (!have(b, &there->items[i].hash)) {
			atomic_fetch_add(&m->total_bytes, there->items[i].size);
			atomic_fetch_add(&m->total_objects, 1);
		}
	for (size_t i = 0; st == ST_OK && i < there->n; i++) {
		const struct backup_file *old = have(b, &there->items[i].hash);

		if (old) {
			backup_files_add(&b->now.blobs, &old->hash, old->size, NULL);
			continue;
		}
		st = copy_blob(b, &there->items[i], err);
		atomic_fetch_add(&m->objects, 1);
	}
	return st;
}

/* What the backup before has and the lake has not: freed by gc, or lost. What
 * is lost and needed stays in the backup. */
static void keep_lost(struct backup *b, const struct backup_files *there)
{
	AUTO(lake_fsck_report_release) struct lake_fsck_report report = {.n = 0};
	struct fsck f;
	bool any = false;

	for (size_t i = 0; !any && i < b->before.blobs.n; i++)
		any = !backup_files_find(there, &b->before.blobs.items[i].hash);
	if (!any)
		return;
	fsck_init(&f, b->e, b->e->root, true, &report);
	fsck_scan(&f);
	fsck_commits(&f);
	fsck_trees(&f);
	for (size_t i = 0; i < b->before.blobs.n; i++) {
		const struct backup_file *old = &b->before.blobs.items[i];
		const struct blob_seen *blob = id_table_find(&f.blobs, old->hash.bytes);

		if (backup_files_find(there, &old->hash) || !blob || !blob->needed ||
		    blob->expired || !have(b, &old->hash))
			continue;
		report_damaged(b, &old->hash);
		backup_files_add(&b->now.blobs, &old->hash, old->size, NULL);
	}
	fsck_release(&f);
}

/* ---- the end ---- */

static void remove_old(struct backup *b)
{
	AUTO(freep) char *folder = meta_folder(b->dir, b->before.number);
	AUTO(freep) char *temp = xasprintf("%s/blobs/new", b->dir);
	struct backup_files there = {.n = 0};
	struct err err = ERR_INIT;

	unlink(temp);
	if (b->before.number && dir_remove_all(folder, &err) != ST_OK)
		return; /* the next backup tries again */
	KILL_POINT("backup.clean");
	if (list_blobs(b->dir, &there, &err) != ST_OK)
		there.n = 0;
	for (size_t i = 0; i < there.n; i++) {
		AUTO(freep) char *path = backup_blob_path(b->dir, &there.items[i].hash);

		if (!backup_files_find(&b->now.blobs, &there.items[i].hash) && unlink(path) == 0)
			b->report->removed_objects++;
	}
	free(there.items);
}

static enum status make(struct backup *b, struct err *err)
{
	struct backup_files there = {.n = 0};
	enum status st = prepare(b, err);

	if (st == ST_OK)
		st = take_checkpoint(b, err);
	if (st == ST_OK)
		st = list_blobs(b->e->root, &there, err);
	if (st == ST_OK)
		st = copy_meta(b, err);
	if (st == ST_OK)
		st = copy_blobs(b, &there, err);
	if (st == ST_OK)
		keep_lost(b, &there);
	free(there.items);
	if (st != ST_OK)
		return st;
	backup_files_sort(&b->now.blobs);
	KILL_POINT("backup.sync");
	st = volume_sync(b->dir, err);
	KILL_POINT("backup.manifest");
	if (st == ST_OK)
		st = manifest_write(b->dir, &b->now, err);
	if (st != ST_OK)
		return st;
	KILL_POINT("backup.complete");
	remove_old(b);
	return ST_OK;
}

/* What stays in tmp/ is removed when the lake is opened. */
static void remove_checkpoint(const struct backup *b)
{
	enum status ignored = b->checkpoint ? dir_remove_all(b->checkpoint, NULL) : ST_OK;

	(void)ignored;
}

enum status embedded_backup(struct lake *lake, const char *dir, struct lake_backup_report *out,
			    struct err *err)
{
	struct embedded *e = embedded_of(lake);
	struct lake_backup_report report = {.objects = 0};
	struct backup b = {.e = e, .dir = dir, .report = &report};
	enum status st = embedded_maintain_begin(e, "backup", err);

	if (st != ST_OK)
		return st;
	st = make(&b, err);
	remove_checkpoint(&b);
	embedded_maintain_end(e);
	report.time_ms = b.now.time_ms;
	report.sequence = b.now.sequence;
	report.objects = b.now.blobs.n;
	for (size_t i = 0; i < b.now.blobs.n; i++)
		report.bytes += b.now.blobs.items[i].size;
	if (st == ST_OK)
		*out = report;
	else
		lake_backup_report_release(&report);
	if (st == ST_NO_SPACE)
		st = err_wrap(err, st,
			      "the backup is not complete, and the one before it is still whole; "
			      "make room and start again");
	manifest_release(&b.before);
	manifest_release(&b.now);
	free(b.checkpoint);
	free(b.folder);
	return st;
}
