/* A plain folder that is kept in step with a branch:
 *
 *   DIR/current            a symbolic link to the folder of the newest commit
 *   DIR/<commit id>/       its objects as plain files, complete and durable
 *   DIR/<commit id>/       the one that `current` showed before
 *   DIR/.spare-<commit id> an older one, from which the next is made by diff
 *   DIR/.next/             the next one in work; whoever finds it removes it
 *   DIR/.tidemark-export   says that the folder is ours; locked while in use
 *
 * `current` moves by a rename, and only to a folder that is complete and synced;
 * so it is valid after a crash or a power loss at any moment. A folder that is called
 * after a commit has its files: before any of them goes, the name is gone, and synced.
 * What `current` showed before stays until it has moved once more: a reader that
 * resolved it has that long.
 *
 * Files are reflinks or copies of the lake's objects, never hard links: nothing
 * that is done to them can reach a commit. Equal files of these folders are hard
 * links to each other, read-only, and replaced, never written: an update costs
 * by what changed, and a second folder costs no room. Whoever writes into one all
 * the same changes what he reads, and nothing else.
 *
 * One thread. */
#ifndef TIDEMARK_WORKER_EXPORT_FOLDER_H
#define TIDEMARK_WORKER_EXPORT_FOLDER_H

#include "core/lake.h"

/* One object as a new file `to`, whose folder exists; not synced. Nothing stays
 * where it fails. bytes_out: its size. */
MUST_CHECK enum status export_object(struct lake *lake, const struct lake_id *commit,
				     const char *path, const char *to, int mode,
				     uint64_t *bytes_out, struct err *err);

struct export_folder;

/* Makes dir where it is missing. ST_EXISTS: it holds something else; ST_BUSY:
 * another process keeps it. */
MUST_CHECK enum status export_folder_open(struct lake *lake, const char *dir,
					  struct export_folder **out, struct err *err);
void export_folder_close(struct export_folder *f);
AUTO_DESTRUCTOR(struct export_folder, export_folder_close)

/* The commit that `current` shows; none where there is no such. */
struct lake_id export_folder_shown(const struct export_folder *f);

struct export_options {
	bool (*goes_on)(void *ctx); /* asked now and then; false: ST_INTERRUPTED */
	void *ctx;
};

struct export_count {
	uint64_t copied, bytes; /* from the lake */
	uint64_t linked; /* had in the folder before */
	uint64_t removed;
};

/* Makes `current` show the commit. Where it fails, `current` is what it was. */
MUST_CHECK enum status export_folder_update(struct export_folder *f, const struct lake_id *commit,
					    const struct export_options *options,
					    struct export_count *out, struct err *err);

#endif
