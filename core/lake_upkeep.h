/* The lake's upkeep: checking everything against its hash, backing it up, and
 * freeing what nothing needs. A part of lake.h, which includes it; the rules
 * there hold. */
#ifndef TIDEMARK_LAKE_UPKEEP_H
#define TIDEMARK_LAKE_UPKEEP_H

#include "core/lake.h"

/* ---- checking ---- */

/* Some names of many: the first LAKE_NAMES_MAX, and how many there are. */
#define LAKE_NAMES_MAX 8
struct lake_names {
	char *items[LAKE_NAMES_MAX];
	size_t n;
	uint64_t total; /* at least so many */
};

void lake_names_add(struct lake_names *names, const char *name); /* copies */

/* One thing that a check found. */
struct lake_finding {
	bool damage; /* else a remark: nothing that is needed is wrong */
	char *kind; /* "blob", "node", "commit", "ref", "sequence", ... */
	char *name; /* the hash, id, ref or file */
	char *text; /* what is wrong with it */
	char *remedy; /* "" where there is none to name */
	/* what depends on it */
	struct lake_names refs;
	struct lake_names commits;
	struct lake_names paths;
};

/* What was looked at; a row is field, name. Bytes are those of files that were
 * hashed. Garbage is what nothing reaches: no damage, `gc` frees it. */
#define LAKE_FSCK_COUNTS(X)                                                                        \
	X(commits)                                                                                 \
	X(nodes)                                                                                   \
	X(small_blobs)                                                                             \
	X(files)                                                                                   \
	X(bytes)                                                                                   \
	X(refs)                                                                                    \
	X(reflog_entries)                                                                          \
	X(staged_changes)                                                                          \
	X(checkpoints)                                                                             \
	X(expired)                                                                                 \
	X(garbage_commits)                                                                         \
	X(garbage_nodes)                                                                           \
	X(garbage_blobs)

#define LAKE_FINDINGS_MAX 10000

struct lake_fsck_report {
#define X(name) uint64_t name;
	LAKE_FSCK_COUNTS(X)
#undef X
	struct lake_finding *items; /* LAKE_FINDINGS_MAX of them at most */
	size_t n;
	size_t cap;
	uint64_t damaged; /* findings that are damage, those left out included */
	uint64_t remarks; /* the others */
};

void lake_fsck_report_release(struct lake_fsck_report *report);
/* Adds a finding. Valid until the next one is added; NULL where it was only
 * counted. remedy may be NULL. */
struct lake_finding *lake_fsck_add(struct lake_fsck_report *report, bool damage, const char *kind,
				   const char *name, const char *remedy, const char *fmt, ...)
	PRINTF_LIKE(6, 7);

struct lake_fsck_options {
	bool quick; /* do not read the files of objects: existence and size only */
	/* Checks what the lake itself knows nothing of, by lake.h, after the lake's
	 * own checks; adds to the report. May be NULL. */
	enum status (*visit)(void *ctx, struct lake *lake, struct lake_fsck_report *report,
			     struct err *err);
	void *ctx;
};

/* Checks everything of the lake, beside whoever writes to it, as it is at one
 * moment. Damage is in the report and no error; the report is the caller's to
 * release, whatever is returned. ST_BUSY names what keeps it waiting (one
 * check, backup or gc at a time). */
MUST_CHECK enum status lake_fsck(struct lake *lake, const struct lake_fsck_options *options,
				 struct lake_fsck_report *report, struct err *err);
/* Checks what can be checked of a lake that does not open: its folder's files.
 * metadata: tries to open that too, which may end the process where it is
 * damaged. ST_BUSY where another process owns the lake. */
MUST_CHECK enum status lake_fsck_folder(const char *url, bool quick, bool metadata,
					struct lake_fsck_report *report, struct err *err);

/* ---- backup ---- */

