/* Quality gates: each judges the merged result of a publish before anybody can
 * see it. docs/gates.md says what each kind asks.
 *
 * A gate refuses what it has judged, and is broken where it could not judge:
 * both keep the target where it is. */
#ifndef TIDEMARK_GATES_GATES_H
#define TIDEMARK_GATES_GATES_H

#include <stdatomic.h>

#include "connector/history/publication.h"
#include "core/base/props.h"

enum gate_type {
	GATE_ROW_COUNT,
	GATE_NULLS,
	GATE_UNIQUE,
	GATE_RANGE,
	GATE_PATTERN,
	GATE_FRESHNESS,
	GATE_SCHEMA,
	GATE_OFFSETS,
	GATE_FILE_SIZE,
	GATE_SQL,
	GATE_COMMAND,
	GATE_WEBHOOK,
	GATE_TYPES,
};

/* Of new schemas with those that are there; as in a schema registry. */
enum gate_compatibility { GATE_BACKWARD, GATE_FORWARD, GATE_FULL, GATE_NO_COMPATIBILITY };

/* Rows that may fail. */
struct gate_tolerance {
	bool share; /* most is a share of the rows, else a number of them */
	double most;
};

/* One gate as it is configured. */
struct gate_config {
	char *name;
	enum gate_type type;
	int64_t timeout_ms;
	struct text_list paths; /* prefixes or globs; none: all data of the connector */
	bool all; /* scope=all: the whole of what the target will hold, not what is added */
	bool monotone; /* what it refuses it refuses with more added, too */

	int64_t min, max; /* row_count, file_size: -1 unset */
	double max_change; /* row_count: a share of the median; -1 unset */
	size_t publishes; /* row_count: of so many publishes */
	char *field; /* "a.b.c": of those that read records, else NULL */
	bool optional; /* a file, or all of them, may lack the field */
	struct gate_tolerance tolerance; /* nulls, unique, pattern */
	char *low, *high; /* range, sql; NULL: unset */
	char *pattern; /* POSIX extended, for a whole value */
	int64_t max_age_ms; /* freshness */
	uint64_t max_missing; /* offsets */
	char *query; /* sql */
	uint64_t memory_bytes; /* sql */
	char *command; /* command */
	bool files;
	enum gate_compatibility compatibility; /* schema */
	char *url; /* webhook */
	char *secret; /* webhook; NULL: not signed */
};

/* What the rest of the configuration says that gates depend on. */
struct gate_surroundings {
	const char *connector;
	const char *path_prefix;
	bool fields; /* records have fields: neither format nor converter is bytes or string */
	bool schemas; /* files have schemas */
	const char *schema; /* that all files have, as far as it is known; NULL: it is not */
};

/* Every property of a gate, named `gates.<g>.KEY`; docs/configuration.md is
 * written from here. */
extern const struct prop_table gate_table;

/* Reads `gates` and `gates.*`. ST_USAGE names key, value and remedy. */
MUST_CHECK enum status gates_configure(const struct props *props,
				       const struct gate_surroundings *around,
				       struct gate_config **out, size_t *n_out, struct err *err);
void gates_config_free(struct gate_config *gates, size_t n);

/* What is judged. Borrowed for the call. */
struct gate_subject {
	struct lake *lake; /* served (lake_serve), so that a command can read it */
	const char *connector;
	const char *target;
	struct lake_id merged; /* the merged result */
	struct lake_id target_head; /* what it was merged onto */
	struct lake_id shown; /* head of the publication branch: what is shown so far */
	struct lake_id from, to; /* checkpoints: shown before (none: nothing), to be shown */
	const struct roots *roots; /* of this connector */
	const uint64_t *history; /* rows of the last publishes, newest first */
	size_t n_history;
	bool steering; /* only the gates marked monotone are run */
	struct clock *clock;
	const atomic_bool *stop; /* ends a gate early; may be NULL */
};

enum gate_verdict { GATE_PASSED, GATE_REFUSED, GATE_BROKEN };

struct gate_result {
	const char *name; /* the configuration's */
	enum gate_verdict verdict;
	enum status status; /* ST_OK, ST_HELD, or why it is broken */
	char *reason; /* "" where it passed; UTF-8 */
	char *output; /* what it said besides; UTF-8 */
	int64_t ms;
};

struct gate_results {
	struct gate_result *items; /* in the order of the configuration */
	size_t n;
};

void gate_results_release(struct gate_results *r);

/* Runs the gates, several at a time. ST_HELD: one refused; err is "gate <name>:
 * <reason>" of the first in the configuration's order. Else, where one is broken,
 * its status; ST_INTERRUPTED where stop ended one. out is set in any case and
 * released by the caller. */
MUST_CHECK enum status gates_run(const struct gate_config *gates, size_t n,
				 const struct gate_subject *subject, struct gate_results *out,
				 struct err *err);

/* Appends an array of {"name","verdict","reason","ms","output"}; of each output
 * the last 2 KiB. */
void gate_results_json(const struct gate_results *r, struct buf *out);

#endif
