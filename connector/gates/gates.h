/* Quality gates: each judges the merged result of a publish before anybody can
 * see it. For now one kind: a command. */
#ifndef TIDEMARK_GATES_GATES_H
#define TIDEMARK_GATES_GATES_H

#include "core/lake.h"

/* Runs `command` by /bin/sh -c with TIDEMARK_LAKE, TIDEMARK_REF (reads the merged
 * result), TIDEMARK_TARGET_HEAD and TIDEMARK_CHANGES (a file: one
 * "added|removed|changed<TAB>path" a line) in its environment; standard input is
 * empty. Exit code 0 passes. Anything else, a signal, or timeout_ms passing is
 * ST_HELD; err is "gate <name>: " and the last line of its output. The lake must
 * be served (lake_serve) for the command to read it. stop (may be NULL) ends it
 * early with ST_INTERRUPTED. */
struct gate_run {
	struct lake *lake;
	const char *name;
	const char *command;
	int64_t timeout_ms;
	struct lake_id merged;
	struct lake_id target_head;
	const volatile bool *stop;
};
MUST_CHECK enum status gate_run_command(const struct gate_run *run, struct err *err);

#endif
