#include "connector/writer/open_files.h"

#include <stdlib.h>
#include <string.h>

void open_files_release(struct open_files *files)
{
	for (size_t i = 0; i < files->n; i++)
		data_file_free(files->items[i]);
	free(files->items);
	free(files->hashes);
	*files = (struct open_files){.items = NULL};
}

/* FNV-1a */
static uint64_t hash_of(int64_t key, const char *below, size_t len)
{
	uint64_t hash = 0xcbf29ce484222325U ^ (uint64_t)key;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)below[i]) * 0x100000001b3U;
	return hash;
}

static bool is_it(const struct data_file *f, int64_t key, const char *below, size_t len)
{
	return f->key == key && f->below_len == len && !f->below == !below &&
	       (!len || memcmp(f->below, below, len) == 0);
}

struct data_file *open_files_find(const struct open_files *files, int64_t key, const char *below,
				  size_t len)
{
	const uint64_t hash = hash_of(key, below, len);

	for (size_t i = 0; i < files->n; i++)
		if (files->hashes[i] == hash && is_it(files->items[i], key, below, len))
			return files->items[i];
	return NULL;
}

void open_files_add(struct open_files *files, struct data_file *f, int64_t key, const char *below,
		    size_t len)
{
	f->key = key;
	f->below = below ? xstrndup(below, len) : NULL;
	f->below_len = len;
	GROW(files->hashes, files->n, files->hashes_cap);
	files->hashes[files->n] = hash_of(key, below, len);
	GROW(files->items, files->n, files->cap);
	files->items[files->n++] = f;
}

struct data_file *open_files_oldest(const struct open_files *files)
{
	struct data_file *oldest = NULL;

	for (size_t i = 0; i < files->n; i++) {
		struct data_file *f = files->items[i];

		if (!f->records)
			return f;
		if (!oldest || f->last_offset < oldest->last_offset)
			oldest = f;
	}
	return oldest;
}

void open_files_drop(struct open_files *files, struct data_file *f)
{
	for (size_t i = 0; i < files->n; i++) {
		if (files->items[i] != f)
			continue;
		data_file_free(f);
		files->n--;
		files->items[i] = files->items[files->n];
		files->hashes[i] = files->hashes[files->n];
		return;
	}
}
