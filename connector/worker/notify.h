/* Who is told when the target has moved: `publish.notify`, a list of named
 * notifiers, each a command or a webhook. docs/gates.md says what they are given.
 *
 * What there is to tell is the publication branch: one publication for each publish
 * and rollback, in order. How far a notifier has come lies in the lake (state.h), one
 * object each, written after it was told. So each is told of every move at least
 * once, in order, whoever moved the target and whoever died in between; one that
 * failed after all its tries is counted and not told again. Nothing that happens
 * here undoes or delays a publish. */
#ifndef TIDEMARK_WORKER_NOTIFY_H
#define TIDEMARK_WORKER_NOTIFY_H

#include <stdatomic.h>
#include <jansson.h>

#include "core/base/err.h"
#include "core/base/props.h"
#include "core/lake.h"

struct notifier {
	char *name;
	char *command; /* or: */
	char *url;
	char *secret; /* NULL: not signed */
	int64_t timeout_ms; /* of one try */
	int64_t retries; /* after the first */
};

/* Every property of a notifier, named `publish.notify.<n>.KEY`. */
extern const struct prop_table notify_table;

/* Reads `publish.notify` and `publish.notify.*`. ST_USAGE names key, value, remedy. */
MUST_CHECK enum status notify_configure(const struct props *props, struct notifier **out,
					size_t *n_out, struct err *err);
void notify_config_free(struct notifier *notifiers, size_t n);

/* ---- telling ---- */

struct config;

struct notify {
	const struct config *config;
	struct lake *lake; /* served (lake_serve), so that a command can read it */
	struct clock *clock;
	const atomic_bool *stop; /* ends it early, for the next start to tell; may be NULL */
};

/* Before the target is moved: what is there now is no news to notifiers that were never
 * told anything. */
MUST_CHECK enum status notify_begin(const struct notify *n, struct err *err);
/* Tells one notifier all that it was not told yet. ST_OK also where it failed, which is
 * logged and recorded; ST_INTERRUPTED. */
MUST_CHECK enum status notify_catch_up(const struct notify *n, const struct notifier *to,
				       struct err *err);
/* For commands, after the target has moved: tells all, but those whose secret is in the
 * configuration file alone, which are left to the connector's next start. */
void notify_all(const struct notify *n);

/* What `status` shows of one; NULL: it was never told anything. The caller's. {"sequence",
 * "told", "failed", "failure": {"commit","reason","since"}} */
json_t *notify_state(struct lake *lake, const char *connector, const char *notifier);

/* ---- beside a running connector: a thread for each ---- */

struct notify_threads;
/* *out NULL where there are no notifiers. Borrowed until notify_stop(). */
MUST_CHECK enum status notify_start(const struct notify *n, struct notify_threads **out,
				    struct err *err);
/* catch_up: tells what is there to tell first, but for a stop. */
void notify_stop(struct notify_threads *t, bool catch_up);

#endif
