#include "core/embedded/node_cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Shards, so that readers on several threads seldom wait for each other. */
#define SHARDS 8
#define BUCKETS 1024 /* in a shard */

struct item {
	struct item *next_in_bucket;
	struct item *newer;
	struct item *older;
	struct shared *bytes;
	unsigned char id[32];
};

struct shard {
	pthread_mutex_t lock; /* guards all below */
	struct item *buckets[BUCKETS];
	struct item *newest;
	struct item *oldest;
	size_t used_bytes;
};

struct node_cache {
	size_t shard_bytes;
	struct shard shards[SHARDS];
};

struct node_cache *node_cache_new(size_t max_bytes)
{
	struct node_cache *cache = xcalloc(1, sizeof(*cache));

	cache->shard_bytes = max_bytes / SHARDS;
	for (size_t i = 0; i < SHARDS; i++)
		pthread_mutex_init(&cache->shards[i].lock, NULL);
	return cache;
}

void node_cache_free(struct node_cache *cache)
{
	if (!cache)
		return;
	for (size_t i = 0; i < SHARDS; i++) {
		struct item *item = cache->shards[i].newest;

		while (item) {
			struct item *older = item->older;

			shared_drop(item->bytes);
			free(item);
			item = older;
		}
		pthread_mutex_destroy(&cache->shards[i].lock);
	}
	free(cache);
}

/* Ids are hashes: any of their bits will do. */
static struct shard *shard_of(struct node_cache *cache, const unsigned char *id)
{
	return &cache->shards[id[0] % SHARDS];
}

static struct item **bucket_of(struct shard *shard, const unsigned char *id)
{
	return &shard->buckets[(id[1] | (size_t)id[2] << 8) % BUCKETS];
}

static struct item *find(struct shard *shard, const unsigned char *id)
{
	struct item *item = *bucket_of(shard, id);

	while (item && memcmp(item->id, id, sizeof(item->id)) != 0)
		item = item->next_in_bucket;
	return item;
}

static void unlink_item(struct shard *shard, struct item *item)
{
	*(item->newer ? &item->newer->older : &shard->newest) = item->older;
	*(item->older ? &item->older->newer : &shard->oldest) = item->newer;
}

static void link_newest(struct shard *shard, struct item *item)
{
	item->newer = NULL;
	item->older = shard->newest;
	*(shard->newest ? &shard->newest->newer : &shard->oldest) = item;
	shard->newest = item;
}

static size_t weight(const struct shared *bytes)
{
	return sizeof(struct item) + sizeof(*bytes) + bytes->len;
}

static void evict(struct shard *shard, struct item *item)
{
	struct item **link = bucket_of(shard, item->id);

	while (*link != item)
		link = &(*link)->next_in_bucket;
	*link = item->next_in_bucket;
	unlink_item(shard, item);
	shard->used_bytes -= weight(item->bytes);
	shared_drop(item->bytes);
	free(item);
}

struct shared *node_cache_get(struct node_cache *cache, const unsigned char id[32])
{
	struct shard *shard = shard_of(cache, id);
	struct shared *bytes = NULL;
	struct item *item;

	pthread_mutex_lock(&shard->lock);
	item = find(shard, id);
	if (item) {
		unlink_item(shard, item);
		link_newest(shard, item);
		bytes = shared_hold(item->bytes);
	}
	pthread_mutex_unlock(&shard->lock);
	return bytes;
}

void node_cache_put(struct node_cache *cache, const unsigned char id[32], struct shared *bytes)
{
	struct shard *shard = shard_of(cache, id);
	struct item *item;
	struct item **bucket;

	if (weight(bytes) > cache->shard_bytes)
		return;
	pthread_mutex_lock(&shard->lock);
	if (!find(shard, id)) {
		item = xmalloc(sizeof(*item));
		item->bytes = shared_hold(bytes);
		memcpy(item->id, id, sizeof(item->id));
		bucket = bucket_of(shard, id);
		item->next_in_bucket = *bucket;
		*bucket = item;
		link_newest(shard, item);
		shard->used_bytes += weight(bytes);
		while (shard->used_bytes > cache->shard_bytes)
			evict(shard, shard->oldest);
	}
	pthread_mutex_unlock(&shard->lock);
}

void node_cache_remove(struct node_cache *cache, const unsigned char id[32])
{
	struct shard *shard = shard_of(cache, id);
	struct item *item;

	pthread_mutex_lock(&shard->lock);
	item = find(shard, id);
	if (item)
		evict(shard, item);
	pthread_mutex_unlock(&shard->lock);
}
