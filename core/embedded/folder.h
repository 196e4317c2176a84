/* The lake's folder.
 *
 *   FORMAT    "tidemark lake 1\n"; written last, so that a folder with it is whole
 *   LOCK      locked by flock: alone by the process that owns the lake, whose pid it holds,
 *             or shared by those that only read
 *   SEQUENCE  sequence.h
 *   meta/     RocksDB: trees, commits, refs, staged changes, small blobs
 *   blobs/    ab/<64 hex digits>: objects of 16 KiB and more, by their SHA-256
 *   tmp/      what is not finished; emptied by the owner when it opens
 *   repair/   repair.h: a lake that is to take this one's place
 *   damaged-TIME/  what a repair has put aside
 *   sock      the owner's socket
 */
#ifndef TIDEMARK_EMBEDDED_FOLDER_H
#define TIDEMARK_EMBEDDED_FOLDER_H

#include "core/embedded/embedded.h"

enum folder_hold {
	FOLDER_OWNED,
	FOLDER_SHARED, /* with others that only read; nothing is written, LOCK included */
};

/* Makes the folder where mode says so, takes its lock and checks its format.
 * lock_out   to be closed by the caller, last
 * new_out    FORMAT is not there yet: fill the lake, then folder_finish()
 * Errors: those of embedded_open(). */
MUST_CHECK enum status folder_claim(const char *root, enum embedded_mode mode,
				    enum folder_hold hold, int *lock_out, bool *new_out,
				    struct err *err);
/* Could it be owned? Not by who has no right to write there, nor on a read-only file system. */
bool folder_is_writable(const char *root);
/* For an owner that writes: makes what is missing of it, and empties tmp/. */
MUST_CHECK enum status folder_prepare(const char *root, struct err *err);
/* Is there a FORMAT that we read? ST_USAGE, ST_DAMAGED. */
MUST_CHECK enum status folder_check_format(const char *root, bool *found_out, struct err *err);
bool folder_format_is_newer(const char *root);
/* The owner's lock alone. ST_BUSY names the owner's pid. */
MUST_CHECK enum status folder_lock(const char *root, int *lock_out, struct err *err);
/* May a lake's folder hold a file of this name? */
bool folder_is_ours(const char *name);
/* There as long as a restore is under way. */
#define FOLDER_RESTORING "RESTORING"
#define FOLDER_REPAIR "repair"
#define FOLDER_DAMAGED "damaged-"

/* Writes FORMAT. */
MUST_CHECK enum status folder_finish(const char *root, struct err *err);

#endif
