/* What the stream's commands share: a CONNECTOR argument is its config file, or
 * the name of one that the lake has seen. */
#ifndef TIDEMARK_CLI_STREAM_H
#define TIDEMARK_CLI_STREAM_H

#include "connector/cli/command.h"
#include "connector/history/publication.h"
#include "connector/worker/config.h"

/* A connector as a command sees it. */
struct stream {
	struct config config;
	struct lake *lake; /* the cli's */
	struct line line; /* borrows from config */
	struct rng rng;
	bool tells; /* publish.notify: this command tells, as no connector runs */
};

/* Reads the file, else the lake's copy of its properties; opens the lake.
 * ST_NOT_FOUND: neither is there. */
MUST_CHECK enum status stream_open(struct cli *cli, const char *connector, struct stream *out,
				   struct err *err);
void stream_close(struct stream *s);
/* Calls the process that runs the connector; ST_NOT_FOUND where none does. */
MUST_CHECK enum status stream_call(const struct stream *s, const char *method, json_t **reply_out,
				   struct err *err);
/* Tells a running connector that head or state moved. */
void stream_refresh(const struct stream *s);
/* Around what moves the target: publish.notify. What fails is logged. */
void stream_notify_begin(struct stream *s);
void stream_notify(const struct stream *s);
json_t *stream_json_offsets(const struct offsets *o);
/* Asks yes or no on the terminal; yes where standard input is none. */
bool stream_confirm(const char *question);

#endif
