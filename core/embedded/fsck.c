#include "core/embedded/fsck.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/embedded/folder.h"

void fsck_init(struct fsck *f, struct embedded *e, const char *root, bool quick,
	       struct lake_fsck_report *report)
{
	*f = (struct fsck){.e = e, .root = root, .quick = quick, .report = report};
	id_table_init(&f->blobs, sizeof(struct blob_seen));
	id_table_init(&f->commits, sizeof(struct commit_seen));
	id_table_init(&f->bad, sizeof(struct bad));
}

static void log_release(struct lake_reflog_entry *log, size_t n)
{
	for (size_t i = 0; i < n; i++)
		lake_reflog_entry_clear(&log[i]);
	free(log);
}

void fsck_release(struct fsck *f)
{
	for (size_t i = 0; i < f->blobs.n; i++)
		free(((struct blob_seen *)id_table_at(&f->blobs, i))->why);
	for (size_t i = 0; i < f->commits.n; i++) {
		struct commit_seen *c = id_table_at(&f->commits, i);

		free(c->parents);
		free(c->why);
	}
	id_table_release(&f->blobs);
	id_table_release(&f->commits);
	id_table_release(&f->bad);
	for (size_t i = 0; i < f->n_refs; i++)
		free(f->refs[i].name);
	free(f->refs);
	log_release(f->log, f->n_log);
	log_release(f->index, f->n_index);
	for (size_t i = 0; i < f->n_staged; i++) {
		free(f->staged[i].branch);
		free(f->staged[i].path);
		buf_release(&f->staged[i].entry);
	}
	free(f->staged);
	for (size_t i = 0; i < f->n_protected; i++)
		free(f->protected[i]);
	free(f->protected);
	tree_check_free(f->trees);
}

/* ---- findings about objects ---- */

static const char *remedy_of(const char *kind)
{
	if (strcmp(kind, "blob") == 0)
		return "`tidemark restore` of a backup brings it back; storing equal bytes anew "
		       "(`tidemark put`) does too";
	return "`tidemark restore` of a backup";
}

void fsck_bad(struct fsck *f, const char *kind, const struct hash *id, const char *why)
{
	struct bad *bad = id_table_find(&f->bad, id->bytes);
	struct lake_finding *finding;
	char hex[65];

	if (bad)
		return;
	hash_hex(id, hex);
	bad = id_table_add(&f->bad, id->bytes);
	finding = lake_fsck_add(f->report, true, kind, hex, remedy_of(kind), "%s", why);
	if (finding)
		bad->finding = (size_t)(finding - f->report->items) + 1;
}

struct lake_finding *fsck_finding(struct fsck *f, const struct hash *id)
{
	const struct bad *bad = id_table_find(&f->bad, id->bytes);

	return bad && bad->finding ? &f->report->items[bad->finding - 1] : NULL;
}

void fsck_step(struct fsck *f, uint64_t objects, uint64_t bytes)
{
	if (!f->e)
		return;
	atomic_fetch_add(&f->e->maintained.objects, objects);
	atomic_fetch_add(&f->e->maintained.bytes, bytes);
}

/* ---- the whole check ---- */

/* Both numbers as they are between two writes. */
static void check_sequence(struct fsck *f)
{
	pthread_mutex_lock(&f->e->moves);
	fsck_sequence(f, f->e->sequence, true);
	pthread_mutex_unlock(&f->e->moves);
}

static void check_all(struct fsck *f)
{
	fsck_folder(f);
	check_sequence(f);
	fsck_scan(f);
	fsck_blob_files(f);
	fsck_commits(f);
	fsck_trees(f);
	fsck_refs(f);
	fsck_blame(f);
}

enum status embedded_fsck(struct lake *lake, bool quick, struct lake_fsck_report *report,
			  struct err *err)
{
	struct embedded *e = embedded_of(lake);
	struct fsck f;
	enum status st = embedded_maintain_begin(e, "fsck", err);

	if (st != ST_OK)
		return st;
	fsck_init(&f, e, e->root, quick, report);
	check_all(&f);
	fsck_release(&f);
	embedded_maintain_end(e);
	return ST_OK;
}

/* ---- a lake that does not open ---- */

static void report_blob_files(struct fsck *f)
{
	for (size_t i = 0; i < f->blobs.n; i++) {
		struct blob_seen *b = id_table_at(&f->blobs, i);

		if (b->why)
			fsck_bad(f, "blob", &b->id, b->why);
	}
}

static void check_metadata(struct fsck *f)
{
	AUTO(freep) char *meta = xasprintf("%s/meta", f->root);
	AUTO(db_closep) struct db *db = NULL;
	struct err err = ERR_INIT;
	struct lake_finding *finding;
	uint64_t q = 0;
	enum status st = db_open(meta, false, DB_WHOLE_LOG, &db, &err);

	if (st == ST_OK)
		st = embedded_sequence(db, &q, &err);
	if (st == ST_OK) {
		fsck_sequence(f, q, true);
		return;
	}
	finding = lake_fsck_add(f->report, true, "metadata", "meta",
				"restore a backup (`tidemark restore`), or `tidemark fsck "
				"--repair` keeps what can be read",
				"%s", err.text);
	if (finding)
		lake_names_add(&finding->refs, "all");
	fsck_sequence(f, 0, false);
}

enum status embedded_fsck_folder(const char *folder, bool quick, bool metadata,
				 struct lake_fsck_report *report, struct err *err)
{
	AUTO(freep) char *format = xasprintf("%s/FORMAT", folder);
	AUTO(freep) char *meta = xasprintf("%s/meta", folder);
	struct fsck f;
	int lock = -1;
	bool found;
	enum status st;

	if (!file_exists(folder))
		return err_set(err, ST_NOT_FOUND, "there is no lake at %s", folder);
	if (!file_exists(format) && !file_exists(meta))
		return err_set(err, ST_USAGE, "%s is no lake: it has neither FORMAT nor meta/",
			       folder);
	st = folder_format_is_newer(folder) ? folder_check_format(folder, &found, err)
					    : folder_lock(folder, &lock, err);
	if (st != ST_OK)
		return st;
	fsck_init(&f, NULL, folder, quick, report);
	fsck_folder(&f);
	if (metadata)
		check_metadata(&f);
	else
		fsck_sequence(&f, 0, false);
	fsck_blob_files(&f);
	report_blob_files(&f);
	fsck_release(&f);
	close(lock);
	return ST_OK;
}
