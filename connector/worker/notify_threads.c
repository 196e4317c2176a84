/* A thread for each notifier, which follows the publication branch, whoever moves
 * it. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "connector/history/state.h"
#include "connector/worker/config.h"
#include "connector/worker/notify.h"
#include "core/base/log.h"

#define LOOK_EVERY_MS 500
#define AGAIN_AFTER_MS 10000

struct notify_thread {
	struct notify_threads *all;
	const struct notifier *to;
	pthread_t thread;
	struct lake_id seen; /* of the publication branch: told of */
	int64_t again_us; /* not before; 0: now */
	bool warned;
};

struct notify_threads {
	struct notify notify;
	struct notify_thread *items;
	size_t n;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool finish, catch_up; /* guarded by lock */
};

static void look(struct notify_thread *t)
{
	const struct notify *n = &t->all->notify;
	struct err err = ERR_INIT;
	struct lake_id head;
	enum status st = lake_ref_get(n->lake, LAKE_BRANCH, n->config->published, &head, &err);

	if (st == ST_NOT_FOUND || (st == ST_OK && lake_id_equal(&head, &t->seen)))
		return;
	if (st == ST_OK)
		st = notify_catch_up(n, t->to, &err);
	if (st == ST_OK) {
		t->seen = head;
		t->again_us = 0;
		t->warned = false;
		return;
	}
	t->again_us = n->clock->mono_us(n->clock) + AGAIN_AFTER_MS * 1000;
	if (st != ST_INTERRUPTED && !t->warned)
		log_warn("notifications cannot be told or recorded; trying again",
			 LOG_S("connector", n->config->name), LOG_S("notifier", t->to->name),
			 LOG_S("reason", err.text));
	t->warned = true;
}

/* False: stop. */
static bool wait_a_while(struct notify_threads *all)
{
	bool finish;

	pthread_mutex_lock(&all->lock);
	if (!all->finish)
		cond_wait_ms(&all->cond, &all->lock, LOOK_EVERY_MS);
	finish = all->finish;
	pthread_mutex_unlock(&all->lock);
	return !finish;
}

static void *notify_main(void *ctx)
{
	struct notify_thread *t = ctx;
	const struct notify *n = &t->all->notify;
	bool catch_up;

	do {
		if (n->clock->mono_us(n->clock) >= t->again_us)
			look(t);
	} while (wait_a_while(t->all));
	pthread_mutex_lock(&t->all->lock);
	catch_up = t->all->catch_up;
	pthread_mutex_unlock(&t->all->lock);
	if (catch_up)
		look(t);
	return NULL;
}

static bool is_configured(const struct config *c, const char *path)
{
	for (size_t i = 0; i < c->n_notifiers; i++) {
		AUTO(freep)
		char *own = xasprintf("%s/" STATE_NOTIFY "%s.json", c->name, c->notifiers[i].name);

		if (strcmp(own, path) == 0)
			return true;
	}
	return false;
}

/* A notifier that is no longer configured may come back one day: it is not told then of
 * all that was in between. */
static enum status forget_others(const struct notify *n, struct err *err)
{
	AUTO(freep) char *prefix = xasprintf("%s/" STATE_NOTIFY, n->config->name);
	AUTO(lake_list_closep) struct lake_list *list = NULL;
	struct lake_entry entry = {0};
	struct lake_id head;
	enum status st = lake_ref_get(n->lake, LAKE_BRANCH, STATE_BRANCH, &head, err);

	if (st == ST_NOT_FOUND)
		return ST_OK;
	if (st == ST_OK)
		st = lake_list_open(n->lake, &head, prefix, &list, err);
	while (st == ST_OK && (st = lake_list_next(list, &entry, err)) == ST_OK) {
		if (!is_configured(n->config, entry.path)) {
			const char *base = entry.path + strlen(n->config->name) + 1;
			AUTO(freep) char *part = xstrndup(base, strlen(base) - strlen(".json"));

			st = state_write(n->lake, n->config->target, n->config->name, part, NULL,
					 err);
		}
		lake_entry_release(&entry);
	}
	return st == ST_END ? ST_OK : st;
}

enum status notify_start(const struct notify *n, struct notify_threads **out, struct err *err)
{
	struct notify_threads *all;
	enum status st = forget_others(n, err);

	*out = NULL;
	if (st == ST_OK)
		st = notify_begin(n, err);
	if (st != ST_OK || n->config->n_notifiers == 0)
		return st;
	all = xcalloc(1, sizeof(*all));
	all->notify = *n;
	all->n = n->config->n_notifiers;
	all->items = xcalloc(all->n, sizeof(*all->items));
	pthread_mutex_init(&all->lock, NULL);
	pthread_cond_init(&all->cond, NULL);
	for (size_t i = 0; i < all->n; i++) {
		all->items[i] = (struct notify_thread){.all = all, .to = &n->config->notifiers[i]};
		if (pthread_create(&all->items[i].thread, NULL, notify_main, &all->items[i]) != 0)
			abort();
	}
	*out = all;
	return ST_OK;
}

void notify_stop(struct notify_threads *t, bool catch_up)
{
	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	t->finish = true;
	t->catch_up = catch_up;
	pthread_cond_broadcast(&t->cond);
	pthread_mutex_unlock(&t->lock);
	for (size_t i = 0; i < t->n; i++)
		pthread_join(t->items[i].thread, NULL);
	pthread_cond_destroy(&t->cond);
	pthread_mutex_destroy(&t->lock);
	free(t->items);
	free(t);
}
