#include "tests/lib/disk_model.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/buf.h"
#include "core/base/file.h"

#define SECTOR_BYTES 512
#define NO_INODE SIZE_MAX

/* ---- the journal ---- */

struct disk_journal *disk_journal_new(void)
{
	struct disk_journal *j = mmap(NULL, DISK_JOURNAL_BYTES, PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (j == MAP_FAILED)
		abort();
	j->cap = DISK_JOURNAL_BYTES - sizeof(*j);
	return j;
}

void disk_journal_free(struct disk_journal *j)
{
	munmap(j, DISK_JOURNAL_BYTES);
}

static size_t op_bytes(const struct disk_op *op)
{
	return (sizeof(*op) + op->len + 7) & ~(size_t)7;
}

void disk_journal_add(struct disk_journal *j, const struct disk_op *op, const void *data)
{
	size_t at = j->used, bytes = op_bytes(op);

	if (bytes > j->cap - at) {
		j->full = true;
		return;
	}
	memcpy(j->bytes + at, op, sizeof(*op));
	if (op->len)
		memcpy(j->bytes + at + sizeof(*op), data, op->len);
	j->used = at + bytes;
}

const struct disk_op *disk_journal_next(const struct disk_journal *j, size_t *at)
{
	const struct disk_op *op = (const struct disk_op *)(const void *)(j->bytes + *at);

	if (*at >= j->used)
		return NULL;
	*at += op_bytes(op);
	return op;
}

/* ---- the disk ---- */

struct inode {
	bool folder;
	struct buf durable;
	const struct disk_op **pending; /* writes and truncations */
	size_t n;
	size_t cap;
};

/* A name that was given to an inode, or taken from it (NO_INODE). */
struct link {
	const char *path;
	size_t inode;
};

struct links {
	struct link *items;
	size_t n;
	size_t cap;
};

struct disk {
	struct inode *inodes;
	size_t n;
	size_t cap;
	struct links live; /* what the process sees */
	struct links durable;
	struct links pending; /* in order */
	struct numbers { /* the recorder's inode numbers, newest last */
		uint64_t *items;
		size_t n;
		size_t cap;
	} numbers;
	struct rng rng;
};

static void disk_release(struct disk *d)
{
	for (size_t i = 0; i < d->n; i++) {
		buf_release(&d->inodes[i].durable);
		free(d->inodes[i].pending);
	}
	free(d->inodes);
	free(d->live.items);
	free(d->durable.items);
	free(d->pending.items);
	free(d->numbers.items);
}

static struct link *links_find(const struct links *l, const char *path)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->items[i].path, path) == 0)
			return &l->items[i];
	return NULL;
}

static void links_add(struct links *l, const char *path, size_t inode)
{
	GROW(l->items, l->n, l->cap);
	l->items[l->n++] = (struct link){path, inode};
}

static void links_set(struct links *l, const struct link *to)
{
	struct link *there = links_find(l, to->path);

	if (to->inode == NO_INODE) {
		if (there)
			*there = l->items[--l->n];
	} else if (there) {
		there->inode = to->inode;
	} else {
		links_add(l, to->path, to->inode);
	}
}

static void set_name(struct disk *d, const char *path, size_t inode)
{
	const struct link link = {path, inode};

	links_set(&d->live, &link);
	links_add(&d->pending, path, inode);
}

static size_t inode_new(struct disk *d, uint64_t number, bool folder)
{
	GROW(d->inodes, d->n, d->cap);
	d->inodes[d->n] = (struct inode){.folder = folder};
	GROW(d->numbers.items, d->numbers.n, d->numbers.cap);
	d->numbers.items[d->numbers.n++] = number;
	return d->n++;
}

static struct inode *inode_find(struct disk *d, uint64_t number)
{
	for (size_t i = d->n; i-- > 0;)
		if (!d->inodes[i].folder && d->numbers.items[i] == number)
			return &d->inodes[i];
	return NULL; /* a file that was not made by open(): RocksDB's LOG */
}

/* ---- playing the journal ---- */

static void resize(struct buf *b, size_t len)
{
	size_t old = b->len;

	if (len > old) {
		buf_reserve(b, len - old);
		memset(b->data + old, 0, len - old);
	}
	b->len = len;
}

static void put(struct buf *to, uint64_t offset, const char *data, size_t len)
{
	if (to->len < offset + len)
		resize(to, offset + len);
	if (len)
		memcpy(to->data + offset, data, len);
}

static void apply(struct buf *to, const struct disk_op *op)
{
	if (op->kind == DISK_TRUNCATE)
		resize(to, op->offset);
	else
		put(to, op->offset, op->data, op->len);
}

static void sync_file(struct inode *inode)
{
	for (size_t i = 0; i < inode->n; i++)
		apply(&inode->durable, inode->pending[i]);
	inode->n = 0;
}

static bool is_in(const char *path, const char *folder)
{
	size_t len = strlen(folder);

	if (len && (strncmp(path, folder, len) != 0 || path[len] != '/'))
		return false;
	return !strchr(path + len + (len > 0), '/');
}

