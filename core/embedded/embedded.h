/* The embedded lake: RocksDB for trees, commits and refs, files for data, in a
 * folder that one process owns by a flock of its own. docs/format.md describes
 * the folder. Only lake.c opens it. */
#ifndef TIDEMARK_EMBEDDED_EMBEDDED_H
#define TIDEMARK_EMBEDDED_EMBEDDED_H

#include "core/lake_backend.h"

enum embedded_mode {
	EMBEDDED_EXISTING, /* must be a lake */
	EMBEDDED_CREATE, /* made where the folder is absent or empty */
	EMBEDDED_NEW, /* ST_EXISTS where it is a lake */
};

/* options: clock, committer and reserve_bytes are filled in. With LAKE_READ the
 * caller keeps writes away (lake_refuse_writes()): the metadata may be open for
 * reading alone, and others may have the folder so too.
 * ST_BUSY where another open lake owns the folder (the text names its pid);
 * ST_NOT_FOUND no folder; ST_USAGE the folder is no lake, or of a newer format;
 * ST_DAMAGED. */
MUST_CHECK enum status embedded_open(const char *folder, enum embedded_mode mode,
				     const struct lake_options *options, struct lake **out,
				     struct err *err);

/* The contract of lake_fsck_folder(), for a folder that embedded_open() refuses. */
MUST_CHECK enum status embedded_fsck_folder(const char *folder, bool quick, bool metadata,
					    struct lake_fsck_report *report, struct err *err);
/* The contract of lake_restore(). */
MUST_CHECK enum status embedded_restore(const char *folder, const char *dir,
					void (*step)(void *ctx, const struct lake_progress *p),
					void *ctx, struct lake_backup_report *out, struct err *err);

#endif
