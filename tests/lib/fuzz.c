#include "tests/lib/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/base/clock.h"

void fuzz_fail(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: %s\n", file, line, what);
	abort();
}

static void insert(struct buf *b, size_t at, const void *data, size_t n)
{
	AUTO(freep) char *copy = xmemdup(data, n ? n : 1);

	buf_reserve(b, n);
	memmove(b->data + at + n, b->data + at, b->len - at);
	memcpy(b->data + at, copy, n);
	b->len += n;
}

static void mutate(struct rng *r, struct buf *b, const struct fuzz_seed *seeds, size_t n_seeds)
{
	static const unsigned char odd[] = {0, 1, 2, 0x7f, 0x80, 0xff, '"', '{', '[', '\\'};
	const struct fuzz_seed *other = &seeds[rng_below(r, n_seeds)];
	size_t at = b->len ? rng_below(r, b->len) : 0, from, n;
	unsigned char byte =
		rng_below(r, 2) ? odd[rng_below(r, sizeof(odd))] : (unsigned char)rng_next(r);

	switch (rng_below(r, 6)) {
	case 0:
		if (b->len)
			b->data[at] = (char)byte;
		break;
	case 1:
		if (b->len)
			b->data[at] ^= (char)(1u << rng_below(r, 8));
		break;
	case 2:
		insert(b, at, &byte, 1);
		break;
	case 3:
		if (b->len) {
			n = rng_below(r, b->len - at) + 1;
			memmove(b->data + at, b->data + at + n, b->len - at - n);
			b->len -= n;
		}
		break;
	case 4: /* a piece of itself again */
		if (b->len && b->len < 4096) {
			from = rng_below(r, b->len);
			insert(b, at, b->data + from, rng_below(r, b->len - from) + 1);
		}
		break;
	default:
		if (other->len) {
			from = rng_below(r, other->len);
			insert(b, at, other->data + from, rng_below(r, other->len - from) + 1);
		}
	}
}

int fuzz_run(int argc, char **argv, int (*one)(const uint8_t *data, size_t size),
	     const struct fuzz_seed *seeds, size_t n_seeds)
{
	long runs = argc > 1 ? atol(argv[1]) : 20000;
	struct rng r = rng_seeded(argc > 2 ? strtoull(argv[2], NULL, 10) : 1);

	for (long i = 0; i < runs; i++) {
		const struct fuzz_seed *seed = &seeds[rng_below(&r, n_seeds)];
		AUTO(buf_release) struct buf b = BUF_INIT;
		AUTO(freep) uint8_t *exact = NULL;

		buf_reserve(&b, seed->len + 1);
		buf_add(&b, seed->data, seed->len);
		for (uint64_t n = rng_below(&r, 6); n; n--)
			mutate(&r, &b, seeds, n_seeds);
		exact = xmalloc(b.len ? b.len : 1);
		if (b.len)
			memcpy(exact, b.data, b.len);
		(void)one(exact, b.len);
	}
	printf("%ld runs\n", runs);
	return 0;
}
