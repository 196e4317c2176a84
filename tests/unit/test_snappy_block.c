/* What the compressor writes, the library reads: every length up to two
 * hundred, all kinds of bytes, blocks beyond 64 KiB. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <snappy-c.h>

#include "connector/writer/snappy_block.h"
#include "core/base/clock.h"

/* Memory of exactly the sizes promised, so that a sanitizer sees more. */
static size_t round_trip(const void *data, size_t len)
{
	AUTO(freep) char *in = xmalloc(len ? len : 1);
	AUTO(freep) char *out = xmalloc(snappy_block_bound(len));
	AUTO(freep) char *back = xmalloc(len ? len : 1);
	size_t n, got = len;

	memcpy(in, data, len);
	n = snappy_block_compress(in, len, out);
	assert_true(n <= snappy_block_bound(len));
	if (snappy_uncompress(out, n, back, &got) != SNAPPY_OK)
		fail_msg("%zu bytes: the library cannot read them", len);
	assert_int_equal(got, len);
	assert_memory_equal(back, data, len);
	return n;
}

/* alphabet 256: noise; 1: one byte again and again. */
static void fill(struct rng *r, unsigned char *data, size_t len, unsigned alphabet)
{
	size_t i = 0;

	while (i < len) {
		size_t run = rng_below(r, 40), from = i ? rng_below(r, i) : 0;

		if (i && rng_below(r, 3) == 0)
			for (; run && i < len; run--)
				data[i++] = data[from++];
		else
			for (; run && i < len; run--)
				data[i++] = (unsigned char)rng_below(r, alphabet);
	}
}

static void test_lengths(void **state)
{
	struct rng r = rng_seeded(1);
	unsigned char data[200];

	(void)state;
	for (size_t len = 0; len <= sizeof(data); len++) {
		for (unsigned alphabet = 1; alphabet <= 256; alphabet *= 4) {
			fill(&r, data, len, alphabet);
			round_trip(data, len);
		}
	}
}

static void test_large(void **state)
{
	static const size_t lengths[] = {4096, 32768, 65535, 65536, 65537, 65552, 200000, 1000000};
	AUTO(freep) unsigned char *data = xmalloc(1000000);
	struct rng r = rng_seeded(2);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		for (unsigned alphabet = 1; alphabet <= 256; alphabet *= 4) {
			fill(&r, data, lengths[i], alphabet);
			round_trip(data, lengths[i]);
		}
		for (size_t k = 0; k < lengths[i]; k++)
			data[k] = (unsigned char)rng_next(&r);
		round_trip(data, lengths[i]);
	}
}

static void test_it_compresses(void **state)
{
	AUTO(freep) char *data = xcalloc(1, 30000);

	(void)state;
	assert_true(round_trip(data, 30000) < 2000);
	for (size_t i = 0; i + 10 <= 30000; i += 10)
		memcpy(data + i, "0123456789", 10);
	assert_true(round_trip(data, 30000) < 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_it_compresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
