/* Long operations on the whole lake. Each takes as long as it takes; other
 * requests go on beside it, and `progress` says how far it is. */
#include "core/remote/serve.h"
#include "core/remote/wire_check.h"

static enum status run_fsck(struct request *r, struct err *err)
{
	AUTO(lake_fsck_report_release) struct lake_fsck_report report = {.n = 0};
	bool quick = false;
	enum status st;

	if (!wire_get_bool(r->in, "quick", &quick))
		return bad_request(err);
	st = r->lake->ops->fsck(r->lake, quick, &report, err);
	if (st == ST_OK)
		r->out = wire_report(&report);
	return st;
}

static enum status run_backup(struct request *r, struct err *err)
{
	AUTO(lake_backup_report_release) struct lake_backup_report report = {.objects = 0};
	AUTO(freep) char *dir = NULL;
	enum status st;

	if (!wire_get_text(r->in, "dir", &dir))
		return bad_request(err);
	st = lake_backup(r->lake, dir, &report, err);
	if (st == ST_OK)
		r->out = wire_backup(&report);
	return st;
}

static enum status run_progress(struct request *r, struct err *err)
{
	struct lake_progress p = {.what = ""};
	enum status st = lake_progress(r->lake, &p, err);

	if (st == ST_OK)
		r->out = json_pack("{s:s,s:I,s:I,s:I,s:I}", "what", p.what, "objects",
				   (json_int_t)p.objects, "total_objects",
				   (json_int_t)p.total_objects, "bytes", (json_int_t)p.bytes,
				   "total_bytes", (json_int_t)p.total_bytes);
	return st;
}

const struct operation serve_check_operations[] = {
	{"POST", "fsck", false, run_fsck},
	{"POST", "backup", false, run_backup},
	{"GET", "progress", false, run_progress},
	{NULL, NULL, false, NULL},
};
