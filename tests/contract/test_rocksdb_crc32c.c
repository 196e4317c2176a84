/* The checksum that takes the place of RocksDB's: the same function, and the one
 * that RocksDB calls. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <dlfcn.h>
#include <stdint.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "tests/lib/child.h"
#include "tests/lib/tempdir.h"

#define SYMBOL "_ZN7rocksdb6crc32c6ExtendEjPKcm"
#define BYTES 70000u

typedef uint32_t (*extend_function)(uint32_t crc, const char *data, size_t len);

/* RocksDB's own. */
static extend_function of_library(void)
{
	void *library = dlopen(TIDEMARK_ROCKSDB, RTLD_LAZY | RTLD_LOCAL);
	void *found = library ? dlsym(library, SYMBOL) : NULL;

	if (!found)
		fail_msg("RocksDB has no %s any more", SYMBOL);
	return (extend_function)found;
}

/* What libraries that are loaded find before their own. */
static extend_function of_program(void)
{
	void *found = dlsym(RTLD_DEFAULT, SYMBOL);

#ifndef __x86_64__
	skip(); /* RocksDB goes on with its own */
#endif
	assert_non_null(found);
	return (extend_function)found;
}

static void test_known_value(void **state)
{
	(void)state;
	/* RFC 3720, B.4: "123456789" is the usual check of CRC-32C */
	assert_int_equal(of_program()(0, "123456789", 9), 0xe3069283);
	assert_int_equal(of_program()(0, "", 0), 0);
}

/* Of every length, start and beginning. */
static void test_same_as_the_librarys(void **state)
{
	AUTO(freep) char *data = xmalloc(BYTES);
	extend_function ours = of_program(), theirs = of_library();
	struct rng rng = rng_seeded(32);

	(void)state;
	assert_ptr_not_equal(ours, theirs);
	for (unsigned i = 0; i < BYTES; i++)
		data[i] = (char)rng_next(&rng);
	for (unsigned i = 0; i < 3000; i++) {
		size_t from = rng_below(&rng, 64);
		size_t len = i < 200 ? i : rng_below(&rng, BYTES - from);
		uint32_t before = (uint32_t)rng_next(&rng);

		assert_int_equal(ours(before, data + from, len), theirs(before, data + from, len));
	}
}

static void test_rocksdb_calls_it(void **state)
{
	static const char *const env[] = {"LD_DEBUG=bindings", NULL};
	AUTO(tempdir_remove) char *dir = tempdir_new();
	AUTO(freep) char *lake = xasprintf("%s/lake", dir);
	const char *const argv[] = {"--lake", lake, "init", NULL};
	AUTO(buf_release) struct buf said = BUF_INIT;
	const char *line;

	(void)state;
	(void)of_program();
	assert_int_equal(child_tidemark(argv, env, &said), 0);
	buf_addc(&said, '\0');
	line = strstr(said.data, "symbol `" SYMBOL "'");
	assert_non_null(line);
	while (line > said.data && line[-1] != '\n')
		line--;
	/* "binding file .../librocksdb.so [0] to .../tidemark [0]: normal symbol ..." */
	assert_non_null(strstr(line, "librocksdb"));
	assert_true(strstr(line, "/tidemark [") < strchr(line, '\n'));
	assert_non_null(strstr(line, "/tidemark ["));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_value),
		cmocka_unit_test(test_same_as_the_librarys),
		cmocka_unit_test(test_rocksdb_calls_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
