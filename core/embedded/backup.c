/* Making a backup. Its moment is the checkpoint of the metadata, which is taken
 * between two moves of refs; all objects that those metadata name have had
 * their names before, and gc is kept out, so that they are copied afterwards in
 * peace. BACKUP, written last, makes it count; what is there is removed after
 * that where it is no longer needed, so that a crash at any moment leaves the
 * backup before it, or this one. Metadata that cannot be read take no backup's
 * place: it is refused. */
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
	int lock; /* of dir; opened before anything is written there */
	struct manifest before; /* number 0: there is none */
	bool unsure; /* before has objects alone, and nobody vouches for them */
	struct manifest now;
	struct lake_backup_report *report;
};

static enum status goes_on(const struct backup *b, struct err *err)
{
	return atomic_load(&b->e->closing)
		       ? err_set(err, ST_INTERRUPTED,
				 "the backup to %s was stopped; start it again, it goes on with "
				 "what has been copied",
				 b->dir)
		       : ST_OK;
}

static enum status step(void *ctx, uint64_t bytes, struct err *err)
{
	struct backup *b = ctx;

	atomic_fetch_add(&b->e->maintained.bytes, bytes);
	return goes_on(b, err);
}

/* What is read only to be compared is no progress. */
static enum status silent_step(void *ctx, uint64_t bytes, struct err *err)
{
	(void)bytes;
	return goes_on(ctx, err);
}

/* ---- the backup before ---- */

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

/* Of a BACKUP that cannot be read only the objects count, each after a look at it. */
static enum status read_before(struct backup *b, struct err *err)
{
	enum status st = manifest_read(b->dir, &b->before, err);

	if (st == ST_NOT_FOUND)
		return ST_OK;
	if (st == ST_DAMAGED) {
		b->unsure = true;
		return list_blobs(b->dir, &b->before.blobs, err);
	}
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

	if (st != ST_OK)
		return st;
	buf_add_hex(&hex, id, sizeof(id));
	memcpy(b->now.lake, hex.data, sizeof(b->now.lake));
	st = backup_claim(b->e, b->dir, b->now.lake, &b->lock, err);
	if (st == ST_OK)
		st = read_before(b, err);
	b->now.number = backup_last_number(b->dir) + 1;
	b->folder = backup_meta_folder(b->dir, b->now.number);
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

static void bad_table(void *ctx, const char *file, const char *why)
{
	struct buf *out = ctx;

	if (out->len == 0)
		buf_addf(out, "meta/%s: %s", file, why);
}

/* Reads all that a reader may ask for, so that no damaged table takes the place
 * of a sound one. */
static enum status check_metadata(const struct backup *b, struct err *err)
{
	AUTO(db_iter_freep) struct db_iter *it = db_scan_new(b->e->db);
	AUTO(freep) char *meta = xasprintf("%s/meta", b->e->root);
	AUTO(buf_release) struct buf bad = BUF_INIT;
	enum status st;

	while ((st = db_iter_next(it, err)) == ST_OK) {
		st = goes_on(b, err);
		if (st != ST_OK)
			return st;
	}
	if (st == ST_END) {
		db_check_tables(b->e->db, meta, bad_table, &bad);
		st = bad.len ? err_set(err, ST_DAMAGED, "%s", bad.data) : ST_OK;
	}
	return st;
}

/* A file of the backup before that is the same is linked, and the copy dropped. */
static bool link_same(struct backup *b, const struct hash *hash, const char *name, const char *path)
{
	for (size_t i = 0; i < b->before.meta.n; i++) {
		const struct backup_file *f = &b->before.meta.items[i];
		AUTO(freep) char *folder = backup_meta_folder(b->dir, b->before.number);
		AUTO(freep) char *old = xasprintf("%s/%s", folder, f->name);
		struct stat st;

		if (strcmp(f->name, name) != 0 || !hash_equal(&f->hash, hash) ||
		    stat(old, &st) < 0 || (uint64_t)st.st_size != f->size)
			continue;
		return link(old, path) == 0;
	}
	return false;
}

/* Tables keep their names as long as they live, so one that the backup before
 * has is only read. */
static enum status copy_meta_file(struct backup *b, const char *name, struct err *err)
{
	AUTO(freep) char *from = xasprintf("%s/%s", b->checkpoint, name);
	AUTO(freep) char *to = xasprintf("%s/%s", b->folder, name);
	struct hash hash;
	uint64_t size;
	enum status st = copy_hashed(from, "/dev/null", &hash, &size, silent_step, b, err);

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
	enum status st = ST_OK;

