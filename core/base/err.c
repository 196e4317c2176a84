#include "core/base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	int exit_code;
	bool retry;
} rows[] = {
#define X(code, name, exit_code, retry) [code] = {name, exit_code, retry},
	STATUS_LIST(X)
#undef X
};

const char *status_name(enum status st)
{
	return rows[st].name;
}

enum status status_by_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (strcmp(rows[i].name, name) == 0)
			return (enum status)i;
	return ST_FAILED;
}

int status_exit_code(enum status st)
{
	return rows[st].exit_code;
}

bool status_retriable(enum status st)
{
	return rows[st].retry;
}

enum status err_setv(struct err *err, enum status st, const char *fmt, va_list args)
{
	if (err) {
		err->code = st;
		vsnprintf(err->text, sizeof(err->text), fmt, args);
	}
	return st;
}

enum status err_set(struct err *err, enum status st, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	err_setv(err, st, fmt, args);
	va_end(args);
	return st;
}

/* Replaces err's text by "<formatted>: <reason>". */
__attribute__((format(printf, 4, 0))) static void
prefix(struct err *err, enum status st, const char *reason, const char *fmt, va_list args)
{
	char text[ERR_TEXT_BYTES];
	int n;

	if (!err)
		return;
	n = vsnprintf(text, sizeof(text), fmt, args);
	if (n >= 0 && (size_t)n < sizeof(text))
		snprintf(text + n, sizeof(text) - (size_t)n, ": %s", reason);
	err->code = st;
	memcpy(err->text, text, sizeof(text));
}

enum status err_wrap(struct err *err, enum status st, const char *fmt, ...)
{
	char old[ERR_TEXT_BYTES];
	va_list args;

	if (!err)
		return st;
	memcpy(old, err->text, sizeof(old));
	va_start(args, fmt);
	prefix(err, st, old, fmt, args);
	va_end(args);
	return st;
}

enum status err_errno(struct err *err, int errnum, const char *fmt, ...)
{
	enum status st = errnum == ENOSPC || errnum == EDQUOT ? ST_NO_SPACE
			 : errnum == ENOENT                   ? ST_NOT_FOUND
							      : ST_IO;
	char reason[128];
	va_list args;

	va_start(args, fmt);
	prefix(err, st, strerror_r(errnum, reason, sizeof(reason)), fmt, args);
	va_end(args);
	return st;
}
