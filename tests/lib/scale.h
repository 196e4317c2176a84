/* How much of a long test is done where a sanitizer makes it slow: ThreadSanitizer ten
 * times, AddressSanitizer three. */
#ifndef TIDEMARK_TESTS_SCALE_H
#define TIDEMARK_TESTS_SCALE_H

#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__SANITIZE_ADDRESS__)
#define UNDER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#elif __has_feature(address_sanitizer)
#define UNDER_ASAN 1
#endif
#endif
#ifndef UNDER_TSAN
#define UNDER_TSAN 0
#endif
#ifndef UNDER_ASAN
#define UNDER_ASAN 0
#endif
/* usual, or fewer in a build for a sanitizer; each test says what is covered all the
 * same. A constant. */
#define SCALED(usual, under_asan, under_tsan)                                                      \
	(UNDER_TSAN ? (under_tsan) : UNDER_ASAN ? (under_asan) : (usual))

#endif
