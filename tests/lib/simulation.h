/* A seeded simulation of one connector: sessions on a fake Kafka, publishes,
 * rollbacks, cuts, changes by hand, rivals, and kills, each at a moment that the seed
 * says; then the oracle.
 *
 * A run is a row of lives. Each is a child process that opens the lake as it
 * was left and goes on; it dies by SIGKILL at a kill point, or ends well. What
 * must outlive a life (time, dice, and what the lake must show) lies in memory
 * that parent and children share. The parent never opens the lake. */
#ifndef TIDEMARK_TESTS_SIMULATION_H
#define TIDEMARK_TESTS_SIMULATION_H

#include "core/base/clock.h"
#include "core/lake.h"

#define SIM_POINTS_MAX 48
#define SIM_WHY_BYTES 600

/* Seeds that this divides write Parquet, where their values are JSON. */
#define SIM_PARQUET_EVERY 8
#define SIM_SORTED_EVERY (2 * SIM_PARQUET_EVERY) /* of these: sorted */

/* Seeds that this divides write with a partitioner (tests/lib/row_layout.h). */
#define SIM_FOLDERS_EVERY 3

struct sim_options {
	uint64_t seed;
	int steps; /* of the driver; 0: by the seed */
	/* Kill the first life at the nth passing of this point; NULL: kills by the
	 * seed. */
	const char *kill_name;
	unsigned kill_nth;
	bool quiet_kills; /* none by the seed */
	bool verbose; /* print each event */
};

struct sim_point {
	char name[32];
	unsigned passed; /* by the first life */
};

struct sim_result {
	bool ok;
	bool killed; /* the kill that was asked for, or any */
	char why[SIM_WHY_BYTES];
	uint64_t trace; /* of all events: the same for the same options */
	unsigned lives, checkpoints, publishes, holds, rollbacks, refused, undos, conflicts, rivals;
	unsigned losts, reopened, rows, cuts, accepts, prefixes;
	unsigned foldered; /* 1: by a partitioner */
	unsigned replays, replay_kills; /* of the whole stream, in the end */
	uint64_t replayed; /* paths and checksums of what a replay made */
	struct sim_point points[SIM_POINTS_MAX];
	unsigned n_points;
};

void simulate(const struct sim_options *options, struct sim_result *out);

#endif
