/* What publishing and rollback cost on a long history:
 *
 *   5,000 publishes from one long-lived branch, the last 100 beside the first 100
 *   rollbacks over 10, 1,000 and 10,000 checkpoints, plan and pointer work apart
 *
 * Beside each the bare disk in the same run: what one commit's durability costs
 * without a lake (tests/lib/bench.h). Medians, ms. Checkpoints have one small file.
 *
 * usage: bench_publish FOLDER [PUBLISHES [CHECKPOINTS]]     (on the disk that matters) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connector/history/ingest.h"
#include "connector/history/publish.h"
#include "connector/history/rollback.h"
#include "tests/lib/bench.h"

#define AT_EACH_END 100
#define NEAR_ROUNDS 11
#define MIDDLE_ROUNDS 5
#define FAR_ROUNDS 3
#define BARE_ROUNDS 5

struct bench {
	struct lake *lake;
	struct bare *bare;
	struct samples bare_us;
	struct ingest ingest;
	struct ingest_options options;
	struct line line;
	struct rng rng;
	int64_t next;
};

static void open_bench(struct bench *b, const char *folder, const char *name)
{
	const struct lake_options options = {.access = LAKE_OWN, .create = true};
	AUTO(freep) char *url = xasprintf("%s/%s", folder, name);
	struct checkpoint start = {.cluster = xstrdup("bench")};
	struct err err = ERR_INIT;

	*b = (struct bench){.rng = rng_seeded(1)};
	b->bare = bare_open(folder);
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
	offsets_set(&start.offsets, "orders", 0, 0);
	bench_check(ingest_start(&b->ingest, &b->options, &start, &err), &err);
	checkpoint_release(&start);
}

static void close_bench(struct bench *b)
{
	ingest_close(&b->ingest);
	lake_close(b->lake);
	bare_close(b->bare);
	samples_release(&b->bare_us);
}

static void one_checkpoint(struct bench *b)
{
	AUTO(batch_release) struct batch batch = BATCH_INIT;
	AUTO(freep) char *text = xasprintf("%lld\n", (long long)b->next);
	struct written_file *f;
	struct err err = ERR_INIT;

	ranges_add(&batch.ranges, "orders", 0, b->next, b->next + 100);
	GROW(batch.files.items, batch.files.n, batch.files.cap);
	f = &batch.files.items[batch.files.n++];
	*f = (struct written_file){
		.path = xasprintf("topics/orders/partition=0/orders+0+%010lld.json",
				  (long long)b->next),
		.content_type = "application/json",
	};
	lake_meta_set(&f->meta, "tidemark.offsets", "0-99");
	bench_check(lake_upload_open(b->lake, &f->upload, &err), &err);
	bench_check(lake_upload_write(f->upload, text, strlen(text), &err), &err);
	bench_check(lake_upload_finish(f->upload, &err), &err);
	batch.records = 100;
	batch_id_new(&b->rng, batch.id);
	bench_check(ingest_commit(&b->ingest, &batch, &err), &err);
	b->next += 100;
}

static double one_publish(struct bench *b)
{
	static const struct publish_request newest = {.judge = NULL};
	AUTO(publish_result_release) struct publish_result result = {.checkpoints = 0};
	struct err err = ERR_INIT;
	double start = bench_now_us();

	bench_check(publish(&b->line, &newest, &result, &err), &err);
	return bench_now_us() - start;
}

/* ---- many publishes ---- */

static void measure_publishes(const char *folder, unsigned publishes)
{
	struct bench b;
	struct samples first = {0}, last = {0};
	struct samples bare_first = {0}, bare_last = {0};

	open_bench(&b, folder, "publishes");
	for (unsigned i = 0; i < publishes; i++) {
		double us;

		one_checkpoint(&b);
		us = one_publish(&b);
		if (i < AT_EACH_END) {
			samples_add(&first, us);
			samples_add(&bare_first, bare_commit(b.bare, 4096));
		} else if (i >= publishes - AT_EACH_END) {
			samples_add(&last, us);
			samples_add(&bare_last, bare_commit(b.bare, 4096));
		}
	}
	printf("publishes of one branch (%u)      first %d: %.2f  last %d: %.2f  ratio %.2f\n",
	       publishes, AT_EACH_END, samples_at(&first, 0.5) / 1000, AT_EACH_END,
	       samples_at(&last, 0.5) / 1000, samples_at(&last, 0.5) / samples_at(&first, 0.5));
	printf("  bare commits beside them          %.2f             %.2f  ratio %.2f\n",
	       samples_at(&bare_first, 0.5) / 1000, samples_at(&bare_last, 0.5) / 1000,
	       samples_at(&bare_last, 0.5) / samples_at(&bare_first, 0.5));
	fflush(stdout);
	samples_release(&first);
	samples_release(&last);
	samples_release(&bare_first);
	samples_release(&bare_last);
	close_bench(&b);
}

