/* gc, asked for through the socket. The request takes as long as the work does;
 * the owner's end interrupts it. */
#include "core/remote/serve.h"

static bool get_ms(const json_t *in, const char *name, int64_t *out)
{
	uint64_t n;

	if (!wire_get_u64(in, name, &n) || n > INT64_MAX)
		return false;
	*out = (int64_t)n;
	return true;
}

static enum status run_gc(struct request *r, struct err *err)
{
	struct lake_gc_options options = {.dry_run = false};
	AUTO(freep) char *keep_prefix = NULL;
	struct lake_gc_report report;
	enum status st;

	if (!wire_get_bool(r->in, "dry_run", &options.dry_run) ||
	    !wire_get_bool(r->in, "trust_clock", &options.trust_clock) ||
	    !get_ms(r->in, "history_retain_ms", &options.history_retain_ms) ||
	    !get_ms(r->in, "reflog_retain_ms", &options.reflog_retain_ms) ||
	    !get_ms(r->in, "grace_ms", &options.grace_ms))
		return bad_request(err);
	if (wire_get_text(r->in, "keep_prefix", &keep_prefix))
		options.keep_prefix = keep_prefix;
	st = lake_gc(r->lake, &options, &report, err);
	if (st == ST_OK)
		r->out = wire_gc_report(&report);
	return st;
}

static enum status run_check_expired(struct request *r, struct err *err)
{
	struct lake_id shown, wanted;
	enum status st = query_id(r, "shown", &shown, err);

	if (st == ST_OK)
		st = query_id(r, "wanted", &wanted, err);
	if (st == ST_OK)
		st = lake_check_expired(r->lake, &shown, &wanted, err);
	if (st == ST_OK)
		r->out = json_object();
	return st;
}

const struct operation serve_gc_operations[] = {
	{"POST", "gc", false, run_gc},
	{"GET", "check-expired", false, run_check_expired},
	{NULL, NULL, false, NULL},
};
