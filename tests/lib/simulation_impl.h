/* Private to simulation*.c. */
#ifndef TIDEMARK_TESTS_SIMULATION_IMPL_H
#define TIDEMARK_TESTS_SIMULATION_IMPL_H

#include "connector/worker/config.h"
#include "connector/worker/publisher.h"
#include "connector/worker/session.h"
#include "tests/lib/fake_kafka.h"
#include "tests/lib/simulation.h"
#include "tests/lib/stream_oracle.h"
#include "tests/lib/virtual_clock.h"

#define MEMBERS 2
#define HEADS_MAX 64
#define SKIPS_MAX 32
#define UNDOS_MAX 64
#define CANDIDATES_MAX 128
#define FILES_MAX 32768

struct sim_skip {
	int topic;
	int32_t partition;
	int64_t from, to;
};

/* The pair before a rollback, by its number. */
struct sim_undo {
	struct lake_id rollback, ingest, shown;
};

/* Path and rows, and the bytes: hashes; place 0: none. */
struct sim_file {
	uint64_t place, bytes;
};

/* What outlives a life: shared with the parent, no pointers but to code. */
struct sim_world {
	struct sim_options options;
	struct sim_result result;
	struct fake_kafka_options kafka;
	struct virtual_clock clock;
	struct rng dice, ids;
	int steps_left;
	bool done, calm;

	/* the kill of this life */
	bool armed;
	char kill_name[32]; /* "": any */
	unsigned countdown;

	/* what the target must show */
	struct lake_id shown; /* a checkpoint; none: nothing */
	struct lake_id candidates[CANDIDATES_MAX]; /* or one of these, after a crash */
	unsigned n_candidates;
	bool tampered, tampering; /* the connector's paths were changed by hand */
	bool hand_took_one; /* and that a file went is all */
	unsigned notes; /* files of others on the target */
	bool noting;

	/* a cut on its way: it happened as a whole, or it did not */
	bool cutting;
	struct lake_id cut_head; /* of ingest, before */
	unsigned cut_files; /* that go */

	struct lake_id heads[HEADS_MAX]; /* of ingest, that were seen */
	unsigned n_heads;
	struct sim_skip skips[SKIPS_MAX];
	unsigned n_skips;
	struct sim_undo undos[UNDOS_MAX];
	unsigned n_undos;

	struct sim_file files[FILES_MAX]; /* that were seen, by the hash of place and rows */
	bool replaying;
};

struct sim_member {
	struct session *session;
	int64_t asleep_until_ms;
	bool woke; /* looks at nothing before its checkpoint */
};

/* One life. */
struct sim {
	struct sim_world *world;
	char *dir;
	struct lake *lake;
	struct config config;
	struct fake_kafka *kafka;
	struct line line;
	struct publisher publisher;
	struct sim_member members[MEMBERS];
	int n_members;
	int running; /* the member whose step this is; -1 */
	bool injecting, injected;
	bool until_latest; /* sessions read to the end, into one checkpoint */
	struct loss losses[SKIPS_MAX]; /* of the skips, for the oracle */
};

/* Ends the life: the run has failed. */
_Noreturn void sim_fail(struct sim *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Adds an event to the trace. */
void sim_event(struct sim *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
uint64_t sim_dice(struct sim *s, uint64_t limit);
/* ST_NOT_FOUND where the branch is not there; other errors end the life. */
enum status sim_head(struct sim *s, const char *branch, struct lake_id *out);

/* simulation_ops.c: one thing each that may happen to a lake. */
/* Before something that may move the target: what it will show then. */
void sim_may_show(struct sim *s, const struct lake_id *checkpoint);
/* Afterwards, where nothing goes on around it. */
void sim_settled(struct sim *s);
void sim_publish(struct sim *s);
void sim_rollback(struct sim *s);
void sim_note(struct sim *s); /* somebody else's file on the target */
void sim_tamper(struct sim *s); /* one of the connector's own */
void sim_restore(struct sim *s); /* undoes that by hand */
/* simulation_cuts.c */
void sim_drop(struct sim *s);
void sim_accept(struct sim *s);
void sim_prefix(struct sim *s); /* publishes the longest prefix that a gate lets through */
/* Has the checkpoint what was changed on the target by hand as the target has it? */
bool sim_followed(struct sim *s, const struct lake_id *checkpoint);
void sim_check_cut(struct sim *s); /* after a crash */
void sim_rival(struct sim *s, const char *kill_point);
/* simulation_check.c: what the lake shows against what it must show; after a crash, against what it
 * may show. */
void sim_check(struct sim *s);
/* A checkpoint of a member, asked for out of turn. */
void sim_checkpoint(struct sim *s, int member);
void sim_close(struct sim *s, int member, bool commit);
bool sim_rollback_to_head(struct sim *s); /* true: done */
bool sim_rollback_to_first(struct sim *s);
uint64_t sim_hash(uint64_t hash, const char *text);

#endif
