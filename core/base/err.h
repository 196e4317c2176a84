/* Errors: one code, one line of text. A fallible function returns the code
 * and fills `struct err` last; the caller adds context once, at the public
 * function. What to do about an error is a property of its code. */
#ifndef TIDEMARK_BASE_ERR_H
#define TIDEMARK_BASE_ERR_H

#include <stdarg.h>

#include "core/base/base.h"

/* code, name, exit code of a command, whether trying again may help */
#define STATUS_LIST(X)                                                                             \
	X(ST_OK, "ok", 0, false)                                                                   \
	X(ST_END, "end", 0, false) /* an iterator has no more */                                   \
	X(ST_EMPTY, "empty", 0, false) /* there was nothing to do */                               \
	X(ST_FAILED, "failed", 1, false) /* everything that has no code of its own */              \
	X(ST_IO, "io", 1, false) /* a system call on local files failed */                         \
	X(ST_NO_SPACE, "no_space", 1, false) /* disk full, or under the low-water mark */          \
	X(ST_EXISTS, "exists", 1, false) /* the name is taken */                                   \
	X(ST_PROTECTED, "protected", 1, false) /* the branch refuses this */                       \
	X(ST_BUSY, "busy", 1, false) /* another process owns it */                                 \
	X(ST_UNKNOWN, "unknown", 1, false) /* the outcome is not known; look before retrying */    \
	X(ST_POISON, "poison", 1, false) /* one record cannot be converted */                      \
	X(ST_LOST, "lost", 1, false) /* Kafka no longer has what comes next */                     \
	X(ST_INTERRUPTED, "interrupted", 1, false) /* a stop was asked for */                      \
	X(ST_USAGE, "usage", 2, false) /* command line or configuration */                         \
	X(ST_HELD, "held", 3, false) /* a gate refused a publish */                                \
	X(ST_CONFLICT, "conflict", 4,                                                              \
	  false) /* paths conflict, or the head moved; nothing changed */                          \
	X(ST_NOT_FOUND, "not_found", 5, false)                                                     \
	X(ST_EXPIRED, "expired", 5, false) /* freed by gc, as lake.history.retain says */          \
	X(ST_UNREACHABLE, "unreachable", 6, true) /* Kafka, lake or registry out of reach */       \
	X(ST_DAMAGED, "damaged", 7, false) /* stored bytes are not what was stored */

enum status {
#define X(code, name, exit_code, retry) code,
	STATUS_LIST(X)
#undef X
};

/* Bytes that fit in an error's line, the end included; longer text is cut. */
#define ERR_TEXT_BYTES 1024

struct err {
	enum status code;
	char text[ERR_TEXT_BYTES];
};

#define ERR_INIT                                                                                   \
	{                                                                                          \
		.code = ST_OK                                                                      \
	}

const char *status_name(enum status st);
/* The status that status_name() calls so; ST_FAILED where none is. */
enum status status_by_name(const char *name);
int status_exit_code(enum status st);
bool status_retriable(enum status st);

/* Each returns the code. err may be NULL. */
enum status err_set(struct err *err, enum status st, const char *fmt, ...) PRINTF_LIKE(3, 4);
enum status err_setv(struct err *err, enum status st, const char *fmt, va_list args)
	PRINTF_LIKE(3, 0);
/* Puts "<context>: " before the text that is there. */
enum status err_wrap(struct err *err, enum status st, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* "<context>: <strerror>": ENOSPC and EDQUOT are ST_NO_SPACE, ENOENT is
 * ST_NOT_FOUND, everything else ST_IO. */
enum status err_errno(struct err *err, int errnum, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
