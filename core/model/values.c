/* The plain values of lake.h: ids, metadata, and what its lists hold. No lake
 * is needed for any of it. */
#include <stdlib.h>
#include <string.h>

#include "core/lake.h"

/* ---- ids ---- */

static void put_hex(const unsigned char *bytes, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		*out++ = digits[bytes[i] >> 4];
		*out++ = digits[bytes[i] & 15];
	}
	*out = '\0';
}

void lake_id_hex(const struct lake_id *id, char out[LAKE_ID_HEX_BYTES])
{
	put_hex(id->bytes, sizeof(id->bytes), out);
}

void lake_id_short(const struct lake_id *id, char out[LAKE_ID_SHORT_BYTES])
{
	put_hex(id->bytes, (LAKE_ID_SHORT_BYTES - 1) / 2, out);
}

bool lake_id_parse(const char *hex, struct lake_id *out)
{
	struct lake_id id;

	if (strlen(hex) != 2 * sizeof(id.bytes))
		return false;
	for (size_t i = 0; i < sizeof(id.bytes); i++) {
		int high = hex_digit(hex[2 * i]);
		int low = hex_digit(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		id.bytes[i] = (unsigned char)(high << 4 | low);
	}
	*out = id;
	return true;
}

bool lake_id_equal(const struct lake_id *a, const struct lake_id *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

bool lake_id_is_none(const struct lake_id *id)
{
	static const struct lake_id none;

	return lake_id_equal(id, &none);
}

/* ---- metadata ---- */

void lake_meta_release(struct lake_meta *m)
{
	for (size_t i = 0; i < m->n; i++) {
		free(m->items[i].key);
		free(m->items[i].value);
	}
	free(m->items);
	*m = (struct lake_meta)LAKE_META_INIT;
}

/* The index of key, or where it would be; *found says which. */
static size_t meta_find(const struct lake_meta *m, const char *key, bool *found)
{
	size_t low = 0, high = m->n;

	*found = false;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int c = strcmp(m->items[mid].key, key);

		if (c == 0) {
			*found = true;
			return mid;
		}
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

void lake_meta_set(struct lake_meta *m, const char *key, const char *value)
{
	bool found;
	size_t i = meta_find(m, key, &found);
	char *copy = xstrdup(value); /* first: value may be m's own */

	if (found) {
		free(m->items[i].value);
		m->items[i].value = copy;
		return;
	}
	GROW(m->items, m->n, m->cap);
	memmove(m->items + i + 1, m->items + i, (m->n - i) * sizeof(*m->items));
	m->items[i] = (struct lake_meta_item){.key = xstrdup(key), .value = copy};
	m->n++;
}

void lake_meta_unset(struct lake_meta *m, const char *key)
{
	bool found;
	size_t i = meta_find(m, key, &found);

	if (!found)
		return;
	free(m->items[i].key);
	free(m->items[i].value);
	m->n--;
	memmove(m->items + i, m->items + i + 1, (m->n - i) * sizeof(*m->items));
}

const char *lake_meta_get(const struct lake_meta *m, const char *key)
{
	bool found;
	size_t i = meta_find(m, key, &found);

	return found ? m->items[i].value : NULL;
}

void lake_meta_copy(struct lake_meta *to, const struct lake_meta *from)
{
	struct lake_meta copy = {
		.items = from->n ? xmalloc(from->n * sizeof(*from->items)) : NULL,
		.n = from->n,
		.cap = from->n,
	};

	for (size_t i = 0; i < from->n; i++) {
		copy.items[i].key = xstrdup(from->items[i].key);
		copy.items[i].value = xstrdup(from->items[i].value);
	}
	lake_meta_release(to);
	*to = copy;
}

/* ---- what calls give back ---- */

void lake_commit_release(struct lake_commit *commit)
{
	free(commit->parents);
	free(commit->message);
	free(commit->committer);
	lake_meta_release(&commit->meta);
	*commit = (struct lake_commit){.n_parents = 0};
}

void lake_entry_release(struct lake_entry *entry)
{
	free(entry->path);
	free(entry->checksum);
	free(entry->content_type);
	lake_meta_release(&entry->meta);
	*entry = (struct lake_entry){.path = NULL};
}

void lake_refs_release(struct lake_refs *refs)
{
	for (size_t i = 0; i < refs->n; i++)
		free(refs->items[i].name);
	free(refs->items);
	*refs = (struct lake_refs){.n = 0};
}

void lake_reflog_entry_clear(struct lake_reflog_entry *entry)
{
	free(entry->name);
	free(entry->committer);
	free(entry->reason);
}

void lake_reflog_release(struct lake_reflog *log)
{
	for (size_t i = 0; i < log->n; i++)
		lake_reflog_entry_clear(&log->items[i]);
	free(log->items);
	*log = (struct lake_reflog){.n = 0};
}

void lake_conflicts_release(struct lake_conflicts *conflicts)
{
	for (size_t i = 0; i < conflicts->n; i++)
		free(conflicts->paths[i]);
	free(conflicts->paths);
	*conflicts = (struct lake_conflicts){.n = 0};
}

void lake_changes_release(struct lake_changes *changes)
{
	for (size_t i = 0; i < changes->n; i++)
		free(changes->items[i].path);
	free(changes->items);
	*changes = (struct lake_changes){.n = 0};
}

const char *lake_change_name(enum lake_change change)
{
	static const char *const names[] = {
		[LAKE_ADDED] = "added",
		[LAKE_REMOVED] = "removed",
		[LAKE_CHANGED] = "changed",
	};

	return names[change];
}
