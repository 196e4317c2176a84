/* Long operations on the whole lake, done by its owner. */
#include <stdio.h>
#include <stdlib.h>

#include "core/remote/remote.h"
#include "core/remote/wire_check.h"

enum status remote_fsck(struct lake *lake, bool quick, struct lake_fsck_report *report,
			struct err *err)
{
	AUTO(ask_release) struct ask a;
	enum status st;

	ask_init(&a, remote_of(lake), "fsck");
	a.in = json_pack("{s:b}", "quick", (int)quick);
	a.no_timeout = true;
	st = ask_post_unseen(&a, err);
	if (st == ST_OK)
		st = ask_json(&a, err);
	if (st == ST_OK && !wire_get_report(a.out, report))
		st = ask_bad_answer(err);
	return st;
}

enum status remote_backup(struct lake *lake, const char *dir, struct lake_backup_report *out,
			  struct err *err)
{
	AUTO(ask_release) struct ask a;
	AUTO(lake_backup_report_release) struct lake_backup_report report = {.objects = 0};
	enum status st;

	ask_init(&a, remote_of(lake), "backup");
	a.in = json_pack("{s:o}", "dir", wire_text(dir));
	a.no_timeout = true;
	st = ask_post(&a, err);
	if (st == ST_OK)
		st = ask_json(&a, err);
	if (st == ST_OK && !wire_get_backup(a.out, &report))
		st = ask_bad_answer(err);
	if (st != ST_OK)
		return st;
	*out = report;
	report = (struct lake_backup_report){.objects = 0};
	return ST_OK;
}

enum status remote_progress(struct lake *lake, struct lake_progress *out, struct err *err)
{
	AUTO(ask_release) struct ask a;
	AUTO(freep) char *what = NULL;
	struct lake_progress p;
	enum status st;

	ask_init(&a, remote_of(lake), "progress");
	st = ask_get(&a, err);
	if (st == ST_OK)
		st = ask_json(&a, err);
	if (st == ST_OK &&
	    (!wire_get_text(a.out, "what", &what) || !wire_get_u64(a.out, "objects", &p.objects) ||
	     !wire_get_u64(a.out, "total_objects", &p.total_objects) ||
	     !wire_get_u64(a.out, "bytes", &p.bytes) ||
	     !wire_get_u64(a.out, "total_bytes", &p.total_bytes)))
		st = ask_bad_answer(err);
	if (st != ST_OK)
		return st;
	snprintf(p.what, sizeof(p.what), "%s", what);
	*out = p;
	return ST_OK;
}
