/* A checkpoint: the commit that says where a stream stands. This file knows
 * its documents: the metadata of the commit (docs/format.md), and the cursor,
 * `_tidemark/<connector>.json`, that each checkpoint and publication rewrites
 * in its own tree and that never takes a value twice. */
#ifndef TIDEMARK_HISTORY_CHECKPOINT_H
#define TIDEMARK_HISTORY_CHECKPOINT_H

#include <jansson.h>

#include "connector/history/offsets.h"
#include "core/lake.h"

#define META_CONNECTOR "tidemark.connector"
#define META_VERSION "tidemark.version"
#define META_BATCH "tidemark.batch"
#define META_EPOCH "tidemark.epoch"
#define META_PREVIOUS "tidemark.previous"
#define META_SEQUENCE "tidemark.sequence"
#define META_OFFSETS "tidemark.offsets"
#define META_RANGES "tidemark.ranges"
#define META_RECORDS "tidemark.records"
#define META_BYTES "tidemark.bytes"
#define META_DEADLETTERS "tidemark.deadletters"
#define META_LOST "tidemark.lost"
#define META_TIMESTAMPS "tidemark.timestamps"
#define META_SCHEMAS "tidemark.schemas"
#define META_CLUSTER "tidemark.cluster"
#define META_TOPICS "tidemark.topics"
#define META_LEADER_EPOCHS "tidemark.leader.epochs"
#define META_ROLLBACK "tidemark.rollback" /* of a rollback's commit: the pair before it */
#define META_CHECKPOINT "tidemark.checkpoint" /* of a publication: the checkpoint it shows */
/* Of a publication: how many up to here were made by rollbacks; absent: none. From one of
 * those to the next, each shows a later checkpoint than the one before it. */
#define META_ROLLBACKS "tidemark.rollbacks"
#define META_PUBLISHED "tidemark.published" /* of a target's commit */
#define META_GATES "tidemark.gates" /* of a target's commit: what each gate said */
#define META_FORCED "tidemark.forced" /* of a target's commit: why no gate could hold it */
/* Of a checkpoint that takes files out of ingest (cut.h): those that it drops, or the
 * target's commit that it follows. */
#define META_DROPPED "tidemark.dropped"
#define META_ACCEPTED "tidemark.accepted"
#define META_CUTS "tidemark.cuts" /* how many of those there are up to here; absent: none */

/* A topic as a checkpoint knows it. generation counts how often it was created
 * anew. */
struct topic_state {
	char *name;
	char *id;
	uint32_t generation;
};

struct topic_states {
	struct topic_state *items;
	size_t n;
	size_t cap;
};

void topic_states_release(struct topic_states *t);
void topic_states_copy(struct topic_states *to, const struct topic_states *from);
void topic_states_set(struct topic_states *t, const char *name, const char *id,
		      uint32_t generation);
const struct topic_state *topic_states_find(const struct topic_states *t, const char *name);

#define BATCH_ID_BYTES 33 /* 32 hex digits and NUL */
void batch_id_new(struct rng *rng, char out[BATCH_ID_BYTES]);

/* What later work needs of a checkpoint. */
struct checkpoint {
	struct lake_id id;
	char *connector;
	char batch[BATCH_ID_BYTES];
	uint64_t epoch;
	uint64_t sequence;
	struct lake_id previous; /* none: the first */
	struct offsets offsets; /* next to read */
	struct offsets leader_epochs;
	struct topic_states topics;
	char *cluster;
	int64_t time_ms;
	uint64_t records;
	int64_t timestamp_so_far; /* greatest of any record up to here; -1 none */
	uint64_t cuts; /* checkpoints up to here that took files out */
	/* of a rollback's commit: the pair that it left, for --undo */
	bool is_rollback;
	struct lake_id undo_ingest;
	struct lake_id undo_shown; /* none: nothing was published */
};

void checkpoint_release(struct checkpoint *cp);
void checkpoint_copy(struct checkpoint *to, const struct checkpoint *from); /* replaces */
/* ST_NOT_FOUND where the commit is no checkpoint. */
MUST_CHECK enum status checkpoint_read(struct lake *lake, const struct lake_id *id,
				       struct checkpoint *out, struct err *err);
/* Is it a checkpoint of this connector? (a publication is none) */
bool commit_is_checkpoint(const struct lake_commit *commit, const char *connector);
/* A document of the metadata, also where it is an object: appended to out; ""
 * where absent. */
MUST_CHECK enum status checkpoint_document(struct lake *lake, const struct lake_commit *commit,
					   const char *key, struct buf *out, struct err *err);
/* Offsets alone, cheaper than checkpoint_read, for searches. */
MUST_CHECK enum status checkpoint_offsets(struct lake *lake, const struct lake_commit *commit,
					  struct offsets *out, struct err *err);

/* Puts a document into the metadata; beyond 64 KiB as an object
 * `_tidemark/<connector>.<part>.json`, with its digest in the metadata. */
MUST_CHECK enum status checkpoint_put_document(struct lake_txn *txn, const char *connector,
					       const char *key, const struct buf *json,
					       struct err *err);
/* Sets the identity of a checkpoint in txn: name, version, batch, epoch,
 * previous, sequence, offsets, leader epochs, cluster, topics; and its cursor. */
MUST_CHECK enum status checkpoint_put_state(struct lake_txn *txn, const struct checkpoint *cp,
					    struct err *err);

/* The same for a checkpoint that reads nothing, with all else that it has: ranges
 * are those that it goes past, `lost` says why. */
MUST_CHECK enum status checkpoint_put_bare(struct lake_txn *txn, const struct checkpoint *cp,
					   const struct ranges *ranges, const struct losses *lost,
					   const char *message, struct err *err);
/* Sets the pair that `rollback --undo` goes back to. */
void checkpoint_put_undo(struct lake_txn *txn, const struct lake_id *ingest,
			 const struct lake_id *shown);

/* An entry's or a commit's metadata as an object of texts. */
json_t *meta_json(const struct lake_meta *meta);

/* Is it one of a connector's own documents (`_tidemark/...`), and no data? */
bool path_is_document(const char *path);

struct cursor {
	uint64_t epoch;
	uint64_t sequence; /* of the checkpoint, or of the publication */
	char batch[BATCH_ID_BYTES];
	bool published; /* written by a publication: */
	struct lake_id checkpoint; /* the checkpoint shown */
};

char *cursor_path(const char *connector);
/* ST_NOT_FOUND where the commit's tree has none. */
MUST_CHECK enum status cursor_read(struct lake *lake, const struct lake_id *commit,
				   const char *connector, struct cursor *out, struct err *err);
MUST_CHECK enum status cursor_put(struct lake_txn *txn, const char *connector,
				  const struct cursor *cursor, const struct offsets *offsets,
				  struct err *err);

#endif
