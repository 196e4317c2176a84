#include "core/embedded/verified.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 8192 /* a blob has one, by its hash; another one takes it over */

struct slot {
	struct hash blob;
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec written, changed;
};

struct verified {
	pthread_mutex_t lock;
	struct slot slots[SLOTS]; /* guarded by lock */
};

struct verified *verified_new(void)
{
	struct verified *v = xcalloc(1, sizeof(*v));

	pthread_mutex_init(&v->lock, NULL);
	return v;
}

void verified_free(struct verified *v)
{
	if (!v)
		return;
	pthread_mutex_destroy(&v->lock);
	free(v);
}

static struct slot *slot_of(struct verified *v, const struct hash *blob)
{
	return &v->slots[((size_t)blob->bytes[0] << 8 | blob->bytes[1]) % SLOTS];
}

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool verified_has(struct verified *v, const struct hash *blob, const struct stat *st)
{
	const struct slot *s = slot_of(v, blob);
	bool has;

	pthread_mutex_lock(&v->lock);
	has = hash_equal(&s->blob, blob) && s->device == st->st_dev && s->inode == st->st_ino &&
	      s->size == st->st_size && same_time(s->written, st->st_mtim) &&
	      same_time(s->changed, st->st_ctim);
	pthread_mutex_unlock(&v->lock);
	return has;
}

void verified_add(struct verified *v, const struct hash *blob, const struct stat *st)
{
	pthread_mutex_lock(&v->lock);
	*slot_of(v, blob) =
		(struct slot){*blob, st->st_dev, st->st_ino, st->st_size, st->st_mtim, st->st_ctim};
	pthread_mutex_unlock(&v->lock);
}
