/* One long operation on the whole lake at a time: a check and a backup rely on
 * nothing being freed meanwhile. */
#include <stdio.h>

#include "core/embedded/store.h"

enum status embedded_maintain_begin(struct embedded *e, const char *what, struct err *err)
{
	const char *other;

	if (pthread_mutex_trylock(&e->maintenance) != 0) {
		other = atomic_load(&e->maintained.what);
		return err_set(err, ST_BUSY, "%s of %s is running; start %s when that has ended",
			       other ? other : "another operation", e->root, what);
	}
	atomic_store(&e->maintained.objects, 0);
	atomic_store(&e->maintained.total_objects, 0);
	atomic_store(&e->maintained.bytes, 0);
	atomic_store(&e->maintained.total_bytes, 0);
	atomic_store(&e->maintained.what, what);
	return ST_OK;
}

void embedded_maintain_end(struct embedded *e)
{
	atomic_store(&e->maintained.what, NULL);
	pthread_mutex_unlock(&e->maintenance);
}

enum status embedded_progress(struct lake *lake, struct lake_progress *out, struct err *err)
{
	struct maintained *m = &embedded_of(lake)->maintained;
	const char *what = atomic_load(&m->what);

	(void)err;
	snprintf(out->what, sizeof(out->what), "%s", what ? what : "");
	out->objects = atomic_load(&m->objects);
	out->total_objects = atomic_load(&m->total_objects);
	out->bytes = atomic_load(&m->bytes);
	out->total_bytes = atomic_load(&m->total_bytes);
	return ST_OK;
}
