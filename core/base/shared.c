#include "core/base/shared.h"

#include <stdlib.h>
#include <string.h>

struct shared *shared_alloc(size_t len)
{
	struct shared *s = xmalloc(sizeof(*s) + len);

	atomic_init(&s->holders, 1);
	atomic_init(&s->verified, false);
	s->len = len;
	return s;
}

struct shared *shared_new(const void *data, size_t len)
{
	struct shared *s = shared_alloc(len);

	memcpy(s->data, data, len);
	return s;
}

struct shared *shared_hold(struct shared *s)
{
	atomic_fetch_add_explicit(&s->holders, 1, memory_order_relaxed);
	return s;
}

void shared_drop(struct shared *s)
{
	if (s && atomic_fetch_sub_explicit(&s->holders, 1, memory_order_acq_rel) == 1)
		free(s);
}
