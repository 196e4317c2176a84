#include "core/embedded/mark_set.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"

/* Shards grow one after the other: so the memory at a growth's peak is little
 * more than that after it. */
#define SHARDS 256
#define FIRST_SLOTS 16

struct shard {
	uint64_t *slots; /* `words` each; the first is 0 where it is empty */
	size_t n_slots;
	size_t used;
};

struct mark_set {
	unsigned words;
	uint64_t factors[4];
	struct shard shards[SHARDS];
};

struct mark_set *mark_set_new(enum mark_width width, uint64_t salt)
{
	struct mark_set *set = xcalloc(1, sizeof(*set));
	struct rng rng = rng_seeded(salt);

	set->words = (unsigned)width;
	for (size_t i = 0; i < ARRAY_SIZE(set->factors); i++)
		set->factors[i] = rng_next(&rng) | 1;
	return set;
}

void mark_set_free(struct mark_set *set)
{
	if (!set)
		return;
	for (size_t i = 0; i < SHARDS; i++)
		free(set->shards[i].slots);
	free(set);
}

/* Hashes are SHA-256: any of their words are as good as random. */
static void key_of(const struct mark_set *set, const unsigned char hash[32], uint64_t key[2])
{
	uint64_t words[4];

	memcpy(words, hash, sizeof(words));
	key[0] = words[0];
	key[1] = words[1];
	if (set->words == MARK_SHORT) {
		key[0] = 0;
		for (size_t i = 0; i < ARRAY_SIZE(words); i++)
			key[0] += (words[i] ^ words[i] >> 32) * set->factors[i];
	}
	if (key[0] == 0)
		key[0] = 1;
}

static const uint64_t *slot_at(const struct mark_set *set, const struct shard *s, size_t i)
{
	return s->slots + i * set->words;
}

/* The slot that holds the key, or the empty one where it belongs. The bits
 * below those that chose the shard, as a fraction of the slots. */
static size_t find(const struct mark_set *set, const struct shard *s, const uint64_t key[2])
{
	size_t i = (size_t)(((unsigned __int128)(key[0] << 8) * s->n_slots) >> 64);

	for (;; i = i + 1 == s->n_slots ? 0 : i + 1) {
		const uint64_t *slot = slot_at(set, s, i);

		if (slot[0] == 0 ||
		    (slot[0] == key[0] && (set->words == MARK_SHORT || slot[1] == key[1])))
			return i;
	}
}

static void place(const struct mark_set *set, struct shard *s, const uint64_t key[2])
{
	memcpy(s->slots + find(set, s, key) * set->words, key, set->words * sizeof(*key));
}

static void grow(const struct mark_set *set, struct shard *s)
{
	struct shard old = *s;

	s->n_slots = old.n_slots ? old.n_slots + old.n_slots / 2 : FIRST_SLOTS;
	s->slots = xcalloc(s->n_slots, set->words * sizeof(*s->slots));
	for (size_t i = 0; i < old.n_slots; i++) {
		const uint64_t *slot = slot_at(set, &old, i);
		const uint64_t key[2] = {slot[0], set->words == MARK_EXACT ? slot[1] : 0};

		if (key[0])
			place(set, s, key);
	}
	free(old.slots);
}

bool mark_set_add(struct mark_set *set, const unsigned char hash[32])
{
	uint64_t key[2];
	struct shard *s;

	key_of(set, hash, key);
	s = &set->shards[key[0] >> 56];
	if (s->n_slots && slot_at(set, s, find(set, s, key))[0])
		return false;
	if ((s->used + 1) * 20 > s->n_slots * 17)
		grow(set, s);
	place(set, s, key);
	s->used++;
	return true;
}

bool mark_set_has(const struct mark_set *set, const unsigned char hash[32])
{
	const struct shard *s;
	uint64_t key[2];

	key_of(set, hash, key);
	s = &set->shards[key[0] >> 56];
	return s->n_slots && slot_at(set, s, find(set, s, key))[0];
}

size_t mark_set_count(const struct mark_set *set)
{
	size_t n = 0;

	for (size_t i = 0; i < SHARDS; i++)
		n += set->shards[i].used;
	return n;
}

size_t mark_set_bytes(const struct mark_set *set)
{
	size_t n = 0;

	for (size_t i = 0; i < SHARDS; i++)
		n += set->shards[i].n_slots;
	return n * set->words * sizeof(uint64_t);
}