struct lake_backup_report {
	int64_t time_ms; /* the moment that it shows */
	uint64_t sequence; /* the last write that it holds */
	uint64_t objects, bytes; /* files of objects in it */
	uint64_t copied_objects, copied_bytes; /* of these, now */
	uint64_t removed_objects; /* that it no longer needs */
	uint64_t metadata_bytes, copied_metadata_bytes;
	/* Objects that are damaged where they were to be copied from: left out, or
	 * kept as an earlier backup has them. */
	struct lake_names damaged;
};

void lake_backup_report_release(struct lake_backup_report *report);

/* Makes dir (absolute, reached by the lake's owner) a backup of the lake as it
 * is at one moment, beside whoever writes. dir is absent, empty, or a backup of
 * this lake, of which only what is new is copied; until this returns that one
 * stays usable. ST_USAGE dir is something else, inside the lake, or of a later
 * version; ST_CONFLICT it holds a later state of this lake; ST_DAMAGED the lake's
 * metadata are; ST_NO_SPACE; ST_INTERRUPTED the owner stops; ST_BUSY as
 * lake_fsck(), or somebody else uses dir. */
MUST_CHECK enum status lake_backup(struct lake *lake, const char *dir,
				   struct lake_backup_report *out, struct err *err);

struct lake_progress;
/* Makes the lake at url (absent, or an empty folder) of a backup; everything is
 * compared with its hash on the way, and the lake is none before all is there.
 * step may be NULL. ST_EXISTS, ST_USAGE the folder is in use; ST_BUSY dir is
 * being written; ST_NOT_FOUND dir has no complete backup; ST_DAMAGED its metadata are damaged
 * (damaged objects are named in out, and left out). */
MUST_CHECK enum status lake_restore(const char *url, const char *dir,
				    void (*step)(void *ctx, const struct lake_progress *p),
				    void *ctx, struct lake_backup_report *out, struct err *err);

/* ---- repair ---- */

/* What a repair does. Texts and lists are the report's. */
struct lake_repair_report {
	/* What is wrong with each; NULL: it stays as it is. */
	char *metadata;
	char *sequence;
	char *format;
	uint64_t kept; /* the number of the last ref move that stays */
	uint64_t made; /* the last that is known to have been made: what is between is lost */
	struct lake_reflog lost; /* those of the lost moves that can still be read, newest first */
	/* Where the end of the log alone is damaged, what stays is a state that the
	 * lake once had, whole, and these are 0. Else the metadata are put together
	 * of the keys that can be read. */
	uint64_t keys;
	uint64_t gaps; /* stretches of keys that cannot be read; at least */
	struct lake_reflog
		refs; /* refs that were put where the reflog, or what is left, has them */
};
void lake_repair_report_release(struct lake_repair_report *report);

/* A lake beside the damaged one, ready to take its place. */
struct lake_repair;

/* Prepares the repair of a lake whose metadata do not open or cannot be read,
 * and changes nothing of it. May end the process where RocksDB cannot stand
 * what it reads; then `salvage`, which trusts less of it, is the next to try.
 * *out NULL: nothing is there to be repaired. Objects' files are not looked at.
 * The lake is locked until lake_repair_free(). ST_BUSY where another process
 * owns it; ST_USAGE where its format is a newer one; ST_DAMAGED where nothing can
 * be read. The report is the caller's to release, whatever is returned. */
MUST_CHECK enum status lake_repair_prepare(const char *url, bool salvage, struct lake_repair **out,
					   struct lake_repair_report *report, struct err *err);
/* The prepared lake's URL: to be looked at, and closed before it is applied. */
const char *lake_repair_url(const struct lake_repair *repair);
/* Puts it in the damaged one's place. *aside_out: the folder, the caller's, that
 * has what was there; NULL where nothing was. After an error or a crash the lake is as it was, or
 * refuses to open until it is repaired again. */
MUST_CHECK enum status lake_repair_apply(struct lake_repair *repair, char **aside_out,
					 struct err *err);
/* Drops it where it was not applied. */
void lake_repair_free(struct lake_repair *repair);
AUTO_DESTRUCTOR(struct lake_repair, lake_repair_free)

