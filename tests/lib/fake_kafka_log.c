/* What stands in the logs: functions of the seed and the time. */
#include "tests/lib/fake_kafka_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#define GONE_AT_MS 45000 /* the last topic is made anew */
#define GROWN_AT_MS 30000

int64_t fake_now_ms(const struct fake_kafka *k)
{
	return k->clock->mono_us(k->clock) / 1000;
}

uint64_t fake_hash(const struct fake_kafka *k, uint64_t a, uint64_t b, uint64_t c)
{
	struct rng r = rng_seeded(k->o.seed * 0x9e3779b97f4a7c15U + a);
	uint64_t x = rng_next(&r);

	r.state ^= b * 0xff51afd7ed558ccdU;
	x ^= rng_next(&r);
	r.state ^= c * 0xc4ceb9fe1a85ec53U;
	return x ^ rng_next(&r);
}

uint32_t fake_generation(const struct fake_kafka *k, int topic)
{
	return k->o.recreated && topic == k->o.n_topics - 1 && fake_now_ms(k) >= GONE_AT_MS;
}

int fake_partitions(const struct fake_kafka *k, int topic)
{
	int n = 1 + (int)(fake_hash(k, 1, (uint64_t)topic, 0) % 3);

	return n + (k->o.grows && fake_now_ms(k) >= GROWN_AT_MS);
}

static uint64_t where(int topic, uint32_t generation, int partition)
{
	return ((uint64_t)topic << 40) + ((uint64_t)generation << 20) + (uint64_t)partition;
}

/* The end of a log at a time, in ms since its generation began. */
static int64_t end_at(const struct fake_kafka *k, uint64_t at, int64_t ms)
{
	uint64_t h = fake_hash(k, 2, at, 0);
	int64_t first = (int64_t)(h % 60);
	int64_t rate = (int64_t)(h >> 8 & 15); /* records a second */
	int64_t most = first + 20 + (int64_t)(h >> 16 & 255);
	int64_t end = first + rate * ms / 1000;

	return end < most ? end : most;
}

static int64_t age_ms(const struct fake_kafka *k, int topic)
{
	return fake_now_ms(k) - (fake_generation(k, topic) ? GONE_AT_MS : 0);
}

int64_t fake_end(const struct fake_kafka *k, int topic, int partition)
{
	return end_at(k, where(topic, fake_generation(k, topic), partition), age_ms(k, topic));
}

int64_t fake_start(const struct fake_kafka *k, int topic, int partition)
{
	uint64_t at = where(topic, fake_generation(k, topic), partition);
	uint64_t h = fake_hash(k, 3, at, 0);
	int64_t period = 8000 + (int64_t)(h % 20000);
	int64_t keep = 500 + (int64_t)(h >> 20) % 15000;
	int64_t last = age_ms(k, topic) / period * period - keep;

	return k->o.retention && last > 0 ? end_at(k, at, last) : 0;
}

enum fake_entry fake_entry(const struct fake_kafka *k, int topic, uint32_t generation,
			   int partition, int64_t offset)
{
	uint64_t at = where(topic, generation, partition);
	/* transactions of about a dozen: the last entry is the marker */
	uint64_t transaction = fake_hash(k, 4, at, (uint64_t)offset / 12);
	uint64_t h = fake_hash(k, 5, at, (uint64_t)offset);

	if (k->o.transactions && (offset % 12 == 11 || transaction % 5 == 0))
		return FAKE_HIDDEN;
	if (k->o.compaction && h % 6 == 0)
		return FAKE_HIDDEN;
	if (k->o.poison && h % 13 == 1)
		return FAKE_POISON;
	return h % 17 == 2 ? FAKE_TOMBSTONE : FAKE_RECORD;
}

static struct row_record record_at(const struct fake_kafka *k, int topic, uint32_t generation,
				   int partition, int64_t offset)
{
	return (struct row_record){
		.topic = k->names[topic],
		.partition = partition,
		.offset = offset,
		.dice = fake_hash(k, 9, where(topic, generation, partition), (uint64_t)offset),
		.tombstone = fake_entry(k, topic, generation, partition, offset) == FAKE_TOMBSTONE,
	};
}

void fake_value(const struct fake_kafka *k, int topic, uint32_t generation, int partition,
		int64_t offset, struct buf *out)
{
	const struct row_record r = record_at(k, topic, generation, partition, offset);
	enum fake_entry entry = fake_entry(k, topic, generation, partition, offset);
	uint64_t h = fake_hash(k, 6, where(topic, generation, partition), (uint64_t)offset);
	char text[160];
	unsigned long crc;
	int n;

	if (entry == FAKE_POISON)
		buf_addf(out, "{\"broken\":%" PRId64, offset);
	if (entry != FAKE_RECORD)
		return;
	n = snprintf(text, sizeof(text),
		     "\"t\":%d,\"g\":%u,\"p\":%d,\"o\":%" PRId64 ",\"x\":\"%0*x\"", topic,
		     generation, partition, offset, (int)(h % 90), (unsigned)(h >> 32));
	crc = crc32(0, (const unsigned char *)text, (unsigned)n);
	if (k->o.layout.format == ROWS_BYTES) {
		buf_addf(out, "%s %lu", text, crc);
		return;
	}
	buf_addf(out, "{%s,\"crc\":%lu", text, crc);
	row_fields_add(&k->o.layout, &r, out);
	buf_addc(out, '}');
}

bool fake_row(const struct fake_kafka *k, int topic, uint32_t generation, int partition,
	      int64_t offset, struct buf *row_out, struct buf *folder_out)
{
	struct row_record r = record_at(k, topic, generation, partition, offset);
	AUTO(buf_release) struct buf value = BUF_INIT;

	if (fake_entry(k, topic, generation, partition, offset) == FAKE_POISON)
		return false;
	fake_value(k, topic, generation, partition, offset, &value);
	r.value = buf_str(&value);
	if (!row_folder(&k->o.layout, &r, folder_out))
		return false;
	row_text(&k->o.layout, &r, row_out);
	return true;
}

int fake_topic_index(const struct fake_kafka *k, const char *name)
{
	for (int i = 0; i < k->o.n_topics; i++)
		if (strcmp(k->names[i], name) == 0)
			return i;
	return -1;
}
