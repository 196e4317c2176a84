/* A disk that forgets. A journal of what a process did to a folder's files is
 * played up to any place, and the folder is then laid out as a power loss there
 * could have left it: what was synced is there; of what was not, any part may be,
 * in any order, and a write may be there in part.
 *
 * The rules are harsher than those of the file systems in use (ext4, XFS, btrfs):
 * - fsync and fdatasync of a file make its content durable, not its name
 * - fsync of a folder makes the names in it durable, not their content, and not
 *   the folder's own name
 * - each write and truncation that was not synced may have happened or not, each
 *   for itself; a write may be cut at sectors
 * - of the names that were made, removed and changed in one folder and not synced,
 *   the first so many are (their journals keep an order, and RocksDB leans on it:
 *   it does not sync the folder between its manifest and CURRENT); folders know
 *   nothing of each other
 * - what rename replaces is replaced at once; a file's old name may stay beside it
 * - a folder is renamed as a whole or not at all, wherever its content stands */
#ifndef TIDEMARK_TESTS_DISK_MODEL_H
#define TIDEMARK_TESTS_DISK_MODEL_H

#include "core/base/clock.h"
#include "core/base/err.h"

enum disk_op_kind {
	DISK_CREATE, /* path, inode */
	DISK_MKDIR, /* path */
	DISK_UNLINK, /* path; of a folder too */
	DISK_RENAME, /* path, NUL, the new path */
	DISK_LINK, /* path, NUL, another name for it */
	DISK_SYMLINK, /* path, NUL, its target */
	DISK_WRITE, /* inode, offset, data */
	DISK_TRUNCATE, /* inode, offset: the new size */
	DISK_SYNC, /* inode */
	DISK_SYNC_FOLDER, /* path */
	DISK_SYNC_ALL, /* as by syncfs() */
	DISK_MARK, /* data: whatever the recorder wants to find again */
};

/* Paths are relative to the folder, "" is itself. An inode's number stands for one
 * file from its creation on, until another is created under the same number. */
struct disk_op {
	uint32_t kind;
	uint32_t len; /* of the data behind this */
	uint64_t inode;
	uint64_t offset;
	char data[];
};

/* Memory that a parent shares with the process that records. */
struct disk_journal {
	size_t cap;
	_Atomic size_t used;
	bool full;
	_Alignas(8) char bytes[];
};

#define DISK_JOURNAL_BYTES (256u << 20)
struct disk_journal *disk_journal_new(void);
void disk_journal_free(struct disk_journal *j);
/* Appends one; from any thread of one process. */
void disk_journal_add(struct disk_journal *j, const struct disk_op *op, const void *data);
/* The operation at *at, which moves behind it; NULL at the end. */
const struct disk_op *disk_journal_next(const struct disk_journal *j, size_t *at);

struct disk_loss {
	size_t cut; /* operations that were begun before the power went */
	uint64_t seed; /* decides what is left of what was not synced */
	bool lies; /* the disk says that it has synced, and has not */
};

/* Lays out in `folder`, which exists and is empty, what is left. */
MUST_CHECK enum status disk_after_loss(const struct disk_journal *j, const struct disk_loss *loss,
				       const char *folder, struct err *err);

#endif
