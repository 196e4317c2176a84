#include "core/embedded/node_cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Shards, so that readers on several threads seldom wait for each other. */
#define SHARDS 8
#define BUCKETS 1024 /* in a shard */

/* Of a shard, what leaves may take before they make room for each other. */
#define LEAVES_PART 4

struct item {
	struct item *next_in_bucket;
	struct item *newer;
	struct item *older;
	struct shared *bytes;
	enum node_use use;
	unsigned char id[32];
};

/* By their last use. */
struct line {
	struct item *newest;
	struct item *oldest;
	size_t bytes;
};

struct shard {
	pthread_mutex_t lock; /* guards all below */
	struct item *buckets[BUCKETS];
	struct line lines[NODE_USES];
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

static size_t weight(const struct shared *bytes)
{
	return sizeof(struct item) + sizeof(*bytes) + bytes->len;
}

static void unlink_item(struct shard *shard, struct item *item)
{
	struct line *line = &shard->lines[item->use];

	*(item->newer ? &item->newer->older : &line->newest) = item->older;
	*(item->older ? &item->older->newer : &line->oldest) = item->newer;
	line->bytes -= weight(item->bytes);
}

static void link_newest(struct shard *shard, struct item *item)
{
	struct line *line = &shard->lines[item->use];

	item->newer = NULL;
	item->older = line->newest;
	*(line->newest ? &line->newest->newer : &line->oldest) = item;
	line->newest = item;
	line->bytes += weight(item->bytes);
}

static void evict(struct shard *shard, struct item *item)
{
	struct item **link = bucket_of(shard, item->id);

	while (*link != item)
		link = &(*link)->next_in_bucket;
	*link = item->next_in_bucket;
	unlink_item(shard, item);
	shared_drop(item->bytes);
	free(item);
}

/* What goes when there is no room: the leaf that was used the longest ago, unless
 * leaves keep to their part. */
static struct item *least_wanted(const struct shard *shard, size_t shard_bytes)
{
	const struct line *leaves = &shard->lines[NODE_LEAF], *upper = &shard->lines[NODE_UPPER];

	return leaves->bytes > shard_bytes / LEAVES_PART || !upper->oldest ? leaves->oldest
									   : upper->oldest;
}

void node_cache_free(struct node_cache *cache)
{
	if (!cache)
		return;
	for (size_t i = 0; i < SHARDS; i++) {
		struct shard *shard = &cache->shards[i];

		for (size_t use = 0; use < NODE_USES; use++)
			while (shard->lines[use].oldest)
				evict(shard, shard->lines[use].oldest);
		pthread_mutex_destroy(&shard->lock);
	}
	free(cache);
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

void node_cache_put(struct node_cache *cache, const unsigned char id[32], enum node_use use,
		    struct shared *bytes)
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
		item->use = use;
		memcpy(item->id, id, sizeof(item->id));
		bucket = bucket_of(shard, id);
		item->next_in_bucket = *bucket;
		*bucket = item;
		link_newest(shard, item);
		while (shard->lines[NODE_LEAF].bytes + shard->lines[NODE_UPPER].bytes >
		       cache->shard_bytes)
			evict(shard, least_wanted(shard, cache->shard_bytes));
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