/* ---- rollbacks ---- */

static enum status all_there(void *ctx, const struct offsets *wanted, struct kafka_bounds *out,
			     struct err *err)
{
	(void)ctx;
	(void)err;
	offsets_set(&out->earliest, wanted->items[0].topic, 0, 0);
	offsets_set(&out->latest, wanted->items[0].topic, 0, 1LL << 40);
	topic_states_set(&out->topics, "orders", "id", 0);
	return ST_OK;
}

struct rollback_times {
	struct samples plan, apply, bare;
};

/* One rollback of the line as it stands. */
static void one_rollback(struct bench *b, const struct rollback_request *request,
			 struct rollback_times *times)
{
	struct rollback_plan plan;
	struct rollback_result result;
	struct err err = ERR_INIT;
	double start = bench_now_us(), planned;

	bench_check(rollback_plan_make(&b->line, request, &plan, &err), &err);
	planned = bench_now_us();
	bench_check(rollback_apply(&b->line, &plan, &result, &err), &err);
	if (times) {
		samples_add(&times->plan, planned - start);
		samples_add(&times->apply, bench_now_us() - planned);
		for (int i = 0; i < BARE_ROUNDS; i++)
			samples_add(&times->bare, bare_commit(b->bare, 4096));
	}
	if (request->mode == ROLLBACK_RESET && plan.mode != ROLLBACK_RESET)
		bench_die("a reset became a revert");
	rollback_plan_release(&plan);
	bench_check(ingest_refresh(&b->ingest, &err), &err);
	b->next = offsets_get(&b->ingest.head.offsets, "orders", 0);
}

/* Back over so many; then, by revert, undone again, so that the line stays as long. A reset
 * leaves it shorter: the target's commits are gone. */
static void measure_rollbacks(struct bench *b, unsigned back, unsigned rounds,
			      enum rollback_mode mode)
{
	AUTO(freep) char *to = xasprintf("ingest-bench~%u", back);
	const char *name = to;
	const struct rollback_request request = {
		.to = &name, .n_to = 1, .mode = mode, .ask = all_there};
	const struct rollback_request undo = {.undo = true, .ask = all_there};
	struct rollback_times times = {.plan = {0}};

	for (unsigned i = 0; i < rounds; i++) {
		one_rollback(b, &request, &times);
		if (mode == ROLLBACK_REVERT)
			one_rollback(b, &undo, NULL);
	}
	printf("rollback over %5u, %s      pointer work %.2f (%u)  plan %.2f  bare commit %.2f\n",
	       back, mode == ROLLBACK_RESET ? "reset " : "revert",
	       samples_at(&times.apply, 0.5) / 1000, rounds, samples_at(&times.plan, 0.5) / 1000,
	       samples_at(&times.bare, 0.5) / 1000);
	fflush(stdout);
	samples_release(&times.plan);
	samples_release(&times.apply);
	samples_release(&times.bare);
}

static void fill(struct bench *b, unsigned checkpoints)
{
	for (unsigned i = 0; i < checkpoints; i++) {
		one_checkpoint(b);
		one_publish(b);
	}
}

int main(int argc, char **argv)
{
	unsigned publishes = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 5000;
	unsigned far = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 10000;
	struct bench b;

	if (argc < 2) {
		fprintf(stderr, "usage: bench_publish FOLDER [PUBLISHES [CHECKPOINTS]]\n");
		return 2;
	}
	measure_publishes(argv[1], publishes);
	open_bench(&b, argv[1], "rollbacks");
	fill(&b, FAR_ROUNDS * far + MIDDLE_ROUNDS * (far / 10) + NEAR_ROUNDS * 10 + 100);
	/* each leaves the line shorter by what it went over */
	measure_rollbacks(&b, 10, NEAR_ROUNDS, ROLLBACK_RESET);
	measure_rollbacks(&b, far / 10, MIDDLE_ROUNDS, ROLLBACK_RESET);
	measure_rollbacks(&b, far, FAR_ROUNDS, ROLLBACK_RESET);
	close_bench(&b);
	open_bench(&b, argv[1], "reverts");
	fill(&b, far + 100);
	measure_rollbacks(&b, 10, NEAR_ROUNDS, ROLLBACK_REVERT);
	measure_rollbacks(&b, far / 10, MIDDLE_ROUNDS, ROLLBACK_REVERT);
	measure_rollbacks(&b, far, FAR_ROUNDS, ROLLBACK_REVERT);
	close_bench(&b);
	return 0;
}
