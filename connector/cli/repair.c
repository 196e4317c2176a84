#include "connector/cli/repair.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "connector/cli/check.h"
#include "connector/cli/guarded.h"
#include "connector/cli/progress.h"
#include "connector/cli/stream.h"
#include "connector/schema/utf8.h"
#include "core/base/clock.h"

struct repairing {
	const struct cli *cli;
	bool quick;
	bool yes;
	bool progress;
	bool salvage;
};

/* ---- printing ---- */

static json_t *id_json(const struct lake_id *id)
{
	char hex[LAKE_ID_HEX_BYTES];

	if (lake_id_is_none(id))
		return json_null();
	lake_id_hex(id, hex);
	return json_string(hex);
}

static json_t *moves_json(const struct lake_reflog *moves)
{
	json_t *list = json_array();

	for (size_t i = 0; i < moves->n; i++) {
		const struct lake_reflog_entry *m = &moves->items[i];

		json_array_append_new(
			list, json_pack("{s:o,s:s,s:o,s:o,s:o}", "ref", utf8_json(m->name), "kind",
					m->kind == LAKE_BRANCH ? "branch" : "tag", "from",
					id_json(&m->from), "to", id_json(&m->to), "sequence",
					m->sequence ? json_integer((json_int_t)m->sequence)
						    : json_null()));
	}
	return list;
}

static void print_json(const struct lake_repair_report *r)
{
	json_t *o =
		json_pack("{s:s,s:o,s:o,s:o}", "type", "repair", "metadata", utf8_json(r->metadata),
			  "sequence", utf8_json(r->sequence), "format", utf8_json(r->format));

	json_object_set_new(o, "kept", json_integer((json_int_t)r->kept));
	json_object_set_new(o, "made", json_integer((json_int_t)r->made));
	json_object_set_new(o, "lost", moves_json(&r->lost));
	json_object_set_new(o, "refs", moves_json(&r->refs));
	json_object_set_new(o, "keys", json_integer((json_int_t)r->keys));
	json_object_set_new(o, "gaps", json_integer((json_int_t)r->gaps));
	cli_json_line(o);
}

static void print_wrong(const char *what, const char *text)
{
	if (!text)
		return;
	printf("wrong: %s: ", what);
	cli_print_text(text, true);
	putchar('\n');
}

static void print_moves(const char *what, const struct lake_reflog *moves)
{
	for (size_t i = 0; i < moves->n; i++) {
		const struct lake_reflog_entry *m = &moves->items[i];
		char from[LAKE_ID_SHORT_BYTES] = "nowhere";
		char to[LAKE_ID_SHORT_BYTES] = "nowhere";
		char time[TIME_TEXT_BYTES] = "";

		if (!lake_id_is_none(&m->from))
			lake_id_short(&m->from, from);
		if (!lake_id_is_none(&m->to))
			lake_id_short(&m->to, to);
		if (m->time_ms)
			time_format(m->time_ms, time);
		printf("%s: %s ", what, m->kind == LAKE_BRANCH ? "branch" : "tag");
		cli_print_text(m->name, true);
		printf(" from %s to %s", from, to);
		if (m->sequence)
			printf(" (move %" PRIu64 ", %s)", m->sequence, time);
		putchar('\n');
	}
}

static void print_human(const struct lake_repair_report *r)
{
	print_wrong("metadata", r->metadata);
	print_wrong("SEQUENCE", r->sequence);
	print_wrong("FORMAT", r->format);
	if (r->keys)
		printf("keeps: %" PRIu64 " keys that can be read; %" PRIu64
		       " stretches of keys cannot\n",
		       r->keys, r->gaps);
	else
		printf("keeps: the state after ref move %" PRIu64 "\n", r->kept);
	if (r->made > r->kept)
		printf("drops: %" PRIu64 " ref moves behind it, the last of them %" PRIu64
		       "; of these can still be read: %zu\n",
		       r->made - r->kept, r->made, r->lost.n);
	print_moves("drops", &r->lost);
	print_moves("puts", &r->refs);
}

/* ---- doing ---- */

static enum status check_result(struct repairing *c, const struct lake_repair *repair,
				struct err *err)
{
	static const struct lake_options own = {.access = LAKE_OWN};
	AUTO(lake_closep) struct lake *lake = NULL;
	enum status st = lake_open(lake_repair_url(repair), &own, &lake, err);

	if (st != ST_OK)
		return st;
	if (!c->cli->json)
		printf("the lake would then be:\n");
	return cli_check_lake(c->cli, lake, c->quick, c->progress, err);
}

/* Unlike other questions this one is never answered by a pipe. */
static enum status confirm(const struct repairing *c, struct err *err)
{
	fflush(stdout);
	if (c->yes)
		return ST_OK;
	if (!isatty(STDIN_FILENO))
		return err_set(err, ST_FAILED,
			       "nothing was changed; `--yes` repairs without asking");
	return stream_confirm("Repair?")
		       ? ST_OK
		       : err_set(err, ST_FAILED, "not confirmed; nothing was changed");
}

static enum status repair(void *ctx, struct err *err)
{
	AUTO(lake_repair_report_release) struct lake_repair_report report = {.kept = 0};
	AUTO(lake_repair_freep) struct lake_repair *prepared = NULL;
	AUTO(freep) char *aside = NULL;
	struct repairing *c = ctx;
	struct err left = ERR_INIT;
	enum status after, st;

	st = lake_repair_prepare(cli_lake_url(c->cli, NULL), c->salvage, &prepared, &report, err);
	if (st != ST_OK)
		return st;
	if (!prepared)
		return ST_EMPTY;
	if (c->cli->json)
		print_json(&report);
	else
		print_human(&report);
	after = check_result(c, prepared, &left);
	if (after != ST_OK && after != ST_DAMAGED)
		return err_set(err, after, "%s", left.text);
	st = confirm(c, err);
	if (st == ST_OK)
		st = lake_repair_apply(prepared, &aside, err);
	if (st != ST_OK)
		return st;
	if (c->cli->json)
		cli_json_line(
			json_pack("{s:s,s:o}", "type", "repaired", "aside", utf8_json(aside)));
	else if (aside)
		printf("repaired; what was there is in %s, to be deleted when nobody needs it\n",
		       aside);
	else
		printf("repaired\n");
	return after == ST_OK ? ST_OK : err_set(err, after, "%s", left.text);
}

/* Did RocksDB end the process, and not somebody else? */
static bool own_fault(int signal)
{
	return signal == SIGABRT || signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE;
}

enum status cli_repair(const struct cli *cli, bool quick, bool yes, struct err *err)
{
	struct repairing c = {
		.cli = cli, .quick = quick, .yes = yes, .progress = cli_progress_wanted()};
	AUTO(guarded_release) struct guarded first = {.signal = 0};
	AUTO(guarded_release) struct guarded second = {.signal = 0};
	enum status st = guarded_run(repair, &c, &first, err);

	if (own_fault(first.signal)) {
		c.salvage = true;
		st = guarded_run(repair, &c, &second, err);
	}
	if (st != ST_EMPTY)
		return st;
	fprintf(stderr, "the metadata need no repair\n");
	return cli_check(cli, quick, err);
}
