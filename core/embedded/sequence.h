/* SEQUENCE: the number of the last synced write, kept outside RocksDB, so that
 * a log which was cut at a record's edge, or a log file that is gone, is found.
 *
 * The file has two slots, 4,096 bytes apart, written in turn; a slot is
 *   8 bytes  "TMSEQ1\n\0"
 *   8 bytes  the number, big-endian
 *   16 bytes the first half of the SHA-256 of the 16 bytes before
 * A crash tears one slot at most. The file is written after the write that it
 * counts, so that it may lag, by any number, and never leads.
 *
 * Threads: one at a time (the owner's lock of ref moves). */
#ifndef TIDEMARK_EMBEDDED_SEQUENCE_H
#define TIDEMARK_EMBEDDED_SEQUENCE_H

#include "core/base/err.h"

struct sequence {
	int fd;
	unsigned slot; /* the one to be written next */
	char *path;
};

/* Opens dir/SEQUENCE; create makes it where it is absent. n_out: the number
 * there, 0 in a new file. ST_DAMAGED where it is absent or neither slot is
 * whole. */
MUST_CHECK enum status sequence_open(const char *dir, bool create, struct sequence *out,
				     uint64_t *n_out, struct err *err);
/* The number alone, for who does not write. ST_DAMAGED as above; ST_NOT_FOUND. */
MUST_CHECK enum status sequence_read(const char *dir, uint64_t *n_out, struct err *err);
/* What both slots of dir/SEQUENCE hold, changing nothing. ST_NOT_FOUND. */
MUST_CHECK enum status sequence_look(const char *dir, uint64_t slots[2], bool whole[2],
				     struct err *err);
/* Writes dir/SEQUENCE anew, both slots holding n, durably. */
MUST_CHECK enum status sequence_create(const char *dir, uint64_t n, struct err *err);
/* Durable on return. */
MUST_CHECK enum status sequence_write(struct sequence *s, uint64_t n, struct err *err);
void sequence_close(struct sequence *s);

#endif
