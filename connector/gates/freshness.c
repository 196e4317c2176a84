/* The gate `freshness` by the timestamps of the records themselves, which
 * checkpoints carry; by a field: scan.c. */
#include <inttypes.h>

#include "connector/gates/gate_run.h"

void gate_judge_age(struct gate_run *run, int64_t newest_ms, enum status *st, struct err *err)
{
	struct clock *clock = run->subject->clock;
	int64_t age = clock->wall_ms(clock) - newest_ms;
	char time[TIME_TEXT_BYTES];

	time_format(newest_ms, time);
	buf_addf(&run->output, "the newest is %s\n", time);
	*st = ST_OK;
	if (age > run->gate->max_age_ms)
		*st = err_set(err, ST_HELD,
			      "the newest is %s, %" PRId64 " ms ago (max.age.ms=%" PRId64 ")", time,
			      age, run->gate->max_age_ms);
}

enum status gate_run_freshness(struct gate_run *run, struct err *err)
{
	const struct gate_subject *s = run->subject;
	AUTO(checkpoint_release) struct checkpoint cp = {.sequence = 0};
	enum status st = checkpoint_read(s->lake, &s->to, &cp, err);

	if (st != ST_OK)
		return st;
	if (cp.timestamp_so_far < 0)
		return err_set(err, ST_HELD, "no record has a timestamp");
	gate_judge_age(run, cp.timestamp_so_far, &st, err);
	return st;
}
