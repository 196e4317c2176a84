/* The check of a lake, in parts: the scan of the metadata (fsck_scan.c), the
 * files (fsck_files.c), commits and trees (fsck_trees.c), refs and what stands
 * beside them (fsck_refs.c); fsck.c puts them together.
 *
 * The metadata are read in one scan, so at one moment, and objects' files after
 * it: what is written meanwhile is younger, and so no damage. gc waits.
 *
 * Memory: about 150 bytes for each node, 100 for each commit and blob. */
#ifndef TIDEMARK_EMBEDDED_FSCK_H
#define TIDEMARK_EMBEDDED_FSCK_H

#include "core/embedded/store.h"
#include "core/model/id_table.h"
#include "core/model/tree_check.h"

struct blob_seen {
	struct hash id;
	uint64_t size;
	char *why; /* what is wrong; NULL: nothing */
	bool small, file; /* where it is */
	bool needed; /* by a tree that is reached, or a staged change */
	bool expired; /* freed on purpose, */
	bool shown_since; /* and heads show it that were put there later */
	int64_t expired_ms; /* then */
};

/* Findings that one commit's tree leads to, for its refs. */
#define COMMIT_BLAMES 4

struct commit_seen {
	struct lake_id id;
	struct hash root;
	struct lake_id *parents;
	size_t n_parents;
	char *why; /* what is wrong; NULL: nothing */
	bool there;
	bool reached;
	bool unsound; /* its tree is */
	unsigned round; /* of the walk that came here last */
	size_t blames[COMMIT_BLAMES]; /* index + 1 of a finding */
};

struct ref_seen {
	enum lake_ref_kind kind;
	char *name;
	struct lake_id id;
};

struct staged_seen {
	char *branch, *path;
	struct buf entry; /* empty: removed */
};

/* An object that is damaged, and its finding. */
struct bad {
	struct hash id;
	size_t finding; /* index + 1; 0: it was only counted */
};

struct fsck {
	struct embedded *e; /* NULL: the lake does not open */
	const char *root; /* its folder */
	bool quick;
	struct lake_fsck_report *report;
	struct id_table blobs; /* struct blob_seen */
	struct id_table commits; /* struct commit_seen */
	struct id_table bad; /* struct bad */
	bool torn; /* some of the metadata could not be read */
	uint64_t q; /* the number of the last synced write */
	bool has_q;

	struct ref_seen *refs;
	size_t n_refs, cap_refs;
	struct lake_reflog_entry *log; /* oldest first */
	size_t n_log, cap_log;
	struct lake_reflog_entry *index; /* name and sequence of the `m` keys */
	size_t n_index, cap_index;
	struct staged_seen *staged;
	size_t n_staged, cap_staged;
	char **protected;
	size_t n_protected, cap_protected;

	struct tree_check *trees;
};

void fsck_init(struct fsck *f, struct embedded *e, const char *root, bool quick,
	       struct lake_fsck_report *report);
void fsck_release(struct fsck *f);

/* A finding about an object, once for each. */
void fsck_bad(struct fsck *f, const char *kind, const struct hash *id, const char *why);
/* Its finding, or NULL. */
struct lake_finding *fsck_finding(struct fsck *f, const struct hash *id);

/* One of gc, check, backup: how far. */
void fsck_step(struct fsck *f, uint64_t objects, uint64_t bytes);

void fsck_scan(struct fsck *f);
void fsck_folder(struct fsck *f);
void fsck_sequence(struct fsck *f, uint64_t q, bool has_q);
void fsck_blob_files(struct fsck *f);
void fsck_commits(struct fsck *f);
void fsck_trees(struct fsck *f);
void fsck_refs(struct fsck *f);
/* Says what depends on each finding. */
void fsck_blame(struct fsck *f);

#endif