	if (!b->unsure) /* what interrupted ones left */
		st = backup_remove_meta(b->dir, b->before.number, err);
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

/* Is it in the backup before, and its file still there? */
static const struct backup_file *have(const struct backup *b, const struct hash *hash)
{
	const struct backup_file *f = b->unsure ? NULL : backup_files_find(&b->before.blobs, hash);
	AUTO(freep) char *path = f ? backup_blob_path(b->dir, hash) : NULL;
	struct stat st;

	return f && stat(path, &st) == 0 && (uint64_t)st.st_size == f->size ? f : NULL;
}

/* Reads what is there in the backup's folder, where nothing else vouches for it. */
static bool is_whole(struct backup *b, const struct hash *hash, uint64_t *size_out)
{
	AUTO(freep) char *path = backup_blob_path(b->dir, hash);
	struct hash found;

	return copy_hashed(path, "/dev/null", &found, size_out, silent_step, b, NULL) == ST_OK &&
	       hash_equal(hash, &found);
}

static void report_damaged(struct backup *b, const struct hash *hash)
{
	char hex[65];

	hash_hex(hash, hex);
	lake_names_add(&b->report->damaged, hex);
}

/* Copies one object to the file `to`; a damaged one is named and left out. */
static enum status copy_blob_to(struct backup *b, const struct hash *id, const char *to,
				struct err *err)
{
	AUTO(freep) char *from = embedded_blob_path(b->e, id);
	AUTO(freep) char *temp = xasprintf("%s/blobs/new", b->dir);
	struct hash hash;
	uint64_t size;
	enum status st = copy_hashed(from, temp, &hash, &size, step, b, err);

	if (st == ST_DAMAGED || (st == ST_OK && !hash_equal(&hash, id))) {
		report_damaged(b, id);
		unlink(temp);
		return ST_OK;
	}
	if (st == ST_OK && rename(temp, to) < 0)
		st = err_errno(err, errno, "cannot rename %s", temp);
	if (st != ST_OK) {
		unlink(temp);
		return st;
	}
	KILL_POINT("backup.blob");
	backup_files_add(&b->now.blobs, id, size, NULL);
	b->report->copied_objects++;
	b->report->copied_bytes += size;
	return ST_OK;
}

static enum status copy_blob(struct backup *b, const struct hash *id, struct err *err)
{
	AUTO(freep) char *to = backup_blob_path(b->dir, id);
	AUTO(freep) char *folder = xstrndup(to, (size_t)(strrchr(to, '/') - to));
	uint64_t size;
	enum status st = dir_create_all(folder, err);

	if (st != ST_OK)
		return st;
	if (file_exists(to) && is_whole(b, id, &size)) { /* of an interrupted one */
		backup_files_add(&b->now.blobs, id, size, NULL);
		return ST_OK;
	}
	return copy_blob_to(b, id, to, err);
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
		st = copy_blob(b, &there->items[i].hash, err);
		atomic_fetch_add(&m->objects, 1);
	}
	return st;
}

/* The first finding about anything but an object's file; they come first. */
static const struct lake_finding *metadata_finding(const struct lake_fsck_report *report)
{
	for (size_t i = 0; i < report->n; i++)
		if (report->items[i].damage && strcmp(report->items[i].kind, "blob") != 0)
			return &report->items[i];
	return NULL;
}

static void keep_needed(struct backup *b, const struct backup_files *there, struct fsck *f)
{
	for (size_t i = 0; i < b->before.blobs.n; i++) {
		const struct backup_file *old = &b->before.blobs.items[i];
		const struct blob_seen *blob = id_table_find(&f->blobs, old->hash.bytes);
		uint64_t size = old->size;

		if (backup_files_find(there, &old->hash) || !blob || !blob->needed ||
		    blob->expired || !(have(b, &old->hash) || is_whole(b, &old->hash, &size)))
			continue;
		report_damaged(b, &old->hash);
		backup_files_add(&b->now.blobs, &old->hash, size, NULL);
	}
}

/* What the backup before has and the lake has not: freed by gc, or lost. What
 * is lost and needed stays in the backup. */
static enum status keep_lost(struct backup *b, const struct backup_files *there, struct err *err)
{
	AUTO(lake_fsck_report_release) struct lake_fsck_report report = {.n = 0};
	const struct lake_finding *bad;
	struct fsck f;
	bool any = false;

