#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connector/history/verify.h"
#include "tests/lib/simulation_impl.h"

uint64_t sim_hash(uint64_t hash, const char *text)
{
	for (const char *p = text; *p; p++)
		hash = (hash ^ (unsigned char)*p) * 0x100000001b3U;
	return hash;
}

/* A file of the same rows, made again after a rollback or a crash, has the same bytes. (A
 * dead letter also names its task, and that need not be the same.) */
static bool saw(void *ctx, const struct lake_entry *entry, struct buf *why)
{
	struct sim *s = ctx;
	const char *rows = lake_meta_get(&entry->meta, "tidemark.offsets");
	uint64_t place = sim_hash(sim_hash(1, entry->path), rows) | 1;
	uint64_t bytes = sim_hash(1, entry->checksum);

	if (strncmp(entry->path, "_deadletters/", 13) == 0)
		return true;

	for (size_t i = place % FILES_MAX, n = 0; n < FILES_MAX; i = (i + 1) % FILES_MAX, n++) {
		struct sim_file *f = &s->world->files[i];

		if (!f->place)
			*f = (struct sim_file){place, bytes};
		if (f->place != place)
			continue;
		if (f->bytes == bytes)
			return true;
		buf_addf(why, "%s of rows %s had other bytes before", entry->path, rows);
		return false;
	}
	buf_adds(why, "too many files for the simulation");
	return false;
}

static void check_ingest(struct sim *s, const struct lake_id *head)
{
	struct sim_world *w = s->world;
	AUTO(buf_release) struct buf why = BUF_INIT;
	struct stream_oracle oracle = {
		.lake = s->lake,
		.layout = &w->kafka.layout,
		.kafka = s->kafka,
		.saw = saw,
		.ctx = s,
		.skips = s->losses,
		.n_skips = w->n_skips,
	};
	static const char *const names[] = {"t0", "t1", "t2"};

	for (unsigned i = 0; i < w->n_skips; i++)
		s->losses[i] = (struct loss){
			.topic = (char *)(uintptr_t)names[w->skips[i].topic],
			.partition = w->skips[i].partition,
			.from = w->skips[i].from,
			.to = w->skips[i].to,
		};
	if (!oracle_check(&oracle, head, &why))
		sim_fail(s, "ingest: %s", buf_str(&why));
}

/* What a branch's cursor says is shown; none: nothing. */
static struct lake_id shown_by(struct sim *s, const char *branch)
{
	struct lake_id head = {{0}};
	struct cursor cursor = {0};
	struct err err = ERR_INIT;
	enum status st = sim_head(s, branch, &head);

	if (st == ST_OK)
		st = cursor_read(s->lake, &head, s->config.name, &cursor, &err);
	if (st != ST_OK && st != ST_NOT_FOUND)
		sim_fail(s, "%s's cursor: %s", branch, err.text);
	return st == ST_OK ? cursor.checkpoint : (struct lake_id){{0}};
}

static void check_shown(struct sim *s)
{
	struct sim_world *w = s->world;
	struct lake_id target = shown_by(s, s->config.target);
	struct lake_id published = shown_by(s, s->config.published);
	bool known = lake_id_equal(&target, &w->shown);

	if (!lake_id_equal(&target, &published))
		sim_fail(s, "publication branch and target show different checkpoints");
	for (unsigned i = 0; i < w->n_candidates; i++)
		known = known || lake_id_equal(&target, &w->candidates[i]);
	if (!known)
		sim_fail(s, "the target shows a checkpoint that it must not show");
	w->shown = target;
	w->n_candidates = 0;
}

static void check_notes(struct sim *s, const struct lake_id *target)
{
	struct sim_world *w = s->world;
	unsigned n = 0;

	for (;; n++) {
		AUTO(freep) char *path = xasprintf("notes/n%03u", n);
		AUTO(lake_entry_release) struct lake_entry entry = {0};

		if (lake_stat(s->lake, target, path, &entry, NULL) != ST_OK)
			break;
	}
	if (n != w->notes && !(w->noting && n == w->notes + 1))
		sim_fail(s, "the target has %u of %u files of others", n, w->notes);
	w->notes = n;
	w->noting = false;
}

static void check_target(struct sim *s)
{
	struct sim_world *w = s->world;
	AUTO(file_list_release) struct file_list there = {0};
	AUTO(file_list_release) struct file_list wanted = {0};
	AUTO(buf_release) struct buf why = BUF_INIT;
	struct lake_id target;

	if (sim_head(s, s->config.target, &target) != ST_OK)
		sim_fail(s, "the target is gone");
	if (!oracle_files(s->lake, &target, "notes/", &there, &why) ||
	    (!lake_id_is_none(&w->shown) && !oracle_files(s->lake, &w->shown, NULL, &wanted, &why)))
		sim_fail(s, "%s", buf_str(&why));
	if (file_list_subset(&there, &wanted) && file_list_subset(&wanted, &there)) {
		w->tampered = false;
	} else {
		if (!w->tampered && !w->tampering)
			sim_fail(s, "the target's files are not those of the checkpoint shown");
		w->tampered = true;
	}
	w->tampering = false;
	check_notes(s, &target);
}

/* The product's own check: what `tidemark fsck` runs finds nothing. */
static void check_fsck(struct sim *s)
{
	AUTO(lake_fsck_report_release) struct lake_fsck_report report = {.n = 0};
	const struct lake_fsck_options options = {.quick = true, .visit = history_verify};
	struct err err = ERR_INIT;

	if (lake_fsck(s->lake, &options, &report, &err) != ST_OK)
		sim_fail(s, "fsck: %s", err.text);
	if (report.damaged)
		sim_fail(s, "fsck: %s %s: %s", report.items[0].kind, report.items[0].name,
			 report.items[0].text);
}

void sim_check(struct sim *s)
{
	struct lake_id head;

	check_fsck(s);
	sim_check_cut(s);
	if (sim_head(s, s->config.branch, &head) == ST_OK)
		check_ingest(s, &head);
	check_shown(s);
	check_target(s);
}
