#include "core/embedded/space.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/statvfs.h>

#define ASK_EVERY_US 1000000

void space_init(struct space *s, const char *path, uint64_t reserve_bytes, struct clock *clock)
{
	*s = (struct space){.path = xstrdup(path), .clock = clock, .reserve_bytes = reserve_bytes};
	pthread_mutex_init(&s->lock, NULL);
}

void space_release(struct space *s)
{
	pthread_mutex_destroy(&s->lock);
	free(s->path);
}

static enum status ask(const struct space *s, uint64_t *out, struct err *err)
{
	struct statvfs v;

	if (statvfs(s->path, &v) < 0)
		return err_errno(err, errno, "cannot ask for the free space of %s", s->path);
	*out = (uint64_t)v.f_bavail * v.f_frsize;
	return ST_OK;
}

static enum status take_locked(struct space *s, uint64_t bytes, struct err *err)
{
	int64_t now_us = s->clock->mono_us(s->clock);

	if (!s->asked || now_us - s->asked_us >= ASK_EVERY_US ||
	    s->free_bytes < s->reserve_bytes + bytes) {
		enum status st = ask(s, &s->free_bytes, err);

		if (st != ST_OK)
			return st;
		s->asked = true;
		s->asked_us = now_us;
	}
	if (s->free_bytes < s->reserve_bytes || s->free_bytes - s->reserve_bytes < bytes)
		return err_set(err, ST_NO_SPACE,
			       "the disk of %s has %llu MiB free, and %llu MiB are kept in "
			       "reserve: nothing is written until `tidemark gc` frees some (with "
			       "lake.history.retain set, old history too), or the disk is larger",
			       s->path, (unsigned long long)(s->free_bytes >> 20),
			       (unsigned long long)(s->reserve_bytes >> 20));
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

enum status space_free(struct space *s, uint64_t *out, struct err *err)
{
	uint64_t bytes = 0;
	enum status st = ask(s, &bytes, err);

	if (st == ST_OK)
		*out = bytes > s->reserve_bytes ? bytes - s->reserve_bytes : 0;
	return st;
}