static void sync_folder(struct disk *d, const char *folder)
{
	size_t kept = 0;

	for (size_t i = 0; i < d->pending.n; i++) {
		if (is_in(d->pending.items[i].path, folder))
			links_set(&d->durable, &d->pending.items[i]);
		else
			d->pending.items[kept++] = d->pending.items[i];
	}
	d->pending.n = kept;
}

static void play(struct disk *d, const struct disk_op *op, bool lies)
{
	struct inode *inode;
	struct link *link;

	switch ((enum disk_op_kind)op->kind) {
	case DISK_CREATE:
		set_name(d, op->data, inode_new(d, op->inode, false));
		break;
	case DISK_MKDIR:
		set_name(d, op->data, inode_new(d, 0, true));
		break;
	case DISK_UNLINK:
		set_name(d, op->data, NO_INODE);
		break;
	case DISK_RENAME:
		link = links_find(&d->live, op->data);
		if (link) {
			set_name(d, op->data + strlen(op->data) + 1, link->inode);
			set_name(d, op->data, NO_INODE);
		}
		break;
	case DISK_WRITE:
	case DISK_TRUNCATE:
		inode = inode_find(d, op->inode);
		if (inode) {
			GROW(inode->pending, inode->n, inode->cap);
			inode->pending[inode->n++] = op;
		}
		break;
	case DISK_SYNC:
		inode = inode_find(d, op->inode);
		if (inode && !lies)
			sync_file(inode);
		break;
	case DISK_SYNC_FOLDER:
		if (!lies)
			sync_folder(d, op->data);
		break;
	case DISK_MARK:
		break;
	}
}

/* ---- what is left ---- */

static bool same_folder(const char *a, const char *b)
{
	const char *end_a = strrchr(a, '/'), *end_b = strrchr(b, '/');
	size_t len = end_a ? (size_t)(end_a - a) : 0;

	return len == (end_b ? (size_t)(end_b - b) : 0) && strncmp(a, b, len) == 0;
}

/* Some runs lose all, some nothing, most a part. */
static bool survives(struct rng *rng, unsigned of_four)
{
	return rng_below(rng, 4) < of_four;
}

static void apply_torn(struct disk *d, struct buf *to, const struct disk_op *op)
{
	uint64_t from = 0, end = op->len;

	if (op->kind == DISK_WRITE && op->len > 1 && rng_below(&d->rng, 3) == 0) {
		uint64_t place = op->offset + rng_below(&d->rng, op->len);
		uint64_t edge = place / SECTOR_BYTES * SECTOR_BYTES;

		edge = edge > op->offset ? edge - op->offset : 0;
		if (rng_below(&d->rng, 2))
			from = edge;
		else
			end = edge;
		put(to, op->offset + from, op->data + from, end - from);
		return;
	}
	apply(to, op);
}

/* In each folder the first so many changes of names survive. */
static void lose_names(struct disk *d)
{
	unsigned of_four = (unsigned)rng_below(&d->rng, 5);
	const char **closed = xcalloc(d->pending.n, sizeof(*closed));
	size_t n = 0;

	for (size_t i = 0; i < d->pending.n; i++) {
		const struct link *change = &d->pending.items[i];
		bool is_closed = false;

		for (size_t c = 0; c < n && !is_closed; c++)
			is_closed = same_folder(closed[c], change->path);
		if (is_closed)
			continue;
		if (survives(&d->rng, of_four))
			links_set(&d->durable, change);
		else
			closed[n++] = change->path;
	}
	free(closed);
}

static void lose_data(struct disk *d)
{
	unsigned of_four = (unsigned)rng_below(&d->rng, 5);

	for (size_t i = 0; i < d->n; i++)
		for (size_t p = 0; p < d->inodes[i].n; p++)
			if (survives(&d->rng, of_four))
				apply_torn(d, &d->inodes[i].durable, d->inodes[i].pending[p]);
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct link *)a)->path, ((const struct link *)b)->path);
}

/* Parents come before what is in them; what has lost its parent is lost. */
static enum status lay_out(const struct disk *d, const char *folder, struct err *err)
{
	if (d->durable.n)
		qsort(d->durable.items, d->durable.n, sizeof(*d->durable.items), by_path);
	for (size_t i = 0; i < d->durable.n; i++) {
		const struct link *link = &d->durable.items[i];
		const struct inode *inode = &d->inodes[link->inode];
		AUTO(freep) char *path = xasprintf("%s/%s", folder, link->path);
		int fd;

		if (inode->folder) {
			(void)!mkdir(path, 0777);
			continue;
		}
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
		if (fd < 0)
			continue;
		if (fd_write_all(fd, inode->durable.data, inode->durable.len, path, err) != ST_OK) {
			close(fd);
			return err->code;
		}
		close(fd);
	}
	return ST_OK;
}

enum status disk_after_loss(const struct disk_journal *j, const struct disk_loss *loss,
			    const char *folder, struct err *err)
{
	AUTO(disk_release) struct disk d = {.rng = rng_seeded(loss->seed)};
	const struct disk_op *op;
	size_t at = 0;

	for (size_t n = 0; n < loss->cut && (op = disk_journal_next(j, &at)); n++)
		play(&d, op, loss->lies);
	lose_names(&d);
	lose_data(&d);
	return lay_out(&d, folder, err);
}
