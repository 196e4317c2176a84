/* How much of a long test is done where ThreadSanitizer makes it ten times as slow. */
#ifndef TIDEMARK_TESTS_SCALE_H
#define TIDEMARK_TESTS_SCALE_H

/* usual, or fewer in a build for ThreadSanitizer; each test says what is covered all the
 * same. A constant. */
#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif
#ifndef UNDER_TSAN
#define UNDER_TSAN 0
#endif
#define SCALED(usual, under_tsan) (UNDER_TSAN ? (under_tsan) : (usual))

#endif
