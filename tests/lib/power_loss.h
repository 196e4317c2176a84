/* A test program that loses power: works are done in processes of their own, which record
 * what they do to a disk (tests/crash/disk_recorder.h), and other processes look at what a
 * disk could hold after losses at random places (disk_model.h).
 *
 *   PROGRAM [RUNS [SEED]] */
#ifndef TIDEMARK_TESTS_POWER_LOSS_H
#define TIDEMARK_TESTS_POWER_LOSS_H

#include "tests/lib/disk_model.h"

struct power_loss {
	/* Does and records the work of a seed; folder: empty, and the work's alone. The journal
	 * is the caller's. Asserts. */
	struct disk_journal *(*record)(const char *folder, uint64_t seed);
	/* 0: what the loss leaves is as it should be; else the reason went to stderr. folder:
	 * the work's, as it was left. */
	int (*try_loss)(const char *folder, const struct disk_journal *j,
			const struct disk_loss *loss);
};

/* The whole of the program: random losses, and that a disk which lies is found out. */
int power_loss_main(const struct power_loss *p, int argc, char **argv);

/* Runs it in a child, so that RocksDB's threads never see a fork; what waitpid says. */
int power_loss_child(int (*run)(void *ctx), void *ctx);

/* The states that may be shown after a loss at cut: of the last DISK_MARK before it, and of
 * the next. */
struct power_loss_notes {
	const char *before; /* NULL: nothing was acknowledged */
	const char *after; /* NULL: the work was done */
	size_t ops; /* in all */
};

struct power_loss_notes power_loss_notes(const struct disk_journal *j, size_t cut);

#endif
