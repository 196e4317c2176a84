/* backup and restore: a lake's state in another folder, and back. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "connector/cli/check.h"
#include "connector/cli/progress.h"

/* The owner of the lake may have another current folder. */
static enum status absolute(const char *dir, char **out, struct err *err)
{
	AUTO(freep) char *cwd = NULL;

	if (dir[0] == '/') {
		*out = xstrdup(dir);
		return ST_OK;
	}
	if (!dir[0])
		return err_set(err, ST_USAGE, "DIR is empty");
	cwd = getcwd(NULL, 0);
	if (!cwd)
		return err_set(err, ST_IO, "cannot find the current folder");
	*out = xasprintf("%s/%s", cwd, dir);
	return ST_OK;
}

static json_t *json_report(const struct lake_backup_report *r)
{
	json_t *damaged = json_array();

	for (size_t i = 0; i < r->damaged.n; i++)
		json_array_append_new(damaged, json_string(r->damaged.items[i]));
	return json_pack("{s:o,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o}", "time",
			 cli_json_time(r->time_ms), "sequence", (json_int_t)r->sequence, "objects",
			 (json_int_t)r->objects, "bytes", (json_int_t)r->bytes, "copied_objects",
			 (json_int_t)r->copied_objects, "copied_bytes", (json_int_t)r->copied_bytes,
			 "removed_objects", (json_int_t)r->removed_objects, "metadata_bytes",
			 (json_int_t)r->metadata_bytes, "copied_metadata_bytes",
			 (json_int_t)r->copied_metadata_bytes, "damaged", damaged);
}

static enum status damage(const struct lake_backup_report *r, const char *what, struct err *err)
{
	if (r->damaged.total == 0)
		return ST_OK;
	return err_set(err, ST_DAMAGED, "%" PRIu64 " object%s %s (%s%s); `tidemark fsck` says more",
		       r->damaged.total, r->damaged.total == 1 ? "" : "s", what,
		       r->damaged.items[0], r->damaged.total > 1 ? ", ..." : "");
}

static enum status run_backup(struct cli *cli, int n, char **args, struct err *err)
{
	AUTO(cli_args_release) struct cli_args a = {.n = 0};
	AUTO(lake_backup_report_release) struct lake_backup_report r = {.objects = 0};
	AUTO(freep) char *dir = NULL;
	struct cli_progress *progress;
	char time[TIME_TEXT_BYTES];
	struct lake *lake;
	enum status st = cli_parse(cli, n, args, NULL, 0, 1, 1, &a, err);

	if (st == ST_OK)
		st = absolute(a.items[0], &dir, err);
	if (st == ST_OK)
		st = cli_lake(cli, &lake, err);
	if (st != ST_OK)
		return st;
	progress = cli_progress_start(lake, cli_progress_wanted());
	st = lake_backup(lake, dir, &r, err);
	cli_progress_stop(progress);
	if (st != ST_OK)
		return st;
	time_format(r.time_ms, time);
	if (cli->json)
		cli_json_line(json_report(&r));
	else
		printf("backup of %s at write %" PRIu64 " (%s): %" PRIu64
		       " files of objects, %" PRIu64 " bytes; copied %" PRIu64 " of them, %" PRIu64
		       " bytes, and %" PRIu64 " of %" PRIu64 " bytes of metadata; removed %" PRIu64
		       "\n",
		       lake_url(lake), r.sequence, time, r.objects, r.bytes, r.copied_objects,
		       r.copied_bytes, r.copied_metadata_bytes, r.metadata_bytes,
		       r.removed_objects);
	return damage(&r, "of the lake could not be backed up as they are", err);
}

const struct command command_backup = {
	.name = "backup",
	.usage = "DIR",
	.summary = "copies the lake as it is now to a folder, and later only what is new",
	.help = "DIR is absent, empty, or a backup of this lake. Runs beside a worker, which then "
		"reads\n"
		"DIR by its absolute path. Until it is done the backup before it stays usable.\n",
	.run = run_backup,
};

/* ---- restore ---- */

struct shown {
	int64_t started_us;
	int64_t next_us;
};

static void show(void *ctx, const struct lake_progress *p)
{
	struct clock *clock = clock_system();
	struct shown *s = ctx;
	int64_t now_us = clock->mono_us(clock);

	if (now_us < s->next_us)
		return;
	s->next_us = now_us + 250000;
	cli_progress_line(p, s->started_us);
}

static enum status print_heads(const struct cli *cli, enum lake_ref_kind kind, struct lake *lake,
			       struct err *err)
{
	AUTO(lake_refs_release) struct lake_refs refs = {.items = NULL};
	const char *name = kind == LAKE_BRANCH ? "branch" : "tag";
	enum status st = lake_refs_list(lake, kind, &refs, err);

	for (size_t i = 0; st == ST_OK && i < refs.n; i++) {
		char hex[LAKE_ID_SHORT_BYTES];

		lake_id_short(&refs.items[i].id, hex);
		if (cli->json)
			cli_json_line(json_pack("{s:s,s:s,s:s,s:o}", "type", "ref", "kind", name,
						"name", refs.items[i].name, "commit",
						cli_json_id(&refs.items[i].id)));
		else
			printf("%s %s at %s\n", name, refs.items[i].name, hex);
	}
	return st;
}

/* What is there now. The lake is closed again, for the check. */
static enum status print_restored(struct cli *cli, const struct lake_backup_report *r,
				  struct err *err)
{
	char time[TIME_TEXT_BYTES];
	struct lake *lake;
	enum status st = cli_lake(cli, &lake, err);

	if (st != ST_OK)
		return st;
	time_format(r->time_ms, time);
	if (cli->json)
		cli_json_line(json_report(r));
	else
		printf("restored %s as it was at write %" PRIu64 " (%s): %" PRIu64
		       " files of objects, %" PRIu64 " bytes\n",
		       lake_url(lake), r->sequence, time, r->objects, r->bytes);
	st = print_heads(cli, LAKE_BRANCH, lake, err);
	if (st == ST_OK)
		st = print_heads(cli, LAKE_TAG, lake, err);
	lake_close(MOVE(cli->lake));
	return st;
}

static enum status run_restore(struct cli *cli, int n, char **args, struct err *err)
{
	AUTO(cli_args_release) struct cli_args a = {.n = 0};
	AUTO(lake_backup_report_release) struct lake_backup_report r = {.objects = 0};
	struct clock *clock = clock_system();
	struct shown shown = {.started_us = clock->mono_us(clock)};
	bool wanted = cli_progress_wanted();
	enum status st = cli_parse(cli, n, args, NULL, 0, 1, 1, &a, err);

	if (st != ST_OK)
		return st;
	st = lake_restore(cli_lake_url(cli, NULL), a.items[0], wanted ? show : NULL, &shown, &r,
			  err);
	if (wanted)
		cli_progress_wipe();
	if (st == ST_OK)
		st = print_restored(cli, &r, err);
	if (st == ST_OK)
		st = cli_check(cli, true, err); /* the objects have been read just now */
	if (st == ST_OK)
		st = damage(&r, "of the backup are damaged and were left out", err);
	return st;
}

const struct command command_restore = {
	.name = "restore",
	.usage = "DIR",
	.summary = "makes a lake of the backup in a folder",
	.help = "The lake (--lake) must be an absent or empty folder. Everything is compared with "
		"its\n"
		"hash on the way, and checked at the end. A connector that goes on there reads "
		"again\n"
		"from Kafka what came after the backup.\n",
	.run = run_restore,
};
