#include "core/embedded/sequence.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/buf.h"
#include "core/base/file.h"
#include "core/base/killpoint.h"
#include "core/model/hash.h"

#define SLOT_BYTES 4096
#define SUM_BYTES 16
static const char magic[8] = "TMSEQ1\n";

static void slot_encode(uint64_t n, unsigned char out[SLOT_BYTES])
{
	struct hash sum;

	memset(out, 0, SLOT_BYTES);
	memcpy(out, magic, sizeof(magic));
	for (int i = 0; i < 8; i++)
		out[8 + i] = (unsigned char)(n >> (56 - 8 * i));
	hash_of(out, 16, &sum);
	memcpy(out + 16, sum.bytes, SUM_BYTES);
}

static bool slot_decode(const unsigned char *in, uint64_t *out)
{
	struct bytes number = bytes_of(in + 8, 8);
	struct hash sum;

	hash_of(in, 16, &sum);
	return memcmp(in, magic, sizeof(magic)) == 0 &&
	       memcmp(in + 16, sum.bytes, SUM_BYTES) == 0 && bytes_be64(&number, out);
}

/* Both slots whole from the start, so that a torn one never leaves none. */
static enum status create_file(const char *path, uint64_t n, struct err *err)
{
	unsigned char slots[2 * SLOT_BYTES];

	slot_encode(n, slots);
	slot_encode(n, slots + SLOT_BYTES);
	return file_replace(path, slots, sizeof(slots), err);
}

enum status sequence_create(const char *dir, uint64_t n, struct err *err)
{
	AUTO(freep) char *path = xasprintf("%s/SEQUENCE", dir);

	return create_file(path, n, err);
}

static enum status look(int fd, const char *path, uint64_t numbers[2], bool whole[2],
			struct err *err)
{
	unsigned char slots[2 * SLOT_BYTES];
	size_t n = 0;
	enum status st = fd_pread_all(fd, slots, sizeof(slots), 0, &n, path, err);

	for (unsigned i = 0; st == ST_OK && i < 2; i++)
		whole[i] = n >= (i + 1) * (size_t)SLOT_BYTES &&
			   slot_decode(slots + i * SLOT_BYTES, &numbers[i]);
	return st;
}

enum status sequence_look(const char *dir, uint64_t slots[2], bool whole[2], struct err *err)
{
	AUTO(freep) char *path = xasprintf("%s/SEQUENCE", dir);
	AUTO(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_errno(err, errno, "cannot open %s", path);
	return look(fd, path, slots, whole, err);
}

static enum status read_slots(struct sequence *s, uint64_t *n_out, struct err *err)
{
	uint64_t numbers[2] = {0, 0};
	bool whole[2] = {false, false};
	enum status st = look(s->fd, s->path, numbers, whole, err);

	if (st != ST_OK)
		return st;
	if (!whole[0] && !whole[1])
		return err_set(err, ST_DAMAGED,
			       "%s: neither of its slots can be read; `tidemark fsck --repair` "
			       "writes it anew from what the log holds",
			       s->path);
	s->slot = !whole[0] || (whole[1] && numbers[0] < numbers[1]) ? 0 : 1;
	*n_out = numbers[1 - s->slot];
	return ST_OK;
}

enum status sequence_open(const char *dir, bool create, struct sequence *out, uint64_t *n_out,
			  struct err *err)
{
	struct sequence s = {.path = xasprintf("%s/SEQUENCE", dir)};
	enum status st = ST_OK;

	if (create && !file_exists(s.path))
		st = create_file(s.path, 0, err);
	s.fd = st == ST_OK ? open(s.path, O_RDWR | O_CLOEXEC) : -1;
	if (st == ST_OK && s.fd < 0 && errno == ENOENT)
		st = err_set(err, ST_DAMAGED,
			     "%s is missing; put it back, or let `tidemark fsck --repair` write it "
			     "anew from what the log holds",
			     s.path);
	else if (st == ST_OK && s.fd < 0)
		st = err_errno(err, errno, "cannot open %s", s.path);
	if (st == ST_OK)
		st = read_slots(&s, n_out, err);
	if (st != ST_OK) {
		sequence_close(&s);
		return st;
	}
	*out = s;
	return ST_OK;
}

enum status sequence_read(const char *dir, uint64_t *n_out, struct err *err)
{
	AUTO(sequence_close) struct sequence s = {.path = xasprintf("%s/SEQUENCE", dir)};

	s.fd = open(s.path, O_RDONLY | O_CLOEXEC);
	return s.fd < 0 ? err_errno(err, errno, "cannot open %s", s.path)
			: read_slots(&s, n_out, err);
}

enum status sequence_write(struct sequence *s, uint64_t n, struct err *err)
{
	unsigned char slot[SLOT_BYTES];
	enum status st;

	slot_encode(n, slot);
	KILL_POINT("lake.sequence.write");
	st = fd_pwrite_all(s->fd, slot, sizeof(slot), (uint64_t)s->slot * SLOT_BYTES, s->path, err);
	if (st != ST_OK)
		return st;
	KILL_POINT("lake.sequence.sync");
	s->slot = 1 - s->slot;
	return fd_sync(s->fd, true, s->path, err);
}

void sequence_close(struct sequence *s)
{
	if (s->fd >= 0)
		close(s->fd);
	free(s->path);
	*s = (struct sequence){.fd = -1};
}
