/* What checkpoint, branch, publish and rollback cost with a short and a long
 * history, and a checkpoint over 10,000 partitions; beside them the bare fsync
 * of the same disk. Medians, ms.
 *
 * usage: bench_history FOLDER      (on the disk that matters) */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connector/history/publish.h"
#include "connector/history/ingest.h"
#include "connector/history/rollback.h"

#define ROUNDS 21

struct bench {
	struct lake *lake;
	struct ingest ingest;
	struct ingest_options options;
	struct line line;
	struct rng rng;
	struct offsets next;
	int partitions;
};

static void check(enum status st, const struct err *err)
{
	if (st == ST_OK)
		return;
	fprintf(stderr, "bench_history: %s\n", err->text);
	exit(1);
}

static double now_ms(void)
{
	return (double)clock_system()->mono_us(clock_system()) / 1000;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *times, size_t n)
{
	qsort(times, n, sizeof(*times), by_value);
	return times[n / 2];
}

static void open_bench(struct bench *b, const char *folder, const char *name, int partitions)
{
	const struct lake_options options = {.access = LAKE_OWN, .create = true};
	AUTO(freep) char *url = xasprintf("%s/%s", folder, name);
	struct checkpoint start = {.cluster = xstrdup("bench")};
	struct err err = ERR_INIT;

	*b = (struct bench){.rng = rng_seeded(1), .partitions = partitions};
	check(lake_open(url, &options, &b->lake, &err), &err);
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
	for (int p = 0; p < partitions; p++) {
		offsets_set(&start.offsets, "orders", p, 0);
		offsets_set(&b->next, "orders", p, 0);
	}
	check(ingest_start(&b->ingest, &b->options, &start, &err), &err);
	checkpoint_release(&start);
}

static void add_file(struct bench *b, struct batch *batch, int partition, int64_t from)
{
	static unsigned char content[20000];
	struct written_file *f;
	struct lake_upload *up;
	struct err err = ERR_INIT;

	for (size_t i = 0; i + 8 <= sizeof(content); i += 8) {
		uint64_t noise = rng_next(&b->rng);

		memcpy(content + i, &noise, 8);
	}
	check(lake_upload_open(b->lake, &up, &err), &err);
	check(lake_upload_write(up, content, b->partitions > 100 ? 100 : sizeof(content), &err),
	      &err);
	check(lake_upload_finish(up, &err), &err);
	GROW(batch->files.items, batch->files.n, batch->files.cap);
	f = &batch->files.items[batch->files.n++];
	*f = (struct written_file){
		.path = xasprintf("topics/orders/partition=%d/orders+%d+%010lld.avro", partition,
				  partition, (long long)from),
		.upload = up,
		.content_type = "application/octet-stream",
	};
	lake_meta_set(&f->meta, "tidemark.offsets", "0-99");
}

/* One checkpoint of every partition; returns its ms. */
static double one_checkpoint(struct bench *b)
{
	struct batch batch = BATCH_INIT;
	struct err err = ERR_INIT;
	double start = now_ms();

	for (int p = 0; p < b->partitions; p++) {
		int64_t from = offsets_get(&b->next, "orders", p);

		ranges_add(&batch.ranges, "orders", p, from, from + 100);
		offsets_set(&b->next, "orders", p, from + 100);
		add_file(b, &batch, p, from);
	}
	batch.records = 100 * (uint64_t)b->partitions;
	batch_id_new(&b->rng, batch.id);
	check(ingest_commit(&b->ingest, &batch, &err), &err);
	batch_release(&batch);
	return now_ms() - start;
}

static double one_publish(struct bench *b)
{
	static const struct publish_request newest = {.judge = NULL};
	struct publish_result result;
	struct err err = ERR_INIT;
	double start = now_ms();

	check(publish(&b->line, &newest, &result, &err), &err);
	return now_ms() - start;
}

static double one_branch(struct bench *b, int i)
{
	AUTO(freep)
	char *name = xasprintf("try-%d-%llu", i, (unsigned long long)b->ingest.head.sequence);
	const struct lake_move move = {LAKE_BRANCH, name, {{0}}, b->ingest.head.id};
	struct err err = ERR_INIT;
	double start = now_ms();

	check(lake_refs_move(b->lake, &move, 1, "bench", &err), &err);
	return now_ms() - start;
}