/* How far a long operation of this lake (fsck, backup, gc) is; what "" where
 * none runs. Totals are 0 where they are not known. */
struct lake_progress {
	char what[16];
	uint64_t objects, total_objects;
	uint64_t bytes, total_bytes;
};
MUST_CHECK enum status lake_progress(struct lake *lake, struct lake_progress *out, struct err *err);

/* ---- gc ---- */

struct lake_gc_progress {
	const char *step; /* "mark", "commits", "nodes", "objects", "files", "compact" */
	uint64_t done; /* of what the step goes through */
};

/* What gc keeps: all that branches, tags, staged changes, leases, the reflog's
 * young entries and young commits reach. Commits and trees that are reached
 * stay whole; of objects see history_retain_ms. */
struct lake_gc_options {
	bool dry_run; /* frees nothing, and reports the same */
	/* Frees also objects that only reached commits older than this name, but
	 * for heads and tagged commits; 0: none. */
	int64_t history_retain_ms;
	/* Objects under this prefix stay with their commits all the same; NULL:
	 * none do. */
	const char *keep_prefix;
	/* Entries of the reflog that are older keep nothing and are dropped, but for
	 * the newest of each ref that exists; 0: all are. */
	int64_t reflog_retain_ms;
	/* Commits younger than this are kept, whether anything names them or not:
	 * what is prepared, held, or in work. 0: none is. */
	int64_t grace_ms;
	/* Takes the clock's word for how old something is. Else a pause in which
	 * nothing was written counts for a quarter of each of the times above at
	 * most: so a clock that has jumped ahead makes little old. */
	bool trust_clock;
	/* Called often; false ends gc with ST_INTERRUPTED. NULL: it goes on.
	 * Through a socket it is not called. */
	bool (*progress)(void *ctx, const struct lake_gc_progress *progress);
	void *ctx;
};

#define LAKE_GC_REFLOG_RETAIN_MS (30LL * 24 * 3600 * 1000)
#define LAKE_GC_GRACE_MS (24LL * 3600 * 1000)

struct lake_gc_count {
	uint64_t kept;
	uint64_t freed;
	uint64_t freed_bytes;
};

struct lake_gc_report {
	struct lake_gc_count commits;
	struct lake_gc_count nodes;
	struct lake_gc_count small; /* objects in the metadata */
	struct lake_gc_count files; /* objects that are files; bytes: blocks on disk */
	uint64_t object_bytes; /* of the objects that are kept, as their trees say */
	/* Of the objects freed, those that history named until now. */
	uint64_t expired;
	uint64_t expired_bytes;
	uint64_t reflog_dropped;
	uint64_t temp_files;
	uint64_t temp_bytes;
	uint64_t memory_bytes; /* of gc's own tables */
	/* Without trust_clock: by so much longer than it was told has history been
	 * kept. */
	int64_t uncounted_ms;
	int64_t elapsed_ms;
	int64_t longest_wait_us; /* the longest that a writer may have waited for gc */
};

/* Of commits, nodes, objects and temp files together. */
uint64_t lake_gc_freed_bytes(const struct lake_gc_report *report);

/* Frees what nothing keeps, beside readers and writers. Removing is done in an
 * order in which a crash leaves garbage, never a name without its thing.
 * ST_BUSY: another gc, backup or fsck of this lake runs; ST_INTERRUPTED: what
 * was freed is freed, the next one goes on; ST_DAMAGED: a tree or commit that is
 * kept cannot be read, nothing was freed. out is filled on success. */
MUST_CHECK enum status lake_gc(struct lake *lake, const struct lake_gc_options *options,
			       struct lake_gc_report *out, struct err *err);

/* Are all objects still there that `wanted` has and `shown` (none: the empty
 * tree) has not, or not as they are? ST_EXPIRED names the first that gc has
 * freed. Those that are there survive a gc that is under way; hold a diff of
 * the two open to keep them from the next. */
MUST_CHECK enum status lake_check_expired(struct lake *lake, const struct lake_id *shown,
					  const struct lake_id *wanted, struct err *err);

#endif
