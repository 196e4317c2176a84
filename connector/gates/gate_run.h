/* What the kinds of gates share. Private to connector/gates.
 *
 * A kind is a function that is given a run and returns ST_OK (passed), ST_HELD
 * (refused; err has the reason, without the gate's name), ST_INTERRUPTED, or
 * why it could not judge. It may be called on any thread. */
#ifndef TIDEMARK_GATES_GATE_RUN_H
#define TIDEMARK_GATES_GATE_RUN_H

#include "connector/gates/gates.h"

struct gate_run {
	const struct gate_config *gate;
	const struct gate_subject *subject;
	int64_t end_us; /* of the subject's monotonic clock: its time limit */
	struct buf output;
};

/* ST_OK while there is time; ST_HELD: the limit has passed; ST_INTERRUPTED. */
MUST_CHECK enum status gate_time(const struct gate_run *run, struct err *err);
/* ST_HELD: the limit has passed. */
enum status gate_out_of_time(const struct gate_run *run, struct err *err);

MUST_CHECK enum status gate_run_row_count(struct gate_run *run, struct err *err);
MUST_CHECK enum status gate_run_offsets(struct gate_run *run, struct err *err);
MUST_CHECK enum status gate_run_file_size(struct gate_run *run, struct err *err);
MUST_CHECK enum status gate_run_freshness(struct gate_run *run, struct err *err);
MUST_CHECK enum status gate_run_schema(struct gate_run *run, struct err *err);
MUST_CHECK enum status gate_run_webhook(struct gate_run *run, struct err *err);
MUST_CHECK enum status gate_run_sql(struct gate_run *run, struct err *err);
MUST_CHECK enum status gate_run_command(struct gate_run *run, struct err *err);

/* Is the newest record too old? */
void gate_judge_age(struct gate_run *run, int64_t newest_ms, enum status *st, struct err *err);

/* Does this gate read records? Those that do share one pass. */
bool gate_reads_records(const struct gate_config *gate);
/* All of them, n > 0; a status and an error for each. */
void gates_scan(struct gate_run *const *runs, size_t n, enum status *statuses, struct err *errs);

#endif
