/* Checking a lake: the report, and what is done around a backend's check. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/embedded/embedded.h"
#include "core/embedded/repair.h"
#include "core/lake_backend.h"
#include "core/lake_url.h"

/* ---- the report ---- */

void lake_names_add(struct lake_names *names, const char *name)
{
	names->total++;
	if (names->n == LAKE_NAMES_MAX)
		return;
	for (size_t i = 0; i < names->n; i++) {
		if (strcmp(names->items[i], name) == 0) {
			names->total--;
			return;
		}
	}
	names->items[names->n++] = xstrdup(name);
}

static void names_release(struct lake_names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->items[i]);
}

void lake_fsck_report_release(struct lake_fsck_report *report)
{
	for (size_t i = 0; i < report->n; i++) {
		struct lake_finding *f = &report->items[i];

		free(f->kind);
		free(f->name);
		free(f->text);
		free(f->remedy);
		names_release(&f->refs);
		names_release(&f->commits);
		names_release(&f->paths);
	}
	free(report->items);
	*report = (struct lake_fsck_report){.n = 0};
}

struct lake_finding *lake_fsck_add(struct lake_fsck_report *report, bool damage, const char *kind,
				   const char *name, const char *remedy, const char *fmt, ...)
{
	struct lake_finding *f;
	va_list args;

	*(damage ? &report->damaged : &report->remarks) += 1;
	if (report->n == LAKE_FINDINGS_MAX)
		return NULL;
	GROW(report->items, report->n, report->cap);
	f = &report->items[report->n++];
	*f = (struct lake_finding){.damage = damage,
				   .kind = xstrdup(kind),
				   .name = xstrdup(name),
				   .remedy = xstrdup(remedy ? remedy : "")};
	va_start(args, fmt);
	if (vasprintf(&f->text, fmt, args) < 0)
		abort();
	va_end(args);
	return f;
}

/* ---- checks ---- */

enum status lake_fsck(struct lake *lake, const struct lake_fsck_options *options,
		      struct lake_fsck_report *report, struct err *err)
{
	enum status st = lake->ops->fsck(lake, options->quick, report, err);

	if (st == ST_OK && options->visit)
		st = options->visit(options->ctx, lake, report, err);
	return st;
}

enum status lake_fsck_folder(const char *url, bool quick, bool metadata,
			     struct lake_fsck_report *report, struct err *err)
{
	AUTO(freep) char *folder = NULL;
	enum status st = lake_url_folder(url, &folder, err);

	return st == ST_OK ? embedded_fsck_folder(folder, quick, metadata, report, err) : st;
}

/* ---- backup ---- */

void lake_backup_report_release(struct lake_backup_report *report)
{
	names_release(&report->damaged);
	*report = (struct lake_backup_report){.objects = 0};
}

enum status lake_backup(struct lake *lake, const char *dir, struct lake_backup_report *out,
			struct err *err)
{
	if (dir[0] != '/')
		return err_set(err, ST_USAGE, "'%s' is no absolute path", dir);
	return lake->ops->backup(lake, dir, out, err);
}

enum status lake_restore(const char *url, const char *dir,
			 void (*step)(void *ctx, const struct lake_progress *p), void *ctx,
			 struct lake_backup_report *out, struct err *err)
{
	AUTO(freep) char *folder = NULL;
	enum status st = lake_url_folder(url, &folder, err);

	return st == ST_OK ? embedded_restore(folder, dir, step, ctx, out, err) : st;
}

/* ---- repair ---- */

enum status lake_repair_prepare(const char *url, bool salvage, struct lake_repair **out,
				struct lake_repair_report *report, struct err *err)
{
	AUTO(freep) char *folder = NULL;
	enum status st = lake_url_folder(url, &folder, err);

	return st == ST_OK ? embedded_repair_prepare(folder, salvage, out, report, err) : st;
}

enum status lake_progress(struct lake *lake, struct lake_progress *out, struct err *err)
{
	return lake->ops->progress(lake, out, err);
}
