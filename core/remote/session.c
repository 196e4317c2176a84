#include "core/remote/session.h"

#include <stdlib.h>

/* Handles are found by walking a list: a client has a few open, a transaction's
 * uploads at most. They hang from buckets by their number. */
#define BUCKETS 256

struct session {
	uint64_t id;
	struct session *next;
	struct handle *buckets[BUCKETS];
	size_t n;
	bool ended;
};

struct sessions {
	pthread_mutex_t mutex;
	struct session
		*list; /* guarded by mutex, with all in it; also ended ones with lent handles */
	uint64_t last_id;
	size_t n_handles;
};

struct sessions *sessions_new(void)
{
	struct sessions *all = xcalloc(1, sizeof(*all));
	struct rng r = rng_system();

	pthread_mutex_init(&all->mutex, NULL);
	/* So that a number of an owner before this one means nothing here; below
	 * 2^53, as JSON's numbers are safe to. */
	all->last_id = rng_next(&r) >> 12;
	return all;
}

static void close_thing(const struct handle *h)
{
	switch (h->kind) {
	case HANDLE_UPLOAD:
		lake_upload_free(h->upload);
		break;
	case HANDLE_OBJECT:
		lake_object_close(h->object);
		break;
	case HANDLE_DIFF:
		lake_diff_close(h->diff);
		break;
	}
}

/* With the mutex held. */
static void unlink_handle(struct sessions *all, struct handle *h)
{
	struct handle **p = &h->session->buckets[h->id % BUCKETS];

	while (*p != h)
		p = &(*p)->next;
	*p = h->next;
	h->session->n--;
	all->n_handles--;
}

/* With the mutex held: takes a session that ended and is empty off the list. */
static struct session *unlink_if_done(struct sessions *all, struct session *s)
{
	struct session **p = &all->list;

	if (!s->ended || s->n)
		return NULL;
	while (*p != s)
		p = &(*p)->next;
	*p = s->next;
	return s;
}

void sessions_free(struct sessions *all)
{
	if (!all)
		return;
	while (all->list) {
		struct session *s = all->list;

		session_end(all, s);
	}
	pthread_mutex_destroy(&all->mutex);
	free(all);
}

struct session *session_begin(struct sessions *all)
{
	struct session *s = xcalloc(1, sizeof(*s));

	pthread_mutex_lock(&all->mutex);
	s->id = ++all->last_id;
	s->next = all->list;
	all->list = s;
	pthread_mutex_unlock(&all->mutex);
	return s;
}

uint64_t session_id(const struct session *s)
{
	return s->id;
}

void session_end(struct sessions *all, struct session *s)
{
	struct handle *to_close = NULL;
	struct session *done;

	pthread_mutex_lock(&all->mutex);
	s->ended = true;
	for (size_t i = 0; i < BUCKETS; i++) {
		struct handle *next;

		for (struct handle *h = s->buckets[i]; h; h = next) {
			next = h->next;
			h->dropped = true;
			if (h->lent)
				continue;
			unlink_handle(all, h);
			h->next = to_close;
			to_close = h;
		}
	}
	done = unlink_if_done(all, s);
	pthread_mutex_unlock(&all->mutex);
	free(done);
	while (to_close) {
		struct handle *h = to_close;

		to_close = h->next;
		close_thing(h);
		free(h);
	}
}

/* With the mutex held. */
static struct session *find_session(struct sessions *all, uint64_t id)
{
	struct session *s = all->list;

	while (s && s->id != id)
		s = s->next;
	return s && !s->ended ? s : NULL;
}

enum status handle_add(struct sessions *all, uint64_t session, struct handle thing,
		       struct handle **out, struct err *err)
{
	struct handle *h = (struct handle *)xmemdup(&thing, sizeof(thing));
	struct session *s;

	pthread_mutex_lock(&all->mutex);
	s = find_session(all, session);
	if (s) {
		h->id = ++all->last_id;
		h->session = s;
		h->lent = true;
		h->dropped = false;
		h->next = s->buckets[h->id % BUCKETS];
		s->buckets[h->id % BUCKETS] = h;
		s->n++;
		all->n_handles++;
	}
	pthread_mutex_unlock(&all->mutex);
	if (!s) {
		close_thing(h);
		free(h);
		return err_set(err, ST_UNREACHABLE,
			       "the lake's owner does not know this session (any more)");
	}
	*out = h;
	return ST_OK;
}

enum status handle_take(struct sessions *all, uint64_t session, uint64_t id, enum handle_kind kind,
			struct handle **out, struct err *err)
{
	enum status st = ST_OK;
	struct handle *h = NULL;
	struct session *s;

	pthread_mutex_lock(&all->mutex);
	s = find_session(all, session);
	for (h = s ? s->buckets[id % BUCKETS] : NULL; h && h->id != id; h = h->next)
		continue;
	if (!h)
		st = err_set(err, ST_UNREACHABLE,
			     "what this client had open at the lake's owner is gone");
	else if (h->lent || h->kind != kind)
		st = err_set(err, ST_USAGE, "a handle is in use, or of another kind");
	else
		h->lent = true;
	pthread_mutex_unlock(&all->mutex);
	if (st == ST_OK)
		*out = h;
	return st;
}

static void give_back(struct sessions *all, struct handle *h, bool drop)
{
	struct session *done = NULL;
	bool close;

	pthread_mutex_lock(&all->mutex);
	h->lent = false;
	close = drop || h->dropped;
	if (close) {
		unlink_handle(all, h);
		done = unlink_if_done(all, h->session);
	}
	pthread_mutex_unlock(&all->mutex);
	free(done);
	if (!close)
		return;
	close_thing(h);
	free(h);
}

void handle_give_back(struct sessions *all, struct handle *h)
{
	give_back(all, h, false);
}

void handle_drop(struct sessions *all, struct handle *h)
{
	give_back(all, h, true);
}

size_t sessions_open_handles(struct sessions *all)
{
	size_t n;

	pthread_mutex_lock(&all->mutex);
	n = all->n_handles;
	pthread_mutex_unlock(&all->mutex);
	return n;
}
