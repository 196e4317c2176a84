#include "core/embedded/gc.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/killpoint.h"

/* Where so much is gone, the rest is packed at once and not when it comes to
 * it. */
#define PACK_BYTES (64u << 20)
#define PACK_SHARE 10 /* a tenth */
#define PACK_PART_BYTES (256u << 20) /* so that a stop need not wait for all */

enum status gc_goes_on(struct gc *gc, struct err *err)
{
	const struct lake_gc_progress progress = {.step = gc->step, .done = gc->done};

	atomic_store(&gc->e->maintained.objects, gc->done_before + gc->done);
	atomic_store(&gc->e->maintained.bytes, gc->report.object_bytes);
	if (!gc->options->dry_run) {
		enum status st = space_above_floor(&gc->e->space, err);

		if (st != ST_OK)
			return st;
	}
	if (!atomic_load(&gc->e->closing) &&
	    (!gc->options->progress || gc->options->progress(gc->options->ctx, &progress)))
		return ST_OK;
	return err_set(err, ST_INTERRUPTED,
		       "gc was stopped; the next one goes on where this one ended");
}

void gc_step(struct gc *gc, const char *step)
{
	gc->step = step;
	gc->done_before += gc->done;
	gc->done = 0;
}

static void gc_release(struct gc *gc)
{
	mark_set_free(gc->kept);
	mark_set_free(gc->history);
	mark_set_free(gc->objects);
	mark_set_free(gc->old_objects);
	free(gc->stack);
	free(gc->old_trees);
}

/* ---- giving room back ---- */

static enum status pack(struct gc *gc, char kind, const struct lake_gc_count *count,
			struct err *err)
{
	AUTO(buf_release) struct buf prefix = BUF_INIT;
	uint64_t size, room = 0;
	unsigned parts;
	enum status st = ST_OK;

	if (count->freed == 0 || (count->freed_bytes < PACK_BYTES &&
				  count->freed < (count->kept + count->freed) / PACK_SHARE))
		return ST_OK;
	buf_addc(&prefix, kind);
	size = db_size(gc->e->db, &prefix);
	parts = (unsigned)(size / PACK_PART_BYTES < 255 ? size / PACK_PART_BYTES + 1 : 256);
	for (unsigned i = 0; st == ST_OK && i < parts; i++) {
		st = space_to_pack(&gc->e->space, &room, err);
		/* A full disk is RocksDB's end: it packs by itself when it can. */
		if (st != ST_OK || room < size / parts)
			return st;
		db_compact(gc->e->db, &prefix, i, parts);
		gc->done++;
		st = gc_goes_on(gc, err);
	}
	return st;
}

static enum status pack_all(struct gc *gc, struct err *err)
{
	enum status st;

	gc_step(gc, "compact");
	st = pack(gc, 'c', &gc->report.commits, err);
	if (st == ST_OK)
		st = pack(gc, 'n', &gc->report.nodes, err);
	return st == ST_OK ? pack(gc, 'b', &gc->report.small, err) : st;
}

static enum status free_garbage(struct gc *gc, struct err *err)
{
	enum status st = gc_mark(gc, err);

	if (st == ST_OK)
		st = gc_sweep(gc, err);
	if (st == ST_OK)
		st = gc_sweep_files(gc, err);
	gc->report.memory_bytes = mark_set_bytes(gc->kept) + mark_set_bytes(gc->history) +
				  mark_set_bytes(gc->objects) + mark_set_bytes(gc->old_objects);
	gate_epoch_end(&gc->e->gate);
	if (st != ST_OK || gc->options->dry_run)
		return st;
	db_sync(gc->e->db);
	KILL_POINT("gc.end");
	return pack_all(gc, err);
}

/* ---- what is old ---- */

static enum status add_commit(struct gc *gc, const struct commit *c, void *ctx, struct err *err)
{
	(void)gc;
	(void)err;
	gc_times_add(ctx, c->public.time_ms);
	return ST_OK;
}

static enum status add_entry(void *ctx, const struct lake_reflog_entry *entry, struct err *err)
{
	(void)err;
	gc_times_add(ctx, entry->time_ms);
	return ST_OK;
}

/* When the lake was written to, as far as it says so itself. */
static enum status read_times(struct gc *gc, struct gc_times *out, struct err *err)
{
	enum status st = gc_each_commit(gc, add_commit, out, err);

	if (st == ST_OK)
		st = embedded_reflog_each(gc->e, add_entry, out, err);
	gc_times_sort(out);
	return st;
}

/* retain_ms 0: INT64_MAX, all is old. */
static int64_t aged_before(const struct gc *gc, const struct gc_times *times, int64_t retain_ms)
{
	if (retain_ms == 0)
		return INT64_MAX;
	return gc->options->trust_clock ? gc->now_ms - retain_ms
					: gc_aged_before(times, gc->now_ms, retain_ms);
}

static enum status find_ages(struct gc *gc, struct err *err)
{
	const struct lake_gc_options *o = gc->options;
	AUTO(gc_times_release) struct gc_times times = {.n = 0};
	int64_t shown_ms = o->history_retain_ms > o->grace_ms ? o->history_retain_ms : o->grace_ms;
	enum status st = o->trust_clock ? ST_OK : read_times(gc, &times, err);
	int64_t oldest_ms;

	if (st != ST_OK)
		return st;
	gc->young_from_ms = aged_before(gc, &times, o->grace_ms);
	gc->logged_from_ms = aged_before(gc, &times, o->reflog_retain_ms);
	if (o->history_retain_ms == 0)
		return ST_OK;
	gc->shown_from_ms = aged_before(gc, &times, shown_ms);
	oldest_ms =
		times.n && gc->shown_from_ms < times.items[0] ? times.items[0] : gc->shown_from_ms;
	if (oldest_ms < gc->now_ms - shown_ms)
		gc->report.uncounted_ms = gc->now_ms - shown_ms - oldest_ms;
	return ST_OK;
}

/* ---- one run ---- */

static enum status collect(struct embedded *e, const struct lake_gc_options *options,
			   struct lake_gc_report *out, struct err *err)
{
	struct rng rng = rng_system();
	int64_t start_us = e->clock->mono_us(e->clock);
	AUTO(gc_release)
	struct gc gc = {
		.e = e,
		.options = options,
		.keep_len = options->keep_prefix ? strlen(options->keep_prefix) : 0,
		.now_ms = e->clock->wall_ms(e->clock),
		.reflog_from = UINT64_MAX,
		.shown_from_ms = INT64_MIN,
		.kept = mark_set_new(MARK_EXACT, 0),
		.history = mark_set_new(MARK_EXACT, 0),
		.objects = mark_set_new(MARK_SHORT, rng_next(&rng)),
		.old_objects = mark_set_new(MARK_SHORT, rng_next(&rng)),
	};
	enum status st;

	gc_step(&gc, "mark");
	st = gc_goes_on(&gc, err); /* a disk that is full already */
	if (st == ST_OK)
		st = find_ages(&gc, err);
	if (st == ST_OK)
		st = free_garbage(&gc, err);
	if (st != ST_OK)
		return st;
	gc.report.elapsed_ms = (e->clock->mono_us(e->clock) - start_us) / 1000;
	*out = gc.report;
	return ST_OK;
}

enum status embedded_gc(struct lake *lake, const struct lake_gc_options *options,
			struct lake_gc_report *out, struct err *err)
{
	struct embedded *e = embedded_of(lake);
	enum status st = embedded_maintain_begin(e, "gc", err);

	if (st != ST_OK)
		return st;
	st = collect(e, options, out, err);
	embedded_maintain_end(e);
	return st;
}
