/* A backup's folder:
 *
 *   LAKE      "tidemark backup of <identity>\n": whose it is; written first
 *   BACKUP    what the last complete backup holds; replaced last
 *   meta-N/   the metadata of backup N: a RocksDB database without a log
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
 * What BACKUP does not name is left of a backup that was interrupted: it is
 * not relied upon, and removed by the next. */
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
/* ST_NOT_FOUND where dir has no BACKUP; ST_DAMAGED. */
MUST_CHECK enum status manifest_read(const char *dir, struct manifest *out, struct err *err);
/* Durable on return. */
MUST_CHECK enum status manifest_write(const char *dir, const struct manifest *m, struct err *err);

/* Copies a file and hashes it on the way. to is replaced; it is not durable
 * yet. from that is not there: ST_NOT_FOUND. step counts bytes. */
MUST_CHECK enum status copy_hashed(const char *from, const char *to, struct hash *hash_out,
				   uint64_t *size_out, void (*step)(void *ctx, uint64_t bytes),
				   void *ctx, struct err *err);
/* All that was written to the volume of dir is durable on return. */
MUST_CHECK enum status volume_sync(const char *dir, struct err *err);
/* "dir/blobs/ab/<hex>"; the caller's. */
char *backup_blob_path(const char *dir, const struct hash *blob);

#endif
