/* Log lines for operators: time, level, event, key=value fields; or the same
 * as JSON. One line is one write, so lines of several threads do not mix.
 * Only the code that decides (retry, dead letter, stop) logs; the rest returns
 * errors. Values are quoted where they hold a blank, '=', '"' or a control. */
#ifndef TIDEMARK_BASE_LOG_H
#define TIDEMARK_BASE_LOG_H

#include "core/base/base.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log_field {
	const char *key;
	const char *text; /* where NULL, number is meant */
	int64_t number;
};

#define LOG_S(k, v) ((struct log_field){.key = (k), .text = (v)})
#define LOG_I(k, v) ((struct log_field){.key = (k), .number = (int64_t)(v)})

#define log_at(level, event, ...)                                                                  \
	log_write((level), (event), (const struct log_field[]){{0}, ##__VA_ARGS__},                \
		  ARRAY_SIZE(((const struct log_field[]){{0}, ##__VA_ARGS__})))
#define log_debug(event, ...) log_at(LOG_DEBUG, event, ##__VA_ARGS__)
#define log_info(event, ...) log_at(LOG_INFO, event, ##__VA_ARGS__)
#define log_warn(event, ...) log_at(LOG_WARN, event, ##__VA_ARGS__)
#define log_error(event, ...) log_at(LOG_ERROR, event, ##__VA_ARGS__)

/* fields[0] is a placeholder and not printed. */
void log_write(enum log_level level, const char *event, const struct log_field *fields, size_t n);
void log_set_level(enum log_level level); /* default LOG_INFO */
void log_set_json(bool json); /* default false */
/* Called before a line is written to stderr, e.g. to wipe a progress line. */
void log_set_before(void (*before)(void));

#endif
