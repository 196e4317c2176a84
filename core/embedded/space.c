#include "core/embedded/space.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define ASK_EVERY_US 100000

void space_init(struct space *s, const char *path, uint64_t reserve_bytes, struct clock *clock,
		uint64_t (*tables)(void *ctx), void *ctx)
{
	*s = (struct space){.path = xstrdup(path),
			    .clock = clock,
			    .tables = tables,
			    .ctx = ctx,
			    .reserve_bytes = reserve_bytes};
	pthread_mutex_init(&s->lock, NULL);
}

void space_release(struct space *s)
{
	pthread_mutex_destroy(&s->lock);
	free(s->path);
}

static uint64_t floor_of(const struct space *s)
{
	uint64_t part = s->reserve_bytes / 8;

	return part < SPACE_FLOOR_BYTES ? part : SPACE_FLOOR_BYTES;
}

static enum status ask_disk(const struct space *s, uint64_t *out, struct err *err)
{
	struct statvfs v;

	if (statvfs(s->path, &v) < 0)
		return err_errno(err, errno, "cannot ask for the free space of %s", s->path);
	*out = (uint64_t)v.f_bavail * v.f_frsize;
	return ST_OK;
}

/* Bytes of all table files, those that are being written included. */
static uint64_t table_files(const struct space *s)
{
	AUTO(freep) char *meta = xasprintf("%s/meta", s->path);
	DIR *dir = opendir(meta);
	struct dirent *entry;
	struct stat st;
	uint64_t bytes = 0;

	while (dir && (entry = readdir(dir)))
		if (strstr(entry->d_name, ".sst") &&
		    fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			bytes += (uint64_t)st.st_blocks * 512;
	if (dir)
		closedir(dir);
	return bytes;
}

/* What is kept of so many free bytes. */
static uint64_t kept_of(const struct space *s, uint64_t free_bytes)
{
	uint64_t used, files, pack, allocated;

	if (!s->tables ||
	    (free_bytes > s->reserve_bytes && free_bytes - s->reserve_bytes > 2 * SPACE_PACK_BYTES))
		return s->reserve_bytes; /* it does not come to that */
	used = s->tables(s->ctx);
	files = table_files(s);
	pack = used + used / 10 + (used < SPACE_TABLE_BYTES ? used : SPACE_TABLE_BYTES);
	pack = pack < SPACE_PACK_BYTES ? pack : SPACE_PACK_BYTES;
	allocated = files > used ? files - used : 0;
	return s->reserve_bytes + (allocated < pack ? pack - allocated : 0);
}

static bool is_room(const struct space *s, uint64_t bytes)
{
	return s->free_bytes >= s->kept_bytes && s->free_bytes - s->kept_bytes >= bytes;
}

static enum status take_locked(struct space *s, uint64_t bytes, struct err *err)
{
	int64_t now_us = s->clock->mono_us(s->clock);

	if (!s->asked || now_us - s->asked_us >= ASK_EVERY_US || !is_room(s, bytes)) {
		enum status st = ask_disk(s, &s->free_bytes, err);

		if (st != ST_OK)
			return st;
		s->kept_bytes = kept_of(s, s->free_bytes);
		s->asked = true;
		s->asked_us = now_us;
	}
	if (!is_room(s, bytes))
		return err_set(err, ST_NO_SPACE,
			       "the disk of %s has %llu MiB free, and %llu MiB are kept in "
			       "reserve: nothing is written until `tidemark gc` frees some (with "
			       "lake.history.retain set, old history too), or the disk is larger",
			       s->path, (unsigned long long)(s->free_bytes >> 20),
			       (unsigned long long)(s->kept_bytes >> 20));
	s->free_bytes -= bytes;
	return ST_OK;
}

enum status space_take(struct space *s, uint64_t bytes, struct err *err)
{
	enum status st;

	pthread_mutex_lock(&s->lock);
	st = take_locked(s, bytes, err);
	pthread_mutex_unlock(&s->lock);
	return st;
}

void space_open_reserve(struct space *s)
{
	pthread_mutex_lock(&s->lock);
	s->tables = NULL;
	s->reserve_bytes = floor_of(s);
	s->asked = false;
	pthread_mutex_unlock(&s->lock);
}

enum status space_above_floor(struct space *s, struct err *err)
{
	uint64_t free_bytes = 0, least;
	enum status st = ask_disk(s, &free_bytes, err);

	pthread_mutex_lock(&s->lock);
	least = floor_of(s);
	pthread_mutex_unlock(&s->lock);
	if (st != ST_OK || free_bytes >= least)
		return st;
	return err_set(err, ST_NO_SPACE,
		       "the disk of %s has %llu KiB free, and even freeing takes %llu KiB for a "
		       "time: make room for that by other means",
		       s->path, (unsigned long long)(free_bytes >> 10),
		       (unsigned long long)(least >> 10));
}

static uint64_t above(uint64_t bytes, uint64_t kept)
{
	return bytes > kept ? bytes - kept : 0;
}

enum status space_free(struct space *s, uint64_t *out, struct err *err)
{
	uint64_t bytes = 0;
	enum status st = ask_disk(s, &bytes, err);

	if (st != ST_OK)
		return st;
	pthread_mutex_lock(&s->lock);
	*out = above(bytes, kept_of(s, bytes));
	pthread_mutex_unlock(&s->lock);
	return ST_OK;
}

enum status space_to_pack(struct space *s, uint64_t *out, struct err *err)
{
	uint64_t bytes = 0;
	enum status st = ask_disk(s, &bytes, err);

	if (st != ST_OK)
		return st;
	pthread_mutex_lock(&s->lock);
	*out = above(bytes, s->reserve_bytes);
	pthread_mutex_unlock(&s->lock);
	return ST_OK;
}
