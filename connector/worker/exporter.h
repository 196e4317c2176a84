/* publish.export: a thread that keeps a plain folder (export_folder.h) in step with
 * the target's head, whoever moves it: publishes, rollbacks, people. It never
 * undoes or delays any of these; a failure is logged, recorded in the lake
 * (state.h) for `status`, and tried again. */
#ifndef TIDEMARK_WORKER_EXPORTER_H
#define TIDEMARK_WORKER_EXPORTER_H

#include <stdatomic.h>

#include "connector/worker/config.h"

struct exporter;

/* *out NULL where publish.export is not set. The folder is taken here: ST_USAGE
 * names the property where it cannot be. stop may be NULL: ends an export early.
 * All are borrowed until exporter_stop(). */
MUST_CHECK enum status exporter_start(const struct config *config, struct lake *lake,
				      struct clock *clock, const atomic_bool *stop,
				      struct exporter **out, struct err *err);
/* catch_up: exports what the target shows now first, but for a stop. */
void exporter_stop(struct exporter *e, bool catch_up);

#endif
