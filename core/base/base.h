/* The few words that every file of the project uses: attributes, ownership
 * that is released where it is declared, and allocation that cannot fail.
 *
 * Memory: running out of it aborts the process (recovery from a kill is a
 * promise anyway), so the x-functions never return NULL. */
#ifndef TIDEMARK_BASE_BASE_H
#define TIDEMARK_BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* AUTO(destroy) struct x *p = NULL; calls destroy(&p) when p leaves scope.
 * A destructor for AUTO takes a pointer to the variable. */
/* unused: some are there for their end alone, which clang does not count. */
#define AUTO(destroy) __attribute__((cleanup(destroy), unused))

/* Takes the value out of an AUTO pointer: p becomes NULL. */
#define MOVE(p)                                                                                    \
	({                                                                                         \
		__typeof__(p) moved_ = (p);                                                        \
		(p) = NULL;                                                                        \
		moved_;                                                                            \
	})

/* Defines name##p(T **), the AUTO form of a destructor that takes T *. */
#define AUTO_DESTRUCTOR(T, destroy)                                                                \
	static inline void destroy##p(T **p)                                                       \
	{                                                                                          \
		destroy(*p);                                                                       \
	}

/* The value of a hexadecimal digit of either case; -1: it is none. */
int hex_digit(char c);
bool text_ends(const char *text, const char *with);

void *xmalloc(size_t size);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t size);
/* xrealloc of n elements; aborts where n * size overflows. */
void *xrealloc_array(void *p, size_t n, size_t size);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);
char *xmemdup(const void *p, size_t n);
/* A formatted string; the caller frees it. */
char *xasprintf(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* Makes room for one more element: doubles *cap when n == *cap. */
#define GROW(array, n, cap)                                                                        \
	do {                                                                                       \
		if ((n) == (cap)) {                                                                \
			(cap) = (cap) ? 2 * (cap) : 8;                                             \
			(array) = xrealloc_array((array), (cap), sizeof(*(array)));                \
		}                                                                                  \
	} while (0)

/* AUTO destructors for plain memory, FILE handles and descriptors. */
void freep(void *pointer_to_pointer);
void closep(int *fd); /* closes where *fd >= 0 */

#endif
