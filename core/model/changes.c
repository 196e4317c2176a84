#include "core/model/changes.h"

#include <stdlib.h>
#include <string.h>

void changes_release(struct changes *c)
{
	free(c->items);
	buf_release(&c->texts);
	*c = (struct changes){.n = 0};
}

void changes_add(struct changes *c, const char *key, size_t key_len, bool remove,
		 const struct hash *child, uint64_t count)
{
	GROW(c->items, c->n, c->cap);
	c->items[c->n++] = (struct change){
		.key_at = c->texts.len,
		.key_len = key_len,
		.remove = remove,
		.child = *child,
		.count = count,
	};
	buf_add(&c->texts, key, key_len);
	buf_addc(&c->texts, '\0');
}

void changes_join(const struct changes *a, const struct changes *b, struct changes *out)
{
	size_t i = 0, k = 0;

	while (i < a->n || k < b->n) {
		int order = i == a->n   ? 1
			    : k == b->n ? -1
					: strcmp(change_key(a, i), change_key(b, k));
		const struct changes *from = order < 0 ? a : b;
		size_t at = order < 0 ? i : k;
		const struct change *c = &from->items[at];

		if (order != 0 || !hash_equal(&a->items[i].child, &c->child))
			changes_add(out, change_key(from, at), c->key_len, c->remove, &c->child,
				    c->count);
		i += order <= 0;
		k += order >= 0;
	}
}
