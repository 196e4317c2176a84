#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/history_steps.h"
#include "tests/lib/must.h"

void history_start(struct history *h, struct lake *lake, const char *name, int partitions)
{
	AUTO(checkpoint_release) struct checkpoint start = {0};
	struct lake_move move = {.kind = LAKE_BRANCH};

	*h = (struct history){
		.lake = lake,
		.rng = rng_seeded(7),
		.name = xstrdup(name),
		.branch = xasprintf("ingest-%s", name),
		.published = xasprintf("published-%s", name),
		.target = xasprintf("main-%s", name),
	};
	move.name = h->target;
	MUST(lake_first_commit(lake, "main", &move.to, &err));
	MUST(lake_refs_move(lake, &move, 1, "test", &err));
	h->line = (struct line){lake, h->name, "", "", "", "topics", &h->rng};
	h->line.branch = h->branch;
	h->line.target = h->target;
	h->line.published = h->published;
	h->options = (struct ingest_options){
		.lake = lake,
		.connector = h->name,
		.branch = h->branch,
		.target = h->target,
		.published = h->published,
		.rng = &h->rng,
	};
	for (int p = 0; p < partitions; p++)
		offsets_set(&start.offsets, "t", p, 0);
	topic_states_set(&start.topics, "t", "id", 0);
	start.cluster = xstrdup("cluster");
	MUST(ingest_start(&h->ingest, &h->options, &start, &err));
}

void history_release(struct history *h)
{
	ingest_close(&h->ingest);
	free(h->name);
	free(h->branch);
	free(h->published);
	free(h->target);
}

void history_join(struct ingest *in, const struct history *h)
{
	MUST(ingest_open(in, &h->options, &err));
}

char *history_path(int partition, int64_t from)
{
	return xasprintf("topics/t/partition=%d/t+%d+%" PRId64, partition, partition, from);
}

char *history_text(const struct history *h, int partition, int64_t from, int64_t to)
{
	AUTO(buf_release) struct buf text = BUF_INIT;

	buf_addf(&text, "%d:%" PRId64 "-%" PRId64, partition, from, to);
	while (text.len < h->file_bytes)
		buf_adds(&text, "................");
	return buf_detach(&text);
}

void history_batch(struct history *h, struct batch *b, int partition, int64_t from, int64_t to)
{
	AUTO(freep) char *text = history_text(h, partition, from, to);
	AUTO(freep) char *rows = xasprintf("%" PRId64 "-%" PRId64, from, to - 1);
	struct written_file *f;

	*b = (struct batch)BATCH_INIT;
	batch_id_new(&h->rng, b->id);
	ranges_add(&b->ranges, "t", partition, from, to)->leader_epoch = 1;
	GROW(b->files.items, b->files.n, b->files.cap);
	f = &b->files.items[b->files.n++];
	*f = (struct written_file){.path = history_path(partition, from), .content_type = ""};
	lake_meta_set(&f->meta, "tidemark.offsets", rows);
	MUST(lake_upload_open(h->lake, &f->upload, &err));
	MUST(lake_upload_write(f->upload, text, strlen(text), &err));
	MUST(lake_upload_finish(f->upload, &err));
	b->records = (uint64_t)(to - from);
	b->timestamp_least = 1000 * from;
	b->timestamp_greatest = 1000 * (to - 1);
}

void history_commit(struct history *h, struct ingest *in, int partition, int64_t from, int64_t to)
{
	AUTO(batch_release) struct batch b = BATCH_INIT;

	history_batch(h, &b, partition, from, to);
	MUST(ingest_commit(in, &b, &err));
}

enum status history_ask(void *ctx, const struct offsets *wanted, struct kafka_bounds *out,
			struct err *err)
{
	(void)ctx;
	(void)err;
	*out = (struct kafka_bounds){.earliest = OFFSETS_INIT};
	for (size_t i = 0; i < wanted->n; i++) {
		const struct offset_item *w = &wanted->items[i];

		offsets_set(&out->earliest, w->topic, w->partition, 0);
		offsets_set(&out->latest, w->topic, w->partition, 1000000);
	}
	topic_states_set(&out->topics, "t", "id", 0);
	return ST_OK;
}
