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

#include "tests/lib/bench_line.h"

#define AT_EACH_END 100
#define NEAR_ROUNDS 11
#define MIDDLE_ROUNDS 5
#define FAR_ROUNDS 3
#define BARE_ROUNDS 5

static void one_checkpoint(struct bench_line *b)
{
	AUTO(freep) char *text = xasprintf("%llu\n", (unsigned long long)b->ingest.head.sequence);

	bench_line_checkpoint(b, text, strlen(text));
}

/* ---- many publishes ---- */

static void measure_publishes(const char *folder, unsigned publishes)
{
	struct bench_line b;
	struct bare *bare = bare_open(folder);
	struct samples first = {0}, last = {0};
	struct samples bare_first = {0}, bare_last = {0};

	bench_line_open(&b, folder, "publishes", 1);
	for (unsigned i = 0; i < publishes; i++) {
		double us;

		one_checkpoint(&b);
		us = bench_line_publish(&b);
		if (i < AT_EACH_END) {
			samples_add(&first, us);
			samples_add(&bare_first, bare_commit(bare, 4096));
		} else if (i >= publishes - AT_EACH_END) {
			samples_add(&last, us);
			samples_add(&bare_last, bare_commit(bare, 4096));
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
	bare_close(bare);
	bench_line_close(&b);
}

/* ---- rollbacks ---- */

/* Back over so many; then, by revert, undone again, so that the line stays as long. A reset
 * leaves it shorter: the target's commits are gone. */
static void measure_rollbacks(struct bench_line *b, struct bare *bare, unsigned back,
			      unsigned rounds, enum rollback_mode mode)
{
	AUTO(freep) char *to = xasprintf("ingest-bench~%u", back);
	const char *name = to;
	const struct rollback_request request = {
		.to = &name, .n_to = 1, .mode = mode, .ask = bench_line_bounds};
	const struct rollback_request undo = {.undo = true, .ask = bench_line_bounds};
	struct samples plan = {0}, apply = {0}, beside = {0};

	for (unsigned i = 0; i < rounds; i++) {
		const struct bench_rollback us = bench_line_rollback(b, &request);

		samples_add(&plan, us.plan_us);
		samples_add(&apply, us.apply_us);
		for (int k = 0; k < BARE_ROUNDS; k++)
			samples_add(&beside, bare_commit(bare, 4096));
		if (mode == ROLLBACK_REVERT)
			bench_line_rollback(b, &undo);
	}
	printf("rollback over %5u, %s      pointer work %.2f (%u)  plan %.2f  bare commit %.2f\n",
	       back, mode == ROLLBACK_RESET ? "reset " : "revert", samples_at(&apply, 0.5) / 1000,
	       rounds, samples_at(&plan, 0.5) / 1000, samples_at(&beside, 0.5) / 1000);
	fflush(stdout);
	samples_release(&plan);
	samples_release(&apply);
	samples_release(&beside);
}

static void fill(struct bench_line *b, unsigned checkpoints)
{
	for (unsigned i = 0; i < checkpoints; i++) {
		one_checkpoint(b);
		bench_line_publish(b);
	}
}

int main(int argc, char **argv)
{
	unsigned publishes = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 5000;
	unsigned far = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 10000;
	struct bench_line b;
	struct bare *bare;

	if (argc < 2) {
		fprintf(stderr, "usage: bench_publish FOLDER [PUBLISHES [CHECKPOINTS]]\n");
		return 2;
	}
	measure_publishes(argv[1], publishes);
	bare = bare_open(argv[1]);
	bench_line_open(&b, argv[1], "rollbacks", 1);
	fill(&b, FAR_ROUNDS * far + MIDDLE_ROUNDS * (far / 10) + NEAR_ROUNDS * 10 + 100);
	/* each leaves the line shorter by what it went over */
	measure_rollbacks(&b, bare, 10, NEAR_ROUNDS, ROLLBACK_RESET);
	measure_rollbacks(&b, bare, far / 10, MIDDLE_ROUNDS, ROLLBACK_RESET);
	measure_rollbacks(&b, bare, far, FAR_ROUNDS, ROLLBACK_RESET);
	bench_line_close(&b);
	bench_line_open(&b, argv[1], "reverts", 1);
	fill(&b, far + 100);
	measure_rollbacks(&b, bare, 10, NEAR_ROUNDS, ROLLBACK_REVERT);
	measure_rollbacks(&b, bare, far / 10, MIDDLE_ROUNDS, ROLLBACK_REVERT);
	measure_rollbacks(&b, bare, far, FAR_ROUNDS, ROLLBACK_REVERT);
	bench_line_close(&b);
	bare_close(bare);
	return 0;
}
