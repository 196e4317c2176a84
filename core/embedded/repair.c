#include "core/embedded/repair.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/killpoint.h"
#include "core/embedded/folder.h"
#include "core/embedded/store.h"

/* Logs and tables have a few MiB. */
#define FILE_MAX_BYTES (1u << 30)

struct lake_repair {
	char *root; /* of the damaged lake */
	char *folder; /* root/repair */
	char *url;
	int lock;
	bool metadata; /* what is exchanged */
	bool sequence;
	bool format;
};

void lake_repair_report_release(struct lake_repair_report *report)
{
	free(report->metadata);
	free(report->sequence);
	free(report->format);
	lake_reflog_release(&report->lost);
	lake_reflog_release(&report->refs);
	*report = (struct lake_repair_report){.kept = 0};
}

static char *inside(const char *folder, const char *name)
{
	return xasprintf("%s/%s", folder, name);
}

/* ---- the folder beside ---- */

/* root/damaged-TIME, that there is not yet. */
static char *aside_path(const char *root)
{
	char time[TIME_TEXT_BYTES];
	char *path = NULL;

	time_format(clock_system()->wall_ms(clock_system()), time);
	for (unsigned i = 0; i == 0 || file_exists(path); i++) {
		free(path);
		path = i ? xasprintf("%s/" FOLDER_DAMAGED "%s-%u", root, time, i)
			 : xasprintf("%s/" FOLDER_DAMAGED "%s", root, time);
	}
	return path;
}

static enum status move(const char *from, const char *to, unsigned flags, struct err *err)
{
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, flags) < 0)
		return err_errno(err, errno, "cannot put %s in the place of %s", from, to);
	return ST_OK;
}

static enum status copy_file(const char *from, const char *to, struct err *err)
{
	AUTO(buf_release) struct buf data = BUF_INIT;
	enum status st = file_read(from, FILE_MAX_BYTES, &data, err);

	return st == ST_OK ? file_replace(to, buf_str(&data), data.len, err) : st;
}

/* Tables are never written again: they are shared. All else is copied. */
static enum status copy_metadata(const char *from, const char *to, struct err *err)
{
	DIR *dir;
	struct dirent *entry;
	enum status st = dir_create_all(to, err);

	if (st != ST_OK)
		return st;
	dir = opendir(from);
	if (!dir)
		return err_errno(err, errno, "cannot read %s", from);
	while (st == ST_OK && (entry = readdir(dir))) {
		AUTO(freep) char *source = inside(from, entry->d_name);
		AUTO(freep) char *target = inside(to, entry->d_name);
		struct stat s;

		if (lstat(source, &s) < 0 || !S_ISREG(s.st_mode))
			continue;
		if (!text_ends(source, ".sst") || link(source, target) < 0)
			st = copy_file(source, target, err);
	}
	closedir(dir);
	return st;
}

static enum status make_folder(const struct lake_repair *r, struct err *err)
{
	AUTO(freep) char *blobs = inside(r->folder, "blobs");
	AUTO(freep) char *from = inside(r->root, "meta");
	AUTO(freep) char *meta = inside(r->folder, "meta");
	enum status st = dir_create_all(r->folder, err);

	if (st == ST_OK && symlink("../blobs", blobs) < 0)
		st = err_errno(err, errno, "cannot make %s", blobs);
	return st == ST_OK ? copy_metadata(from, meta, err) : st;
}

/* ---- what is wrong ---- */

/* ST_USAGE for a format that is newer than this program. */
static enum status look_at_format(struct lake_repair *r, struct lake_repair_report *report,
				  struct err *err)
{
	struct err why = ERR_INIT;
	bool found = false;
	enum status st = folder_check_format(r->root, &found, &why);

	if (st == ST_OK && found)
		return ST_OK;
	if (st == ST_USAGE && folder_format_is_newer(r->root))
		return err_set(err, st, "%s", why.text);
	report->format = xstrdup(found ? why.text : "is missing");
	r->format = true;
	return ST_OK;
}

/* made: what SEQUENCE says; 0 where it cannot be read. */
static void look_at_sequence(struct lake_repair *r, struct lake_repair_report *report)
{
	struct err why = ERR_INIT;
	uint64_t slots[2] = {0, 0};
	bool whole[2] = {false, false};

	if (sequence_look(r->root, slots, whole, &why) != ST_OK)
		report->sequence = xstrdup(why.text);
	else if (!whole[0] && !whole[1])
		report->sequence = xstrdup("neither of its slots can be read");
	for (int i = 0; i < 2; i++)
		if (whole[i] && slots[i] > report->made)
			report->made = slots[i];
	r->sequence = report->sequence != NULL;
}

