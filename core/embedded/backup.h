/* A backup's folder:
 *
 *   LAKE      "tidemark backup of <identity>\n": whose it is; written first
 *   BACKUP    what the last complete backup holds; replaced last
 *   LOCK      locked while it is written to, and shared while it is read
 *   meta-N/   the metadata of backup N: a RocksDB database as it was at one moment
 *   blobs/    ab/<64 hex digits>, as in the lake
 *
 * BACKUP is text, a line each:
 *
 *   tidemark backup 1
 *   lake <32 hex digits>
 *   time <ms>           the moment that it shows
 *   sequence <n>        the lake's number of the last write
 *   number <N>
 *   meta <sha-256> <size> <name>      each file of meta-N/
 *   blob <sha-256> <size>             each object, ascending
 *   end <sha-256 of all before this line>
 *
 * What BACKUP does not name is left of a backup that was interrupted: the next
 * takes over the objects that are what their names say, and removes the rest.
 * A BACKUP of a later version begins with its number too. */
#ifndef TIDEMARK_EMBEDDED_BACKUP_H
#define TIDEMARK_EMBEDDED_BACKUP_H

#include "core/embedded/store.h"

struct backup_file {
	struct hash hash;
	uint64_t size;
	char *name; /* of metadata; NULL: an object */
};

struct backup_files {
	struct backup_file *items;
	size_t n, cap;
};

struct manifest {
	char lake[2 * LAKE_IDENTITY_BYTES + 1];
	int64_t time_ms;
	uint64_t sequence;
	uint64_t number;
	struct backup_files meta;
	struct backup_files blobs; /* by hash */
};

void manifest_release(struct manifest *m);
void backup_files_add(struct backup_files *files, const struct hash *hash, uint64_t size,
		      const char *name);
void backup_files_sort(struct backup_files *files); /* objects, by hash */
const struct backup_file *backup_files_find(const struct backup_files *files,
					    const struct hash *hash); /* objects */
/* ST_NOT_FOUND where dir has no BACKUP; ST_USAGE it is of a later version;
 * ST_DAMAGED. */
MUST_CHECK enum status manifest_read(const char *dir, struct manifest *out, struct err *err);
/* Durable on return. */
MUST_CHECK enum status manifest_write(const char *dir, const struct manifest *m, struct err *err);

/* Copies a file and hashes it on the way. to is replaced; it is not durable
 * yet. ST_NOT_FOUND from is not there; ST_DAMAGED it cannot be read. step counts
 * bytes, and ends it where it does not return ST_OK. */
MUST_CHECK enum status copy_hashed(const char *from, const char *to, struct hash *hash_out,
				   uint64_t *size_out,
				   enum status (*step)(void *ctx, uint64_t bytes, struct err *err),
				   void *ctx, struct err *err);
/* All that was written to the volume of fd since it was opened is durable on
 * return; dir is for messages. (Linux tells of failed writes since 5.8.) */
MUST_CHECK enum status volume_sync(int fd, const char *dir, struct err *err);
/* "dir/blobs/ab/<hex>"; the caller's. */
char *backup_blob_path(const char *dir, const struct hash *blob);

/* ---- the folder (backup_folder.c) ---- */

/* Makes dir a folder for backups of the lake e, whose identity is `lake`, or
 * finds that it is one. Nobody else writes or reads it until *lock_out is closed.
 * ST_USAGE; ST_BUSY. */
MUST_CHECK enum status backup_claim(const struct embedded *e, const char *dir, const char *lake,
				    int *lock_out, struct err *err);
/* Nobody writes to it until *lock_out is closed; -1 where it has no LOCK. */
MUST_CHECK enum status backup_lock_shared(const char *dir, int *lock_out, struct err *err);
/* "dir/meta-N"; the caller's. */
char *backup_meta_folder(const char *dir, uint64_t number);
/* The greatest N of which there is a meta-N; 0: none. */
uint64_t backup_last_number(const char *dir);
/* Removes all of them but one. */
MUST_CHECK enum status backup_remove_meta(const char *dir, uint64_t but, struct err *err);

#endif
