/* Private to fake_kafka*.c. */
#ifndef TIDEMARK_TESTS_FAKE_KAFKA_IMPL_H
#define TIDEMARK_TESTS_FAKE_KAFKA_IMPL_H

#include "tests/lib/fake_kafka.h"

#define MEMBERS_MAX 4

struct member;

struct fake_kafka {
	struct fake_kafka_options o;
	struct clock *clock;
	struct rng rng; /* of the group and of how much is read at once */
	bool calm;
	struct member *members[MEMBERS_MAX];
	size_t n_members;
	int known_partitions; /* of all topics, when last given out */
	char names[FAKE_TOPICS_MAX][16];
};

int64_t fake_now_ms(const struct fake_kafka *k);
/* A number of the seed's and these three. */
uint64_t fake_hash(const struct fake_kafka *k, uint64_t a, uint64_t b, uint64_t c);

#endif