static void metadata_wrong(struct lake_repair *r, struct lake_repair_report *report,
			   const char *why)
{
	r->metadata = true;
	if (!report->metadata) /* without the remedy, which is this */
		report->metadata = xstrndup(why, (size_t)(strchrnul(why, ';') - why));
}

/* ---- the metadata ---- */

static enum status open_any(const char *meta, bool salvage, struct db **out, struct err *err)
{
	enum status st = salvage ? ST_DAMAGED : db_open(meta, false, DB_LOG_PREFIX, out, err);

	if (st != ST_DAMAGED)
		return st;
	st = db_salvage(meta, err);
	return st == ST_OK ? db_open(meta, false, DB_LOG_PREFIX, out, err) : st;
}

/* Opens the copy: whole, or up to the log's first damage, or salvaged. */
static enum status open_copy(struct lake_repair *r, const char *meta, bool salvage,
			     struct lake_repair_report *report, struct db **out, bool *whole_out,
			     struct err *err)
{
	struct err why = ERR_INIT;
	enum status st = salvage ? ST_DAMAGED : db_open(meta, false, DB_WHOLE_LOG, out, &why);

	*whole_out = true;
	if (st == ST_OK)
		return st;
	metadata_wrong(r, report, salvage ? "reading it ended the process" : why.text);
	if (!salvage && db_open(meta, false, DB_LOG_PREFIX, out, err) == ST_OK)
		return ST_OK;
	*whole_out = false;
	return open_any(meta, salvage, out, err);
}

/* Puts together anew what can be read of *db, in the place of its folder. */
static enum status rebuild(const struct lake_repair *r, const char *meta, struct db **db,
			   struct lake_repair_report *report, struct err *err)
{
	AUTO(freep) char *fresh = inside(r->folder, "meta.new");
	AUTO(freep) char *old = inside(r->folder, "meta.read");
	AUTO(db_closep) struct db *to = NULL;
	enum status st = db_open(fresh, true, DB_WHOLE_LOG, &to, err);

	if (st == ST_OK)
		st = salvage_copy(*db, to, report, err);
	if (st == ST_OK)
		st = salvage_mend(to, report, err);
	if (st != ST_OK)
		return st;
	db_close(MOVE(*db));
	db_close(MOVE(to));
	st = move(meta, old, 0, err);
	if (st == ST_OK)
		st = move(fresh, meta, 0, err);
	return st == ST_OK ? dir_remove_all(old, err) : st;
}

/* What the damaged log holds behind what stays. */
static void find_lost(const struct lake_repair *r, struct lake_repair_report *report)
{
	AUTO(freep) char *meta = inside(r->root, "meta");
	AUTO(db_closep) struct db *db = NULL;

	if (db_open_to_read(meta, DB_LOG_REST, &db, NULL) == ST_OK)
		salvage_lost(db, report->kept, &report->lost);
	if (report->lost.n && report->lost.items[0].sequence > report->made)
		report->made = report->lost.items[0].sequence;
}

static enum status make_metadata(struct lake_repair *r, bool salvage,
				 struct lake_repair_report *report, struct err *err)
{
	AUTO(freep) char *meta = inside(r->folder, "meta");
	AUTO(freep) char *why = NULL;
	AUTO(db_closep) struct db *db = NULL;
	bool whole = false, clean = false;
	enum status st = open_copy(r, meta, salvage, report, &db, &whole, err);

	if (st != ST_OK)
		return st;
	salvage_check(db, meta, &clean, &why);
	if (!clean)
		metadata_wrong(r, report, why);
	if (whole && clean)
		whole = embedded_sequence(db, &report->kept, err) == ST_OK;
	if (!whole || !clean)
		st = rebuild(r, meta, &db, report, err);
	if (st == ST_OK && r->metadata && !salvage)
		find_lost(r, report);
	return st;
}

/* The number outside the log follows the log. */
static enum status make_sequence(struct lake_repair *r, struct lake_repair_report *report,
				 struct err *err)
{
	struct sequence s = {.fd = -1};
	uint64_t n = 0;
	enum status st = sequence_open(r->folder, true, &s, &n, err);

	if (st == ST_OK)
		st = sequence_write(&s, report->kept, err);
	sequence_close(&s);
	if (!report->sequence && report->made > report->kept) {
		r->sequence = true;
		report->sequence =
			xstrdup("counts more writes than the metadata hold: some are lost");
	}
	if (report->made < report->kept)
		report->made = report->kept;
	return st;
}

