#include "tests/lib/bench_line.h"

#include <stdlib.h>
#include <string.h>

void bench_line_open(struct bench_line *b, const char *folder, const char *name, int partitions)
{
	const struct lake_options options = {.access = LAKE_OWN, .create = true};
	AUTO(freep) char *url = xasprintf("%s/%s", folder, name);
	struct checkpoint start = {.cluster = xstrdup("bench")};
	struct err err = ERR_INIT;

	*b = (struct bench_line){.rng = rng_seeded(1), .partitions = partitions};
	bench_check(lake_open(url, &options, &b->lake, &err), &err);
	b->options = (struct ingest_options){
		.lake = b->lake,
		.connector = "bench",
		.branch = "ingest-bench",
		.target = "main",
		.published = "published-bench-main",
		.rng = &b->rng,
	};
	b->line = (struct line){b->lake,  "bench", "ingest-bench", "main", "published-bench-main",
				"topics", &b->rng};
	topic_states_set(&start.topics, "orders", "id", 0);
	for (int p = 0; p < partitions; p++)
		offsets_set(&start.offsets, "orders", p, 0);
	bench_check(ingest_start(&b->ingest, &b->options, &start, &err), &err);
	checkpoint_release(&start);
}

void bench_line_close(struct bench_line *b)
{
	ingest_close(&b->ingest);
	lake_close(b->lake);
}

/* ---- checkpoints ---- */

static void add_file(struct bench_line *b, struct batch *batch, int partition, int64_t from,
		     const void *content, size_t len)
{
	AUTO(freep) unsigned char *noise = content ? NULL : xmalloc(len + sizeof(uint64_t));
	struct written_file *f;
	struct err err = ERR_INIT;

	for (size_t i = 0; noise && i < len; i += sizeof(uint64_t)) {
		uint64_t word = rng_next(&b->rng);

		memcpy(noise + i, &word, sizeof(word));
	}
	GROW(batch->files.items, batch->files.n, batch->files.cap);
	f = &batch->files.items[batch->files.n++];
	*f = (struct written_file){
		.path = xasprintf("topics/orders/partition=%d/orders+%d+%010lld.avro", partition,
				  partition, (long long)from),
		.content_type = "application/octet-stream",
	};
	lake_meta_set(&f->meta, "tidemark.offsets", "0-99");
	bench_check(lake_upload_open(b->lake, &f->upload, &err), &err);
	bench_check(lake_upload_write(f->upload, noise ? noise : content, len, &err), &err);
	bench_check(lake_upload_finish(f->upload, &err), &err);
}

double bench_line_checkpoint(struct bench_line *b, const void *content, size_t len)
{
	AUTO(batch_release) struct batch batch = BATCH_INIT;
	struct err err = ERR_INIT;
	double start = bench_now_us();

	for (int p = 0; p < b->partitions; p++) {
		int64_t from = offsets_get(&b->ingest.head.offsets, "orders", p);

		ranges_add(&batch.ranges, "orders", p, from, from + 100);
		add_file(b, &batch, p, from, content, len);
	}
	batch.records = 100 * (uint64_t)b->partitions;
	batch_id_new(&b->rng, batch.id);
	bench_check(ingest_commit(&b->ingest, &batch, &err), &err);
	return bench_now_us() - start;
}

double bench_line_publish(struct bench_line *b)
{
	static const struct publish_request newest = {.judge = NULL};
	AUTO(publish_result_release) struct publish_result result = {.checkpoints = 0};
	struct err err = ERR_INIT;
	double start = bench_now_us();

	bench_check(publish(&b->line, &newest, &result, &err), &err);
	return bench_now_us() - start;
}

/* ---- rollbacks ---- */

enum status bench_line_bounds(void *ctx, const struct offsets *wanted, struct kafka_bounds *out,
			      struct err *err)
{
	(void)ctx;
	(void)err;
	for (size_t i = 0; i < wanted->n; i++) {
		offsets_set(&out->earliest, wanted->items[i].topic, wanted->items[i].partition, 0);
		offsets_set(&out->latest, wanted->items[i].topic, wanted->items[i].partition,
			    1LL << 40);
	}
	topic_states_set(&out->topics, "orders", "id", 0);
	return ST_OK;
}

struct bench_rollback bench_line_rollback(struct bench_line *b,
					  const struct rollback_request *request)
{
	struct rollback_plan plan;
	struct rollback_result result;
	struct err err = ERR_INIT;
	struct bench_rollback times;
	double start = bench_now_us(), planned;

	bench_check(rollback_plan_make(&b->line, request, &plan, &err), &err);
	planned = bench_now_us();
	bench_check(rollback_apply(&b->line, &plan, &result, &err), &err);
	times = (struct bench_rollback){planned - start, bench_now_us() - planned};
	if (request->mode == ROLLBACK_RESET && plan.mode != ROLLBACK_RESET)
		bench_die("a reset became a revert");
	rollback_plan_release(&plan);
	bench_check(ingest_refresh(&b->ingest, &err), &err);
	return times;
}
