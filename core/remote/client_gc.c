/* The client's gc: it runs at the owner, for as long as it takes. */
#include "core/remote/remote.h"

enum status remote_gc(struct lake *lake, const struct lake_gc_options *options,
		      struct lake_gc_report *out, struct err *err)
{
	AUTO(ask_release) struct ask a;
	enum status st;

	ask_init(&a, remote_of(lake), "gc");
	a.no_timeout = true;
	a.in = json_pack("{s:b,s:b,s:I,s:I,s:I}", "dry_run", options->dry_run, "trust_clock",
			 options->trust_clock, "history_retain_ms",
			 (json_int_t)options->history_retain_ms, "reflog_retain_ms",
			 (json_int_t)options->reflog_retain_ms, "grace_ms",
			 (json_int_t)options->grace_ms);
	if (options->keep_prefix)
		json_object_set_new(a.in, "keep_prefix", wire_text(options->keep_prefix));
	/* Nothing that anybody names changes by it. */
	st = ask_post_unseen(&a, err);
	if (st == ST_OK)
		st = ask_json(&a, err);
	if (st != ST_OK)
		return st;
	return wire_get_gc_report(a.out, out) ? ST_OK : ask_bad_answer(err);
}

enum status remote_check_expired(struct lake *lake, const struct lake_id *shown,
				 const struct lake_id *wanted, struct err *err)
{
	AUTO(ask_release) struct ask a;

	ask_init(&a, remote_of(lake), "check-expired");
	ask_id(&a, "shown", shown);
	ask_id(&a, "wanted", wanted);
	return ask_get(&a, err);
}