static enum status prepare(struct lake_repair *r, bool salvage, struct lake_repair_report *report,
			   struct err *err)
{
	AUTO(freep) char *meta = inside(r->root, "meta");
	enum status st;

	if (!file_exists(meta))
		return err_set(err, ST_USAGE, "%s is no lake: it has no meta/", r->root);
	st = folder_lock(r->root, &r->lock, err);
	if (st == ST_OK)
		st = look_at_format(r, report, err);
	if (st == ST_OK)
		st = dir_remove_all(r->folder, err); /* of one that was interrupted */
	if (st != ST_OK)
		return st;
	look_at_sequence(r, report);
	st = make_folder(r, err);
	if (st == ST_OK)
		st = make_metadata(r, salvage, report, err);
	if (st == ST_OK)
		st = make_sequence(r, report, err);
	return st == ST_OK ? folder_finish(r->folder, err) : st;
}

enum status embedded_repair_prepare(const char *folder, bool salvage, struct lake_repair **out,
				    struct lake_repair_report *report, struct err *err)
{
	AUTO(lake_repair_freep) struct lake_repair *r = xcalloc(1, sizeof(*r));
	enum status st;

	*out = NULL;
	r->lock = -1;
	r->root = xstrdup(folder);
	r->folder = inside(folder, FOLDER_REPAIR);
	r->url = xasprintf("file:%s", r->folder);
	if (!file_exists(folder))
		return err_set(err, ST_NOT_FOUND, "there is no lake at %s", folder);
	st = prepare(r, salvage, report, err);
	if (st == ST_OK && (r->metadata || r->sequence || r->format))
		*out = MOVE(r);
	return st;
}

const char *lake_repair_url(const struct lake_repair *repair)
{
	return repair->url;
}

/* ---- applying ---- */

/* The damaged lake's file gets into the folder, and the folder's into its place. */
static enum status exchange(const struct lake_repair *r, const char *folder, const char *name,
			    struct err *err)
{
	AUTO(freep) char *good = inside(folder, name);
	AUTO(freep) char *bad = inside(r->root, name);

	return move(good, bad, file_exists(bad) ? RENAME_EXCHANGE : 0, err);
}

/* Leaves in repair/ what is to be exchanged, durably. */
static enum status strip(const struct lake_repair *r, struct err *err)
{
	const struct {
		const char *name;
		bool stays;
	} files[] = {
		{"meta", r->metadata}, {"SEQUENCE", r->sequence}, {"FORMAT", r->format},
		{"blobs", false},      {"LOCK", false},           {"tmp", false},
	};
	enum status st = ST_OK;

	for (size_t i = 0; st == ST_OK && i < ARRAY_SIZE(files); i++) {
		AUTO(freep) char *path = inside(r->folder, files[i].name);

		if (!files[i].stays)
			st = dir_remove_all(path, err);
		else if (strcmp(files[i].name, "meta") == 0)
			st = dir_sync(path, err);
	}
	return st == ST_OK ? dir_sync(r->folder, err) : st;
}

enum status lake_repair_apply(struct lake_repair *r, char **aside_out, struct err *err)
{
	AUTO(freep) char *aside = aside_path(r->root);
	enum status st = strip(r, err);

	if (st != ST_OK)
		return st;
	KILL_POINT("lake.repair.aside");
	st = move(r->folder, aside, 0, err);
	KILL_POINT("lake.repair.meta");
	if (st == ST_OK && r->metadata)
		st = exchange(r, aside, "meta", err);
	KILL_POINT("lake.repair.sequence");
	if (st == ST_OK && r->sequence)
		st = exchange(r, aside, "SEQUENCE", err);
	KILL_POINT("lake.repair.format");
	if (st == ST_OK && r->format)
		st = exchange(r, aside, "FORMAT", err);
	KILL_POINT("lake.repair.sync");
	if (st == ST_OK)
		st = dir_sync(aside, err);
	if (st == ST_OK)
		st = dir_sync(r->root, err);
	if (st == ST_OK && rmdir(aside) < 0) /* empty: there was nothing to keep */
		*aside_out = MOVE(aside);
	return st;
}

void lake_repair_free(struct lake_repair *r)
{
	if (!r)
		return;
	if (r->lock >= 0) {
		struct err err = ERR_INIT; /* what stays here the next repair removes */

		(void)!dir_remove_all(r->folder, &err);
		close(r->lock);
	}
	free(r->root);
	free(r->folder);
	free(r->url);
	free(r);
}
