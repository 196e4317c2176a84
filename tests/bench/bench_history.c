/* What checkpoint, branch, publish and rollback cost with a short and a long
 * history, and a checkpoint over 10,000 partitions; beside them the bare fsync
 * of the same disk. Medians, ms.
 *
 * usage: bench_history FOLDER      (on the disk that matters) */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/lib/bench_line.h"

#define ROUNDS 21
#define FILE_BYTES 20000
#define WIDE_FILE_BYTES 100 /* of a line with many partitions */

/* Empties them. */
static double median_ms(struct samples *us)
{
	double ms = samples_at(us, 0.5) / 1000;

	samples_release(us);
	return ms;
}

static double one_checkpoint(struct bench_line *b)
{
	return bench_line_checkpoint(b, NULL, b->partitions > 100 ? WIDE_FILE_BYTES : FILE_BYTES);
}

static double one_branch(struct bench_line *b, int i)
{
	AUTO(freep)
	char *name = xasprintf("try-%d-%llu", i, (unsigned long long)b->ingest.head.sequence);
	const struct lake_move move = {LAKE_BRANCH, name, {{0}}, b->ingest.head.id};
	struct err err = ERR_INIT;
	double start = bench_now_us();

	bench_check(lake_refs_move(b->lake, &move, 1, "bench", &err), &err);
	return bench_now_us() - start;
}

/* To so many checkpoints back, plan and all. */
static double one_rollback(struct bench_line *b, const char *to, enum rollback_mode mode)
{
	const struct rollback_request request = {
		.to = &to, .n_to = 1, .mode = mode, .ask = bench_line_bounds};
	const struct bench_rollback us = bench_line_rollback(b, &request);

	return us.plan_us + us.apply_us;
}

static void measure(struct bench_line *b, const char *label)
{
	struct samples checkpoint = {0}, branch = {0}, merge = {0}, revert = {0}, reset = {0};

	for (int i = 0; i < ROUNDS; i++) {
		samples_add(&checkpoint, one_checkpoint(b));
		samples_add(&branch, one_branch(b, i));
		samples_add(&merge, bench_line_publish(b));
	}
	for (int i = 0; i < ROUNDS; i++) {
		one_checkpoint(b);
		one_checkpoint(b);
		bench_line_publish(b);
		samples_add(&revert, one_rollback(b, "ingest-bench~2", ROLLBACK_REVERT));
		one_checkpoint(b);
		bench_line_publish(b);
		one_checkpoint(b);
		bench_line_publish(b);
		samples_add(&reset, one_rollback(b, "ingest-bench~1", ROLLBACK_RESET));
	}
	printf("%-24s checkpoint %.2f  branch %.2f  publish %.2f  rollback revert %.2f  reset "
	       "%.2f\n",
	       label, median_ms(&checkpoint), median_ms(&branch), median_ms(&merge),
	       median_ms(&revert), median_ms(&reset));
	fflush(stdout);
}

/* What four files and one log entry cost without a lake: 4 x (write 20 KB, fsync,
 * fsync of the folder) and one more appended fsync. */
static void bare_fsyncs(const char *folder)
{
	static const char content[20000];
	struct samples us = {0};
	int dir = open(folder, O_RDONLY | O_DIRECTORY);

	for (int i = 0; i < ROUNDS; i++) {
		double start = bench_now_us();

		for (int k = 0; k < 5; k++) {
			AUTO(freep) char *path = xasprintf("%s/fsync-%d", folder, k);
			int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);

			if (fd < 0 || write(fd, content, sizeof(content)) < 0 || fsync(fd) ||
			    fsync(dir))
				bench_die("the bare disk");
			close(fd);
			unlink(path);
		}
		samples_add(&us, bench_now_us() - start);
	}
	close(dir);
	printf("%-24s %.2f (five files of 20 KB, each with fsync of file and folder)\n",
	       "bare fsyncs", median_ms(&us));
}

int main(int argc, char **argv)
{
	struct bench_line b;
	struct samples wide = {0};

	if (argc < 2) {
		fprintf(stderr, "usage: bench_history FOLDER\n");
		return 2;
	}
	bare_fsyncs(argv[1]);
	bench_line_open(&b, argv[1], "history", 4);
	for (int i = 0; i < 10; i++)
		one_checkpoint(&b);
	measure(&b, "10 checkpoints");
	while (b.ingest.head.sequence < 1000)
		one_checkpoint(&b);
	measure(&b, "1,000 checkpoints");
	bench_line_close(&b);
	bench_line_open(&b, argv[1], "wide", 10000);
	for (int i = 0; i < 5; i++)
		samples_add(&wide, one_checkpoint(&b));
	printf("%-24s checkpoint %.0f\n", "10,000 partitions", median_ms(&wide));
	bench_line_close(&b);
	return 0;
}
