/* What a fuzz program needs to run without a fuzzer: seeds, mutated by a
 * seeded generator. Under libFuzzer (-DLIBFUZZER) its main is left out.
 *
 * usage of each program: fuzz_x [RUNS [SEED]] */
#ifndef TIDEMARK_TESTS_FUZZ_H
#define TIDEMARK_TESTS_FUZZ_H

#include "core/base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_seed {
	const char *data;
	size_t len;
};

#define FUZZ_SEED(text)                                                                            \
	{                                                                                          \
		(text), sizeof(text) - 1                                                           \
	}

/* Each run gets memory of exactly the input's size. Returns main's result. */
int fuzz_run(int argc, char **argv, int (*one)(const uint8_t *data, size_t size),
	     const struct fuzz_seed *seeds, size_t n_seeds);

/* Ends the program, the fuzzer's way of a failure, and says where. */
void fuzz_fail(const char *file, int line, const char *what) __attribute__((noreturn));
#define FUZZ_CHECK(cond)                                                                           \
	do {                                                                                       \
		if (!(cond))                                                                       \
			fuzz_fail(__FILE__, __LINE__, #cond);                                      \
	} while (0)

#ifdef LIBFUZZER
#define FUZZ_MAIN(seeds)
#else
#define FUZZ_MAIN(seeds)                                                                           \
	int main(int argc, char **argv)                                                            \
	{                                                                                          \
		return fuzz_run(argc, argv, LLVMFuzzerTestOneInput, seeds, ARRAY_SIZE(seeds));     \
	}
#endif

#endif
