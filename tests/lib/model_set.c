#include "tests/lib/model_set.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void pair_release(struct pair *p)
{
	free(p->key);
	free(p->value);
}

void set_release(struct set *s)
{
	for (size_t i = 0; i < s->n; i++)
		pair_release(&s->items[i]);
	free(s->items);
	*s = (struct set){.n = 0};
}

size_t set_find(const struct set *s, const char *key)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (strcmp(s->items[mid].key, key) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const struct pair *set_get(const struct set *s, const char *key)
{
	size_t i = set_find(s, key);

	return i < s->n && strcmp(s->items[i].key, key) == 0 ? &s->items[i] : NULL;
}

void set_put(struct set *s, const char *key, const void *value, size_t len)
{
	size_t i = set_find(s, key);
	struct pair p = {.key = xstrdup(key), .value = xmemdup(value, len), .value_len = len};

	if (i < s->n && strcmp(s->items[i].key, key) == 0) {
		pair_release(&s->items[i]);
		s->items[i] = p;
		return;
	}
	GROW(s->items, s->n, s->cap);
	memmove(s->items + i + 1, s->items + i, (s->n - i) * sizeof(*s->items));
	s->items[i] = p;
	s->n++;
}

void set_remove(struct set *s, const char *key)
{
	size_t i = set_find(s, key);

	if (i == s->n || strcmp(s->items[i].key, key) != 0)
		return;
	pair_release(&s->items[i]);
	s->n--;
	memmove(s->items + i, s->items + i + 1, (s->n - i) * sizeof(*s->items));
}

void set_copy(struct set *to, const struct set *from)
{
	set_release(to);
	to->items = xcalloc(from->n + 1, sizeof(*to->items));
	to->cap = from->n + 1;
	to->n = from->n;
	for (size_t i = 0; i < from->n; i++)
		to->items[i] = (struct pair){
			.key = xstrdup(from->items[i].key),
			.value = xmemdup(from->items[i].value, from->items[i].value_len),
			.value_len = from->items[i].value_len,
		};
}

void random_path(struct rng *r, unsigned world, char out[128])
{
	static const char *const folders[] = {"a", "a-b", "orders", "orders/2026", "z\xc3\xa9"};
	size_t n = 0;

	if (rng_below(r, 4))
		n = (size_t)snprintf(out, 128, "%s", folders[rng_below(r, ARRAY_SIZE(folders))]);
	else
		n = (size_t)snprintf(out, 128, "f%u", (unsigned)rng_below(r, world));
	while (n < 100 && rng_below(r, 3))
		n += (size_t)snprintf(out + n, 128 - n, "/%s%u",
				      rng_below(r, 2) ? "" : "part-0000-long-name-",
				      (unsigned)rng_below(r, world));
}

size_t random_value(struct rng *r, size_t max, char *out)
{
	size_t len = rng_below(r, max + 1);

	for (size_t i = 0; i < len; i++)
		out[i] = (char)rng_next(r);
	return len;
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct tree_change *)a)->key, ((const struct tree_change *)b)->key);
}

static void change(struct rng *r, struct set *s, struct set *touched, unsigned world)
{
	char path[128], value[600];
	size_t len;

	/* Half of the time something that is there. */
	if (s->n && rng_below(r, 2))
		snprintf(path, sizeof(path), "%s", s->items[rng_below(r, s->n)].key);
	else
		random_path(r, world, path);
	if (set_get(touched, path))
		return;
	set_put(touched, path, "", 0);
	if (rng_below(r, 3) == 0) {
		set_remove(s, path);
		return;
	}
	len = random_value(r, rng_below(r, 20) ? 60 : sizeof(value), value);
	set_put(s, path, value, len);
}

struct hash mutate(struct rng *r, const struct node_store *store, const struct hash *root,
		   struct set *s, size_t n, unsigned world)
{
	AUTO(set_release) struct set touched = {.n = 0};
	AUTO(freep) struct tree_change *list = NULL;
	struct hash out;
	enum status st;

	for (size_t i = 0; i < n; i++)
		change(r, s, &touched, world);
	list = xcalloc(touched.n, sizeof(*list));
	for (size_t i = 0; i < touched.n; i++) {
		const struct pair *p = set_get(s, touched.items[i].key);

		list[i].key = touched.items[i].key;
		list[i].value = p ? p->value : NULL;
		list[i].value_len = p ? p->value_len : 0;
	}
	qsort(list, touched.n, sizeof(*list), by_key);
	st = tree_apply(store, root, list, touched.n, &out, NULL);
	assert(st == ST_OK);
	(void)st;
	return out;
}

struct hash root_of(const struct node_store *store, const struct set *s)
{
	AUTO(freep) struct tree_change *list = xcalloc(s->n, sizeof(*list));
	struct hash empty = {{0}}, out;
	enum status st;

	for (size_t i = 0; i < s->n; i++)
		list[i] = (struct tree_change){
			.key = s->items[i].key,
			.value = s->items[i].value,
			.value_len = s->items[i].value_len,
		};
	st = tree_apply(store, &empty, list, s->n, &out, NULL);
	assert(st == ST_OK);
	(void)st;
	return out;
}