static enum status all_there(void *ctx, const struct offsets *wanted, struct kafka_bounds *out,
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

/* A rollback to so many checkpoints back, plan and all; then it goes on. */
static double one_rollback(struct bench *b, const char *to, enum rollback_mode mode)
{
	const struct rollback_request request = {
		.to = &to, .n_to = 1, .mode = mode, .ask = all_there};
	struct rollback_plan plan;
	struct rollback_result result;
	struct err err = ERR_INIT;
	double start = now_ms(), ms;

	check(rollback_plan_make(&b->line, &request, &plan, &err), &err);
	check(rollback_apply(&b->line, &plan, &result, &err), &err);
	ms = now_ms() - start;
	rollback_plan_release(&plan);
	check(ingest_refresh(&b->ingest, &err), &err);
	offsets_copy(&b->next, &b->ingest.head.offsets);
	return ms;
}

static void measure(struct bench *b, const char *label)
{
	double checkpoint[ROUNDS], branch[ROUNDS], merge[ROUNDS], revert[ROUNDS], reset[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		checkpoint[i] = one_checkpoint(b);
		branch[i] = one_branch(b, i);
		merge[i] = one_publish(b);
	}
	for (int i = 0; i < ROUNDS; i++) {
		one_checkpoint(b);
		one_checkpoint(b);
		one_publish(b);
		revert[i] = one_rollback(b, "ingest-bench~2", ROLLBACK_REVERT);
		one_checkpoint(b);
		one_publish(b);
		one_checkpoint(b);
		one_publish(b);
		reset[i] = one_rollback(b, "ingest-bench~1", ROLLBACK_RESET);
	}
	printf("%-24s checkpoint %.2f  branch %.2f  publish %.2f  rollback revert %.2f  reset "
	       "%.2f\n",
	       label, median(checkpoint, ROUNDS), median(branch, ROUNDS), median(merge, ROUNDS),
	       median(revert, ROUNDS), median(reset, ROUNDS));
	fflush(stdout);
}

static void close_bench(struct bench *b)
{
	ingest_close(&b->ingest);
	offsets_release(&b->next);
	lake_close(b->lake);
}

/* What four files and one log entry cost without a lake: 4 x (write 20 KB, fsync,
 * fsync of the folder) and one more appended fsync. */
static void bare_fsyncs(const char *folder)
{
	static const char content[20000];
	double times[ROUNDS];
	int dir = open(folder, O_RDONLY | O_DIRECTORY);

	for (int i = 0; i < ROUNDS; i++) {
		double start = now_ms();

		for (int k = 0; k < 5; k++) {
			AUTO(freep) char *path = xasprintf("%s/fsync-%d", folder, k);
			int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);

			if (fd < 0 || write(fd, content, sizeof(content)) < 0 || fsync(fd) ||
			    fsync(dir))
				exit(1);
			close(fd);
			unlink(path);
		}
		times[i] = now_ms() - start;
	}
	close(dir);
	printf("%-24s %.2f (five files of 20 KB, each with fsync of file and folder)\n",
	       "bare fsyncs", median(times, ROUNDS));
}

int main(int argc, char **argv)
{
	struct bench b;
	double wide[5];

	if (argc < 2) {
		fprintf(stderr, "usage: bench_history FOLDER\n");
		return 2;
	}
	bare_fsyncs(argv[1]);
	open_bench(&b, argv[1], "history", 4);
	for (int i = 0; i < 10; i++)
		one_checkpoint(&b);
	measure(&b, "10 checkpoints");
	while (b.ingest.head.sequence < 1000)
		one_checkpoint(&b);
	measure(&b, "1,000 checkpoints");
	close_bench(&b);
	open_bench(&b, argv[1], "wide", 10000);
	for (int i = 0; i < 5; i++)
		wide[i] = one_checkpoint(&b);
	printf("%-24s checkpoint %.0f\n", "10,000 partitions", median(wide, 5));
	close_bench(&b);
	return 0;
}
