#include "connector/cli/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "connector/cli/guarded.h"
#include "connector/cli/progress.h"
#include "connector/history/verify.h"
#include "connector/schema/utf8.h"

/* ---- printing ---- */

static json_t *json_names(const struct lake_names *names)
{
	json_t *list = json_array();

	for (size_t i = 0; i < names->n; i++)
		json_array_append_new(list, utf8_json(names->items[i]));
	return list;
}

static void print_json(const struct lake_finding *f)
{
	json_t *o =
		json_pack("{s:s,s:b,s:s,s:o,s:o,s:o}", "type", "finding", "damage", (int)f->damage,
			  "kind", f->kind, "name", utf8_json(f->name), "text", utf8_json(f->text),
			  "remedy", f->remedy[0] ? utf8_json(f->remedy) : json_null());

	json_object_set_new(o, "refs", json_names(&f->refs));
	json_object_set_new(o, "commits", json_names(&f->commits));
	json_object_set_new(o, "commit_count", json_integer((json_int_t)f->commits.total));
	json_object_set_new(o, "paths", json_names(&f->paths));
	json_object_set_new(o, "path_count", json_integer((json_int_t)f->paths.total));
	cli_json_line(o);
}

static void print_names(const char *what, const struct lake_names *names)
{
	if (names->n == 0)
		return;
	printf("; %s", what);
	for (size_t i = 0; i < names->n; i++) {
		fputs(i ? ", " : " ", stdout);
		cli_print_text(names->items[i], true);
	}
	if (names->total > names->n)
		printf(" and %" PRIu64 " more", names->total - names->n);
}

static void print_human(const struct lake_finding *f)
{
	printf("%s: %s ", f->damage ? "damaged" : "remark", f->kind);
	cli_print_text(f->name, true);
	fputs(": ", stdout);
	cli_print_text(f->text, true);
	print_names("needed by refs", &f->refs);
	print_names("commits", &f->commits);
	print_names("paths", &f->paths);
	if (f->remedy[0])
		printf("; remedy: %s", f->remedy);
	putchar('\n');
}

static void print_summary(const struct cli *cli, const struct lake_fsck_report *r)
{
	if (cli->json) {
		json_t *o = json_pack("{s:s,s:I,s:I}", "type", "summary", "damaged",
				      (json_int_t)r->damaged, "remarks", (json_int_t)r->remarks);

#define X(name) json_object_set_new(o, #name, json_integer((json_int_t)r->name));
		LAKE_FSCK_COUNTS(X)
#undef X
		cli_json_line(o);
		return;
	}
	if (r->damaged + r->remarks > r->n)
		printf("%" PRIu64 " more findings are not shown\n", r->damaged + r->remarks - r->n);
	printf("checked %" PRIu64 " commits, %" PRIu64 " nodes, %" PRIu64 " small objects, %" PRIu64
	       " files, %" PRIu64 " bytes, %" PRIu64 " refs, %" PRIu64 " reflog entries, %" PRIu64
	       " staged changes, %" PRIu64 " checkpoints\n",
	       r->commits, r->nodes, r->small_blobs, r->files, r->bytes, r->refs, r->reflog_entries,
	       r->staged_changes, r->checkpoints);
	if (r->expired)
		printf("expired: %" PRIu64 " objects\n", r->expired);
	if (r->garbage_commits + r->garbage_nodes + r->garbage_blobs)
		printf("garbage: %" PRIu64 " commits, %" PRIu64 " nodes, %" PRIu64
		       " objects; `tidemark gc` frees it\n",
		       r->garbage_commits, r->garbage_nodes, r->garbage_blobs);
	printf("%s\n", r->damaged ? "damaged" : "clean");
}

static void print_report(const struct cli *cli, const struct lake_fsck_report *r)
{
	for (size_t i = 0; i < r->n; i++) {
		if (cli->json)
			print_json(&r->items[i]);
		else
			print_human(&r->items[i]);
	}
	print_summary(cli, r);
}

static enum status verdict(const struct lake_fsck_report *r, struct err *err)
{
	return r->damaged == 0
		       ? ST_OK
		       : err_set(err, ST_DAMAGED, "the lake is damaged in %" PRIu64 " place%s",
				 r->damaged, r->damaged == 1 ? "" : "s");
}

enum status cli_check_lake(const struct cli *cli, struct lake *lake, bool quick, bool progress,
			   struct err *err)
{
	AUTO(lake_fsck_report_release) struct lake_fsck_report report = {.n = 0};
	const struct lake_fsck_options options = {.quick = quick, .visit = history_verify};
	struct cli_progress *shown = cli_progress_start(lake, progress);
	enum status st = lake_fsck(lake, &options, &report, err);

	cli_progress_stop(shown);
	if (st != ST_OK)
		return st;
	print_report(cli, &report);
	return verdict(&report, err);
}

/* ---- in the child ---- */

struct check {
	const struct cli *cli;
	bool quick;
	bool progress;
	bool opens; /* try to open the metadata */
	const char *died; /* of the child before: how it ended */
};

static enum status check_closed(struct check *c, const char *url, struct err *err)
{
	AUTO(lake_fsck_report_release) struct lake_fsck_report report = {.n = 0};
	enum status st;

	if (c->died)
		lake_fsck_add(&report, true, "metadata", "meta",
			      "restore a backup (`tidemark restore`), or `tidemark fsck --repair` "
			      "keeps what can be read",
			      "reading it %s", c->died);
	st = lake_fsck_folder(url, c->quick, c->opens, &report, err);
	if (st != ST_OK)
		return st;
	print_report(c->cli, &report);
	return verdict(&report, err);
}

static enum status check(void *ctx, struct err *err)
{
	static const struct lake_options any = {.access = LAKE_ANY};
	struct check *c = ctx;
	const char *url = cli_lake_url(c->cli, NULL);
	AUTO(lake_closep) struct lake *lake = NULL;
	enum status st = c->opens ? lake_open(url, &any, &lake, err) : ST_DAMAGED;

	if (st == ST_OK)
		return cli_check_lake(c->cli, lake, c->quick, c->progress, err);
	if (st == ST_DAMAGED || st == ST_USAGE || st == ST_IO || st == ST_FAILED)
		return check_closed(c, url, err);
	return st;
}

enum status cli_check(const struct cli *cli, bool quick, struct err *err)
{
	struct check c = {.cli = cli, .quick = quick, .opens = true};
	AUTO(guarded_release) struct guarded g = {.signal = 0};
	AUTO(guarded_release) struct guarded again = {.signal = 0};
	AUTO(freep) char *died = NULL;
	enum status st;

	c.progress = cli_progress_wanted();
	st = guarded_run(check, &c, &g, err);
	if (!g.signal)
		return st;
	/* What needs no metadata is checked all the same. */
	died = xasprintf("%s: %s", err->text, buf_str(&g.last));
	c.opens = false;
	c.died = died;
	return guarded_run(check, &c, &again, err);
}
