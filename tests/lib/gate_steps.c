#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/gate_steps.h"
#include "tests/lib/lake_steps.h"
#include "connector/columnar/parquet_file.h"
#include "tests/lib/must.h"
#include "tests/lib/tempdir.h"

void gate_world_open(struct gate_world *w, int partitions)
{
	*w = (struct gate_world){.dir = tempdir_new(), .clock = clock_system()};
	w->lake = open_lake(w->dir);
	history_start(&w->h, w->lake, "c", partitions);
	roots_add(&w->roots, &w->h.line, &w->h.ingest.head);
	MUST(lake_ref_get(w->lake, LAKE_BRANCH, w->h.target, &w->shown, &err));
}

void gate_world_close(struct gate_world *w)
{
	roots_release(&w->roots);
	history_release(&w->h);
	lake_close(w->lake);
	tempdir_remove(&w->dir);
}

int gate_world_setup(void **state)
{
	gate_world_open(*state, 2);
	return 0;
}

int gate_world_teardown(void **state)
{
	gate_world_close(*state);
	return 0;
}

void gate_show(struct gate_world *w)
{
	w->shown = w->from = w->h.ingest.head.id;
}

static void commit_range(struct gate_world *w, struct batch *b, int partition, int64_t from,
			 int64_t to)
{
	batch_id_new(&w->h.rng, b->id);
	ranges_add(&b->ranges, "t", partition, from, to)->leader_epoch = 1;
	b->timestamp_least = 1000 * from;
	b->timestamp_greatest = 1000 * (to - 1);
	MUST(ingest_commit(&w->h.ingest, b, &err));
}

void gate_write(struct gate_world *w, const struct gate_format *format, int partition, int64_t from,
		const char *const *values, size_t n)
{
	AUTO(batch_release) struct batch b = BATCH_INIT;
	struct writer_settings settings = {
		.lake = w->lake,
		.converter = CONVERTER_JSON,
		.format = format ? format->format : FORMAT_JSON,
		.codec = format ? format->codec : CODEC_NULL,
		.schema_json = format ? format->schema : NULL,
		.path_prefix = "topics",
	};
	AUTO(parquet_engine_freep) struct parquet_engine *engine = NULL;
	AUTO(partition_writer_freep) struct partition_writer *writer = NULL;

	if (settings.format == FORMAT_PARQUET) {
		MUST(parquet_engine_new(&engine, &err));
		settings.parquet = engine;
		settings.codec = CODEC_SNAPPY;
	}
	if (settings.format == FORMAT_BYTES)
		settings.converter = CONVERTER_BYTES;
	MUST(writer_settings_check(&settings, &err));
	writer = partition_writer_new(&settings, "t", partition, 0);
	for (size_t i = 0; i < n; i++) {
		struct record r = {
			.topic = "t",
			.partition = partition,
			.offset = from + (int64_t)i,
			.timestamp_ms = 1000 * (from + (int64_t)i),
			.value = values[i],
			.value_len = values[i] ? strlen(values[i]) : 0,
		};
		struct poison poison;

		if (values[i] && strcmp(values[i], "-") == 0)
			continue;
		MUST(partition_writer_append(writer, &r, &poison, &err));
		b.records++;
	}
	MUST(partition_writer_finish(writer, &b.files, &err));
	commit_range(w, &b, partition, from, from + (int64_t)n);
}

void gate_write_raw(struct gate_world *w, const char *path, int partition, int64_t from, int64_t to,
		    const char *offsets, const void *data, size_t len)
{
	AUTO(batch_release) struct batch b = BATCH_INIT;
	struct written_file *f;

	GROW(b.files.items, b.files.n, b.files.cap);
	f = &b.files.items[b.files.n++];
	*f = (struct written_file){.path = xstrdup(path), .content_type = ""};
	if (offsets)
		lake_meta_set(&f->meta, "tidemark.offsets", offsets);
	MUST(lake_upload_open(w->lake, &f->upload, &err));
	MUST(lake_upload_write(f->upload, data, len, &err));
	MUST(lake_upload_finish(f->upload, &err));
	commit_range(w, &b, partition, from, to);
}

enum status gate_judge(struct gate_world *w, const char *properties, struct gate_results *out,
		       struct err *err)
{
	const struct gate_surroundings around = {.connector = "c",
						 .path_prefix = "topics",
						 .fields = true,
						 .schemas = true,
						 .schema = w->schema};
	struct gate_config *gates = NULL;
	struct props props = PROPS_INIT;
	size_t n = 0;
	struct gate_subject subject = {
		.lake = w->lake,
		.connector = "c",
		.target = w->h.target,
		.merged = w->h.ingest.head.id,
		.target_head = w->shown,
		.shown = w->shown,
		.from = w->from,
		.to = w->h.ingest.head.id,
		.roots = &w->roots,
		.history = w->history,
		.n_history = w->n_history,
		.steering = w->steering,
		.clock = w->clock,
		.stop = &w->stop,
	};
	enum status st;

	st = props_parse("test", properties, strlen(properties), &props, err);
	if (st == ST_OK)
		st = gates_configure(&props, &around, &gates, &n, err);
	if (st == ST_OK)
		st = gates_run(gates, n, &subject, out, err);
	/* the results' names are the configuration's */
	for (size_t i = 0; i < out->n; i++)
		out->items[i].name = "";
	gates_config_free(gates, n);
	props_release(&props);
	return st;
}

void gate_expect(struct gate_world *w, enum status wanted, const char *reason,
		 const char *properties)
{
	AUTO(gate_results_release) struct gate_results results = {0};
	struct err err = ERR_INIT;
	enum status st = gate_judge(w, properties, &results, &err);

	if (st != wanted || (reason && !strstr(err.text, reason)))
		fail_msg("%s\n%s, wanted %s with '%s': %s", properties, status_name(st),
			 status_name(wanted), reason ? reason : "", st == ST_OK ? "" : err.text);
}