	for (size_t i = 0; !any && i < b->before.blobs.n; i++)
		any = !backup_files_find(there, &b->before.blobs.items[i].hash);
	if (!any)
		return ST_OK;
	fsck_init(&f, b->e, b->e->root, true, &report);
	fsck_scan(&f);
	fsck_commits(&f);
	fsck_trees(&f);
	bad = metadata_finding(&report);
	if (!bad)
		keep_needed(b, there, &f);
	fsck_release(&f);
	return bad ? err_set(err, ST_DAMAGED, "%s %s %s", bad->kind, bad->name, bad->text) : ST_OK;
}

/* ---- the end ---- */

static void remove_old(struct backup *b)
{
	AUTO(freep) char *temp = xasprintf("%s/blobs/new", b->dir);
	struct backup_files there = {.n = 0};
	struct err err = ERR_INIT;

	unlink(temp);
	if (backup_remove_meta(b->dir, b->now.number, &err) != ST_OK)
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

/* All that BACKUP is going to name. */
static enum status copy_all(struct backup *b, struct err *err)
{
	struct backup_files there = {.n = 0};
	enum status st = check_metadata(b, err);

	if (st == ST_OK)
		st = list_blobs(b->e->root, &there, err);
	if (st == ST_OK)
		st = copy_meta(b, err);
	if (st == ST_OK)
		st = copy_blobs(b, &there, err);
	if (st == ST_OK)
		st = keep_lost(b, &there, err);
	free(there.items);
	if (st != ST_OK)
		return st;
	backup_files_sort(&b->now.blobs);
	KILL_POINT("backup.sync");
	return volume_sync(b->lock, b->dir, err);
}

static enum status make(struct backup *b, struct err *err)
{
	enum status st = prepare(b, err);

	if (st == ST_OK)
		st = take_checkpoint(b, err);
	if (st != ST_OK)
		return st;
	st = copy_all(b, err);
	KILL_POINT("backup.manifest");
	if (st != ST_OK) {
		enum status ignored = dir_remove_all(b->folder, NULL); /* makes room */

		(void)ignored;
		return st;
	}
	st = manifest_write(b->dir, &b->now, err);
	if (st != ST_OK)
		return st;
	KILL_POINT("backup.complete");
	remove_old(b);
	return ST_OK;
}

/* Says what a failure leaves. */
static enum status explain(const struct backup *b, enum status st, struct err *err)
{
	const char *before = b->before.number ? "; the backup before it is whole" : "";

	if (st == ST_NO_SPACE)
		return err_wrap(err, st, "no backup was made%s; make room and start again", before);
	if (st == ST_DAMAGED)
		return err_wrap(err, st,
				"no backup was made%s; the lake's metadata are damaged, `tidemark "
				"fsck` says more",
				before);
	return st;
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
	struct backup b = {.e = e, .dir = dir, .lock = -1, .report = &report};
	enum status st = embedded_maintain_begin(e, "backup", err);

	if (st != ST_OK)
		return st;
	st = make(&b, err);
	remove_checkpoint(&b);
	if (b.lock >= 0)
		close(b.lock);
	embedded_maintain_end(e);
	report.time_ms = b.now.time_ms;
	report.sequence = b.now.sequence;
	report.objects = b.now.blobs.n;
	for (size_t i = 0; i < b.now.blobs.n; i++)
		report.bytes += b.now.blobs.items[i].size;
	if (st == ST_OK) {
		*out = report;
	} else {
		st = explain(&b, st, err);
		lake_backup_report_release(&report);
	}
	manifest_release(&b.before);
	manifest_release(&b.now);
	free(b.checkpoint);
	free(b.folder);
	return st;
}
