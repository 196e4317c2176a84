/* Sweeping the objects that are files. What no commit names is moved to tmp/
 * with the gate's lock held (quick, whatever its size) and deleted there
 * without it; the owner that opens the lake next deletes what a crash leaves
 * there. The folders need no sync: a file that comes back is garbage again. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/killpoint.h"
#include "core/embedded/gc.h"

#define BLOCK_BYTES 512 /* of st_blocks */
#define TEMP_PREFIX "gc-"

struct garbage {
	struct hash hash;
	bool expired;
};

struct garbage_list {
	struct garbage *items;
	size_t n;
	size_t cap;
	size_t expired;
};

static void garbage_release(struct garbage_list *list)
{
	free(list->items);
}

static bool hash_parse(const char *name, struct hash *out)
{
	struct lake_id id;

	if (!lake_id_parse(name, &id))
		return false;
	memcpy(out->bytes, id.bytes, sizeof(out->bytes));
	return true;
}

/* The files of a folder that have no mark. */
static enum status find_files(struct gc *gc, const char *folder, struct garbage_list *out,
			      struct err *err)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;

	if (!dir)
		return errno == ENOENT ? ST_OK
				       : err_errno(err, errno, "cannot open the folder %s", folder);
	while ((entry = readdir(dir))) {
		struct garbage g = {.expired = false};

		if (!hash_parse(entry->d_name, &g.hash))
			continue;
		if (mark_set_has(gc->objects, g.hash.bytes)) {
			gc->report.files.kept++;
			continue;
		}
		g.expired = mark_set_has(gc->old_objects, g.hash.bytes);
		out->expired += g.expired;
		GROW(out->items, out->n, out->cap);
		out->items[out->n++] = g;
	}
	closedir(dir);
	return ST_OK;
}

/* Durable before the first of them is gone: no reader may take it for damage. */
static void mark_expired(struct gc *gc, const struct garbage_list *list)
{
	AUTO(db_batch_freep) struct db_batch *batch = db_batch_new();
	AUTO(buf_release) struct buf key = BUF_INIT;
	AUTO(buf_release) struct buf value = BUF_INIT;

	if (list->expired == 0 || gc->options->dry_run)
		return;
	atomic_store(&gc->e->any_expired, true);
	buf_add_be64(&value, (uint64_t)gc->now_ms);
	for (size_t i = 0; i < list->n; i++) {
		if (!list->items[i].expired)
			continue;
		key_expired(&key, &list->items[i].hash);
		db_batch_put(batch, &key, value.data, value.len);
	}
	db_write_synced(gc->e->db, batch);
	KILL_POINT("gc.sweep.expired");
}

static void count(struct gc *gc, const struct garbage *g, const struct stat *st)
{
	uint64_t bytes = (uint64_t)st->st_blocks * BLOCK_BYTES;

	gc->report.files.freed++;
	gc->report.files.freed_bytes += bytes;
	if (g->expired) {
		gc->report.expired++;
		gc->report.expired_bytes += bytes;
	}
}

/* With the gate's lock held. *taken_out: it is at temp now, or would be. */
static enum status take(struct gc *gc, const struct garbage *g, const char *path, const char *temp,
			bool *taken_out, struct err *err)
{
	struct stat st;

	*taken_out = false;
	if (gate_is_fresh(&gc->e->gate, g->hash.bytes)) {
		gc->report.files.kept++;
		if (g->expired && !gc->options->dry_run)
			embedded_not_expired(gc->e, &g->hash);
		return ST_OK;
	}
	if (stat(path, &st) < 0 || (!gc->options->dry_run && rename(path, temp) < 0))
		return errno == ENOENT ? ST_OK : err_errno(err, errno, "cannot free %s", path);
	count(gc, g, &st);
	*taken_out = true;
	return ST_OK;
}

static enum status free_file(struct gc *gc, const struct garbage *g, struct err *err)
{
	struct embedded *e = gc->e;
	AUTO(freep) char *path = embedded_blob_path(e, &g->hash);
	AUTO(freep)
	char *temp = xasprintf("%s/tmp/" TEMP_PREFIX "%s", e->root, strrchr(path, '/') + 1);
	int64_t start_us = e->clock->mono_us(e->clock), held_us;
	bool taken = false;
	enum status st;

	pthread_mutex_lock(&e->gate.lock);
	st = take(gc, g, path, temp, &taken, err);
	pthread_mutex_unlock(&e->gate.lock);
	held_us = e->clock->mono_us(e->clock) - start_us;
	if (held_us > gc->report.longest_wait_us)
		gc->report.longest_wait_us = held_us;
	if (!taken || gc->options->dry_run)
		return st;
	KILL_POINT("gc.sweep.rename");
	if (unlink(temp) < 0 && errno != ENOENT)
		return err_errno(err, errno, "cannot delete %s", temp);
	KILL_POINT("gc.sweep.unlink");
	return ST_OK;
}

static enum status sweep_folder(struct gc *gc, unsigned number, struct err *err)
{
	AUTO(garbage_release) struct garbage_list list = {.n = 0};
	AUTO(freep) char *folder = xasprintf("%s/blobs/%02x", gc->e->root, number);
	enum status st = find_files(gc, folder, &list, err);

	if (st != ST_OK)
		return st;
	mark_expired(gc, &list);
	for (size_t i = 0; st == ST_OK && i < list.n; i++) {
		gc->done++;
		st = gc_goes_on(gc, err);
		if (st == ST_OK)
			st = free_file(gc, &list.items[i], err);
	}
	return st;
}

/* Files that an earlier run of this process has moved and could not delete. */
static enum status sweep_temp(struct gc *gc, struct err *err)
{
	AUTO(freep) char *folder = xasprintf("%s/tmp", gc->e->root);
	DIR *dir = opendir(folder);
	struct dirent *entry;
	enum status st = ST_OK;

	if (!dir)
		return err_errno(err, errno, "cannot open the folder %s", folder);
	while (st == ST_OK && (entry = readdir(dir))) {
		struct stat s;

		if (strncmp(entry->d_name, TEMP_PREFIX, strlen(TEMP_PREFIX)) != 0 ||
		    fstatat(dirfd(dir), entry->d_name, &s, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (!gc->options->dry_run && unlinkat(dirfd(dir), entry->d_name, 0) < 0)
			st = err_errno(err, errno, "cannot delete %s/%s", folder, entry->d_name);
		gc->report.temp_files++;
		gc->report.temp_bytes += (uint64_t)s.st_blocks * BLOCK_BYTES;
	}
	closedir(dir);
	return st;
}

enum status gc_sweep_files(struct gc *gc, struct err *err)
{
	enum status st = sweep_temp(gc, err);

	gc_step(gc, "files");
	/* The commits that named them are gone for good first. */
	if (st == ST_OK && !gc->options->dry_run)
		db_sync(gc->e->db);
	for (unsigned i = 0; st == ST_OK && i < BLOB_FOLDERS; i++) {
		st = gc_goes_on(gc, err);
		if (st == ST_OK)
			st = sweep_folder(gc, i, err);
	}
	return st;
}
