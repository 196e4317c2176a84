/* Calls that a test expects to succeed, or to fail in a certain way: the
 * error's text is printed where they do not. Include after cmocka.h. */
#ifndef TIDEMARK_TESTS_MUST_H
#define TIDEMARK_TESTS_MUST_H

#include "core/base/err.h"

/* call uses the name err for its last argument. */
#define MUST(call) MUST_BE(ST_OK, call)
#define MUST_BE(wanted, call)                                                                      \
	do {                                                                                       \
		struct err err = ERR_INIT;                                                         \
		enum status st_ = (call);                                                          \
		if (st_ != (wanted))                                                               \
			fail_msg("%s: %s, wanted %s: %s", #call, status_name(st_),                 \
				 status_name(wanted), err.text);                                   \
	} while (0)
/* And the error's text holds `part`. */
#define MUST_SAY(wanted, part, call)                                                               \
	do {                                                                                       \
		struct err err = ERR_INIT;                                                         \
		enum status st_ = (call);                                                          \
		if (st_ != (wanted) || !strstr(err.text, (part)))                                  \
			fail_msg("%s: %s, wanted %s with '%s': %s", #call, status_name(st_),       \
				 status_name(wanted), (part), err.text);                           \
	} while (0)

#endif
