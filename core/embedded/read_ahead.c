#include "core/embedded/read_ahead.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

/* Fewer changes are not worth it, and more would run over the cache. */
#define CHANGES_MIN 8
#define CHANGES_MAX 1000

struct read_ahead {
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t moved;
	pthread_t thread;
	bool started;
	bool closing;
	struct read_ahead_job *job; /* NULL: none */
	bool running; /* the thread has taken the job */
};

struct read_ahead *read_ahead_new(void)
{
	struct read_ahead *r = xcalloc(1, sizeof(*r));

	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->moved, NULL);
	return r;
}

void read_ahead_free(struct read_ahead *r)
{
	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	r->closing = true;
	pthread_cond_broadcast(&r->moved);
	pthread_mutex_unlock(&r->lock);
	if (r->started)
		pthread_join(r->thread, NULL);
	pthread_mutex_destroy(&r->lock);
	pthread_cond_destroy(&r->moved);
	free(r);
}

static void *run(void *arg)
{
	struct read_ahead *r = arg;

	pthread_mutex_lock(&r->lock);
	while (!r->closing) {
		struct read_ahead_job *job = r->job;
		size_t half;

		if (!job || r->running) {
			pthread_cond_wait(&r->moved, &r->lock);
			continue;
		}
		half = job->n / 2;
		r->running = true;
		pthread_mutex_unlock(&r->lock);
		tree_read_ahead(&job->store, job->root, job->changes + half, job->n - half,
				&job->stop);
		pthread_mutex_lock(&r->lock);
		r->running = false;
		r->job = NULL;
		pthread_cond_broadcast(&r->moved);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

void read_ahead_begin(struct read_ahead *r, struct read_ahead_job *job)
{
	job->by = NULL;
	atomic_init(&job->stop, false);
	if (job->n < CHANGES_MIN || job->n > CHANGES_MAX || sysconf(_SC_NPROCESSORS_ONLN) < 2)
		return;
	pthread_mutex_lock(&r->lock);
	if (!r->started)
		r->started = pthread_create(&r->thread, NULL, run, r) == 0;
	if (r->started && !r->job) {
		r->job = job;
		job->by = r;
		pthread_cond_broadcast(&r->moved);
	}
	pthread_mutex_unlock(&r->lock);
}

void read_ahead_end(struct read_ahead_job *job)
{
	struct read_ahead *r = job->by;

	if (!r)
		return;
	atomic_store(&job->stop, true);
	pthread_mutex_lock(&r->lock);
	if (r->job == job && !r->running)
		r->job = NULL; /* not even begun */
	while (r->job == job)
		pthread_cond_wait(&r->moved, &r->lock);
	pthread_mutex_unlock(&r->lock);
}
