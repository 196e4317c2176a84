#include "connector/cli/progress.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define INTERVAL_MS 250

struct cli_progress {
	struct lake *lake;
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t stopped;
	bool stop; /* guarded by mutex */
};

bool cli_progress_wanted(void)
{
	return isatty(STDERR_FILENO) == 1;
}

void cli_progress_wipe(void)
{
	fputs("\r\033[K", stderr);
	fflush(stderr);
}

void cli_progress_line(const struct lake_progress *p, int64_t started_us)
{
	struct clock *clock = clock_system();
	double seconds = (double)(clock->mono_us(clock) - started_us) / 1e6;
	double rate = seconds > 0 ? (double)p->bytes / seconds : 0;

	fprintf(stderr, "\r%s: %" PRIu64, p->what, p->objects);
	if (p->total_objects > p->objects)
		fprintf(stderr, " of %" PRIu64, p->total_objects);
	fprintf(stderr, " objects, %.1f", (double)p->bytes / 1e6);
	if (p->total_bytes > p->bytes)
		fprintf(stderr, " of %.1f", (double)p->total_bytes / 1e6);
	fprintf(stderr, " MB, %.1f MB/s", rate / 1e6);
	if (rate > 0 && p->total_bytes > p->bytes)
		fprintf(stderr, ", %.0f s left", (double)(p->total_bytes - p->bytes) / rate);
	fputs("\033[K", stderr);
	fflush(stderr);
}

static void *show(void *arg)
{
	struct cli_progress *p = arg;
	struct clock *clock = clock_system();
	int64_t started_us = clock->mono_us(clock);

	pthread_mutex_lock(&p->mutex);
	while (!p->stop) {
		struct lake_progress now;
		struct timespec until;

		deadline_after(INTERVAL_MS, &until);
		pthread_cond_timedwait(&p->stopped, &p->mutex, &until);
		if (p->stop)
			break;
		pthread_mutex_unlock(&p->mutex);
		if (lake_progress(p->lake, &now, NULL) == ST_OK && now.what[0])
			cli_progress_line(&now, started_us);
		pthread_mutex_lock(&p->mutex);
	}
	pthread_mutex_unlock(&p->mutex);
	return NULL;
}

struct cli_progress *cli_progress_start(struct lake *lake, bool wanted)
{
	struct cli_progress *p;

	if (!wanted)
		return NULL;
	p = xcalloc(1, sizeof(*p));
	p->lake = lake;
	pthread_mutex_init(&p->mutex, NULL);
	pthread_cond_init(&p->stopped, NULL);
	if (pthread_create(&p->thread, NULL, show, p) == 0)
		return p;
	free(p);
	return NULL;
}

void cli_progress_stop(struct cli_progress *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->mutex);
	p->stop = true;
	pthread_cond_signal(&p->stopped);
	pthread_mutex_unlock(&p->mutex);
	pthread_join(p->thread, NULL);
	pthread_cond_destroy(&p->stopped);
	pthread_mutex_destroy(&p->mutex);
	free(p);
	cli_progress_wipe();
}
